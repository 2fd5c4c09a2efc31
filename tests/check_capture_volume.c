/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching, boots, clean closes, and what others do to the volumes. */
#include "aimdriver/control.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static struct rig rig;
static uint8_t data[MIB];

static void
begin(uint32_t volumes, uint64_t size)
{
	rig_fill(data, sizeof(data), 3);
	rig_open(&rig, volumes, size);
	rig_start(&rig);
}

static void
write_some(uint32_t volume, uint64_t off)
{
	struct capture *c = rig_attach(&rig, CAPTURE_WRITER);
	struct rig_file f;

	rig_file_open(&f, c, &rig, volume);
	ck_assert_int_eq(rig_write(&f, data, 5000, off), 5000);
	rig_file_close(&f);
	capture_detach(c);
}

/* The whole program ends without leaving the group. */
static void
write_and_die(uint64_t off)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct capture *c = rig_attach(&rig, CAPTURE_WRITER);
		struct rig_file f;

		rig_file_open(&f, c, &rig, 0);
		(void)rig_write(&f, data, 5000, off);
		(void)kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

/* REFUSED, and the text has these words. */
static void
is_refused(unsigned flags, const char *words)
{
	struct capture *c = NULL;
	struct err e = {0};

	ck_assert_int_lt(
	    capture_attach(rig.home, &rig.group, flags, &c, &e), 0);
	ck_assert_ptr_null(c);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_msg(strstr(e.text, words) != NULL, "%s", e.text);
}

static void
drain_all(bool close)
{
	struct capture *c = rig_attach(&rig, CAPTURE_COORDINATOR);
	struct err e = {0};

	rig_compare(&rig, c);
	if (close)
		ck_assert_msg(capture_close_clean(c, &e) == 1, "%s", e.text);
	capture_detach(c);
}

static struct capture_status
status(void)
{
	struct capture *c = rig_attach(&rig, CAPTURE_INSPECT);
	struct capture_status s;

	capture_status(c, &s);
	capture_detach(c);
	return s;
}

static void
boot(uint8_t number)
{
	uint8_t id[16] = {number};

	capture_test_boot(id);
}

/* ---- changes outside ---- */

START_TEST(captured_writes_are_no_change_outside)
{
	begin(1, MIB);
	write_some(0, 0);
	write_some(0, 5000);
	drain_all(false);
	write_some(0, 5000);
	drain_all(true);
	write_some(0, 77);
	write_and_die(200);
	write_some(0, 99);
	drain_all(true);
	write_some(0, 99);
	drain_all(false);
	rig_close(&rig);
}
END_TEST

START_TEST(a_change_outside_is_refused_until_accepted)
{
	struct err e = {0};

	begin(1, MIB);
	write_some(0, 0);
	drain_all(true);
	ck_assert_int_eq(truncate(rig.path[0], 5000), 0);
	is_refused(CAPTURE_WRITER, "changed outside AIM");
	is_refused(CAPTURE_COORDINATOR, "changed outside AIM");
	ck_assert_int_eq(capture_accept_volumes(rig.home, &rig.group, &e), 0);
	ck_assert(status().suspect);
	/* The stream knows of the size. */
	drain_all(true);
	write_some(0, 10);
	drain_all(true);
	rig_close(&rig);
}
END_TEST

