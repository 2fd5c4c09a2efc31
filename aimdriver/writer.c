/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass: payloads are packed into chunks, chunks into a hold of some MiB
 * in memory. A usual file fits into it and is written with three calls; what
 * does not fit is written as the hold fills. The header is written last.
 *
 * A chunk that will not be compressed is filled where it will lie in the hold,
 * and hashed once: its bytes count for both digests.
 *
 * An encrypted file is made the same way; what would be written goes into a
 * vault instead, of which the stored digest comes too.
 */
#include "aimdriver/writer.h"

#include "aimdriver/digest.h"
#include "aimdriver/track.h"
#include "aimdriver/vault.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "fileformat/codec.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define HOLD_LEN ((size_t)8 << 20)
#define CHUNK_RAW ((size_t)256 << 10)

struct writer {
	int fd;
	struct journal_header header;
	struct journal_volume *volumes; /* owned copies */
	struct uuid *targets;
	const struct sign_secret *key;
	enum codec want;
	int level;
	uint32_t useless, skip; /* chunks that were not packed; not to try */
	uint64_t seed;
	struct track track;
	struct digest canonical, raw; /* for the content digest */
	struct digest heads, bodies;  /* for the stored one */
	uint8_t *iocbs;		      /* stored form */
	uint8_t *pack;	/* raw bytes of a chunk that is to be compressed */
	uint8_t *chunk; /* the one being filled: pack, or in the hold */
	size_t chunk_len, chunk_fill;
	uint8_t *hold; /* stored chunks not yet written */
	size_t hold_fill;
	uint64_t written;    /* stored bytes of Data written from the hold */
	struct vault *vault; /* NULL: not encrypted */
	uint8_t blind[BLIND_LEN];
	bool broken; /* a call failed: nothing more is accepted */
};

void
writer_close(struct writer *w)
{
	if (w == NULL)
		return;
	track_release(&w->track);
	digest_release(&w->canonical);
	digest_release(&w->raw);
	digest_release(&w->heads);
	digest_release(&w->bodies);
	free(w->volumes);
	free(w->targets);
	free(w->iocbs);
	free(w->pack);
	free(w->hold);
	vault_close(w->vault);
	free(w);
}

static void
cleanup_writer(struct writer **w)
{
	writer_close(*w);
}

static int
no_memory(struct err *e)
{
	return err_set(e, ERR_RETRY, "out of memory");
}

static bool
is_plain(const struct writer *w)
{
	return w->want == CODEC_NONE;
}

static int
copy_tables(struct writer *w, const struct writer_spec *spec, struct err *e)
{
	size_t volumes = spec->header.volume_count;
	size_t targets = spec->header.target_count;

	if (volumes == 0 || volumes > JOURNAL_VOLUME_LIMIT ||
	    targets > JOURNAL_TARGET_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "a journal file has 1..%d volumes and at most %d targets",
		    JOURNAL_VOLUME_LIMIT, JOURNAL_TARGET_LIMIT);
	if (spec->iocb_count > JOURNAL_IOCB_LIMIT ||
	    spec->chunk_len > JOURNAL_CHUNK_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "a journal file has at most %d IOCBs and chunks of %d "
		    "bytes",
		    JOURNAL_IOCB_LIMIT, JOURNAL_CHUNK_LIMIT);
	w->volumes = calloc(volumes, sizeof(*w->volumes));
	w->targets = calloc(targets + 1, sizeof(*w->targets));
	w->iocbs = malloc((size_t)spec->iocb_count * IOCB_LEN + 1);
	w->pack = malloc(is_plain(w) ? 1 : w->chunk_len);
	w->hold = malloc(HOLD_LEN);
	if (w->volumes == NULL || w->targets == NULL || w->iocbs == NULL ||
	    w->pack == NULL || w->hold == NULL)
		return no_memory(e);
	memcpy(w->volumes, spec->volumes, volumes * sizeof(*w->volumes));
	if (targets > 0)
		memcpy(
		    w->targets, spec->targets, targets * sizeof(*w->targets));
	return 0;
}

