/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/s3_url.h"

#include "common/name.h"
#include "coordinator/http.h"

#include <stdio.h>
#include <string.h>

#define SCHEME "s3://"
#define KEY_LIMIT 1024u /* bytes of an object's name, by the service */
#define HOST_ROOM (URL_HOST_LIMIT - 64) /* the bucket may come before it */

/* Copies text[0..len) if it is plain and fits. */
static bool
take(const char *text, size_t len, const char *extra, char *out, size_t room)
{
	return url_is_plain(text, len, extra) && url_copy(text, len, out, room);
}

static bool
is_letter_or_digit(char c)
{
	return url_is_plain(&c, 1, "");
}

/* 3 to 63 of a-z 0-9 . -, as the service has it. */
static bool
take_bucket(const char *text, size_t len, struct s3_url *u)
{
	if (len < 3 || !take(text, len, ".-", u->bucket, sizeof(u->bucket)))
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			return false;
	return is_letter_or_digit(text[0]) &&
	       is_letter_or_digit(text[len - 1]) &&
	       strstr(u->bucket, "..") == NULL;
}

/* Parts between slashes, none of them empty, "." or "..". */
static bool
take_prefix(const char *text, size_t len, struct s3_url *u)
{
	char *at;
	size_t n;

	while (len > 0 && text[len - 1] == '/')
		len--;
	if (len == 0)
		return true;
	if (!take(text, len, "/._-", u->prefix, sizeof(u->prefix)))
		return false;
	for (at = u->prefix; *at == '/'; at += n) {
		at++;
		n = strcspn(at, "/");
		if (n == 0 || (n == 1 && at[0] == '.') ||
		    (n == 2 && at[0] == '.' && at[1] == '.'))
			return false;
	}
	return *at == '\0';
}

/* ---- options ---- */

static bool
is_text(const char *text, size_t len, const char *what)
{
	return len == strlen(what) && strncmp(text, what, len) == 0;
}

static bool
take_endpoint(const char *text, size_t len, struct s3_url *u)
{
	static const char tls[] = "https://", plain[] = "http://";
	size_t scheme;

	u->tls = len > strlen(tls) && strncmp(text, tls, strlen(tls)) == 0;
	scheme = u->tls ? strlen(tls) : strlen(plain);
	if (!u->tls &&
	    (len <= strlen(plain) || strncmp(text, plain, scheme) != 0))
		return false;
	u->port = u->tls ? 443 : 80;
	if (text[len - 1] == '/')
		len--;
	return url_host(text + scheme, len - scheme, u->host, &u->port) &&
	       strlen(u->host) < HOST_ROOM;
}

static bool
take_style(const char *text, size_t len, int *style)
{
	*style = is_text(text, len, "virtual");
	return *style == 1 || is_text(text, len, "path");
}

static bool
take_conditional(const char *text, size_t len, struct s3_url *u)
{
	u->conditional = is_text(text, len, "yes")  ? S3_CONDITIONAL_YES
			 : is_text(text, len, "no") ? S3_CONDITIONAL_NO
						    : S3_CONDITIONAL_AUTO;
	return u->conditional != S3_CONDITIONAL_AUTO ||
	       is_text(text, len, "auto");
}

static bool
take_option(const char *name, size_t name_len, const char *value, size_t len,
    struct s3_url *u, int *style)
{
	if (is_text(name, name_len, "endpoint"))
		return take_endpoint(value, len, u);
	if (is_text(name, name_len, "region"))
		return take(value, len, "-_", u->region, sizeof(u->region));
	if (is_text(name, name_len, "profile"))
		return take(value, len, "._-", u->profile, sizeof(u->profile));
	if (is_text(name, name_len, "style"))
		return take_style(value, len, style);
	if (is_text(name, name_len, "conditional"))
		return take_conditional(value, len, u);
	return false;
}

static int
refuse_option(const char *text, size_t len, struct err *e)
{
	char shown[120];

	return err_set(e, ERR_REFUSED,
	    "\"%s\" in an s3 URL: expected endpoint=https://HOST:PORT, "
	    "region=NAME, style=path|virtual, profile=NAME or "
	    "conditional=auto|yes|no",
	    name_quote(text, len, shown, sizeof(shown)));
}

