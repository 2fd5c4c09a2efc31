/* SPDX-License-Identifier: Apache-2.0 */
/* The rsync transport's URLs and words, and programs that it runs. */
#include "coordinator/transport_rsync.h"
#include "common/io.h"
#include "tests/unit.h"

#include <dirent.h>
#include <stdio.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

/* ---- URLs ---- */

static const struct {
	const char *text;
	const char *there; /* NULL: refused */
	bool ssh;
	uint16_t port;
} urls[] = {
    {"rsync://u@h/m", "rsync://u@h:873/m/f/.", false, 873},
    {"rsync://u@h:99/m/d/", "rsync://u@h:99/m/d/f/.", false, 99},
    {"rsync://h/m/d", "rsync://h:873/m/d/f/.", false, 873},
    {"rsync://u@[::1]:9/m", "rsync://u@[::1]:9/m/f/.", false, 9},
    {"rsync+ssh://u@h/a/b", "u@h:/a/b/f/.", true, 22},
    {"rsync+ssh://u@h:2222/", "u@h:/f/.", true, 2222},
    {"rsync+ssh://u@[fe80::1]:2/d", "u@[fe80::1]:/d/f/.", true, 2},
    {"rsync://u@h/", NULL, false, 0},
    {"rsync://u@h", NULL, false, 0},
    {"rsync://u:secret@h/m", NULL, false, 0},
    {"rsync://-u@h/m", NULL, false, 0},
    {"rsync://u@-h/m", NULL, false, 0},
    {"rsync://u@h/.m", NULL, false, 0},
    {"rsync://u@h/m/./d", NULL, false, 0},
    {"rsync://u@h/m/../d", NULL, false, 0},
    {"rsync://u@h/m/-d", NULL, false, 0},
    {"rsync://u@h/m/*", NULL, false, 0},
    {"rsync://u@h/m/a b", NULL, false, 0},
    {"rsync://u@h:0/m", NULL, false, 0},
    {"rsync+ssh://h/d", NULL, false, 0},
    {"rsync+ssh://u@h/~x", NULL, false, 0},
    {"rsync+ssh://u@h/$(x)", NULL, false, 0},
    {"rsync+ssh://u@h;x/d", NULL, false, 0},
    {"rsync+ssh://u@h/a'b", NULL, false, 0},
};

START_TEST(a_url_is_taken_apart_or_refused)
{
	struct rsync_url u;
	struct err e = {0};
	char text[200];
	int done = rsync_url_parse(urls[_i].text, &u, &e);

	if (urls[_i].there == NULL) {
		ck_assert_int_eq(done, -1);
		ck_assert_int_eq(e.kind, ERR_REFUSED);
		return;
	}
	ck_assert_msg(done == 0, "%s", e.text);
	ck_assert(u.ssh == urls[_i].ssh);
	ck_assert_uint_eq(u.port, urls[_i].port);
	ck_assert(rsync_url_text(&u, "/f/.", text, sizeof(text)));
	ck_assert_str_eq(text, urls[_i].there);
	ck_assert(!rsync_url_text(&u, "/f/.", text, 8));
}
END_TEST

/* ---- words ---- */

static const struct {
	int status;
	const char *words;
	enum err_kind kind;
	const char *says;
	bool absence;
} all_words[] = {
    {5, "@ERROR: auth failed on module aim\n", ERR_REFUSED, "secrets file",
	false},
    {5, "@ERROR: Unknown module 'aim'\n", ERR_REFUSED, "Unknown module", false},
    {5, "@ERROR: access denied to aim from h (1.2.3.4)\n", ERR_REFUSED,
	"does not allow", false},
    {10, "rsync: The server is configured to refuse --fsync\n", ERR_REFUSED,
	"does not allow", false},
    {11, "rsync: write failed on \"x\": No space left on device (28)\n",
	ERR_FULL, "full", false},
    {11, "", ERR_RETRY, "full disk", false},
    {23, "rsync: mkstemp \"/S/.x\" (in aim) failed: Permission denied (13)\n",
	ERR_REFUSED, "may not write", false},
    {3, "rsync: change_dir \"/S\" failed: No such file or directory (2)\n",
	ERR_RETRY, "mirror add", true},
    {12, "rrsync error: open failed: /S No such file or directory\n", ERR_RETRY,
	"mirror add", true},
    {30, "[sender] io timeout after 20 seconds -- exiting\n", ERR_RETRY,
	"nothing moved", false},
    {10, "failed to connect to h (1.2.3.4): Connection refused (111)\n",
	ERR_RETRY, "Connection refused", false},
    {1, "rsync: --odd: unknown option\n", ERR_REFUSED, "understand", false},
    {127, "cannot run rsync: No such file or directory\n", ERR_REFUSED,
	"must be installed", false},
    {-1, "", ERR_RETRY, "status -1", false},
    {12, "bad \x1b[31m words \xff\n", ERR_RETRY, "bad ?[31m words ? (12)",
	false},
};

