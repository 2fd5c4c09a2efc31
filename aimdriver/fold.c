/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run is sorted by volume and address and swept once, with a heap of the
 * transactions that cover the place, the latest on top: that gives pieces that
 * do not overlap, each of one transaction. Pieces that touch and are of one
 * kind become one transaction.
 *
 * Numbers are a bound: k transactions cover at most k separate places, but a
 * write in the midst of a range of zeroes makes three pieces of two. So there
 * are three ways, tried in turn: pieces with blocks of zeroes taken out; pieces
 * as they were written; and each transaction cut down to the hull of what is
 * left of it, with what is stale in between, which needs no more than there
 * were. The last one is right because of two transactions that cover a byte in
 * their hulls the later one has it last, as it was.
 */
#include "aimdriver/fold.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK UINT64_C(4096)
#define LONGEST (UINT64_C(1) << 20) /* of what is put together */

struct piece {
	uint32_t volume, op; /* OP_WRITE, OP_ZERO, OP_DISCARD */
	uint64_t off, len;
	const uint8_t *data; /* of a write */
	uint32_t from;	     /* which transaction of the run */
};

struct pieces {
	struct piece *at;
	size_t count, room;
};

struct fold {
	const struct fold_op *run; /* the one that is folded */
	uint32_t *order, *heap;	   /* order_room of each */
	size_t order_room;
	size_t heap_count;
	struct pieces cut, fine; /* swept; with zeroes taken out */
	uint8_t *data;		 /* put together */
	size_t data_len, data_room;
	struct fold_op *out;
	size_t out_count, out_room;
};

int
fold_make(struct fold **out, struct err *e)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? 0 : err_set(e, ERR_RETRY, "out of memory");
}

void
fold_free(struct fold *f)
{
	if (f == NULL)
		return;
	free(f->out);
	free(f->order);
	free(f->heap);
	free(f->cut.at);
	free(f->fine.at);
	free(f->data);
	free(f);
}

static bool
is_content(uint32_t op)
{
	return op == OP_WRITE || op == OP_ZERO || op == OP_DISCARD;
}

static int
no_memory(struct err *e)
{
	return err_set(e, ERR_RETRY, "out of memory");
}

static int
make_room(struct fold *f, size_t count, struct err *e)
{
	void *more;

	if (count <= f->order_room)
		return 0;
	f->order_room = 0;
	if ((more = reallocarray(f->order, count, sizeof(*f->order))) == NULL)
		return no_memory(e);
	f->order = more;
	if ((more = reallocarray(f->heap, count, sizeof(*f->heap))) == NULL)
		return no_memory(e);
	f->heap = more;
	f->order_room = count;
	return 0;
}

/* ---- the sweep ---- */

