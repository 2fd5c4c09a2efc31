/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passing: mode PASSTHROUGH (design 9.11). A writer that finds the spool full
 * switches to it by itself: from then on writes go to the disk alone and their
 * extents are marked, durably, before. Marks stay; mirrors keep the consistent
 * image that they have.
 *
 * It is left when everything that was captured is sealed, less than half of
 * the spool is in use, and a destination has acknowledged something since:
 * then an epoch begins, capture is on, and what is marked is copied in (all
 * that break.c does after a host crash, too). When the spool is full again
 * before that copy-in is complete, the next attempt waits twice as long: what
 * has been captured meanwhile cannot be applied before a copy-in is complete,
 * and so not pruned, so each attempt may add as much as the limit to what
 * waits here.
 */
#include "coordinator/source.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "coordinator/ack_store.h"

#include <stdio.h>

#define FIRST_WAIT_MS 1000u
#define LAST_WAIT_MS 3600000u

#define BEGINS                                                                 \
	"the spool is full: writes pass without being captured, what they "    \
	"change is remembered"
#define ENDS                                                                   \
	"there is room in the spool again: writes are captured, what was "     \
	"remembered is copied in"

/* Grows with each acknowledgement that was believed. */
static uint64_t
count_acks(const struct source *s)
{
	uint64_t sum = 0;
	struct ack a;
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (s->jobs[i].state != JOB_NONE &&
		    ack_load(s->home, &s->destinations[i], &a, NULL) == 1)
			sum += a.counter;
	return sum;
}

/* Does a mirror wait for the END of a recovery? */
static bool
is_held(const struct source *s)
{
	struct ack a;
	uint32_t i;

	if (s->recovering)
		return true;
	for (i = 0; i < s->count; i++) {
		const struct job *j = &s->jobs[i];

		if (j->state != JOB_NONE && j->kind == COPYIN_RECOVERY &&
		    (ack_load(s->home, &s->destinations[i], &a, NULL) != 1 ||
			a.applied.last < j->end))
			return true;
	}
	return false;
}

/* Up to where all have stored; nil when one has nothing. */
static struct position
find_slowest(const struct source *s)
{
	struct position p = {0}, stored;
	bool any = false;
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		if (s->jobs[i].state == JOB_NONE)
			continue;
		projected_stored(s, i, &stored);
		if (!any || position_compare(&stored, &p) < 0)
			p = stored;
		any = true;
	}
	return p;
}

int
passing_look(struct source *s, struct err *e)
{
	struct position slowest;
	struct sealed_file f = s->oldest;
	int found = 1;

	s->held = s->held && is_held(s);
	if (!s->held || s->files < 2)
		return 0;
	slowest = find_slowest(s);
	if (!s->sent_known) {
		s->sent = (struct walk){.in_copyin = s->counted_out.in_copyin};
		s->sent_bytes = 0;
	} else
		found = sealed_after(&s->sealed, s->sent.at.epoch_number,
		    s->sent.at.sequence, &f, e);
	while (found == 1 && position_compare(&f.at, &slowest) <= 0) {
		uint64_t copied;

		if (sealed_copyin_len(
			&s->sealed, &f, &s->sent.in_copyin, &copied, e) < 0)
			return -1;
		s->sent_bytes += f.file_len - copied;
		s->sent.at = f.at;
		s->sent_known = true;
		found = sealed_after(
		    &s->sealed, f.at.epoch_number, f.at.sequence, &f, e);
	}
	return found < 0 ? -1 : 0;
}

void
passing_pruned(struct source *s, uint64_t kept)
{
	if (!s->sent_known)
		return;
	if (position_compare(&s->oldest.at, &s->sent.at) > 0)
		s->sent_known = false;
	else
		s->sent_bytes -= kept < s->sent_bytes ? kept : s->sent_bytes;
}

void
passing_recovered(struct source *s)
{
	s->passing.wait_ms = 0;
}

