/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/catalogue.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "tests/site_rig.h"

#include <limits.h>
#include <sqlite3.h>
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
	site_rig_drop(&rig);
}

static void
make_uuid(struct uuid *u)
{
	ck_assert_int_eq(uuid_make(u, &e), 0);
}

static struct group_config
a_group(const char *name)
{
	struct group_config g = {.spool_limit = UINT64_C(1) << 40,
	    .spool_policy = CAPTURE_FAIL,
	    .seal_age_ms = 1000,
	    .heartbeat_ms = 30000,
	    .retention_ms = 7,
	    .codec = CODEC_ZLIB};

	(void)strcpy(g.name, name);
	make_uuid(&g.uuid);
	make_uuid(&g.stream);
	return g;
}

static struct volume_config
a_volume(const char *name)
{
	struct volume_config v = {.kind = VOLUME_BLOCK, .size = 12345};

	(void)strcpy(v.name, name);
	(void)snprintf(v.path, sizeof(v.path), "/dev/%s", name);
	make_uuid(&v.uuid);
	return v;
}

static struct destination_config
a_destination(const struct group_config *g, const char *name)
{
	struct destination_config d = {
	    .prune_at = PRUNE_STORED, .group = g->uuid, .stream = g->stream};

	(void)strcpy(d.name, name);
	(void)strcpy(d.mirror_site_name, "there");
	(void)strcpy(d.url, "sftp://u@h:22/dir");
	(void)strcpy(d.key_file, "/k");
	(void)strcpy(d.known_hosts, "/kh");
	make_uuid(&d.uuid);
	make_uuid(&d.mirror);
	make_uuid(&d.mirror_site);
	memset(d.mirror_key.key, 0x5a, sizeof(d.mirror_key.key));
	return d;
}

static struct mirror_config
a_mirror(const char *name, struct mirror_volume_config *v)
{
	struct mirror_config m = {
	    .done_keep = 3, .volume_count = 1, .volumes = v};

	(void)strcpy(m.group_name, name);
	(void)strcpy(m.source_site_name, "over");
	(void)strcpy(m.incoming, "/incoming");
	make_uuid(&m.uuid);
	make_uuid(&m.group);
	make_uuid(&m.stream);
	make_uuid(&m.source_site);
	memset(v, 0, sizeof(*v));
	v->kind = VOLUME_FILE;
	v->source_kind = VOLUME_BLOCK;
	v->size = 99;
	(void)snprintf(v->path, sizeof(v->path), "/mirror/%s", name);
	(void)strcpy(v->name, name);
	make_uuid(&v->uuid);
	return m;
}

static struct catalogue *
open_for_change(void)
{
	struct catalogue *c;

	ck_assert_msg(
	    catalogue_open(&rig.home, true, &c, &e) == 0, "%s", e.text);
	ck_assert_int_eq(catalogue_begin(c, &e), 0);
	return c;
}

static void
load(struct snapshot *s)
{
	struct catalogue *c;

	ck_assert_msg(
	    catalogue_open(&rig.home, false, &c, &e) == 0, "%s", e.text);
	ck_assert_int_eq(catalogue_load(c, s, &e), 0);
	catalogue_close(c);
}

