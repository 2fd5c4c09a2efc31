/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror_state: the redriver's durable word on where the mirror stands, in
 * state/<mirror>.state: two slots of 4 KiB, written in turn, the valid one
 * with the higher generation counts (reliability 3.5, faults F13, F32).
 * Written by the redriver alone; anyone may read at any time.
 */
#ifndef COORDINATOR_MIRROR_STATE_H
#define COORDINATOR_MIRROR_STATE_H

#include "coordinator/home.h"
#include "fileformat/ack.h"

enum mirror_phase {
	MIRROR_EMPTY = 1,    /* nothing applied yet */
	MIRROR_CLEAN = 2,    /* at `clean`, flushed */
	MIRROR_APPLYING = 3, /* between `clean` and `target` */
	MIRROR_SUSPECT = 4,  /* device failed or was changed by others */
};

struct mirror_state {
	uint64_t generation;
	enum mirror_phase phase;
	bool consistent; /* at `clean`; false until the first END */
	bool staging;	 /* a recovery waits for its END (old image kept) */
	struct uuid mirror, stream;
	struct position clean, target;
	uint64_t applied_time_ns; /* source's clock, of clean.last */
	struct uuid copyin; /* id of the copy-in that is under way; nil: none */
	uint32_t done_count;
	struct uuid done[ACK_DONE_LIMIT]; /* control messages carried out */
	char reason[160];
};

/* phase MIRROR_EMPTY, generation 0 when there is no file yet. CORRUPT when
 * neither slot is valid. */
int mirror_state_load(struct home *h, const struct uuid *mirror,
    struct mirror_state *out, struct err *e) CHECKED;
/* What was loaded is on disk when this returns 0: it may have been seen
 * between a write and its sync. */
int mirror_state_sync(
    struct home *h, const struct uuid *mirror, struct err *e) CHECKED;
/* Writes generation + 1 to the other slot, synced; updates s->generation. */
int mirror_state_store(
    struct home *h, struct mirror_state *s, struct err *e) CHECKED;

#endif
