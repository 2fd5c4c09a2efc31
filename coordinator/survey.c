/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/survey.h"

#include <string.h>

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
	if (survey_volume(s, r, b->volume, &k, e) < 0)
		return -1;
	raise_to(needed, k, b->off);
	return 0;
}

/* All control blocks, without their data. *last is the last one. */
static int
walk(const struct stage *s, struct reader *r, struct survey *out,
    uint64_t *needed, struct iocb *last, struct err *e)
{
	int more;

	reader_rewind(r);
	while ((more = reader_next_iocb(r, last, e)) > 0)
		if (look_at(s, r, last, out, needed, e) < 0)
			return -1;
	reader_rewind(r);
	return more;
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
	if (walk(s, f->reader, out, needed, &last, e) < 0)
		return err_at(e, "%s", f->name);
	if (chain_begins(&s->mirror, f->reader)) {
		out->begins = true;
		if (chain_note(f->reader, h->first, &out->begin, e) < 0)
			return err_at(e, "%s", f->name);
	}
	if (last.op == OP_COPYIN_END) {
		out->ends = true;
		if (chain_note(f->reader, last.number, &out->end, e) < 0)
			return err_at(e, "%s", f->name);
	}
	return 0;
}
