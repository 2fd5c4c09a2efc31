/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetch role against a folder that anybody may have filled: DIR/<stream>/
 * of mirror_unit is the place, so deliver() puts files there and load_ack()
 * reads what came back.
 */
#include "coordinator/fetch.h"

#include "common/clock.h"
#include "common/io.h"
#include "coordinator/fetched.h"
#include "tests/mirror_unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define SIZE UINT64_C(30000)

static struct mirror_unit u;
static struct destination_config place;

/* Where the mirror has to begin. */
static void
put_begin(uint32_t i)
{
	char name[BEGIN_NAME_LEN], line[64];

	(void)snprintf(line, sizeof(line), "%s\n", u.maker.file[i].name);
	deliver_bytes(
	    &u, begin_name(&u.maker.mirror, name), line, strlen(line));
}

/* A base, `more` files, and as many in a second epoch. */
static void
make_stream(uint32_t more)
{
	maker_base(&u.maker, u.made, COPYIN_BASE);
	for (uint32_t i = 0; i < 2 * more; i++) {
		if (i == more)
			maker_new_epoch(&u.maker);
		maker_mix(&u.maker, 3);
		(void)maker_seal(&u.maker, u.made);
	}
}

static void
setup(void)
{
	mirror_unit_make(&u, 3, SIZE);
	memset(&place, 0, sizeof(place));
	(void)snprintf(
	    place.url, sizeof(place.url), "file://%s/in", u.dir.path);
	u.config.pull = &place;
}

static void
teardown(void)
{
	mirror_unit_drop(&u);
}

static int
run_fetch(struct err *e)
{
	struct fetch *f = NULL;
	int got;

	if (fetch_open(&u.home, &u.config, &f, e) < 0)
		return -1;
	while ((got = fetch_pass(f, e)) > 0)
		continue;
	fetch_close(f);
	return got;
}

static int
work(void)
{
	struct err e = {0};

	return run_receive(&u, &e) < 0 || run_fetch(&e) < 0 ||
		       run_receive(&u, &e) < 0 || run_fetch(&e) < 0
		   ? -1
		   : 0;
}

/* Both roles in turn, until neither gets on. */
static void
run_all(void)
{
	struct receive *r = NULL;
	struct fetch *f = NULL;
	struct err e = {0};
	int did = 0, idle = 0;

	ck_assert_msg(
	    receive_open(&u.home, &u.config, &r, &e) == 0, "%s", e.text);
	ck_assert_msg(
	    fetch_open(&u.home, &u.config, &f, &e) == 0, "%s", e.text);
	while (idle < 3) {
		did = receive_pass(r, &e);
		ck_assert_msg(did >= 0, "%s", e.text);
		f->poll_ns = f->put_ns = 0; /* it is time */
		did += fetch_pass(f, &e);
		ck_assert_msg(did >= 0, "%s", e.text);
		idle = did == 0 ? idle + 1 : 0;
	}
	receive_close(r);
	fetch_close(f);
}

static int
fetched_dir(void)
{
	struct err e = {0};
	int fd = -1;

	ck_assert_msg(
	    fetched_open(&u.home, &u.maker.stream, &fd, &e) == 0, "%s", e.text);
	return fd;
}

static void
stored_is(uint32_t i)
{
	AUTO_CLOSE int stage = open_stage(&u);
	struct ack a;

	load_ack(&u, &a);
	ck_assert_int_eq(maker_find(&u.maker, &a.stored), (int)i);
	ck_assert(is_in(stage, u.maker.file[i].name));
}

START_TEST(all_files_come_and_the_acknowledgement_goes_back)
{
	AUTO_CLOSE int fetched = fetched_dir();
	struct err e = {0};

	make_stream(20);
	deliver_all(&u);
	put_begin(0);
	run_all();
	stored_is(u.maker.files - 1);
	/* What was taken is gone, and nothing was touched over there. */
	ck_assert_uint_eq(count_names(fetched, ".aim"), 0);
	ck_assert_uint_eq(count_names(u.in, ".aim"), u.maker.files);
	ck_assert_int_eq(run_apply(&u, &e), 0);
	mirror_stands_at(&u, u.maker.files - 1);
	ck_assert_uint_eq(count_names(u.home.quarantine, ".why"), 0);
}
END_TEST

START_TEST(it_begins_where_the_source_says)
{
	AUTO_CLOSE int fetched = fetched_dir();
	uint32_t second;

	make_stream(2);
	second = u.maker.files;
	maker_base(&u.maker, u.made, COPYIN_BASE);
	deliver_all(&u);
	run_all();
	ck_assert_uint_eq(count_names(fetched, ".aim"), 0);
	put_begin(second);
	run_all();
	stored_is(u.maker.files - 1);
}
END_TEST

