/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/request.h"

#include "aimdriver/capture.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "coordinator/job.h"
#include "coordinator/server.h"
#include "tests/site_rig.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct site_rig rig, far;
static struct err e;
static char disk[128];

static void
setup(void)
{
	memset(&e, 0, sizeof(e));
	site_rig_make(&rig);
	site_rig_make(&far);
	(void)site_rig_file(&rig, "disk", 1 << 20, disk);
}

static void
teardown(void)
{
	ladder_unset();
	site_rig_drop(&rig);
	site_rig_drop(&far);
}

#define ASK(...) site_rig_ask(&rig, NULL, __VA_ARGS__, NULL)
#define ASK_FAR(...) site_rig_ask(&far, NULL, __VA_ARGS__, NULL)

static void
load(struct site_rig *r, struct snapshot *s)
{
	struct catalogue *c;

	ck_assert_int_eq(catalogue_open(&r->home, false, &c, &e), 0);
	ck_assert_int_eq(catalogue_load(c, s, &e), 0);
	catalogue_close(c);
}

static char *export(void)
{
	char *text;

	ck_assert_int_eq(
	    ASK("verb", "volume-add", "name", "disk", "path", disk), 0);
	ck_assert_int_eq(site_rig_ask(&rig, &text, "verb", "group-export",
			     "group", "disk", NULL),
	    0);
	return text;
}

/* ---- messages ---- */

START_TEST(a_message_arrives_as_sent)
{
	struct message m = {0}, got = {0};
	struct message_pair p = {0};
	char big[100000];
	int s[2], n = 0;
	size_t len;

	memset(big, 'x', sizeof(big));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ck_assert_int_eq(message_add_text(&m, "a", "1", &e), 0);
	ck_assert_int_eq(message_add(&m, "b", "x\0y", 3, &e), 0);
	ck_assert_int_eq(message_add_text(&m, "a", "2", &e), 0);
	ck_assert_int_eq(message_add_text(&m, "e", "", &e), 0);
	ck_assert_int_eq(message_add(&m, "big", big, sizeof(big), &e), 0);
	ck_assert_int_eq(message_send(s[0], &m, 1000, &e), 0);
	ck_assert_int_eq(message_receive(s[1], &got, 1000, &e), 0);
	ck_assert_str_eq(message_get(&got, "a", NULL), "1");
	ck_assert_mem_eq(message_get(&got, "b", &len), "x\0y", 3);
	ck_assert_uint_eq(len, 3);
	ck_assert_str_eq(message_get(&got, "e", NULL), "");
	ck_assert_mem_eq(message_get(&got, "big", &len), big, sizeof(big));
	ck_assert_ptr_null(message_get(&got, "c", NULL));
	while (message_next(&got, &p))
		n++;
	ck_assert_int_eq(n, 5);
	message_release(&m);
	message_release(&got);
	(void)close(s[0]);
	(void)close(s[1]);
}
END_TEST

START_TEST(a_damaged_message_is_refused)
{
	struct message m = {0}, got = {0};
	uint8_t raw[64];
	int s[2];
	ssize_t len;

	/* every byte of a message, changed in turn */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ck_assert_int_eq(message_add_text(&m, "key", "value", &e), 0);
	ck_assert_int_eq(message_send(s[0], &m, 1000, &e), 0);
	len = read(s[1], raw, sizeof(raw));
	ck_assert_int_eq(len, 8 + 8 + 4 + 6);
	for (ssize_t i = 0; i < len; i++) {
		uint8_t was = raw[i];

		(void)close(s[0]);
		(void)close(s[1]);
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
		raw[i] ^= 0x80;
		ck_assert_int_eq(write(s[0], raw, (size_t)len), len);
		ck_assert_int_eq(shutdown(s[0], SHUT_WR), 0);
		if (message_receive(s[1], &got, 1000, &e) == 0)
			ck_assert(i >= 16); /* only text can change unseen */
		raw[i] = was;
	}
	message_release(&m);
	message_release(&got);
	(void)close(s[0]);
	(void)close(s[1]);
}
END_TEST

