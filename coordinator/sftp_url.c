/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/sftp_url.h"

#include "common/name.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
is_plain(const char *text, size_t len, const char *extra)
{
	size_t i;

	for (i = 0; i < len; i++) {
		char c = text[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z') || strchr(extra, c) != NULL) ||
		    c == '\0')
			return false;
	}
	return len > 0;
}

/* Copies text[0..len) if it fits. */
static bool
copy(const char *text, size_t len, char *out, size_t room)
{
	if (len >= room)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

static bool
parse_port(const char *text, size_t len, uint16_t *out)
{
	uint32_t n = 0;
	size_t i;

	if (len == 0 || len > 5)
		return false;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(text[i] - '0');
	}
	*out = (uint16_t)n;
	return n > 0 && n <= UINT16_MAX;
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT */
static bool
parse_host(const char *text, size_t len, struct sftp_url *u)
{
	const char *end = text + len, *stop, *extra = ".-";

	if (len > 0 && text[0] == '[') {
		text++;
		extra = ":";
		stop = memchr(text, ']', (size_t)(end - text));
		if (stop == NULL)
			return false;
		len = (size_t)(stop - text);
		stop++;
	} else {
		stop = memchr(text, ':', len);
		if (stop == NULL)
			stop = end;
		len = (size_t)(stop - text);
	}
	if (!is_plain(text, len, extra) || text[0] == '-' ||
	    !copy(text, len, u->host, sizeof(u->host)))
		return false;
	u->port = 22;
	if (stop == end)
		return true;
	return *stop == ':' &&
	       parse_port(stop + 1, (size_t)(end - stop) - 1, &u->port);
}

static bool
parse_dir(const char *text, struct sftp_url *u)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '/')
		len--;
	if (len == 0) {
		u->dir[0] = '\0';
		return true;
	}
	if (!is_plain(text, len, "/._-+@,~") ||
	    !copy(text, len, u->dir, sizeof(u->dir)))
		return false;
	return strstr(u->dir, "/../") == NULL && strstr(u->dir, "//") == NULL &&
	       (len < 3 || strcmp(u->dir + len - 3, "/..") != 0);
}

int
sftp_url_parse(const char *text, struct sftp_url *out, struct err *e)
{
	const char *rest = text + strlen("sftp://"), *slash, *at;
	struct sftp_url u = {0};
	char shown[120];

	if (strncmp(text, "sftp://", 7) == 0 &&
	    (slash = strchr(rest, '/')) != NULL &&
	    (at = memchr(rest, '@', (size_t)(slash - rest))) != NULL &&
	    is_plain(rest, (size_t)(at - rest), "._-") && rest[0] != '-' &&
	    copy(rest, (size_t)(at - rest), u.user, sizeof(u.user)) &&
	    parse_host(at + 1, (size_t)(slash - at) - 1, &u) &&
	    parse_dir(slash, &u)) {
		*out = u;
		return 0;
	}
	return err_set(e, ERR_REFUSED,
	    "\"%s\": expected sftp://USER@HOST:PORT/DIR, of letters, digits "
	    "and . _ - + @ , ~ without \"..\" and without a password",
	    name_quote(text, strlen(text), shown, sizeof(shown)));
}
