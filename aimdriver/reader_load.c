/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_load: a file is read once, in order, and what was read is what is
 * checked and then acted upon. Room: raw Data, then the stored IOCBs. Data
 * lie there without the heads of their chunks, so that payloads which follow
 * one another are one piece of memory. They are read as the walk comes to
 * them, so that each is summed while it is in the processor's cache.
 */
#include "aimdriver/reader_state.h"

#include <stdlib.h>

/* Files of about one size fit into one room. */
#define ROOM_UNIT (UINT64_C(256) << 10)

void
reader_room_release(struct reader_room *room)
{
	free(room->bytes);
	*room = (struct reader_room){0};
}

uint64_t
reader_load_len(const struct reader *r)
{
	const struct journal_header *h = &r->header;

	uint64_t len = h->data_raw_len + (uint64_t)h->iocb_count * h->iocb_len;

	return (len + ROOM_UNIT) / ROOM_UNIT * ROOM_UNIT;
}

bool
reader_is_loaded(const struct reader *r)
{
	return r->iocbs != NULL;
}

static int
make_room(struct reader *r, struct reader_room *room, struct err *e)
{
	uint64_t len = reader_load_len(r);

	if (room->bytes != NULL && len <= room->len)
		return 0;
	/* What is in it is not worth copying. */
	reader_room_release(room);
	room->bytes = malloc((size_t)len);
	if (room->bytes == NULL)
		return reader_no_memory(r, e);
	room->len = (size_t)len;
	return 0;
}

static int
load(struct reader *r, uint8_t *room, struct err *e)
{
	const struct journal_header *h = &r->header;
	uint8_t *iocbs = room + h->data_raw_len;
	const uint8_t *data;
	struct iocb b;
	int more;

	if (reader_read_at(r, iocbs, (size_t)h->iocb_count * h->iocb_len,
		h->iocb_off, e) < 0)
		return -1;
	r->iocbs = iocbs;
	r->data = room;
	r->loading = true;
	while ((more = reader_next(r, &b, &data, e)) > 0)
		continue;
	r->loading = false;
	return more;
}

int
reader_load(struct reader *r, const struct sign_public *key,
    struct reader_room *room, struct err *e)
{
	int rc;

	reader_unload(r);
	reader_rewind(r);
	if (key != NULL && reader_check_signature(r, key, e) < 0)
		return -1;
	if (make_room(r, room, e) < 0)
		return -1;
	rc = load(r, room->bytes, e);
	reader_rewind(r);
	if (rc < 0)
		reader_unload(r);
	return rc;
}

void
reader_unload(struct reader *r)
{
	r->iocbs = NULL;
	r->data = NULL;
}
