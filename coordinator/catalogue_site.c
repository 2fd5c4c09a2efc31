/* SPDX-License-Identifier: Apache-2.0 */
/* catalogue_site: what belongs to the site as a whole, as rows of the table
 * `setting` whose subject is the nil UUID. */
#include "coordinator/catalogue_db.h"

#include "common/cleanup.h"
#include "coordinator/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOOK_KEY "hook."

static const struct uuid the_site;

int
catalogue_set_hook(
    struct catalogue *c, const struct hook_config *k, struct err *e)
{
	char key[sizeof(HOOK_KEY) + NAME_LIMIT];
	char value[sizeof(k->kinds) + sizeof(k->path) + 1] = "";

	(void)snprintf(key, sizeof(key), HOOK_KEY "%s", k->name);
	if (k->path[0] != 0)
		(void)snprintf(
		    value, sizeof(value), "%s %s", k->kinds, k->path);
	return catalogue_set(c, &the_site, key, value, e);
}

int
catalogue_set_location(struct catalogue *c, const struct uuid *subject,
    const struct location *l, struct err *e)
{
	char text[LOCATION_TEXT];

	return catalogue_set(c, subject == NULL ? &the_site : subject,
	    "location", location_text(l, text), e);
}

static int
load_location(struct catalogue *c, const struct uuid *subject,
    struct location *out, struct err *e)
{
	char text[LOCATION_TEXT];
	int got = catalogue_get(c, subject, "location", text, sizeof(text), e);

	if (got <= 0)
		return got;
	if (location_parse(text, out, e) < 0)
		return err_set(e, ERR_CORRUPT,
		    "catalogue.db: '%s' cannot be a location", text);
	return 0;
}

int
catalogue_load_locations(struct catalogue *c, struct snapshot *s, struct err *e)
{
	if (load_location(c, &the_site, &s->location, e) < 0)
		return -1;
	for (uint32_t i = 0; i < s->destination_count; i++)
		if (load_location(c, &s->destinations[i].uuid,
			&s->destinations[i].location, e) < 0)
			return -1;
	for (uint32_t i = 0; i < s->mirror_count; i++)
		if (load_location(
			c, &s->mirrors[i].uuid, &s->mirrors[i].location, e) < 0)
			return -1;
	return 0;
}

static int
parse_hook(
    const char *key, const char *value, struct hook_config *k, struct err *e)
{
	const char *name = key + strlen(HOOK_KEY);
	size_t kinds = strcspn(value, " ");

	if (strlen(name) >= sizeof(k->name) || kinds >= sizeof(k->kinds) ||
	    value[kinds] != ' ' || strlen(value + kinds + 1) >= sizeof(k->path))
		return err_set(e, ERR_CORRUPT,
		    "catalogue.db: hook '%.60s' cannot be", name);
	(void)strcpy(k->name, name);
	memcpy(k->kinds, value, kinds);
	(void)strcpy(k->path, value + kinds + 1);
	return 0;
}

int
catalogue_load_hooks(struct catalogue *c, struct snapshot *s, struct err *e)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	char key[sizeof(HOOK_KEY) + NAME_LIMIT];
	char value[HOOK_KINDS_LEN + PATH_MAX + 1];
	int more;

	if (!c->has_settings)
		return 0;
	s->hooks = calloc(HOOK_LIMIT, sizeof(*s->hooks));
	if (s->hooks == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (sql_open(c->db, &st, e,
		"SELECT key, value FROM setting WHERE subject=?"
		" AND substr(key, 1, 5)='" HOOK_KEY "' ORDER BY key",
		"u", &the_site) < 0)
		return -1;
	while ((more = sql_step(st, e)) > 0) {
		if (s->hook_count == HOOK_LIMIT)
			return err_set(e, ERR_CORRUPT,
			    "catalogue.db: more than %u hooks", HOOK_LIMIT);
		if (sql_row(st, e, "tt", key, sizeof(key), value,
			sizeof(value)) < 0 ||
		    parse_hook(key, value, &s->hooks[s->hook_count], e) < 0)
			return -1;
		s->hook_count++;
	}
	return more;
}
