/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot_sum: checksums in segments. They never leave this machine. The seed is
 * mixed in behind the hash, which saves making a seeded secret for each; and
 * it is half of what capturing a small write costs, so the wider registers are
 * used where there are any.
 */
#include "aimdriver/control.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t
payload_seeded(uint64_t hash, uint64_t seed)
{
	/* A bijection for either: what differs stays different. */
	return (hash ^ seed) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t
slot_sum(const struct slot *s, uint64_t seed)
{
	return payload_seeded(
	    XXH3_64bits(&s->number,
		offsetof(struct slot, sum) - offsetof(struct slot, number)),
	    seed);
}

bool
payload_is_wide(void)
{
	static _Atomic int wide = -1;
	int w = atomic_load_explicit(&wide, memory_order_relaxed);

	if (__builtin_expect(w < 0, 0)) {
		w = payload_hash_wide_works() ? 1 : 0;
		atomic_store_explicit(&wide, w, memory_order_relaxed);
	}
	return w != 0;
}

uint64_t
payload_hash(const void *data, uint64_t len)
{
	return payload_is_wide() ? payload_hash_wide(data, len)
				 : (uint64_t)XXH3_64bits(data, len);
}

uint64_t
payload_sum(const void *data, uint64_t len, uint64_t seed)
{
	return len == 0 ? 0 : payload_seeded(payload_hash(data, len), seed);
}
