/* SPDX-License-Identifier: Apache-2.0 */
/*
 * range: the locks of a transaction. A range of a volume is covered by
 * stripes of 64 KiB, spread over one table for the whole group, so that one
 * table serves any number of volumes. Stripes are taken in ascending order of
 * their index, each once.
 *
 * An owner that died leaves each of its locks either still marked by the
 * kernel or, once somebody has had it, dirty. So nobody passes a lock under
 * which something is unfinished without knowing it.
 *
 * Coordinator and manager never wait without a limit: they do not trust the
 * other processes to let go.
 */
#include "aimdriver/control.h"

#include "common/clock.h"

#include <sched.h>
#include <time.h>

enum { PATIENCE_MS = 5000, SETTLE_MS = 15000 };

static uint32_t
stripe_of(uint32_t volume, uint64_t block)
{
	/* Volumes start at scattered stripes. */
	uint32_t h = volume * UINT32_C(0x9e3779b1);

	return (uint32_t)((h >> 16) + block) & (CONTROL_STRIPES - 1);
}

void
hold_range(const struct capture *c, struct hold *h, uint64_t off, uint64_t len)
{
	uint64_t first = off >> CONTROL_STRIPE_SHIFT;
	uint64_t last = len == 0 || off + len - 1 < off
			    ? first
			    : (off + len - 1) >> CONTROL_STRIPE_SHIFT;
	uint64_t n = last - first + 1;

	(void)c;
	if (n >= CONTROL_STRIPES) {
		h->first = 0;
		h->count = CONTROL_STRIPES;
		return;
	}
	h->first = stripe_of(h->volume, first);
	h->count = (uint32_t)n;
}

void
hold_resize(
    const struct capture *c, struct hold *h, uint64_t old, uint64_t size)
{
	if (size < old)
		hold_range(c, h, size, old - size);
	else
		hold_range(c, h, size == 0 ? 0 : size - 1, 1);
}

/*
 * Everything that a transaction can be under: every one holds the notes lock
 * or at least one stripe. (Not the volumes' own locks: the kernel walks at
 * most 2,048 robust locks of a thread that dies.)
 */
void
hold_everything(struct hold *h)
{
	*h = (struct hold){.count = CONTROL_STRIPES, .want_notes = true};
}

/* How many stripes of h wrap around to the table's start. */
static uint32_t
wrapped(const struct hold *h)
{
	uint32_t end = h->first + h->count;

	return end > CONTROL_STRIPES ? end - CONTROL_STRIPES : 0;
}

static uint32_t
stripe_at(const struct hold *h, uint32_t i)
{
	uint32_t w = wrapped(h);

	return i < w ? i : h->first + (i - w);
}

/* Locks in order, without the position lock: size, notes, stripes. */
uint32_t
hold_locks(const struct hold *h)
{
	return h->count + (h->want_size ? 1 : 0) + (h->want_notes ? 1 : 0);
}

struct control_lock *
hold_lock(struct capture *c, const struct hold *h, uint32_t i)
{
	if (h->want_size && i-- == 0)
		return &c->ctl->volume[h->volume].resize;
	if (h->want_notes && i-- == 0)
		return &c->ctl->notes;
	return &c->ctl->stripe[stripe_at(h, i)];
}

bool
hold_covers(
    struct capture *c, const struct hold *other, const struct control_lock *l)
{
	uint32_t i;

	if (other->want_size && l == &c->ctl->volume[other->volume].resize)
		return true;
	if (other->want_notes && l == &c->ctl->notes)
		return true;
	if (l < c->ctl->stripe || l >= c->ctl->stripe + CONTROL_STRIPES)
		return false;
	i = (uint32_t)(l - c->ctl->stripe);
	return ((i - other->first) & (CONTROL_STRIPES - 1)) < other->count;
}

/* For a lock that is held for some tens of nanoseconds: going to sleep for
 * it would cost a hundred times that. */
enum hold_result
lock_short(struct capture *c, struct control_lock *l)
{
	unsigned i;

	for (i = 0; i < 64; i++) {
		if (lock_try(c, l))
			return atomic_load(&l->dirty) != 0 ? HOLD_DIRTY
							   : HOLD_OK;
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#endif
	}
	return lock_plain(c, l);
}

enum hold_result
lock_plain(struct capture *c, struct control_lock *l)
{
	if (!lock_try(c, l) &&
	    !lock_wait(c, l,
		(c->flags & CAPTURE_WRITER) != 0 ? UINT32_MAX : PATIENCE_MS))
		return HOLD_BUSY;
	return atomic_load_explicit(&l->dirty, memory_order_acquire) != 0
		   ? HOLD_DIRTY
		   : HOLD_OK;
}

static void
release_first(struct capture *c, struct hold *h, uint32_t n)
{
	while (n > 0)
		unlock_plain(c, hold_lock(c, h, --n));
	h->size = h->notes = h->stripes = false;
}

void
hold_release_range(struct capture *c, struct hold *h)
{
	if (h->stripes)
		release_first(c, h, hold_locks(h));
}

void
hold_release(struct capture *c, struct hold *h)
{
	hold_release_range(c, h);
	if (h->position)
		unlock_plain(c, &c->ctl->volume[h->volume].position);
	h->position = false;
}

static void
held(struct hold *h)
{
	h->size = h->want_size;
	h->notes = h->want_notes;
	h->stripes = true;
}

enum hold_result
hold_take(struct capture *c, struct hold *h)
{
	enum hold_result result = HOLD_OK;
	uint32_t i, n = hold_locks(h);

	for (i = 0; i < n && result != HOLD_BUSY; i++) {
		enum hold_result r = lock_plain(c, hold_lock(c, h, i));

		/* All that a dead owner held is found in one go. */
		if (__builtin_expect(r != HOLD_OK, 0))
			result = r;
	}
	if (__builtin_expect(result == HOLD_OK, 1)) {
		held(h);
		return HOLD_OK;
	}
	release_first(c, h, result == HOLD_BUSY ? i - 1 : n);
	hold_release(c, h);
	return result;
}

bool
hold_try(struct capture *c, struct hold *h)
{
	uint32_t i, n = hold_locks(h);

	for (i = 0; i < n; i++) {
		struct control_lock *l = hold_lock(c, h, i);

		if (!lock_try(c, l)) {
			release_first(c, h, i);
			return false;
		}
	}
	held(h);
	return true;
}

void
back_off(unsigned tries)
{
	struct timespec t = {.tv_nsec = 1000000};

	if (tries < 8)
		(void)sched_yield();
	else
		(void)nanosleep(&t, NULL);
}

int
hold_take_settled(struct capture *c, struct hold *h, struct err *e)
{
	uint64_t until = clock_mono_ns() + UINT64_C(1000000) * SETTLE_MS;
	unsigned tries = 0;

	for (;;) {
		switch (hold_take(c, h)) {
		case HOLD_OK:
			return 0;
		case HOLD_BUSY:
			return err_set(e, ERR_RETRY,
			    "a lock of the group is held by a writer that "
			    "does not go on; see which program hangs in a "
			    "write");
		case HOLD_DIRTY:
			break;
		}
		settle(c, h);
		if (tries++ >= 5000 || ((c->flags & CAPTURE_WRITER) == 0 &&
					   clock_mono_ns() > until))
			return err_set(e, ERR_RETRY,
			    "what a killed writer left cannot be settled while "
			    "another writer hangs");
		back_off(tries);
	}
}
