/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/roles.h"

#include "common/io.h"
#include "coordinator/apply.h"
#include "tests/mirror_unit.h"

#include <stdio.h>

#define SIZE UINT64_C(60000)

static struct mirror_unit u;

static void
setup(void)
{
	mirror_unit_make(&u, 2, SIZE);
}

static void
teardown(void)
{
	mirror_unit_drop(&u);
}

static void
base(void)
{
	maker_base(&u.maker, u.made, COPYIN_BASE);
}

static uint32_t
more(uint32_t changes)
{
	maker_mix(&u.maker, changes);
	return maker_seal(&u.maker, u.made);
}

static uint32_t
newest(void)
{
	return u.maker.files - 1;
}

static void
apply(void)
{
	struct err e = {0};

	ck_assert_msg(run_apply(&u, &e) == 0, "%s", e.text);
}

static void
state_is(enum ack_state state, bool consistent, const char *reason)
{
	struct ack a;

	load_ack(&u, &a);
	ck_assert_msg(
	    a.state == state, "%s: %s", ack_state_name(a.state), a.reason);
	ck_assert_int_eq(a.consistent, consistent);
	ck_assert_msg(strstr(a.reason, reason) != NULL, "%s", a.reason);
}

/* Changes bytes of a mirror behind AIM's back. */
static void
scribble(uint32_t v, uint64_t off, const void *bytes, size_t len)
{
	AUTO_CLOSE int fd = open(u.volumes[v].path, O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(io_write_at(fd, bytes, len, off, NULL), 0);
}

/* ---- redriving ---- */

START_TEST(the_mirror_is_the_source_at_every_file)
{
	uint32_t i;

	base();
	for (i = 0; i < 12; i++)
		(void)more(8);
	for (i = 0; i < u.maker.files; i++) {
		deliver(&u, i);
		run_both(&u);
		mirror_stands_at(&u, i);
	}
	state_is(ACK_STREAMING, true, "");
}
END_TEST

static uint32_t
cut(uint32_t at)
{
	maker_cut(&u.maker, u.maker.file[at].at.last);
	return maker_seal(&u.maker, u.made);
}

static void
arrive(uint32_t i)
{
	deliver(&u, i);
	run_both(&u);
}

START_TEST(design_9_15_a_member_stops_at_the_last_cut)
{
	uint32_t end, one, two, first, second;

	u.maker.cuts = true;
	base();
	end = newest();
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, end);
	one = more(6);
	two = more(6);
	arrive(one);
	arrive(two);
	mirror_stands_at(&u, end);
	state_is(ACK_STREAMING, true, "");
	first = cut(one);
	arrive(first);
	mirror_stands_at(&u, one);
	/* One that promises what comes after it is not believed. */
	maker_cut(&u.maker, UINT64_C(1) << 40);
	arrive(maker_seal(&u.maker, u.made));
	mirror_stands_at(&u, one);
	second = cut(two);
	arrive(second);
	/* And through files of nothing but cuts. */
	mirror_stands_at(&u, second);
}
END_TEST

