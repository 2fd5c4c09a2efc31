/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_calls: what one write costs, made in three ways: by the function's
 * name, by libc's own function past the name, and by a system call instruction
 * past libc. `bench_calls LEN PATH...` writes LEN bytes at the start of each
 * and prints a line of JSON for each way: nanoseconds of the thread, the least
 * of sixty rounds. tests/bench/bench_calls.sh runs it plainly, captured, and
 * with the tripwire.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 20, CALLS = 2000, ROUNDS = 60 };

typedef ssize_t writer(int fd, const void *from, size_t len, off_t off);

static writer *libcs_own;
static size_t len;

static ssize_t
by_instruction(int fd, const void *from, size_t n, off_t off)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	register off_t r10 __asm__("r10") = off;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"((long)SYS_pwrite64), "D"((long)fd), "S"(from),
			 "d"(n), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
#else
	return pwrite(fd, from, n, off);
#endif
}

static uint64_t
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double
measure(writer *put, int fd)
{
	static char data[MOST];
	double least = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = now();
		double ns;

		for (int i = 0; i < CALLS; i++)
			if (put(fd, data, len, 0) != (ssize_t)len) {
				perror("pwrite");
				exit(1);
			}
		ns = (double)(now() - start) / CALLS;
		if (round == 0 || ns < least)
			least = ns;
	}
	return least;
}

int
main(int argc, char **argv)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY);

	if (libc != NULL)
		*(void **)(void *)&libcs_own = dlsym(libc, "pwrite64");
	len = argc < 2 ? 0 : (size_t)atol(argv[1]);
	if (libcs_own == NULL || len == 0 || len > MOST) {
		fprintf(stderr, "usage: bench_calls LEN PATH...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		int fd = open(argv[i], O_RDWR);

		if (fd < 0) {
			perror(argv[i]);
			return 1;
		}
		printf("{\"path\": \"%s\", \"name\": %.0f, \"libc\": %.0f, "
		       "\"instruction\": %.0f}\n",
		    argv[i], measure(pwrite, fd), measure(libcs_own, fd),
		    measure(by_instruction, fd));
		(void)close(fd);
	}
	return 0;
}
