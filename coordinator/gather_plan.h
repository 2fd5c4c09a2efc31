/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather_plan: from which members a unit of the volume is read, and in what
 * stretches. Pure.
 */
#ifndef COORDINATOR_GATHER_PLAN_H
#define COORDINATOR_GATHER_PLAN_H

#include "fileformat/layout.h"

/* A stretch of a member, that is read at once. */
struct gather_read {
	uint32_t member, len;
	uint64_t off;
};

/* Bytes of the volume in a unit: a good read of every member. */
uint64_t gather_unit(const struct layout *l);

/*
 * The fewest of the members `from` that hold all of a volume range that can be
 * held by them, when those are left out first that come first in `order` (all
 * members, the least wanted one first). 0: they do not hold all of it.
 */
uint64_t gather_choose(const struct layout *l, uint64_t off, uint64_t len,
    uint64_t from, const uint32_t order[LAYOUT_MOST]);

/*
 * What is to be read of `member` for range [off, off + len) of the volume:
 * those of its bytes there that are on none of the members `before` (0: all).
 * Stretches that lie close together are one. Begins at *at, 0 the first time;
 * 1: there is one, 0: no more.
 */
int gather_next(const struct layout *l, uint64_t off, uint64_t len,
    uint32_t member, uint64_t before, uint64_t *at, struct gather_read *out);

#endif
