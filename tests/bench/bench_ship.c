/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ship: the ship role with a stream of journal files, as one process, so
 * that it can be timed beside scp and rsync.
 *
 *   bench_ship make HOME FILES BYTES     a home with that many files sealed;
 *                                        prints the folder that they are in
 *   bench_ship send HOME URL KEY KNOWN_HOSTS [FOLDER [NAME=VALUE...]]
 *                                        makes the role of a new destination
 *                                        send them all; ends with the last.
 *                                        "-": no such file. FOLDER: where the
 *                                        files appear, else the URL's path;
 *                                        then options of the destination
 */
#include "tests/bench/bench_chain.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "coordinator/destination_option.h"
#include "coordinator/job.h"
#include "coordinator/roles.h"
#include "coordinator/sealed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BLOCK 4096u
#define PATIENCE_NS (UINT64_C(60) * 1000000000u)

/* The largest number of 4 KiB writes with which a file is at most `bytes`. */
static uint32_t
writes_for(uint64_t bytes)
{
	uint64_t overhead = 4096, each = BLOCK + 80;

	return bytes <= overhead + each ? 1
					: (uint32_t)((bytes - overhead) / each);
}

static int
make(const char *path, uint32_t files, uint64_t bytes, struct err *e)
{
	AUTO_CLOSE int dir = -1;
	AUTO(home_close) struct home h = {0};
	struct bench_chain c;
	char text[UUID_TEXT];
	uint32_t i;

	if (home_create(path, "bench", e) != 0 || home_open(path, &h, e) != 0 ||
	    bench_chain_init(&c, &h.key, UINT64_C(1) << 30, e) != 0)
		return -1;
	c.site = h.site;
	(void)uuid_text(&c.stream, text);
	if (io_make_dir(h.sealed, text, 0700, e) != 0 ||
	    io_open_dir(h.sealed, text, &dir, e) != 0 ||
	    bench_chain_base(&c, dir, e) != 0)
		return -1;
	for (i = 1; i < files; i++)
		if (bench_chain_add(
			&c, dir, writes_for(bytes), BLOCK, NULL, e) != 0)
			return -1;
	(void)printf("%s/sealed/%s\n", path, text);
	return fflush(stdout) == 0 ? 0 : err_sys(e, "standard output");
}

