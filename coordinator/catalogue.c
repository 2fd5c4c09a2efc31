/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/catalogue.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sys.h"
#include "coordinator/catalogue_db.h"
#include "coordinator/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CATALOGUE_ID 0x41494d43 /* "AIMC" */
#define CATALOGUE_VERSION 2
#define CATALOGUE_LIMIT ((size_t)256 << 20)
#define COPY_NAME "catalogue.copy"

static const char schema[] =
    "CREATE TABLE site("
    " id INTEGER PRIMARY KEY CHECK(id=1), name TEXT NOT NULL,"
    " uuid TEXT NOT NULL) STRICT;"
    "CREATE TABLE source("
    " uuid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " stream TEXT NOT NULL UNIQUE, spool_limit INTEGER NOT NULL,"
    " spool_policy INTEGER NOT NULL, seal_age_ms INTEGER NOT NULL,"
    " heartbeat_ms INTEGER NOT NULL, retention_ms INTEGER NOT NULL,"
    " codec INTEGER NOT NULL, exported INTEGER NOT NULL) STRICT;"
    "CREATE TABLE volume("
    " uuid TEXT PRIMARY KEY, source TEXT NOT NULL REFERENCES source(uuid),"
    " position INTEGER NOT NULL, name TEXT NOT NULL UNIQUE,"
    " kind INTEGER NOT NULL, size INTEGER NOT NULL, path TEXT NOT NULL,"
    " UNIQUE(source, position)) STRICT;"
    "CREATE TABLE destination("
    " uuid TEXT PRIMARY KEY, source TEXT NOT NULL REFERENCES source(uuid),"
    " name TEXT NOT NULL, mirror TEXT NOT NULL UNIQUE,"
    " mirror_site TEXT NOT NULL, mirror_site_name TEXT NOT NULL,"
    " mirror_key TEXT NOT NULL, url TEXT NOT NULL, ack_url TEXT NOT NULL,"
    " key_file TEXT NOT NULL, known_hosts TEXT NOT NULL,"
    " ack_key_file TEXT NOT NULL, paused INTEGER NOT NULL,"
    " prune_at INTEGER NOT NULL, UNIQUE(source, name)) STRICT;"
    "CREATE TABLE mirror("
    " uuid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " source TEXT NOT NULL, stream TEXT NOT NULL UNIQUE,"
    " source_site TEXT NOT NULL, source_site_name TEXT NOT NULL,"
    " source_key TEXT NOT NULL, incoming TEXT NOT NULL,"
    " fetch_paused INTEGER NOT NULL, apply_paused INTEGER NOT NULL,"
    " done_keep INTEGER NOT NULL) STRICT;"
    "CREATE TABLE mirror_volume("
    " mirror TEXT NOT NULL REFERENCES mirror(uuid),"
    " position INTEGER NOT NULL, uuid TEXT NOT NULL, name TEXT NOT NULL,"
    " source_kind INTEGER NOT NULL, size INTEGER NOT NULL,"
    " path TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL,"
    " PRIMARY KEY(mirror, position)) STRICT;"
    "CREATE TABLE event("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL,"
    " subject TEXT NOT NULL, text TEXT NOT NULL) STRICT;";

/* Came later: it is added to a catalogue that has none. A release that does
 * not know it knows none of the destinations that need it either. */
static const char later_schema[] =
    "CREATE TABLE IF NOT EXISTS destination_option("
    " destination TEXT NOT NULL REFERENCES destination(uuid)"
    " ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY(destination, name)) STRICT;"
    "CREATE TABLE IF NOT EXISTS forward("
    " uuid TEXT PRIMARY KEY, owner TEXT NOT NULL REFERENCES mirror(uuid),"
    " name TEXT NOT NULL, mirror TEXT NOT NULL,"
    " mirror_site TEXT NOT NULL, mirror_site_name TEXT NOT NULL,"
    " mirror_key TEXT NOT NULL, ack_url TEXT NOT NULL,"
    " ack_key_file TEXT NOT NULL, paused INTEGER NOT NULL,"
    " prune_at INTEGER NOT NULL, UNIQUE(owner, name),"
    " UNIQUE(owner, mirror)) STRICT;"
    "CREATE TABLE IF NOT EXISTS setting("
    " subject TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY(subject, key)) STRICT;"
    "CREATE TABLE IF NOT EXISTS group_key("
    " id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,"
    " state INTEGER NOT NULL, time_ns INTEGER NOT NULL,"
    " position INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;";

