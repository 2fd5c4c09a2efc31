/* SPDX-License-Identifier: Apache-2.0 */
/* An entry, then a note behind it. What is accepted encodes to itself. */
#include "tests/fuzz/fuzz.h"

#include "fileformat/iocb.h"
#include "fileformat/note.h"

#include <string.h>

#define SEED UINT64_C(0x5eed)

static void
check_iocb(const uint8_t *data)
{
	uint8_t again[IOCB_LEN], canonical[IOCB_CANONICAL_LEN];
	struct why why = {0};
	struct iocb b;
	enum verdict v = iocb_decode(data, SEED, &b, &why);

	FUZZ_MUST(v != VERDICT_PARTIAL);
	FUZZ_MUST(v == VERDICT_WHOLE || why.text[0] != '\0');
	if (v != VERDICT_WHOLE)
		return;
	iocb_encode(&b, SEED, again);
	FUZZ_MUST(memcmp(again, data, IOCB_LEN) == 0);
	iocb_encode_canonical(&b, canonical);
	FUZZ_MUST(op_is_known(b.op) && b.number != 0);
	if (op_has_range(b.op))
		FUZZ_MUST(b.off + b.len <= INT64_MAX && b.off <= INT64_MAX);
	if (op_has_data(b.op))
		FUZZ_MUST(b.len >= 1 && b.len <= JOURNAL_DATA_LIMIT);
}

static void
check_notes(const uint8_t *data, size_t size)
{
	uint8_t again[CONTROL_NOTE_LEN];
	struct copyin_note copyin;
	struct control_note control;

	if (copyin_note_decode(data, size, &copyin, NULL) == VERDICT_WHOLE) {
		copyin_note_encode(&copyin, again);
		FUZZ_MUST(memcmp(again, data, COPYIN_NOTE_LEN) == 0);
	}
	if (control_note_decode(data, size, &control, NULL) == VERDICT_WHOLE) {
		control_note_encode(&control, again);
		FUZZ_MUST(memcmp(again, data, CONTROL_NOTE_LEN) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < IOCB_LEN)
		return 0;
	check_iocb(data);
	check_notes(data + IOCB_LEN, size - IOCB_LEN);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size = LLVMFuzzerMutate(data, size, max);
	if (size >= IOCB_LEN && seed % 8 != 0)
		fuzz_mend_iocb(data, SEED);
	return size;
}
