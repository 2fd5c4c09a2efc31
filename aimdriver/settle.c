/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle: finishes what dead owners left (rules 9.4, 9.5, 9.6).
 *
 * A slot's locks are held by its owner until it is finished; so a slot that
 * is not finished and whose locks can all be had belongs to nobody alive.
 * Nothing of a slot but its payload and sums is changed before its state word
 * says how it ended: a settler that is killed can be followed by another.
 *
 * A lock's dirt is taken away only by somebody who holds it and sees that no
 * unfinished slot is under it (such a slot would be an orphan too: a living
 * owner would hold the lock).
 *
 * ZERO and DISCARD can be larger than any payload. What became of their range
 * is put into the stream as new transactions, with the range locked; then the
 * orphan is void.
 */
#include "aimdriver/control.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
char slots_handed_on;
#endif

#define MISSES 64

void
slot_finish(struct slot *s, unsigned state, uint64_t value)
{
	SLOTS_HAND_ON();
	atomic_store_explicit(
	    &s->state, slot_state(state, value), memory_order_release);
}

static void
gap(struct capture *c, struct slot *s, const char *what, int sys)
{
	(void)trouble(c,
	    "transaction %ju: %s: %s; what the disk holds is not known, a "
	    "resync is needed",
	    (uintmax_t)s->number, what, strerror(sys));
	atomic_store(&c->ctl->suspect, 1);
	slot_finish(s, SLOT_GAP, 0);
}

/* Reads up to len bytes; -errno. */
static int64_t
read_range(int fd, uint8_t *to, uint64_t len, uint64_t off)
{
	uint64_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, to + got, len - got, (off_t)(off + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (uint64_t)n;
	}
	return (int64_t)got;
}

/* `len` comes from a checked copy. */
static void
settle_write(struct capture *c, const struct ticket *t, const struct slot *was)
{
	uint64_t seed = slot_seed(c, t->generation, t->index);
	struct slot *s = t->slot;
	int64_t n =
	    read_range(c->volume_fd[was->volume], t->data, was->len, was->off);

	step(STEP_REREAD);
	if (n < 0) {
		gap(c, s, "cannot read back after a write", (int)-n);
		return;
	}
	if (n == 0) {
		slot_finish(s, SLOT_VOID, 0);
		return;
	}
	s->data_sum = payload_sum(t->data, (uint64_t)n, seed);
	s->sum = slot_sum(s, seed);
	slot_finish(s, SLOT_DONE | SLOT_SETTLED, (uint64_t)n);
}

static void
settle_resize(struct capture *c, const struct ticket *t, const struct slot *was)
{
	int64_t size = volume_real_size(c, was->volume);

	if (size < 0) {
		gap(c, t->slot, "cannot see the size of the volume",
		    (int)-size);
		return;
	}
	volume_sized(&c->ctl->volume[was->volume], (uint64_t)size);
	if ((uint64_t)size == was->len)
		slot_finish(t->slot, SLOT_VOID, 0);
	else
		slot_finish(t->slot, SLOT_DONE | SLOT_SETTLED, (uint64_t)size);
}

/* What a range holds now, as new transactions. */
static void
settle_zero(struct capture *c, const struct ticket *t, const struct slot *was)
{
	uint64_t size = atomic_load(&c->ctl->volume[was->volume].size);
	uint64_t end = was->off + was->len, off = was->off;

	if (end < off || end > size)
		end = size;
	while (off < end) {
		int64_t n = extent_capture(c, was->volume, off, end, true);

		/* What was not acknowledged need not have been; what became of
		 * the range is marked, and will be copied in. */
		if (n == -EPERM && is_passing_through(c))
			break;
		if (n <= 0) {
			gap(c, t->slot, "cannot read back after a zeroing",
			    n < 0 ? (int)-n : EIO);
			return;
		}
		off += (uint64_t)n;
	}
	slot_finish(t->slot, SLOT_VOID, 0);
}

