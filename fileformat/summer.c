/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sum is the first 16 bytes of HMAC-SHA256 over the volume's UUID, u64
 * offset, u64 length, u64 1 and the data, or u64 2 and nothing when all of it
 * is zero: so holes cost nothing.
 */
#include "fileformat/sums.h"

#include "common/io.h"
#include "fileformat/le.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <string.h>

/* Filled up with zeroes to 16 bytes. */
#define SUMS_KEY_DOMAIN "aim sums key 1"
#define DOMAIN_LEN 16

static int
failed(struct err *e)
{
	ERR_clear_error();
	return err_set(e, ERR_FATAL, "libcrypto: HMAC-SHA256 failed");
}

static int
hmac(const uint8_t *key, size_t key_len, const uint8_t *bytes, size_t len,
    uint8_t out[DIGEST_LEN], struct err *e)
{
	unsigned got = DIGEST_LEN;

	if (HMAC(EVP_sha256(), key, (int)key_len, bytes, len, out, &got) ==
		NULL ||
	    got != DIGEST_LEN)
		return failed(e);
	return 0;
}

/* HKDF (RFC 5869) with SHA-256: salt is the digest, one block of output. */
int
sums_key_make(const uint8_t begin[DIGEST_LEN], const struct group_key *k,
    struct sums_key *out, struct err *e)
{
	uint8_t info[DOMAIN_LEN + 1] = SUMS_KEY_DOMAIN;
	uint8_t middle[DIGEST_LEN];
	int done = -1;

	if (k == NULL) {
		memcpy(out->key, begin, DIGEST_LEN);
		return 0;
	}
	info[DOMAIN_LEN] = 1;
	if (hmac(begin, DIGEST_LEN, k->key, GROUP_KEY_LEN, middle, e) == 0 &&
	    hmac(middle, sizeof(middle), info, sizeof(info), out->key, e) == 0)
		done = 0;
	explicit_bzero(middle, sizeof(middle));
	return done;
}

int
summer_open(struct summer *s, const struct sums_key *key, struct err *e)
{
	char name[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
	    OSSL_PARAM_construct_end()};

	*s = (struct summer){.key = key};
	s->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (s->mac != NULL)
		s->ctx = EVP_MAC_CTX_new(s->mac);
	if (s->ctx != NULL &&
	    EVP_MAC_init(s->ctx, key->key, sizeof(key->key), params) == 1)
		return 0;
	summer_close(s);
	return failed(e);
}

void
summer_close(struct summer *s)
{
	EVP_MAC_CTX_free(s->ctx);
	EVP_MAC_free(s->mac);
	*s = (struct summer){.key = NULL};
}

int
summer_begin(struct summer *s, const struct uuid *volume, uint64_t off,
    uint64_t len, bool zero, struct err *e)
{
	uint8_t head[40];

	memcpy(head, volume->b, 16);
	le_put64(head + 16, off);
	le_put64(head + 24, len);
	le_put64(head + 32, zero ? 2 : 1);
	/* With the key that it has. */
	if (EVP_MAC_init(s->ctx, NULL, 0, NULL) != 1 ||
	    EVP_MAC_update(s->ctx, head, sizeof(head)) != 1)
		return failed(e);
	return 0;
}

int
summer_add(struct summer *s, const void *data, size_t len, struct err *e)
{
	return EVP_MAC_update(s->ctx, data, len) == 1 ? 0 : failed(e);
}

int
summer_end(struct summer *s, uint8_t out[SUMS_LEN], struct err *e)
{
	uint8_t all[DIGEST_LEN];
	size_t len = 0;

	if (EVP_MAC_final(s->ctx, all, &len, sizeof(all)) != 1 ||
	    len != sizeof(all))
		return failed(e);
	memcpy(out, all, SUMS_LEN);
	return 0;
}

bool
sums_is_none(const uint8_t sum[SUMS_LEN])
{
	return io_is_zero(sum, SUMS_LEN);
}
