/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"

#include <stdio.h>
#include <string.h>

static void
put(struct json *j, const char *text)
{
	if (!j->failed && buf_add(&j->out, text, strlen(text), &j->err) < 0)
		j->failed = true;
}

static void
quote(struct json *j, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char one[8];

	put(j, "\"");
	for (; *p != 0; p++) {
		if (*p == '"' || *p == '\\')
			(void)snprintf(one, sizeof(one), "\\%c", *p);
		else if (*p < 0x20 || *p >= 0x7f)
			(void)snprintf(one, sizeof(one), "\\u%04x", *p);
		else
			(void)snprintf(one, sizeof(one), "%c", *p);
		put(j, one);
	}
	put(j, "\"");
}

static void
begin(struct json *j, const char *key)
{
	if (j->comma)
		put(j, ",");
	j->comma = true;
	if (key != NULL) {
		quote(j, key);
		put(j, ":");
	}
}

void
json_object(struct json *j, const char *key)
{
	begin(j, key);
	put(j, "{");
	j->comma = false;
}

void
json_object_end(struct json *j)
{
	put(j, "}");
	j->comma = true;
}

void
json_array(struct json *j, const char *key)
{
	begin(j, key);
	put(j, "[");
	j->comma = false;
}

void
json_array_end(struct json *j)
{
	put(j, "]");
	j->comma = true;
}

void
json_text(struct json *j, const char *key, const char *value)
{
	if (value == NULL) {
		json_null(j, key);
		return;
	}
	begin(j, key);
	quote(j, value);
}

void
json_number(struct json *j, const char *key, uint64_t value)
{
	char text[24];

	begin(j, key);
	(void)snprintf(text, sizeof(text), "%ju", (uintmax_t)value);
	put(j, text);
}

void
json_real(struct json *j, const char *key, double value)
{
	char text[40];

	begin(j, key);
	(void)snprintf(text, sizeof(text), "%.3f", value);
	put(j, text);
}

void
json_bool(struct json *j, const char *key, bool value)
{
	begin(j, key);
	put(j, value ? "true" : "false");
}

void
json_null(struct json *j, const char *key)
{
	begin(j, key);
	put(j, "null");
}

int
json_end(struct json *j, struct buf *out, struct err *e)
{
	put(j, "\n");
	put(j, ""); /* keep a failure sticky */
	if (j->failed) {
		buf_release(&j->out);
		return err_set(e, j->err.kind, "%s", j->err.text);
	}
	buf_swap(out, &j->out);
	buf_release(&j->out);
	*j = (struct json){0};
	return 0;
}
