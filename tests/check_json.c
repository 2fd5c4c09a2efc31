/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"
#include "tests/unit.h"

START_TEST(commas_stand_between_and_nowhere_else)
{
	AUTO(buf_release) struct buf out = {0};
	struct json j = {0};

	json_object(&j, NULL);
	json_number(&j, "format", 1);
	json_array(&j, "a");
	json_array_end(&j);
	json_array(&j, "b");
	json_number(&j, NULL, 0);
	json_object(&j, NULL);
	json_object_end(&j);
	json_object(&j, NULL);
	json_bool(&j, "yes", true);
	json_bool(&j, "no", false);
	json_object_end(&j);
	json_array_end(&j);
	json_null(&j, "n");
	json_real(&j, "r", 1.5);
	json_object_end(&j);
	ck_assert_int_eq(json_end(&j, &out, NULL), 0);
	ck_assert_int_eq(buf_add(&out, "", 1, NULL), 0);
	ck_assert_str_eq((const char *)out.data,
	    "{\"format\":1,\"a\":[],\"b\":[0,{},{\"yes\":true,\"no\":false}],"
	    "\"n\":null,\"r\":1.500}\n");
}
END_TEST

START_TEST(hostile_text_is_escaped)
{
	AUTO(buf_release) struct buf out = {0};
	struct json j = {0};

	json_object(&j, NULL);
	json_text(&j, "k\"\n", "a\"b\\c\n\x01\x1b\x7f\xc3\xa9/");
	json_text(&j, "none", NULL);
	json_object_end(&j);
	ck_assert_int_eq(json_end(&j, &out, NULL), 0);
	ck_assert_int_eq(buf_add(&out, "", 1, NULL), 0);
	ck_assert_str_eq((const char *)out.data,
	    "{\"k\\\"\\u000a\":\"a\\\"b\\\\c\\u000a\\u0001\\u001b\\u007f"
	    "\\u00c3\\u00a9/\",\"none\":null}\n");
}
END_TEST

START_TEST(the_largest_number_is_exact)
{
	AUTO(buf_release) struct buf out = {0};
	struct json j = {0};

	json_array(&j, NULL);
	json_number(&j, NULL, UINT64_MAX);
	json_array_end(&j);
	ck_assert_int_eq(json_end(&j, &out, NULL), 0);
	ck_assert_int_eq(
	    memcmp(out.data, "[18446744073709551615]\n", out.len), 0);
}
END_TEST

START_TEST(a_failure_is_kept_until_the_end)
{
	AUTO(buf_release) struct buf out = {0};
	struct json j = {.failed = true, .err = {.kind = ERR_RETRY}};
	struct err e = {0};

	(void)strcpy(j.err.text, "out of memory");
	json_object(&j, NULL);
	json_object_end(&j);
	ck_assert_int_eq(json_end(&j, &out, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_str_eq(e.text, "out of memory");
	ck_assert_ptr_null(out.data);
}
END_TEST

START_TEST(it_can_be_used_again_after_the_end)
{
	AUTO(buf_release) struct buf out = {0};
	struct json j = {0};

	json_number(&j, NULL, 1);
	ck_assert_int_eq(json_end(&j, &out, NULL), 0);
	json_number(&j, NULL, 2);
	ck_assert_int_eq(json_end(&j, &out, NULL), 0);
	ck_assert_uint_eq(out.len, 2);
	ck_assert_int_eq(memcmp(out.data, "2\n", 2), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("json");
	TCase *t = tcase_create("all");

	tcase_add_test(t, commas_stand_between_and_nowhere_else);
	tcase_add_test(t, hostile_text_is_escaped);
	tcase_add_test(t, the_largest_number_is_exact);
	tcase_add_test(t, a_failure_is_kept_until_the_end);
	tcase_add_test(t, it_can_be_used_again_after_the_end);
	suite_add_tcase(s, t);
	return unit_run(s);
}
