/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/url.h"

#include <string.h>

bool
url_is_plain(const char *text, size_t len, const char *extra)
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

bool
url_copy(const char *text, size_t len, char *out, size_t room)
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

bool
url_host(const char *text, size_t len, char out[URL_HOST_LIMIT], uint16_t *port)
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
	if (!url_is_plain(text, len, extra) || text[0] == '-' ||
	    !url_copy(text, len, out, URL_HOST_LIMIT))
		return false;
	if (stop == end)
		return true;
	return *stop == ':' &&
	       parse_port(stop + 1, (size_t)(end - stop) - 1, port);
}

bool
url_dir(const char *text, char out[URL_DIR_LIMIT])
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '/')
		len--;
	if (len == 0) {
		out[0] = '\0';
		return true;
	}
	if (!url_is_plain(text, len, "/._-+@,~") ||
	    !url_copy(text, len, out, URL_DIR_LIMIT))
		return false;
	return strstr(out, "/../") == NULL && strstr(out, "//") == NULL &&
	       (len < 3 || strcmp(out + len - 3, "/..") != 0);
}
