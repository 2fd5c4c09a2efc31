/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk goes once through IOCBs and Data, side by side: a block of IOCBs and
 * a chunk of Data are in memory, and a payload that crosses chunks is put
 * together. The walk of reader_verify also feeds the digests. After it the
 * file's bytes are known to be good, so that later walks need the checksums
 * of IOCBs and payloads alone, against what happens between disk and memory.
 */
#include "aimdriver/reader.h"

#include "aimdriver/digest.h"
#include "aimdriver/track.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_LEN ((size_t)64 << 10)
#define STORED_READ ((size_t)256 << 10)

struct reader {
	int fd;
	char name[256]; /* as shown */
	struct journal_header header;
	uint8_t *bytes; /* of the header */
	struct journal_volume *volumes;
	struct uuid *targets;
	uint64_t seed;
	bool verified;
	bool broken; /* an error came: nothing more until rewound */

	/* the walk */
	struct track track;
	uint8_t *block; /* stored IOCBs block_first.. */
	uint32_t block_first, block_count;
	uint64_t raw_pos;      /* raw bytes of Data before the chunk */
	uint64_t stored_pos;   /* stored bytes of Data up to the chunk's end */
	struct chunk chunk;    /* raw_len 0: none */
	uint8_t *stored, *raw; /* chunk_len bytes each */
	uint8_t *payload;      /* put together from chunks */
	size_t payload_room;
	uint32_t codec;			    /* the strongest seen */
	struct digest *iocbs_sha, *raw_sha; /* NULL outside of verify */
};

void
reader_close(struct reader *r)
{
	if (r == NULL)
		return;
	track_release(&r->track);
	free(r->bytes);
	free(r->volumes);
	free(r->targets);
	free(r->block);
	free(r->stored);
	free(r->raw);
	free(r->payload);
	free(r);
}

static void
cleanup_reader(struct reader **r)
{
	reader_close(*r);
}

static enum err_kind
kind_of(enum verdict v)
{
	return v == VERDICT_UNKNOWN ? ERR_REFUSED : ERR_CORRUPT;
}

static int
bad(const struct reader *r, enum verdict v, uint64_t base,
    const struct why *why, struct err *e)
{
	return err_set(e, kind_of(v), "%s: at offset %" PRIu64 ": %s", r->name,
	    base + why->offset, why->text);
}

static int
no_memory(const struct reader *r, struct err *e)
{
	return err_set(e, ERR_RETRY, "%s: out of memory", r->name);
}

static int
read_at(
    const struct reader *r, void *to, size_t len, uint64_t off, struct err *e)
{
	return io_read_at(r->fd, to, len, off, e) < 0 ? err_at(e, "%s", r->name)
						      : 0;
}

static int
read_header(struct reader *r, uint64_t size, struct err *e)
{
	uint8_t fixed[JOURNAL_HEADER_FIXED];
	struct why why = {0};
	uint32_t len = 0;
	enum verdict v;
	ssize_t got = io_read_some_at(r->fd, fixed, sizeof(fixed), 0, e);

	if (got < 0)
		return err_at(e, "%s", r->name);
	if (got == 0)
		return err_set(e, ERR_CORRUPT, "%s: is empty", r->name);
	v = header_peek(fixed, (size_t)got, &len, &why);
	if (v == VERDICT_PARTIAL || (v == VERDICT_WHOLE && len > size))
		return err_set(e, ERR_CORRUPT,
		    "%s: is partial: ends within the header, after %" PRIu64
		    " bytes",
		    r->name, size);
	if (v != VERDICT_WHOLE)
		return bad(r, v, 0, &why, e);
	r->bytes = malloc(len);
	if (r->bytes == NULL)
		return no_memory(r, e);
	if (read_at(r, r->bytes, len, 0, e) < 0)
		return -1;
	v = header_decode(r->bytes, len, &r->header, &why);
	return v == VERDICT_WHOLE ? 0 : bad(r, v, 0, &why, e);
}

