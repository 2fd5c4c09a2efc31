/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redrive: carries out the transactions of verified journal files on a
 * mirror's volumes, in order (reliability 3.5, A4). Doing a file again from
 * its beginning gives the same result, so a crash needs no more than that.
 */
#ifndef COORDINATOR_REDRIVE_H
#define COORDINATOR_REDRIVE_H

#include "coordinator/stage.h"
#include "coordinator/target.h"

struct redrive {
	const struct stage *stage;
	struct target **targets; /* one for each volume of the mirror */
	uint32_t done_count;	 /* control messages met, newest last */
	struct uuid done[ACK_DONE_LIMIT];
	bool device; /* the failure was the volume's, not the file's */

	uint64_t written,
	    writes; /* bytes, calls since the kernel was hurried */

	/* adjacent writes whose data lie side by side as well */
	const uint8_t *run;
	uint32_t run_volume;
	uint64_t run_off;
	size_t run_len;
	bool data_stay; /* until the file is closed */
	uint32_t *map;	/* the file's volumes -> targets */
};

int redrive_init(struct redrive *r, const struct stage *s,
    struct target **targets, struct err *e) CHECKED;
void redrive_release(struct redrive *r);

/* One file. On failure r->device says whose it is; how far it got is not
 * known. Nothing is durable yet. */
int redrive_file(struct redrive *r, struct staged *f, struct err *e) CHECKED;
/*
 * Lets the kernel write back what was done while more is being done, if it is
 * much. Large writes only: small scattered ones are left to the sync, which
 * sorts and joins them all. A sync of anything else on that disk, such as the
 * state, comes before this rather than after it, or it waits for all of it.
 */
void redrive_hurry(struct redrive *r);
/* Makes durable what was done, volume by volume. */
int redrive_sync(struct redrive *r, struct err *e) CHECKED;

#endif
