/* SPDX-License-Identifier: Apache-2.0 */
/* reader_verify: the signature, then the stored bytes, then the content. */
#include "aimdriver/reader_state.h"

#include "common/cleanup.h"

#include <inttypes.h>
#include <string.h>

#define STORED_READ ((size_t)256 << 10)

static int
check_signature(struct reader *r, const struct sign_public *key, struct err *e)
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
check_stored(struct reader *r, struct err *e)
{
	AUTO(digest_release) struct digest d = {0};
	AUTO_FREE uint8_t *part = malloc(STORED_READ);
	uint8_t got[DIGEST_LEN];
	uint64_t at = r->header.iocb_off;

	if (part == NULL)
		return reader_no_memory(r, e);
	if (digest_begin(&d, e) < 0)
		return -1;
	while (at < r->header.file_len) {
		uint64_t len = r->header.file_len - at;

		if (len > STORED_READ)
			len = STORED_READ;
		if (reader_read_at(r, part, (size_t)len, at, e) < 0 ||
		    digest_add(&d, part, (size_t)len, e) < 0)
			return -1;
		at += len;
	}
	if (digest_end(&d, got, e) < 0)
		return -1;
	if (memcmp(got, r->header.stored_digest, DIGEST_LEN) != 0)
		return err_set(e, ERR_CORRUPT,
		    "%s: the stored bytes are not those that were written "
		    "(SHA-256 of offset %" PRIu64 " to the end differs)",
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

static int
check_content(struct reader *r, struct err *e)
{
	AUTO(digest_release) struct digest iocbs = {0};
	AUTO(digest_release) struct digest raw = {0};
	uint8_t iocbs_is[DIGEST_LEN], raw_is[DIGEST_LEN], is[DIGEST_LEN];
	int rc;

	if (digest_begin(&iocbs, e) < 0 || digest_begin(&raw, e) < 0)
		return -1;
	r->iocbs_sha = &iocbs;
	r->raw_sha = &raw;
	rc = walk(r, e);
	r->iocbs_sha = NULL;
	r->raw_sha = NULL;
	if (rc < 0 || digest_end(&iocbs, iocbs_is, e) < 0 ||
	    digest_end(&raw, raw_is, e) < 0 ||
	    digest_content(&r->header, r->volumes, r->targets, iocbs_is, raw_is,
		is, e) < 0)
		return -1;
	if (memcmp(is, r->header.content_digest, DIGEST_LEN) != 0)
		return err_set(e, ERR_CORRUPT,
		    "%s: the content digest is not that of the content",
		    r->name);
	return 0;
}

int
reader_verify(struct reader *r, const struct sign_public *key, struct err *e)
{
	int rc;

	r->verified = false;
	if (key != NULL && check_signature(r, key, e) < 0)
		return -1;
	if (check_stored(r, e) < 0)
		return -1;
	rc = check_content(r, e);
	reader_rewind(r);
	if (rc == 0)
		r->verified = true;
	return rc;
}
