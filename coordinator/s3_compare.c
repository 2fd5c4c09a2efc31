/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_compare: is the object that is there what we would have put? Its SHA-256
 * is kept with it. One that another program has copied may have lost that:
 * then the ETag, which for a single PUT is the MD5 of the bytes with most
 * servers. Both only save the operator a question: what counts is the
 * signature that the mirror checks.
 */
#include "common/cleanup.h"
#include "common/io.h"
#include "common/uuid.h"
#include "coordinator/transport_s3.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLOCK 65536u
#define MD5_LEN 16u

static void
free_digest(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

static int
md5_of(const struct s3_put *p, uint8_t out[MD5_LEN], struct err *e)
{
	AUTO(free_digest) EVP_MD_CTX *c = EVP_MD_CTX_new();
	AUTO_FREE uint8_t *block = malloc(BLOCK);
	uint64_t off = 0;

	if (c == NULL || block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (EVP_DigestInit_ex(c, EVP_md5(), NULL) != 1)
		return err_set(e, ERR_REFUSED, "libcrypto has no MD5 here");
	while (off < p->len) {
		size_t n =
		    p->len - off < BLOCK ? (size_t)(p->len - off) : BLOCK;

		if (io_read_at(p->fd, block, n, off, e) < 0)
			return -1;
		if (EVP_DigestUpdate(c, block, n) != 1)
			return err_set(e, ERR_FATAL, "libcrypto: MD5 failed");
		off += n;
	}
	if (EVP_DigestFinal_ex(c, out, NULL) != 1)
		return err_set(e, ERR_FATAL, "libcrypto: MD5 failed");
	return 0;
}

/* "9b74...": hex in quotes. Of other forms nothing can be said. */
static bool
take_etag(const char *headers, uint8_t out[MD5_LEN])
{
	char text[80], *hex = text;
	size_t len;

	if (!http_header(headers, "etag", text, sizeof(text)))
		return false;
	if (*hex == '"')
		hex++;
	len = strcspn(hex, "\"");
	hex[len] = '\0';
	return len == (size_t)2 * MD5_LEN &&
	       hex_parse(hex, out, MD5_LEN, NULL) == 0;
}

static int
is_other(const struct s3_transport *t, const struct s3_put *p, const char *why,
    struct err *e)
{
	return err_set(e, ERR_REFUSED,
	    "%s/%s IS THERE ALREADY WITH OTHER CONTENT (%s) and was left "
	    "alone. Does another site send to this bucket and prefix? When it "
	    "is damaged or a stranger's, remove it there, and ours is sent",
	    t->setup.url, p->name, why);
}

static int
compare_md5(const struct s3_transport *t, const struct http_answer *a,
    const struct s3_put *p, struct err *e)
{
	uint8_t theirs[MD5_LEN], ours[MD5_LEN];

	if (!take_etag(a->headers, theirs))
		return is_other(
		    t, p, "or it cannot be told: no digest is kept with it", e);
	if (md5_of(p, ours, e) < 0)
		return -1;
	return memcmp(ours, theirs, MD5_LEN) == 0
		   ? 1
		   : is_other(t, p, "another MD5", e);
}

int
s3_compare(const struct s3_transport *t, const struct http_answer *a,
    const struct s3_put *p, struct err *e)
{
	uint8_t theirs[DIGEST_LEN], ours[DIGEST_LEN];
	char text[80], *end;

	if (http_header(a->headers, "content-length", text, sizeof(text)) &&
	    (strtoull(text, &end, 10) != p->len || *end != '\0'))
		return is_other(t, p, "another length", e);
	if (!http_header(a->headers, S3_META_DIGEST, text, sizeof(text)))
		return compare_md5(t, a, p, e);
	if (hex_parse(text, theirs, DIGEST_LEN, NULL) < 0)
		return is_other(t, p, "its digest is none", e);
	if (s3_digest(p->fd, p->len, ours, e) < 0)
		return -1;
	return memcmp(ours, theirs, DIGEST_LEN) == 0
		   ? 1
		   : is_other(t, p, "another SHA-256", e);
}
