/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalogue_setting: what only some destinations and mirrors have, as one row
 * for each, "<UUID of whose it is> KEY VALUE".
 */
#include "common/cleanup.h"
#include "coordinator/catalogue_db.h"
#include "coordinator/destination_option.h"
#include "coordinator/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(key, member)                                                     \
	{                                                                      \
		key, offsetof(struct destination_config, member),              \
		    sizeof(((struct destination_config *)0)->member)           \
	}

static const struct {
	const char *key;
	size_t at, room;
} fields[] = {
    FIELD("pull-url", url),
    FIELD("key", key_file),
    FIELD("known-hosts", known_hosts),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

int
catalogue_set(struct catalogue *c, const struct uuid *subject, const char *key,
    const char *value, struct err *e)
{
	if (value[0] == '\0')
		return sql_run(c->db, e,
		    "DELETE FROM setting WHERE subject=? AND key=?", "ut",
		    subject, key);
	return sql_run(c->db, e, "INSERT OR REPLACE INTO setting VALUES(?,?,?)",
	    "utt", subject, key, value);
}

int
catalogue_get(struct catalogue *c, const struct uuid *subject, const char *key,
    char *out, size_t room, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (!c->has_settings)
		return 0;
	if (sql_open(c->db, &st, e,
		"SELECT value FROM setting WHERE subject=? AND key=?", "ut",
		subject, key) < 0)
		return -1;
	more = sql_step(st, e);
	if (more <= 0)
		return more;
	return sql_row(st, e, "t", out, room) < 0 ? -1 : 1;
}

int
catalogue_forget(struct catalogue *c, const struct uuid *subject, struct err *e)
{
	return sql_run(
	    c->db, e, "DELETE FROM setting WHERE subject=?", "u", subject);
}

int
catalogue_save_place(struct catalogue *c, const struct uuid *mirror,
    const struct destination_config *place, struct err *e)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (catalogue_set(c, mirror, fields[i].key,
			(const char *)place + fields[i].at, e) < 0)
			return -1;
	for (size_t i = 0; i < destination_option_count; i++)
		if (catalogue_set(c, mirror, destination_options[i].name,
			(const char *)place + destination_options[i].offset,
			e) < 0)
			return -1;
	return 0;
}

void
catalogue_scratch(struct catalogue *c, struct destination_config *d)
{
	if ((size_t)snprintf(d->scratch, sizeof(d->scratch), "%s/stage",
		c->home->path) >= sizeof(d->scratch))
		d->scratch[0] = '\0';
}

int
catalogue_load_place(struct catalogue *c, const struct uuid *mirror,
    struct destination_config *place, struct err *e)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (catalogue_get(c, mirror, fields[i].key,
			(char *)place + fields[i].at, fields[i].room, e) < 0)
			return -1;
	for (size_t i = 0; i < destination_option_count; i++)
		if (catalogue_get(c, mirror, destination_options[i].name,
			(char *)place + destination_options[i].offset,
			destination_options[i].room, e) < 0)
			return -1;
	catalogue_scratch(c, place);
	return 0;
}

int
catalogue_save_pull(struct catalogue *c, const struct uuid *mirror,
    const struct destination_config *place, struct err *e)
{
	return catalogue_save_place(c, mirror, place, e);
}

int
catalogue_load_pull(struct catalogue *c, const struct uuid *mirror,
    struct destination_config **out, struct err *e)
{
	AUTO_FREE struct destination_config *place = calloc(1, sizeof(*place));

	if (place == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (catalogue_load_place(c, mirror, place, e) < 0)
		return -1;
	if (place->url[0] == '\0')
		return 0;
	*out = STEAL(place);
	return 1;
}

static bool
shares(const struct destination_config *a, const struct destination_config *b)
{
	return uuid_equal(&a->stream, &b->stream) &&
	       strcmp(a->url, b->url) == 0;
}

int
catalogue_load_hubs(struct catalogue *c, struct snapshot *s, struct err *e)
{
	char text[8];
	int got;

	for (uint32_t i = 0; i < s->destination_count; i++) {
		struct destination_config *d = &s->destinations[i];

		got = catalogue_get(c, &d->uuid, "hub", text, sizeof(text), e);
		if (got < 0)
			return -1;
		d->hub = got == 1;
		for (uint32_t k = 0; d->hub && k < i; k++)
			d->hub_rank += s->destinations[k].hub &&
				       !s->destinations[k].paused &&
				       shares(&s->destinations[k], d);
	}
	return 0;
}
