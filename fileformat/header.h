/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header: the first portion of a journal file, bytes <-> struct.
 *
 * Pure: no files, no allocation, no globals; safe from any thread. The bytes
 * are specified in docs/journal-format.md. Decoding returns a verdict; it
 * trusts nothing and never reads beyond `len`. Encoding cannot fail for a
 * header within the limits (assert otherwise).
 */
#ifndef FILEFORMAT_HEADER_H
#define FILEFORMAT_HEADER_H

#include "common/uuid.h"
#include "fileformat/op.h"
#include "fileformat/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32
#define SIGNATURE_LEN 64
#define KEY_ID_LEN 16
#define SALT_LEN 32
#define BLIND_LEN 32

/* Encryption: plain bytes of a block, and what sealing adds to each. */
#define CRYPT_BLOCK 65536u
#define CRYPT_TAG 16u

/* Bounds: what lies beyond is rejected before it is used. */
enum {
	JOURNAL_HEADER_FIXED = 640,	/* bytes before the tables */
	JOURNAL_HEADER_LIMIT = 1 << 20, /* with the tables */
	JOURNAL_VOLUME_LIMIT = 4096,
	JOURNAL_TARGET_LIMIT = 1024,
	JOURNAL_IOCB_LIMIT = 1 << 20,
	JOURNAL_DATA_LIMIT = 32 << 20, /* one transaction's payload */
	JOURNAL_CHUNK_LIMIT = 1 << 20, /* raw bytes of one chunk */
};
#define JOURNAL_FILE_LIMIT (UINT64_C(1) << 30)
#define JOURNAL_RAW_LIMIT (UINT64_C(1) << 32)

enum codec { CODEC_NONE = 1, CODEC_ZLIB = 2, CODEC_ZSTD = 3 };

struct journal_volume {
	struct uuid uuid;
	uint64_t size; /* bytes, at the file's first transaction */
	enum volume_kind kind;
};

struct journal_header {
	uint16_t major, minor;
	uint32_t header_len; /* with tables; a multiple of 64 */
	uint64_t incompat, compat;
	uint32_t kind;	/* enum journal_kind */
	uint32_t codec; /* the strongest codec that any chunk uses */

	uint64_t file_len;
	/* In an encrypted file offsets and lengths are those that it has when
	 * it is open; file_len alone is that of the file. */
	uint64_t iocb_off; /* = header_len */
	uint32_t iocb_count;
	uint32_t iocb_len; /* bytes of one entry, >= IOCB_LEN */
	uint64_t data_off; /* = iocb_off + iocb_count * iocb_len */
	uint64_t data_stored_len;
	uint64_t data_raw_len;
	uint32_t chunk_len; /* raw bytes of every chunk but the last; >= 1 */

	struct uuid stream, group, site, epoch;
	uint32_t epoch_number; /* from 1 */
	uint64_t sequence;     /* from 1 in each epoch */
	uint64_t first, last;  /* transactions covered, closed range */
	uint64_t first_time_ns, last_time_ns; /* wall clock, informational */
	uint64_t sealed_time_ns;

	/* COMPAT_EPOCH_OPEN only, else zero: */
	struct uuid parent_epoch;
	uint32_t parent_epoch_number;
	uint64_t parent_sequence; /* the parent's last file */
	uint64_t fork;		  /* its last transaction = first - 1 */

	uint8_t prev_digest[DIGEST_LEN]; /* content digest of the file before;
					  * zero for the stream's first */
	/* SHA-256(canonical header || SHA-256(canonical IOCBs) ||
	 * SHA-256(raw Data) || the blind of an encrypted file) */
	uint8_t content_digest[DIGEST_LEN];
	uint8_t stored_digest[DIGEST_LEN]; /* of bytes iocb_off..end */
	uint8_t salt[SALT_LEN];
	uint8_t key_id[KEY_ID_LEN];
	uint8_t group_key_id[KEY_ID_LEN]; /* of an encrypted file, else zero */
	uint8_t signature[SIGNATURE_LEN];

	uint32_t volume_count, target_count;
};

/*
 * Looks at the fixed part only and says how long the whole header is.
 * VERDICT_PARTIAL when fewer than JOURNAL_HEADER_FIXED bytes are given.
 */
enum verdict header_peek(
    const uint8_t *bytes, size_t len, uint32_t *header_len, struct why *why);

/*
 * Decodes and checks a whole header: magic, version, flags, checksum, every
 * bound, every pointer against every other. Not the signature, nor anything
 * beyond the header. `len` must be >= header_len, else PARTIAL.
 */
enum verdict header_decode(const uint8_t *bytes, size_t len,
    struct journal_header *out, struct why *why);

/* Table entries of a header that header_decode has accepted. */
void header_volume(const uint8_t *bytes, const struct journal_header *h,
    uint32_t i, struct journal_volume *out);
void header_target(const uint8_t *bytes, const struct journal_header *h,
    uint32_t i, struct uuid *out);

/* What header_encode will need for so many volumes and targets. */
uint32_t header_encoded_len(uint32_t volumes, uint32_t targets);

/*
 * Encodes h with its tables into `bytes` (header_encoded_len), with a zero
 * signature and the checksum in place. header_len, volume_count and
 * target_count must be set.
 */
void header_encode(const struct journal_header *h,
    const struct journal_volume *volumes, const struct uuid *targets,
    uint8_t *bytes);

/*
 * Zeroes signature and checksum: the signature is made over all header_len
 * bytes in that form, in the domain JOURNAL_DOMAIN.
 */
void header_blank(uint8_t *bytes);
void header_set_signature(
    uint8_t *bytes, const uint8_t signature[SIGNATURE_LEN]);
/* Puts the right checksum into changed bytes (tests). */
void header_fix_sum(uint8_t *bytes, size_t len);
#define JOURNAL_DOMAIN "aim journal 1"

bool header_is_encrypted(const struct journal_header *h);
/* How long the file is, by the lengths of its parts. */
uint64_t header_file_len(const struct journal_header *h);
/* Of an encrypted file: its blocks, and the plain bytes in one of them. */
uint64_t header_blocks(const struct journal_header *h);
uint32_t header_block_len(const struct journal_header *h, uint64_t index);
/* Zeroes what is not known when the last block is sealed; the SHA-256 of the
 * header_len bytes in that form is what the block is bound to. */
void header_blank_bound(uint8_t *bytes);

/*
 * Adds to `sha` (an EVP_MD_CTX) the canonical fields that the content digest
 * begins with: everything that says what happened, nothing that says how it
 * is stored (no codec, lengths as stored, salt, key, signature).
 */
struct evp_md_ctx_st;
int header_digest_canonical(const struct journal_header *h,
    const struct journal_volume *volumes, const struct uuid *targets,
    struct evp_md_ctx_st *sha) CHECKED;

/* "EEEEEEEE-SSSSSSSSSSSSSSSS.aim" */
#define JOURNAL_NAME_LEN 30 /* with the NUL */
const char *journal_name(
    uint32_t epoch_number, uint64_t sequence, char out[JOURNAL_NAME_LEN]);
/* True and fills both only for exactly that form. */
bool journal_name_parse(
    const char *name, uint32_t *epoch_number, uint64_t *sequence);

#endif
