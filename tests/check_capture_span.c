/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealer among programs that hang, fill the disk, or are out to harm it:
 * what lies in shared memory is never believed.
 */
#include "aimdriver/control.h"
#include "common/clock.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static struct rig rig;
static struct capture *writer, *sealer;
static struct rig_file file;
static uint8_t data[4 * MIB], room[CAPTURE_CHUNK];

static void
begin(uint32_t volumes, uint64_t size)
{
	rig_fill(data, sizeof(data), 5);
	rig_open(&rig, volumes, size);
	rig_start(&rig);
	writer = rig_attach(&rig, CAPTURE_WRITER);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
	rig_file_open(&file, writer, &rig, 0);
}

static void
end(void)
{
	rig_file_close(&file);
	capture_detach(writer);
	capture_detach(sealer);
	rig_close(&rig);
}

/* ---- one that hangs ---- */

static void
stop(enum capture_step s)
{
	if (s == STEP_PUBLISHED)
		(void)raise(SIGSTOP);
}

static pid_t
hang_in_a_write(uint64_t off)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct capture *c = rig_attach(&rig, CAPTURE_WRITER);
		struct rig_file f;

		rig_file_open(&f, c, &rig, 0);
		capture_test_step = stop;
		_exit(rig_write(&f, data, 100, off) == 100 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	return pid;
}

START_TEST(a_span_ends_before_one_that_hangs)
{
	struct capture_status st;
	struct capture_span s;
	struct err e = {0};
	uint64_t pending = 1, now = clock_wall_ns();
	int status;
	pid_t pid;

	begin(1, MIB);
	ck_assert_int_eq(rig_write(&file, data, 100, 0), 100);
	pid = hang_in_a_write(200000);
	ck_assert_int_eq(rig_write(&file, data, 100, 0), 100);
	ck_assert_int_eq(capture_span_next(sealer, 1, &s, &pending, &e), 1);
	ck_assert_uint_eq(s.last, 1);
	ck_assert_uint_ge(pending, now);
	ck_assert_int_eq(capture_span_next(sealer, 2, &s, &pending, &e), 0);
	capture_status(sealer, &st);
	ck_assert_uint_eq(st.completed, 1);
	ck_assert_uint_eq(st.reserved, 3);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(capture_span_next(sealer, 2, &s, &pending, &e), 1);
	ck_assert_uint_eq(s.last, 3);
	ck_assert_uint_eq(pending, 0);
	rig_compare(&rig, sealer);
	end();
}
END_TEST

static enum capture_step stop_at;

static void
stop_there(enum capture_step s)
{
	if (s == stop_at)
		(void)raise(SIGSTOP);
}

/* A child that stops at a step: of a MiB written at `off`, or of settling. */
static pid_t
stopped_at(enum capture_step at, bool settles, uint64_t off)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct capture *c = rig_attach(&rig, CAPTURE_WRITER);
		struct rig_file f;

		rig_file_open(&f, c, &rig, 0);
		stop_at = at;
		capture_test_step = stop_there;
		if (settles)
			settle(c, NULL);
		else if (rig_write(&f, data, MIB, off) != MIB)
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	return pid;
}

