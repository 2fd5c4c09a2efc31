/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_http: https:// and s3://. Each range is a GET whose answer must be
 * 206 with just that Content-Range; If-Match with a strong entity tag lets
 * the server refuse another version, and the tag of every answer is compared.
 */
#include "coordinator/remote.h"

#include "common/cleanup.h"
#include "coordinator/transport_https.h"
#include "coordinator/transport_s3.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 6u
#define WORDS 4096u

struct under {
	uint32_t ours, theirs; /* tickets; ours 0: free */
	uint64_t off;
	uint32_t len; /* 0: a look */
};

struct http_remote {
	struct remote base;
	struct transport *transport; /* https or s3 */
	struct http *http;	     /* its */
	bool s3;
	bool proven; /* something has come: several at a time */
	char name[TRANSPORT_NAME_LIMIT];
	struct under under[AT_ONCE];
	struct http_request request;
};

static struct http_remote *
http_of(struct remote *r)
{
	return (struct http_remote *)(void *)r;
}

static void
http_remote_close(struct remote *r)
{
	transport_close(http_of(r)->transport);
	free(r);
}

static bool
http_remote_has_room(const struct remote *r)
{
	const struct http_remote *h =
	    (const struct http_remote *)(const void *)r;

	return http_in_flight(h->http) < (h->proven ? AT_ONCE : 1);
}

static int
make_request(struct http_remote *h, struct err *e)
{
	struct https_transport *t;

	if (h->s3)
		return s3_request_make(s3_from_base(h->transport), HTTP_GET,
		    h->name, &h->request, e);
	t = https_from_base(h->transport);
	if (https_ask_for(t, HTTP_GET, h->name, e) < 0)
		return -1;
	h->request = t->request;
	return 0;
}

/* A weak one never matches: RFC 9110, 13.1.1. */
static int
add_condition(struct http_remote *h, struct err *e)
{
	const struct remote *r = &h->base;

	if (!r->expected || r->tag[0] != '"')
		return 0;
	return http_header_add(&h->request, e, "If-Match", "%s", r->tag);
}

static int
begin(struct http_remote *h, uint64_t off, uint32_t len, int fd,
    uint32_t ticket, struct err *e)
{
	struct under *u = h->under;
	uint64_t end = off + (len == 0 ? 0 : len - 1);

	while (u < h->under + AT_ONCE - 1 && u->ours != 0)
		u++;
	if (make_request(h, e) < 0 ||
	    http_header_add(&h->request, e, "Range",
		"bytes=%" PRIu64 "-%" PRIu64, off, end) < 0 ||
	    (len > 0 && add_condition(h, e) < 0))
		return -1;
	h->request.max = WORDS;
	h->request.max_file = len;
	if (http_begin(
		h->http, &h->request, len == 0 ? -1 : fd, &u->theirs, e) < 0)
		return -1;
	u->ours = ticket;
	u->off = off;
	u->len = len;
	return 0;
}

static int
http_remote_look(struct remote *r, uint32_t ticket, struct err *e)
{
	return begin(http_of(r), 0, 0, -1, ticket, e);
}

static int
http_remote_read(struct remote *r, uint64_t off, uint32_t len, int fd,
    uint32_t ticket, struct err *e)
{
	return begin(http_of(r), off, len, fd, ticket, e);
}

/* ---- answers ---- */

static void
refuse(struct http_remote *h, const struct http_answer *a,
    struct remote_answer *out)
{
	out->result = -1;
	if (a->status == 200) {
		(void)err_set(&out->why, ERR_REFUSED,
		    "%s: the server sends whole files only: it ignores Range",
		    h->base.url);
		return;
	}
	if (a->status == 404 || a->status == 410) {
		(void)err_set(&out->why, ERR_RETRY, "%s is not there (%d)",
		    h->base.url, a->status);
		return;
	}
	if (h->s3)
		(void)s3_refuse(
		    s3_from_base(h->transport), a, h->name, false, &out->why);
	else
		(void)http_explain(&https_from_base(h->transport)->setup, a,
		    "read", &out->why);
	if (out->why.kind == ERR_NONE)
		(void)err_set(&out->why, ERR_RETRY, "%s: status %d",
		    h->base.url, a->status);
}

