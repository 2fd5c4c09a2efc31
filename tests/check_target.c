/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/target.h"

#include "common/io.h"
#include "tests/unit.h"

#include <stdio.h>

#define SIZE UINT64_C(300000)

static struct unit_dir dir;
static char path[128];

static void
setup(void)
{
	unit_dir_make(&dir);
	(void)snprintf(path, sizeof(path), "%s/mirror", dir.path);
}

static void
teardown(void)
{
	ladder_unset();
	unit_dir_drop(&dir);
}

static void
make(uint64_t size, int fill)
{
	AUTO_CLOSE int fd =
	    open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint8_t *bytes = malloc(size + 1);

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, fill, size);
	ck_assert_int_eq(io_write_at(fd, bytes, size, 0, NULL), 0);
	free(bytes);
}

static struct target *
open_it(void)
{
	struct target *t = NULL;
	struct err e = {0};

	ck_assert_msg(
	    target_open(path, VOLUME_FILE, &t, &e) == 0, "%s", e.text);
	return t;
}

static void
refused(uint64_t size, unsigned flags, const char *text)
{
	enum volume_kind kind = 0;
	struct err e = {0};

	ck_assert_int_eq(
	    target_check(path, size, VOLUME_FILE, flags, &kind, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_msg(strstr(e.text, text) != NULL, "%s", e.text);
}

static void
accepted(uint64_t size, unsigned flags)
{
	enum volume_kind kind = 0;
	struct err e = {0};

	ck_assert_msg(
	    target_check(path, size, VOLUME_FILE, flags, &kind, &e) == 0, "%s",
	    e.text);
	ck_assert_int_eq(kind, VOLUME_FILE);
}

START_TEST(a_missing_mirror_needs_create)
{
	struct stat st;

	refused(SIZE, 0, "--create");
	accepted(SIZE, TARGET_CREATE);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, (off_t)SIZE);
	accepted(SIZE, 0);
}
END_TEST

START_TEST(a_mirror_of_another_size_is_refused)
{
	make(SIZE - 1, 0);
	refused(SIZE, TARGET_CREATE | TARGET_OVERWRITE, "same size");
	make(SIZE + 1, 0);
	refused(SIZE, 0, "same size");
	make(SIZE, 0);
	accepted(SIZE, 0);
}
END_TEST

START_TEST(content_goes_only_by_overwrite)
{
	AUTO_CLOSE int fd = -1;

	make(SIZE, 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(io_write_at(fd, "x", 1, SIZE - 1, NULL), 0);
	refused(SIZE, 0, "--overwrite");
	refused(SIZE, TARGET_CREATE, "--overwrite");
	accepted(SIZE, TARGET_OVERWRITE);
}
END_TEST

START_TEST(what_is_no_disk_is_refused)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
	refused(SIZE, TARGET_CREATE | TARGET_OVERWRITE, "neither");
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refused(SIZE, TARGET_CREATE | TARGET_OVERWRITE, "neither");
}
END_TEST

/* SQLite and others lock by fcntl(2) what they only read. */
START_TEST(a_reader_that_locks_is_let_in)
{
	struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	AUTO_CLOSE int fd = -1;
	struct target *t;

	make(SIZE, 0);
	t = open_it();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &l), 0);
	target_close(t);
}
END_TEST

START_TEST(a_mirror_that_is_locked_is_refused)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	AUTO_CLOSE int fd = -1;

	make(SIZE, 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &l), 0);
	refused(SIZE, 0, "in use");
}
END_TEST

