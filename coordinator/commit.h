/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: what a flush of a group waits for, as text and as struct.
 *
 *   local                 the disk (default)
 *   journal               the journal on this host's disk, too
 *   all                   every destination of the group, too
 *   any K of (A,B,...)    so many of these destinations, too
 *
 * with a stage (stored: verified and durable at the mirror's site, or
 * applied), a time, and what to do when it is over. The waiting itself is the
 * capture core's (capture_commit), the counting the source role's.
 */
#ifndef COORDINATOR_COMMIT_H
#define COORDINATOR_COMMIT_H

#include "aimdriver/capture.h"
#include "common/name.h"

#define COMMIT_NAMES 16u
#define COMMIT_TEXT 1200u
#define COMMIT_TIMEOUT_MS 10000u /* unless the operator says otherwise */

struct commit_config {
	enum capture_commit_kind kind;
	bool all;	 /* `all`: no names */
	uint32_t needed; /* of the named ones */
	uint32_t count;
	char names[COMMIT_NAMES][NAME_LIMIT];
	bool applied; /* else stored */
	bool hold;    /* else degrade: go on without, with an event */
	uint32_t timeout_ms;
};

/* Kind, names and needed from a text; the rest of *out is left alone. Spaces
 * do not count, "(" and ")" may be left out. REFUSED says what is wrong. */
int commit_parse(
    const char *text, struct commit_config *out, struct err *e) CHECKED;
/* The text that is parsed to the same. */
const char *commit_text(const struct commit_config *p, char out[COMMIT_TEXT]);
/* Is the destination of that name one that flushes may wait for? */
bool commit_names(const struct commit_config *p, const char *name);
/* The `needed`-th highest of `count` positions, which are put into order; 0
 * when there are not so many, or none is needed. */
uint64_t commit_position(uint64_t *at, uint32_t count, uint32_t needed);

#endif
