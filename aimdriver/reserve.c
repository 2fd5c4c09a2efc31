/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reserve: the next number, a slot and room, under the reserve lock.
 *
 * All that a reserver prepares (slot, next segment, chain) lies beyond what
 * the reservation word says is in use; one store of the word makes it so. A
 * reserver that is killed leaves either nothing, or slots that say what they
 * are for. What the word does not protect (running totals, which places are
 * in use) is worked out again by whoever gets the lock after it.
 */
#include "aimdriver/control.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* After a reserver died: rebuilds what the word and the chain imply. */
static void
repair(struct capture *c)
{
	struct control *ctl = c->ctl;
	struct place p = place_split(atomic_load(&ctl->word));
	uint32_t i, s, steps;

	for (i = 0; i < CONTROL_SEGMENTS; i++)
		if (atomic_load(&ctl->segment[i].in_use) != 0)
			atomic_store(&ctl->segment[i].in_use, 2);
	if (p.segment < CONTROL_SEGMENTS) {
		s = atomic_load(&ctl->oldest);
		for (steps = 0;
		     s < CONTROL_SEGMENTS && steps < CONTROL_SEGMENTS;
		     steps++) {
			atomic_store(&ctl->segment[s].in_use, 1);
			if (s == p.segment)
				break;
			s = atomic_load(&ctl->segment[s].next);
		}
	}
	for (i = 0; i < CONTROL_SEGMENTS; i++)
		if (atomic_load(&ctl->segment[i].in_use) == 2)
			atomic_store(&ctl->segment[i].in_use, 0);
	if (p.segment < CONTROL_SEGMENTS && segment_open(c, p.segment)) {
		const struct control_segment *g = &ctl->segment[p.segment];
		const struct slot *last =
		    p.slot == 0 ? NULL : segment_slot(c, p.segment, p.slot - 1);

		atomic_store(&ctl->charged,
		    last == NULL ? atomic_load(&g->charged) : last->charged);
		atomic_store(&ctl->bytes,
		    last == NULL ? atomic_load(&g->bytes) : last->bytes);
	}
}

bool
spool_is_full(const struct control *ctl)
{
	uint64_t limit =
	    atomic_load_explicit(&ctl->spool_limit, memory_order_relaxed);
	uint64_t waiting =
	    atomic_load_explicit(&ctl->charged, memory_order_relaxed) -
	    atomic_load_explicit(&ctl->sealed_charged, memory_order_relaxed);

	return limit != 0 &&
	       atomic_load_explicit(&ctl->spool_bytes, memory_order_relaxed) +
		       waiting >=
		   limit;
}

/* A place that is there, else one that can be made. NONE: neither. */
static uint32_t
find_place(const struct control *ctl)
{
	uint32_t i, absent = CONTROL_NONE;

	for (i = 0; i < CONTROL_SEGMENTS; i++) {
		const struct control_segment *g = &ctl->segment[i];

		if (atomic_load(&g->in_use) != 0)
			continue;
		if (atomic_load(&g->place) == PLACE_HERE)
			return i;
		if (absent == CONTROL_NONE &&
		    atomic_load(&g->place) == PLACE_ABSENT)
			absent = i;
		if (absent != CONTROL_NONE && i > absent + 64)
			break;
	}
	return absent;
}

static enum reserve_result
make_place(struct capture *c, uint32_t i)
{
	int r;

	do
		r = posix_fallocate(
		    c->segments_fd, (off_t)i * SEGMENT_STRIDE, SEGMENT_STRIDE);
	while (r == EINTR);
	if (r == 0) {
		atomic_store(&c->ctl->segment[i].place, PLACE_HERE);
		if (atomic_load(&c->ctl->top) <= i)
			atomic_store(&c->ctl->top, i + 1);
		return RESERVE_OK;
	}
	(void)trouble(
	    c, "make room for a segment in %s: %s", c->where, strerror(r));
	return r == ENOSPC || r == EDQUOT ? RESERVE_FULL : RESERVE_FAILED;
}

