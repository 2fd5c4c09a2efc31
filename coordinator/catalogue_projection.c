/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalogue_projection: projections as rows of `setting`:
 *
 *   <group>        projection.NAME     <stream>
 *   <stream>       fold                within | lagging
 *   <stream>       codec               number, as in a journal file; and level
 *   <stream>       part.<volume>       all | OFFSET+LENGTH; none: all volumes
 *   <stream>       member              its place in the group's layout
 *   <group>        layout              LEVEL:chunk=SIZE:members=NAME,...
 *   <destination>  stream              <stream>
 */
#include "common/cleanup.h"
#include "coordinator/catalogue_db.h"
#include "coordinator/projection.h"
#include "coordinator/sql.h"
#include "fileformat/codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LIMIT (NAME_LIMIT + UUID_TEXT + 16)
#define PROJECTION_LIMIT 10000u

static int
impossible(struct err *e, const char *what, const char *name)
{
	return err_set(e, ERR_CORRUPT,
	    "catalogue.db: impossible %s of projection %s", what, name);
}

static bool
parse_range(const char *text, struct projection_part *out)
{
	int used = -1;

	if (strcmp(text, "all") == 0)
		return true;
	return sscanf(text, "%" SCNu64 "+%" SCNu64 "%n", &out->off, &out->len,
		   &used) == 2 &&
	       used >= 0 && text[used] == '\0' && out->len > 0 &&
	       out->off <= INT64_MAX && out->len <= INT64_MAX - out->off;
}

/* What is taken of this volume: 1, 0 nothing, -1. */
static int
load_part(struct catalogue *c, const struct projection_config *p,
    const struct uuid *volume, struct projection_part *out, struct err *e)
{
	char key[KEY_LIMIT], uuid[UUID_TEXT], text[64];
	int got;

	(void)snprintf(key, sizeof(key), "part.%s", uuid_text(volume, uuid));
	got = catalogue_get(c, &p->stream, key, text, sizeof(text), e);
	if (got == 1 && !parse_range(text, out))
		return impossible(e, "range", p->name);
	return got;
}

static int
load_parts(struct catalogue *c, const struct group_config *g,
    struct projection_config *p, struct err *e)
{
	p->parts = calloc((size_t)g->volume_count + 1, sizeof(*p->parts));
	if (p->parts == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (uint32_t i = 0; i < g->volume_count; i++) {
		struct projection_part part = {.volume = i};
		int got = load_part(c, p, &g->volumes[i].uuid, &part, e);

		if (got < 0)
			return -1;
		if (got == 1)
			p->parts[p->part_count++] = part;
	}
	for (uint32_t i = 0; p->part_count == 0 && i < g->volume_count; i++)
		p->parts[i].volume = i;
	if (p->part_count == 0)
		p->part_count = g->volume_count;
	return 0;
}

/* 1, 0 the group has no layout, -1. */
int
catalogue_get_layout(struct catalogue *c, const struct uuid *group,
    struct layout_spec *out, struct err *e)
{
	AUTO_FREE char *text = malloc(LAYOUT_TEXT);
	int got;

	if (text == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	got = catalogue_get(c, group, "layout", text, LAYOUT_TEXT, e);
	if (got == 1 && layout_parse(text, out, e) < 0)
		return err_at(e, "catalogue.db");
	return got;
}

static int
load_member(struct catalogue *c, const struct group_config *g,
    struct projection_config *p, struct err *e)
{
	struct layout_spec spec;
	char text[16], *end;
	unsigned long member;
	int got = catalogue_get(c, &p->stream, "member", text, sizeof(text), e);

	if (got <= 0)
		return got;
	got = catalogue_get_layout(c, &g->uuid, &spec, e);
	if (got < 0)
		return -1;
	if (got != 1)
		return impossible(e, "layout", p->name);
	member = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || member >= spec.layout.members)
		return impossible(e, "layout", p->name);
	p->layout = spec.layout;
	p->member = (uint32_t)member;
	return 0;
}

/* "CODEC LEVEL"; without it the group's. */
static int
load_codec(struct catalogue *c, const struct group_config *g,
    struct projection_config *p, struct err *e)
{
	unsigned codec, level;
	char text[32], more;
	int got = catalogue_get(c, &p->stream, "codec", text, sizeof(text), e);

	p->codec = g->codec;
	p->codec_level = g->codec_level;
	if (got <= 0)
		return got;
	if (sscanf(text, "%3u %3u%c", &codec, &level, &more) != 2 ||
	    codec < CODEC_NONE || codec > CODEC_ZSTD ||
	    level > (unsigned)codec_levels((enum codec)codec))
		return impossible(e, "compression", p->name);
	p->codec = (enum codec)codec;
	p->codec_level = (int)level;
	return 0;
}

static int
load_one(struct catalogue *c, const struct group_config *g,
    struct projection_config *p, struct err *e)
{
	char text[16] = "none";

