/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/sign.h"

#include "common/cleanup.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

static void
free_pkey(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static void
free_ctx(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

static int
failed(struct err *e, const char *what)
{
	char text[160];
	unsigned long code = ERR_get_error();

	ERR_error_string_n(code, text, sizeof(text));
	ERR_clear_error();
	return err_set(e, ERR_FATAL, "libcrypto: %s: %s", what,
	    code == 0 ? "no reason given" : text);
}

int
sign_make(struct sign_secret *out, struct err *e)
{
	struct sign_secret s;
	int rc = -1;

	if (random_bytes(s.seed, sizeof(s.seed), e) == 0 &&
	    sign_derive(&s, e) == 0) {
		*out = s;
		rc = 0;
	}
	sign_forget(&s);
	return rc;
}

int
sign_derive(struct sign_secret *s, struct err *e)
{
	size_t len = sizeof(s->pub.key);
	AUTO(free_pkey)
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, s->seed, sizeof(s->seed));

	if (k == NULL)
		return failed(e, "load Ed25519 seed");
	if (EVP_PKEY_get_raw_public_key(k, s->pub.key, &len) != 1)
		return failed(e, "derive Ed25519 public key");
	return 0;
}

void
sign_forget(struct sign_secret *s)
{
	explicit_bzero(s, sizeof(*s));
}

int
digest_bytes(
    const void *bytes, size_t len, uint8_t out[DIGEST_LEN], struct err *e)
{
	if (EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL) != 1)
		return failed(e, "SHA-256");
	return 0;
}

int
sign_fingerprint(
    const struct sign_public *p, uint8_t out[DIGEST_LEN], struct err *e)
{
	return digest_bytes(p->key, sizeof(p->key), out, e);
}

int
sign_key_id(const struct sign_public *p, uint8_t out[KEY_ID_LEN], struct err *e)
{
	uint8_t all[DIGEST_LEN];

	if (sign_fingerprint(p, all, e) < 0)
		return -1;
	memcpy(out, all, KEY_ID_LEN);
	return 0;
}

/* Ed25519 takes its message in one piece. */
static int
with_domain(const char *domain, const void *bytes, size_t len, uint8_t **out,
    size_t *out_len, struct err *e)
{
	size_t domain_len = strlen(domain) + 1;
	uint8_t *p = malloc(domain_len + len);

	if (p == NULL)
		return err_set(e, ERR_RETRY, "out of memory (%zu bytes)",
		    domain_len + len);
	memcpy(p, domain, domain_len);
	if (len > 0)
		memcpy(p + domain_len, bytes, len);
	*out = p;
	*out_len = domain_len + len;
	return 0;
}

int
sign_bytes(const struct sign_secret *s, const char *domain, const void *bytes,
    size_t len, uint8_t out[SIGNATURE_LEN], struct err *e)
{
	AUTO_FREE uint8_t *message = NULL;
	size_t message_len = 0, out_len = SIGNATURE_LEN;
	AUTO(free_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	AUTO(free_pkey)
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, s->seed, sizeof(s->seed));

	if (ctx == NULL || k == NULL)
		return failed(e, "load Ed25519 seed");
	if (with_domain(domain, bytes, len, &message, &message_len, e) < 0)
		return -1;
	if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, k) != 1 ||
	    EVP_DigestSign(ctx, out, &out_len, message, message_len) != 1 ||
	    out_len != SIGNATURE_LEN)
		return failed(e, "sign");
	return 0;
}

int
sign_check(const struct sign_public *p, const char *domain, const void *bytes,
    size_t len, const uint8_t signature[SIGNATURE_LEN], bool *valid,
    struct err *e)
{
	AUTO_FREE uint8_t *message = NULL;
	size_t message_len = 0;
	AUTO(free_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	AUTO(free_pkey)
	EVP_PKEY *k = EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_ED25519, NULL, p->key, sizeof(p->key));

	if (ctx == NULL || k == NULL)
		return failed(e, "load Ed25519 public key");
	if (with_domain(domain, bytes, len, &message, &message_len, e) < 0)
		return -1;
	if (EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k) != 1)
		return failed(e, "check signature");
	*valid = EVP_DigestVerify(
		     ctx, signature, SIGNATURE_LEN, message, message_len) == 1;
	ERR_clear_error();
	return 0;
}