static int
read_tables(struct reader *r, struct err *e)
{
	const struct journal_header *h = &r->header;
	uint32_t i;

	r->volumes = calloc(h->volume_count, sizeof(*r->volumes));
	r->targets = calloc((size_t)h->target_count + 1, sizeof(*r->targets));
	r->block = malloc(BLOCK_LEN);
	r->stored = malloc(h->chunk_len);
	r->raw = malloc(h->chunk_len);
	if (r->volumes == NULL || r->targets == NULL || r->block == NULL ||
	    r->stored == NULL || r->raw == NULL)
		return no_memory(r, e);
	for (i = 0; i < h->volume_count; i++)
		header_volume(r->bytes, h, i, &r->volumes[i]);
	for (i = 0; i < h->target_count; i++)
		header_target(r->bytes, h, i, &r->targets[i]);
	return track_init(&r->track, h, r->volumes, e);
}

int
reader_open(int fd, const char *name, struct reader **out, struct err *e)
{
	AUTO(cleanup_reader) struct reader *r = calloc(1, sizeof(*r));
	uint64_t size;

	if (r == NULL)
		return err_set(e, ERR_RETRY, "%s: out of memory", name);
	r->fd = fd;
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
	if (io_size(fd, &size, e) < 0)
		return err_at(e, "%s", r->name);
	if (read_header(r, size, e) < 0)
		return -1;
	if (size != r->header.file_len)
		return err_set(e, ERR_CORRUPT,
		    "%s: %s: has %" PRIu64 " bytes, should have %" PRIu64,
		    r->name,
		    size < r->header.file_len ? "is partial"
					      : "goes on after its end",
		    size, r->header.file_len);
	if (read_tables(r, e) < 0)
		return -1;
	r->seed = iocb_seed(&r->header.stream, r->header.sequence);
	reader_rewind(r);
	*out = STEAL(r);
	return 0;
}

const struct journal_header *
reader_header(const struct reader *r)
{
	return &r->header;
}

void
reader_volume(const struct reader *r, uint32_t i, struct journal_volume *out)
{
	*out = r->volumes[i];
}

void
reader_target(const struct reader *r, uint32_t i, struct uuid *out)
{
	*out = r->targets[i];
}

bool
reader_has_target(const struct reader *r, const struct uuid *mirror)
{
	uint32_t i;

	for (i = 0; i < r->header.target_count; i++)
		if (uuid_equal(&r->targets[i], mirror))
			return true;
	return false;
}

void
reader_position(const struct reader *r, struct position *out)
{
	const struct journal_header *h = &r->header;

	*out = (struct position){.epoch = h->epoch,
	    .epoch_number = h->epoch_number,
	    .sequence = h->sequence,
	    .last = h->last};
	memcpy(out->digest, h->content_digest, DIGEST_LEN);
}

void
reader_rewind(struct reader *r)
{
	track_reset(&r->track);
	r->broken = false;
	r->block_first = 0;
	r->block_count = 0;
	r->raw_pos = 0;
	r->stored_pos = 0;
	r->chunk.raw_len = 0;
	r->codec = CODEC_NONE;
}

/* ---- one walk ---- */

static int
bad_entry(const struct reader *r, enum verdict v, uint64_t number,
    const struct why *why, struct err *e)
{
	uint64_t i = r->track.count;

	return err_set(e, kind_of(v),
	    "%s: transaction %" PRIu64 " (IOCB %" PRIu64 ", offset %" PRIu64
	    "): %s",
	    r->name, number, i, r->header.iocb_off + i * r->header.iocb_len,
	    why->text);
}

