/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ship_relay: chains of relays (source -> relay -> ... -> mirror).
 *
 * A destination that is a relay holds no image: it needs what the mirrors
 * behind it need, until it has stored that itself. Such a mirror is a
 * destination, too, which lies behind ("via") that of the relay: nothing is
 * sent for it, but its acknowledgement, signed at its own site, is fetched
 * from the relay, which has it from there or from the next relay.
 *
 * At a relay (or a mirror that passes files on) the same role works, with
 * sealed/<stream>/ as the receiver fills it. What differs: there are no jobs,
 * so a mirror without state begins at the first copy-in that names it, and
 * each acknowledgement that was believed is passed on, byte for byte, to where
 * the hop before looks for it. A file is looked through before it is sent
 * again because somebody has refused it: should it be damaged here, it is put
 * aside, and the receiver asks the hop before for it.
 */
#include "coordinator/ship.h"

#include "aimdriver/reader.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "coordinator/catalogue.h"
#include "coordinator/incoming.h"
#include "coordinator/publish.h"

#include <stdio.h>
#include <string.h>

bool
ship_is_relay(const struct ship *s)
{
	return s->destination.relay[0] != 0;
}

bool
ship_is_behind(const struct ship *s)
{
	return s->destination.via[0] != 0;
}

void
ship_forward(struct ship *s, const struct mirror_config *m)
{
	s->upstream = m; /* what was saved may not have been passed on */
}

int
ship_pass_on(struct ship *s, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO_CLOSE int dir = -1;
	char name[UUID_TEXT + 8], text[UUID_TEXT];
	struct err why = {0};

	if (s->upstream == NULL || s->passed || !s->has_ack)
		return 0;
	(void)snprintf(name, sizeof(name), "%s.ack",
	    uuid_text(&s->destination.uuid, text));
	if (io_read_file(s->home->state, name, ACK_LIMIT, &b, &why) < 0)
		return err_set(e, why.kind, "state/%s", why.text);
	if (incoming_open_acks(s->home, s->upstream, &dir, e) < 0 ||
	    publish_bytes(
		s->home, dir, &s->destination.mirror, b.data, b.len, e) < 0)
		return err_at(e, "pass the acknowledgement on");
	s->passed = true;
	return 0;
}

/* ---- where to begin ---- */

static bool
is_sooner(const struct position *a, const struct position *b)
{
	return position_compare(a, b) < 0;
}

/* What this mirror needs first, as known here: 1, 0 not yet, -1. */
static int
first_of(struct ship *s, const struct destination_config *d,
    struct position *before, struct err *e)
{
	struct sealed_file f;
	struct job j;
	struct ack a;
	int found = ack_load(s->home, d, &a, NULL);

	if (found == 1 && !position_is_nil(&a.stored)) {
		*before = a.stored;
		return 1;
	}
	if (s->destination.forward)
		return forward_find(&s->sealed, &d->mirror, NULL, before, e);
	if (job_load(s->home, &d->uuid, &j, e) < 0)
		return -1;
	if (j.from == 0)
		return 0;
	found = sealed_find(&s->sealed, j.from, &f, e);
	if (found == 1) {
		*before = f.at;
		before->sequence--;
		before->last = f.first - 1;
	}
	return found;
}

/* Does it lie behind this one? */
static bool
is_end(const struct ship *s, const struct destination_config *d)
{
	const struct destination_config *hop;

	if (d->relay[0] != 0 || d->via[0] == 0)
		return false;
	hop = destination_hop(d, s->siblings, s->sibling_count);
	return hop != NULL && uuid_equal(&hop->uuid, &s->destination.uuid);
}

int
ship_first(struct ship *s, struct position *before, struct err *e)
{
	struct position p, first = {0};
	bool any = false;
	int found;

	if (!ship_is_relay(s))
		return forward_find(
		    &s->sealed, &s->destination.mirror, &s->looked, before, e);
	for (uint32_t i = 0; i < s->sibling_count; i++) {
		const struct destination_config *d = &s->siblings[i];

		if (!is_end(s, d))
			continue;
		found = first_of(s, d, &p, e);
		if (found < 0)
			return err_at(e, "for '%s' behind it", d->name);
		if (found == 1 && (!any || is_sooner(&p, &first)))
			first = p;
		any = any || found == 1;
	}
	if (any)
		*before = first;
	return any;
}

/* ---- what was refused ---- */

static void
drop_reader(struct reader **r)
{
	reader_close(*r);
}

int
ship_check_kept(struct ship *s, int fd, const char *name, struct err *e)
{
	AUTO(drop_reader) struct reader *r = NULL;
	struct err why = {0};

	if (s->upstream == NULL || !s->renew)
		return 1;
	s->renew = false;
	if (reader_open(fd, name, &r, &why) == 0 &&
	    reader_check_signature(r, &s->upstream->source_key, &why) == 0 &&
	    reader_check_stored(r, &why) == 0)
		return 1;
	if (why.kind != ERR_CORRUPT && why.kind != ERR_REFUSED)
		return err_set(e, why.kind, "%s", why.text);
	log_error(
	    "%s was refused, and is damaged here: it has to come again", name);
	if (home_quarantine(s->home, s->sealed.dir, name, why.text, e) < 0)
		return -1;
	return 0;
}

bool
ship_may_send(const struct ship *s)
{
	/* The first file of all alone, so that a relay begins with it. */
	return !ship_is_relay(s) || s->ring_count == 0 ||
	       (s->has_ack && !position_is_nil(&s->ack.stored));
}
