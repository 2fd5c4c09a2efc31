/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/status.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/job.h"
#include "manager/command.h"
#include "tests/site_rig.h"

#include <stdio.h>
#include <time.h>

static struct site_rig rig, far;
static struct err e;
static struct snapshot config; /* of rig */
static struct status s;

#define ASK(...) site_rig_ask(&rig, NULL, __VA_ARGS__, NULL)
#define ASK_FAR(...) site_rig_ask(&far, NULL, __VA_ARGS__, NULL)

static void
load_config(void)
{
	struct catalogue *c;

	snapshot_release(&config);
	ck_assert_int_eq(catalogue_open(&rig.home, false, &c, &e), 0);
	ck_assert_int_eq(catalogue_load(c, &config, &e), 0);
	catalogue_close(c);
}

/* A group "disk" here, its mirror far away, a destination "d". */
static void
setup(void)
{
	AUTO_FREE char *pairing = NULL, *back = NULL;
	char disk[128], in[128], onto[160], url[160];

	memset(&e, 0, sizeof(e));
	site_rig_make(&rig);
	site_rig_make(&far);
	(void)site_rig_file(&rig, "disk", 1 << 20, disk);
	ck_assert_int_eq(
	    ASK("verb", "volume-add", "name", "disk", "path", disk), 0);
	ck_assert_int_eq(site_rig_ask(&rig, &pairing, "verb", "group-export",
			     "group", "disk", NULL),
	    0);
	ck_assert_int_eq(mkdirat(far.dir.fd, "in", 0755), 0);
	(void)snprintf(in, sizeof(in), "%s/in", far.dir.path);
	(void)snprintf(url, sizeof(url), "file://%s/in", far.dir.path);
	(void)snprintf(onto, sizeof(onto), "disk=%s/mirror", far.dir.path);
	ck_assert_int_eq(
	    ASK_FAR("verb", "mirror-add", "group", "disk", "pairing", pairing,
		"incoming", in, "onto", onto, "create", ""),
	    0);
	ck_assert_int_eq(site_rig_ask(&far, &back, "verb", "mirror-export",
			     "group", "disk", NULL),
	    0);
	ck_assert_int_eq(ASK("verb", "destination-add", "name", "d", "group",
			     "disk", "url", url, "pairing", back),
	    0);
	load_config();
}

static void
teardown(void)
{
	status_release(&s);
	snapshot_release(&config);
	site_rig_drop(&rig);
	site_rig_drop(&far);
}

