/* SPDX-License-Identifier: Apache-2.0 */
/* http_url: http[s]://HOST[:PORT]/DIR, taken apart. Pure. */
#ifndef COORDINATOR_HTTP_URL_H
#define COORDINATOR_HTTP_URL_H

#include "common/err.h"
#include "coordinator/url.h"

struct http_url {
	bool tls;
	char host[URL_HOST_LIMIT]; /* IPv6 without brackets */
	uint16_t port;
	char dir[URL_DIR_LIMIT]; /* without a slash at the end; "" for / */
};

/* REFUSED with what is expected; credentials never stand in a URL. */
int http_url_parse(
    const char *text, struct http_url *out, struct err *e) CHECKED;

#endif
