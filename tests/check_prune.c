/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/source_kit.h"

#include "coordinator/source.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define FILES 24
#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static struct source_kit k;
static struct source *s;
static struct position place[FILES + 1]; /* ends of files 1..FILES */

static void
setup(void)
{
	struct capture *c;
	struct rig_file f;
	struct err e = {0};
	int i;

	kit_open(&k, 1, MIB, 2);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	OK(source_seal_all(s, &e));
	rig_file_open(&f, c, &k.rig, 0);
	while (s->files < FILES) {
		ck_assert_int_eq(rig_write(&f, "data", 4, 4096), 4);
		OK(source_seal_all(s, &e));
	}
	rig_file_close(&f);
	capture_detach(c);
	for (i = 1; i <= FILES; i++)
		kit_position(&k, (uint64_t)i, &place[i]);
}

static void
teardown(void)
{
	ladder_unset();
	source_close(s);
	kit_close(&k);
}

static void
acknowledge(uint32_t i, int stored, int applied)
{
	struct ack a;

	kit_fill_ack(&k, i, &a);
	if (stored > 0)
		a.stored = place[stored];
	if (applied > 0)
		a.applied = a.durable = place[applied];
	kit_save_ack(&k, i, &a);
}

static void
prune(void)
{
	struct err e = {0};
	int did;

	do {
		did = prune_step(s, true, &e);
		ck_assert_msg(did >= 0, "%s", e.text);
	} while (did == 1);
}

/* Files 1..n are gone, the others are there. */
static void
check_gone(int n)
{
	struct sealed_file f;
	struct err e = {0};
	int i;

	for (i = 1; i <= FILES; i++)
		ck_assert_int_eq(sealed_look(&s->sealed, place[i].epoch_number,
				     place[i].sequence, &f, &e),
		    i > n);
	ck_assert_uint_eq(s->files, (uint64_t)(FILES - n));
}

static int
least(int a, int b)
{
	return a < b ? a : b;
}

START_TEST(nothing_goes_before_all_have_acknowledged_it)
{
	uint64_t seed = (uint64_t)_i + 1;
	int stored[2] = {0, 0}, applied[2] = {0, 0}, gone = 0, round;

	for (round = 0; round < 40; round++) {
		uint32_t i = rig_random(&seed) % 2;

		stored[i] += (int)(rig_random(&seed) % 4);
		stored[i] = least(stored[i], FILES);
		applied[i] = applied[i] + (int)(rig_random(&seed) % 4);
		applied[i] = least(applied[i], stored[i]);
		acknowledge(i, stored[i], applied[i]);
		prune();
		gone = least(least(applied[0], applied[1]), FILES - 1);
		check_gone(gone);
	}
	acknowledge(0, FILES, FILES);
	acknowledge(1, FILES, FILES);
	prune();
	check_gone(FILES - 1); /* never the tip */
}
END_TEST

START_TEST(stored_is_enough_where_that_was_chosen)
{
	s->destinations[1].prune_at = PRUNE_STORED;
	acknowledge(0, 20, 10);
	acknowledge(1, 8, 2);
	prune();
	check_gone(8);
	acknowledge(1, 20, 2);
	prune();
	check_gone(10);
}
END_TEST

START_TEST(a_destination_without_a_base_holds_nothing)
{
	s->jobs[1] = (struct job){.state = JOB_NONE};
	acknowledge(0, 12, 12);
	prune();
	check_gone(12);
}
END_TEST

START_TEST(an_acknowledgement_that_cannot_be_believed_holds_everything)
{
	char name[UUID_TEXT + 4], text[UUID_TEXT];
	struct err e = {0};
	int fd;

	acknowledge(0, FILES, FILES);
	acknowledge(1, FILES, FILES);
	(void)snprintf(name, sizeof(name), "%s.ack",
	    uuid_text(&k.destination[1].uuid, text));
	fd = openat(k.home.state, name, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "x", 1, 100), 1);
	close(fd);
	ck_assert_int_eq(prune_step(s, true, &e), -1);
	check_gone(0);
}
END_TEST

