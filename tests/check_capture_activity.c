/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The activity log (design 9.10): marked durably before the first write,
 * unmarked when nothing can be lost, believed only when it is whole.
 */
#include "aimdriver/activity.h"
#include "common/clock.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define MIB (UINT64_C(1) << 20)
#define EXTENT (4 * MIB)
#define EXTENTS 16

static struct rig rig;
static struct capture *c, *sealer;
static struct rig_file file;
static uint8_t data[256 << 10];

static void
enter(void)
{
	c = rig_attach(&rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &rig, 0);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
}

static void
leave(void)
{
	rig_file_close(&file);
	capture_detach(c);
	capture_detach(sealer);
}

static void
setup(void)
{
	rig_fill(data, sizeof(data), 5);
	rig_open(&rig, 2, EXTENTS * EXTENT);
	rig_start(&rig);
	enter();
}

static void
teardown(void)
{
	ladder_unset();
	capture_test_boot(NULL);
	leave();
	rig_close(&rig);
}

static void
reboot(uint8_t number)
{
	uint8_t id[16] = {number, 77};

	leave();
	capture_test_boot(id);
	enter();
}

/* Is it marked? Of volume 0; `all` counts. */
static bool
is_marked(uint64_t extent)
{
	uint8_t bits[EXTENTS * 8] = {0};
	struct err e = {0};
	bool all;

	ck_assert_int_eq(
	    capture_marked(sealer, 0, bits, sizeof(bits) * 8, &all, &e), 0);
	return all || (bits[extent / 8] >> extent % 8 & 1) != 0;
}

static bool
is_all_marked(void)
{
	uint8_t bits[1] = {0};
	struct err e = {0};
	bool all;

	ck_assert_int_eq(capture_marked(sealer, 0, bits, 8, &all, &e), 0);
	return all;
}

static void
write_at(uint64_t off)
{
	ck_assert_int_eq(rig_write(&file, data, 5000, off), 5000);
}

/* The syncs of the log that a write costs. */
static int
syncs_of(uint64_t off)
{
	struct ladder l = {.rung = 1000, .op = SYS_MSYNC};

	ladder_set(&l);
	write_at(off);
	ladder_unset();
	return l.seen;
}

/* One round of taking marks away, as the coordinator does it. */
static void
unmark(void)
{
	uint8_t bits[ACTIVITY_PAGE_EXTENTS / 8] = {0};
	uint64_t i, n = capture_marks_end(sealer, 0);
	struct err e = {0};
	bool all;

	ck_assert_uint_le(n, sizeof(bits) * 8);
	ck_assert_int_eq(capture_marked(sealer, 0, bits, n, &all, &e), 0);
	for (i = 0; i < n; i++)
		if (!capture_cool(sealer, 0, i))
			bits[i / 8] &= (uint8_t) ~(1u << i % 8);
	(void)rig_drain(&rig, sealer);
	ck_assert_int_eq(capture_flush_volumes(sealer, &e), 0);
	ck_assert_int_ge(capture_unmark(sealer, 0, bits, n, &e), 0);
}

/* ---- marking ---- */

START_TEST(design_9_10_an_extent_is_marked_before_it_is_written)
{
	ck_assert(!is_marked(2));
	ck_assert_int_gt(syncs_of(2 * EXTENT + 5), 0);
	ck_assert(is_marked(2));
	ck_assert(!is_marked(1));
	ck_assert(!is_marked(3));
	/* What is hot costs none; a write over a boundary marks both. */
	ck_assert_int_eq(syncs_of(2 * EXTENT + 70000), 0);
	ck_assert_int_eq(syncs_of(7 * EXTENT - 100), 1);
	ck_assert(is_marked(6) && is_marked(7));
}
END_TEST

START_TEST(design_9_10_no_mark_no_write)
{
	struct ladder l = {.op = SYS_MSYNC, .trouble = EIO, .stays = true};
	uint8_t was[5000], now[5000];

	write_at(0); /* the log has its first page */
	ck_assert_int_eq(pread(file.fd, was, 5000, EXTENT), 5000);
	ladder_set(&l);
	ck_assert_int_eq(rig_write(&file, data, 5000, EXTENT), -EIO);
	ck_assert_ptr_nonnull(strstr(capture_trouble(c), "activity"));
	ladder_unset();
	ck_assert_int_eq(pread(file.fd, now, 5000, EXTENT), 5000);
	ck_assert_mem_eq(was, now, 5000);
	/* That the bit is set in memory is not enough. */
	ck_assert_int_eq(syncs_of(EXTENT), 1);
	rig_compare(&rig, sealer);
}
END_TEST

