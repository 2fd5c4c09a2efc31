/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/reader_state.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
	crypt_close(r->crypt);
	free(r->sealed);
	free(r->open);
	free(r);
}

static void
cleanup_reader(struct reader **r)
{
	reader_close(*r);
}

enum err_kind
reader_kind(enum verdict v)
{
	return v == VERDICT_UNKNOWN ? ERR_REFUSED : ERR_CORRUPT;
}

int
reader_bad(const struct reader *r, enum verdict v, uint64_t base,
    const struct why *why, struct err *e)
{
	return err_set(e, reader_kind(v), "%s: at offset %" PRIu64 ": %s",
	    r->name, base + why->offset, why->text);
}

int
reader_no_memory(const struct reader *r, struct err *e)
{
	return err_set(e, ERR_RETRY, "%s: out of memory", r->name);
}

int
reader_read_at(
    struct reader *r, void *to, size_t len, uint64_t off, struct err *e)
{
	if (header_is_encrypted(&r->header) && off >= r->header.header_len)
		return reader_read_open(r, to, len, off, e);
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
		return reader_bad(r, v, 0, &why, e);
	r->bytes = malloc(len);
	if (r->bytes == NULL)
		return reader_no_memory(r, e);
	if (reader_read_at(r, r->bytes, len, 0, e) < 0)
		return -1;
	v = header_decode(r->bytes, len, &r->header, &why);
	return v == VERDICT_WHOLE ? 0 : reader_bad(r, v, 0, &why, e);
}

static int
read_tables(struct reader *r, struct err *e)
{
	const struct journal_header *h = &r->header;
	uint32_t i;

	r->volumes = calloc(h->volume_count, sizeof(*r->volumes));
	r->targets = calloc((size_t)h->target_count + 1, sizeof(*r->targets));
	r->block = malloc(READER_BLOCK);
	r->stored = malloc(h->chunk_len);
	r->raw = malloc(h->chunk_len);
	if (r->volumes == NULL || r->targets == NULL || r->block == NULL ||
	    r->stored == NULL || r->raw == NULL)
		return reader_no_memory(r, e);
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
