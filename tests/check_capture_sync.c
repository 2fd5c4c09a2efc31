/* SPDX-License-Identifier: Apache-2.0 */
/* The journal made durable on request (rule 9.7), and looking at a range that
 * nobody writes to (rule 9.14). */
#include "aimdriver/control.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static struct rig rig;
static struct capture *writer, *sealer;
static struct rig_file file;
static uint8_t data[MIB];

static void
begin(void)
{
	rig_open(&rig, 1, 8 * MIB);
	rig_start(&rig);
	writer = rig_attach(&rig, CAPTURE_WRITER);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
	rig_file_open(&file, writer, &rig, 0);
	rig_fill(data, sizeof(data), 3);
}

static void
end(void)
{
	rig_compare(&rig, sealer);
	rig_file_close(&file);
	capture_detach(writer);
	capture_detach(sealer);
	rig_close(&rig);
}

static uint64_t
reserved(void)
{
	struct capture_status s;

	capture_status(sealer, &s);
	return s.reserved;
}

static void
sync_all(void)
{
	struct err e = {0};

	ck_assert_msg(capture_sync_journal(writer, &e) == 0, "%s", e.text);
	ck_assert_uint_ge(writer->synced, reserved());
}

START_TEST(a_journal_without_anything_is_durable)
{
	begin();
	sync_all();
	end();
}
END_TEST

START_TEST(everything_given_out_is_synced_over_segments)
{
	int i;

	begin();
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(
		    rig_write(&file, data, MIB, (uint64_t)i % 7 * MIB), MIB);
	ck_assert_int_eq(capture_flushed(writer, 0), 0);
	sync_all();
	ck_assert_int_eq(rig_change(&file, OP_ZERO, 5, 70000), 0);
	sync_all();
	end();
}
END_TEST

START_TEST(what_is_sealed_needs_no_sync)
{
	int i;

	begin();
	for (i = 0; i < 12; i++)
		ck_assert_int_eq(rig_write(&file, data, MIB, 0), MIB);
	(void)rig_drain(&rig, sealer);
	sync_all();
	ck_assert_int_eq(rig_write(&file, data, 100, 0), 100);
	sync_all();
	end();
}
END_TEST

static void
die(enum capture_step s)
{
	if (s == STEP_UNRESERVED)
		(void)kill(getpid(), SIGKILL);
}

START_TEST(a_killed_writer_does_not_hold_a_sync_up)
{
	struct rig_file own;
	struct capture *c;
	int status;
	pid_t pid;

	begin();
	ck_assert_int_eq(rig_write(&file, data, 5000, 0), 5000);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		c = rig_attach(&rig, CAPTURE_WRITER);
		rig_file_open(&own, c, &rig, 0);
		capture_test_step = die;
		(void)rig_write(&own, data, 5000, 100000);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_uint_eq(reserved(), 2);
	sync_all();
	end();
	ck_assert_uint_eq(rig.counts[OP_VOID], 1);
}
END_TEST

/* ---- a writer between reservation and publication ---- */

static pthread_t slow;
static _Atomic int stopped, released, synced;

static void
stop_here(enum capture_step s)
{
	if (s != STEP_UNRESERVED || !pthread_equal(pthread_self(), slow))
		return;
	atomic_store(&stopped, 1);
	while (atomic_load(&released) == 0)
		(void)sched_yield();
}

static void *
write_slowly(void *arg)
{
	(void)arg;
	slow = pthread_self();
	capture_test_step = stop_here;
	ck_assert_int_eq(rig_write(&file, data, 5000, 300000), 5000);
	return NULL;
}

static void *
sync_beside(void *arg)
{
	(void)arg;
	sync_all();
	atomic_store(&synced, 1);
	return NULL;
}

START_TEST(a_sync_waits_until_all_is_published)
{
	pthread_t writing, syncing;
	int i;

	begin();
	ck_assert_int_eq(pthread_create(&writing, NULL, write_slowly, NULL), 0);
	while (atomic_load(&stopped) == 0)
		(void)sched_yield();
	ck_assert_int_eq(pthread_create(&syncing, NULL, sync_beside, NULL), 0);
	for (i = 0; i < 2000; i++) {
		ck_assert_int_eq(atomic_load(&synced), 0);
		(void)sched_yield();
	}
	atomic_store(&released, 1);
	ck_assert_int_eq(pthread_join(writing, NULL), 0);
	ck_assert_int_eq(pthread_join(syncing, NULL), 0);
	capture_test_step = NULL;
	end();
}
END_TEST

/* ---- looking ---- */

static int
look_fails(void *ctx)
{
	return err_set(ctx, ERR_REFUSED, "not as it should be");
}

static int
look_at_locks(void *ctx)
{
	struct hold h = {.volume = 0};

	hold_range(writer, &h, 3 * MIB, 100);
	ck_assert(!hold_try(sealer, &h));
	hold_range(writer, &h, 5 * MIB, 100);
	ck_assert(hold_try(sealer, &h));
	hold_release(sealer, &h);
	*(bool *)ctx = true;
	return 0;
}

START_TEST(nobody_writes_to_a_range_that_is_looked_at)
{
	struct err e = {0};
	bool looked = false;

	begin();
	ck_assert_int_eq(
	    capture_look(writer, 0, 3 * MIB, 4096, look_at_locks, &looked, &e),
	    0);
	ck_assert(looked);
	ck_assert_int_eq(
	    capture_look(writer, 0, 0, 4096, look_fails, &e, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_int_eq(rig_write(&file, data, 4096, 0), 4096);
	ck_assert_int_eq(
	    capture_look(writer, 7, 0, 4096, look_fails, &e, &e), -1);
	end();
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("capture_sync");
	TCase *t = tcase_create("capture_sync");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_journal_without_anything_is_durable);
	tcase_add_test(t, everything_given_out_is_synced_over_segments);
	tcase_add_test(t, what_is_sealed_needs_no_sync);
	tcase_add_test(t, a_killed_writer_does_not_hold_a_sync_up);
	tcase_add_test(t, a_sync_waits_until_all_is_published);
	tcase_add_test(t, nobody_writes_to_a_range_that_is_looked_at);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	return unit_run(suite());
}