static int
set_up(sqlite3 *db, bool write, struct err *e)
{
	(void)sqlite3_extended_result_codes(db, 1);
	(void)sqlite3_busy_timeout(db, 10000);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sql_exec(db,
		"PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
		"PRAGMA mmap_size=0; PRAGMA foreign_keys=ON;",
		e) < 0)
		return -1;
	/* A reader may have to roll back what a crash left. */
	return sql_exec(db,
	    write ? "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA;"
		  : "PRAGMA query_only=ON;",
	    e);
}

static int
open_db(struct home *h, bool write, bool create, struct catalogue **out,
    struct err *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW |
		    (create ? SQLITE_OPEN_CREATE : 0);
	AUTO(catalogue_closep) struct catalogue *c = calloc(1, sizeof(*c));
	char path[PATH_MAX + 16];

	if (c == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	c->home = h;
	(void)snprintf(path, sizeof(path), "%s/catalogue.db", h->path);
	if (sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOFOLLOW, NULL) !=
	    SQLITE_OK)
		return c->db == NULL ? err_set(e, ERR_RETRY, "out of memory")
				     : sql_fail(c->db, e, "open");
	if (set_up(c->db, write, e) < 0)
		return -1;
	*out = STEAL(c);
	return 0;
}

/* One number that a pragma or query gives. */
static int
number_of(sqlite3 *db, const char *text, int64_t *out, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (sql_open(db, &st, e, text, "") < 0)
		return -1;
	more = sql_step(st, e);
	if (more < 0)
		return -1;
	if (more == 0)
		return err_set(e, ERR_CORRUPT, "catalogue.db: no answer");
	return sql_row(st, e, "i", out);
}

static int
check_content(sqlite3 *db, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	char text[256];
	int more;

	if (sql_open(db, &st, e, "PRAGMA quick_check(1)", "") < 0)
		return -1;
	more = sql_step(st, e);
	if (more <= 0)
		return more < 0 ? -1
				: err_set(e, ERR_CORRUPT,
				      "catalogue.db: "
				      "quick_check says "
				      "nothing");
	if (sql_row(st, e, "t", text, sizeof(text)) < 0)
		return -1;
	if (strcmp(text, "ok") != 0)
		return err_set(e, ERR_CORRUPT, "catalogue.db: %s", text);
	return 0;
}

/* Version 1 knew two policies, in a column that said yes or no. */
static const char from_1[] =
    "ALTER TABLE source RENAME COLUMN spool_fail TO spool_policy;"
    "UPDATE source SET spool_policy=spool_policy+1;"
    "PRAGMA user_version=2;";

/* Whole or not at all; what an earlier release has set stays. */
static int
upgrade(struct catalogue *c, bool write, struct err *e)
{
	int64_t version;

	if (!write)
		return err_set(e, ERR_REFUSED,
		    "catalogue.db was made by an earlier release: it is "
		    "brought up to date when this one's aim-coordinator is "
		    "started");
	if (catalogue_begin(c, e) < 0 ||
	    number_of(c->db, "PRAGMA user_version", &version, e) < 0)
		return -1;
	/* Somebody else may have been quicker. */
	if (version < 2 && sql_exec(c->db, from_1, e) < 0)
		return err_at(e, "bring it up to date");
	log_info("catalogue.db of an earlier release was brought up to date");
	return catalogue_commit(c, e);
}

