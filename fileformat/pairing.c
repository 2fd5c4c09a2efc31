/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature is made over the text as pairing_encode writes it. A text
 * that was read is written again from what was understood, and the signature
 * is checked over that: what a mail program does to line ends and blank lines
 * does no harm, and nothing that is not understood can hide in it.
 */
#include "fileformat/pairing.h"

#include "common/buf.h"
#include "common/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAIRING_DOMAIN "aim pairing 1"
#define LINE_LEN 256 /* with the NUL */

void
pairing_release(struct pairing *p)
{
	free(p->volumes);
	*p = (struct pairing){0};
}

static const char *
kind_word(enum volume_kind k)
{
	return k == VOLUME_BLOCK ? "block" : "file";
}

static int
write_uuid(struct buf *b, const char *key, const struct uuid *u, struct err *e)
{
	char text[UUID_TEXT];

	return buf_printf(b, e, "%s %s\n", key, uuid_text(u, text));
}

/* Everything but the signature. */
static int
write_text(const struct pairing *p, struct buf *b, struct err *e)
{
	bool mirror = p->role == PAIRING_MIRROR;
	char text[UUID_TEXT], key[65];
	uint32_t i;

	if (buf_printf(b, e, "aim-pairing 1\nrole %s\nsite-name %s\n",
		mirror ? "mirror" : "source", p->site_name) < 0 ||
	    write_uuid(b, "site", &p->site, e) < 0 ||
	    buf_printf(b, e, "group-name %s\n", p->group_name) < 0 ||
	    write_uuid(b, "group", &p->group, e) < 0 ||
	    write_uuid(b, "stream", &p->stream, e) < 0)
		return -1;
	if (mirror && write_uuid(b, "mirror", &p->mirror, e) < 0)
		return -1;
	if (p->encrypted && buf_printf(b, e, "encrypted yes\n") < 0)
		return -1;
	if (buf_printf(b, e, "key %s\n", hex_text(p->key.key, 32, key)) < 0)
		return -1;
	for (i = 0; i < p->volume_count; i++) {
		const struct pairing_volume *v = &p->volumes[i];

		if (buf_printf(b, e, "volume %s %s %" PRIu64 " %s\n", v->name,
			uuid_text(&v->uuid, text), v->size,
			kind_word(v->kind)) < 0)
			return -1;
	}
	return 0;
}

static int
check_volume(const struct pairing *p, uint32_t i, struct err *e)
{
	const struct pairing_volume *v = &p->volumes[i];
	uint32_t k;

	if (name_check("volume", v->name, e) < 0)
		return -1;
	if (uuid_is_nil(&v->uuid) || v->size > INT64_MAX)
		return err_set(e, ERR_REFUSED,
		    "volume %s has no UUID or an impossible size", v->name);
	for (k = 0; k < i; k++)
		if (uuid_equal(&p->volumes[k].uuid, &v->uuid) ||
		    strcmp(p->volumes[k].name, v->name) == 0)
			return err_set(e, ERR_REFUSED,
			    "volume %s is listed twice", v->name);
	return 0;
}

static int
check_sense(const struct pairing *p, struct err *e)
{
	uint32_t i;

	if (p->role != PAIRING_SOURCE && p->role != PAIRING_MIRROR)
		return err_set(e, ERR_REFUSED, "the role is missing");
	if (name_check("site", p->site_name, e) < 0 ||
	    name_check("group", p->group_name, e) < 0)
		return -1;
	if (uuid_is_nil(&p->site) || uuid_is_nil(&p->group) ||
	    uuid_is_nil(&p->stream) ||
	    uuid_is_nil(&p->mirror) != (p->role == PAIRING_SOURCE))
		return err_set(e, ERR_REFUSED,
		    "site, group, stream or mirror is missing, or out of "
		    "place");
	if (p->encrypted && p->role != PAIRING_SOURCE)
		return err_set(
		    e, ERR_REFUSED, "only a source says that it encrypts");
	if (p->volume_count == 0 || p->volume_count > JOURNAL_VOLUME_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "%" PRIu32 " volumes are not 1..%d", p->volume_count,
		    JOURNAL_VOLUME_LIMIT);
	for (i = 0; i < p->volume_count; i++)
		if (check_volume(p, i, e) < 0)
			return -1;
	return 0;
}