START_TEST(what_it_says_is_understood)
{
	static struct rsync_transport t;
	static struct tool p;
	struct err e = {0};

	(void)strcpy(t.url_text, "rsync://u@h/m");
	tool_init(&p);
	p.status = all_words[_i].status;
	(void)strcpy(p.err_text, all_words[_i].words);
	p.err_len = strlen(p.err_text);
	ck_assert_int_eq(rsync_explain(&t, &p, RSYNC_WRITE, &e), -1);
	ck_assert_int_eq(e.kind, all_words[_i].kind);
	ck_assert_msg(strstr(e.text, all_words[_i].says) != NULL, "%s", e.text);
	ck_assert(rsync_is_absence(&p) == all_words[_i].absence);
}
END_TEST

START_TEST(a_wrong_host_key_is_said_aloud)
{
	static struct rsync_transport t = {.url = {.ssh = true}};
	static struct tool p;
	struct err e = {0};

	tool_init(&p);
	p.status = 255;
	(void)strcpy(p.err_text, "Host key verification failed.\r\n");
	ck_assert_int_eq(rsync_explain(&t, &p, RSYNC_WRITE, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "Nothing was sent"));
}
END_TEST

START_TEST(only_whole_lines_say_that_a_file_was_sent)
{
	static struct tool p;

	tool_init(&p);
	(void)strcpy(p.out_text, "<f+++++++++|a.aim\n.f...|b.aim\n"
				 "<fc........|c.aim.old\n<f+++|d.aim");
	ck_assert(rsync_says(&p, "<f", "a.aim"));
	ck_assert(!rsync_says(&p, "<fc", "a.aim"));
	ck_assert(!rsync_says(&p, "<f", "b.aim"));
	ck_assert(!rsync_says(&p, "<f", "c.aim"));
	ck_assert(!rsync_says(&p, "<f", ".aim"));
	ck_assert(rsync_says(&p, "<f", "d.aim"));
}
END_TEST

/* ---- programs ---- */

static struct unit_dir dir;
static struct tool program;

static void
setup(void)
{
	unit_dir_make(&dir);
	tool_init(&program);
}

static void
teardown(void)
{
	tool_stop(&program);
	unit_dir_drop(&dir);
}

/* Runs a script, and waits until it has ended. */
static void
run(const char *script, const struct tool_setup *how)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct tool_setup s = *how;
	struct tool *p = &program;
	struct err e = {0};

	s.argv = argv;
	s.cwd = dir.fd;
	OK(tool_start(p, &s, &e));
	ck_assert(tool_wait(&p, 1, 20000) == p);
	ck_assert(!tool_is_running(p));
}

START_TEST(it_says_how_it_ended_and_what_it_said)
{
	const struct tool_setup s = {.limit_ms = 20000};

	run("echo out; echo err >&2; exit 7", &s);
	ck_assert_int_eq(program.status, 7);
	ck_assert_str_eq(program.out_text, "out\n");
	ck_assert_str_eq(program.err_text, "err\n");
	run("pwd; kill -9 $$", &s);
	ck_assert_int_eq(program.status, -1);
	ck_assert_ptr_nonnull(strstr(program.out_text, dir.path));
	ck_assert(!program.expired);
}
END_TEST

START_TEST(it_gets_nothing_that_it_need_not_have)
{
	const struct tool_setup s = {.limit_ms = 20000};
	AUTO_CLOSE int fd = open("/dev/null", O_RDONLY); /* no O_CLOEXEC */

	ck_assert_int_ge(fd, 3);
	ck_assert_int_eq(setenv("RSYNC_PASSWORD", "secret", 1), 0);
	run("env; ls /proc/$$/fd | wc -l; read -r x || echo nothing", &s);
	ck_assert_ptr_null(strstr(program.out_text, "secret"));
	ck_assert_ptr_nonnull(strstr(program.out_text, "LC_ALL=C\n"));
	ck_assert_ptr_nonnull(strstr(program.out_text, "\nnothing\n"));
	/* 0, 1, 2, and at most one that the shell has for itself */
	ck_assert(strstr(program.out_text, "\n3\n") != NULL ||
		  strstr(program.out_text, "\n4\n") != NULL);
}
END_TEST

