/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail: does the mirror still hold what the last applied file left there?
 * Notices a mirror that was changed by others, swapped or rolled back
 * (faults F70, F71), at the price of reading what one file wrote.
 */
#ifndef COORDINATOR_TAIL_H
#define COORDINATOR_TAIL_H

#include "coordinator/mirror_targets.h"

/*
 * Compares with the file at `at`, in done/ or stage/: 1 the same, or that file
 * is not there any more; 0 it differs (`why` says where); -1.
 */
int tail_check(const struct stage *s, const struct mirror_targets *t,
    const struct position *at, char why[CHAIN_WHY], struct err *e) CHECKED;

/*
 * Has each volume the size that it has before the file's first transaction (a
 * device: at least)? 1, 0 (`why` says which), -1.
 */
int tail_sizes(const struct stage *s, const struct mirror_targets *t,
    const struct reader *r, char why[CHAIN_WHY], struct err *e) CHECKED;

#endif