START_TEST(another_file_in_its_place_is_refused)
{
	struct capture *c;
	struct err e = {0};
	char aside[sizeof(rig.path[0]) + 8];

	begin(1, MIB);
	c = rig_attach(&rig, CAPTURE_WRITER);
	ck_assert_int_eq(capture_check_paths(c, &e), 0);
	(void)snprintf(aside, sizeof(aside), "%s.old", rig.path[0]);
	ck_assert_int_eq(rename(rig.path[0], aside), 0);
	ck_assert_int_lt(capture_check_paths(c, &e), 0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	is_refused(CAPTURE_WRITER, "open");
	ck_assert_int_eq(link(rig.copy[0], rig.path[0]), 0);
	ck_assert_int_lt(capture_check_paths(c, &e), 0);
	is_refused(CAPTURE_WRITER, "not the file");
	ck_assert_int_eq(rename(aside, rig.path[0]), 0);
	ck_assert_int_eq(capture_check_paths(c, &e), 0);
	capture_detach(c);
	rig_close(&rig);
}
END_TEST

START_TEST(the_right_to_capture_is_the_right_to_write_all)
{
	char command[400];
	pid_t pid;
	int status;

	rig_open(&rig, 2, MIB);
	(void)snprintf(command, sizeof(command),
	    "chmod -R o+rwX %s && chmod 0444 %s", rig.home, rig.path[1]);
	ck_assert_int_eq(system(command), 0);
	rig_start(&rig);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(9);
		is_refused(CAPTURE_WRITER, "right to write");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(a_volume_is_found_by_what_it_is)
{
	struct capture *c;
	struct stat st;

	begin(3, MIB);
	c = rig_attach(&rig, CAPTURE_WRITER);
	ck_assert_int_eq(stat(rig.path[1], &st), 0);
	ck_assert_int_eq(capture_volume_find(c, &st), 1);
	ck_assert_int_eq(stat(rig.copy[1], &st), 0);
	ck_assert_int_eq(capture_volume_find(c, &st), -1);
	ck_assert_int_eq(stat("/dev/null", &st), 0);
	ck_assert_int_eq(capture_volume_find(c, &st), -1);
	capture_detach(c);
	rig_close(&rig);
}
END_TEST

START_TEST(descriptors_are_out_of_the_way)
{
	struct capture *c;
	int fd, low;

	begin(3, MIB);
	low = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(low);
	c = rig_attach(&rig, CAPTURE_WRITER);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fd, low);
	ck_assert(!capture_owns_fd(c, fd));
	close(fd);
	for (fd = 0; fd < 1000; fd++)
		ck_assert(!capture_owns_fd(c, fd));
	ck_assert(capture_owns_fd(c, 1000));
	ck_assert_int_ne(fcntl(1000, F_GETFD) & FD_CLOEXEC, 0);
	capture_detach(c);
	rig_close(&rig);
}
END_TEST

/* ---- making ---- */

START_TEST(a_group_is_made_once)
{
	struct capture_volume v = {.kind = VOLUME_FILE, .path = "/tmp/x"};
	struct capture *c;
	struct err e = {0};

	begin(1, MIB);
	ck_assert_int_lt(
	    capture_create(rig.home, &rig.group, (gid_t)-1, &e), 0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	c = rig_attach(&rig, CAPTURE_WRITER);
	ck_assert_int_lt(capture_add_volume(rig.home, &rig.group, &v, &e), 0);
	ck_assert_msg(strstr(e.text, "capturing") != NULL, "%s", e.text);
	ck_assert_int_lt(capture_accept_volumes(rig.home, &rig.group, &e), 0);
	capture_detach(c);
	ck_assert_int_eq(capture_add_volume(rig.home, &rig.group, &v, &e), 0);
	ck_assert_int_lt(capture_add_volume(rig.home, &rig.group, &v, &e), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(a_group_has_4096_volumes)
{
	struct rlimit lim = {.rlim_cur = 0};
	struct err e = {0};
	struct capture *c;
	struct stat st;
	uint32_t i;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_max < 6000)
		return; /* the machine does not let us open so many */
	lim.rlim_cur = lim.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
	begin(1, MIB);
	for (i = 1; i < 4096; i++) {
		struct capture_volume v = {.kind = VOLUME_FILE, .size = 0};
		int fd;

		ck_assert_int_eq(uuid_make(&v.uuid, &e), 0);
		(void)snprintf(
		    v.path, sizeof(v.path), "%s/many%u", rig.home, i);
		fd = open(v.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_ge(fd, 0);
		close(fd);
		ck_assert_msg(
		    capture_add_volume(rig.home, &rig.group, &v, &e) == 0, "%s",
		    e.text);
	}
	c = rig_attach(&rig, CAPTURE_WRITER);
	ck_assert_uint_eq(capture_volume_count(c), 4096);
	for (i = 1; i < 4096; i += 97) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/many%u", rig.home, i);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_int_eq(capture_volume_find(c, &st), (int)i);
	}
	capture_detach(c);
	rig_close(&rig);
}
END_TEST

/* ---- boots ---- */

START_TEST(a_clean_group_goes_on_after_a_boot)
{
	struct capture_status s;

	begin(1, MIB);
	write_some(0, 0);
	drain_all(true);
	s = status();
	ck_assert(!s.unclean);
	boot(1);
	s = status();
	ck_assert(!s.needs_recovery);
	ck_assert_int_eq(s.mode, CAPTURE_ON);
	ck_assert_uint_eq(s.reserved, 1);
	ck_assert_uint_eq(s.boots, 1);
	write_some(0, 9000);
	s = status();
	ck_assert(s.unclean);
	ck_assert_uint_eq(s.reserved, 2);
	drain_all(true);
	rig_close(&rig);
}
END_TEST

START_TEST(a_device_may_have_another_number_after_a_boot)
{
	struct capture *c;
	struct err e = {0};

	begin(1, MIB);
	c = rig_attach(&rig, CAPTURE_INSPECT);
	atomic_fetch_add(&c->ctl->volume[0].dev, 1);
	capture_detach(c);
	ck_assert_int_lt(
	    capture_attach(rig.home, &rig.group, CAPTURE_COORDINATOR, &c, &e),
	    0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	boot(3);
	write_some(0, 0);
	ck_assert_uint_eq(status().reserved, 1);
	/* And now it is known again. */
	c = rig_attach(&rig, CAPTURE_INSPECT);
	ck_assert_uint_ne(atomic_load(&c->ctl->volume[0].dev), 0);
	capture_detach(c);
	rig_close(&rig);
}
END_TEST

START_TEST(an_unclean_group_needs_recovery_after_a_boot)
{
	struct capture_status s;
	struct capture *c;
	struct err e = {0};
	char broken[256], text[UUID_TEXT];

	begin(1, MIB);
	write_some(0, 0);
	write_and_die(60000);
	boot(2);
	s = status();
	ck_assert(s.needs_recovery);
	ck_assert(s.unclean);
	ck_assert_int_eq(s.mode, CAPTURE_PASSTHROUGH);
	(void)snprintf(broken, sizeof(broken), "%s/active/%s/segments.broken",
	    rig.home, uuid_text(&rig.group, text));
	ck_assert_int_eq(access(broken, F_OK), 0);
	/* Writes pass, and nothing is captured. */
	write_some(0, 100);
	c = rig_attach(&rig, CAPTURE_COORDINATOR);
	ck_assert_int_eq(capture_close_clean(c, &e), 0);
	ck_assert_int_lt(capture_set_mode(c, CAPTURE_ON, &e), 0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_int_eq(capture_recover(c, 500, &e), 0);
	ck_assert_int_lt(capture_recover(c, 500, &e), 0);
	capture_detach(c);
	rig_start(&rig);
	rig.next = 500;
	s = status();
	ck_assert(!s.needs_recovery);
	ck_assert(s.unclean);
	ck_assert_uint_eq(s.reserved, 499);
	write_some(0, 4);
	drain_all(true);
	ck_assert_int_ne(access(broken, F_OK), 0);
	s = status();
	ck_assert_uint_eq(s.reserved, 500);
	ck_assert(!s.unclean);
	rig_close(&rig);
}
END_TEST

START_TEST(a_close_waits_until_all_is_sealed)
{
	struct capture *c;
	struct err e = {0};

	begin(1, MIB);
	write_some(0, 0);
	c = rig_attach(&rig, CAPTURE_COORDINATOR);
	ck_assert_int_eq(capture_close_clean(c, &e), 0);
	(void)rig_drain(&rig, c);
	ck_assert_int_eq(capture_close_clean(c, &e), 1);
	ck_assert_int_eq(capture_close_clean(c, &e), 1);
	capture_detach(c);
	rig_close(&rig);
}
END_TEST

/* ---- fork ---- */

START_TEST(a_child_captures_too)
{
	struct capture_status s;
	struct capture *c;
	struct rig_file f;
	int status_, to_child[2];
	pid_t pid;

	begin(1, MIB);
	ck_assert_int_eq(pipe(to_child), 0);
	c = rig_attach(&rig, CAPTURE_WRITER);
	rig_file_open(&f, c, &rig, 0);
	ck_assert_int_eq(rig_write(&f, data, 100, 0), 100);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char go;

		capture_after_fork(c);
		if (rig_write(&f, data + 5, 100, 50) != 100)
			_exit(1);
		close(to_child[1]);
		(void)!read(to_child[0], &go, 1);
		if (rig_write(&f, data + 9, 100, 70) != 100)
			_exit(2);
		(void)kill(getpid(), SIGKILL);
	}
	close(to_child[0]);
	rig_file_close(&f);
	/* Leaves first; the child is still there, and dies. */
	capture_detach(c);
	s = status();
	ck_assert(s.attached);
	close(to_child[1]);
	ck_assert_int_eq(waitpid(pid, &status_, 0), pid);
	ck_assert(WIFSIGNALED(status_));
	s = status();
	ck_assert(!s.attached);
	write_some(0, 300);
	drain_all(true);
	rig_close(&rig);
}
END_TEST

/* ---- calls that fail, programs that die ---- */

static const int troubles[] = {ENOSPC, EIO};

START_TEST(making_a_group_fails_and_is_tried_again)
{
	struct ladder l = {.trouble = troubles[_i], .op = -1};
	struct err e = {0};
	bool struck = true;

	begin(1, MIB);
	for (; struck; l.rung++) {
		struct uuid group;
		int r;

		ck_assert_int_eq(uuid_make(&group, &e), 0);
		ladder_set(&l);
		r = capture_create(rig.home, &group, (gid_t)-1, &e);
		ladder_unset();
		struck = l.struck;
		ck_assert(struck || r == 0);
		if (r < 0)
			ck_assert_msg(capture_create(
					  rig.home, &group, (gid_t)-1, &e) == 0,
			    "%s", e.text);
	}
	ck_assert_int_ge(l.rung, 8);
	rig_close(&rig);
}
END_TEST

START_TEST(a_close_fails_and_is_tried_again)
{
	struct ladder l = {.trouble = troubles[_i], .op = -1};
	struct capture *c;
	struct err e = {0};
	bool struck = true;

	begin(1, MIB);
	c = rig_attach(&rig, CAPTURE_COORDINATOR);
	for (; struck; l.rung++) {
		int r;

		write_some(0, (uint64_t)l.rung);
		rig_compare(&rig, c);
		ladder_set(&l);
		r = capture_close_clean(c, &e);
		ladder_unset();
		struck = l.struck;
		ck_assert(struck ? r < 0 : r == 1);
		ck_assert_int_eq(capture_close_clean(c, &e), 1);
		ck_assert(!status().unclean);
	}
	ck_assert_int_ge(l.rung, 2);
	capture_detach(c);
	rig_close(&rig);
}
END_TEST

static int
killing_judge(void *ctx, enum sys_op op, const char *name)
{
	struct ladder *l = ctx;

	(void)op;
	(void)name;
	if (l->seen++ == l->rung)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

/* A child that attaches first after a boot; true when it was killed. */
static bool
boot_and_die(struct ladder *l, bool dies)
{
	pid_t pid = fork();
	int status_;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct capture *c = NULL;
		struct err e = {0};
		int r;

		if (dies) {
			l->seen = 0;
			sys_set_judge(killing_judge, l);
		} else
			ladder_set(l);
		r = capture_attach(
		    rig.home, &rig.group, CAPTURE_WRITER, &c, &e);
		_exit(r < 0 ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status_, 0), pid);
	return WIFSIGNALED(status_) || WEXITSTATUS(status_) != 0;
}

/* Whatever befalls the first to attach, the next one sees what is so. */
START_TEST(a_boot_is_interrupted)
{
	struct ladder l = {.trouble = EIO, .op = -1};
	struct capture *c;
	struct err e = {0};
	bool struck = true;
	uint8_t id = 10;

	begin(1, MIB);
	for (; struck; l.rung++) {
		write_some(0, 5);
		boot(id++);
		struck = boot_and_die(&l, _i == 0);
		c = rig_attach(&rig, CAPTURE_COORDINATOR);
		ck_assert(status().needs_recovery);
		ck_assert_int_eq(status().mode, CAPTURE_PASSTHROUGH);
		ck_assert_int_eq(capture_recover(c, 100, &e), 0);
		ck_assert_msg(
		    capture_set_mode(c, CAPTURE_ON, &e) == 0, "%s", e.text);
		capture_detach(c);
	}
	ck_assert_int_ge(l.rung, 6);
	rig_close(&rig);
}
END_TEST

/* A member may read and write the control file, not what the operator may. */
START_TEST(the_paths_that_members_write_are_not_believed)
{
	struct capture *member, *c;
	struct control_volume *v;
	struct err e = {0};

	begin(2, MIB);
	c = rig_attach(&rig, CAPTURE_COORDINATOR);
	ck_assert_int_eq(capture_compare_path(c, 0, rig.path[0], &e), 0);
	ck_assert_int_lt(capture_compare_path(c, 0, rig.path[1], &e), 0);
	capture_detach(c);

	member = rig_attach(&rig, CAPTURE_INSPECT);
	v = &member->ctl->volume[0];
	(void)snprintf(v->path, sizeof(v->path), "%s", rig.path[1]);
	atomic_store(&v->ino, atomic_load(&v[1].ino));
	atomic_store(&v->mtime_ns, atomic_load(&v[1].mtime_ns));
	atomic_store(&v->ctime_ns, atomic_load(&v[1].ctime_ns));
	v->sum = control_volume_sum(v, 0);
	capture_detach(member);

	c = rig_attach(&rig, CAPTURE_COORDINATOR);
	ck_assert_int_lt(capture_compare_path(c, 0, rig.path[0], &e), 0);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "aim-manager base"));
	capture_detach(c);
	rig_close(&rig);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("capture_volume");
	TCase *t = tcase_create("capture_volume");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, captured_writes_are_no_change_outside);
	tcase_add_test(t, a_change_outside_is_refused_until_accepted);
	tcase_add_test(t, another_file_in_its_place_is_refused);
	tcase_add_test(t, the_right_to_capture_is_the_right_to_write_all);
	tcase_add_test(t, a_volume_is_found_by_what_it_is);
	tcase_add_test(t, descriptors_are_out_of_the_way);
	tcase_add_test(t, a_group_is_made_once);
	tcase_add_test(t, a_group_has_4096_volumes);
	tcase_add_test(t, a_clean_group_goes_on_after_a_boot);
	tcase_add_test(t, a_device_may_have_another_number_after_a_boot);
	tcase_add_test(t, an_unclean_group_needs_recovery_after_a_boot);
	tcase_add_test(t, a_close_waits_until_all_is_sealed);
	tcase_add_test(t, the_paths_that_members_write_are_not_believed);
	tcase_add_test(t, a_child_captures_too);
	tcase_add_loop_test(t, making_a_group_fails_and_is_tried_again, 0, 2);
	tcase_add_loop_test(t, a_close_fails_and_is_tried_again, 0, 2);
	tcase_add_loop_test(t, a_boot_is_interrupted, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	return unit_run(suite());
}
