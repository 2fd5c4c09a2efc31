/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward: the files that a relay, or a mirror that passes files on, keeps in
 * sealed/<stream>/ until the next hops have them. Part of the receive role,
 * which alone adds and drops there; the ship roles only read, and put aside
 * what they find damaged.
 *
 * Of a relay this is the folder that it receives into. Where it stands is in
 * state/<relay>.state, in which `clean` is the place up to which nobody behind
 * it needs anything any more: the tip is found from there, and it moves back
 * when somebody needs what was dropped, so that the hop before sends it again.
 * A mirror's files get a second name there; what was dropped does not come
 * back to it.
 */
#ifndef COORDINATOR_FORWARD_H
#define COORDINATOR_FORWARD_H

#include "coordinator/config.h"
#include "coordinator/sealed.h"

struct forward {
	struct sealed sealed;
	struct position oldest; /* before the oldest there: numbers only */
	uint64_t bytes, files;
	uint64_t look_ns;	 /* monotonic: when it was looked after last */
	struct position *looked; /* of each destination, by forward_find */
	bool waits;		 /* something is here that a hop needs */
};

int forward_open(struct home *h, const struct mirror_config *m,
    struct forward *out, struct err *e) CHECKED;
void forward_close(struct forward *f);

/* Counts what is there. Lists, so not in a loop. */
int forward_count(struct forward *f, struct err *e) CHECKED;
/* A file of that name has come. */
void forward_added(struct forward *f, const struct position *at, uint64_t len);
/* Is the file there that follows? 1, 0, -1. */
int forward_has_next(
    struct forward *f, const struct position *after, struct err *e) CHECKED;
/* Removes all up to that place: 1 when something went, 0, -1. */
int forward_drop(
    struct forward *f, const struct position *upto, struct err *e) CHECKED;

/*
 * The first copy-in in the folder that names this mirror: 1 and the place
 * before it, 0 when there is none, -1. `looked` (NULL: all are looked at)
 * remembers how far was looked.
 */
int forward_find(struct sealed *s, const struct uuid *mirror,
    struct position *looked, struct position *before, struct err *e) CHECKED;

#endif
