/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_writer: writes to one file in a given pattern and tells how long it
 * took, as one line of JSON. The same binary runs with and without capture, so
 * that the difference is what capture costs.
 *
 * Every thread has its own descriptor, its own sequence of offsets and its own
 * buffer of incompressible bytes, of which a few change with each write. The
 * clock starts when all threads are ready and the first --warm bytes have been
 * written; it stops when the last thread has made its last write. What is
 * still dirty then is synced outside the measured time. ns_per_write is what a
 * thread sees, without what it slept to keep the rate.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 16
#define NS UINT64_C(1000000000)

struct plan {
	const char *path;
	uint64_t block, total, warm, rate; /* bytes, of all threads */
	uint64_t span;			   /* bytes of the file that are used */
	uint32_t seconds, threads;
	bool sequential, sync, direct;
};

struct worker {
	const struct plan *plan;
	pthread_t thread;
	int fd;
	uint32_t index;
	uint8_t *buffer;
	uint64_t random;
	uint64_t writes, start_ns, end_ns, slept_ns;
	int failed; /* errno */
};

static pthread_barrier_t ready;
static atomic_bool over;

static uint64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* Of all threads, in user and system mode. */
static uint64_t
cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* xorshift64*: fast, and the same in every run. */
static uint64_t
draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static uint64_t
offset_of(struct worker *w, uint64_t i)
{
	uint64_t blocks = w->plan->span / w->plan->block;
	uint64_t n = w->plan->threads;

	if (w->plan->sequential)
		return (i * n + w->index) % blocks * w->plan->block;
	return draw(&w->random) % blocks * w->plan->block;
}

