/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: a flush that is reported only when mirrors have what it covers.
 *
 * P is the highest number given out when the flush begins to wait: what its
 * caller has written is complete by then, so it is not beyond P. The flush asks
 * the sealer to seal up to P at once and waits on a futex until the
 * coordinator, which alone knows what acknowledgements say, has stored a
 * `committed` of P or more. Nobody waits for a program: a flush holds no lock,
 * is counted by a time that it renews (who was killed is not counted for long),
 * and what it asks for is a hint.
 *
 * While writes pass uncaptured no number covers them, and P can only be taken
 * when capture is on again. The coordinator sets `committed` back to 0 before
 * that, and leaves it there until mirrors have the recovery that brings what
 * passed. Where numbers are given out anew (`commit_era`) P is taken anew, too.
 *
 * The clock of each flush decides what is too late, so this needs no living
 * coordinator. The first one that is too late says so in `commit_late_ns`;
 * then, unless the policy is to hold, no flush waits until the coordinator
 * finds that the mirrors have caught up.
 */
#include "aimdriver/control.h"

#include "common/clock.h"

#include <errno.h>

#define STAMP_STALE_NS UINT64_C(2000000000)
#define SLICE_MOST_MS 250u

static uint32_t
policy(const struct capture *c)
{
	return atomic_load_explicit(&c->ctl->commit, memory_order_acquire);
}

static enum capture_commit_kind
kind_of(uint32_t word)
{
	uint32_t kind = word & (COMMIT_HOLD - 1);

	return kind <= COMMIT_MIRRORS ? (enum capture_commit_kind)kind
				      : COMMIT_LOCAL;
}

enum capture_commit_kind
capture_commit_kind(const struct capture *c)
{
	return kind_of(policy(c));
}

/* ---- being counted ---- */

/* Is it the stamp of one that waits? A boot, and whoever is killed, leaves
 * some behind. */
static bool
is_fresh(uint64_t stamp, uint64_t now)
{
	return stamp != 0 && stamp <= now && now - stamp < STAMP_STALE_NS;
}

static void
stamp(struct capture *c, struct capture_commit *w, uint64_t now)
{
	uint32_t i;

	if (w->slot != 0) {
		atomic_store(&c->ctl->commit_waiter[w->slot - 1], now);
		return;
	}
	for (i = 0; i < COMMIT_WAITERS; i++) {
		_Atomic uint64_t *at = &c->ctl->commit_waiter[i];
		uint64_t was = atomic_load(at);

		/* One from the future (a boot) is nobody's, either. */
		if (is_fresh(was, now) ||
		    !atomic_compare_exchange_strong(at, &was, now))
			continue;
		w->slot = i + 1;
		return;
	}
}

static void
unstamp(struct capture *c, struct capture_commit *w)
{
	if (w->slot != 0)
		atomic_store(&c->ctl->commit_waiter[w->slot - 1], 0);
	w->slot = 0;
}

/* ---- waiting ---- */

/* Again, when numbers are given out anew. */
static void
take_number(struct capture *c, struct capture_commit *w)
{
	uint32_t era = atomic_load(&c->ctl->commit_era);

	if (w->taken && w->era == era)
		return;
	w->era = era;
	w->taken = is_capturing(c);
	w->number = w->taken ? next_number(c) - 1 : 0;
	w->tries = 0;
}

static bool
is_committed(const struct capture *c, const struct capture_commit *w)
{
	return w->taken && atomic_load(&c->ctl->committed) >= w->number;
}

/* Tells what is wanted; said again, because all of it are hints. */
static void
ask(struct capture *c, const struct capture_commit *w)
{
	struct control *ctl = c->ctl;
	uint64_t was = atomic_load(&ctl->commit_wanted);

	if (!w->taken)
		return;
	while (was < w->number && !atomic_compare_exchange_weak(
				      &ctl->commit_wanted, &was, w->number))
		continue;
	if (atomic_load(&ctl->sealed) < w->number)
		capture_request_seal(c, w->number);
}

/* The first one that is too late says since when. */
static void
say_late(struct capture *c)
{
	uint64_t was = 0;

	if (atomic_compare_exchange_strong(
		&c->ctl->commit_late_ns, &was, clock_wall_ns()))
		ring(c);
}

/* True: go on without the mirrors. */
static bool
is_over(struct capture *c, const struct capture_commit *w, uint32_t word,
    uint64_t now, uint32_t *left_ms)
{
	uint64_t most =
	    atomic_load(&c->ctl->commit_timeout_ms) * UINT64_C(1000000);
	bool late = now - w->begun_ns >= most;

	*left_ms = late
		       ? SLICE_MOST_MS
		       : (uint32_t)((most - (now - w->begun_ns)) / 1000000 + 1);
	if ((word & COMMIT_HOLD) == 0 &&
	    atomic_load(&c->ctl->commit_late_ns) != 0)
		return true;
	if (!late)
		return false;
	say_late(c);
	return (word & COMMIT_HOLD) == 0;
}

