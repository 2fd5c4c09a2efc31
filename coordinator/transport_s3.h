/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_s3: what the parts of the S3 transport share.
 *
 * A file is one PUT: the server shows an object whole or not at all. Never
 * over another: where the server has conditional requests (If-None-Match: *)
 * it refuses by itself, and an object that is there is compared by the digest
 * that is kept with it. Whether it has them is found out, because some servers
 * ignore what they do not know and write over: a tiny object of our own is put
 * twice. Where they are missing, HEAD comes before each PUT; then two writers
 * of one name at the same moment could both get through, but a stream has only
 * one.
 *
 *   transport_s3.c  check, open, get, close, and small objects
 *   s3_put.c        files on their way
 *   s3_compare.c    what is there already
 *   s3_place.c      a bucket as a place that is fetched from
 */
#ifndef COORDINATOR_TRANSPORT_S3_H
#define COORDINATOR_TRANSPORT_S3_H

#include "coordinator/http.h"
#include "coordinator/s3_error.h"
#include "coordinator/s3_request.h"
#include "coordinator/transport.h"

enum s3_step {
	S3_FREE = 0,
	S3_LOOKING,   /* HEAD: is it there? */
	S3_ASKING,    /* GET, because an answer to HEAD cannot say why not */
	S3_PUTTING,   /* PUT */
	S3_COMPARING, /* HEAD: it is there; is it the same? */
};

struct s3_put {
	enum s3_step step;
	uint32_t ticket;
	int fd; /* our own */
	uint64_t len;
	char name[TRANSPORT_NAME_LIMIT];
};

struct s3_transport {
	struct transport base;
	struct s3_context context;
	struct http_setup setup;
	struct http *http;
	enum s3_conditional conditional; /* AUTO: not yet known */
	bool proven; /* something has arrived: several at a time */
	struct s3_put puts[HTTP_IN_FLIGHT];
	struct err failed; /* of a put that was handed over; kind 0: none */
};

static inline struct s3_transport *
s3_from_base(struct transport *t)
{
	return (struct s3_transport *)(void *)t;
}

/* A request for an object, without headers. */
int s3_request_make(const struct s3_transport *t, enum http_method method,
    const char *name, struct http_request *out, struct err *e) CHECKED;
/* An answer that is no success, or none: why. -1. */
int s3_refuse(const struct s3_transport *t, const struct http_answer *a,
    const char *name, bool put, struct err *e);
/* The code of an error that an answer carries; "" for none. */
void s3_answer_error(const struct http_answer *a, struct s3_error *out);
/* Is it of an object that is not there? A bucket that is not there is another
 * matter, but an answer to HEAD cannot say so. */
bool s3_is_absent(const struct http_answer *a);
static inline bool
s3_is_good(const struct http_answer *a)
{
	return a->status >= 200 && a->status < 300;
}

/* A few bytes as a file, to be sent. */
int s3_small_file(
    const void *bytes, size_t len, int *out, struct err *e) CHECKED;

/* ---- s3_put.c ---- */

int s3_put(struct transport *base, int fd, uint64_t len, const char *name,
    struct err *e) CHECKED;
int s3_drain(struct transport *base, struct err *e) CHECKED;
/* Lets go of all that is under way. */
void s3_put_abandon(struct s3_transport *t);

/* ---- s3_place.c ---- */

void s3_fetch(
    struct transport *base, struct transport_file *files, size_t count);
int s3_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e) CHECKED;
int s3_remove(struct transport *base, const char *name, struct err *e) CHECKED;
int s3_has(struct transport *base, const char *name, struct err *e) CHECKED;

/* ---- s3_compare.c ---- */

/*
 * Is the object that HEAD told of the same as the file? 1, or -1: REFUSED when
 * it is another, or cannot be told.
 */
int s3_compare(const struct s3_transport *t, const struct http_answer *a,
    const struct s3_put *p, struct err *e) CHECKED;

#endif
