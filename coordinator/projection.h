/* SPDX-License-Identifier: Apache-2.0 */
/*
 * projection: what a projection makes of the group's transactions. Pure but
 * for the memory of the map; one thread.
 *
 * A range keeps its addresses: what is outside of it is never written. The
 * member of a layout has addresses of its own (docs/layout.md). A transaction
 * becomes at most one, under its own number: what a stretch of the volume has
 * on a member is one stretch there.
 */
#ifndef COORDINATOR_PROJECTION_H
#define COORDINATOR_PROJECTION_H

#include "coordinator/config.h"
#include "coordinator/home.h"
#include "fileformat/ack.h"
#include "fileformat/header.h"
#include "fileformat/iocb.h"

/* "none", "within", "lagging" */
const char *fold_mode_name(enum fold_mode m);
bool fold_mode_parse(const char *text, enum fold_mode *out);

#define PROJECTION_OUT UINT32_MAX

/* Where a volume of the group's files goes: its place in the projected ones,
 * or PROJECTION_OUT, and the addresses that are taken. */
struct projection_way {
	uint32_t to;
	uint64_t begin, end;
};

struct projection_map {
	uint32_t count; /* the group's volumes */
	struct projection_way *way;
	struct layout layout; /* members 0: none */
	uint32_t member;
	/* Of a layout: where data are put together, and the end of that. */
	uint8_t *room, *room_end;
};

/* What a volume of so many bytes has there. */
uint64_t projection_size(const struct projection_map *m, uint64_t size);

int projection_map_init(struct projection_map *m,
    const struct projection_config *p, uint32_t volumes, struct err *e) CHECKED;
void projection_map_release(struct projection_map *m);

/*
 * What becomes of a transaction: true and *out with *out_data (inside of
 * `data`, or of the room, which has as many bytes as all data that are given
 * while it is used), or false when nothing of it is left. A control message
 * that is not about a volume of the projection is still a message that the
 * mirror has to answer. A gap stays one, wherever it was.
 */
bool projection_take(struct projection_map *m, const struct iocb *in,
    const uint8_t *data, struct iocb *out, const uint8_t **out_data);

/* state/<stream>.project: where the projector stands. All zero when there is
 * none yet. It is written after the fact, so it may say too little. */
struct projection_note {
	struct position upto;  /* of the group's own files; nil: not known */
	uint64_t files;	       /* that are here */
	uint64_t spool_bytes;  /* of them, copied-in content left out */
	uint64_t sent_bytes;   /* of these, what all destinations have stored */
	uint64_t copyin_bytes; /* that who is being copied in has not stored */
	/* since it began, with and without what was left out */
	uint64_t transactions_in, transactions_out, bytes_in, bytes_out;
	char error[512]; /* "": none */
};
void projection_note_read(
    struct home *h, const struct uuid *stream, struct projection_note *out);
int projection_note_write(struct home *h, const struct uuid *stream,
    const struct note_pair *pairs, size_t count, struct err *e) CHECKED;

#endif
