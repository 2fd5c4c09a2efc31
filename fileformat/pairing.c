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
#include "fileformat/lines.h"

#include <stdlib.h>
#include <string.h>

#define PAIRING_DOMAIN "aim pairing 1"
#define PAIRING_LINE 255u /* bytes */

static const char *const role_words[] = {NULL, "source", "mirror", "relay"};

void
pairing_release(struct pairing *p)
{
	free(p->volumes);
	*p = (struct pairing){0};
}

/* Everything but the signature. */
static int
write_text(const struct pairing *p, struct buf *b, struct err *e)
{
	char key[65], location[LOCATION_TEXT];

	if (buf_printf(b, e, "aim-pairing 1\nrole %s\nsite-name %s\n",
		role_words[p->role], p->site_name) < 0 ||
	    lines_write_uuid(b, "site", &p->site, e) < 0 ||
	    buf_printf(b, e, "group-name %s\n", p->group_name) < 0 ||
	    lines_write_uuid(b, "group", &p->group, e) < 0 ||
	    lines_write_uuid(b, "stream", &p->stream, e) < 0)
		return -1;
	if (p->role != PAIRING_SOURCE &&
	    lines_write_uuid(b, "mirror", &p->mirror, e) < 0)
		return -1;
	if (p->encrypted && buf_printf(b, e, "encrypted yes\n") < 0)
		return -1;
	if (p->location.known && buf_printf(b, e, "location %s\n",
				     location_text(&p->location, location)) < 0)
		return -1;
	if (buf_printf(b, e, "key %s\n", hex_text(p->key.key, 32, key)) < 0)
		return -1;
	return lines_write_volumes(p->volumes, p->volume_count, b, e);
}

static int
check_sense(const struct pairing *p, struct err *e)
{
	if (p->role < PAIRING_SOURCE || p->role > PAIRING_RELAY)
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
	return lines_check_volumes(p->volumes, p->volume_count, e);
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

static int
want_role(struct lines *l, struct pairing *p, struct err *e)
{
	const char *value = lines_want(l, "aim-pairing", e);

	if (value == NULL)
		return -1;
	if (strcmp(value, "1") != 0)
		return err_set(e, ERR_REFUSED,
		    "pairing text is of a version that is not known here; "
		    "this program reads version 1");
	value = lines_want(l, "role", e);
	if (value == NULL)
		return -1;
	for (int r = PAIRING_SOURCE; r <= PAIRING_RELAY; r++)
		if (strcmp(value, role_words[r]) == 0) {
			p->role = (enum pairing_role)r;
			return 0;
		}
	return err_set(e, ERR_REFUSED,
	    "line %u: the role is none of source, mirror and relay", l->number);
}

/* Lines that are there or not. */
static int
may_be_located(struct lines *l, struct pairing *p, struct err *e)
{
	char *value = NULL;
	int more = lines_may(l, "location", &value, e);

	if (more <= 0)
		return more;
	if (location_parse(value, &p->location, e) < 0)
		return lines_at(l, e);
	return 0;
}

static int
may_be_encrypted(struct lines *l, struct pairing *p, struct err *e)
{
	char *value = NULL;
	int more = lines_may(l, "encrypted", &value, e);

	if (more <= 0)
		return more;
	if (strcmp(value, "yes") != 0)
		return err_set(e, ERR_REFUSED,
		    "line %u should be \"encrypted yes\"", l->number);
	p->encrypted = true;
	return 0;
}

static int
read_text(struct lines *l, struct pairing *p, uint8_t *signature, struct err *e)
{
	int more;

	if (want_role(l, p, e) < 0 ||
	    lines_name(l, "site-name", p->site_name, e) < 0 ||
	    lines_uuid(l, "site", &p->site, e) < 0 ||
	    lines_name(l, "group-name", p->group_name, e) < 0 ||
	    lines_uuid(l, "group", &p->group, e) < 0 ||
	    lines_uuid(l, "stream", &p->stream, e) < 0)
		return -1;
	if (p->role != PAIRING_SOURCE &&
	    lines_uuid(l, "mirror", &p->mirror, e) < 0)
		return -1;
	if (p->role == PAIRING_SOURCE && may_be_encrypted(l, p, e) < 0)
		return -1;
	if (may_be_located(l, p, e) < 0 ||
	    lines_hex(l, "key", p->key.key, sizeof(p->key.key), e) < 0 ||
	    lines_volumes(l, &p->volumes, &p->volume_count, e) < 0 ||
	    lines_hex(l, "signature", signature, SIGNATURE_LEN, e) < 0)
		return -1;
	more = lines_next(l, e);
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
	struct lines l = {.what = "pairing text",
	    .most = PAIRING_LINE,
	    .at = text,
	    .end = text + len};
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
