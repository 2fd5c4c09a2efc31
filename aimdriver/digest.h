/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest: SHA-256 over a run of pieces, and the two digests of a journal file,
 * each made of digests of its parts: content (what happened) and stored (its
 * bytes behind the header). Without compression both have the digest of Data
 * in common, which is why they are made that way.
 * For writer and reader. A {0} digest may be released.
 */
#ifndef AIMDRIVER_DIGEST_H
#define AIMDRIVER_DIGEST_H

#include "common/err.h"
#include "fileformat/header.h"

struct digest {
	struct evp_md_ctx_st *sha;
};

int digest_begin(struct digest *d, struct err *e) CHECKED;
int digest_add(
    struct digest *d, const void *bytes, size_t len, struct err *e) CHECKED;
int digest_end(
    struct digest *d, uint8_t out[DIGEST_LEN], struct err *e) CHECKED;
void digest_release(struct digest *d);

/* From the header and the digests of canonical IOCBs and raw Data; `blind`
 * has the BLIND_LEN bytes of an encrypted file, NULL for a plain one. */
int digest_content(const struct journal_header *h,
    const struct journal_volume *volumes, const struct uuid *targets,
    const uint8_t iocbs[DIGEST_LEN], const uint8_t data[DIGEST_LEN],
    const uint8_t *blind, uint8_t out[DIGEST_LEN], struct err *e) CHECKED;
/* The stored digest of an encrypted file: begun so, it takes the SHA-256 of
 * each block. */
int digest_begin_blocks(struct digest *d, struct err *e) CHECKED;
/* Of a plain one: from the digests of stored IOCBs, of all chunk heads, of all
 * that the chunks hold. */
int digest_stored(const uint8_t iocbs[DIGEST_LEN],
    const uint8_t heads[DIGEST_LEN], const uint8_t bodies[DIGEST_LEN],
    uint8_t out[DIGEST_LEN], struct err *e) CHECKED;

#endif