static int
take_options(const char *text, struct s3_url *u, int *style, struct err *e)
{
	for (;;) {
		size_t len = strcspn(text, "&");
		const char *equals = memchr(text, '=', len);

		if (equals == NULL ||
		    !take_option(text, (size_t)(equals - text), equals + 1,
			(size_t)(text + len - equals) - 1, u, style))
			return refuse_option(text, len, e);
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	if (u->host[0] != '\0' && !u->tls && !http_is_loopback(u->host))
		return err_set(e, ERR_REFUSED,
		    "http://%s is not encrypted: only this machine itself may "
		    "be reached so; use https",
		    u->host);
	return 0;
}

/* ---- the whole ---- */

static int
put_bucket_in_front(struct s3_url *u, struct err *e)
{
	char whole[URL_HOST_LIMIT];
	int n = snprintf(whole, sizeof(whole), "%s.%s", u->bucket, u->host);

	if (strchr(u->host, ':') != NULL ||
	    strspn(u->host, "0123456789.") == strlen(u->host))
		return err_set(e, ERR_REFUSED,
		    "style=virtual puts the bucket before the name of the "
		    "host, and %s is an address: use style=path",
		    u->host);
	if (strchr(u->bucket, '.') != NULL)
		return err_set(e, ERR_REFUSED,
		    "bucket %s has a dot in its name, which no certificate "
		    "for style=virtual fits: use style=path",
		    u->bucket);
	if (n < 0 || (size_t)n >= sizeof(whole))
		return err_set(e, ERR_REFUSED, "%s: too long", u->host);
	(void)strcpy(u->host, whole);
	return 0;
}

/* What was not said. Without an endpoint it is Amazon's. */
static int
complete(struct s3_url *u, int style, struct err *e)
{
	bool own = u->host[0] != '\0';

	if (u->region[0] == '\0')
		(void)strcpy(u->region, "us-east-1");
	if (u->profile[0] == '\0')
		(void)strcpy(u->profile, "default");
	if (!own) {
		(void)snprintf(u->host, sizeof(u->host),
		    "s3.%s.amazonaws.com%s", u->region,
		    strncmp(u->region, "cn-", 3) == 0 ? ".cn" : "");
		u->tls = true;
		u->port = 443;
	}
	u->virtual_style =
	    style < 0 ? !own && strchr(u->bucket, '.') == NULL : style == 1;
	return u->virtual_style ? put_bucket_in_front(u, e) : 0;
}

static bool
take_place(const char *text, size_t len, struct s3_url *u)
{
	const char *slash = memchr(text, '/', len);
	size_t bucket = slash == NULL ? len : (size_t)(slash - text);

	return take_bucket(text, bucket, u) &&
	       take_prefix(text + bucket, len - bucket, u);
}

int
s3_url_parse(const char *text, struct s3_url *out, struct err *e)
{
	bool ours = strncmp(text, SCHEME, strlen(SCHEME)) == 0;
	const char *rest = ours ? text + strlen(SCHEME) : "";
	const char *query = strchr(rest, '?');
	size_t len = strcspn(rest, "?");
	struct s3_url u = {0};
	char shown[120];
	int style = -1;

	if (!take_place(rest, len, &u))
		return err_set(e, ERR_REFUSED,
		    "\"%s\": expected s3://BUCKET/PREFIX?OPTION=VALUE&..., the "
		    "bucket 3 to 63 of a-z 0-9 . -, the prefix of letters, "
		    "digits and . _ - / without empty parts and \"..\"",
		    name_quote(text, strlen(text), shown, sizeof(shown)));
	if ((query != NULL && take_options(query + 1, &u, &style, e) < 0) ||
	    complete(&u, style, e) < 0)
		return -1;
	*out = u;
	return 0;
}

int
s3_url_path(const struct s3_url *u, const char *name, char *out, size_t room,
    struct err *e)
{
	/* One slash between the two, none at the beginning. */
	size_t key = strlen(u->prefix) + strlen(name);
	int n = snprintf(out, room, "%s%s%s/%s", u->virtual_style ? "" : "/",
	    u->virtual_style ? "" : u->bucket, u->prefix, name);

	if (n < 0 || (size_t)n >= room || key > KEY_LIMIT)
		return err_set(e, ERR_REFUSED, "name too long: %s", name);
	return 0;
}
