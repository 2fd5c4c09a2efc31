/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rest of the reader sees an encrypted file as the plain one that it would
 * be: reads behind the header come from here, block by block. The key is
 * looked for when it is first needed, so that headers can be read without it.
 * With it the last block is opened first: it proves that the key, the header
 * and the length of the file belong together.
 */
#include "aimdriver/reader_state.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/sign.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define STORED_LEN ((size_t)CRYPT_BLOCK + CRYPT_TAG)
#define NO_BLOCK UINT64_MAX

void
reader_set_keys(struct reader *r, const struct reader_keys *keys)
{
	r->keys = *keys;
}

static int
no_key(
    const struct reader *r, enum err_kind kind, const char *why, struct err *e)
{
	char id[2 * KEY_ID_LEN + 1];

	(void)err_set(e, kind, "%s: is encrypted with key %s, %s", r->name,
	    hex_text(r->header.group_key_id, KEY_ID_LEN, id), why);
	if (e != NULL)
		e->sys = ENOKEY;
	return -1;
}

static int
read_raw_block(struct reader *r, uint64_t index, uint32_t *len, struct err *e)
{
	uint64_t at = r->header.header_len + index * STORED_LEN;

	*len = header_block_len(&r->header, index);
	if (io_read_at(r->fd, r->sealed, (size_t)*len + CRYPT_TAG, at, e) < 0)
		return err_at(e, "%s", r->name);
	return 0;
}

/* Opens one block into `to`, which has room for all of it. */
static int
open_block(struct reader *r, uint64_t index, uint8_t *to, struct err *e)
{
	bool last = index + 1 == header_blocks(&r->header), good = false;
	uint32_t len;

	if (read_raw_block(r, index, &len, e) < 0)
		return -1;
	if (crypt_open_block(r->crypt, index, last ? r->bound : NULL, r->sealed,
		len, to, &good, e) < 0)
		return err_at(e, "%s", r->name);
	if (good)
		return 0;
	return err_set(e, ERR_CORRUPT,
	    "%s: the block at offset %" PRIu64 " does not open: it was changed "
	    "or is not of this file",
	    r->name, r->header.header_len + index * STORED_LEN);
}

/* The block of which parts are read. */
static int
load_block(struct reader *r, uint64_t index, struct err *e)
{
	if (r->open_index == index)
		return 0;
	r->open_index = NO_BLOCK;
	if (open_block(r, index, r->open, e) < 0)
		return -1;
	r->open_index = index;
	return 0;
}

static int
make_bound(struct reader *r, struct err *e)
{
	AUTO_FREE uint8_t *bytes = malloc(r->header.header_len);

	if (bytes == NULL)
		return reader_no_memory(r, e);
	memcpy(bytes, r->bytes, r->header.header_len);
	header_blank_bound(bytes);
	return digest_bytes(bytes, r->header.header_len, r->bound, e);
}

static int
begin(struct reader *r, const struct group_key *key, struct err *e)
{
	if (r->open == NULL)
		r->open = malloc(CRYPT_BLOCK);
	if (r->open == NULL)
		return reader_no_memory(r, e);
	r->open_index = NO_BLOCK;
	if (make_bound(r, e) < 0 || crypt_open(key, r->header.salt,
					&r->header.stream, &r->crypt, e) < 0)
		return -1;
	if (load_block(r, header_blocks(&r->header) - 1, e) < 0 ||
	    load_block(r, 0, e) < 0) {
		crypt_close(r->crypt);
		r->crypt = NULL;
		return -1;
	}
	memcpy(r->blind, r->open, BLIND_LEN);
	return 0;
}

static int
need_sealed(struct reader *r, struct err *e)
{
	if (r->sealed == NULL)
		r->sealed = malloc(STORED_LEN);
	return r->sealed != NULL ? 0 : reader_no_memory(r, e);
}

int
reader_unlock(struct reader *r, struct err *e)
{
	struct group_key key;
	int found, done = -1;

	if (!header_is_encrypted(&r->header) || r->crypt != NULL)
		return 0;
	if (r->keys.find == NULL)
		return no_key(r, ERR_REFUSED, "which was not given", e);
	found = r->keys.find(
	    r->keys.ctx, &r->header.group, r->header.group_key_id, &key, e);
	if (found < 0)
		return err_at(e, "%s", r->name);
	if (found == 0)
		return no_key(r, ERR_RETRY,
		    "which is not here: 'aim-manager key import' brings it", e);
	if (need_sealed(r, e) == 0)
		done = begin(r, &key, e);
	group_key_forget(&key);
	return done;
}

int
reader_read_open(
    struct reader *r, void *to, size_t len, uint64_t off, struct err *e)
{
	uint64_t at = off - r->header.header_len + BLIND_LEN;
	uint8_t *out = to;

	if (reader_unlock(r, e) < 0)
		return -1;
	while (len > 0) {
		uint64_t index = at / CRYPT_BLOCK;
		size_t from = (size_t)(at % CRYPT_BLOCK);
		size_t part = header_block_len(&r->header, index) - from;

		if (from == 0 && part <= len && index != r->open_index) {
			if (open_block(r, index, out, e) < 0)
				return -1;
		} else {
			if (load_block(r, index, e) < 0)
				return -1;
			part = part < len ? part : len;
			memcpy(out, r->open + from, part);
		}
		out += part;
		at += part;
		len -= part;
	}
	return 0;
}

int
reader_digest_blocks(struct reader *r, uint8_t out[DIGEST_LEN], struct err *e)
{
	AUTO(digest_release) struct digest d = {0};
	uint64_t i, n = header_blocks(&r->header);
	uint8_t one[DIGEST_LEN];
	uint32_t len;

	if (need_sealed(r, e) < 0 || digest_begin_blocks(&d, e) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (read_raw_block(r, i, &len, e) < 0 ||
		    digest_bytes(r->sealed, (size_t)len + CRYPT_TAG, one, e) <
			0 ||
		    digest_add(&d, one, sizeof(one), e) < 0)
			return -1;
	return digest_end(&d, out, e);
}
