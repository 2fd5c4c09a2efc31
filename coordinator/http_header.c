/* SPDX-License-Identifier: Apache-2.0 */
/* http_header: headers as lines of text, and the credentials among them. */
#include "common/cleanup.h"
#include "coordinator/http.h"
#include "coordinator/secret.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
is_token(const char *name)
{
	return url_is_plain(name, strlen(name), "-_.");
}

static bool
is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

int
http_header_add(struct http_request *r, struct err *e, const char *name,
    const char *fmt, ...)
{
	size_t used = strnlen(r->headers, sizeof(r->headers));
	size_t room = sizeof(r->headers) - used, len;
	char *to = r->headers + used;
	va_list ap;
	int n, m = -1;

	n = snprintf(to, room, "%s: ", name);
	if (n > 0 && (size_t)n < room) {
		va_start(ap, fmt);
		m = vsnprintf(to + n, room - (size_t)n, fmt, ap);
		va_end(ap);
	}
	if (m < 0 || (size_t)n + (size_t)m + 2 > room) {
		*to = '\0';
		return err_set(e, ERR_REFUSED, "header %s is too long", name);
	}
	if (!is_token(name) || !is_printable(to)) {
		*to = '\0';
		return err_set(e, ERR_REFUSED,
		    "header %s has a control character in it", name);
	}
	len = (size_t)n + (size_t)m;
	to[len] = '\n';
	to[len + 1] = '\0';
	return 0;
}

bool
http_header(const char *headers, const char *name, char *out, size_t room)
{
	size_t want = strlen(name), len;
	bool found = false;
	const char *end;

	out[0] = '\0';
	for (; *headers != '\0'; headers = end + (*end == '\n' ? 1 : 0)) {
		end = headers + strcspn(headers, "\n");
		if (strncasecmp(headers, name, want) != 0 ||
		    headers[want] != ':')
			continue;
		headers += want + 1;
		headers += strspn(headers, " \t");
		len = (size_t)(end - headers);
		found = url_copy(headers, len, out, room);
	}
	return found;
}

const char *
http_host(const struct http_setup *s, char *out, size_t room)
{
	bool v6 = strchr(s->host, ':') != NULL;
	const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";

	if (s->port == (s->tls ? 443 : 80))
		(void)snprintf(out, room, "%s%s%s", open, s->host, close);
	else
		(void)snprintf(
		    out, room, "%s%s%s:%u", open, s->host, close, s->port);
	return out;
}

bool
http_is_loopback(const char *host)
{
	return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	       (strncmp(host, "127.", 4) == 0 &&
		   strspn(host, "0123456789.") == strlen(host));
}

/* ---- credentials ---- */

#define SECRET_LINE 2048u

static int
no_credentials(const char *path, struct err *e)
{
	return err_set(e, ERR_REFUSED,
	    "%s: expected one line, USER:PASSWORD or 'bearer TOKEN', of at "
	    "most %u printable characters",
	    path, SECRET_LINE);
}

/* The one line, without its end; NULL when it is not one of printable text. */
static const char *
one_line(struct buf *b)
{
	char *text = (char *)b->data;
	size_t i, len = strcspn(text, "\r\n");

	for (i = len; i < b->len; i++)
		if (strchr("\r\n", text[i]) == NULL || text[i] == '\0')
			return NULL;
	text[len] = '\0';
	return len > 0 && len <= SECRET_LINE && is_printable(text) ? text
								   : NULL;
}

static int
add_basic(struct http_request *r, const char *text, struct err *e)
{
	char coded[SECRET_LINE * 4 / 3 + 8];
	int added;

	(void)EVP_EncodeBlock((unsigned char *)coded,
	    (const unsigned char *)text, (int)strlen(text));
	added = http_header_add(r, e, "Authorization", "Basic %s", coded);
	explicit_bzero(coded, sizeof(coded));
	return added;
}

int
http_credentials(
    const struct http_setup *s, struct http_request *r, struct err *e)
{
	AUTO(secret_release) struct buf b = {0};
	const char *line;

	if (s->credentials_file[0] == '\0')
		return 0;
	if (secret_read("credentials", s->credentials_file, &b, e) < 0)
		return -1;
	line = one_line(&b);
	if (line == NULL)
		return no_credentials(s->credentials_file, e);
	if (strncasecmp(line, "bearer ", 7) == 0) {
		line += 7;
		if (line[0] == '\0' || strchr(line, ' ') != NULL)
			return no_credentials(s->credentials_file, e);
		return r == NULL ? 0
				 : http_header_add(r, e, "Authorization",
				       "Bearer %s", line);
	}
	if (strchr(line, ':') == NULL)
		return no_credentials(s->credentials_file, e);
	return r == NULL ? 0 : add_basic(r, line, e);
}
