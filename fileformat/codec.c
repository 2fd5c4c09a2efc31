/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/codec.h"

#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

/* Chunk header: stored_len 0, raw_len 4, codec 8, zero 12, sum 16. */
enum { AT_STORED = 0, AT_RAW = 4, AT_CODEC = 8, AT_RESERVED = 12, AT_SUM = 16 };

/* The sum is seeded with the header before it, so that it covers that too. */
static uint64_t
chunk_sum(const uint8_t *header, const uint8_t *stored, size_t len)
{
	return sum_bytes(stored, len, sum_bytes(header, AT_SUM, 0));
}

static void
put_header(uint8_t *out, size_t stored_len, size_t raw_len, enum codec codec)
{
	le_put32(out + AT_STORED, (uint32_t)stored_len);
	le_put32(out + AT_RAW, (uint32_t)raw_len);
	le_put32(out + AT_CODEC, (uint32_t)codec);
	le_put32(out + AT_RESERVED, 0);
	le_put64(
	    out + AT_SUM, chunk_sum(out, out + CHUNK_HEADER_LEN, stored_len));
}

size_t
chunk_encode(const uint8_t *raw, size_t len, enum codec want, int level,
    uint8_t *out, size_t room, enum codec *used)
{
	uint8_t *stored = out + CHUNK_HEADER_LEN;

	assert(len > 0 && len <= JOURNAL_CHUNK_LIMIT);
	assert(room >= CHUNK_HEADER_LEN + len);
	if (want == CODEC_ZLIB) {
		/* Only what is smaller than the raw bytes is of use. */
		uLongf got = len - 1;

		if (compress2(stored, &got, raw, len,
			level == 0 ? Z_DEFAULT_COMPRESSION : level) == Z_OK &&
		    got > 0) {
			put_header(out, got, len, CODEC_ZLIB);
			*used = CODEC_ZLIB;
			return CHUNK_HEADER_LEN + got;
		}
	}
	if (stored != raw)
		memcpy(stored, raw, len);
	put_header(out, len, len, CODEC_NONE);
	*used = CODEC_NONE;
	return CHUNK_HEADER_LEN + len;
}

enum verdict
chunk_header_decode(
    const uint8_t *bytes, size_t len, struct chunk *out, struct why *why)
{
	struct chunk c;
	uint32_t codec;

	if (len < CHUNK_HEADER_LEN)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "a chunk header has %d bytes, there are %zu",
		    CHUNK_HEADER_LEN, len);
	c.stored_len = le_get32(bytes + AT_STORED);
	c.raw_len = le_get32(bytes + AT_RAW);
	codec = le_get32(bytes + AT_CODEC);
	c.sum = le_get64(bytes + AT_SUM);
	c.seed = sum_bytes(bytes, AT_SUM, 0);
	if (le_get32(bytes + AT_RESERVED) != 0)
		return verdict_say(why, VERDICT_CORRUPT, AT_RESERVED,
		    "reserved bytes of a chunk are not zero");
	if (c.raw_len == 0 || c.raw_len > JOURNAL_CHUNK_LIMIT)
		return verdict_say(why, VERDICT_CORRUPT, AT_RAW,
		    "raw length %" PRIu32 " of a chunk is not 1..%d", c.raw_len,
		    JOURNAL_CHUNK_LIMIT);
	if (codec == 0)
		return verdict_say(
		    why, VERDICT_CORRUPT, AT_CODEC, "codec 0 is never valid");
	if (codec != CODEC_NONE && codec != CODEC_ZLIB)
		return verdict_say(why, VERDICT_UNKNOWN, AT_CODEC,
		    "codec %" PRIu32 " (%s) is not known to this version",
		    codec, codec_name(codec));
	if (c.stored_len == 0 ||
	    (codec == CODEC_NONE ? c.stored_len != c.raw_len
				 : c.stored_len >= c.raw_len))
		return verdict_say(why, VERDICT_CORRUPT, AT_STORED,
		    "stored length %" PRIu32 " does not fit raw length %" PRIu32
		    " of a chunk (%s)",
		    c.stored_len, c.raw_len, codec_name(codec));
	c.codec = (enum codec)codec;
	*out = c;
	return VERDICT_WHOLE;
}

enum verdict
chunk_decode(
    const struct chunk *c, const uint8_t *stored, uint8_t *raw, struct why *why)
{
	uLongf raw_len = c->raw_len;
	uLong stored_len = c->stored_len;

	if (sum_bytes(stored, c->stored_len, c->seed) != c->sum)
		return verdict_say(why, VERDICT_CORRUPT, AT_SUM,
		    "checksum of a chunk does not match");
	if (c->codec == CODEC_NONE) {
		if (raw != stored)
			memcpy(raw, stored, c->raw_len);
		return VERDICT_WHOLE;
	}
	if (uncompress2(raw, &raw_len, stored, &stored_len) != Z_OK ||
	    raw_len != c->raw_len || stored_len != c->stored_len)
		return verdict_say(why, VERDICT_CORRUPT, CHUNK_HEADER_LEN,
		    "chunk does not decompress to %" PRIu32 " bytes",
		    c->raw_len);
	return VERDICT_WHOLE;
}
