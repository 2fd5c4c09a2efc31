/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attached: who captures in a group, by what each process has open. The lock
 * on the file `attached` says whether anybody does; but when that file was
 * removed, those who hold it locked can only be found here. A lock shows in
 * /proc/PID/fdinfo as a line that begins with "lock:".
 */
#include "aimdriver/control.h"

#include "common/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DELETED " (deleted)"

static bool
ends_with(const char *text, const char *tail)
{
	size_t n = strlen(text), t = strlen(tail);

	return n >= t && memcmp(text + n - t, tail, t) == 0;
}

static bool
has_lock(int proc, const char *pid, const char *number)
{
	AUTO_FCLOSE FILE *f = NULL;
	char path[64], line[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%.12s/fdinfo/%.12s", pid, number);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	f = fdopen(fd, "r");
	if (f == NULL) {
		(void)close(fd);
		return true; /* not known: better once too often */
	}
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "lock:", 5) == 0)
			return true;
	return false;
}

/* Gone, or done with all that it had open. */
static bool
has_ended(int why)
{
	return why == ENOENT || why == ESRCH;
}

/* 1: it captures, 0: it does not, -1: it cannot be looked at. */
static int
look_at(int proc, const char *pid, const char *tail, const char *removed)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	char name[32], to[PATH_MAX];
	int fd;

	(void)snprintf(name, sizeof(name), "%.12s/fd", pid);
	fd = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return has_ended(errno) ? 0 : -1;
	d = fdopendir(fd);
	if (d == NULL) {
		(void)close(fd);
		return -1;
	}
	while ((entry = readdir(d)) != NULL) {
		ssize_t n =
		    readlinkat(dirfd(d), entry->d_name, to, sizeof(to) - 1);

		if (n < 0)
			continue;
		to[n] = '\0';
		if ((ends_with(to, tail) || ends_with(to, removed)) &&
		    has_lock(proc, pid, entry->d_name))
			return 1;
	}
	return 0;
}

bool
attached_find(const struct uuid *group, char *text, size_t room)
{
	char tail[UUID_TEXT + 24], removed[sizeof(tail) + sizeof(DELETED)];
	char id[UUID_TEXT];
	AUTO_CLOSEDIR DIR *d = opendir("/proc");
	struct dirent *entry;
	bool all = d != NULL;
	size_t used = 0;

	text[0] = '\0';
	(void)snprintf(
	    tail, sizeof(tail), "/active/%s/attached", uuid_text(group, id));
	(void)snprintf(removed, sizeof(removed), "%s" DELETED, tail);
	while (d != NULL && (entry = readdir(d)) != NULL) {
		int found;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    strtol(entry->d_name, NULL, 10) == getpid())
			continue;
		found = look_at(dirfd(d), entry->d_name, tail, removed);
		all = all && found >= 0;
		if (found == 1 && used + 16 < room)
			used += (size_t)snprintf(text + used, room - used,
			    "%s%.12s", used == 0 ? "" : ", ", entry->d_name);
	}
	return all;
}