static int
check_identity(struct catalogue *c, bool write, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int64_t id, version, settings, keys, forwards;
	struct uuid site;
	int more;

	if (number_of(c->db, "PRAGMA application_id", &id, e) < 0 ||
	    number_of(c->db, "PRAGMA user_version", &version, e) < 0)
		return -1;
	if (id != CATALOGUE_ID)
		return err_set(e, ERR_CORRUPT,
		    "catalogue.db is not a catalogue of AIM, or was never "
		    "finished");
	if (version < 1 || version > CATALOGUE_VERSION)
		return err_set(e, ERR_REFUSED,
		    "catalogue.db has version %jd; this release knows %d: use "
		    "the release that wrote it, or a newer one",
		    (intmax_t)version, CATALOGUE_VERSION);
	if (check_content(c->db, e) < 0 ||
	    number_of(c->db,
		"SELECT count(*) FROM sqlite_schema WHERE type='table'"
		" AND name='setting'",
		&settings, e) < 0 ||
	    number_of(c->db,
		"SELECT count(*) FROM sqlite_schema WHERE type='table'"
		" AND name='group_key'",
		&keys, e) < 0 ||
	    number_of(c->db,
		"SELECT count(*) FROM sqlite_schema WHERE type='table'"
		" AND name='forward'",
		&forwards, e) < 0 ||
	    sql_open(c->db, &st, e, "SELECT uuid FROM site WHERE id=1", "") < 0)
		return -1;
	c->has_settings = settings != 0;
	c->has_keys = keys != 0;
	c->has_forwards = forwards != 0;
	more = sql_step(st, e);
	if (more < 0)
		return -1;
	if (more == 0)
		return err_set(e, ERR_CORRUPT, "catalogue.db: no site in it");
	if (sql_row(st, e, "u", &site) < 0)
		return -1;
	if (!uuid_equal(&site, &c->home->site))
		return err_set(e, ERR_REFUSED,
		    "catalogue.db belongs to another site than state/site; if "
		    "an 'init --adopt' was interrupted, run it again");
	return version < CATALOGUE_VERSION ? upgrade(c, write, e) : 0;
}

/* "UUID NAME" lines for `run`, which works without rights to the rest. */
static int
write_groups(struct catalogue *c, struct err *e)
{
	AUTO(buf_release) struct buf b = {0}, is = {0};
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	char uuid[UUID_TEXT], name[NAME_LIMIT];
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT uuid, name FROM source ORDER BY name", "") < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0)
		if (sql_row(st, e, "tt", uuid, sizeof(uuid), name,
			sizeof(name)) < 0 ||
		    buf_printf(&b, e, "%s %s\n", uuid, name) < 0)
			return -1;
	if (more < 0)
		return -1;
	/* A crash may have come between a change and this file. */
	if (io_read_file(c->home->dir, "groups", b.len, &is, NULL) == 0 &&
	    is.len == b.len &&
	    (b.len == 0 || memcmp(is.data, b.data, b.len) == 0))
		return 0;
	return io_write_file(c->home->dir, "groups", b.data, b.len, 0644, e);
}

/* A catalogue of the release before gets what it lacks. */
static int
add_tables(struct catalogue *c, struct err *e)
{
	if (sql_exec(c->db, later_schema, e) < 0)
		return -1;
	c->has_settings = c->has_keys = c->has_forwards = true;
	return 0;
}

int
catalogue_open(
    struct home *h, bool write, struct catalogue **out, struct err *e)
{
	char home[SHELL_WORD];
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	struct stat st;
	struct err why = {0};

