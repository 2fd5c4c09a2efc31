/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: wall time is for people and never decides order or expiry;
 * monotonic time is for timers. Both in nanoseconds. Thread safe.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

uint64_t clock_wall_ns(void);
uint64_t clock_mono_ns(void);
/* Sleeps, possibly less when a signal arrives. */
void clock_sleep_ms(uint64_t wait_ms);
/* "2026-11-21T08:42:38.123456Z"; `out` has at least CLOCK_TEXT bytes. */
#define CLOCK_TEXT 32
const char *clock_text(uint64_t wall_ns, char *out);

#endif
