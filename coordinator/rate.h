/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate: how fast a destination may be sent to, by the hour of the day, and
 * the account that keeps to it. Whole files are sent as fast as they go; the
 * next one waits until the average is right again. Pure.
 */
#ifndef COORDINATOR_RATE_H
#define COORDINATOR_RATE_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

#define RATE_RULES 16u
#define RATE_FULL UINT64_MAX /* bytes in a second: as fast as it goes */

struct rate_rule {
	uint16_t from, to; /* minutes of the day; the same: all day */
	uint64_t bytes;	   /* in a second; 0: nothing; RATE_FULL */
};

struct rate {
	uint32_t count;
	struct rate_rule rules[RATE_RULES];
};

/*
 * "RULE,RULE...", each "SPEED" or "HH:MM-HH:MM=SPEED" (it may go over
 * midnight), SPEED a number of bytes in a second with K, M or G, "full" or
 * "none". "" has no rules. REFUSED with what is expected.
 */
int rate_parse(const char *text, struct rate *out, struct err *e) CHECKED;
/* What the last rule says that is about this minute; RATE_FULL without. */
uint64_t rate_at(const struct rate *r, uint32_t minute);
/* The minute of the day here, by local time. */
uint32_t rate_minute(uint64_t wall_ns);

/* What was sent and not yet paid for by time. {0}: nothing. */
struct pace {
	double owed;	/* bytes; below zero: saved, for one second at most */
	uint64_t at_ns; /* monotonic; 0: never */
};

/* May the next file be sent? */
bool pace_lets(struct pace *p, uint64_t bytes_per_s, uint64_t now_ns);
void pace_sent(struct pace *p, uint64_t len);
/* How long until it may, at this rate; UINT32_MAX: not at this rate. */
uint32_t pace_wait_ms(const struct pace *p, uint64_t bytes_per_s);

#endif