static void
let_end(pid_t pid)
{
	int status;

	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* A settler that was held up finds another's slot where the orphan was. */
START_TEST(a_slow_settler_harms_no_later_write)
{
	pid_t owner, settler, later;
	int i;

	begin(1, 4 * MIB);
	owner = stopped_at(STEP_PUBLISHED, false, 0);
	settler = stopped_at(STEP_FOUND, true, 0);
	let_end(owner);
	/* The first segment is filled and recycled, the second filled. */
	for (i = 0; i < 7; i++)
		ck_assert_int_eq(rig_write(&file, data, MIB, MIB), MIB);
	(void)rig_drain(&rig, sealer);
	later = stopped_at(STEP_UNRESERVED, false, 3 * MIB);
	let_end(settler);
	(void)rig_drain(&rig, sealer);
	let_end(later);
	rig_compare(&rig, sealer);
	end();
}
END_TEST

START_TEST(the_coordinator_does_not_wait_for_ever)
{
	struct err e = {0};
	uint64_t done;
	int status;
	pid_t pid;

	begin(1, MIB);
	pid = hang_in_a_write(200000);
	ck_assert_int_lt(
	    capture_copyin(sealer, 0, 131072, UINT64_MAX, &done, &e), 0);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(
	    capture_copyin(sealer, 0, 131072, UINT64_MAX, &done, &e), 0);
	rig_compare(&rig, sealer);
	end();
}
END_TEST

/* ---- damage ---- */

static int
read_all(struct err *e)
{
	struct capture_status st;
	struct capture_span s;
	struct iocb b;
	uint64_t next = 1, sizes[RIG_VOLUMES];
	uint32_t i;
	int more;

	capture_status(sealer, &st);
	capture_sizes(sealer, sizes);
	while ((more = capture_span_next(sealer, next, &s, NULL, e)) > 0) {
		ck_assert_uint_eq(s.first, next);
		ck_assert_uint_ge(s.last, next);
		for (i = 0; i <= s.last - s.first; i++) {
			if (capture_span_entry(sealer, &s, i, &b, room, e) < 0)
				return -1;
			ck_assert_uint_lt(b.volume, rig.volumes);
			ck_assert(!op_has_data(b.op) || b.len <= CAPTURE_CHUNK);
		}
		next = s.last + 1;
	}
	return more;
}

static void
fill_some(void)
{
	uint8_t note[COPYIN_NOTE_LEN] = "x";
	struct err e = {0};
	uint64_t n, i;

	for (i = 0; i < 20; i++)
		ck_assert_int_eq(
		    rig_write(&file, data + i, 3000, i * 5000), 3000);
	ck_assert_int_eq(rig_append(&file, data, 100), 100);
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, MIB / 2, 0), 0);
	ck_assert_int_eq(rig_change(&file, OP_ZERO, 5, 500), 0);
	ck_assert_int_eq(capture_flushed(writer, 0), 0);
	ck_assert_int_eq(
	    capture_control(sealer, OP_MARKER, note, sizeof(note), &n, &e), 0);
}