static int
next_iocb(struct reader *r, struct iocb *out, struct err *e)
{
	uint32_t len = r->header.iocb_len, i = r->track.count;
	struct why why = {0};
	enum verdict v;

	if (i >= r->block_first + r->block_count) {
		uint32_t n = r->header.iocb_count - i;

		if (n > BLOCK_LEN / len)
			n = (uint32_t)(BLOCK_LEN / len);
		r->block_first = i;
		r->block_count = 0;
		if (read_at(r, r->block, (size_t)n * len,
			r->header.iocb_off + (uint64_t)i * len, e) < 0)
			return -1;
		r->block_count = n;
	}
	v = iocb_decode(
	    r->block + (size_t)(i - r->block_first) * len, r->seed, out, &why);
	if (v != VERDICT_WHOLE)
		return bad_entry(r, v, r->track.number + 1, &why, e);
	v = track_check(&r->track, out, &why);
	return v == VERDICT_WHOLE ? 0 : bad_entry(r, v, out->number, &why, e);
}

/* Decodes the chunk whose header is known; `at` is where that lies. */
static int
decode_chunk(
    struct reader *r, const struct chunk *c, uint64_t at, struct err *e)
{
	bool plain = c->codec == CODEC_NONE;
	uint8_t *stored = plain ? r->raw : r->stored;
	struct why why = {0};
	enum verdict v;

	if (read_at(r, stored, c->stored_len, at + CHUNK_HEADER_LEN, e) < 0)
		return -1;
	/* A verified walk has the sums of the payloads for this. */
	if (plain && r->verified)
		return 0;
	v = chunk_decode(c, stored, r->raw, &why);
	return v == VERDICT_WHOLE ? 0 : bad(r, v, at, &why, e);
}

static int
next_chunk(struct reader *r, struct err *e)
{
	const struct journal_header *h = &r->header;
	uint8_t head[CHUNK_HEADER_LEN];
	uint64_t raw_pos = r->raw_pos + r->chunk.raw_len;
	uint64_t at = h->data_off + r->stored_pos;
	uint64_t room = h->data_stored_len - r->stored_pos;
	uint64_t want = h->data_raw_len - raw_pos;
	struct why why = {.text = "Data ends before its last chunk"};
	enum verdict v = VERDICT_CORRUPT;
	struct chunk c;

	r->raw_pos = raw_pos;
	r->chunk.raw_len = 0;
	if (want > h->chunk_len)
		want = h->chunk_len;
	if (room < CHUNK_HEADER_LEN)
		return bad(r, v, at, &why, e);
	if (read_at(r, head, sizeof(head), at, e) < 0)
		return -1;
	v = chunk_header_decode(head, sizeof(head), &c, &why);
	if (v != VERDICT_WHOLE)
		return bad(r, v, at, &why, e);
	if (c.raw_len != want || c.codec > h->codec ||
	    c.stored_len > room - CHUNK_HEADER_LEN) {
		v = verdict_say(&why, VERDICT_CORRUPT, 0,
		    "a chunk of %" PRIu32 " stored and %" PRIu32
		    " raw bytes does not fit here",
		    c.stored_len, c.raw_len);
		return bad(r, v, at, &why, e);
	}
	if (decode_chunk(r, &c, at, e) < 0)
		return -1;
	if (r->raw_sha != NULL &&
	    digest_add(r->raw_sha, r->raw, c.raw_len, e) < 0)
		return -1;
	r->chunk = c;
	r->stored_pos += CHUNK_HEADER_LEN + c.stored_len;
	if (c.codec > r->codec)
		r->codec = c.codec;
	return 0;
}

static int
payload_room(struct reader *r, size_t len, struct err *e)
{
	uint8_t *p;

	if (len <= r->payload_room)
		return 0;
	p = realloc(r->payload, len);
	if (p == NULL)
		return no_memory(r, e);
	r->payload = p;
	r->payload_room = len;
	return 0;
}

/* The payload where it lies, or put together when it crosses chunks. */
static int
next_payload(
    struct reader *r, const struct iocb *b, const uint8_t **out, struct err *e)
{
	size_t len = (size_t)b->len, done = 0;

