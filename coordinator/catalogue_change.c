/* SPDX-License-Identifier: Apache-2.0 */
/* catalogue_change: the changes of configuration, and the history. */
#include "coordinator/catalogue.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "coordinator/catalogue_db.h"
#include "coordinator/destination_option.h"
#include "coordinator/sql.h"

#include <stdio.h>

#define EVENT_LIMIT 10000
#define STR_(x) #x
#define STR(x) STR_(x)

int
catalogue_add_group(
    struct catalogue *c, const struct group_config *g, struct err *e)
{
	return sql_run(c->db, e,
	    "INSERT INTO source VALUES(?,?,?,?,?,?,?,?,?,?)", "utuiiiiiib",
	    &g->uuid, g->name, &g->stream, (int64_t)g->spool_limit,
	    (int64_t)g->spool_policy, (int64_t)g->seal_age_ms,
	    (int64_t)g->heartbeat_ms, (int64_t)g->retention_ms,
	    (int64_t)g->codec, (int)g->exported);
}

int
catalogue_add_volume(struct catalogue *c, const struct uuid *group,
    const struct volume_config *v, struct err *e)
{
	return sql_run(c->db, e,
	    "INSERT INTO volume VALUES(?,?,(SELECT coalesce(max(position)+1,0)"
	    " FROM volume WHERE source=?),?,?,?,?)",
	    "uuutiit", &v->uuid, group, group, v->name, (int64_t)v->kind,
	    (int64_t)v->size, v->path);
}

int
catalogue_resize_volume(struct catalogue *c, const struct uuid *volume,
    uint64_t size, struct err *e)
{
	return sql_run(c->db, e, "UPDATE volume SET size=? WHERE uuid=?", "iu",
	    (int64_t)size, volume);
}

int
catalogue_export_group(
    struct catalogue *c, const struct uuid *group, struct err *e)
{
	return sql_run(
	    c->db, e, "UPDATE source SET exported=1 WHERE uuid=?", "u", group);
}

int
catalogue_renew_group(struct catalogue *c, const struct uuid *group,
    const struct uuid *stream, struct err *e)
{
	return sql_run(c->db, e,
	    "UPDATE source SET exported=0, stream=? WHERE uuid=?", "uu", stream,
	    group);
}

int
catalogue_add_destination(
    struct catalogue *c, const struct destination_config *d, struct err *e)
{
	struct destination_config copy = *d;

	if (sql_run(c->db, e,
		"INSERT INTO destination VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		"uutuutktttttbi", &d->uuid, &d->group, d->name, &d->mirror,
		&d->mirror_site, d->mirror_site_name, &d->mirror_key, d->url,
		d->ack_url, d->key_file, d->known_hosts, d->ack_key_file,
		(int)d->paused, (int64_t)d->prune_at) < 0)
		return -1;
	for (size_t i = 0; i < destination_option_count; i++) {
		const struct destination_option *o = &destination_options[i];
		const char *value = destination_option_text(&copy, o);

		if (value[0] != '\0' && catalogue_set_destination(
					    c, &d->uuid, o->name, value, e) < 0)
			return -1;
	}
	return catalogue_set(c, &d->uuid, "hub", d->hub ? "yes" : "", e);
}

int
catalogue_pause_destination(struct catalogue *c, const struct uuid *destination,
    bool paused, struct err *e)
{
	if (sql_run(c->db, e, "UPDATE forward SET paused=? WHERE uuid=?", "bu",
		(int)paused, destination) < 0)
		return -1;
	return sql_run(c->db, e, "UPDATE destination SET paused=? WHERE uuid=?",
	    "bu", (int)paused, destination);
}

int
catalogue_set_destination(struct catalogue *c, const struct uuid *destination,
    const char *option, const char *value, struct err *e)
{
	int forward = catalogue_is_forward(c, destination, e);

	if (forward < 0)
		return -1;
	if (forward == 1)
		return catalogue_set(c, destination, option, value, e);
	if (sql_run(c->db, e,
		"DELETE FROM destination_option WHERE destination=? AND name=?",
		"ut", destination, option) < 0)
		return -1;
	return value[0] == '\0'
		   ? 0
		   : sql_run(c->db, e,
			 "INSERT INTO destination_option VALUES(?,?,?)", "utt",
			 destination, option, value);
}

