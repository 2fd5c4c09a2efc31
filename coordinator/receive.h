/* SPDX-License-Identifier: Apache-2.0 */
/* receive: what the parts of the receive role share; see roles.h. */
#ifndef COORDINATOR_RECEIVE_H
#define COORDINATOR_RECEIVE_H

#include "coordinator/forward.h"
#include "coordinator/incoming.h"
#include "coordinator/mirror_state.h"
#include "coordinator/publish.h"
#include "coordinator/roles.h"
#include "coordinator/stage.h"

#define RECEIVE_PENDING 64u   /* files staged but not yet acknowledged */
#define RECEIVE_LOOKED 16384u /* a power of two */

struct receive {
	struct stage stage;
	struct incoming *in;
	struct forward *forward; /* NULL: nothing is passed on */
	struct publisher publisher;
	struct mirror_state state; /* of the redriver, as last read */
	uint64_t synced;	/* its generation that is known to be on disk */
	struct position tip;	/* newest file in stage/ */
	struct position stored; /* newest that is durable there */

	/* names to be removed from incoming/ once they are acknowledged */
	char pending[RECEIVE_PENDING][JOURNAL_NAME_LEN];
	uint32_t pending_count;

	/* why the next file is not taken; "": it is, or is not there yet */
	char stall[CHAIN_WHY];
	bool stall_lasts; /* until the right file comes; else for this pass */
	/* the last thing that was put into quarantine, and why */
	char refused[CHAIN_WHY + 64];
	uint64_t quarantined, duplicates, received;
	uint32_t strange; /* met by this scan */

	/* files after the expected one, seen by the last whole scan */
	bool later, later_now;
	uint64_t gap_since_ns;	/* 0: no gap */
	uint64_t gap_alarm_ns;	/* a gap is told of after so long */
	struct chain_name best; /* no state yet: newest file to begin with */
	bool has_best;
	uint64_t *looked; /* headers that need no second look */
	uint32_t looked_count;

	bool scan_wanted, state_wanted;
	uint64_t scan_ns, state_ns; /* when last done, monotonic */
	char note[512];		    /* as last written */

	uint64_t heard_ns;	  /* monotonic: the last word of the source */
	uint64_t silent_since_ns; /* wall clock; 0: no alarm */
	char event[200], told[200];
};

/* ---- receive.c ---- */

/* Finds the tip anew, after files have gone; should it be before what was
 * acknowledged, the acknowledgement asks for them. */
int receive_find_again(struct receive *r, struct err *e) CHECKED;

/* ---- receive_forward.c: of a relay, or where files are passed on ---- */

int receive_forward_open(struct receive *r, struct err *e) CHECKED;
void receive_forward_close(struct receive *r);
/* Drops what nobody behind needs any more, now and then. */
int receive_forward(struct receive *r, struct err *e) CHECKED;
/* A file is about to get its name in stage/ instead of `tmp`. */
int receive_keep(struct receive *r, const char *tmp, const char *name,
    const struct position *at, uint64_t len, struct err *e) CHECKED;
/* Is there no room for more? r->stall says so. */
bool receive_is_full(struct receive *r);

/* ---- receive_take.c ---- */

/* Takes the file of that name if it continues the chain: 1 staged, 0 not
 * (r->stall says why if it is there), -1. */
int receive_take(
    struct receive *r, const struct chain_name *at, struct err *e) CHECKED;
/* Goes on over files that are staged already. */
int receive_walk(struct receive *r, struct err *e) CHECKED;
/* Puts a name from incoming/ aside. */
int receive_refuse(struct receive *r, const char *name, const char *why,
    struct err *e) CHECKED;
/* The same with the file that is waited for: the chain stands still, and the
 * acknowledgement names it. */
int receive_refuse_next(struct receive *r, const char *name, const char *why,
    struct err *e) CHECKED;

/* ---- receive_scan.c ---- */

/* Looks at some more entries of the folder; 1 when there are more. */
int receive_scan(struct receive *r, struct err *e) CHECKED;

/* ---- receive_silence.c ---- */
void receive_silence_begin(struct receive *r);
/* A file has continued the chain. */
void receive_heard(struct receive *r);
/* Raises the alarm when it is time. */
void receive_silence_look(struct receive *r);

/* ---- receive_tell.c ---- */

/* Makes what was staged durable, acknowledges it, clears its names. */
int receive_settle(struct receive *r, struct err *e) CHECKED;
/* Publishes and notes what is new; heartbeat. */
int receive_tell(struct receive *r, struct err *e) CHECKED;

#endif
