/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault: what a writer puts behind the header of an encrypted file. Data come
 * in order while the file is made; what lies before them (blind and IOCBs) is
 * known at the end only, and so are the blocks that hold it kept until then.
 * Memory: those, two MiB, and 32 bytes for each block. One thread.
 */
#ifndef AIMDRIVER_VAULT_H
#define AIMDRIVER_VAULT_H

#include "fileformat/crypt.h"

struct vault;

/* Borrows fd. The header says where its blocks begin, how many IOCBs come, the
 * salt and the stream; what else it says may change. */
int vault_open(int fd, const struct journal_header *h,
    const struct group_key *key, struct vault **out, struct err *e) CHECKED;
void vault_close(struct vault *v);
int vault_add(
    struct vault *v, const uint8_t *data, size_t len, struct err *e) CHECKED;
/* All that is left; `bound` is the last block's (header_bound), and `out` the
 * digest of what was stored. Not synced. */
int vault_finish(struct vault *v, const uint8_t blind[BLIND_LEN],
    const uint8_t *iocbs, const uint8_t bound[DIGEST_LEN],
    uint8_t out[DIGEST_LEN], struct err *e) CHECKED;

#endif
