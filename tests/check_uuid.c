/* SPDX-License-Identifier: Apache-2.0 */
#include "common/uuid.h"
#include "tests/unit.h"

static const char text[] = "00112233-4455-6677-8899-aabbccddeeff";

START_TEST(text_and_bytes_agree)
{
	struct uuid u;
	char out[UUID_TEXT];
	unsigned i;

	ck_assert_int_eq(uuid_parse(text, &u, NULL), 0);
	for (i = 0; i < 16; i++)
		ck_assert_uint_eq(u.b[i], i * 0x11);
	ck_assert_str_eq(uuid_text(&u, out), text);
}
END_TEST

START_TEST(upper_case_is_accepted)
{
	struct uuid u, v;

	ck_assert_int_eq(
	    uuid_parse("00112233-4455-6677-8899-AABBCCDDEEFF", &u, NULL), 0);
	ck_assert_int_eq(uuid_parse(text, &v, NULL), 0);
	ck_assert(uuid_equal(&u, &v));
}
END_TEST

START_TEST(any_one_wrong_character_is_refused)
{
	static const struct uuid zero;
	struct uuid u = {{0}};
	struct err e = {0};
	char wrong[sizeof(text)];

	memcpy(wrong, text, sizeof(text));
	wrong[_i] = wrong[_i] == '-' ? '0' : '-';
	ck_assert_int_eq(uuid_parse(wrong, &u, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	wrong[_i] = 'g';
	ck_assert_int_eq(uuid_parse(wrong, &u, &e), -1);
	ck_assert(uuid_equal(&u, &zero));
}
END_TEST

START_TEST(other_lengths_are_refused)
{
	struct uuid u;

	ck_assert_int_eq(uuid_parse("", &u, NULL), -1);
	ck_assert_int_eq(
	    uuid_parse("00112233-4455-6677-8899-aabbccddeef", &u, NULL), -1);
	ck_assert_int_eq(
	    uuid_parse("00112233-4455-6677-8899-aabbccddeeff0", &u, NULL), -1);
	ck_assert_int_eq(
	    uuid_parse("00112233445566778899aabbccddeeff", &u, NULL), -1);
}
END_TEST

START_TEST(made_ones_are_version_4_and_differ)
{
	struct uuid u, v;

	ck_assert_int_eq(uuid_make(&u, NULL), 0);
	ck_assert_int_eq(uuid_make(&v, NULL), 0);
	ck_assert_uint_eq(u.b[6] >> 4, 4);
	ck_assert_uint_eq(u.b[8] >> 6, 2);
	ck_assert(!uuid_equal(&u, &v));
	ck_assert(!uuid_is_nil(&u));
}
END_TEST

START_TEST(nil_is_all_zero)
{
	struct uuid u = {{0}};

	ck_assert(uuid_is_nil(&u));
	u.b[15] = 1;
	ck_assert(!uuid_is_nil(&u));
}
END_TEST

START_TEST(hex_goes_there_and_back)
{
	uint8_t bytes[256], back[256] = {0};
	char out[513];
	unsigned i;

	for (i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	ck_assert_uint_eq(strlen(hex_text(bytes, 256, out)), 512);
	ck_assert_int_eq(hex_parse(out, back, 256, NULL), 0);
	ck_assert_mem_eq(bytes, back, 256);
}
END_TEST

START_TEST(bad_hex_is_refused_and_leaves_the_output)
{
	uint8_t out[2] = {1, 2};

	ck_assert_int_eq(hex_parse("0g00", out, 2, NULL), -1);
	ck_assert_int_eq(hex_parse("000", out, 2, NULL), -1);
	ck_assert_int_eq(hex_parse("00000", out, 2, NULL), -1);
	ck_assert_int_eq(hex_parse("000 ", out, 2, NULL), -1);
	ck_assert_uint_eq(out[0], 1);
	ck_assert_uint_eq(out[1], 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("uuid");
	TCase *t = tcase_create("all");

	tcase_add_test(t, text_and_bytes_agree);
	tcase_add_test(t, upper_case_is_accepted);
	tcase_add_loop_test(
	    t, any_one_wrong_character_is_refused, 0, sizeof(text) - 1);
	tcase_add_test(t, other_lengths_are_refused);
	tcase_add_test(t, made_ones_are_version_4_and_differ);
	tcase_add_test(t, nil_is_all_zero);
	tcase_add_test(t, hex_goes_there_and_back);
	tcase_add_test(t, bad_hex_is_refused_and_leaves_the_output);
	suite_add_tcase(s, t);
	return unit_run(s);
}
