/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: requests to one HTTP server, several in flight, for the transports
 * that are built on it. A process of its own (transfer.h) sends them, over
 * HTTP/2 where the server has it. Each request is bounded in time; should the
 * library hang all the same, the process is killed and what was in flight is
 * answered with a failure. Nothing is retried here, no redirect is followed,
 * and no proxy, credential or setting is taken from the environment. The
 * server's certificate and name are always verified.
 *
 * One thread. The caller goes on while requests are in flight:
 *
 *	while (http_has_room(h) && there is more)
 *		http_begin(h, &request, fd, &ticket, e);
 *	while ((a = http_next(h, true)) != NULL)
 *		look at a->ticket, a->status;
 */
#ifndef COORDINATOR_HTTP_H
#define COORDINATOR_HTTP_H

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/url.h"

#include <limits.h>

#define HTTP_IN_FLIGHT 48u /* requests at the same time */
#define HTTP_PATH_LIMIT 2048u
#define HTTP_QUERY_LIMIT 1024u
#define HTTP_HEADERS_LIMIT 6144u
#define HTTP_BODY_LIMIT 32768u /* of an answer */
#define HTTP_URL_LIMIT 2048u

struct http_setup;

enum http_method {
	HTTP_GET = 1,
	HTTP_HEAD,
	HTTP_PUT,
	HTTP_POST,
	HTTP_DELETE,
	HTTP_MKCOL,
	HTTP_MOVE
};

struct http_request {
	enum http_method method;
	char path[HTTP_PATH_LIMIT]; /* begins with '/'; sent as it is */
	char
	    query[HTTP_QUERY_LIMIT]; /* without '?'; sent as it is; may be "" */
	/* "Name: value\n" for each, see http_header_add. */
	char headers[HTTP_HEADERS_LIMIT];
	uint64_t len; /* PUT, POST: of the body, which is fd from its start */
	uint32_t max; /* so much of the answer's body is kept, at most
		       * HTTP_BODY_LIMIT; more is cut */
	/* The body of a success goes into fd instead, from its start, at most
	 * so much; more is cut. 0: not. */
	uint64_t max_file;
	uint32_t ticket; /* set by http_begin */
};

struct http_answer {
	uint32_t ticket;
	int status; /* 200...; 0: there is no answer, kind and text say why */
	enum err_kind kind;
	char text[400];
	bool again; /* asked a second time: the first may have been done */
	bool cut;   /* the body was longer than `max`, or `max_file` */
	uint32_t body_len;
	uint64_t file_len;		   /* of what was written into fd */
	char headers[HTTP_HEADERS_LIMIT];  /* "name: value\n", what fits */
	uint8_t body[HTTP_BODY_LIMIT + 1]; /* a NUL follows it */
};

/*
 * Adds what must be computed for each request (Authorization of S3) to
 * r->headers, with http_header_add, right before it is sent. Runs in the
 * transfer's process, which is a fork: `s` and what its `sign_context` points
 * to are as they were when it was started. `fd` is the body (-1: none); read
 * it with io_read_at. A failure is the request's answer.
 */
typedef int http_sign_fn(
    const struct http_setup *s, struct http_request *r, int fd, struct err *e);

struct http_setup {
	bool tls;		   /* else plain http, to this machine only */
	char host[URL_HOST_LIMIT]; /* IPv6 without brackets */
	uint16_t port;
	char url[HTTP_URL_LIMIT]; /* for messages */
	char ca_file[PATH_MAX];	  /* PEM; "": those that the system trusts */
	char key_file[PATH_MAX];  /* PEM with our certificate and its private
				   * key, mode 0600; "": none */
	char credentials_file[PATH_MAX]; /* see http_credentials; "": none */
	char pin[256];	    /* "sha256//BASE64", several with ';'; "": any key
			     * whose certificate is good */
	char proxy[256];    /* "http://HOST:PORT"; "": none */
	http_sign_fn *sign; /* NULL: nothing to add */
	const void *sign_context;
};

struct http;

/* REFUSED when a file or setting is of no use; connects to nobody. */
int http_check(const struct http_setup *s, struct err *e) CHECKED;
/* Copies the setup; connects to nobody yet. */
int http_open(
    const struct http_setup *s, struct http **out, struct err *e) CHECKED;
void http_close(struct http *h);

/* May another request begin? */
bool http_has_room(const struct http *h);
uint32_t http_in_flight(const struct http *h);
/* To poll(2) for reading, when the caller waits for others too; -1: none. It
 * may be another one each time. */
int http_socket(const struct http *h);
/*
 * Hands a request over; there must be room. `fd` is the body of PUT and POST,
 * or takes that of the answer (max_file), else -1; borrowed: it may be closed
 * on return. *ticket tells its answer
 * from others; may be NULL.
 */
int http_begin(struct http *h, const struct http_request *r, int fd,
    uint32_t *ticket, struct err *e) CHECKED;
/*
 * The next answer that came, of whichever request, good until the next call;
 * NULL when none is in flight or, without `block`, when none has come yet.
 */
const struct http_answer *http_next(struct http *h, bool block);
/* How long this request may take, while as many as may be are in flight. */
uint32_t http_limit_ms(const struct http_request *r);
/* One request alone: nothing may be in flight. */
int http_ask(struct http *h, const struct http_request *r, int fd,
    const struct http_answer **out, struct err *e) CHECKED;

/* ---- headers ---- */

/* Adds one to the request. REFUSED when it does not fit, or has a control
 * character in it. */
int http_header_add(struct http_request *r, struct err *e, const char *name,
    const char *fmt, ...) __attribute__((format(printf, 4, 5))) CHECKED;
/* Copies the value of the last header of that name, in any case; false and ""
 * when there is none. */
bool http_header(const char *headers, const char *name, char *out, size_t room);
/* "host", "host:port" or "[v6]:port" as the Host header has it: without the
 * port that is usual. */
const char *http_host(const struct http_setup *s, char *out, size_t room);

/* ---- credentials and addresses ---- */

/*
 * Reads s->credentials_file, of mode 0600: one line, "USER:PASSWORD" (basic)
 * or "bearer TOKEN". Adds the Authorization header to `r`; NULL: only checks.
 * Done anew for each request, so the file may be replaced at any time.
 */
int http_credentials(
    const struct http_setup *s, struct http_request *r, struct err *e) CHECKED;
/* Is it this machine, by its name: localhost, 127.*, ::1? */
bool http_is_loopback(const char *host);

/* ---- what went wrong ---- */

/* Sets text and kind for an answer that is no success: what the status means
 * and what to do. `doing` is "write", "read"... Returns -1. */
int http_explain(const struct http_setup *s, const struct http_answer *a,
    const char *doing, struct err *e);

#endif
