/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/survey.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/codec.h"
#include "fileformat/sum.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_LEN (64u << 10)

int
survey_volume(const struct stage *s, const struct reader *r, uint32_t i,
    uint32_t *out, struct err *e)
{
	struct journal_volume v;
	char text[UUID_TEXT];
	uint32_t k;

	reader_volume(r, i, &v);
	for (k = 0; k < s->mirror.volume_count; k++)
		if (uuid_equal(&s->volumes[k].uuid, &v.uuid)) {
			*out = k;
			return 0;
		}
	return err_set(e, ERR_CORRUPT, "volume %s is not one of this mirror",
	    uuid_text(&v.uuid, text));
}

static void
raise_to(uint64_t *needed, uint32_t i, uint64_t size)
{
	if (needed[i] < size)
		needed[i] = size;
}

static int
look_at(const struct stage *s, const struct reader *r, const struct iocb *b,
    struct survey *out, uint64_t *needed, struct err *e)
{
	uint32_t k;

	if (b->op == OP_GAP)
		out->is_break = true;
	if (b->op != OP_RESIZE || needed == NULL)
		return 0;
	if (b->volume >= reader_header(r)->volume_count)
		return err_set(e, ERR_CORRUPT,
		    "transaction %ju is on volume %u, which is not in the file",
		    (uintmax_t)b->number, b->volume);
	if (survey_volume(s, r, b->volume, &k, e) < 0)
		return -1;
	raise_to(needed, k, b->off);
	return 0;
}

/* All control blocks, without their data. *last is the last one. */
static int
walk(const struct stage *s, struct staged *f, struct survey *out,
    uint64_t *needed, struct iocb *last, struct err *e)
{
	const struct journal_header *h = reader_header(f->reader);
	uint64_t seed = iocb_seed(&h->stream, h->sequence);
	uint32_t step = h->iocb_len > BLOCK_LEN ? 1 : BLOCK_LEN / h->iocb_len;
	uint32_t i, n;
	AUTO_FREE uint8_t *block =
	    malloc(h->iocb_len > BLOCK_LEN ? IOCB_LEN : BLOCK_LEN);
	struct why why;

	if (block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; i < h->iocb_count; i++) {
		n = i % step;
		if (n == 0) {
			uint32_t rest = h->iocb_count - i;
			size_t len =
			    (size_t)(rest < step ? rest : step) * h->iocb_len;

			if (io_read_at(f->fd, block, step == 1 ? IOCB_LEN : len,
				h->iocb_off + (uint64_t)i * h->iocb_len, e) < 0)
				return -1;
		}
		if (iocb_decode(block + (size_t)n * h->iocb_len, seed, last,
			&why) != VERDICT_WHOLE)
			return err_set(e, ERR_CORRUPT, "control block %u: %s",
			    i, why.text);
		if (look_at(s, f->reader, last, out, needed, e) < 0)
			return -1;
	}
	return 0;
}

static int
check_chunk(
    struct staged *f, uint64_t *at, uint64_t end, uint8_t *room, struct err *e)
{
	uint8_t head[CHUNK_HEADER_LEN];
	struct chunk c;
	struct why why;

	if (end - *at < sizeof(head))
		return err_set(e, ERR_CORRUPT, "a chunk at offset %ju is cut",
		    (uintmax_t)*at);
	if (io_read_at(f->fd, head, sizeof(head), *at, e) < 0)
		return -1;
	if (chunk_header_decode(head, sizeof(head), &c, &why) != VERDICT_WHOLE)
		return err_set(e, ERR_CORRUPT, "chunk at offset %ju: %s",
		    (uintmax_t)*at, why.text);
	if (c.stored_len > end - *at - sizeof(head) ||
	    c.stored_len > JOURNAL_CHUNK_LIMIT)
		return err_set(e, ERR_CORRUPT,
		    "a chunk at offset %ju goes beyond the end",
		    (uintmax_t)*at);
	if (io_read_at(f->fd, room, c.stored_len, *at + sizeof(head), e) < 0)
		return -1;
	if (sum_bytes(room, c.stored_len, c.seed) != c.sum)
		return err_set(e, ERR_CORRUPT,
		    "checksum of the chunk at offset %ju does not match",
		    (uintmax_t)*at);
	*at += sizeof(head) + c.stored_len;
	return 0;
}

int
survey_sums(struct staged *f, struct err *e)
{
	const struct journal_header *h = reader_header(f->reader);
	uint64_t at = h->data_off, end = h->data_off + h->data_stored_len;
	AUTO_FREE uint8_t *room = malloc(JOURNAL_CHUNK_LIMIT);

	if (room == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	while (at < end)
		if (check_chunk(f, &at, end, room, e) < 0)
			return err_at(e, "%s", f->name);
	return 0;
}

/* The note of transaction `number`, which the file is known to hold. */
static int
find_note(
    struct reader *r, uint64_t number, struct copyin_note *out, struct err *e)
{
	const uint8_t *data;
	struct iocb b;
	struct why why;
	int more;

	reader_rewind(r);
	while ((more = reader_next(r, &b, &data, e)) > 0 && b.number != number)
		continue;
	if (more < 0)
		return -1;
	if (more == 0 || data == NULL ||
	    copyin_note_decode(data, (size_t)b.len, out, &why) != VERDICT_WHOLE)
		return err_set(e, ERR_CORRUPT,
		    "transaction %ju has no note of a copy-in",
		    (uintmax_t)number);
	reader_rewind(r);
	return 0;
}

int
survey_file(const struct stage *s, struct staged *f, struct survey *out,
    uint64_t *needed, struct err *e)
{
	const struct journal_header *h = reader_header(f->reader);
	struct iocb last = {0};
	uint32_t i, k;

	memset(out, 0, sizeof(*out));
	out->raw_len = h->data_raw_len;
	out->is_break = (h->incompat & JOURNAL_INCOMPAT_BREAK) != 0;
	for (i = 0; needed != NULL && i < h->volume_count; i++) {
		struct journal_volume v;

		reader_volume(f->reader, i, &v);
		if (survey_volume(s, f->reader, i, &k, e) < 0)
			return err_at(e, "%s", f->name);
		raise_to(needed, k, v.size);
	}
	if (walk(s, f, out, needed, &last, e) < 0)
		return err_at(e, "%s", f->name);
	if (chain_begins(&s->mirror, f->reader)) {
		out->begins = true;
		if (find_note(f->reader, h->first, &out->begin, e) < 0)
			return err_at(e, "%s", f->name);
	}
	if (last.op == OP_COPYIN_END) {
		out->ends = true;
		if (find_note(f->reader, last.number, &out->end, e) < 0)
			return err_at(e, "%s", f->name);
	}
	return 0;
}