START_TEST(what_is_put_in_comes_out)
{
	struct catalogue *c = open_for_change();
	struct group_config g = a_group("shop");
	struct volume_config first = a_volume("zz"), second = a_volume("aa");
	struct destination_config d = a_destination(&g, "paris");
	struct mirror_volume_config mv;
	struct mirror_config m = a_mirror("other", &mv);
	AUTO(snapshot_release) struct snapshot s = {0};
	const struct destination_config *list;
	uint32_t count;

	ck_assert_int_eq(catalogue_add_group(c, &g, &e), 0);
	ck_assert_int_eq(catalogue_add_volume(c, &g.uuid, &first, &e), 0);
	ck_assert_int_eq(catalogue_add_volume(c, &g.uuid, &second, &e), 0);
	ck_assert_int_eq(catalogue_export_group(c, &g.uuid, &e), 0);
	ck_assert_int_eq(catalogue_add_destination(c, &d, &e), 0);
	ck_assert_int_eq(catalogue_add_mirror(c, &m, &e), 0);
	ck_assert_int_eq(catalogue_commit(c, &e), 0);
	catalogue_close(c);

	load(&s);
	ck_assert_uint_eq(s.group_count, 1);
	ck_assert_str_eq(s.groups[0].name, "shop");
	ck_assert(uuid_equal(&s.groups[0].stream, &g.stream));
	ck_assert_int_eq(s.groups[0].spool_policy, CAPTURE_FAIL);
	ck_assert(s.groups[0].exported);
	ck_assert_uint_eq(s.groups[0].spool_limit, UINT64_C(1) << 40);
	ck_assert_uint_eq(s.groups[0].retention_ms, 7);
	ck_assert_int_eq(s.groups[0].codec, CODEC_ZLIB);
	/* in the order in which they were added */
	ck_assert_uint_eq(s.groups[0].volume_count, 2);
	ck_assert_str_eq(s.groups[0].volumes[0].name, "zz");
	ck_assert_str_eq(s.groups[0].volumes[1].path, "/dev/aa");
	ck_assert_uint_eq(s.groups[0].volumes[1].size, 12345);
	list = snapshot_destinations(&s, &g.uuid, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(list->url, d.url);
	ck_assert_mem_eq(list->mirror_key.key, d.mirror_key.key, 32);
	ck_assert(uuid_equal(&list->stream, &g.stream));
	ck_assert_int_eq(list->prune_at, PRUNE_STORED);
	ck_assert_uint_eq(s.mirror_count, 1);
	ck_assert_ptr_eq(snapshot_mirror(&s, "other"), &s.mirrors[0]);
	ck_assert_str_eq(s.mirrors[0].volumes[0].path, "/mirror/other");
	ck_assert_int_eq(s.mirrors[0].volumes[0].source_kind, VOLUME_BLOCK);
	ck_assert_ptr_null(snapshot_group(&s, "nobody"));
}
END_TEST

START_TEST(relays_and_what_they_pass_on_to_come_out)
{
	struct catalogue *c = open_for_change();
	struct group_config none = {.uuid = {{0}}};
	struct destination_config hop = a_destination(&none, "hop");
	struct destination_config end = a_destination(&none, "an-end");
	struct mirror_volume_config v[2];
	struct mirror_config m = a_mirror("one", &v[0]);
	struct mirror_config other = a_mirror("two", &v[1]);
	AUTO(snapshot_release) struct snapshot s = {0};
	AUTO(snapshot_release) struct snapshot later = {0};

	m.relay = other.relay = true;
	m.spool_limit = UINT64_C(5) << 40;
	hop.owner = end.owner = m.uuid;
	(void)strcpy(hop.relay, "yes");
	(void)strcpy(end.via, "hop");
	end.url[0] = end.key_file[0] = 0;
	end.prune_at = PRUNE_HOP;
	ck_assert_int_eq(catalogue_add_mirror(c, &m, &e), 0);
	ck_assert_int_eq(catalogue_add_mirror(c, &other, &e), 0);
	ck_assert_int_eq(catalogue_add_forward(c, &hop, &e), 0);
	ck_assert_int_eq(catalogue_add_forward(c, &end, &e), 0);
	ck_assert_int_lt(catalogue_add_forward(c, &end, &e), 0);
	ck_assert_int_eq(
	    catalogue_set_destination(c, &hop.uuid, "limit", "5M", &e), 0);
	ck_assert_int_eq(
	    catalogue_pause_destination(c, &end.uuid, true, &e), 0);
	ck_assert_int_eq(catalogue_commit(c, &e), 0);
	catalogue_close(c);

	load(&s);
	ck_assert(s.mirrors[0].relay);
	ck_assert_uint_eq(s.mirrors[0].spool_limit, m.spool_limit);
	ck_assert_str_eq(s.mirrors[0].volumes[0].path, "");
	ck_assert_uint_eq(s.mirrors[0].destination_count, 2);
	ck_assert_uint_eq(s.mirrors[1].destination_count, 0);
	ck_assert_str_eq(s.destinations[0].name, "an-end");
	ck_assert_str_eq(s.destinations[0].url, hop.url);
	ck_assert_str_eq(s.destinations[0].key_file, hop.key_file);
	ck_assert(s.destinations[0].forward && s.destinations[0].paused);
	ck_assert_int_eq(s.destinations[0].prune_at, PRUNE_HOP);
	ck_assert(uuid_equal(&s.destinations[0].group, &m.group));
	ck_assert(uuid_equal(&s.destinations[0].stream, &m.stream));
	ck_assert(uuid_equal(&s.destinations[0].source_site, &m.source_site));
	ck_assert_str_eq(s.destinations[1].limit, "5M");
	ck_assert_ptr_eq(destination_hop(&s.destinations[0], s.destinations, 2),
	    &s.destinations[1]);

	c = open_for_change();
	ck_assert_int_eq(catalogue_remove_destination(c, &hop.uuid, &e), 0);
	ck_assert_int_eq(catalogue_commit(c, &e), 0);
	catalogue_close(c);
	load(&later);
	ck_assert_uint_eq(later.destination_count, 1);
	ck_assert_str_eq(later.destinations[0].url, "");
	ck_assert_ptr_null(
	    destination_hop(&later.destinations[0], later.destinations, 1));
}
END_TEST

START_TEST(what_is_not_committed_never_was)
{
	struct catalogue *c = open_for_change();
	struct group_config g = a_group("shop");
	AUTO(snapshot_release) struct snapshot s = {0};

	ck_assert_int_eq(catalogue_add_group(c, &g, &e), 0);
	catalogue_close(c);
	load(&s);
	ck_assert_uint_eq(s.group_count, 0);
}
END_TEST

START_TEST(names_are_taken_once)
{
	struct catalogue *c = open_for_change();
	struct group_config g = a_group("shop"), other = a_group("shop");

	ck_assert_int_eq(catalogue_add_group(c, &g, &e), 0);
	ck_assert_int_eq(catalogue_add_group(c, &other, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	catalogue_close(c);
}
END_TEST

START_TEST(a_reader_changes_nothing)
{
	struct catalogue *c;
	struct group_config g = a_group("shop");

	ck_assert_int_eq(catalogue_open(&rig.home, false, &c, &e), 0);
	ck_assert_int_eq(catalogue_add_group(c, &g, &e), -1);
	catalogue_close(c);
}
END_TEST

static void
add_a_group(void)
{
	struct catalogue *c = open_for_change();
	struct group_config g = a_group("shop");

	ck_assert_int_eq(catalogue_add_group(c, &g, &e), 0);
	ck_assert_int_eq(catalogue_commit(c, &e), 0);
	catalogue_close(c);
}

static int
try_open(void)
{
	struct catalogue *c;
	int done = catalogue_open(&rig.home, true, &c, &e);

	if (done == 0)
		catalogue_close(c);
	return done;
}

START_TEST(a_lost_catalogue_is_told_and_restored)
{
	AUTO(snapshot_release) struct snapshot s = {0};

	add_a_group();
	ck_assert_int_eq(unlinkat(rig.home.dir, "catalogue.db", 0), 0);
	ck_assert_int_eq(try_open(), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "catalogue restore"));
	ck_assert_msg(catalogue_restore(&rig.home, &e) == 0, "%s", e.text);
	load(&s);
	ck_assert_uint_eq(s.group_count, 1);
}
END_TEST

START_TEST(a_damaged_catalogue_is_told_and_restored)
{
	AUTO(snapshot_release) struct snapshot s = {0};
	AUTO_CLOSE int fd = -1;
	char junk[4096];

	add_a_group();
	fd = openat(rig.home.dir, "catalogue.db", O_WRONLY | O_CLOEXEC);
	memset(junk, 0xa5, sizeof(junk));
	/* _i 0: the header; then a page of the schema or of a table */
	ck_assert_int_eq(
	    pwrite(fd, junk, sizeof(junk), _i * 4096), sizeof(junk));
	ck_assert_int_eq(try_open(), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "catalogue restore"));
	ck_assert_msg(catalogue_restore(&rig.home, &e) == 0, "%s", e.text);
	load(&s);
	ck_assert_uint_eq(s.group_count, 1);
}
END_TEST

START_TEST(a_catalogue_in_order_is_not_replaced)
{
	add_a_group();
	ck_assert_int_eq(catalogue_restore(&rig.home, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(a_newer_catalogue_is_refused)
{
	AUTO_CLOSE int fd =
	    openat(rig.home.dir, "catalogue.db", O_WRONLY | O_CLOEXEC);

	/* user_version: bytes 60..63 of SQLite's header */
	ck_assert_int_eq(pwrite(fd, "\0\0\0\x63", 4, 60), 4);
	ck_assert_int_eq(try_open(), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "version 99"));
}
END_TEST

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

/* As the release before made it: without the table of settings. */
static void
make_older(void)
{
	sqlite3 *db = NULL;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/catalogue.db", rig.path);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db,
		"DROP TABLE setting; DROP TABLE destination_option;", NULL,
		NULL, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

START_TEST(an_older_catalogue_is_read_and_brought_up)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	AUTO(snapshot_release) struct snapshot s = {0};
	char value[16] = "";
	struct uuid u;

	add_a_group();
	make_older();
	OK(catalogue_open(&rig.home, false, &c, &e));
	OK(catalogue_load(c, &s, &e));
	ck_assert_uint_eq(s.group_count, 1);
	u = s.groups[0].uuid;
	ck_assert_int_eq(
	    catalogue_get(c, &u, "x", value, sizeof(value), &e), 0);
	catalogue_closep(&c);
	OK(catalogue_open(&rig.home, true, &c, &e));
	OK(catalogue_set(c, &u, "x", "yes", &e));
	catalogue_closep(&c);
	OK(catalogue_open(&rig.home, false, &c, &e));
	ck_assert_int_eq(
	    catalogue_get(c, &u, "x", value, sizeof(value), &e), 1);
	ck_assert_str_eq(value, "yes");
	ck_assert_int_eq(
	    catalogue_get(c, &rig.home.site, "x", value, sizeof(value), &e), 0);
}
END_TEST

/* As the release before has left it. */
START_TEST(an_earlier_catalogue_is_brought_up_to_date)
{
	struct group_config blocks = a_group("blocks"),
			    fails = a_group("fails");
	AUTO(snapshot_release) struct snapshot s = {0};
	struct catalogue *c = open_for_change();
	sqlite3 *db;
	char path[PATH_MAX + 16];

	blocks.spool_policy = CAPTURE_BLOCK;
	ck_assert_int_eq(catalogue_add_group(c, &blocks, &e), 0);
	ck_assert_int_eq(catalogue_add_group(c, &fails, &e), 0);
	ck_assert_int_eq(catalogue_commit(c, &e), 0);
	catalogue_close(c);
	(void)snprintf(path, sizeof(path), "%s/catalogue.db", rig.home.path);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db,
		"ALTER TABLE source RENAME COLUMN spool_policy TO spool_fail;"
		"UPDATE source SET spool_fail=spool_fail-1;"
		"PRAGMA user_version=1;",
		NULL, NULL, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	/* Who only reads changes nothing. */
	ck_assert_int_eq(catalogue_open(&rig.home, false, &c, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "earlier release"));
	ck_assert_int_eq(catalogue_open(&rig.home, true, &c, &e), 0);
	catalogue_close(c);
	load(&s);
	ck_assert_uint_eq(s.group_count, 2);
	ck_assert_str_eq(s.groups[0].name, "blocks");
	ck_assert_int_eq(s.groups[0].spool_policy, CAPTURE_BLOCK);
	ck_assert_str_eq(s.groups[1].name, "fails");
	ck_assert_int_eq(s.groups[1].spool_policy, CAPTURE_FAIL);
}
END_TEST

START_TEST(another_sites_catalogue_is_refused)
{
	ck_assert_int_eq(uuid_make(&rig.home.site, &e), 0);
	ck_assert_int_eq(try_open(), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

static uint32_t shown;

static int
count_event(void *ctx, uint64_t time_ns, const char *subject, const char *text)
{
	(void)ctx;
	ck_assert_uint_gt(time_ns, 0);
	ck_assert_str_eq(subject, "s");
	ck_assert_int_eq(text[0], 'e');
	shown++;
	return 0;
}

START_TEST(history_is_bounded)
{
	struct catalogue *c = open_for_change();
	char text[32];

	for (int i = 0; i < 10020; i++) {
		(void)snprintf(text, sizeof(text), "e%d", i);
		ck_assert_int_eq(catalogue_event(c, "s", text, &e), 0);
	}
	ck_assert_int_eq(
	    catalogue_events(c, UINT32_MAX, count_event, NULL, &e), 0);
	ck_assert_uint_eq(shown, 10000);
	catalogue_close(c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("catalogue");
	TCase *t = tcase_create("catalogue");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_put_in_comes_out);
	tcase_add_test(t, relays_and_what_they_pass_on_to_come_out);
	tcase_add_test(t, what_is_not_committed_never_was);
	tcase_add_test(t, names_are_taken_once);
	tcase_add_test(t, a_reader_changes_nothing);
	tcase_add_test(t, a_lost_catalogue_is_told_and_restored);
	tcase_add_loop_test(t, a_damaged_catalogue_is_told_and_restored, 0, 3);
	tcase_add_test(t, a_catalogue_in_order_is_not_replaced);
	tcase_add_test(t, a_newer_catalogue_is_refused);
	tcase_add_test(t, an_older_catalogue_is_read_and_brought_up);
	tcase_add_test(t, an_earlier_catalogue_is_brought_up_to_date);
	tcase_add_test(t, another_sites_catalogue_is_refused);
	tcase_add_test(t, history_is_bounded);
	suite_add_tcase(s, t);
	return unit_run(s);
}
