/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalogue_forward: relays, and where they and mirrors pass files on to. A
 * row has what makes the destination what it is; its place is in settings.
 */
#include "common/cleanup.h"
#include "coordinator/catalogue_db.h"
#include "coordinator/sql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIA_LIMIT 16

int
catalogue_add_forward(
    struct catalogue *c, const struct destination_config *d, struct err *e)
{
	if (sql_run(c->db, e,
		"INSERT INTO forward VALUES(?,?,?,?,?,?,?,?,?,?,?)",
		"uutuutkttbi", &d->uuid, &d->owner, d->name, &d->mirror,
		&d->mirror_site, d->mirror_site_name, &d->mirror_key,
		d->ack_url, d->ack_key_file, (int)d->paused,
		(int64_t)d->prune_at) < 0 ||
	    catalogue_save_place(c, &d->uuid, d, e) < 0)
		return -1;
	return catalogue_set(c, &d->uuid, "hub", d->hub ? "yes" : "", e);
}

int
catalogue_is_forward(
    struct catalogue *c, const struct uuid *destination, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;

	if (!c->has_forwards)
		return 0;
	if (sql_open(c->db, &st, e, "SELECT 1 FROM forward WHERE uuid=?", "u",
		destination) < 0)
		return -1;
	return sql_step(st, e);
}

static struct mirror_config *
find_mirror(struct snapshot *s, const struct uuid *uuid)
{
	for (uint32_t i = 0; i < s->mirror_count; i++)
		if (uuid_equal(&s->mirrors[i].uuid, uuid))
			return &s->mirrors[i];
	return NULL;
}

/* What it takes over from the mirror or relay. */
static int
adopt(struct snapshot *s, struct destination_config *d, struct err *e)
{
	const struct mirror_config *m = find_mirror(s, &d->owner);

	if (m == NULL)
		return err_set(e, ERR_CORRUPT,
		    "catalogue.db: destination %s belongs to nothing", d->name);
	d->forward = true;
	d->group = m->group;
	d->stream = m->stream;
	d->source_site = m->source_site;
	return 0;
}

int
catalogue_load_forwards(struct catalogue *c, struct snapshot *s, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	int more;

	if (!c->has_forwards)
		return 0;
	if (sql_open(c->db, &st, e,
		"SELECT uuid, owner, name, mirror, mirror_site,"
		" mirror_site_name, mirror_key, ack_url, ack_key_file, paused,"
		" prune_at FROM forward ORDER BY owner, name",
		"") < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		struct destination_config *d =
		    catalogue_grow((void **)&s->destinations,
			s->destination_count, sizeof(*d), e);
		int64_t prune;

		if (d == NULL)
			return -1;
		if (sql_row(st, e, "uutuutkttbi", &d->uuid, &d->owner, d->name,
			sizeof(d->name), &d->mirror, &d->mirror_site,
			d->mirror_site_name, sizeof(d->mirror_site_name),
			&d->mirror_key, d->ack_url, sizeof(d->ack_url),
			d->ack_key_file, sizeof(d->ack_key_file), &d->paused,
			&prune) < 0)
			return -1;
		if (prune < PRUNE_APPLIED || prune > PRUNE_HOP)
			return err_set(e, ERR_CORRUPT,
			    "catalogue.db: impossible prune_at of %s", d->name);
		d->prune_at = (enum prune_at)prune;
		if (catalogue_load_place(c, &d->uuid, d, e) < 0 ||
		    adopt(s, d, e) < 0)
			return -1;
		s->destination_count++;
	}
	return more;
}

static void
take_place(struct destination_config *d, const struct destination_config *from)
{
	memcpy(d->url, from->url, sizeof(d->url));
	memcpy(d->ack_url, from->ack_url, sizeof(d->ack_url));
	memcpy(d->key_file, from->key_file, sizeof(d->key_file));
	memcpy(d->known_hosts, from->known_hosts, sizeof(d->known_hosts));
	memcpy(d->ack_key_file, from->ack_key_file, sizeof(d->ack_key_file));
	memcpy(d->ca_file, from->ca_file, sizeof(d->ca_file));
	memcpy(d->credentials_file, from->credentials_file,
	    sizeof(d->credentials_file));
	memcpy(d->ack_credentials_file, from->ack_credentials_file,
	    sizeof(d->ack_credentials_file));
	memcpy(d->pin, from->pin, sizeof(d->pin));
	memcpy(d->proxy, from->proxy, sizeof(d->proxy));
}

const struct destination_config *
destination_hop(const struct destination_config *d,
    const struct destination_config *all, uint32_t count)
{
	for (int depth = 0; d->via[0] != 0; depth++) {
		const struct destination_config *next = NULL;

		for (uint32_t i = 0; i < count; i++)
			if (strcmp(all[i].name, d->via) == 0 &&
			    uuid_equal(&all[i].owner, &d->owner))
				next = &all[i];
		if (next == NULL || depth == VIA_LIMIT)
			return NULL;
		d = next;
	}
	return d;
}

void
catalogue_join(struct snapshot *s)
{
	for (uint32_t i = 0; i < s->destination_count; i++) {
		struct destination_config *d = &s->destinations[i];
		const struct destination_config *hop =
		    destination_hop(d, s->destinations, s->destination_count);

		if (d->via[0] != 0 && hop != NULL)
			take_place(d, hop);
	}
	for (uint32_t i = 0; i < s->mirror_count; i++)
		s->mirrors[i].destinations = snapshot_destinations(
		    s, &s->mirrors[i].uuid, &s->mirrors[i].destination_count);
}

int
catalogue_load_relay(
    struct catalogue *c, struct mirror_config *m, struct err *e)
{
	char text[32] = "0", *end;
	int got = catalogue_get(c, &m->uuid, "is-relay", text, sizeof(text), e);

	if (got < 0)
		return -1;
	m->relay = got == 1;
	(void)strcpy(text, "0");
	if (catalogue_get(c, &m->uuid, "spool-limit", text, sizeof(text), e) <
	    0)
		return -1;
	errno = 0;
	m->spool_limit = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != 0)
		return err_set(e, ERR_CORRUPT,
		    "catalogue.db: impossible spool limit of %s",
		    m->group_name);
	return 0;
}

int
catalogue_save_relay(
    struct catalogue *c, const struct mirror_config *m, struct err *e)
{
	char text[32];

	if (!m->relay)
		return 0;
	(void)snprintf(text, sizeof(text), "%" PRIu64, m->spool_limit);
	return catalogue_set(c, &m->uuid, "is-relay", "yes", e) < 0
		   ? -1
		   : catalogue_set(c, &m->uuid, "spool-limit", text, e);
}
