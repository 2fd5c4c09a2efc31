/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/http_url.h"

#include "common/name.h"

#include <string.h>

/* Servers make "/./" shorter, and then it is not where we say it is. */
static bool
has_dot(const char *dir)
{
	size_t len = strlen(dir);

	return strstr(dir, "/./") != NULL ||
	       (len >= 2 && strcmp(dir + len - 2, "/.") == 0);
}

int
http_url_parse(const char *text, struct http_url *out, struct err *e)
{
	struct http_url u = {.tls = strncmp(text, "https://", 8) == 0};
	const char *rest = text + (u.tls ? 8 : 7);
	char shown[120];
	size_t len;

	u.port = u.tls ? 443 : 80;
	if (u.tls || strncmp(text, "http://", 7) == 0) {
		len = strcspn(rest, "/");
		if (url_host(rest, len, u.host, &u.port) &&
		    url_dir(rest + len, u.dir) && !has_dot(u.dir)) {
			*out = u;
			return 0;
		}
	}
	return err_set(e, ERR_REFUSED,
	    "\"%s\": expected https://HOST:PORT/DIR, of letters, digits and . "
	    "_ - + @ , ~ without \"..\", user and password (--credentials "
	    "FILE has those)",
	    name_quote(text, strlen(text), shown, sizeof(shown)));
}
