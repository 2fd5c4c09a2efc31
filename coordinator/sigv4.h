/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4: AWS Signature Version 4 in the Authorization header, by the rules
 * of S3: the path is encoded once and never normalised. Pure but for memory
 * and libcrypto, and thread safe. (The transfer library can sign too, but the
 * one in Debian 12 leaves sorting and encoding of the query to its caller,
 * signs headers that it does not send, and guesses the region from the host.)
 *
 * Functions fail with -1 (RETRY: no memory; FATAL: libcrypto) and leave the
 * output as it was.
 */
#ifndef COORDINATOR_SIGV4_H
#define COORDINATOR_SIGV4_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define SIGV4_TIME 17	      /* "20130524T000000Z" with the NUL */
#define SIGV4_DIGEST 65	      /* 64 hex digits with the NUL */
#define SIGV4_FIELD_LIMIT 24u /* headers, or parts of a query */

struct sigv4_field {
	const char *name, *value;
};

struct sigv4_request {
	const char *method;		 /* upper case */
	const char *path;		 /* absolute, as it is: not encoded */
	const struct sigv4_field *query; /* not encoded, in any order */
	size_t query_count;
	/* All that are to be signed, in any order and case. Host is one of
	 * them, with its port unless that is the scheme's own. Several of one
	 * name are joined in their order. */
	const struct sigv4_field *headers;
	size_t header_count;
	const char *payload; /* SHA-256 in hex, or "UNSIGNED-PAYLOAD" */
	const char *region, *service;
	time_t when;
};

/* Text of a time as it goes into x-amz-date. */
const char *sigv4_time(time_t when, char out[SIGV4_TIME]);

/* Adds `text` with all but A-Z a-z 0-9 - . _ ~ as %XX; '/' too unless `path`.
 * URL and signature must be made with the same. */
int sigv4_encode(
    struct buf *out, const char *text, bool path, struct err *e) CHECKED;
/* Adds "a=1&b=2", encoded and sorted. */
int sigv4_query(
    struct buf *out, const struct sigv4_request *r, struct err *e) CHECKED;

/* The steps of it. A NUL follows the text that does not count. */
int sigv4_canonical(
    const struct sigv4_request *r, struct buf *out, struct err *e) CHECKED;
int sigv4_to_sign(
    const struct sigv4_request *r, struct buf *out, struct err *e) CHECKED;

/* Adds the value of the Authorization header. */
int sigv4_authorize(const struct sigv4_request *r, const char *access_key,
    const char *secret_key, struct buf *out, struct err *e) CHECKED;

#endif
