/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather_state: what `gather` has read already, in a small file beside the
 * target, so that it can go on after any crash; specified in docs/gather.md.
 * The volume is divided into units; each is unread, or was read whole from
 * certain members. The file begins with a plan (a text that never changes)
 * and grows by records, each with a checksum; what does not check ends it.
 * Whoever notes that a unit was read has made it durable at the target before.
 * One thread; one user at a time, which the target's lock sees to.
 */
#ifndef COORDINATOR_GATHER_STATE_H
#define COORDINATOR_GATHER_STATE_H

#include "common/buf.h"
#include "common/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define GATHER_PLAN_LIMIT (UINT32_C(4) << 20)

struct gather_state {
	char path[PATH_MAX];
	int fd;
	uint64_t seed; /* of the records' sums: the plan's */
	uint64_t end;  /* where the next record goes */
	uint64_t units, unread;
	uint64_t *read;	    /* by unit: bit m: from member m; 0: unread */
	struct buf records; /* to be appended by the next sync */
};

#define GATHER_STATE_NONE ((struct gather_state){.fd = -1})

/* Makes the file, durably, with all units unread, in the place of what is
 * there, and opens it. */
int gather_state_create(struct gather_state *s, const char *path,
    const struct buf *plan, uint64_t units, struct err *e) CHECKED;
/* Reads the plan of the file: 1, 0 when there is none; CORRUPT. */
int gather_state_plan(
    const char *path, struct buf *plan, struct err *e) CHECKED;
/* Opens it, with what its records say; `units` as when it was made. */
int gather_state_open(struct gather_state *s, const char *path, uint64_t units,
    struct err *e) CHECKED;
void gather_state_close(struct gather_state *s);

/* The units [first, first + count) have been read from these members, or (0)
 * are to be read again. Durable after the next sync. */
int gather_state_note(struct gather_state *s, uint64_t first, uint64_t count,
    uint64_t members, struct err *e) CHECKED;
/* All that was read from one of these members is to be read again. Returns
 * through *count how many units. */
int gather_state_forget(struct gather_state *s, uint64_t members,
    uint64_t *count, struct err *e) CHECKED;
/* Appends what was noted, durably. May be tried again. */
int gather_state_sync(struct gather_state *s, struct err *e) CHECKED;
/* All is done: the file goes, durably. */
int gather_state_remove(struct gather_state *s, struct err *e) CHECKED;

#endif
