/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ship: the ship role with a stream of journal files and nobody who
 * acknowledges, as one process, so that it can be timed beside scp and rsync.
 *
 *   bench_ship make HOME FILES BYTES     a home with that many files sealed;
 *                                        prints the folder that they are in
 *   bench_ship send HOME URL KEY KNOWN_HOSTS
 *                                        makes the role of a new destination
 *                                        send them all; ends with the last
 */
#include "tests/bench/bench_chain.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "coordinator/roles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

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

static int
destination_make(const struct uuid *stream, char **argv,
    struct destination_config *d, struct err *e)
{
	struct sign_secret key;

	*d = (struct destination_config){.stream = *stream};
	d->prune_at = PRUNE_APPLIED;
	(void)snprintf(d->name, sizeof(d->name), "bench");
	(void)snprintf(d->url, sizeof(d->url), "%s", argv[0]);
	(void)snprintf(d->key_file, sizeof(d->key_file), "%s", argv[1]);
	(void)snprintf(d->known_hosts, sizeof(d->known_hosts), "%s", argv[2]);
	if (uuid_make(&d->uuid, e) != 0 || uuid_make(&d->group, e) != 0 ||
	    uuid_make(&d->mirror, e) != 0 ||
	    uuid_make(&d->mirror_site, e) != 0 || sign_make(&key, e) != 0)
		return -1;
	d->mirror_key = key.pub;
	return 0;
}

/* The newest file has arrived when its name is there (it is renamed last);
 * the driver counts the others. `local` is the URL's folder as we see it. */
static bool
has_arrived(const char *url, const struct uuid *stream, uint32_t files)
{
	const char *local = strstr(url, "//") + 2;
	char path[PATH_MAX], name[JOURNAL_NAME_LEN], text[UUID_TEXT];

	local = strchr(local, '/');
	(void)snprintf(path, sizeof(path), "%s/%s/%s",
	    local == NULL ? "" : local, uuid_text(stream, text),
	    journal_name(1, files, name));
	return access(path, F_OK) == 0;
}

static int
send_all(const char *path, char **argv, struct err *e)
{
	AUTO(home_close) struct home h = {0};
	struct destination_config d;
	struct uuid stream;
	struct ship *s;
	uint64_t start = clock_mono_ns();
	uint32_t files = 0;
	int more = 0;

	if (strstr(argv[0], "//") == NULL)
		return err_set(e, ERR_REFUSED, "%s is no URL", argv[0]);
	if (home_open(path, &h, e) != 0 ||
	    stream_find(&h, &stream, &files, e) != 0 ||
	    destination_make(&stream, argv, &d, e) != 0 ||
	    ship_open(&h, &d, &s, e) != 0)
		return -1;
	while (more >= 0 && !has_arrived(d.url, &stream, files)) {
		if (clock_mono_ns() - start > PATIENCE_NS) {
			more = err_set(e, ERR_RETRY, "not all sent in time");
			break;
		}
		more = ship_pass(s, e);
		if (more == 0)
			ship_wait(s, 10);
	}
	ship_close(s);
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
	else if (argc == 6 && strcmp(argv[1], "send") == 0)
		failed = send_all(argv[2], argv + 3, &e);
	else {
		(void)fprintf(stderr,
		    "usage: bench_ship make HOME FILES BYTES\n"
		    "       bench_ship send HOME URL KEY KNOWN_HOSTS\n");
		return 2;
	}
	if (failed != 0)
		(void)fprintf(stderr, "bench_ship: %s\n", e.text);
	return failed != 0;
}
