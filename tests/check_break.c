/* SPDX-License-Identifier: Apache-2.0 */
/* What ends an epoch, and what a stream is never continued from. */
#include "tests/source_kit.h"

#include "aimdriver/control.h"
#include "common/io.h"
#include "coordinator/source.h"

#include <stdio.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static struct source_kit k;
static struct source *s;
static struct capture *c;
static struct rig_file file;

/* A group with a base and a few files. */
static void
begin(uint64_t size)
{
	struct err e = {0};

	kit_open(&k, 1, size, 1);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	ck_assert_int_eq(rig_write(&file, "first", 5, 70000), 5);
	OK(source_seal_all(s, &e));
	ck_assert(kit_replay(&k, s->sealed.dir));
	ck_assert_uint_eq(k.breaks, 0);
}

static void
setup(void)
{
	begin(MIB);
}

static void
teardown(void)
{
	ladder_unset();
	capture_test_boot(NULL);
	rig_file_close(&file);
	capture_detach(c);
	source_close(s);
	kit_close(&k);
}

/* Everything is copied in again, in a new epoch, and all is equal. */
static void
check_recovers(uint64_t breaks)
{
	struct err e = {0};
	int n;

	for (n = 0; n < 50; n++)
		(void)!source_pass(s, &e);
	ck_assert_int_eq(rig_write(&file, "last", 4, 80000), 4);
	OK(source_seal_all(s, &e));
	ck_assert(kit_replay(&k, s->sealed.dir));
	ck_assert_uint_eq(k.breaks, breaks);
	ck_assert_uint_eq(k.ends, 1 + breaks);
	ck_assert_uint_eq(s->jobs[0].state, JOB_DONE);
	ck_assert_int_eq(s->jobs[0].kind, COPYIN_RECOVERY);
	ck_assert(!s->breaking && !s->must_break && !s->gap);
}

