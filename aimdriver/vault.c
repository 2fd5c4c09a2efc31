/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/vault.h"

#include "aimdriver/digest.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/sign.h"

#include <inttypes.h>
#include <string.h>

#define STORED_LEN ((size_t)CRYPT_BLOCK + CRYPT_TAG)
#define OUT_BLOCKS 16u

struct vault {
	int fd;
	uint64_t base;	    /* of the first block, in the file */
	uint64_t iocbs_len; /* of the plain bytes */
	struct crypt *crypt;
	uint64_t end; /* plain bytes so far, from the blind on */

	uint8_t *head; /* the blocks in which blind and IOCBs lie */
	uint64_t head_len;
	uint8_t *block; /* one behind them, until it is known whether it is
			 * the last */
	size_t fill;

	uint8_t *out; /* sealed blocks that follow one another */
	uint32_t out_count;
	uint64_t out_first;

	uint8_t (*sums)[DIGEST_LEN]; /* of each stored block */
	uint64_t sums_room;
};

static void
drop(struct vault **v)
{
	vault_close(*v);
}

int
vault_open(int fd, const struct journal_header *h, const struct group_key *key,
    struct vault **out, struct err *e)
{
	AUTO(drop) struct vault *v = calloc(1, sizeof(*v));
	uint64_t blocks;

	if (v == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	v->fd = fd;
	v->base = h->header_len;
	v->iocbs_len = (uint64_t)h->iocb_count * h->iocb_len;
	v->end = BLIND_LEN + v->iocbs_len;
	blocks = (v->end + CRYPT_BLOCK - 1) / CRYPT_BLOCK;
	v->head_len = blocks * CRYPT_BLOCK;
	v->head = malloc((size_t)v->head_len);
	v->block = malloc(CRYPT_BLOCK);
	v->out = malloc(OUT_BLOCKS * STORED_LEN);
	if (v->head == NULL || v->block == NULL || v->out == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (crypt_open(key, h->salt, &h->stream, &v->crypt, e) < 0)
		return -1;
	*out = STEAL(v);
	return 0;
}

void
vault_close(struct vault *v)
{
	if (v == NULL)
		return;
	crypt_close(v->crypt);
	free(v->head);
	free(v->block);
	free(v->out);
	free(v->sums);
	free(v);
}

static int
flush_out(struct vault *v, struct err *e)
{
	size_t len = v->out_count * STORED_LEN;

	v->out_count = 0;
	return io_write_at(
	    v->fd, v->out, len, v->base + v->out_first * STORED_LEN, e);
}

static int
keep_sum(struct vault *v, uint64_t index, const uint8_t *stored, size_t len,
    struct err *e)
{
	if (index >= v->sums_room) {
		uint64_t room = 2 * index + 64;
		uint8_t(*more)[DIGEST_LEN] =
		    reallocarray(v->sums, (size_t)room, DIGEST_LEN);

		if (more == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		v->sums = more;
		v->sums_room = room;
	}
	return digest_bytes(stored, len, v->sums[index], e);
}

/* A block that is not the last has its full length. */
static int
seal(struct vault *v, uint64_t index, const uint8_t *bound,
    const uint8_t *plain, size_t len, struct err *e)
{
	uint8_t *to;

	if (v->out_count > 0 &&
	    (v->out_count == OUT_BLOCKS ||
		index != v->out_first + v->out_count) &&
	    flush_out(v, e) < 0)
		return -1;
	if (v->out_count == 0)
		v->out_first = index;
	to = v->out + v->out_count * STORED_LEN;
	if (crypt_seal(v->crypt, index, bound, plain, len, to, e) < 0 ||
	    keep_sum(v, index, to, len + CRYPT_TAG, e) < 0)
		return -1;
	if (bound == NULL) {
		v->out_count++;
		return 0;
	}
	/* The last one may be short: it goes with those before it. */
	len += v->out_count * STORED_LEN + CRYPT_TAG;
	v->out_count = 0;
	return io_write_at(
	    v->fd, v->out, len, v->base + v->out_first * STORED_LEN, e);
}

int
vault_add(struct vault *v, const uint8_t *data, size_t len, struct err *e)
{
	while (len > 0) {
		size_t part = len;

		if (v->end < v->head_len) {
			if (part > v->head_len - v->end)
				part = (size_t)(v->head_len - v->end);
			memcpy(v->head + v->end, data, part);
		} else {
			if (v->fill == CRYPT_BLOCK) {
				if (seal(v, v->end / CRYPT_BLOCK - 1, NULL,
					v->block, v->fill, e) < 0)
					return -1;
				v->fill = 0;
			}
			if (part > CRYPT_BLOCK - v->fill)
				part = CRYPT_BLOCK - v->fill;
			memcpy(v->block + v->fill, data, part);
			v->fill += part;
		}
		v->end += part;
		data += part;
		len -= part;
	}
	return 0;
}

static int
seal_head(struct vault *v, const uint8_t *bound, struct err *e)
{
	uint64_t at;

	for (at = 0; at < v->head_len && at < v->end; at += CRYPT_BLOCK) {
		uint64_t left = v->end - at;
		bool last = left <= CRYPT_BLOCK;

		if (seal(v, at / CRYPT_BLOCK, last ? bound : NULL, v->head + at,
			last ? (size_t)left : CRYPT_BLOCK, e) < 0)
			return -1;
	}
	return v->out_count > 0 ? flush_out(v, e) : 0;
}

static int
digest_all(struct vault *v, uint8_t out[DIGEST_LEN], struct err *e)
{
	AUTO(digest_release) struct digest d = {0};
	uint64_t blocks = (v->end + CRYPT_BLOCK - 1) / CRYPT_BLOCK;

	if (digest_begin_blocks(&d, e) < 0 ||
	    digest_add(&d, v->sums, (size_t)blocks * DIGEST_LEN, e) < 0)
		return -1;
	return digest_end(&d, out, e);
}

int
vault_finish(struct vault *v, const uint8_t blind[BLIND_LEN],
    const uint8_t *iocbs, const uint8_t bound[DIGEST_LEN],
    uint8_t out[DIGEST_LEN], struct err *e)
{
	memcpy(v->head, blind, BLIND_LEN);
	memcpy(v->head + BLIND_LEN, iocbs, (size_t)v->iocbs_len);
	if (v->fill > 0 && seal(v, (v->end - 1) / CRYPT_BLOCK, bound, v->block,
			       v->fill, e) < 0)
		return -1;
	if (seal_head(v, bound, e) < 0)
		return -1;
	return digest_all(v, out, e);
}
