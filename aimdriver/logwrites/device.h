/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: dm-log-writes over a volume, set up for AIM: made, moved on to
 * another log, taken down. Its logs are one chain (chain.h); log N of it is
 * on the log device N modulo their number.
 *
 * Everything is checked before anything is changed; in a dry run (table->dry)
 * only that, and table->told hears what would be done.
 */
#ifndef AIMDRIVER_LOGWRITES_DEVICE_H
#define AIMDRIVER_LOGWRITES_DEVICE_H

#include "aimdriver/logwrites/chain.h"
#include "aimdriver/logwrites/table.h"
#include "aimdriver/logwrites/target.h"

#include <limits.h>

#define DEVICE_LOGS 64 /* at most, of one device */

struct device_logs {
	const char *path[DEVICE_LOGS];
	int count;
};

/* What the device writes to after it. */
struct device_state {
	char disk[PATH_MAX], log[PATH_MAX];
	struct uuid chain;
	uint64_t number; /* of the log in its chain */
	char mark[CHAIN_MARK];
};

/*
 * Begins a chain: makes the device, which writes to logs->path[0] first; the
 * others are only looked at. t->disk and t->log are set. REFUSED when the
 * volume has no finished base, is no block device, or a log is none, is in
 * use, or too small.
 */
int device_attach(struct table *t, const char *home,
    const struct target *volume, const struct device_logs *logs,
    struct device_state *out, struct err *e) CHECKED;
/* To another log, under load. REFUSED too while somebody follows the log, who
 * does so himself, and when the device is not of this volume. */
int device_rotate(struct table *t, const char *home,
    const struct target *volume, const char *log, struct device_state *out,
    struct err *e) CHECKED;
/* out->mark is empty when the log is none of AIM's. */
int device_detach(
    struct table *t, struct device_state *out, struct err *e) CHECKED;

#endif