/* What was read before is not read again after, by no compiler. */
static void
copied(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* Does a copy of a slot name a volume that there is, and room in its segment?
 * It may have been changed since it was last looked at. */
static bool
is_sound(
    const struct capture *c, const struct ticket *t, const struct slot *was)
{
	uint64_t at = (uint64_t)(t->data - c->segments) % SEGMENT_STRIDE;

	if (was->op == OP_RESIZE || op_has_range(was->op))
		return was->volume < c->volume_count &&
		       (was->op != OP_WRITE || was->len <= SEGMENT_STRIDE - at);
	return true;
}

void
settle_slot(struct capture *c, const struct ticket *t)
{
	struct slot was = {.number = t->slot->number};
	uint64_t state = atomic_load(&t->slot->state);

	memcpy(&was.number, &t->slot->number,
	    sizeof(was) - offsetof(struct slot, number));
	copied();
	step(STEP_SETTLING);
	if ((state & SLOT_STATE) < SLOT_PUBLISHED) {
		slot_finish(t->slot, SLOT_VOID, 0);
		return;
	}
	if (!is_sound(c, t, &was)) {
		gap(c, t->slot, "a program that captures has damaged it", EIO);
		return;
	}
	if ((was.flags & SLOT_RECORDED) != 0) {
		slot_finish(t->slot, SLOT_DONE, was.len);
		step(STEP_SETTLED);
		return;
	}
	switch (was.op) {
	case OP_WRITE:
		settle_write(c, t, &was);
		break;
	case OP_RESIZE:
		settle_resize(c, t, &was);
		break;
	case OP_ZERO:
	case OP_DISCARD:
		settle_zero(c, t, &was);
		break;
	case OP_COPYIN:
	case OP_COPYIN_ZERO:
		/* Its job does it again. */
		slot_finish(t->slot, SLOT_VOID, 0);
		break;
	default:
		/* A note: it lies here whole. */
		slot_finish(t->slot, SLOT_DONE, was.len);
		break;
	}
	step(STEP_SETTLED);
}

bool
slot_hold(struct capture *c, const struct slot *s, struct hold *out)
{
	uint64_t off = s->off, len = s->len;
	uint32_t op = s->op, volume = s->volume;

	copied();
	*out = (struct hold){.volume = volume};
	if (!op_is_known(op))
		return false;
	if (op != OP_RESIZE && !op_has_range(op)) {
		out->want_notes = true;
		return true;
	}
	if (volume >= c->volume_count)
		return false;
	if (op == OP_RESIZE) {
		out->want_size = true;
		hold_resize(c, out, len, off);
	} else {
		out->want_size = s->extends != 0;
		hold_range(c, out, off, len);
	}
	return true;
}

/* A slot by number, if it can be found. */
static struct slot *
slot_of(struct capture *c, uint64_t number, struct ticket *t)
{
	uint32_t segment, index;
	struct slot *s;
	uint32_t data_off;

	if (!segment_find(c, number, &segment, &index))
		return NULL;
	s = segment_slot(c, segment, index);
	data_off = s->data_off;
	copied();
	if (s->number != number || data_off > SEGMENT_DATA ||
	    s->room > SEGMENT_DATA - data_off ||
	    (s->op == OP_WRITE && s->len > s->room))
		return NULL;
	*t = (struct ticket){.slot = s,
	    .data = segment_data(c, segment) + data_off,
	    .generation = atomic_load(&c->ctl->segment[segment].generation),
	    .index = index};
	return s;
}

uint64_t
settled_upto(struct capture *c)
{
	uint64_t n = atomic_load(&c->ctl->settled);
	uint64_t was = n, next = next_number(c);
	uint32_t segment, index;

	while (n < next && segment_find(c, n, &segment, &index)) {
		const struct slot *s = segment_slot(c, segment, index);

		if (!slot_is_finished(
			atomic_load_explicit(&s->state, memory_order_acquire)))
			break;
		n++;
	}
	/* Somebody else may have come further meanwhile. */
	if (!c->read_only)
		while (n > was &&
		       !atomic_compare_exchange_weak(&c->ctl->settled, &was, n))
			continue;
	return n;
}

/*
 * Is *n, or one after what was sealed meanwhile, in a segment? All that was
 * reserved is in one until it is sealed, but the chain may just be changing:
 * then once more. What somebody made up ends soon.
 */
static bool
goes_on(struct capture *c, uint64_t *n, uint64_t next, unsigned *misses)
{
	uint32_t segment, index;

	while (*n < next && *misses < MISSES) {
		uint64_t sealed;

		if (segment_find(c, *n, &segment, &index))
			return true;
		sealed = atomic_load(&c->ctl->sealed);
		if (sealed >= *n && sealed < next)
			*n = sealed + 1;
		else
			(*misses)++;
	}
	return false;
}

/* Is any unfinished slot under this lock, which we hold? */
static bool
is_covered(struct capture *c, const struct control_lock *l)
{
	uint64_t n, next = next_number(c);
	unsigned misses = 0;

	for (n = settled_upto(c); goes_on(c, &n, next, &misses); n++) {
		struct ticket t;
		struct hold h;
		struct slot *s = slot_of(c, n, &t);

		if (s == NULL || slot_is_finished(atomic_load(&s->state)) ||
		    !slot_hold(c, s, &h))
			continue;
		if (hold_covers(c, &h, l))
			return true;
	}
	return false;
}

static void
clean(struct capture *c, struct control_lock *l)
{
	if (atomic_load(&l->dirty) != 0 && !is_covered(c, l))
		atomic_store(&l->dirty, 0);
}

/*
 * Is transaction `number` still the one that was looked at, and unfinished?
 * Until its locks were had its owner may have finished it, and its slot may
 * have been sealed and taken by somebody who lives. The state is looked at
 * first: what is not sealed after that was not recycled before.
 */
static bool
is_orphan(struct capture *c, uint64_t number, const struct ticket *t)
{
	struct ticket now;

	return !slot_is_finished(atomic_load(&t->slot->state)) &&
	       atomic_load(&c->ctl->sealed) < number &&
	       slot_of(c, number, &now) == t->slot &&
	       now.generation == t->generation;
}

/* One unfinished slot, if its locks can be had. */
static void
settle_one(
    struct capture *c, uint64_t number, struct slot *s, const struct ticket *t)
{
	struct hold h;
	uint32_t i;

	if (!slot_hold(c, s, &h))
		return;
	/* Without the volumes' descriptors only notes can be settled. */
	if (!h.want_notes && (c->flags & CAPTURE_INSPECT) != 0)
		return;
	step(STEP_FOUND);
	if (!hold_try(c, &h))
		return;
	if (is_orphan(c, number, t))
		settle_slot(c, t);
	for (i = 0; i < hold_locks(&h); i++)
		clean(c, hold_lock(c, &h, i));
	hold_release(c, &h);
}

static void
clean_wanted(struct capture *c, const struct hold *want)
{
	uint32_t i;

	for (i = 0; i < hold_locks(want); i++) {
		struct control_lock *l = hold_lock(c, want, i);

		if (atomic_load(&l->dirty) == 0 || !lock_try(c, l))
			continue;
		clean(c, l);
		unlock_plain(c, l);
	}
}

void
settle(struct capture *c, const struct hold *want)
{
	uint64_t n, next;
	unsigned misses = 0;

	if (lock_plain(c, &c->ctl->settle) == HOLD_BUSY)
		return;
	/* The work is there to be done again: nothing else to put right. */
	atomic_store(&c->ctl->settle.dirty, 0);
	next = next_number(c);
	for (n = settled_upto(c); goes_on(c, &n, next, &misses); n++) {
		struct ticket t;
		struct slot *s = slot_of(c, n, &t);

		if (s != NULL && !slot_is_finished(atomic_load(&s->state)))
			settle_one(c, n, s, &t);
	}
	if (want != NULL)
		clean_wanted(c, want);
	(void)settled_upto(c);
	unlock_plain(c, &c->ctl->settle);
}

void
settle_as_gaps(struct capture *c)
{
	uint64_t n, next = next_number(c);
	unsigned misses = 0;
	uint32_t i;

	for (n = settled_upto(c); goes_on(c, &n, next, &misses); n++) {
		struct ticket t;
		struct slot *s = slot_of(c, n, &t);
		unsigned state;

		if (s == NULL || slot_is_finished(atomic_load(&s->state)))
			continue;
		state = atomic_load(&s->state) & SLOT_STATE;
		if (state < SLOT_PUBLISHED)
			slot_finish(s, SLOT_VOID, 0);
		else
			gap(c, s, "left by a writer that died", EIO);
	}
	for (i = 0; i < CONTROL_STRIPES; i++)
		atomic_store(&c->ctl->stripe[i].dirty, 0);
	for (i = 0; i < c->volume_count; i++)
		atomic_store(&c->ctl->volume[i].resize.dirty, 0);
	atomic_store(&c->ctl->notes.dirty, 0);
}
