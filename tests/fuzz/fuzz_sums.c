/* SPDX-License-Identifier: Apache-2.0 */
/* A page of sums that is accepted encodes to itself but for its key; a list of
 * what is compared that is accepted finds each of its places again. */
#include "tests/fuzz/fuzz.h"

#include "fileformat/le.h"
#include "fileformat/sum.h"
#include "fileformat/sums.h"

#include <stdlib.h>
#include <string.h>

static const struct sign_secret *
key(void)
{
	static struct sign_secret k;

	memset(k.seed, 0x43, sizeof(k.seed));
	if (sign_derive(&k, NULL) < 0)
		abort();
	return &k;
}

static void
look_at_page(const uint8_t *data, size_t size)
{
	static uint8_t again[SUMS_LIMIT];
	struct why why = {0};
	bool valid = false;
	struct sums s;
	size_t len;
	enum verdict v = sums_decode(data, size, &s, &why);

	FUZZ_MUST(v == VERDICT_WHOLE || why.text[0] != '\0');
	if (v != VERDICT_WHOLE)
		return;
	FUZZ_MUST(s.count <= SUMS_IN_PAGE && s.first + s.count <= s.total);
	FUZZ_MUST(s.total <= RUNS_SUM_LIMIT);
	FUZZ_MUST(memchr(s.reason, '\0', sizeof(s.reason)) != NULL);
	if (sums_check(data, size, &key()->pub, &valid, NULL) < 0)
		abort();
	FUZZ_MUST(
	    sums_encode(&s, data + SUMS_HEAD, key(), again, &len, NULL) == 0);
	FUZZ_MUST(len == size);
	/* A later minor version may use what is reserved here. */
	if (le_get16(data + 18) == 0)
		FUZZ_MUST(memcmp(again + 40, data + 40, 504) == 0);
	FUZZ_MUST(
	    memcmp(again + SUMS_HEAD, data + SUMS_HEAD, size - SUMS_HEAD) == 0);
}

static void
look_at_list(const uint8_t *data, size_t size)
{
	static struct runs r;
	uint32_t volume, number, n, step;
	uint64_t off;

	if (!runs_decode(data, size, &r))
		return;
	FUZZ_MUST(runs_sums(&r) > 0 && runs_sums(&r) <= RUNS_SUM_LIMIT);
	n = (uint32_t)runs_sums(&r);
	step = n / 100 + 1;
	for (uint32_t i = 0; i < n; i += step) {
		runs_place(&r, i, &volume, &off);
		FUZZ_MUST(runs_find(&r, volume, off, &number) && number == i);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	look_at_page(data, size);
	look_at_list(data, size);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size = LLVMFuzzerMutate(data, size, max);
	if (size >= SUMS_HEAD && seed % 8 != 0) {
		if (seed % 4 != 0)
			le_put32(data + 20, (uint32_t)size);
		le_put64(data + 632, sum_with_hole(data, size, 632, 8));
	}
	return size;
}
