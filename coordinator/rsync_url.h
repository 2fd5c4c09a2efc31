/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rsync_url: rsync://[USER@]HOST[:PORT]/MODULE[/DIR] of an rsync daemon, and
 * rsync+ssh://USER@HOST[:PORT]/DIR, taken apart. Only plain characters are
 * accepted, so that no part needs quoting in an argument of rsync, or in a
 * command line that it gives to ssh. Pure.
 */
#ifndef COORDINATOR_RSYNC_URL_H
#define COORDINATOR_RSYNC_URL_H

#include "common/err.h"
#include "coordinator/url.h"

struct rsync_url {
	bool ssh;
	char user[64];		   /* "": none is named; never so with ssh */
	char host[URL_HOST_LIMIT]; /* IPv6 without brackets */
	uint16_t port;
	char dir[URL_DIR_LIMIT]; /* "/MODULE/DIR" or "/DIR", without a slash at
				    the end; "" for / */
};

int rsync_url_parse(
    const char *text, struct rsync_url *out, struct err *e) CHECKED;
/* How rsync names what is at DIR + `path`, which begins with a slash. */
bool rsync_url_text(
    const struct rsync_url *u, const char *path, char *out, size_t room);

#endif
