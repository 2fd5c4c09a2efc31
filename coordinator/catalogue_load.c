/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalogue_load: the whole configuration as the structs of config.h. All is
 * read inside one transaction. What is impossible is CORRUPT: the file may
 * have been edited by hand.
 */
#include "coordinator/catalogue.h"

#include "common/cleanup.h"
#include "coordinator/catalogue_db.h"
#include "coordinator/destination_option.h"
#include "coordinator/sql.h"
#include "fileformat/codec.h"

#include <stdlib.h>
#include <string.h>

#define ROW_LIMIT 100000u /* more of anything is nonsense */

void *
catalogue_grow(void **array, uint32_t count, size_t size, struct err *e)
{
	void *more;

	if (count >= ROW_LIMIT) {
		(void)err_set(e, ERR_CORRUPT, "catalogue.db: too many rows");
		return NULL;
	}
	more = reallocarray(*array, (size_t)count + 1, size);
	if (more == NULL) {
		(void)err_set(e, ERR_RETRY, "out of memory");
		return NULL;
	}
	*array = more;
	more = (char *)more + count * size;
	memset(more, 0, size);
	return more;
}

static int
impossible(struct err *e, const char *what, const char *name)
{
	return err_set(
	    e, ERR_CORRUPT, "catalogue.db: impossible %s of %s", what, name);
}

static bool
is_volume_kind(int64_t kind)
{
	return kind == VOLUME_FILE || kind == VOLUME_BLOCK;
}

static int
load_volumes(struct catalogue *c, struct group_config *g, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT uuid, name, kind, size, path FROM volume"
		" WHERE source=? ORDER BY position",
		"u", &g->uuid) < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		struct volume_config *v = catalogue_grow(
		    (void **)&g->volumes, g->volume_count, sizeof(*v), e);
		int64_t kind, size;

		if (v == NULL)
			return -1;
		if (sql_row(st, e, "utiit", &v->uuid, v->name, sizeof(v->name),
			&kind, &size, v->path, sizeof(v->path)) < 0)
			return -1;
		if (!is_volume_kind(kind) || size < 0)
			return impossible(e, "kind or size", v->name);
		v->kind = (enum volume_kind)kind;
		v->size = (uint64_t)size;
		g->volume_count++;
	}
	return more;
}

static bool
is_small(int64_t n)
{
	return n >= 0 && n <= UINT32_MAX;
}

static int
load_group(sqlite3_stmt *st, struct group_config *g, struct err *e)
{
	int64_t limit, policy, age, beat, keep, codec;

	if (sql_row(st, e, "utuiiiiiib", &g->uuid, g->name, sizeof(g->name),
		&g->stream, &limit, &policy, &age, &beat, &keep, &codec,
		&g->exported) < 0)
		return -1;
	if (limit < 0 || policy < CAPTURE_BLOCK || policy > CAPTURE_PASS ||
	    !is_small(age) || !is_small(beat) || !is_small(keep) ||
	    codec < CODEC_NONE || codec > CODEC_ZSTD)
		return impossible(e, "settings", g->name);
	g->spool_limit = (uint64_t)limit;
	g->spool_policy = (enum capture_policy)policy;
	g->seal_age_ms = (uint32_t)age;
	g->heartbeat_ms = (uint32_t)beat;
	g->retention_ms = (uint32_t)keep;
	g->codec = (enum codec)codec;
	return 0;
}

static int
load_level(struct catalogue *c, struct group_config *g, struct err *e)
{
	char text[16] = "0", *end;
	long level;

	if (catalogue_get(c, &g->uuid, "codec-level", text, sizeof(text), e) <
	    0)
		return -1;
	level = strtol(text, &end, 10);
	if (end == text || *end != 0 || level < 0 ||
	    level > codec_levels(g->codec))
		return impossible(e, "level of compression", g->name);
	g->codec_level = (int)level;
	return 0;
}

/* How long a recovery waits for sums, in seconds. */
static int
load_compare_wait(struct catalogue *c, struct group_config *g, struct err *e)
{
	char text[16], *end;
	int got =
	    catalogue_get(c, &g->uuid, COMPARE_WAIT_KEY, text, sizeof(text), e);
	unsigned long seconds = COMPARE_WAIT_DEFAULT;

	if (got < 0)
		return -1;
	if (got > 0)
		seconds = strtoul(text, &end, 10);
	if (got > 0 &&
	    (end == text || *end != 0 || seconds > COMPARE_WAIT_MOST))
		return impossible(e, "wait for sums", g->name);
	g->compare_wait_ms = (uint32_t)seconds * 1000;
	g->compare_asked = got > 0;
	return 0;
}