static int
write_one(struct worker *w, uint64_t i)
{
	uint64_t block = w->plan->block, off = offset_of(w, i), done = 0;

	memcpy(w->buffer, &i, sizeof(i));
	while (done < block) {
		ssize_t n = pwrite(
		    w->fd, w->buffer + done, block - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		done += (uint64_t)n;
	}
	return w->plan->sync && fdatasync(w->fd) != 0 ? errno : 0;
}

/* Sleeps until write number `i` is due at the planned rate. */
static void
pace(struct worker *w, uint64_t i)
{
	uint64_t share = w->plan->rate / w->plan->threads;
	double due = (double)(i * w->plan->block) / (double)share;
	uint64_t due_ns = w->start_ns + (uint64_t)(due * (double)NS);
	uint64_t now = now_ns();
	struct timespec t;

	if (due_ns < now + 2000000)
		return;
	t.tv_sec = (time_t)((due_ns - now) / NS);
	t.tv_nsec = (long)((due_ns - now) % NS);
	(void)nanosleep(&t, NULL);
	w->slept_ns += now_ns() - now;
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	uint64_t want = w->plan->total / w->plan->block / w->plan->threads;
	uint64_t i = 0, warm = w->plan->warm / w->plan->block;

	warm /= w->plan->threads;
	for (; i < warm && w->failed == 0; i++)
		w->failed = write_one(w, i);
	(void)pthread_barrier_wait(&ready);
	w->start_ns = now_ns();
	for (; w->failed == 0 && w->writes < want; i++) {
		if (atomic_load_explicit(&over, memory_order_relaxed))
			break;
		if (w->plan->rate != 0)
			pace(w, w->writes);
		w->failed = write_one(w, i);
		w->writes += w->failed == 0;
	}
	w->end_ns = now_ns();
	return NULL;
}

static int
prepare(struct worker *w, const struct plan *p, uint32_t index)
{
	int flags = O_RDWR | O_CLOEXEC | (p->direct ? O_DIRECT : 0);
	void *room = NULL;
	uint64_t i;

	*w = (struct worker){.plan = p, .index = index, .fd = -1};
	w->random = UINT64_C(0x9e3779b97f4a7c15) * (index + 1);
	w->fd = open(p->path, flags);
	if (w->fd < 0 || posix_memalign(&room, 4096, p->block) != 0) {
		(void)fprintf(stderr, "bench_writer: %s: %s\n", p->path,
		    strerror(w->fd < 0 ? errno : ENOMEM));
		return -1;
	}
	w->buffer = room;
	for (i = 0; i + sizeof(uint64_t) <= p->block; i += sizeof(uint64_t)) {
		uint64_t word = draw(&w->random);

		memcpy(w->buffer + i, &word, sizeof(word));
	}
	return 0;
}

static int
run(const struct plan *p, struct worker *workers, uint64_t *cpu)
{
	uint32_t i;

	if (pthread_barrier_init(&ready, NULL, p->threads + 1) != 0)
		return -1;
	for (i = 0; i < p->threads; i++) {
		struct worker *w = &workers[i];

		if (prepare(w, p, i) != 0)
			return -1;
	}
	if (fsync(workers[0].fd) != 0)
		return -1;
	for (i = 0; i < p->threads; i++) {
		struct worker *w = &workers[i];

		if (pthread_create(&w->thread, NULL, work, w) != 0)
			return -1;
	}
	(void)pthread_barrier_wait(&ready);
	*cpu = cpu_ns();
	if (p->seconds != 0) {
		struct timespec t = {.tv_sec = p->seconds};

		while (nanosleep(&t, &t) != 0 && errno == EINTR)
			continue;
		atomic_store(&over, true);
	}
	for (i = 0; i < p->threads; i++)
		(void)pthread_join(workers[i].thread, NULL);
	*cpu = cpu_ns() - *cpu;
	return fsync(workers[0].fd);
}

static int
report(const struct plan *p, const struct worker *workers, uint64_t cpu)
{
	uint64_t start = UINT64_MAX, end = 0, writes = 0, busy = 0, elapsed, i;

	for (i = 0; i < p->threads; i++) {
		const struct worker *w = &workers[i];

		if (w->failed != 0) {
			(void)fprintf(stderr, "bench_writer: write to %s: %s\n",
			    p->path, strerror(w->failed));
			return 1;
		}
		writes += w->writes;
		busy += w->end_ns - w->start_ns - w->slept_ns;
		start = w->start_ns < start ? w->start_ns : start;
		end = w->end_ns > end ? w->end_ns : end;
	}
	elapsed = end - start;
	if (writes == 0 || elapsed == 0) {
		(void)fprintf(stderr, "bench_writer: nothing was written\n");
		return 1;
	}
	(void)printf("{\"writes\":%" PRIu64 ",\"bytes\":%" PRIu64
		     ",\"elapsed_ns\":%" PRIu64 ",\"ns_per_write\":%.1f"
		     ",\"cpu_ns_per_write\":%.1f}\n",
	    writes, writes * p->block, elapsed, (double)busy / (double)writes,
	    (double)cpu / (double)writes);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int
usage(void)
{
	(void)fprintf(stderr,
	    "usage: bench_writer [--block BYTES] [--total BYTES] [--seconds "
	    "N]\n"
	    "    [--warm BYTES] [--rate BYTES/S] [--threads N] [--sequential]\n"
	    "    [--sync] [--direct] FILE\n");
	return 2;
}

/* False for a name that is not known or a number that is none. */
static bool
set_option(struct plan *p, int name, const char *value)
{
	char *end = NULL;
	uint64_t n = value == NULL ? 0 : strtoull(value, &end, 10);

	if (value != NULL && (*value == '\0' || *end != '\0'))
		return false;
	switch (name) {
	case 'b':
		p->block = n;
		return n >= 8 && n <= 1u << 26;
	case 't':
		p->total = n;
		return true;
	case 's':
		p->seconds = (uint32_t)n;
		return n <= 86400;
	case 'w':
		p->warm = n;
		return true;
	case 'r':
		p->rate = n;
		return true;
	case 'j':
		p->threads = (uint32_t)n;
		return n >= 1 && n <= THREADS_MAX;
	case 'q':
		p->sequential = true;
		return true;
	case 'f':
		p->sync = true;
		return true;
	case 'd':
		p->direct = true;
		return true;
	default:
		return false;
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"block", required_argument, NULL, 'b'},
	    {"total", required_argument, NULL, 't'},
	    {"seconds", required_argument, NULL, 's'},
	    {"warm", required_argument, NULL, 'w'},
	    {"rate", required_argument, NULL, 'r'},
	    {"threads", required_argument, NULL, 'j'},
	    {"sequential", no_argument, NULL, 'q'},
	    {"sync", no_argument, NULL, 'f'},
	    {"direct", no_argument, NULL, 'd'},
	    {NULL, 0, NULL, 0},
	};
	static struct worker workers[THREADS_MAX];
	struct plan p = {.block = 4096, .total = UINT64_MAX, .threads = 1};
	struct stat st;
	uint64_t cpu = 0;
	int name;

	while ((name = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!set_option(&p, name, optarg))
			return usage();
	if (optind + 1 != argc || (p.total == UINT64_MAX && p.seconds == 0))
		return usage();
	p.path = argv[optind];
	if (stat(p.path, &st) != 0 || (uint64_t)st.st_size < p.block) {
		(void)fprintf(
		    stderr, "bench_writer: %s: no file of a block\n", p.path);
		return 1;
	}
	p.span = (uint64_t)st.st_size;
	if (run(&p, workers, &cpu) != 0) {
		(void)fprintf(
		    stderr, "bench_writer: cannot run: %s\n", strerror(errno));
		return 1;
	}
	return report(&p, workers, cpu);
}
