/* SPDX-License-Identifier: Apache-2.0 */
/* slot_sum_wide: the same hash as in slot_sum.c, in AVX2's registers. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2")
#define WIDE 1
#endif

#include "aimdriver/control.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

bool
payload_hash_wide_works(void)
{
#ifdef WIDE
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2");
#else
	return false;
#endif
}

uint64_t
payload_hash_wide(const void *data, uint64_t len)
{
	return XXH3_64bits(data, len);
}
