/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: a device of device mapper with the target log-writes over a disk,
 * by the program dmsetup. `name` is the device's, as in /dev/mapper/NAME.
 */
#ifndef AIMDRIVER_LOGWRITES_TABLE_H
#define AIMDRIVER_LOGWRITES_TABLE_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct table {
	const char *name, *disk, *log; /* paths of disk and log */
	bool dry;		       /* prints the commands, runs none */
};

struct table_status {
	uint64_t used; /* bytes of the log */
	bool disabled; /* the log was full: it lacks what came after */
};

/* Zeroes the beginning of the log, makes the device, sends the mark. */
int table_make(const struct table *t, const char *mark, struct err *e) CHECKED;
/* The same for a device that is in use, which writes to t->log afterwards. */
int table_change(
    const struct table *t, const char *mark, struct err *e) CHECKED;
int table_mark(const struct table *t, const char *mark, struct err *e) CHECKED;
int table_remove(const struct table *t, struct err *e) CHECKED;
int table_status(
    const struct table *t, struct table_status *out, struct err *e) CHECKED;
/* Everything that was written to the device is on disk and in the log. */
int table_flush(const struct table *t, struct err *e) CHECKED;

#endif
