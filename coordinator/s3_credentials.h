/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_credentials: one profile of a file as the AWS tools have it:
 *
 *   [default]
 *   aws_access_key_id = AKIA...
 *   aws_secret_access_key = ...
 *   aws_session_token = ...
 *
 * It is read again for each request, so that new keys count at once.
 */
#ifndef COORDINATOR_S3_CREDENTIALS_H
#define COORDINATOR_S3_CREDENTIALS_H

#include "common/err.h"

#include <stddef.h>

struct s3_credentials {
	char access_key[256];
	char secret_key[256];
	char token[4097]; /* of the session; "" for none */
};

/* REFUSED, with what to do, unless it is a regular file of ours, of mode
 * 0600 or less, with whole keys under that profile. */
int s3_credentials_read(const char *path, const char *profile,
    struct s3_credentials *out, struct err *e) CHECKED;
/* The same from text, which needs no NUL; `path` is for messages. Pure. */
int s3_credentials_parse(const char *text, size_t len, const char *path,
    const char *profile, struct s3_credentials *out, struct err *e) CHECKED;
/* Leaves no trace in memory. */
void s3_credentials_forget(struct s3_credentials *c);

#endif
