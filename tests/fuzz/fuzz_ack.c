/* SPDX-License-Identifier: Apache-2.0 */
/* An acknowledgement that is accepted encodes to itself but for its key. */
#include "tests/fuzz/fuzz.h"

#include "fileformat/ack.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[ACK_LIMIT];
	struct why why = {0};
	bool valid = false;
	struct ack a;
	size_t len;
	enum verdict v = ack_decode(data, size, &a, &why);

	FUZZ_MUST(v == VERDICT_WHOLE || why.text[0] != '\0');
	if (v != VERDICT_WHOLE)
		return 0;
	FUZZ_MUST(a.done_count <= ACK_DONE_LIMIT);
	FUZZ_MUST(memchr(a.reason, '\0', sizeof(a.reason)) != NULL);
	FUZZ_MUST(position_compare(&a.applied, &a.stored) <= 0);
	if (ack_check(data, size, &key()->pub, &valid, NULL) < 0)
		abort();
	FUZZ_MUST(ack_encode(&a, key(), again, &len, NULL) == 0);
	FUZZ_MUST(len == size);
	/* A later minor version may use what is reserved here. */
	if (le_get16(data + 18) == 0)
		FUZZ_MUST(memcmp(again + 40, data + 40, 504) == 0);
	FUZZ_MUST(memcmp(again + 640, data + 640, size - 640) == 0);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size = LLVMFuzzerMutate(data, size, max);
	if (size >= 640 && seed % 8 != 0) {
		if (seed % 4 != 0)
			le_put32(data + 20, (uint32_t)size);
		le_put64(data + 632, sum_with_hole(data, size, 632, 8));
	}
	return size;
}
