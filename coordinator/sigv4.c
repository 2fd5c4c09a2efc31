/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/sigv4.h"

#include "common/cleanup.h"
#include "common/uuid.h"
#include "fileformat/sign.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DAY 8 /* characters of a time that are its day */

const char *
sigv4_time(time_t when, char out[SIGV4_TIME])
{
	struct tm t;

	if (gmtime_r(&when, &t) == NULL ||
	    strftime(out, SIGV4_TIME, "%Y%m%dT%H%M%SZ", &t) == 0)
		(void)strcpy(out, "00000000T000000Z");
	return out;
}

int
sigv4_encode(struct buf *out, const char *text, bool path, struct err *e)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-._~";

	if (buf_room(out, strlen(text) * 3 + 1, e) < 0)
		return -1;
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr(plain, c) != NULL || (path && c == '/')) {
			out->data[out->len++] = c;
			continue;
		}
		out->data[out->len++] = '%';
		out->data[out->len++] = (uint8_t)hex[c >> 4];
		out->data[out->len++] = (uint8_t)hex[c & 15];
	}
	out->data[out->len] = '\0';
	return 0;
}

/* ---- the query ---- */

struct part {
	struct buf text; /* "name=value", encoded */
	size_t name_len;
};

struct parts {
	struct part part[SIGV4_FIELD_LIMIT];
	size_t count;
};

static void
parts_release(struct parts *p)
{
	for (size_t i = 0; i < p->count; i++)
		buf_release(&p->part[i].text);
}

/* By the encoded name, and then by the encoded value: '=' must not take part
 * in the comparison, as it would in the whole text. */
static int
compare_parts(const void *one, const void *other)
{
	const struct part *a = one, *b = other;
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	int order = memcmp(a->text.data, b->text.data, len);

	if (order == 0 && a->name_len != b->name_len)
		order = a->name_len < b->name_len ? -1 : 1;
	return order != 0 ? order
			  : strcmp((const char *)a->text.data + a->name_len,
				(const char *)b->text.data + b->name_len);
}

int
sigv4_query(struct buf *out, const struct sigv4_request *r, struct err *e)
{
	AUTO(parts_release) struct parts all = {0};

	assert(r->query_count <= SIGV4_FIELD_LIMIT);
	for (size_t i = 0; i < r->query_count; i++) {
		struct part *p = &all.part[all.count++];

		if (sigv4_encode(&p->text, r->query[i].name, false, e) < 0)
			return -1;
		p->name_len = p->text.len;
		if (buf_printf(&p->text, e, "=") < 0 ||
		    sigv4_encode(&p->text, r->query[i].value, false, e) < 0)
			return -1;
	}
	if (all.count > 1)
		qsort(all.part, all.count, sizeof(all.part[0]), compare_parts);
	for (size_t i = 0; i < all.count; i++)
		if (buf_printf(out, e, "%s%s", i > 0 ? "&" : "",
			(const char *)all.part[i].text.data) < 0)
			return -1;
	return 0;
}

/* ---- headers ---- */

static int
lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c;
}