	if (fstatat(h->dir, "catalogue.db", &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno == ENOENT)
		return err_set(e, ERR_REFUSED,
		    "%s has no catalogue.db: if it was there before, run "
		    "'aim-manager --home %s catalogue restore', else "
		    "'aim-manager --home %s init --site %s'",
		    h->path, shell_word(h->path, home, sizeof(home)), home,
		    h->site_name);
	if (open_db(h, write, false, &c, &why) < 0 ||
	    check_identity(c, write, &why) < 0) {
		if (why.kind == ERR_CORRUPT)
			return err_set(e, ERR_CORRUPT,
			    "%s; no data is lost by it: stop the coordinator "
			    "and run 'aim-manager --home %s catalogue "
			    "restore'",
			    why.text, shell_word(h->path, home, sizeof(home)));
		return err_set(e, why.kind, "%s", why.text);
	}
	if (write && (add_tables(c, e) < 0 || write_groups(c, e) < 0))
		return -1;
	*out = STEAL(c);
	return 0;
}

int
catalogue_create(struct home *h, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	char pragma[96];
	int64_t id;

	if (open_db(h, true, true, &c, e) < 0)
		return -1;
	if (fchmodat(h->dir, "catalogue.db", 0600, 0) < 0)
		return err_sys(e, "set mode of catalogue.db");
	if (number_of(c->db, "PRAGMA application_id", &id, e) < 0)
		return -1;
	if (id == CATALOGUE_ID)
		return check_identity(c, true, e);
	(void)snprintf(pragma, sizeof(pragma),
	    "PRAGMA application_id=%d; PRAGMA user_version=%d;", CATALOGUE_ID,
	    CATALOGUE_VERSION);
	if (catalogue_begin(c, e) < 0 || sql_exec(c->db, schema, e) < 0 ||
	    sql_exec(c->db, later_schema, e) < 0 ||
	    sql_run(c->db, e, "INSERT INTO site VALUES(1,?,?)", "tu",
		h->site_name, &h->site) < 0 ||
	    sql_exec(c->db, pragma, e) < 0)
		return -1;
	return catalogue_commit(c, e);
}

void
catalogue_close(struct catalogue *c)
{
	if (c == NULL)
		return;
	/* An open change is rolled back. */
	(void)sqlite3_close(c->db);
	free(c);
}

void
catalogue_closep(struct catalogue **c)
{
	catalogue_close(*c);
	*c = NULL;
}

int
catalogue_begin(struct catalogue *c, struct err *e)
{
	return sql_exec(c->db, "BEGIN IMMEDIATE", e);
}

static int
keep_copy(struct catalogue *c, struct err *e)
{
	sqlite3_int64 len = 0;
	unsigned char *bytes = sqlite3_serialize(c->db, "main", &len, 0);
	int done;

	if (bytes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	done = io_write_file(
	    c->home->state, COPY_NAME, bytes, (size_t)len, 0600, e);
	sqlite3_free(bytes);
	return done;
}

int
catalogue_commit(struct catalogue *c, struct err *e)
{
	struct err why = {0};

	if (sql_exec(c->db, "COMMIT", e) < 0)
		return -1;
	if (keep_copy(c, &why) < 0)
		log_warn("no copy of the catalogue was kept: %s", why.text);
	return write_groups(c, e);
}

int
catalogue_restore(struct home *h, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	char aside[64];
	struct err why = {0};

	if (catalogue_open(h, false, &c, NULL) == 0)
		return err_set(e, ERR_REFUSED,
		    "the catalogue is in order: nothing to restore");
	if (io_read_file(h->state, COPY_NAME, CATALOGUE_LIMIT, &b, e) < 0)
		return err_at(e, "no copy to restore from");
	(void)snprintf(aside, sizeof(aside), "catalogue.db.damaged-%ju",
	    (uintmax_t)(clock_wall_ns() / 1000000000u));
	if (sys_rename(h->dir, "catalogue.db", h->dir, aside, 0) < 0 &&
	    errno != ENOENT)
		return err_sys(e, "put catalogue.db aside");
	/* Its rollback journal must never be played into another file. */
	if (io_remove(h->dir, "catalogue.db-journal", e) < 0 ||
	    io_write_file(h->dir, "catalogue.db", b.data, b.len, 0600, e) < 0)
		return -1;
	if (catalogue_open(h, true, &c, &why) < 0)
		return err_set(
		    e, why.kind, "the copy is no good either: %s", why.text);
	return write_groups(c, e);
}

int
catalogue_adopt(struct home *h, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (open_db(h, true, false, &c, e) < 0 || catalogue_begin(c, e) < 0 ||
	    sql_run(c->db, e, "UPDATE site SET uuid=?", "u", &h->site) < 0)
		return -1;
	return catalogue_commit(c, e);
}
