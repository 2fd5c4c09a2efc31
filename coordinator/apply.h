/* SPDX-License-Identifier: Apache-2.0 */
/* apply: what the parts of the apply role share; see roles.h. */
#ifndef COORDINATOR_APPLY_H
#define COORDINATOR_APPLY_H

#include "coordinator/mirror_state.h"
#include "coordinator/mirror_targets.h"
#include "coordinator/roles.h"
#include "coordinator/stage.h"
#include "coordinator/survey.h"
#include "coordinator/tail.h"

#define APPLY_FILES 64u
#define APPLY_BYTES (UINT64_C(256) << 20)

/* What a run of files makes of a mirror. */
struct standing {
	struct position at;
	uint64_t time_ns; /* source's clock */
	bool consistent;
	struct uuid copyin;
};

struct apply {
	struct stage stage;
	struct mirror_state state;
	struct mirror_targets targets; /* count 0: not open */
	bool checked;		       /* the tail, since they were opened */
	uint64_t retry_ns; /* what failed is not tried before (mono) */
	bool trouble;	   /* state.reason goes when a pass succeeds */
	int events;	   /* inotify on the stage folder, or -1 */

	/* the search through files that are held back */
	struct position held;	 /* looked at up to here */
	struct uuid held_copyin; /* recovery seen to begin; nil: none */
	bool holding;		 /* held is set */

	/* names in done/, oldest first */
	struct chain_name *done;
	size_t done_count, done_room;

	uint64_t *needed; /* sizes, one for each volume */
	char note[512];
};

/* ---- apply_plan.c ---- */

/* What a surveyed file makes of the standing before it. */
void apply_step(
    struct standing *s, const struct staged *f, const struct survey *v);

/*
 * Finds the files to apply next, verifies each, and says in *out where the
 * mirror is afterwards: 1; 0 when nothing can be applied now; -1.
 */
int apply_plan(struct apply *a, struct standing *out, struct err *e) CHECKED;
/* Verifies every file of a range that was begun before: as apply_plan. */
int apply_replan(struct apply *a, struct standing *out, struct err *e) CHECKED;
/* For a suspect mirror: 1 when a base for it is among the staged files. */
int apply_find_base(struct apply *a, struct err *e) CHECKED;

/* ---- apply_range.c ---- */

/* Redrives from state.clean to `to`, makes it durable, state CLEAN. */
int apply_range(
    struct apply *a, const struct standing *to, struct err *e) CHECKED;
/* Removes the oldest file in done/ if there are too many: 1, 0, -1. */
int apply_trim(struct apply *a, struct err *e) CHECKED;
/* Takes over what is in done/, and brings there what should be. */
int apply_settle_done(struct apply *a, struct err *e) CHECKED;

/* ---- apply.c ---- */

/* Why nothing is applied; durable, for the acknowledgement. */
int apply_stall(struct apply *a, const char *why, struct err *e) CHECKED;
/* Somebody else wrote to the mirror: only a base can make it good. */
int apply_changed(struct apply *a, const char *why, struct err *e) CHECKED;
/* Is this what a staged file says that is damaged or cannot be read (F28)? */
bool apply_is_damage(const struct err *e);
/* A staged file cannot be used: aside with it, it has to come again. */
int apply_refuse(
    struct apply *a, const char *name, const char *why, struct err *e) CHECKED;

#endif