/* strcasecmp depends on the locale. */
static int
compare_names(const char *a, const char *b)
{
	while (*a != '\0' && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower((unsigned char)*a) - lower((unsigned char)*b);
}

/* Indexes of the headers, sorted by name; those of one name keep their
 * order. There are few. */
static void
sort_headers(const struct sigv4_request *r, size_t order[SIGV4_FIELD_LIMIT])
{
	assert(r->header_count <= SIGV4_FIELD_LIMIT);
	for (size_t i = 0; i < r->header_count; i++) {
		size_t at = i;

		for (; at > 0 && compare_names(r->headers[order[at - 1]].name,
				     r->headers[i].name) > 0;
		     at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without spaces at the ends, and only one at a time within. */
static int
add_value(struct buf *out, const char *value, struct err *e)
{
	bool begun = false, gap = false;

	if (buf_room(out, strlen(value) + 1, e) < 0)
		return -1;
	for (; *value != '\0'; value++) {
		if (is_space(*value)) {
			gap = true;
			continue;
		}
		if (gap && begun)
			out->data[out->len++] = ' ';
		out->data[out->len++] = (uint8_t)*value;
		gap = false;
		begun = true;
	}
	out->data[out->len] = '\0';
	return 0;
}

static int
add_name(struct buf *out, const char *name, struct err *e)
{
	if (buf_room(out, strlen(name) + 1, e) < 0)
		return -1;
	for (; *name != '\0'; name++)
		out->data[out->len++] = (uint8_t)lower(*name);
	out->data[out->len] = '\0';
	return 0;
}

static int
add_headers(struct buf *out, const struct sigv4_request *r, struct err *e)
{
	size_t order[SIGV4_FIELD_LIMIT];

	sort_headers(r, order);
	for (size_t i = 0; i < r->header_count; i++) {
		const struct sigv4_field *h = &r->headers[order[i]];
		bool same = i > 0 && compare_names(h->name,
					 r->headers[order[i - 1]].name) == 0;

		if (buf_printf(out, e, "%s",
			same	? ","
			: i > 0 ? "\n"
				: "") < 0 ||
		    (!same && (add_name(out, h->name, e) < 0 ||
				  buf_printf(out, e, ":") < 0)) ||
		    add_value(out, h->value, e) < 0)
			return -1;
	}
	return buf_printf(out, e, "\n");
}

static int
add_header_names(struct buf *out, const struct sigv4_request *r, struct err *e)
{
	size_t order[SIGV4_FIELD_LIMIT];

	sort_headers(r, order);
	for (size_t i = 0; i < r->header_count; i++) {
		const char *name = r->headers[order[i]].name;

		if (i > 0 &&
		    compare_names(name, r->headers[order[i - 1]].name) == 0)
			continue;
		if (buf_printf(out, e, "%s", i > 0 ? ";" : "") < 0 ||
		    add_name(out, name, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- the steps ---- */

int
sigv4_canonical(const struct sigv4_request *r, struct buf *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};

	if (buf_printf(&b, e, "%s\n", r->method) < 0 ||
	    sigv4_encode(&b, r->path, true, e) < 0 ||
	    buf_printf(&b, e, "\n") < 0 || sigv4_query(&b, r, e) < 0 ||
	    buf_printf(&b, e, "\n") < 0 || add_headers(&b, r, e) < 0 ||
	    buf_printf(&b, e, "\n") < 0 || add_header_names(&b, r, e) < 0 ||
	    buf_printf(&b, e, "\n%s", r->payload) < 0)
		return -1;
	buf_swap(out, &b);
	return 0;
}

static int
add_scope(struct buf *out, const struct sigv4_request *r, struct err *e)
{
	char when[SIGV4_TIME];

	return buf_printf(out, e, "%.*s/%s/%s/aws4_request", DAY,
	    sigv4_time(r->when, when), r->region, r->service);
}

int
sigv4_to_sign(const struct sigv4_request *r, struct buf *out, struct err *e)
{
	AUTO(buf_release) struct buf canonical = {0};
	AUTO(buf_release) struct buf b = {0};
	uint8_t digest[DIGEST_LEN];
	char hex[SIGV4_DIGEST], when[SIGV4_TIME];

	if (sigv4_canonical(r, &canonical, e) < 0 ||
	    digest_bytes(canonical.data, canonical.len, digest, e) < 0 ||
	    buf_printf(&b, e, ALGORITHM "\n%s\n", sigv4_time(r->when, when)) <
		0 ||
	    add_scope(&b, r, e) < 0 ||
	    buf_printf(&b, e, "\n%s", hex_text(digest, DIGEST_LEN, hex)) < 0)
		return -1;
	buf_swap(out, &b);
	return 0;
}

static int
keyed(uint8_t key[DIGEST_LEN], const void *text, size_t len, struct err *e)
{
	unsigned int got = 0;
	uint8_t out[DIGEST_LEN];

	if (HMAC(EVP_sha256(), key, DIGEST_LEN, text, len, out, &got) == NULL ||
	    got != DIGEST_LEN)
		return err_set(e, ERR_FATAL, "libcrypto: HMAC-SHA-256 failed");
	memcpy(key, out, DIGEST_LEN);
	explicit_bzero(out, sizeof(out));
	return 0;
}

/* The first key of the chain is of any length. */
static int
first_key(
    const char *secret, const char *day, uint8_t key[DIGEST_LEN], struct err *e)
{
	size_t len = strlen(secret) + strlen("AWS4");
	unsigned int got = 0;
	char *first = malloc(len + 1);
	bool ok;

	if (first == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	(void)snprintf(first, len + 1, "AWS4%s", secret);
	ok = HMAC(EVP_sha256(), first, (int)len, (const uint8_t *)day, DAY, key,
		 &got) != NULL &&
	     got == DIGEST_LEN;
	explicit_bzero(first, len);
	free(first);
	return ok ? 0 : err_set(e, ERR_FATAL, "libcrypto: HMAC-SHA-256 failed");
}

static int
make_signature(const struct sigv4_request *r, const char *secret,
    char hex[SIGV4_DIGEST], struct err *e)
{
	AUTO(buf_release) struct buf text = {0};
	uint8_t key[DIGEST_LEN] = {0};
	char when[SIGV4_TIME];
	int done = -1;

	if (sigv4_to_sign(r, &text, e) == 0 &&
	    first_key(secret, sigv4_time(r->when, when), key, e) == 0 &&
	    keyed(key, r->region, strlen(r->region), e) == 0 &&
	    keyed(key, r->service, strlen(r->service), e) == 0 &&
	    keyed(key, "aws4_request", strlen("aws4_request"), e) == 0 &&
	    keyed(key, text.data, text.len, e) == 0) {
		(void)hex_text(key, sizeof(key), hex);
		done = 0;
	}
	explicit_bzero(key, sizeof(key));
	return done;
}

int
sigv4_authorize(const struct sigv4_request *r, const char *access_key,
    const char *secret_key, struct buf *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char signature[SIGV4_DIGEST];

	if (make_signature(r, secret_key, signature, e) < 0 ||
	    buf_printf(&b, e, ALGORITHM " Credential=%s/", access_key) < 0 ||
	    add_scope(&b, r, e) < 0 ||
	    buf_printf(&b, e, ", SignedHeaders=") < 0 ||
	    add_header_names(&b, r, e) < 0 ||
	    buf_printf(&b, e, ", Signature=%s", signature) < 0)
		return -1;
	return buf_printf(out, e, "%s", (const char *)b.data);
}
