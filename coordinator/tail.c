/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two passes over the file. The first notes each change of content as an
 * extent with the number of its turn; extents are then cut at each other's
 * ends, and every piece belongs to the last extent that covers it. The second
 * pass compares each piece with the mirror. A resize counts as zeroes from the
 * smaller to the larger size; pieces beyond the final size are left out.
 */
#include "coordinator/tail.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTENT_LIMIT (UINT32_C(1) << 18)
#define LOOK_LEN (1u << 20)

struct extent {
	uint32_t volume; /* of the file */
	uint32_t turn;	 /* which change of the file */
	uint64_t off, end;
};

struct tail {
	const struct stage *stage;
	const struct mirror_targets *targets;
	struct staged file;
	uint32_t extents, pieces, room;
	struct extent *extent, *piece;
	uint64_t *final; /* sizes at the end, of the file's volumes */
	uint8_t *look;
};

static void
tail_release(struct tail *t)
{
	staged_close(&t->file);
	free(t->extent);
	free(t->piece);
	free(t->final);
	free(t->look);
}

/* The range of volume content that a transaction leaves its mark on. */
static bool
range_of(const struct iocb *b, uint64_t *off, uint64_t *end)
{
	switch (b->op) {
	case OP_RESIZE:
		*off = b->off < b->len ? b->off : b->len;
		*end = b->off < b->len ? b->len : b->off;
		break;
	case OP_WRITE:
	case OP_COPYIN:
	case OP_ZERO:
	case OP_DISCARD:
	case OP_COPYIN_ZERO:
		*off = b->off;
		*end = b->off + b->len;
		break;
	default:
		return false;
	}
	return *off < *end;
}

/* 1 noted all, 0 there are too many to be worth it, -1. */
static int
note_extents(struct tail *t, struct err *e)
{
	const struct journal_header *h = reader_header(t->file.reader);
	const uint8_t *data;
	struct iocb b;
	uint32_t n = h->iocb_count, i;
	int more;

	if (n > EXTENT_LIMIT)
		return 0;
	t->extent = calloc((size_t)n + 1, sizeof(*t->extent));
	t->final = calloc((size_t)h->volume_count + 1, sizeof(*t->final));
	t->look = malloc(LOOK_LEN);
	if (t->extent == NULL || t->final == NULL || t->look == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; i < h->volume_count; i++) {
		struct journal_volume v;

		reader_volume(t->file.reader, i, &v);
		t->final[i] = v.size;
	}
	while ((more = reader_next(t->file.reader, &b, &data, e)) > 0) {
		struct extent *x = &t->extent[t->extents];

		if (!range_of(&b, &x->off, &x->end))
			continue;
		if (b.op == OP_RESIZE)
			t->final[b.volume] = b.off;
		x->volume = b.volume;
		x->turn = t->extents++;
	}
	return more < 0 ? -1 : 1;
}

