/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec: one chunk of Data, raw <-> stored. A stored chunk is a header of
 * CHUNK_HEADER_LEN bytes (stored length, raw length, codec, XXH3-64 of the
 * stored bytes) and the stored bytes. Pure, thread safe; output buffers are
 * exactly as large as declared, so a bomb cannot grow (fault F63).
 */
#ifndef FILEFORMAT_CODEC_H
#define FILEFORMAT_CODEC_H

#include "fileformat/header.h"

#define CHUNK_HEADER_LEN 24

struct chunk {
	uint32_t stored_len, raw_len;
	enum codec codec;
	uint64_t sum;
	uint64_t seed; /* of sum: XXH3-64 of the chunk header before it */
};

/* Enough for one stored chunk with its header, whatever the codec. */
#define CHUNK_STORED_LIMIT (CHUNK_HEADER_LEN + JOURNAL_CHUNK_LIMIT)

/* Can this build read and write it? zstd is there when its library was. */
bool codec_is_built(uint32_t codec);
/* The levels that it takes, 1..n; 0 for one without levels. */
int codec_levels(enum codec codec);

/*
 * Encodes `len` (1..JOURNAL_CHUNK_LIMIT) raw bytes, header included; falls
 * back to CODEC_NONE when compressing does not help (or fails for want of
 * memory). Level 0: the default.
 * `room` is at least CHUNK_HEADER_LEN + len; for CODEC_NONE `raw` may lie at
 * out + CHUNK_HEADER_LEN already. *used says what was used; returns the
 * stored length with header.
 */
size_t chunk_encode(const uint8_t *raw, size_t len, enum codec want, int level,
    uint8_t *out, size_t room, enum codec *used);
enum verdict chunk_header_decode(
    const uint8_t *bytes, size_t len, struct chunk *out, struct why *why);
/* `stored` has c->stored_len bytes, `raw` room for c->raw_len. The two may be
 * the same for CODEC_NONE. */
enum verdict chunk_decode(const struct chunk *c, const uint8_t *stored,
    uint8_t *raw, struct why *why);

#endif