START_TEST(what_makes_a_mark_fails_at_each_call)
{
	struct ladder l = {.op = -1, .trouble = ENOSPC};
	bool struck = true;

	for (; struck; l.rung++) {
		int64_t r;

		reboot((uint8_t)(1 + l.rung));
		ladder_set(&l);
		r = rig_write(&file, data, 5000, EXTENT);
		ladder_unset();
		struck = l.struck;
		ck_assert(r == 5000 || struck);
		write_at(EXTENT);
		ck_assert(is_marked(1));
		rig_compare(&rig, sealer);
		ck_assert_int_eq(capture_close_clean(sealer, NULL), 1);
	}
	ck_assert_int_ge(l.rung, 4);
}
END_TEST

START_TEST(a_sequential_writer_seldom_waits)
{
	uint64_t off;
	int syncs = 0;

	write_at(0);
	for (off = 0; off + sizeof(data) <= EXTENTS * EXTENT;
	     off += sizeof(data))
		syncs += syncs_of(off);
	ck_assert_int_le(syncs, 3);
	/* Scattered ones mark what they touch. */
	rig_compare(&rig, sealer);
	ck_assert_int_eq(capture_close_clean(sealer, NULL), 1);
	write_at(4 * EXTENT);
	write_at(9 * EXTENT);
	ck_assert_uint_eq(capture_marked_count(sealer), 2);
}
END_TEST

START_TEST(a_change_of_size_marks_all_between)
{
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, EXTENT + 5, 0), 0);
	ck_assert(!is_marked(0));
	ck_assert(is_marked(1));
	ck_assert(is_marked(EXTENTS - 1));
	rig_compare(&rig, sealer);
	ck_assert_int_eq(capture_close_clean(sealer, NULL), 1);
	write_at(4 * EXTENT);
	ck_assert(!is_marked(0));
	ck_assert(is_marked(1) && is_marked(2) && is_marked(4));
	/* Far away: the log grows. */
	ck_assert_int_eq(rig_append(&file, data, 100), 100);
	write_at(500 * 1024 * MIB);
	ck_assert(is_marked(100));
	ck_assert_uint_ge(capture_marked_count(sealer), 500 * 256);
	ck_assert_uint_lt(
	    capture_marked_count(sealer), 500 * 256 + ACTIVITY_AHEAD);
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, EXTENT, 0), 0);
	rig_compare(&rig, sealer);
}
END_TEST

START_TEST(what_is_beyond_the_last_extent_shares_its_bit)
{
	uint64_t last = ACTIVITY_EXTENTS - 1;

	ck_assert_uint_eq(capture_extent_of(INT64_MAX), last);
	ck_assert_uint_eq(capture_extent_of(last * EXTENT), last);
	ck_assert_uint_eq(capture_extent_of(last * EXTENT - 1), last - 1);
	ck_assert_int_eq(
	    activity_mark(c, 1, last * EXTENT + 99 * MIB, 1000 * MIB), 0);
	ck_assert(activity_is_hot(c, 1, INT64_MAX - 1000, 900));
	ck_assert(!activity_is_hot(c, 1, last * EXTENT - 1, 2));
	ck_assert(capture_cool(sealer, 1, last));
	ck_assert(!activity_is_hot(c, 1, INT64_MAX - 1000, 900));
}
END_TEST

/* ---- unmarking ---- */

START_TEST(design_9_10_what_stays_cold_is_unmarked)
{
	uint8_t bits[EXTENTS / 8] = {0xff, 0xff};
	struct err e = {0};
	uint64_t i;

	write_at(0);
	write_at(3 * EXTENT);
	for (i = 0; i < EXTENTS; i++)
		ck_assert(capture_cool(sealer, 0, i) || i > 4000);
	/* Hot again, without a sync; and one that is new. */
	ck_assert_int_eq(syncs_of(3 * EXTENT + 9000), 0);
	ck_assert_int_eq(syncs_of(8 * EXTENT), 1);
	(void)rig_drain(&rig, sealer);
	ck_assert_int_eq(capture_flush_volumes(sealer, &e), 0);
	ck_assert_int_eq(capture_unmark(sealer, 0, bits, EXTENTS, &e), 1);
	ck_assert(!is_marked(0));
	ck_assert(is_marked(3) && is_marked(8));
	ck_assert_int_eq(syncs_of(500), 1);
	ck_assert(is_marked(0));
}
END_TEST

