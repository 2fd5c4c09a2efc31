/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cool: marks of the activity log that are no longer needed are taken away
 * (design 9.10), so that little has to be copied in after a host crash.
 *
 * A round, once more extents are marked than do not matter: all that are
 * marked are made cold, so whoever writes to one makes it hot again. When the
 * journal is durable up to that moment, and a rest is over, the volumes are
 * flushed, and the marks of those that stayed cold go. So what is written to
 * all the time stays marked and costs no syncs.
 *
 * While a recovery is not complete no mark goes.
 */
#include "coordinator/source.h"

#include "common/clock.h"
#include "common/log.h"

/* Cooling an extent means taking each of its locks: not too many at once. */
#define COOL_BATCH 16384u

/* Is the END of every copy-in in a durable file? */
static bool
are_all_ended(const struct source *s)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (s->jobs[i].state != JOB_NONE &&
		    (s->jobs[i].state != JOB_DONE ||
			s->jobs[i].end > s->tip.at.last))
			return false;
	return true;
}

/* From here on only marks count. */
static int
end_recovery(struct source *s, struct err *e)
{
	if (s->breaking || !are_all_ended(s))
		return PART_NOT_NOW;
	if (capture_flush_volumes(s->capture, e) < 0 ||
	    capture_forgive(s->capture, e) < 0 ||
	    extents_remove(s->home, &s->group.uuid, e) < 0)
		return err_at(e, "end the recovery");
	extents_release(&s->extents);
	s->recovering = false;
	passing_recovered(s);
	return 0;
}

static void
cool_volume(struct source *s, struct extents *x, uint32_t v, uint32_t *left)
{
	struct extent_map *m = &x->map[v];
	uint64_t i;

	for (i = 0; i < m->count; i++) {
		if ((m->bits[i / 8] >> i % 8 & 1) == 0)
			continue;
		if (*left == 0 || m->all || !capture_cool(s->capture, v, i))
			extents_drop(x, v, i);
		else
			--*left;
	}
	m->all = false;
}

static int
begin_round(struct source *s, struct err *e)
{
	struct cooling *k = &s->cooling;
	uint32_t v, left = COOL_BATCH;
	struct capture_status st;
	bool damaged;

	extents_release(&k->cooled);
	if (extents_init(&k->cooled, s->capture, false, e) < 0 ||
	    extents_add_marked(&k->cooled, s->capture, &damaged, e) < 0)
		return -1;
	for (v = 0; v < k->cooled.count; v++)
		cool_volume(s, &k->cooled, v, &left);
	capture_status(s->capture, &st);
	k->upto = st.reserved;
	k->under_way = true;
	return 0;
}

static int
end_round(struct source *s, struct err *e)
{
	struct cooling *k = &s->cooling;
	uint32_t v;

	k->under_way = false;
	if (capture_flush_volumes(s->capture, e) < 0)
		return err_at(e, "the activity log");
	for (v = 0; v < k->cooled.count; v++) {
		const struct extent_map *m = &k->cooled.map[v];

		if (capture_unmark(s->capture, v, m->bits, m->count, e) < 0)
			return err_at(e, "the activity log");
	}
	extents_release(&k->cooled);
	return 0;
}

int
cool_step(struct source *s, struct err *e)
{
	uint64_t now = clock_mono_ns();
	struct cooling *k = &s->cooling;
	struct capture_status st;

	if (s->must_break || s->gap || s->tip_unsure)
		return PART_NOT_NOW;
	if (s->recovering) {
		k->under_way = false;
		return end_recovery(s, e);
	}
	capture_status(s->capture, &st);
	if (st.mode != CAPTURE_ON) {
		k->under_way = false;
		return PART_NOT_NOW;
	}
	if (now < k->next_ns || (k->under_way && s->tip.at.last < k->upto))
		return PART_NOT_NOW;
	k->next_ns = now + k->rest_ms * NS_PER_MS;
	if (k->under_way)
		return end_round(s, e);
	if (capture_marked_count(s->capture) <= k->keep)
		return PART_NOT_NOW;
	return begin_round(s, e);
}
