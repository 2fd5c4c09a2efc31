/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runs: which parts of the volumes a recovery is about to compare, in the note
 * of its COPYIN_BEGIN, behind what every copy-in note has;
 * docs/journal-format.md, section 5. A mirror that holds its image answers
 * with sums of exactly these (sums.h). Pure, thread safe.
 */
#ifndef FILEFORMAT_RUNS_H
#define FILEFORMAT_RUNS_H

#include "fileformat/note.h"

#include <stdbool.h>

#define RUNS_EXTENT_BITS 22 /* extents of 4 MiB */
#define RUNS_GRAIN_LEAST 16 /* each cut into grains of 64 KiB ... */
#define RUNS_GRAIN_MOST RUNS_EXTENT_BITS
#define RUNS_COUNT 1338 /* as many as fit, at three bytes each */
/* Sums that one recovery may ask for. */
#define RUNS_SUM_LIMIT (UINT32_C(1024) * 2008)

/* Extents first..first + count - 1 of one volume of the file's table. */
struct run {
	uint32_t volume;
	uint64_t first, count;
};

/* Ascending by volume, then extent, none overlapping. */
struct runs {
	uint32_t grain_bits;
	uint32_t count;
	struct run at[RUNS_COUNT];
};

/* How many sums that makes: extents times grains in an extent. */
uint64_t runs_sums(const struct runs *r);

/*
 * The sum that is about byte `off` of a volume, which must lie on a grain's
 * beginning: its number, from 0 in the order of the list. False: none is.
 */
bool runs_find(
    const struct runs *r, uint32_t volume, uint64_t off, uint32_t *out);
/* What the sum of that number is about; it must be below runs_sums. */
void runs_place(
    const struct runs *r, uint32_t number, uint32_t *volume, uint64_t *off);

/*
 * The whole note: *len bytes of `out`. False, with nothing of use in there,
 * when the list has no form in which it fits, or breaks a rule of its own.
 */
bool runs_encode(const struct copyin_note *n, const struct runs *r,
    uint8_t out[NOTE_LIMIT], size_t *len);
/* False: the note has no such list, or none that this version knows. */
bool runs_decode(const uint8_t *bytes, size_t len, struct runs *out);

#endif