START_TEST(what_it_is_given_it_has_under_the_same_number)
{
	AUTO_CLOSE int fd =
	    openat(dir.fd, "given", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int keep = fcntl(fd, F_DUPFD_CLOEXEC, 40);
	const struct tool_setup s = {
	    .limit_ms = 20000, .keep = &keep, .keep_count = 1};
	char script[64];

	ck_assert_int_eq(write(fd, "words", 5), 5);
	(void)snprintf(script, sizeof(script), "cat /proc/self/fd/%d", keep);
	run(script, &s);
	(void)close(keep);
	ck_assert_str_eq(program.out_text, "words");
}
END_TEST

START_TEST(it_writes_no_file_that_is_too_large)
{
	const struct tool_setup s = {.limit_ms = 20000, .file_limit = 1000};
	struct stat st;

	run("head -c 5000 /dev/zero >large; true", &s);
	ck_assert_int_eq(fstatat(dir.fd, "large", &st, 0), 0);
	ck_assert_int_le(st.st_size, 1000);
}
END_TEST

START_TEST(it_is_stopped_with_all_that_it_started)
{
	const struct tool_setup s = {.limit_ms = 300};
	char path[200];
	int pid = 0, i;

	run("sleep 1000 & echo $!; wait", &s);
	ck_assert(program.expired);
	ck_assert(!program.still);
	ck_assert_int_eq(sscanf(program.out_text, "%d", &pid), 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	/* Whoever adopts it collects it; it has no descriptors any more. */
	for (i = 0; i < 500; i++) {
		AUTO_CLOSEDIR DIR *d = opendir(path);

		if (d == NULL || (readdir(d), readdir(d), readdir(d)) == NULL)
			return;
		(void)usleep(10000);
	}
	ck_abort_msg("process %d is left", pid);
}
END_TEST

START_TEST(one_that_stands_still_is_stopped)
{
	const struct tool_setup s = {.limit_ms = 60000, .still_ms = 1000};

	run("exec sleep 1000", &s);
	ck_assert(program.expired);
	ck_assert(program.still);
}
END_TEST

START_TEST(one_that_talks_for_ever_is_cut_short)
{
	const struct tool_setup s = {.limit_ms = 500};

	run("while :; do echo words; echo words >&2; done", &s);
	ck_assert(program.expired);
	ck_assert_uint_eq(program.out_len, TOOL_OUT - 1);
	ck_assert_uint_eq(strlen(program.err_text), TOOL_ERR - 1);
}
END_TEST

START_TEST(a_program_that_is_not_there_says_so)
{
	const char *const argv[] = {"no-such-program", NULL};
	const struct tool_setup s = {
	    .argv = argv, .cwd = dir.fd, .limit_ms = 20000};
	struct tool *p = &program;
	struct err e = {0};

	OK(tool_start(p, &s, &e));
	ck_assert(tool_wait(&p, 1, 20000) == p);
	ck_assert_int_eq(p->status, 127);
	ck_assert_ptr_nonnull(strstr(p->err_text, "cannot run"));
}
END_TEST

/* ---- private folders ---- */

static int
count_folders(void)
{
	AUTO_CLOSEDIR DIR *d = opendir(dir.path);
	struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		n += strncmp(entry->d_name, ".aim-scratch.", 13) == 0;
	return n;
}

START_TEST(a_private_folder_goes_away_with_its_owner)
{
	struct scratch a = SCRATCH_NONE, b = SCRATCH_NONE;
	struct err e = {0};
	AUTO_CLOSE int sub = -1, again = -1;

	OK(scratch_open(dir.path, &a, &e));
	OK(scratch_folder(&a, "x", &sub, &e));
	OK(io_write_file(sub, "file", "1", 1, 0600, &e));
	OK(io_make_dir(sub, "deep", 0700, &e));
	ck_assert_int_eq(symlinkat("/", sub, "link"), 0);
	/* One that is in use is left alone. */
	OK(scratch_open(dir.path, &b, &e));
	ck_assert_int_eq(count_folders(), 2);
	scratch_close(&b);
	ck_assert_int_eq(faccessat(sub, "file", F_OK, 0), 0);
	/* A second one of that name is empty. */
	OK(scratch_folder(&a, "x", &again, &e));
	ck_assert_int_eq(faccessat(again, "file", F_OK, 0), -1);
	OK(io_write_file(again, "file", "1", 1, 0600, &e));
	/* As if it had been killed. */
	(void)close(a.dir);
	OK(scratch_open(dir.path, &b, &e));
	ck_assert_int_eq(count_folders(), 1);
	scratch_close(&b);
	ck_assert_int_eq(count_folders(), 0);
	ck_assert_int_eq(scratch_open("/nowhere", &b, &e), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rsync");
	TCase *t = tcase_create("words");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, a_url_is_taken_apart_or_refused, 0,
	    sizeof(urls) / sizeof(urls[0]));
	tcase_add_loop_test(t, what_it_says_is_understood, 0,
	    sizeof(all_words) / sizeof(all_words[0]));
	tcase_add_test(t, a_wrong_host_key_is_said_aloud);
	tcase_add_test(t, only_whole_lines_say_that_a_file_was_sent);
	suite_add_tcase(s, t);
	t = tcase_create("programs");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, it_says_how_it_ended_and_what_it_said);
	tcase_add_test(t, it_gets_nothing_that_it_need_not_have);
	tcase_add_test(t, what_it_is_given_it_has_under_the_same_number);
	tcase_add_test(t, it_writes_no_file_that_is_too_large);
	tcase_add_test(t, it_is_stopped_with_all_that_it_started);
	tcase_add_test(t, one_that_stands_still_is_stopped);
	tcase_add_test(t, one_that_talks_for_ever_is_cut_short);
	tcase_add_test(t, a_program_that_is_not_there_says_so);
	tcase_add_test(t, a_private_folder_goes_away_with_its_owner);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
