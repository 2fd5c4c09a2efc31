/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url: the parts of a URL that every transport has. Only plain characters are
 * accepted, so that no part needs quoting anywhere. Pure.
 */
#ifndef COORDINATOR_URL_H
#define COORDINATOR_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URL_HOST_LIMIT 256u /* with the NUL */
#define URL_DIR_LIMIT 1024u

/* Letters, digits and what is in `extra`; at least one. */
bool url_is_plain(const char *text, size_t len, const char *extra);
/* Copies text[0..len) with a NUL if it fits. */
bool url_copy(const char *text, size_t len, char *out, size_t room);
/* HOST, HOST:PORT, [V6] or [V6]:PORT; *port is left alone without one. The
 * host is given without brackets. */
bool url_host(
    const char *text, size_t len, char out[URL_HOST_LIMIT], uint16_t *port);
/* "/DIR/" gives "/DIR", "/" and "" give "". No "..", no "//". */
bool url_dir(const char *text, char out[URL_DIR_LIMIT]);

#endif
