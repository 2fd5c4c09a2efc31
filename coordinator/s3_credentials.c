/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/s3_credentials.h"

#include "common/cleanup.h"
#include "coordinator/secret.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct piece {
	const char *at;
	size_t len;
};

static struct piece
trim(struct piece p)
{
	while (
	    p.len > 0 && strchr(" \t\r", p.at[0]) != NULL && p.at[0] != '\0') {
		p.at++;
		p.len--;
	}
	while (p.len > 0 && strchr(" \t\r", p.at[p.len - 1]) != NULL &&
	       p.at[p.len - 1] != '\0')
		p.len--;
	return p;
}

static bool
is_text(struct piece p, const char *text)
{
	return p.len == strlen(text) && strncasecmp(p.at, text, p.len) == 0;
}

/* "[NAME]", or "[profile NAME]" as the tools' other file has it. */
static bool
is_section(struct piece line, const char *profile)
{
	struct piece name = {line.at + 1, line.len - 1};

	if (name.len == 0 || name.at[name.len - 1] != ']')
		return false;
	name.len--;
	name = trim(name);
	if (name.len > 8 && strncmp(name.at, "profile ", 8) == 0)
		name = trim((struct piece){name.at + 8, name.len - 8});
	return name.len == strlen(profile) &&
	       strncmp(name.at, profile, name.len) == 0;
}

/* Printable, without spaces and what `not` lists. */
static bool
take(struct piece p, const char * not, char *out, size_t room)
{
	if (p.len == 0 || p.len >= room)
		return false;
	for (size_t i = 0; i < p.len; i++)
		if (p.at[i] <= ' ' || p.at[i] >= 0x7f ||
		    strchr(not, p.at[i]) != NULL)
			return false;
	memcpy(out, p.at, p.len);
	out[p.len] = '\0';
	return true;
}

/* False when the line sets one of ours to what it cannot be. */
static bool
take_line(struct piece line, struct s3_credentials *c)
{
	const char *equals = memchr(line.at, '=', line.len);
	struct piece name, value;

	if (equals == NULL)
		return true;
	name = trim((struct piece){line.at, (size_t)(equals - line.at)});
	value = trim((struct piece){
	    equals + 1, line.len - (size_t)(equals - line.at) - 1});
	if (is_text(name, "aws_access_key_id"))
		return take(value, "/,", c->access_key, sizeof(c->access_key));
	if (is_text(name, "aws_secret_access_key"))
		return take(value, "", c->secret_key, sizeof(c->secret_key));
	if (is_text(name, "aws_session_token"))
		return take(value, "", c->token, sizeof(c->token));
	return true;
}

static int
check_found(const struct s3_credentials *c, bool found, const char *path,
    const char *profile, struct err *e)
{
	if (!found)
		return err_set(e, ERR_REFUSED,
		    "%s has no section [%s]: add one with aws_access_key_id "
		    "and aws_secret_access_key",
		    path, profile);
	if (c->access_key[0] == '\0' || c->secret_key[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "%s: section [%s] has no %s (keys from other programs or "
		    "roles are not fetched: put them there)",
		    path, profile,
		    c->access_key[0] == '\0' ? "aws_access_key_id"
					     : "aws_secret_access_key");
	return 0;
}

int
s3_credentials_parse(const char *text, size_t len, const char *path,
    const char *profile, struct s3_credentials *out, struct err *e)
{
	AUTO(s3_credentials_forget) struct s3_credentials c = {0};
	const char *at = text, *end = text + len;
	bool inside = false, found = false;
	unsigned number = 0;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct piece line;

		if (stop == NULL)
			stop = end;
		line = trim((struct piece){at, (size_t)(stop - at)});
		at = stop + 1;
		number++;
		if (line.len == 0 || line.at[0] == '#' || line.at[0] == ';')
			continue;
		if (line.at[0] == '[') {
			inside = is_section(line, profile);
			found = found || inside;
		} else if (inside && !take_line(line, &c)) {
			/* Not the line itself: it may be a secret. */
			return err_set(e, ERR_REFUSED,
			    "%s line %u: the value is empty, too long or has "
			    "characters in it that no key has",
			    path, number);
		}
	}
	if (check_found(&c, found, path, profile, e) < 0)
		return -1;
	*out = c;
	return 0;
}

void
s3_credentials_forget(struct s3_credentials *c)
{
	explicit_bzero(c, sizeof(*c));
}

int
s3_credentials_read(const char *path, const char *profile,
    struct s3_credentials *out, struct err *e)
{
	AUTO(secret_release) struct buf b = {0};

	if (secret_read("credentials file", path, &b, e) < 0)
		return -1;
	return s3_credentials_parse(
	    (const char *)b.data, b.len, path, profile, out, e);
}