START_TEST(a_silent_partner_is_left)
{
	struct message got = {0};
	int s[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ck_assert_int_eq(message_receive(s[1], &got, 20, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	(void)close(s[0]);
	(void)close(s[1]);
}
END_TEST

START_TEST(a_dead_socket_is_replaced)
{
	int first, second, caller, fd;

	ck_assert_int_eq(server_connect(&rig.home, &caller, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_int_eq(server_listen(&rig.home, &first, &e), 0);
	(void)close(first); /* died without removing the name */
	ck_assert_int_eq(server_connect(&rig.home, &caller, &e), -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_int_eq(server_listen(&rig.home, &second, &e), 0);
	ck_assert_int_eq(server_accept(second, &fd, &e), 0);
	ck_assert_int_eq(server_connect(&rig.home, &caller, &e), 0);
	ck_assert_int_eq(server_accept(second, &fd, &e), 1);
	(void)close(fd);
	(void)close(caller);
	(void)close(second);
}
END_TEST

/* ---- volumes and groups ---- */

START_TEST(a_volume_is_in_catalogue_and_folder)
{
	AUTO(snapshot_release) struct snapshot s = {0};
	struct capture_volume v;
	struct capture *c;

	ck_assert_int_eq(
	    ASK("verb", "volume-add", "name", "disk", "path", disk), 0);
	load(&rig, &s);
	ck_assert_uint_eq(s.group_count, 1);
	ck_assert_str_eq(s.groups[0].name, "disk");
	ck_assert_uint_gt(s.groups[0].spool_limit, 0);
	ck_assert_int_eq(capture_attach(rig.path, &s.groups[0].uuid,
			     CAPTURE_INSPECT, &c, &e),
	    0);
	ck_assert_uint_eq(capture_volume_count(c), 1);
	capture_volume_get(c, 0, &v);
	ck_assert_str_eq(v.path, disk);
	ck_assert(uuid_equal(&v.uuid, &s.groups[0].volumes[0].uuid));
	capture_detach(c);
	ck_assert_int_eq(faccessat(rig.home.state, "pending", F_OK, 0), -1);
}
END_TEST

START_TEST(what_must_not_be_protected_is_refused)
{
	char inside[160], link[160];

	(void)snprintf(inside, sizeof(inside), "%s/catalogue.db", rig.path);
	(void)snprintf(link, sizeof(link), "%s/link", rig.dir.path);
	ck_assert_int_eq(symlinkat(disk, rig.dir.fd, "link"), 0);
	ck_assert_int_eq(
	    ASK("verb", "volume-add", "name", "disk", "path", disk), 0);
#define REFUSED_(...) ck_assert_int_eq(ASK(__VA_ARGS__), EXIT_REFUSED)
	REFUSED_("verb", "volume-add", "name", "disk", "path", disk);
	REFUSED_("verb", "volume-add", "name", "b", "path", disk);
	REFUSED_("verb", "volume-add", "name", "b", "path", link);
	REFUSED_("verb", "volume-add", "name", "b", "path", inside);
	REFUSED_("verb", "volume-add", "name", "b", "path", rig.dir.path);
	REFUSED_("verb", "volume-add", "name", "b", "path", "/dev/null");
	REFUSED_("verb", "volume-add", "name", "b", "path", "disk");
	REFUSED_("verb", "volume-add", "name", "b", "path", "/none/such");
	REFUSED_("verb", "volume-add", "name", "b");
	REFUSED_("verb", "volume-add", "path", disk);
	REFUSED_("verb", "nonsense");
	REFUSED_("name", "x");
}
END_TEST

START_TEST(bad_options_leave_nothing)
{
	AUTO(snapshot_release) struct snapshot s = {0};
	static const char *const bad[][2] = {{"group", "../x"},
	    {"access", "no-such-group-here"}, {"spool-limit", "many"},
	    {"spool-policy", "sometimes"}, {"codec", "lzma"}};

	ck_assert_int_eq(ASK("verb", "volume-add", "name", "disk", "path", disk,
			     bad[_i][0], bad[_i][1]),
	    EXIT_REFUSED);
	load(&rig, &s);
	ck_assert_uint_eq(s.group_count, 0);
}
END_TEST

START_TEST(a_dry_run_changes_nothing)
{
	AUTO(snapshot_release) struct snapshot s = {0};

	ck_assert_int_eq(ASK("verb", "volume-add", "name", "disk", "path", disk,
			     "dry-run", ""),
	    0);
	load(&rig, &s);
	ck_assert_uint_eq(s.group_count, 0);
}
END_TEST

START_TEST(export_fixes_the_volumes)
{
	AUTO_FREE char *text = export(), *again = NULL;
	char other[128];
	struct pairing p;

	ck_assert_int_eq(pairing_decode(text, strlen(text), &p, &e), 0);
	ck_assert_int_eq(p.role, PAIRING_SOURCE);
	ck_assert_uint_eq(p.volume_count, 1);
	ck_assert_uint_eq(p.volumes[0].size, 1 << 20);
	pairing_release(&p);
	(void)site_rig_file(&rig, "other", 4096, other);
	ck_assert_int_eq(ASK("verb", "volume-add", "name", "late", "path",
			     other, "group", "disk"),
	    EXIT_REFUSED);
	ck_assert_int_eq(site_rig_ask(&rig, &again, "verb", "group-export",
			     "group", "disk", NULL),
	    0);
	ck_assert_str_eq(text, again);
	ck_assert_int_eq(
	    ASK("verb", "group-export", "group", "nobody"), EXIT_REFUSED);
}
END_TEST

/* ---- interrupted ---- */

static int
count_folders(void)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	char path[128];
	int n = 0;

	(void)snprintf(path, sizeof(path), "%s/active", rig.path);
	d = opendir(path);
	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	return n;
}

/* Dies at the N-th call of the seam. */
static int
killer(void *ctx, enum sys_op op, const char *name)
{
	int *left = ctx;

	(void)op;
	(void)name;
	if ((*left)-- == 0)
		_exit(99);
	return 0;
}

START_TEST(volume_add_is_whole_or_not_at_all)
{
	bool grown = _i != 0; /* into a group that is there already */
	char other[128];

	(void)site_rig_file(&rig, "other", 4096, other);
	for (int n = 0;; n++) {
		AUTO(snapshot_release) struct snapshot s = {0};
		struct catalogue *c;
		int status;
		pid_t pid;

		site_rig_drop(&rig);
		site_rig_make(&rig);
		(void)site_rig_file(&rig, "disk", 1 << 20, disk);
		(void)site_rig_file(&rig, "other", 4096, other);
		if (grown)
			ck_assert_int_eq(ASK("verb", "volume-add", "name",
					     "disk", "path", disk),
			    0);
		pid = fork();
		if (pid == 0) {
			int left = n;

			sys_set_judge(killer, &left);
			_exit(ASK("verb", "volume-add", "name", "other", "path",
			    other, "group", "disk"));
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFEXITED(status));
		if (WEXITSTATUS(status) == 0)
			break;
		ck_assert_int_eq(WEXITSTATUS(status), 99);
		ck_assert_int_eq(catalogue_open(&rig.home, true, &c, &e), 0);
		ck_assert_msg(request_recover(&rig.home, c, &e) == 0, "%d: %s",
		    n, e.text);
		ck_assert_int_eq(catalogue_load(c, &s, &e), 0);
		catalogue_close(c);
		ck_assert_int_eq(count_folders(), (int)s.group_count);
		if (s.group_count == 1) {
			struct capture *cap;

			ck_assert_msg(
			    capture_attach(rig.path, &s.groups[0].uuid,
				CAPTURE_INSPECT, &cap, &e) == 0,
			    "%d: %s", n, e.text);
			ck_assert_uint_eq(capture_volume_count(cap),
			    s.groups[0].volume_count);
			capture_detach(cap);
		}
		ck_assert_int_lt(n, 500);
	}
}
END_TEST

/* ---- mirrors and destinations ---- */

static char *
add_mirror(const char *pairing)
{
	char onto[160], *text;

	ck_assert_int_eq(mkdirat(far.dir.fd, "in", 0755), 0);
	(void)snprintf(onto, sizeof(onto), "disk=%s/mirror", far.dir.path);
	{
		char in[128];

		(void)snprintf(in, sizeof(in), "%s/in", far.dir.path);
		ck_assert_int_eq(
		    ASK_FAR("verb", "mirror-add", "group", "disk", "pairing",
			pairing, "incoming", in, "onto", onto, "create", ""),
		    0);
	}
	ck_assert_int_eq(site_rig_ask(&far, &text, "verb", "mirror-export",
			     "group", "disk", NULL),
	    0);
	return text;
}

START_TEST(a_mirror_is_made_whole)
{
	AUTO_FREE char *pairing = export(), *back = add_mirror(pairing);
	AUTO(snapshot_release) struct snapshot s = {0};
	char path[200], stream[UUID_TEXT];
	struct stat st;

	load(&far, &s);
	ck_assert_uint_eq(s.mirror_count, 1);
	(void)snprintf(path, sizeof(path), "in/%s/ack",
	    uuid_text(&s.mirrors[0].stream, stream));
	ck_assert_int_eq(fstatat(far.dir.fd, path, &st, 0), 0);
	ck_assert_int_eq(fstatat(far.dir.fd, "mirror", &st, 0), 0);
	ck_assert_int_eq(st.st_size, 1 << 20);
	ck_assert_int_eq(
	    faccessat(far.home.dir, "keys/trusted/here.pub", F_OK, 0), 0);
	ck_assert_ptr_nonnull(strstr(back, "role mirror"));
}
END_TEST

START_TEST(a_wrong_mirror_is_refused_and_nothing_made)
{
	AUTO_FREE char *pairing = export(), *forged = strdup(pairing);
	AUTO(snapshot_release) struct snapshot s = {0};
	char in[128], onto[160], twice[160], extra[160];
	char *at = strstr(forged, "stream ");

	ck_assert_int_eq(mkdirat(far.dir.fd, "in", 0755), 0);
	(void)snprintf(in, sizeof(in), "%s/in", far.dir.path);
	(void)snprintf(onto, sizeof(onto), "disk=%s/mirror", far.dir.path);
	(void)snprintf(twice, sizeof(twice), "disk=%s/twice", far.dir.path);
	(void)snprintf(extra, sizeof(extra), "no=%s/extra", far.dir.path);
	at[7] = at[7] == '0' ? '1' : '0';
#define MIRROR(...)                                                            \
	ck_assert_int_eq(                                                      \
	    ASK_FAR("verb", "mirror-add", __VA_ARGS__), EXIT_REFUSED)
	MIRROR("group", "disk", "pairing", forged, "incoming", in, "onto", onto,
	    "create", "");
	MIRROR("group", "other", "pairing", pairing, "incoming", in, "onto",
	    onto, "create", "");
	MIRROR(
	    "group", "disk", "pairing", pairing, "incoming", in, "onto", onto);
	MIRROR("group", "disk", "pairing", pairing, "incoming", in, "onto",
	    onto, "onto", twice, "create", "");
	MIRROR("group", "disk", "pairing", pairing, "incoming", in, "onto",
	    onto, "onto", extra, "create", "");
	MIRROR("group", "disk", "pairing", pairing, "incoming", far.path,
	    "onto", onto, "create", "");
	MIRROR("group", "disk", "pairing", pairing, "incoming", in, "onto",
	    onto, "create", "", "fingerprint", "00");
	MIRROR("group", "disk", "pairing", "", "incoming", in, "onto", onto,
	    "create", "");
	load(&far, &s);
	ck_assert_uint_eq(s.mirror_count, 0);
	ck_assert_int_eq(faccessat(far.dir.fd, "mirror", F_OK, 0), -1);
}
END_TEST

START_TEST(a_protected_volume_is_no_mirror)
{
	AUTO_FREE char *pairing = export();
	char in[128], onto[160];

	ck_assert_int_eq(mkdirat(rig.dir.fd, "in", 0755), 0);
	(void)snprintf(in, sizeof(in), "%s/in", rig.dir.path);
	(void)snprintf(onto, sizeof(onto), "disk=%s", disk);
	ck_assert_int_eq(
	    ASK("verb", "mirror-add", "group", "disk", "as", "copy", "pairing",
		pairing, "incoming", in, "onto", onto, "overwrite", ""),
	    EXIT_REFUSED);
}
END_TEST

START_TEST(a_destination_needs_the_right_pairing)
{
	AUTO_FREE char *pairing = export(), *back = add_mirror(pairing);
	AUTO(snapshot_release) struct snapshot s = {0};
	char url[160];

	(void)snprintf(url, sizeof(url), "file://%s/in", far.dir.path);
#define DESTINATION(...) ASK("verb", "destination-add", __VA_ARGS__)
	ck_assert_int_eq(DESTINATION("name", "d", "group", "disk", "url", url,
			     "pairing", pairing),
	    EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "d", "group", "disk", "url",
			     "gopher://x/", "pairing", back),
	    EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "a/b", "group", "disk", "url", url,
			     "pairing", back),
	    EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "d", "group", "disk", "url", url,
			     "pairing", back, "prune-at", "never"),
	    EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "d", "group", "disk", "url", url,
			     "pairing", back),
	    0);
	ck_assert_int_eq(DESTINATION("name", "e", "group", "disk", "url", url,
			     "pairing", back),
	    EXIT_REFUSED);
	load(&rig, &s);
	ck_assert_uint_eq(s.destination_count, 1);
}
END_TEST

START_TEST(a_relay_has_no_mirror_but_mirrors_behind_it)
{
	AUTO_FREE char *pairing = export(), *relay = NULL, *back = NULL;
	AUTO(snapshot_release) struct snapshot s = {0};
	char url[180], in[160];
	struct site_rig end;

	site_rig_make(&end);
	(void)snprintf(in, sizeof(in), "%s/in", end.dir.path);
	ck_assert_int_eq(mkdir(in, 0755), 0);
	(void)snprintf(url, sizeof(url), "file://%s", in);
	ck_assert_int_eq(
	    ASK_FAR("verb", "relay-add", "group", "disk", "pairing", pairing),
	    EXIT_REFUSED);
	ck_assert_int_eq(ASK_FAR("verb", "relay-add", "group", "disk",
			     "pairing", pairing, "incoming", in),
	    0);
	ck_assert_int_eq(
	    ASK_FAR("verb", "mirror-export", "group", "disk"), EXIT_REFUSED);
	ck_assert_int_eq(site_rig_ask(&far, &relay, "verb", "relay-export",
			     "group", "disk", NULL),
	    0);
	/* what it says is not a source's, and what it holds is no mirror */
	ck_assert_int_eq(DESTINATION("name", "r", "group", "disk", "url", url,
			     "pairing", relay, "prune-at", "applied"),
	    EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "r", "group", "disk", "url",
			     "carry://", "pairing", relay),
	    EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "r", "group", "disk", "url", url,
			     "pairing", relay),
	    0);
	ck_assert_int_eq(ASK("verb", "base", "group", "disk"), EXIT_REFUSED);
	/* the relay is not behind itself */
	ck_assert_int_eq(ASK_FAR("verb", "destination-add", "name", "x",
			     "group", "disk", "url", url, "pairing", relay),
	    EXIT_REFUSED);
	ck_assert_int_eq(site_rig_ask(&end, NULL, "verb", "relay-add", "group",
			     "disk", "pairing", pairing, "incoming", in, NULL),
	    0);
	ck_assert_int_eq(site_rig_ask(&end, &back, "verb", "relay-export",
			     "group", "disk", NULL),
	    0);
	ck_assert_int_eq(DESTINATION("name", "e", "group", "disk", "via", "no",
			     "pairing", back),
	    EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "e", "group", "disk", "via", "r",
			     "url", url, "pairing", back),
	    EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "e", "group", "disk", "via", "r",
			     "pairing", back),
	    0);
	ck_assert_int_eq(ASK_FAR("verb", "destination-add", "name", "e",
			     "group", "disk", "url", url, "pairing", back),
	    0);
	load(&far, &s);
	ck_assert_uint_eq(s.mirrors[0].destination_count, 1);
	ck_assert_int_eq(s.destinations[0].prune_at, PRUNE_STORED);
	ck_assert_int_eq(
	    ASK_FAR("verb", "destination-remove", "name", "e", "group", "disk"),
	    0);
	site_rig_drop(&end);
}
END_TEST

