/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment: places of the segments file, slots in them, and their way from
 * free to active to full and back to free.
 */
#include "aimdriver/control.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct slot *
segment_slot(struct capture *c, uint32_t segment, uint32_t slot)
{
	return (struct slot *)(void *)(c->segments +
				       (uint64_t)segment * SEGMENT_STRIDE +
				       (uint64_t)slot * SEGMENT_SLOT_LEN);
}

uint8_t *
segment_data(struct capture *c, uint32_t segment)
{
	return c->segments + (uint64_t)segment * SEGMENT_STRIDE +
	       (uint64_t)SEGMENT_SLOTS * SEGMENT_SLOT_LEN;
}

bool
segment_open(struct capture *c, uint32_t segment)
{
	int prot = c->read_only ? PROT_READ : PROT_READ | PROT_WRITE;

	if (segment >= CONTROL_SEGMENTS)
		return false;
	if (__builtin_expect(atomic_load_explicit(&c->opened[segment],
				 memory_order_acquire) != 0,
		1))
		return true;
	if (mprotect(c->segments + (uint64_t)segment * SEGMENT_STRIDE,
		SEGMENT_STRIDE, prot) < 0) {
		(void)trouble(c, "open segment %u in memory: %s", segment,
		    strerror(errno));
		return false;
	}
	atomic_store_explicit(&c->opened[segment], 1, memory_order_release);
	return true;
}

uint64_t
slot_seed(const struct capture *c, uint64_t generation, uint32_t index)
{
	return (c->seed ^ generation) + index * UINT64_C(0x9e3779b97f4a7c15);
}

static void
publish(struct slot *s, uint64_t data_sum, uint64_t seed)
{
	s->data_sum = data_sum;
	s->sum = slot_sum(s, seed);
	atomic_store_explicit(
	    &s->state, slot_state(SLOT_PUBLISHED, 0), memory_order_release);
}

void
ticket_publish(struct capture *c, const struct ticket *t, uint64_t len)
{
	uint64_t seed = slot_seed(c, t->generation, t->index);

	publish(t->slot, payload_sum(t->data, len, seed), seed);
}

void
ticket_publish_hashed(struct capture *c, const struct ticket *t, uint64_t hash)
{
	uint64_t seed = slot_seed(c, t->generation, t->index);

	publish(t->slot, payload_seeded(hash, seed), seed);
}

/* ---- the chain ---- */

static uint32_t
chain_next(struct capture *c, uint32_t segment)
{
	return atomic_load_explicit(
	    &c->ctl->segment[segment].next, memory_order_acquire);
}

/* Slots of a segment that are reserved. */
static uint32_t
slots_of(struct capture *c, uint32_t segment, struct place active)
{
	uint32_t n = segment == active.segment
			 ? active.slot
			 : atomic_load(&c->ctl->segment[segment].slots);

	return n <= SEGMENT_SLOTS ? n : SEGMENT_SLOTS;
}

uint64_t
next_number(struct capture *c)
{
	struct place p = place_split(atomic_load(&c->ctl->word));

	if (p.segment >= CONTROL_SEGMENTS)
		return atomic_load(&c->ctl->idle_next);
	return atomic_load(&c->ctl->segment[p.segment].base) + p.slot;
}

/*
 * From the segment where the last search ended, else from the oldest. What is
 * read may be changed by others at any time, or be hostile: each step is
 * bounded, and the slot's own number is checked by whoever uses it.
 */
bool
segment_find(
    struct capture *c, uint64_t number, uint32_t *segment, uint32_t *slot)
{
	struct place active = place_split(atomic_load(&c->ctl->word));
	uint32_t start[2] = {
	    atomic_load(&c->hint), atomic_load(&c->ctl->oldest)};
	unsigned i, steps;

	if (active.segment >= CONTROL_SEGMENTS)
		return false;
	for (i = 0; i < 2; i++) {
		uint32_t s = start[i];

		for (steps = 0;
		     s < CONTROL_SEGMENTS && steps < CONTROL_SEGMENTS;
		     steps++) {
			const struct control_segment *g = &c->ctl->segment[s];
			uint64_t base = atomic_load(&g->base);

			if (atomic_load(&g->in_use) == 0 || number < base)
				break;
			if (number - base < slots_of(c, s, active)) {
				*segment = s;
				*slot = (uint32_t)(number - base);
				atomic_store(&c->hint, s);
				return segment_open(c, s);
			}
			if (s == active.segment)
				break;
			s = chain_next(c, s);
		}
	}
	return false;
}