START_TEST(design_9_15_a_recovery_waits_for_a_cut)
{
	uint32_t end, recovered;

	u.maker.cuts = true;
	base();
	end = newest();
	(void)cut(end);
	deliver_all(&u);
	run_both(&u);
	end = newest();
	mirror_stands_at(&u, end);
	maker_break(&u.maker);
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	recovered = newest();
	for (uint32_t i = end + 1; i <= recovered; i++)
		arrive(i);
	mirror_stands_at(&u, end);
	arrive(cut(recovered));
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(many_files_at_once_give_the_same)
{
	uint32_t i;
	struct ack a;

	base();
	for (i = 0; i < 100; i++)
		(void)more(4);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	load_ack(&u, &a);
	ck_assert_int_eq(maker_find(&u.maker, &a.applied), (int)newest());
	ck_assert_int_eq(maker_find(&u.maker, &a.durable), (int)newest());
}
END_TEST

START_TEST(any_stream_is_redriven_exactly)
{
	struct mirror_unit *w = calloc(1, sizeof(*w));
	uint32_t i;

	ck_assert_ptr_nonnull(w);
	mirror_unit_make(w, 100 + (uint64_t)_i, 20000 + 7777 * (uint64_t)_i);
	w->maker.codec = _i % 2 == 0 ? CODEC_NONE : CODEC_ZLIB;
	maker_base(&w->maker, w->made, COPYIN_BASE);
	for (i = 0; i < 20; i++) {
		if (i % 7 == 6)
			maker_new_epoch(&w->maker);
		maker_mix(&w->maker, 1 + (uint32_t)maker_random(&w->maker, 30));
		(void)maker_seal(&w->maker, w->made);
	}
	for (i = 0; i < w->maker.files; i++) {
		deliver(w, i);
		if (maker_random(&w->maker, 3) == 0)
			run_both(w);
		mirror_is_clean(w);
	}
	run_both(w);
	mirror_stands_at(w, w->maker.files - 1);
	mirror_unit_drop(w);
	free(w);
}
END_TEST

/* Files of some MiB in all: worth a second thread. */
static struct mirror_unit *
make_large(uint32_t files)
{
	struct mirror_unit *w = calloc(1, sizeof(*w));
	uint32_t i, n;

	ck_assert_ptr_nonnull(w);
	mirror_unit_make(w, 77, 600000);
	maker_base(&w->maker, w->made, COPYIN_BASE);
	for (i = 0; i < MAKER_VOLUMES; i++)
		if (w->maker.volume[i].size != 600000)
			maker_resize(&w->maker, i, 600000);
	for (i = 0; i < files; i++) {
		for (n = 0; n < 3; n++) {
			uint64_t off = maker_random(&w->maker, 300000);

			maker_write(&w->maker, n % 2, off, 200000);
			maker_write(&w->maker, n % 2, off + 200000, 1000);
		}
		(void)maker_seal(&w->maker, w->made);
	}
	deliver_all(w);
	ck_assert_int_eq(run_receive(w, NULL), 0);
	return w;
}

static void
drop_large(struct mirror_unit *w)
{
	mirror_unit_drop(w);
	free(w);
}

/* With much room for what is read ahead, with little, with too little for any
 * file: the same mirror. */
START_TEST(files_read_ahead_give_the_same)
{
	static const uint64_t room[] = {APPLY_AHEAD, 2000000, 800000, 1000};
	struct mirror_unit *w = make_large(12);
	struct apply *a = NULL;
	struct err e = {0};
	int got;

	ck_assert_int_eq(apply_open(&w->home, &w->config, &a, &e), 0);
	a->ahead_bytes = room[_i];
	while ((got = apply_pass(a, &e)) > 0)
		mirror_is_clean(w);
	ck_assert_msg(got == 0, "%s", e.text);
	apply_close(a);
	mirror_stands_at(w, w->maker.files - 1);
	drop_large(w);
}
END_TEST

START_TEST(applied_files_are_kept_as_long_as_asked)
{
	uint32_t i;

	base();
	for (i = 0; i < 6; i++)
		(void)more(2);
	deliver_all(&u);
	run_both(&u);
	apply();
	{
		AUTO_CLOSE int done = open_done(&u);
		AUTO_CLOSE int stage = open_stage(&u);

		ck_assert_uint_eq(count_names(stage, ".aim"), 0);
		ck_assert_uint_eq(
		    count_names(done, ".aim"), u.config.done_keep);
		ck_assert(is_in(done, u.maker.file[newest()].name));
	}
	u.config.done_keep = 0;
	apply();
	{
		AUTO_CLOSE int done = open_done(&u);

		/* The last one is needed to check the tail. */
		ck_assert_uint_eq(count_names(done, ".aim"), 1);
		ck_assert(is_in(done, u.maker.file[newest()].name));
	}
}
END_TEST

START_TEST(messages_carried_out_are_acknowledged)
{
	struct uuid id = {{0}};
	struct ack a;
	uint32_t i;

	base();
	for (i = 1; i <= ACK_DONE_LIMIT + 3; i++) {
		id.b[0] = (uint8_t)i;
		maker_marker(&u.maker, &id);
		(void)maker_seal(&u.maker, u.made);
	}
	deliver_all(&u);
	run_both(&u);
	load_ack(&u, &a);
	ck_assert_uint_eq(a.done_count, ACK_DONE_LIMIT);
	ck_assert_uint_eq(a.done[0].b[0], 4);
	ck_assert_uint_eq(a.done[ACK_DONE_LIMIT - 1].b[0], ACK_DONE_LIMIT + 3);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(paused_means_that_nothing_is_applied)
{
	base();
	deliver_all(&u);
	u.config.apply_paused = true;
	run_both(&u);
	ck_assert(mirror_is_zero(&u));
	state_is(ACK_PAUSED, false, "applying");
	u.config.apply_paused = false;
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(another_mirrors_base_changes_nothing)
{
	struct uuid ours = u.maker.mirror;
	struct mirror_state s;

	base();
	memset(&u.maker.mirror, 9, sizeof(u.maker.mirror));
	maker_base(&u.maker, u.made, COPYIN_BASE);
	u.maker.mirror = ours;
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	load_state(&u, &s);
	ck_assert(s.consistent);
}
END_TEST

/* ---- breaks ---- */

START_TEST(over_a_break_the_old_image_is_kept)
{
	uint32_t before, i;

	base();
	before = more(5);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, before);
	maker_break(&u.maker);
	(void)more(3); /* live writes after the break */
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	for (i = before + 1; i < newest(); i++) {
		deliver(&u, i);
		run_both(&u);
		mirror_is(&u, before);
		state_is(ACK_STAGING, true, "");
	}
	deliver(&u, newest());
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(over_a_break_a_volume_may_have_another_size)
{
	uint64_t size = _i == 0 ? SIZE / 2 : 2 * SIZE;

	base();
	(void)more(3);
	deliver_all(&u);
	run_both(&u);
	/* What had made it grow was lost, or what had cut it. */
	maker_break(&u.maker);
	u.maker.volume[0].size = u.maker.volume[0].sealed = size;
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(a_break_in_a_recovery_needs_another_one)
{
	uint32_t before, i;

	base();
	before = newest();
	deliver_all(&u);
	run_both(&u);
	maker_break(&u.maker);
	maker_copyin_begin(&u.maker, COPYIN_RECOVERY);
	maker_copyin(&u.maker, 0, 0, SIZE);
	(void)maker_seal(&u.maker, u.made);
	maker_break(&u.maker);
	(void)more(3);
	/* The END of the first one says nothing any more. */
	maker_write(&u.maker, 0, 5, 5);
	maker_copyin_end(&u.maker);
	u.maker.consistent = false;
	(void)maker_seal(&u.maker, u.made);
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	for (i = 0; i < newest(); i++)
		deliver(&u, i);
	run_both(&u);
	mirror_is(&u, before);
	state_is(ACK_STAGING, true, "");
	deliver(&u, newest());
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(a_recovery_for_another_mirror_does_not_count)
{
	struct uuid ours = u.maker.mirror;
	uint32_t before;

	base();
	before = newest();
	deliver_all(&u);
	run_both(&u);
	maker_break(&u.maker);
	memset(&u.maker.mirror, 9, sizeof(u.maker.mirror));
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	u.maker.mirror = ours;
	deliver_all(&u);
	run_both(&u);
	mirror_is(&u, before);
	state_is(ACK_STAGING, true, "");
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(only_the_end_of_its_own_copyin_counts)
{
	struct uuid ours = u.maker.mirror, other, own;

	memset(&u.maker.mirror, 9, sizeof(u.maker.mirror));
	maker_copyin_begin(&u.maker, COPYIN_BASE);
	other = u.maker.copyin;
	(void)maker_seal(&u.maker, u.made);
	u.maker.mirror = ours;
	maker_copyin_begin(&u.maker, COPYIN_BASE);
	own = u.maker.copyin;
	maker_copyin(&u.maker, 0, 0, SIZE);
	(void)maker_seal(&u.maker, u.made);
	/* The other one ends first. */
	u.maker.copyin = other;
	maker_copyin_end(&u.maker);
	u.maker.consistent = false;
	(void)maker_seal(&u.maker, u.made);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_INCONSISTENT, false, "");
	u.maker.copyin = own;
	maker_copyin(&u.maker, 1, 0, SIZE);
	maker_copyin_end(&u.maker);
	(void)maker_seal(&u.maker, u.made);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

/* What came before the break is good: the source knows, and says the rest. */
START_TEST(design_9_11_a_recovery_may_bring_the_rest_of_a_base)
{
	maker_copyin_begin(&u.maker, COPYIN_BASE);
	maker_copyin(&u.maker, 0, 0, SIZE);
	(void)maker_seal(&u.maker, u.made);
	if (_i == 0) {
		deliver_all(&u);
		run_both(&u);
		state_is(ACK_INCONSISTENT, false, "");
	}
	maker_break(&u.maker);
	maker_copyin_begin(&u.maker, COPYIN_RECOVERY);
	maker_copyin(&u.maker, 0, 0, 5000); /* passed */
	maker_copyin(&u.maker, 1, 0, SIZE);
	maker_copyin_end(&u.maker);
	(void)maker_seal(&u.maker, u.made);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(a_gap_holds_like_a_break)
{
	uint32_t before, i;

	base();
	before = more(3);
	maker_write(&u.maker, 0, 0, 10);
	maker_gap(&u.maker, 1);
	maker_write(&u.maker, 0, 20, 10);
	(void)maker_seal(&u.maker, u.made);
	(void)more(3);
	maker_break(&u.maker);
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	for (i = 0; i < newest(); i++) {
		deliver(&u, i);
		run_both(&u);
		if (i >= before)
			mirror_is(&u, before);
	}
	state_is(ACK_STAGING, true, "");
	deliver(&u, newest());
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(an_inconsistent_mirror_applies_over_a_break_at_once)
{
	maker_copyin_begin(&u.maker, COPYIN_BASE);
	maker_copyin(&u.maker, 0, 0, SIZE);
	(void)maker_seal(&u.maker, u.made);
	maker_break(&u.maker);
	(void)more(3);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_INCONSISTENT, false, "");
	/* The END of a base from before the break does not make it good. */
	maker_copyin(&u.maker, 1, 0, SIZE);
	maker_copyin_end(&u.maker);
	u.maker.consistent = false;
	(void)maker_seal(&u.maker, u.made);
	deliver_all(&u);
	run_both(&u);
	state_is(ACK_INCONSISTENT, false, "");
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(a_base_restores_as_well_as_a_recovery)
{
	uint32_t before;

	base();
	before = newest();
	maker_break(&u.maker);
	(void)more(2);
	deliver_all(&u);
	run_both(&u);
	mirror_is(&u, before);
	maker_base(&u.maker, u.made, COPYIN_BASE);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

/* ---- damage and change ---- */

static void
change_staged_of(struct mirror_unit *w, uint32_t i, uint64_t off)
{
	AUTO_CLOSE int stage = open_stage(w);
	AUTO_CLOSE int fd =
	    openat(stage, w->maker.file[i].name, O_RDWR | O_CLOEXEC);
	uint8_t b;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(io_read_at(fd, &b, 1, off, NULL), 0);
	b ^= 0x10;
	ck_assert_int_eq(io_write_at(fd, &b, 1, off, NULL), 0);
}

static void
change_staged(uint32_t i, uint64_t off)
{
	change_staged_of(&u, i, off);
}

/* Somewhere in the middle of what is read ahead by two threads. */
START_TEST(damage_that_lies_ahead_is_not_applied)
{
	struct mirror_unit *w = make_large(12);
	uint32_t bad = w->maker.files - 12 + (uint32_t)_i * 5;
	struct mirror_state s;

	change_staged_of(w, bad, 100000);
	ck_assert_int_eq(run_apply(w, NULL), 0);
	mirror_stands_at(w, bad - 1);
	load_state(w, &s);
	ck_assert_ptr_nonnull(strstr(s.reason, "come again"));
	ck_assert(is_quarantined(w, "checksum"));
	deliver(w, bad);
	run_both(w);
	mirror_stands_at(w, w->maker.files - 1);
	drop_large(w);
}
END_TEST

/* A header that was changed with its checksum is not what the source signed. */
START_TEST(a_staged_header_that_was_altered_is_refused)
{
	uint32_t bad;

	base();
	bad = more(10);
	(void)more(10);
	deliver_all(&u);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	{
		AUTO_CLOSE int stage = open_stage(&u);
		AUTO_CLOSE int fd =
		    openat(stage, u.maker.file[bad].name, O_RDWR | O_CLOEXEC);
		uint8_t bytes[4096];
		uint32_t len = header_encoded_len(MAKER_VOLUMES, 0);

		ck_assert_int_eq(io_read_at(fd, bytes, len, 0, NULL), 0);
		/* The first volume becomes a byte larger. */
		bytes[JOURNAL_HEADER_FIXED + 16] ^= 1;
		header_fix_sum(bytes, len);
		ck_assert_int_eq(io_write_at(fd, bytes, len, 0, NULL), 0);
	}
	apply();
	mirror_stands_at(&u, bad - 1);
	ck_assert(is_quarantined(&u, "signature"));
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	state_is(ACK_STALLED, true, "come again");
	deliver(&u, bad);
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(a_staged_file_that_rots_has_to_come_again)
{
	static const uint64_t places[] = {3, 100, 700, 1500, 4000};
	struct err e = {0};
	struct receive *r = NULL;
	uint32_t bad;

	base();
	bad = more(10);
	(void)more(10);
	(void)more(10);
	deliver_all(&u);
	ck_assert_int_eq(receive_open(&u.home, &u.config, &r, &e), 0);
	while (receive_pass(r, &e) > 0)
		continue;
	change_staged(bad, places[_i]);
	apply();
	mirror_stands_at(&u, bad - 1);
	/* A receiver that runs on learns of it. */
	while (receive_pass(r, &e) > 0)
		continue;
	state_is(ACK_STALLED, true, "come again");
	deliver(&u, bad);
	while (receive_pass(r, &e) > 0)
		continue;
	receive_close(r);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(a_held_file_that_rots_has_to_come_again)
{
	uint32_t before, bad;

	base();
	before = newest();
	deliver_all(&u);
	run_both(&u);
	maker_break(&u.maker);
	bad = more(5);
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	deliver_all(&u);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	change_staged(bad, 900);
	apply();
	mirror_is(&u, before);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	state_is(ACK_STALLED, true, "come again");
	deliver(&u, bad);
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(a_mirror_that_others_changed_is_suspect)
{
	uint32_t last;

	base();
	maker_write(&u.maker, 1, 4000, 500);
	maker_zero(&u.maker, OP_ZERO, 1, 4100, 100);
	maker_write(&u.maker, 1, 4150, 10);
	last = maker_seal(&u.maker, u.made);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, last);
	/* Not in what the last file wrote: cannot be seen here. */
	scribble(1, 100, "x", 1);
	apply();
	state_is(ACK_STREAMING, true, "");
	scribble(1, _i == 0 ? 4499 : _i == 1 ? 4120 : 4155, "\x99", 1);
	apply();
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	state_is(ACK_SUSPECT, false, "changed by others");
	/* Files are received but not applied until a base comes. */
	(void)more(3);
	deliver_all(&u);
	run_both(&u);
	state_is(ACK_SUSPECT, false, "changed by others");
	base();
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(a_tail_of_any_shape_is_no_false_alarm)
{
	uint32_t i;

	u.maker.random += (uint64_t)_i * 977;
	base();
	for (i = 0; i < 10; i++) {
		(void)more(30);
		deliver(&u, newest());
		if (i == 0)
			deliver_all(&u);
		run_both(&u);
		mirror_stands_at(&u, newest());
	}
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(a_mirror_of_another_size_is_suspect)
{
	base();
	(void)more(2);
	deliver_all(&u);
	run_both(&u);
	ck_assert_int_eq(
	    truncate(u.volumes[0].path, _i == 0 ? 100 : 1000000), 0);
	(void)more(2);
	deliver_all(&u);
	run_both(&u);
	state_is(ACK_SUSPECT, false, "bytes, not");
	base();
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(a_mirror_that_is_cut_while_we_run_is_suspect)
{
	struct apply *a = NULL;
	struct err e = {0};

	base();
	deliver_all(&u);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	ck_assert_int_eq(apply_open(&u.home, &u.config, &a, &e), 0);
	while (apply_pass(a, &e) > 0)
		continue;
	ck_assert_int_eq(truncate(u.volumes[0].path, 100), 0);
	(void)more(2);
	deliver(&u, newest());
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	ck_assert_int_eq(apply_pass(a, &e), 0);
	apply_close(a);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	state_is(ACK_SUSPECT, false, "bytes, not");
}
END_TEST

START_TEST(another_file_in_its_place_is_suspect)
{
	char aside[256];

	base();
	deliver_all(&u);
	run_both(&u);
	(void)snprintf(aside, sizeof(aside), "%.200s.aside", u.volumes[0].path);
	ck_assert_int_eq(rename(u.volumes[0].path, aside), 0);
	{
		AUTO_CLOSE int fd =
		    open(u.volumes[0].path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		ck_assert_int_eq(ftruncate(fd, (off_t)SIZE), 0);
	}
	(void)more(2);
	deliver_all(&u);
	run_both(&u);
	state_is(ACK_SUSPECT, false, "not what was mirrored to");
	base();
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(a_missing_mirror_is_told_and_waited_for)
{
	char aside[256];
	struct err e = {0};

	base();
	deliver_all(&u);
	run_both(&u);
	(void)snprintf(aside, sizeof(aside), "%.200s.aside", u.volumes[0].path);
	ck_assert_int_eq(rename(u.volumes[0].path, aside), 0);
	(void)more(2);
	deliver_all(&u);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	ck_assert_int_eq(run_apply(&u, &e), -1);
	ck_assert_msg(strstr(e.text, "not there") != NULL, "%s", e.text);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	state_is(ACK_STALLED, true, "not there");
	ck_assert_int_eq(rename(aside, u.volumes[0].path), 0);
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(two_redrivers_exclude_each_other)
{
	struct apply *a = NULL, *b = NULL;
	struct err e = {0};

	base();
	deliver_all(&u);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	ck_assert_int_eq(apply_open(&u.home, &u.config, &a, &e), 0);
	ck_assert_int_eq(apply_pass(a, &e), 1);
	ck_assert_int_eq(apply_open(&u.home, &u.config, &b, &e), 0);
	ck_assert_int_eq(apply_pass(b, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_msg(strstr(e.text, "in use") != NULL, "%s", e.text);
	apply_close(a);
	ck_assert_int_eq(apply_pass(b, &e), 0);
	apply_close(b);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	state_is(ACK_STREAMING, true, "");
	mirror_stands_at(&u, newest());
}
END_TEST

START_TEST(a_lost_state_is_told_with_advice)
{
	char text[UUID_TEXT], name[64];
	struct err e = {0};
	AUTO_CLOSE int fd = -1;

	base();
	deliver_all(&u);
	run_both(&u);
	(void)snprintf(
	    name, sizeof(name), "%s.state", uuid_text(&u.maker.mirror, text));
	fd = openat(u.home.state, name, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(run_apply(&u, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "new base"));
	ck_assert_int_eq(run_receive(&u, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	mirror_is(&u, newest());
}
END_TEST

/* ---- a device that fails ---- */

START_TEST(a_failed_device_is_suspect_until_it_was_redone)
{
	static const enum sys_op ops[] = {SYS_PWRITE, SYS_FDATASYNC};
	struct ladder l = {.trouble = EIO, .op = (int)ops[_i % 2]};
	struct mirror_state s;
	struct err e = {0};

	base();
	deliver_all(&u);
	run_both(&u);
	(void)more(20);
	deliver_all(&u);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	/* Past those of the state: the volume's own. */
	l.rung = ops[_i % 2] == SYS_PWRITE ? 2 : 1;
	ladder_set(&l);
	ck_assert_int_eq(run_apply(&u, &e), -1);
	ladder_unset();
	load_state(&u, &s);
	ck_assert_int_eq(s.phase, MIRROR_SUSPECT);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	state_is(ACK_SUSPECT, false, "Input/output error");
	/* A new descriptor, the whole range again. */
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

START_TEST(a_full_device_is_tried_again)
{
	struct ladder l = {.trouble = ENOSPC, .op = SYS_PWRITE, .rung = 2};
	struct mirror_state s;
	struct err e = {0};

	base();
	deliver_all(&u);
	run_both(&u);
	(void)more(20);
	deliver_all(&u);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	ladder_set(&l);
	ck_assert_int_eq(run_apply(&u, &e), -1);
	ladder_unset();
	ck_assert_int_eq(e.kind, ERR_FULL);
	load_state(&u, &s);
	ck_assert_int_eq(s.phase, MIRROR_APPLYING);
	ck_assert_int_eq(run_receive(&u, NULL), 0);
	state_is(ACK_STALLED, true, "No space");
	run_both(&u);
	mirror_stands_at(&u, newest());
	state_is(ACK_STREAMING, true, "");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("apply");
	TCase *t = tcase_create("redrive");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_mirror_is_the_source_at_every_file);
	tcase_add_test(t, many_files_at_once_give_the_same);
	tcase_add_test(t, design_9_15_a_member_stops_at_the_last_cut);
	tcase_add_test(t, design_9_15_a_recovery_waits_for_a_cut);
	tcase_add_loop_test(t, any_stream_is_redriven_exactly, 0, 6);
	tcase_add_loop_test(t, files_read_ahead_give_the_same, 0, 4);
	tcase_add_test(t, applied_files_are_kept_as_long_as_asked);
	tcase_add_test(t, messages_carried_out_are_acknowledged);
	tcase_add_test(t, paused_means_that_nothing_is_applied);
	tcase_add_test(t, another_mirrors_base_changes_nothing);
	suite_add_tcase(s, t);

	t = tcase_create("breaks");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, over_a_break_the_old_image_is_kept);
	tcase_add_loop_test(
	    t, over_a_break_a_volume_may_have_another_size, 0, 2);
	tcase_add_test(t, a_break_in_a_recovery_needs_another_one);
	tcase_add_test(t, a_recovery_for_another_mirror_does_not_count);
	tcase_add_test(t, only_the_end_of_its_own_copyin_counts);
	tcase_add_loop_test(
	    t, design_9_11_a_recovery_may_bring_the_rest_of_a_base, 0, 2);
	tcase_add_test(t, a_gap_holds_like_a_break);
	tcase_add_test(t, an_inconsistent_mirror_applies_over_a_break_at_once);
	tcase_add_test(t, a_base_restores_as_well_as_a_recovery);
	suite_add_tcase(s, t);

	t = tcase_create("trouble");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, damage_that_lies_ahead_is_not_applied, 0, 3);
	tcase_add_test(t, a_staged_header_that_was_altered_is_refused);
	tcase_add_loop_test(t, a_staged_file_that_rots_has_to_come_again, 0, 5);
	tcase_add_test(t, a_held_file_that_rots_has_to_come_again);
	tcase_add_loop_test(t, a_mirror_that_others_changed_is_suspect, 0, 3);
	tcase_add_loop_test(t, a_tail_of_any_shape_is_no_false_alarm, 0, 4);
	tcase_add_loop_test(t, a_mirror_of_another_size_is_suspect, 0, 2);
	tcase_add_test(t, a_mirror_that_is_cut_while_we_run_is_suspect);
	tcase_add_test(t, another_file_in_its_place_is_suspect);
	tcase_add_test(t, a_missing_mirror_is_told_and_waited_for);
	tcase_add_test(t, two_redrivers_exclude_each_other);
	tcase_add_test(t, a_lost_state_is_told_with_advice);
	tcase_add_loop_test(
	    t, a_failed_device_is_suspect_until_it_was_redone, 0, 2);
	tcase_add_test(t, a_full_device_is_tried_again);
	suite_add_tcase(s, t);
	return unit_run(s);
}
