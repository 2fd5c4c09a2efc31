/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/compare.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	PIECE = DISK_PIECE,
	BLOCK = 256, /* entries that are gone through backwards at once */
	RANGES = 1 << 16,
	ZONE = DISK_ZONE,
	PARTS = 2,
};

struct seen {
	struct wlog_entry b;
	struct logfile_place place;
};

/* What one thread does: of the disk every `parts`th zone. */
struct work {
	const struct chain *chain;
	const struct compare_log *starts; /* of each log */
	struct logfile *twin[CHAIN_LIMIT];
	uint32_t twins, part, parts;
	pthread_t thread;
	struct err err;
	int result;
	struct compare *out;
	struct logfile *log;
	struct disk *disk;
	uint32_t unit; /* bytes of a bit */
	uint64_t *bits;
	size_t bits_len;
	uint8_t *room;	    /* for the disk */
	struct seen *block; /* BLOCK of them */
};

static void
release(struct work *w)
{
	while (w->twins > 0)
		logfile_close(w->twin[--w->twins]);
	if (w->bits != NULL)
		(void)munmap(w->bits, w->bits_len);
	free(w->room);
	free(w->block);
}

void
compare_release(struct compare *c)
{
	uint32_t i;

	for (i = 0; i < c->logs; i++)
		free(c->log[i].start);
	free(c->log);
	free(c->differ);
	*c = (struct compare){0};
}

/* ---- forwards ---- */

static int
check_entry(const struct logfile *f, const struct wlog_entry *b, uint64_t index,
    uint64_t size, struct err *e)
{
	if (b->off + b->len <= size)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "%s: entry %" PRIu64 " goes to byte %" PRIu64
	    " of a volume that has %" PRIu64 ": this is the log of another "
	    "disk",
	    logfile_name(f), index, b->off + b->len, size);
}

/*
 * Does the log know all that was written? One that was not ended as it should
 * be may lack the last writes, and nothing else would tell. `last` is its last
 * entry.
 */
static int
check_end(const struct chain *c, struct logfile *f,
    const struct wlog_entry *last, struct err *e)
{
	bool more = false;

	if (!c->marked)
		return 0;
	if (c->kernel &&
	    ((last->flags & WLOG_MARK) == 0 || !chain_is_end(last->mark)))
		return err_set(e, ERR_REFUSED,
		    "%s was not ended by dm-log-writes: it was full, or the "
		    "machine stopped, or it is still in use. What it lacks is "
		    "not known. Take the table down and import again, or copy "
		    "the disk in with 'aim-manager base'",
		    logfile_name(f));
	if (!c->kernel && logfile_goes_on(f, &more, e) < 0)
		return -1;
	if (more)
		return err_set(e, ERR_REFUSED,
		    "%s goes on after the entries that it counts: it was not "
		    "closed, or is still in use, and the disk may be ahead of "
		    "it. Close it and import again; after a crash copy the "
		    "disk in with 'aim-manager base'",
		    logfile_name(f));
	return 0;
}

static int
add_start(struct compare_log *l, const struct logfile_place *p, struct err *e)
{
	if (l->count == l->room) {
		size_t room = 2 * l->room + 64;
		void *more = reallocarray(l->start, room, sizeof(*l->start));

		if (more == NULL)
			return err_set(e, ERR_RETRY, "no memory to compare");
		l->start = more;
		l->room = room;
	}
	l->start[l->count++] = *p;
	return 0;
}

/* Does a new block begin at `p`, with an entry that ends at `end`? */
static bool
begins_block(const struct compare_log *l, const struct logfile_place *p,
    const struct logfile_place *end)
{
	const struct logfile_place *last =
	    l->count == 0 ? NULL : &l->start[l->count - 1];

	return last == NULL || p->index - last->index >= BLOCK ||
	       end->off - last->off > LOGFILE_LEND;
}

static int
check_log(const struct chain *c, uint32_t i, uint64_t size, struct compare *out,
    struct err *e)
{
	struct logfile_place start = {0}, p, end;
	struct logfile *f = c->log[i];
	struct wlog_entry b = {0};
	int got;

