/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: a device of device mapper with the target log-writes over a disk,
 * by the program dmsetup. `name` is the device's, as in /dev/mapper/NAME.
 */
#ifndef AIMDRIVER_LOGWRITES_TABLE_H
#define AIMDRIVER_LOGWRITES_TABLE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct table {
	const char *name, *disk, *log; /* paths of disk and log */
	bool dry;		       /* changes nothing */
	/* Each command that changes something, before it is run or would be;
	 * the words end with NULL. May be NULL. */
	void (*told)(void *ctx, const char *const *word);
	void *ctx;
};

struct table_devices {
	dev_t disk, log;
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
/* 1: there is a device of that name; 0: there is none, or we may not ask. */
int table_exists(const struct table *t, struct err *e) CHECKED;
/* What the device writes to now. REFUSED when it is of another kind. */
int table_look(
    const struct table *t, struct table_devices *out, struct err *e) CHECKED;
/* A path of a block device, for people and for open(2). */
void table_device_path(dev_t device, char *out, size_t room);
/* Everything that was written to the device is on disk and in the log. */
int table_flush(const struct table *t, struct err *e) CHECKED;

#endif
