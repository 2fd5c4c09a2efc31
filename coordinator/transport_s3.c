/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/transport_s3.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* ---- the destination ---- */

static const char *
either(bool for_acks, const char *acks, const char *all)
{
	return for_acks && acks[0] != '\0' ? acks : all;
}

static void
take_setup(const struct destination_config *d, bool for_acks,
    const struct s3_context *x, struct http_setup *s)
{
	const char *url = transport_url(d, for_acks);

	/* Without the options, which are long and no news. */
	(void)snprintf(
	    s->url, sizeof(s->url), "%.*s", (int)strcspn(url, "?"), url);
	(void)strcpy(s->host, x->url.host);
	s->port = x->url.port;
	s->tls = x->url.tls;
	(void)snprintf(s->ca_file, sizeof(s->ca_file), "%s", d->ca_file);
	(void)snprintf(s->pin, sizeof(s->pin), "%s", d->pin);
	(void)snprintf(s->proxy, sizeof(s->proxy), "%s", d->proxy);
	(void)snprintf(s->key_file, sizeof(s->key_file), "%s",
	    either(for_acks, d->ack_key_file, d->key_file));
	s->sign = s3_sign_request;
	s->sign_context = x;
}

/* Everything but the connection; checks it. */
static int
take_destination(const struct destination_config *d, bool for_acks,
    struct s3_context *x, struct http_setup *s, struct err *e)
{
	const char *file =
	    either(for_acks, d->ack_credentials_file, d->credentials_file);
	AUTO(s3_credentials_forget) struct s3_credentials c = {0};

	if (s3_url_parse(transport_url(d, for_acks), &x->url, e) < 0)
		return -1;
	if (file[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "s3://%s needs --credentials FILE: a file as the AWS tools "
		    "have it, of mode 0600",
		    x->url.bucket);
	(void)snprintf(
	    x->credentials_file, sizeof(x->credentials_file), "%s", file);
	take_setup(d, for_acks, x, s);
	if (s3_credentials_read(file, x->url.profile, &c, e) < 0)
		return -1;
	return http_check(s, e);
}

static int
s3_check(const struct destination_config *d, bool for_acks, struct err *e)
{
	AUTO_FREE struct s3_context *x = calloc(1, sizeof(*x));
	AUTO_FREE struct http_setup *s = calloc(1, sizeof(*s));

	if (x == NULL || s == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	return take_destination(d, for_acks, x, s, e);
}

static int
s3_open(const struct destination_config *d, bool for_acks,
    struct transport **out, struct err *e)
{
	AUTO_FREE struct s3_transport *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	t->base.ops = &transport_s3_ops;
	for (size_t i = 0; i < HTTP_IN_FLIGHT; i++)
		t->puts[i].fd = -1;
	if (take_destination(d, for_acks, &t->context, &t->setup, e) < 0 ||
	    http_open(&t->setup, &t->http, e) < 0)
		return -1;
	t->conditional = t->context.url.conditional;
	*out = &STEAL(t)->base;
	return 0;
}

static void
s3_close(struct transport *base)
{
	struct s3_transport *t = s3_from_base(base);

	s3_put_abandon(t);
	http_close(t->http);
	free(t);
}

/* ---- asking ---- */

int
s3_request_make(const struct s3_transport *t, enum http_method method,
    const char *name, struct http_request *out, struct err *e)
{
	*out = (struct http_request){.method = method, .max = S3_ERROR_LIMIT};
	return s3_url_path(
	    &t->context.url, name, out->path, sizeof(out->path), e);
}

void
s3_answer_error(const struct http_answer *a, struct s3_error *out)
{
	s3_error_parse(a->body, a->body_len, out);
}

int
s3_refuse(const struct s3_transport *t, const struct http_answer *a,
    const char *name, bool put, struct err *e)
{
	char when[SIGV4_TIME], region[64], date[64];
	const struct s3_asked asked = {.url = t->setup.url,
	    .bucket = t->context.url.bucket,
	    .region = t->context.url.region,
	    .profile = t->context.url.profile,
	    .file = t->context.credentials_file,
	    .name = name,
	    .when = sigv4_time(time(NULL), when),
	    .put = put};
	struct s3_said said = {
	    .status = a->status, .region = region, .date = date};

	if (a->status == 0)
		return err_set(e, a->kind, "%s", a->text);
	(void)http_header(
	    a->headers, "x-amz-bucket-region", region, sizeof(region));
	(void)http_header(a->headers, "date", date, sizeof(date));
	s3_answer_error(a, &said.error);
	return s3_explain(&asked, &said, e);
}

int
s3_small_file(const void *bytes, size_t len, int *out, struct err *e)
{
	AUTO_CLOSE int fd = memfd_create("aim-object", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(e, "make a file in memory");
	if (io_write_at(fd, bytes, len, 0, e) < 0)
		return -1;
	*out = STEAL_FD(fd);
	return 0;
}

bool
s3_is_absent(const struct http_answer *a)
{
	struct s3_error error;

	s3_answer_error(a, &error);
	return a->status == 404 && strcmp(error.code, "NoSuchBucket") != 0;
}

static int
s3_get(struct transport *base, const char *name, size_t max, struct buf *out,
    struct err *e)
{
	struct s3_transport *t = s3_from_base(base);
	AUTO(buf_release) struct buf got = {0};
	const struct http_answer *a = NULL;
	struct http_request r;

	if (s3_drain(base, e) < 0 ||
	    s3_request_make(t, HTTP_GET, name, &r, e) < 0)
		return -1;
	r.max = max > S3_ERROR_LIMIT ? (uint32_t)max : S3_ERROR_LIMIT;
	if (http_ask(t->http, &r, -1, &a, e) < 0)
		return -1;
	if (s3_is_absent(a))
		return 0;
	if (a->status != 200)
		return s3_refuse(t, a, name, false, e);
	if (a->cut || a->body_len > max)
		return err_set(e, ERR_REFUSED,
		    "%s/%s is larger than the %zu bytes that are accepted",
		    t->setup.url, name, max);
	if (buf_add(&got, a->body, a->body_len, e) < 0)
		return -1;
	buf_swap(out, &got);
	return 1;
}

const struct transport_ops transport_s3_ops = {
    .scheme = "s3",
    .check = s3_check,
    .open = s3_open,
    .put = s3_put,
    .drain = s3_drain,
    .get = s3_get,
    .close = s3_close,
    .fetch = s3_fetch,
    .replace = s3_replace,
    .remove = s3_remove,
    .has = s3_has,
};