START_TEST(design_9_10_who_is_on_the_way_keeps_its_extent)
{
	struct hold h = {.volume = 0};
	struct err e = {0};

	write_at(EXTENT);
	hold_range(c, &h, EXTENT + 70000, 10);
	ck_assert_int_eq(hold_take_settled(c, &h, &e), 0);
	ck_assert(!capture_cool(sealer, 0, 1));
	hold_release(c, &h);
	ck_assert(capture_cool(sealer, 0, 1));
	/* A change of size holds one stripe only, but the size lock. */
	h = (struct hold){.volume = 0, .want_size = true};
	hold_resize(c, &h, EXTENT, EXTENTS * EXTENT);
	ck_assert_int_eq(hold_take_settled(c, &h, &e), 0);
	ck_assert(!capture_cool(sealer, 0, 1));
	hold_release(c, &h);
}
END_TEST

START_TEST(a_clean_close_takes_all_marks_away)
{
	struct err e = {0};

	write_at(0);
	write_at(5 * EXTENT);
	rig_compare(&rig, sealer);
	ck_assert_int_eq(capture_close_clean(sealer, &e), 1);
	ck_assert_uint_eq(capture_marked_count(sealer), 0);
	ck_assert_int_gt(syncs_of(5 * EXTENT), 0);
	ck_assert(is_marked(5));
}
END_TEST

/* ---- boots and damage ---- */

START_TEST(marks_outlive_a_host_crash)
{
	write_at(2 * EXTENT);
	reboot(1);
	ck_assert(is_marked(2));
	ck_assert(!is_marked(3));
	ck_assert(!is_all_marked());
	/* Nothing is hot, and what passes now is marked (design 9.11). */
	ck_assert(is_passing_through(c));
	ck_assert(!activity_is_hot(c, 0, 2 * EXTENT, 1));
	ck_assert_int_gt(syncs_of(9 * EXTENT), 0);
	ck_assert(is_marked(9));
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, 10, 0), 0);
	ck_assert(is_marked(0));
	reboot(2);
	ck_assert(is_marked(2) && is_marked(9) && is_marked(0));
}
END_TEST

START_TEST(marks_of_a_group_that_was_closed_are_gone)
{
	write_at(2 * EXTENT);
	rig_compare(&rig, sealer);
	ck_assert_int_eq(capture_close_clean(sealer, NULL), 1);
	/* As if that had not reached the disk. */
	ck_assert_int_eq(activity_mark(c, 0, 3 * EXTENT, 1), 0);
	reboot(1);
	ck_assert(!is_marked(2) && !is_marked(3));
	ck_assert_int_gt(syncs_of(2 * EXTENT), 0);
}
END_TEST

static void
path_of(char path[256], const char *name)
{
	char text[UUID_TEXT];

	(void)snprintf(path, 256, "%s/active/%s/%s", rig.home,
	    uuid_text(&rig.group, text), name);
}

static const off_t damages[] = {0, 9, 12, 20, 40, 48, 57, 4096, 4096 + 8,
    4096 + 504, 4096 + 512 + 3, 4096 + 4095};

START_TEST(a_damaged_log_means_everything)
{
	struct err e = {0};
	char path[256];
	uint8_t byte;
	int fd;

	write_at(2 * EXTENT);
	path_of(path, "activity");
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, damages[_i]), 1);
	byte ^= 0x10;
	ck_assert_int_eq(pwrite(fd, &byte, 1, damages[_i]), 1);
	close(fd);
	if (_i % 2 == 0)
		write_at(3 * EXTENT); /* does not hide it */
	reboot(1);
	ck_assert(is_all_marked());
	write_at(4 * EXTENT);
	reboot(2);
	ck_assert(is_all_marked());
	ck_assert_int_eq(capture_forgive(sealer, &e), 0);
	ck_assert(!is_all_marked());
	ck_assert(is_marked(4));
}
END_TEST

