/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay between a source in a box and a mirror. Killed at every call through
 * the sys seam, or failing there, it keeps what it has acknowledged until the
 * mirror has it, and going on ends with the right mirror.
 */
#include "coordinator/forward.h"
#include "coordinator/roles.h"

#include "common/io.h"
#include "common/log.h"
#include "tests/mirror_unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define SIZE UINT64_C(20000)

static struct mirror_unit u; /* the mirror at the end */
static struct home home;     /* of the relay */
static struct mirror_config relay;
static struct destination_config next;
static int in, ack; /* the relay's incoming folder of the stream */
static uint32_t half;

static int
folder(const char *name)
{
	struct err e = {0};
	int fd = -1;

	ck_assert_msg(io_make_dir(u.dir.fd, name, 0755, &e) == 0, "%s", e.text);
	ck_assert_int_eq(io_open_dir(u.dir.fd, name, &fd, &e), 0);
	return fd;
}

static void
make_relay(void)
{
	char path[160], stream[UUID_TEXT];
	struct err e = {0};

	(void)snprintf(path, sizeof(path), "%s/relay", u.dir.path);
	ck_assert_msg(home_create(path, "relay", &e) == 0, "%s", e.text);
	ck_assert_msg(home_open(path, &home, &e) == 0, "%s", e.text);
	(void)close(folder("rin"));
	(void)snprintf(
	    path, sizeof(path), "rin/%s", uuid_text(&u.maker.stream, stream));
	in = folder(path);
	(void)strcat(path, "/ack");
	ack = folder(path);
}

static void
configure(void)
{
	struct err e = {0};

	next = (struct destination_config){.name = "end",
	    .forward = true,
	    .group = u.config.group,
	    .stream = u.config.stream,
	    .source_site = u.config.source_site,
	    .mirror = u.config.uuid,
	    .mirror_site = u.home.site,
	    .mirror_key = u.home.key.pub,
	    .mirror_site_name = "mirror",
	    .prune_at = PRUNE_STORED};
	(void)snprintf(next.url, sizeof(next.url), "file://%s/in", u.dir.path);
	relay = u.config;
	relay.relay = true;
	relay.destinations = &next;
	relay.destination_count = 1;
	(void)snprintf(
	    relay.incoming, sizeof(relay.incoming), "%s/rin", u.dir.path);
	ck_assert_int_eq(uuid_make(&next.uuid, &e), 0);
	ck_assert_int_eq(uuid_make(&relay.uuid, &e), 0);
	next.owner = relay.uuid;
}

static void
setup(void)
{
	mirror_unit_make(&u, 9, SIZE);
	maker_base(&u.maker, u.made, COPYIN_BASE);
	half = u.maker.files;
	for (int i = 0; i < 2; i++) {
		maker_mix(&u.maker, 4);
		(void)maker_seal(&u.maker, u.made);
	}
	maker_new_epoch(&u.maker);
	maker_mix(&u.maker, 4);
	(void)maker_seal(&u.maker, u.made);
	make_relay();
	configure();
}

static void
drop_relay(void)
{
	ladder_unset();
	(void)close(in);
	(void)close(ack);
	home_close(&home);
}

static void
teardown(void)
{
	drop_relay();
	mirror_unit_drop(&u);
}

static void
remove_below(const char *name)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", u.dir.path, name);
	unit_remove_tree(path);
}

