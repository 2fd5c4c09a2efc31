/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ship: what the parts of the ship role share. It sends a stream's files in
 * order and fetches the acknowledgement; it keeps no list of files: a cursor,
 * a ring of those under way, and two places in the stream that the lag is
 * counted between.
 *
 *   ship.c  open, pass, wait, close    ship_send.c  cursor, window, sending
 *   ship_ack.c  fetching               ship_note.c  lag, state/<dest>.ship
 *   ship_hub.c  a place that mirrors fetch from   ship_relay.c  relays
 *   ship_commit.c  flushes that wait for the acknowledgement
 *   ship_sums.c  sums for a recovery
 */
#ifndef COORDINATOR_SHIP_H
#define COORDINATOR_SHIP_H

#include "coordinator/ack_store.h"
#include "coordinator/backoff.h"
#include "coordinator/forward.h"
#include "coordinator/job.h"
#include "coordinator/rate.h"
#include "coordinator/retry.h"
#include "coordinator/roles.h"
#include "coordinator/sums_store.h"
#include "coordinator/transport.h"

#define SHIP_AHEAD_FILES 256u
#define SHIP_AHEAD_BYTES (UINT64_C(256) << 20)
#define SHIP_PATH 96u

/* The end of a file that was sent, and not yet stored. */
struct ship_sent {
	uint32_t epoch_number;
	uint64_t sequence, last, len;
};

/* What lies between a place in the stream and its end. */
struct ship_lag {
	struct position from, to; /* counted: files after from, up to to */
	bool known;
	uint64_t files, bytes;
	uint64_t oldest_ns; /* wall clock of the first transaction; 0: none */
	uint64_t newest;    /* last transaction at `to` */
};

/* Sums that are fetched for the recovery under way. */
struct ship_sums {
	uint64_t number;       /* of its BEGIN; 0: none is known */
	struct position begin; /* of the file that has it */
	uint32_t next, total;  /* page to fetch; sums in all, if next > 0 */
	int fd;		       /* state/<destination>.sums, or -1 */
	bool dropped;	       /* there is no such file */
	char trouble[512];     /* as told last */
};

struct ship {
	struct home *home;
	struct destination_config destination;
	struct sealed sealed;
	struct transport *put, *get;
	struct job job;
	uint64_t job_ns;

	bool has_ack;
	struct ack ack;
	char ack_trouble[512]; /* why the last one was not believed */
	struct ship_sums sums;

	/* The last file sent; the next one comes after it. */
	bool has_cursor;
	uint32_t epoch_number;
	uint64_t sequence;
	uint64_t sent; /* its last transaction */
	/* Names up to this one are durable here. */
	uint32_t synced_epoch;
	uint64_t synced_sequence;
	uint32_t ahead; /* files at most; SHIP_AHEAD_FILES, or fewer */
	struct ship_sent ring[SHIP_AHEAD_FILES];
	uint32_t ring_first, ring_count;
	uint64_t ring_bytes;
	uint64_t moved_ns; /* monotonic: something was sent or stored */
	struct rate rate;
	struct pace pace;
	bool held;	  /* the next file waits for the rate to allow it */
	uint32_t resends; /* in a row */
	/* The mirror asked for what comes after this, and got it at once. */
	bool asked;
	struct position asked_after;

	uint64_t poll_ns; /* monotonic: fetch next */
	uint32_t poll_ms; /* how long to wait after that */
	struct backoff backoff;
	struct retry retry;
	uint64_t retry_ns;  /* wall clock: tried again then; 0: by backoff */
	struct err trouble; /* kind 0: none */

	struct ship_lag lag;
	uint64_t note_ns;
	/* of a hub */
	const struct destination_config *siblings; /* lent */
	uint32_t sibling_count;
	bool hub_made, hub_known, hub_noted;
	bool hub_keeps;		/* we may not remove there */
	struct position hub_at; /* cleared up to here */
	uint64_t hub_ns;	/* monotonic: clear next */
	bool doubt;		/* what comes next may be there already */
	bool renew;	    /* what is there under the next name was refused */
	bool leads;	    /* nobody else sends */
	uint64_t follow_ns; /* monotonic: the next one is missing since */
	/* of a relay, or a mirror that passes files on; lent */
	const struct mirror_config *upstream;
	bool passed;		/* the acknowledgement, on */
	struct position looked; /* for where the mirror begins */

	/* Flushes that may wait for this one; NULL: none do. */
	struct capture *commit;
	uint64_t commit_next_ns;

	int inotify;	  /* -1: none */
	bool watched_far; /* the far folder tells of acknowledgements */
};

/* How long nothing is tried after a failure, in milliseconds; 0: go ahead. */
uint32_t ship_back_ms(const struct ship *s);
/* The rate that is allowed now. */
uint64_t ship_rate(const struct ship *s);
/* Sends what there is within the window: 1 sent something, 0, -1. */
int ship_send(struct ship *s, struct err *e) CHECKED;
/* Takes out of the ring what the acknowledgement says is stored. */
void ship_stored(struct ship *s);
/* A new acknowledgement: does it ask for something to come again? `before` is
 * the one before, or NULL. */
void ship_asked(struct ship *s, const struct ack *before);
/* Begins again after the last stored file, or at the beginning. */
void ship_again(struct ship *s);

/* Fetches the acknowledgement if it is time: 1 a new one, 0, -1. */
int ship_fetch(struct ship *s, struct err *e) CHECKED;
/* Fetches pages of sums, if a recovery needs them; true: got some. Trouble is
 * told, and the recovery does without. */
bool ship_sums(struct ship *s);
/* Something happened: look for it soon. */
void ship_poll_soon(struct ship *s);
/* Is there nothing that we wait for? */
bool ship_is_idle(const struct ship *s);

/* ---- ship_commit.c ---- */
/* Looks after its view of the group, now and then. */
void ship_commit_look(struct ship *s);
void ship_commit_close(struct ship *s);
/* Does a flush wait, perhaps for us? */
bool ship_commit_urgent(const struct ship *s);
/* A new acknowledgement is saved. */
void ship_commit_tell(struct ship *s);

/* A hub's folder and what is to be cleared there; else nothing. */
int ship_hub(struct ship *s, struct err *e) CHECKED;
/* Says where the mirror has to begin. */
int ship_hub_begin(struct ship *s, uint32_t epoch_number, uint64_t sequence,
    struct err *e) CHECKED;
enum ship_turn { SHIP_SEND = 0, SHIP_IS_THERE, SHIP_WAIT };
/* What to do with the next file. */
int ship_hub_turn(struct ship *s, const char *path, enum ship_turn *out,
    struct err *e) CHECKED;

/* A relay; behind one: nothing is sent for it. */
bool ship_is_relay(const struct ship *s);
bool ship_is_behind(const struct ship *s);
/* At a relay: the acknowledgement goes to where the hop before looks. */
int ship_pass_on(struct ship *s, struct err *e) CHECKED;
/* The place before the first file for a relay without state, or, at a relay,
 * for any destination: 1, 0 not known yet, -1. */
int ship_first(struct ship *s, struct position *before, struct err *e) CHECKED;
/* At a relay: is a file good that is sent again? 1, 0 it was put aside, -1. */
int ship_check_kept(
    struct ship *s, int fd, const char *name, struct err *e) CHECKED;
/* May another one be under way? */
bool ship_may_send(const struct ship *s);

int ship_count_lag(struct ship *s, struct err *e) CHECKED;
void ship_note(struct ship *s, bool now);

#endif
