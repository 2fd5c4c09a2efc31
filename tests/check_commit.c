/* SPDX-License-Identifier: Apache-2.0 */
/* Commit policies as text, and the position that one asks for. */
#include "coordinator/catalogue.h"
#include "coordinator/commit.h"
#include "tests/unit.h"

#include <check.h>
#include <string.h>

static struct commit_config
parsed(const char *text)
{
	struct commit_config p = {.timeout_ms = 7};
	struct err e = {0};

	ck_assert_msg(commit_parse(text, &p, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(p.timeout_ms, 7);
	return p;
}

static const char *const same[] = {
    "local",
    "journal",
    "all",
    "any 1 of (paris)",
    "any 2 of (paris,rome,x-1.y)",
};

START_TEST(a_policy_comes_back_as_it_went)
{
	struct commit_config p = parsed(same[_i]);
	char text[COMMIT_TEXT];

	ck_assert_str_eq(commit_text(&p, text), same[_i]);
}
END_TEST

static const char *const loose[] = {
    "any 2 of paris,rome",
    "  any 2 of ( paris , rome )  ",
    "any 2 of(paris,rome)",
};

START_TEST(spaces_and_brackets_may_be_left_out)
{
	struct commit_config p = parsed(loose[_i]);
	char text[COMMIT_TEXT];

	ck_assert_str_eq(commit_text(&p, text), "any 2 of (paris,rome)");
}
END_TEST

static const char *const bad[] = {"", "remote", "locals", "local 1", "any",
    "any of (a)", "any 0 of (a)", "any -1 of (a)", "any 2 of (a)",
    "any 1 of ()", "any 1 of (a", "any 1 of (a))", "any 1 of (a,)",
    "any 1 of (a,a)", "any 1 of (a b)", "any 1 (a)", "any 1 of (../x)",
    "all of (a)", "any 99999999999999999999 of (a)",
    "any 1 of (a1,a2,a3,a4,a5,a6,a7,a8,a9,b1,b2,b3,b4,b5,b6,b7,b8)"};

START_TEST(what_is_no_policy_is_refused)
{
	struct commit_config p = {.kind = COMMIT_JOURNAL}, was = p;
	struct err e = {0};

	ck_assert_int_eq(commit_parse(bad[_i], &p, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_mem_eq(&p, &was, sizeof(p));
}
END_TEST

START_TEST(the_longest_policy_fits_its_text)
{
	struct commit_config p = {
	    .kind = COMMIT_MIRRORS, .needed = 16, .count = COMMIT_NAMES};
	struct commit_config again = {0};
	char text[COMMIT_TEXT];

	for (uint32_t i = 0; i < COMMIT_NAMES; i++) {
		memset(p.names[i], 'a' + (int)i, NAME_LIMIT - 1);
		p.names[i][NAME_LIMIT - 1] = 0;
	}
	ck_assert_int_eq(commit_parse(commit_text(&p, text), &again, NULL), 0);
	ck_assert_mem_eq(&p, &again, sizeof(p));
}
END_TEST

START_TEST(it_names_those_that_flushes_wait_for)
{
	struct commit_config p = parsed("any 1 of (paris,rome)");

	ck_assert(commit_names(&p, "rome"));
	ck_assert(!commit_names(&p, "oslo"));
	p = parsed("all");
	ck_assert(commit_names(&p, "oslo"));
	p = parsed("journal");
	ck_assert(!commit_names(&p, "oslo"));
}
END_TEST

START_TEST(the_position_is_the_kth_highest)
{
	uint64_t at[] = {7, UINT64_MAX, 0, 30};

	ck_assert_uint_eq(commit_position(at, 4, 1), UINT64_MAX);
	ck_assert_uint_eq(commit_position(at, 4, 2), 30);
	ck_assert_uint_eq(commit_position(at, 4, 3), 7);
	ck_assert_uint_eq(commit_position(at, 4, 4), 0);
	ck_assert_uint_eq(commit_position(at, 4, 5), 0);
	ck_assert_uint_eq(commit_position(at, 4, 0), 0);
	ck_assert_uint_eq(commit_position(at, 0, 0), 0);
}
END_TEST

START_TEST(thresholds_of_the_spool_ascend)
{
	struct spool_warn w = {.age_s = 7};

	ck_assert_int_eq(spool_warn_parse("50,80,100", &w, NULL), 0);
	ck_assert_uint_eq(w.count, 3);
	ck_assert_uint_eq(w.percent[2], 100);
	ck_assert_uint_eq(w.age_s, 7);
	ck_assert_int_eq(spool_warn_parse("1,2,3,4,5,6,7,8", &w, NULL), 0);
	ck_assert_int_eq(spool_warn_parse("1,2,3,4,5,6,7,8,9", &w, NULL), -1);
	ck_assert_int_eq(spool_warn_parse("80,50", &w, NULL), -1);
	ck_assert_int_eq(spool_warn_parse("50,50", &w, NULL), -1);
	ck_assert_int_eq(spool_warn_parse("0", &w, NULL), -1);
	ck_assert_int_eq(spool_warn_parse("101", &w, NULL), -1);
	ck_assert_int_eq(spool_warn_parse("50,", &w, NULL), -1);
	ck_assert_int_eq(spool_warn_parse("", &w, NULL), -1);
	ck_assert_int_eq(spool_warn_parse("-5", &w, NULL), -1);
	ck_assert_uint_eq(w.count, 8);
	ck_assert_int_eq(spool_warn_parse("none", &w, NULL), 0);
	ck_assert_uint_eq(w.count, 0);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *s = suite_create("commit");
	TCase *t = tcase_create("commit");

	tcase_add_loop_test(t, a_policy_comes_back_as_it_went, 0, COUNT(same));
	tcase_add_loop_test(
	    t, spaces_and_brackets_may_be_left_out, 0, COUNT(loose));
	tcase_add_loop_test(t, what_is_no_policy_is_refused, 0, COUNT(bad));
	tcase_add_test(t, the_longest_policy_fits_its_text);
	tcase_add_test(t, it_names_those_that_flushes_wait_for);
	tcase_add_test(t, the_position_is_the_kth_highest);
	tcase_add_test(t, thresholds_of_the_spool_ascend);
	suite_add_tcase(s, t);
	return unit_run(s);
}
