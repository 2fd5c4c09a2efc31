/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ack: the acknowledgement that a mirror's site publishes for its source,
 * bytes <-> struct; docs/acknowledgement.md. Pure, thread safe. At most
 * ACK_LIMIT bytes, signed by the mirror's site.
 */
#ifndef FILEFORMAT_ACK_H
#define FILEFORMAT_ACK_H

#include "common/err.h"
#include "fileformat/sign.h"
#include "fileformat/verdict.h"

#define ACK_LIMIT 4096
#define ACK_DONE_LIMIT 32

/* A place in a stream: the end of one journal file. All zero: nothing. */
struct position {
	struct uuid epoch;
	uint32_t epoch_number;
	uint64_t sequence;
	uint64_t last;		    /* transaction */
	uint8_t digest[DIGEST_LEN]; /* content digest of that file */
};

enum ack_state {
	ACK_EMPTY = 1,	      /* waits for a base */
	ACK_INCONSISTENT = 2, /* first base in progress */
	ACK_STREAMING = 3,
	ACK_PAUSED = 4,
	ACK_SUSPECT = 5, /* mirror device failed or was changed */
	ACK_STALLED = 6, /* quarantine, gap, size: see the reason */
	ACK_STAGING = 7, /* consistent; a recovery is being collected */
};

struct ack {
	struct uuid stream, group, mirror, mirror_site, source_site;
	uint64_t counter; /* grows with every publication */
	enum ack_state state;
	bool consistent;
	bool at_rest; /* nothing behind `applied` has been begun */
	struct position stored, applied, durable;
	uint64_t time_ns;	  /* wall clock of publication: heartbeat */
	uint64_t applied_time_ns; /* source's time of the last applied one */
	uint64_t free_bytes;	  /* where the mirror's site stages files */
	char reason[160];	  /* for people; printable ASCII */
	uint32_t done_count;	  /* control messages carried out */
	struct uuid done[ACK_DONE_LIMIT];
	uint8_t key_id[KEY_ID_LEN];
};

/* Encodes and signs; *len is what was used of `out`. */
int ack_encode(const struct ack *a, const struct sign_secret *key,
    uint8_t out[ACK_LIMIT], size_t *len, struct err *e) CHECKED;
/* Decodes and checks bounds and checksum, not the signature. */
enum verdict ack_decode(
    const uint8_t *bytes, size_t len, struct ack *out, struct why *why);
/* Signature of bytes that ack_decode has accepted. */
int ack_check(const uint8_t *bytes, size_t len, const struct sign_public *key,
    bool *valid, struct err *e) CHECKED;
const char *ack_state_name(uint32_t state);

/* "<mirror UUID>.ack" */
#define ACK_NAME_LEN 41
const char *ack_name(const struct uuid *mirror, char out[ACK_NAME_LEN]);

/* By epoch number, then sequence: <0, 0, >0. */
int position_compare(const struct position *a, const struct position *b);
bool position_is_nil(const struct position *p);
/* The same place of the same history: all fields. */
bool position_equal(const struct position *a, const struct position *b);
/* As it lies in a file, at b + at; CORRUPT when it is half empty. */
#define POSITION_LEN 72
void position_put(const struct position *p, uint8_t to[POSITION_LEN]);
enum verdict position_get(
    const uint8_t *b, size_t at, struct position *p, struct why *why);

#endif
