/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/codec.h"

#include "common/uuid.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"
#include "tests/unit.h"

#include <string.h>
#include <zlib.h>

static uint8_t raw[JOURNAL_CHUNK_LIMIT], stored[CHUNK_STORED_LIMIT],
    back[JOURNAL_CHUNK_LIMIT];

static void
fix_sum(uint8_t *bytes, size_t stored_len)
{
	le_put64(bytes + 16, sum_bytes(bytes + CHUNK_HEADER_LEN, stored_len,
				 sum_bytes(bytes, 16, 0)));
}

static enum verdict
decode(size_t len)
{
	struct chunk c;
	enum verdict v = chunk_header_decode(stored, len, &c, NULL);

	if (v != VERDICT_WHOLE)
		return v;
	if (len - CHUNK_HEADER_LEN < c.stored_len)
		return VERDICT_PARTIAL;
	return chunk_decode(&c, stored + CHUNK_HEADER_LEN, back, NULL);
}

static const struct {
	size_t len;
	enum codec want, used;
	bool random;
} trips[] = {
    {1, CODEC_NONE, CODEC_NONE, false},
    {1, CODEC_ZLIB, CODEC_NONE, false},
    {100, CODEC_ZLIB, CODEC_ZLIB, false},
    {JOURNAL_CHUNK_LIMIT, CODEC_NONE, CODEC_NONE, true},
    {JOURNAL_CHUNK_LIMIT, CODEC_ZLIB, CODEC_ZLIB, false},
    {JOURNAL_CHUNK_LIMIT, CODEC_ZLIB, CODEC_NONE, true},
    {4097, CODEC_ZLIB, CODEC_NONE, true},
    {1, CODEC_ZSTD, CODEC_NONE, false},
    {100, CODEC_ZSTD, CODEC_ZSTD, false},
    {JOURNAL_CHUNK_LIMIT, CODEC_ZSTD, CODEC_ZSTD, false},
    {JOURNAL_CHUNK_LIMIT, CODEC_ZSTD, CODEC_NONE, true},
    {4097, CODEC_ZSTD, CODEC_NONE, true},
};

START_TEST(a_chunk_comes_back_as_it_was)
{
	size_t len = trips[_i].len, got;
	enum codec used;

	if (!codec_is_built(trips[_i].want))
		return;
	memset(raw, 'x', len);
	if (trips[_i].random)
		ck_assert_int_eq(random_bytes(raw, len, NULL), 0);
	got = chunk_encode(
	    raw, len, trips[_i].want, 0, stored, CHUNK_HEADER_LEN + len, &used);
	ck_assert_int_eq(used, trips[_i].used);
	ck_assert_uint_le(got, CHUNK_HEADER_LEN + len);
	ck_assert_int_eq(decode(got), VERDICT_WHOLE);
	ck_assert_mem_eq(back, raw, len);
}
END_TEST

