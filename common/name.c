/* SPDX-License-Identifier: Apache-2.0 */
#include "common/name.h"

#include <stdio.h>
#include <string.h>

static int
is_alnum(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9');
}

int
name_check(const char *what, const char *name, struct err *e)
{
	size_t len = strlen(name), i;
	char shown[96];
	int ok = len > 0 && len < NAME_LIMIT && is_alnum(name[0]);

	for (i = 1; ok && i < len; i++)
		ok = is_alnum(name[i]) || strchr("._-", name[i]) != NULL;
	if (ok)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "\"%s\" cannot be the name of a %s: use 1 to 63 letters, digits, "
	    "'.', '_' or '-', beginning with a letter or digit",
	    name_quote(name, len, shown, sizeof(shown)), what);
}

const char *
name_quote(const char *text, size_t len, char *out, size_t room)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			if (n + 2 > room)
				break;
			out[n++] = (char)c;
		} else {
			if (n + 5 > room)
				break;
			(void)snprintf(out + n, room - n, "\\x%02x", c);
			n += 4;
		}
	}
	if (room > 0)
		out[n] = '\0';
	return out;
}

const char *
shell_word(const char *text, char *out, size_t room)
{
	size_t n = 0, i;
	int plain = text[0] != '\0';

	for (i = 0; plain && text[i] != '\0'; i++)
		plain = is_alnum(text[i]) || strchr("/._-+:@%,=", text[i]) != 0;
	if (plain || room < 3) {
		(void)snprintf(out, room, "%s", text);
		return out;
	}
	out[n++] = '\'';
	for (i = 0; text[i] != '\0'; i++) {
		size_t len = text[i] == '\'' ? 4 : 1;

		if (n + len + 2 > room)
			break;
		memcpy(out + n, len == 4 ? "'\\''" : &text[i], len);
		n += len;
	}
	out[n++] = '\'';
	out[n] = '\0';
	return out;
}
