/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home_quarantine: what was refused is kept aside to be looked at. The name
 * that it has there is built from the time, a random number and the harmless
 * part of the name that it came with, so that no name from outside is used.
 */
#include "coordinator/home.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUARANTINE_FILES 256
#define QUARANTINE_COPY (UINT64_C(64) << 20)
#define TREE_DEPTH 32

static int
safe_name(const char *name, char *out, size_t room, struct err *e)
{
	char clean[81];
	uint32_t salt;
	size_t n = 0;

	for (; n < sizeof(clean) - 1 && name[n] != 0; n++)
		clean[n] = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
				  "qrstuvwxyz0123456789._-",
			       name[n]) != NULL
			       ? name[n]
			       : '_';
	clean[n] = 0;
	if (random_bytes(&salt, sizeof(salt), e) < 0)
		return -1;
	(void)snprintf(out, room, "%016jx-%08x-%s", (uintmax_t)clock_wall_ns(),
	    (unsigned)salt, clean);
	return 0;
}

/* Another file system: the beginning is copied. */
static int
copy_in(
    struct home *h, int dir, const char *name, const char *to, struct err *e)
{
	AUTO_CLOSE int from = -1, fd = -1;
	AUTO_FREE uint8_t *room = malloc(1u << 20);
	uint64_t off = 0;

	if (room == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (io_open_regular(dir, name, &from, e) < 0)
		return -1;
	fd = sys_openat(
	    h->quarantine, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "create quarantine/%s", to);
	while (off < QUARANTINE_COPY) {
		ssize_t n = io_read_some_at(from, room, 1u << 20, off, e);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		if (io_write_at(fd, room, (size_t)n, off, e) < 0)
			return -1;
		off += (uint64_t)n;
	}
	return io_fsync(fd, to, e);
}

static int
remove_entry(int dir, const char *name, int depth, struct err *e)
{
	AUTO_CLOSE int below = -1;
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;

	if (sys_unlink(dir, name) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(e, "remove a refused file");
	if (depth == TREE_DEPTH)
		return err_set(e, ERR_REFUSED, "folders nested too deeply");
	below =
	    openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0 || (d = fdopendir(below)) == NULL)
		return err_sys(e, "remove a refused folder");
	below = -1; /* now d's */
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (remove_entry(dirfd(d), entry->d_name, depth + 1, e) < 0)
			return -1;
	}
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(e, "remove a refused folder");
	return 0;
}

static bool
is_reason(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcmp(name + n - 4, ".why") == 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct list {
	char **names;
	size_t count, room;
};

static void
list_release(struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->names[i]);
	free(l->names);
}

static int
list_reasons(int dir, struct list *l, struct err *e)
{
	AUTO_CLOSE int copy = -1;
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;

	if (io_open_dir(dir, ".", &copy, e) < 0)
		return -1;
	d = fdopendir(copy);
	if (d == NULL)
		return err_sys(e, "list quarantine/");
	copy = -1; /* now d's */
	while ((entry = readdir(d)) != NULL) {
		char *name;

		if (!is_reason(entry->d_name))
			continue;
		if (l->count == l->room) {
			size_t room = l->room == 0 ? 64 : 2 * l->room;
			char **more =
			    reallocarray(l->names, room, sizeof(*more));

			if (more == NULL)
				return err_set(e, ERR_RETRY, "out of memory");
			l->names = more;
			l->room = room;
		}
		name = strdup(entry->d_name);
		if (name == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		l->names[l->count++] = name;
	}
	return 0;
}

static void
name_of(const char *reason, char out[NAME_MAX + 1])
{
	(void)snprintf(
	    out, NAME_MAX + 1, "%.*s", (int)(strlen(reason) - 4), reason);
}

/* How many of the newest may stay; one always does. What counts is what they
 * take: an empty giant takes nothing, and drives nothing else out. */
static size_t
count_kept(const struct home *h, const struct list *l)
{
	char name[NAME_MAX + 1];
	uint64_t bytes = 0;
	size_t n = 0;

	for (; n < l->count && n < QUARANTINE_FILES; n++) {
		struct stat st;

		name_of(l->names[l->count - 1 - n], name);
		if (fstatat(h->quarantine, name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_blocks * 512;
		if (n > 0 && bytes > h->quarantine_bytes)
			break;
	}
	return n;
}

/* The oldest go: names begin with the time. */
static int
trim(struct home *h, struct err *e)
{
	AUTO(list_release) struct list l = {0};
	char name[NAME_MAX + 1];
	size_t gone;

	if (list_reasons(h->quarantine, &l, e) < 0)
		return -1;
	if (l.count > 1)
		qsort(l.names, l.count, sizeof(*l.names), by_name);
	gone = l.count - count_kept(h, &l);
	for (size_t i = 0; i < gone; i++) {
		name_of(l.names[i], name);
		if (remove_entry(h->quarantine, name, 0, e) < 0 ||
		    remove_entry(h->quarantine, l.names[i], 0, e) < 0)
			return -1;
	}
	return 0;
}

int
home_quarantine(struct home *h, int dir, const char *name, const char *reason,
    struct err *e)
{
	char to[160], why[176], text[1024], quoted[300];
	int n;

	if (safe_name(name, to, sizeof(to), e) < 0)
		return -1;
	(void)snprintf(why, sizeof(why), "%s.why", to);
	n = snprintf(text, sizeof(text), "%s\nit came as '%s'\n", reason,
	    name_quote(name, strlen(name), quoted, sizeof(quoted)));
	if (n >= (int)sizeof(text))
		n = (int)sizeof(text) - 1;
	/* The reason first: every entry can be found by its reason. */
	if (io_write_file(h->quarantine, why, text, (size_t)n, 0600, e) < 0)
		return err_at(e, "quarantine");
	if (sys_rename(dir, name, h->quarantine, to, RENAME_NOREPLACE) < 0) {
		struct stat st;

		if (errno == ENOENT) /* somebody took it away meanwhile */
			return io_remove(h->quarantine, why, e);
		if (errno != EXDEV)
			return err_sys(e, "quarantine '%s'", quoted);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) &&
		    (copy_in(h, dir, name, to, e) < 0 ||
			io_fsync(h->quarantine, "quarantine/", e) < 0))
			return err_at(e, "quarantine '%s'", quoted);
		if (remove_entry(dir, name, 0, e) < 0)
			return err_at(e, "quarantine '%s'", quoted);
	}
	if (io_fsync(h->quarantine, "quarantine/", e) < 0 ||
	    io_fsync(dir, "the folder that it came from", e) < 0)
		return -1;
	return trim(h, e);
}
