/* SPDX-License-Identifier: Apache-2.0 */
/* once: all roles in one process, one after the other, until nothing moves. */
#include "coordinator/supervisor.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "coordinator/request.h"
#include "coordinator/role.h"
#include "coordinator/roles.h"

#include <stdlib.h>

#define PASS_LIMIT 100000u /* of one role in one round */
#define ROUND_LIMIT 1000u

struct once {
	struct snapshot config;
	struct role *roles;
	uint32_t count;
	bool *failed; /* one for each role */
};

static void
once_release(struct once *o)
{
	for (uint32_t i = 0; i < o->count; i++)
		role_close(&o->roles[i]);
	free(o->roles);
	free(o->failed);
	snapshot_release(&o->config);
}

/* To ask the mirrors what they have takes another round of both sites, which
 * may be far away in time: only if the operator wants that. */
static void
ask_no_mirror(struct snapshot *s)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		if (!s->groups[i].compare_asked)
			s->groups[i].compare_wait_ms = 0;
}

static int
once_open(struct once *o, struct home *h, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (catalogue_open(h, true, &c, e) < 0 ||
	    request_recover(h, c, e) < 0 ||
	    catalogue_load(c, &o->config, e) < 0)
		return -1;
	ask_no_mirror(&o->config);
	if (roles_of(&o->config, &o->roles, &o->count, e) < 0)
		return -1;
	o->failed = calloc((size_t)o->count + 1, sizeof(*o->failed));
	if (o->failed == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	return 0;
}

/* A role that failed is left alone from then on. */
static void
fail(struct once *o, uint32_t i, const struct err *e)
{
	log_set_role(o->roles[i].name);
	log_error("%s", e->text);
	log_set_role("coordinator");
	o->failed[i] = true;
}

/* All roles of a kind, each until it has nothing to do. */
static bool
all_of(struct once *o, enum role_kind kind, bool seal)
{
	bool moved = false;

	for (uint32_t i = 0; i < o->count; i++) {
		struct role *r = &o->roles[i];
		struct err e = {0};
		uint32_t passes = 0;
		int did = 0;

		if (r->kind != kind || o->failed[i])
			continue;
		log_set_role(r->name);
		while (passes++ < PASS_LIMIT && (did = role_pass(r, &e)) > 0)
			moved = true;
		if (did == 0 && seal && source_seal_all(r->work, &e) < 0)
			did = -1;
		if (did < 0)
			fail(o, i, &e);
		log_set_role("coordinator");
	}
	return moved;
}

static bool
one_round(struct once *o)
{
	bool moved = all_of(o, ROLE_SOURCE, true);

	moved = all_of(o, ROLE_PROJECT, false) || moved;
	moved = all_of(o, ROLE_SHIP, false) || moved;
	moved = all_of(o, ROLE_RECEIVE, false) || moved;
	if (all_of(o, ROLE_FETCH, false))
		moved = all_of(o, ROLE_RECEIVE, false) || true;
	moved = all_of(o, ROLE_APPLY, false) || moved;
	moved = all_of(o, ROLE_RECEIVE, false) || moved; /* acknowledges */
	moved = all_of(o, ROLE_FETCH, false) || moved;	 /* puts that there */
	moved = all_of(o, ROLE_SHIP, false) || moved;	 /* fetches that */
	moved = all_of(o, ROLE_PROJECT, false) || moved; /* prunes */
	return all_of(o, ROLE_SOURCE, true) || moved;	 /* prunes */
}

/* Nobody will seal after us: groups that nobody writes to are closed. */
static void
finish(struct once *o)
{
	for (uint32_t i = 0; i < o->count; i++) {
		struct err e = {0};

		if (o->roles[i].kind == ROLE_SOURCE && !o->failed[i] &&
		    source_finish(o->roles[i].work, &e) < 0)
			fail(o, i, &e);
	}
	(void)all_of(o, ROLE_PROJECT, false);
	(void)all_of(o, ROLE_SHIP, false);
}

int
supervisor_once(struct home *h, struct err *e)
{
	AUTO(once_release) struct once o = {0};
	uint32_t rounds = 0;
	int failed = 0;

	if (once_open(&o, h, e) < 0)
		return -1;
	for (uint32_t i = 0; i < o.count; i++) {
		struct err why = {0};

		if (role_open(&o.roles[i], h, &why) < 0)
			fail(&o, i, &why);
	}
	while (rounds++ < ROUND_LIMIT && one_round(&o))
		continue;
	finish(&o);
	for (uint32_t i = 0; i < o.count; i++)
		failed += o.failed[i];
	return failed;
}
