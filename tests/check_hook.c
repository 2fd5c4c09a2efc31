/* SPDX-License-Identifier: Apache-2.0 */
/* Alarms as events, which hooks want them, what may be run, and running it. */
#include "coordinator/hook.h"
#include "tests/unit.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

START_TEST(an_alarm_is_told_from_other_events)
{
	struct alarm a;

	ck_assert(alarm_parse("alarm silence raised: no word", &a));
	ck_assert_str_eq(a.kind, "silence");
	ck_assert(a.raised);
	ck_assert_str_eq(a.text, "no word");
	ck_assert(alarm_parse("alarm spool cleared: ", &a));
	ck_assert(!a.raised);
	ck_assert_str_eq(a.text, "");
}
END_TEST

static const char *const others[] = {"", "alarm", "alarm silence",
    "alarm silence raised", "alarm SILENCE raised: x", "alarm  lost: x",
    "alarmed", "alarm averyveryverylongkind raised: x", "base"};

START_TEST(other_events_are_no_alarms)
{
	struct alarm a;

	ck_assert(!alarm_parse(others[_i], &a));
}
END_TEST

START_TEST(a_hook_wants_what_it_was_registered_for)
{
	struct hook_config k = {.kinds = "silence,spool"};

	ck_assert(hook_wants(&k, "silence"));
	ck_assert(hook_wants(&k, "spool"));
	ck_assert(!hook_wants(&k, "commit"));
	ck_assert(!hook_wants(&k, "spoo"));
	(void)strcpy(k.kinds, "all");
	ck_assert(hook_wants(&k, "commit"));
	ck_assert_int_eq(hook_check_kinds("silence,spool", NULL), 0);
	ck_assert_int_eq(hook_check_kinds("all", NULL), 0);
	ck_assert_int_eq(hook_check_kinds("", NULL), -1);
	ck_assert_int_eq(hook_check_kinds("silence,", NULL), -1);
	ck_assert_int_eq(hook_check_kinds("silence,all", NULL), -1);
}
END_TEST

static struct unit_dir dir;
static char path[128];

static void
make(const char *text, mode_t mode)
{
	FILE *f;

	unit_dir_make(&dir);
	(void)snprintf(path, sizeof(path), "%s/hook", dir.path);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void
assert_refused(const char *why)
{
	struct err e = {0};

	ck_assert_int_eq(hook_check(path, geteuid(), &e), -1);
	ck_assert_msg(strstr(e.text, why) != NULL, "%s", e.text);
}

START_TEST(only_what_nobody_else_can_change_is_run)
{
	char link[160];

	make("#!/bin/sh\n", 0755);
	ck_assert_int_eq(hook_check(path, geteuid(), NULL), 0);
	ck_assert_int_eq(chmod(path, 0775), 0);
	assert_refused("can be changed by others");
	ck_assert_int_eq(chmod(path, 0644), 0);
	assert_refused("executed");
	ck_assert_int_eq(chmod(path, 0755), 0);
	ck_assert_int_eq(chmod(dir.path, 0777), 0);
	assert_refused("can be changed by others");
	ck_assert_int_eq(chmod(dir.path, 0700), 0);
	(void)snprintf(link, sizeof(link), "%s/link", dir.path);
	ck_assert_int_eq(symlink("hook", link), 0);
	(void)strcat(path, "x");
	assert_refused("No such file");
	(void)strcpy(path, link);
	assert_refused("symbolic link");
	(void)strcpy(path, dir.path);
	assert_refused("no regular file");
	(void)strcpy(path, "hook");
	assert_refused("absolute");
	unit_dir_drop(&dir);
}
END_TEST

START_TEST(what_is_anothers_is_not_run)
{
	struct err e = {0};

	make("#!/bin/sh\n", 0755);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(path, 12345, 12345), 0);
	ck_assert_int_eq(
	    hook_check(path, geteuid() == 0 ? 0 : geteuid() + 1, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "belongs to user"));
	unit_dir_drop(&dir);
}
END_TEST

