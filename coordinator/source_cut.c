/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut: members of a layout have a moment in common when each has applied the
 * same part of the history. So they apply only up to the last cut (design
 * 9.15), which says: enough members to have every byte of the volumes have
 * stored all up to this transaction. Who stays behind holds up nobody that is
 * not needed, and comes to the same moment later.
 *
 * A cut is announced when there is something new to apply, not for what it
 * makes itself: a file of nothing but cuts and heartbeats is no change, and
 * members go on through it.
 */
#include "coordinator/source.h"

#include "common/clock.h"
#include "fileformat/layout.h"

#define CUT_NS UINT64_C(200000000)

/* The group's layout; NULL: it has none, or no member is there yet. */
static const struct layout *
layout_of(const struct source *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->destinations[i].layout.members > 0)
			return &s->destinations[i].layout;
	return NULL;
}

/* Up to where each member has stored; 0: nothing. */
static void
find_stored(const struct source *s, uint64_t stored[LAYOUT_MOST])
{
	struct ack a;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct destination_config *d = &s->destinations[i];

		if (d->layout.members == 0 || s->jobs[i].state == JOB_NONE ||
		    ack_load(s->home, d, &a, NULL) != 1)
			continue;
		if (a.stored.last > stored[d->member])
			stored[d->member] = a.stored.last;
	}
}

/* The greatest transaction that enough members have; 0: none. */
static uint64_t
find_cut(const struct layout *l, const uint64_t stored[LAYOUT_MOST])
{
	uint64_t best = 0;

	for (uint32_t i = 0; i < l->members; i++) {
		uint64_t have = 0;

		for (uint32_t k = 0; k < l->members; k++)
			if (stored[k] >= stored[i])
				have |= UINT64_C(1) << k;
		if (stored[i] > best && layout_is_covered(l, have))
			best = stored[i];
	}
	return best;
}

static int
announce(struct source *s, uint64_t cut, struct err *e)
{
	struct control_note note = {.initiator = s->home->site, .value = cut};
	uint8_t bytes[CONTROL_NOTE_LEN];
	uint64_t number;

	control_note_encode(&note, bytes);
	if (capture_control(
		s->capture, OP_CUT, bytes, sizeof(bytes), &number, e) < 0)
		return err_at(e, "announce a cut");
	capture_request_seal(s->capture, number);
	s->cut = cut;
	return 1;
}

int
cut_step(struct source *s, struct err *e)
{
	const struct layout *l = layout_of(s);
	uint64_t stored[LAYOUT_MOST] = {0}, mono = clock_mono_ns(), cut;
	struct capture_status st;

	if (l == NULL || mono < s->cut_ns || s->content <= s->cut)
		return PART_NOT_NOW;
	s->cut_ns = mono + CUT_NS;
	capture_status(s->capture, &st);
	if (st.mode != CAPTURE_ON || s->must_break || s->gap || s->tip_unsure)
		return PART_NOT_NOW;
	find_stored(s, stored);
	cut = find_cut(l, stored);
	return cut > s->cut ? announce(s, cut, e) : 0;
}
