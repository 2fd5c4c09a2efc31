/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ship_hub: a destination that only holds the files until the mirrors have
 * fetched them. Nobody at work there makes folders or takes files away, so
 * this side does: it makes the folder of the stream, says where a mirror
 * without state has to begin, and removes what every mirror that fetches there
 * has stored. Several destinations may share the place; the one with rank 0
 * clears it, and sends; the others look whether a file is there before they
 * send it, too, and give the first one a moment.
 */
#include "coordinator/ship.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "coordinator/fetch.h"
#include "coordinator/need.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLEAR_EVERY_NS UINT64_C(500000000)
#define CLEAR_FILES 64
#define FOLLOW_NS UINT64_C(2000000000)

void
ship_share(struct ship *s, const struct destination_config *all, uint32_t count)
{
	s->siblings = all;
	s->sibling_count = count;
}

static void
path_of(const struct ship *s, const char *name, char out[SHIP_PATH])
{
	char stream[UUID_TEXT];

	(void)snprintf(out, SHIP_PATH, "%s/%s",
	    uuid_text(&s->sealed.stream, stream), name);
}

static int
make_folder(struct ship *s, struct err *e)
{
	char path[SHIP_PATH];

	if (s->hub_made)
		return 0;
	path_of(s, "ack", path);
	if (transport_make_folder(s->put, path, e) < 0)
		return -1;
	s->hub_made = true;
	return 0;
}

/* ---- clearing ---- */

static bool
shares(const struct ship *s, const struct destination_config *d)
{
	return d->hub && uuid_equal(&d->stream, &s->destination.stream) &&
	       strcmp(d->url, s->destination.url) == 0;
}

/* Does any mirror that fetches there need this file? */
static bool
is_needed(const struct need *needs, uint32_t count, const struct sealed_file *f)
{
	for (uint32_t i = 0; i < count; i++)
		if (need_has(&needs[i], f))
			return true;
	return false;
}

/* A mirror that has lost what it had gets it again, and that has to be cleared
 * again. */
static int
step_back(struct ship *s, const struct need *n, struct err *e)
{
	struct sealed_file f;
	int found;

	if (n->nothing)
		return 0;
	if (!position_is_nil(&n->after)) {
		if (position_compare(&n->after, &s->hub_at) < 0)
			s->hub_at = n->after;
		return 0;
	}
	if (s->hub_at.last < n->from)
		return 0;
	found = sealed_find(&s->sealed, n->from, &f, e);
	if (found == 1) {
		s->hub_at = f.at;
		s->hub_at.sequence--;
		s->hub_at.last = f.first - 1;
	}
	return found < 0 ? -1 : 0;
}

/* At a relay: a mirror without state needs what comes from where it begins. */
static int
find_begin(struct ship *s, const struct destination_config *d, struct need *n,
    struct err *e)
{
	struct position before;
	int found;

	if (!d->forward || !n->nothing)
		return 0;
	found = forward_find(&s->sealed, &d->mirror, NULL, &before, e);
	if (found == 1)
		*n = (struct need){.from = before.last + 1};
	return found < 0 ? -1 : 0;
}

static int
find_needs(struct ship *s, struct need *needs, uint32_t *count, bool *active,
    struct err *e)
{
	uint32_t n = 0;
	struct job j;

	*active = false;
	for (uint32_t i = 0; i < s->sibling_count; i++) {
		const struct destination_config *d = &s->siblings[i];

		if (!shares(s, d))
			continue;
		if (job_load(s->home, &d->uuid, &j, e) < 0 ||
		    need_find(s->home, d, &j, true, &needs[n], e) < 0 ||
		    find_begin(s, d, &needs[n], e) < 0)
			return -1;
		*active = *active || !needs[n].nothing;
		n++;
	}
	*count = n;
	return 0;
}

/* The place before the oldest file that is still here. */
static int
find_cleared(struct ship *s, struct err *e)
{
	struct sealed_file f;
	int found;

	if (s->hub_known)
		return 1;
	found = sealed_skip(&s->sealed, 0, 0, &f, e);
	if (found <= 0)
		return found;
	s->hub_at = f.at;
	s->hub_at.sequence--;
	s->hub_at.last = f.first - 1;
	s->hub_known = true;
	return 1;
}

