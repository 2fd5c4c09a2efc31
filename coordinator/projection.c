/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/projection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const fold_modes[] = {"none", "within", "lagging"};

const char *
fold_mode_name(enum fold_mode m)
{
	return fold_modes[m];
}

bool
fold_mode_parse(const char *text, enum fold_mode *out)
{
	unsigned i;

	for (i = 0; i < sizeof(fold_modes) / sizeof(fold_modes[0]); i++)
		if (strcmp(fold_modes[i], text) == 0) {
			*out = (enum fold_mode)i;
			return true;
		}
	return false;
}

int
projection_map_init(struct projection_map *m, const struct projection_config *p,
    uint32_t volumes, struct err *e)
{
	struct projection_way *way = calloc((size_t)volumes + 1, sizeof(*way));
	uint32_t i;

	if (way == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; i < volumes; i++)
		way[i].to = PROJECTION_OUT;
	for (i = 0; i < p->part_count; i++) {
		const struct projection_part *part = &p->parts[i];

		way[part->volume] = (struct projection_way){
		    .to = i,
		    .begin = part->off,
		    .end = part->len == 0 ? UINT64_MAX : part->off + part->len,
		};
	}
	*m = (struct projection_map){.count = volumes,
	    .way = way,
	    .layout = p->layout,
	    .member = p->member};
	return 0;
}

void
projection_map_release(struct projection_map *m)
{
	free(m->way);
	*m = (struct projection_map){0};
}

/* The part of its range that lies within what is taken. */
static bool
clip(const struct projection_way *w, struct iocb *b, const uint8_t **data)
{
	uint64_t end = b->off + b->len, skip;

	if (end > w->end)
		end = w->end;
	skip = b->off < w->begin ? w->begin - b->off : 0;
	if (b->off + skip >= end)
		return false;
	b->off += skip;
	b->len = end - b->off;
	if (*data != NULL)
		*data += skip;
	return true;
}

uint64_t
projection_size(const struct projection_map *m, uint64_t size)
{
	return m->layout.members == 0
		   ? size
		   : layout_member_size(&m->layout, size, m->member);
}

/*
 * What a stretch has on the member. Its chunks have slots one after the other,
 * of which the member has every so many; so its rows follow one another, too,
 * and only in the first and in the last chunk may the stretch begin or end.
 */
struct rows {
	uint64_t chunk, copies, members;
	uint64_t first_chunk, last_chunk; /* of the volume */
	uint64_t first_slot, last_slot;	  /* of the member */
};

static bool
find_rows(const struct projection_map *m, const struct iocb *b, struct rows *r)
{
	const struct layout *l = &m->layout;
	uint64_t begin, end;

	*r = (struct rows){.chunk = l->chunk,
	    .copies = layout_copies(l),
	    .members = l->members,
	    .first_chunk = b->off / l->chunk,
	    .last_chunk = (b->off + b->len - 1) / l->chunk};
	begin = r->first_chunk * r->copies;
	end = (r->last_chunk + 1) * r->copies - 1;
	r->first_slot =
	    begin + (m->member + r->members - begin % r->members) % r->members;
	if (r->first_slot > end)
		return false;
	r->last_slot = end - (end - r->first_slot) % r->members;
	return true;
}

/* Where the part of the stretch that a slot holds begins and ends, on the
 * volume. */
static void
part_of(const struct rows *r, const struct iocb *b, uint64_t slot,
    uint64_t *begin, uint64_t *end)
{
	uint64_t chunk = slot / r->copies;

	*begin = chunk == r->first_chunk ? b->off : chunk * r->chunk;
	*end =
	    chunk == r->last_chunk ? b->off + b->len : (chunk + 1) * r->chunk;
}

static const uint8_t *
put_together(struct projection_map *m, const struct rows *r,
    const struct iocb *b, const uint8_t *data)
{
	uint8_t *to = m->room;
	uint64_t begin, end, slot;

	part_of(r, b, r->first_slot, &begin, &end);
	if (r->first_slot == r->last_slot)
		return data + (begin - b->off);
	for (slot = r->first_slot; slot <= r->last_slot; slot += r->members) {
		part_of(r, b, slot, &begin, &end);
		assert(end - begin <= (uint64_t)(m->room_end - m->room));
		memcpy(m->room, data + (begin - b->off), end - begin);
		m->room += end - begin;
	}
	return to;
}

/* To the member's addresses; false: nothing of it is there. */
static bool
lay_out(struct projection_map *m, struct iocb *b, const uint8_t **data)
{
	uint64_t begin, end, first, last;
	struct rows r;

	if (!find_rows(m, b, &r))
		return false;
	if (*data != NULL)
		*data = put_together(m, &r, b, *data);
	part_of(&r, b, r.first_slot, &begin, &end);
	first = r.first_slot / r.members * r.chunk + begin % r.chunk;
	part_of(&r, b, r.last_slot, &begin, &end);
	last = r.last_slot / r.members * r.chunk + (end - 1) % r.chunk;
	b->off = first;
	b->len = last - first + 1;
	return true;
}

static bool
resize(const struct projection_map *m, struct iocb *b)
{
	if (m->layout.members == 0)
		return true;
	b->off = projection_size(m, b->off);
	b->len = projection_size(m, b->len);
	return b->off != b->len;
}

bool
projection_take(struct projection_map *m, const struct iocb *in,
    const uint8_t *data, struct iocb *out, const uint8_t **out_data)
{
	const struct projection_way *w = &m->way[in->volume];
	struct iocb b = *in;

	b.volume = w->to == PROJECTION_OUT ? 0 : w->to;
	switch (b.op) {
	case OP_VOID:
		return false;
	case OP_FLUSH:
		if (w->to == PROJECTION_OUT)
			return false;
		break;
	case OP_RESIZE:
		if (w->to == PROJECTION_OUT || !resize(m, &b))
			return false;
		break;
	case OP_GAP:
		/* It says that the history ends, not what is missing. */
		b.off = b.len = b.volume = 0;
		break;
	default:
		if (op_has_range(b.op) &&
		    (w->to == PROJECTION_OUT || !clip(w, &b, &data) ||
			(m->layout.members > 0 && !lay_out(m, &b, &data))))
			return false;
	}
	*out = b;
	*out_data = data;
	return true;
}