START_TEST(a_lost_log_means_everything)
{
	char path[256];

	write_at(2 * EXTENT);
	path_of(path, "activity");
	leave();
	if (_i == 0)
		ck_assert_int_eq(unlink(path), 0);
	else
		ck_assert_int_eq(truncate(path, 3 * MIB), 0);
	enter();
	ck_assert(is_all_marked());
	reboot(1);
	ck_assert(is_all_marked());
	write_at(EXTENT);
	ck_assert(is_all_marked());
}
END_TEST

START_TEST(a_log_lost_among_writers_is_not_made_anew)
{
	struct capture *other = NULL;
	struct err e = {0};
	char path[256];

	write_at(2 * EXTENT);
	path_of(path, "activity");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(is_all_marked());
	ck_assert_int_eq(
	    capture_attach(rig.home, &rig.group, CAPTURE_WRITER, &other, &e),
	    -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "end them first"));
	leave();
	enter();
	write_at(EXTENT);
}
END_TEST

/* ---- death ---- */

static enum capture_step die_at;

static void
die(enum capture_step s)
{
	if (s == die_at)
		(void)kill(getpid(), SIGKILL);
}

static bool
child_dies(void (*deed)(void), enum capture_step at)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		enter();
		die_at = at;
		capture_test_step = die;
		deed();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status);
}

static void
write_cold(void)
{
	(void)rig_write(&file, data, 5000, 4 * EXTENT - 2500);
}

static const enum capture_step steps[] = {STEP_COLD, STEP_MARKING, STEP_MARKED,
    STEP_MARK_SYNCED, STEP_HOT, STEP_LOCKED, STEP_ISSUED, STEP_COOLING,
    STEP_UNMARKING};
#define STEPS ((int)(sizeof(steps) / sizeof(steps[0])))

/* Whenever a writer is killed: what it may have written is marked, the log is
 * whole, and others go on. */
START_TEST(design_9_10_a_writer_dies_while_it_marks)
{
	bool dies = _i < 7;

	write_at(0);
	ck_assert_int_eq(child_dies(write_cold, steps[_i]), dies);
	if (_i >= 3 && steps[_i] != STEP_LOCKED)
		ck_assert(is_marked(3) && is_marked(4));
	ck_assert_int_ge(syncs_of(4 * EXTENT - 2500), _i == 0 ? 1 : 0);
	ck_assert(is_marked(3) && is_marked(4));
	ck_assert(!is_marked(7));
	rig_compare(&rig, sealer);
	write_at(9 * EXTENT);
	reboot(1);
	ck_assert(!is_all_marked());
	ck_assert(is_marked(3) && is_marked(4) && is_marked(9));
}
END_TEST

/* Whenever the coordinator is killed: nothing that counts is unmarked. */
START_TEST(design_9_10_the_coordinator_dies_while_it_unmarks)
{
	rig.no_report = true; /* the child's word would be lost with it */
	write_at(0);
	write_at(3 * EXTENT);
	(void)child_dies(unmark, steps[_i]);
	write_at(3 * EXTENT + 500000);
	ck_assert(is_marked(3));
	rig.no_report = false;
	rig_compare(&rig, sealer);
	unmark();
	unmark();
	ck_assert(!is_marked(0) && !is_marked(3));
	write_at(3 * EXTENT + 500000);
	reboot(1);
	ck_assert(!is_all_marked());
	ck_assert(is_marked(3));
}
END_TEST

/* ---- all at once ---- */

static _Atomic bool stop;

static void *
write_much(void *arg)
{
	const int *number = arg;
	uint64_t state = (uint64_t)*number + 1;
	struct rig_file f;

	rig_file_open(&f, c, &rig, 0);
	while (!atomic_load(&stop)) {
		uint64_t off = rig_random(&state) % (EXTENTS * EXTENT - 9000);

		(void)rig_write(&f, data, 1 + rig_random(&state) % 9000, off);
		clock_sleep_ms(1); /* the sealer must get to an end */
	}
	rig_file_close(&f);
	return NULL;
}

/* With everything locked: each transaction that is not sealed lies in marked
 * extents only. */
