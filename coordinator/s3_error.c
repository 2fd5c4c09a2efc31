/* SPDX-License-Identifier: Apache-2.0 */
/* s3_error: a scanner for what is between <Error> and </Error>. */
#include "coordinator/s3_error.h"

#include "common/name.h"

#include <stdint.h>
#include <string.h>

struct text {
	const char *at, *end;
};

static bool
begins(const struct text *t, const char *with)
{
	size_t len = strlen(with);

	return (size_t)(t->end - t->at) >= len && memcmp(t->at, with, len) == 0;
}

/* Moves behind the next `what`; false when there is none. */
static bool
skip_past(struct text *t, const char *what)
{
	for (; t->at < t->end; t->at++)
		if (begins(t, what)) {
			t->at += strlen(what);
			return true;
		}
	return false;
}

/* One character of content: an entity is made what it stands for. */
static char
take_char(struct text *t)
{
	static const struct {
		const char *name;
		char c;
	} entities[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'},
	    {"&quot;", '"'}, {"&apos;", '\''}};

	for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
		if (begins(t, entities[i].name)) {
			t->at += strlen(entities[i].name);
			return entities[i].c;
		}
	return *t->at++;
}

/* The content of an element without children, up to the next tag. */
static void
take_content(struct text *t, char *out, size_t room)
{
	char raw[256];
	size_t len = 0;

	while (t->at < t->end && *t->at != '<') {
		char c = take_char(t);

		if (len < sizeof(raw))
			raw[len++] = c;
	}
	if (out[0] == '\0')
		(void)name_quote(raw, len, out, room);
}

static void
take_element(struct text *t, struct s3_error *out)
{
	const struct {
		const char *tag;
		char *to;
		size_t room;
	} known[] = {{"<Code>", out->code, sizeof(out->code)},
	    {"<Message>", out->message, sizeof(out->message)},
	    {"<Region>", out->region, sizeof(out->region)},
	    {"<ServerTime>", out->server_time, sizeof(out->server_time)}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (begins(t, known[i].tag)) {
			t->at += strlen(known[i].tag);
			take_content(t, known[i].to, known[i].room);
			return;
		}
	t->at++;
}

void
s3_error_parse(const void *text, size_t len, struct s3_error *out)
{
	struct text t = {text,
	    (const char *)text + (len < S3_ERROR_LIMIT ? len : S3_ERROR_LIMIT)};

	*out = (struct s3_error){0};
	/* <Error> may carry a name space. */
	if (!skip_past(&t, "<Error") || t.at == t.end ||
	    (*t.at != '>' && *t.at != ' '))
		return;
	while (t.at < t.end && !begins(&t, "</Error>")) {
		if (*t.at == '<')
			take_element(&t, out);
		else
			t.at++;
	}
}