START_TEST(every_flipped_bit_of_a_chunk_is_found)
{
	enum codec used;
	size_t len, bit;

	memset(raw, 'x', 100);
	len = chunk_encode(raw, 100, _i == 0 ? CODEC_NONE : CODEC_ZLIB, 0,
	    stored, sizeof(stored), &used);
	for (bit = 0; bit < len * 8; bit++) {
		stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(decode(len), VERDICT_WHOLE);
		stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(decode(len), VERDICT_WHOLE);
}
END_TEST

START_TEST(every_truncation_of_a_chunk_is_partial)
{
	enum codec used;
	size_t len = chunk_encode(
	    raw, 100, CODEC_ZLIB, 0, stored, sizeof(stored), &used);
	size_t cut;

	for (cut = 0; cut < len; cut++)
		ck_assert_int_eq(decode(cut), VERDICT_PARTIAL);
}
END_TEST

/* Proper checksums throughout: an adversary can compute them too. */
START_TEST(a_bomb_does_not_grow_beyond_what_it_declared)
{
	uLongf got = sizeof(stored) - CHUNK_HEADER_LEN;

	memset(raw, 0, sizeof(raw));
	ck_assert_int_eq(
	    compress(stored + CHUNK_HEADER_LEN, &got, raw, sizeof(raw)), Z_OK);
	memset(stored, 0, CHUNK_HEADER_LEN);
	le_put32(stored, (uint32_t)got);
	le_put32(stored + 4, (uint32_t)got + 1);
	le_put32(stored + 8, CODEC_ZLIB);
	fix_sum(stored, got);
	memset(back, 0xaa, sizeof(back));
	ck_assert_int_eq(decode(CHUNK_HEADER_LEN + got), VERDICT_CORRUPT);
	ck_assert_int_eq(back[got + 1], 0xaa);
	/* Declared larger than it is. */
	le_put32(stored + 4, JOURNAL_CHUNK_LIMIT);
	fix_sum(stored, got);
	ck_assert_int_eq(decode(CHUNK_HEADER_LEN + got), VERDICT_WHOLE);
	le_put32(stored, (uint32_t)got + 1); /* rubbish at the end */
	fix_sum(stored, got + 1);
	ck_assert_int_eq(decode(CHUNK_HEADER_LEN + got + 1), VERDICT_CORRUPT);
}
END_TEST

/* The same of zstd: the stored bytes are exactly one frame, which yields
 * exactly the raw ones. */
START_TEST(a_frame_of_zstd_is_one_and_whole)
{
	enum codec used;
	size_t len;

	if (!codec_is_built(CODEC_ZSTD))
		return;
	memset(raw, 0, sizeof(raw));
	len = chunk_encode(raw, sizeof(raw), CODEC_ZSTD, 1, stored,
		  sizeof(stored), &used) -
	      CHUNK_HEADER_LEN;
	ck_assert_int_eq(used, CODEC_ZSTD);
	ck_assert_int_eq(decode(CHUNK_HEADER_LEN + len), VERDICT_WHOLE);
	memset(back, 0xaa, sizeof(back));
	le_put32(stored + 4, 5000);
	fix_sum(stored, len);
	ck_assert_int_eq(decode(CHUNK_HEADER_LEN + len), VERDICT_CORRUPT);
	ck_assert_int_eq(back[5000], 0xaa);
	le_put32(stored + 4, JOURNAL_CHUNK_LIMIT);
	le_put32(stored, (uint32_t)len + 9); /* an empty frame behind it */
	memcpy(stored + CHUNK_HEADER_LEN + len,
	    "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", 9);
	fix_sum(stored, len + 9);
	ck_assert_int_eq(decode(CHUNK_HEADER_LEN + len + 9), VERDICT_CORRUPT);
	le_put32(stored, (uint32_t)len - 1);
	fix_sum(stored, len - 1);
	ck_assert_int_eq(decode(CHUNK_HEADER_LEN + len - 1), VERDICT_CORRUPT);
}
END_TEST

static const struct {
	uint32_t stored_len, raw_len, codec, reserved;
	enum verdict want;
} heads[] = {
    {0, 0, 0, 0, VERDICT_CORRUPT},
    {0, 1, CODEC_NONE, 0, VERDICT_CORRUPT},
    {1, 0, CODEC_NONE, 0, VERDICT_CORRUPT},
    {1, 1, 0, 0, VERDICT_CORRUPT},
    {1, 1, CODEC_NONE, 1, VERDICT_CORRUPT},
    {1, 2, CODEC_NONE, 0, VERDICT_CORRUPT},
    {2, 2, CODEC_ZLIB, 0, VERDICT_CORRUPT},
    {9, JOURNAL_CHUNK_LIMIT + 1, CODEC_ZLIB, 0, VERDICT_CORRUPT},
    {9, UINT32_MAX, CODEC_ZLIB, 0, VERDICT_CORRUPT},
    {9, 20, CODEC_ZSTD + 1, 0, VERDICT_UNKNOWN},
    {9, 20, 77, 0, VERDICT_UNKNOWN},
};

START_TEST(a_chunk_header_out_of_bounds_is_rejected)
{
	struct chunk c;

	le_put32(stored, heads[_i].stored_len);
	le_put32(stored + 4, heads[_i].raw_len);
	le_put32(stored + 8, heads[_i].codec);
	le_put32(stored + 12, heads[_i].reserved);
	ck_assert_int_eq(
	    chunk_header_decode(stored, CHUNK_HEADER_LEN, &c, NULL),
	    heads[_i].want);
}
END_TEST

START_TEST(a_sum_with_a_hole_is_that_of_zeroes_in_it)
{
	uint8_t bytes[700], holed[700];

	ck_assert_int_eq(random_bytes(bytes, sizeof(bytes), NULL), 0);
	memcpy(holed, bytes, sizeof(bytes));
	memset(holed + 568, 0, 72);
	ck_assert_uint_eq(sum_with_hole(bytes, sizeof(bytes), 568, 72),
	    sum_bytes(holed, sizeof(holed), 0));
}
END_TEST

/* The sum of pieces is never made in wide registers. */
START_TEST(a_sum_is_the_same_in_wide_registers)
{
	static uint8_t bytes[70000];
	size_t len;

	for (len = 0; len < sizeof(bytes); len++)
		bytes[len] = (uint8_t)(len * 7 + len / 251);
	for (len = 0; len <= 3000; len++)
		ck_assert_uint_eq(
		    sum_bytes(bytes, len, 0), sum_with_hole(bytes, len, 0, 0));
	for (; len <= sizeof(bytes); len += 997)
		ck_assert_uint_eq(
		    sum_bytes(bytes, len, 0), sum_with_hole(bytes, len, 0, 0));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("codec");
	TCase *t = tcase_create("codec");

	tcase_add_loop_test(t, a_chunk_comes_back_as_it_was, 0,
	    (int)(sizeof(trips) / sizeof(trips[0])));
	tcase_add_loop_test(t, every_flipped_bit_of_a_chunk_is_found, 0, 2);
	tcase_add_test(t, every_truncation_of_a_chunk_is_partial);
	tcase_add_test(t, a_bomb_does_not_grow_beyond_what_it_declared);
	tcase_add_test(t, a_frame_of_zstd_is_one_and_whole);
	tcase_add_loop_test(t, a_chunk_header_out_of_bounds_is_rejected, 0,
	    (int)(sizeof(heads) / sizeof(heads[0])));
	tcase_add_test(t, a_sum_with_a_hole_is_that_of_zeroes_in_it);
	tcase_add_test(t, a_sum_is_the_same_in_wide_registers);
	suite_add_tcase(s, t);
	return unit_run(s);
}