static uint64_t
make_generation(const struct capture *c, uint64_t base)
{
	uint64_t g;

	if (getrandom(&g, sizeof(g), GRND_NONBLOCK) != (ssize_t)sizeof(g))
		g = (c->seed + base) * UINT64_C(0x9e3779b97f4a7c15) ^
		    clock_mono_ns();
	return g == 0 ? 1 : g;
}

/* Chains another segment behind the active one; *p is then its start. */
static enum reserve_result
roll(struct capture *c, struct place *p, uint64_t number)
{
	struct control *ctl = c->ctl;
	uint32_t i = find_place(ctl);
	struct control_segment *g;
	enum reserve_result r;

	step(STEP_ROLLING);
	if (i >= CONTROL_SEGMENTS) {
		(void)trouble(c,
		    "all segments of %s wait to be sealed: is "
		    "the coordinator running?",
		    c->where);
		return RESERVE_FULL;
	}
	g = &ctl->segment[i];
	if (atomic_load(&g->place) != PLACE_HERE) {
		r = make_place(c, i);
		if (r != RESERVE_OK)
			return r;
	}
	if (!segment_open(c, i))
		return RESERVE_FAILED;
	atomic_store(&g->base, number);
	atomic_store(&g->generation, make_generation(c, number));
	atomic_store(&g->charged, atomic_load(&ctl->charged));
	atomic_store(&g->bytes, atomic_load(&ctl->bytes));
	atomic_store(&g->slots, 0);
	atomic_store(&g->has_resize, 0);
	atomic_store(&g->next, CONTROL_NONE);
	atomic_store(&g->in_use, 1);
	if (p->segment < CONTROL_SEGMENTS) {
		atomic_store(&ctl->segment[p->segment].slots, p->slot);
		atomic_store(&ctl->segment[p->segment].next, i);
	} else
		atomic_store(&ctl->oldest, i);
	step(STEP_ROLLED);
	*p = (struct place){.mode = p->mode, .segment = i};
	return RESERVE_OK;
}

