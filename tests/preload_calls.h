/* SPDX-License-Identifier: Apache-2.0 */
/* preload_calls: one libc call after the other, with what it returned. */
#ifndef TESTS_PRELOAD_CALLS_H
#define TESTS_PRELOAD_CALLS_H

#include <errno.h>
#include <stdbool.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct call {
	const char *name;
	void (*run)(const char *path);
	/* under the driver: "same" as plainly; "refused", with a message; or
	 * "patched", the same where libc can be patched, else refused; or
	 * "inside" and "inside-refused", missed where it cannot */
	const char *kind;
};

#define CALL_OF(name, kind)                                                    \
	{                                                                      \
#name, name, kind                                              \
	}
#define SAME(name) CALL_OF(name, "same")
#define REFUSED(name) CALL_OF(name, "refused")
#define PATCHED(name) CALL_OF(name, "patched")
#define INSIDE(name) CALL_OF(name, "inside")
#define INSIDE_REFUSED(name) CALL_OF(name, "inside-refused")

extern const struct call write_calls[], size_calls[], other_calls[],
    process_calls[], inside_calls[], signal_calls[], native_calls[];

/* Prints an expression, its value, and errno when it is -1. */
void show(const char *what, long value);
#define SHOW(expr)                                                             \
	do {                                                                   \
		errno = 0;                                                     \
		show(#expr, (long)(expr));                                     \
	} while (0)

/* Bytes that differ from place to place; never freed. */
char *pattern(size_t len, unsigned seed);
int must_open(const char *path, int flags);
extern const char *own_name; /* this program */

#endif