	if (logfile_seek(f, &start, e) < 0)
		return -1;
	for (;;) {
		logfile_tell(f, &p);
		got = logfile_next(f, &b, e);
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		logfile_tell(f, &end);
		if (check_entry(f, &b, p.index, size, e) < 0 ||
		    (begins_block(&out->log[i], &p, &end) &&
			add_start(&out->log[i], &p, e) < 0))
			return -1;
		out->entries++;
		out->written += b.stored;
	}
	return check_end(c, f, &b, e);
}

int
compare_check(
    const struct chain *c, uint64_t size, struct compare *out, struct err *e)
{
	uint32_t i;
	int r = 0;

	out->log = calloc(c->count, sizeof(*out->log));
	if (out->log == NULL)
		return err_set(e, ERR_RETRY, "no memory to compare");
	out->logs = c->count;
	for (i = 0; r == 0 && i < c->count; i++) {
		logfile_skim(c->log[i], true);
		r = check_log(c, i, size, out, e);
		logfile_skim(c->log[i], false);
	}
	return r;
}

/* ---- one range ---- */

static bool
is_covered(const struct work *w, uint64_t unit)
{
	return (w->bits[unit / 64] >> unit % 64 & 1) != 0;
}

static int
add_range(struct compare *c, uint64_t off, uint64_t len, struct err *e)
{
	struct compare_range *last =
	    c->count == 0 ? NULL : &c->differ[c->count - 1];

	if (last != NULL && last->off + last->len == off) {
		last->len += len;
		return 0;
	}
	if (c->count >= RANGES)
		return err_set(e, ERR_REFUSED,
		    "the disk differs from the log in more than %d places",
		    RANGES);
	if (c->count == c->room) {
		uint32_t room = 2 * c->room + 16;
		void *more = reallocarray(c->differ, room, sizeof(*c->differ));

		if (more == NULL)
			return err_set(e, ERR_RETRY, "no memory to compare");
		c->differ = more;
		c->room = room;
	}
	c->differ[c->count++] = (struct compare_range){off, len};
	return 0;
}

/* `data` NULL: zeroes. */
static bool
is_same(const uint8_t *disk, const uint8_t *data, uint64_t len)
{
	return data == NULL ? io_is_zero(disk, (size_t)len)
			    : memcmp(disk, data, (size_t)len) == 0;
}

/* At most PIECE bytes that no later entry has written to. */
static int
compare_piece(struct work *w, const struct wlog_entry *b, uint64_t off,
    uint64_t len, struct err *e)
{
	bool discard = b->stored == 0;
	const uint8_t *disk = NULL, *data = NULL;
	uint64_t i, n;

	if (disk_look(w->disk, w->room, off, len, &disk, e) < 0)
		return -1;
	if (!discard && logfile_lend(w->log, off - b->off, len, &data, e) < 0)
		return -1;
	*(discard ? &w->out->discarded : &w->out->compared) += len;
	if (is_same(disk, data, len))
		return 0;
	for (i = 0; i < len; i += n) {
		n = len - i < w->unit ? len - i : w->unit;
		if (is_same(disk + i, data == NULL ? NULL : data + i, n))
			continue;
		*(discard ? &w->out->kept : &w->out->differing) += n;
		if (add_range(w->out, off + i, n, e) < 0)
			return -1;
	}
	return 0;
}

