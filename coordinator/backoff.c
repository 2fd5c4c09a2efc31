/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/backoff.h"

#include "common/uuid.h"

#include <stddef.h>

#define FIRST_MS 1000u
#define LAST_MS 60000u
#define LEAST_MS 50u /* jitter never makes a busy loop */

uint32_t
backoff_ceiling_ms(uint32_t attempts)
{
	uint32_t ms = FIRST_MS;

	while (attempts-- > 1 && ms < LAST_MS)
		ms *= 2;
	return ms < LAST_MS ? ms : LAST_MS;
}

void
backoff_fail(struct backoff *b, uint64_t now_ns)
{
	uint32_t ceiling, r;

	if (b->attempts < UINT32_MAX)
		b->attempts++;
	ceiling = backoff_ceiling_ms(b->attempts);
	if (random_bytes(&r, sizeof(r), NULL) < 0)
		r = UINT32_MAX; /* no randomness: the longest wait */
	b->until_ns = now_ns + NS_PER_MS * (LEAST_MS + r % ceiling);
}

void
backoff_good(struct backoff *b)
{
	*b = (struct backoff){0};
}

uint32_t
backoff_wait_ms(const struct backoff *b, uint64_t now_ns)
{
	if (b->until_ns <= now_ns)
		return 0;
	return (uint32_t)((b->until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}
