/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers that die at every step and at any moment, and writers that overlap:
 * the stream, replayed in order, is always exactly the volume.
 */
#include "aimdriver/control.h"
#include "common/clock.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

static struct rig rig;
static struct capture *sealer;

static void
begin(uint32_t volumes, uint64_t size)
{
	rig_open(&rig, volumes, size);
	rig_start(&rig);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
}

static void
end(void)
{
	rig_compare(&rig, sealer);
	capture_detach(sealer);
	rig_close(&rig);
}

/* ---- at each step ---- */

static enum capture_step die_at;
static unsigned die_after;

static void
die(enum capture_step s)
{
	if (s == die_at && die_after-- == 0)
		(void)kill(getpid(), SIGKILL);
}

struct deed {
	const char *name;
	void (*run)(struct rig_file *f);
};

static uint8_t data[2 * MIB];

static void
do_write(struct rig_file *f)
{
	(void)rig_write(f, data, 5000, 1234);
}

static void
do_grow(struct rig_file *f)
{
	(void)rig_write(f, data + 7, 70000, 200000);
}

static void
do_append(struct rig_file *f)
{
	(void)rig_append(f, data + 99, 3000);
}

static void
do_shrink(struct rig_file *f)
{
	(void)rig_change(f, OP_RESIZE, 100000, 0);
}

static void
do_zero(struct rig_file *f)
{
	(void)rig_change(f, OP_ZERO, 100, 150000);
}

static void
do_discard(struct rig_file *f)
{
	(void)rig_change(f, OP_DISCARD, 8192, 65536);
}

static void
do_flush(struct rig_file *f)
{
	(void)capture_flushed(f->c, 0);
}

static void
do_fail(struct rig_file *f)
{
	f->cut = 1000;
	(void)rig_write(f, data, 5000, 50000);
	f->fail = -EIO;
	(void)rig_change(f, OP_ZERO, 100, 150000);
}

static void
do_expand(struct rig_file *f)
{
	struct control_note note = {.value = 400000};
	uint64_t number;

	(void)!capture_expand(f->c, 0, note.value, &note, &number, NULL);
}

static const struct deed deeds[] = {{"write", do_write}, {"grow", do_grow},
    {"append", do_append}, {"shrink", do_shrink}, {"zero", do_zero},
    {"discard", do_discard}, {"flush", do_flush}, {"fail", do_fail},
    {"expand", do_expand}};
#define DEEDS ((int)(sizeof(deeds) / sizeof(deeds[0])))

/* A child that does `deed` and dies; true when it did die. */
static bool
child_dies(const struct deed *deed, enum capture_step at, unsigned after)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct capture *c = rig_attach(&rig, CAPTURE_WRITER);
		struct rig_file f;

		rig_file_open(&f, c, &rig, 0);
		die_at = at;
		die_after = after;
		capture_test_step = die;
		deed->run(&f);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status);
}

/* Every step once more than it is taken; then a living writer goes on. */
static void
die_everywhere(const struct deed *deed, bool writer_settles)
{
	int at, deaths = 0;

	for (at = 1; at < STEP_COUNT; at++) {
		unsigned after = 0;

		while (after < 4 &&
		       child_dies(deed, (enum capture_step)at, after)) {
			deaths++;
			after++;
			if (writer_settles) {
				ck_assert(!child_dies(&deeds[0], 0, 0));
				ck_assert(!child_dies(&deeds[1], 0, 0));
			}
			rig_compare(&rig, sealer);
		}
		/* Give the next round something to change. */
		ck_assert(!child_dies(&deeds[1], 0, 0));
	}
	ck_assert_int_ge(deaths, 4);
}

START_TEST(a_writer_dies_and_the_sealer_settles)
{
	rig_fill(data, sizeof(data), 11);
	begin(1, 150000);
	die_everywhere(&deeds[_i], false);
	end();
}
END_TEST

START_TEST(a_writer_dies_and_another_settles)
{
	rig_fill(data, sizeof(data), 12);
	begin(1, 150000);
	die_everywhere(&deeds[_i], true);
	end();
}
END_TEST

