/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/wlog.h"

#include "fileformat/le.h"
#include "tests/unit.h"

#include <string.h>

#define SECTOR 512

static enum verdict
decode(const uint8_t *bytes, size_t len, struct wlog_entry *out)
{
	struct why why = {0};
	enum verdict v = wlog_entry_decode(bytes, len, SECTOR, out, &why);

	ck_assert(v == VERDICT_WHOLE || why.text[0] != '\0');
	return v;
}

static void
header(uint8_t out[SECTOR], uint64_t first, uint64_t count, uint64_t flags,
    uint64_t data_len)
{
	memset(out, 0, SECTOR);
	le_put64(out, first);
	le_put64(out + 8, count);
	le_put64(out + 16, flags);
	le_put64(out + 24, data_len);
}

START_TEST(a_superblock_comes_back_as_it_was)
{
	struct wlog_super s = {.entries = 77, .sector = 4096}, out;
	uint8_t bytes[WLOG_SUPER_LEN];

	wlog_super_encode(&s, bytes);
	ck_assert_int_eq(
	    wlog_super_decode(bytes, sizeof(bytes), &out, NULL), VERDICT_WHOLE);
	ck_assert_uint_eq(out.entries, 77);
	ck_assert_uint_eq(out.sector, 4096);
}
END_TEST

START_TEST(a_sector_is_a_power_of_two_within_bounds)
{
	uint32_t n = UINT32_C(1) << _i;
	struct wlog_super s = {.entries = 1, .sector = n}, out;
	uint8_t bytes[WLOG_SUPER_LEN];

	wlog_super_encode(&s, bytes);
	ck_assert_int_eq(wlog_super_decode(bytes, sizeof(bytes), &out, NULL),
	    n >= 32 && n <= 1 << 24 ? VERDICT_WHOLE : VERDICT_CORRUPT);
	le_put32(bytes + 24, n + 1);
	ck_assert_int_eq(wlog_super_decode(bytes, sizeof(bytes), &out, NULL),
	    VERDICT_CORRUPT);
}
END_TEST

START_TEST(a_short_foreign_or_newer_superblock_is_told_apart)
{
	struct wlog_super s = {.entries = 1, .sector = 512}, out;
	uint8_t bytes[WLOG_SUPER_LEN];
	struct why why;

	wlog_super_encode(&s, bytes);
	ck_assert_int_eq(
	    wlog_super_decode(bytes, WLOG_SUPER_LEN - 1, &out, &why),
	    VERDICT_PARTIAL);
	bytes[8] = 2;
	ck_assert_int_eq(wlog_super_decode(bytes, sizeof(bytes), &out, &why),
	    VERDICT_UNKNOWN);
	bytes[0] ^= 1;
	ck_assert_int_eq(wlog_super_decode(bytes, sizeof(bytes), &out, &why),
	    VERDICT_CORRUPT);
}
END_TEST

START_TEST(a_write_has_its_data_behind_it_and_a_discard_none)
{
	uint8_t bytes[SECTOR];
	struct wlog_entry b;

	header(bytes, 10, 3, WLOG_FUA, 0);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_WHOLE);
	ck_assert_uint_eq(b.off, 10 * SECTOR);
	ck_assert_uint_eq(b.len, 3 * SECTOR);
	ck_assert_uint_eq(b.stored, 3 * SECTOR);
	header(bytes, 10, 3, WLOG_DISCARD, 0);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_WHOLE);
	ck_assert_uint_eq(b.len, 3 * SECTOR);
	ck_assert_uint_eq(b.stored, 0);
}
END_TEST

START_TEST(unknown_flags_are_masked_and_kept)
{
	uint8_t bytes[SECTOR], again[SECTOR];
	struct wlog_entry b;

	header(bytes, 1, 1, UINT64_C(1) << 40 | WLOG_METADATA | 1u << 7, 0);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_WHOLE);
	ck_assert_uint_eq(b.flags, WLOG_METADATA);
	ck_assert_uint_eq(b.unknown, UINT64_C(1) << 40 | 1u << 7);
	ck_assert_uint_eq(b.stored, SECTOR);
	ck_assert(wlog_entry_encode(&b, SECTOR, again));
	ck_assert_mem_eq(again, bytes, SECTOR);
}
END_TEST

