/* SPDX-License-Identifier: Apache-2.0 */
/* The way back from lost or damaged files of a group. */
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include "aimdriver/control.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define MIB (UINT64_C(1) << 20)
#define VOLUMES 3

static struct rig rig;
static struct capture_volume volumes[VOLUMES];
static char folder[200], control[220], segments[220], attached[220];
static struct err e;

static void
setup(void)
{
	char text[UUID_TEXT];
	struct capture *c;
	struct rig_file f;
	uint32_t i;

	memset(&e, 0, sizeof(e));
	rig_open(&rig, VOLUMES, MIB);
	rig_start(&rig);
	c = rig_attach(&rig, CAPTURE_WRITER);
	for (i = 0; i < VOLUMES; i++)
		capture_volume_get(c, i, &volumes[i]);
	rig_file_open(&f, c, &rig, 1);
	ck_assert_int_eq(rig_write(&f, "not sealed", 10, 4000), 10);
	rig_file_close(&f);
	capture_detach(c);
	(void)snprintf(folder, sizeof(folder), "%s/active/%s", rig.home,
	    uuid_text(&rig.group, text));
	(void)snprintf(control, sizeof(control), "%s/control", folder);
	(void)snprintf(segments, sizeof(segments), "%s/segments", folder);
	(void)snprintf(attached, sizeof(attached), "%s/attached", folder);
}

static void
teardown(void)
{
	ladder_unset();
	rig_close(&rig);
}

static int
rebuild(void)
{
	return capture_rebuild(rig.home, &rig.group, volumes, VOLUMES, &e);
}

/* Attaching says what is wrong and what to do about it. */
static void
check_is_told(void)
{
	struct capture *c = NULL;
	struct err why = {0};

	ck_assert_int_eq(
	    capture_attach(rig.home, &rig.group, CAPTURE_WRITER, &c, &why), -1);
	ck_assert_msg(
	    why.kind == ERR_CORRUPT, "kind %d: %s", why.kind, why.text);
	ck_assert_msg(
	    strstr(why.text, "aim-manager base") != NULL, "%s", why.text);
}

/* All volumes, mode OFF, and a recovery that is needed; it captures again. */
static void
check_is_new(void)
{
	struct capture *c = rig_attach(&rig, CAPTURE_COORDINATOR);
	struct capture_status s;
	struct rig_file f;
	uint32_t i;

	capture_status(c, &s);
	ck_assert(s.needs_recovery && s.lost && s.unclean);
	ck_assert_int_eq(s.mode, CAPTURE_OFF);
	ck_assert_uint_eq(s.reserved, 0);
	ck_assert_uint_eq(capture_volume_count(c), VOLUMES);
	for (i = 0; i < VOLUMES; i++) {
		struct capture_volume v;

		capture_volume_get(c, i, &v);
		ck_assert(uuid_equal(&v.uuid, &volumes[i].uuid));
		ck_assert_str_eq(v.path, volumes[i].path);
	}
	ck_assert_int_eq(capture_set_mode(c, CAPTURE_ON, &e), -1);
	ck_assert_int_eq(capture_recover(c, 77, &e), 0);
	capture_detach(c);
	rig_start(&rig);
	rig.next = 77;
	c = rig_attach(&rig, CAPTURE_WRITER);
	rig_file_open(&f, c, &rig, 2);
	ck_assert_int_eq(rig_write(&f, "captured", 8, 100), 8);
	rig_file_close(&f);
	capture_detach(c);
	c = rig_attach(&rig, CAPTURE_COORDINATOR);
	rig_compare(&rig, c);
	ck_assert_int_eq(capture_close_clean(c, &e), 1);
	capture_detach(c);
	/* What was kept aside is not needed any more. */
	(void)strcat(control, ".broken");
	(void)strcat(segments, ".broken");
	ck_assert_int_ne(access(control, F_OK), 0);
	ck_assert_int_ne(access(segments, F_OK), 0);
}

static void
cut(const char *path, int64_t len)
{
	ck_assert_int_eq(truncate(path, (off_t)len), 0);
}

