/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/iocb.h"

#include "fileformat/header.h"
#include "fileformat/note.h"
#include "tests/unit.h"

#include <string.h>

#define SEED UINT64_C(0x1234)

static const struct iocb sample = {
    .op = OP_WRITE,
    .flags = IOCB_FUA,
    .volume = 3,
    .origin = ORIGIN_NONE,
    .number = 77,
    .time_ns = 1000,
    .off = 4096,
    .len = 512,
    .data_off = 1024,
    .data_sum = 0xfeed,
};

static enum verdict
decode(const struct iocb *b)
{
	uint8_t bytes[IOCB_LEN];
	struct iocb out;
	struct why why = {0};
	enum verdict v;

	iocb_encode(b, SEED, bytes);
	v = iocb_decode(bytes, SEED, &out, &why);
	ck_assert(v == VERDICT_WHOLE || why.text[0] != '\0');
	return v;
}

START_TEST(an_entry_comes_back_as_it_was)
{
	uint8_t bytes[IOCB_LEN];
	struct iocb out;

	iocb_encode(&sample, SEED, bytes);
	ck_assert_int_eq(iocb_decode(bytes, SEED, &out, NULL), VERDICT_WHOLE);
	ck_assert_mem_eq(&out, &sample, sizeof(out));
}
END_TEST

START_TEST(every_flipped_bit_is_corrupt)
{
	uint8_t bytes[IOCB_LEN];
	struct iocb out;

	iocb_encode(&sample, SEED, bytes);
	bytes[_i / 8] ^= (uint8_t)(1 << _i % 8);
	ck_assert_int_eq(iocb_decode(bytes, SEED, &out, NULL), VERDICT_CORRUPT);
}
END_TEST

START_TEST(another_seed_is_corrupt)
{
	uint8_t bytes[IOCB_LEN];
	struct iocb out;

	iocb_encode(&sample, SEED, bytes);
	ck_assert_int_eq(
	    iocb_decode(bytes, SEED + 1, &out, NULL), VERDICT_CORRUPT);
}
END_TEST

START_TEST(an_entry_of_zeroes_is_corrupt)
{
	static const uint8_t bytes[IOCB_LEN];
	struct iocb out;

	ck_assert_int_eq(iocb_decode(bytes, 0, &out, NULL), VERDICT_CORRUPT);
}
END_TEST

START_TEST(seeds_differ_by_stream_and_sequence)
{
	struct uuid a = {{1}}, b = {{2}};

	ck_assert_uint_ne(iocb_seed(&a, 1), iocb_seed(&a, 2));
	ck_assert_uint_ne(iocb_seed(&a, 1), iocb_seed(&b, 1));
}
END_TEST

START_TEST(unknown_operations_and_flags_are_unknown)
{
	struct iocb b = sample;

	b.op = 1000;
	ck_assert_int_eq(decode(&b), VERDICT_UNKNOWN);
	b = sample;
	b.flags = 1u << 20;
	ck_assert_int_eq(decode(&b), VERDICT_UNKNOWN);
}
END_TEST

static const struct iocb senseless[] = {
    {.op = 0, .number = 1},
    {.op = OP_WRITE, .number = 0, .len = 1},
    {.op = OP_WRITE, .number = 1, .len = 0},
    {.op = OP_WRITE, .number = 1, .len = JOURNAL_DATA_LIMIT + 1},
    {.op = OP_WRITE, .number = 1, .len = 1, .off = INT64_MAX},
    {.op = OP_WRITE, .number = 1, .len = 1, .off = UINT64_MAX},
    {.op = OP_ZERO, .number = 1, .len = 0},
    {.op = OP_ZERO, .number = 1, .len = UINT64_MAX},
    {.op = OP_ZERO, .number = 1, .len = INT64_MAX, .off = 1},
    {.op = OP_ZERO, .number = 1, .len = 1, .data_off = 1},
    {.op = OP_DISCARD, .number = 1, .len = 1, .data_sum = 1},
    {.op = OP_RESIZE, .number = 1, .off = UINT64_C(1) << 63},
    {.op = OP_RESIZE, .number = 1, .len = UINT64_C(1) << 63},
    {.op = OP_FLUSH, .number = 1, .len = 1},
    {.op = OP_FLUSH, .number = 1, .off = 1},
    {.op = OP_VOID, .number = 1, .off = 1},
    {.op = OP_COPYIN_BEGIN, .number = 1, .len = COPYIN_NOTE_LEN - 1},
    {.op = OP_COPYIN_BEGIN, .number = 1, .len = NOTE_LIMIT + 1},
    {.op = OP_COPYIN_END, .number = 1, .len = COPYIN_NOTE_LEN, .off = 1},
    {.op = OP_MARKER, .number = 1, .len = CONTROL_NOTE_LEN - 1},
    {.op = OP_HEARTBEAT, .number = 1, .len = 1},
};
#define SENSELESS (int)(sizeof(senseless) / sizeof(senseless[0]))