int
pairing_encode(const struct pairing *p, const struct sign_secret *key,
    char **out, size_t *len, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	struct pairing full = *p; /* borrows the volumes */
	uint8_t signature[SIGNATURE_LEN];
	char hex[2 * SIGNATURE_LEN + 1];

	full.key = key->pub;
	if (check_sense(&full, e) < 0 || write_text(&full, &b, e) < 0 ||
	    sign_bytes(key, PAIRING_DOMAIN, b.data, b.len, signature, e) < 0 ||
	    buf_printf(&b, e, "signature %s\n",
		hex_text(signature, SIGNATURE_LEN, hex)) < 0)
		return -1;
	if (b.len > PAIRING_LIMIT)
		return err_set(e, ERR_REFUSED, "pairing text too long");
	*len = b.len;
	*out = (char *)STEAL(b.data);
	b = (struct buf){0};
	return 0;
}

/* ---- reading ---- */

struct lines {
	const char *at, *end;
	unsigned number;
	char line[LINE_LEN];
};

/* The next line that is not empty, without blanks at its end. 1, 0, -1. */
static int
next_line(struct lines *l, struct err *e)
{
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
		if (len >= LINE_LEN || memchr(from, '\0', len) != NULL)
			return err_set(e, ERR_REFUSED,
			    "line %u is not of a pairing text", l->number);
		memcpy(l->line, from, len);
		l->line[len] = '\0';
		return 1;
	}
	return 0;
}

