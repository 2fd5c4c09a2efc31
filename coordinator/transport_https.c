/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_https: https://HOST[:PORT]/DIR on a server with WebDAV. A file is
 * PUT under a hidden name of its own, then MOVEd to its name with "Overwrite:
 * F", so that it appears whole and never over another. Several are on their
 * way at a time once the first has arrived; the receiver waits for the next
 * expected name, so that their order does not matter. A folder of the stream
 * that is missing is made, if the server lets us.
 */
#include "coordinator/transport_https.h"

#include "common/cleanup.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
either(bool for_acks, const char *acks, const char *all)
{
	return for_acks && acks[0] != '\0' ? acks : all;
}

static int
make_setup(const struct destination_config *d, bool for_acks,
    struct http_url *u, struct http_setup *s, struct err *e)
{
	const char *url = transport_url(d, for_acks);

	*s = (struct http_setup){0};
	if (http_url_parse(url, u, e) < 0)
		return -1;
	s->tls = u->tls;
	s->port = u->port;
	(void)snprintf(s->host, sizeof(s->host), "%s", u->host);
	(void)snprintf(s->url, sizeof(s->url), "%s", url);
	(void)snprintf(s->ca_file, sizeof(s->ca_file), "%s", d->ca_file);
	(void)snprintf(s->pin, sizeof(s->pin), "%s", d->pin);
	(void)snprintf(s->proxy, sizeof(s->proxy), "%s", d->proxy);
	(void)snprintf(s->key_file, sizeof(s->key_file), "%s",
	    either(for_acks, d->ack_key_file, d->key_file));
	(void)snprintf(s->credentials_file, sizeof(s->credentials_file), "%s",
	    either(for_acks, d->ack_credentials_file, d->credentials_file));
	return 0;
}

static int
https_check(const struct destination_config *d, bool for_acks, struct err *e)
{
	struct http_setup s;
	struct http_url u;

	if (make_setup(d, for_acks, &u, &s, e) < 0)
		return -1;
	if (d->known_hosts[0] != '\0' && strncmp(d->url, "http", 4) == 0)
		return err_set(e, ERR_REFUSED,
		    "%s: --known-hosts is for sftp; for https say --ca FILE",
		    d->url);
	return http_check(&s, e);
}

static int
https_open(const struct destination_config *d, bool for_acks,
    struct transport **out, struct err *e)
{
	AUTO_FREE struct https_transport *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	t->base.ops = &transport_https_ops;
	if (make_setup(d, for_acks, &t->url, &t->setup, e) < 0 ||
	    http_open(&t->setup, &t->http, e) < 0)
		return -1;
	*out = &STEAL(t)->base;
	return 0;
}

/* ---- one request ---- */

int
https_ask_for(struct https_transport *t, enum http_method method,
    const char *name, struct err *e)
{
	struct http_request *r = &t->request;
	int n;

	r->method = method;
	r->query[0] = r->headers[0] = '\0';
	r->len = r->max_file = 0;
	r->max = HTTPS_WORDS;
	n = snprintf(r->path, sizeof(r->path), "%s/%s", t->url.dir, name);
	if (n < 0 || (size_t)n >= sizeof(r->path))
		return err_set(e, ERR_REFUSED, "name too long: %s", name);
	return 0;
}

static int
begin_put(struct https_transport *t, struct upload *u, struct err *e)
{
	if (https_ask_for(t, HTTP_PUT, u->part, e) < 0)
		return -1;
	t->request.len = u->len;
	u->step = STEP_PUT;
	return http_begin(t->http, &t->request, u->fd, &u->ticket, e);
}

static int
begin_folder(struct https_transport *t, struct upload *u, struct err *e)
{
	char folder[TRANSPORT_NAME_LIMIT];
	const char *slash = strchr(u->name, '/');

	if (slash == NULL)
		return err_set(e, u->why.kind, "%s", u->why.text);
	(void)snprintf(folder, sizeof(folder), "%.*s",
	    (int)(slash - u->name) + 1, u->name);
	if (https_ask_for(t, HTTP_MKCOL, folder, e) < 0)
		return -1;
	u->step = STEP_FOLDER;
	return http_begin(t->http, &t->request, -1, &u->ticket, e);
}

/* Makes the request; it is not begun. */
int
https_ask_for_move(struct https_transport *t, const char *from, const char *to,
    const char *overwrite, struct err *e)
{
	char host[URL_HOST_LIMIT + 16];

	if (https_ask_for(t, HTTP_MOVE, from, e) < 0 ||
	    http_header_add(&t->request, e, "Destination", "http%s://%s%s/%s",
		t->setup.tls ? "s" : "",
		http_host(&t->setup, host, sizeof(host)), t->url.dir, to) < 0)
		return -1;
	return http_header_add(&t->request, e, "Overwrite", "%s", overwrite);
}

static int
begin_move(struct https_transport *t, struct upload *u, struct err *e)
{
	if (https_ask_for_move(t, u->part, u->name, "F", e) < 0)
		return -1;
	u->step = STEP_MOVE;
	return http_begin(t->http, &t->request, -1, &u->ticket, e);
}

/* ---- one upload, step by step ---- */

static void
end_upload(struct upload *u)
{
	cleanup_fd(&u->fd);
	*u = (struct upload){.fd = -1};
}

/*
 * What a server says when the folder is missing: nginx says 500. Nothing has
 * arrived there yet, so it is worth a look.
 */
static bool
may_lack_folder(const struct https_transport *t, const struct upload *u,
    const struct http_answer *a)
{
	return !t->proven && u->why.kind == ERR_NONE &&
	       (a->status == 404 || a->status == 409 || a->status == 500);
}