/* Who may not remove files there leaves that to others. */
static int
remove_one(struct ship *s, const struct sealed_file *f, struct err *e)
{
	char name[JOURNAL_NAME_LEN], path[SHIP_PATH];
	struct err why = {0};

	path_of(
	    s, journal_name(f->at.epoch_number, f->at.sequence, name), path);
	if (transport_remove(s->put, path, &why) >= 0)
		return 0;
	if (why.kind != ERR_REFUSED)
		return err_set(
		    e, why.kind, "remove %s there: %s", name, why.text);
	if (!s->hub_keeps)
		log_warn("what the mirrors have stored cannot be removed there "
			 "(%s): let something else clear the place",
		    why.text);
	s->hub_keeps = true;
	return 0;
}

static int
clear_some(struct ship *s, const struct need *needs, uint32_t count,
    bool active, bool *moved, struct err *e)
{
	struct sealed_file f;
	int found, n;

	for (n = 0; n < CLEAR_FILES; n++) {
		found = sealed_after(&s->sealed, s->hub_at.epoch_number,
		    s->hub_at.sequence, &f, e);
		if (found <= 0)
			return found;
		if (is_needed(needs, count, &f))
			return 0;
		/* What nobody ever needed was never sent. */
		if (active && !s->hub_keeps && remove_one(s, &f, e) < 0)
			return -1;
		s->hub_at = f.at;
		*moved = true;
	}
	s->hub_ns = 0;
	return 0;
}

static int
clear(struct ship *s, struct err *e)
{
	AUTO_FREE struct need *needs = NULL;
	struct err why = {0};
	bool active, moved = !s->hub_noted;
	uint32_t count;
	int found;

	if (s->destination.hub_rank != 0 || clock_mono_ns() < s->hub_ns)
		return 0;
	s->hub_ns = clock_mono_ns() + CLEAR_EVERY_NS;
	needs = calloc(s->sibling_count + 1u, sizeof(*needs));
	if (needs == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	found = find_cleared(s, e);
	if (found <= 0 || find_needs(s, needs, &count, &active, e) < 0)
		return found <= 0 ? found : -1;
	for (uint32_t i = 0; i < count; i++)
		if (step_back(s, &needs[i], e) < 0)
			return -1;
	found = clear_some(s, needs, count, active, &moved, &why);
	if (moved &&
	    need_note_cleared(s->home, &s->destination.uuid, &s->hub_at, e) < 0)
		return -1;
	s->hub_noted = true;
	return found < 0 ? err_set(e, why.kind, "%s", why.text) : 0;
}

int
ship_hub(struct ship *s, struct err *e)
{
	if (!s->destination.hub)
		return 0;
	return make_folder(s, e) < 0 ? -1 : clear(s, e);
}

/* ---- sending ---- */

int
ship_hub_begin(
    struct ship *s, uint32_t epoch_number, uint64_t sequence, struct err *e)
{
	char name[JOURNAL_NAME_LEN], file[BEGIN_NAME_LEN], path[SHIP_PATH];
	char line[JOURNAL_NAME_LEN + 1];
	int n;

	if (!s->destination.hub)
		return 0;
	path_of(s, begin_name(&s->destination.mirror, file), path);
	n = snprintf(line, sizeof(line), "%s\n",
	    journal_name(epoch_number, sequence, name));
	if (transport_replace(s->put, line, (size_t)n, path, e) < 0)
		return err_at(e, "say where the mirror begins");
	return 0;
}

/* It is there, or not, and whose turn it is. */
static enum ship_turn
whose_turn(struct ship *s, int there)
{
	uint64_t now = clock_mono_ns();

	if (there == 1) {
		s->leads = false;
		s->follow_ns = 0;
		return SHIP_IS_THERE;
	}
	s->doubt = false;
	if (s->destination.hub_rank == 0 || s->leads)
		return SHIP_SEND;
	if (s->follow_ns == 0)
		s->follow_ns = now;
	if (now - s->follow_ns < FOLLOW_NS)
		return SHIP_WAIT;
	s->leads = true;
	return SHIP_SEND;
}

int
ship_hub_turn(
    struct ship *s, const char *path, enum ship_turn *out, struct err *e)
{
	int there;

	*out = SHIP_SEND;
	if (!s->destination.hub)
		return 0;
	/* What the mirror has refused must not stay. */
	if (s->renew) {
		if (transport_remove(s->put, path, e) < 0)
			return err_at(e, "remove what the mirror has refused");
		s->renew = false;
		return 0;
	}
	if (!s->doubt && s->destination.hub_rank == 0)
		return 0;
	there = transport_has(s->put, path, e);
	if (there < 0)
		return -1;
	*out = whose_turn(s, there);
	return 0;
}