	if (catalogue_get(c, &p->stream, "fold", text, sizeof(text), e) < 0)
		return -1;
	if (!fold_mode_parse(text, &p->fold))
		return impossible(e, "folding", p->name);
	if (load_codec(c, g, p, e) < 0 || load_member(c, g, p, e) < 0)
		return -1;
	return load_parts(c, g, p, e);
}

static struct projection_config *
add(struct snapshot *s, const struct uuid *group, struct err *e)
{
	struct projection_config *more = NULL;

	if (s->projection_count < PROJECTION_LIMIT)
		more = reallocarray(s->projections,
		    (size_t)s->projection_count + 1, sizeof(*more));
	if (more == NULL) {
		(void)err_set(e, ERR_RETRY, "out of memory");
		return NULL;
	}
	s->projections = more;
	more += s->projection_count++;
	memset(more, 0, sizeof(*more));
	more->group = *group;
	return more;
}

static int
load_group(struct catalogue *c, struct snapshot *s,
    const struct group_config *g, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	char key[KEY_LIMIT];
	int more;

	if (sql_open(c->db, &st, e,
		"SELECT key, value FROM setting WHERE subject=?"
		" AND key GLOB 'projection.*' ORDER BY key",
		"u", &g->uuid) < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		struct projection_config *p = add(s, &g->uuid, e);
		const char *name = key + strlen("projection.");

		if (p == NULL ||
		    sql_row(st, e, "tu", key, sizeof(key), &p->stream) < 0)
			return -1;
		if (name_check("projection", name, e) < 0)
			return err_at(e, "catalogue.db");
		(void)strcpy(p->name, name);
		if (load_one(c, g, p, e) < 0)
			return -1;
	}
	return more;
}

static int
load_stream(struct catalogue *c, const struct snapshot *s,
    struct destination_config *d, struct err *e)
{
	const struct projection_config *p = NULL;
	char text[UUID_TEXT];
	int got = catalogue_get(c, &d->uuid, "stream", text, sizeof(text), e);

	if (got <= 0)
		return got;
	if (uuid_parse(text, &d->stream, NULL) == 0)
		p = snapshot_projection_of(s, &d->stream);
	if (p == NULL)
		return err_set(e, ERR_CORRUPT,
		    "catalogue.db: destination %s has a projection that is "
		    "not there",
		    d->name);
	d->layout = p->layout;
	d->member = p->member;
	return 0;
}

int
catalogue_load_projections(
    struct catalogue *c, struct snapshot *s, struct err *e)
{
	if (!c->has_settings)
		return 0;
	for (uint32_t i = 0; i < s->group_count; i++)
		if (load_group(c, s, &s->groups[i], e) < 0)
			return -1;
	for (uint32_t i = 0; i < s->destination_count; i++)
		if (load_stream(c, s, &s->destinations[i], e) < 0)
			return -1;
	return 0;
}

int
catalogue_save_stream(
    struct catalogue *c, const struct destination_config *d, struct err *e)
{
	char text[UUID_TEXT];

	return catalogue_set(
	    c, &d->uuid, "stream", uuid_text(&d->stream, text), e);
}

int
catalogue_add_projection(struct catalogue *c, const struct projection_config *p,
    const struct group_config *g, struct err *e)
{
	char key[KEY_LIMIT], uuid[UUID_TEXT], text[64];

	(void)snprintf(key, sizeof(key), "projection.%s", p->name);
	if (catalogue_set(c, &p->group, key, uuid_text(&p->stream, uuid), e) <
		0 ||
	    catalogue_set(c, &p->stream, "fold",
		p->fold == FOLD_NONE ? "" : fold_mode_name(p->fold), e) < 0)
		return -1;
	(void)snprintf(
	    text, sizeof(text), "%d %d", (int)p->codec, p->codec_level);
	if ((p->codec != g->codec || p->codec_level != g->codec_level) &&
	    catalogue_set(c, &p->stream, "codec", text, e) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%" PRIu32, p->member);
	if (p->layout.members > 0 &&
	    catalogue_set(c, &p->stream, "member", text, e) < 0)
		return -1;
	for (uint32_t i = 0; i < p->part_count; i++) {
		const struct projection_part *part = &p->parts[i];

		(void)snprintf(key, sizeof(key), "part.%s",
		    uuid_text(&g->volumes[part->volume].uuid, uuid));
		(void)snprintf(text, sizeof(text), "%" PRIu64 "+%" PRIu64,
		    part->off, part->len);
		if (catalogue_set(c, &p->stream, key,
			part->len == 0 ? "all" : text, e) < 0)
			return -1;
	}
	return 0;
}

int
catalogue_remove_projection(
    struct catalogue *c, const struct projection_config *p, struct err *e)
{
	char key[KEY_LIMIT];

	(void)snprintf(key, sizeof(key), "projection.%s", p->name);
	if (catalogue_set(c, &p->group, key, "", e) < 0)
		return -1;
	return catalogue_forget(c, &p->stream, e);
}

const struct projection_config *
snapshot_projection(
    const struct snapshot *s, const struct uuid *group, const char *name)
{
	for (uint32_t i = 0; i < s->projection_count; i++)
		if (uuid_equal(&s->projections[i].group, group) &&
		    strcmp(s->projections[i].name, name) == 0)
			return &s->projections[i];
	return NULL;
}

const struct projection_config *
snapshot_projection_of(const struct snapshot *s, const struct uuid *stream)
{
	for (uint32_t i = 0; i < s->projection_count; i++)
		if (uuid_equal(&s->projections[i].stream, stream))
			return &s->projections[i];
	return NULL;
}
