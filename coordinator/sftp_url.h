/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sftp_url: sftp://USER@HOST[:PORT]/DIR, taken apart. Only plain characters
 * are accepted, so that no part needs quoting in a URL or in a command of the
 * transfer library (a space in a rename cut the name there). Pure.
 */
#ifndef COORDINATOR_SFTP_URL_H
#define COORDINATOR_SFTP_URL_H

#include "common/err.h"
#include "coordinator/url.h"

#include <stdint.h>

struct sftp_url {
	char user[64];
	char host[URL_HOST_LIMIT]; /* IPv6 without brackets */
	uint16_t port;
	char dir[URL_DIR_LIMIT]; /* absolute, without a slash at the end; "" for
				    / */
};

int sftp_url_parse(
    const char *text, struct sftp_url *out, struct err *e) CHECKED;

#endif