static struct status_group *
look(struct site_rig *r)
{
	status_release(&s);
	ck_assert_msg(status_collect(&r->home, &s, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(s.group_count, 1);
	return &s.groups[0];
}

static const char *
state_of(struct site_rig *r)
{
	return status_state_name(look(r)->state);
}

/* What far's receiver would publish, as it is kept here. */
static void
put_ack(enum ack_state state, bool consistent, const struct sign_secret *key)
{
	const struct destination_config *d = &config.destinations[0];
	struct ack a = {.stream = d->stream,
	    .group = d->group,
	    .mirror = d->mirror,
	    .mirror_site = d->mirror_site,
	    .source_site = rig.home.site,
	    .counter = 1,
	    .state = state,
	    .consistent = consistent,
	    .reason = "because"};
	char name[UUID_TEXT + 8], uuid[UUID_TEXT];
	uint8_t bytes[ACK_LIMIT];
	size_t len;

	ck_assert_int_eq(ack_encode(&a, key, bytes, &len, &e), 0);
	(void)snprintf(name, sizeof(name), "%s.ack", uuid_text(&d->uuid, uuid));
	ck_assert_int_eq(
	    io_write_file(rig.home.state, name, bytes, len, 0600, &e), 0);
}

static void
age_ack(int64_t seconds)
{
	char name[UUID_TEXT + 8], uuid[UUID_TEXT];
	struct timespec times[2];

	(void)snprintf(name, sizeof(name), "%s.ack",
	    uuid_text(&config.destinations[0].uuid, uuid));
	(void)clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= seconds;
	times[1] = times[0];
	ck_assert_int_eq(utimensat(rig.home.state, name, times, 0), 0);
}

static void
put_note(struct site_rig *r, const struct uuid *subject, const char *suffix,
    const char *key, const char *value)
{
	struct note_pair pairs[] = {{"state", "stalled"}, {key, value}};
	char name[UUID_TEXT + 16], uuid[UUID_TEXT];

	(void)snprintf(
	    name, sizeof(name), "%s.%s", uuid_text(subject, uuid), suffix);
	ck_assert_int_eq(note_write(&r->home, name, pairs, 2, &e), 0);
}

/* ---- sources ---- */

START_TEST(a_group_without_base_is_unprotected)
{
	struct status_group *g = look(&rig);

	ck_assert_int_eq(g->state, STATUS_UNPROTECTED);
	ck_assert_uint_eq(g->destination_count, 1);
	ck_assert_int_eq(g->destinations[0].state, STATUS_UNPROTECTED);
	ck_assert_ptr_nonnull(strstr(g->next, "aim-coordinator"));
}
END_TEST

START_TEST(a_queued_base_is_base)
{
	ck_assert_int_eq(ASK("verb", "base", "group", "disk"), 0);
	ck_assert_str_eq(state_of(&rig), "base");
}
END_TEST

static const struct {
	enum ack_state ack;
	bool consistent;
	const char *state;
} cases[] = {
    {ACK_STREAMING, true, "streaming"},
    {ACK_STREAMING, false, "inconsistent"},
    {ACK_INCONSISTENT, false, "inconsistent"},
    {ACK_PAUSED, true, "paused"},
    {ACK_STALLED, true, "stalled"},
    {ACK_STAGING, true, "unclean"},
    {ACK_SUSPECT, true, "suspect"},
    {ACK_EMPTY, false, "unprotected"},
};

START_TEST(a_destination_is_what_its_mirror_says)
{
	put_ack(cases[_i].ack, cases[_i].consistent, &far.home.key);
	ck_assert_str_eq(state_of(&rig), cases[_i].state);
	ck_assert_str_eq(
	    s.groups[0].destinations[0].reason, "site here: because");
}
END_TEST

START_TEST(a_forged_acknowledgement_counts_for_nothing)
{
	put_ack(ACK_STREAMING, true, &rig.home.key);
	ck_assert_str_eq(state_of(&rig), "unprotected");
	ck_assert(!s.groups[0].destinations[0].acked);
	ck_assert_str_ne(s.groups[0].destinations[0].reason, "");
}
END_TEST

START_TEST(silence_is_no_health)
{
	put_ack(ACK_STREAMING, true, &far.home.key);
	age_ack(60);
	ck_assert_str_eq(state_of(&rig), "streaming");
	age_ack(100); /* three heartbeats are 90 s */
	ck_assert_str_eq(state_of(&rig), "stalled");
	ck_assert_ptr_nonnull(
	    strstr(s.groups[0].destinations[0].reason, "no word"));
}
END_TEST

START_TEST(a_pause_is_told)
{
	put_ack(ACK_STREAMING, true, &far.home.key);
	ck_assert_int_eq(ASK("verb", "destination-pause", "group", "disk",
			     "name", "d", "paused", "yes"),
	    0);
	ck_assert_str_eq(state_of(&rig), "paused");
	ck_assert_ptr_nonnull(strstr(s.groups[0].next, "destination resume d"));
}
END_TEST

START_TEST(what_roles_meet_is_told)
{
	put_ack(ACK_STREAMING, true, &far.home.key);
	put_note(&rig, &config.destinations[0].uuid, "ship", "error",
	    "HOST KEY CHANGED");
	ck_assert_str_eq(state_of(&rig), "stalled");
	ck_assert_str_eq(s.groups[0].reason, "HOST KEY CHANGED");
	put_note(&rig, &config.destinations[0].uuid, "ship", "error", "");
	put_note(&rig, &config.groups[0].uuid, "source", "trouble",
	    "disk changed outside AIM");
	ck_assert_str_eq(state_of(&rig), "stalled");
	ck_assert_ptr_nonnull(strstr(s.groups[0].next, " base disk"));
}
END_TEST

/* ---- mirrors ---- */

START_TEST(a_mirror_is_what_its_state_says)
{
	struct mirror_state m = {.phase = MIRROR_CLEAN};
	struct status_group *g = look(&far);

	ck_assert_ptr_nonnull(g->mirror);
	ck_assert_int_eq(g->state, STATUS_UNPROTECTED);
	ck_assert(!g->consistent);
	m.mirror = g->mirror->uuid;
	m.stream = g->mirror->stream;
	m.clean.epoch_number = 1;
	m.clean.sequence = 1;
	m.clean.last = 7;
	ck_assert_int_eq(mirror_state_store(&far.home, &m, &e), 0);
	ck_assert_str_eq(state_of(&far), "inconsistent");
	m.consistent = true;
	ck_assert_int_eq(mirror_state_store(&far.home, &m, &e), 0);
	ck_assert_str_eq(state_of(&far), "streaming");
	ck_assert_uint_eq(s.groups[0].applied, 7);
	ck_assert(s.groups[0].consistent);
	m.staging = true;
	ck_assert_int_eq(mirror_state_store(&far.home, &m, &e), 0);
	ck_assert_str_eq(state_of(&far), "unclean");
	m.phase = MIRROR_SUSPECT;
	ck_assert_int_eq(mirror_state_store(&far.home, &m, &e), 0);
	ck_assert_str_eq(state_of(&far), "suspect");
	ck_assert(!s.groups[0].consistent);
}
END_TEST

START_TEST(a_damaged_mirror_state_is_suspect)
{
	struct status_group *g = look(&far);
	char name[UUID_TEXT + 8], uuid[UUID_TEXT], junk[8192];

	(void)snprintf(
	    name, sizeof(name), "%s.state", uuid_text(&g->mirror->uuid, uuid));
	memset(junk, 0xa5, sizeof(junk));
	ck_assert_int_eq(
	    io_write_file(far.home.state, name, junk, sizeof(junk), 0600, &e),
	    0);
	ck_assert_str_eq(state_of(&far), "suspect");
	ck_assert_str_ne(s.groups[0].reason, "");
}
END_TEST

/* ---- words ---- */

static void
has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no %s in %s", part, text);
}

START_TEST(the_fields_of_the_contract_are_there)
{
	static const char *const fields[] = {"{\"format\":1,", "\"site\":{",
	    "\"name\":\"here\"", "\"groups\":[{", "\"role\":\"source\"",
	    "\"state\":\"streaming\"",
	    "\"epoch\":", "\"captured\":", "\"sealed\":", "\"destinations\":[{",
	    "\"stored\":", "\"applied\":", "\"lag_seconds\":", "\"lag_bytes\":",
	    "\"lag_files\":", "\"mirror\":null", "\"next\":"};
	static const char *const mirror_fields[] = {"\"role\":\"mirror\"",
	    "\"mirror\":{", "\"received\":", "\"consistent\":false",
	    "\"destinations\":[]"};
	AUTO(buf_release) struct buf b = {0};

	put_ack(ACK_STREAMING, true, &far.home.key);
	(void)look(&rig);
	ck_assert_int_eq(status_json(&s, NULL, &b, &e), 0);
	ck_assert_int_eq(buf_add(&b, "", 1, &e), 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		has((char *)b.data, fields[i]);
	(void)look(&far);
	ck_assert_int_eq(status_json(&s, &s.groups[0], &b, &e), 0);
	ck_assert_int_eq(buf_add(&b, "", 1, &e), 0);
	for (size_t i = 0; i < sizeof(mirror_fields) / sizeof(mirror_fields[0]);
	     i++)
		has((char *)b.data, mirror_fields[i]);
}
END_TEST

START_TEST(the_table_tells_state_reason_and_next)
{
	AUTO(buf_release) struct buf b = {0};

	put_ack(ACK_STALLED, true, &far.home.key);
	(void)look(&rig);
	ck_assert_int_eq(status_text(&s, NULL, &b, &e), 0);
	ck_assert_int_eq(buf_add(&b, "", 1, &e), 0);
	has((char *)b.data, "coordinator NOT running");
	has((char *)b.data, "group disk: stalled");
	has((char *)b.data, "to d");
	has((char *)b.data, "because");
	has((char *)b.data, "next: aim-");
}
END_TEST

/* ---- the command line ---- */

static int
parse(struct args *a, int argc, const char *const *argv)
{
	static char *copy[16];

	for (int i = 0; i < argc; i++) {
		free(copy[i]);
		copy[i] = strdup(argv[i]);
	}
	return args_parse(a, argc, copy, &e);
}

#define PARSE(a, ...)                                                          \
	parse(a,                                                               \
	    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),     \
	    (const char *[]){__VA_ARGS__})

START_TEST(options_go_before_and_after)
{
	static struct args a;

	ck_assert_int_eq(PARSE(&a, "m", "--home", "H", "volume", "add",
			     "--group=g", "n", "p", "--dry-run"),
	    0);
	ck_assert_str_eq(a.home, "H");
	ck_assert_str_eq(a.command->verb, "add");
	ck_assert_int_eq(a.word_count, 2);
	ck_assert_str_eq(a.words[1], "p");
	ck_assert_str_eq(args_option(&a, "group"), "g");
	ck_assert(args_has(&a, "dry-run"));
	ck_assert(!args_has(&a, "access"));
	ck_assert_int_eq(PARSE(&a, "m", "status", "--home=G"), 0);
	ck_assert_str_eq(a.home, "G");
	ck_assert_int_eq(a.word_count, 0);
}
END_TEST

START_TEST(what_is_run_is_left_alone)
{
	static struct args a;

	ck_assert_int_eq(PARSE(&a, "m", "--home", "H", "run", "g", "--", "sh",
			     "--home", "--", "-x"),
	    0);
	ck_assert_str_eq(a.home, "H");
	ck_assert_str_eq(a.words[0], "g");
	ck_assert_str_eq(a.rest[0], "sh");
	ck_assert_str_eq(a.rest[1], "--home");
	ck_assert_str_eq(a.rest[2], "--");
	ck_assert_str_eq(a.rest[3], "-x");
}
END_TEST

START_TEST(wrong_words_are_refused)
{
	static struct args a;

	ck_assert_int_eq(PARSE(&a, "m"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "volume"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "volume", "frob"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "volume", "add", "n"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "volume", "add", "n", "p", "q"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "--access", "x", "status"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "status", "--home"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "status", "--json=1"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "status", "-x"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "run", "g"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "run", "g", "--"), -1);
	ck_assert_int_eq(PARSE(&a, "m", "volume", "--help"), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("status");
	TCase *t = tcase_create("status"), *words = tcase_create("words");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_group_without_base_is_unprotected);
	tcase_add_test(t, a_queued_base_is_base);
	tcase_add_loop_test(t, a_destination_is_what_its_mirror_says, 0,
	    sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, a_forged_acknowledgement_counts_for_nothing);
	tcase_add_test(t, silence_is_no_health);
	tcase_add_test(t, a_pause_is_told);
	tcase_add_test(t, what_roles_meet_is_told);
	tcase_add_test(t, a_mirror_is_what_its_state_says);
	tcase_add_test(t, a_damaged_mirror_state_is_suspect);
	tcase_add_test(t, the_fields_of_the_contract_are_there);
	tcase_add_test(t, the_table_tells_state_reason_and_next);
	suite_add_tcase(suite, t);
	tcase_add_test(words, options_go_before_and_after);
	tcase_add_test(words, what_is_run_is_left_alone);
	tcase_add_test(words, wrong_words_are_refused);
	suite_add_tcase(suite, words);
	return unit_run(suite);
}