static int
compare_entry(struct work *w, const struct seen *s, struct err *e)
{
	uint64_t u = s->b.off / w->unit, end = u + s->b.len / w->unit;
	uint64_t most = w->unit < PIECE ? PIECE / w->unit : 1;
	uint64_t per_zone = ZONE / w->unit;
	struct wlog_entry again;

	if (s->b.len == 0)
		return 0;
	/* So that its data can be had. */
	if (logfile_seek(w->log, &s->place, e) < 0 ||
	    logfile_next(w->log, &again, e) < 0)
		return -1;
	while (u < end) {
		uint64_t from, zone = u / per_zone,
			       last = (zone + 1) * per_zone;

		if (last > end)
			last = end;
		if (zone % w->parts != w->part) {
			u = last;
			continue;
		}
		while (u < last && is_covered(w, u))
			u++;
		for (from = u; u < last && u - from < most && !is_covered(w, u);
		     u++)
			w->bits[u / 64] |= UINT64_C(1) << u % 64;
		if (u > from && compare_piece(w, &s->b, from * w->unit,
				    (u - from) * w->unit, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- backwards ---- */

/* Block k of a log: forwards to know its entries, then backwards, all of it
 * out of the log's window. */
static int
compare_block(
    struct work *w, const struct compare_log *l, size_t k, struct err *e)
{
	uint64_t end = k + 1 < l->count ? l->start[k + 1].index : UINT64_MAX;
	int n, got = 1;

	if (logfile_seek(w->log, &l->start[k], e) < 0 ||
	    (!logfile_is_near(w->log) && logfile_bring(w->log, e) < 0))
		return -1;
	for (n = 0; n < BLOCK; n++) {
		logfile_tell(w->log, &w->block[n].place);
		if (w->block[n].place.index >= end)
			break;
		got = logfile_next(w->log, &w->block[n].b, e);
		if (got < 0)
			return -1;
		if (got == 0)
			break;
	}
	while (n-- > 0)
		if (compare_entry(w, &w->block[n], e) < 0)
			return -1;
	return 0;
}

/* ---- all of it ---- */

static int
prepare(struct work *w, struct err *e)
{
	const struct chain *c = w->chain;
	uint32_t i;
	void *p;

	w->unit = PIECE;
	for (i = 0; i < c->count; i++)
		if (logfile_super(c->log[i])->sector < w->unit)
			w->unit = logfile_super(c->log[i])->sector;
	w->bits_len = (size_t)(w->disk->size / w->unit / 8 + 16);
	p = mmap(NULL, w->bits_len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(
		    e, "memory to compare; --no-compare goes without");
	w->bits = p;
	w->room = disk_room();
	w->block = calloc(BLOCK, sizeof(*w->block));
	if (w->room == NULL || w->block == NULL)
		return err_set(e, ERR_RETRY, "no memory to compare");
	return 0;
}

static int
compare_logs(struct work *w, struct err *e)
{
	uint32_t i;
	size_t k;

	for (i = w->chain->count; i-- > 0;) {
		w->log = w->part == 0 ? w->chain->log[i] : w->twin[i];
		for (k = w->starts[i].count; k-- > 0;)
			if (compare_block(w, &w->starts[i], k, e) < 0)
				return -1;
	}
	return 0;
}

static void *
run(void *arg)
{
	struct work *w = arg;

	w->result = compare_logs(w, &w->err);
	return NULL;
}

/* Another thread's logs: 1; 0 when one of them cannot be had twice. */
static int
make_twins(struct work *w, struct err *e)
{
	while (w->twins < w->chain->count) {
		int got = logfile_twin(
		    w->chain->log[w->twins], &w->twin[w->twins], e);

		if (got != 1)
			return got;
		w->twins++;
	}
	return 1;
}

static int
merge(struct compare *to, const struct compare *from, struct err *e)
{
	uint32_t i;

	to->compared += from->compared;
	to->differing += from->differing;
	to->discarded += from->discarded;
	to->kept += from->kept;
	for (i = 0; i < from->count; i++)
		if (add_range(to, from->differ[i].off, from->differ[i].len, e) <
		    0)
			return -1;
	return 0;
}

/* The second half in a thread of its own. */
static int
compare_in_two(struct work *w, struct work *other, struct err *e)
{
	int r;

	if (prepare(other, e) < 0)
		return -1;
	r = pthread_create(&other->thread, NULL, run, other);
	if (r != 0) {
		errno = r;
		return err_sys(e, "start a thread to compare");
	}
	r = compare_logs(w, e);
	(void)pthread_join(other->thread, NULL);
	if (r == 0 && other->result < 0) {
		*e = other->err;
		r = -1;
	}
	return r < 0 ? -1 : merge(w->out, other->out, e);
}

int
compare_disk(const struct chain *c, struct disk *disk, struct compare *out,
    struct err *e)
{
	AUTO(compare_release) struct compare more = {0};
	AUTO(release)
	struct work w = {.chain = c,
	    .starts = out->log,
	    .parts = 1,
	    .out = out,
	    .disk = disk};
	AUTO(release) struct work other = {0};
	int twins;

	if (prepare(&w, e) < 0)
		return -1;
	other = (struct work){.chain = c,
	    .starts = out->log,
	    .part = 1,
	    .parts = PARTS,
	    .out = &more,
	    .disk = disk};
	twins = make_twins(&other, e);
	if (twins < 0)
		return -1;
	if (twins == 0)
		return compare_logs(&w, e);
	w.parts = PARTS;
	return compare_in_two(&w, &other, e);
}
