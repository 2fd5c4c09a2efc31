/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot_copy: copies a payload into a segment and sums it in one pass.
 *
 * A segment's memory is mostly cold: the sealer's processor has read it since.
 * To sum what was just copied means to wait until all of it has come; here each
 * register is stored and goes into the sum, so that nobody reads what was
 * stored. Each byte of the caller's is read once, so that the sum is that of
 * the copy also when the buffer changes meanwhile.
 *
 * The sum is that of XXH3_64bits (slot_sum.c), made by its steps for more than
 * 240 bytes: eight sums, to which each 64 bytes are added with another part of
 * the secret, and which are scrambled after every 1024 bytes.
 */
#include "aimdriver/control.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)

#define XXH_INLINE_ALL
#include <immintrin.h>
#include <xxhash.h>

#define WIDE __attribute__((target("avx2")))

enum {
	STRIPE = 64,
	STRIPES = 16, /* to a scramble */
	SECRET = 192,
	LAST = SECRET - STRIPE,
};

struct lanes {
	__m256i low, high;
};

WIDE static inline __m256i
at(const uint8_t *p)
{
	__m256i v = _mm256_loadu_si256((const __m256i_u *)(const void *)p);

	/* From here on it is a value: it is not read again. */
	__asm__("" : "+x"(v));
	return v;
}

WIDE static inline __m256i
added(__m256i sum, __m256i v, const uint8_t *secret)
{
	__m256i key = _mm256_xor_si256(
	    v, _mm256_loadu_si256((const __m256i_u *)(const void *)secret));
	__m256i product = _mm256_mul_epu32(key, _mm256_srli_epi64(key, 32));

	sum = _mm256_add_epi64(
	    sum, _mm256_shuffle_epi32(v, _MM_SHUFFLE(1, 0, 3, 2)));
	return _mm256_add_epi64(sum, product);
}

WIDE static inline void
take_stripe(
    struct lanes *l, uint8_t *to, const uint8_t *from, const uint8_t *secret)
{
	__m256i low = at(from), high = at(from + 32);

	_mm256_storeu_si256((__m256i_u *)(void *)to, low);
	_mm256_storeu_si256((__m256i_u *)(void *)(to + 32), high);
	l->low = added(l->low, low, secret);
	l->high = added(l->high, high, secret + 32);
}

WIDE static inline __m256i
scrambled(__m256i sum, const uint8_t *secret)
{
	const __m256i prime = _mm256_set1_epi32((int)XXH_PRIME32_1);
	__m256i x = _mm256_xor_si256(sum, _mm256_srli_epi64(sum, 47));
	__m256i high;

	x = _mm256_xor_si256(
	    x, _mm256_loadu_si256((const __m256i_u *)(const void *)secret));
	high = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), prime);
	return _mm256_add_epi64(
	    _mm256_mul_epu32(x, prime), _mm256_slli_epi64(high, 32));
}

static uint64_t
word_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

WIDE static uint64_t
merged(const struct lanes *l, uint64_t len)
{
	const uint8_t *secret = XXH3_kSecret + 11;
	uint64_t sum[8], h = len * XXH_PRIME64_1;

	_mm256_storeu_si256((__m256i_u *)(void *)sum, l->low);
	_mm256_storeu_si256((__m256i_u *)(void *)(sum + 4), l->high);
	for (int i = 0; i < 8; i += 2)
		h += XXH3_mul128_fold64(sum[i] ^ word_at(secret + i * 8),
		    sum[i + 1] ^ word_at(secret + i * 8 + 8));
	h = (h ^ h >> 37) * UINT64_C(0x165667919e3779f9);
	return h ^ h >> 32;
}

/* `len` is a multiple of STRIPE, and 256 at least. */
WIDE static uint64_t
copy_wide(uint8_t *to, const uint8_t *from, uint64_t len)
{
	static const uint64_t start[8] = {XXH_PRIME32_3, XXH_PRIME64_1,
	    XXH_PRIME64_2, XXH_PRIME64_3, XXH_PRIME64_4, XXH_PRIME32_2,
	    XXH_PRIME64_5, XXH_PRIME32_1};
	const uint8_t *secret = XXH3_kSecret;
	struct lanes l = {
	    _mm256_loadu_si256((const __m256i_u *)(const void *)start),
	    _mm256_loadu_si256((const __m256i_u *)(const void *)(start + 4))};
	uint64_t left = len;

	/* The last stripe is never one of these. */
	for (; left > (uint64_t)STRIPES * STRIPE; left -= STRIPES * STRIPE) {
		for (int i = 0; i < STRIPES; i++, to += STRIPE, from += STRIPE)
			take_stripe(&l, to, from, secret + i * 8);
		l.low = scrambled(l.low, secret + LAST);
		l.high = scrambled(l.high, secret + LAST + 32);
	}
	for (; left > STRIPE; left -= STRIPE, to += STRIPE, from += STRIPE) {
		take_stripe(&l, to, from, secret);
		secret += 8;
	}
	take_stripe(&l, to, from, XXH3_kSecret + LAST - 7);
	return merged(&l, len);
}

bool
payload_copy_works(uint64_t len)
{
	return len % STRIPE == 0 && len >= 256 && payload_is_wide();
}

uint64_t
payload_copy(void *to, const void *from, uint64_t len)
{
	return copy_wide(to, from, len);
}

#else

bool
payload_copy_works(uint64_t len)
{
	(void)len;
	return false;
}

uint64_t
payload_copy(void *to, const void *from, uint64_t len)
{
	memcpy(to, from, len);
	return payload_hash_wide(to, len);
}

#endif
