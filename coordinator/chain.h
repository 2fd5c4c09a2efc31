/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain: which journal file may follow which (design 3 and 9.2). Pure; what it
 * says of a header is worth what the header's verification is worth.
 */
#ifndef COORDINATOR_CHAIN_H
#define COORDINATOR_CHAIN_H

#include "aimdriver/reader.h"
#include "coordinator/config.h"
#include "fileformat/note.h"

#define CHAIN_WHY 160

enum chain_fit {
	CHAIN_NEXT = 1, /* continues the tip */
	CHAIN_WAIT,	/* files before it are missing */
	CHAIN_BACK,	/* opens an epoch before the tip: rolled back source */
	CHAIN_OTHER,	/* another history under an expected name */
};

/* The two names that may follow a tip: (e, s+1) and (e+1, 1). */
struct chain_name {
	uint32_t epoch_number;
	uint64_t sequence;
};
void chain_expected(const struct position *tip, struct chain_name out[2]);

/*
 * Is the file of this mirror's stream, group, source site and key, and does it
 * have this mirror's volumes? False with the reason.
 */
bool chain_belongs(const struct mirror_config *m,
    const uint8_t key_id[KEY_ID_LEN], const struct reader *r,
    char why[CHAIN_WHY]);

/*
 * How does the file relate to the tip (not nil)? `why` is filled for all but
 * NEXT.
 */
enum chain_fit chain_fit(const struct position *tip,
    const struct journal_header *h, char why[CHAIN_WHY]);

/* Where the file before this one ended; nil before the first of a stream. */
void chain_before(const struct journal_header *h, struct position *out);

/* Does a copy-in for this mirror begin here? Of a relay: for one that it passes
 * files on to. */
bool chain_begins(const struct mirror_config *m, const struct reader *r);
/* The note of transaction `number`, BEGIN or END, which the file has. */
int chain_note(struct reader *r, uint64_t number, struct copyin_note *out,
    struct err *e) CHECKED;
/*
 * Does the copy-in that begins here bring only some of the volumes? A mirror
 * without state must not begin with such a one. Not to be known of a file that
 * is damaged: then false.
 */
bool chain_is_partial(struct reader *r);

#endif
