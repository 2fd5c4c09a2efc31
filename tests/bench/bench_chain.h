/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_chain: makes a stream of real journal files, signed and chained, as a
 * source's sealer would, but in any folder, at any size and without capturing.
 * The first file is a base without extents (the mirror was seeded), the others
 * are writes of one size at random places of one volume. One thread.
 */
#ifndef TESTS_BENCH_CHAIN_H
#define TESTS_BENCH_CHAIN_H

#include "common/err.h"
#include "fileformat/header.h"
#include "fileformat/sign.h"

struct bench_chain {
	struct sign_secret key;
	struct uuid stream, group, site, epoch, mirror;
	struct journal_volume volume;
	uint64_t next, sequence; /* of the next file */
	uint64_t random;
	uint8_t prev[DIGEST_LEN];
};

/* A volume of `size` bytes, written with `key` from now on. */
int bench_chain_init(struct bench_chain *c, const struct sign_secret *key,
    uint64_t size, struct err *e) CHECKED;
/* The stream's first file, into the folder `dir`. */
int bench_chain_base(struct bench_chain *c, int dir, struct err *e) CHECKED;
/*
 * One file of `count` writes of `block` bytes, at most 1 MiB each. Where they
 * went is told in offs (count of them; may be NULL).
 */
int bench_chain_add(struct bench_chain *c, int dir, uint32_t count,
    uint32_t block, uint64_t *offs, struct err *e) CHECKED;
/* The payload of the write to `off`: `block` bytes, for ever the same. */
const uint8_t *bench_chain_payload(uint64_t off, uint32_t block);

#endif
