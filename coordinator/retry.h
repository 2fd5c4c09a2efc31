/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry: the times of day at which a destination that failed is tried again,
 * in the place of backoff. Pure, but for the rules of the local time zone.
 */
#ifndef COORDINATOR_RETRY_H
#define COORDINATOR_RETRY_H

#include "common/err.h"

#include <stdint.h>

#define RETRY_TIMES 24u

struct retry {
	uint32_t count;		       /* 0: none are given */
	uint16_t minutes[RETRY_TIMES]; /* of the day */
};

/* "HH:MM,HH:MM..."; "" has none. REFUSED with what is expected. */
int retry_parse(const char *text, struct retry *out, struct err *e) CHECKED;
/*
 * The first of these times after `wall_ns`, by local time, on the wall clock;
 * 0 when there are none. A time that a change of the clocks leaves out is
 * taken as much later.
 */
uint64_t retry_next_ns(const struct retry *r, uint64_t wall_ns);

#endif
