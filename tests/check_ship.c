/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/source_kit.h"

#include "common/clock.h"
#include "common/io.h"
#include "coordinator/ship.h"
#include "coordinator/source.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define FILES 90
#define AHEAD 64u
#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static struct source_kit k;
static struct source *s;
static struct ship *ship;
static int far = -1;

static void
more_files(uint64_t files)
{
	struct capture *c = rig_attach(&k.rig, CAPTURE_WRITER);
	struct rig_file f;
	struct err e = {0};

	rig_file_open(&f, c, &k.rig, 0);
	while (s->files < files) {
		ck_assert_int_eq(rig_write(&f, "data", 4, 4096), 4);
		OK(source_seal_all(s, &e));
	}
	rig_file_close(&f);
	capture_detach(c);
}

static void
setup(void)
{
	char path[256], stream[UUID_TEXT];
	struct err e = {0};

	kit_open(&k, 1, MIB, 1);
	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	OK(source_seal_all(s, &e));
	more_files(FILES);
	ship = kit_ship(&k, 0);
	ship->ahead = AHEAD;
	(void)snprintf(path, sizeof(path), "%s/in0/%s", k.dir.path,
	    uuid_text(&k.group.stream, stream));
	OK(io_open_dir(AT_FDCWD, path, &far, &e));
}

static void
teardown(void)
{
	ladder_unset();
	close(far);
	ship_close(ship);
	source_close(s);
	kit_close(&k);
}

static void
reopen(void)
{
	ship_close(ship);
	ship = kit_ship(&k, 0);
	ship->ahead = AHEAD;
}

/* The mirror has stored and applied the first n files. */
static void
acknowledge(uint64_t n)
{
	struct position p;

	kit_position(&k, n, &p);
	kit_ack(&k, 0, &p, &p);
	ship->poll_ns = 0;
}

static void
remove_far(uint64_t n)
{
	char name[JOURNAL_NAME_LEN];

	ck_assert_int_eq(unlinkat(far, journal_name(1, n, name), 0), 0);
}

static bool
is_far(uint64_t n)
{
	char name[JOURNAL_NAME_LEN];

	return faccessat(far, journal_name(1, n, name), F_OK, 0) == 0;
}

static uint64_t
note_number(const char *key)
{
	char name[UUID_TEXT + 8], text[UUID_TEXT], value[64] = "";

	ship_note(ship, true);
	(void)snprintf(name, sizeof(name), "%s.ship",
	    uuid_text(&k.destination[0].uuid, text));
	ck_assert(note_read(&k.home, name, key, value, sizeof(value)));
	return strtoull(value, NULL, 10);
}

START_TEST(so_many_files_are_sent_ahead_and_no_more)
{
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), AHEAD);
	acknowledge(10);
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), AHEAD + 10);
	acknowledge(74);
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), FILES);
	ck_assert_uint_eq(ship->ring_count, FILES - 74);
	ck_assert(kit_replay(&k, far));
	ck_assert_uint_eq(note_number("lag_files"), FILES - 74);
	acknowledge(FILES);
	kit_ship_pass(ship);
	ck_assert_uint_eq(note_number("lag_files"), 0);
	ck_assert_uint_eq(note_number("lag_bytes"), 0);
	ck_assert_uint_eq(note_number("oldest_ns"), 0);
	ck_assert(ship_is_idle(ship));
}
END_TEST

START_TEST(news_that_comes_while_sending_opens_the_window)
{
	struct err e = {0};

	ship->ahead = 40;
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), 40);
	acknowledge(20);
	ship->ahead = AHEAD;
	ship->poll_ns = 0;
	ck_assert_int_eq(ship_send(ship, &e), 1);
	ck_assert_uint_eq(kit_count(far), 20 + AHEAD);
	ck_assert_uint_eq(ship->ring_count, AHEAD);
}
END_TEST

