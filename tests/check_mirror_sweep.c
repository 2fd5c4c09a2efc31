/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mirror's roles are killed at every call through the sys seam, and every
 * call is made to fail, once and for ever. After each: what is on the disk
 * keeps its promises, and going on as if nothing had happened ends with the
 * right mirror, byte for byte.
 */
#include "coordinator/roles.h"

#include "common/io.h"
#include "common/log.h"
#include "tests/mirror_unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define SIZE UINT64_C(30000)

static struct mirror_unit u;
static uint32_t first; /* files before this one are applied beforehand */

static void
teardown(void)
{
	mirror_unit_drop(&u);
}

/* A base and what follows, onto an empty mirror. */
static void
setup_base(void)
{
	mirror_unit_make(&u, 5, SIZE);
	maker_base(&u.maker, u.made, COPYIN_BASE);
	maker_mix(&u.maker, 6);
	(void)maker_seal(&u.maker, u.made);
	maker_new_epoch(&u.maker);
	maker_mix(&u.maker, 6);
	(void)maker_seal(&u.maker, u.made);
	first = 0;
}

/* A break and its recovery, onto a consistent mirror. */
static void
setup_break(void)
{
	mirror_unit_make(&u, 6, SIZE);
	maker_base(&u.maker, u.made, COPYIN_BASE);
	first = u.maker.files;
	maker_break(&u.maker);
	maker_mix(&u.maker, 4);
	(void)maker_seal(&u.maker, u.made);
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	maker_mix(&u.maker, 4);
	(void)maker_seal(&u.maker, u.made);
}

static void
begin(void)
{
	uint32_t i;

	mirror_unit_reset(&u);
	for (i = 0; i < first; i++)
		deliver(&u, i);
	if (first > 0) {
		run_both(&u);
		mirror_stands_at(&u, first - 1);
	}
	for (i = first; i < u.maker.files; i++)
		deliver(&u, i);
}

static int
work(void)
{
	struct err e = {0};

	return run_receive(&u, &e) < 0 || run_apply(&u, &e) < 0 ||
		       run_receive(&u, &e) < 0
		   ? -1
		   : 0;
}

/* Goes on without trouble; the source sends again what it must. */
static void
finish(bool again)
{
	uint32_t i;

	if (work() < 0 || again) {
		for (i = 0; i < u.maker.files; i++)
			deliver(&u, i);
		run_both(&u);
	}
	mirror_stands_at(&u, u.maker.files - 1);
}

/* ---- what must be true at any moment ---- */

static bool
is_ours(int stage, int done, const struct mirror_state *s, uint32_t i)
{
	const char *name = u.maker.file[i].name;

	return is_in(stage, name) || is_in(done, name) ||
	       position_compare(&u.maker.file[i].at, &s->clean) <= 0;
}

static int
open_if_there(int above)
{
	char text[UUID_TEXT];

	return openat(above, uuid_text(&u.maker.mirror, text),
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
promises_hold(bool lost)
{
	AUTO_CLOSE int stage = open_if_there(u.home.stage);
	AUTO_CLOSE int done = open_if_there(u.home.done);
	struct mirror_state s;
	struct ack a;
	uint32_t i;

	load_state(&u, &s);
	if (s.phase == MIRROR_CLEAN || s.phase == MIRROR_EMPTY)
		mirror_is_clean(&u);
	if (s.staging && s.phase == MIRROR_CLEAN)
		mirror_is(&u, first - 1);
	for (i = 0; i < u.maker.files && !lost; i++)
		ck_assert_msg(is_in(u.in, u.maker.file[i].name) ||
				  is_ours(stage, done, &s, i),
		    "%s is lost", u.maker.file[i].name);
	if (!has_ack(&u))
		return;
	load_ack(&u, &a);
	ck_assert_int_le(position_compare(&a.applied, &s.clean), 0);
	for (i = 0; i < u.maker.files && !lost; i++)
		if (position_compare(&u.maker.file[i].at, &a.stored) <= 0)
			ck_assert(is_ours(stage, done, &s, i));
}

/* ---- killed ---- */

static int
kill_at(void *ctx, enum sys_op op, const char *name)
{
	int *left = ctx;

	(void)op;
	(void)name;
	if ((*left)-- == 0)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

/* True when the work was done before the n-th call. */
static bool
killed_at(int n)
{
	int status = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		sys_set_judge(kill_at, &n);
		_exit(work() == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status)) {
		ck_assert_int_eq(WEXITSTATUS(status), 0);
		return true;
	}
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);
	return false;
}

/* Thirds of all calls, so that each test stays short. */
#define SHARES 3

START_TEST(killed_at_any_call_it_goes_on)
{
	int n;

	for (n = _i;; n += SHARES) {
		bool through;

		begin();
		through = killed_at(n);
		promises_hold(false);
		finish(false);
		promises_hold(false);
		ck_assert_uint_eq(count_names(u.home.quarantine, ".why"), 0);
		if (through)
			break;
	}
	ck_assert_int_gt(n, 100);
}
END_TEST

/* Dies again and again, a bit further each time, and still arrives. */
START_TEST(killed_over_and_over_it_arrives)
{
	int n;

	begin();
	for (n = 0; !killed_at(n * 7); n++)
		promises_hold(true);
	finish(true);
}
END_TEST

/* ---- failing ---- */

/* Every call in a long run; else some, others for each trouble. */
static int
stride(void)
{
	const char *l = getenv("AIM_LONG");

	return l != NULL && l[0] != '\0' ? 1 : 19;
}

START_TEST(whatever_call_fails_it_recovers)
{
	static const int troubles[] = {EIO, ENOSPC, SYS_SHORT};
	struct ladder l = {
	    .trouble = troubles[_i % 3], .stays = _i >= 3, .op = -1};
	bool struck;

	l.rung = _i * 3 % stride();
	do {
		begin();
		ladder_set(&l);
		(void)work();
		struck = l.struck;
		ladder_unset();
		/* A staged file that cannot be read is asked for again. */
		promises_hold(l.trouble == EIO);
		finish(true);
		l.rung += stride();
	} while (struck);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mirror_sweep");
	TCase *t = tcase_create("base");

	log_set_level(LOG_ERROR_);
	tcase_set_timeout(t, 240);
	tcase_add_checked_fixture(t, setup_base, teardown);
	tcase_add_loop_test(t, killed_at_any_call_it_goes_on, 0, SHARES);
	tcase_add_test(t, killed_over_and_over_it_arrives);
	tcase_add_loop_test(t, whatever_call_fails_it_recovers, 0, 6);
	suite_add_tcase(s, t);

	t = tcase_create("break");
	tcase_set_timeout(t, 240);
	tcase_add_checked_fixture(t, setup_break, teardown);
	tcase_add_loop_test(t, killed_at_any_call_it_goes_on, 0, SHARES);
	tcase_add_test(t, killed_over_and_over_it_arrives);
	tcase_add_loop_test(t, whatever_call_fails_it_recovers, 0, 6);
	suite_add_tcase(s, t);
	return unit_run(s);
}
