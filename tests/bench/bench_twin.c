/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_twin: what any program costs its neighbours that makes the same bytes
 * durable a second time on the same disk: files of 4 MiB, each written, synced,
 * renamed and its folder synced, at a given rate; the last few stay. It knows
 * nothing of AIM. A writer beside it is what a writer that is journaled on its
 * own disk can be held against.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define FILE_LEN (UINT64_C(4) << 20)
#define KEPT 3
#define NS UINT64_C(1000000000)

static uint64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static void
sleep_until(uint64_t due_ns)
{
	struct timespec t = {(time_t)(due_ns / NS), (long)(due_ns % NS)};

	while (
	    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static int
write_all(int fd, const uint8_t *from, uint64_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		from += n;
		len -= (uint64_t)n;
	}
	return 0;
}

static void
name_of(uint64_t i, char out[32])
{
	(void)snprintf(out, 32, "twin.%" PRIu64, i);
}

static int
make_file(int dir, uint64_t i, const uint8_t *data)
{
	char name[32], old[32];
	int fd = openat(dir, ".twin", O_WRONLY | O_CREAT | O_TRUNC, 0600), r;

	if (fd < 0)
		return -1;
	name_of(i, name);
	r = write_all(fd, data, FILE_LEN) < 0 || fsync(fd) < 0 ||
		    renameat(dir, ".twin", dir, name) < 0 || fsync(dir) < 0
		? -1
		: 0;
	if (close(fd) < 0 || r < 0)
		return -1;
	if (i < KEPT)
		return 0;
	name_of(i - KEPT, old);
	return unlinkat(dir, old, 0);
}

int
main(int argc, char **argv)
{
	uint64_t rate = argc == 3 ? strtoull(argv[2], NULL, 10) : 0, i, due;
	uint8_t *data = malloc(FILE_LEN);
	int dir = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;

	if (rate == 0 || dir < 0 || data == NULL) {
		(void)fprintf(stderr,
		    "usage: bench_twin FOLDER BYTES-PER-SECOND\n"
		    "Writes until it is stopped.\n");
		return 2;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	srandom(7);
	for (i = 0; i < FILE_LEN; i++)
		data[i] = (uint8_t)random();
	due = now_ns();
	(void)puts("ready");
	(void)fflush(stdout);
	for (i = 0;; i++) {
		memcpy(data, &i, sizeof(i));
		if (make_file(dir, i, data) < 0) {
			(void)fprintf(stderr, "bench_twin: %s: %s\n", argv[1],
			    strerror(errno));
			return 1;
		}
		due += FILE_LEN * NS / rate;
		if (due < now_ns())
			due = now_ns(); /* the disk cannot follow */
		sleep_until(due);
	}
}