	while (done < len) {
		size_t begin = (size_t)(b->data_off + done - r->raw_pos);
		size_t part = r->chunk.raw_len - begin;

		if (part == 0) {
			if (next_chunk(r, e) < 0)
				return -1;
			continue;
		}
		if (done == 0 && part >= len) {
			*out = r->raw + begin;
			return 0;
		}
		if (done == 0 && payload_room(r, len, e) < 0)
			return -1;
		if (part > len - done)
			part = len - done;
		memcpy(r->payload + done, r->raw + begin, part);
		done += part;
	}
	*out = r->payload;
	return 0;
}

static int
check_payload(const struct reader *r, const struct iocb *b, const uint8_t *data,
    struct err *e)
{
	struct why why = {.text = "checksum of the data does not match"};
	enum verdict v = VERDICT_CORRUPT;

	if (iocb_data_sum(data, (size_t)b->len, r->seed) != b->data_sum)
		return bad_entry(r, v, b->number, &why, e);
	v = track_check_note(b, data, &why);
	return v == VERDICT_WHOLE ? 0 : bad_entry(r, v, b->number, &why, e);
}

/* Nothing may be left over. */
static int
check_end(const struct reader *r, struct err *e)
{
	const struct journal_header *h = &r->header;

	if (r->track.data_end != h->data_raw_len ||
	    r->stored_pos != h->data_stored_len)
		return err_set(e, ERR_CORRUPT,
		    "%s: Data has %" PRIu64 " raw and %" PRIu64
		    " stored bytes that belong to no transaction",
		    r->name, h->data_raw_len - r->track.data_end,
		    h->data_stored_len - r->stored_pos);
	if (r->codec != h->codec)
		return err_set(e, ERR_CORRUPT,
		    "%s: the header says codec %s, the chunks %s", r->name,
		    codec_name(h->codec), codec_name(r->codec));
	return 0;
}

static int
next(struct reader *r, struct iocb *out, const uint8_t **data, struct err *e)
{
	uint8_t canonical[IOCB_CANONICAL_LEN];
	const uint8_t *payload = NULL;
	struct iocb b;

	if (r->track.count == r->header.iocb_count)
		return check_end(r, e);
	if (next_iocb(r, &b, e) < 0)
		return -1;
	if (op_has_data(b.op) && (next_payload(r, &b, &payload, e) < 0 ||
				     check_payload(r, &b, payload, e) < 0))
		return -1;
	if (r->iocbs_sha != NULL) {
		iocb_encode_canonical(&b, canonical);
		if (digest_add(r->iocbs_sha, canonical, sizeof(canonical), e) <
		    0)
			return -1;
	}
	track_accept(&r->track, &b);
	*out = b;
	*data = payload;
	return 1;
}

int
reader_next(
    struct reader *r, struct iocb *out, const uint8_t **data, struct err *e)
{
	int more;

	if (r->broken)
		return err_set(
		    e, ERR_FATAL, "%s: reading has failed before", r->name);
	more = next(r, out, data, e);
	r->broken = more < 0;
	return more;
}

/* ---- verify ---- */

static int
check_signature(struct reader *r, const struct sign_public *key, struct err *e)
{
	AUTO_FREE uint8_t *blank = malloc(r->header.header_len);
	uint8_t id[KEY_ID_LEN];
	char is[2 * KEY_ID_LEN + 1], want[2 * KEY_ID_LEN + 1];
	bool valid = false;

	if (blank == NULL)
		return no_memory(r, e);
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
		return no_memory(r, e);
	if (digest_begin(&d, e) < 0)
		return -1;
	while (at < r->header.file_len) {
		uint64_t len = r->header.file_len - at;

		if (len > STORED_READ)
			len = STORED_READ;
		if (read_at(r, part, (size_t)len, at, e) < 0 ||
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
