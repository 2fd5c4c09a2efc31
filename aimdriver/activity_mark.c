/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activity_mark: marking extents, and taking all marks away.
 *
 * The head and each sector carry a sum. It is looked at before anything there
 * is changed, so that a change never makes damage look good. A process that
 * is killed between a bit and its sum leaves the lock dirty, and memory is
 * intact then: the next one sums up anew. Only when the machine stops in that
 * very moment too is the sum wrong on the disk, and everything is copied in.
 */
#include "aimdriver/activity.h"

#include "common/sys.h"

#include <string.h>
#include <sys/mman.h>

uint32_t
activity_pages(const struct activity *a)
{
	uint32_t n = atomic_load_explicit(&a->pages, memory_order_acquire);

	return n <= ACTIVITY_PAGES ? n : ACTIVITY_PAGES;
}

uint64_t
activity_head_sum(const struct activity *a)
{
	return payload_sum(a, offsetof(struct activity, sum), ACTIVITY_MAGIC);
}

uint64_t
activity_sector_sum(const struct activity *a, uint32_t sector)
{
	return payload_sum(&a->log[sector],
	    offsetof(struct activity_sector, sum), ACTIVITY_MAGIC + sector);
}

bool
activity_head_is_good(const struct capture *c, uint32_t volume)
{
	const struct activity *a = &c->activity[volume];

	return a->magic == ACTIVITY_MAGIC && a->layout == ACTIVITY_LAYOUT &&
	       uuid_equal(&a->group, &c->group) &&
	       uuid_equal(&a->volume, &c->ctl->volume[volume].uuid) &&
	       atomic_load(&a->pages) <= ACTIVITY_PAGES &&
	       atomic_load(&a->sum) == activity_head_sum(a);
}

/* ---- the lock ---- */

static void
sum_sector(struct activity *a, uint32_t sector)
{
	atomic_store(&a->log[sector].sum, activity_sector_sum(a, sector));
}

/* An owner died: what it has set may have no sum, and may not be durable. */
static void
repair(struct capture *c)
{
	uint32_t i, k;

	for (i = 0; i < c->activity_count; i++) {
		struct activity *a = &c->activity[i];

		for (k = 0; k < activity_pages(a) * ACTIVITY_SECTORS; k++)
			sum_sector(a, k);
		atomic_store(&a->sum, activity_head_sum(a));
		atomic_fetch_add(&a->marks, 1);
	}
}

