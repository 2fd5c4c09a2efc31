/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: what both sides of a recovery by digest share. The source lists in
 * its BEGIN what it is about to copy in; a mirror that holds its image answers
 * with sums of that (apply_sums.c); what is equal is then left out
 * (copyin_compare.c). docs/architecture.md says why that is right.
 */
#ifndef COORDINATOR_COMPARE_H
#define COORDINATOR_COMPARE_H

#include "aimdriver/reader.h"
#include "coordinator/extents.h"
#include "coordinator/home.h"
#include "fileformat/sums.h"

/* From the file that begins a recovery. */
struct compare_list {
	struct uuid copyin;
	struct position begin; /* the file's end */
	uint64_t number;       /* of the BEGIN */
	struct runs runs;
	struct sums_key key;
	uint32_t volume_count; /* of the file's table */
	struct journal_volume *volumes;
};

/*
 * 1 and *out (compare_list_free), 0 when the file begins none that is to be
 * compared, -1 (RETRY with ENOKEY: the group's key is not here).
 */
int compare_list_load(const struct home *h, struct reader *r,
    struct compare_list **out, struct err *e) CHECKED;
void compare_list_free(struct compare_list *l);

/*
 * Lists what is in `x` (NULL: everything) of volumes of these sizes: 1; 0 when
 * there is nothing. Where that takes too many runs the list has more than is
 * in x, the shortest gaps first; what is beyond the most sums that there can
 * be is left out.
 */
int compare_make_runs(const struct extents *x, const uint64_t *sizes,
    uint32_t count, struct runs *out);

/* The sum of `len` bytes; data NULL: they are zero. len 0: none. */
int compare_sum(struct summer *s, const struct uuid *volume, uint64_t off,
    const uint8_t *data, uint64_t len, uint8_t out[SUMS_LEN],
    struct err *e) CHECKED;

#endif
