/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include "tests/unit.h"

START_TEST(it_grows_and_keeps_what_was_there)
{
	AUTO(buf_release) struct buf b = {0};
	size_t i;

	for (i = 0; i < 10000; i++) {
		uint8_t c = (uint8_t)(i * 7);

		ck_assert_int_eq(buf_add(&b, &c, 1, NULL), 0);
	}
	ck_assert_uint_eq(b.len, 10000);
	ck_assert_uint_ge(b.room, b.len);
	for (i = 0; i < b.len; i++)
		ck_assert_uint_eq(b.data[i], (uint8_t)(i * 7));
}
END_TEST

START_TEST(adding_nothing_to_nothing_is_fine)
{
	AUTO(buf_release) struct buf b = {0};

	ck_assert_int_eq(buf_add(&b, NULL, 0, NULL), 0);
	ck_assert_uint_eq(b.len, 0);
}
END_TEST

START_TEST(room_that_overflows_is_refused_and_changes_nothing)
{
	AUTO(buf_release) struct buf b = {0};
	struct err e = {0};
	struct buf was;

	ck_assert_int_eq(buf_add(&b, "abc", 3, NULL), 0);
	was = b;
	ck_assert_int_eq(buf_room(&b, SIZE_MAX, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_int_eq(buf_room(&b, SIZE_MAX / 2 + 2, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_eq(b.data, was.data);
	ck_assert_uint_eq(b.len, was.len);
	ck_assert_uint_eq(b.room, was.room);
}
END_TEST

START_TEST(memory_that_is_not_there_is_retry_and_changes_nothing)
{
	AUTO(buf_release) struct buf b = {0};
	struct err e = {0};

	ck_assert_int_eq(buf_room(&b, SIZE_MAX / 4, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.room, 0);
}
END_TEST

START_TEST(printf_adds_text_and_a_nul_that_does_not_count)
{
	AUTO(buf_release) struct buf b = {0};

	ck_assert_int_eq(buf_printf(&b, NULL, "%d-%s", 12, "xy"), 0);
	ck_assert_int_eq(buf_printf(&b, NULL, "%c", 'z'), 0);
	ck_assert_uint_eq(b.len, 6);
	ck_assert_str_eq((const char *)b.data, "12-xyz");
}
END_TEST

START_TEST(printf_of_exactly_the_room_that_is_left)
{
	AUTO(buf_release) struct buf b = {0};

	/* 63 characters and the NUL fill the first 64 bytes. */
	ck_assert_int_eq(buf_printf(&b, NULL, "%063d", 0), 0);
	ck_assert_uint_eq(b.len, 63);
	ck_assert_uint_eq(b.room, 64);
	ck_assert_int_eq(buf_printf(&b, NULL, "%s", ""), 0);
	ck_assert_int_eq(buf_printf(&b, NULL, "%d", 1), 0);
	ck_assert_uint_eq(b.len, 64);
	ck_assert_uint_ge(b.room, 65);
}
END_TEST

START_TEST(swap_and_release)
{
	struct buf a = {0}, b = {0};

	ck_assert_int_eq(buf_add(&a, "a", 1, NULL), 0);
	buf_swap(&a, &b);
	ck_assert_uint_eq(a.len, 0);
	ck_assert_uint_eq(b.len, 1);
	buf_release(&b);
	buf_release(&b);
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_uint_eq(b.room, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("buf");
	TCase *t = tcase_create("all");

	tcase_add_test(t, it_grows_and_keeps_what_was_there);
	tcase_add_test(t, adding_nothing_to_nothing_is_fine);
	tcase_add_test(t, room_that_overflows_is_refused_and_changes_nothing);
	tcase_add_test(
	    t, memory_that_is_not_there_is_retry_and_changes_nothing);
	tcase_add_test(t, printf_adds_text_and_a_nul_that_does_not_count);
	tcase_add_test(t, printf_of_exactly_the_room_that_is_left);
	tcase_add_test(t, swap_and_release);
	suite_add_tcase(s, t);
	return unit_run(s);
}
