/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sums: what a mirror that holds its image says of the content of the extents
 * that a recovery is about to bring, a page of a list of sums, bytes <->
 * struct; docs/sums.md. Page n is ack/<mirror UUID>.NNNN.sums. Signed by the
 * mirror's site, and good for one copy-in alone: for that which begins with
 * the file that it names by its digest.
 *
 * Decoding and encoding are pure; everything is thread safe.
 */
#ifndef FILEFORMAT_SUMS_H
#define FILEFORMAT_SUMS_H

#include "fileformat/ack.h"
#include "fileformat/crypt.h"
#include "fileformat/runs.h"

#define SUMS_HEAD 640
#define SUMS_LEN 16 /* of one sum */
#define SUMS_LIMIT 32768
#define SUMS_IN_PAGE ((SUMS_LIMIT - SUMS_HEAD) / SUMS_LEN)
#define SUMS_PAGES (RUNS_SUM_LIMIT / SUMS_IN_PAGE)

struct sums {
	struct uuid stream, group, mirror, mirror_site, source_site;
	struct uuid copyin;
	struct position at;    /* the mirror's image is this */
	struct position begin; /* the end of the file that has the BEGIN */
	uint64_t time_ns;      /* wall clock */
	uint32_t grain_bits;
	uint32_t total;	       /* in all pages; 0: there are none (reason) */
	uint32_t first, count; /* in this page */
	char reason[160];      /* for people; printable ASCII */
	uint8_t key_id[KEY_ID_LEN];
};

/* Encodes and signs; `sums` has s->count * SUMS_LEN bytes. */
int sums_encode(const struct sums *s, const uint8_t *sums,
    const struct sign_secret *key, uint8_t out[SUMS_LIMIT], size_t *len,
    struct err *e) CHECKED;
/* Decodes and checks bounds and checksum, not the signature. The sums lie at
 * bytes + SUMS_HEAD. */
enum verdict sums_decode(
    const uint8_t *bytes, size_t len, struct sums *out, struct why *why);
/* Signature of bytes that sums_decode has accepted. */
int sums_check(const uint8_t *bytes, size_t len, const struct sign_public *key,
    bool *valid, struct err *e) CHECKED;

/* "<mirror UUID>.NNNN.sums" */
#define SUMS_NAME_LEN 47
const char *sums_name(
    const struct uuid *mirror, uint32_t page, char out[SUMS_NAME_LEN]);

/* ---- what a sum is ---- */

/*
 * The key of all sums for one copy-in: the content digest of the file that
 * begins it; of an encrypted group a key made of that and the group's. So no
 * sum can be used for another copy-in, be computed before that file was made,
 * or tell who has no key what two places have in common.
 */
struct sums_key {
	uint8_t key[DIGEST_LEN];
};
int sums_key_make(const uint8_t begin[DIGEST_LEN], const struct group_key *k,
    struct sums_key *out, struct err *e) CHECKED;

/* One sum, of data that come in pieces. */
struct summer {
	const struct sums_key *key;
	struct evp_mac_st *mac;
	struct evp_mac_ctx_st *ctx;
};
/* {0} may be released. */
int summer_open(
    struct summer *s, const struct sums_key *key, struct err *e) CHECKED;
void summer_close(struct summer *s);
/*
 * Bytes off..off + len - 1 of that volume. With `zero` they all are: nothing
 * is added then.
 */
int summer_begin(struct summer *s, const struct uuid *volume, uint64_t off,
    uint64_t len, bool zero, struct err *e) CHECKED;
int summer_add(
    struct summer *s, const void *data, size_t len, struct err *e) CHECKED;
int summer_end(struct summer *s, uint8_t out[SUMS_LEN], struct err *e) CHECKED;
/* No sum: the volume has nothing there. All zero. */
bool sums_is_none(const uint8_t sum[SUMS_LEN]);

#endif
