/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/table.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS 12
#define OUTPUT 1024
#define FRESH 65536 /* bytes of a log that are zeroed before its use */

extern char **environ;

static int
start(const char *const *word, int to, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t actions;
	char *argv[WORDS + 1];
	int i, r;

	for (i = 0; i < WORDS && word[i] != NULL; i++) {
		argv[i] = strdup(word[i]);
		if (argv[i] == NULL)
			break;
	}
	argv[i] = NULL;
	r = i == WORDS || word[i] != NULL
		? ENOMEM
		: posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		r = posix_spawn_file_actions_adddup2(&actions, to, 1);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&actions, to, 2);
		if (r == 0)
			r = posix_spawnp(
			    pid, word[0], &actions, NULL, argv, environ);
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	while (i > 0)
		free(argv[--i]);
	errno = r;
	return r != 0 ? err_sys(e, "start %s", word[0]) : 0;
}

/* Everything it says; what is beyond `room` is dropped. */
static void
collect(int fd, char *out, size_t room)
{
	size_t n = 0;
	char rest[256] = {0};

	for (;;) {
		bool full = n + 1 >= room;
		ssize_t got = read(fd, full ? rest : out + n,
		    full ? sizeof(rest) : room - n - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (!full)
			n += (size_t)got;
	}
	out[n] = '\0';
	while (n > 0 && out[n - 1] == '\n')
		out[--n] = '\0';
}

/* `out` (OUTPUT bytes) gets what it says, `*status` how it ended. */
static int
ask(const char *const *word, char *out, int *status, struct err *e)
{
	AUTO_CLOSE int from = -1;
	int fds[2], r;
	pid_t pid = -1;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	from = fds[0];
	r = start(word, fds[1], &pid, e);
	(void)close(fds[1]);
	if (r < 0)
		return -1;
	collect(from, out, OUTPUT);
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "wait for %s", word[0]);
	return 0;
}

/* A command that changes something. */
static int
run(const struct table *t, const char *const *word, struct err *e)
{
	char out[OUTPUT];
	int status = 0;

	if (t->told != NULL)
		t->told(t->ctx, word);
	if (t->dry)
		return 0;
	if (ask(word, out, &status, e) < 0)
		return -1;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, ERR_FATAL, "%s %s %s: %s", word[0], word[1],
		    t->name, out);
	return 0;
}

static int
dmsetup(const struct table *t, const char *verb, struct err *e)
{
	const char *word[] = {"dmsetup", verb, t->name, NULL};

	return run(t, word, e);
}

static int
set(const struct table *t, const char *verb, struct err *e)
{
	char line[PATH_MAX];
	const char *word[] = {"dmsetup", verb, t->name, "--table", line, NULL};
	AUTO_CLOSE int fd =
	    sys_openat(AT_FDCWD, t->disk, O_RDONLY | O_CLOEXEC, 0);
	uint64_t size;

	if (fd < 0)
		return err_sys(e, "open %s", t->disk);
	if (io_size(fd, &size, e) < 0)
		return -1;
	if ((size_t)snprintf(line, sizeof(line),
		"0 %" PRIu64 " log-writes %s %s", size / 512, t->disk,
		t->log) >= sizeof(line))
		return err_set(e, ERR_REFUSED, "path too long: %s", t->disk);
	return run(t, word, e);
}

/* The superblock of an earlier session would be taken for this one's. */
static int
freshen(const struct table *t, struct err *e)
{
	static const uint8_t zeroes[FRESH];
	char to[PATH_MAX], room[32];
	const char *word[] = {"dd", "if=/dev/zero", to, room, "count=1",
	    "conv=notrunc,fsync", NULL};
	AUTO_CLOSE int fd = -1;

	(void)snprintf(to, sizeof(to), "of=%s", t->log);
	(void)snprintf(room, sizeof(room), "bs=%d", FRESH);
	if (t->told != NULL)
		t->told(t->ctx, word);
	if (t->dry)
		return 0;
	fd = sys_openat(AT_FDCWD, t->log, O_RDWR | O_EXCL | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "open %s", t->log);
	if (io_write_at(fd, zeroes, sizeof(zeroes), 0, e) < 0)
		return err_at(e, "%s", t->log);
	return io_fsync(fd, t->log, e);
}

int
table_mark(const struct table *t, const char *mark, struct err *e)
{
	const char *word[] = {
	    "dmsetup", "message", t->name, "0", "mark", mark, NULL};

	return run(t, word, e);
}

int
table_remove(const struct table *t, struct err *e)
{
	/* Who follows it opens it for a moment, time and again. */
	const char *word[] = {"dmsetup", "remove", "--retry", t->name, NULL};

	return run(t, word, e);
}