/* What the server says of the version: its entity tag, or when it changed. */
static void
tag_of(const struct http_answer *a, char tag[REMOTE_TAG])
{
	if (!http_header(a->headers, "etag", tag, REMOTE_TAG))
		(void)http_header(a->headers, "last-modified", tag, REMOTE_TAG);
}

/* "bytes FIRST-LAST/SIZE" */
static bool
parse_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *size)
{
	int end = 0;

	return sscanf(text, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64 "%n",
		   first, last, size, &end) == 3 &&
	       text[end] == '\0' && strchr(text, '-') > text + 6 &&
	       *size <= INT64_MAX;
}

static void
settle(struct http_remote *h, const struct under *u,
    const struct http_answer *a, struct remote_answer *out)
{
	struct remote *r = &h->base;
	char range[80], tag[REMOTE_TAG];
	uint64_t first, last, size;

	(void)http_header(a->headers, "content-range", range, sizeof(range));
	tag_of(a, tag);
	if (u->len == 0 && a->status == 416 && strcmp(range, "bytes */0") == 0)
		remote_found(r, 0, tag, out);
	else if (u->len > 0 && (a->status == 412 || a->status == 416))
		remote_is_changed(r, out);
	else if (a->status != 206)
		refuse(h, a, out);
	else if (!parse_range(range, &first, &last, &size) || first != u->off ||
		 last != u->off + (u->len == 0 ? 0 : u->len - 1)) {
		out->result = -1;
		(void)err_set(&out->why, ERR_REFUSED,
		    "%s: the server sent another range than it was asked for "
		    "(Content-Range \"%.60s\")",
		    r->url, range);
	} else if (u->len > 0 && (a->cut || a->file_len != u->len)) {
		out->result = -1;
		(void)err_set(&out->why, ERR_RETRY,
		    "%s: the connection broke off within a range", r->url);
	} else {
		h->proven = true;
		remote_found(r, size, tag, out);
	}
}

static bool
http_remote_next(struct remote *r, struct remote_answer *out)
{
	struct http_remote *h = http_of(r);
	const struct http_answer *a = http_next(h->http, false);
	struct under *u;

	if (a == NULL)
		return false;
	for (u = h->under; u < h->under + AT_ONCE; u++)
		if (u->ours != 0 && u->theirs == a->ticket)
			break;
	if (u == h->under + AT_ONCE)
		return false;
	*out = (struct remote_answer){.ticket = u->ours};
	settle(h, u, a, out);
	u->ours = 0;
	return true;
}

static uint32_t
http_remote_sockets(const struct remote *r, struct pollfd *out)
{
	const struct http_remote *h =
	    (const struct http_remote *)(const void *)r;
	int sock = http_socket(h->http);

	if (sock < 0 || http_in_flight(h->http) == 0)
		return 0;
	out[0] = (struct pollfd){.fd = sock, .events = POLLIN};
	return 1;
}

static const struct remote_ops http_ops = {
    .has_room = http_remote_has_room,
    .look = http_remote_look,
    .read = http_remote_read,
    .next = http_remote_next,
    .sockets = http_remote_sockets,
    .close = http_remote_close,
};

int
remote_http_open(const struct destination_config *d, const char *name,
    struct remote **out, struct err *e)
{
	AUTO_FREE struct http_remote *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (transport_open(d, false, &h->transport, e) < 0)
		return -1;
	h->base.ops = &http_ops;
	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	h->s3 = h->transport->ops == &transport_s3_ops;
	h->http = h->s3 ? s3_from_base(h->transport)->http
			: https_from_base(h->transport)->http;
	*out = &STEAL(h)->base;
	return 0;
}