START_TEST(each_changed_bit_is_noticed)
{
	struct err e = {0};
	struct place p;
	uint32_t i, bit;
	uint8_t *raw;

	begin(1, MIB);
	fill_some();
	p = place_split(atomic_load(&sealer->ctl->word));
	ck_assert_int_eq(read_all(&e), 0);
	for (i = 0; i < p.slot; i++)
		for (bit = 64; bit < 8 * offsetof(struct slot, spare); bit++) {
			raw = (uint8_t *)segment_slot(sealer, p.segment, i);
			raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
			sealer->entry_number = sealer->entry_time_ns = 0;
			ck_assert_msg(
			    read_all(&e) < 0, "slot %u bit %u", i, bit);
			ck_assert_int_eq(e.kind, ERR_CORRUPT);
			raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	for (i = 0; i < 3000; i++) {
		raw = segment_data(sealer, p.segment) + i;
		*raw ^= 4;
		sealer->entry_number = sealer->entry_time_ns = 0;
		ck_assert_int_lt(read_all(&e), 0);
		*raw ^= 4;
	}
	sealer->entry_number = sealer->entry_time_ns = 0;
	ck_assert_int_eq(read_all(&e), 0);
	rig_compare(&rig, sealer);
	end();
}
END_TEST

static uint64_t *
words(void *p)
{
	return p;
}

/* Random bytes over everything that is read without a lock. */
START_TEST(hostile_memory_does_no_harm)
{
	struct control *ctl;
	struct capture_status st;
	struct err e = {0};
	uint64_t rnd = 77;
	unsigned i, round, bad = 0;

	begin(1, MIB);
	ctl = sealer->ctl;
	for (round = 0; round < 300; round++) {
		uint64_t kind = rig_random(&rnd) % 4;

		fill_some();
		ck_assert_int_eq(rig_change(&file, OP_RESIZE, MIB, 0), 0);
		for (i = 0; i < 8; i++) {
			uint32_t at = (uint32_t)rig_random(&rnd);
			uint64_t value = rig_random(&rnd);
			uint64_t *to;

			if (value % 3 == 0)
				value %= 70000;
			if (kind == 0)
				to = words(segment_slot(
					 sealer, 0, at % SEGMENT_SLOTS)) +
				     at / SEGMENT_SLOTS % 16;
			else if (kind == 1)
				to = words(segment_slot(sealer, 0, at % 30)) +
				     at / 30 % 16;
			else if (kind == 2)
				to = words(&ctl->segment[at % 3]) + at / 3 % 8;
			else
				to = words(ctl) +
				     (at % 2 != 0
					     ? offsetof(struct control, word)
					     : offsetof(
						   struct control, settled)) /
					 8 +
				     at % 5;
			*to = value;
		}
		sealer->entry_number = sealer->entry_time_ns = 0;
		if (read_all(&e) < 0)
			bad++;
		capture_sealed(sealer, rig_random(&rnd) % 1000);
		capture_status(sealer, &st);
		/* Begin again. */
		atomic_store(&ctl->needs_recovery, 1);
		atomic_store(&ctl->spool_limit, 0);
		atomic_store(&ctl->charged, 0);
		for (i = 0; i < CONTROL_SEGMENTS; i++) {
			ctl->segment[i].place = i == 0;
			ctl->segment[i].in_use = 0;
		}
		control_empty(sealer, 1, CAPTURE_ON);
		ctl->last_time_ns = 0;
		ctl->suspect = 0;
	}
	ck_assert_uint_gt(bad, 30);
	end();
}
END_TEST

/* ---- a full disk ---- */

START_TEST(a_full_disk_is_no_crash)
{
	char command[256];
	struct capture *c;
	struct capture_status st;
	int64_t n, total = 0;
	struct err e = {0};
	char small[64] = "/tmp/aim-small-XXXXXX";
	struct rig r;

	if (geteuid() != 0)
		return; /* needs a small file system */
	ck_assert_ptr_nonnull(mkdtemp(small));
	(void)snprintf(command, sizeof(command),
	    "truncate -s 24M %s.img && mkfs.ext4 -q %s.img && "
	    "mount -o loop %s.img %s 2>/dev/null",
	    small, small, small, small);
	if (system(command) != 0) {
		(void)snprintf(
		    command, sizeof(command), "rm -rf %s %s.img", small, small);
		ck_assert_int_eq(system(command), 0);
		return; /* no loop devices here */
	}
	rig_fill(data, sizeof(data), 5);
	rig_open_in(&r, small, 1, MIB);
	rig_start(&r);
	writer = rig_attach(&r, CAPTURE_WRITER);
	c = rig_attach(&r, CAPTURE_COORDINATOR);
	rig_file_open(&file, writer, &r, 0);
	capture_set_spool(c, 0, 0, CAPTURE_FAIL);
	/* Volume and copy have their blocks before the disk is full. */
	ck_assert_int_eq(rig_write(&file, data, MIB, 0), (int64_t)MIB);
	rig_compare(&r, c);
	do {
		n = rig_write(&file, data, 500000, 0);
		ck_assert(n == 500000 || n == -ENOSPC);
		total += n > 0 ? n : 0;
	} while (n > 0 && total < 100000000);
	ck_assert_int_eq(n, -ENOSPC);
	ck_assert_int_ge(total, 4000000);
	ck_assert_msg(strstr(capture_trouble(writer), "room") != NULL, "%s",
	    capture_trouble(writer));
	rig_compare(&r, c);
	ck_assert_int_eq(rig_write(&file, data, 500000, 0), 500000);
	rig_compare(&r, c);
	capture_status(c, &st);
	ck_assert_int_eq(st.suspect, 0);
	ck_assert_msg(capture_close_clean(c, &e) == 1, "%s", e.text);
	rig_file_close(&file);
	capture_detach(writer);
	capture_detach(c);
	(void)snprintf(command, sizeof(command),
	    "umount %s && rm -rf %s %s.img", small, small, small);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("capture_span");
	TCase *t = tcase_create("capture_span");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_span_ends_before_one_that_hangs);
	tcase_add_test(t, a_slow_settler_harms_no_later_write);
	tcase_add_test(t, the_coordinator_does_not_wait_for_ever);
	tcase_add_test(t, each_changed_bit_is_noticed);
	tcase_add_test(t, hostile_memory_does_no_harm);
	tcase_add_test(t, a_full_disk_is_no_crash);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	return unit_run(suite());
}
