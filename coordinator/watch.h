/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: does a child still move? Its pulse lies in memory shared with it. A
 * child that has not beaten for the whole limit hangs; one that waits for a
 * disk to make data durable is given ten times as long, for a slow disk's
 * flush is not shortened by beginning it again.
 */
#ifndef COORDINATOR_WATCH_H
#define COORDINATOR_WATCH_H

#include "common/err.h"
#include "common/pulse.h"

#include <stdbool.h>

#define WATCH_LIMIT_MS 120000u /* unless the operator says otherwise */

struct watch {
	struct pulse *pulse; /* NULL: not watched */
	uint64_t beats;	     /* as last seen, */
	uint64_t moved_ns;   /* and since when (monotonic) */
	uint64_t looked_ns;
};

/* Shared memory for children that are started after this. */
int watch_open(struct watch *w, struct err *e) CHECKED;
void watch_close(struct watch *w);
/* A child begins now. */
void watch_begin(struct watch *w);

/*
 * Looks. True when it hangs, by `limit_ms` (0: never). *next_ns is made no
 * later than the time to look again. Time in which nobody looked, because we
 * ourselves were stopped, does not count.
 */
bool watch_look(struct watch *w, uint32_t limit_ms, uint64_t *next_ns);

#endif
