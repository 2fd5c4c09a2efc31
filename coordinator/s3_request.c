/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/s3_request.h"

#include "aimdriver/digest.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/uuid.h"
#include "coordinator/sigv4.h"
#include "fileformat/sign.h"

#include <string.h>

#define BLOCK 262144u

static const char *
method_name(enum http_method m)
{
	switch (m) {
	case HTTP_HEAD:
		return "HEAD";
	case HTTP_PUT:
		return "PUT";
	case HTTP_POST:
		return "POST";
	case HTTP_DELETE:
		return "DELETE";
	case HTTP_GET:
	default:
		return "GET";
	}
}

/*
 * Takes a copy of the header lines apart, in place. REFUSED when there are
 * too many, which we would have to have made.
 */
static int
take_apart(char *lines, struct sigv4_field *f, size_t *count, struct err *e)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\n");
		char *colon = memchr(lines, ':', len);
		bool last = lines[len] == '\0';

		if (colon == NULL || *count == SIGV4_FIELD_LIMIT)
			return err_set(e, ERR_REFUSED,
			    "a request has headers that cannot be signed");
		lines[len] = '\0';
		*colon = '\0';
		f[(*count)++] = (struct sigv4_field){lines, colon + 1};
		lines += last ? len : len + 1;
	}
	return 0;
}

static int
add_amz(const struct s3_credentials *c, const char *digest, time_t when,
    struct http_request *r, struct err *e)
{
	char time_text[SIGV4_TIME];

	if (http_header_add(
		r, e, "x-amz-date", "%s", sigv4_time(when, time_text)) < 0 ||
	    http_header_add(r, e, "x-amz-content-sha256", "%s", digest) < 0)
		return -1;
	if (r->method == HTTP_PUT &&
	    http_header_add(r, e, S3_META_DIGEST, "%s", digest) < 0)
		return -1;
	if (c->token[0] != '\0' &&
	    http_header_add(r, e, "x-amz-security-token", "%s", c->token) < 0)
		return -1;
	return 0;
}

static int
add_authorization(const struct http_setup *s, const struct s3_credentials *c,
    const char *region, const char *digest, time_t when, char *lines,
    struct http_request *r, struct err *e)
{
	AUTO(buf_release) struct buf value = {0};
	struct sigv4_field f[SIGV4_FIELD_LIMIT];
	char host[URL_HOST_LIMIT + 16];
	struct sigv4_request q = {.method = method_name(r->method),
	    .path = r->path,
	    .headers = f,
	    .payload = digest,
	    .region = region,
	    .service = "s3",
	    .when = when};

	f[q.header_count++] =
	    (struct sigv4_field){"Host", http_host(s, host, sizeof(host))};
	if (take_apart(lines, f, &q.header_count, e) < 0 ||
	    sigv4_authorize(&q, c->access_key, c->secret_key, &value, e) < 0)
		return -1;
	return http_header_add(
	    r, e, "Authorization", "%s", (const char *)value.data);
}

int
s3_sign_with(const struct http_setup *s, const struct s3_credentials *c,
    const char *region, const uint8_t digest[DIGEST_LEN], time_t when,
    struct http_request *r, struct err *e)
{
	char hex[SIGV4_DIGEST], lines[HTTP_HEADERS_LIMIT];
	int done;

	(void)hex_text(digest, DIGEST_LEN, hex);
	if (add_amz(c, hex, when, r, e) < 0)
		return -1;
	(void)strcpy(lines, r->headers);
	done = add_authorization(s, c, region, hex, when, lines, r, e);
	explicit_bzero(lines, sizeof(lines)); /* the token */
	return done;
}

int
s3_digest(int fd, uint64_t len, uint8_t out[DIGEST_LEN], struct err *e)
{
	AUTO(digest_release) struct digest d = {0};
	AUTO_FREE uint8_t *block = malloc(BLOCK);
	uint64_t off = 0;

	if (block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (digest_begin(&d, e) < 0)
		return -1;
	while (off < len) {
		size_t n = len - off < BLOCK ? (size_t)(len - off) : BLOCK;

		if (io_read_at(fd, block, n, off, e) < 0 ||
		    digest_add(&d, block, n, e) < 0)
			return -1;
		off += n;
	}
	return digest_end(&d, out, e);
}

int
s3_sign_request(
    const struct http_setup *s, struct http_request *r, int fd, struct err *e)
{
	const struct s3_context *x = s->sign_context;
	AUTO(s3_credentials_forget) struct s3_credentials c = {0};
	bool sends = r->method == HTTP_PUT || r->method == HTTP_POST;
	uint8_t digest[DIGEST_LEN];

	if (s3_credentials_read(x->credentials_file, x->url.profile, &c, e) < 0)
		return -1;
	if (s3_digest(fd, sends ? r->len : 0, digest, e) < 0)
		return -1;
	return s3_sign_with(s, &c, x->url.region, digest, time(NULL), r, e);
}