static const char *const no_begins[] = {"", "\n", "x", "../../etc/passwd\n",
    "00000001-0000000000000000.aim\n", "00000001-00000000000000zz.aim\n",
    "00000001-0000000000000001.aimlonglonglonglonglonglonglonglonglong\n"};

START_TEST(a_beginning_that_is_no_name_is_told_and_waited_for)
{
	const char *text = no_begins[_i];
	char name[BEGIN_NAME_LEN], error[200] = "", note[64], uuid[UUID_TEXT];
	struct err e = {0};

	make_stream(1);
	deliver_all(&u);
	deliver_bytes(
	    &u, begin_name(&u.maker.mirror, name), text, strlen(text));
	ck_assert_int_eq(run_receive(&u, &e), 0);
	if (run_fetch(&e) < 0)
		ck_assert_int_eq(e.kind, ERR_REFUSED); /* too long */
	(void)snprintf(
	    note, sizeof(note), "%s.fetch", uuid_text(&u.maker.mirror, uuid));
	ck_assert(note_read(&u.home, note, "error", error, sizeof(error)));
	ck_assert_str_ne(error, "");
	put_begin(0);
	run_all();
	stored_is(u.maker.files - 1);
}
END_TEST

/* ---- what is wrong over there ---- */

static void
damage(uint32_t i, int how)
{
	size_t len;
	AUTO_FREE uint8_t *bytes = made_bytes(&u, i, &len);
	AUTO_FREE uint8_t *other = NULL;
	AUTO_CLOSE int fd = -1;
	size_t other_len;

	switch (how) {
	case 0: /* a bit */
		bytes[len / 2] ^= 1;
		deliver_bytes(&u, u.maker.file[i].name, bytes, len);
		break;
	case 1: /* cut */
		deliver_bytes(&u, u.maker.file[i].name, bytes, len / 2);
		break;
	case 2: /* empty */
		deliver_bytes(&u, u.maker.file[i].name, bytes, 0);
		break;
	case 3: /* another file */
		other = made_bytes(&u, i + 1, &other_len);
		deliver_bytes(&u, u.maker.file[i].name, other, other_len);
		break;
	default: /* more than any journal file has */
		deliver_bytes(&u, u.maker.file[i].name, bytes, len);
		fd = openat(u.in, u.maker.file[i].name, O_RDWR | O_CLOEXEC);
		ck_assert_int_eq(
		    ftruncate(fd, (off_t)JOURNAL_FILE_LIMIT + 1), 0);
	}
}

START_TEST(a_bad_file_is_refused_named_and_fetched_again)
{
	struct ack a;

	make_stream(3);
	deliver_all(&u);
	put_begin(0);
	damage(2, _i);
	run_all();
	load_ack(&u, &a);
	ck_assert_int_eq(maker_find(&u.maker, &a.stored), 1);
	ck_assert_int_eq(a.state, ACK_STALLED);
	ck_assert_msg(
	    strstr(a.reason, u.maker.file[2].name) != NULL, "%s", a.reason);
	deliver(&u, 2);
	run_all();
	stored_is(u.maker.files - 1);
	load_ack(&u, &a);
	ck_assert_int_ne(a.state, ACK_STALLED);
}
END_TEST

START_TEST(a_bad_beginning_is_refused_named_and_fetched_again)
{
	struct ack a;

	make_stream(3);
	deliver_all(&u);
	put_begin(0);
	damage(0, _i);
	run_all();
	load_ack(&u, &a);
	ck_assert(position_is_nil(&a.stored));
	ck_assert_int_eq(a.state, ACK_STALLED);
	ck_assert_msg(
	    strstr(a.reason, u.maker.file[0].name) != NULL, "%s", a.reason);
	deliver(&u, 0);
	run_all();
	stored_is(u.maker.files - 1);
}
END_TEST