static int
load_groups(struct catalogue *c, struct snapshot *s, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT uuid, name, stream, spool_limit, spool_policy,"
		" seal_age_ms, heartbeat_ms, retention_ms, codec, exported"
		" FROM source ORDER BY name",
		"") < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		struct group_config *g = catalogue_grow(
		    (void **)&s->groups, s->group_count, sizeof(*g), e);

		if (g == NULL)
			return -1;
		s->group_count++;
		if (load_group(st, g, e) < 0 || load_level(c, g, e) < 0 ||
		    catalogue_load_group(c, g, e) < 0 ||
		    load_compare_wait(c, g, e) < 0 || load_volumes(c, g, e) < 0)
			return -1;
	}
	return more;
}

/* A catalogue that was not written since then has no such table. */
static int
has_options(struct catalogue *c, bool *out, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT 1 FROM sqlite_schema WHERE type='table'"
		" AND name='destination_option'",
		"") < 0)
		return -1;
	more = sql_step(st, e);
	if (more < 0)
		return -1;
	*out = more == 1;
	return 0;
}

static int
load_options(struct catalogue *c, struct destination_config *d, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	const struct destination_option *o;
	char name[NAME_LIMIT], value[PATH_MAX];
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT name, value FROM destination_option"
		" WHERE destination=?",
		"u", &d->uuid) < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		if (sql_row(st, e, "tt", name, sizeof(name), value,
			sizeof(value)) < 0)
			return -1;
		o = destination_option_find(name);
		if (o == NULL)
			return err_set(e, ERR_REFUSED,
			    "catalogue.db: destination %s has the option '%s', "
			    "which this release does not know: use the release "
			    "that wrote it, or a newer one",
			    d->name, name);
		if (strlen(value) >= o->room)
			return impossible(e, name, d->name);
		(void)strcpy(destination_option_text(d, o), value);
	}
	return more;
}

static int
load_destinations(struct catalogue *c, struct snapshot *s, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	bool options;
	int more;

	if (has_options(c, &options, e) < 0)
		return -1;
	if (sql_open(c->db, &st, e,
		"SELECT d.uuid, d.source, g.stream, d.name, d.mirror,"
		" d.mirror_site, d.mirror_site_name, d.mirror_key, d.url,"
		" d.ack_url, d.key_file, d.known_hosts, d.ack_key_file,"
		" d.paused, d.prune_at FROM destination d JOIN source g"
		" ON g.uuid=d.source ORDER BY d.source, d.name",
		"") < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		struct destination_config *d =
		    catalogue_grow((void **)&s->destinations,
			s->destination_count, sizeof(*d), e);
		int64_t prune;

		if (d == NULL)
			return -1;
		if (sql_row(st, e, "uuutuutktttttbi", &d->uuid, &d->group,
			&d->stream, d->name, sizeof(d->name), &d->mirror,
			&d->mirror_site, d->mirror_site_name,
			sizeof(d->mirror_site_name), &d->mirror_key, d->url,
			sizeof(d->url), d->ack_url, sizeof(d->ack_url),
			d->key_file, sizeof(d->key_file), d->known_hosts,
			sizeof(d->known_hosts), d->ack_key_file,
			sizeof(d->ack_key_file), &d->paused, &prune) < 0)
			return -1;
		d->owner = d->group;
		if (prune < PRUNE_APPLIED || prune > PRUNE_HOP)
			return impossible(e, "prune_at", d->name);
		d->prune_at = (enum prune_at)prune;
		catalogue_scratch(c, d);
		s->destination_count++;
		if (options && load_options(c, d, e) < 0)
			return -1;
	}
	return more;
}

static int
load_mirror_volumes(struct catalogue *c, struct mirror_config *m, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT uuid, name, source_kind, size, path, kind"
		" FROM mirror_volume WHERE mirror=? ORDER BY position",
		"u", &m->uuid) < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		struct mirror_volume_config *v = catalogue_grow(
		    (void **)&m->volumes, m->volume_count, sizeof(*v), e);
		int64_t kind, source_kind, size;

		if (v == NULL)
			return -1;
		if (sql_row(st, e, "utiiti", &v->uuid, v->name, sizeof(v->name),
			&source_kind, &size, v->path, sizeof(v->path),
			&kind) < 0)
			return -1;
		if (!is_volume_kind(kind) || !is_volume_kind(source_kind) ||
		    size < 0)
			return impossible(e, "kind or size", v->name);
		if (m->relay)
			v->path[0] = '\0';
		v->kind = (enum volume_kind)kind;
		v->source_kind = (enum volume_kind)source_kind;
		v->size = (uint64_t)size;
		m->volume_count++;
	}
	return more;
}