/* Else the same files would be sent for as long as that lasts. */
START_TEST(what_was_sent_stays_sent_where_no_news_can_be_had)
{
	char path[ACK_NAME_LEN + 8], file[ACK_NAME_LEN];
	struct err e = {0};

	ship->ahead = 40;
	kit_ship_pass(ship);
	(void)snprintf(path, sizeof(path), "ack/%s",
	    ack_name(&k.destination[0].mirror, file));
	ck_assert_int_eq(mkdirat(far, path, 0755), 0);
	ship->ahead = AHEAD;
	ship->poll_ns = 0;
	ck_assert_msg(ship_send(ship, &e) == 1, "%s", e.text);
	ck_assert_uint_eq(kit_count(far), AHEAD);
	ck_assert_uint_eq(ship->ring_count, AHEAD);
	/* It is said. */
	ship->poll_ns = 0;
	ck_assert_int_eq(ship_pass(ship, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "acknowledgement"));
	ck_assert_uint_eq(ship->ring_count, AHEAD);
}
END_TEST

/* Sending fails before news has come in the same pass, or after it. */
START_TEST(what_failed_after_news_is_sent_again)
{
	static const struct {
		int rung; /* file 41, the acknowledgement, file 42 */
		uint32_t stored, ring;
	} is[] = {{0, 20, 40}, {1, 20, 40}, {2, 20, 20}, {2, 40, 0}};
	struct ladder l = {.op = SYS_RENAME,
	    .trouble = EIO,
	    .rung = is[_i].rung,
	    .stays = true};
	struct err e = {0};

	ship->ahead = 40;
	kit_ship_pass(ship);
	acknowledge(is[_i].stored);
	ship->ahead = AHEAD;
	ship->poll_ns = 0;
	ladder_set(&l);
	ck_assert_int_eq(ship_send(ship, &e), -1);
	ladder_unset();
	ck_assert(l.struck);
	ck_assert_uint_eq(ship->sequence, 40);
	ck_assert_uint_eq(ship->ring_count, is[_i].ring);
	kit_ship_pass(ship);
	acknowledge(40);
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), FILES);
	ck_assert(kit_replay(&k, far));
}
END_TEST

START_TEST(after_a_restart_it_goes_on_from_what_is_stored)
{
	uint64_t n;

	kit_ship_pass(ship);
	acknowledge(30);
	kit_ship_pass(ship);
	for (n = 1; n <= FILES; n++)
		remove_far(n);
	reopen();
	kit_ship_pass(ship);
	ck_assert(!is_far(30));
	ck_assert(is_far(31));
	ck_assert_uint_eq(kit_count(far), FILES - 30);
	ck_assert_uint_eq(note_number("lag_files"), FILES - 30);
}
END_TEST

START_TEST(what_was_lost_over_there_is_sent_again)
{
	kit_ship_pass(ship);
	acknowledge(10);
	kit_ship_pass(ship);
	remove_far(11);
	remove_far(20);
	kit_ship_pass(ship);
	ck_assert(!is_far(11));
	ship->moved_ns -= UINT64_C(29000000000);
	kit_ship_pass(ship);
	ck_assert(!is_far(11)); /* not yet */
	ship->moved_ns -= UINT64_C(2000000000);
	kit_ship_pass(ship);
	ck_assert(is_far(11));
	ck_assert(is_far(20));
	/* The next time it takes longer. */
	remove_far(11);
	ship->moved_ns -= UINT64_C(31000000000);
	kit_ship_pass(ship);
	ck_assert(!is_far(11));
	ship->moved_ns -= UINT64_C(31000000000);
	kit_ship_pass(ship);
	ck_assert(is_far(11));
}
END_TEST

/* The mirror has stored so many files and says why it takes no more. */
static void
complain(
    uint64_t stored, uint64_t applied, enum ack_state state, const char *reason)
{
	struct ack a;

	kit_fill_ack(&k, 0, &a);
	kit_position(&k, stored, &a.stored);
	kit_position(&k, applied, &a.applied);
	a.durable = a.applied;
	a.state = state;
	(void)snprintf(a.reason, sizeof(a.reason), "%s", reason);
	kit_publish(&k, 0, &a, &k.mirror_key[0]);
	ship->poll_ns = 0;
}

