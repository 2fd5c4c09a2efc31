/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include "aimdriver/digest.h"
#include "fileformat/codec.h"
#include "fileformat/iocb.h"
#include "fileformat/le.h"
#include "fileformat/sign.h"
#include "fileformat/sum.h"
#include "tests/stored_mend.h"

#include <stdlib.h>
#include <string.h>

#define RAW_LIMIT ((size_t)4 << 20)

void
fuzz_mend_header(uint8_t *data, size_t size)
{
	uint32_t len;

	if (header_peek(data, size, &len, NULL) == VERDICT_WHOLE && len <= size)
		header_fix_sum(data, len);
}

void
fuzz_mend_iocb(uint8_t *data, uint64_t seed)
{
	le_put64(data + 72, sum_bytes(data, 72, seed));
}

void
fuzz_mend_chunk(uint8_t *data, size_t size)
{
	uint32_t stored;

	if (size < CHUNK_HEADER_LEN)
		return;
	stored = le_get32(data);
	if (stored <= size - CHUNK_HEADER_LEN)
		le_put64(data + 16, sum_bytes(data + CHUNK_HEADER_LEN, stored,
					sum_bytes(data, 16, 0)));
}

/* Mends the chunks and unpacks as much of them as can be; returns how much. */
static size_t
mend_chunks(uint8_t *data, size_t size, size_t at, uint8_t *raw)
{
	size_t used = 0;
	struct chunk c;

	while (at <= size && size - at >= CHUNK_HEADER_LEN) {
		fuzz_mend_chunk(data + at, size - at);
		if (chunk_header_decode(data + at, size - at, &c, NULL) !=
			VERDICT_WHOLE ||
		    c.stored_len > size - at - CHUNK_HEADER_LEN ||
		    c.raw_len > RAW_LIMIT - used ||
		    chunk_decode(&c, data + at + CHUNK_HEADER_LEN, raw + used,
			NULL) != VERDICT_WHOLE)
			break;
		used += c.raw_len;
		at += CHUNK_HEADER_LEN + c.stored_len;
	}
	return used;
}

static void
mend_iocbs(uint8_t *data, size_t size, const uint8_t *raw, size_t raw_len)
{
	uint32_t count = le_get32(data + 64), len = le_get32(data + 68), i;
	size_t at = le_get32(data + 20);
	struct uuid stream;
	uint64_t seed;

	memcpy(stream.b, data + 112, 16);
	seed = iocb_seed(&stream, le_get64(data + 176));
	if (len < IOCB_LEN || len > IOCB_LEN_LIMIT)
		return;
	for (i = 0; i < count && at <= size && size - at >= len; i++) {
		uint8_t *b = data + at;
		uint64_t n = le_get64(b + 40), from = le_get64(b + 48);

		if (op_has_data(le_get32(b)) && from <= raw_len &&
		    n <= raw_len - from)
			le_put64(
			    b + 56, iocb_data_sum(raw + from, (size_t)n, seed));
		fuzz_mend_iocb(b, seed);
		at += len;
	}
}

/* Of a header that makes sense: entries as they are stored. */
static void
mend_content(uint8_t *data, size_t size, const uint8_t *raw, size_t raw_len)
{
	static struct journal_volume volumes[JOURNAL_VOLUME_LIMIT];
	static struct uuid targets[JOURNAL_TARGET_LIMIT];
	struct digest canonical = {0};
	uint8_t iocbs[DIGEST_LEN], digest[DIGEST_LEN];
	struct journal_header h;
	uint32_t i;

	if (header_decode(data, size, &h, NULL) != VERDICT_WHOLE ||
	    h.data_off > size)
		return;
	for (i = 0; i < h.volume_count; i++)
		header_volume(data, &h, i, &volumes[i]);
	for (i = 0; i < h.target_count; i++)
		header_target(data, &h, i, &targets[i]);
	if (digest_begin(&canonical, NULL) < 0)
		abort();
	for (i = 0; i < h.iocb_count; i++) {
		uint8_t entry[IOCB_CANONICAL_LEN];

		memcpy(entry, data + h.iocb_off + (size_t)i * h.iocb_len,
		    sizeof(entry));
		memset(entry + 12, 0, 4);
		if (digest_add(&canonical, entry, sizeof(entry), NULL) < 0)
			abort();
	}
	if (digest_end(&canonical, iocbs, NULL) < 0 ||
	    digest_bytes(raw, raw_len, digest, NULL) < 0 ||
	    digest_content(&h, volumes, targets, iocbs, digest, NULL,
		data + 296, NULL) < 0)
		abort();
	digest_release(&canonical);
	header_fix_sum(data, h.header_len);
}

void
fuzz_mend_journal(uint8_t *data, size_t size)
{
	static uint8_t raw[RAW_LIMIT];
	uint64_t data_off;
	size_t raw_len = 0;
	uint32_t len;

	if (header_peek(data, size, &len, NULL) != VERDICT_WHOLE || len > size)
		return;
	data_off = le_get64(data + 72);
	if (data_off <= size)
		raw_len = mend_chunks(data, size, (size_t)data_off, raw);
	mend_iocbs(data, size, raw, raw_len);
	stored_mend(data, size);
	header_fix_sum(data, len);
	mend_content(data, size, raw, raw_len);
}
