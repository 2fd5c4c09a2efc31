/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activity_cool: the coordinator's side of the activity log: what is marked,
 * and taking marks away (design 9.10). What is read here can be written by
 * any program that may capture: it is checked, and what makes no sense counts
 * as marked.
 */
#include "aimdriver/activity.h"

#include "common/sys.h"

#include <fcntl.h>
#include <sys/stat.h>

uint64_t
capture_extent_of(uint64_t off)
{
	return activity_extent(off);
}

uint64_t
capture_marks_end(struct capture *c, uint32_t volume)
{
	if (volume >= c->activity_count)
		return 0;
	return activity_pages(&c->activity[volume]) * ACTIVITY_PAGE_EXTENTS;
}

/* Is the file that we have mapped the one that new writers will find? */
static bool
is_current(const struct capture *c)
{
	struct stat own, named;

	return fstat(c->activity_fd, &own) == 0 &&
	       fstatat(c->dir, "activity", &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       own.st_dev == named.st_dev && own.st_ino == named.st_ino;
}

static bool
is_sound(const struct capture *c, uint32_t volume)
{
	const struct activity *a = &c->activity[volume];
	uint32_t i, n = activity_pages(a) * ACTIVITY_SECTORS;

	if (!activity_head_is_good(c, volume))
		return false;
	for (i = 0; i < n; i++)
		if (atomic_load(&a->log[i].sum) != activity_sector_sum(a, i))
			return false;
	return true;
}

/* Locked. Sets the bits of what is marked. */
static void
copy_marks(const struct activity *a, uint8_t *bits, uint64_t count)
{
	uint64_t w, n = activity_pages(a) * (ACTIVITY_PAGE_EXTENTS / 64);

	for (w = 0; w < n && w * 64 < count; w++) {
		uint64_t v = atomic_load(
		    &a->log[w / ACTIVITY_WORDS].word[w % ACTIVITY_WORDS]);
		uint64_t e;

		for (e = w * 64; v != 0 && e < count; e++, v >>= 1)
			if ((v & 1) != 0)
				bits[e / 8] |= (uint8_t)(1u << e % 8);
	}
}

int
capture_marked(struct capture *c, uint32_t volume, uint8_t *bits,
    uint64_t count, bool *all, struct err *e)
{
	if (volume >= c->activity_count || !is_current(c)) {
		*all = true;
		return 0;
	}
	if (!activity_lock(c))
		return err_set(e, ERR_RETRY, "%s", c->trouble);
	*all =
	    atomic_load(&c->activity[volume].all) != 0 || !is_sound(c, volume);
	if (!*all)
		copy_marks(&c->activity[volume], bits, count);
	activity_unlock(c);
	return 0;
}

uint64_t
capture_marked_count(struct capture *c)
{
	uint64_t total = 0;
	uint32_t i;

	for (i = 0; i < c->activity_count; i++) {
		const struct activity *a = &c->activity[i];
		uint64_t n = activity_pages(a) * (ACTIVITY_PAGE_EXTENTS / 64);
		uint64_t w;

		if (atomic_load(&a->all) != 0)
			return UINT64_MAX;
		for (w = 0; w < n; w++)
			total += (uint64_t)__builtin_popcountll(
			    atomic_load_explicit(&a->log[w / ACTIVITY_WORDS]
						      .word[w % ACTIVITY_WORDS],
				memory_order_relaxed));
	}
	return total;
}

bool
capture_cool(struct capture *c, uint32_t volume, uint64_t extent)
{
	_Atomic uint64_t *w;
	struct hold h = {.volume = volume};
	uint64_t off = extent << ACTIVITY_SHIFT;

	if (volume >= c->activity_count || extent >= ACTIVITY_EXTENTS ||
	    extent >=
		activity_pages(&c->activity[volume]) * ACTIVITY_PAGE_EXTENTS)
		return false;
	w = &c->activity[volume].hot[extent / 64];
	atomic_fetch_and(w, ~(UINT64_C(1) << extent % 64));
	step(STEP_COOLING);
	/* Whoever has seen it hot holds one of these; a change of size is
	 * under the size lock and not under the stripes of all it covers. */
	h.want_size = c->ctl->volume[volume].kind == VOLUME_FILE;
	hold_range(c, &h, off,
	    extent == ACTIVITY_EXTENTS - 1 ? INT64_MAX - off
					   : UINT64_C(1) << ACTIVITY_SHIFT);
	if (!hold_try(c, &h))
		return false;
	hold_release(c, &h);
	return true;
}

/* Locked. True when the mark was taken away. */
static bool
take_away(struct activity *a, uint64_t extent)
{
	uint64_t w = extent / 64, bit = UINT64_C(1) << extent % 64;
	uint32_t sector = (uint32_t)(w / ACTIVITY_WORDS);
	_Atomic uint64_t *log = &a->log[sector].word[w % ACTIVITY_WORDS];

	if (w >= activity_pages(a) * (ACTIVITY_PAGE_EXTENTS / 64) ||
	    (atomic_load(&a->hot[w]) & bit) != 0 ||
	    (atomic_load(log) & bit) == 0)
		return false;
	atomic_fetch_and(log, ~bit);
	step(STEP_UNMARKING);
	atomic_store(&a->log[sector].sum, activity_sector_sum(a, sector));
	return true;
}

int64_t
capture_unmark(struct capture *c, uint32_t volume, const uint8_t *bits,
    uint64_t count, struct err *e)
{
	struct activity *a;
	uint64_t i;
	int64_t n = 0;

	if (volume >= c->activity_count)
		return 0;
	a = &c->activity[volume];
	if (!activity_lock(c))
		return err_set(e, ERR_RETRY, "%s", c->trouble);
	if (!is_sound(c, volume)) {
		n = activity_mark_all(c, volume, e);
		activity_unlock(c);
		return n;
	}
	atomic_fetch_add(&a->cleared, 1);
	for (i = 0; i < count; i++)
		if ((bits[i / 8] >> i % 8 & 1) != 0 && take_away(a, i))
			n++;
	activity_unlock(c);
	return n;
}

int
capture_forgive(struct capture *c, struct err *e)
{
	uint32_t i;
	int r = 0;

	if (!activity_lock(c))
		return err_set(e, ERR_RETRY, "%s", c->trouble);
	for (i = 0; i < c->activity_count && r == 0; i++) {
		struct activity *a = &c->activity[i];

		if (atomic_load(&a->all) == 0 || !is_sound(c, i))
			continue;
		atomic_store(&a->all, 0);
		atomic_store(&a->sum, activity_head_sum(a));
		if (sys_msync(a, SEGMENT_PAGE) < 0)
			r = err_sys(e, "sync %s/activity", c->where);
	}
	activity_unlock(c);
	return r;
}