int
table_make(const struct table *t, const char *mark, struct err *e)
{
	struct err why;

	if (freshen(t, e) < 0 || set(t, "create", e) < 0)
		return -1;
	if (table_mark(t, mark, e) == 0)
		return 0;
	/* Nobody uses it yet. */
	if (table_remove(t, &why) < 0)
		return err_at(e, "%s", why.text);
	return -1;
}

/*
 * Resuming a device that has another table loaded suspends it first, within
 * one call of the kernel's: whoever is killed on the way never leaves it
 * suspended, with all that use it waiting.
 */
int
table_change(const struct table *t, const char *mark, struct err *e)
{
	struct err why;

	/* One that somebody left loaded holds the log. */
	if (dmsetup(t, "clear", e) < 0 || freshen(t, e) < 0 ||
	    set(t, "load", e) < 0)
		return -1;
	if (dmsetup(t, "resume", e) < 0) {
		if (dmsetup(t, "clear", &why) < 0)
			return err_at(e, "%s", why.text);
		return -1;
	}
	return table_mark(t, mark, e);
}

static int
query(const struct table *t, const char *verb, char *out, struct err *e)
{
	const char *word[] = {"dmsetup", verb, t->name, NULL};
	int status = 0;

	if (ask(word, out, &status, e) < 0)
		return -1;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(
		    e, ERR_FATAL, "dmsetup %s %s: %s", verb, t->name, out);
	return 0;
}

int
table_exists(const struct table *t, struct err *e)
{
	const char *word[] = {"dmsetup", "info", t->name, NULL};
	char out[OUTPUT];
	int status = 0;

	if (ask(word, out, &status, e) < 0)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* "MAJOR:MINOR" at *at, which is moved behind it. */
static bool
take_device(const char **at, dev_t *out)
{
	unsigned long high, low;
	char *end;

	high = strtoul(*at, &end, 10);
	if (end == *at || *end != ':')
		return false;
	*at = end + 1;
	low = strtoul(*at, &end, 10);
	if (end == *at)
		return false;
	*at = end;
	*out = makedev((unsigned)high, (unsigned)low);
	return true;
}

int
table_look(const struct table *t, struct table_devices *out, struct err *e)
{
	char text[OUTPUT];
	struct table_devices d;
	const char *p;

	if (query(t, "table", text, e) < 0)
		return -1;
	/* "0 SECTORS log-writes MAJOR:MINOR MAJOR:MINOR" */
	p = strstr(text, " log-writes ");
	if (strncmp(text, "0 ", 2) != 0 || p == NULL)
		return err_set(e, ERR_REFUSED, "%s is no log-writes device: %s",
		    t->name, text);
	p += strlen(" log-writes ");
	if (!take_device(&p, &d.disk) || !take_device(&p, &d.log))
		return err_set(e, ERR_REFUSED,
		    "the table of %s is not understood: %s", t->name, text);
	*out = d;
	return 0;
}

void
table_device_path(dev_t device, char *out, size_t room)
{
	char link[64], to[PATH_MAX];
	const char *name;
	struct stat st;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/sys/dev/block/%u:%u",
	    major(device), minor(device));
	n = readlink(link, to, sizeof(to) - 1);
	to[n < 0 ? 0 : n] = '\0';
	name = strrchr(to, '/');
	if (name != NULL &&
	    (size_t)snprintf(out, room, "/dev%s", name) < room &&
	    stat(out, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == device)
		return;
	(void)snprintf(
	    out, room, "/dev/block/%u:%u", major(device), minor(device));
}

int
table_status(const struct table *t, struct table_status *out, struct err *e)
{
	uint64_t number[4];
	char text[OUTPUT], *p = text;
	int i;

	if (query(t, "status", text, e) < 0)
		return -1;
	/* "0 SECTORS log-writes ENTRIES HIGHEST [logging_disabled]" */
	for (i = 0; i < 4; i++) {
		char *end;

		if (i == 2) {
			if (strncmp(p, " log-writes ", 12) != 0)
				return err_set(e, ERR_REFUSED,
				    "%s is no log-writes device: %s", t->name,
				    text);
			p += 12;
		}
		number[i] = strtoull(p, &end, 10);
		if (end == p)
			return err_set(e, ERR_REFUSED,
			    "the status of %s is not understood: %s", t->name,
			    text);
		p = end;
	}
	out->used = (number[3] + 1) * 512;
	out->disabled = strstr(p, "logging_disabled") != NULL;
	return 0;
}

int
table_flush(const struct table *t, struct err *e)
{
	char path[PATH_MAX];
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), "/dev/mapper/%s", t->name);
	fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	return io_fsync(fd, path, e);
}
