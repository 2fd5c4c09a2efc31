/* SPDX-License-Identifier: Apache-2.0 */
/* The capture core's ordinary life: what is written is in the stream. */
#include "common/clock.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static struct rig rig;
static struct capture *writer, *sealer;
static struct rig_file file;
static uint8_t data[5 * MIB];

static void
begin(uint32_t volumes, uint64_t size)
{
	rig_open(&rig, volumes, size);
	rig_start(&rig);
	writer = rig_attach(&rig, CAPTURE_WRITER);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
	rig_file_open(&file, writer, &rig, 0);
	rig_fill(data, sizeof(data), 7);
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

START_TEST(a_write_is_replayed)
{
	begin(1, MIB);
	ck_assert_int_eq(rig_write(&file, data, 4096, 8192), 4096);
	ck_assert_int_eq(rig_write(&file, data, 1, 5), 1);
	ck_assert_int_eq(rig_write(&file, data, 70000, 65000), 70000);
	end();
	ck_assert_uint_eq(rig.counts[OP_WRITE], 3);
}
END_TEST

START_TEST(a_large_write_becomes_several)
{
	begin(1, 8 * MIB);
	ck_assert_int_eq(
	    rig_write(&file, data, sizeof(data), 12345), sizeof(data));
	end();
	ck_assert_uint_eq(rig.counts[OP_WRITE], 5);
}
END_TEST

START_TEST(a_write_beyond_the_end_grows_the_volume)
{
	begin(1, 1000);
	ck_assert_int_eq(rig_write(&file, data, 100, 950), 100);
	ck_assert_int_eq(rig_write(&file, data, 100, 70000), 100);
	ck_assert_int_eq(rig_append(&file, data, 3 * MIB), (int64_t)(3 * MIB));
	end();
	ck_assert_uint_eq(rig.counts[OP_RESIZE], 5);
}
END_TEST

START_TEST(a_plain_write_goes_where_the_position_is)
{
	begin(1, 4 * MIB);
	ck_assert_int_eq(lseek(file.fd, 77, SEEK_SET), 77);
	ck_assert_int_eq(rig_plain_write(&file, data, 2 * MIB), 2 * MIB);
	ck_assert_int_eq(rig_plain_write(&file, data, 10), 10);
	ck_assert_int_eq(lseek(file.fd, 0, SEEK_CUR), 77 + 2 * MIB + 10);
	end();
}
END_TEST

START_TEST(truncating_and_zeroing_are_replayed)
{
	begin(1, 4 * MIB);
	ck_assert_int_eq(rig_write(&file, data, 4 * MIB, 0), 4 * MIB);
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, MIB + 5, 0), 0);
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, 3 * MIB, 0), 0);
	ck_assert_int_eq(rig_change(&file, OP_ZERO, 1000, 5000), 0);
	ck_assert_int_eq(rig_change(&file, OP_DISCARD, 9000, 50000), 0);
	/* Over the end: one grows the file, the other does not. */
	ck_assert_int_eq(rig_change(&file, OP_ZERO, 3 * MIB - 10, 100), 0);
	ck_assert_int_eq(rig_change(&file, OP_DISCARD, 3 * MIB, 5000), 0);
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, 0, 0), 0);
	ck_assert_int_eq(rig_write(&file, data, 10, 0), 10);
	end();
}
END_TEST

START_TEST(before_its_base_a_group_captures_nothing)
{
	struct capture_status s;

	rig_open(&rig, 1, MIB);
	writer = rig_attach(&rig, CAPTURE_WRITER);
	rig_file_open(&file, writer, &rig, 0);
	rig_fill(data, sizeof(data), 7);
	ck_assert_int_eq(rig_write(&file, data, 3 * MIB, 100), 3 * MIB);
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, 5000, 0), 0);
	capture_status(writer, &s);
	ck_assert_uint_eq(s.reserved, 0);
	ck_assert_uint_eq(s.segments, 0);
	ck_assert(!s.unclean);
	rig_start(&rig);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
	ck_assert_int_eq(rig_write(&file, data, 4096, 100), 4096);
	capture_status(writer, &s);
	ck_assert_uint_eq(s.reserved, 1);
	ck_assert(s.unclean);
	end();
}
END_TEST

