/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/home.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/home_site.h"
#include "tests/site_rig.h"

#include <stdio.h>

static struct site_rig rig;
static struct err e;

static void
setup(void)
{
	memset(&e, 0, sizeof(e));
	site_rig_make(&rig);
}

static void
teardown(void)
{
	ladder_unset();
	site_rig_drop(&rig);
}

static int
reopen(void)
{
	struct home h;
	int done = home_open(rig.path, &h, &e);

	if (done == 0)
		home_close(&h);
	return done;
}

/* Replaces a piece of state/site. */
static void
edit_site(const char *from, const char *to)
{
	AUTO(buf_release) struct buf b = {0};
	char *at;

	ck_assert_int_eq(io_read_file(rig.home.state, "site", 4096, &b, &e), 0);
	at = strstr((char *)b.data, from);
	ck_assert_ptr_nonnull(at);
	memcpy(at, to, strlen(to));
	ck_assert_int_eq(
	    io_write_file(rig.home.state, "site", b.data, b.len, 0600, &e), 0);
}

START_TEST(a_home_is_what_it_was_made)
{
	struct home h;
	struct stat st;

	ck_assert_int_eq(home_open(rig.path, &h, &e), 0);
	ck_assert_str_eq(h.site_name, "here");
	ck_assert(uuid_equal(&h.site, &rig.home.site));
	ck_assert_mem_eq(h.key.seed, rig.home.key.seed, 32);
	ck_assert_mem_eq(h.key.pub.key, rig.home.key.pub.key, 32);
	ck_assert_int_eq(fstatat(h.dir, "keys/site.key", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(fstatat(h.dir, "state", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	home_close(&h);
}
END_TEST

START_TEST(a_second_home_is_not_made_over_it)
{
	ck_assert_int_eq(home_create(rig.path, "other", &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_int_eq(reopen(), 0);
}
END_TEST

START_TEST(a_folder_with_other_things_is_no_place)
{
	ck_assert_int_eq(home_create(rig.dir.path, "other", &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "home"));
}
END_TEST

START_TEST(what_is_no_home_is_refused_with_advice)
{
	struct home h;

	ck_assert_int_eq(home_open(rig.dir.path, &h, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "init"));
	ck_assert_int_eq(home_open("/nonexistent/home", &h, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(a_key_that_others_may_read_is_refused)
{
	ck_assert_int_eq(fchmodat(rig.home.dir, "keys/site.key", 0640, 0), 0);
	ck_assert_int_eq(reopen(), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "site.key"));
}
END_TEST

START_TEST(a_key_that_is_a_link_is_refused)
{
	ck_assert_int_eq(renameat(rig.home.dir, "keys/site.key", rig.home.dir,
			     "keys/real.key"),
	    0);
	ck_assert_int_eq(
	    symlinkat("real.key", rig.home.dir, "keys/site.key"), 0);
	ck_assert_int_eq(reopen(), -1);
}
END_TEST

START_TEST(a_damaged_key_is_refused)
{
	AUTO_CLOSE int fd =
	    openat(rig.home.dir, "keys/site.key", O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, "zz", 2, 7), 2);
	ck_assert_int_eq(reopen(), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

START_TEST(a_foreign_key_is_refused)
{
	struct site_rig other;
	AUTO(buf_release) struct buf b = {0};
	AUTO_CLOSE int keys = -1;

	site_rig_make(&other);
	ck_assert_int_eq(
	    io_read_file(other.home.dir, "keys/site.key", 4096, &b, &e), 0);
	site_rig_drop(&other);
	ck_assert_int_eq(io_open_dir(rig.home.dir, "keys", &keys, &e), 0);
	ck_assert_int_eq(
	    io_write_file(keys, "site.key", b.data, b.len, 0600, &e), 0);
	ck_assert_int_eq(reopen(), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "site.pub"));
}
END_TEST

START_TEST(a_clone_is_refused_until_adopted)
{
	struct home h;
	struct uuid site = rig.home.site;
	char here[MACHINE_LIMIT];

	machine_id(here);
	edit_site("machine ", "machine 0123456789abcdef");
	/* A machine without a name cannot tell that it is another one. */
	if (strcmp(here, "-") == 0) {
		ck_assert_int_eq(reopen(), 0);
		return;
	}
	ck_assert_int_eq(reopen(), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "--adopt"));
	ck_assert_int_eq(home_adopt(rig.path, &e), 0);
	ck_assert_int_eq(home_open(rig.path, &h, &e), 0);
	ck_assert(!uuid_equal(&h.site, &site));
	ck_assert_mem_ne(h.key.seed, rig.home.key.seed, 32);
	home_close(&h);
}
END_TEST

START_TEST(a_damaged_site_file_is_told)
{
	edit_site("uuid ", "uuid zz");
	ck_assert_int_eq(reopen(), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "damaged"));
}
END_TEST

START_TEST(making_fails_cleanly_at_every_call_and_can_be_done_again)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/other", rig.dir.path);
	for (int rung = 0;; rung++) {
		struct ladder l = {
		    .rung = rung, .trouble = EIO, .stays = _i != 0, .op = -1};
		struct home h;
		int done;

		ladder_set(&l);
		done = home_create(path, "other", &e);
		ladder_unset();
		if (!l.struck) {
			ck_assert_int_eq(done, 0);
			break;
		}
		/* Whatever is left: made again it is whole. */
		if (done < 0) {
			done = home_create(path, "other", &e);
			if (done < 0) /* it was complete but for the answer */
				ck_assert_int_eq(e.kind, ERR_REFUSED);
		}
		ck_assert_msg(
		    home_open(path, &h, &e) == 0, "rung %d: %s", rung, e.text);
		ck_assert_str_eq(h.site_name, "other");
		home_close(&h);
		unit_remove_tree(path);
		ck_assert_int_lt(rung, 500);
	}
}
END_TEST

START_TEST(only_one_holds_the_lock)
{
	int first, second;

	ck_assert_int_eq(home_lock(&rig.home, &first, &e), 0);
	ck_assert_int_eq(home_lock(&rig.home, &second, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	(void)close(first);
	ck_assert_int_eq(home_lock(&rig.home, &second, &e), 0);
	(void)close(second);
}
END_TEST

START_TEST(notes_are_read_as_written)
{
	const struct note_pair pairs[] = {{"state", "streaming"},
	    {"reason", "two\nlines"}, {"none", ""}, {"null", NULL}};
	char got[64];

	ck_assert_int_eq(note_write(&rig.home, "x.note", pairs, 4, &e), 0);
	ck_assert(note_read(&rig.home, "x.note", "state", got, sizeof(got)));
	ck_assert_str_eq(got, "streaming");
	ck_assert(note_read(&rig.home, "x.note", "reason", got, sizeof(got)));
	ck_assert_str_eq(got, "two lines");
	ck_assert(note_read(&rig.home, "x.note", "none", got, sizeof(got)));
	ck_assert_str_eq(got, "");
	ck_assert(!note_read(&rig.home, "x.note", "stat", got, sizeof(got)));
	ck_assert(!note_read(&rig.home, "y.note", "state", got, sizeof(got)));
	ck_assert(note_read(&rig.home, "x.note", "state", got, 4));
	ck_assert_str_eq(got, "str");
}
END_TEST

static int
count_files(const char *suffix)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	size_t len = strlen(suffix);
	char path[128];
	int n = 0;

	(void)snprintf(path, sizeof(path), "%s/quarantine", rig.path);
	d = opendir(path);
	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL) {
		size_t has = strlen(entry->d_name);

		ck_assert_ptr_null(strstr(entry->d_name, "\n"));
		if (entry->d_name[0] != '.' && has >= len &&
		    strcmp(entry->d_name + has - len, suffix) == 0)
			n++;
	}
	return n;
}

START_TEST(hostile_names_go_to_quarantine_tamed)
{
	static const char *const names[] = {
	    "a b", "..x", "new\nline", "\xff\xfe", ".why", "x.why", "-rf"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = openat(
		    rig.dir.fd, names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		ck_assert_int_ge(fd, 0);
		(void)close(fd);
		ck_assert_msg(home_quarantine(&rig.home, rig.dir.fd, names[i],
				  "bad name", &e) == 0,
		    "%s", e.text);
		ck_assert_int_eq(faccessat(rig.dir.fd, names[i], F_OK, 0), -1);
	}
	ck_assert_int_eq(count_files(""), 2 * 7);
}
END_TEST

START_TEST(anything_can_be_put_away)
{
	ck_assert_int_eq(mkfifoat(rig.dir.fd, "fifo", 0600), 0);
	ck_assert_int_eq(symlinkat("/etc/passwd", rig.dir.fd, "link"), 0);
	ck_assert_int_eq(mkdirat(rig.dir.fd, "dir", 0700), 0);
	ck_assert_int_eq(mkdirat(rig.dir.fd, "dir/below", 0700), 0);
	ck_assert_int_eq(
	    home_quarantine(&rig.home, rig.dir.fd, "fifo", "no", &e), 0);
	ck_assert_int_eq(
	    home_quarantine(&rig.home, rig.dir.fd, "link", "no", &e), 0);
	ck_assert_int_eq(
	    home_quarantine(&rig.home, rig.dir.fd, "dir", "no", &e), 0);
	ck_assert_int_eq(
	    home_quarantine(&rig.home, rig.dir.fd, "gone", "no", &e), 0);
	ck_assert_int_eq(count_files(""), 6);
	ck_assert_int_eq(access("/etc/passwd", F_OK), 0);
}
END_TEST

START_TEST(quarantine_is_bounded_and_the_oldest_go)
{
	char name[64], why[80];

	for (int i = 0; i < 260; i++) {
		(void)snprintf(name, sizeof(name), "%016d-00000000-f", i);
		(void)snprintf(why, sizeof(why), "%s.why", name);
		ck_assert_int_eq(
		    mknodat(rig.home.quarantine, name, S_IFREG | 0600, 0), 0);
		ck_assert_int_eq(
		    mknodat(rig.home.quarantine, why, S_IFREG | 0600, 0), 0);
	}
	ck_assert_int_eq(mknodat(rig.dir.fd, "f", S_IFREG | 0600, 0), 0);
	ck_assert_int_eq(
	    home_quarantine(&rig.home, rig.dir.fd, "f", "no", &e), 0);
	ck_assert_int_eq(count_files(".why"), 256);
	ck_assert_int_eq(count_files(""), 512);
	ck_assert_int_eq(faccessat(rig.home.quarantine,
			     "0000000000000004-00000000-f", F_OK, 0),
	    -1);
	ck_assert_int_eq(faccessat(rig.home.quarantine,
			     "0000000000000005-00000000-f", F_OK, 0),
	    0);
}
END_TEST

START_TEST(quarantine_does_not_fill_the_disk)
{
	static const uint8_t bytes[1 << 20];
	AUTO_CLOSE int fd = -1;
	char name[64], why[80];

	rig.home.quarantine_bytes = 4 * sizeof(bytes) + sizeof(bytes) / 2;
	for (int i = 0; i < 6; i++) {
		AUTO_CLOSE int old = -1;

		(void)snprintf(name, sizeof(name), "%016d-00000000-f", i);
		(void)snprintf(why, sizeof(why), "%s.why", name);
		old = openat(rig.home.quarantine, name,
		    O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_eq(
		    io_write_at(old, bytes, sizeof(bytes), 0, &e), 0);
		ck_assert_int_eq(fsync(old), 0);
		ck_assert_int_eq(
		    mknodat(rig.home.quarantine, why, S_IFREG | 0600, 0), 0);
	}
	/* The newest is a giant of nothing. */
	fd = openat(rig.dir.fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)1 << 40), 0);
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(
	    home_quarantine(&rig.home, rig.dir.fd, "f", "no", &e), 0);
	ck_assert_int_eq(count_files(".why"), 5);
	ck_assert_int_eq(count_files(""), 10);
	ck_assert_int_eq(faccessat(rig.home.quarantine,
			     "0000000000000002-00000000-f", F_OK, 0),
	    0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("home");
	TCase *t = tcase_create("home");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_home_is_what_it_was_made);
	tcase_add_test(t, a_second_home_is_not_made_over_it);
	tcase_add_test(t, a_folder_with_other_things_is_no_place);
	tcase_add_test(t, what_is_no_home_is_refused_with_advice);
	tcase_add_test(t, a_key_that_others_may_read_is_refused);
	tcase_add_test(t, a_key_that_is_a_link_is_refused);
	tcase_add_test(t, a_damaged_key_is_refused);
	tcase_add_test(t, a_foreign_key_is_refused);
	tcase_add_test(t, a_clone_is_refused_until_adopted);
	tcase_add_test(t, a_damaged_site_file_is_told);
	tcase_add_loop_test(
	    t, making_fails_cleanly_at_every_call_and_can_be_done_again, 0, 2);
	tcase_add_test(t, only_one_holds_the_lock);
	tcase_add_test(t, notes_are_read_as_written);
	tcase_add_test(t, hostile_names_go_to_quarantine_tamed);
	tcase_add_test(t, anything_can_be_put_away);
	tcase_add_test(t, quarantine_is_bounded_and_the_oldest_go);
	tcase_add_test(t, quarantine_does_not_fill_the_disk);
	suite_add_tcase(s, t);
	return unit_run(s);
}
