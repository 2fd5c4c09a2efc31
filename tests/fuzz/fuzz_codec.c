/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk unpacks into exactly what it declares, and packs again. */
#include "tests/fuzz/fuzz.h"

#include "fileformat/codec.h"

#include <stdlib.h>
#include <string.h>

static void
check_again(const uint8_t *raw, size_t len, enum codec want)
{
	size_t room = CHUNK_HEADER_LEN + len, got;
	uint8_t *out = malloc(room), *back = malloc(len);
	enum codec used;
	struct chunk c;

	if (out == NULL || back == NULL)
		abort();
	got = chunk_encode(raw, len, want, 1, out, room, &used);
	FUZZ_MUST(got <= room);
	FUZZ_MUST(chunk_header_decode(out, got, &c, NULL) == VERDICT_WHOLE);
	FUZZ_MUST(c.stored_len == got - CHUNK_HEADER_LEN && c.raw_len == len);
	FUZZ_MUST(chunk_decode(&c, out + CHUNK_HEADER_LEN, back, NULL) ==
		  VERDICT_WHOLE);
	FUZZ_MUST(memcmp(back, raw, len) == 0);
	free(out);
	free(back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct why why = {0};
	struct chunk c;
	uint8_t *raw;
	enum verdict v = chunk_header_decode(data, size, &c, &why);

	FUZZ_MUST(v == VERDICT_WHOLE || why.text[0] != '\0');
	if (size > 0)
		check_again(data, size < 4096 ? size : 4096,
		    size % 2 == 0 && codec_is_built(CODEC_ZSTD) ? CODEC_ZSTD
								: CODEC_ZLIB);
	if (v != VERDICT_WHOLE || c.stored_len > size - CHUNK_HEADER_LEN)
		return 0;
	/* Exactly as large as declared: the sanitizer watches its end. */
	raw = malloc(c.raw_len);
	if (raw == NULL)
		abort();
	if (chunk_decode(&c, data + CHUNK_HEADER_LEN, raw, &why) ==
	    VERDICT_WHOLE)
		check_again(raw, c.raw_len, c.codec);
	free(raw);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size = LLVMFuzzerMutate(data, size, max);
	if (seed % 8 != 0)
		fuzz_mend_chunk(data, size);
	return size;
}
