/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_request: signing what is sent to an S3 server. Runs in the process of
 * the transfer, right before a request goes: credentials are read anew, the
 * time is now, and the body is hashed where nobody waits for it.
 */
#ifndef COORDINATOR_S3_REQUEST_H
#define COORDINATOR_S3_REQUEST_H

#include "coordinator/http.h"
#include "coordinator/s3_credentials.h"
#include "coordinator/s3_url.h"
#include "fileformat/header.h"

#include <time.h>

/* Where the SHA-256 of an object's bytes, in hex, is kept with it. */
#define S3_META_DIGEST "x-amz-meta-aim-sha256"

struct s3_context {
	struct s3_url url;
	char credentials_file[PATH_MAX];
};

/* An http_sign_fn: `sign_context` is a struct s3_context. */
int s3_sign_request(const struct http_setup *s, struct http_request *r, int fd,
    struct err *e) CHECKED;

/*
 * The same with all that it depends on: adds x-amz-date, x-amz-content-sha256,
 * for PUT S3_META_DIGEST, the session's token, and Authorization over the
 * Host header, these, and all that r->headers has already. Pure.
 */
int s3_sign_with(const struct http_setup *s, const struct s3_credentials *c,
    const char *region, const uint8_t digest[DIGEST_LEN], time_t when,
    struct http_request *r, struct err *e) CHECKED;

/* SHA-256 of the first `len` bytes of a file; fewer are CORRUPT. */
int s3_digest(
    int fd, uint64_t len, uint8_t out[DIGEST_LEN], struct err *e) CHECKED;

#endif