/* The value after "key " in the next line; NULL and the error otherwise. */
static const char *
want(struct lines *l, const char *key, struct err *e)
{
	size_t n = strlen(key);
	int more = next_line(l, e);

	if (more < 0)
		return NULL;
	if (more == 0) {
		(void)err_set(e, ERR_CORRUPT,
		    "pairing text ends before its \"%s\" line; was it cut?",
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

static int
at_line(const struct lines *l, struct err *e)
{
	return err_at(e, "line %u", l->number);
}

static int
want_uuid(struct lines *l, const char *key, struct uuid *out, struct err *e)
{
	const char *value = want(l, key, e);

	if (value == NULL)
		return -1;
	return uuid_parse(value, out, e) < 0 ? at_line(l, e) : 0;
}

static int
want_name(struct lines *l, const char *key, char *out, struct err *e)
{
	const char *value = want(l, key, e);

	if (value == NULL)
		return -1;
	if (name_check("site or group", value, e) < 0)
		return at_line(l, e);
	memcpy(out, value, strlen(value) + 1);
	return 0;
}

static int
want_hex(struct lines *l, const char *key, void *out, size_t len, struct err *e)
{
	const char *value = want(l, key, e);

	if (value == NULL)
		return -1;
	return hex_parse(value, out, len, e) < 0 ? at_line(l, e) : 0;
}

static int
want_role(struct lines *l, struct pairing *p, struct err *e)
{
	const char *value = want(l, "aim-pairing", e);

	if (value == NULL)
		return -1;
	if (strcmp(value, "1") != 0)
		return err_set(e, ERR_REFUSED,
		    "pairing text is of a version that is not known here; "
		    "this program reads version 1");
	value = want(l, "role", e);
	if (value == NULL)
		return -1;
	if (strcmp(value, "source") == 0)
		p->role = PAIRING_SOURCE;
	else if (strcmp(value, "mirror") == 0)
		p->role = PAIRING_MIRROR;
	else
		return err_set(e, ERR_REFUSED,
		    "line %u: the role is neither source nor mirror",
		    l->number);
	return 0;
}

static int
parse_size(const char *text, uint64_t *out)
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
	char *save = NULL;
	const char *name = strtok_r(l->line + strlen("volume "), " ", &save);
	const char *uuid = strtok_r(NULL, " ", &save);
	const char *size = strtok_r(NULL, " ", &save);
	const char *kind = strtok_r(NULL, " ", &save);

	if (kind == NULL || strtok_r(NULL, " ", &save) != NULL)
		return err_set(e, ERR_REFUSED,
		    "line %u should be \"volume NAME UUID SIZE KIND\"",
		    l->number);
	if (name_check("volume", name, e) < 0 ||
	    uuid_parse(uuid, &v->uuid, e) < 0)
		return at_line(l, e);
	if (parse_size(size, &v->size) < 0)
		return err_set(e, ERR_REFUSED,
		    "line %u: the volume's size is not a number of bytes",
		    l->number);
	if (strcmp(kind, "file") != 0 && strcmp(kind, "block") != 0)
		return err_set(e, ERR_REFUSED,
		    "line %u: the volume is neither file nor block", l->number);
	v->kind = strcmp(kind, "file") == 0 ? VOLUME_FILE : VOLUME_BLOCK;
	memcpy(v->name, name, strlen(name) + 1);
	return 0;
}

/* A line that is there or not. */
static int
may_be_encrypted(struct lines *l, struct pairing *p, struct err *e)
{
	struct lines before = *l;
	int more = next_line(l, e);

	if (more < 0)
		return -1;
	p->encrypted = more > 0 && strcmp(l->line, "encrypted yes") == 0;
	if (!p->encrypted)
		*l = before;
	return 0;
}

static int
want_volumes(struct lines *l, struct pairing *p, struct err *e)
{
	uint32_t room = 0;

	for (;;) {
		struct lines before = *l;
		struct pairing_volume *grown;
		int more = next_line(l, e);

		if (more < 0)
			return -1;
		if (more == 0 || strncmp(l->line, "volume ", 7) != 0) {
			*l = before;
			return 0;
		}
		if (p->volume_count == JOURNAL_VOLUME_LIMIT)
			return err_set(e, ERR_REFUSED,
			    "line %u: more than %d volumes", l->number,
			    JOURNAL_VOLUME_LIMIT);
		if (p->volume_count == room) {
			room = room == 0 ? 8 : room * 2;
			grown =
			    reallocarray(p->volumes, room, sizeof(*p->volumes));
			if (grown == NULL)
				return err_set(e, ERR_RETRY, "out of memory");
			p->volumes = grown;
		}
		memset(&p->volumes[p->volume_count], 0, sizeof(*p->volumes));
		if (parse_volume(l, &p->volumes[p->volume_count], e) < 0)
			return -1;
		p->volume_count++;
	}
}

static int
read_text(struct lines *l, struct pairing *p, uint8_t *signature, struct err *e)
{
	int more;

	if (want_role(l, p, e) < 0 ||
	    want_name(l, "site-name", p->site_name, e) < 0 ||
	    want_uuid(l, "site", &p->site, e) < 0 ||
	    want_name(l, "group-name", p->group_name, e) < 0 ||
	    want_uuid(l, "group", &p->group, e) < 0 ||
	    want_uuid(l, "stream", &p->stream, e) < 0)
		return -1;
	if (p->role == PAIRING_MIRROR &&
	    want_uuid(l, "mirror", &p->mirror, e) < 0)
		return -1;
	if (p->role == PAIRING_SOURCE && may_be_encrypted(l, p, e) < 0)
		return -1;
	if (want_hex(l, "key", p->key.key, sizeof(p->key.key), e) < 0 ||
	    want_volumes(l, p, e) < 0 ||
	    want_hex(l, "signature", signature, SIGNATURE_LEN, e) < 0)
		return -1;
	more = next_line(l, e);
	if (more > 0)
		return err_set(e, ERR_REFUSED,
		    "line %u comes after the signature", l->number);
	return more;
}

int
pairing_decode(const char *text, size_t len, struct pairing *out, struct err *e)
{
	AUTO(pairing_release) struct pairing p = {0};
	AUTO(buf_release) struct buf again = {0};
	struct lines l = {.at = text, .end = text + len};
	uint8_t signature[SIGNATURE_LEN];
	bool valid = false;

	if (len > PAIRING_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "a pairing text has at most %u bytes", PAIRING_LIMIT);
	if (read_text(&l, &p, signature, e) < 0 || check_sense(&p, e) < 0)
		return err_at(e, "pairing text");
	if (write_text(&p, &again, e) < 0 ||
	    sign_check(&p.key, PAIRING_DOMAIN, again.data, again.len, signature,
		&valid, e) < 0)
		return -1;
	if (!valid)
		return err_set(e, ERR_CORRUPT,
		    "pairing text: the signature does not fit: it was changed "
		    "on the way; export it again");
	*out = p;
	p = (struct pairing){0};
	return 0;
}
