/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survey: what a verified staged file will do, from its header and control
 * blocks alone, before anything of it is done.
 */
#ifndef COORDINATOR_SURVEY_H
#define COORDINATOR_SURVEY_H

#include "coordinator/stage.h"
#include "fileformat/note.h"

struct survey {
	bool is_break; /* history before it is not known, or it has a gap */
	bool begins;   /* opens a copy-in that names this mirror ... */
	struct copyin_note begin;
	bool ends; /* closes the copy-in of this id */
	struct copyin_note end;
	uint64_t raw_len; /* payload bytes */
};

/*
 * `needed` (may be NULL) has an element for each volume of the mirror, in its
 * order; raised to the largest size that the file gives that volume.
 * Leaves the reader at the start.
 */
int survey_file(const struct stage *s, struct staged *f, struct survey *out,
    uint64_t *needed, struct err *e) CHECKED;

/* Index in the mirror's list of the file's volume `i`. */
int survey_volume(const struct stage *s, const struct reader *r, uint32_t i,
    uint32_t *out, struct err *e) CHECKED;

#endif
