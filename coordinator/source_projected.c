/* SPDX-License-Identifier: Apache-2.0 */
/*
 * projected: destinations that get a projection do not get the group's own
 * files, so what they have acknowledged says nothing about these. They are
 * needed until the projector stands behind them, which its note says, after
 * the fact. What waits in the projected files counts like what waits here.
 */
#include "coordinator/source.h"

#include "common/clock.h"
#include "coordinator/catalogue.h"

#include <stdlib.h>

#define LOOK_NS UINT64_C(100000000)

static struct projected *
find(const struct source *s, const struct uuid *stream)
{
	for (uint32_t i = 0; i < s->projected_count; i++)
		if (uuid_equal(&s->projected[i].stream, stream))
			return &s->projected[i];
	return NULL;
}

int
projected_open(struct source *s, struct err *e)
{
	s->projected = calloc(s->count + 1u, sizeof(*s->projected));
	if (s->projected == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (uint32_t i = 0; i < s->count; i++) {
		const struct uuid *stream = &s->destinations[i].stream;

		if (!uuid_equal(stream, &s->group.stream) &&
		    find(s, stream) == NULL)
			s->projected[s->projected_count++].stream = *stream;
	}
	projected_look(s, true);
	return 0;
}

void
projected_look(struct source *s, bool now)
{
	uint64_t mono = clock_mono_ns();

	if (s->projected_count == 0 ||
	    (!now && mono - s->projected_ns < LOOK_NS))
		return;
	s->projected_ns = mono;
	for (uint32_t i = 0; i < s->projected_count; i++)
		projection_note_read(
		    s->home, &s->projected[i].stream, &s->projected[i].note);
}

const struct projected *
projected_of(const struct source *s, uint32_t i)
{
	return find(s, &s->destinations[i].stream);
}

void
projected_stored(const struct source *s, uint32_t i, struct position *out)
{
	const struct projected *p = projected_of(s, i);
	const struct destination_config *hop =
	    destination_hop(&s->destinations[i], s->destinations, s->count);
	struct ack a;

	if (p != NULL)
		*out = p->note.upto;
	else if (hop != NULL && ack_load(s->home, hop, &a, NULL) == 1)
		*out = a.stored;
	else
		*out = (struct position){0};
}

int
projected_hold(
    struct source *s, uint32_t i, struct file_hold *out, struct err *e)
{
	const struct projected *p = projected_of(s, i);
	const struct job *j = &s->jobs[i];

	if (p == NULL) {
		const struct destination_config *d = &s->destinations[i];

		if (hold_find(s->home, d, j, out, e) < 0)
			return -1;
		return hold_hop(s->home, d,
		    destination_hop(d, s->destinations, s->count), out, e);
	}
	*out = (struct file_hold){
	    .need = {.nothing = j->state == JOB_NONE || j->from == 0,
		.from = j->from}};
	if (p->note.upto.sequence > 0)
		out->need.after = p->note.upto;
	return 0;
}

uint64_t
projected_spool(const struct source *s, bool held)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->projected_count; i++) {
		const struct projection_note *n = &s->projected[i].note;
		uint64_t sent = held ? n->sent_bytes : 0;

		sum += n->spool_bytes > sent ? n->spool_bytes - sent : 0;
	}
	return sum;
}

uint64_t
projected_copyin(const struct source *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->projected_count; i++)
		sum += s->projected[i].note.copyin_bytes;
	return sum;
}
