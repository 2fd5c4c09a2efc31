/* SPDX-License-Identifier: Apache-2.0 */
/* As with a pairing text, the signature is checked over what was understood,
 * written again. */
#include "fileformat/members.h"

#include "common/buf.h"
#include "common/cleanup.h"
#include "fileformat/lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_DOMAIN "aim layout 1"
#define MEMBERS_LINE 3000u /* bytes */

void
members_release(struct members *m)
{
	free(m->volumes);
	free(m->members);
	*m = (struct members){.volume_count = 0};
}

static int
write_member(const struct member *m, struct buf *b, struct err *e)
{
	char stream[UUID_TEXT], mirror[UUID_TEXT], site[UUID_TEXT], key[65];

	if (buf_printf(b, e, "member %s %s %s %s %s\n", m->name,
		uuid_text(&m->stream, stream), uuid_text(&m->mirror, mirror),
		uuid_text(&m->site, site), hex_text(m->key.key, 32, key)) < 0)
		return -1;
	if (m->acks[0] == '\0')
		return 0;
	return buf_printf(b, e, "acks %s\n", m->acks);
}

/* Everything but the signature. */
static int
write_text(const struct members *m, struct buf *b, struct err *e)
{
	char key[65];
	uint32_t i;

	if (buf_printf(b, e, "aim-layout 1\nsite-name %s\n", m->site_name) <
		0 ||
	    lines_write_uuid(b, "site", &m->site, e) < 0 ||
	    buf_printf(b, e, "group-name %s\n", m->group_name) < 0 ||
	    lines_write_uuid(b, "group", &m->group, e) < 0 ||
	    lines_write_uuid(b, "stream", &m->stream, e) < 0 ||
	    buf_printf(b, e, "level %s\nchunk %" PRIu64 "\nkey %s\n",
		layout_level_name(m->layout.level), m->layout.chunk,
		hex_text(m->key.key, 32, key)) < 0 ||
	    lines_write_volumes(m->volumes, m->volume_count, b, e) < 0)
		return -1;
	for (i = 0; i < m->layout.members; i++)
		if (write_member(&m->members[i], b, e) < 0)
			return -1;
	return 0;
}

static int
check_member(const struct members *m, uint32_t i, struct err *e)
{
	const struct member *a = &m->members[i], *b;
	const char *p;

	if (name_check("member", a->name, e) < 0)
		return -1;
	if (uuid_is_nil(&a->stream) || uuid_is_nil(&a->mirror) ||
	    uuid_is_nil(&a->site))
		return err_set(e, ERR_REFUSED,
		    "member %s has no stream, mirror or site", a->name);
	for (p = a->acks; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(e, ERR_REFUSED,
			    "member %s: the URL of its acknowledgements is "
			    "not plain text",
			    a->name);
	for (b = m->members; b < a; b++)
		if (strcmp(a->name, b->name) == 0 ||
		    uuid_equal(&a->mirror, &b->mirror))
			return err_set(e, ERR_REFUSED,
			    "member %s is listed twice", a->name);
	return 0;
}

static int
check_sense(const struct members *m, struct err *e)
{
	uint32_t i;

	if (name_check("site", m->site_name, e) < 0 ||
	    name_check("group", m->group_name, e) < 0)
		return -1;
	if (uuid_is_nil(&m->site) || uuid_is_nil(&m->group) ||
	    uuid_is_nil(&m->stream))
		return err_set(
		    e, ERR_REFUSED, "site, group or stream is missing");
	if (layout_check(&m->layout, e) < 0 ||
	    lines_check_volumes(m->volumes, m->volume_count, e) < 0)
		return -1;
	for (i = 0; i < m->layout.members; i++)
		if (check_member(m, i, e) < 0)
			return -1;
	return 0;
}

int
members_encode(const struct members *m, const struct sign_secret *key,
    char **out, size_t *len, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	struct members full = *m; /* borrows what is owned */
	uint8_t signature[SIGNATURE_LEN];
	char hex[2 * SIGNATURE_LEN + 1];

	full.key = key->pub;
	if (check_sense(&full, e) < 0 || write_text(&full, &b, e) < 0 ||
	    sign_bytes(key, MEMBERS_DOMAIN, b.data, b.len, signature, e) < 0 ||
	    buf_printf(&b, e, "signature %s\n",
		hex_text(signature, SIGNATURE_LEN, hex)) < 0)
		return -1;
	if (b.len > MEMBERS_LIMIT)
		return err_set(e, ERR_REFUSED, "layout text too long");
	*len = b.len;
	*out = (char *)STEAL(b.data);
	b = (struct buf){0};
	return 0;
}

/* ---- reading ---- */

static int
read_layout(struct lines *l, struct members *m, struct err *e)
{
	static const enum layout_level levels[] = {
	    LAYOUT_RAID1, LAYOUT_RAID0, LAYOUT_RAID10, LAYOUT_RAID1E};
	const char *value = lines_want(l, "level", e);
	size_t i;

	if (value == NULL)
		return -1;
	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(value, layout_level_name(levels[i])) == 0)
			m->layout.level = levels[i];
	if (m->layout.level == 0)
		return err_set(e, ERR_REFUSED,
		    "line %u: this level is not known here", l->number);
	value = lines_want(l, "chunk", e);
	if (value == NULL)
		return -1;
	if (lines_number(value, &m->layout.chunk) < 0)
		return err_set(e, ERR_REFUSED,
		    "line %u: the chunk is not a number of bytes", l->number);
	return 0;
}

