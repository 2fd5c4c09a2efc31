/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder: an entry of a log, as transactions of a group's stream.
 *
 *   FLUSH    flush, before what comes with it
 *   data     write; zero where a MiB of it, or all, is zeroes
 *   DISCARD  discard: reads as zeroes from here on
 *   FUA      the flag, at each transaction of the entry
 *   MARK     marker, unless it is ours or says that the log ends. A letter
 *            that a marker's name cannot have becomes '_'. Its message id
 *            follows from chain and place: the same if it is recorded twice.
 */
#ifndef AIMDRIVER_LOGWRITES_RECORDER_H
#define AIMDRIVER_LOGWRITES_RECORDER_H

#include "aimdriver/capture.h"
#include "aimdriver/logwrites/logfile.h"

#include <signal.h>

struct recorder {
	struct capture *capture; /* borrowed */
	uint32_t volume;
	struct uuid chain;
	uint64_t waiting_ns; /* for the spool, since */
	bool told;
	const volatile sig_atomic_t *stopped; /* NULL: never */
};

void recorder_init(struct recorder *r, struct capture *c, uint32_t volume,
    const struct uuid *chain);
/* `b` is the last entry that `f` returned, `at` its place in log `log`. */
int recorder_put(struct recorder *r, struct logfile *f,
    const struct wlog_entry *b, uint64_t log, uint64_t at,
    struct err *e) CHECKED;

#endif