/* 1: it is over, 0: the next step has begun, -1. */
static int
go_on(struct https_transport *t, struct upload *u, const struct http_answer *a,
    struct err *e)
{
	switch (u->step) {
	case STEP_PUT:
		if (https_is_success(a))
			return begin_move(t, u, e);
		if (!may_lack_folder(t, u, a))
			return http_explain(&t->setup, a, "write", e);
		(void)http_explain(&t->setup, a, "write", &u->why);
		return begin_folder(t, u, e);
	case STEP_FOLDER:
		if (https_is_success(a))
			return begin_put(t, u, e);
		return err_set(e, u->why.kind, "%s", u->why.text);
	case STEP_MOVE:
		/* 412: the name is taken, and stays as it is. */
		if (https_is_success(a) || a->status == 412)
			return 1;
		/* It was moved the first time it seems; sent again, the name
		 * is found to be taken, or not. */
		if (a->status == 404 && a->again)
			return begin_put(t, u, e);
		return http_explain(&t->setup, a, "rename", e);
	}
	return err_set(e, ERR_FATAL, "an upload without a step");
}

/* Deals with one answer; false when there is none (any more, or yet). */
bool
https_settle_one(struct https_transport *t, bool block)
{
	const struct http_answer *a = http_next(t->http, block);
	struct upload *u = t->uploads;
	struct err e = {0};
	int done;

	if (a == NULL)
		return false;
	while (u->step == 0 || u->ticket != a->ticket) {
		u++;
		assert(u < t->uploads + HTTP_IN_FLIGHT);
	}
	done = go_on(t, u, a, &e);
	if (done == 0)
		return true;
	end_upload(u);
	if (done == 1)
		t->proven = true;
	else if (t->failed.kind == ERR_NONE)
		t->failed = e;
	return true;
}

static int
report_failure(struct https_transport *t, struct err *e)
{
	struct err was = t->failed;

	if (was.kind == ERR_NONE)
		return 0;
	t->failed = (struct err){0};
	return err_set(e, was.kind, "%s", was.text);
}

/* Room for another upload; NULL: wait, all that may be are under way. */
static struct upload *
find_room(struct https_transport *t)
{
	struct upload *u, *room = NULL;
	bool any = false;

	for (u = t->uploads; u < t->uploads + HTTP_IN_FLIGHT; u++) {
		if (u->step != 0)
			any = true;
		else if (room == NULL)
			room = u;
	}
	return !any || t->proven ? room : NULL;
}

static int
begin_upload(struct https_transport *t, struct upload *u, int fd, uint64_t len,
    const char *name, struct err *e)
{
	*u = (struct upload){.len = len};
	u->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (u->fd < 0)
		return err_sys(e, "keep a file open");
	(void)snprintf(u->name, sizeof(u->name), "%s", name);
	if (transport_part_name(name, u->part, sizeof(u->part), e) == 0 &&
	    begin_put(t, u, e) == 0)
		return 0;
	end_upload(u);
	return -1;
}

static int
https_put(struct transport *base, int fd, uint64_t len, const char *name,
    struct err *e)
{
	struct https_transport *t = https_from_base(base);
	struct upload *room = NULL;

	while (https_settle_one(t, false))
		continue;
	while (t->failed.kind == ERR_NONE && (room = find_room(t)) == NULL)
		(void)https_settle_one(t, true);
	if (report_failure(t, e) < 0)
		return -1;
	assert(room != NULL);
	return begin_upload(t, room, fd, len, name, e) < 0 ? -1 : 1;
}

int
https_drain(struct transport *base, struct err *e)
{
	struct https_transport *t = https_from_base(base);

	while (https_settle_one(t, true))
		continue;
	return report_failure(t, e);
}

static int
https_get(struct transport *base, const char *name, size_t max, struct buf *out,
    struct err *e)
{
	struct https_transport *t = https_from_base(base);
	AUTO(buf_release) struct buf got = {0};
	const struct http_answer *a;

	if (https_drain(base, e) < 0 || https_ask_for(t, HTTP_GET, name, e) < 0)
		return -1;
	t->request.max = (uint32_t)max;
	/* Not what somebody on the way remembers. */
	if (http_header_add(&t->request, e, "Cache-Control", "no-cache") < 0 ||
	    http_ask(t->http, &t->request, -1, &a, e) < 0)
		return -1;
	if (https_is_absent(a))
		return 0;
	if (a->status != 200)
		return http_explain(&t->setup, a, "read", e);
	if (a->cut)
		return err_set(e, ERR_REFUSED,
		    "%.160s/%s is larger than the %zu bytes that are accepted",
		    t->setup.url, name, max);
	if (buf_add(&got, a->body, a->body_len, e) < 0)
		return -1;
	buf_swap(out, &got);
	return 1;
}

static void
https_close(struct transport *base)
{
	struct https_transport *t = https_from_base(base);
	struct upload *u;

	http_close(t->http);
	for (u = t->uploads; u < t->uploads + HTTP_IN_FLIGHT; u++)
		if (u->step != 0)
			end_upload(u);
	free(t);
}

const struct transport_ops transport_https_ops = {
    .scheme = "https",
    .check = https_check,
    .open = https_open,
    .put = https_put,
    .drain = https_drain,
    .get = https_get,
    .close = https_close,
    .fetch = https_fetch,
    .replace = https_replace,
    .remove = https_remove,
    .has = https_has,
    .make_folder = https_make_folder,
};

/* To this machine only, which http_check sees to. */
const struct transport_ops transport_http_ops = {
    .scheme = "http",
    .check = https_check,
    .open = https_open,
    .put = https_put,
    .drain = https_drain,
    .get = https_get,
    .close = https_close,
    .fetch = https_fetch,
    .replace = https_replace,
    .remove = https_remove,
    .has = https_has,
    .make_folder = https_make_folder,
};