/* "NAME STREAM MIRROR SITE KEY"; changes the value. */
static int
parse_member(struct lines *l, char *value, struct member *m, struct err *e)
{
	char *save = NULL;
	const char *name = strtok_r(value, " ", &save);
	const char *stream = strtok_r(NULL, " ", &save);
	const char *mirror = strtok_r(NULL, " ", &save);
	const char *site = strtok_r(NULL, " ", &save);
	const char *key = strtok_r(NULL, " ", &save);

	if (key == NULL || strtok_r(NULL, " ", &save) != NULL)
		return err_set(e, ERR_REFUSED,
		    "line %u should be \"member NAME STREAM MIRROR SITE KEY\"",
		    l->number);
	if (name_check("member", name, e) < 0 ||
	    uuid_parse(stream, &m->stream, e) < 0 ||
	    uuid_parse(mirror, &m->mirror, e) < 0 ||
	    uuid_parse(site, &m->site, e) < 0 ||
	    hex_parse(key, m->key.key, sizeof(m->key.key), e) < 0)
		return lines_at(l, e);
	memcpy(m->name, name, strlen(name) + 1);
	return 0;
}

static int
read_members(struct lines *l, struct members *m, struct err *e)
{
	struct member *one;
	char *value = NULL;
	int more;

	m->members = calloc(LAYOUT_MOST, sizeof(*m->members));
	if (m->members == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	while ((more = lines_may(l, "member", &value, e)) > 0) {
		if (m->layout.members == LAYOUT_MOST)
			return err_set(e, ERR_REFUSED,
			    "line %u: more than %u members", l->number,
			    LAYOUT_MOST);
		one = &m->members[m->layout.members++];
		if (parse_member(l, value, one, e) < 0)
			return -1;
		more = lines_may(l, "acks", &value, e);
		if (more > 0 && strlen(value) >= sizeof(one->acks))
			return err_set(e, ERR_REFUSED,
			    "line %u: the URL is too long", l->number);
		if (more > 0)
			memcpy(one->acks, value, strlen(value) + 1);
		if (more < 0)
			return -1;
	}
	return more;
}

static int
read_text(struct lines *l, struct members *m, uint8_t *signature, struct err *e)
{
	const char *version = lines_want(l, "aim-layout", e);
	int more;

	if (version == NULL)
		return -1;
	if (strcmp(version, "1") != 0)
		return err_set(e, ERR_REFUSED,
		    "it is of a version that is not known here; this program "
		    "reads version 1");
	if (lines_name(l, "site-name", m->site_name, e) < 0 ||
	    lines_uuid(l, "site", &m->site, e) < 0 ||
	    lines_name(l, "group-name", m->group_name, e) < 0 ||
	    lines_uuid(l, "group", &m->group, e) < 0 ||
	    lines_uuid(l, "stream", &m->stream, e) < 0 ||
	    read_layout(l, m, e) < 0 ||
	    lines_hex(l, "key", m->key.key, sizeof(m->key.key), e) < 0 ||
	    lines_volumes(l, &m->volumes, &m->volume_count, e) < 0 ||
	    read_members(l, m, e) < 0 ||
	    lines_hex(l, "signature", signature, SIGNATURE_LEN, e) < 0)
		return -1;
	more = lines_next(l, e);
	if (more > 0)
		return err_set(e, ERR_REFUSED,
		    "line %u comes after the signature", l->number);
	return more;
}

int
members_decode(const char *text, size_t len, struct members *out, struct err *e)
{
	AUTO(members_release) struct members m = {.volume_count = 0};
	AUTO(buf_release) struct buf again = {0};
	struct lines l = {.what = "layout text",
	    .most = MEMBERS_LINE,
	    .at = text,
	    .end = text + len};
	uint8_t signature[SIGNATURE_LEN];
	bool valid = false;

	if (len > MEMBERS_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "a layout text has at most %u bytes", MEMBERS_LIMIT);
	if (read_text(&l, &m, signature, e) < 0 || check_sense(&m, e) < 0)
		return err_at(e, "layout text");
	if (write_text(&m, &again, e) < 0 ||
	    sign_check(&m.key, MEMBERS_DOMAIN, again.data, again.len, signature,
		&valid, e) < 0)
		return -1;
	if (!valid)
		return err_set(e, ERR_CORRUPT,
		    "layout text: the signature does not fit: it was changed "
		    "on the way; export it again");
	*out = m;
	m = (struct members){.volume_count = 0};
	return 0;
}
