/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

START_TEST(set_returns_minus_one_and_fills_all)
{
	struct err e = {.sys = 5};

	ck_assert_int_eq(err_set(&e, ERR_CORRUPT, "byte %d of %s", 7, "x"), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_int_eq(e.sys, 0);
	ck_assert_str_eq(e.text, "byte 7 of x");
}
END_TEST

static const struct {
	int sys;
	enum err_kind kind;
} kinds[] = {
    {ENOSPC, ERR_FULL},
    {EDQUOT, ERR_FULL},
    {EFBIG, ERR_FULL},
    {EAGAIN, ERR_RETRY},
    {EINTR, ERR_RETRY},
    {EBUSY, ERR_RETRY},
    {ETIMEDOUT, ERR_RETRY},
    {ECONNREFUSED, ERR_RETRY},
    {ENOMEM, ERR_RETRY},
    {ENOENT, ERR_REFUSED},
    {EACCES, ERR_REFUSED},
    {EROFS, ERR_REFUSED},
    {ELOOP, ERR_REFUSED},
    {EIO, ERR_FATAL},
    {EINVAL, ERR_FATAL},
};

START_TEST(the_kind_follows_from_the_errno)
{
	struct err e = {0};

	errno = kinds[_i].sys;
	ck_assert_int_eq(err_sys(&e, "open %s", "/d"), -1);
	ck_assert_int_eq(e.kind, kinds[_i].kind);
	ck_assert_int_eq(e.sys, kinds[_i].sys);
	ck_assert_int_eq(errno, kinds[_i].sys);
	ck_assert_int_eq(strncmp(e.text, "open /d: ", 9), 0);
	ck_assert_str_eq(e.text + 9, strerror(kinds[_i].sys));
}
END_TEST

START_TEST(context_goes_in_front_and_keeps_the_kind)
{
	struct err e = {0};

	errno = ENOSPC;
	(void)err_sys(&e, "write");
	ck_assert_int_eq(err_at(&e, "seal %s", "f"), -1);
	ck_assert_int_eq(err_at(&e, "group %d", 3), -1);
	ck_assert_int_eq(e.kind, ERR_FULL);
	ck_assert_int_eq(e.sys, ENOSPC);
	ck_assert_int_eq(strncmp(e.text, "group 3: seal f: write: ", 24), 0);
}
END_TEST

START_TEST(no_err_is_allowed_everywhere)
{
	errno = EIO;
	ck_assert_int_eq(err_set(NULL, ERR_FATAL, "x"), -1);
	ck_assert_int_eq(err_sys(NULL, "x"), -1);
	ck_assert_int_eq(err_at(NULL, "x"), -1);
	err_clear(NULL);
}
END_TEST

START_TEST(long_text_is_cut_and_terminated)
{
	char big[2000];
	struct err e;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)err_set(&e, ERR_FATAL, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	errno = EIO;
	(void)err_sys(&e, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	(void)err_at(&e, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	(void)err_set(&e, ERR_FATAL, "end");
	(void)err_at(&e, "%.505s", big);
	ck_assert_uint_eq(strlen(e.text), 505 + strlen(": end"));
}
END_TEST

START_TEST(clear_leaves_nothing)
{
	struct err e;

	errno = EIO;
	(void)err_sys(&e, "x");
	err_clear(&e);
	ck_assert_int_eq(e.kind, ERR_NONE);
	ck_assert_int_eq(e.sys, 0);
	ck_assert_str_eq(e.text, "");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("err");
	TCase *t = tcase_create("all");

	tcase_add_test(t, set_returns_minus_one_and_fills_all);
	tcase_add_loop_test(t, the_kind_follows_from_the_errno, 0,
	    sizeof(kinds) / sizeof(kinds[0]));
	tcase_add_test(t, context_goes_in_front_and_keeps_the_kind);
	tcase_add_test(t, no_err_is_allowed_everywhere);
	tcase_add_test(t, long_text_is_cut_and_terminated);
	tcase_add_test(t, clear_leaves_nothing);
	suite_add_tcase(s, t);
	return unit_run(s);
}
