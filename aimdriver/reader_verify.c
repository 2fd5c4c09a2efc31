/* SPDX-License-Identifier: Apache-2.0 */
/* reader_verify: the signature, then the stored bytes, then the content. */
#include "aimdriver/reader_state.h"

#include "common/cleanup.h"
#include "fileformat/le.h"

#include <inttypes.h>
#include <string.h>

int
reader_check_signature(
    struct reader *r, const struct sign_public *key, struct err *e)
{
	AUTO_FREE uint8_t *blank = malloc(r->header.header_len);
	uint8_t id[KEY_ID_LEN];
	char is[2 * KEY_ID_LEN + 1], want[2 * KEY_ID_LEN + 1];
	bool valid = false;

	if (blank == NULL)
		return reader_no_memory(r, e);
	if (sign_key_id(key, id, e) < 0)
		return -1;
	if (memcmp(id, r->header.key_id, KEY_ID_LEN) != 0)
		return err_set(e, ERR_REFUSED,
		    "%s: is signed by key %s, not by %s", r->name,
		    hex_text(r->header.key_id, KEY_ID_LEN, is),
		    hex_text(id, KEY_ID_LEN, want));
	memcpy(blank, r->bytes, r->header.header_len);
	header_blank(blank);
	if (sign_check(key, JOURNAL_DOMAIN, blank, r->header.header_len,
		r->header.signature, &valid, e) < 0)
		return -1;
	if (!valid)
		return err_set(e, ERR_CORRUPT,
		    "%s: the signature of key %s is not valid", r->name,
		    hex_text(id, KEY_ID_LEN, want));
	return 0;
}

static int
digest_iocbs(struct reader *r, uint8_t out[DIGEST_LEN], struct err *e)
{
	AUTO(digest_release) struct digest d = {0};
	uint64_t at = r->header.iocb_off;

	if (digest_begin(&d, e) < 0)
		return -1;
	while (at < r->header.data_off) {
		uint64_t len = r->header.data_off - at;

		if (len > READER_BLOCK)
			len = READER_BLOCK;
		if (reader_read_at(r, r->block, (size_t)len, at, e) < 0 ||
		    digest_add(&d, r->block, (size_t)len, e) < 0)
			return -1;
		at += len;
	}
	return digest_end(&d, out, e);
}

/*
 * The chunks' stored lengths alone are believed, as far as they fit: they say
 * where head and body part. The walk checks the rest of the heads later.
 */
static int
digest_chunks(struct reader *r, uint8_t heads_out[DIGEST_LEN],
    uint8_t bodies_out[DIGEST_LEN], struct err *e)
{
	AUTO(digest_release) struct digest heads = {0};
	AUTO(digest_release) struct digest bodies = {0};
	uint64_t at = r->header.data_off;
	uint8_t head[CHUNK_HEADER_LEN];

	if (digest_begin(&heads, e) < 0 || digest_begin(&bodies, e) < 0)
		return -1;
	while (at < r->header.file_len) {
		uint64_t room = r->header.file_len - at;
		uint32_t len;

		if (room > CHUNK_HEADER_LEN &&
		    reader_read_at(r, head, sizeof(head), at, e) < 0)
			return -1;
		len = room > CHUNK_HEADER_LEN ? le_get32(head) : 0;
		if (len == 0 || len > r->header.chunk_len ||
		    len > room - CHUNK_HEADER_LEN)
			return err_set(e, ERR_CORRUPT,
			    "%s: no chunk of Data begins at offset %" PRIu64,
			    r->name, at);
		at += sizeof(head);
		if (reader_read_at(r, r->stored, len, at, e) < 0 ||
		    digest_add(&heads, head, sizeof(head), e) < 0 ||
		    digest_add(&bodies, r->stored, len, e) < 0)
			return -1;
		at += len;
	}
	if (digest_end(&heads, heads_out, e) < 0)
		return -1;
	return digest_end(&bodies, bodies_out, e);
}

/* `bodies` is left alone when the file is encrypted. */
static int
check_stored(struct reader *r, uint8_t bodies[DIGEST_LEN], struct err *e)
{
	uint8_t iocbs[DIGEST_LEN], heads[DIGEST_LEN], got[DIGEST_LEN];

	if (header_is_encrypted(&r->header)) {
		if (reader_digest_blocks(r, got, e) < 0)
			return -1;
	} else if (digest_iocbs(r, iocbs, e) < 0 ||
		   digest_chunks(r, heads, bodies, e) < 0 ||
		   digest_stored(iocbs, heads, bodies, got, e) < 0) {
		return -1;
	}
	if (memcmp(got, r->header.stored_digest, DIGEST_LEN) != 0)
		return err_set(e, ERR_CORRUPT,
		    "%s: the stored bytes are not those that were written "
		    "(the digest of offset %" PRIu64 " to the end differs)",
		    r->name, r->header.iocb_off);
	return 0;
}

static int
walk(struct reader *r, struct err *e)
{
	const uint8_t *data;
	struct iocb b;
	int more;

	reader_rewind(r);
	while ((more = reader_next(r, &b, &data, e)) > 0)
		continue;
	return more;
}

/* Without compression what the chunks hold is raw Data: its digest is known,
 * unless the file is encrypted. */
static int
check_content(struct reader *r, const uint8_t bodies[DIGEST_LEN], struct err *e)
{
	AUTO(digest_release) struct digest iocbs = {0};
	AUTO(digest_release) struct digest raw = {0};
	uint8_t iocbs_is[DIGEST_LEN], raw_is[DIGEST_LEN], is[DIGEST_LEN];
	bool encrypted = header_is_encrypted(&r->header);
	bool plain = r->header.codec == CODEC_NONE && !encrypted;
	int rc;

	if (digest_begin(&iocbs, e) < 0 || digest_begin(&raw, e) < 0)
		return -1;
	r->iocbs_sha = &iocbs;
	r->raw_sha = plain ? NULL : &raw;
	rc = walk(r, e);
	r->iocbs_sha = NULL;
	r->raw_sha = NULL;
	if (rc < 0 || digest_end(&iocbs, iocbs_is, e) < 0 ||
	    digest_end(&raw, raw_is, e) < 0 ||
	    digest_content(&r->header, r->volumes, r->targets, iocbs_is,
		plain ? bodies : raw_is, encrypted ? r->blind : NULL, is,
		e) < 0)
		return -1;
	if (memcmp(is, r->header.content_digest, DIGEST_LEN) != 0)
		return err_set(e, ERR_CORRUPT,
		    "%s: the content digest is not that of the content",
		    r->name);
	return 0;
}

int
reader_check_stored(struct reader *r, struct err *e)
{
	uint8_t bodies[DIGEST_LEN];

	return check_stored(r, bodies, e);
}

int
reader_verify(struct reader *r, const struct sign_public *key, struct err *e)
{
	uint8_t bodies[DIGEST_LEN] = {0};
	int rc;

	r->verified = false;
	reader_unload(r);
	if (key != NULL && reader_check_signature(r, key, e) < 0)
		return -1;
	if (check_stored(r, bodies, e) < 0 || reader_unlock(r, e) < 0)
		return -1;
	rc = check_content(r, bodies, e);
	reader_rewind(r);
	if (rc == 0)
		r->verified = true;
	return rc;
}