/* Are some jobs to begin with what is in `extents` as it is now? */
static bool
is_any_queued(const struct source *s)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (s->jobs[i].state == JOB_QUEUED)
			return true;
	return false;
}

int
passing_keep_rest(struct source *s, struct err *e)
{
	AUTO(extents_release) struct extents x = {0};
	const struct job *j = copyin_running(s);
	struct capture_volume v;
	uint32_t i;

	if (j == NULL || is_any_queued(s))
		return 0;
	if (extents_init(&x, s->capture, !j->marked, e) < 0 ||
	    (s->recovering && extents_merge(&x, &s->extents, e) < 0))
		return -1;
	for (i = 0; i < x.count && i <= j->volume; i++) {
		capture_volume_get(s->capture, i, &v);
		if (extents_cut(&x, i, i < j->volume ? UINT64_MAX : j->off,
			v.size > 0 ? v.size : 1, e) < 0)
			return -1;
	}
	if (extents_store(s->home, &s->group.uuid, &x, e) < 0)
		return -1;
	extents_release(&s->extents);
	s->extents = x;
	x = (struct extents){0};
	s->recovering = true;
	s->rest_kept = true;
	return 0;
}

static void
begin(struct source *s)
{
	struct passing *p = &s->passing;

	if (!s->recovering)
		p->wait_ms = 0;
	else if (!p->was_off) /* found so: how long has it been? */
		p->wait_ms = 0;
	else if (p->wait_ms == 0) /* the last one came to nothing */
		p->wait_ms = FIRST_WAIT_MS;
	else
		p->wait_ms = p->wait_ms < LAST_WAIT_MS / 2 ? 2 * p->wait_ms
							   : LAST_WAIT_MS;
	p->next_ns = clock_mono_ns() + p->wait_ms * NS_PER_MS;
	/* A coordinator that finds it so cannot tell what is fresh; but that
	 * there is room again was brought about by acknowledgements. */
	p->acks = p->was_off ? count_acks(s) : UINT64_MAX;
	p->on = true;
	p->event = BEGINS;
	log_warn(BEGINS);
}

static bool
is_wanted(const struct source *s)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (s->jobs[i].state != JOB_NONE)
			return true;
	return false;
}

/* Is there room, and a sign that it will last? */
static bool
may_end(const struct source *s, const struct capture_status *st)
{
	uint64_t limit = s->group.spool_limit;

	return clock_mono_ns() >= s->passing.next_ns &&
	       st->sealed == st->reserved && s->tip.at.last == st->reserved &&
	       st->unsealed_bytes == 0 &&
	       (limit == 0 || source_spool(s) < limit / 2) &&
	       (count_acks(s) != s->passing.acks || !is_wanted(s));
}

int
passing_step(struct source *s, struct err *e)
{
	struct capture_status st;

	if (!s->tip_unsure && passing_look(s, e) < 0)
		return -1;
	capture_status(s->capture, &st);
	if (st.mode != CAPTURE_PASSTHROUGH || st.needs_recovery) {
		s->passing.on = false;
		s->passing.was_off = true;
		return PART_NOT_NOW;
	}
	if (s->must_break || s->gap || s->tip_unsure)
		return PART_NOT_NOW;
	if (!s->passing.on)
		begin(s);
	/* Nothing that is captured waits for its age. */
	if (s->tip.at.last < st.reserved)
		capture_request_seal(s->capture, st.reserved);
	if (!may_end(s, &st))
		return PART_NOT_NOW;
	s->must_break = true;
	s->break_marked = true;
	s->break_passed = true;
	(void)snprintf(s->break_reason, sizeof(s->break_reason),
	    "the spool was full, and writes passed");
	s->passing.event = ENDS;
	return 1;
}

const char *
source_event(struct source *s)
{
	const char *event = s->passing.event;

	s->passing.event = NULL;
	if (event == NULL)
		event = commit_event(s);
	return event != NULL ? event : spool_event(s);
}