START_TEST(what_makes_no_sense_is_corrupt)
{
	ck_assert_int_eq(decode(&senseless[_i]), VERDICT_CORRUPT);
}
END_TEST

static const struct iocb edges[] = {
    {.op = OP_WRITE, .number = 1, .len = JOURNAL_DATA_LIMIT},
    {.op = OP_WRITE, .number = 1, .len = 1, .off = INT64_MAX - 1},
    {.op = OP_ZERO, .number = UINT64_MAX, .len = INT64_MAX},
    {.op = OP_RESIZE, .number = 1, .off = INT64_MAX, .len = INT64_MAX},
    {.op = OP_RESIZE, .number = 1},
    {.op = OP_FLUSH, .number = 1},
    {.op = OP_VOID, .number = 1},
    {.op = OP_GAP, .number = 1},
    {.op = OP_GAP, .number = 1, .off = 5, .len = 7},
    {.op = OP_COPYIN_BEGIN, .number = 1, .len = COPYIN_NOTE_LEN},
    {.op = OP_MARKER, .number = 1, .len = NOTE_LIMIT},
    {.op = OP_HEARTBEAT, .number = 1},
};
#define EDGES (int)(sizeof(edges) / sizeof(edges[0]))

START_TEST(what_is_just_inside_the_bounds_is_whole)
{
	ck_assert_int_eq(decode(&edges[_i]), VERDICT_WHOLE);
}
END_TEST

START_TEST(the_canonical_form_knows_no_sums_and_no_origin)
{
	uint8_t a[IOCB_CANONICAL_LEN], b[IOCB_CANONICAL_LEN];
	struct iocb other = sample;

	other.data_sum++;
	other.origin = 1;
	iocb_encode_canonical(&sample, a);
	iocb_encode_canonical(&other, b);
	ck_assert_mem_eq(a, b, sizeof(a));
	other.off++;
	iocb_encode_canonical(&other, b);
	ck_assert_mem_ne(a, b, sizeof(a));
}
END_TEST

START_TEST(a_copyin_note_comes_back_as_it_was)
{
	struct copyin_note n = {.id = {{9, 8, 7}},
			       .kind = COPYIN_RECOVERY,
			       .begin = 5},
			   out = {0};
	uint8_t bytes[COPYIN_NOTE_LEN];
	int i;

	copyin_note_encode(&n, bytes);
	ck_assert_int_eq(copyin_note_decode(bytes, sizeof(bytes), &out, NULL),
	    VERDICT_WHOLE);
	ck_assert(uuid_equal(&out.id, &n.id));
	ck_assert_int_eq(out.kind, n.kind);
	ck_assert_uint_eq(out.begin, n.begin);
	for (i = 0; i < COPYIN_NOTE_LEN; i++)
		ck_assert_int_eq(
		    copyin_note_decode(bytes, (size_t)i, &out, NULL),
		    VERDICT_CORRUPT);
	bytes[63] = 1;
	ck_assert_int_eq(copyin_note_decode(bytes, sizeof(bytes), &out, NULL),
	    VERDICT_CORRUPT);
}
END_TEST

START_TEST(a_control_note_comes_back_as_it_was)
{
	struct control_note n = {.target = {{1}},
				.initiator = {{2}},
				.message = {{3}},
				.value = 42,
				.name = "before-upgrade"},
			    out;
	uint8_t bytes[CONTROL_NOTE_LEN];

	control_note_encode(&n, bytes);
	ck_assert_int_eq(control_note_decode(bytes, sizeof(bytes), &out, NULL),
	    VERDICT_WHOLE);
	ck_assert_mem_eq(&out, &n, sizeof(n));
	memset(bytes + 56, 'a', NAME_LIMIT);
	ck_assert_int_eq(control_note_decode(bytes, sizeof(bytes), &out, NULL),
	    VERDICT_CORRUPT);
	memcpy(bytes + 56, "a\x1b[2J\0", 6);
	ck_assert_int_eq(control_note_decode(bytes, sizeof(bytes), &out, NULL),
	    VERDICT_CORRUPT);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("iocb");
	TCase *t = tcase_create("iocb");

	tcase_add_test(t, an_entry_comes_back_as_it_was);
	tcase_add_loop_test(t, every_flipped_bit_is_corrupt, 0, IOCB_LEN * 8);
	tcase_add_test(t, another_seed_is_corrupt);
	tcase_add_test(t, an_entry_of_zeroes_is_corrupt);
	tcase_add_test(t, seeds_differ_by_stream_and_sequence);
	tcase_add_test(t, unknown_operations_and_flags_are_unknown);
	tcase_add_loop_test(t, what_makes_no_sense_is_corrupt, 0, SENSELESS);
	tcase_add_loop_test(
	    t, what_is_just_inside_the_bounds_is_whole, 0, EDGES);
	tcase_add_test(t, the_canonical_form_knows_no_sums_and_no_origin);
	tcase_add_test(t, a_copyin_note_comes_back_as_it_was);
	tcase_add_test(t, a_control_note_comes_back_as_it_was);
	suite_add_tcase(s, t);
	return unit_run(s);
}