START_TEST(the_same_bad_bytes_are_not_handed_over_again_at_once)
{
	AUTO_CLOSE int fetched = fetched_dir();
	struct fetch *f = NULL;
	struct err e = {0};

	make_stream(1);
	deliver_all(&u);
	put_begin(0);
	damage(0, 0);
	ck_assert_int_eq(run_receive(&u, &e), 0);
	ck_assert_int_eq(fetch_open(&u.home, &u.config, &f, &e), 0);
	for (int i = 0; i < 6; i++) {
		f->poll_ns = 0;
		while (fetch_pass(f, &e) > 0)
			continue;
		ck_assert_int_eq(run_receive(&u, &e), 0);
	}
	ck_assert_uint_eq(count_names(u.home.quarantine, ".why"), 1);
	ck_assert_ptr_nonnull(strstr(f->held, u.maker.file[0].name));
	/* Nor got as often as asking for nothing would be. */
	for (int i = 0; i < 20; i++) {
		f->poll_ns = 0;
		ck_assert_int_eq(fetch_pass(f, &e), 0);
	}
	ck_assert_uint_gt(f->poll_ns, clock_mono_ns() + 60000 * NS_PER_MS);
	/* Later it is, should the receiver have lost it. */
	for (uint32_t i = 0; i < FETCH_GIVEN; i++)
		f->given[i].until_ns = 0;
	f->poll_ns = 0;
	ck_assert_int_eq(fetch_pass(f, &e), 1);
	ck_assert(is_in(fetched, u.maker.file[0].name));
	/* Other bytes are, at once. */
	ck_assert_int_eq(run_receive(&u, &e), 0);
	deliver(&u, 0);
	f->poll_ns = 0;
	ck_assert_int_eq(fetch_pass(f, &e), 1);
	ck_assert(is_in(fetched, u.maker.file[0].name));
	fetch_close(f);
}
END_TEST

START_TEST(no_more_is_fetched_ahead_than_the_window_holds)
{
	AUTO_CLOSE int fetched = fetched_dir();
	struct err e = {0};

	make_stream(50);
	deliver_all(&u);
	put_begin(0);
	ck_assert_int_eq(run_receive(&u, &e), 0);
	ck_assert_int_eq(run_fetch(&e), 0);
	ck_assert_uint_eq(count_names(fetched, ".aim"), FETCH_AHEAD_FILES);
	run_all();
	stored_is(u.maker.files - 1);
}
END_TEST

/* What opens the next epoch may be there before the last of this one is. */
START_TEST(a_file_that_comes_late_is_asked_for_even_so)
{
	uint32_t late;

	make_stream(70);
	late = u.maker.files - 71; /* the last of the first epoch */
	deliver_all(&u);
	put_begin(0);
	ck_assert_int_eq(unlinkat(u.in, u.maker.file[late].name, 0), 0);
	run_all();
	stored_is(late - 1);
	deliver(&u, late);
	run_all();
	stored_is(u.maker.files - 1);
}
END_TEST

START_TEST(where_nothing_can_be_told_files_come_even_so)
{
	AUTO_CLOSE int fetched = fetched_dir();
	char name[ACK_NAME_LEN];
	struct fetch *f = NULL;
	struct err e = {0};

	make_stream(3);
	deliver_all(&u);
	put_begin(0);
	ck_assert_int_eq(run_receive(&u, &e), 0);
	ck_assert_int_eq(
	    mkdirat(u.ack, ack_name(&u.maker.mirror, name), 0700), 0);
	ck_assert_int_eq(fetch_open(&u.home, &u.config, &f, &e), 0);
	while (fetch_pass(f, &e) > 0)
		continue;
	ck_assert_uint_eq(count_names(fetched, ".aim"), u.maker.files);
	ck_assert_int_ne(f->trouble.kind, ERR_NONE);
	ck_assert_msg(strstr(e.text, "acknowledgement") != NULL, "%s", e.text);
	fetch_close(f);
}
END_TEST

START_TEST(while_paused_nothing_comes_but_it_is_told)
{
	AUTO_CLOSE int fetched = fetched_dir();
	struct ack a;

	make_stream(1);
	deliver_all(&u);
	put_begin(0);
	u.config.fetch_paused = true;
	run_all();
	ck_assert_uint_eq(count_names(fetched, ".aim"), 0);
	load_ack(&u, &a);
	ck_assert_int_eq(a.state, ACK_PAUSED);
	u.config.fetch_paused = false;
	run_all();
	stored_is(u.maker.files - 1);
}
END_TEST