START_TEST(a_marks_text_needs_no_end_and_must_fit)
{
	uint8_t bytes[SECTOR], again[SECTOR];
	struct wlog_entry b;

	header(bytes, 0, 0, WLOG_MARK, 5);
	memset(bytes + WLOG_HEADER_LEN, 'x', SECTOR - WLOG_HEADER_LEN);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_WHOLE);
	ck_assert_str_eq(b.mark, "xxxxx");
	ck_assert(wlog_entry_encode(&b, SECTOR, again));
	ck_assert_mem_eq(again, bytes, WLOG_HEADER_LEN + 5);
	ck_assert_int_eq(
	    decode(bytes, WLOG_HEADER_LEN + 4, &b), VERDICT_PARTIAL);
	header(bytes, 0, 0, WLOG_MARK, SECTOR - WLOG_HEADER_LEN + 1);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_CORRUPT);
	header(bytes, 0, 0, WLOG_MARK, UINT64_MAX);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_CORRUPT);
	/* Longer than is used: cut, and ended. */
	header(bytes, 0, 0, WLOG_MARK, SECTOR - WLOG_HEADER_LEN);
	memset(bytes + WLOG_HEADER_LEN, 'y', SECTOR - WLOG_HEADER_LEN);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_WHOLE);
	ck_assert_uint_eq(strlen(b.mark), WLOG_MARK_LIMIT - 1);
}
END_TEST

static const struct {
	uint64_t first, count;
} too_large[] = {
    {UINT64_MAX, 1},
    {INT64_MAX / SECTOR + 1, 1},
    {INT64_MAX / SECTOR, 1},
    {0, UINT64_MAX},
    {0, INT64_MAX / SECTOR + 1},
    {UINT64_MAX / SECTOR, UINT64_MAX / SECTOR},
};

START_TEST(a_range_that_overflows_is_corrupt)
{
	uint8_t bytes[SECTOR];
	struct wlog_entry b;

	header(bytes, too_large[_i].first, too_large[_i].count, 0, 0);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_CORRUPT);
	header(
	    bytes, too_large[_i].first, too_large[_i].count, WLOG_DISCARD, 0);
	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_CORRUPT);
}
END_TEST

START_TEST(what_was_never_written_is_no_entry)
{
	static const uint8_t bytes[SECTOR];
	struct wlog_entry b;

	ck_assert_int_eq(decode(bytes, SECTOR, &b), VERDICT_CORRUPT);
	ck_assert_int_eq(
	    decode(bytes, WLOG_HEADER_LEN - 1, &b), VERDICT_PARTIAL);
}
END_TEST

START_TEST(what_a_log_cannot_say_is_not_encoded)
{
	struct wlog_entry b = {.off = 100, .len = SECTOR};
	uint8_t bytes[SECTOR];

	ck_assert(!wlog_entry_encode(&b, SECTOR, bytes));
	b.off = SECTOR;
	b.len = 100;
	ck_assert(!wlog_entry_encode(&b, SECTOR, bytes));
	b = (struct wlog_entry){.flags = WLOG_MARK, .mark_len = 1};
	ck_assert(!wlog_entry_encode(&b, 32, bytes));
	ck_assert(wlog_entry_encode(&b, SECTOR, bytes));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("wlog");
	TCase *t = tcase_create("wlog");

	tcase_add_test(t, a_superblock_comes_back_as_it_was);
	tcase_add_loop_test(t, a_sector_is_a_power_of_two_within_bounds, 1, 31);
	tcase_add_test(t, a_short_foreign_or_newer_superblock_is_told_apart);
	tcase_add_test(t, a_write_has_its_data_behind_it_and_a_discard_none);
	tcase_add_test(t, unknown_flags_are_masked_and_kept);
	tcase_add_test(t, a_marks_text_needs_no_end_and_must_fit);
	tcase_add_loop_test(t, a_range_that_overflows_is_corrupt, 0,
	    sizeof(too_large) / sizeof(too_large[0]));
	tcase_add_test(t, what_was_never_written_is_no_entry);
	tcase_add_test(t, what_a_log_cannot_say_is_not_encoded);
	suite_add_tcase(s, t);
	return unit_run(s);
}
