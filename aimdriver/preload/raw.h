/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw: system calls that no other preloaded library can get between. They
 * return the result or -errno and leave errno alone. On x86-64 all of them are
 * made by one instruction (gate.c); elsewhere they go through libc's syscall().
 */
#ifndef AIMDRIVER_PRELOAD_RAW_H
#define AIMDRIVER_PRELOAD_RAW_H

#include <errno.h>
#include <sys/syscall.h>

long raw6(long nr, long a, long b, long c, long d, long e, long f);

static inline long
raw4(long nr, long a, long b, long c, long d)
{
	return raw6(nr, a, b, c, d, 0, 0);
}

static inline long
raw3(long nr, long a, long b, long c)
{
	return raw6(nr, a, b, c, 0, 0, 0);
}

static inline long
raw2(long nr, long a, long b)
{
	return raw6(nr, a, b, 0, 0, 0, 0);
}

static inline long
raw1(long nr, long a)
{
	return raw6(nr, a, 0, 0, 0, 0, 0);
}

/* A result as libc gives it: -1 and errno. */
static inline long
ret(long r)
{
	if (r < 0 && r > -4096) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

#endif
