/* SPDX-License-Identifier: Apache-2.0 */
/* sum_wide: the same sum as in sum.c, in AVX2's registers. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2")
#define WIDE 1
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fileformat/sum.h"

bool
sum_wide_works(void)
{
#ifdef WIDE
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") != 0;
#else
	return false;
#endif
}

uint64_t
sum_bytes_wide(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}