START_TEST(damaged_shared_memory_is_announced_not_skipped)
{
	struct err e = {0};
	uint32_t segment, slot;
	uint64_t number;

	ck_assert_int_eq(rig_write(&file, "damaged", 7, 5000), 7);
	number = s->tip.at.last + 1;
	ck_assert(segment_find(c, number, &segment, &slot));
	ck_assert(segment_open(c, segment));
	segment_data(c, segment)[segment_slot(c, segment, slot)->data_off] ^= 1;
	ck_assert_int_eq(source_seal_all(s, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	check_recovers(1);
}
END_TEST

START_TEST(a_slot_that_makes_no_sense_ends_the_epoch)
{
	struct err e = {0};
	uint32_t segment, slot;

	ck_assert_int_eq(rig_write(&file, "damaged", 7, 5000), 7);
	ck_assert(segment_find(c, s->tip.at.last + 1, &segment, &slot));
	ck_assert(segment_open(c, segment));
	segment_slot(c, segment, slot)->off = UINT64_C(1) << 60;
	ck_assert_int_eq(source_seal_all(s, &e), -1);
	check_recovers(1);
}
END_TEST

START_TEST(a_flush_that_failed_ends_the_epoch)
{
	struct ladder l = {.op = SYS_FDATASYNC, .trouble = EIO, .stays = true};
	struct err e = {0};

	ladder_set(&l);
	ck_assert_int_eq(capture_flush_volumes(s->capture, &e), -1);
	ladder_unset();
	ck_assert_int_eq(rig_write(&file, "later", 5, 6000), 5);
	check_recovers(1);
}
END_TEST

START_TEST(a_machine_that_went_down_ends_the_epoch)
{
	static const uint8_t boot[16] = {9, 9};
	struct err e = {0};
	char value[64], name[UUID_TEXT + 8], text[UUID_TEXT];

	ck_assert_int_eq(rig_write(&file, "not sealed", 10, 6000), 10);
	source_close(s);
	rig_file_close(&file);
	capture_detach(c);
	capture_test_boot(boot);
	s = kit_source(&k);
	(void)snprintf(
	    name, sizeof(name), "%s.source", uuid_text(&k.group.uuid, text));
	ck_assert(note_read(&k.home, name, "state", value, sizeof(value)));
	ck_assert_str_eq(value, "unclean");
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	check_recovers(1);
	OK(source_seal_all(s, &e));
	s->note_ns = 0;
	source_note(s, true);
	ck_assert(note_read(&k.home, name, "state", value, sizeof(value)));
	ck_assert_str_eq(value, "streaming");
}
END_TEST

START_TEST(a_clean_close_needs_no_recovery)
{
	static const uint8_t boot[16] = {8, 9};
	struct err e = {0};

	OK(source_finish(s, &e));
	source_close(s);
	rig_file_close(&file);
	capture_detach(c);
	capture_test_boot(boot);
	s = kit_source(&k);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	ck_assert_int_eq(rig_write(&file, "after", 5, 6000), 5);
	kit_pass(s);
	OK(source_seal_all(s, &e));
	ck_assert(kit_replay(&k, s->sealed.dir));
	ck_assert_uint_eq(k.breaks, 0);
}
END_TEST

START_TEST(a_lost_control_file_ends_the_epoch)
{
	struct capture_volume v;
	struct err e = {0};
	char path[200], text[UUID_TEXT];

	capture_volume_get(c, 0, &v);
	source_close(s);
	rig_file_close(&file);
	capture_detach(c);
	(void)snprintf(path, sizeof(path), "%.100s/active/%s", k.home.path,
	    uuid_text(&k.group.uuid, text));
	unit_remove_tree(path);
	OK(capture_create(k.home.path, &k.group.uuid, (gid_t)-1, &e));
	OK(capture_add_volume(k.home.path, &k.group.uuid, &v, &e));
	OK(capture_accept_volumes(k.home.path, &k.group.uuid, &e));
	s = kit_source(&k);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	check_recovers(1);
}
END_TEST

/* What was captured and not sealed comes with the recovery; no mirror has to
 * know of it. Twice, as after a crash in between. */
START_TEST(files_made_anew_end_the_epoch)
{
	struct capture_volume v;
	struct err e = {0};
	char path[200], text[UUID_TEXT];

	capture_volume_get(c, 0, &v);
	ck_assert_int_eq(rig_write(&file, "not sealed", 10, 50000), 10);
	source_close(s);
	rig_file_close(&file);
	(void)snprintf(path, sizeof(path), "%.100s/active/%s/control",
	    k.home.path, uuid_text(&k.group.uuid, text));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_lt(
	    capture_rebuild(k.home.path, &k.group.uuid, &v, 1, &e), 0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	capture_detach(c);
	OK(capture_rebuild(k.home.path, &k.group.uuid, &v, 1, &e));
	OK(capture_rebuild(k.home.path, &k.group.uuid, &v, 1, &e));
	s = kit_source(&k);
	ck_assert(strstr(s->break_reason, "lost or damaged") != NULL);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	check_recovers(1);
}
END_TEST

/* A role that has the old ones open does not go on with them. */
START_TEST(a_role_leaves_files_that_were_replaced)
{
	struct capture_volume v;
	struct err e = {0};

	capture_volume_get(c, 0, &v);
	rig_file_close(&file);
	capture_detach(c);
	OK(capture_rebuild(k.home.path, &k.group.uuid, &v, 1, &e));
	ck_assert_int_eq(source_pass(s, &e), -1);
	ck_assert_int_eq(e.kind, ERR_FATAL);
	source_close(s);
	s = kit_source(&k);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	check_recovers(1);
}
END_TEST

static int
open_tip(int flags)
{
	char name[JOURNAL_NAME_LEN];

	(void)journal_name(s->tip.at.epoch_number, s->tip.at.sequence, name);
	return openat(s->sealed.dir, name, flags | O_CLOEXEC);
}

static void
check_refused(const char *says)
{
	struct source *again = NULL;
	struct err e = {0};

	ck_assert_int_eq(
	    source_open(&k.home, &k.group, k.destination, 1, &again, &e), -1);
	ck_assert_msg(e.kind == ERR_REFUSED, "kind %d: %s", e.kind, e.text);
	ck_assert_msg(strstr(e.text, says) != NULL, "%s", e.text);
}

START_TEST(a_damaged_tip_is_never_continued)
{
	uint8_t was, now;
	struct stat st;
	off_t i;
	int fd = open_tip(O_RDWR);

	ck_assert_int_eq(fstat(fd, &st), 0);
	for (i = 0; i < st.st_size; i += 37) {
		ck_assert_int_eq(pread(fd, &was, 1, i), 1);
		now = was ^ 0x20;
		ck_assert_int_eq(pwrite(fd, &now, 1, i), 1);
		check_refused("cannot be believed");
		ck_assert_int_eq(pwrite(fd, &was, 1, i), 1);
	}
	ck_assert_int_eq(ftruncate(fd, st.st_size - 1), 0);
	check_refused("cannot be believed");
	close(fd);
}
END_TEST

START_TEST(a_missing_tip_is_never_continued)
{
	char name[JOURNAL_NAME_LEN];
	struct err e = {0};

	(void)journal_name(s->tip.at.epoch_number, s->tip.at.sequence, name);
	OK(io_remove(s->sealed.dir, name, &e));
	check_refused("put them back");
}
END_TEST

/* ---- what a recovery copies in (design 9.10) ---- */

#define EXTENTS 6

static void
setup_large(void)
{
	begin(EXTENTS * CAPTURE_EXTENT);
	s->cooling.rest_ms = 0;
	s->cooling.keep = 0;
	s->cooling.next_ns = 0;
}

static void
write_to(uint64_t extent)
{
	ck_assert_int_eq(
	    rig_write(&file, "written", 7, extent * CAPTURE_EXTENT + 5000), 7);
}

/* The machine stops; all come back. `damage`: the activity log did not. */
static void
crash(uint8_t number, bool damage)
{
	uint8_t boot[16] = {number, 3};
	char path[256], text[UUID_TEXT];

	source_close(s);
	rig_file_close(&file);
	capture_detach(c);
	(void)snprintf(path, sizeof(path), "%.100s/active/%s/activity",
	    k.home.path, uuid_text(&k.group.uuid, text));
	if (damage)
		ck_assert_int_eq(truncate(path, 1), 0);
	capture_test_boot(boot);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	s = kit_source(&k);
	s->cooling.rest_ms = 0;
	s->cooling.keep = 0;
	s->cooling.next_ns = 0;
}

/* Bytes that are copied in since the last call, when all is at rest. */
static uint64_t
copied_in(uint64_t was)
{
	struct err e = {0};

	kit_pass(s);
	OK(source_seal_all(s, &e));
	kit_pass(s);
	ck_assert(kit_replay(&k, s->sealed.dir));
	ck_assert_uint_eq(s->jobs[0].state, JOB_DONE);
	ck_assert(!s->recovering);
	return k.copied + k.zeroed - was;
}

/* Rounds of the coordinator until nothing is marked. */
static void
cool_down(void)
{
	struct err e = {0};
	int n;

	for (n = 0; n < 10 && capture_marked_count(s->capture) > 0; n++) {
		kit_pass(s);
		OK(source_seal_all(s, &e));
	}
	ck_assert_uint_eq(capture_marked_count(s->capture), 0);
}

START_TEST(design_9_10_only_what_is_marked_is_copied_in)
{
	uint64_t base;

	cool_down();
	ck_assert(kit_replay(&k, s->sealed.dir));
	base = k.copied + k.zeroed;
	ck_assert_uint_ge(base, EXTENTS * CAPTURE_EXTENT);
	write_to(3);
	write_to(1);
	crash(1, false);
	ck_assert_uint_eq(copied_in(base), 2 * CAPTURE_EXTENT);
	ck_assert_uint_eq(k.breaks, 1);
	cool_down();
	/* A crash that nothing was written before costs nothing. */
	write_to(5);
	cool_down();
	base = k.copied + k.zeroed;
	crash(2, false);
	ck_assert_uint_eq(copied_in(base), 0);
	ck_assert_uint_eq(k.breaks, 2);
}
END_TEST

/* What an earlier break knew to be enough is not enough for this one. */
START_TEST(a_suspect_volume_is_copied_in_whole_also_after_a_crash)
{
	struct err e = {0};
	uint32_t segment, slot;
	uint64_t base;

	cool_down();
	write_to(3);
	crash(1, false);
	(void)copied_in(0);
	cool_down();
	base = k.copied + k.zeroed;
	s->break_ns = 0;
	if (_i == 0)
		capture_suspect(c);
	else {
		write_to(4);
		ck_assert(segment_find(c, s->tip.at.last + 1, &segment, &slot));
		ck_assert(segment_open(c, segment));
		segment_slot(c, segment, slot)->off = UINT64_C(1) << 60;
		ck_assert_int_eq(source_seal_all(s, &e), -1);
	}
	ck_assert_uint_eq(copied_in(base), EXTENTS * CAPTURE_EXTENT);
	ck_assert_uint_eq(k.breaks, 2);
}
END_TEST

START_TEST(design_9_10_a_mark_outlives_what_is_not_flushed)
{
	struct ladder l = {.op = SYS_FDATASYNC, .trouble = EINTR, .rung = 999};
	struct err e = {0};
	int n;

	cool_down();
	write_to(3);
	OK(source_seal_all(s, &e));
	kit_pass(s);
	/* The round waits for a flush of the volumes, which it makes. */
	s->cooling.next_ns = UINT64_MAX;
	write_to(4);
	ladder_set(&l);
	for (n = 0; n < 5; n++)
		(void)!source_pass(s, &e);
	ck_assert_uint_ge(capture_marked_count(s->capture), 1);
	s->cooling.next_ns = 0;
	cool_down();
	ladder_unset();
	ck_assert_int_gt(l.seen, 0);
}
END_TEST

START_TEST(design_9_10_a_log_that_is_lost_means_everything)
{
	uint64_t base;

	cool_down();
	ck_assert(kit_replay(&k, s->sealed.dir));
	base = k.copied + k.zeroed;
	write_to(3);
	crash(1, true);
	ck_assert_uint_eq(copied_in(base), EXTENTS * CAPTURE_EXTENT);
	/* It counts again from there. */
	cool_down();
	base = k.copied + k.zeroed;
	write_to(5);
	crash(2, false);
	ck_assert_uint_eq(copied_in(base), CAPTURE_EXTENT);
}
END_TEST

START_TEST(a_recovery_that_was_not_finished_is_in_the_next_one)
{
	struct err e = {0};
	uint64_t base;

	cool_down();
	ck_assert(kit_replay(&k, s->sealed.dir));
	base = k.copied + k.zeroed;
	write_to(3);
	crash(1, false);
	ck_assert(s->recovering);
	write_to(5);
	/* Its BEGIN is sealed, or its END is captured and not sealed. */
	while (_i == 1 && s->jobs[0].state != JOB_DONE)
		ck_assert_int_ge(copyin_step(s, &e), 0);
	crash(2, false);
	ck_assert(s->recovering);
	ck_assert(s->jobs[0].marked);
	ck_assert_uint_eq(copied_in(base), 2 * CAPTURE_EXTENT);
}
END_TEST

START_TEST(a_list_of_extents_that_is_damaged_means_everything)
{
	char name[UUID_TEXT + 16], text[UUID_TEXT];
	struct err e = {0};
	uint64_t base;
	uint8_t byte;
	int fd;

	cool_down();
	ck_assert(kit_replay(&k, s->sealed.dir));
	base = k.copied + k.zeroed;
	write_to(3);
	crash(1, false);
	(void)snprintf(
	    name, sizeof(name), "%s.extents", uuid_text(&k.group.uuid, text));
	fd = openat(k.home.state, name, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, &byte, 1, 50 + _i), 1);
	byte ^= 4;
	ck_assert_int_eq(pwrite(fd, &byte, 1, 50 + _i), 1);
	close(fd);
	source_close(s);
	s = kit_source(&k);
	OK(source_jobs(s, true, &e));
	ck_assert_uint_eq(copied_in(base), EXTENTS * CAPTURE_EXTENT);
}
END_TEST

START_TEST(a_base_that_has_no_end_is_begun_again_whole)
{
	struct err e = {0};
	uint64_t base;

	cool_down();
	kit_base(&k);
	OK(source_jobs(s, true, &e));
	while (s->jobs[0].state != JOB_DONE)
		ck_assert_int_ge(copyin_step(s, &e), 0);
	ck_assert(kit_replay(&k, s->sealed.dir));
	base = k.copied + k.zeroed;
	crash(1, false);
	ck_assert(!s->jobs[0].marked);
	ck_assert_uint_eq(copied_in(base), EXTENTS * CAPTURE_EXTENT);
}
END_TEST

/* Each call on the way into a new epoch fails once: it is done again. */
START_TEST(a_recovery_begins_whatever_fails)
{
	struct ladder l = {.op = -1, .trouble = EIO, .rung = _i * 6};
	struct source *again = NULL;
	uint8_t boot[16] = {9, 1};
	struct err e = {0};
	uint64_t base;

	cool_down();
	ck_assert(kit_replay(&k, s->sealed.dir));
	base = k.copied + k.zeroed;
	write_to(3);
	source_close(s);
	rig_file_close(&file);
	capture_detach(c);
	capture_test_boot(boot);
	ladder_set(&l);
	if (source_open(&k.home, &k.group, k.destination, 1, &again, &e) == 0)
		source_close(again);
	ladder_unset();
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	s = kit_source(&k);
	ck_assert_uint_eq(copied_in(base), CAPTURE_EXTENT);
	ck_assert_uint_eq(k.breaks, 1);
}
END_TEST

/* ---- the spool limit (design 9.11) ---- */

#define LIMIT (UINT64_C(1) << 20)

static void
acknowledge_all(void)
{
	struct ack a;

	kit_fill_ack(&k, 0, &a);
	a.stored = a.applied = a.durable = s->tip.at;
	kit_save_ack(&k, 0, &a);
}

static void
setup_spool(void)
{
	setup_large();
	k.group.spool_limit = LIMIT;
	k.group.spool_policy = CAPTURE_PASS;
	cool_down();
	ck_assert(kit_replay(&k, s->sealed.dir));
	acknowledge_all();
	source_close(s);
	s = kit_source(&k);
	s->prune_ns = 0;
	kit_pass(s);
}

static enum capture_mode
mode(void)
{
	struct capture_status st;

	capture_status(s->capture, &st);
	return st.mode;
}

/* Writes to that extent until nothing is captured any more. */
static void
fill_spool(uint64_t extent)
{
	static uint8_t much[200000];
	int i;

	rig_fill(much, sizeof(much), extent + s->tip.at.last);
	for (i = 0; i < 20 && mode() == CAPTURE_ON; i++)
		ck_assert_int_eq(
		    rig_write(&file, much, sizeof(much),
			extent * CAPTURE_EXTENT + (uint64_t)i * sizeof(much)),
		    sizeof(much));
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
}

static void
pass_and_seal(void)
{
	struct err e = {0};

	s->prune_ns = 0;
	kit_pass(s);
	OK(source_seal_all(s, &e));
	kit_pass(s);
}

START_TEST(design_9_11_passthrough_is_left_when_there_is_room)
{
	uint64_t copied = k.copied + k.zeroed;

	fill_spool(3);
	pass_and_seal();
	ck_assert_str_eq(source_event(s), "the spool is full: writes pass "
					  "without being captured, what they "
					  "change is remembered");
	ck_assert_ptr_null(source_event(s));
	write_to(1); /* passes */
	/* No acknowledgement, no room: it stays. */
	s->passing.next_ns = 0;
	pass_and_seal();
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	(void)kit_follow(&k, s->sealed.dir);
	ck_assert_uint_eq(k.breaks, 0);
	/* An acknowledgement, but not yet the time. */
	acknowledge_all();
	s->passing.next_ns = UINT64_MAX;
	pass_and_seal();
	ck_assert_uint_lt(source_spool(s), LIMIT / 2);
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	s->passing.next_ns = 0;
	pass_and_seal();
	ck_assert_int_eq(mode(), CAPTURE_ON);
	pass_and_seal();
	ck_assert(kit_follow(&k, s->sealed.dir));
	ck_assert_uint_eq(k.breaks, 1);
	ck_assert_uint_eq(k.copied + k.zeroed - copied, 2 * CAPTURE_EXTENT);
	ck_assert(!s->recovering);
	ck_assert_uint_eq(s->passing.wait_ms, 0);
	ck_assert_ptr_nonnull(source_event(s));
	write_to(5);
	pass_and_seal();
	ck_assert(kit_follow(&k, s->sealed.dir));
}
END_TEST

START_TEST(design_9_11_room_without_a_fresh_word_is_not_enough)
{
	fill_spool(3);
	pass_and_seal();
	s->group.spool_limit = 100 * LIMIT;
	s->passing.next_ns = 0;
	pass_and_seal();
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	acknowledge_all();
	pass_and_seal();
	ck_assert_int_eq(mode(), CAPTURE_ON);
}
END_TEST

/* As with --once from cron: nobody is there in between. */
START_TEST(design_9_11_it_is_left_by_a_coordinator_that_finds_it)
{
	struct err e = {0};
	int n;

	for (n = 0; n < 3; n++) {
		fill_spool((uint64_t)n);
		pass_and_seal();
		ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
		(void)kit_follow(&k, s->sealed.dir);
		source_close(s);
		s = kit_source(&k);
		kit_pass(s);
		ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
		acknowledge_all();
		source_close(s);
		s = kit_source(&k);
		s->prune_ns = 0;
		kit_pass(s);
		ck_assert_int_eq(mode(), CAPTURE_ON);
		/* Only the last one is brought to its end. */
		if (n == 1)
			continue;
		OK(source_seal_all(s, &e));
		kit_pass(s);
		ck_assert(kit_follow(&k, s->sealed.dir));
		acknowledge_all();
	}
}
END_TEST

START_TEST(design_9_11_each_recovery_that_fails_doubles_the_wait)
{
	uint32_t wait_ms = 0;
	struct err e = {0};
	int n;

	for (n = 0; n < 4; n++) {
		fill_spool(3);
		pass_and_seal();
		ck_assert(s->passing.on);
		ck_assert_uint_ge(s->passing.wait_ms, 2 * wait_ms);
		wait_ms = s->passing.wait_ms;
		(void)kit_follow(&k, s->sealed.dir);
		acknowledge_all();
		s->passing.next_ns = 0;
		s->prune_ns = 0;
		s->break_ns = 0;
		while (mode() == CAPTURE_PASSTHROUGH)
			ck_assert_int_ge(source_pass(s, &e), 0);
		ck_assert(s->recovering);
		write_to((uint64_t)n);
		/* Its copy-in has not ended when the spool is full again. */
	}
	fill_spool(4);
	pass_and_seal();
	(void)kit_follow(&k, s->sealed.dir);
	acknowledge_all();
	s->passing.next_ns = 0;
	s->break_ns = 0;
	pass_and_seal();
	pass_and_seal();
	ck_assert(kit_follow(&k, s->sealed.dir));
	ck_assert(!s->recovering);
	ck_assert_uint_eq(s->passing.wait_ms, 0);
}
END_TEST

/* What it has brought is good; only the rest, and what writes have changed
 * while they passed, is copied in. A mirror must not begin with that. */
START_TEST(design_9_11_a_base_goes_on_where_it_was)
{
	uint64_t copied = k.copied + k.zeroed;
	struct err e = {0};

	kit_base(&k);
	OK(source_jobs(s, true, &e));
	while (s->jobs[0].off < 2 * CAPTURE_EXTENT)
		ck_assert_int_ge(copyin_step(s, &e), 0);
	fill_spool(3);
	write_to(0);
	pass_and_seal();
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	(void)kit_follow(&k, s->sealed.dir);
	ck_assert_uint_eq(k.copied + k.zeroed - copied, 2 * CAPTURE_EXTENT);
	acknowledge_all();
	s->prune_ns = 0;
	s->passing.next_ns = 0;
	while (mode() == CAPTURE_PASSTHROUGH)
		ck_assert_int_ge(source_pass(s, &e), 0);
	ck_assert(s->jobs[0].marked);
	ck_assert_int_eq(s->jobs[0].kind, COPYIN_RECOVERY);
	if (_i == 1)
		crash(7, false);
	pass_and_seal();
	ck_assert(kit_follow(&k, s->sealed.dir));
	ck_assert_uint_eq(
	    k.copied + k.zeroed - copied, (2 + 5) * CAPTURE_EXTENT);
	ck_assert_uint_eq(s->jobs[0].state, JOB_DONE);
	ck_assert(!s->recovering);
}
END_TEST

/* Each call on the way out fails, and the coordinator ends there; or the
 * machine does. */
START_TEST(design_9_11_passthrough_is_left_whatever_fails)
{
	struct ladder l = {.op = -1, .trouble = EIO, .stays = true};
	struct err e = {0};
	int n;

	fill_spool(3);
	write_to(1);
	pass_and_seal();
	(void)kit_follow(&k, s->sealed.dir);
	acknowledge_all();
	s->prune_ns = 0;
	kit_pass(s);
	s->passing.next_ns = 0;
	l.rung = _i / 2 * 3;
	ladder_set(&l);
	for (n = 0; n < 20; n++)
		(void)!source_pass(s, &e);
	ladder_unset();
	write_to(2);
	if (_i % 2 == 0)
		crash((uint8_t)(1 + _i), false);
	else {
		source_close(s);
		s = kit_source(&k);
	}
	for (n = 0; n < 4; n++) {
		(void)kit_follow(&k, s->sealed.dir);
		acknowledge_all();
		pass_and_seal();
		s->passing.next_ns = 0;
		acknowledge_all();
		s->break_ns = 0;
	}
	ck_assert_int_eq(mode(), CAPTURE_ON);
	ck_assert(kit_follow(&k, s->sealed.dir));
	ck_assert(!s->recovering);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("break");
	TCase *t = tcase_create("epochs");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, damaged_shared_memory_is_announced_not_skipped);
	tcase_add_test(t, a_slot_that_makes_no_sense_ends_the_epoch);
	tcase_add_test(t, a_flush_that_failed_ends_the_epoch);
	tcase_add_test(t, a_machine_that_went_down_ends_the_epoch);
	tcase_add_test(t, a_clean_close_needs_no_recovery);
	tcase_add_test(t, a_lost_control_file_ends_the_epoch);
	tcase_add_test(t, files_made_anew_end_the_epoch);
	tcase_add_test(t, a_role_leaves_files_that_were_replaced);
	tcase_add_test(t, a_damaged_tip_is_never_continued);
	tcase_add_test(t, a_missing_tip_is_never_continued);
	suite_add_tcase(suite, t);
	t = tcase_create("extents");
	tcase_add_checked_fixture(t, setup_large, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, design_9_10_only_what_is_marked_is_copied_in);
	tcase_add_loop_test(
	    t, a_suspect_volume_is_copied_in_whole_also_after_a_crash, 0, 2);
	tcase_add_test(t, design_9_10_a_mark_outlives_what_is_not_flushed);
	tcase_add_test(t, design_9_10_a_log_that_is_lost_means_everything);
	tcase_add_loop_test(
	    t, a_recovery_that_was_not_finished_is_in_the_next_one, 0, 2);
	tcase_add_loop_test(
	    t, a_list_of_extents_that_is_damaged_means_everything, 0, 3);
	tcase_add_test(t, a_base_that_has_no_end_is_begun_again_whole);
	tcase_add_loop_test(t, a_recovery_begins_whatever_fails, 0, 7);
	suite_add_tcase(suite, t);
	t = tcase_create("spool");
	tcase_add_checked_fixture(t, setup_spool, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, design_9_11_passthrough_is_left_when_there_is_room);
	tcase_add_test(t, design_9_11_room_without_a_fresh_word_is_not_enough);
	tcase_add_test(
	    t, design_9_11_it_is_left_by_a_coordinator_that_finds_it);
	tcase_add_test(
	    t, design_9_11_each_recovery_that_fails_doubles_the_wait);
	tcase_add_loop_test(t, design_9_11_a_base_goes_on_where_it_was, 0, 2);
	tcase_add_loop_test(
	    t, design_9_11_passthrough_is_left_whatever_fails, 0, 16);
	suite_add_tcase(suite, t);
	return unit_run(suite);
}
