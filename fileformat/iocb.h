/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iocb: one I/O control block, bytes <-> struct. Pure, thread safe.
 * The payload checksum is XXH3-64 of the raw payload, seeded; the entry's own
 * checksum covers all its other bytes, seeded too (rule 9.3: the seed of a
 * journal file comes from stream UUID and sequence, see iocb_seed).
 */
#ifndef FILEFORMAT_IOCB_H
#define FILEFORMAT_IOCB_H

#include "common/uuid.h"
#include "fileformat/op.h"
#include "fileformat/verdict.h"

#include <stddef.h>
#include <stdint.h>

#define IOCB_LEN 80
#define IOCB_LEN_LIMIT 512 /* of a later version; what is beyond is ignored */
#define ORIGIN_NONE 0xffffffffu

struct iocb {
	uint32_t op;	  /* enum aim_op */
	uint32_t flags;	  /* IOCB_* */
	uint32_t volume;  /* index in the header's table */
	uint32_t origin;  /* index in the origin table, or ORIGIN_NONE */
	uint64_t number;  /* transaction number */
	uint64_t time_ns; /* wall clock, never before the previous one's */
	uint64_t off;	  /* on the volume, bytes */
	uint64_t len;	  /* on the volume, bytes; payload length for control */
	uint64_t data_off; /* in raw Data; 0 when the op has no data */
	uint64_t data_sum; /* XXH3-64 of the payload; 0 when it has none */
};

uint64_t iocb_seed(const struct uuid *stream, uint64_t sequence);
uint64_t iocb_data_sum(const void *data, size_t len, uint64_t seed);

void iocb_encode(const struct iocb *b, uint64_t seed, uint8_t out[IOCB_LEN]);
/* What the content digest takes of an entry: no sums, no origin. */
#define IOCB_CANONICAL_LEN 56
void iocb_encode_canonical(
    const struct iocb *b, uint8_t out[IOCB_CANONICAL_LEN]);
/* The entry's own sense, as iocb_decode checks it. A write, zero, discard or
 * copy-in has a length; off + len stays below 2^63; what has no range, data
 * or offset has zero there. */
enum verdict iocb_check(const struct iocb *b, struct why *why);
/* `bytes` has IOCB_LEN. Checks the checksum, the op, and the entry's own
 * sense; not its relation to neighbours, header or volume. */
enum verdict iocb_decode(
    const uint8_t *bytes, uint64_t seed, struct iocb *out, struct why *why);

#endif
