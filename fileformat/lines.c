/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/lines.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int
lines_next(struct lines *l, struct err *e)
{
	assert(l->most < LINE_LEN);
	while (l->at < l->end) {
		const char *nl = memchr(l->at, '\n', (size_t)(l->end - l->at));
		const char *stop = nl == NULL ? l->end : nl;
		size_t len = (size_t)(stop - l->at);
		const char *from = l->at;

		l->number++;
		l->at = nl == NULL ? l->end : nl + 1;
		while (len > 0 && strchr(" \t\r", from[len - 1]) != NULL &&
		       from[len - 1] != '\0')
			len--;
		if (len == 0)
			continue;
		if (len > l->most || memchr(from, '\0', len) != NULL)
			return err_set(e, ERR_REFUSED, "line %u is not of a %s",
			    l->number, l->what);
		memcpy(l->line, from, len);
		l->line[len] = '\0';
		return 1;
	}
	return 0;
}

char *
lines_want(struct lines *l, const char *key, struct err *e)
{
	size_t n = strlen(key);
	int more = lines_next(l, e);

	if (more < 0)
		return NULL;
	if (more == 0) {
		(void)err_set(e, ERR_CORRUPT,
		    "%s ends before its \"%s\" line; was it cut?", l->what,
		    key);
		return NULL;
	}
	if (strncmp(l->line, key, n) != 0 || l->line[n] != ' ') {
		(void)err_set(e, ERR_REFUSED, "line %u should be \"%s ...\"",
		    l->number, key);
		return NULL;
	}
	return l->line + n + 1;
}

int
lines_may(struct lines *l, const char *key, char **value, struct err *e)
{
	const char *at = l->at;
	unsigned number = l->number;
	size_t n = strlen(key);
	int more = lines_next(l, e);

	if (more <= 0)
		return more;
	if (strncmp(l->line, key, n) != 0 || l->line[n] != ' ') {
		l->at = at;
		l->number = number;
		return 0;
	}
	*value = l->line + n + 1;
	return 1;
}

int
lines_at(const struct lines *l, struct err *e)
{
	return err_at(e, "line %u", l->number);
}

int
lines_uuid(struct lines *l, const char *key, struct uuid *out, struct err *e)
{
	const char *value = lines_want(l, key, e);

	if (value == NULL)
		return -1;
	return uuid_parse(value, out, e) < 0 ? lines_at(l, e) : 0;
}

int
lines_name(struct lines *l, const char *key, char *out, struct err *e)
{
	const char *value = lines_want(l, key, e);

	if (value == NULL)
		return -1;
	if (name_check("site or group", value, e) < 0)
		return lines_at(l, e);
	memcpy(out, value, strlen(value) + 1);
	return 0;
}

int
lines_hex(
    struct lines *l, const char *key, void *out, size_t len, struct err *e)
{
	const char *value = lines_want(l, key, e);

	if (value == NULL)
		return -1;
	return hex_parse(value, out, len, e) < 0 ? lines_at(l, e) : 0;
}

int
lines_number(const char *text, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9' ||
	    (text[0] == '0' && text[1] != '\0'))
		return -1;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *out <= INT64_MAX ? 0 : -1;
}

/* "NAME UUID SIZE file|block"; changes the line. */
static int
parse_volume(struct lines *l, struct pairing_volume *v, struct err *e)
{
	char *save = NULL, *at = l->line + strlen("volume ");
	const char *word[5] = {NULL};
	size_t i;

	for (i = 0; i < 5; i++, at = NULL)
		word[i] = strtok_r(at, " ", &save);
	if (word[3] == NULL || word[4] != NULL)
		return err_set(e, ERR_REFUSED,
		    "line %u should be \"volume NAME UUID SIZE KIND\"",
		    l->number);
	if (name_check("volume", word[0], e) < 0 ||
	    uuid_parse(word[1], &v->uuid, e) < 0)
		return lines_at(l, e);
	if (lines_number(word[2], &v->size) < 0)
		return err_set(e, ERR_REFUSED,
		    "line %u: the volume's size is not a number of bytes",
		    l->number);
	if (strcmp(word[3], "file") != 0 && strcmp(word[3], "block") != 0)
		return err_set(e, ERR_REFUSED,
		    "line %u: the volume is neither file nor block", l->number);
	v->kind = strcmp(word[3], "file") == 0 ? VOLUME_FILE : VOLUME_BLOCK;
	memcpy(v->name, word[0], strlen(word[0]) + 1);
	return 0;
}

int
lines_volumes(struct lines *l, struct pairing_volume **volumes, uint32_t *count,
    struct err *e)
{
	struct pairing_volume *grown;
	uint32_t room = 0;
	char *value;
	int more;

	*volumes = NULL;
	*count = 0;
	while ((more = lines_may(l, "volume", &value, e)) > 0) {
		if (*count == JOURNAL_VOLUME_LIMIT)
			return err_set(e, ERR_REFUSED,
			    "line %u: more than %d volumes", l->number,
			    JOURNAL_VOLUME_LIMIT);
		if (*count == room) {
			room = room == 0 ? 8 : room * 2;
			grown = reallocarray(*volumes, room, sizeof(*grown));
			if (grown == NULL)
				return err_set(e, ERR_RETRY, "out of memory");
			*volumes = grown;
		}
		memset(&(*volumes)[*count], 0, sizeof(**volumes));
		if (parse_volume(l, &(*volumes)[*count], e) < 0)
			return -1;
		(*count)++;
	}
	return more;
}

static int
check_volume(const struct pairing_volume *all, uint32_t i, struct err *e)
{
	const struct pairing_volume *v = &all[i];
	uint32_t k;

	if (name_check("volume", v->name, e) < 0)
		return -1;
	if (uuid_is_nil(&v->uuid) || v->size > INT64_MAX)
		return err_set(e, ERR_REFUSED,
		    "volume %s has no UUID or an impossible size", v->name);
	for (k = 0; k < i; k++)
		if (uuid_equal(&all[k].uuid, &v->uuid) ||
		    strcmp(all[k].name, v->name) == 0)
			return err_set(e, ERR_REFUSED,
			    "volume %s is listed twice", v->name);
	return 0;
}

int
lines_check_volumes(
    const struct pairing_volume *volumes, uint32_t count, struct err *e)
{
	uint32_t i;

	if (count == 0 || count > JOURNAL_VOLUME_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "%" PRIu32 " volumes are not 1..%d", count,
		    JOURNAL_VOLUME_LIMIT);
	for (i = 0; i < count; i++)
		if (check_volume(volumes, i, e) < 0)
			return -1;
	return 0;
}

/* ---- writing ---- */

int
lines_write_uuid(
    struct buf *b, const char *key, const struct uuid *u, struct err *e)
{
	char text[UUID_TEXT];

	return buf_printf(b, e, "%s %s\n", key, uuid_text(u, text));
}

int
lines_write_volumes(const struct pairing_volume *volumes, uint32_t count,
    struct buf *b, struct err *e)
{
	char text[UUID_TEXT];
	uint32_t i;

	for (i = 0; i < count; i++) {
		const struct pairing_volume *v = &volumes[i];

		if (buf_printf(b, e, "volume %s %s %" PRIu64 " %s\n", v->name,
			uuid_text(&v->uuid, text), v->size,
			v->kind == VOLUME_BLOCK ? "block" : "file") < 0)
			return -1;
	}
	return 0;
}
