/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activity: which extents of the volumes may differ between a volume and its
 * mirrors after the machine has stopped unclean (design 9.10). For the files
 * of the capture core only.
 *
 * `activity` is one sparse file in the group's folder, with a place for each
 * volume: a head, the log, and the hot words. The log is durable: a bit for
 * each extent of 4 MiB, in sectors of 512 bytes that carry a sum each. A bit
 * is there, on the disk, before its extent is first written to. The hot words
 * are of this boot only: a bit is there when the log's one is known to be
 * durable, so a writer asks nothing but that.
 *
 *   write    with the range locked: hot? Else, under the activity lock, set
 *            the log's bit; sync; under the lock again, if nothing was cleared
 *            meanwhile, set the hot bit. Whoever comes while a bit is set but
 *            not yet hot does the same; only what was set after the last sync
 *            began is synced.
 *   unmark   clear the hot bit, have all locks of the extent once: nobody who
 *            saw the bit is on the way any more. When the journal up to that
 *            moment is durable and a flush that began later has succeeded:
 *            under the activity lock, clear the log's bit unless the extent
 *            is hot again. That is not synced: a mark too many does no harm.
 *
 * What is damaged (a sum, the head) counts as "all extents are marked", and
 * that is written down before anything is changed in it. What is beyond
 * ACTIVITY_EXTENTS (126 TiB) shares the last bit.
 */
#ifndef AIMDRIVER_ACTIVITY_H
#define AIMDRIVER_ACTIVITY_H

#include "aimdriver/control.h"

#define ACTIVITY_MAGIC UINT64_C(0x0a1a746341416941)
#define ACTIVITY_LAYOUT 1u

enum {
	ACTIVITY_SHIFT = 22,  /* 4 MiB */
	ACTIVITY_WORDS = 63,  /* of a sector; one more is its sum */
	ACTIVITY_SECTORS = 8, /* of a page */
	ACTIVITY_PAGES = 1023,
	ACTIVITY_AHEAD = 8, /* extents marked at once for a sequential writer */
};
#define ACTIVITY_PAGE_EXTENTS ((uint64_t)ACTIVITY_SECTORS * ACTIVITY_WORDS * 64)
#define ACTIVITY_EXTENTS (ACTIVITY_PAGES * ACTIVITY_PAGE_EXTENTS)

struct activity_sector {
	_Atomic uint64_t word[ACTIVITY_WORDS];
	_Atomic uint64_t sum;
};

struct activity {
	/* the first sector: durable */
	uint64_t magic;
	uint32_t layout;
	_Atomic uint32_t pages; /* of the log that are in use */
	struct uuid group, volume;
	_Atomic uint32_t all; /* every extent counts as marked */
	uint32_t spare;
	_Atomic uint64_t sum;
	/* of this boot, under the activity lock */
	_Alignas(512) _Atomic uint64_t marks; /* that were set */
	_Atomic uint64_t synced;  /* `marks` when the last sync began */
	_Atomic uint64_t cleared; /* times that bits were cleared */
	_Alignas(
	    4096) struct activity_sector log[ACTIVITY_PAGES * ACTIVITY_SECTORS];
	_Alignas(4096) _Atomic uint64_t hot[(ACTIVITY_PAGES + 1) * 512];
};

_Static_assert(sizeof(struct activity_sector) == 512, "one sector");
_Static_assert(sizeof(struct activity) == 8 << 20, "place of a volume");

static inline uint64_t
activity_extent(uint64_t off)
{
	uint64_t e = off >> ACTIVITY_SHIFT;

	return e < ACTIVITY_EXTENTS ? e : ACTIVITY_EXTENTS - 1;
}

/* May [off, off + len), which is not empty, be written to now? The range is
 * locked. */
static inline bool
activity_is_hot(
    const struct capture *c, uint32_t volume, uint64_t off, uint64_t len)
{
	const struct activity *a = &c->activity[volume];
	uint64_t e = activity_extent(off),
		 last = activity_extent(off + len - 1);

	for (;; e++) {
		uint64_t w =
		    atomic_load_explicit(&a->hot[e / 64], memory_order_acquire);

		if ((w >> e % 64 & 1) == 0)
			return false;
		if (e >= last)
			return true;
	}
}

/* ---- activity.c ---- */

/*
 * Opens and maps the file; one that is missing or too short is made, with
 * everything marked unless there is nothing that could be. The boot lock is
 * held. c->activity stays NULL when it is not there and must not be written.
 */
int activity_open(struct capture *c, struct err *e) CHECKED;
/* The first one after a boot: nothing is hot. After a clean close nothing is
 * marked; else what is damaged is found. */
int activity_boot(struct capture *c, bool unclean, struct err *e) CHECKED;
/* A place for volume number `index`, which nobody uses yet. */
int activity_add(struct capture *c, uint32_t index, const struct uuid *volume,
    struct err *e) CHECKED;

/* ---- activity_mark.c ---- */

/* Marks a range, durably; -1: trouble() says why. The range is locked. */
int activity_mark(
    struct capture *c, uint32_t volume, uint64_t off, uint64_t len);
/* Everything is locked, sealed and flushed: nothing is marked any more. */
int activity_reset(struct capture *c, struct err *e) CHECKED;
bool activity_lock(struct capture *c);
void activity_unlock(struct capture *c);
/* How many pages of the log can be read. */
uint32_t activity_pages(const struct activity *a);
/* The head as it must be for its content. */
uint64_t activity_head_sum(const struct activity *a);
uint64_t activity_sector_sum(const struct activity *a, uint32_t sector);
bool activity_head_is_good(const struct capture *c, uint32_t volume);
/* Notes durably that everything counts as marked. Locked, or nobody else. */
int activity_mark_all(
    struct capture *c, uint32_t volume, struct err *e) CHECKED;

#endif