/* The one stream that `make` has left: its UUID, and how many files. */
static int
stream_find(struct home *h, struct uuid *stream, uint32_t *files, struct err *e)
{
	AUTO_CLOSEDIR DIR *streams = NULL;
	AUTO_CLOSEDIR DIR *names = NULL;
	struct dirent *d;
	int fd = openat(h->sealed, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	streams = fd < 0 ? NULL : fdopendir(fd);
	if (streams == NULL)
		return err_sys(e, "list sealed");
	while ((d = readdir(streams)) != NULL)
		if (uuid_parse(d->d_name, stream, NULL) == 0)
			break;
	if (d == NULL)
		return err_set(e, ERR_REFUSED, "no stream in sealed");
	fd = openat(h->sealed, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	names = fd < 0 ? NULL : fdopendir(fd);
	if (names == NULL)
		return err_sys(e, "list stream");
	for (*files = 0; (d = readdir(names)) != NULL;)
		*files += journal_name_parse(
		    d->d_name, &(uint32_t){0}, &(uint64_t){0});
	return 0;
}

/* The other side: what it is called here, and its key. */
struct other {
	struct destination_config d;
	struct sign_secret key;
	const char *folder; /* DIR of the URL */
	char ack[PATH_MAX], part[PATH_MAX];
};

static int
take_option(struct destination_config *d, char *text, struct err *e)
{
	char *value = strchr(text, '=');
	const struct destination_option *o;

	if (value != NULL)
		*value++ = '\0';
	o = value == NULL ? NULL : destination_option_find(text);
	if (o == NULL)
		return err_set(e, ERR_REFUSED, "%s: no option", text);
	(void)snprintf((char *)d + o->offset, o->room, "%s", value);
	return 0;
}

/* URL KEY KNOWN_HOSTS [FOLDER [NAME=VALUE...]] */
static int
other_take(char **argv, struct other *o, struct err *e)
{
	struct destination_config *d = &o->d;
	char **more = argv + 3;

	(void)snprintf(d->url, sizeof(d->url), "%s", argv[0]);
	if (strcmp(argv[1], "-") != 0)
		(void)snprintf(d->key_file, sizeof(d->key_file), "%s", argv[1]);
	if (strcmp(argv[2], "-") != 0)
		(void)snprintf(
		    d->known_hosts, sizeof(d->known_hosts), "%s", argv[2]);
	o->folder = strstr(argv[0], "//");
	o->folder = o->folder == NULL ? NULL : strchr(o->folder + 2, '/');
	if (*more != NULL)
		o->folder = *more++;
	if (o->folder == NULL)
		return err_set(e, ERR_REFUSED, "%s is no URL", argv[0]);
	for (; *more != NULL; more++)
		if (take_option(d, *more, e) != 0)
			return -1;
	return 0;
}

static int
other_make(struct home *h, const struct uuid *stream, char **argv,
    struct other *o, struct err *e)
{
	struct destination_config *d = &o->d;
	struct job j = {.kind = COPYIN_BASE, .state = JOB_DONE};
	char text[UUID_TEXT], name[ACK_NAME_LEN];

	*o = (struct other){.d = {.stream = *stream}};
	d->prune_at = PRUNE_APPLIED;
	(void)snprintf(d->name, sizeof(d->name), "bench");
	if (other_take(argv, o, e) != 0)
		return -1;
	if (uuid_make(&d->uuid, e) != 0 || uuid_make(&d->group, e) != 0 ||
	    uuid_make(&d->mirror, e) != 0 ||
	    uuid_make(&d->mirror_site, e) != 0 || sign_make(&o->key, e) != 0)
		return -1;
	d->mirror_key = o->key.pub;
	(void)snprintf(o->ack, sizeof(o->ack), "%s/%s/ack/%s", o->folder,
	    uuid_text(stream, text), ack_name(&d->mirror, name));
	if ((size_t)snprintf(o->part, sizeof(o->part), "%.*s.part",
		(int)sizeof(o->part) - 8, o->ack) >= sizeof(o->part))
		return err_set(e, ERR_REFUSED, "%s is too long", argv[0]);
	/* Its base, which the stream begins with, was sent for once. */
	j.destination = d->uuid;
	j.mirror = d->mirror;
	j.begin = j.from = 1;
	j.end = 2;
	return uuid_make(&j.id, e) != 0 ? -1 : job_store(h, &j, e);
}

/* The name appears when the whole file is there. */
static bool
has_arrived(const struct other *o, uint64_t sequence)
{
	char path[PATH_MAX], name[JOURNAL_NAME_LEN], text[UUID_TEXT];

	(void)snprintf(path, sizeof(path), "%s/%s/%s", o->folder,
	    uuid_text(&o->d.stream, text), journal_name(1, sequence, name));
	return access(path, F_OK) == 0;
}

static int
publish(
    const struct other *o, const struct home *h, struct ack *a, struct err *e)
{
	uint8_t bytes[ACK_LIMIT];
	AUTO_CLOSE int fd = -1;
	size_t len;

	a->counter++;
	a->time_ns = clock_wall_ns();
	a->source_site = h->site;
	if (ack_encode(a, &o->key, bytes, &len, e) != 0)
		return -1;
	fd = open(o->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(e, "create %s", o->part);
	if (io_write_at(fd, bytes, len, 0, e) != 0)
		return -1;
	return rename(o->part, o->ack) == 0 ? 0 : err_sys(e, "publish");
}

/*
 * Stands for the mirror's site: acknowledges what has arrived, some hundred
 * times a second, so that the role's window moves on. It verifies nothing and
 * syncs nothing, as scp's and rsync's other side.
 */
static int
acknowledge(
    const struct other *o, struct home *h, uint32_t files, struct err *e)
{
	struct sealed sealed = {.dir = -1};
	struct sealed_file f;
	struct ack a = {.stream = o->d.stream,
	    .group = o->d.group,
	    .mirror = o->d.mirror,
	    .mirror_site = o->d.mirror_site,
	    .state = ACK_STREAMING};
	uint64_t have = 0, was;

	if (sign_key_id(&o->key.pub, a.key_id, e) != 0 ||
	    sealed_open(h, &o->d.stream, &sealed, e) != 0)
		return -1;
	while (have < files) {
		for (was = have; have < files && has_arrived(o, have + 1);)
			have++;
		if (have > was) {
			if (sealed_look(&sealed, 1, have, &f, e) != 1)
				return -1;
			a.stored = f.at;
			if (publish(o, h, &a, e) != 0)
				return -1;
		}
		clock_sleep_ms(3);
	}
	sealed_close(&sealed);
	return 0;
}

static pid_t
start_other(const struct other *o, struct home *h, uint32_t files)
{
	pid_t parent = getpid(), pid = fork();
	struct err e = {0};

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (acknowledge(o, h, files, &e) != 0) {
		(void)fprintf(stderr, "bench_ship: other side: %s\n", e.text);
		_exit(1);
	}
	_exit(0);
}

static int
send_all(const char *path, char **argv, struct err *e)
{
	AUTO(home_close) struct home h = {0};
	static struct other o;
	struct uuid stream;
	struct ship *s;
	uint64_t start = clock_mono_ns();
	uint32_t files = 0;
	pid_t pid;
	int more = 0;

	if (home_open(path, &h, e) != 0 ||
	    stream_find(&h, &stream, &files, e) != 0 ||
	    other_make(&h, &stream, argv, &o, e) != 0 ||
	    ship_open(&h, &o.d, &s, e) != 0)
		return -1;
	pid = start_other(&o, &h, files);
	while (more >= 0 && !has_arrived(&o, files)) {
		if (clock_mono_ns() - start > PATIENCE_NS) {
			more = err_set(e, ERR_RETRY, "not all sent in time");
			break;
		}
		more = ship_pass(s, e);
		if (more == 0)
			ship_wait(s, 100);
	}
	ship_close(s);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	return more < 0 ? -1 : 0;
}

int
main(int argc, char **argv)
{
	struct err e = {0};
	int failed;

	if (argc == 5 && strcmp(argv[1], "make") == 0)
		failed = make(argv[2], (uint32_t)strtoul(argv[3], NULL, 10),
		    strtoull(argv[4], NULL, 10), &e);
	else if (argc >= 6 && strcmp(argv[1], "send") == 0)
		failed = send_all(argv[2], argv + 3, &e);
	else {
		(void)fprintf(stderr,
		    "usage: bench_ship make HOME FILES BYTES\n"
		    "       bench_ship send HOME URL KEY KNOWN_HOSTS "
		    "[FOLDER [NAME=VALUE...]]\n");
		return 2;
	}
	if (failed != 0)
		(void)fprintf(stderr, "bench_ship: %s\n", e.text);
	return failed != 0;
}