static void
put_file(int dir, uint32_t i)
{
	size_t len;
	AUTO_FREE uint8_t *bytes = made_bytes(&u, i, &len);
	AUTO_CLOSE int fd = openat(dir, u.maker.file[i].name,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(io_write_at(fd, bytes, len, 0, NULL), 0);
}

/* The hop before sends file `i`. */
static void
send_file(uint32_t i)
{
	put_file(in, i);
}

static void
send_files(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		send_file(i);
}

/* ---- what the relay does ---- */

static int
receive_once(struct err *e)
{
	struct receive *r = NULL;
	int got;

	if (receive_open(&home, &relay, &r, e) < 0)
		return -1;
	while ((got = receive_pass(r, e)) > 0)
		continue;
	receive_close(r);
	return got;
}

static int
ship_once(struct err *e)
{
	struct ship *s = NULL;
	int got;

	if (ship_open(&home, &next, &s, e) < 0)
		return -1;
	ship_forward(s, &relay);
	while ((got = ship_pass(s, e)) > 0)
		continue;
	ship_close(s);
	return got;
}

static int
work(void)
{
	struct err e = {0};

	return receive_once(&e) < 0 || ship_once(&e) < 0 || receive_once(&e) < 0
		   ? -1
		   : 0;
}

static void
work_well(void)
{
	struct err e = {0};

	ck_assert_msg(receive_once(&e) == 0, "%s", e.text);
	ck_assert_msg(ship_once(&e) == 0, "%s", e.text);
	ck_assert_msg(receive_once(&e) == 0, "%s", e.text);
}

/* ---- what it says and has ---- */

static bool
read_ack(int dir, const struct uuid *mirror, const struct sign_public *key,
    struct ack *out, struct buf *bytes)
{
	char name[ACK_NAME_LEN];
	struct err e = {0};
	bool valid = false;

	if (!is_in(dir, ack_name(mirror, name)))
		return false;
	ck_assert_msg(
	    io_read_file(dir, name, ACK_LIMIT, bytes, &e) == 0, "%s", e.text);
	ck_assert_int_eq(
	    ack_decode(bytes->data, bytes->len, out, NULL), VERDICT_WHOLE);
	ck_assert_int_eq(
	    ack_check(bytes->data, bytes->len, key, &valid, &e), 0);
	ck_assert(valid);
	return true;
}

/* The relay's own word; nil when there is none. */
static struct ack
said(void)
{
	AUTO(buf_release) struct buf b = {0};
	struct ack a = {.state = ACK_EMPTY};

	(void)read_ack(ack, &relay.uuid, &home.key.pub, &a, &b);
	return a;
}

/* It has acknowledged up to file `i`, and applies nothing. */
static void
stored_is(uint32_t i)
{
	struct ack a = said();

	ck_assert_int_eq(maker_find(&u.maker, &a.stored), (int)i);
	ck_assert(position_is_nil(&a.applied));
}

/* The mirror's word has come through, byte for byte. */
static void
is_passed_on(void)
{
	AUTO(buf_release) struct buf there = {0}, here = {0};
	struct ack a, b;

	ck_assert(read_ack(u.ack, &u.config.uuid, &u.home.key.pub, &a, &there));
	ck_assert(read_ack(ack, &u.config.uuid, &u.home.key.pub, &b, &here));
	ck_assert_uint_eq(here.len, there.len);
	ck_assert_mem_eq(here.data, there.data, here.len);
}

static int
open_kept(void)
{
	char text[UUID_TEXT];

	return openat(home.sealed, uuid_text(&relay.stream, text),
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static uint32_t
kept(void)
{
	AUTO_CLOSE int dir = open_kept();

	return dir < 0 ? 0 : count_names(dir, ".aim");
}

/* Nothing that the relay has acknowledged may be missing from both. */
static void
promise_holds(void)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO_CLOSE int dir = open_kept();
	struct ack relayed = said(), end = {.state = ACK_EMPTY};

	(void)read_ack(u.ack, &u.config.uuid, &u.home.key.pub, &end, &b);
	for (uint32_t i = 0; i < u.maker.files; i++) {
		const struct maker_file *f = &u.maker.file[i];

		if (position_compare(&f->at, &relayed.stored) <= 0)
			ck_assert_msg(
			    is_in(dir, f->name) ||
				position_compare(&f->at, &end.stored) <= 0,
			    "%s is lost", f->name);
	}
}

/* The first half has gone through, the second has come. */
static void
begin(void)
{
	drop_relay();
	remove_below("relay");
	remove_below("rin");
	mirror_unit_reset(&u);
	make_relay();
	send_files(0, half);
	work_well();
	run_both(&u);
	send_files(half, u.maker.files);
}

/* Goes on without trouble; the hop before sends again what it must. */
static void
finish(void)
{
	struct err e = {0};

	(void)work();
	(void)run_receive(&u, &e);
	send_files(0, u.maker.files);
	deliver_all(&u); /* what was half sent is whole */
	work_well();
	run_both(&u);
	work_well();
	mirror_stands_at(&u, u.maker.files - 1);
	is_passed_on();
	promise_holds();
	ck_assert_uint_eq(kept(), 0);
}

/* ---- tests ---- */

START_TEST(files_go_through_and_words_come_back)
{
	send_files(0, u.maker.files);
	work_well();
	ck_assert_int_eq(said().state, ACK_STREAMING);
	stored_is(u.maker.files - 1);
	ck_assert_uint_eq(kept(), u.maker.files);
	for (uint32_t i = 0; i < u.maker.files; i++) {
		AUTO(buf_release) struct buf b = {0};
		size_t len;
		AUTO_FREE uint8_t *bytes = made_bytes(&u, i, &len);

		ck_assert_int_eq(io_read_file(u.in, u.maker.file[i].name,
				     1u << 30, &b, NULL),
		    0);
		ck_assert_uint_eq(b.len, len);
		ck_assert_mem_eq(b.data, bytes, len);
	}
	run_both(&u);
	mirror_stands_at(&u, u.maker.files - 1);
	work_well();
	is_passed_on();
	ck_assert_uint_eq(kept(), 0);
}
END_TEST

START_TEST(without_a_destination_it_begins_nothing)
{
	relay.destination_count = 0;
	send_files(0, u.maker.files);
	work_well();
	ck_assert_int_eq(said().state, ACK_EMPTY);
	ck_assert_uint_eq(kept(), 0);
	relay.destination_count = 1;
	work_well();
	ck_assert_uint_eq(kept(), u.maker.files);
}
END_TEST

/* Else all up to the tip would go, as if nobody needed it. */
START_TEST(a_base_behind_a_gap_is_found)
{
	const uint32_t begins = u.maker.files;
	struct position before, looked = {0};
	struct err e = {0};
	struct sealed s;

	maker_base(&u.maker, u.made, COPYIN_BASE);
	ck_assert_int_eq(sealed_open(&home, &relay.stream, &s, &e), 0);
	put_file(s.dir, half);
	for (uint32_t i = begins; i < u.maker.files; i++)
		put_file(s.dir, i);
	ck_assert_int_eq(
	    forward_find(&s, &u.config.uuid, &looked, &before, &e), 1);
	ck_assert_uint_eq(before.last, u.maker.file[begins - 1].at.last);
	sealed_close(&s);
}
END_TEST

/* The mirror says that it has stored up to file `i`, and applied the base. */
static void
put_word(uint32_t i)
{
	AUTO(buf_release) struct buf b = {0};
	uint8_t bytes[ACK_LIMIT];
	char name[ACK_NAME_LEN];
	struct err e = {0};
	struct ack a;
	size_t len;

	ck_assert(read_ack(u.ack, &u.config.uuid, &u.home.key.pub, &a, &b));
	a.counter++;
	a.stored = u.maker.file[i].at;
	a.applied = a.durable = u.maker.file[half - 1].at;
	ck_assert_int_eq(ack_encode(&a, &u.home.key, bytes, &len, &e), 0);
	ck_assert_int_eq(io_write_file(u.ack, ack_name(&u.config.uuid, name),
			     bytes, len, 0644, &e),
	    0);
}

START_TEST(what_the_end_has_lost_comes_again_from_the_hop_before)
{
	begin();
	work_well();
	put_word(u.maker.files - 1);
	work_well();
	ck_assert_uint_eq(kept(), 0);
	put_word(half);
	(void)work();
	stored_is(half);
	/* That is news to the hop before. */
	send_files(half + 1, u.maker.files);
	work_well();
	ck_assert_uint_eq(kept(), u.maker.files - half - 1);
	promise_holds();
}
END_TEST

START_TEST(a_full_relay_takes_one_file_at_a_time)
{
	struct ack a;

	relay.spool_limit = 1;
	send_files(0, u.maker.files);
	work_well();
	ck_assert_uint_eq(kept(), 1);
	a = said();
	ck_assert_ptr_nonnull(strstr(a.reason, "spool is full"));
	for (uint32_t i = 0; i < 3 * u.maker.files; i++) {
		run_both(&u);
		work_well();
		promise_holds();
	}
	mirror_stands_at(&u, u.maker.files - 1);
	ck_assert_uint_eq(kept(), 0);
}
END_TEST

START_TEST(a_forged_word_is_not_passed_on)
{
	AUTO(buf_release) struct buf b = {0}, was = {0};
	char name[ACK_NAME_LEN];
	struct err e = {0};
	uint8_t bytes[ACK_LIMIT];
	struct ack a;
	size_t len;

	begin();
	work_well();
	is_passed_on();
	ck_assert(read_ack(u.ack, &u.config.uuid, &u.home.key.pub, &a, &b));
	a.counter++;
	a.stored = a.applied = a.durable = u.maker.file[u.maker.files - 1].at;
	ck_assert_int_eq(ack_encode(&a, &home.key, bytes, &len, &e), 0);
	ck_assert_int_eq(io_write_file(u.ack, ack_name(&u.config.uuid, name),
			     bytes, len, 0644, &e),
	    0);
	(void)work();
	ck_assert(read_ack(ack, &u.config.uuid, &u.home.key.pub, &a, &was));
	ck_assert_uint_eq(was.len, b.len);
	ck_assert_mem_eq(was.data, b.data, b.len);
	ck_assert_uint_gt(kept(), 0);
}
END_TEST

/* ---- killed and failing ---- */

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

/* Every call in a long run; else some, others in each test. */
static int
stride(int less)
{
	const char *l = getenv("AIM_LONG");

	return l != NULL && l[0] != '\0' ? 1 : less;
}

#define SHARES 3

START_TEST(killed_at_any_call_it_goes_on)
{
	int n;

	for (n = _i;; n += SHARES * stride(4)) {
		bool through;

		begin();
		through = killed_at(n);
		promise_holds();
		finish();
		if (through)
			break;
	}
	ck_assert_int_gt(n, 60);
}
END_TEST

START_TEST(whatever_call_fails_it_recovers)
{
	static const int troubles[] = {EIO, ENOSPC, SYS_SHORT};
	struct ladder l = {
	    .trouble = troubles[_i % 3], .stays = _i >= 3, .op = -1};
	bool struck;

	l.rung = _i * 3 % stride(29);
	do {
		begin();
		ladder_set(&l);
		(void)work();
		struck = l.struck;
		ladder_unset();
		if (l.trouble != EIO) /* a file that cannot be read is lost */
			promise_holds();
		finish();
		l.rung += stride(29);
	} while (struck);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("relay");
	TCase *t = tcase_create("relay");

	log_set_level(LOG_ERROR_);
	tcase_set_timeout(t, 240);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, files_go_through_and_words_come_back);
	tcase_add_test(t, without_a_destination_it_begins_nothing);
	tcase_add_test(
	    t, what_the_end_has_lost_comes_again_from_the_hop_before);
	tcase_add_test(t, a_base_behind_a_gap_is_found);
	tcase_add_test(t, a_full_relay_takes_one_file_at_a_time);
	tcase_add_test(t, a_forged_word_is_not_passed_on);
	tcase_add_loop_test(t, killed_at_any_call_it_goes_on, 0, SHARES);
	tcase_add_loop_test(t, whatever_call_fails_it_recovers, 0, 6);
	suite_add_tcase(s, t);
	return unit_run(s);
}
