/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply_cut: the member of a layout applies only up to the last cut (design
 * 9.15), so that it comes to no moment that too few of the others can reach.
 * Cuts lie behind what they are about: they are looked for in all that is
 * staged. A file of nothing but cuts and heartbeats, with all its numbers, is
 * the same at all members and changes nothing: it needs no cut, and there
 * would be no end of them if it did.
 */
#include "coordinator/apply.h"

#include "fileformat/note.h"

#include <string.h>

static bool
needs_cut(const struct staged *f)
{
	return (reader_header(f->reader)->incompat & JOURNAL_INCOMPAT_CUTS) !=
	       0;
}

/* 1, 0, -1. The reader is at its beginning afterwards. */
static int
changes_nothing(struct staged *f, struct err *e)
{
	const struct journal_header *h = reader_header(f->reader);
	struct iocb b;
	int more;

	if (h->iocb_count != h->last - h->first + 1)
		return 0;
	reader_rewind(f->reader);
	while ((more = reader_next_iocb(f->reader, &b, e)) > 0)
		if (b.op != OP_CUT && b.op != OP_HEARTBEAT)
			break;
	reader_rewind(f->reader);
	return more < 0 ? -1 : more == 0;
}

/* The cuts of a file: with data only where there are some. */
static int
read_cuts(struct apply *a, struct staged *f, struct err *e)
{
	struct control_note note;
	struct why why = {0};
	const uint8_t *data;
	struct iocb b;
	int more;

	while ((more = reader_next_iocb(f->reader, &b, e)) > 0)
		if (b.op == OP_CUT)
			break;
	reader_rewind(f->reader);
	if (more <= 0)
		return more;
	while ((more = reader_next(f->reader, &b, &data, e)) > 0) {
		if (b.op != OP_CUT)
			continue;
		if (control_note_decode(data, (size_t)b.len, &note, &why) !=
		    VERDICT_WHOLE)
			return err_set(e, ERR_CORRUPT,
			    "%s: the cut of transaction %ju: %s", f->name,
			    (uintmax_t)b.number, why.text);
		/* Nothing that comes later can have been stored. */
		if (note.value < b.number && note.value > a->cut)
			a->cut = note.value;
	}
	return more;
}

/* Goes on through what is staged. */
static int
look_ahead(struct apply *a, struct err *e)
{
	int got;

	if (position_compare(&a->cut_at, &a->state.clean) < 0)
		a->cut_at = a->state.clean;
	do {
		struct staged f = STAGED_NONE;
		struct err why = {0};

		got = stage_next(&a->stage, &a->cut_at, &f, &why);
		if (got == 1 && read_cuts(a, &f, &why) < 0)
			got = -1;
		if (got == 1)
			reader_position(f.reader, &a->cut_at);
		staged_close(&f);
		/* Whoever applies it says what is wrong with it. */
		if (got < 0 && !apply_is_damage(&why)) {
			*e = why;
			return -1;
		}
	} while (got == 1);
	return 0;
}

int
apply_cut_has(struct apply *a, const struct position *to, struct err *e)
{
	if (to->last > a->cut && look_ahead(a, e) < 0)
		return -1;
	return to->last <= a->cut;
}

int
apply_cut_admits(
    struct apply *a, struct staged *f, bool consistent, struct err *e)
{
	struct position to;
	int got;

	if (!needs_cut(f) || !consistent)
		return 1;
	reader_position(f->reader, &to);
	got = apply_cut_has(a, &to, e);
	return got != 0 ? got : changes_nothing(f, e);
}

int
apply_cut_waits(struct apply *a, struct err *e)
{
	const uint64_t was = a->cut;

	if (!a->cut_wait)
		return 0;
	if (look_ahead(a, e) < 0)
		return -1;
	a->cut_wait = a->cut == was;
	return a->cut_wait;
}