static int
by_place(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	if (x->volume != y->volume)
		return x->volume < y->volume ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

static int
by_turn(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	if (x->turn != y->turn)
		return x->turn < y->turn ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

static int
add_piece(struct tail *t, const struct extent *owner, uint64_t off,
    uint64_t end, struct err *e)
{
	struct extent *last;

	if (end > t->final[owner->volume])
		end = t->final[owner->volume];
	if (off >= end)
		return 0;
	last = t->pieces > 0 ? &t->piece[t->pieces - 1] : NULL;
	if (last != NULL && last->turn == owner->turn && last->end == off) {
		last->end = end;
		return 0;
	}
	if (t->pieces == t->room) {
		uint32_t room = t->room == 0 ? 256 : t->room * 2;
		struct extent *more =
		    reallocarray(t->piece, room, sizeof(*more));

		if (more == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		t->piece = more;
		t->room = room;
	}
	t->piece[t->pieces++] = (struct extent){.volume = owner->volume,
	    .turn = owner->turn,
	    .off = off,
	    .end = end};
	return 0;
}

/* A heap of the extents that cover the place where the sweep is, with the
 * latest turn on top; ended ones are dropped when they come up. */
struct heap {
	uint32_t count;
	const struct extent **at;
};

static void
heap_push(struct heap *h, const struct extent *x)
{
	uint32_t i = h->count++;

	while (i > 0 && h->at[(i - 1) / 2]->turn < x->turn) {
		h->at[i] = h->at[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	h->at[i] = x;
}

static void
heap_pop(struct heap *h)
{
	const struct extent *x = h->at[--h->count];
	uint32_t i = 0;

	for (;;) {
		uint32_t k = 2 * i + 1;

		if (k >= h->count)
			break;
		if (k + 1 < h->count && h->at[k + 1]->turn > h->at[k]->turn)
			k++;
		if (h->at[k]->turn <= x->turn)
			break;
		h->at[i] = h->at[k];
		i = k;
	}
	h->at[i] = x;
}

/* From `from` up to `to` (where the next extent begins) of one volume. */
static int
sweep_to(
    struct tail *t, struct heap *h, uint64_t from, uint64_t to, struct err *e)
{
	while (h->count > 0 && from < to) {
		const struct extent *top = h->at[0];
		uint64_t end = top->end < to ? top->end : to;

		if (top->end <= from) {
			heap_pop(h);
			continue;
		}
		if (add_piece(t, top, from, end, e) < 0)
			return -1;
		from = end;
	}
	return 0;
}

static int
cut(struct tail *t, struct err *e)
{
	AUTO_FREE const struct extent **room =
	    calloc((size_t)t->extents + 1, sizeof(*room));
	struct heap h = {.at = room};
	uint32_t i;

	if (room == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	qsort(t->extent, t->extents, sizeof(*t->extent), by_place);
	for (i = 0; i < t->extents; i++) {
		const struct extent *x = &t->extent[i];
		bool last = i + 1 == t->extents || x[1].volume != x->volume;

		heap_push(&h, x);
		if (sweep_to(t, &h, x->off, last ? UINT64_MAX : x[1].off, e) <
		    0)
			return -1;
		if (last)
			h.count = 0;
	}
	if (t->pieces > 0)
		qsort(t->piece, t->pieces, sizeof(*t->piece), by_turn);
	return 0;
}

/* data NULL: zeroes. 1 the same, 0 not, -1. */
static int
compare(struct tail *t, const struct extent *x, const struct iocb *b,
    const uint8_t *data, char why[CHAIN_WHY], struct err *e)
{
	uint64_t off, n;
	uint32_t k;

	if (survey_volume(t->stage, t->file.reader, x->volume, &k, e) < 0)
		return -1;
	for (off = x->off; off < x->end; off += n) {
		n = x->end - off < LOOK_LEN ? x->end - off : LOOK_LEN;
		if (target_read(
			t->targets->all[k], t->look, (size_t)n, off, e) < 0)
			return -1;
		if (data != NULL
			? memcmp(t->look, data + (off - b->off), (size_t)n) == 0
			: io_is_zero(t->look, (size_t)n))
			continue;
		(void)snprintf(why, CHAIN_WHY,
		    "mirror was changed by others: volume %.40s near byte %ju "
		    "is not what transaction %ju left; take a new base",
		    t->stage->volumes[k].name, (uintmax_t)off,
		    (uintmax_t)b->number);
		return 0;
	}
	return 1;
}

static int
compare_all(struct tail *t, char why[CHAIN_WHY], struct err *e)
{
	const uint8_t *data;
	struct iocb b;
	uint64_t off, end;
	uint32_t turn = 0, p = 0;
	int more, same = 1;

	reader_rewind(t->file.reader);
	while ((more = reader_next(t->file.reader, &b, &data, e)) > 0) {
		if (!range_of(&b, &off, &end))
			continue;
		for (; p < t->pieces && t->piece[p].turn == turn; p++) {
			same = compare(t, &t->piece[p], &b, data, why, e);
			if (same <= 0)
				return same;
		}
		turn++;
	}
	return more < 0 ? -1 : 1;
}

/* Files have exactly the size that they were left with. 1, 0, -1. */
static int
compare_size(const struct stage *s, const struct mirror_targets *t, uint32_t k,
    uint64_t want, char why[CHAIN_WHY], struct err *e)
{
	struct target_identity id;
	uint64_t size;

	if (target_size(t->all[k], &size, e) < 0)
		return -1;
	target_identity(t->all[k], &id);
	if (id.kind == VOLUME_FILE ? size == want : size >= want)
		return 1;
	(void)snprintf(why, CHAIN_WHY,
	    "mirror was changed by others: volume %.40s has %ju bytes, not "
	    "%ju; take a new base",
	    s->volumes[k].name, (uintmax_t)size, (uintmax_t)want);
	return 0;
}

static int
compare_sizes(struct tail *t, char why[CHAIN_WHY], struct err *e)
{
	uint32_t i, k, n = reader_header(t->file.reader)->volume_count;
	int same = 1;

	for (i = 0; i < n && same == 1; i++) {
		if (survey_volume(t->stage, t->file.reader, i, &k, e) < 0)
			return -1;
		same =
		    compare_size(t->stage, t->targets, k, t->final[i], why, e);
	}
	return same;
}

int
tail_sizes(const struct stage *s, const struct mirror_targets *t,
    const struct reader *r, char why[CHAIN_WHY], struct err *e)
{
	struct journal_volume v;
	uint32_t i, k;
	int same = 1;

	/* A source that lost power may have lost what had made a file grow. */
	if ((reader_header(r)->incompat & JOURNAL_INCOMPAT_BREAK) != 0)
		return 1;
	for (i = 0; i < reader_header(r)->volume_count && same == 1; i++) {
		reader_volume(r, i, &v);
		if (survey_volume(s, r, i, &k, e) < 0)
			return -1;
		same = compare_size(s, t, k, v.size, why, e);
	}
	return same;
}

static int
check(struct tail *t, char why[CHAIN_WHY], struct err *e)
{
	int r;

	if (reader_verify(t->file.reader, &t->stage->mirror.source_key, e) < 0)
		return -1;
	r = note_extents(t, e);
	if (r <= 0)
		return r < 0 ? -1 : 1;
	r = compare_sizes(t, why, e);
	if (r <= 0)
		return r;
	if (cut(t, e) < 0)
		return -1;
	return compare_all(t, why, e);
}

int
tail_check(const struct stage *s, const struct mirror_targets *t,
    const struct position *at, char why[CHAIN_WHY], struct err *e)
{
	struct tail tail = {.stage = s, .targets = t, .file = STAGED_NONE};
	const int dirs[2] = {s->stage, s->done};
	int i, got = 0, r = 1;

	for (i = 0; i < 2 && got == 0; i++)
		got = staged_open(s->home, dirs[i], at->epoch_number,
		    at->sequence, &tail.file, e);
	if (got > 0 && memcmp(reader_header(tail.file.reader)->content_digest,
			   at->digest, DIGEST_LEN) == 0)
		r = check(&tail, why, e);
	else if (got < 0)
		r = -1;
	tail_release(&tail);
	/* A damaged copy of what was applied proves nothing either way. */
	if (r < 0 && e != NULL && e->kind == ERR_CORRUPT)
		return 1;
	return r < 0 ? err_at(e, "check the mirror's last changes") : r;
}