static void
check_unsealed(void)
{
	struct capture_status s;
	struct hold h;
	struct err e = {0};
	uint64_t n;

	hold_everything(&h);
	ck_assert_int_eq(hold_take_settled(sealer, &h, &e), 0);
	capture_status(sealer, &s);
	for (n = s.sealed + 1; n <= s.reserved; n++) {
		uint32_t segment, index;
		const struct slot *slot;

		ck_assert(segment_find(sealer, n, &segment, &index));
		ck_assert(segment_open(sealer, segment));
		slot = segment_slot(sealer, segment, index);
		if (slot->op != OP_WRITE)
			continue;
		ck_assert(is_marked(slot->off / EXTENT));
		ck_assert(is_marked((slot->off + slot->len - 1) / EXTENT));
	}
	hold_release(sealer, &h);
}

START_TEST(design_9_10_marks_hold_while_all_go_on)
{
	pthread_t writer[4];
	int number[4], i, round;

	for (i = 0; i < 4; i++) {
		number[i] = i;
		ck_assert_int_eq(
		    pthread_create(&writer[i], NULL, write_much, &number[i]),
		    0);
	}
	for (round = 0; round < 40; round++) {
		unmark();
		check_unsealed();
	}
	atomic_store(&stop, true);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(writer[i], NULL), 0);
	rig_compare(&rig, sealer);
	unmark();
	ck_assert_uint_eq(capture_marked_count(sealer), 0);
}
END_TEST

/* ---- the spool limit (design 9.11) ---- */

static enum capture_mode
mode(void)
{
	struct capture_status s;

	capture_status(sealer, &s);
	return s.mode;
}

/* As the coordinator does it: all sealed, capture on, then copy-in of what is
 * marked. */
static void
leave_passthrough(void)
{
	struct err e = {0};
	uint32_t v;
	bool all;

	(void)rig_drain(&rig, sealer);
	ck_assert_msg(
	    capture_set_mode(sealer, CAPTURE_ON, &e) == 0, "%s", e.text);
	for (v = 0; v < rig.volumes; v++) {
		uint8_t bits[ACTIVITY_PAGE_EXTENTS / 8] = {0};
		uint64_t i, off, end, done, n = capture_marks_end(sealer, v);

		ck_assert_int_eq(
		    capture_marked(sealer, v, bits, n, &all, &e), 0);
		ck_assert(!all);
		for (i = 0; i < n; i++) {
			off = i * EXTENT;
			end = off + EXTENT;
			if ((bits[i / 8] >> i % 8 & 1) == 0)
				continue;
			while (off < end &&
			       capture_copyin(sealer, v, off, end, &done, &e) ==
				   0 &&
			       done > 0)
				off += done;
			/* Full again: it is done once more. */
			if (e.kind != ERR_NONE) {
				ck_assert_int_eq(e.kind, ERR_REFUSED);
				return;
			}
		}
	}
}

