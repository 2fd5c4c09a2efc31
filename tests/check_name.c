/* SPDX-License-Identifier: Apache-2.0 */
#include "common/name.h"
#include "tests/unit.h"

static const char *const good[] = {"a", "Z", "0", "a.b", "x_y-z", "0...",
    "a23456789012345678901234567890123456789012345678901234567890123"};

static const char *const bad[] = {"", ".", "..", "-a", "_a", ".a", "a/b",
    "../x", "/", "a b", "a\n", "a\tb", "\xc3\xa9", "a\xff", "a\\b", "a:b",
    "a%00", "a*", "a~",
    "a234567890123456789012345678901234567890123456789012345678901234"};

START_TEST(good_names_pass)
{
	struct err e = {0};

	ck_assert_int_eq(name_check("group", good[_i], &e), 0);
	ck_assert_int_eq(e.kind, ERR_NONE);
}
END_TEST

START_TEST(bad_names_are_refused_and_shown_safely)
{
	struct err e = {0};
	const char *p;

	ck_assert_int_eq(name_check("group", bad[_i], &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "group"));
	for (p = e.text; *p != '\0'; p++)
		ck_assert(*p >= 0x20 && *p < 0x7f);
}
END_TEST

START_TEST(every_byte_is_judged)
{
	char name[3] = {'a', (char)_i, '\0'};
	bool ok = (_i >= 'a' && _i <= 'z') || (_i >= 'A' && _i <= 'Z') ||
		  (_i >= '0' && _i <= '9') || _i == '.' || _i == '_' ||
		  _i == '-';

	ck_assert_int_eq(name_check("x", name, NULL), ok ? 0 : -1);
}
END_TEST

START_TEST(quoting_hides_what_is_not_plain)
{
	char out[64];

	ck_assert_str_eq(name_quote("a\"\\\n\0z", 6, out, sizeof(out)),
	    "a\\x22\\x5c\\x0a\\x00z");
	ck_assert_str_eq(name_quote("\xff", 1, out, sizeof(out)), "\\xff");
	ck_assert_str_eq(name_quote("", 0, out, sizeof(out)), "");
}
END_TEST

START_TEST(quoting_never_leaves_its_room)
{
	char out[32];
	size_t room;

	for (room = 0; room <= 16; room++) {
		memset(out, '#', sizeof(out));
		(void)name_quote("ab\n\n\ncdefghij", 13, out, room);
		ck_assert_int_eq(out[room], '#');
		if (room > 0)
			ck_assert_uint_lt(strnlen(out, sizeof(out)), room);
	}
}
END_TEST

static const struct {
	const char *text, *word;
} words[] = {
    {"/srv/aim-1_x.y", "/srv/aim-1_x.y"},
    {"/a b", "'/a b'"},
    {"it's", "'it'\\''s'"},
    {"", "''"},
    {"$HOME", "'$HOME'"},
    {"a\nb", "'a\nb'"},
    {"~x", "'~x'"},
};

START_TEST(a_shell_takes_it_as_one_word)
{
	char out[SHELL_WORD], tight[8];
	size_t room;

	ck_assert_str_eq(
	    shell_word(words[_i].text, out, sizeof(out)), words[_i].word);
	for (room = 1; room < sizeof(tight); room++) {
		memset(tight, '#', sizeof(tight));
		(void)shell_word(words[_i].text, tight, room);
		ck_assert_uint_lt(strnlen(tight, sizeof(tight)), room);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("name");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(
	    t, good_names_pass, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(t, bad_names_are_refused_and_shown_safely, 0,
	    sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(t, every_byte_is_judged, 1, 256);
	tcase_add_test(t, quoting_hides_what_is_not_plain);
	tcase_add_test(t, quoting_never_leaves_its_room);
	tcase_add_loop_test(t, a_shell_takes_it_as_one_word, 0,
	    sizeof(words) / sizeof(words[0]));
	suite_add_tcase(s, t);
	return unit_run(s);
}
