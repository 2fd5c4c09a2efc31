/* SPDX-License-Identifier: Apache-2.0 */
/* A whole log in memory: a superblock, then entries as far as they go. What
 * is accepted stays within bounds and encodes to itself. */
#include "tests/fuzz/fuzz.h"

#include "aimdriver/logwrites/wlog.h"
#include "fileformat/le.h"

#include <stdlib.h>
#include <string.h>

static void
check_entry(const uint8_t *bytes, uint32_t sector, const struct wlog_entry *b)
{
	uint8_t *again;

	FUZZ_MUST(b->off <= INT64_MAX && b->off + b->len <= INT64_MAX);
	FUZZ_MUST(b->stored == 0 || b->stored == b->len);
	FUZZ_MUST((b->flags & WLOG_DISCARD) == 0 || b->stored == 0);
	FUZZ_MUST((b->flags & ~(uint32_t)WLOG_KNOWN) == 0);
	FUZZ_MUST(memchr(b->mark, '\0', sizeof(b->mark)) != NULL);
	if (b->mark_len >= WLOG_MARK_LIMIT || sector > 65536)
		return;
	again = malloc(sector);
	FUZZ_MUST(again != NULL);
	FUZZ_MUST(wlog_entry_encode(b, sector, again));
	FUZZ_MUST(memcmp(again, bytes, 24) == 0);
	FUZZ_MUST(memcmp(again + WLOG_HEADER_LEN, bytes + WLOG_HEADER_LEN,
		      b->mark_len) == 0);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wlog_super s;
	struct wlog_entry b;
	struct why why = {0};
	uint64_t off, i;

	if (wlog_super_decode(data, size, &s, &why) != VERDICT_WHOLE) {
		FUZZ_MUST(why.text[0] != '\0');
		return 0;
	}
	off = s.sector;
	for (i = 0; i < s.entries && off < size; i++) {
		enum verdict v = wlog_entry_decode(
		    data + off, size - off, s.sector, &b, &why);

		FUZZ_MUST(v == VERDICT_WHOLE || why.text[0] != '\0');
		if (v != VERDICT_WHOLE)
			return 0;
		check_entry(data + off, s.sector, &b);
		if (b.stored > size - off)
			return 0;
		off += s.sector + b.stored;
	}
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct wlog_super s = {.entries = 64};

	size = LLVMFuzzerMutate(data, size, max);
	if (size < WLOG_SUPER_LEN || seed % 8 == 0)
		return size;
	s.sector = UINT32_C(32) << data[24] % 8;
	wlog_super_encode(&s, data);
	return size;
}
