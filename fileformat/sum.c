/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fileformat/sum.h"

#include <assert.h>
#include <stdatomic.h>

/* From here on XXH3 goes by stripes, which wide registers speed up. */
#define LONG 512

uint64_t
sum_bytes(const void *data, size_t len, uint64_t seed)
{
	static _Atomic int wide = -1;
	int w;

	if (len < LONG)
		return XXH3_64bits_withSeed(data, len, seed);
	w = atomic_load_explicit(&wide, memory_order_relaxed);
	if (w < 0) {
		w = sum_wide_works() ? 1 : 0;
		atomic_store_explicit(&wide, w, memory_order_relaxed);
	}
	return w != 0 ? sum_bytes_wide(data, len, seed)
		      : XXH3_64bits_withSeed(data, len, seed);
}

uint64_t
sum_with_hole(const uint8_t *data, size_t len, size_t hole, size_t hole_len)
{
	static const uint8_t zero[128];
	XXH3_state_t s;

	assert(hole_len <= sizeof(zero) && hole + hole_len <= len);
	XXH3_INITSTATE(&s);
	(void)XXH3_64bits_reset(&s);
	(void)XXH3_64bits_update(&s, data, hole);
	(void)XXH3_64bits_update(&s, zero, hole_len);
	(void)XXH3_64bits_update(
	    &s, data + hole + hole_len, len - hole - hole_len);
	return XXH3_64bits_digest(&s);
}