/* The one that settles dies too, at each of its steps. */
START_TEST(a_settler_dies)
{
	int at, after;

	rig_fill(data, sizeof(data), 13);
	begin(1, 150000);
	for (at = STEP_FOUND; at < STEP_COUNT; at++)
		for (after = 0; after < 3; after++) {
			ck_assert(child_dies(&deeds[_i], STEP_ISSUED, 0));
			(void)child_dies(
			    &deeds[0], (enum capture_step)at, (unsigned)after);
			(void)child_dies(
			    &deeds[1], (enum capture_step)at, (unsigned)after);
			ck_assert(!child_dies(&deeds[1], 0, 0));
			rig_compare(&rig, sealer);
		}
	end();
}
END_TEST

/* ---- at any moment, and overlapping ---- */

static void
one_of_many(struct rig_file *f, uint64_t *rnd, uint64_t size)
{
	uint64_t len = 1 + rig_random(rnd) % (20 * KIB);
	uint64_t off = rig_random(rnd) % size;
	const uint8_t *from = data + rig_random(rnd) % MIB;

	switch (rig_random(rnd) % 16) {
	case 0:
		(void)rig_append(f, from, len % 3000 + 1);
		break;
	case 1:
		(void)rig_change(f, OP_RESIZE, size / 2 + off, 0);
		break;
	case 2:
		(void)rig_change(f, OP_ZERO, off, len);
		break;
	case 3:
		(void)rig_change(f, OP_DISCARD, off, len);
		break;
	case 4:
		(void)rig_plain_write(f, from, len);
		break;
	case 5:
		(void)lseek(f->fd, (off_t)off, SEEK_SET);
		break;
	case 6:
		(void)capture_flushed(f->c, 0);
		break;
	case 7:
		(void)rig_write(f, from, MIB / 2, off);
		break;
	default:
		(void)rig_write(f, from, len, off);
		break;
	}
}

struct work {
	struct capture *c;
	uint64_t seed, size;
	uint64_t until_ns;
};

static void *
work(void *ctx)
{
	struct work *w = ctx;
	struct rig_file f;
	uint64_t rnd = w->seed;

	rig_file_open(&f, w->c, &rig, 0);
	while (clock_mono_ns() < w->until_ns)
		one_of_many(&f, &rnd, w->size);
	rig_file_close(&f);
	return NULL;
}

/* A process with threads that write until `until_ns`. */
static pid_t
spawn(unsigned threads, uint64_t seed, uint64_t size, uint64_t until_ns)
{
	pid_t pid = fork();
	struct capture *c;
	pthread_t t[8];
	struct work w[8];
	unsigned i;

	ck_assert_int_ge(pid, 0);
	if (pid != 0)
		return pid;
	c = rig_attach(&rig, CAPTURE_WRITER);
	for (i = 0; i < threads; i++) {
		w[i] = (struct work){.c = c,
		    .seed = seed * 16 + i,
		    .size = size,
		    .until_ns = until_ns};
		if (pthread_create(&t[i], NULL, work, &w[i]) != 0)
			_exit(3);
	}
	for (i = 0; i < threads; i++)
		(void)pthread_join(t[i], NULL);
	capture_detach(c);
	_exit(0);
}

static void
wait_for(pid_t pid, bool killed)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (killed && WIFSIGNALED(status))
		return;
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

START_TEST(writers_overlap)
{
	uint64_t until = clock_mono_ns() + UINT64_C(3000000000);
	pid_t pid[4];
	unsigned i;

	rig_fill(data, sizeof(data), 14);
	begin(1, 300 * KIB);
	for (i = 0; i < 4; i++)
		pid[i] = spawn(2, i + 1, 300 * KIB, until);
	while (clock_mono_ns() < until) {
		(void)rig_drain(&rig, sealer);
		clock_sleep_ms(5);
	}
	for (i = 0; i < 4; i++)
		wait_for(pid[i], false);
	end();
}
END_TEST