static int
fill_header(struct writer *w, const struct writer_spec *spec, struct err *e)
{
	struct journal_header *h = &w->header;

	*h = spec->header;
	h->major = 1;
	h->minor = 0;
	h->header_len = header_encoded_len(h->volume_count, h->target_count);
	h->codec = CODEC_NONE;
	h->iocb_off = h->header_len;
	h->iocb_count = spec->iocb_count;
	h->iocb_len = IOCB_LEN;
	h->data_off = h->iocb_off + (uint64_t)h->iocb_count * IOCB_LEN;
	h->chunk_len = (uint32_t)w->chunk_len;
	if (h->sealed_time_ns == 0)
		h->sealed_time_ns = clock_wall_ns();
	if (io_is_zero(h->salt, SALT_LEN) &&
	    random_bytes(h->salt, SALT_LEN, e) < 0)
		return -1;
	return sign_key_id(&w->key->pub, h->key_id, e);
}

static int
open_vault(struct writer *w, const struct writer_spec *spec, struct err *e)
{
	struct journal_header *h = &w->header;

	if (spec->group_key == NULL)
		return 0;
	memcpy(w->blind, spec->blind, BLIND_LEN);
	if (io_is_zero(w->blind, BLIND_LEN) &&
	    random_bytes(w->blind, BLIND_LEN, e) < 0)
		return -1;
	h->incompat |= JOURNAL_INCOMPAT_ENCRYPTED;
	memcpy(h->group_key_id, spec->group_key->id, KEY_ID_LEN);
	return vault_open(w->fd, h, spec->group_key, &w->vault, e);
}

int
writer_open(
    int fd, const struct writer_spec *spec, struct writer **out, struct err *e)
{
	AUTO(cleanup_writer) struct writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return no_memory(e);
	w->fd = fd;
	w->key = spec->key;
	w->want = spec->codec;
	w->level = spec->level;
	w->chunk_len = spec->chunk_len == 0 ? CHUNK_RAW : spec->chunk_len;
	w->seed = iocb_seed(&spec->header.stream, spec->header.sequence);
	if (copy_tables(w, spec, e) < 0 || fill_header(w, spec, e) < 0 ||
	    open_vault(w, spec, e) < 0 || digest_begin(&w->canonical, e) < 0 ||
	    digest_begin(&w->raw, e) < 0 || digest_begin(&w->heads, e) < 0 ||
	    digest_begin(&w->bodies, e) < 0 ||
	    track_init(&w->track, &w->header, w->volumes, e) < 0)
		return -1;
	/* While writing, the header says what may come, not what came. */
	if (w->header.iocb_count > 0) {
		w->header.last_time_ns = UINT64_MAX;
		w->track.time_ns = 0;
	}
	w->header.data_raw_len = JOURNAL_RAW_LIMIT;
	*out = STEAL(w);
	return 0;
}

static int
flush_hold(struct writer *w, struct err *e)
{
	if ((w->vault != NULL ? vault_add(w->vault, w->hold, w->hold_fill, e)
			      : io_write_at(w->fd, w->hold, w->hold_fill,
				    w->header.data_off + w->written, e)) < 0)
		return -1;
	w->written += w->hold_fill;
	w->hold_fill = 0;
	return 0;
}

/* Finds a place for the next chunk. */
static int
begin_chunk(struct writer *w, struct err *e)
{
	if (HOLD_LEN - w->hold_fill < CHUNK_HEADER_LEN + w->chunk_len &&
	    flush_hold(w, e) < 0)
		return -1;
	w->chunk =
	    is_plain(w) ? w->hold + w->hold_fill + CHUNK_HEADER_LEN : w->pack;
	return 0;
}

/* What cannot be packed is tried ever more seldom: it is often followed by
 * more of its kind. */
static enum codec
next_codec(const struct writer *w)
{
	return w->skip > 0 ? CODEC_NONE : w->want;
}

