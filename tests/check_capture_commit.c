/* SPDX-License-Identifier: Apache-2.0 */
/* What a flush waits for (capture_commit), in the capture core. */
#include "aimdriver/control.h"
#include "common/clock.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define LONG_MS 60000u

static struct rig rig;
static struct capture *writer, *sealer;
static struct rig_file file;
static uint8_t data[4096];

static void
begin_with(enum capture_commit_kind kind, bool hold, uint32_t timeout_ms)
{
	struct err e = {0};

	rig_open(&rig, 1, 1 << 20);
	rig_start(&rig);
	writer = rig_attach(&rig, CAPTURE_WRITER);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
	rig_file_open(&file, writer, &rig, 0);
	rig_fill(data, sizeof(data), 3);
	ck_assert_msg(
	    capture_set_commit(sealer, kind, hold, timeout_ms, &e) == 0, "%s",
	    e.text);
	ck_assert_int_eq(rig_write(&file, data, sizeof(data), 0), 4096);
}

static void
end(void)
{
	rig_file_close(&file);
	capture_detach(writer);
	capture_detach(sealer);
	rig_close(&rig);
}

static struct capture_status
status(void)
{
	struct capture_status s;

	capture_status(sealer, &s);
	return s;
}

static void
commit_now(void)
{
	struct err e = {0};

	ck_assert_msg(
	    capture_commit(writer, NULL, NULL, &e) == 0, "%s", e.text);
}

static bool
always(void *ctx)
{
	(void)ctx;
	return true;
}

/* A flush that is not let go: it gives up. */
static void
assert_waits(void)
{
	struct err e = {0};

	ck_assert_int_eq(capture_commit(writer, always, NULL, &e), -1);
	ck_assert_int_eq(e.sys, EINTR);
}

START_TEST(a_local_flush_waits_for_nothing)
{
	begin_with(COMMIT_LOCAL, false, LONG_MS);
	commit_now();
	ck_assert_uint_eq(status().commit_wanted, 0);
	end();
}
END_TEST

START_TEST(a_journal_flush_makes_the_journal_durable)
{
	begin_with(COMMIT_JOURNAL, false, LONG_MS);
	commit_now();
	ck_assert_uint_ge(writer->synced, status().reserved);
	end();
}
END_TEST

static _Atomic int flushed;

static void *
flush(void *ctx)
{
	(void)ctx;
	commit_now();
	atomic_store(&flushed, 1);
	return NULL;
}

START_TEST(a_flush_waits_until_all_before_it_is_committed)
{
	struct capture_status s;
	pthread_t t;

	begin_with(COMMIT_MIRRORS, false, LONG_MS);
	atomic_store(&flushed, 0);
	ck_assert_int_eq(rig_write(&file, data, 100, 9000), 100);
	ck_assert_int_eq(pthread_create(&t, NULL, flush, NULL), 0);
	/* It is counted first, then it asks. */
	while (
	    (s = status()).commit_waiting == 0 || s.sealed_request < s.reserved)
		(void)sched_yield();
	ck_assert_uint_eq(s.commit_wanted, s.reserved);
	ck_assert(capture_commit_awaited(sealer));
	capture_committed(sealer, s.reserved - 1);
	assert_waits();
	ck_assert_int_eq(atomic_load(&flushed), 0);
	capture_committed(sealer, s.reserved);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	s = status();
	ck_assert_uint_eq(s.commit_waiting, 0);
	ck_assert_uint_eq(s.commit_late_ns, 0);
	ck_assert(!capture_commit_awaited(sealer));
	end();
}
END_TEST

START_TEST(a_flush_that_is_too_late_goes_on_and_says_so)
{
	begin_with(COMMIT_MIRRORS, false, 1);
	commit_now();
	ck_assert_uint_ne(status().commit_late_ns, 0);
	/* The next ones do not wait at all, however long they might. */
	atomic_store(&sealer->ctl->commit_timeout_ms, LONG_MS);
	commit_now();
	ck_assert_uint_eq(status().commit_waiting, 0);
	/* Until the mirrors have caught up. */
	capture_commit_in_time(sealer);
	assert_waits();
	capture_committed(sealer, status().reserved);
	commit_now();
	end();
}
END_TEST

