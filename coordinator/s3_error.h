/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_error: what a server says when it says no, and what is to be done about
 * it. The text comes from the network: it is read within bounds, by a scanner
 * that knows elements and the five entities of XML and nothing else, and is
 * shown quoted. Pure.
 */
#ifndef COORDINATOR_S3_ERROR_H
#define COORDINATOR_S3_ERROR_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

#define S3_ERROR_LIMIT 16384u /* bytes of an answer that are looked at */

struct s3_error {
	char code[64];	   /* "NoSuchKey"; "" when the answer has none */
	char message[200]; /* all of these can be printed */
	char region[64];
	char server_time[64];
};

/* Fills what it finds in <Error>...</Error>; {0} when it is something else. */
void s3_error_parse(const void *text, size_t len, struct s3_error *out);

/* What was asked for. */
struct s3_asked {
	const char *url; /* short: without options */
	const char *bucket, *region, *profile, *file;
	const char *name; /* of the object */
	const char *when; /* what x-amz-date said */
	bool put;	  /* else read */
};

/* What came back, when it is no success. */
struct s3_said {
	long status;
	const char *region; /* x-amz-bucket-region, or "" */
	const char *date;   /* Date, or "" */
	struct s3_error error;
};

/* Fills *e: what, where, what to do; RETRY, FULL or REFUSED. Returns -1. */
int s3_explain(
    const struct s3_asked *a, const struct s3_said *s, struct err *e);

#endif
