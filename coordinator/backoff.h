/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backoff: how long to wait after a failure: exponential from 1 s to 60 s,
 * with full jitter, so that many sites that lost the same server do not all
 * come back at once. Patience never ends. Pure but for the random numbers.
 */
#ifndef COORDINATOR_BACKOFF_H
#define COORDINATOR_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_MS UINT64_C(1000000)

struct backoff {
	uint32_t attempts; /* failures in a row */
	uint64_t until_ns; /* monotonic; 0: go ahead */
};

void backoff_fail(struct backoff *b, uint64_t now_ns);
void backoff_good(struct backoff *b);
/* Milliseconds to wait yet; 0: go ahead. */
uint32_t backoff_wait_ms(const struct backoff *b, uint64_t now_ns);
/* The longest wait after so many failures, in milliseconds. */
uint32_t backoff_ceiling_ms(uint32_t attempts);

#endif
