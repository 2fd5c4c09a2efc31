/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/backoff.h"
#include "coordinator/job.h"
#include "common/io.h"
#include "tests/unit.h"

#include <stdio.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static struct unit_dir dir;
static struct home home;
static struct destination_config d;

static void
setup(void)
{
	struct err e = {0};
	char path[128];

	unit_dir_make(&dir);
	(void)snprintf(path, sizeof(path), "%s/home", dir.path);
	OK(home_create(path, "here", &e));
	OK(home_open(path, &home, &e));
	OK(uuid_make(&d.uuid, &e));
	OK(uuid_make(&d.mirror, &e));
}

static void
teardown(void)
{
	home_close(&home);
	unit_dir_drop(&dir);
}

static void
make_job(struct job *j)
{
	struct err e = {0};

	*j = (struct job){.destination = d.uuid,
	    .mirror = d.mirror,
	    .kind = COPYIN_RECOVERY,
	    .state = JOB_RUNNING,
	    .begin = 77,
	    .end = 0,
	    .from = 5,
	    .volume = 3,
	    .off = UINT64_C(1) << 40};
	OK(uuid_make(&j->id, &e));
}

static int
open_job(int flags)
{
	char name[UUID_TEXT + 4], text[UUID_TEXT];

	(void)snprintf(name, sizeof(name), "%s.job", uuid_text(&d.uuid, text));
	return openat(home.state, name, flags | O_CLOEXEC);
}

static void
check_equal(const struct job *a, const struct job *b)
{
	ck_assert(uuid_equal(&a->id, &b->id));
	ck_assert(uuid_equal(&a->destination, &b->destination));
	ck_assert(uuid_equal(&a->mirror, &b->mirror));
	ck_assert_int_eq(a->kind, b->kind);
	ck_assert_int_eq(a->state, b->state);
	ck_assert_uint_eq(a->begin, b->begin);
	ck_assert_uint_eq(a->end, b->end);
	ck_assert_uint_eq(a->from, b->from);
	ck_assert_uint_eq(a->volume, b->volume);
	ck_assert_uint_eq(a->off, b->off);
}

START_TEST(a_job_comes_back_as_it_was_stored)
{
	struct job j, got;
	struct err e = {0};

	OK(job_load(&home, &d.uuid, &got, &e));
	ck_assert_int_eq(got.state, JOB_NONE);
	make_job(&j);
	OK(job_store(&home, &j, &e));
	OK(job_load(&home, &d.uuid, &got, &e));
	check_equal(&j, &got);
}
END_TEST

START_TEST(a_changed_or_shortened_job_is_not_believed)
{
	struct job j, got;
	struct err e = {0};
	uint8_t was, now;
	struct stat st;
	off_t i;
	int fd;

	make_job(&j);
	OK(job_store(&home, &j, &e));
	fd = open_job(O_RDWR);
	ck_assert_int_eq(fstat(fd, &st), 0);
	for (i = 0; i < st.st_size; i++) {
		ck_assert_int_eq(pread(fd, &was, 1, i), 1);
		now = was ^ 4;
		ck_assert_int_eq(pwrite(fd, &now, 1, i), 1);
		ck_assert_int_eq(job_load(&home, &d.uuid, &got, &e), -1);
		ck_assert_int_eq(e.kind, ERR_CORRUPT);
		ck_assert_int_eq(pwrite(fd, &was, 1, i), 1);
	}
	OK(job_load(&home, &d.uuid, &got, &e));
	for (i = st.st_size - 1; i >= 0; i--) {
		ck_assert_int_eq(ftruncate(fd, i), 0);
		ck_assert_int_eq(job_load(&home, &d.uuid, &got, &e), -1);
	}
	close(fd);
}
END_TEST

START_TEST(queueing_twice_changes_nothing)
{
	struct job first, again;
	struct err e = {0};

	OK(job_queue(&home, &d, COPYIN_BASE, &e));
	OK(job_load(&home, &d.uuid, &first, &e));
	ck_assert_int_eq(first.state, JOB_QUEUED);
	OK(job_queue(&home, &d, COPYIN_RECOVERY, &e));
	OK(job_load(&home, &d.uuid, &again, &e));
	check_equal(&first, &again);
	first.state = JOB_DONE;
	first.from = 12;
	OK(job_store(&home, &first, &e));
	OK(job_queue(&home, &d, COPYIN_RECOVERY, &e));
	OK(job_load(&home, &d.uuid, &again, &e));
	ck_assert_int_eq(again.state, JOB_QUEUED);
	ck_assert_int_eq(again.kind, COPYIN_RECOVERY);
	ck_assert(!uuid_equal(&first.id, &again.id));
	ck_assert_uint_eq(again.from, 12); /* what it needs until it says */
}
END_TEST

START_TEST(a_failing_call_leaves_the_old_job_or_the_new)
{
	static const int troubles[] = {EIO, ENOSPC, SYS_SHORT};
	struct ladder l = {
	    .op = -1, .trouble = troubles[_i % 3], .stays = _i >= 3};
	struct job old, next, got;
	struct err e = {0};
	int done;

	make_job(&old);
	do {
		old.off = 1;
		next = old;
		next.off = 2;
		OK(job_store(&home, &old, &e));
		ladder_set(&l);
		done = job_store(&home, &next, &e);
		ladder_unset();
		OK(job_load(&home, &d.uuid, &got, &e));
		ck_assert(got.off == 1 || got.off == 2);
		if (done == 0)
			ck_assert_uint_eq(got.off, 2);
		l.rung++;
	} while (l.struck && l.rung < 100);
	ck_assert_int_lt(l.rung, 100);
	ck_assert_int_gt(l.rung, 3);
}
END_TEST

START_TEST(waits_grow_to_a_minute_and_never_end)
{
	struct backoff b = {0};
	uint32_t i, wait;

	ck_assert_uint_eq(backoff_wait_ms(&b, 5), 0);
	ck_assert_uint_eq(backoff_ceiling_ms(1), 1000);
	ck_assert_uint_eq(backoff_ceiling_ms(4), 8000);
	ck_assert_uint_eq(backoff_ceiling_ms(7), 60000);
	ck_assert_uint_eq(backoff_ceiling_ms(UINT32_MAX), 60000);
	for (i = 1; i < 200; i++) {
		backoff_fail(&b, 1000);
		wait = backoff_wait_ms(&b, 1000);
		ck_assert_uint_ge(wait, 50);
		ck_assert_uint_le(wait, backoff_ceiling_ms(i) + 50);
		ck_assert_uint_eq(b.attempts, i);
	}
	backoff_good(&b);
	ck_assert_uint_eq(backoff_wait_ms(&b, 1000), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("job");
	TCase *t = tcase_create("file");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_job_comes_back_as_it_was_stored);
	tcase_add_test(t, a_changed_or_shortened_job_is_not_believed);
	tcase_add_test(t, queueing_twice_changes_nothing);
	tcase_add_loop_test(
	    t, a_failing_call_leaves_the_old_job_or_the_new, 0, 6);
	tcase_add_test(t, waits_grow_to_a_minute_and_never_end);
	suite_add_tcase(s, t);
	return unit_run(s);
}
