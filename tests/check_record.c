/* SPDX-License-Identifier: Apache-2.0 */
/* What a log tells goes into the stream as it was told, not as the disk is. */
#include "aimdriver/control.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define MIB (UINT64_C(1) << 20)

static struct rig rig;
static struct capture *sealer;
static uint8_t then[65536], now[65536];

static void
begin(void)
{
	memset(then, 'a', sizeof(then));
	memset(now, 'b', sizeof(now));
	rig_open(&rig, 1, 4 * MIB);
	rig_start(&rig);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
}

static void
end(void)
{
	capture_detach(sealer);
	rig_close(&rig);
}

static void
put_file(const char *path, const void *data, size_t len, uint64_t off)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, data, len, (off_t)off), (ssize_t)len);
}

static void
get_file(const char *path, void *data, size_t len, uint64_t off)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, data, len, (off_t)off), (ssize_t)len);
}

static int
record(struct capture *c, enum aim_op op, uint64_t off, uint64_t len)
{
	struct capture_record r = {
	    .op = op, .off = off, .len = len, .data = then};
	struct err e;

	return capture_record(c, &r, &e);
}

static void
expect_copy(const uint8_t *want, uint64_t len, uint64_t off)
{
	static uint8_t got[sizeof(then)];

	get_file(rig.copy[0], got, len, off);
	ck_assert_mem_eq(got, want, len);
}

START_TEST(the_stream_has_what_was_told_and_the_disk_is_left_alone)
{
	static const uint8_t zeroes[4096];
	struct capture *c = rig_attach(&rig, CAPTURE_RECORDER);
	uint8_t got[100];

	put_file(rig.path[0], now, sizeof(now), MIB);
	ck_assert_int_eq(record(c, OP_WRITE, MIB, sizeof(then)), 0);
	ck_assert_int_eq(record(c, OP_ZERO, MIB + 4096, 4096), 0);
	ck_assert_int_eq(record(c, OP_DISCARD, MIB + 16384, 4096), 0);
	ck_assert_int_eq(capture_flushed(c, 0), 0);
	capture_detach(c);
	ck_assert_uint_eq(rig_drain(&rig, sealer), 4);
	expect_copy(then, 4096, MIB);
	expect_copy(zeroes, 4096, MIB + 4096);
	expect_copy(then, 4096, MIB + 8192);
	expect_copy(zeroes, 4096, MIB + 16384);
	get_file(rig.path[0], got, sizeof(got), MIB);
	ck_assert_mem_eq(got, now, sizeof(got));
	/* After a crash all of the volume is compared. */
	ck_assert_uint_eq(capture_marked_count(sealer), UINT64_MAX);
}
END_TEST

static enum capture_step die_at;

static void
die(enum capture_step s)
{
	if (s == die_at)
		(void)raise(SIGKILL);
}

static const struct {
	enum capture_step step;
	bool there;
} deaths[] = {
    {STEP_RESERVING, false},
    {STEP_FILLED, false},
    {STEP_RESERVED, false},
    {STEP_UNRESERVED, false},
    {STEP_COPIED, false},
    {STEP_PUBLISHED, true},
    {STEP_DONE, true},
};

START_TEST(a_killed_recorder_leaves_all_of_it_or_nothing)
{
	struct capture *c;
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		c = rig_attach(&rig, CAPTURE_RECORDER);
		put_file(rig.path[0], now, sizeof(now), MIB);
		die_at = deaths[_i].step;
		capture_test_step = die;
		(void)record(c, OP_WRITE, MIB, sizeof(then));
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	(void)rig_drain(&rig, sealer);
	ck_assert_uint_eq(rig.counts[OP_WRITE], deaths[_i].there ? 1 : 0);
	if (deaths[_i].there)
		expect_copy(then, sizeof(then), MIB);
	/* The next one goes on, over what the dead one held. */
	c = rig_attach(&rig, CAPTURE_RECORDER);
	ck_assert_int_eq(record(c, OP_WRITE, MIB, sizeof(then)), 0);
	capture_detach(c);
	(void)rig_drain(&rig, sealer);
	expect_copy(then, sizeof(then), MIB);
}
END_TEST

