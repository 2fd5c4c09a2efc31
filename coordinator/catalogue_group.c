/* SPDX-License-Identifier: Apache-2.0 */
/* catalogue_group: what only some groups have, from the table `setting`. */
#include "coordinator/catalogue_db.h"

#include "coordinator/sql.h"

#include <stdlib.h>
#include <string.h>

static int
impossible(const struct group_config *g, const char *key, const char *text,
    struct err *e)
{
	return err_set(e, ERR_CORRUPT,
	    "catalogue.db: group %s has %s '%s', which cannot be", g->name, key,
	    text);
}

/* 1 when *yes says which of two words it is, 0 when there is none. */
static int
get_choice(struct catalogue *c, const struct group_config *g, const char *key,
    const char *word, const char *other, bool *yes, struct err *e)
{
	char text[32];
	int got = catalogue_get(c, &g->uuid, key, text, sizeof(text), e);

	if (got <= 0)
		return got;
	if (strcmp(text, word) != 0 && strcmp(text, other) != 0)
		return impossible(g, key, text, e);
	*yes = strcmp(text, word) == 0;
	return 1;
}

/* The same of a number, at most `most`. */
static int
get_number(struct catalogue *c, const struct group_config *g, const char *key,
    uint64_t most, uint64_t *out, struct err *e)
{
	char text[32], *end;
	int got = catalogue_get(c, &g->uuid, key, text, sizeof(text), e);
	unsigned long long n;

	if (got <= 0)
		return got;
	n = strtoull(text, &end, 10);
	if (end == text || *end != 0 || n > most)
		return impossible(g, key, text, e);
	*out = n;
	return 1;
}

int
catalogue_load_mirror(
    struct catalogue *c, struct mirror_config *m, struct err *e)
{
	char text[32] = "", *end;
	unsigned long long n;
	int got;

	m->alarm_ms = ALARM_SILENCE_MS;
	got =
	    catalogue_get(c, &m->uuid, "alarm-after-ms", text, sizeof(text), e);
	if (got <= 0)
		return got;
	n = strtoull(text, &end, 10);
	if (end == text || *end != 0 || n > UINT32_MAX)
		return err_set(e, ERR_CORRUPT,
		    "catalogue.db: mirror %s has alarm-after-ms '%s', which "
		    "cannot be",
		    m->group_name, text);
	m->alarm_ms = (uint32_t)n;
	return 0;
}

static int
load_commit(struct catalogue *c, struct group_config *g, struct err *e)
{
	struct commit_config *p = &g->commit;
	uint64_t timeout_ms = COMMIT_TIMEOUT_MS;
	char text[COMMIT_TEXT];
	int got;

	got = catalogue_get(c, &g->uuid, "commit", text, sizeof(text), e);
	if (got < 0 || (got == 1 && commit_parse(text, p, e) < 0) ||
	    get_choice(c, g, "commit-stage", "applied", "stored", &p->applied,
		e) < 0 ||
	    get_choice(c, g, "commit-late", "hold", "degrade", &p->hold, e) <
		0 ||
	    get_number(c, g, "commit-timeout-ms", UINT32_MAX, &timeout_ms, e) <
		0)
		return -1;
	p->timeout_ms = (uint32_t)timeout_ms;
	return 0;
}

int
spool_warn_parse(const char *text, struct spool_warn *out, struct err *e)
{
	struct spool_warn w = {.age_s = out->age_s};
	const char *at = text;

	if (strcmp(text, "none") == 0) {
		*out = w;
		return 0;
	}
	for (;;) {
		uint32_t least = w.count == 0 ? 1 : w.percent[w.count - 1] + 1;
		unsigned long n;
		char *end;

		n = strtoul(at, &end, 10);
		if (end == at || *at < '0' || *at > '9' || n < least ||
		    n > 100 || (*end != ',' && *end != 0))
			return err_set(e, ERR_REFUSED,
			    "'%.60s': thresholds are up to eight ascending "
			    "numbers of percent, 1 to 100, or 'none'",
			    text);
		w.percent[w.count++] = (uint32_t)n;
		if (*end == 0)
			break;
		if (w.count == sizeof(w.percent) / sizeof(w.percent[0]))
			return err_set(e, ERR_REFUSED,
			    "'%.60s': at most eight thresholds", text);
		at = end + 1;
	}
	*out = w;
	return 0;
}

static int
load_spool_warn(struct catalogue *c, struct group_config *g, struct err *e)
{
	char text[64] = SPOOL_WARN;
	uint64_t age = 0;

	if (catalogue_get(c, &g->uuid, "spool-warn", text, sizeof(text), e) <
		0 ||
	    get_number(c, g, "spool-age", UINT32_MAX, &age, e) < 0)
		return -1;
	g->spool_warn.age_s = (uint32_t)age;
	return spool_warn_parse(text, &g->spool_warn, e);
}

int
catalogue_load_group(struct catalogue *c, struct group_config *g, struct err *e)
{
	return load_commit(c, g, e) < 0 ? -1 : load_spool_warn(c, g, e);
}

int
catalogue_set_spool(struct catalogue *c, const struct uuid *group,
    uint64_t limit, enum capture_policy policy, struct err *e)
{
	return sql_run(c->db, e,
	    "UPDATE source SET spool_limit=?, spool_policy=? WHERE uuid=?",
	    "iiu", (int64_t)limit, (int64_t)policy, group);
}

/* One that gets a part of the group has not what is flushed, and a relay has no
 * image. */
static bool
is_whole(const struct group_config *g, const struct destination_config *d)
{
	return uuid_equal(&d->stream, &g->stream) && d->relay[0] == 0 &&
	       !d->forward;
}

void
catalogue_mark_commits(struct snapshot *s)
{
	for (uint32_t i = 0; i < s->group_count; i++) {
		const struct group_config *g = &s->groups[i];

		for (uint32_t k = 0; k < s->destination_count; k++) {
			struct destination_config *d = &s->destinations[k];

			if (uuid_equal(&d->group, &g->uuid))
				d->commit = is_whole(g, d) &&
					    commit_names(&g->commit, d->name);
		}
	}
}
