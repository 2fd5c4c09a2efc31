/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/sftp_url.h"

#include "common/name.h"
#include "coordinator/url.h"

#include <string.h>

int
sftp_url_parse(const char *text, struct sftp_url *out, struct err *e)
{
	const char *rest = text + strlen("sftp://"), *slash, *at;
	struct sftp_url u = {.port = 22};
	char shown[120];

	if (strncmp(text, "sftp://", 7) == 0 &&
	    (slash = strchr(rest, '/')) != NULL &&
	    (at = memchr(rest, '@', (size_t)(slash - rest))) != NULL &&
	    url_is_plain(rest, (size_t)(at - rest), "._-") && rest[0] != '-' &&
	    url_copy(rest, (size_t)(at - rest), u.user, sizeof(u.user)) &&
	    url_host(at + 1, (size_t)(slash - at) - 1, u.host, &u.port) &&
	    url_dir(slash, u.dir)) {
		*out = u;
		return 0;
	}
	return err_set(e, ERR_REFUSED,
	    "\"%s\": expected sftp://USER@HOST:PORT/DIR, of letters, digits "
	    "and . _ - + @ , ~ without \"..\" and without a password",
	    name_quote(text, strlen(text), shown, sizeof(shown)));
}
