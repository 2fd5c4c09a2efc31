/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup: ownership by scope. Declare a resource where it is acquired with
 * an AUTO_ type; it is given back when the block ends. STEAL_ hands it over.
 */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void
cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void
cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void
cleanup_dir(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

static inline void
cleanup_file(FILE **f)
{
	if (*f != NULL)
		(void)fclose(*f);
}

static inline int
steal_fd(int *fd)
{
	int was = *fd;

	*fd = -1;
	return was;
}

static inline void *
steal_ptr(void *p)
{
	void *was = *(void **)p;

	*(void **)p = NULL;
	return was;
}

#define AUTO(fn) __attribute__((cleanup(fn)))
#define AUTO_CLOSE AUTO(cleanup_fd)
#define AUTO_FREE AUTO(cleanup_free)
#define AUTO_CLOSEDIR AUTO(cleanup_dir)
#define AUTO_FCLOSE AUTO(cleanup_file)
#define STEAL_FD(var) steal_fd(&(var))
#define STEAL(var) ((__typeof__(var))steal_ptr(&(var)))

#endif
