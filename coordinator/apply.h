/* SPDX-License-Identifier: Apache-2.0 */
/* apply: what the parts of the apply role share; see roles.h. */
#ifndef COORDINATOR_APPLY_H
#define COORDINATOR_APPLY_H

#include "coordinator/ahead.h"
#include "coordinator/mirror_state.h"
#include "coordinator/mirror_targets.h"
#include "coordinator/roles.h"
#include "coordinator/stage.h"
#include "coordinator/survey.h"
#include "coordinator/tail.h"

#define APPLY_FILES 64u
#define APPLY_BYTES (UINT64_C(256) << 20)
/* Memory for what is verified and not yet carried out. */
#define APPLY_AHEAD (UINT64_C(32) << 20)
/* So much is verified before the state says that it is being applied, as that
 * is a sync: nearly all that fits; what is carried out makes room for more. */
#define APPLY_GROUP (UINT64_C(28) << 20)

/* What a run of files makes of a mirror. */
struct standing {
	struct position at;
	uint64_t time_ns; /* source's clock */
	bool consistent;
	struct uuid copyin;
};

/* A list of names that grows. */
struct apply_names {
	struct chain_name *at;
	size_t count, room;
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
	bool held_cuts;		 /* the last of them needs a cut */

	uint64_t cut; /* the greatest among the staged files; 0: none */
	struct position cut_at; /* looked for up to here */
	bool cut_wait;		/* the next file needs one that is greater */

	/* sums for a recovery that is held back (apply_sums.c) */
	struct position begin;	 /* of the file that asks for them; nil: none */
	struct apply_sums *sums; /* that are being made, or NULL */
	bool answered;		 /* all there are; until `begin` changes */
	bool swept;		 /* none are published */

	uint64_t ahead_bytes; /* APPLY_AHEAD, less in tests */
	struct ahead *ahead;  /* while there is something to do, or NULL */

	/* names in done/, oldest first */
	struct apply_names done;

	uint64_t *needed; /* sizes, one for each volume */
	char note[512];
};

/* ---- apply_plan.c ---- */

/* Where the mirror is. */
struct standing apply_standing(const struct apply *a);
/* What a surveyed file makes of the standing before it. */
void apply_step(
    struct standing *s, const struct staged *f, const struct survey *v);
/* Volumes may become as large as the files say that are admitted from now. */
void apply_forget_sizes(struct apply *a);
/*
 * May the file, which comes next, be applied at once? 1 and *s stands behind
 * it; 0 no: volumes cannot become as large as it says (`why`), or (`why` is
 * empty) it begins what a consistent mirror holds back; -1.
 */
int apply_admit(struct apply *a, struct staged *f, struct standing *s,
    char why[CHAIN_WHY], struct err *e) CHECKED;

/* Is it known that the next file is held back? */
bool apply_is_holding(const struct apply *a);
/*
 * Is all staged that has to be applied at once, verified? 1 and *out says
 * where the mirror is afterwards; 0 not yet; -1.
 */
int apply_plan_held(
    struct apply *a, struct standing *out, struct err *e) CHECKED;
/* The same for a range that was begun before, from its control blocks. */
int apply_replan(struct apply *a, struct standing *out, struct err *e) CHECKED;
/* For a suspect mirror: 1 when a base for it is among the staged files. */
int apply_find_base(struct apply *a, struct err *e) CHECKED;

/* ---- apply_cut.c ---- */

/* May a file of a layout's member be applied, by the cuts that are known? 1, 0,
 * -1. Of any other file: 1. */
int apply_cut_admits(
    struct apply *a, struct staged *f, bool consistent, struct err *e) CHECKED;
/* Does the next file wait for a cut, and has none come? 1, 0, -1. */
int apply_cut_waits(struct apply *a, struct err *e) CHECKED;
/* Is there a cut at that place or behind it? 1, 0, -1. */
int apply_cut_has(
    struct apply *a, const struct position *to, struct err *e) CHECKED;

/* ---- apply_range.c ---- */

/*
 * Redrives from state.clean, makes it durable, state CLEAN: 1; 0 when a file
 * has to come again, or nothing can be applied now; -1. With `end` exactly up
 * to there. Without, as many files as there are and one sync is worth; 2 and
 * nothing was done when the first of them is held back.
 */
int apply_range(
    struct apply *a, const struct standing *end, struct err *e) CHECKED;

/* ---- apply_sums.c ---- */

/*
 * While a consistent mirror holds files back, and one of them begins a
 * recovery that asks for it (a->begin): goes on making pages of sums of its
 * image, and publishes them. 1, 0 when there is nothing to do. Trouble is told,
 * and the recovery does without.
 */
int apply_sums(struct apply *a);
/* They are of no use any more: removes what was published. */
void apply_sums_sweep(struct apply *a);
/* Begins anew when it is asked again. */
void apply_sums_close(struct apply *a);

/* ---- apply_done.c ---- */

int apply_add_name(
    struct apply_names *to, const struct chain_name *n, struct err *e) CHECKED;
/* A file moves to done/. */
int apply_retire(
    struct apply *a, const struct chain_name *n, struct err *e) CHECKED;
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
