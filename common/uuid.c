/* SPDX-License-Identifier: Apache-2.0 */
#include "common/uuid.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int
random_bytes(void *to, size_t len, struct err *e)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = getrandom((uint8_t *)to + got, len - got, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read random bytes");
		got += (size_t)n;
	}
	return 0;
}

int
uuid_make(struct uuid *out, struct err *e)
{
	if (random_bytes(out->b, sizeof(out->b), e) < 0)
		return -1;
	out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x40);
	out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
	return 0;
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
hex_parse(const char *text, void *out, size_t len, struct err *e)
{
	uint8_t *to = out;
	size_t i;

	if (strlen(text) != 2 * len)
		return err_set(e, ERR_REFUSED,
		    "\"%.80s\" is not %zu hexadecimal digits", text, 2 * len);
	for (i = 0; i < 2 * len; i++)
		if (nibble(text[i]) < 0)
			return err_set(e, ERR_REFUSED,
			    "\"%.80s\" is not hexadecimal", text);
	for (i = 0; i < len; i++)
		to[i] = (uint8_t)((unsigned)nibble(text[2 * i]) << 4 |
				  (unsigned)nibble(text[2 * i + 1]));
	return 0;
}

const char *
hex_text(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

int
uuid_parse(const char *text, struct uuid *out, struct err *e)
{
	char plain[33];
	size_t i, n = 0;

	if (strlen(text) != UUID_TEXT - 1)
		return err_set(e, ERR_REFUSED, "\"%.60s\" is not a UUID", text);
	for (i = 0; i < UUID_TEXT - 1; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen != (text[i] == '-'))
			return err_set(
			    e, ERR_REFUSED, "\"%.60s\" is not a UUID", text);
		if (!hyphen)
			plain[n++] = text[i];
	}
	plain[n] = '\0';
	return hex_parse(plain, out->b, sizeof(out->b), e);
}

const char *
uuid_text(const struct uuid *u, char out[UUID_TEXT])
{
	char plain[33];

	(void)hex_text(u->b, sizeof(u->b), plain);
	memcpy(out, plain, 8);
	out[8] = '-';
	memcpy(out + 9, plain + 8, 4);
	out[13] = '-';
	memcpy(out + 14, plain + 12, 4);
	out[18] = '-';
	memcpy(out + 19, plain + 16, 4);
	out[23] = '-';
	memcpy(out + 24, plain + 20, 12);
	out[36] = '\0';
	return out;
}

bool
uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool
uuid_is_nil(const struct uuid *u)
{
	static const struct uuid nil;

	return uuid_equal(u, &nil);
}
