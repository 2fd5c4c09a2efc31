/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing, copy-in, breaks and pruning with every call through the seam
 * failing, and with the process killed before every call; each time the
 * stream must be whole afterwards and replay to equal volumes.
 */
#include "tests/source_kit.h"

#include "aimdriver/control.h"
#include "coordinator/source.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (UINT64_C(200) << 10)
#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static struct source_kit k;

/* Who judges; not while programs write. */
static sys_judge *judge;
static void *judge_ctx;

static void
judge_begin(sys_judge *j, void *ctx)
{
	judge = j;
	judge_ctx = ctx;
	sys_set_judge(j, ctx);
}

static void
judge_end(void)
{
	judge_begin(NULL, NULL);
}

static void
setup(void)
{
	kit_open(&k, 2, SIZE, 1);
}

static void
teardown(void)
{
	judge_end();
	kit_close(&k);
}

static void
write_some(uint64_t seed)
{
	struct capture *c;
	uint8_t data[9000];
	uint32_t v;
	int i;

	sys_set_judge(NULL, NULL);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	for (v = 0; v < k.rig.volumes; v++) {
		struct rig_file f;

		rig_file_open(&f, c, &k.rig, v);
		for (i = 0; i < 8; i++) {
			uint64_t len = 1 + rig_random(&seed) % sizeof(data);
			uint64_t off = rig_random(&seed) % (SIZE - len);

			rig_fill(data, len, seed);
			ck_assert_int_eq(
			    rig_write(&f, data, len, off), (int64_t)len);
		}
		rig_file_close(&f);
	}
	capture_detach(c);
	sys_set_judge(judge, judge_ctx);
}

/* One working day: what was left, a base, writes, pruning, a clean close. */
static int
work(uint64_t seed, struct err *e)
{
	struct source *s = NULL;
	int did, n;

	if (source_open(&k.home, &k.group, k.destination, 1, &s, e) < 0)
		return -1;
	for (n = 0, did = 1; did == 1 && n < 50; n++)
		did = source_pass(s, e);
	write_some(seed);
	if (did >= 0 && source_seal_all(s, e) < 0)
		did = -1;
	s->prune_ns = 0;
	if (did >= 0)
		did = source_pass(s, e);
	if (did >= 0 && source_finish(s, e) < 0)
		did = -1;
	source_close(s);
	return did;
}

/* What must hold after whatever happened. */
static void
check_whole(uint64_t seed)
{
	struct source *s = kit_source(&k);
	struct err e = {0};
	struct ack a;

	kit_pass(s);
	write_some(seed);
	OK(source_seal_all(s, &e));
	ck_assert(kit_follow(&k, s->sealed.dir));
	ck_assert_uint_eq(k.end.last, s->tip.at.last);
	ck_assert_uint_ge(k.ends, 1);
	ck_assert_uint_eq(kit_count(s->sealed.dir), s->files);
	source_close(s);
	/* So that the next one prunes. */
	kit_fill_ack(&k, 0, &a);
	a.stored = a.applied = a.durable = k.end;
	kit_save_ack(&k, 0, &a);
}

/* ---- killed ---- */

struct killer {
	int at, seen;
};

static int
kill_judge(void *ctx, enum sys_op op, const char *name)
{
	struct killer *d = ctx;

	(void)op;
	(void)name;
	if (d->seen++ == d->at)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

/* Runs `work` in a child that dies before call number n; true if it did. */
static bool
work_and_die(int n, uint64_t seed)
{
	struct killer d = {.at = n};
	struct err e = {0};
	pid_t pid;
	int status;

	(void)fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int done;

		judge_begin(kill_judge, &d);
		done = work(seed, &e);
		judge_end();
		if (done < 0)
			(void)fprintf(stderr, "%s\n", e.text);
		_exit(done < 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		ck_assert_int_eq(WTERMSIG(status), SIGKILL);
		return true;
	}
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return false;
}

START_TEST(killed_before_any_call_the_stream_is_whole)
{
	bool died = true;
	int n;

	for (n = 0; died && n < 2000; n++) {
		kit_base(&k);
		died = work_and_die(n, (uint64_t)n);
		check_whole((uint64_t)n + 100000);
	}
	ck_assert(!died);
	ck_assert_int_gt(n, 60);
	ck_assert_uint_eq(k.breaks, 0);
}
END_TEST

/* Programs write, and the machine stops without more ado. */
static void
crash_machine(uint8_t boot[16], uint64_t seed)
{
	struct source *s;

	write_some(seed);
	s = kit_source(&k);
	source_close(s);
	boot[0]++;
	boot[1] = (uint8_t)(boot[1] + (boot[0] == 0));
	capture_test_boot(boot);
}

START_TEST(killed_before_any_call_of_a_recovery_the_stream_is_whole)
{
	uint8_t boot[16] = {7};
	bool died = true;
	uint64_t before;
	int n;

	capture_test_boot(boot);
	kit_base(&k);
	check_whole(1);
	for (n = 0; died && n < 2000; n++) {
		before = k.breaks;
		crash_machine(boot, (uint64_t)n);
		died = work_and_die(n, (uint64_t)n);
		check_whole((uint64_t)n + 100000);
		/* A second may follow a kill: it too says so. */
		ck_assert_uint_ge(k.breaks, before + 1);
		ck_assert_uint_le(k.breaks, before + 2);
	}
	ck_assert(!died);
	ck_assert_int_gt(n, 60);
	capture_test_boot(NULL);
}
END_TEST

/* ---- failing ---- */

START_TEST(a_call_that_fails_costs_nothing_that_was_captured)
{
	static const int troubles[] = {EIO, ENOSPC, SYS_SHORT};
	struct ladder l = {
	    .op = -1, .trouble = troubles[_i % 3], .stays = _i >= 3};
	struct err e = {0};

	do {
		kit_base(&k);
		l.seen = 0;
		l.struck = false;
		judge_begin(ladder_judge, &l);
		(void)!work((uint64_t)l.rung, &e);
		judge_end();
		check_whole((uint64_t)l.rung + 5000);
		/* Every call once, then in strides, to save time. */
		l.rung += l.stays ? 7 : 3;
	} while (l.struck && l.rung < 3000);
	ck_assert_int_gt(l.rung, 60);
	ck_assert_int_lt(l.rung, 3000);
}
END_TEST

START_TEST(a_full_disk_is_said_and_waited_for)
{
	struct ladder l = {.op = SYS_PWRITE, .trouble = ENOSPC, .stays = true};
	struct source *s;
	struct err e = {0};
	int n;

	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	write_some(1);
	ladder_set(&l);
	for (n = 0; n < 3; n++) {
		ck_assert_int_eq(source_seal_all(s, &e), -1);
		ck_assert_int_eq(e.kind, ERR_FULL);
	}
	ladder_unset();
	OK(source_seal_all(s, &e));
	ck_assert(kit_follow(&k, s->sealed.dir));
	source_close(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("seal");
	TCase *t = tcase_create("killed"), *f = tcase_create("failing");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, killed_before_any_call_the_stream_is_whole);
	tcase_add_test(
	    t, killed_before_any_call_of_a_recovery_the_stream_is_whole);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(f, setup, teardown);
	tcase_set_timeout(f, 120);
	tcase_add_loop_test(
	    f, a_call_that_fails_costs_nothing_that_was_captured, 0, 6);
	tcase_add_test(f, a_full_disk_is_said_and_waited_for);
	suite_add_tcase(s, f);
	return unit_run(s);
}
