/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io.h"

#include "tests/unit.h"

#include <sys/socket.h>
#include <sys/un.h>

static struct unit_dir dir;

static void
setup(void)
{
	unit_dir_make(&dir);
}

static void
teardown(void)
{
	ladder_unset();
	unit_dir_drop(&dir);
}

static int
make(const char *name, const char *text)
{
	int fd =
	    openat(dir.fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	return fd;
}

static bool
there(const char *name)
{
	return faccessat(dir.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
content_is(const char *name, const char *text)
{
	AUTO(buf_release) struct buf b = {0};

	ck_assert_int_eq(io_read_file(dir.fd, name, 1 << 20, &b, NULL), 0);
	ck_assert_uint_eq(b.len, strlen(text));
	ck_assert_mem_eq(b.data, text, b.len);
}

/* ---- transfers ---- */

START_TEST(reads_are_whole_or_an_error)
{
	AUTO_CLOSE int fd = make("f", "0123456789");
	char got[16];
	struct err e = {0};

	ck_assert_int_eq(io_read_at(fd, got, 10, 0, &e), 0);
	ck_assert_mem_eq(got, "0123456789", 10);
	ck_assert_int_eq(io_read_at(fd, got, 11, 0, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_int_eq(io_read_some_at(fd, got, 16, 4, &e), 6);
	ck_assert_int_eq(io_read_some_at(fd, got, 16, 400, &e), 0);
}
END_TEST

START_TEST(short_transfers_and_eintr_are_continued)
{
	static const char text[] = "the quick brown fox";
	struct ladder l = {
	    .rung = 0, .trouble = SYS_SHORT, .op = SYS_PWRITE, .stays = true};
	AUTO_CLOSE int fd = make("f", "");
	char got[sizeof(text)];

	ladder_set(&l);
	ck_assert_int_eq(io_write_at(fd, text, sizeof(text), 5, NULL), 0);
	ck_assert_int_gt(l.seen, 2);
	l.op = SYS_PREAD;
	ladder_set(&l);
	ck_assert_int_eq(io_read_at(fd, got, sizeof(got), 5, NULL), 0);
	ck_assert_str_eq(got, text);
	l = (struct ladder){.trouble = EINTR, .op = -1};
	ladder_set(&l);
	ck_assert_int_eq(io_write_at(fd, text, sizeof(text), 0, NULL), 0);
	ladder_set(&l);
	ck_assert_int_eq(io_read_at(fd, got, sizeof(got), 0, NULL), 0);
	ck_assert_str_eq(got, text);
}
END_TEST

START_TEST(a_transfer_that_fails_says_where)
{
	struct ladder l = {.trouble = EIO, .op = -1};
	AUTO_CLOSE int fd = make("f", "abc");
	struct err e = {0};
	char got[3];

	ladder_set(&l);
	ck_assert_int_eq(io_read_at(fd, got, 3, 0, &e), -1);
	ck_assert_int_eq(e.kind, ERR_FATAL);
	ck_assert_ptr_nonnull(strstr(e.text, "offset 0"));
	l.trouble = ENOSPC;
	ladder_set(&l);
	ck_assert_int_eq(io_write_at(fd, "abc", 3, 4096, &e), -1);
	ck_assert_int_eq(e.kind, ERR_FULL);
	ck_assert_ptr_nonnull(strstr(e.text, "offset 4096"));
}
END_TEST

START_TEST(a_failed_sync_is_not_tried_again)
{
	struct ladder l = {.trouble = EIO, .op = -1};
	AUTO_CLOSE int fd = make("f", "abc");
	struct err e = {0};

	ladder_set(&l);
	ck_assert_int_eq(io_fsync(fd, "f", &e), -1);
	ck_assert_int_eq(l.seen, 1);
	ck_assert_int_eq(e.kind, ERR_FATAL);
	l.trouble = EINTR;
	ladder_set(&l);
	ck_assert_int_eq(io_fdatasync(fd, "f", &e), -1);
	ck_assert_int_eq(l.seen, 1);
	ck_assert_int_eq(e.kind, ERR_FATAL);
}
END_TEST

/* ---- durable files: the ladder ---- */

/*
 * Replaces "old" by "new" with trouble at each call in turn: the file is one
 * or the other, no temporary name stays for ever, and the next try succeeds.
 */
static void
climb_write_file(int trouble, bool stays, bool fresh)
{
	struct ladder l = {.trouble = trouble, .stays = stays, .op = -1};
	int done = 0;

	for (l.rung = 0; !done; l.rung++) {
		AUTO(buf_release) struct buf b = {0};
		struct err e = {0};
		int rc;

		ck_assert_int_lt(l.rung, 32);
		if (fresh)
			ck_assert_int_eq(io_remove(dir.fd, "f", NULL), 0);
		else
			(void)close(make("f", "old"));
		ladder_set(&l);
		rc = io_write_file(dir.fd, "f", "new", 3, 0640, &e);
		ladder_unset();
		if (rc == 0 && !l.struck)
			done = 1;
		if (rc < 0)
			ck_assert_int_ne(e.kind, ERR_NONE);
		if (rc == 0)
			content_is("f", "new");
		else if (there("f")) {
			ck_assert_int_eq(
			    io_read_file(dir.fd, "f", 16, &b, NULL), 0);
			ck_assert_uint_eq(b.len, 3);
			ck_assert(memcmp(b.data, "new", 3) == 0 ||
				  (!fresh && memcmp(b.data, "old", 3) == 0));
		} else {
			ck_assert(fresh);
		}
		ck_assert_int_eq(
		    io_write_file(dir.fd, "f", "again", 5, 0640, NULL), 0);
		content_is("f", "again");
		ck_assert(!there(".f.tmp"));
	}
	ck_assert_int_ge(l.rung, 5);
}

START_TEST(a_file_is_replaced_whole_or_not_at_all)
{
	static const int troubles[] = {EIO, ENOSPC, EROFS, EINTR, EMFILE};

	climb_write_file(troubles[_i], false, false);
	climb_write_file(troubles[_i], false, true);
	if (troubles[_i] == EINTR)
		return; /* for ever would be waited for, for ever */
	climb_write_file(troubles[_i], true, false);
	climb_write_file(troubles[_i], true, true);
}
END_TEST

START_TEST(a_leftover_temporary_file_does_not_matter)
{
	struct stat st;

	(void)close(make(".f.tmp", "garbage of a crash"));
	ck_assert_int_eq(io_write_file(dir.fd, "f", "whole", 5, 0604, NULL), 0);
	content_is("f", "whole");
	ck_assert(!there(".f.tmp"));
	ck_assert_int_eq(fstatat(dir.fd, "f", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0604);
}
END_TEST

START_TEST(what_is_synced_before_it_gets_its_name)
{
	struct ladder l = {.trouble = EIO, .op = SYS_FSYNC};
	struct err e = {0};

	/* The first sync is of the content: the name must not be there yet. */
	ladder_set(&l);
	ck_assert_int_eq(io_write_file(dir.fd, "g", "x", 1, 0600, &e), -1);
	ladder_unset();
	ck_assert(l.struck);
	ck_assert(!there("g"));
	/* The second is of the directory. */
	l.rung = 1;
	ladder_set(&l);
	ck_assert_int_eq(io_write_file(dir.fd, "g", "x", 1, 0600, &e), -1);
	ladder_unset();
	ck_assert(l.struck);
	l.rung = 2;
	ladder_set(&l);
	ck_assert_int_eq(io_write_file(dir.fd, "g", "x", 1, 0600, &e), 0);
	ck_assert(!l.struck);
}
END_TEST

START_TEST(a_move_never_covers_an_existing_file)
{
	struct err e = {0};

	(void)close(make("a", "a"));
	(void)close(make("b", "b"));
	ck_assert_int_eq(io_move(dir.fd, "a", dir.fd, "b", &e), -1);
	ck_assert_int_eq(e.sys, EEXIST);
	content_is("a", "a");
	content_is("b", "b");
	ck_assert_int_eq(io_move(dir.fd, "a", dir.fd, "c", NULL), 0);
	ck_assert(!there("a"));
	content_is("c", "a");
}
END_TEST

START_TEST(a_move_syncs_both_directories)
{
	struct ladder l = {.rung = 99, .op = SYS_FSYNC};
	AUTO_CLOSE int sub = -1;

	ck_assert_int_eq(io_make_dir(dir.fd, "sub", 0700, NULL), 0);
	ck_assert_int_eq(io_open_dir(dir.fd, "sub", &sub, NULL), 0);
	(void)close(make("a", "a"));
	ladder_set(&l);
	ck_assert_int_eq(io_move(dir.fd, "a", sub, "a", NULL), 0);
	ck_assert_int_eq(l.seen, 2);
}
END_TEST

START_TEST(a_move_that_fails_leaves_one_of_both_names)
{
	struct ladder l = {.trouble = EIO, .op = -1};

	for (l.rung = 0;; l.rung++) {
		int rc;

		ck_assert_int_lt(l.rung, 8);
		ck_assert_int_eq(io_remove(dir.fd, "b", NULL), 0);
		(void)close(make("a", "a"));
		ladder_set(&l);
		rc = io_move(dir.fd, "a", dir.fd, "b", NULL);
		ladder_unset();
		ck_assert_int_eq(there("a") + there("b"), 1);
		if (rc == 0 && !l.struck)
			break;
	}
}
END_TEST

START_TEST(removing_what_is_not_there_is_no_error)
{
	struct ladder l = {.trouble = EACCES, .op = SYS_UNLINK};
	struct err e = {0};

	ck_assert_int_eq(io_remove(dir.fd, "none", &e), 0);
	(void)close(make("a", "a"));
	ladder_set(&l);
	ck_assert_int_eq(io_remove(dir.fd, "a", &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ladder_unset();
	ck_assert(there("a"));
	ck_assert_int_eq(io_remove(dir.fd, "a", &e), 0);
	ck_assert(!there("a"));
}
END_TEST

START_TEST(a_directory_gets_its_mode_and_may_exist)
{
	struct stat st;
	mode_t was = umask(077);

	ck_assert_int_eq(io_make_dir(dir.fd, "d", 02770, NULL), 0);
	(void)umask(was);
	ck_assert_int_eq(fstatat(dir.fd, "d", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 02770);
	ck_assert_int_eq(io_make_dir(dir.fd, "d", 0700, NULL), 0);
	ck_assert_int_eq(fstatat(dir.fd, "d", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 02770);
	ck_assert_int_eq(io_make_dir(dir.fd, "d/e", 0700, NULL), 0);
	(void)close(make("f", ""));
	ck_assert_int_eq(io_make_dir(dir.fd, "f", 0700, NULL), -1);
}
END_TEST

START_TEST(a_directory_that_fails_can_be_made_again)
{
	struct ladder l = {.trouble = EIO, .op = -1};

	for (l.rung = 0;; l.rung++) {
		int rc;

		ck_assert_int_lt(l.rung, 8);
		(void)unlinkat(dir.fd, "d", AT_REMOVEDIR);
		ladder_set(&l);
		rc = io_make_dir(dir.fd, "d", 0700, NULL);
		ladder_unset();
		if (rc == 0 && !l.struck)
			break;
		ck_assert_int_eq(rc, -1);
		ck_assert_int_eq(io_make_dir(dir.fd, "d", 0700, NULL), 0);
	}
	ck_assert_int_ge(l.rung, 4);
}
END_TEST

/* ---- hostile names ---- */

static void
make_hostile(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	AUTO_CLOSE int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)close(make("real", "real"));
	ck_assert_int_eq(symlinkat("real", dir.fd, "link"), 0);
	ck_assert_int_eq(symlinkat("nowhere", dir.fd, "dangling"), 0);
	ck_assert_int_eq(mkfifoat(dir.fd, "fifo", 0600), 0);
	ck_assert_int_eq(mkdirat(dir.fd, "folder", 0700), 0);
	ck_assert_int_eq(symlinkat(".", dir.fd, "self"), 0);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/socket", dir.path);
	ck_assert_int_eq(bind(s, (const struct sockaddr *)&a, sizeof(a)), 0);
}

static const char *const hostile[] = {"link", "dangling", "fifo", "folder",
    "socket", "self/real", "../etc/passwd", "/etc/passwd", "none", ""};

START_TEST(only_regular_files_beneath_are_opened)
{
	AUTO_CLOSE int fd = -1;
	struct err e = {0};

	make_hostile();
	ck_assert_int_eq(io_open_regular(dir.fd, hostile[_i], &fd, &e), -1);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_ne(e.kind, ERR_NONE);
	ck_assert_int_eq(io_open_regular(dir.fd, "real", &fd, &e), 0);
	ck_assert_int_ge(fd, 0);
}
END_TEST

START_TEST(a_file_that_is_too_large_is_refused_unread)
{
	AUTO(buf_release) struct buf b = {0};
	struct err e = {0};

	(void)close(make("f", "12345"));
	ck_assert_int_eq(io_read_file(dir.fd, "f", 4, &b, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_null(b.data);
	ck_assert_int_eq(io_read_file(dir.fd, "f", 5, &b, &e), 0);
	ck_assert_str_eq((const char *)b.data, "12345");
	ck_assert_int_eq(io_read_file(dir.fd, "none", 5, &b, &e), -1);
	ck_assert_int_eq(e.sys, ENOENT);
	ck_assert_int_eq(io_read_file(AT_FDCWD, dir.path, 5, &b, &e), -1);
}
END_TEST

/* ---- the rest ---- */

START_TEST(sizes_are_of_files_and_refused_of_others)
{
	AUTO_CLOSE int fd = make("f", "12345");
	AUTO_CLOSE int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t size = 0;
	struct err e = {0};

	ck_assert_int_eq(io_size(fd, &size, &e), 0);
	ck_assert_uint_eq(size, 5);
	ck_assert_int_eq(io_size(null, &size, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_uint_eq(size, 5);
	ck_assert_int_eq(io_free_bytes(dir.fd, &size, &e), 0);
	ck_assert_uint_gt(size, 0);
}
END_TEST

START_TEST(zero_is_found_to_the_last_byte)
{
	char b[100] = {0};
	size_t i;

	ck_assert(io_is_zero(b, 0));
	ck_assert(io_is_zero(b, sizeof(b)));
	for (i = 0; i < sizeof(b); i++) {
		b[i] = 1;
		ck_assert(!io_is_zero(b, sizeof(b)));
		ck_assert(io_is_zero(b, i));
		b[i] = 0;
	}
}
END_TEST

START_TEST(locks_belong_to_the_open_file)
{
	AUTO_CLOSE int a = make("l", "");
	AUTO_CLOSE int b = openat(dir.fd, "l", O_RDWR | O_CLOEXEC);
	struct err e = {0};

	ck_assert_int_eq(io_lock(a, true, &e), 0);
	ck_assert_int_eq(io_lock(b, true, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_int_eq(e.sys, EAGAIN);
	ck_assert_int_eq(io_lock(b, false, &e), -1);
	ck_assert_int_eq(io_lock(a, false, &e), 0);
	ck_assert_int_eq(io_lock(b, false, &e), 0);
	ck_assert_int_eq(io_unlock(b, &e), 0);
	ck_assert_int_eq(io_lock(a, true, &e), 0);
	(void)close(STEAL_FD(a));
	ck_assert_int_eq(io_lock(b, true, &e), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("io");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, reads_are_whole_or_an_error);
	tcase_add_test(t, short_transfers_and_eintr_are_continued);
	tcase_add_test(t, a_transfer_that_fails_says_where);
	tcase_add_test(t, a_failed_sync_is_not_tried_again);
	tcase_add_loop_test(t, a_file_is_replaced_whole_or_not_at_all, 0, 5);
	tcase_add_test(t, a_leftover_temporary_file_does_not_matter);
	tcase_add_test(t, what_is_synced_before_it_gets_its_name);
	tcase_add_test(t, a_move_never_covers_an_existing_file);
	tcase_add_test(t, a_move_syncs_both_directories);
	tcase_add_test(t, a_move_that_fails_leaves_one_of_both_names);
	tcase_add_test(t, removing_what_is_not_there_is_no_error);
	tcase_add_test(t, a_directory_gets_its_mode_and_may_exist);
	tcase_add_test(t, a_directory_that_fails_can_be_made_again);
	tcase_add_loop_test(t, only_regular_files_beneath_are_opened, 0,
	    sizeof(hostile) / sizeof(hostile[0]));
	tcase_add_test(t, a_file_that_is_too_large_is_refused_unread);
	tcase_add_test(t, sizes_are_of_files_and_refused_of_others);
	tcase_add_test(t, zero_is_found_to_the_last_byte);
	tcase_add_test(t, locks_belong_to_the_open_file);
	suite_add_tcase(s, t);
	return unit_run(s);
}