START_TEST(what_the_mirror_asks_for_is_sent_at_once)
{
	char name[JOURNAL_NAME_LEN], text[100];

	kit_ship_pass(ship);
	acknowledge(10);
	kit_ship_pass(ship);
	remove_far(11);
	/* Other words, or another state, ask for nothing. */
	complain(10, 10, ACK_STALLED, "the disk is full");
	kit_ship_pass(ship);
	ck_assert(!is_far(11));
	(void)snprintf(text, sizeof(text), "%s is in quarantine: partial",
	    journal_name(1, 11, name));
	complain(10, 10, ACK_STREAMING, text);
	kit_ship_pass(ship);
	ck_assert(!is_far(11));
	complain(10, 10, ACK_STALLED, text);
	kit_ship_pass(ship);
	kit_ship_pass(ship);
	ck_assert(is_far(11));
	/* Said again of the same file: not in a loop. */
	remove_far(11);
	complain(10, 10, ACK_STALLED, "once more");
	kit_ship_pass(ship);
	complain(10, 10, ACK_STALLED, text);
	kit_ship_pass(ship);
	kit_ship_pass(ship);
	ck_assert(!is_far(11));
	/* Another file: at once, too. */
	acknowledge(20);
	kit_ship_pass(ship);
	remove_far(21);
	(void)snprintf(
	    text, sizeof(text), "%s is missing", journal_name(1, 21, name));
	complain(20, 20, ACK_STALLED, text);
	kit_ship_pass(ship);
	kit_ship_pass(ship);
	ck_assert(is_far(21));
}
END_TEST

START_TEST(what_was_stored_and_is_not_any_more_is_sent_at_once)
{
	kit_ship_pass(ship);
	acknowledge(5);
	kit_ship_pass(ship);
	complain(40, 5, ACK_STREAMING, "");
	kit_ship_pass(ship);
	remove_far(31);
	complain(30, 5, ACK_STALLED, "something was lost");
	kit_ship_pass(ship);
	kit_ship_pass(ship);
	ck_assert(is_far(31));
}
END_TEST

START_TEST(a_mirror_that_lost_stored_files_gets_them_again)
{
	struct position stored, applied;

	kit_ship_pass(ship);
	acknowledge(64);
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), FILES);
	remove_far(51);
	kit_position(&k, 50, &stored);
	kit_position(&k, 40, &applied);
	/* It may not take back what was applied ... */
	kit_ack(&k, 0, &stored, &applied);
	ship->poll_ns = 0;
	kit_ship_pass(ship);
	ck_assert(!is_far(51));
	ck_assert_ptr_nonnull(strstr(ship->ack_trouble, "takes back"));
	ck_assert_uint_eq(ship->ack.stored.sequence, 64);
}
END_TEST

/* The next file comes while one is on its way. */
struct newcomer {
	bool hidden, synced;
	int renames;
};

static int
newcomer_judge(void *ctx, enum sys_op op, const char *name)
{
	char link[64], path[PATH_MAX] = "", file[JOURNAL_NAME_LEN];
	struct newcomer *c = ctx;
	int dir;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%s",
	    strncmp(name, "fd:", 3) == 0 ? name + 3 : "none");
	if (op == SYS_FSYNC && readlink(link, path, sizeof(path) - 1) > 0 &&
	    strstr(path, "/sealed/") != NULL)
		c->synced = true;
	if (op != SYS_RENAME || strstr(name, ".aim") == NULL)
		return 0;
	/* What is being published must be here for good. */
	ck_assert(c->synced);
	if (c->renames++ > 0 || !c->hidden)
		return 0;
	dir = s->sealed.dir;
	ck_assert_int_eq(
	    renameat(dir, "hidden", dir, journal_name(1, 2, file)), 0);
	c->synced = false;
	return 0;
}

START_TEST(a_file_that_just_came_is_made_durable_before_it_is_sent)
{
	struct newcomer c = {.hidden = _i == 1};
	char name[JOURNAL_NAME_LEN];
	struct err e = {0};

	if (c.hidden)
		ck_assert_int_eq(
		    renameat(s->sealed.dir, journal_name(1, 2, name),
			s->sealed.dir, "hidden"),
		    0);
	sys_set_judge(newcomer_judge, &c);
	ck_assert_msg(ship_pass(ship, &e) >= 0, "%s", e.text);
	sys_set_judge(NULL, NULL);
	ck_assert(is_far(2));
	ck_assert_int_gt(c.renames, 1);
}
END_TEST