START_TEST(a_flush_that_is_to_hold_waits_on_and_says_so)
{
	struct capture_commit w = {0};
	int i;

	begin_with(COMMIT_MIRRORS, true, 1);
	for (i = 0; status().commit_late_ns == 0; i++) {
		ck_assert_int_lt(i, 10000000);
		ck_assert_uint_gt(capture_commit_step(writer, &w), 0);
	}
	ck_assert_uint_gt(capture_commit_step(writer, &w), 0);
	ck_assert_uint_eq(status().commit_waiting, 1);
	capture_committed(sealer, status().reserved);
	ck_assert_uint_eq(capture_commit_step(writer, &w), 0);
	ck_assert_uint_eq(status().commit_waiting, 0);
	end();
}
END_TEST

START_TEST(before_the_first_base_nothing_is_waited_for)
{
	struct err e = {0};

	begin_with(COMMIT_MIRRORS, true, LONG_MS);
	ck_assert_int_eq(capture_set_mode(sealer, CAPTURE_OFF, &e), 0);
	commit_now();
	end();
}
END_TEST

/* What passed has no number: only what comes after it may be waited for. */
START_TEST(while_writes_pass_nothing_is_committed)
{
	struct capture_commit w = {0};
	struct err e = {0};

	begin_with(COMMIT_MIRRORS, true, LONG_MS);
	capture_committed(sealer, status().reserved + 100);
	ck_assert_int_eq(capture_set_mode(sealer, CAPTURE_PASSTHROUGH, &e), 0);
	ck_assert_int_eq(rig_write(&file, data, 100, 0), 100);
	ck_assert_uint_gt(capture_commit_step(writer, &w), 0);
	ck_assert(!w.taken);
	capture_committed(sealer, 0);
	ck_assert_int_eq(capture_set_mode(sealer, CAPTURE_ON, &e), 0);
	ck_assert_uint_gt(capture_commit_step(writer, &w), 0);
	ck_assert_uint_eq(w.number, status().reserved);
	capture_committed(sealer, status().reserved);
	ck_assert_uint_eq(capture_commit_step(writer, &w), 0);
	end();
}
END_TEST

START_TEST(numbers_given_out_anew_are_taken_anew)
{
	struct capture_commit w = {0};
	struct err e = {0};

	begin_with(COMMIT_MIRRORS, true, LONG_MS);
	ck_assert_int_eq(rig_write(&file, data, 100, 0), 100);
	ck_assert_uint_gt(capture_commit_step(writer, &w), 0);
	ck_assert_uint_eq(w.number, 2);
	ck_assert_int_eq(capture_recover(sealer, 2, &e), 0);
	ck_assert_uint_eq(status().committed, 0);
	ck_assert_uint_gt(capture_commit_step(writer, &w), 0);
	ck_assert(!w.taken);
	ck_assert_int_eq(capture_set_mode(sealer, CAPTURE_ON, &e), 0);
	ck_assert_uint_gt(capture_commit_step(writer, &w), 0);
	ck_assert_uint_eq(w.number, 1);
	end();
}
END_TEST

START_TEST(who_was_killed_is_not_counted)
{
	_Atomic uint64_t *stamps;
	uint32_t i;

	begin_with(COMMIT_MIRRORS, true, LONG_MS);
	stamps = sealer->ctl->commit_waiter;
	atomic_store(&stamps[0], 1);
	atomic_store(&stamps[1], UINT64_MAX); /* of a boot before */
	ck_assert_uint_eq(status().commit_waiting, 0);
	/* When all places are taken one waits uncounted. */
	for (i = 0; i < COMMIT_WAITERS; i++)
		atomic_store(&stamps[i], clock_mono_ns());
	assert_waits();
	ck_assert_uint_eq(status().commit_waiting, COMMIT_WAITERS);
	atomic_store(&stamps[5], 1);
	assert_waits();
	ck_assert_uint_eq(status().commit_waiting, COMMIT_WAITERS - 1);
	end();
}
END_TEST

