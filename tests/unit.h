/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit: what unit tests share: a folder of their own that goes away, and the
 * ladder, which fails the first call through the sys seam, then the second,
 * and so on, until the code under test gets through.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include "common/cleanup.h"
#include "common/err.h"
#include "common/sys.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a folder ---- */

struct unit_dir {
	char path[64];
	int fd;
};

static inline int
unit_remove_one(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Removes what is at `path`, with all below it. */
static inline void
unit_remove_tree(const char *path)
{
	(void)nftw(path, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void
unit_dir_make(struct unit_dir *d)
{
	(void)strcpy(d->path, "/tmp/aim-unit.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(d->fd, 0);
}

static inline void
unit_dir_drop(struct unit_dir *d)
{
	(void)close(d->fd);
	unit_remove_tree(d->path);
}

/* ---- the ladder ---- */

struct ladder {
	int rung;    /* calls that go through before the trouble begins */
	int trouble; /* what the judge answers then: errno or SYS_SHORT */
	bool stays;  /* every later call too */
	int op;	     /* only this kind of call counts; -1: all */
	int seen;    /* calls so far */
	bool struck; /* the trouble has come */
};

static inline int
ladder_judge(void *ctx, enum sys_op op, const char *name)
{
	struct ladder *l = ctx;
	int n;

	(void)name;
	if (l->op >= 0 && (int)op != l->op)
		return 0;
	n = l->seen++;
	if (n < l->rung || (n > l->rung && !l->stays))
		return 0;
	l->struck = true;
	return l->trouble;
}

static inline void
ladder_set(struct ladder *l)
{
	l->seen = 0;
	l->struck = false;
	sys_set_judge(ladder_judge, l);
}

static inline void
ladder_unset(void)
{
	sys_set_judge(NULL, NULL);
}

/* ---- running ---- */

/* Runs the suite; the exit status for main. CK_FORK=no is respected. */
static inline int
unit_run(Suite *s)
{
	SRunner *r = srunner_create(s);
	int bad;

	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