START_TEST(a_folder_that_fails_is_tried_again_later)
{
	struct ladder l = {.op = SYS_FSYNC, .trouble = EIO, .stays = true};
	struct err e = {0};

	ladder_set(&l);
	ck_assert_int_eq(ship_pass(ship, &e), -1);
	ladder_unset();
	/* Until its time comes it says the same, and does nothing. */
	ck_assert_int_eq(ship_pass(ship, &e), -1);
	ck_assert_uint_eq(kit_count(far), 0);
	ck_assert_uint_eq(note_number("attempts"), 1);
	ck_assert_uint_gt(note_number("next_retry"), 0);
	ship->backoff.until_ns = 0;
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), AHEAD);
	ck_assert_uint_eq(note_number("attempts"), 0);
}
END_TEST

START_TEST(with_given_times_it_is_tried_again_then_and_not_before)
{
	struct err e = {0};
	char in[256], away[256];

	/* Noon of today and of tomorrow are both half a day away, at most. */
	OK(retry_parse("00:00,12:00", &ship->retry, &e));
	(void)snprintf(in, sizeof(in), "%s/in0", k.dir.path);
	(void)snprintf(away, sizeof(away), "%s/away", k.dir.path);
	ck_assert_int_eq(rename(in, away), 0);
	ck_assert_int_eq(ship_pass(ship, &e), -1);
	ck_assert_uint_gt(ship->retry_ns, clock_wall_ns());
	ck_assert_uint_le(
	    ship->retry_ns - clock_wall_ns(), UINT64_C(46800000000000));
	ck_assert_int_eq(rename(away, in), 0);
	/* Not tried: the same trouble. */
	ck_assert_int_eq(ship_pass(ship, &e), -1);
	ck_assert(!is_far(1));
	ck_assert_uint_gt(ship_back_ms(ship), 0);
	ck_assert_uint_ge(note_number("next_retry"), ship->retry_ns - MIB);
	/* Now it is that time. */
	ship->retry_ns = clock_wall_ns();
	ck_assert_uint_eq(ship_back_ms(ship), 0);
	ck_assert_int_ge(ship_pass(ship, &e), 0);
	ck_assert(is_far(1));
	ck_assert_uint_eq(ship_back_ms(ship), 0);
}
END_TEST

START_TEST(a_file_that_is_missing_here_is_said_not_skipped)
{
	char name[JOURNAL_NAME_LEN];
	struct err e = {0};

	acknowledge(5);
	ship->poll_ns = 0;
	OK(io_remove(s->sealed.dir, journal_name(1, 6, name), &e));
	ck_assert_int_eq(ship_pass(ship, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "new base"));
	ck_assert_uint_eq(kit_count(far), 0);
}
END_TEST

START_TEST(paused_means_nothing_moves)
{
	k.destination[0].paused = true;
	reopen();
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), 0);
	k.destination[0].paused = false;
	reopen();
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), AHEAD);
}
END_TEST

START_TEST(epochs_are_followed)
{
	struct err e = {0};
	int n;

	acknowledge(FILES);
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), 0);
	s->must_break = true;
	for (n = 0; n < 20; n++)
		(void)!source_pass(s, &e);
	OK(source_seal_all(s, &e));
	ck_assert_uint_eq(s->tip.at.epoch_number, 2);
	kit_ship_pass(ship);
	ck_assert_uint_eq(kit_count(far), s->tip.at.sequence);
	ck_assert_uint_eq(ship->epoch_number, 2);
}
END_TEST

START_TEST(forged_news_changes_nothing)
{
	struct sign_secret forger;
	struct position p;
	struct err e = {0};
	struct ack a;

	kit_ship_pass(ship);
	OK(sign_make(&forger, &e));
	kit_position(&k, 64, &p);
	kit_fill_ack(&k, 0, &a);
	a.stored = a.applied = p;
	kit_publish(&k, 0, &a, &forger);
	ship->poll_ns = 0;
	kit_ship_pass(ship);
	ck_assert(!ship->has_ack);
	ck_assert_uint_eq(kit_count(far), AHEAD);
	ck_assert_ptr_nonnull(strstr(ship->ack_trouble, "forged"));
	/* And the true one is believed after it. */
	acknowledge(64);
	kit_ship_pass(ship);
	ck_assert(ship->has_ack);
	ck_assert_str_eq(ship->ack_trouble, "");
}
END_TEST

