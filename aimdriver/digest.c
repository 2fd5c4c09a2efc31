/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/digest.h"

#include "common/cleanup.h"
#include "fileformat/sign.h"

#include <openssl/evp.h>
#include <string.h>

/* What is hashed before the digests, filled up with zeroes. */
#define STORED_DOMAIN "aim stored 1"
#define BLOCKS_DOMAIN "aim stored 2"
#define STORED_DOMAIN_LEN 16

static int
failed(struct err *e)
{
	return err_set(e, ERR_FATAL, "libcrypto: SHA-256 failed");
}

int
digest_begin(struct digest *d, struct err *e)
{
	if (d->sha == NULL)
		d->sha = EVP_MD_CTX_new();
	if (d->sha == NULL ||
	    EVP_DigestInit_ex(d->sha, EVP_sha256(), NULL) != 1)
		return failed(e);
	return 0;
}

int
digest_add(struct digest *d, const void *bytes, size_t len, struct err *e)
{
	return EVP_DigestUpdate(d->sha, bytes, len) == 1 ? 0 : failed(e);
}

int
digest_end(struct digest *d, uint8_t out[DIGEST_LEN], struct err *e)
{
	return EVP_DigestFinal_ex(d->sha, out, NULL) == 1 ? 0 : failed(e);
}

void
digest_release(struct digest *d)
{
	EVP_MD_CTX_free(d->sha);
	d->sha = NULL;
}

int
digest_content(const struct journal_header *h,
    const struct journal_volume *volumes, const struct uuid *targets,
    const uint8_t iocbs[DIGEST_LEN], const uint8_t data[DIGEST_LEN],
    const uint8_t *blind, uint8_t out[DIGEST_LEN], struct err *e)
{
	AUTO(digest_release) struct digest d = {0};

	if (digest_begin(&d, e) < 0)
		return -1;
	if (header_digest_canonical(h, volumes, targets, d.sha) < 0)
		return failed(e);
	if (digest_add(&d, iocbs, DIGEST_LEN, e) < 0 ||
	    digest_add(&d, data, DIGEST_LEN, e) < 0 ||
	    (blind != NULL && digest_add(&d, blind, BLIND_LEN, e) < 0))
		return -1;
	return digest_end(&d, out, e);
}

int
digest_begin_blocks(struct digest *d, struct err *e)
{
	static const uint8_t domain[STORED_DOMAIN_LEN] = BLOCKS_DOMAIN;

	if (digest_begin(d, e) < 0)
		return -1;
	return digest_add(d, domain, sizeof(domain), e);
}

int
digest_stored(const uint8_t iocbs[DIGEST_LEN], const uint8_t heads[DIGEST_LEN],
    const uint8_t bodies[DIGEST_LEN], uint8_t out[DIGEST_LEN], struct err *e)
{
	uint8_t all[STORED_DOMAIN_LEN + 3 * DIGEST_LEN] = STORED_DOMAIN;

	memcpy(all + STORED_DOMAIN_LEN, iocbs, DIGEST_LEN);
	memcpy(all + STORED_DOMAIN_LEN + DIGEST_LEN, heads, DIGEST_LEN);
	memcpy(all + STORED_DOMAIN_LEN + 2 * DIGEST_LEN, bodies, DIGEST_LEN);
	return digest_bytes(all, sizeof(all), out, e);
}
