/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync: the journal made durable as far as it goes (rule 9.7). What is sealed
 * lies in journal files that were synced before capture_sealed was told; the
 * rest lies in segments, in ascending order of numbers, slots and data.
 */
#include "aimdriver/control.h"

#include "common/clock.h"

#include <sys/mman.h>

#define PUBLISH_PATIENCE_NS (UINT64_C(30) * 1000000000)

/* What of one segment is to be synced; data offsets within its data. */
struct part {
	uint32_t segment, first, last;
	uint32_t data, data_end;
};

static uint64_t
sealed(struct capture *c)
{
	return atomic_load_explicit(&c->ctl->sealed, memory_order_acquire);
}

/*
 * Until the slot is published, or sealed. A reserver publishes within
 * microseconds, unless it was killed: then its slot is settled.
 */
static int
wait_published(
    struct capture *c, const struct slot *s, uint64_t number, struct err *e)
{
	uint64_t until = 0;
	unsigned tries = 0;

	while ((atomic_load_explicit(&s->state, memory_order_acquire) &
		   SLOT_STATE) < SLOT_PUBLISHED &&
	       sealed(c) < number) {
		if (until == 0)
			until = clock_mono_ns() + PUBLISH_PATIENCE_NS;
		else if (clock_mono_ns() >= until)
			return err_set(e, ERR_RETRY,
			    "transaction %ju is not published: see which "
			    "program hangs in a write",
			    (uintmax_t)number);
		if (tries >= 16 && tries % 64 == 16)
			settle(c, NULL);
		back_off(tries++);
	}
	return 0;
}

static void
add_slot(struct part *p, const struct slot *s, uint32_t index)
{
	uint32_t from = s->data_off, room = s->room;

	p->last = index;
	if (room == 0 || from > SEGMENT_DATA || room > SEGMENT_DATA - from)
		return;
	if (p->data_end == 0 || from < p->data)
		p->data = from;
	if (from + room > p->data_end)
		p->data_end = from + room;
}

static int
sync_bytes(struct capture *c, uint8_t *from, uint64_t len, struct err *e)
{
	uint64_t skip = (uint64_t)(from - c->segments) % SEGMENT_PAGE;

	if (len == 0)
		return 0;
	if (msync(from - skip, len + skip, MS_SYNC) < 0)
		return err_sys(e, "sync %s/segments", c->where);
	return 0;
}

static int
sync_part(struct capture *c, const struct part *p, struct err *e)
{
	uint8_t *slots = (uint8_t *)segment_slot(c, p->segment, p->first);

	if (sync_bytes(c, segment_data(c, p->segment) + p->data,
		p->data_end - p->data, e) < 0)
		return -1;
	return sync_bytes(
	    c, slots, (uint64_t)(p->last - p->first + 1) * SEGMENT_SLOT_LEN, e);
}

/* From `number` to the end of its segment, at most to `upto`; *done is the
 * last one. A segment that is sealed meanwhile may be in use again: then what
 * was synced is something else, and no harm. */
static int
sync_segment(struct capture *c, uint64_t number, uint64_t upto, uint64_t *done,
    struct err *e)
{
	struct part p = {.data_end = 0};
	uint32_t i;

	if (!segment_find(c, number, &p.segment, &p.first)) {
		*done = sealed(c);
		if (*done >= number)
			return 0;
		return err_set(e, ERR_CORRUPT,
		    "transaction %ju is in no segment", (uintmax_t)number);
	}
	for (i = p.first; i < SEGMENT_SLOTS && number <= upto; i++, number++) {
		const struct slot *s = segment_slot(c, p.segment, i);

		/* The next one lies in the next segment. */
		if (s->number != number && i > p.first)
			break;
		if (wait_published(c, s, number, e) < 0)
			return -1;
		add_slot(&p, s, i);
	}
	*done = number - 1;
	return sync_part(c, &p, e);
}

static int
sync_upto(struct capture *c, uint64_t upto, struct err *e)
{
	uint64_t done = sealed(c);

	if (done < c->synced)
		done = c->synced;
	while (done < upto)
		if (sync_segment(c, done + 1, upto, &done, e) < 0)
			return -1;
	if (done > c->synced)
		c->synced = done;
	return 0;
}

int
capture_sync_journal(struct capture *c, struct err *e)
{
	uint64_t upto = next_number(c) - 1;
	int r;

	(void)pthread_mutex_lock(&c->syncing);
	r = sync_upto(c, upto, e);
	(void)pthread_mutex_unlock(&c->syncing);
	return r < 0 ? err_at(e, "make the journal durable") : 0;
}