int
catalogue_remove_destination(
    struct catalogue *c, const struct uuid *destination, struct err *e)
{
	if (catalogue_forget(c, destination, e) < 0 ||
	    sql_run(c->db, e, "DELETE FROM forward WHERE uuid=?", "u",
		destination) < 0)
		return -1;
	return sql_run(
	    c->db, e, "DELETE FROM destination WHERE uuid=?", "u", destination);
}

int
catalogue_add_mirror(
    struct catalogue *c, const struct mirror_config *m, struct err *e)
{
	if (sql_run(c->db, e,
		"INSERT INTO mirror VALUES(?,?,?,?,?,?,?,?,?,?,?)",
		"utuuutktbbi", &m->uuid, m->group_name, &m->group, &m->stream,
		&m->source_site, m->source_site_name, &m->source_key,
		m->incoming, (int)m->fetch_paused, (int)m->apply_paused,
		(int64_t)m->done_keep) < 0)
		return -1;
	if (catalogue_save_relay(c, m, e) < 0)
		return -1;
	for (uint32_t i = 0; i < m->volume_count; i++) {
		const struct mirror_volume_config *v = &m->volumes[i];
		char none[UUID_TEXT + NAME_LIMIT], text[UUID_TEXT];

		/* A relay's have none, and no two may be the same. */
		(void)snprintf(none, sizeof(none), "%s%s",
		    uuid_text(&m->uuid, text), v->name);

		if (sql_run(c->db, e,
			"INSERT INTO mirror_volume VALUES(?,?,?,?,?,?,?,?)",
			"uiutiiti", &m->uuid, (int64_t)i, &v->uuid, v->name,
			(int64_t)v->source_kind, (int64_t)v->size,
			m->relay ? none : v->path, (int64_t)v->kind) < 0)
			return -1;
	}
	return m->pull == NULL ? 0
			       : catalogue_save_pull(c, &m->uuid, m->pull, e);
}

int
catalogue_pause_mirror(struct catalogue *c, const struct uuid *mirror,
    bool fetch_paused, bool apply_paused, struct err *e)
{
	return sql_run(c->db, e,
	    "UPDATE mirror SET fetch_paused=?, apply_paused=? WHERE uuid=?",
	    "bbu", (int)fetch_paused, (int)apply_paused, mirror);
}

int
catalogue_add_key(
    struct catalogue *c, const struct key_config *k, struct err *e)
{
	char id[2 * KEY_ID_LEN + 1];

	return sql_run(c->db, e,
	    "INSERT INTO group_key(id, owner, state, time_ns)"
	    " VALUES(?,?,?,?)",
	    "tuii", hex_text(k->id, KEY_ID_LEN, id), &k->group,
	    (int64_t)k->state, (int64_t)k->time_ns);
}

int
catalogue_set_key(struct catalogue *c, const uint8_t id[KEY_ID_LEN],
    enum key_state state, struct err *e)
{
	char text[2 * KEY_ID_LEN + 1];

	return sql_run(c->db, e, "UPDATE group_key SET state=? WHERE id=?",
	    "it", (int64_t)state, hex_text(id, KEY_ID_LEN, text));
}

int
catalogue_event(
    struct catalogue *c, const char *subject, const char *text, struct err *e)
{
	if (sql_run(c->db, e,
		"INSERT INTO event(time_ns, subject, text) VALUES(?,?,?)",
		"itt", (int64_t)clock_wall_ns(), subject, text) < 0)
		return -1;
	return sql_run(c->db, e,
	    "DELETE FROM event WHERE id <="
	    " (SELECT max(id) - " STR(EVENT_LIMIT) " FROM event)",
	    "");
}

int
catalogue_events(struct catalogue *c, uint32_t count,
    int (*show)(
	void *ctx, uint64_t time_ns, const char *subject, const char *text),
    void *ctx, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	char subject[256], text[1024];
	int64_t time_ns;
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT time_ns, subject, text FROM (SELECT * FROM event"
		" ORDER BY id DESC LIMIT ?) ORDER BY id",
		"i", (int64_t)count) < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		if (sql_row(st, e, "itt", &time_ns, subject, sizeof(subject),
			text, sizeof(text)) < 0)
			return -1;
		if (show(ctx, (uint64_t)time_ns, subject, text) < 0)
			return -1;
	}
	return more;
}