static int
compare(const void *a, const void *b, void *ctx)
{
	const struct fold *f = ctx;
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	const struct iocb *i = &f->run[x].b, *k = &f->run[y].b;

	if (i->volume != k->volume)
		return i->volume < k->volume ? -1 : 1;
	if (i->off != k->off)
		return i->off < k->off ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void
swap(uint32_t *a, uint32_t *b)
{
	uint32_t was = *a;

	*a = *b;
	*b = was;
}

static void
heap_push(struct fold *f, uint32_t i)
{
	size_t at = f->heap_count++;

	f->heap[at] = i;
	for (; at > 0 && f->heap[(at - 1) / 2] < f->heap[at]; at = (at - 1) / 2)
		swap(&f->heap[(at - 1) / 2], &f->heap[at]);
}

static void
heap_pop(struct fold *f)
{
	size_t at = 0, next;

	f->heap[0] = f->heap[--f->heap_count];
	while ((next = 2 * at + 1) < f->heap_count) {
		if (next + 1 < f->heap_count &&
		    f->heap[next] < f->heap[next + 1])
			next++;
		if (f->heap[at] >= f->heap[next])
			break;
		swap(&f->heap[at], &f->heap[next]);
		at = next;
	}
}

static int
add_out(struct fold *f, const struct fold_op *op, struct err *e)
{
	if (f->out_count == f->out_room) {
		size_t room = f->out_room == 0 ? 256 : 2 * f->out_room;
		struct fold_op *more =
		    reallocarray(f->out, room, sizeof(*more));

		if (more == NULL)
			return no_memory(e);
		f->out = more;
		f->out_room = room;
	}
	f->out[f->out_count++] = *op;
	return 0;
}

static int
add_piece(struct pieces *p, const struct piece *piece, struct err *e)
{
	if (p->count == p->room) {
		size_t room = p->room == 0 ? 256 : 2 * p->room;
		struct piece *more = reallocarray(p->at, room, sizeof(*more));

		if (more == NULL)
			return no_memory(e);
		p->at = more;
		p->room = room;
	}
	p->at[p->count++] = *piece;
	return 0;
}

static uint64_t
end_of(const struct fold_op *op)
{
	return op->b.off + op->b.len;
}

/* What is left of a transaction from here to there. */
static int
cut(struct fold *f, uint32_t from, uint64_t off, uint64_t end, struct err *e)
{
	const struct fold_op *op = &f->run[from];
	struct piece *last =
	    f->cut.count > 0 ? &f->cut.at[f->cut.count - 1] : NULL;
	struct piece piece = {.volume = op->b.volume,
	    .op = op->b.op,
	    .off = off,
	    .len = end - off,
	    .data = op->data == NULL ? NULL : op->data + (off - op->b.off),
	    .from = from};

	if (last != NULL && last->from == from &&
	    last->off + last->len == off) {
		last->len += piece.len;
		return 0;
	}
	return add_piece(&f->cut, &piece, e);
}

/* The content of the run as pieces that do not overlap. */
static int
sweep(struct fold *f, size_t count, struct err *e)
{
	size_t i = 0, n = 0;
	uint64_t at = 0;

	f->cut.count = f->heap_count = 0;
	for (size_t k = 0; k < count; k++)
		if (is_content(f->run[k].b.op))
			f->order[n++] = (uint32_t)k;
	qsort_r(f->order, n, sizeof(*f->order), compare, f);
	while (i < n || f->heap_count > 0) {
		const struct fold_op *next =
		    i < n ? &f->run[f->order[i]] : NULL;
		const struct fold_op *top;
		uint64_t end;

		if (f->heap_count > 0 && end_of(&f->run[f->heap[0]]) <= at) {
			heap_pop(f);
			continue;
		}
		if (f->heap_count == 0)
			at = next->b.off; /* perhaps on another volume */
		top = f->heap_count == 0 ? NULL : &f->run[f->heap[0]];
		if (next != NULL && next->b.off == at &&
		    (top == NULL || top->b.volume == next->b.volume)) {
			heap_push(f, f->order[i++]);
			continue;
		}
		end = end_of(top);
		if (next != NULL && next->b.volume == top->b.volume &&
		    next->b.off < end)
			end = next->b.off;
		if (cut(f, f->heap[0], at, end, e) < 0)
			return -1;
		at = end;
	}
	return 0;
}

/* ---- what becomes of the pieces ---- */

/* How many bytes from `at` on are, or are not, blocks of zeroes. */
static uint64_t
stretch(const struct piece *p, uint64_t at, bool *zero)
{
	uint64_t end = p->off + p->len, to = at;

	*zero = false;
	while (to < end) {
		uint64_t block = (to / BLOCK + 1) * BLOCK;
		bool whole = to % BLOCK == 0 && block <= end;
		bool is = whole && io_is_zero(p->data + (to - p->off), BLOCK);

		if (to == at)
			*zero = is;
		else if (is != *zero)
			break;
		to = block < end ? block : end;
	}
	return to - at;
}

/* Shorter stretches of zeroes than `least` stay data, unless they are all. */
static int
split_zeroes(
    struct fold *f, const struct piece *p, uint64_t least, struct err *e)
{
	uint64_t at = p->off, len;

	for (; at < p->off + p->len; at += len) {
		struct piece part = *p;
		bool zero;

		len = stretch(p, at, &zero);
		zero = zero && (len >= least || len == p->len);
		part.off = at;
		part.len = len;
		part.op = zero ? OP_ZERO : OP_WRITE;
		part.data = zero ? NULL : p->data + (at - p->off);
		if (add_piece(&f->fine, &part, e) < 0)
			return -1;
	}
	return 0;
}

static int
find_zeroes(struct fold *f, uint64_t least, struct err *e)
{
	f->fine.count = 0;
	for (size_t i = 0; i < f->cut.count; i++) {
		const struct piece *p = &f->cut.at[i];

		if ((p->op == OP_WRITE ? split_zeroes(f, p, least, e)
				       : add_piece(&f->fine, p, e)) < 0)
			return -1;
	}
	return 0;
}

/* How many pieces from i on become one transaction. */
static size_t
joined(const struct pieces *p, size_t i)
{
	const struct piece *first = &p->at[i];
	uint64_t end = first->off + first->len;
	size_t n = 1;

	for (; i + n < p->count; n++) {
		const struct piece *next = &p->at[i + n];

		if (next->op != first->op || next->volume != first->volume ||
		    next->off != end ||
		    (next->op == OP_WRITE &&
			next->off + next->len - first->off > LONGEST))
			break;
		end += next->len;
	}
	return n;
}

static size_t
count_joined(const struct pieces *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->count; i += joined(p, i))
		n++;
	return n;
}

/* Data of pieces that go together; there is room. */
static const uint8_t *
put_together(struct fold *f, const struct piece *p, size_t n)
{
	uint8_t *to = f->data + f->data_len;

	if (n == 1 || p->op != OP_WRITE)
		return p->data;
	for (size_t i = 0; i < n; i++) {
		memcpy(f->data + f->data_len, p[i].data, p[i].len);
		f->data_len += p[i].len;
	}
	return to;
}

