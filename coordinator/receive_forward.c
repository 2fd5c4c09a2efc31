/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a relay does beside receiving, and a mirror that passes files on: it
 * keeps what the next hops need, drops the rest, and, when somebody needs what
 * was dropped, goes back to before that, so that its acknowledgement asks the
 * hop before for it. See forward.h.
 */
#include "coordinator/receive.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sys.h"
#include "coordinator/ack_store.h"
#include "coordinator/catalogue.h"
#include "coordinator/need.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS UINT64_C(500000000)

int
receive_forward_open(struct receive *r, struct err *e)
{
	const struct mirror_config *m = &r->stage.mirror;

	if (!m->relay && m->destination_count == 0)
		return 0;
	r->forward = calloc(1, sizeof(*r->forward));
	if (r->forward == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	r->forward->sealed.dir = -1;
	return forward_open(r->stage.home, m, r->forward, e);
}

void
receive_forward_close(struct receive *r)
{
	if (r->forward == NULL)
		return;
	forward_close(r->forward);
	free(r->forward);
	r->forward = NULL;
}

/* A second name for what a mirror is about to stage. It is durable first: the
 * mirror may be beyond this file before anybody asks for it again. */
static int
second_name(struct receive *r, const char *tmp, const char *name, struct err *e)
{
	int to = r->forward->sealed.dir;

	if (sys_unlink(to, tmp) < 0 && errno != ENOENT)
		return err_sys(e, "remove sealed/.../%s", tmp);
	if (sys_link(r->stage.stage, tmp, to, tmp) < 0)
		return err_sys(e, "keep %s for those behind", name);
	if (sys_rename(to, tmp, to, name, 0) < 0)
		return err_sys(e, "rename sealed/.../%s to %s", tmp, name);
	return io_fsync(to, "the folder of files to be passed on", e);
}

int
receive_keep(struct receive *r, const char *tmp, const char *name,
    const struct position *at, uint64_t len, struct err *e)
{
	if (r->forward == NULL)
		return 0;
	if (!r->stage.mirror.relay && second_name(r, tmp, name, e) < 0)
		return -1;
	forward_added(r->forward, at, len);
	r->forward->waits = true;
	return 0;
}

bool
receive_is_full(struct receive *r)
{
	const struct forward *f = r->forward;
	uint64_t limit = r->stage.mirror.spool_limit;

	/* What the next hop waits for is always taken. */
	if (f == NULL || limit == 0 || f->bytes < limit || !f->waits)
		return false;
	(void)snprintf(r->stall, sizeof(r->stall),
	    "the relay's spool is full (%ju of %ju bytes): files wait at the "
	    "hop before it",
	    (uintmax_t)f->bytes, (uintmax_t)limit);
	return true;
}

/* ---- what is needed ---- */

/* Has the relay that it lies behind something already? Then what it needs is
 * that one's to bring. */
static int
hop_has(struct receive *r, const struct destination_config *d, struct err *e)
{
	const struct mirror_config *m = &r->stage.mirror;
	const struct destination_config *hop =
	    destination_hop(d, m->destinations, m->destination_count);
	struct ack a;
	int got;

	if (hop == NULL)
		return 0;
	got = ack_load(r->stage.home, hop, &a, e);
	return got <= 0 ? got : !position_is_nil(&a.stored);
}

/* The place after which destination `i` needs files: 1, 0 none yet, -1. */
static int
need_of(struct receive *r, uint32_t i, struct position *out, struct err *e)
{
	const struct destination_config *d = &r->stage.mirror.destinations[i];
	struct forward *f = r->forward;
	struct ack a;
	int got;

	if (d->prune_at == PRUNE_HOP && (got = hop_has(r, d, e)) != 0)
		return got < 0 ? -1 : 0;
	got = ack_load(r->stage.home, d, &a, e);
	if (got < 0)
		return -1;
	if (got == 1) {
		*out = d->prune_at == PRUNE_APPLIED && d->relay[0] == 0
			   ? a.applied
			   : a.stored;
		if (!position_is_nil(out))
			return 1;
	}
	if (d->relay[0] != 0)
		return 0; /* those behind it say */
	return forward_find(&f->sealed, &d->mirror, &f->looked[i], out, e);
}

/* Is what comes next for this destination missing, though later files are
 * here? */
static int
is_missing(struct receive *r, const struct position *need, struct err *e)
{
	int there;

	if (position_compare(need, &r->tip) >= 0 || position_is_nil(need))
		return 0;
	there = forward_has_next(r->forward, need, e);
	return there < 0 ? -1 : !there;
}

/* The least of all needs; what nobody needs reaches up to the tip. */
static int
find_needed(
    struct receive *r, struct position *out, bool *missing, struct err *e)
{
	const struct mirror_config *m = &r->stage.mirror;
	struct position p, least = r->tip;
	bool any = false;
	int got, gone;

	*missing = false;
	for (uint32_t i = 0; i < m->destination_count; i++) {
		got = need_of(r, i, &p, e);
		if (got < 0)
			return err_at(e, "'%s' behind: nothing is dropped",
			    m->destinations[i].name);
		if (got == 0)
			continue;
		gone = is_missing(r, &p, e);
		if (gone < 0)
			return -1;
		*missing = *missing || gone == 1;
		if (!any || position_compare(&p, &least) < 0)
			least = p;
		any = true;
	}
	*out = least;
	return 0;
}

/* A place that others fetch from is cleared by name, so the names stay. */
static bool
is_cleared(struct receive *r, const struct position *upto)
{
	const struct mirror_config *m = &r->stage.mirror;

	for (uint32_t i = 0; i < m->destination_count; i++) {
		const struct destination_config *d = &m->destinations[i];
		struct position cleared;

		if (!d->hub || d->hub_rank != 0 || d->paused)
			continue;
		need_cleared(r->stage.home, &d->uuid, &cleared);
		if (position_compare(&cleared, upto) < 0)
			return false;
	}
	return true;
}

/* The relay stands there from now on: forward, or back. */
static int
stand_at(struct receive *r, const struct position *at, struct err *e)
{
	struct mirror_state next = r->state;
	bool back = position_compare(at, &r->state.clean) < 0;

	next.phase = MIRROR_CLEAN;
	next.mirror = r->stage.mirror.uuid;
	next.stream = r->stage.mirror.stream;
	next.clean = next.target = *at;
	if (mirror_state_store(r->stage.home, &next, e) < 0)
		return err_at(e, "note where the relay stands");
	r->state = next;
	r->synced = next.generation;
	if (back)
		log_warn("a hop behind needs files that were dropped here: "
			 "they are asked for again, from transaction %ju",
		    (uintmax_t)at->last + 1);
	return back || position_compare(at, &r->tip) > 0
		   ? receive_find_again(r, e)
		   : 0;
}

static int
look(struct receive *r, struct err *e)
{
	struct forward *f = r->forward;
	struct position needed;
	bool missing;

	if (r->stage.mirror.destination_count == 0)
		return 0; /* it is kept for those that will come */
	if (find_needed(r, &needed, &missing, e) < 0)
		return -1;
	f->waits = position_compare(&needed, &r->tip) < 0;
	if (position_is_nil(&needed) || !is_cleared(r, &needed))
		return 0;
	if (r->stage.mirror.relay &&
	    position_compare(&needed, &r->state.clean) != 0) {
		if (stand_at(r, &needed, e) < 0)
			return -1;
	} else if (r->stage.mirror.relay && missing &&
		   receive_find_again(r, e) < 0)
		return -1;
	return forward_drop(f, &needed, e) < 0 ? -1 : 0;
}

int
receive_forward(struct receive *r, struct err *e)
{
	uint64_t now = clock_mono_ns();

	if (r->forward == NULL || now - r->forward->look_ns < LOOK_NS)
		return 0;
	r->forward->look_ns = now;
	return look(r, e);
}