START_TEST(a_base_is_queued_once)
{
	AUTO_FREE char *pairing = export(), *back = add_mirror(pairing);
	AUTO(snapshot_release) struct snapshot s = {0};
	struct job first, second;
	char url[160];

	(void)snprintf(url, sizeof(url), "file://%s/in", far.dir.path);
	ck_assert_int_eq(ASK("verb", "base", "group", "disk"), EXIT_REFUSED);
	ck_assert_int_eq(DESTINATION("name", "d", "group", "disk", "url", url,
			     "pairing", back),
	    0);
	ck_assert_int_eq(
	    ASK("verb", "base", "group", "disk", "destination", "no"),
	    EXIT_REFUSED);
	ck_assert_int_eq(ASK("verb", "base", "group", "disk"), 0);
	load(&rig, &s);
	ck_assert_int_eq(
	    job_load(&rig.home, &s.destinations[0].uuid, &first, &e), 0);
	ck_assert_int_eq(first.state, JOB_QUEUED);
	ck_assert_int_eq(ASK("verb", "base", "group", "disk"), 0);
	ck_assert_int_eq(
	    job_load(&rig.home, &s.destinations[0].uuid, &second, &e), 0);
	ck_assert(uuid_equal(&first.id, &second.id));
	ck_assert_int_eq(ASK("verb", "destination-pause", "group", "disk",
			     "name", "d", "paused", "yes"),
	    0);
	ck_assert_int_eq(
	    ASK("verb", "destination-remove", "group", "disk", "name", "d"), 0);
	ck_assert_int_eq(
	    job_load(&rig.home, &s.destinations[0].uuid, &second, &e), 0);
	ck_assert_int_eq(second.state, JOB_NONE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("request");
	TCase *t = tcase_create("request");

	log_set_level(LOG_ERROR_);
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_message_arrives_as_sent);
	tcase_add_test(t, a_damaged_message_is_refused);
	tcase_add_test(t, a_silent_partner_is_left);
	tcase_add_test(t, a_dead_socket_is_replaced);
	tcase_add_test(t, a_volume_is_in_catalogue_and_folder);
	tcase_add_test(t, what_must_not_be_protected_is_refused);
	tcase_add_loop_test(t, bad_options_leave_nothing, 0, 5);
	tcase_add_test(t, a_dry_run_changes_nothing);
	tcase_add_test(t, export_fixes_the_volumes);
	tcase_add_loop_test(t, volume_add_is_whole_or_not_at_all, 0, 2);
	tcase_add_test(t, a_mirror_is_made_whole);
	tcase_add_test(t, a_wrong_mirror_is_refused_and_nothing_made);
	tcase_add_test(t, a_protected_volume_is_no_mirror);
	tcase_add_test(t, a_destination_needs_the_right_pairing);
	tcase_add_test(t, a_relay_has_no_mirror_but_mirrors_behind_it);
	tcase_add_test(t, a_base_is_queued_once);
	suite_add_tcase(s, t);
	return unit_run(s);
}
