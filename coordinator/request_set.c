/* SPDX-License-Identifier: Apache-2.0 */
/* request_set: group-set (group; commit, commit-stage, commit-timeout,
 * commit-late, spool-limit, spool-policy, spool-warn, spool-age: what is not
 * given stays). */
#include "coordinator/request.h"

#include "coordinator/carry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MOST_S 86400.0

/* Nobody waits for what is carried, and what gets a part of the group has not
 * what is flushed: with `all` it is left out. */
static int
check_whole(const struct commit_config *p, const struct group_config *g,
    const struct destination_config *d, uint32_t *any, struct err *e)
{
	if (strcmp(d->url, CARRY_URL) == 0)
		return err_set(e, ERR_REFUSED,
		    "destination '%s' is carried by hand: no flush can wait "
		    "for it",
		    d->name);
	if (uuid_equal(&d->stream, &g->stream) && d->relay[0] == 0)
		++*any;
	else if (!p->all)
		return err_set(e, ERR_REFUSED,
		    "destination '%s' %s: no flush can wait for it", d->name,
		    d->relay[0] != 0
			? "is a relay, which holds no mirror"
			: "gets a projection, only a part of the group");
	return 0;
}

/* The group's destinations that flushes are to wait for are there, and can
 * answer. */
static int
check_names(struct change *ch, const struct group_config *g,
    const struct commit_config *p, struct err *e)
{
	const struct destination_config *d;
	uint32_t i, count, any = 0;

	if (p->kind != COMMIT_MIRRORS)
		return 0;
	for (i = 0; i < p->count; i++)
		if (change_destination(ch, &g->uuid, g->name, p->names[i], e) ==
		    NULL)
			return -1;
	d = snapshot_destinations(&ch->now, &g->uuid, &count);
	for (i = 0; i < count; i++)
		if (commit_names(p, d[i].name) &&
		    check_whole(p, g, &d[i], &any, e) < 0)
			return -1;
	if (any == 0)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has no destination that flushes could wait for",
		    g->name);
	return 0;
}

static int
take_timeout(struct change *ch, struct commit_config *p, struct err *e)
{
	const char *text = change_text(ch, "commit-timeout");
	char *end;
	double s;

	if (text[0] == 0)
		return 0;
	s = strtod(text, &end);
	if (end == text || *end != 0 || !(s >= 0.05) || s > TIMEOUT_MOST_S)
		return err_set(e, ERR_REFUSED,
		    "--commit-timeout %s: it is seconds, 0.05 to 86400", text);
	p->timeout_ms = (uint32_t)(s * 1000 + 0.5);
	return 0;
}

/* *yes when the argument is `word`; left alone when it is not given. */
static int
take_choice(struct change *ch, const char *key, const char *word,
    const char *other, bool *yes, struct err *e)
{
	const char *text = change_text(ch, key);

	if (text[0] == 0)
		return 0;
	if (strcmp(text, word) != 0 && strcmp(text, other) != 0)
		return err_set(e, ERR_REFUSED, "--%s is '%s' or '%s', not '%s'",
		    key, other, word, text);
	*yes = strcmp(text, word) == 0;
	return 0;
}

static int
save_commit(struct change *ch, const struct group_config *g,
    const struct commit_config *p, struct err *e)
{
	struct catalogue *c = ch->catalogue;
	char text[COMMIT_TEXT], timeout[16];

	(void)snprintf(timeout, sizeof(timeout), "%u", p->timeout_ms);
	if (catalogue_set(c, &g->uuid, "commit",
		p->kind == COMMIT_LOCAL ? "" : commit_text(p, text), e) < 0 ||
	    catalogue_set(c, &g->uuid, "commit-stage",
		p->applied ? "applied" : "", e) < 0 ||
	    catalogue_set(
		c, &g->uuid, "commit-late", p->hold ? "hold" : "", e) < 0)
		return -1;
	return catalogue_set(c, &g->uuid, "commit-timeout-ms",
	    p->timeout_ms == COMMIT_TIMEOUT_MS ? "" : timeout, e);
}

static int
say_commit(struct change *ch, const struct group_config *g,
    const struct commit_config *p, struct err *e)
{
	char text[COMMIT_TEXT];

	if (p->kind != COMMIT_MIRRORS)
		return buf_printf(&ch->out, e, "group %s: commit %s\n", g->name,
		    commit_text(p, text));
	return buf_printf(&ch->out, e,
	    "group %s: commit %s, %s, within %.3g s, else %s\n", g->name,
	    commit_text(p, text), p->applied ? "applied" : "stored",
	    p->timeout_ms / 1000.0, p->hold ? "hold" : "degrade");
}

static int
take_age(struct change *ch, struct spool_warn *w, struct err *e)
{
	const char *text = change_text(ch, "spool-age");
	unsigned long n;
	char *end;

	if (text[0] == 0)
		return 0;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != 0 || n > UINT32_MAX)
		return err_set(e, ERR_REFUSED,
		    "--spool-age %s: it is seconds, or 0 for never", text);
	w->age_s = (uint32_t)n;
	return 0;
}

static int
save_spool(struct change *ch, const struct group_config *g,
    const struct spool_warn *w, struct err *e)
{
	const char *warn = change_text(ch, "spool-warn");
	char age[16];

	(void)snprintf(age, sizeof(age), "%u", w->age_s);
	if (warn[0] != 0 &&
	    catalogue_set(ch->catalogue, &g->uuid, "spool-warn", warn, e) < 0)
		return -1;
	return catalogue_set(
	    ch->catalogue, &g->uuid, "spool-age", w->age_s == 0 ? "" : age, e);
}

/* Limit, policy and alarms of the spool. */
static int
set_spool(struct change *ch, const struct group_config *g, struct err *e)
{
	const char *policy = change_text(ch, "spool-policy");
	const char *warn = change_text(ch, "spool-warn");
	struct spool_warn w = g->spool_warn;
	uint64_t limit = g->spool_limit;
	int kind = (int)g->spool_policy;

	if (policy[0] != 0)
		kind = change_spool_policy(policy);
	if (kind == 0)
		return err_set(e, ERR_REFUSED,
		    "spool policy '%s': it is 'passthrough', 'block' or 'fail'",
		    policy);
	if ((change_has(ch, "spool-limit") &&
		change_spool_limit(ch, &limit, e) < 0) ||
	    (warn[0] != 0 && spool_warn_parse(warn, &w, e) < 0) ||
	    take_age(ch, &w, e) < 0 ||
	    catalogue_set_spool(ch->catalogue, &g->uuid, limit,
		(enum capture_policy)kind, e) < 0)
		return -1;
	return save_spool(ch, g, &w, e);
}

int
request_group_set(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "group", e);
	const struct group_config *g =
	    name == NULL ? NULL : change_group(ch, name, e);
	struct commit_config p;

	if (g == NULL)
		return -1;
	p = g->commit;
	if ((change_has(ch, "commit") &&
		commit_parse(change_text(ch, "commit"), &p, e) < 0) ||
	    take_choice(
		ch, "commit-stage", "applied", "stored", &p.applied, e) < 0 ||
	    take_choice(ch, "commit-late", "hold", "degrade", &p.hold, e) < 0 ||
	    take_timeout(ch, &p, e) < 0 || check_names(ch, g, &p, e) < 0 ||
	    save_commit(ch, g, &p, e) < 0 || set_spool(ch, g, e) < 0)
		return err_at(e, "group '%s'", g->name);
	return say_commit(ch, g, &p, e);
}