START_TEST(a_place_that_is_gone_is_waited_for)
{
	struct fetch *f = NULL;
	struct err e = {0};

	make_stream(1);
	ck_assert_int_eq(run_receive(&u, &e), 0);
	ck_assert_int_eq(renameat(u.dir.fd, "in", u.dir.fd, "gone"), 0);
	ck_assert_int_eq(fetch_open(&u.home, &u.config, &f, &e), 0);
	ck_assert_int_eq(fetch_pass(f, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_ptr_nonnull(strstr(e.text, place.url));
	/* Not tried again at once. */
	ck_assert_uint_gt(backoff_wait_ms(&f->backoff, clock_mono_ns()), 0);
	ck_assert_int_eq(fetch_pass(f, &e), -1);
	ck_assert_uint_eq(f->backoff.attempts, 1);
	fetch_close(f);
	ck_assert_int_eq(renameat(u.dir.fd, "gone", u.dir.fd, "in"), 0);
	deliver_all(&u);
	put_begin(0);
	run_all();
	stored_is(u.maker.files - 1);
}
END_TEST

/* ---- trouble and death at every call ---- */

static void
begin(void)
{
	char path[200];

	mirror_unit_reset(&u);
	(void)snprintf(path, sizeof(path), "%.150s/fetched", u.home.path);
	unit_remove_tree(path);
	deliver_all(&u);
	put_begin(0);
}

/* What has a name in fetched/ is whole. */
static void
fetched_is_whole(void)
{
	AUTO_CLOSE int fetched = fetched_dir();

	for (uint32_t i = 0; i < u.maker.files; i++) {
		AUTO(buf_release) struct buf b = {0};
		AUTO_FREE uint8_t *want = NULL;
		struct err e = {0};
		size_t len;

		if (!is_in(fetched, u.maker.file[i].name))
			continue;
		want = made_bytes(&u, i, &len);
		ck_assert_msg(io_read_file(fetched, u.maker.file[i].name,
				  1u << 30, &b, &e) == 0,
		    "%s", e.text);
		ck_assert_uint_eq(b.len, len);
		ck_assert_mem_eq(b.data, want, len);
	}
}

static void
goes_on(void)
{
	AUTO_CLOSE int fetched = -1;

	fetched_is_whole();
	run_all();
	stored_is(u.maker.files - 1);
	fetched = fetched_dir();
	ck_assert_uint_eq(count_names(fetched, ".part"), 0);
	ck_assert_uint_eq(count_names(fetched, ".aim"), 0);
	ck_assert_uint_eq(count_names(u.home.quarantine, ".why"), 0);
}

START_TEST(a_failing_call_costs_nothing_but_time)
{
	static const int troubles[] = {EIO, ENOSPC, SYS_SHORT};
	struct ladder l = {
	    .op = -1, .trouble = troubles[_i % 3], .stays = _i >= 3};

	make_stream(1);
	do {
		begin();
		ladder_set(&l);
		(void)work();
		ladder_unset();
		goes_on();
		l.rung += _i >= 3 ? 13 : 9;
	} while (l.struck && l.rung < 2000);
	ck_assert_int_gt(l.rung, 60);
	ck_assert_int_lt(l.rung, 2000);
}
END_TEST

static int
kill_judge(void *ctx, enum sys_op op, const char *name)
{
	int *left = ctx;

	(void)op;
	(void)name;
	if ((*left)-- == 0)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

/* false when it ended before it could be killed. */
static bool
killed_at(int call)
{
	int status = 0, left = call;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		sys_set_judge(kill_judge, &left);
		_exit(work() == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status);
}

START_TEST(killed_at_any_call_it_goes_on)
{
	int call = _i;

	make_stream(1);
	for (begin(); killed_at(call); begin()) {
		goes_on();
		call += 12;
	}
	ck_assert_int_gt(call, 60);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch");
	TCase *c = tcase_create("fetch");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 180);
	tcase_add_test(c, all_files_come_and_the_acknowledgement_goes_back);
	tcase_add_test(c, it_begins_where_the_source_says);
	tcase_add_loop_test(c,
	    a_beginning_that_is_no_name_is_told_and_waited_for, 0,
	    sizeof(no_begins) / sizeof(no_begins[0]));
	tcase_add_loop_test(
	    c, a_bad_file_is_refused_named_and_fetched_again, 0, 5);
	tcase_add_loop_test(
	    c, a_bad_beginning_is_refused_named_and_fetched_again, 0, 5);
	tcase_add_test(c, the_same_bad_bytes_are_not_handed_over_again_at_once);
	tcase_add_test(c, no_more_is_fetched_ahead_than_the_window_holds);
	tcase_add_test(c, a_file_that_comes_late_is_asked_for_even_so);
	tcase_add_test(c, where_nothing_can_be_told_files_come_even_so);
	tcase_add_test(c, while_paused_nothing_comes_but_it_is_told);
	tcase_add_test(c, a_place_that_is_gone_is_waited_for);
	tcase_add_loop_test(c, a_failing_call_costs_nothing_but_time, 0, 6);
	tcase_add_loop_test(c, killed_at_any_call_it_goes_on, 0, 4);
	suite_add_tcase(s, c);
	return unit_run(s);
}