START_TEST(what_the_disk_refuses_is_void)
{
	begin(1, MIB);
	file.fail = -EINVAL;
	file.clean = true;
	ck_assert_int_eq(rig_write(&file, data, 4096, 0), -EINVAL);
	file.fail = -EFBIG;
	ck_assert_int_eq(rig_write(&file, data, 4096, 2 * MIB), -EFBIG);
	end();
	ck_assert_uint_eq(rig.counts[OP_VOID], 3);
	ck_assert_uint_eq(rig.counts[OP_WRITE], 0);
}
END_TEST

START_TEST(a_failed_write_is_read_again)
{
	begin(1, MIB);
	file.fail = -EIO;
	ck_assert_int_eq(rig_write(&file, data, 4096, 0), -EIO);
	file.cut = 1000;
	ck_assert_int_eq(rig_write(&file, data, 4096, 8192), 1000);
	file.cut = 1000;
	ck_assert_int_eq(rig_write(&file, data, 4096, 2 * MIB), 1000);
	file.fail = -EIO;
	ck_assert_int_eq(rig_write(&file, data, 4096, 4 * MIB), -EIO);
	file.fail = -EIO;
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, 10, 0), -EIO);
	file.fail = -EIO;
	ck_assert_int_eq(rig_change(&file, OP_ZERO, 10, 2 * MIB), -EIO);
	file.cut = 5;
	ck_assert_int_eq(rig_append(&file, data, 4096), 5);
	end();
}
END_TEST

START_TEST(two_volumes_share_one_order)
{
	struct rig_file other;
	uint64_t i;

	begin(2, MIB);
	rig_file_open(&other, writer, &rig, 1);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(rig_write(&file, data + i, 100, i * 50), 100);
		ck_assert_int_eq(rig_write(&other, data + i, 99, i * 40), 99);
	}
	rig_file_close(&other);
	end();
	ck_assert_uint_eq(rig.counts[OP_WRITE], 200);
}
END_TEST

START_TEST(segments_are_recycled)
{
	struct capture_status s;
	uint64_t i;

	begin(1, 8 * MIB);
	for (i = 0; i < 40; i++) {
		ck_assert_int_eq(
		    rig_write(&file, data + i, MIB, i % 7 * MIB), MIB);
		if (i % 4 == 3)
			(void)rig_drain(&rig, sealer);
	}
	capture_status(sealer, &s);
	ck_assert_uint_le(s.segments, 3);
	for (i = 0; i < 80; i++)
		ck_assert_int_eq(
		    rig_write(&file, data + i, MIB, i % 7 * MIB), MIB);
	capture_status(sealer, &s);
	ck_assert_uint_ge(s.segments, 16);
	ck_assert_uint_ge(s.unsealed_bytes, 80 * MIB);
	rig_compare(&rig, sealer);
	for (i = 0; i < 10; i++) {
		ck_assert_int_eq(rig_write(&file, data, 10, i), 10);
		(void)rig_drain(&rig, sealer);
	}
	capture_status(sealer, &s);
	ck_assert_uint_le(s.segments, 5);
	ck_assert_uint_eq(s.unsealed_bytes, 0);
	end();
}
END_TEST

START_TEST(small_transactions_fill_the_slots)
{
	uint64_t i;

	begin(1, MIB);
	for (i = 0; i < 20000; i++)
		ck_assert_int_eq(rig_write(&file, data + i, 3, i), 3);
	end();
	ck_assert_uint_eq(rig.counts[OP_WRITE], 20000);
}
END_TEST

