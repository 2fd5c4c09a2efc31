/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fold: of the writes to a place only the last one stays (design 9.16).
 *
 * What a run of writes, zeroes and discards leaves behind is told by as few
 * transactions as may be, in the order of volumes and addresses; blocks that
 * are all zero become zeroes. A fold never crosses anything else: a marker, a
 * resize, a copy-in and all other transactions stay where they are, as they
 * are. Flushes within a run are left out. The numbers that are given out are
 * from its first to its last one, and grow; so what comes before its end is no
 * state that the volumes ever had. One thread; memory is bounded by what is
 * given: as many bytes as the data, and some dozen for each transaction.
 */
#ifndef AIMDRIVER_FOLD_H
#define AIMDRIVER_FOLD_H

#include "common/err.h"
#include "fileformat/iocb.h"

#include <stdbool.h>
#include <stddef.h>

struct fold_op {
	struct iocb b;
	const uint8_t *data; /* NULL: it has none */
};

struct fold; /* memory, used again */

int fold_make(struct fold **out, struct err *e) CHECKED;
void fold_free(struct fold *f);

/*
 * Folds ops[0..count), whose numbers must grow: *made of them in *out, which
 * lies in the fold, with the data that were put together, until it is used
 * again; other data stay where they are. True in *changed when what comes
 * before the end of a run is not what was there then.
 */
int fold_ops(struct fold *f, const struct fold_op *ops, size_t count,
    struct fold_op **out, size_t *made, bool *changed, struct err *e) CHECKED;

#endif