static void
flip(size_t off, size_t len)
{
	int fd = open(control, O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	for (; len > 0; off++, len--) {
		uint8_t b;

		ck_assert_int_eq(pread(fd, &b, 1, (off_t)off), 1);
		b ^= 0x81;
		ck_assert_int_eq(pwrite(fd, &b, 1, (off_t)off), 1);
	}
	close(fd);
}

#define FIELD(name)                                                            \
	{                                                                      \
		offsetof(struct control, name),                                \
		    sizeof(((struct control *)0)->name)                        \
	}
static const struct {
	size_t off, len;
} fields[] = {FIELD(magic), FIELD(layout), FIELD(marks), FIELD(group),
    FIELD(seed), FIELD(volumes), FIELD(volume[0].uuid), FIELD(volume[1].kind),
    FIELD(volume[2].path), FIELD(volume[2].sum)};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static const int64_t lengths[] = {
    0, 1, 512, 4096, 4097, 100000, sizeof(struct control) - 1};
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

enum {
	LOST_CONTROL,
	LOST_SEGMENTS,
	LOST_ATTACHED,
	LOST_ALL,
	SHORT_SEGMENTS,
	LONG_SEGMENTS,
	LONG_CONTROL,
	LINKED_CONTROL,
	FOLDER_CONTROL,
	FIFO_CONTROL,
	FIFO_ATTACHED,
	OTHERS
};

static void
damage_otherwise(size_t how)
{
	switch (how) {
	case LOST_CONTROL:
		ck_assert_int_eq(unlink(control), 0);
		break;
	case LOST_SEGMENTS:
		ck_assert_int_eq(unlink(segments), 0);
		break;
	case LOST_ATTACHED:
		ck_assert_int_eq(unlink(attached), 0);
		break;
	case LOST_ALL:
		unit_remove_tree(folder);
		break;
	case SHORT_SEGMENTS:
		cut(segments, 1000000);
		break;
	case LONG_SEGMENTS:
		cut(segments, SEGMENTS_LEN + 1);
		break;
	case LONG_CONTROL:
		cut(control, sizeof(struct control) + 1);
		break;
	case LINKED_CONTROL:
		ck_assert_int_eq(unlink(control), 0);
		ck_assert_int_eq(symlink("segments", control), 0);
		break;
	case FOLDER_CONTROL:
		ck_assert_int_eq(unlink(control), 0);
		ck_assert_int_eq(mkdir(control, 0700), 0);
		break;
	case FIFO_CONTROL:
		ck_assert_int_eq(unlink(control), 0);
		ck_assert_int_eq(mkfifo(control, 0600), 0);
		break;
	default:
		ck_assert_int_eq(unlink(attached), 0);
		ck_assert_int_eq(mkfifo(attached, 0600), 0);
		break;
	}
}

static void
damage(size_t how)
{
	if (how < FIELDS)
		flip(fields[how].off, fields[how].len);
	else if (how < FIELDS + LENGTHS)
		cut(control, lengths[how - FIELDS]);
	else
		damage_otherwise(how - FIELDS - LENGTHS);
}

START_TEST(what_is_damaged_is_told_and_made_anew)
{
	damage((size_t)_i);
	check_is_told();
	ck_assert_msg(rebuild() == 0, "%s", e.text);
	check_is_new();
}
END_TEST

/* Each single byte that never changes; of a path the first ones. */
START_TEST(one_byte_is_enough)
{
	size_t i, k;

	for (i = 0; i < FIELDS; i++)
		for (k = 0; k < fields[i].len && k < 20; k++) {
			flip(fields[i].off + k, 1);
			check_is_told();
			flip(fields[i].off + k, 1);
		}
	capture_detach(rig_attach(&rig, CAPTURE_WRITER));
}
END_TEST

/* What is not told of itself leads to a recovery all the same. */
START_TEST(another_boot_id_is_a_boot)
{
	struct capture_status s;
	struct capture *c;

	flip(offsetof(struct control, boot), 16);
	c = rig_attach(&rig, CAPTURE_COORDINATOR);
	capture_status(c, &s);
	ck_assert(s.needs_recovery && !s.lost);
	capture_detach(c);
}
END_TEST

/* In a process of its own, so that it can be killed; it attaches, says so,
 * and waits for us. */
static pid_t
attach_elsewhere(int *end)
{
	int ready[2], go[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(go[1]);
		(void)rig_attach(&rig, CAPTURE_WRITER);
		(void)!write(ready[1], "x", 1);
		(void)!read(go[0], &byte, 1);
		_exit(0);
	}
	close(go[0]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*end = go[1];
	return pid;
}

/* Whatever was removed meanwhile: who captures is found. */
START_TEST(it_is_refused_while_programs_capture)
{
	char number[16];
	int end, status;
	pid_t pid = attach_elsewhere(&end);

	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	damage(FIELDS + LENGTHS + (size_t)_i);
	ck_assert_int_eq(rebuild(), -1);
	ck_assert_msg(e.kind == ERR_REFUSED, "kind %d: %s", e.kind, e.text);
	ck_assert_msg(strstr(e.text, number) != NULL, "%s", e.text);
	check_is_told();
	close(end);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_msg(rebuild() == 0, "%s", e.text);
	check_is_new();
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

static bool
rebuild_and_die(struct ladder *l)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		sys_set_judge(killing_judge, l);
		_exit(rebuild() == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static bool
is_new(void)
{
	struct capture *c = NULL;
	struct capture_status s;

	if (capture_attach(rig.home, &rig.group, CAPTURE_INSPECT, &c, &e) < 0) {
		ck_assert_msg(e.kind == ERR_CORRUPT, "%s", e.text);
		return false;
	}
	capture_status(c, &s);
	ck_assert(s.lost && s.needs_recovery);
	ck_assert_uint_eq(capture_volume_count(c), VOLUMES);
	capture_detach(c);
	return true;
}

/* Killed at, or failed by, any call: the old trouble, or all is new. */
START_TEST(making_anew_is_interrupted)
{
	struct ladder l = {.op = -1};
	bool struck = true;

	if (_i > 0)
		l.trouble = _i == 1 ? EIO : ENOSPC;
	for (; struck; l.rung++) {
		damage(FIELDS + LENGTHS + (size_t)l.rung % OTHERS);
		if (_i == 0) {
			struck = rebuild_and_die(&l);
		} else {
			int r;

			ladder_set(&l);
			r = rebuild();
			ladder_unset();
			struck = l.struck;
			ck_assert_msg(struck || r == 0, "%s", e.text);
		}
		ck_assert(struck || is_new());
		if (!is_new())
			ck_assert_msg(rebuild() == 0, "%s", e.text);
		ck_assert(is_new());
	}
	ck_assert_int_ge(l.rung, 15);
	check_is_new();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rebuild");
	TCase *t = tcase_create("rebuild");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_is_damaged_is_told_and_made_anew, 0,
	    (int)(FIELDS + LENGTHS + OTHERS));
	tcase_add_test(t, one_byte_is_enough);
	tcase_add_test(t, another_boot_id_is_a_boot);
	tcase_add_loop_test(t, it_is_refused_while_programs_capture, 0, OTHERS);
	tcase_add_loop_test(t, making_anew_is_interrupted, 0, 3);
	suite_add_tcase(s, t);
	return unit_run(s);
}