START_TEST(control_and_flush_are_in_the_stream)
{
	uint8_t note[CONTROL_NOTE_LEN] = "note";
	struct capture_span s;
	struct err e = {0};
	struct iocb b;
	uint64_t n = 0;

	begin(1, MIB);
	ck_assert_int_eq(capture_flushed(writer, 0), 0);
	ck_assert_int_eq(
	    capture_control(sealer, OP_MARKER, note, sizeof(note), &n, &e), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(
	    capture_control(sealer, OP_HEARTBEAT, NULL, 0, &n, &e), 0);
	ck_assert_int_eq(capture_span_next(sealer, 1, &s, NULL, &e), 1);
	ck_assert_uint_eq(s.last, 3);
	ck_assert_int_eq(capture_span_entry(sealer, &s, 1, &b, data, &e), 0);
	ck_assert_uint_eq(b.op, OP_MARKER);
	ck_assert_uint_eq(b.len, sizeof(note));
	ck_assert_mem_eq(data, note, sizeof(note));
	end();
}
END_TEST

START_TEST(spans_are_cut_at_copyins)
{
	uint8_t note[COPYIN_NOTE_LEN] = "x";
	struct capture_span s;
	struct err e = {0};
	uint64_t n, done, off = 0;

	begin(1, 3 * MIB);
	ck_assert_int_eq(rig_write(&file, data, 100, MIB + 5), 100);
	ck_assert_int_eq(capture_control(sealer, OP_COPYIN_BEGIN, note,
			     sizeof(note), &n, &e),
	    0);
	do {
		ck_assert_msg(
		    capture_copyin(sealer, 0, off, UINT64_MAX, &done, &e) == 0,
		    "%s", e.text);
		off += done;
	} while (done > 0);
	ck_assert_uint_eq(off, 3 * MIB);
	ck_assert_int_eq(
	    capture_control(sealer, OP_COPYIN_END, note, sizeof(note), &n, &e),
	    0);
	ck_assert_int_eq(rig_write(&file, data, 100, MIB + 5), 100);
	ck_assert_int_eq(capture_span_next(sealer, 1, &s, NULL, &e), 1);
	ck_assert_uint_eq(s.last, 1);
	ck_assert_int_eq(capture_span_next(sealer, 2, &s, NULL, &e), 1);
	ck_assert_uint_eq(s.last, n);
	ck_assert_uint_gt(s.copyin_len, 0);
	ck_assert_int_eq(capture_span_next(sealer, n + 1, &s, NULL, &e), 1);
	ck_assert_uint_eq(s.last, n + 1);
	end();
	ck_assert_uint_ge(rig.counts[OP_COPYIN], 1);
	ck_assert_uint_ge(rig.counts[OP_COPYIN_ZERO], 2);
}
END_TEST

START_TEST(a_full_spool_fails_or_waits)
{
	struct capture_status s;

	begin(1, 8 * MIB);
	capture_set_spool(sealer, 0, 2 * MIB, CAPTURE_FAIL);
	ck_assert_int_eq(rig_write(&file, data, 4 * MIB, 0), 2 * MIB);
	ck_assert_int_eq(rig_write(&file, data, 10, 0), -ENOSPC);
	capture_set_spool(sealer, 0, 2 * MIB, CAPTURE_BLOCK);
	file.give_up = true;
	ck_assert_int_eq(rig_write(&file, data, 10, 0), -EINTR);
	file.give_up = false;
	(void)rig_drain(&rig, sealer);
	ck_assert_int_eq(rig_write(&file, data, 10, 0), 10);
	capture_set_spool(sealer, 2 * MIB, 2 * MIB, CAPTURE_FAIL);
	ck_assert_int_eq(rig_write(&file, data, 10, 0), -ENOSPC);
	capture_set_spool(sealer, 2 * MIB, 0, CAPTURE_FAIL);
	ck_assert_int_eq(rig_write(&file, data, 10, 0), 10);
	capture_status(sealer, &s);
	ck_assert_uint_eq(s.waiting, 0);
	end();
}
END_TEST

static void *
write_much(void *ctx)
{
	int64_t *n = ctx;

	*n = rig_write(&file, data, 4 * MIB, 0);
	return NULL;
}

START_TEST(a_writer_waits_until_there_is_room)
{
	struct capture_status s;
	pthread_t t;
	int64_t n = 0;
	int tries = 0;

	begin(1, 8 * MIB);
	capture_set_spool(sealer, 0, 2 * MIB, CAPTURE_BLOCK);
	ck_assert_int_eq(pthread_create(&t, NULL, write_much, &n), 0);
	do {
		capture_status(sealer, &s);
		clock_sleep_ms(1);
	} while (s.waiting == 0 && tries++ < 10000);
	ck_assert_uint_eq(s.waiting, 1);
	ck_assert_uint_eq(s.reserved, 2);
	(void)rig_drain(&rig, sealer);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert_int_eq(n, 4 * MIB);
	capture_status(sealer, &s);
	ck_assert_uint_eq(s.waiting, 0);
	end();
}
END_TEST

START_TEST(the_copy_is_aligned_for_direct_writes)
{
	uint64_t i;

	begin(1, 8 * MIB);
	rig_file_close(&file);
	file.fd = open(rig.path[0], O_RDWR | O_DIRECT | O_CLOEXEC);
	ck_assert_int_ge(file.fd, 0);
	file.direct = true;
	for (i = 1; i < 20; i++) {
		struct rig_file other;

		/* In between, one that is not aligned. */
		rig_file_open(&other, writer, &rig, 0);
		ck_assert_int_eq(rig_write(&other, data, 5, 5), 5);
		rig_file_close(&other);
		ck_assert_int_eq(rig_write(&file, data + i, i * 4096, i * 8192),
		    (int64_t)(i * 4096));
	}
	ck_assert_int_eq(rig_write(&file, data, 3 * MIB, MIB), 3 * MIB);
	ck_assert_int_eq(rig_write(&file, data, 100, 0), -EINVAL);
	end();
}
END_TEST

START_TEST(sizes_are_those_of_the_next_transaction)
{
	uint64_t size[1];

	begin(1, 1000);
	capture_sizes(sealer, size);
	ck_assert_uint_eq(size[0], 1000);
	ck_assert_int_eq(rig_append(&file, data, 500), 500);
	ck_assert_int_eq(rig_change(&file, OP_RESIZE, 100, 0), 0);
	capture_sizes(sealer, size);
	ck_assert_uint_eq(size[0], 1000);
	capture_sealed(sealer, 2);
	rig.next = 1;
	capture_sizes(sealer, size);
	ck_assert_uint_eq(size[0], 1500);
	capture_detach(writer);
	capture_detach(sealer);
	rig_file_close(&file);
	rig_close(&rig);
}
END_TEST

/* Two at once, and one whose maker is killed in it. */
START_TEST(changes_of_flags_are_counted_in_all_processes)
{
	uint64_t was;

	begin(1, MIB);
	was = capture_flags_changes(sealer);
	ck_assert(capture_flags_are_steady(was));
	capture_flags_change(writer, CAPTURE_FLAGS_BEGIN);
	ck_assert(!capture_flags_are_steady(capture_flags_changes(sealer)));
	capture_flags_change(sealer, CAPTURE_FLAGS_BEGIN);
	capture_flags_change(writer, CAPTURE_FLAGS_END);
	ck_assert(!capture_flags_are_steady(capture_flags_changes(writer)));
	capture_flags_change(sealer, CAPTURE_FLAGS_END);
	ck_assert(capture_flags_are_steady(capture_flags_changes(writer)));
	ck_assert_uint_ne(capture_flags_changes(writer), was);
	capture_flags_change(writer, CAPTURE_FLAGS_GIVEN);
	capture_flags_change(writer, CAPTURE_FLAGS_BEGIN);
	capture_flags_change(writer, CAPTURE_FLAGS_END);
	ck_assert(!capture_flags_are_steady(capture_flags_changes(sealer)));
	end();
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("capture");
	TCase *t = tcase_create("capture");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_write_is_replayed);
	tcase_add_test(t, a_large_write_becomes_several);
	tcase_add_test(t, a_write_beyond_the_end_grows_the_volume);
	tcase_add_test(t, a_plain_write_goes_where_the_position_is);
	tcase_add_test(t, truncating_and_zeroing_are_replayed);
	tcase_add_test(t, before_its_base_a_group_captures_nothing);
	tcase_add_test(t, what_the_disk_refuses_is_void);
	tcase_add_test(t, a_failed_write_is_read_again);
	tcase_add_test(t, two_volumes_share_one_order);
	tcase_add_test(t, segments_are_recycled);
	tcase_add_test(t, small_transactions_fill_the_slots);
	tcase_add_test(t, control_and_flush_are_in_the_stream);
	tcase_add_test(t, spans_are_cut_at_copyins);
	tcase_add_test(t, a_full_spool_fails_or_waits);
	tcase_add_test(t, a_writer_waits_until_there_is_room);
	tcase_add_test(t, the_copy_is_aligned_for_direct_writes);
	tcase_add_test(t, sizes_are_those_of_the_next_transaction);
	tcase_add_test(t, changes_of_flags_are_counted_in_all_processes);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	return unit_run(suite());
}