static int
load_mirrors(struct catalogue *c, struct snapshot *s, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT uuid, name, source, stream, source_site,"
		" source_site_name, source_key, incoming, fetch_paused,"
		" apply_paused, done_keep FROM mirror ORDER BY name",
		"") < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		struct mirror_config *m = catalogue_grow(
		    (void **)&s->mirrors, s->mirror_count, sizeof(*m), e);
		int64_t keep;

		if (m == NULL)
			return -1;
		s->mirror_count++;
		if (sql_row(st, e, "utuuutktbbi", &m->uuid, m->group_name,
			sizeof(m->group_name), &m->group, &m->stream,
			&m->source_site, m->source_site_name,
			sizeof(m->source_site_name), &m->source_key,
			m->incoming, sizeof(m->incoming), &m->fetch_paused,
			&m->apply_paused, &keep) < 0)
			return -1;
		if (!is_small(keep))
			return impossible(e, "done_keep", m->group_name);
		m->done_keep = (uint32_t)keep;
		if (catalogue_load_relay(c, m, e) < 0)
			return -1;
		if (load_mirror_volumes(c, m, e) < 0 ||
		    catalogue_load_mirror(c, m, e) < 0 ||
		    catalogue_load_pull(c, &m->uuid, &m->pull, e) < 0)
			return -1;
	}
	return more;
}

static void
note_key(struct snapshot *s, const struct key_config *k)
{
	for (uint32_t i = 0; i < s->mirror_count; i++)
		if (k->state != KEY_RETIRED &&
		    uuid_equal(&s->mirrors[i].group, &k->group))
			s->mirrors[i].keys++;
	for (uint32_t i = 0; i < s->group_count; i++) {
		struct group_config *g = &s->groups[i];

		if (k->state != KEY_CURRENT || !uuid_equal(&g->uuid, &k->group))
			continue;
		g->encrypted = true;
		memcpy(g->key_id, k->id, KEY_ID_LEN);
	}
}

static int
load_keys(struct catalogue *c, struct snapshot *s, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (!c->has_keys)
		return 0;
	if (sql_open(c->db, &st, e,
		"SELECT id, owner, state, time_ns FROM group_key"
		" ORDER BY position",
		"") < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		struct key_config *k = catalogue_grow(
		    (void **)&s->keys, s->key_count, sizeof(*k), e);
		char id[2 * KEY_ID_LEN + 1];
		int64_t state, time;

		if (k == NULL)
			return -1;
		if (sql_row(st, e, "tuii", id, sizeof(id), &k->group, &state,
			&time) < 0)
			return -1;
		if (state < KEY_NEXT || state > KEY_RETIRED ||
		    hex_parse(id, k->id, sizeof(k->id), NULL) < 0)
			return impossible(e, "state or id", "a group's key");
		k->state = (enum key_state)state;
		k->time_ns = (uint64_t)time;
		note_key(s, k);
		s->key_count++;
	}
	return more;
}

int
catalogue_load(struct catalogue *c, struct snapshot *out, struct err *e)
{
	AUTO(snapshot_release) struct snapshot s = {.site = c->home->site};
	bool own = sqlite3_get_autocommit(c->db) != 0;

	(void)strcpy(s.site_name, c->home->site_name);
	if (own && sql_exec(c->db, "BEGIN", e) < 0)
		return -1;
	if (load_groups(c, &s, e) < 0 || load_destinations(c, &s, e) < 0 ||
	    load_mirrors(c, &s, e) < 0 ||
	    catalogue_load_forwards(c, &s, e) < 0 ||
	    catalogue_load_projections(c, &s, e) < 0 ||
	    catalogue_load_hubs(c, &s, e) < 0 || load_keys(c, &s, e) < 0 ||
	    catalogue_load_hooks(c, &s, e) < 0 ||
	    catalogue_load_locations(c, &s, e) < 0) {
		if (own)
			(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	if (own && sql_exec(c->db, "COMMIT", e) < 0)
		return -1;
	catalogue_join(&s);
	catalogue_mark_commits(&s);
	*out = s;
	memset(&s, 0, sizeof(s));
	return 0;
}

void
snapshot_release(struct snapshot *s)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		free(s->groups[i].volumes);
	for (uint32_t i = 0; i < s->mirror_count; i++) {
		free(s->mirrors[i].volumes);
		free(s->mirrors[i].pull);
	}
	free(s->groups);
	free(s->destinations);
	free(s->mirrors);
	free(s->keys);
	for (uint32_t i = 0; i < s->projection_count; i++)
		free(s->projections[i].parts);
	free(s->projections);
	free(s->hooks);
	memset(s, 0, sizeof(*s));
}

const struct group_config *
snapshot_group(const struct snapshot *s, const char *name)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		if (strcmp(s->groups[i].name, name) == 0)
			return &s->groups[i];
	return NULL;
}

const struct mirror_config *
snapshot_mirror(const struct snapshot *s, const char *name)
{
	for (uint32_t i = 0; i < s->mirror_count; i++)
		if (strcmp(s->mirrors[i].group_name, name) == 0)
			return &s->mirrors[i];
	return NULL;
}

const struct destination_config *
snapshot_destinations(
    const struct snapshot *s, const struct uuid *owner, uint32_t *count)
{
	const struct destination_config *first = NULL;

	*count = 0;
	for (uint32_t i = 0; i < s->destination_count; i++) {
		if (!uuid_equal(&s->destinations[i].owner, owner))
			continue;
		if (first == NULL)
			first = &s->destinations[i];
		++*count;
	}
	return first;
}