bool
activity_lock(struct capture *c)
{
	struct control_lock *l = &c->ctl->activity;

	switch (lock_short(c, l)) {
	case HOLD_BUSY:
		(void)trouble(c,
		    "the lock of the activity log in %s cannot be had",
		    c->where);
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

void
activity_unlock(struct capture *c)
{
	unlock_plain(c, &c->ctl->activity);
}

/* ---- marking ---- */

static int
sync_pages(struct capture *c, void *at, size_t len, struct err *e)
{
	if (sys_msync(at, len) < 0)
		return err_sys(e, "sync %s/activity", c->where);
	return 0;
}

static int
sync_log(struct capture *c, struct activity *a, struct err *e)
{
	return sync_pages(c, a->log, activity_pages(a) * SEGMENT_PAGE, e);
}

static int
sync_head(struct capture *c, struct activity *a, struct err *e)
{
	atomic_store(&a->sum, activity_head_sum(a));
	return sync_pages(c, a, SEGMENT_PAGE, e);
}

int
activity_mark_all(struct capture *c, uint32_t volume, struct err *e)
{
	struct activity *a = &c->activity[volume];
	uint32_t i;

	/* As if it had just been made; marks that are good stay. */
	a->magic = ACTIVITY_MAGIC;
	a->layout = ACTIVITY_LAYOUT;
	a->group = c->group;
	a->volume = c->ctl->volume[volume].uuid;
	atomic_store(&a->pages, activity_pages(a));
	atomic_store(&a->all, 1);
	if (sync_head(c, a, e) < 0)
		return -1;
	for (i = 0; i < activity_pages(a) * ACTIVITY_SECTORS; i++)
		sum_sector(a, i);
	return 0;
}

/* Room on the disk for the pages up to `pages`, so that touching them is no
 * SIGBUS when it is full; then they count. */
static int
grow(struct capture *c, uint32_t volume, uint32_t pages, struct err *e)
{
	struct activity *a = &c->activity[volume];
	uint64_t at = (uint64_t)volume * sizeof(*a);
	uint32_t i, was = activity_pages(a);
	uint64_t len = (uint64_t)(pages - was) * SEGMENT_PAGE;
	uint64_t skip = (uint64_t)was * SEGMENT_PAGE;

	if (sys_fallocate(c->activity_fd, 0,
		at + offsetof(struct activity, log) + skip, len) < 0 ||
	    sys_fallocate(c->activity_fd, 0,
		at + offsetof(struct activity, hot) + skip, len) < 0)
		return err_sys(e, "make room in %s/activity", c->where);
	for (i = was * ACTIVITY_SECTORS; i < pages * ACTIVITY_SECTORS; i++) {
		uint32_t k;

		for (k = 0; k < ACTIVITY_WORDS; k++)
			atomic_store(&a->log[i].word[k], 0);
		sum_sector(a, i);
	}
	if (sync_pages(c, &a->log[was * ACTIVITY_SECTORS], len, e) < 0)
		return -1;
	atomic_store_explicit(&a->pages, pages, memory_order_release);
	return sync_head(c, a, e);
}

/* Sets bits [e, last] of one word's sector; true when one was not set. */
static bool
set_word(struct activity *a, uint64_t word, uint64_t bits)
{
	uint32_t sector = (uint32_t)(word / ACTIVITY_WORDS);
	struct activity_sector *s = &a->log[sector];
	_Atomic uint64_t *w = &s->word[word % ACTIVITY_WORDS];

	if ((atomic_load(w) & bits) == bits)
		return false;
	atomic_fetch_or(w, bits);
	step(STEP_MARKING);
	sum_sector(a, sector);
	return true;
}

/* Bits of extents [first, last] that lie in word `w`. */
static uint64_t
bits_of(uint64_t w, uint64_t first, uint64_t last)
{
	uint64_t bits = UINT64_MAX;

	if (w == first / 64)
		bits &= UINT64_MAX << first % 64;
	if (w == last / 64)
		bits &= UINT64_MAX >> (63 - last % 64);
	return bits;
}

static bool
are_sums_good(
    const struct capture *c, uint32_t volume, uint64_t first, uint64_t last)
{
	const struct activity *a = &c->activity[volume];
	uint64_t i, per = (uint64_t)ACTIVITY_WORDS * 64;

	if (!activity_head_is_good(c, volume))
		return false;
	for (i = first / per;
	     i <= last / per && i < activity_pages(a) * ACTIVITY_SECTORS; i++)
		if (atomic_load(&a->log[i].sum) !=
		    activity_sector_sum(a, (uint32_t)i))
			return false;
	return true;
}

/* Locked. Sets the log's bits. */
static int
set_marks(struct capture *c, uint32_t volume, uint64_t first, uint64_t last,
    struct err *e)
{
	struct activity *a = &c->activity[volume];
	uint32_t pages = (uint32_t)(last / ACTIVITY_PAGE_EXTENTS) + 1;
	bool any = false;
	uint64_t w;

	if (!are_sums_good(c, volume, first, last) &&
	    activity_mark_all(c, volume, e) < 0)
		return -1;
	if (pages > activity_pages(a) && grow(c, volume, pages, e) < 0)
		return -1;
	for (w = first / 64; w <= last / 64; w++)
		any = set_word(a, w, bits_of(w, first, last)) || any;
	if (any)
		atomic_fetch_add(&a->marks, 1);
	return 0;
}

static bool
is_marked(const struct activity *a, uint64_t e)
{
	uint64_t w = e / 64;

	return e < activity_pages(a) * ACTIVITY_PAGE_EXTENTS &&
	       (atomic_load(
		    &a->log[w / ACTIVITY_WORDS].word[w % ACTIVITY_WORDS]) >>
		       e % 64 &
		   1) != 0;
}

/* Who comes from the extent before will go on to the next ones. */
static uint64_t
look_ahead(const struct activity *a, uint64_t first, uint64_t last)
{
	uint64_t e = last + ACTIVITY_AHEAD - 1;

	if (first == 0 || !is_marked(a, first - 1))
		return last;
	return e < ACTIVITY_EXTENTS ? e : last;
}

/* Locked, and what was to become durable is so. */
static void
heat(struct activity *a, uint64_t first, uint64_t last)
{
	uint64_t w;

	for (w = first / 64; w <= last / 64; w++)
		atomic_fetch_or_explicit(
		    &a->hot[w], bits_of(w, first, last), memory_order_release);
}

/* One attempt: 1 when the range is hot, 0 when bits were cleared meanwhile. */
static int
try_mark(struct capture *c, uint32_t volume, uint64_t first, uint64_t last,
    struct err *e)
{
	struct activity *a = &c->activity[volume];
	uint64_t marks, cleared;
	int r;

	if (!activity_lock(c))
		return err_set(e, ERR_RETRY, "%s", c->trouble);
	last = look_ahead(a, first, last);
	r = set_marks(c, volume, first, last, e);
	marks = atomic_load(&a->marks);
	cleared = atomic_load(&a->cleared);
	activity_unlock(c);
	step(STEP_MARKED);
	if (r < 0)
		return -1;
	if (atomic_load(&a->synced) < marks && sync_log(c, a, e) < 0)
		return -1;
	step(STEP_MARK_SYNCED);
	if (!activity_lock(c))
		return err_set(e, ERR_RETRY, "%s", c->trouble);
	if (atomic_load(&a->synced) < marks)
		atomic_store(&a->synced, marks);
	r = atomic_load(&a->cleared) == cleared;
	if (r == 1)
		heat(a, first, last);
	activity_unlock(c);
	step(STEP_HOT);
	return r;
}

int
activity_mark(struct capture *c, uint32_t volume, uint64_t off, uint64_t len)
{
	uint64_t first = activity_extent(off);
	uint64_t last = activity_extent(off + len - 1);
	struct err e;
	int r;

	step(STEP_COLD);
	do
		r = try_mark(c, volume, first, last, &e);
	while (r == 0);
	if (r < 0)
		return trouble(c, "%s", e.text);
	return 0;
}

/* ---- the end ---- */

static int
reset_one(struct capture *c, struct activity *a, struct err *e)
{
	uint32_t i, k, n = activity_pages(a) * ACTIVITY_SECTORS;

	atomic_fetch_add(&a->cleared, 1);
	for (i = 0; i < n * ACTIVITY_WORDS; i++)
		if (atomic_load(&a->hot[i]) != 0)
			atomic_store(&a->hot[i], 0);
	for (i = 0; i < n; i++) {
		for (k = 0; k < ACTIVITY_WORDS; k++)
			if (atomic_load(&a->log[i].word[k]) != 0)
				atomic_store(&a->log[i].word[k], 0);
		sum_sector(a, i);
	}
	if (n > 0 && sync_log(c, a, e) < 0)
		return -1;
	if (atomic_load(&a->all) == 0)
		return 0;
	atomic_store(&a->all, 0);
	return sync_head(c, a, e);
}

int
activity_reset(struct capture *c, struct err *e)
{
	uint32_t i;
	int r = 0;

	if (!activity_lock(c))
		return err_set(e, ERR_RETRY, "%s", c->trouble);
	for (i = 0; i < c->activity_count && r == 0; i++)
		r = reset_one(c, &c->activity[i], e);
	activity_unlock(c);
	return r;
}