START_TEST(what_the_disk_holds_is_read_again)
{
	struct capture *c = rig_attach(&rig, CAPTURE_RECORDER);
	uint64_t off = MIB, done;
	struct err e;

	put_file(rig.path[0], now, sizeof(now), MIB);
	ck_assert_int_eq(record(c, OP_WRITE, MIB, sizeof(then)), 0);
	for (; off < MIB + sizeof(now); off += done)
		ck_assert_int_eq(
		    capture_reread(c, 0, off, MIB + sizeof(now), &done, &e), 0);
	capture_detach(c);
	rig_compare(&rig, sealer);
	expect_copy(now, sizeof(now), MIB);
}
END_TEST

START_TEST(a_recorder_has_the_group_alone)
{
	struct capture *c = rig_attach(&rig, CAPTURE_WRITER), *other;
	struct err e;

	ck_assert_int_lt(
	    capture_attach(rig.home, &rig.group, CAPTURE_RECORDER, &other, &e),
	    0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	capture_detach(c);
	c = rig_attach(&rig, CAPTURE_RECORDER);
	ck_assert_int_lt(
	    capture_attach(rig.home, &rig.group, CAPTURE_RECORDER, &other, &e),
	    0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	capture_detach(c);
}
END_TEST

START_TEST(a_recorder_may_find_the_volume_changed)
{
	struct capture *c;
	struct err e;

	put_file(rig.path[0], now, sizeof(now), MIB);
	ck_assert_int_lt(
	    capture_attach(rig.home, &rig.group, CAPTURE_WRITER, &c, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "changed outside AIM"));
	c = rig_attach(&rig, CAPTURE_RECORDER);
	ck_assert_int_eq(record(c, OP_WRITE, MIB, sizeof(then)), 0);
	capture_detach(c);
}
END_TEST

START_TEST(what_cannot_be_recorded_is_refused)
{
	struct capture *c = rig_attach(&rig, CAPTURE_RECORDER), *w;

	ck_assert_int_lt(record(c, OP_WRITE, 4 * MIB - 10, 11), 0);
	ck_assert_int_lt(record(c, OP_ZERO, UINT64_MAX - 10, 20), 0);
	ck_assert_int_lt(record(c, OP_WRITE, 0, 0), 0);
	ck_assert_int_lt(record(c, OP_WRITE, 0, CAPTURE_CHUNK + 1), 0);
	ck_assert_int_lt(record(c, OP_RESIZE, 0, 1), 0);
	capture_detach(c);
	w = rig_attach(&rig, CAPTURE_WRITER);
	ck_assert_int_lt(record(w, OP_WRITE, 0, 1), 0);
	capture_detach(w);
	ck_assert_uint_eq(rig_drain(&rig, sealer), 0);
}
END_TEST

START_TEST(copy_ins_are_counted_and_none_begins_under_a_recorder)
{
	struct capture_copyins n;
	struct capture *c;
	struct err e;

	ck_assert_int_eq(capture_copyins(sealer, &n, &e), 0);
	ck_assert_uint_eq(n.count, 0);
	ck_assert(!n.running);
	ck_assert_int_eq(copyins_note(sealer, OP_COPYIN_BEGIN, &e), 0);
	ck_assert_int_eq(capture_copyins(sealer, &n, &e), 0);
	ck_assert_uint_eq(n.count, 1);
	ck_assert(n.running);
	ck_assert_int_eq(copyins_note(sealer, OP_COPYIN_END, &e), 0);
	c = rig_attach(&rig, CAPTURE_RECORDER);
	ck_assert_int_lt(copyins_note(sealer, OP_COPYIN_BEGIN, &e), 0);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_int_eq(capture_copyins(c, &n, &e), 0);
	ck_assert_uint_eq(n.count, 1);
	ck_assert(!n.running);
	capture_detach(c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("record");
	TCase *t = tcase_create("record");

	tcase_add_checked_fixture(t, begin, end);
	tcase_set_timeout(t, 60);
	tcase_add_test(
	    t, the_stream_has_what_was_told_and_the_disk_is_left_alone);
	tcase_add_loop_test(t, a_killed_recorder_leaves_all_of_it_or_nothing, 0,
	    sizeof(deaths) / sizeof(deaths[0]));
	tcase_add_test(t, what_the_disk_holds_is_read_again);
	tcase_add_test(t, a_recorder_has_the_group_alone);
	tcase_add_test(t, a_recorder_may_find_the_volume_changed);
	tcase_add_test(t, what_cannot_be_recorded_is_refused);
	tcase_add_test(
	    t, copy_ins_are_counted_and_none_begins_under_a_recorder);
	suite_add_tcase(s, t);
	return unit_run(s);
}
