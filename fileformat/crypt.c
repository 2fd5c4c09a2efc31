/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/crypt.h"

#include "common/cleanup.h"
#include "fileformat/le.h"
#include "fileformat/sign.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

/* Filled up with zeroes to 16 bytes. */
#define KEY_ID_DOMAIN "aim group key 1"
#define FILE_KEY_DOMAIN "aim file key 1"
#define DOMAIN_LEN 16
#define NONCE_LEN 12

struct crypt {
	uint8_t key[GROUP_KEY_LEN];
	EVP_CIPHER_CTX *ctx;
	bool begun; /* the context has its cipher */
};

static int
failed(struct err *e, const char *what)
{
	ERR_clear_error();
	return err_set(e, ERR_FATAL, "libcrypto: %s failed", what);
}

int
group_key_derive(struct group_key *k, struct err *e)
{
	uint8_t all[DOMAIN_LEN + GROUP_KEY_LEN] = KEY_ID_DOMAIN;
	uint8_t digest[DIGEST_LEN];
	int done;

	memcpy(all + DOMAIN_LEN, k->key, GROUP_KEY_LEN);
	done = digest_bytes(all, sizeof(all), digest, e);
	explicit_bzero(all, sizeof(all));
	if (done == 0)
		memcpy(k->id, digest, KEY_ID_LEN);
	return done;
}

int
group_key_make(struct group_key *out, struct err *e)
{
	struct group_key k = {0};
	int done = -1;

	if (random_bytes(k.key, sizeof(k.key), e) == 0 &&
	    group_key_derive(&k, e) == 0) {
		*out = k;
		done = 0;
	}
	group_key_forget(&k);
	return done;
}

void
group_key_forget(struct group_key *k)
{
	explicit_bzero(k, sizeof(*k));
}

static int
hmac(const uint8_t *key, size_t key_len, const uint8_t *bytes, size_t len,
    uint8_t out[DIGEST_LEN], struct err *e)
{
	unsigned got = DIGEST_LEN;

	if (HMAC(EVP_sha256(), key, (int)key_len, bytes, len, out, &got) ==
		NULL ||
	    got != DIGEST_LEN)
		return failed(e, "HMAC-SHA256");
	return 0;
}

/* HKDF (RFC 5869) with SHA-256, one block of output. */
static int
file_key(const struct group_key *k, const uint8_t salt[SALT_LEN],
    const struct uuid *stream, uint8_t out[GROUP_KEY_LEN], struct err *e)
{
	uint8_t info[DOMAIN_LEN + 16 + 1] = FILE_KEY_DOMAIN;
	uint8_t middle[DIGEST_LEN];
	int done = -1;

	memcpy(info + DOMAIN_LEN, stream->b, 16);
	info[sizeof(info) - 1] = 1;
	if (hmac(salt, SALT_LEN, k->key, GROUP_KEY_LEN, middle, e) == 0 &&
	    hmac(middle, sizeof(middle), info, sizeof(info), out, e) == 0)
		done = 0;
	explicit_bzero(middle, sizeof(middle));
	return done;
}

static void
drop(struct crypt **c)
{
	crypt_close(*c);
}

int
crypt_open(const struct group_key *k, const uint8_t salt[SALT_LEN],
    const struct uuid *stream, struct crypt **out, struct err *e)
{
	AUTO(drop) struct crypt *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	c->ctx = EVP_CIPHER_CTX_new();
	if (c->ctx == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (file_key(k, salt, stream, c->key, e) < 0)
		return -1;
	*out = STEAL(c);
	return 0;
}

void
crypt_close(struct crypt *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_free(c->ctx); /* clears its own copy */
	explicit_bzero(c->key, sizeof(c->key));
	free(c);
}

/* Everything up to the block's bytes. */
static int
begin(struct crypt *c, uint64_t index, const uint8_t *bound, int seal,
    struct err *e)
{
	const EVP_CIPHER *cipher = c->begun ? NULL : EVP_aes_256_gcm();
	uint8_t nonce[NONCE_LEN];
	int n = 0;

	le_put64(nonce, index);
	le_put32(nonce + 8, bound != NULL);
	if (EVP_CipherInit_ex(c->ctx, cipher, NULL, c->key, nonce, seal) != 1)
		return failed(e, "AES-256-GCM");
	c->begun = true;
	if (bound != NULL &&
	    EVP_CipherUpdate(c->ctx, NULL, &n, bound, DIGEST_LEN) != 1)
		return failed(e, "AES-256-GCM");
	return 0;
}

int
crypt_seal(struct crypt *c, uint64_t index, const uint8_t *bound,
    const uint8_t *plain, size_t len, uint8_t *out, struct err *e)
{
	int n = 0, end = 0;

	assert(len > 0 && len <= CRYPT_BLOCK);
	if (begin(c, index, bound, 1, e) < 0)
		return -1;
	if (EVP_CipherUpdate(c->ctx, out, &n, plain, (int)len) != 1 ||
	    EVP_CipherFinal_ex(c->ctx, out + n, &end) != 1 ||
	    (size_t)n + (size_t)end != len ||
	    EVP_CIPHER_CTX_ctrl(
		c->ctx, EVP_CTRL_AEAD_GET_TAG, CRYPT_TAG, out + len) != 1)
		return failed(e, "AES-256-GCM");
	return 0;
}

int
crypt_open_block(struct crypt *c, uint64_t index, const uint8_t *bound,
    const uint8_t *stored, size_t len, uint8_t *plain, bool *good,
    struct err *e)
{
	uint8_t tag[CRYPT_TAG], none[CRYPT_TAG];
	int n = 0, end = 0;

	assert(len > 0 && len <= CRYPT_BLOCK);
	memcpy(tag, stored + len, CRYPT_TAG);
	if (begin(c, index, bound, 0, e) < 0)
		return -1;
	if (EVP_CipherUpdate(c->ctx, plain, &n, stored, (int)len) != 1 ||
	    (size_t)n != len ||
	    EVP_CIPHER_CTX_ctrl(
		c->ctx, EVP_CTRL_AEAD_SET_TAG, CRYPT_TAG, tag) != 1)
		return failed(e, "AES-256-GCM");
	*good = EVP_CipherFinal_ex(c->ctx, none, &end) == 1 && end == 0;
	ERR_clear_error();
	return 0;
}