/* ---- giving back ---- */

#define GIVE_BACK 4 /* places at a time */

static uint32_t
top_place(struct capture *c)
{
	uint32_t top = atomic_load(&c->ctl->top);

	return top <= CONTROL_SEGMENTS ? top : CONTROL_SEGMENTS;
}

/*
 * Takes the highest free place beyond the first few out of use; NONE: there
 * is none. Reserve lock held. What a dead coordinator began is taken up.
 */
static uint32_t
choose_surplus(struct capture *c)
{
	uint32_t i;

	for (i = top_place(c); i > SEGMENT_KEEP; i--) {
		struct control_segment *g = &c->ctl->segment[i - 1];
		uint32_t place = atomic_load(&g->place);

		if (atomic_load(&g->in_use) != 0)
			return CONTROL_NONE;
		atomic_store(&c->ctl->top, i - 1);
		if (place == PLACE_ABSENT)
			continue;
		atomic_store(&g->place, PLACE_REMOVING);
		return i - 1;
	}
	return CONTROL_NONE;
}

static void
give_back(struct capture *c, uint32_t i)
{
	/* What cannot be given back is simply filled again on its next use. */
	(void)fallocate(c->segments_fd,
	    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	    (off_t)i * SEGMENT_STRIDE, SEGMENT_STRIDE);
	atomic_store(&c->ctl->segment[i].place, PLACE_ABSENT);
}

/* Running totals as of the end of transaction `number`. */
static void
totals_at(struct capture *c, uint64_t number)
{
	uint32_t segment, slot;

	if (number + 1 == next_number(c)) {
		atomic_store(
		    &c->ctl->sealed_charged, atomic_load(&c->ctl->charged));
		atomic_store(
		    &c->ctl->sealed_bytes, atomic_load(&c->ctl->bytes));
		return;
	}
	if (!segment_find(c, number, &segment, &slot))
		return;
	atomic_store(
	    &c->ctl->sealed_charged, segment_slot(c, segment, slot)->charged);
	atomic_store(
	    &c->ctl->sealed_bytes, segment_slot(c, segment, slot)->bytes);
}

void
segments_recycle(struct capture *c, uint64_t upto)
{
	struct place active;
	uint32_t s, steps, surplus[GIVE_BACK], n = 0;

	if (!reserve_lock(c))
		return;
	totals_at(c, upto);
	active = place_split(atomic_load(&c->ctl->word));
	s = atomic_load(&c->ctl->oldest);
	for (steps = 0; s < CONTROL_SEGMENTS && s != active.segment &&
			steps < CONTROL_SEGMENTS;
	     steps++) {
		struct control_segment *g = &c->ctl->segment[s];
		uint32_t next = atomic_load(&g->next);

		if (atomic_load(&g->base) + atomic_load(&g->slots) > upto + 1)
			break;
		atomic_store(&c->ctl->oldest, next);
		atomic_store(&g->in_use, 0);
		s = next;
	}
	while (s == active.segment && n < GIVE_BACK &&
	       (surplus[n] = choose_surplus(c)) != CONTROL_NONE)
		n++;
	unlock_plain(c, &c->ctl->reserve);
	while (n > 0)
		give_back(c, surplus[--n]);
}

/* ---- waiting ---- */

int
futex_wait_ms(_Atomic uint32_t *word, uint32_t seen, uint32_t wait_ms)
{
	struct timespec t = {.tv_sec = wait_ms / 1000,
	    .tv_nsec = (long)(wait_ms % 1000) * 1000000};

	return (int)syscall(
	    SYS_futex, (uintptr_t)word, FUTEX_WAIT, seen, &t, NULL, 0);
}

void
futex_wake_all(_Atomic uint32_t *word)
{
	(void)syscall(
	    SYS_futex, (uintptr_t)word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void
tell_room(struct capture *c)
{
	struct control *ctl = c->ctl;

	if (!spool_is_full(ctl))
		atomic_store(&ctl->waiting, 0);
	atomic_fetch_add(&ctl->room, 1);
	futex_wake_all(&ctl->room);
}

void
ring(struct capture *c)
{
	atomic_fetch_add(&c->ctl->doorbell, 1);
	if (atomic_load(&c->ctl->listening) != 0)
		futex_wake_all(&c->ctl->doorbell);
}