START_TEST(design_9_11_writes_pass_when_the_spool_is_full)
{
	static uint8_t much[3 * MIB];
	struct capture_status s;
	uint64_t number;
	struct err e = {0};

	write_at(0);
	capture_set_spool(sealer, 0, 2 * MIB, CAPTURE_PASS);
	ck_assert_int_eq(
	    rig_write(&file, much, sizeof(much), 2 * EXTENT - MIB), 3 * MIB);
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	capture_status(sealer, &s);
	/* What was captured before is a prefix; nothing comes after it. */
	ck_assert_uint_ge(s.reserved, 2);
	ck_assert_uint_le(s.reserved, 4);
	ck_assert_uint_eq(s.waiting, 0);
	write_at(9 * EXTENT);
	ck_assert(is_marked(1) && is_marked(2) && is_marked(9));
	ck_assert_int_eq(rig_change(&file, OP_ZERO, 9 * EXTENT + 5, 9000), 0);
	ck_assert_int_eq(rig_append(&file, data, 5000), 5000);
	ck_assert(is_marked(EXTENTS));
	ck_assert_int_eq(capture_flushed(c, 0), 0);
	ck_assert_int_eq(
	    capture_control(c, OP_HEARTBEAT, NULL, 0, &number, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	/* Room alone changes nothing, and it is not closed. */
	capture_set_spool(sealer, 0, 0, CAPTURE_PASS);
	(void)rig_drain(&rig, sealer);
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	ck_assert_int_eq(capture_close_clean(sealer, &e), 0);
	number = rig.next;
	write_at(0);
	(void)rig_drain(&rig, sealer);
	ck_assert_uint_eq(rig.next, number);
	ck_assert_int_eq(truncate(rig.copy[0], EXTENTS * EXTENT + 5000), 0);
	leave_passthrough();
	write_at(70000);
	rig_compare(&rig, sealer);
}
END_TEST

START_TEST(design_9_11_all_volumes_of_a_group_pass_together)
{
	struct capture_status s;
	struct rig_file other;
	uint64_t number;

	rig_file_open(&other, c, &rig, 1);
	ck_assert_int_eq(rig_write(&other, data, 5000, 3 * EXTENT), 5000);
	write_at(3 * EXTENT);
	capture_set_spool(sealer, 0, 1, CAPTURE_PASS);
	write_at(5 * EXTENT);
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	capture_status(sealer, &s);
	number = s.reserved;
	ck_assert_int_eq(rig_write(&other, data, 5000, 7 * EXTENT), 5000);
	ck_assert_int_eq(rig_change(&other, OP_RESIZE, 9 * EXTENT, 0), 0);
	capture_status(sealer, &s);
	ck_assert_uint_eq(s.reserved, number);
	capture_set_spool(sealer, 0, 0, CAPTURE_PASS);
	(void)rig_drain(&rig, sealer);
	/* What the epoch that follows says of the sizes. */
	ck_assert_int_eq(truncate(rig.copy[1], 9 * EXTENT), 0);
	leave_passthrough();
	ck_assert_int_eq(rig_write(&other, data, 9000, 7 * EXTENT + 1), 9000);
	rig_compare(&rig, sealer);
	rig_file_close(&other);
}
END_TEST

/* News of a flush is not worth an epoch, and nobody waits for it. */
START_TEST(design_9_11_a_flush_does_not_begin_it)
{
	write_at(0);
	capture_set_spool(sealer, 0, 1, CAPTURE_PASS);
	ck_assert_int_eq(capture_flushed(c, 0), 0);
	ck_assert_int_eq(mode(), CAPTURE_ON);
}
END_TEST

START_TEST(design_9_12_a_change_from_outside_is_seen_while_writes_pass)
{
	struct capture *again;
	struct err e = {0};

	capture_set_spool(sealer, 0, 1, CAPTURE_PASS);
	write_at(3 * EXTENT);
	write_at(3 * EXTENT);
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	leave();
	ck_assert_int_eq(truncate(rig.path[0], EXTENT), 0);
	ck_assert_int_eq(
	    capture_attach(rig.home, &rig.group, CAPTURE_WRITER, &again, &e),
	    -1);
	ck_assert_ptr_nonnull(strstr(e.text, "changed outside AIM"));
	ck_assert_int_eq(capture_accept_volumes(rig.home, &rig.group, &e), 0);
	enter();
	{
		struct capture_status s;

		/* Marks do not tell what has changed. */
		capture_status(sealer, &s);
		ck_assert(s.suspect);
	}
}
END_TEST

START_TEST(design_9_11_a_crash_while_writes_pass)
{
	capture_set_spool(sealer, 0, 1, CAPTURE_PASS);
	write_at(3 * EXTENT);
	write_at(3 * EXTENT);
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	write_at(7 * EXTENT);
	reboot(1);
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	ck_assert(is_marked(3) && is_marked(7) && !is_marked(5));
}
END_TEST

static void
write_much_more(void)
{
	int i;

	for (i = 0; i < 9; i++)
		(void)rig_write(
		    &file, data, 60000, 5 * EXTENT + (uint64_t)i * 60000);
}

static const enum capture_step late_steps[] = {STEP_PASSING, STEP_COLD,
    STEP_MARKED, STEP_HOT, STEP_PUBLISHED, STEP_ISSUED};

/* Who switches to it, or passes, may be killed. */
START_TEST(design_9_11_a_writer_dies_while_writes_pass)
{
	capture_set_spool(sealer, 0, 100000, CAPTURE_PASS);
	ck_assert(child_dies(write_much_more, late_steps[_i]));
	write_much_more();
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	ck_assert(is_marked(5));
	/* A zeroing that is not in the stream as a whole need not be. */
	capture_set_spool(sealer, 0, 0, CAPTURE_PASS);
	leave_passthrough();
	write_at(5 * EXTENT + 100);
	rig_compare(&rig, sealer);
}
END_TEST

static void
zero_some(void)
{
	(void)rig_change(&file, OP_ZERO, 5 * EXTENT, 3 * MIB);
}

START_TEST(a_zeroing_whose_writer_died_is_settled_while_writes_pass)
{
	struct capture_status s;

	write_at(5 * EXTENT + 4000);
	ck_assert(child_dies(zero_some, STEP_ISSUED));
	capture_set_spool(sealer, 0, 1, CAPTURE_PASS);
	write_at(9 * EXTENT);
	ck_assert_int_eq(mode(), CAPTURE_PASSTHROUGH);
	write_at(5 * EXTENT + 8000); /* settles */
	(void)rig_drain(&rig, sealer);
	capture_status(sealer, &s);
	ck_assert(!s.suspect);
	ck_assert_uint_eq(s.completed, s.reserved);
	capture_set_spool(sealer, 0, 0, CAPTURE_PASS);
	leave_passthrough();
	rig_compare(&rig, sealer);
}
END_TEST

START_TEST(design_9_11_in_and_out_while_all_go_on)
{
	pthread_t writer[4];
	int number[4], i, round, passed = 0;

	capture_set_spool(sealer, 0, 200000, CAPTURE_PASS);
	for (i = 0; i < 4; i++) {
		number[i] = i;
		ck_assert_int_eq(
		    pthread_create(&writer[i], NULL, write_much, &number[i]),
		    0);
	}
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 2000 && mode() != CAPTURE_PASSTHROUGH; i++)
			clock_sleep_ms(1);
		passed += mode() == CAPTURE_PASSTHROUGH;
		leave_passthrough();
	}
	atomic_store(&stop, true);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(writer[i], NULL), 0);
	ck_assert_int_eq(passed, 5);
	capture_set_spool(sealer, 0, 0, CAPTURE_PASS);
	leave_passthrough();
	rig_compare(&rig, sealer);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("activity");
	TCase *t = tcase_create("activity");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, design_9_10_an_extent_is_marked_before_it_is_written);
	tcase_add_test(t, design_9_10_no_mark_no_write);
	tcase_add_test(t, what_makes_a_mark_fails_at_each_call);
	tcase_add_test(t, a_sequential_writer_seldom_waits);
	tcase_add_test(t, a_change_of_size_marks_all_between);
	tcase_add_test(t, what_is_beyond_the_last_extent_shares_its_bit);
	tcase_add_test(t, design_9_10_what_stays_cold_is_unmarked);
	tcase_add_test(t, design_9_10_who_is_on_the_way_keeps_its_extent);
	tcase_add_test(t, a_clean_close_takes_all_marks_away);
	tcase_add_test(t, marks_outlive_a_host_crash);
	tcase_add_test(t, marks_of_a_group_that_was_closed_are_gone);
	tcase_add_loop_test(t, a_damaged_log_means_everything, 0,
	    (int)(sizeof(damages) / sizeof(damages[0])));
	tcase_add_loop_test(t, a_lost_log_means_everything, 0, 2);
	tcase_add_test(t, a_log_lost_among_writers_is_not_made_anew);
	tcase_add_loop_test(
	    t, design_9_10_a_writer_dies_while_it_marks, 0, STEPS);
	tcase_add_loop_test(
	    t, design_9_10_the_coordinator_dies_while_it_unmarks, 0, STEPS);
	tcase_add_test(t, design_9_10_marks_hold_while_all_go_on);
	tcase_add_test(t, design_9_11_writes_pass_when_the_spool_is_full);
	tcase_add_test(t, design_9_11_all_volumes_of_a_group_pass_together);
	tcase_add_test(t, design_9_11_a_flush_does_not_begin_it);
	tcase_add_test(
	    t, design_9_12_a_change_from_outside_is_seen_while_writes_pass);
	tcase_add_test(t, design_9_11_a_crash_while_writes_pass);
	tcase_add_loop_test(t, design_9_11_a_writer_dies_while_writes_pass, 0,
	    (int)(sizeof(late_steps) / sizeof(late_steps[0])));
	tcase_add_test(
	    t, a_zeroing_whose_writer_died_is_settled_while_writes_pass);
	tcase_add_test(t, design_9_11_in_and_out_while_all_go_on);
	suite_add_tcase(s, t);
	return unit_run(s);
}
