/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel: a live log of dm-log-writes, on two or more log devices in turn.
 * Log N of the chain is on device N modulo their number.
 *
 * A tick: the device is flushed (what was completed enters the log), a mark
 * "aim:UUID:N:TICK" is sent (the superblock is written), and the entries
 * before the mark of the tick before are recorded: what lies behind that may
 * still be on its way. At three quarters of a log's room the next device takes
 * over: the kernel ends the old log with a mark of its own, up to which all is
 * recorded.
 *
 * A log that was full, or ends otherwise, is a gap (follow.c).
 */
#ifndef AIMDRIVER_LOGWRITES_KERNEL_H
#define AIMDRIVER_LOGWRITES_KERNEL_H

#include "aimdriver/logwrites/import.h"

#include <signal.h>

/* Opens the log that is next, of those in m->o. */
int kernel_open(struct import *m, struct err *e) CHECKED;
/* Until *stopped, or the device is taken down. */
int kernel_follow(struct import *m, const volatile sig_atomic_t *stopped,
    struct err *e) CHECKED;

#endif
