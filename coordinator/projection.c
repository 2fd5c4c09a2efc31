/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/projection.h"

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
	*m = (struct projection_map){.count = volumes, .way = way};
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

bool
projection_take(const struct projection_map *m, const struct iocb *in,
    const uint8_t *data, struct iocb *out, const uint8_t **out_data)
{
	const struct projection_way *w = &m->way[in->volume];
	struct iocb b = *in;

	b.volume = w->to == PROJECTION_OUT ? 0 : w->to;
	switch (b.op) {
	case OP_VOID:
		return false;
	case OP_FLUSH:
	case OP_RESIZE:
		if (w->to == PROJECTION_OUT)
			return false;
		break;
	case OP_GAP:
		/* It says that the history ends, not what is missing. */
		b.off = b.len = b.volume = 0;
		break;
	default:
		if (op_has_range(b.op) &&
		    (w->to == PROJECTION_OUT || !clip(w, &b, &data)))
			return false;
	}
	*out = b;
	*out_data = data;
	return true;
}