static void
judge_codec(struct writer *w, enum codec used)
{
	if (w->skip > 0) {
		w->skip--;
	} else if (used != CODEC_NONE) {
		w->useless = 0;
	} else if (!is_plain(w)) {
		w->skip = 1u << w->useless;
		w->useless += w->useless < 4;
	}
}

static int
flush_chunk(struct writer *w, struct err *e)
{
	uint8_t *head = w->hold + w->hold_fill;
	enum codec used;
	uint64_t end;
	size_t len;

	if (w->chunk_fill == 0)
		return 0;
	if (digest_add(&w->raw, w->chunk, w->chunk_fill, e) < 0)
		return -1;
	len = chunk_encode(w->chunk, w->chunk_fill, next_codec(w), w->level,
	    head, HOLD_LEN - w->hold_fill, &used);
	judge_codec(w, used);
	if (w->vault == NULL &&
	    (digest_add(&w->heads, head, CHUNK_HEADER_LEN, e) < 0 ||
		(!is_plain(w) && digest_add(&w->bodies, head + CHUNK_HEADER_LEN,
				     len - CHUNK_HEADER_LEN, e) < 0)))
		return -1;
	w->hold_fill += len;
	if (used > w->header.codec)
		w->header.codec = used;
	w->chunk_fill = 0;
	end = w->header.data_off + w->written + w->hold_fill;
	if (end > JOURNAL_FILE_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "journal file would be over %" PRIu64 " bytes",
		    JOURNAL_FILE_LIMIT);
	return 0;
}

static int
add_data(struct writer *w, const uint8_t *data, uint64_t len, struct err *e)
{
	while (len > 0) {
		size_t part = w->chunk_len - w->chunk_fill;

		if (part > len)
			part = (size_t)len;
		if (w->chunk_fill == 0 && begin_chunk(w, e) < 0)
			return -1;
		memcpy(w->chunk + w->chunk_fill, data, part);
		w->chunk_fill += part;
		data += part;
		len -= part;
		if (w->chunk_fill == w->chunk_len && flush_chunk(w, e) < 0)
			return -1;
	}
	return 0;
}

static int
refuse(uint64_t number, const struct why *why, struct err *e)
{
	return err_set(e, ERR_CORRUPT,
	    "transaction %" PRIu64 " cannot go into a journal file: %s", number,
	    why->text);
}

static int
add(struct writer *w, const struct iocb *given, const uint8_t *data,
    struct err *e)
{
	uint8_t canonical[IOCB_CANONICAL_LEN];
	struct iocb b = *given;
	struct why why = {0};

	b.data_off = op_has_data(b.op) ? w->track.data_end : 0;
	b.data_sum = 0;
	if (iocb_check(&b, &why) != VERDICT_WHOLE ||
	    track_check(&w->track, &b, &why) != VERDICT_WHOLE ||
	    track_check_note(&b, data, &why) != VERDICT_WHOLE)
		return refuse(b.number, &why, e);
	if (w->track.count == w->header.iocb_count)
		return err_set(e, ERR_REFUSED,
		    "more than the %" PRIu32 " announced transactions",
		    w->header.iocb_count);
	if (op_has_data(b.op))
		b.data_sum = iocb_data_sum(data, (size_t)b.len, w->seed);
	iocb_encode(&b, w->seed, w->iocbs + (size_t)w->track.count * IOCB_LEN);
	iocb_encode_canonical(&b, canonical);
	if (digest_add(&w->canonical, canonical, sizeof(canonical), e) < 0)
		return -1;
	if (op_has_data(b.op) && add_data(w, data, b.len, e) < 0)
		return -1;
	if (w->track.count == 0)
		w->header.first_time_ns = b.time_ns;
	track_accept(&w->track, &b);
	return 0;
}

int
writer_add(
    struct writer *w, const struct iocb *b, const uint8_t *data, struct err *e)
{
	if (w->broken)
		return err_set(
		    e, ERR_FATAL, "this journal file has failed before");
	if (add(w, b, data, e) == 0)
		return 0;
	w->broken = true;
	return -1;
}