static int
run(uint32_t limit_ms, struct buf *out, int *status, struct err *e)
{
	struct hook_call call = {.alarm = {.kind = "silence", .raised = true},
	    .group = "db",
	    .site = "paris",
	    .text = "it's \"gone\" $(rm)\n"};

	(void)strcpy(call.hook.path, path);
	return hook_run(&call, geteuid(), limit_ms, out, status, e);
}

START_TEST(it_finds_its_words_in_a_clean_environment)
{
	AUTO(buf_release) struct buf out = {0};
	struct err e = {0};
	int status = -1;

	ck_assert_int_eq(setenv("SECRET", "yes", 1), 0);
	make("#!/bin/sh\n"
	     "echo \"$AIM_ALARM $AIM_STATE $AIM_GROUP $AIM_SITE $AIM_TEXT,\"\n"
	     "echo \"$SECRET$# $(pwd)\" >&2\nexit 3\n",
	    0755);
	ck_assert_msg(run(10000, &out, &status, &e) == 0, "%s", e.text);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 3);
	ck_assert_int_eq(buf_add(&out, "", 1, NULL), 0);
	ck_assert_str_eq((const char *)out.data,
	    "silence raised db paris it s  gone   (rm) ,\n0 /\n");
	unit_dir_drop(&dir);
}
END_TEST

START_TEST(it_is_killed_with_what_it_started_when_it_takes_too_long)
{
	AUTO(buf_release) struct buf out = {0};
	struct err e = {0};
	int status = 0, child = 0;

	make("#!/bin/sh\nsleep 1000 &\necho $!\nwait\n", 0755);
	ck_assert_int_eq(run(300, &out, &status, &e), -1);
	ck_assert_int_eq(e.sys, ETIMEDOUT);
	ck_assert_int_eq(buf_add(&out, "", 1, NULL), 0);
	ck_assert_int_eq(sscanf((const char *)out.data, "%d", &child), 1);
	/* It is nobody's child here: it goes when the kernel lets it. */
	for (int i = 0; i < 10000 && kill(child, 0) == 0; i++) {
		char name[64], state = 0;
		FILE *f;

		(void)snprintf(name, sizeof(name), "/proc/%d/stat", child);
		f = fopen(name, "r");
		if (f != NULL) {
			if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
				state = 0;
			(void)fclose(f);
		}
		if (state == 'Z')
			break;
		ck_assert_int_lt(i, 9999);
		(void)usleep(1000);
	}
	unit_dir_drop(&dir);
}
END_TEST

START_TEST(what_it_says_is_bounded)
{
	AUTO(buf_release) struct buf out = {0};
	struct err e = {0};
	int status = -1;

	make("#!/bin/sh\nhead -c 300000 /dev/zero\n", 0755);
	ck_assert_msg(run(10000, &out, &status, &e) == 0, "%s", e.text);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(out.len, HOOK_OUTPUT);
	unit_dir_drop(&dir);
}
END_TEST

START_TEST(it_is_killed_while_it_says_more_and_more)
{
	AUTO(buf_release) struct buf out = {0};
	struct err e = {0};
	int status = 0;

	make("#!/bin/sh\ncat /dev/zero &\nexec cat /dev/zero\n", 0755);
	ck_assert_int_eq(run(300, &out, &status, &e), -1);
	ck_assert_int_eq(e.sys, ETIMEDOUT);
	ck_assert_uint_eq(out.len, HOOK_OUTPUT);
	unit_dir_drop(&dir);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int
main(void)
{
	Suite *s = suite_create("hook");
	TCase *t = tcase_create("hook");

	tcase_add_test(t, an_alarm_is_told_from_other_events);
	tcase_add_loop_test(t, other_events_are_no_alarms, 0, COUNT(others));
	tcase_add_test(t, a_hook_wants_what_it_was_registered_for);
	tcase_add_test(t, only_what_nobody_else_can_change_is_run);
	tcase_add_test(t, what_is_anothers_is_not_run);
	tcase_add_test(t, it_finds_its_words_in_a_clean_environment);
	tcase_add_test(
	    t, it_is_killed_with_what_it_started_when_it_takes_too_long);
	tcase_add_test(t, what_it_says_is_bounded);
	tcase_add_test(t, it_is_killed_while_it_says_more_and_more);
	suite_add_tcase(s, t);
	return unit_run(s);
}