/* The pieces as transactions, with the last numbers of the run. */
static int
join(struct fold *f, const struct pieces *p, const struct fold_op *first,
    const struct fold_op *last, struct err *e)
{
	uint64_t number = last->b.number - count_joined(p) + 1;
	size_t i, n;

	for (i = 0; i < p->count; i += n) {
		const struct piece *a = &p->at[i];
		const struct piece *b;
		struct fold_op op = {.b = {.op = a->op,
					 .volume = a->volume,
					 .origin = ORIGIN_NONE,
					 .number = number,
					 .time_ns = first->b.time_ns,
					 .off = a->off}};

		n = joined(p, i);
		b = &p->at[i + n - 1];
		op.b.len = b->off + b->len - a->off;
		op.data = put_together(f, a, n);
		if (i + n == p->count)
			op.b.time_ns = last->b.time_ns;
		if (add_out(f, &op, e) < 0)
			return -1;
		number++;
	}
	return 0;
}

/* Each transaction from its first to its last byte that counts. */
static int
trim(struct fold *f, size_t run, struct err *e)
{
	for (size_t i = 0; i < run; i++)
		f->order[i] = f->heap[i] = UINT32_MAX;
	for (size_t i = 0; i < f->cut.count; i++) {
		uint32_t from = f->cut.at[i].from;

		if (f->order[from] == UINT32_MAX)
			f->order[from] = (uint32_t)i;
		f->heap[from] = (uint32_t)i;
	}
	for (size_t i = 0; i < run; i++) {
		const struct piece *a, *b;
		struct fold_op op = f->run[i];

		if (f->order[i] == UINT32_MAX)
			continue;
		a = &f->cut.at[f->order[i]];
		b = &f->cut.at[f->heap[i]];
		if (op.data != NULL)
			op.data += a->off - op.b.off;
		op.b.off = a->off;
		op.b.len = b->off + b->len - a->off;
		if (add_out(f, &op, e) < 0)
			return -1;
	}
	return 0;
}

/* Tries to take out ever longer stretches of zeroes only: true when what is
 * left in `fine` has numbers. */
static int
find_fitting(struct fold *f, uint64_t numbers, bool *fits, struct err *e)
{
	uint64_t least = BLOCK;

	for (; least <= LONGEST; least *= 4) {
		if (find_zeroes(f, least, e) < 0)
			return -1;
		*fits = count_joined(&f->fine) <= numbers;
		if (*fits)
			break;
	}
	return 0;
}

/* Adds what a run folds to. */
static int
fold_run(struct fold *f, const struct fold_op *run, size_t count, struct err *e)
{
	const struct fold_op *first = &run[0], *last = &run[count - 1];
	uint64_t numbers = last->b.number - first->b.number + 1;
	bool fits = false;

	f->run = run;
	if (sweep(f, count, e) < 0 || find_fitting(f, numbers, &fits, e) < 0)
		return -1;
	if (!fits && count_joined(&f->cut) > numbers)
		return trim(f, count, e);
	return join(f, fits ? &f->fine : &f->cut, first, last, e);
}

static bool
belongs(const struct fold_op *op)
{
	return is_content(op->b.op) || op->b.op == OP_FLUSH;
}

/* All data that may have to be put together. */
static int
make_data_room(
    struct fold *f, const struct fold_op *ops, size_t count, struct err *e)
{
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		if (ops[i].b.op == OP_WRITE)
			sum += (size_t)ops[i].b.len;
	f->data_len = 0;
	if (sum <= f->data_room)
		return 0;
	free(f->data);
	f->data_room = 0;
	f->data = malloc(sum);
	if (f->data == NULL)
		return no_memory(e);
	f->data_room = sum;
	return 0;
}

/* Does the run say the same now, transaction by transaction? */
static bool
is_same(
    const struct fold *f, const struct fold_op *run, size_t count, size_t begin)
{
	if (f->out_count - begin != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct iocb *a = &run[i].b, *b = &f->out[begin + i].b;

		if (a->op != b->op || a->number != b->number ||
		    a->volume != b->volume || a->off != b->off ||
		    a->len != b->len)
			return false;
	}
	return true;
}

int
fold_ops(struct fold *f, const struct fold_op *ops, size_t count,
    struct fold_op **out, size_t *made, bool *changed, struct err *e)
{
	size_t i = 0, run, begin;

	*changed = false;
	f->out_count = 0;
	if (make_room(f, count, e) < 0 || make_data_room(f, ops, count, e) < 0)
		return -1;
	while (i < count) {
		for (run = 0; i + run < count && belongs(&ops[i + run]);)
			run++;
		begin = f->out_count;
		if (run == 0) {
			if (add_out(f, &ops[i++], e) < 0)
				return -1;
			continue;
		}
		if (fold_run(f, &ops[i], run, e) < 0)
			return -1;
		*changed = *changed || !is_same(f, &ops[i], run, begin);
		i += run;
	}
	*out = f->out;
	*made = f->out_count;
	return 0;
}
