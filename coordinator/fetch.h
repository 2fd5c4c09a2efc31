/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch: what the parts of the fetch role share. It gets a mirror's files from
 * a place that others fill, by the names that must come next, and puts the
 * mirror's acknowledgement there. It knows nothing of its own: where the
 * mirror stands is in the acknowledgement that the receiver publishes, what is
 * here already in the names of fetched/. So nothing has to be put right after
 * a crash, and a file that is refused or lost is asked for again by itself.
 *
 *   fetch.c  open, pass, wait, close    fetch_take.c  which files, getting them
 *   fetch_tell.c  acknowledgement, state/<mirror>.fetch
 *   fetch_sums.c  sums for a recovery
 */
#ifndef COORDINATOR_FETCH_H
#define COORDINATOR_FETCH_H

#include "coordinator/backoff.h"
#include "coordinator/chain.h"
#include "coordinator/roles.h"
#include "coordinator/transport.h"
#include "fileformat/ack.h"
#include "fileformat/header.h"
#include "fileformat/sums.h"

#define FETCH_AT_ONCE 16u     /* files asked for together */
#define FETCH_AHEAD_FILES 64u /* here, and not yet taken by the receiver */
#define FETCH_AHEAD_BYTES (UINT64_C(256) << 20)
#define FETCH_PATH (UUID_TEXT + 56)

/* Bytes that were handed to the receiver under a name: should the very same
 * come again, they are held back for a while. */
struct fetch_given {
	struct chain_name at;
	uint64_t sum, len;
	uint64_t until_ns; /* monotonic */
	uint32_t times;
};
#define FETCH_GIVEN 64u

struct fetch {
	struct home *home;
	struct mirror_config mirror; /* volumes and pull: not ours to use */
	struct destination_config place;
	char stream[UUID_TEXT];
	struct transport *transport;
	bool made_folder;
	int dir, ack; /* fetched/<stream>/ and ack/ in it */

	/* where the receiver stands */
	bool has_ack;
	struct ack told;
	struct buf ack_bytes;
	/* the acknowledgement that was put there last */
	struct ack put;
	bool has_put;
	uint64_t put_ns; /* monotonic */

	/* pages of sums that were put there, and for which recovery */
	uint32_t sums_next;
	uint8_t sums_begin[DIGEST_LEN];
	uint64_t sums_time_ns;
	char sums_trouble[512]; /* as told last */

	struct chain_name begin; /* where a mirror without state begins */
	bool has_begin;
	uint32_t ahead; /* files to ask for at once */
	bool full;	/* the receiver has to take some first */
	struct fetch_given given[FETCH_GIVEN];
	uint32_t given_next;
	char held[CHAIN_WHY + 64]; /* why a file is not handed over; "" */

	uint64_t poll_ns; /* monotonic: ask next */
	uint32_t poll_ms; /* how long to wait after that */
	struct backoff backoff;
	struct err trouble; /* kind 0: none */

	uint64_t files, bytes; /* fetched since the role began */
	uint64_t reached_ns;   /* wall clock: the place answered last */
	uint64_t got_ns;       /* wall clock: a file came last; 0: none */
	uint64_t note_ns;
	int inotify; /* -1: none */
	int far;     /* watch of the place itself; -1: poll */
};

/* Reads the acknowledgement that the receiver has published here. */
int fetch_look(struct fetch *f, struct err *e) CHECKED;
/* Puts it where the files come from, when there is news: 1, 0, -1. */
int fetch_tell(struct fetch *f, struct err *e) CHECKED;
/* Puts pages of sums there while there are any, or removes them; true: put
 * some. Trouble is told, and the recovery does without. */
bool fetch_sums(struct fetch *f);
void fetch_note(struct fetch *f, bool now);

/* Gets what comes next, as far as there is room: 1 got some, 0, -1. */
int fetch_take(struct fetch *f, struct err *e) CHECKED;
/* Removes what a crash left unfinished. */
int fetch_sweep(struct fetch *f, struct err *e) CHECKED;

/* "<stream>/NAME" */
void fetch_path(const struct fetch *f, const char *name, char out[FETCH_PATH]);
/* The name of the file in which a source says where a mirror has to begin:
 * "<mirror UUID>.begin", one line with the name of a journal file. */
#define BEGIN_NAME_LEN 43
const char *begin_name(const struct uuid *mirror, char out[BEGIN_NAME_LEN]);

#endif
