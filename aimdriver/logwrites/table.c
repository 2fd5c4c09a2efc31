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
#include <sys/wait.h>

#define WORDS 12
#define OUTPUT 1024
#define FRESH 65536 /* bytes of a log that are zeroed before its use */

extern char **environ;

static void
print(const char *const *word)
{
	int i;

	for (i = 0; word[i] != NULL; i++)
		(void)printf(strchr(word[i], ' ') != NULL ? "%s'%s'" : "%s%s",
		    i == 0 ? "" : " ", word[i]);
	(void)putchar('\n');
}

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
			    pid, argv[0], &actions, NULL, argv, environ);
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

/* `out` (OUTPUT bytes) gets what it says. */
static int
run(const struct table *t, const char *const *word, char *out, struct err *e)
{
	AUTO_CLOSE int from = -1;
	int fds[2], status = 0, r;
	pid_t pid = -1;

	if (t->dry) {
		print(word);
		out[0] = '\0';
		return 0;
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	from = fds[0];
	r = start(word, fds[1], &pid, e);
	(void)close(fds[1]);
	if (r < 0)
		return -1;
	collect(from, out, OUTPUT);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "wait for %s", word[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, ERR_FATAL, "%s %s %s: %s", word[0], word[1],
		    t->name, out);
	return 0;
}

static int
dmsetup(const struct table *t, const char *verb, struct err *e)
{
	const char *word[] = {"dmsetup", verb, t->name, NULL};
	char out[OUTPUT];

	return run(t, word, out, e);
}

static int
set(const struct table *t, const char *verb, struct err *e)
{
	char line[PATH_MAX], out[OUTPUT];
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
	return run(t, word, out, e);
}

/* The superblock of an earlier session would be taken for this one's. */
static int
freshen(const struct table *t, struct err *e)
{
	static const uint8_t zeroes[FRESH];
	AUTO_CLOSE int fd = -1;

	if (t->dry) {
		(void)printf("dd if=/dev/zero of=%s bs=%d count=1 "
			     "conv=notrunc,fsync\n",
		    t->log, FRESH);
		return 0;
	}
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
	char out[OUTPUT];

	return run(t, word, out, e);
}

int
table_remove(const struct table *t, struct err *e)
{
	return dmsetup(t, "remove", e);
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

int
table_change(const struct table *t, const char *mark, struct err *e)
{
	if (freshen(t, e) < 0 || set(t, "load", e) < 0 ||
	    dmsetup(t, "suspend", e) < 0 || dmsetup(t, "resume", e) < 0)
		return -1;
	return table_mark(t, mark, e);
}

int
table_status(const struct table *t, struct table_status *out, struct err *e)
{
	const char *word[] = {"dmsetup", "status", t->name, NULL};
	uint64_t number[4];
	char text[OUTPUT], *p = text;
	int i;

	if (run(t, word, text, e) < 0)
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