static int
settle_header(struct writer *w, struct err *e)
{
	struct journal_header *h = &w->header;
	uint8_t canonical[DIGEST_LEN], iocbs[DIGEST_LEN], raw[DIGEST_LEN];
	uint8_t heads[DIGEST_LEN], bodies[DIGEST_LEN];
	const uint8_t *blind = w->vault != NULL ? w->blind : NULL;

	if (h->iocb_count > 0)
		h->last_time_ns = w->track.time_ns;
	h->data_raw_len = w->track.data_end;
	h->data_stored_len = w->written + w->hold_fill;
	h->file_len = header_file_len(h);
	if (digest_end(&w->canonical, canonical, e) < 0 ||
	    digest_end(&w->raw, raw, e) < 0 ||
	    digest_end(&w->heads, heads, e) < 0 ||
	    digest_end(&w->bodies, bodies, e) < 0 ||
	    digest_bytes(w->iocbs, (size_t)h->iocb_count * IOCB_LEN, iocbs, e) <
		0 ||
	    digest_content(h, w->volumes, w->targets, canonical, raw, blind,
		h->content_digest, e) < 0)
		return -1;
	/* Of a vault it is known when that is finished. */
	return blind != NULL
		   ? 0
		   : digest_stored(iocbs, heads, is_plain(w) ? raw : bodies,
			 h->stored_digest, e);
}

/* The IOCBs, and what is left of Data. */
static int
put_body(struct writer *w, struct err *e)
{
	struct journal_header *h = &w->header;
	uint8_t bound[DIGEST_LEN];
	AUTO_FREE uint8_t *bytes = NULL;

	if (flush_hold(w, e) < 0)
		return -1;
	if (w->vault == NULL)
		return io_write_at(w->fd, w->iocbs,
		    (size_t)h->iocb_count * IOCB_LEN, h->iocb_off, e);
	bytes = malloc(h->header_len);
	if (bytes == NULL)
		return no_memory(e);
	header_encode(h, w->volumes, w->targets, bytes);
	header_blank_bound(bytes);
	if (digest_bytes(bytes, h->header_len, bound, e) < 0)
		return -1;
	return vault_finish(
	    w->vault, w->blind, w->iocbs, bound, h->stored_digest, e);
}

static int
put_header(struct writer *w, struct err *e)
{
	struct journal_header *h = &w->header, check;
	AUTO_FREE uint8_t *bytes = malloc(h->header_len);
	struct why why = {0};

	if (bytes == NULL)
		return no_memory(e);
	header_encode(h, w->volumes, w->targets, bytes);
	if (header_decode(bytes, h->header_len, &check, &why) != VERDICT_WHOLE)
		return err_set(e, ERR_REFUSED,
		    "this header makes no journal file: %s", why.text);
	header_blank(bytes);
	if (sign_bytes(w->key, JOURNAL_DOMAIN, bytes, h->header_len,
		h->signature, e) < 0)
		return -1;
	header_set_signature(bytes, h->signature);
	header_fix_sum(bytes, h->header_len);
	return io_write_at(w->fd, bytes, h->header_len, 0, e);
}

static int
finish(struct writer *w, struct err *e)
{
	struct journal_header *h = &w->header;

	if (w->track.count != h->iocb_count)
		return err_set(e, ERR_REFUSED,
		    "%" PRIu32 " of %" PRIu32 " announced transactions added",
		    w->track.count, h->iocb_count);
	if (flush_chunk(w, e) < 0 || settle_header(w, e) < 0 ||
	    put_body(w, e) < 0 || put_header(w, e) < 0)
		return -1;
	return io_fsync(w->fd, "the journal file", e);
}

int
writer_finish(struct writer *w, struct journal_header *out, struct err *e)
{
	if (w->broken)
		return err_set(
		    e, ERR_FATAL, "this journal file has failed before");
	w->broken = true; /* finished or failed: either way it is over */
	if (finish(w, e) < 0)
		return err_at(e, "write journal file");
	if (out != NULL)
		*out = w->header;
	return 0;
}