START_TEST(a_mirror_in_use_is_refused)
{
	struct target *t, *second = NULL;
	struct err e = {0};

	make(SIZE, 0);
	t = open_it();
	ck_assert_int_eq(target_open(path, VOLUME_FILE, &second, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	refused(SIZE, 0, "in use");
	target_close(t);
	accepted(SIZE, 0);
}
END_TEST

START_TEST(another_kind_than_before_is_refused)
{
	struct target *t = NULL;
	struct err e = {0};

	make(SIZE, 0);
	ck_assert_int_eq(target_open(path, VOLUME_BLOCK, &t, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(zeroing_touches_nothing_else)
{
	static const uint64_t ranges[][2] = {{0, SIZE}, {1, 1}, {4095, 2},
	    {4096, 4096}, {100, 250000}, {SIZE - 1, 1}, {5, 0}};
	uint64_t off = ranges[_i % 7][0], len = ranges[_i % 7][1], k;
	struct ladder l = {
	    .trouble = EOPNOTSUPP, .stays = true, .op = SYS_FALLOCATE};
	AUTO(buf_release) struct buf b = {0};
	struct target *t;
	struct err e = {0};

	make(SIZE, 0xee);
	t = open_it();
	if (_i >= 7)
		ladder_set(&l);
	ck_assert_msg(target_zero(t, off, len, &e) == 0, "%s", e.text);
	ladder_unset();
	ck_assert(target_is_dirty(t));
	ck_assert_int_eq(target_sync(t, &e), 0);
	ck_assert(!target_is_dirty(t));
	target_close(t);
	ck_assert_int_eq(io_read_file(AT_FDCWD, path, 1 << 20, &b, NULL), 0);
	ck_assert_uint_eq(b.len, SIZE);
	for (k = 0; k < SIZE; k++)
		ck_assert_int_eq(
		    b.data[k], k >= off && k < off + len ? 0 : 0xee);
}
END_TEST

START_TEST(a_resize_shows_zeroes)
{
	AUTO(buf_release) struct buf b = {0};
	struct target *t;
	struct err e = {0};

	make(SIZE, 0xee);
	t = open_it();
	ck_assert_int_eq(target_resize(t, SIZE, 1000, &e), 0);
	ck_assert_int_eq(target_resize(t, 1000, 5000, &e), 0);
	target_close(t);
	ck_assert_int_eq(io_read_file(AT_FDCWD, path, 1 << 20, &b, NULL), 0);
	ck_assert_uint_eq(b.len, 5000);
	ck_assert_int_eq(b.data[999], 0xee);
	ck_assert(io_is_zero(b.data + 1000, 4000));
}
END_TEST

START_TEST(failures_are_told)
{
	static const enum sys_op ops[] = {
	    SYS_PWRITE, SYS_FDATASYNC, SYS_FTRUNCATE, SYS_FALLOCATE};
	struct ladder l = {.trouble = EIO, .stays = true, .op = (int)ops[_i]};
	struct err e = {0};
	struct target *t;
	int r;

	make(SIZE, 1);
	t = open_it();
	ck_assert_int_eq(target_write(t, "abc", 3, 0, &e), 0);
	ladder_set(&l);
	r = _i == 0   ? target_write(t, "x", 1, 10, &e)
	    : _i == 1 ? target_sync(t, &e)
	    : _i == 2 ? target_resize(t, SIZE, 10, &e)
		      : target_zero(t, 0, 100000, &e);
	ladder_unset();
	ck_assert_int_eq(r, -1);
	ck_assert_ptr_nonnull(strstr(e.text, "Input/output error"));
	ck_assert(target_is_dirty(t));
	target_close(t);
}
END_TEST

START_TEST(short_writes_are_continued)
{
	struct ladder l = {.trouble = SYS_SHORT, .stays = true, .op = -1};
	AUTO(buf_release) struct buf b = {0};
	uint8_t bytes[5000];
	struct target *t;

	make(SIZE, 1);
	memset(bytes, 0x77, sizeof(bytes));
	t = open_it();
	ladder_set(&l);
	ck_assert_int_eq(target_write(t, bytes, sizeof(bytes), 11, NULL), 0);
	ladder_unset();
	target_close(t);
	ck_assert_int_eq(io_read_file(AT_FDCWD, path, 1 << 20, &b, NULL), 0);
	ck_assert_mem_eq(b.data + 11, bytes, sizeof(bytes));
	ck_assert_int_eq(b.data[11 + 5000], 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("target");
	TCase *t = tcase_create("target");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_missing_mirror_needs_create);
	tcase_add_test(t, a_mirror_of_another_size_is_refused);
	tcase_add_test(t, content_goes_only_by_overwrite);
	tcase_add_test(t, what_is_no_disk_is_refused);
	tcase_add_test(t, a_mirror_in_use_is_refused);
	tcase_add_test(t, a_reader_that_locks_is_let_in);
	tcase_add_test(t, a_mirror_that_is_locked_is_refused);
	tcase_add_test(t, another_kind_than_before_is_refused);
	tcase_add_loop_test(t, zeroing_touches_nothing_else, 0, 14);
	tcase_add_test(t, a_resize_shows_zeroes);
	tcase_add_loop_test(t, failures_are_told, 0, 4);
	tcase_add_test(t, short_writes_are_continued);
	suite_add_tcase(s, t);
	return unit_run(s);
}
