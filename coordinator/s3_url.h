/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_url: s3://BUCKET[/PREFIX][?OPTION=VALUE[&...]], taken apart. Pure.
 *
 *   endpoint     https://HOST[:PORT] of the service; without it Amazon's of
 *                the region
 *   region       default us-east-1
 *   style        path (https://HOST/BUCKET/KEY) or virtual
 *                (https://BUCKET.HOST/KEY); default: path with an endpoint,
 *                virtual without
 *   profile      section of the credentials file; default: default
 *   conditional  whether the server refuses to write over an object when
 *                asked so: yes, no, or auto (default): find out
 *
 * Only plain characters are accepted, so that nothing needs quoting anywhere.
 */
#ifndef COORDINATOR_S3_URL_H
#define COORDINATOR_S3_URL_H

#include "common/err.h"
#include "coordinator/url.h"

enum s3_conditional {
	S3_CONDITIONAL_AUTO = 0,
	S3_CONDITIONAL_YES,
	S3_CONDITIONAL_NO
};

struct s3_url {
	char bucket[64];
	char prefix[URL_DIR_LIMIT]; /* "/PREFIX", or "" for none */
	bool tls; /* else http, which only this machine itself may have */
	char host[URL_HOST_LIMIT]; /* IPv6 without brackets; with the bucket in
				    * front when that is the style */
	uint16_t port;
	bool virtual_style;
	char region[64];
	char profile[64];
	enum s3_conditional conditional;
};

int s3_url_parse(const char *text, struct s3_url *out, struct err *e) CHECKED;

/* The path of an object's URL. It has no character that needs encoding.
 * REFUSED when it is longer than the service allows. */
int s3_url_path(const struct s3_url *u, const char *name, char *out,
    size_t room, struct err *e) CHECKED;

#endif