/* ---- killed ---- */

struct killer {
	int at, seen;
};

static int
kill_judge(void *ctx, enum sys_op op, const char *name)
{
	struct killer *d = ctx;

	(void)op;
	(void)name;
	if (d->seen++ == d->at)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

/* Ships and fetches in a child that dies before call number n. */
static bool
ship_and_die(int n)
{
	struct killer d = {.at = n};
	struct ship *own;
	struct err e = {0};
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		sys_set_judge(kill_judge, &d);
		if (ship_open(&k.home, &k.destination[0], &own, &e) < 0 ||
		    ship_pass(own, &e) < 0)
			_exit(1);
		ship_close(own);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return true;
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return false;
}

/* Everything that can be seen over there is whole and ours. */
static void
check_far(uint64_t upto)
{
	char name[JOURNAL_NAME_LEN], command[700], stream[UUID_TEXT];
	uint64_t n;

	(void)uuid_text(&k.group.stream, stream);
	for (n = 1; n <= upto; n++) {
		if (!is_far(n))
			continue;
		(void)snprintf(command, sizeof(command),
		    "cmp -s %.200s/sealed/%s/%s %s/in0/%s/%s", k.home.path,
		    stream, journal_name(1, n, name), k.dir.path, stream, name);
		ck_assert_int_eq(system(command), 0);
	}
}

START_TEST(killed_before_any_call_files_are_whole_and_news_is_kept)
{
	struct err e = {0};
	struct ack saved;
	uint64_t stored = 80, before = 0;
	bool died = true;
	int n;

	acknowledge(stored);
	for (n = 0; died && n < 1000; n++) {
		uint64_t i;

		died = ship_and_die(n);
		check_far(FILES);
		/* The saved acknowledgement is the old one or the new one. */
		if (ack_load(&k.home, &k.destination[0], &saved, &e) == 1) {
			ck_assert_uint_ge(saved.stored.sequence, before);
			before = saved.stored.sequence;
		}
		for (i = 1; i <= FILES && n % 3 == 0; i++)
			if (is_far(i))
				remove_far(i);
		if (n % 8 == 7 && stored < FILES - 3)
			acknowledge(++stored);
	}
	ck_assert(!died);
	ck_assert_int_gt(n, 20);
	ck_assert_uint_eq(before, stored);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ship");
	TCase *t = tcase_create("folder");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, so_many_files_are_sent_ahead_and_no_more);
	tcase_add_test(t, news_that_comes_while_sending_opens_the_window);
	tcase_add_test(t, what_was_sent_stays_sent_where_no_news_can_be_had);
	tcase_add_loop_test(t, what_failed_after_news_is_sent_again, 0, 4);
	tcase_add_test(t, after_a_restart_it_goes_on_from_what_is_stored);
	tcase_add_test(t, what_was_lost_over_there_is_sent_again);
	tcase_add_test(t, what_the_mirror_asks_for_is_sent_at_once);
	tcase_add_test(t, what_was_stored_and_is_not_any_more_is_sent_at_once);
	tcase_add_test(t, a_mirror_that_lost_stored_files_gets_them_again);
	tcase_add_loop_test(
	    t, a_file_that_just_came_is_made_durable_before_it_is_sent, 0, 2);
	tcase_add_test(t, a_folder_that_fails_is_tried_again_later);
	tcase_add_test(
	    t, with_given_times_it_is_tried_again_then_and_not_before);
	tcase_add_test(t, a_file_that_is_missing_here_is_said_not_skipped);
	tcase_add_test(t, paused_means_nothing_moves);
	tcase_add_test(t, epochs_are_followed);
	tcase_add_test(t, forged_news_changes_nothing);
	tcase_add_test(
	    t, killed_before_any_call_files_are_whole_and_news_is_kept);
	suite_add_tcase(suite, t);
	return unit_run(suite);
}