START_TEST(writers_and_sealer_share_a_process)
{
	uint64_t until = clock_mono_ns() + UINT64_C(2000000000);
	struct capture *c;
	pthread_t t[4];
	struct work w[4];
	unsigned i;

	rig_fill(data, sizeof(data), 17);
	begin(1, 300 * KIB);
	c = rig_attach(&rig, CAPTURE_WRITER);
	for (i = 0; i < 4; i++) {
		w[i] = (struct work){
		    .c = c, .seed = i, .size = 300 * KIB, .until_ns = until};
		ck_assert_int_eq(pthread_create(&t[i], NULL, work, &w[i]), 0);
	}
	while (clock_mono_ns() < until)
		(void)rig_drain(&rig, sealer);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(t[i], NULL), 0);
	capture_detach(c);
	end();
}
END_TEST

START_TEST(writers_are_killed_at_any_moment)
{
	uint64_t rnd = 99, until = clock_mono_ns() + UINT64_C(5000000000);
	unsigned round = 0;

	rig_fill(data, sizeof(data), 15);
	begin(1, 300 * KIB);
	while (clock_mono_ns() < until) {
		pid_t pid[3];
		unsigned i;

		for (i = 0; i < 3; i++)
			pid[i] = spawn(2, round * 4 + i, 300 * KIB,
			    clock_mono_ns() + 40000000);
		clock_sleep_ms(3 + rig_random(&rnd) % 25);
		ck_assert_int_eq(kill(pid[0], SIGKILL), 0);
		clock_sleep_ms(rig_random(&rnd) % 5);
		ck_assert_int_eq(kill(pid[1], SIGKILL), 0);
		(void)rig_drain(&rig, sealer);
		for (i = 0; i < 3; i++)
			wait_for(pid[i], i < 2);
		rig_compare(&rig, sealer);
		round++;
	}
	ck_assert_uint_ge(round, 10);
	end();
}
END_TEST

/* A copy-in of the whole volume under live writes gives its content to a copy
 * that began as nothing. */
START_TEST(a_copyin_under_live_writes_is_exact)
{
	uint64_t until = clock_mono_ns() + UINT64_C(2000000000);
	uint8_t note[COPYIN_NOTE_LEN] = "x";
	uint64_t off = 0, done = 0, n;
	struct err e = {0};
	pid_t pid[2];

	rig_fill(data, sizeof(data), 16);
	begin(1, 400 * KIB);
	/* A file system, but for what the copy-in brings. */
	ck_assert_int_eq(truncate(rig.copy[0], 0), 0);
	ck_assert_int_eq(truncate(rig.copy[0], 400 * KIB), 0);
	pid[0] = spawn(2, 1, 400 * KIB, until);
	pid[1] = spawn(2, 2, 400 * KIB, until);
	while (clock_mono_ns() < until) {
		ck_assert_int_eq(capture_control(sealer, OP_COPYIN_BEGIN, note,
				     sizeof(note), &n, &e),
		    0);
		for (off = 0, done = 1; done > 0; off += done) {
			ck_assert_msg(capture_copyin(sealer, 0, off, UINT64_MAX,
					  &done, &e) == 0,
			    "%s", e.text);
			(void)rig_drain(&rig, sealer);
		}
		ck_assert_int_eq(capture_control(sealer, OP_COPYIN_END, note,
				     sizeof(note), &n, &e),
		    0);
	}
	wait_for(pid[0], false);
	wait_for(pid[1], false);
	end();
	ck_assert_uint_gt(rig.counts[OP_COPYIN], 0);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("capture_kill");
	TCase *t = tcase_create("capture_kill");

	tcase_set_timeout(t, 100);
	tcase_add_loop_test(t, a_writer_dies_and_the_sealer_settles, 0, DEEDS);
	tcase_add_loop_test(t, a_writer_dies_and_another_settles, 0, DEEDS);
	tcase_add_loop_test(t, a_settler_dies, 0, 6);
	tcase_add_test(t, writers_overlap);
	tcase_add_test(t, writers_and_sealer_share_a_process);
	tcase_add_test(t, writers_are_killed_at_any_moment);
	tcase_add_test(t, a_copyin_under_live_writes_is_exact);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	return unit_run(suite());
}