START_TEST(without_a_flush_of_the_volumes_nothing_goes)
{
	struct ladder l = {.op = SYS_FDATASYNC, .trouble = EIO, .stays = true};
	struct err e = {0};

	acknowledge(0, FILES, FILES);
	acknowledge(1, FILES, FILES);
	s->flushed = 0;
	ladder_set(&l);
	ck_assert_int_eq(prune_step(s, true, &e), -1);
	ladder_unset();
	ck_assert(l.struck);
	check_gone(0);
}
END_TEST

START_TEST(least_age_counts_by_both_clocks)
{
	acknowledge(0, FILES, FILES);
	acknowledge(1, FILES, FILES);
	s->group.retention_ms = 60000;
	prune();
	check_gone(0);
	/* The wall clock jumps a day ahead: files look old, but we have not
	 * seen that time go by. */
	s->wall_offset_ns -= INT64_C(86400000000000);
	s->oldest.sealed_time_ns -= UINT64_C(86400000000000);
	prune();
	check_gone(0);
	/* Time has gone by for us too: the one that is old goes. */
	s->retention_ns -= UINT64_C(61000000000);
	prune();
	check_gone(1);
}
END_TEST

START_TEST(sums_are_the_same_when_counted_again)
{
	uint64_t spool, files;

	acknowledge(0, 10, 10);
	acknowledge(1, 10, 10);
	prune();
	spool = s->spool_bytes;
	files = s->files;
	source_close(s);
	s = kit_source(&k);
	ck_assert_uint_eq(s->files, files);
	ck_assert_uint_eq(s->spool_bytes, spool);
}
END_TEST

START_TEST(a_crash_between_two_removals_is_no_hole)
{
	struct ladder l = {.op = SYS_UNLINK, .trouble = EIO, .stays = true};
	struct err e = {0};

	acknowledge(0, FILES, FILES);
	acknowledge(1, FILES, FILES);
	for (l.rung = 0; l.rung < 4; l.rung++) {
		ladder_set(&l);
		ck_assert_int_eq(prune_step(s, true, &e), -1);
		ladder_unset();
	}
	ck_assert_uint_eq(s->files, FILES - 6);
	check_gone(6);
	prune();
	check_gone(FILES - 1);
}
END_TEST

START_TEST(a_spool_smaller_than_one_file_is_not_full_for_ever)
{
	struct capture *c;
	struct rig_file f;
	struct err e = {0};

	source_close(s);
	k.group.spool_limit = 50;
	k.group.spool_policy = CAPTURE_FAIL;
	s = kit_source(&k);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&f, c, &k.rig, 0);
	ck_assert_int_eq(rig_write(&f, "full", 4, 4096), -ENOSPC);
	acknowledge(0, FILES, FILES);
	acknowledge(1, FILES, FILES);
	s->prune_ns = 0;
	kit_pass(s);
	ck_assert_uint_eq(s->files, 1);
	ck_assert_uint_gt(s->spool_bytes, k.group.spool_limit);
	ck_assert_int_eq(rig_write(&f, "room", 4, 4096), 4);
	OK(source_seal_all(s, &e));
	ck_assert_uint_eq(s->files, 1);
	ck_assert_int_eq(rig_write(&f, "full", 4, 4096), -ENOSPC);
	rig_file_close(&f);
	capture_detach(c);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("prune");
	TCase *t = tcase_create("promise 6");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_loop_test(
	    t, nothing_goes_before_all_have_acknowledged_it, 0, 5);
	tcase_add_test(t, stored_is_enough_where_that_was_chosen);
	tcase_add_test(t, a_destination_without_a_base_holds_nothing);
	tcase_add_test(
	    t, an_acknowledgement_that_cannot_be_believed_holds_everything);
	tcase_add_test(t, without_a_flush_of_the_volumes_nothing_goes);
	tcase_add_test(t, least_age_counts_by_both_clocks);
	tcase_add_test(t, sums_are_the_same_when_counted_again);
	tcase_add_test(t, a_crash_between_two_removals_is_no_hole);
	tcase_add_test(t, a_spool_smaller_than_one_file_is_not_full_for_ever);
	suite_add_tcase(suite, t);
	return unit_run(suite);
}