/* Whoever is to wake us may have died: looked after ever more rarely. */
static uint32_t
slice(const struct capture_commit *w, uint32_t left_ms)
{
	uint32_t ms = w->tries < 8 ? 1u << w->tries : SLICE_MOST_MS;

	if (ms > SLICE_MOST_MS)
		ms = SLICE_MOST_MS;
	return ms < left_ms ? ms : left_ms;
}

uint32_t
capture_commit_step(struct capture *c, struct capture_commit *w)
{
	uint32_t word = policy(c), left_ms;
	uint64_t now = clock_mono_ns();

	if (w->begun_ns == 0)
		w->begun_ns = now;
	w->word = &c->ctl->commit_bell;
	w->seen = atomic_load(w->word);
	/* Before the first base there is nothing that mirrors could have. */
	if (kind_of(word) != COMMIT_MIRRORS || !is_watching(c)) {
		unstamp(c, w);
		return 0;
	}
	take_number(c, w);
	if (is_committed(c, w) || is_over(c, w, word, now, &left_ms)) {
		unstamp(c, w);
		return 0;
	}
	stamp(c, w, now);
	ask(c, w);
	left_ms = slice(w, left_ms);
	w->tries++;
	return left_ms;
}

int
capture_commit(
    struct capture *c, bool (*interrupted)(void *ctx), void *ctx, struct err *e)
{
	struct capture_commit w = {0};
	uint32_t wait_ms;

	if (capture_commit_kind(c) == COMMIT_JOURNAL)
		return capture_sync_journal(c, e);
	while ((wait_ms = capture_commit_step(c, &w)) > 0) {
		if (interrupted != NULL && interrupted(ctx)) {
			unstamp(c, &w);
			(void)err_set(e, ERR_RETRY, "interrupted");
			if (e != NULL)
				e->sys = EINTR;
			return -1;
		}
		(void)futex_wait_ms(
		    w.word, w.seen, wait_ms < 100 ? wait_ms : 100);
	}
	return 0;
}

/* ---- the coordinator's side ---- */

int
capture_set_commit(struct capture *c, enum capture_commit_kind kind, bool hold,
    uint32_t timeout_ms, struct err *e)
{
	uint32_t word = (uint32_t)kind | (hold ? COMMIT_HOLD : 0);

	if (policy(c) == word &&
	    atomic_load(&c->ctl->commit_timeout_ms) == timeout_ms)
		return 0;
	/* What was reached by another policy says nothing. */
	atomic_store(&c->ctl->committed, 0);
	atomic_store(&c->ctl->commit_late_ns, 0);
	atomic_store(&c->ctl->commit_timeout_ms, timeout_ms);
	atomic_store(&c->ctl->commit, word);
	capture_committed(c, 0);
	return control_sync_marks(c, e);
}

static void
wake(struct capture *c)
{
	atomic_fetch_add(&c->ctl->commit_bell, 1);
	futex_wake_all(&c->ctl->commit_bell);
}

void
capture_committed(struct capture *c, uint64_t upto)
{
	atomic_store(&c->ctl->committed, upto);
	wake(c);
}

void
capture_commit_in_time(struct capture *c)
{
	atomic_store(&c->ctl->commit_late_ns, 0);
}

bool
capture_commit_awaited(const struct capture *c)
{
	return kind_of(policy(c)) == COMMIT_MIRRORS &&
	       atomic_load(&c->ctl->commit_wanted) >
		   atomic_load(&c->ctl->committed);
}

void
capture_nudge(struct capture *c)
{
	if (!c->read_only)
		ring(c);
}

void
commit_status(const struct capture *c, struct capture_status *out)
{
	const struct control *ctl = c->ctl;
	uint64_t now = clock_mono_ns();
	uint32_t i, word = policy(c);

	out->commit = kind_of(word);
	out->commit_hold = (word & COMMIT_HOLD) != 0;
	out->committed = atomic_load(&ctl->committed);
	out->commit_wanted = atomic_load(&ctl->commit_wanted);
	out->commit_late_ns = atomic_load(&ctl->commit_late_ns);
	for (i = 0; i < COMMIT_WAITERS; i++)
		if (is_fresh(atomic_load(&ctl->commit_waiter[i]), now))
			out->commit_waiting++;
}
