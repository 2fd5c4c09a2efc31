/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk goes once through IOCBs and Data, side by side: a block of IOCBs and
 * a chunk of Data are in memory, and a payload that crosses chunks is put
 * together. The walk of reader_verify also feeds the digests. After it the
 * file's bytes are known to be good, so that later walks need the checksums
 * of IOCBs and payloads alone, against what happens between disk and memory.
 */
#include "aimdriver/reader_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What was loaded needs no second look. */
static bool
is_checked(const struct reader *r)
{
	return r->data != NULL && !r->loading;
}

static int
bad_entry(const struct reader *r, enum verdict v, uint64_t number,
    const struct why *why, struct err *e)
{
	uint64_t i = r->track.count;

	return err_set(e, reader_kind(v),
	    "%s: transaction %" PRIu64 " (IOCB %" PRIu64 ", offset %" PRIu64
	    "): %s",
	    r->name, number, i, r->header.iocb_off + i * r->header.iocb_len,
	    why->text);
}

static int
stored_iocb(struct reader *r, const uint8_t **out, struct err *e)
{
	uint32_t len = r->header.iocb_len, i = r->track.count;

	if (r->iocbs != NULL) {
		*out = r->iocbs + (size_t)i * len;
		return 0;
	}
	if (i >= r->block_first + r->block_count) {
		uint32_t n = r->header.iocb_count - i;

		if (n > READER_BLOCK / len)
			n = (uint32_t)(READER_BLOCK / len);
		r->block_first = i;
		r->block_count = 0;
		if (reader_read_at(r, r->block, (size_t)n * len,
			r->header.iocb_off + (uint64_t)i * len, e) < 0)
			return -1;
		r->block_count = n;
	}
	*out = r->block + (size_t)(i - r->block_first) * len;
	return 0;
}

static int
next_iocb(struct reader *r, struct iocb *out, struct err *e)
{
	const uint8_t *stored;
	struct why why = {0};
	enum verdict v;

	if (stored_iocb(r, &stored, e) < 0)
		return -1;
	v = iocb_decode(stored, r->seed, out, &why);
	if (v != VERDICT_WHOLE)
		return bad_entry(r, v, r->track.number + 1, &why, e);
	v = track_check(&r->track, out, &why);
	return v == VERDICT_WHOLE ? 0 : bad_entry(r, v, out->number, &why, e);
}

/*
 * Decodes the chunk whose header is known; `at` is where that lies. `direct`,
 * if not NULL, takes the place of r->raw when no decoding is needed.
 */
static int
decode_chunk(struct reader *r, const struct chunk *c, uint64_t at,
    uint8_t *direct, struct err *e)
{
	bool plain = c->codec == CODEC_NONE;
	uint8_t *raw = direct != NULL ? direct : r->raw;
	uint8_t *stored = plain ? raw : r->stored;
	struct why why = {0};
	enum verdict v;

	if (reader_read_at(r, stored, c->stored_len, at + CHUNK_HEADER_LEN, e) <
	    0)
		return -1;
	/* The sums of the payloads are enough for this. */
	if (plain && (r->verified || r->loading))
		return 0;
	v = chunk_decode(c, stored, raw, &why);
	return v == VERDICT_WHOLE ? 0 : reader_bad(r, v, at, &why, e);
}

static int
next_chunk(struct reader *r, uint8_t *place, size_t left, struct err *e)
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
		return reader_bad(r, v, at, &why, e);
	if (reader_read_at(r, head, sizeof(head), at, e) < 0)
		return -1;
	v = chunk_header_decode(head, sizeof(head), &c, &why);
	if (v != VERDICT_WHOLE)
		return reader_bad(r, v, at, &why, e);
	if (c.raw_len != want || c.codec > h->codec ||
	    c.stored_len > room - CHUNK_HEADER_LEN) {
		v = verdict_say(&why, VERDICT_CORRUPT, 0,
		    "a chunk of %" PRIu32 " stored and %" PRIu32
		    " raw bytes does not fit here",
		    c.stored_len, c.raw_len);
		return reader_bad(r, v, at, &why, e);
	}
	if (place != NULL && c.raw_len > left)
		place = NULL;
	if (decode_chunk(r, &c, at, place, e) < 0)
		return -1;
	if (r->raw_sha != NULL &&
	    digest_add(
		r->raw_sha, place != NULL ? place : r->raw, c.raw_len, e) < 0)
		return -1;
	r->raw_is_elsewhere = place != NULL;
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
		return reader_no_memory(r, e);
	r->payload = p;
	r->payload_room = len;
	return 0;
}

/* The payload in the room; track_check has seen to it that it is within. */
static int
loaded_payload(
    struct reader *r, const struct iocb *b, const uint8_t **out, struct err *e)
{
	uint64_t at;

	while (r->loading &&
	       (at = r->raw_pos + r->chunk.raw_len, at < b->data_off + b->len))
		if (next_chunk(r, r->data + at,
			(size_t)(r->header.data_raw_len - at), e) < 0)
			return -1;
	*out = r->data + b->data_off;
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
			bool whole = len - done >= r->header.chunk_len;

			if (whole && payload_room(r, len, e) < 0)
				return -1;
			if (next_chunk(r, whole ? r->payload + done : NULL,
				len - done, e) < 0)
				return -1;
			if (r->raw_is_elsewhere)
				done += r->chunk.raw_len;
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

	if (!is_checked(r) &&
	    iocb_data_sum(data, (size_t)b->len, r->seed) != b->data_sum)
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
	    (!is_checked(r) && r->stored_pos != h->data_stored_len))
		return err_set(e, ERR_CORRUPT,
		    "%s: Data has %" PRIu64 " raw and %" PRIu64
		    " stored bytes that belong to no transaction",
		    r->name, h->data_raw_len - r->track.data_end,
		    h->data_stored_len - r->stored_pos);
	if (!is_checked(r) && r->codec != h->codec)
		return err_set(e, ERR_CORRUPT,
		    "%s: the header says codec %s, the chunks %s", r->name,
		    codec_name(h->codec), codec_name(r->codec));
	return 0;
}

static int
next(struct reader *r, bool with_data, struct iocb *out, const uint8_t **data,
    struct err *e)
{
	uint8_t canonical[IOCB_CANONICAL_LEN];
	const uint8_t *payload = NULL;
	struct iocb b;

	if (r->track.count == r->header.iocb_count)
		return with_data ? check_end(r, e) : 0;
	if (next_iocb(r, &b, e) < 0)
		return -1;
	if (with_data && op_has_data(b.op) &&
	    ((r->data != NULL ? loaded_payload(r, &b, &payload, e)
			      : next_payload(r, &b, &payload, e)) < 0 ||
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

static int
next_unless_broken(struct reader *r, bool with_data, struct iocb *out,
    const uint8_t **data, struct err *e)
{
	int more;

	if (r->broken)
		return err_set(
		    e, ERR_FATAL, "%s: reading has failed before", r->name);
	more = next(r, with_data, out, data, e);
	r->broken = more < 0;
	return more;
}

int
reader_next(
    struct reader *r, struct iocb *out, const uint8_t **data, struct err *e)
{
	return next_unless_broken(r, true, out, data, e);
}

int
reader_next_iocb(struct reader *r, struct iocb *out, struct err *e)
{
	const uint8_t *none;

	return next_unless_broken(r, false, out, &none, e);
}