START_TEST(the_policy_survives_a_boot_and_what_was_committed_does_not)
{
	static const uint8_t boot[16] = {7};

	begin_with(COMMIT_MIRRORS, true, 1234);
	capture_committed(sealer, status().reserved);
	rig_file_close(&file);
	capture_detach(writer);
	capture_detach(sealer);
	capture_test_boot(boot);
	writer = rig_attach(&rig, CAPTURE_WRITER);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
	rig_file_open(&file, writer, &rig, 0);
	ck_assert_int_eq(capture_commit_kind(writer), COMMIT_MIRRORS);
	ck_assert(status().commit_hold);
	ck_assert_uint_eq(atomic_load(&writer->ctl->commit_timeout_ms), 1234);
	ck_assert_uint_eq(status().committed, 0);
	assert_waits();
	capture_test_boot(NULL);
	end();
}
END_TEST

START_TEST(another_policy_lets_those_go_who_wait)
{
	struct capture_commit w = {0};
	struct err e = {0};

	begin_with(COMMIT_MIRRORS, true, LONG_MS);
	ck_assert_uint_gt(capture_commit_step(writer, &w), 0);
	ck_assert_int_eq(
	    capture_set_commit(sealer, COMMIT_LOCAL, false, LONG_MS, &e), 0);
	ck_assert_uint_ne(atomic_load(w.word), w.seen);
	ck_assert_uint_eq(capture_commit_step(writer, &w), 0);
	end();
}
END_TEST

START_TEST(who_records_what_is_done_cannot_keep_a_policy)
{
	struct capture *c;
	struct err e = {0};

	begin_with(COMMIT_MIRRORS, true, LONG_MS);
	rig_file_close(&file);
	capture_detach(writer);
	ck_assert_int_eq(
	    capture_attach(rig.home, &rig.group, CAPTURE_RECORDER, &c, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "--commit local"));
	capture_detach(sealer);
	rig_close(&rig);
}
END_TEST

/* Whatever somebody writes into the control file is one of the policies. */
START_TEST(a_policy_that_is_none_is_local)
{
	begin_with(COMMIT_MIRRORS, true, LONG_MS);
	atomic_store(&sealer->ctl->commit, 77);
	ck_assert_int_eq(capture_commit_kind(writer), COMMIT_LOCAL);
	commit_now();
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("capture_commit");
	TCase *t = tcase_create("capture_commit");

	tcase_add_test(t, a_local_flush_waits_for_nothing);
	tcase_add_test(t, a_journal_flush_makes_the_journal_durable);
	tcase_add_test(t, a_flush_waits_until_all_before_it_is_committed);
	tcase_add_test(t, a_flush_that_is_too_late_goes_on_and_says_so);
	tcase_add_test(t, a_flush_that_is_to_hold_waits_on_and_says_so);
	tcase_add_test(t, before_the_first_base_nothing_is_waited_for);
	tcase_add_test(t, while_writes_pass_nothing_is_committed);
	tcase_add_test(t, numbers_given_out_anew_are_taken_anew);
	tcase_add_test(t, who_was_killed_is_not_counted);
	tcase_add_test(
	    t, the_policy_survives_a_boot_and_what_was_committed_does_not);
	tcase_add_test(t, another_policy_lets_those_go_who_wait);
	tcase_add_test(t, who_records_what_is_done_cannot_keep_a_policy);
	tcase_add_test(t, a_policy_that_is_none_is_local);
	suite_add_tcase(s, t);
	return unit_run(s);
}
