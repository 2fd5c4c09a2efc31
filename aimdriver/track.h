/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track: what each IOCB of a journal file must be in the light of the header
 * and of those before it: numbers, times, places in Data, ranges against the
 * volumes' sizes as they change, copy-in and control notes. Writer and reader
 * share it, so that nothing is sealed that a mirror would refuse.
 */
#ifndef AIMDRIVER_TRACK_H
#define AIMDRIVER_TRACK_H

#include "common/err.h"
#include "fileformat/header.h"
#include "fileformat/iocb.h"

struct track {
	const struct journal_header *header;  /* borrowed */
	const struct journal_volume *volumes; /* borrowed */
	uint64_t *sizes;		      /* of each volume now */
	uint32_t count;			      /* IOCBs so far */
	uint64_t number, time_ns;	      /* of the last one */
	uint64_t data_end;		      /* raw Data so far */
	bool ended; /* a COPYIN_END was the last one */
};

int track_init(struct track *t, const struct journal_header *h,
    const struct journal_volume *volumes, struct err *e) CHECKED;
void track_reset(struct track *t);
void track_release(struct track *t);

/* Everything but the payload. Changes nothing; CORRUPT or UNKNOWN say why. */
enum verdict track_check(
    const struct track *t, const struct iocb *b, struct why *why);
/* The payload of an op that carries a note. */
enum verdict track_check_note(
    const struct iocb *b, const uint8_t *data, struct why *why);
/* b, which was checked, is now the last one. */
void track_accept(struct track *t, const struct iocb *b);

#endif
