/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/scratch.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define PREFIX ".aim-scratch."
#define DEPTH 5 /* what we make is less deep; others write there, too */
#define TRIES 10

/* Everything in the folder, as far as it can be removed. */
static void
empty(int dir, int depth)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (copy < 0)
		return;
	d = fdopendir(copy);
	if (d == NULL) {
		(void)close(copy);
		return;
	}
	while ((entry = readdir(d)) != NULL) {
		const char *name = entry->d_name;
		AUTO_CLOSE int sub = -1;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		    unlinkat(dir, name, 0) == 0 || depth == 0)
			continue;
		sub = openat(
		    dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0)
			continue;
		empty(sub, depth - 1);
		(void)unlinkat(dir, name, AT_REMOVEDIR);
	}
}

/* What nobody has locked any more was left behind. */
static void
sweep_one(int under, const char *name)
{
	AUTO_CLOSE int dir = openat(
	    under, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (dir < 0 || fstat(dir, &st) < 0 || st.st_uid != geteuid() ||
	    flock(dir, LOCK_EX | LOCK_NB) < 0)
		return;
	empty(dir, DEPTH);
	(void)unlinkat(under, name, AT_REMOVEDIR);
}

static void
sweep(const char *under)
{
	AUTO_CLOSEDIR DIR *d = opendir(under);
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0)
			sweep_one(dirfd(d), entry->d_name);
}

/* 1, or 0: somebody swept it away before it was locked. */
static int
make_one(const char *under, struct scratch *out, struct err *e)
{
	struct scratch s = SCRATCH_NONE;
	struct stat st;

	if ((size_t)snprintf(s.path, sizeof(s.path), "%s/%sXXXXXX", under,
		PREFIX) >= sizeof(s.path))
		return err_set(e, ERR_REFUSED, "%s: too long a path", under);
	if (mkdtemp(s.path) == NULL)
		return err_sys(e, "make a folder in %s", under);
	s.dir = open(s.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s.dir < 0 && errno == ENOENT)
		return 0;
	if (s.dir < 0 || flock(s.dir, LOCK_EX) < 0 || fstat(s.dir, &st) < 0) {
		(void)err_sys(e, "lock %s", s.path);
		cleanup_fd(&s.dir);
		return -1;
	}
	if (st.st_nlink == 0) {
		(void)close(s.dir);
		return 0;
	}
	*out = s;
	return 1;
}

int
scratch_open(const char *under, struct scratch *out, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	int tries, made = 0;

	if (under[0] == '\0')
		under = tmp != NULL && tmp[0] == '/' ? tmp : "/tmp";
	sweep(under);
	for (tries = 0; tries < TRIES && made == 0; tries++)
		made = make_one(under, out, e);
	if (made == 0)
		return err_set(e, ERR_RETRY,
		    "folders made in %s disappear at once", under);
	return made < 0 ? -1 : 0;
}

int
scratch_folder(
    const struct scratch *s, const char *name, int *out, struct err *e)
{
	AUTO_CLOSE int dir = openat(
	    s->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir >= 0) {
		empty(dir, DEPTH);
		if (unlinkat(s->dir, name, AT_REMOVEDIR) < 0)
			return err_sys(e, "remove %s/%s", s->path, name);
		cleanup_fd(&dir);
		dir = -1;
	}
	if (mkdirat(s->dir, name, 0700) < 0)
		return err_sys(e, "make %s/%s", s->path, name);
	dir = openat(
	    s->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, "open %s/%s", s->path, name);
	*out = STEAL_FD(dir);
	return 0;
}

void
scratch_close(struct scratch *s)
{
	if (s->dir < 0)
		return;
	empty(s->dir, DEPTH);
	(void)rmdir(s->path);
	cleanup_fd(&s->dir);
	*s = SCRATCH_NONE;
}
