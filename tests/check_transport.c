/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance of the folder transport, and what SFTP refuses unconnected. */
#include "coordinator/sftp_url.h"
#include "coordinator/ssh_key.h"
#include "coordinator/transport.h"
#include "common/io.h"
#include "tests/unit.h"

#include <dirent.h>
#include <stdio.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)
#define STREAM "3f0b0e5a-0000-4000-8000-000000000001"
#define NAME STREAM "/00000001-0000000000000001.aim"
#define LEN 100000u

static struct unit_dir dir;
static struct destination_config d;
static struct transport *t;
static int file, far;
static uint8_t data[LEN];

static void
setup(void)
{
	struct err e = {0};
	size_t i;

	unit_dir_make(&dir);
	memset(&d, 0, sizeof(d));
	(void)snprintf(d.url, sizeof(d.url), "file://%s/in", dir.path);
	OK(io_make_dir(dir.fd, "in", 0700, &e));
	OK(io_make_dir(dir.fd, "in/" STREAM, 0700, &e));
	OK(io_make_dir(dir.fd, "in/" STREAM "/ack", 0700, &e));
	OK(io_open_dir(dir.fd, "in/" STREAM, &far, &e));
	for (i = 0; i < LEN; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	file = openat(dir.fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(pwrite(file, data, LEN, 0), LEN);
	OK(transport_open(&d, false, &t, &e));
}

static void
teardown(void)
{
	ladder_unset();
	transport_close(t);
	close(file);
	close(far);
	unit_dir_drop(&dir);
}

/* Nothing is seen under a name that is not hidden but whole files. */
static int
count_visible(void)
{
	int fd = openat(far, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *list = fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	ck_assert_ptr_nonnull(list);
	while ((entry = readdir(list)) != NULL) {
		if (entry->d_name[0] == '.' ||
		    strcmp(entry->d_name, "ack") == 0)
			continue;
		ck_assert_int_eq(fstatat(far, entry->d_name, &st, 0), 0);
		ck_assert_int_eq(st.st_size, LEN);
		n++;
	}
	closedir(list);
	return n;
}

START_TEST(a_file_arrives_as_it_was_sent)
{
	struct err e = {0};
	struct buf b = {0};

	ck_assert_int_eq(transport_put(t, file, LEN, NAME, &e), 1);
	OK(transport_drain(t, &e));
	ck_assert_int_eq(count_visible(), 1);
	OK(io_read_file(far, "00000001-0000000000000001.aim", LEN, &b, &e));
	ck_assert_uint_eq(b.len, LEN);
	ck_assert_mem_eq(b.data, data, LEN);
	buf_release(&b);
}
END_TEST

START_TEST(a_name_that_is_taken_is_left_alone)
{
	struct err e = {0};
	struct buf b = {0};

	OK(io_write_file(
	    far, "00000001-0000000000000001.aim", "other", 5, 0600, &e));
	ck_assert_int_eq(transport_put(t, file, LEN, NAME, &e), 0);
	OK(io_read_file(far, "00000001-0000000000000001.aim", LEN, &b, &e));
	ck_assert_mem_eq(b.data, "other", 5);
	buf_release(&b);
}
END_TEST

START_TEST(a_missing_folder_is_waited_for)
{
	struct err e = {0};

	ck_assert_int_eq(transport_put(t, file, LEN,
			     "aaaaaaaa/00000001-0000000000000001.aim", &e),
	    -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_ptr_nonnull(strstr(e.text, "mirror add"));
}
END_TEST

START_TEST(a_folder_that_is_a_link_is_not_followed)
{
	struct err e = {0};

	ck_assert_int_eq(symlinkat(STREAM, dir.fd, "in/link"), 0);
	ck_assert_int_eq(transport_put(t, file, LEN, "link/x.aim", &e), -1);
	ck_assert_int_eq(symlinkat("/etc/hostname", far, "x.aim"), 0);
	ck_assert_int_eq(transport_put(t, file, LEN, STREAM "/x.aim", &e), 0);
	ck_assert_int_eq(unlinkat(far, "x.aim", 0), 0);
	ck_assert_int_eq(count_visible(), 0);
}
END_TEST

START_TEST(a_failing_call_shows_a_whole_file_or_none)
{
	static const int troubles[] = {ENOSPC, EIO, SYS_SHORT};
	struct ladder l = {
	    .op = -1, .trouble = troubles[_i % 3], .stays = _i >= 3};
	struct err e = {0};
	int done, seen;

	do {
		ladder_set(&l);
		done = transport_put(t, file, LEN, NAME, &e);
		ladder_unset();
		seen = count_visible();
		if (done == 1)
			ck_assert_int_eq(seen, 1);
		else
			ck_assert_int_eq(done, -1);
		if (done == -1 && l.trouble == ENOSPC && seen == 0)
			ck_assert(e.kind == ERR_FULL || e.kind == ERR_RETRY);
		(void)unlinkat(far, "00000001-0000000000000001.aim", 0);
		l.rung++;
	} while (l.struck && l.rung < 100);
	ck_assert_int_gt(l.rung, 5);
	ck_assert_int_lt(l.rung, 100);
}
END_TEST

static const char *const hostile[] = {"", "/etc/passwd", "../x", "a/../b",
    "a//b", "a/.hidden", ".x", "a b", "a\nb", "a;b", "a/", "-x", "a/-x", "a\"b",
    "a%2e", "a\\b", "\xc3\xa4"};

START_TEST(a_hostile_name_is_refused)
{
	struct err e = {0};
	struct buf b = {0};

	ck_assert_int_eq(transport_put(t, file, LEN, hostile[_i], &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_int_eq(transport_get(t, hostile[_i], 100, &b, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(getting_is_bounded_and_absence_is_no_failure)
{
	struct err e = {0};
	struct buf b = {0};
	int ack = -1;

	ck_assert_int_eq(transport_get(t, STREAM "/ack/x.ack", 100, &b, &e), 0);
	ck_assert_int_eq(transport_get(t, "none/ack/x.ack", 100, &b, &e), 0);
	OK(io_open_dir(far, "ack", &ack, &e));
	OK(io_write_file(ack, "x.ack", data, 100, 0600, &e));
	close(ack);
	ck_assert_int_eq(transport_get(t, STREAM "/ack/x.ack", 100, &b, &e), 1);
	ck_assert_uint_eq(b.len, 100);
	ck_assert_int_eq(transport_get(t, STREAM "/ack/x.ack", 99, &b, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_int_eq(mkfifoat(far, "ack/fifo", 0600), 0);
	ck_assert_int_eq(transport_get(t, STREAM "/ack/fifo", 100, &b, &e), -1);
	ck_assert_int_eq(symlinkat("x.ack", far, "ack/link"), 0);
	ck_assert_int_eq(transport_get(t, STREAM "/ack/link", 100, &b, &e), -1);
	buf_release(&b);
}
END_TEST

static int
empty_file(const char *name)
{
	int fd =
	    openat(dir.fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void
grow_by_one(const char *name)
{
	int fd = openat(far, name, O_WRONLY | O_APPEND | O_CLOEXEC);

	ck_assert_int_eq(write(fd, "x", 1), 1);
	close(fd);
}

static uint32_t results;

static void
count_result(struct transport_file *f)
{
	ck_assert_int_le(f->result, 1);
	results++;
}

START_TEST(several_files_are_fetched_whole_each_with_its_result)
{
	struct transport_file files[] = {
	    {.name = NAME, .max = LEN},
	    {.name = STREAM "/none.aim", .max = LEN},
	    {.name = STREAM "/large.aim", .max = LEN},
	    {.name = STREAM "/empty.aim", .max = LEN},
	    {.name = STREAM "/fifo.aim", .max = LEN},
	};
	const size_t n = sizeof(files) / sizeof(files[0]);
	struct err e = {0};
	static uint8_t got[LEN + 1];
	size_t i;

	ck_assert_int_eq(transport_put(t, file, LEN, NAME, &e), 1);
	OK(io_write_file(far, "large.aim", data, LEN, 0600, &e));
	grow_by_one("large.aim");
	OK(io_write_file(far, "empty.aim", "", 0, 0600, &e));
	ck_assert_int_eq(mkfifoat(far, "fifo.aim", 0600), 0);
	results = 0;
	for (i = 0; i < n; i++) {
		files[i].fd = empty_file(files[i].name + sizeof(STREAM));
		files[i].done = count_result;
	}
	transport_fetch(t, files, n);
	ck_assert_uint_eq(results, n);
	ck_assert_int_eq(files[0].result, 1);
	ck_assert_uint_eq(files[0].len, LEN);
	ck_assert_int_eq(pread(files[0].fd, got, LEN + 1, 0), LEN);
	ck_assert_mem_eq(got, data, LEN);
	ck_assert_int_eq(files[1].result, 0);
	ck_assert_int_eq(files[2].result, -1);
	ck_assert_int_eq(files[2].why.kind, ERR_CORRUPT);
	ck_assert_int_eq(files[3].result, 1);
	ck_assert_uint_eq(files[3].len, 0);
	ck_assert_int_eq(files[4].result, -1);
	for (i = 0; i < n; i++)
		close(files[i].fd);
}
END_TEST

START_TEST(a_failing_call_never_makes_a_part_a_whole_file)
{
	static const int troubles[] = {EIO, SYS_SHORT};
	struct ladder l = {
	    .op = -1, .trouble = troubles[_i % 2], .stays = _i >= 2};
	static uint8_t got[LEN];
	struct err e = {0};

	ck_assert_int_eq(transport_put(t, file, LEN, NAME, &e), 1);
	do {
		struct transport_file f = {
		    .name = NAME, .max = LEN, .fd = empty_file("into")};

		ladder_set(&l);
		transport_fetch(t, &f, 1);
		ladder_unset();
		if (f.result == 1) {
			ck_assert_uint_eq(f.len, LEN);
			ck_assert_int_eq(pread(f.fd, got, LEN, 0), LEN);
			ck_assert_mem_eq(got, data, LEN);
		} else {
			ck_assert_int_eq(f.result, -1);
			ck_assert_int_ne(f.why.kind, ERR_NONE);
		}
		close(f.fd);
		l.rung++;
	} while (l.struck && l.rung < 50);
	ck_assert_int_gt(l.rung, 3);
	ck_assert_int_lt(l.rung, 50);
}
END_TEST

static void
is_small_file(const char *name, const char *text)
{
	struct err e = {0};
	struct buf b = {0};

	ck_assert_int_eq(transport_get(t, name, 100, &b, &e), 1);
	ck_assert_uint_eq(b.len, strlen(text));
	ck_assert_mem_eq(b.data, text, b.len);
	buf_release(&b);
}

START_TEST(a_small_file_is_replaced_whole_or_not)
{
	struct ladder l = {.op = -1, .trouble = EIO, .stays = _i != 0};
	struct err e = {0};
	struct buf b = {0};
	int done, got;

	ck_assert_int_eq(
	    transport_replace(t, "old", 3, "none/ack/x.ack", &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	do {
		OK(transport_replace(t, "old", 3, STREAM "/ack/x.ack", &e));
		is_small_file(STREAM "/ack/x.ack", "old");
		ladder_set(&l);
		done =
		    transport_replace(t, "newer", 5, STREAM "/ack/x.ack", &e);
		ladder_unset();
		got = transport_get(t, STREAM "/ack/x.ack", 100, &b, &e);
		ck_assert_int_eq(got, 1);
		ck_assert(b.len == 5 || (done < 0 && b.len == 3));
		l.rung++;
	} while (l.struck && l.rung < 50);
	ck_assert_int_gt(l.rung, 3);
	buf_release(&b);
}
END_TEST

START_TEST(files_are_looked_for_and_removed)
{
	struct err e = {0};

	ck_assert_int_eq(transport_has(t, NAME, &e), 0);
	ck_assert_int_eq(transport_has(t, "none/x.aim", &e), 0);
	ck_assert_int_eq(transport_remove(t, "none/x.aim", &e), 0);
	ck_assert_int_eq(transport_put(t, file, LEN, NAME, &e), 1);
	ck_assert_int_eq(transport_has(t, NAME, &e), 1);
	ck_assert_int_eq(transport_remove(t, NAME, &e), 1);
	ck_assert_int_eq(transport_remove(t, NAME, &e), 0);
	ck_assert_int_eq(count_visible(), 0);
	ck_assert_int_eq(transport_remove(t, "../x", &e), -1);
	ck_assert_int_eq(transport_has(t, "../x", &e), -1);
}
END_TEST

START_TEST(folders_are_made_within_the_place_only)
{
	struct err e = {0};
	struct stat st;

	OK(transport_make_folder(t, "new/ack", &e));
	OK(transport_make_folder(t, "new/ack", &e));
	ck_assert_int_eq(fstatat(dir.fd, "in/new/ack", &st, 0), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(transport_make_folder(t, "../out", &e), -1);
	ck_assert_int_eq(symlinkat("..", dir.fd, "in/link"), 0);
	ck_assert_int_eq(transport_make_folder(t, "link", &e), -1);
	ck_assert_int_eq(renameat(dir.fd, "in", dir.fd, "gone"), 0);
	ck_assert_int_eq(transport_make_folder(t, "new/ack", &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_int_eq(fstatat(dir.fd, "in", &st, 0), -1);
}
END_TEST

static const struct {
	const char *url;
	bool good;
} urls[] = {{"file:///srv/in", true}, {"file://srv/in", false},
    {"ftp://x/y", false}, {"", false}, {"sftp://", false}, {"/srv", false},
    {"file:///srv/my%20disk", true}, {"file:///srv/my disk", true},
    {"file:///100%", false}, {"file:///100%2", false},
    {"file:///100%zz", false}, {"file:///a%00b", false},
    {"file:///a%0ab", false}, {"file://%2fsrv", false}};

START_TEST(a_url_is_checked_before_anything_connects)
{
	struct err e = {0};

	(void)snprintf(d.url, sizeof(d.url), "%s", urls[_i].url);
	ck_assert_int_eq(transport_check(&d, &e), urls[_i].good ? 0 : -1);
	if (!urls[_i].good)
		ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(percent_signs_in_a_folder_are_decoded)
{
	struct transport *odd = NULL;
	struct err e = {0};
	struct stat st;

	OK(io_make_dir(dir.fd, "a 50% b", 0700, &e));
	OK(io_make_dir(dir.fd, "a 50% b/" STREAM, 0700, &e));
	(void)snprintf(
	    d.url, sizeof(d.url), "file://%s/a%%2050%%25 b", dir.path);
	OK(transport_open(&d, false, &odd, &e));
	ck_assert_int_eq(transport_put(odd, file, LEN, NAME, &e), 1);
	ck_assert_int_eq(fstatat(dir.fd, "a 50% b/" NAME, &st, 0), 0);
	transport_close(odd);
}
END_TEST

static const struct {
	const char *text, *host, *dir;
	uint16_t port;
} sftp[] = {
    {"sftp://u@h/d", "h", "/d", 22},
    {"sftp://u@h.example:2222/a/b/", "h.example", "/a/b", 2222},
    {"sftp://u@[::1]:22022/in", "::1", "/in", 22022},
    {"sftp://u@h/", "h", "", 22},
    {"sftp://u@h/~/in", "h", "/~/in", 22},
    {"sftp://u:secret@h/d", NULL, NULL, 0},
    {"sftp://h/d", NULL, NULL, 0},
    {"sftp://u@h", NULL, NULL, 0},
    {"sftp://u@h:0/d", NULL, NULL, 0},
    {"sftp://u@h:65536/d", NULL, NULL, 0},
    {"sftp://u@h:22x/d", NULL, NULL, 0},
    {"sftp://u@h/a b", NULL, NULL, 0},
    {"sftp://u@h/a/../b", NULL, NULL, 0},
    {"sftp://u@h/a/..", NULL, NULL, 0},
    {"sftp://u@h/a\"b", NULL, NULL, 0},
    {"sftp://u@h/%2e%2e", NULL, NULL, 0},
    {"sftp://-oProxy@h/d", NULL, NULL, 0},
    {"sftp://u@-h/d", NULL, NULL, 0},
    {"sftp://u@[::1/d", NULL, NULL, 0},
    {"sftp://@h/d", NULL, NULL, 0},
    {"sftp://u@/d", NULL, NULL, 0},
};
#define SFTP_URLS (sizeof(sftp) / sizeof(sftp[0]))

START_TEST(an_sftp_url_is_taken_apart_or_refused)
{
	struct sftp_url u;
	struct err e = {0};
	int done = sftp_url_parse(sftp[_i].text, &u, &e);

	if (sftp[_i].host == NULL) {
		ck_assert_int_eq(done, -1);
		ck_assert_int_eq(e.kind, ERR_REFUSED);
		return;
	}
	ck_assert_msg(done == 0, "%s", e.text);
	ck_assert_str_eq(u.host, sftp[_i].host);
	ck_assert_str_eq(u.dir, sftp[_i].dir);
	ck_assert_str_eq(u.user, "u");
	ck_assert_uint_eq(u.port, sftp[_i].port);
}
END_TEST

static const char *
path_of(const char *name, char out[200])
{
	(void)snprintf(out, 200, "%s/%s", dir.path, name);
	return out;
}

static void
make_key(const char *options, const char *name)
{
	char command[300], path[200];

	(void)snprintf(command, sizeof(command), "ssh-keygen -q %s -f %s",
	    options, path_of(name, path));
	ck_assert_int_eq(system(command), 0);
}

START_TEST(only_keys_that_work_are_accepted)
{
	struct err e = {0};
	char path[200];

	if (access("/usr/bin/ssh-keygen", X_OK) != 0)
		return;
	make_key("-t ed25519 -N ''", "good");
	OK(ssh_key_check(path_of("good", path), &e));
	make_key("-t ecdsa -N ''", "ecdsa");
	OK(ssh_key_check(path_of("ecdsa", path), &e));
	make_key("-t rsa -b 2048 -N ''", "rsa");
	ck_assert_int_eq(ssh_key_check(path_of("rsa", path), &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "Ed25519"));
	make_key("-t rsa -b 2048 -m PEM -N ''", "pem");
	ck_assert_int_eq(ssh_key_check(path_of("pem", path), &e), -1);
	make_key("-t ed25519 -N secret", "locked");
	ck_assert_int_eq(ssh_key_check(path_of("locked", path), &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "passphrase"));
	ck_assert_int_eq(ssh_key_check(path_of("good.pub", path), &e), -1);
	ck_assert_int_eq(ssh_key_check(path_of("none", path), &e), -1);
	ck_assert_int_eq(chmod(path_of("good", path), 0640), 0);
	ck_assert_int_eq(ssh_key_check(path, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "0600"));
}
END_TEST

#define ED "AAAAC3NzaC1lZDI1NTE5AAAAIHxYqk1P1yGk3kPZ"

START_TEST(the_best_known_host_key_is_taken)
{
	static const char lines[] =
	    "# comment\n\n"
	    "[h]:2222 ssh-rsa AAAARSA\n"
	    "[h]:2222,[i]:2222 ecdsa-sha2-nistp256 AAAAECDSA\n"
	    "@revoked [h]:2222 ssh-ed25519 AAAAREVOKED\n"
	    "other ssh-ed25519 AAAAOTHER\n"
	    "[h]:2222 ssh-ed25519 " ED " me@here\r\n"
	    "r ssh-rsa AAAARSA\n"
	    /* hashed: ssh-keygen -H of "hashed ssh-ed25519 ..." */
	    "broken";
	struct err e = {0};
	struct buf b = {0};
	char path[200];

	OK(io_write_file(dir.fd, "kh", lines, sizeof(lines) - 1, 0600, &e));
	OK(ssh_known_host(path_of("kh", path), "h", 2222, &b, &e));
	ck_assert_str_eq((char *)b.data, "[h]:2222 ssh-ed25519 " ED "\n");
	OK(ssh_known_host(path, "i", 2222, &b, &e));
	ck_assert_str_eq(
	    (char *)b.data, "[i]:2222 ecdsa-sha2-nistp256 AAAAECDSA\n");
	ck_assert_int_eq(ssh_known_host(path, "h", 22, &b, &e), -1);
	ck_assert_int_eq(ssh_known_host(path, "r", 22, &b, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "Ed25519"));
	ck_assert_int_eq(ssh_known_host(path, "none", 22, &b, &e), -1);
	ck_assert_int_eq(
	    ssh_known_host(path_of("nofile", path), "h", 22, &b, &e), -1);
	buf_release(&b);
}
END_TEST

START_TEST(hashed_host_names_are_found)
{
	static const char line[] = "[h]:2222 ssh-ed25519 " ED "\n";
	struct err e = {0};
	struct buf b = {0};
	char path[200], command[300];

	if (access("/usr/bin/ssh-keygen", X_OK) != 0)
		return;
	make_key("-t ed25519 -N ''", "key");
	(void)snprintf(command, sizeof(command),
	    "(printf '[h]:2222 '; cat %s/key.pub) > %s/kh && "
	    "ssh-keygen -q -H -f %s/kh >/dev/null 2>&1",
	    dir.path, dir.path, dir.path);
	ck_assert_int_eq(system(command), 0);
	OK(ssh_known_host(path_of("kh", path), "h", 2222, &b, &e));
	ck_assert_int_eq(strncmp((char *)b.data, line, 21), 0);
	ck_assert_int_eq(ssh_known_host(path, "g", 2222, &b, &e), -1);
	buf_release(&b);
}
END_TEST

START_TEST(sftp_without_a_known_host_is_refused)
{
	struct err e = {0};

	(void)snprintf(d.url, sizeof(d.url), "sftp://u@h/d");
	ck_assert_int_eq(transport_check(&d, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "--known-hosts"));
	(void)snprintf(d.known_hosts, sizeof(d.known_hosts), "/none");
	ck_assert_int_eq(transport_check(&d, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "--key"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("transport");
	TCase *c = tcase_create("conformance");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, a_file_arrives_as_it_was_sent);
	tcase_add_test(c, a_name_that_is_taken_is_left_alone);
	tcase_add_test(c, a_missing_folder_is_waited_for);
	tcase_add_test(c, a_folder_that_is_a_link_is_not_followed);
	tcase_add_loop_test(c, a_failing_call_shows_a_whole_file_or_none, 0, 6);
	tcase_add_loop_test(c, a_hostile_name_is_refused, 0,
	    sizeof(hostile) / sizeof(hostile[0]));
	tcase_add_test(c, getting_is_bounded_and_absence_is_no_failure);
	tcase_add_test(c, several_files_are_fetched_whole_each_with_its_result);
	tcase_add_loop_test(
	    c, a_failing_call_never_makes_a_part_a_whole_file, 0, 4);
	tcase_add_loop_test(c, a_small_file_is_replaced_whole_or_not, 0, 2);
	tcase_add_test(c, files_are_looked_for_and_removed);
	tcase_add_test(c, folders_are_made_within_the_place_only);
	tcase_add_loop_test(c, a_url_is_checked_before_anything_connects, 0,
	    sizeof(urls) / sizeof(urls[0]));
	tcase_add_test(c, percent_signs_in_a_folder_are_decoded);
	tcase_add_loop_test(
	    c, an_sftp_url_is_taken_apart_or_refused, 0, SFTP_URLS);
	tcase_add_test(c, only_keys_that_work_are_accepted);
	tcase_add_test(c, the_best_known_host_key_is_taken);
	tcase_add_test(c, hashed_host_names_are_found);
	tcase_add_test(c, sftp_without_a_known_host_is_refused);
	suite_add_tcase(s, c);
	return unit_run(s);
}
