/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "fileformat/codec.h"

#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define ZLIB_LEVELS 9
#define ZSTD_LEVELS 19

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

bool
codec_is_built(uint32_t codec)
{
#ifdef HAVE_ZSTD
	if (codec == CODEC_ZSTD)
		return true;
#endif
	return codec == CODEC_NONE || codec == CODEC_ZLIB;
}

int
codec_levels(enum codec codec)
{
	return codec == CODEC_ZLIB   ? ZLIB_LEVELS
	       : codec == CODEC_ZSTD ? ZSTD_LEVELS
				     : 0;
}

/* Only what is smaller than the raw bytes is of use: 0 otherwise. */
static size_t
pack(enum codec want, int level, const uint8_t *raw, size_t len, uint8_t *out)
{
	uLongf got = len - 1;

	if (want == CODEC_ZLIB &&
	    compress2(out, &got, raw, len,
		level == 0 ? Z_DEFAULT_COMPRESSION : level) == Z_OK)
		return got;
#ifdef HAVE_ZSTD
	if (want == CODEC_ZSTD) {
		size_t n = ZSTD_compress(out, len - 1, raw, len,
		    level == 0 ? ZSTD_CLEVEL_DEFAULT : level);

		return ZSTD_isError(n) ? 0 : n;
	}
#endif
	return 0;
}

/* Exactly one stream or frame, and all that it was said to yield. */
static bool
unpack(const struct chunk *c, const uint8_t *stored, uint8_t *raw)
{
	uLongf raw_len = c->raw_len;
	uLong stored_len = c->stored_len;

	if (c->codec == CODEC_ZLIB)
		return uncompress2(raw, &raw_len, stored, &stored_len) ==
			   Z_OK &&
		       raw_len == c->raw_len && stored_len == c->stored_len;
#ifdef HAVE_ZSTD
	if (c->codec == CODEC_ZSTD)
		return ZSTD_findFrameCompressedSize(stored, c->stored_len) ==
			   c->stored_len &&
		       ZSTD_decompress(raw, c->raw_len, stored,
			   c->stored_len) == c->raw_len;
#endif
	return false;
}

size_t
chunk_encode(const uint8_t *raw, size_t len, enum codec want, int level,
    uint8_t *out, size_t room, enum codec *used)
{
	uint8_t *stored = out + CHUNK_HEADER_LEN;
	size_t got;

	assert(len > 0 && len <= JOURNAL_CHUNK_LIMIT);
	assert(room >= CHUNK_HEADER_LEN + len);
	got = len > 1 ? pack(want, level, raw, len, stored) : 0;
	if (got > 0) {
		put_header(out, got, len, want);
		*used = want;
		return CHUNK_HEADER_LEN + got;
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
	if (!codec_is_built(codec))
		return verdict_say(why, VERDICT_UNKNOWN, AT_CODEC,
		    "codec %" PRIu32 " (%s) is not built into this program",
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
	if (sum_bytes(stored, c->stored_len, c->seed) != c->sum)
		return verdict_say(why, VERDICT_CORRUPT, AT_SUM,
		    "checksum of a chunk does not match");
	if (c->codec == CODEC_NONE) {
		if (raw != stored)
			memcpy(raw, stored, c->raw_len);
		return VERDICT_WHOLE;
	}
	if (!unpack(c, stored, raw))
		return verdict_say(why, VERDICT_CORRUPT, CHUNK_HEADER_LEN,
		    "chunk does not decompress to %" PRIu32 " bytes",
		    c->raw_len);
	return VERDICT_WHOLE;
}
