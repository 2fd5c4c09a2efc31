/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extents: what a recovery copies in: extents of 4 MiB of a group's volumes,
 * or all of them. Kept in state/<group>.extents from the moment that capture
 * begins again until every mirror's copy-in has its END in a durable file, so
 * that a machine that stops once more meanwhile loses none of them.
 */
#ifndef COORDINATOR_EXTENTS_H
#define COORDINATOR_EXTENTS_H

#include "aimdriver/capture.h"
#include "coordinator/home.h"

struct extent_map {
	struct uuid volume;
	bool all;
	uint64_t count; /* bits; what is beyond is not in it */
	uint8_t *bits;
};

/* {0}: there is none. */
struct extents {
	uint32_t count; /* of volumes */
	struct extent_map *map;
};

void extents_release(struct extents *x);
/*
 * For the volumes of a group as they are now: nothing in it; or, with `all`,
 * everything.
 */
int extents_init(
    struct extents *x, struct capture *c, bool all, struct err *e) CHECKED;
/* Adds what the activity log says. *damaged: it says "all" of some volume. */
int extents_add_marked(
    struct extents *x, struct capture *c, bool *damaged, struct err *e) CHECKED;
/* Adds what is in `from`, by volume; what is not there counts as all. */
int extents_merge(
    struct extents *x, const struct extents *from, struct err *e) CHECKED;
/* The next run of bytes [*from, *to) at or after `off`; false: no more. */
bool extents_next(const struct extents *x, uint32_t volume, uint64_t off,
    uint64_t *from, uint64_t *to);
/* Takes an extent out again; one of a volume of which all counts stays. */
void extents_drop(struct extents *x, uint32_t volume, uint64_t extent);
/* Takes out what is before `off`; where all of a volume counts, what is left
 * of it goes up to `size`, at least 1. */
int extents_cut(struct extents *x, uint32_t volume, uint64_t off, uint64_t size,
    struct err *e) CHECKED;
/* Bytes of a volume of `size` bytes that are in it. */
uint64_t extents_bytes(const struct extents *x, uint32_t volume, uint64_t size);

/* 1, 0 when there is no such file (*out is left), -1. A damaged one is loaded
 * as one that has no volumes: everything counts as in it. */
int extents_load(struct home *h, const struct uuid *group, struct extents *out,
    struct err *e) CHECKED;
int extents_store(struct home *h, const struct uuid *group,
    const struct extents *x, struct err *e) CHECKED;
int extents_remove(
    struct home *h, const struct uuid *group, struct err *e) CHECKED;

#endif
