/* SPDX-License-Identifier: Apache-2.0 */
/* A header that is accepted is within its bounds and encodes to itself. */
#include "tests/fuzz/fuzz.h"

#include "fileformat/header.h"
#include "fileformat/iocb.h"
#include "fileformat/le.h"

#include <stdlib.h>
#include <string.h>

/* Every plain byte is in one block, and the blocks end with the file. */
static void
check_blocks(const struct journal_header *h)
{
	uint64_t plain = 32 + (h->data_off - h->iocb_off) + h->data_stored_len;
	uint64_t i, n = header_blocks(h), sum = 0;

	for (i = 0; i < n; i++) {
		uint32_t len = header_block_len(h, i);

		FUZZ_MUST(len >= 1 && len <= 65536);
		FUZZ_MUST(len == 65536 || i + 1 == n);
		sum += len;
	}
	FUZZ_MUST(sum == plain);
	FUZZ_MUST(h->file_len == h->header_len + plain + 16 * n);
}

static void
check_bounds(const struct journal_header *h, size_t size)
{
	FUZZ_MUST(h->header_len <= size);
	FUZZ_MUST(h->file_len <= JOURNAL_FILE_LIMIT);
	FUZZ_MUST(h->iocb_off == h->header_len);
	FUZZ_MUST(h->data_off >= h->iocb_off && h->data_off <= h->file_len);
	if (header_is_encrypted(h))
		check_blocks(h);
	else
		FUZZ_MUST(h->file_len - h->data_off == h->data_stored_len);
	FUZZ_MUST(h->data_raw_len <= JOURNAL_RAW_LIMIT);
	FUZZ_MUST(h->volume_count >= 1 && h->first >= 1 && h->last >= h->first);
	FUZZ_MUST(h->sequence >= 1 && h->epoch_number >= 1);
}

static void
check_again(const uint8_t *data, const struct journal_header *h)
{
	struct journal_volume *volumes =
	    calloc(h->volume_count, sizeof(*volumes));
	struct uuid *targets = calloc(h->target_count + 1u, sizeof(*targets));
	uint8_t *again = calloc(1, h->header_len);
	uint32_t i;

	if (volumes == NULL || targets == NULL || again == NULL)
		abort();
	for (i = 0; i < h->volume_count; i++) {
		header_volume(data, h, i, &volumes[i]);
		FUZZ_MUST(volumes[i].size <= INT64_MAX);
	}
	for (i = 0; i < h->target_count; i++)
		header_target(data, h, i, &targets[i]);
	/* What later versions add is not encoded here. */
	if (h->minor == 0 && le_get32(data + 408) == 0) {
		header_encode(h, volumes, targets, again);
		header_set_signature(again, h->signature);
		header_fix_sum(again, h->header_len);
		FUZZ_MUST(memcmp(again, data, h->header_len) == 0);
	}
	free(volumes);
	free(targets);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_header h;
	struct why why = {0};
	enum verdict v = header_decode(data, size, &h, &why);

	FUZZ_MUST(v == VERDICT_WHOLE || why.text[0] != '\0');
	if (v == VERDICT_WHOLE) {
		check_bounds(&h, size);
		check_again(data, &h);
	}
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size = LLVMFuzzerMutate(data, size, max);
	if (seed % 8 != 0)
		fuzz_mend_header(data, size);
	return size;
}