static uint32_t
aligned(uint32_t n, uint32_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static void
fill(struct capture *c, const struct want *w, struct place *p, uint64_t number,
    uint64_t now, bool free, struct ticket *t)
{
	struct control *ctl = c->ctl;
	struct control_segment *g = &ctl->segment[p->segment];
	struct slot *s = segment_slot(c, p->segment, p->slot);
	uint64_t charge =
	    free ? 0
		 : (uint64_t)aligned(w->room, SEGMENT_ALIGN) + SEGMENT_SLOT_LEN;
	/* Not read back from shared memory, where it could be changed. */
	uint32_t data_off = w->room == 0 ? 0 : p->data;

	atomic_store_explicit(
	    &s->state, slot_state(SLOT_RESERVED, 0), memory_order_relaxed);
	s->number = number;
	s->time_ns = now;
	s->off = w->off;
	s->len = w->len;
	s->op = w->op;
	s->flags = w->flags;
	s->volume = w->volume;
	s->extends = w->extends;
	s->data_off = data_off;
	s->room = w->room;
	s->charged =
	    atomic_load_explicit(&ctl->charged, memory_order_relaxed) + charge;
	s->bytes =
	    atomic_load_explicit(&ctl->bytes, memory_order_relaxed) + w->room;
	atomic_store_explicit(&ctl->charged, s->charged, memory_order_relaxed);
	atomic_store_explicit(&ctl->bytes, s->bytes, memory_order_relaxed);
	if (w->op == OP_RESIZE)
		atomic_store_explicit(&g->has_resize, 1, memory_order_relaxed);
	*t = (struct ticket){
	    .slot = s,
	    .data = segment_data(c, p->segment) + data_off,
	    .generation =
		atomic_load_explicit(&g->generation, memory_order_relaxed),
	    .index = p->slot,
	};
	p->slot++;
	p->data += aligned(w->room, SEGMENT_ALIGN);
}

static enum reserve_result
reserve_locked(struct capture *c, const struct want *w, uint32_t count,
    bool free, uint32_t align, struct ticket *out)
{
	struct control *ctl = c->ctl;
	struct place p =
	    place_split(atomic_load_explicit(&ctl->word, memory_order_relaxed));
	uint64_t number, now;
	bool rolled = false;
	uint32_t i;

	SLOTS_TAKE_OVER();
	if (p.mode != CAPTURE_ON)
		return RESERVE_MODE;
	if (!free && spool_is_full(ctl))
		return RESERVE_FULL;
	/* Only the last of them has a payload. */
	if (p.segment >= CONTROL_SEGMENTS)
		number = atomic_load(&ctl->idle_next);
	else
		number = atomic_load_explicit(&ctl->segment[p.segment].base,
			     memory_order_relaxed) +
			 p.slot;
	if (p.segment >= CONTROL_SEGMENTS || p.slot + count > SEGMENT_SLOTS ||
	    aligned(p.data, align) + w[count - 1].room > SEGMENT_DATA) {
		enum reserve_result r = roll(c, &p, number);

		if (r != RESERVE_OK)
			return r;
		rolled = true;
	} else if (!segment_open(c, p.segment))
		return RESERVE_FAILED;
	step(STEP_RESERVING);
	if (w[count - 1].room > 0)
		p.data = aligned(p.data, align);
	now = clock_wall_ns();
	if (now <
	    atomic_load_explicit(&ctl->last_time_ns, memory_order_relaxed))
		now = atomic_load_explicit(
		    &ctl->last_time_ns, memory_order_relaxed);
	atomic_store_explicit(&ctl->last_time_ns, now, memory_order_relaxed);
	for (i = 0; i < count; i++)
		fill(c, &w[i], &p, number + i, now, free, &out[i]);
	step(STEP_FILLED);
	atomic_store_explicit(&ctl->word, place_join(p), memory_order_release);
	step(STEP_RESERVED);
	if (rolled)
		ring(c);
	return RESERVE_OK;
}

bool
reserve_lock(struct capture *c)
{
	struct control_lock *l = &c->ctl->reserve;

	switch (lock_short(c, l)) {
	case HOLD_BUSY:
		(void)trouble(
		    c, "the reserve lock of %s cannot be had", c->where);
		return false;
	case HOLD_DIRTY:
		repair(c);
		atomic_store(&l->dirty, 0);
		break;
	case HOLD_OK:
		break;
	}
	return true;
}

/*
 * There is no room: from here on nothing is reserved, if that is the policy
 * (design 9.11). Who has reserved goes on; who comes later marks what it
 * writes, as everybody does. So what is in the stream is a prefix still.
 * The news that a volume was flushed is not worth it, and who records a log
 * waits: the log has it all.
 */
static bool
pass_through(struct capture *c, const struct want *w)
{
	struct place p = place_split(atomic_load(&c->ctl->word));

	if (atomic_load(&c->ctl->policy) != CAPTURE_PASS || w->op == OP_FLUSH ||
	    (w->flags & SLOT_RECORDED) != 0)
		return false;
	p.mode = CAPTURE_PASSTHROUGH;
	atomic_store_explicit(
	    &c->ctl->word, place_join(p), memory_order_release);
	return true;
}

enum reserve_result
reserve(struct capture *c, const struct want *w, uint32_t count, bool free,
    uint32_t align, struct ticket *out)
{
	enum reserve_result r;
	bool passes;

	if (!reserve_lock(c))
		return RESERVE_FAILED;
	r = reserve_locked(c, w, count, free, align, out);
	passes = r == RESERVE_FULL && !free && pass_through(c, w);
	unlock_plain(c, &c->ctl->reserve);
	if (passes) {
		step(STEP_PASSING);
		ring(c);
		return RESERVE_MODE;
	}
	step(STEP_UNRESERVED);
	return r;
}

/*
 * The first transaction since the group was closed, or since its volumes'
 * times were noted. The mark is durable before a number is given out. A lock
 * is held that capture_close_clean wants.
 */
int
reserve_mark(struct capture *c)
{
	_Atomic uint32_t *marks = &c->ctl->marks;
	struct err e;

	if ((atomic_load(marks) & MARK_WRITING) != MARK_WRITING) {
		atomic_fetch_or(marks, MARK_UNCLEAN);
		if (control_sync_marks(c, &e) < 0)
			return trouble(c, "%s", e.text);
		atomic_fetch_or(marks, MARK_DURABLE);
	}
	atomic_fetch_and(marks, ~(uint32_t)MARK_TIMES);
	return 0;
}
