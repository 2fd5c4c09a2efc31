/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/rsync_url.h"

#include "common/name.h"

#include <stdio.h>
#include <string.h>

static bool
take_user(const char **at, const char *slash, struct rsync_url *u)
{
	const char *sign = memchr(*at, '@', (size_t)(slash - *at));
	size_t len;

	if (sign == NULL)
		return !u->ssh;
	len = (size_t)(sign - *at);
	if (!url_is_plain(*at, len, "._-") || **at == '-' ||
	    !url_copy(*at, len, u->user, sizeof(u->user)))
		return false;
	*at = sign + 1;
	return true;
}

/* What would not be where we say it is, or be an option. */
static bool
is_odd(const struct rsync_url *u)
{
	size_t len = strlen(u->dir);

	if (strstr(u->dir, "/./") != NULL || strstr(u->dir, "/-") != NULL ||
	    strstr(u->dir, "/~") != NULL)
		return true;
	if (len >= 2 && strcmp(u->dir + len - 2, "/.") == 0)
		return true;
	return !u->ssh && (len < 2 || u->dir[1] == '.');
}

int
rsync_url_parse(const char *text, struct rsync_url *out, struct err *e)
{
	struct rsync_url u = {.ssh = strncmp(text, "rsync+ssh://", 12) == 0};
	const char *rest = text + (u.ssh ? 12 : 8), *slash;
	char shown[120];

	u.port = u.ssh ? 22 : 873;
	if ((u.ssh || strncmp(text, "rsync://", 8) == 0) &&
	    (slash = strchr(rest, '/')) != NULL &&
	    take_user(&rest, slash, &u) &&
	    url_host(rest, (size_t)(slash - rest), u.host, &u.port) &&
	    url_dir(slash, u.dir) && !is_odd(&u)) {
		*out = u;
		return 0;
	}
	return err_set(e, ERR_REFUSED,
	    "\"%s\": expected rsync://USER@HOST:PORT/MODULE/DIR or "
	    "rsync+ssh://USER@HOST:PORT/DIR, of letters, digits and . _ - + @ "
	    ", ~ without \"..\" and without a password (--credentials FILE "
	    "has that)",
	    name_quote(text, strlen(text), shown, sizeof(shown)));
}

bool
rsync_url_text(
    const struct rsync_url *u, const char *path, char *out, size_t room)
{
	bool v6 = strchr(u->host, ':') != NULL;
	const char *open = v6 ? "[" : "", *shut = v6 ? "]" : "";
	const char *at = u->user[0] == '\0' ? "" : "@";
	int n;

	if (u->ssh)
		n = snprintf(out, room, "%s%s%s%s%s:%s%s", u->user, at, open,
		    u->host, shut, u->dir, path);
	else
		n = snprintf(out, room, "rsync://%s%s%s%s%s:%u%s%s", u->user,
		    at, open, u->host, shut, u->port, u->dir, path);
	return n > 0 && (size_t)n < room;
}
