/* SPDX-License-Identifier: Apache-2.0 */
/* preload_inline: system calls by an instruction of the program's own. */
#ifndef TESTS_PRELOAD_INLINE_H
#define TESTS_PRELOAD_INLINE_H

#include <stdio.h>
#include <sys/syscall.h>

static inline long
inline_call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile(
	    "syscall"
	    : "=a"(r)
	    : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	    : "rcx", "r11", "memory");
	return r;
}
#define CALL(nr, a, b, c, d, e, f)                                             \
	inline_call(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d),      \
	    (long)(e), (long)(f))
#define SHOW(expr) printf("%s = %ld\n", #expr, (long)(expr))

/* preload_inline_numbers.c: every way that a number can come to mean `path`. */
void numbers(const char *path);
void shared_numbers(const char *path);

/* preload_inline_known.c: what was known of `path` ceases to be so. */
void kept_numbers(const char *path);
void shared_flags(const char *path);
void sets_flags(int flags);
/* Sends it to who takes() at `socket`, or tells him to use his own. */
void sends(const char *path, int how);
void takes(const char *socket);

#endif
