/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pulse: how a process shows that it still moves, in memory that it shares
 * with the one who watches. Each call through the sys seam is a beat, so that
 * long work beats by itself; whoever waits for something else beats now and
 * then. Without a pulse that was set, nothing happens. Any thread.
 */
#ifndef COMMON_PULSE_H
#define COMMON_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

struct pulse {
	_Atomic uint64_t beats;
	_Atomic uint32_t syncing; /* calls that wait for a disk, under way */
};

/* From now on this process beats here; NULL: nowhere. A child of fork goes on
 * in its parent's until it says otherwise. */
void pulse_use(struct pulse *p);
void pulse_beat(void);
/* Around a call that makes data durable, which may take very long. */
void pulse_sync_begin(void);
void pulse_sync_end(void);

#endif
