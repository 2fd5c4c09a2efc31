/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/track.h"

#include "fileformat/note.h"

#include <inttypes.h>
#include <stdlib.h>

#define BAD(...) verdict_say(why, VERDICT_CORRUPT, 0, __VA_ARGS__)

int
track_init(struct track *t, const struct journal_header *h,
    const struct journal_volume *volumes, struct err *e)
{
	uint64_t *sizes = calloc(h->volume_count, sizeof(*sizes));

	if (sizes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	*t = (struct track){.header = h, .volumes = volumes, .sizes = sizes};
	track_reset(t);
	return 0;
}

void
track_reset(struct track *t)
{
	uint32_t i;

	t->count = 0;
	t->number = t->header->first - 1;
	t->time_ns = t->header->first_time_ns;
	t->data_end = 0;
	t->ended = false;
	for (i = 0; i < t->header->volume_count; i++)
		t->sizes[i] = t->volumes[i].size;
}

void
track_release(struct track *t)
{
	free(t->sizes);
	*t = (struct track){0};
}

static enum verdict
check_order(const struct track *t, const struct iocb *b, struct why *why)
{
	const struct journal_header *h = t->header;
	bool dense = (h->compat & JOURNAL_COMPAT_DENSE) != 0;

	if (b->number < h->first || b->number > h->last)
		return BAD("transaction %" PRIu64 " is not within %" PRIu64
			   "..%" PRIu64,
		    b->number, h->first, h->last);
	if (b->number <= t->number)
		return BAD("transaction %" PRIu64 " comes after %" PRIu64,
		    b->number, t->number);
	if (dense && b->number != t->number + 1)
		return BAD("transaction %" PRIu64 " comes after %" PRIu64
			   " in a file that is declared dense",
		    b->number, t->number);
	if (b->time_ns < t->time_ns || b->time_ns > h->last_time_ns)
		return BAD("time %" PRIu64 " is not within %" PRIu64
			   "..%" PRIu64,
		    b->time_ns, t->time_ns, h->last_time_ns);
	if (t->ended)
		return BAD("follows the end of a copy-in in the same file");
	if ((b->op == OP_COPYIN_BEGIN) !=
	    (h->kind == JOURNAL_COPYIN_OPEN && t->count == 0))
		return BAD("operation %s as entry %" PRIu32 " of a %s file",
		    op_name(b->op), t->count, journal_kind_name(h->kind));
	return VERDICT_WHOLE;
}

enum verdict
track_check(const struct track *t, const struct iocb *b, struct why *why)
{
	const struct journal_header *h = t->header;
	uint64_t size;

	if (check_order(t, b, why) != VERDICT_WHOLE)
		return VERDICT_CORRUPT;
	if (b->volume >= h->volume_count)
		return BAD("volume %" PRIu32 " is not in the table of %" PRIu32,
		    b->volume, h->volume_count);
	size = t->sizes[b->volume];
	/* iocb_check has seen to it that this does not overflow. */
	if (op_has_range(b->op) && b->off + b->len > size)
		return BAD("%s of %" PRIu64 "+%" PRIu64
			   " goes beyond the volume's %" PRIu64 " bytes",
		    op_name(b->op), b->off, b->len, size);
	if (b->op == OP_RESIZE && b->len != size)
		return BAD("resize from %" PRIu64
			   " bytes, but the volume has %" PRIu64,
		    b->len, size);
	if (!op_has_data(b->op))
		return VERDICT_WHOLE;
	if (b->data_off != t->data_end)
		return BAD("data at %" PRIu64 ", not at %" PRIu64
			   " where that before it ends",
		    b->data_off, t->data_end);
	if (b->len > h->data_raw_len - t->data_end)
		return BAD("data %" PRIu64 "+%" PRIu64
			   " goes beyond the %" PRIu64 " bytes of Data",
		    b->data_off, b->len, h->data_raw_len);
	return VERDICT_WHOLE;
}

enum verdict
track_check_note(const struct iocb *b, const uint8_t *data, struct why *why)
{
	struct copyin_note copyin;
	struct control_note control;

	if (!op_has_note(b->op))
		return VERDICT_WHOLE;
	if (b->op == OP_COPYIN_BEGIN || b->op == OP_COPYIN_END)
		return copyin_note_decode(data, (size_t)b->len, &copyin, why);
	return control_note_decode(data, (size_t)b->len, &control, why);
}

void
track_accept(struct track *t, const struct iocb *b)
{
	t->count++;
	t->number = b->number;
	t->time_ns = b->time_ns;
	t->ended = b->op == OP_COPYIN_END;
	if (b->op == OP_RESIZE)
		t->sizes[b->volume] = b->off;
	if (op_has_data(b->op))
		t->data_end += b->len;
}
