/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypt: the encryption of all that lies behind a journal file's header, in
 * blocks of AES-256-GCM under a key of this one encoding. The file key is made
 * of the group's key, the encoding's random salt and the stream's UUID, so
 * that nothing which can come again is all that a nonce depends on. A block's
 * number and whether it is the last are its nonce: one that was moved,
 * repeated, left out, cut off or taken from another file does not open. The
 * last block is bound to the header as well. Bytes: docs/journal-format.md.
 *
 * No files, no globals. A struct crypt is for one thread at a time. Functions
 * fail (-1, FATAL) only when libcrypto does, or (RETRY) for want of memory.
 */
#ifndef FILEFORMAT_CRYPT_H
#define FILEFORMAT_CRYPT_H

#include "common/err.h"
#include "fileformat/header.h"

#include <stdbool.h>

#define GROUP_KEY_LEN 32

/* What the sites of an encrypted group share, and nobody else has. */
struct group_key {
	uint8_t key[GROUP_KEY_LEN];
	uint8_t id[KEY_ID_LEN]; /* follows from the key, and tells nothing of
				 * it: another key has another id */
};

int group_key_make(struct group_key *out, struct err *e) CHECKED;
/* Fills id from key. */
int group_key_derive(struct group_key *k, struct err *e) CHECKED;
void group_key_forget(struct group_key *k); /* explicit_bzero */

/*
 * A key file: four lines of "word value". As it names the group, no key can be
 * given to another group by mistake.
 */
#define KEYFILE_LEN 192	   /* of what is written, with the NUL */
#define KEYFILE_LIMIT 1024 /* of what is read */
#define KEYFILE_BEGIN "aim-group-key "
void keyfile_encode(
    const struct uuid *group, const struct group_key *k, char out[KEYFILE_LEN]);
/* REFUSED (not a key file, of another version) or CORRUPT (the id is not the
 * key's), without repeating any of the text. */
int keyfile_decode(const char *text, size_t len, struct uuid *group,
    struct group_key *out, struct err *e) CHECKED;

struct crypt;
int crypt_open(const struct group_key *k, const uint8_t salt[SALT_LEN],
    const struct uuid *stream, struct crypt **out, struct err *e) CHECKED;
void crypt_close(struct crypt *c); /* forgets the key */

/*
 * One block of 1..CRYPT_BLOCK plain bytes; `out` has CRYPT_TAG more. `bound`
 * (DIGEST_LEN bytes, see header_bound) makes it the last block; NULL for all
 * others.
 */
int crypt_seal(struct crypt *c, uint64_t index, const uint8_t *bound,
    const uint8_t *plain, size_t len, uint8_t *out, struct err *e) CHECKED;
/* `len` is that of the plain bytes. !*good: `plain` holds nothing of use. */
int crypt_open_block(struct crypt *c, uint64_t index, const uint8_t *bound,
    const uint8_t *stored, size_t len, uint8_t *plain, bool *good,
    struct err *e) CHECKED;

#endif
