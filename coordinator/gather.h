/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather: puts a volume together again from the members of a layout
 * (fileformat/layout.h), each of which is a mirror's volume somewhere, at one
 * moment of its history.
 *
 *   gather_cut.c    at which moment, and which members are there: by what
 *                   their acknowledgements say, before and after reading
 *   gather_config.c the plan as a text, so that it can go on later
 *   gather_work.c   reading, several ranges of several members at a time
 *   gather_state.h  what has been read
 *   gather.c        the whole
 *
 * The acknowledgements are believed because of their signatures. A volume is
 * at the moment that is told if an acknowledgement said so before the first
 * byte was read, and one that was made after the last byte was read says the
 * same, and both say that nothing further has been begun ("at rest").
 * One thread.
 */
#ifndef COORDINATOR_GATHER_H
#define COORDINATOR_GATHER_H

#include "coordinator/backoff.h"
#include "coordinator/config.h"
#include "coordinator/gather_state.h"
#include "coordinator/remote.h"
#include "coordinator/target.h"
#include "fileformat/ack.h"
#include "fileformat/layout.h"

#define GATHER_DIFFERENCES 20u

/* A moment, as one stream names it. All zero: not known. */
struct gather_cut {
	struct uuid stream;
	struct position at;
};

struct gather_member {
	char name[NAME_LIMIT];
	/*
	 * url: of the volume itself. ack_url: the place that has ack/ (a
	 * folder or URL), or the very file (".ack" at its end); "": none is
	 * read. stream, mirror, mirror_site, mirror_key: whose
	 * acknowledgement, if has_ack. Keys and the rest as of a destination.
	 */
	struct destination_config how;
	bool has_ack;
};

struct gather_config {
	struct layout layout;
	struct gather_member *members; /* layout.members */
	uint64_t size; /* of the volume; 0: as the members tell */
	uint64_t was;  /* what it was once; 0: not known */
	char target[PATH_MAX], state[PATH_MAX];
	bool force;   /* moments may differ or be unknown */
	bool still;   /* no coordinator runs at the members: no new
		       * acknowledgement will come */
	bool compare; /* all copies */
	/* ---- not in the plan ---- */
	bool overwrite, once;
	char retry_at[256]; /* "HH:MM,HH:MM": tries again then; "": backoff */
	/* Tells the operator; progress many times, `text` seldom. */
	void (*tell)(void *ctx, const char *text);
	void (*progress)(void *ctx, uint64_t done, uint64_t all);
	void *ctx;
};

enum gather_end {
	GATHER_DONE = 0,
	GATHER_UNREAD, /* --once: ranges are left, or not confirmed */
	GATHER_DIFFERS /* copies differ */
};

struct gather_result {
	enum gather_end end;
	uint64_t size, unread, compared, not_compared;
	uint64_t again; /* bytes that were read anew */
	struct gather_cut cut;
	uint64_t used; /* members that were read, as bits */
	uint32_t left_count, difference_count;
	struct {
		uint64_t off, len;
	} left[GATHER_DIFFERENCES], differences[GATHER_DIFFERENCES];
};

/*
 * Checks all that can be known before anything connects: layout, URLs,
 * options, that the target may be written. Changes nothing.
 */
int gather_check(const struct gather_config *c, struct err *e) CHECKED;
/* Does it: from the beginning, or (`again`) where c->state says. */
int gather_run(struct gather_config *c, bool again, struct gather_result *out,
    struct err *e) CHECKED;

/* ---- gather_config.c ---- */

/* The plan with `cut`, as lines; and back (free() members). */
int gather_plan_encode(const struct gather_config *c, uint64_t unit,
    const struct gather_cut *cut, struct buf *out, struct err *e) CHECKED;
int gather_plan_decode(const struct buf *plan, struct gather_config *c,
    uint64_t *unit, struct gather_cut *cut, struct err *e) CHECKED;

/* ---- gather_cut.c ---- */

struct gather_word { /* of a member, about where it is */
	int known;   /* 1: ack; 0: there is none; -1: not to be had */
	struct ack ack;
	struct err why;
};

/* Fetches and verifies the acknowledgement. */
void gather_hear(const struct gather_member *m, struct gather_word *out);
/* Are both at the same moment? */
bool gather_same(const struct gather_word *a, const struct gather_word *b);
/*
 * Which members can be read, together: as bits. `cut` is where they are (all
 * zero with force when they are at several, or it is not known); a cut that is
 * given (not all zero) is kept if enough are there. REFUSED when they do not
 * suffice though all were heard; RETRY when some were not. Tells about those
 * that are left out.
 */
int gather_pick(const struct gather_config *c, const struct gather_word *words,
    struct gather_cut *cut, uint64_t *members, struct err *e) CHECKED;

/* ---- gather_work.c ---- */

enum gather_health { GATHER_NEW = 0, GATHER_LOOKING, GATHER_GOOD, GATHER_BAD };

struct gather_source { /* a member at work */
	enum gather_health health;
	struct remote *remote;
	struct backoff backoff; /* BAD: when to try again */
	uint32_t under;		/* reads under way */
	uint32_t look;		/* ticket */
	uint64_t size;
	char tag[REMOTE_TAG];
	bool seen;    /* size and tag are known */
	bool changed; /* it is not what it was when it was first seen */
	struct err why;
};

struct gather_work {
	const struct gather_config *config;
	struct gather_source sources[LAYOUT_MOST];
	uint64_t members; /* that may be read */
	uint64_t size, unit;
	struct target *target;
	struct gather_state state;
	struct gather_result *result;
	struct gather_job *jobs;
	uint32_t job_count, job_room;
	struct gather_unit *units; /* under way */
	struct gather_slot *slots;
	uint64_t cursor;  /* the next unit to look at */
	uint64_t scanned; /* by these members */
	uint64_t stuck;	  /* with these there is nothing to begin */
	uint64_t synced_ns, told_ns, stuck_ns;
	bool comparing;
};

int gather_work_init(struct gather_work *w, const struct gather_config *c,
    struct gather_result *r, struct err *e) CHECKED;
void gather_work_release(struct gather_work *w);
/* Finds size and version of all members that may be read, once each; who
 * cannot be reached is BAD. */
int gather_work_look(struct gather_work *w, struct err *e) CHECKED;
/*
 * Reads (or compares) all that is left. 1: done; 0: with those that can be
 * reached no more can be had (--once), or a member has changed; -1.
 */
int gather_work_run(struct gather_work *w, struct err *e) CHECKED;
/* Makes durable what has been read. */
int gather_work_sync(struct gather_work *w, struct err *e) CHECKED;
/* After a failure: nothing until `retry_at` says, or for the backoff. */
void gather_wait_after(const struct gather_config *c, struct backoff *b);
int gather_times_check(const char *times, struct err *e) CHECKED;

#endif
