/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_redo: the changes of a log are made again (wal.h). Nobody else writes:
 * writers are refused until it is over, and the log is locked.
 *
 * Each change is whole or not there, and each half as far as its batches are
 * whole and follow one another: that much was durable when a client was told
 * so. What is made again is what the disk held at some time at or after the
 * last flush, whatever it holds now; so being killed on the way does no harm.
 *
 * An extent may have lost its mark since (its changes were sealed and flushed),
 * and be set back by this to what was flushed by a client. So it is marked
 * before, like for any write.
 */
#include "aimdriver/activity.h"
#include "aimdriver/wal.h"
#include "aimdriver/wal_file.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct redo {
	struct capture *c;
	uint32_t volume;
	int fd;	       /* the log */
	uint8_t *room; /* WAL_STAGE */
	uint64_t count;
};

static int
put_zeroes(int fd, uint64_t off, uint64_t len, struct err *e)
{
	static const uint8_t zero[65536];

	while (len > 0) {
		uint64_t n = len < sizeof(zero) ? len : sizeof(zero);

		if (io_write_at(fd, zero, n, off, e) < 0)
			return -1;
		off += n;
		len -= n;
	}
	return 0;
}

/* Both read as zeroes afterwards; how, is the disk's affair. */
static int
zero(int fd, uint32_t op, uint64_t off, uint64_t len, struct err *e)
{
	int how =
	    op == OP_DISCARD ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

	if (sys_fallocate(fd, how | FALLOC_FL_KEEP_SIZE, off, len) == 0)
		return 0;
	/* A device takes whole sectors only, or none. */
	if (errno != EOPNOTSUPP && errno != EINVAL && errno != ENODEV)
		return err_sys(e, "zero");
	return put_zeroes(fd, off, len, e);
}

static int
change(
    struct redo *d, const struct wal_record *r, const void *data, struct err *e)
{
	int fd = d->c->volume_fd[d->volume];

	if (place_split(atomic_load(&d->c->ctl->word)).mode != CAPTURE_OFF) {
		if (reserve_mark(d->c) < 0)
			return err_set(e, ERR_RETRY, "%s", d->c->trouble);
		if (!activity_is_hot(d->c, d->volume, r->off, r->len) &&
		    activity_mark(d->c, d->volume, r->off, r->len) < 0)
			return err_set(e, ERR_RETRY, "%s", d->c->trouble);
	}
	if (r->op == OP_WRITE)
		return io_write_at(fd, data, r->len, r->off, e);
	return zero(fd, r->op, r->off, r->len, e);
}

static int
redo_record(
    struct redo *d, const struct wal_record *r, const void *data, struct err *e)
{
	struct hold h = {.volume = d->volume};
	int done;

	hold_range(d->c, &h, r->off, r->len);
	if (hold_take_settled(d->c, &h, e) < 0)
		return -1;
	done = change(d, r, data, e);
	hold_release(d->c, &h);
	if (done < 0)
		return err_at(e, "redo %s at %" PRIu64, op_name(r->op), r->off);
	d->count++;
	return 0;
}

/* A batch whose sum is right was written by us: what makes no sense in it is
 * damage that no crash does. */
static int
redo_batch(struct redo *d, struct err *e)
{
	const struct wal_batch *b = (const struct wal_batch *)(void *)d->room;
	uint64_t at = sizeof(*b), i;

	for (i = 0; i < b->records; i++) {
		struct wal_record r;
		uint64_t carried;

		if (b->len - at < sizeof(r))
			break;
		memcpy(&r, d->room + at, sizeof(r));
		at += sizeof(r);
		carried = r.op == OP_WRITE ? r.len : 0;
		if ((r.op != OP_WRITE && r.op != OP_ZERO &&
			r.op != OP_DISCARD) ||
		    r.len == 0 || r.off > INT64_MAX ||
		    r.len > INT64_MAX - r.off || carried > b->len - at ||
		    wal_round(carried, WAL_ALIGN) > b->len - at)
			break;
		if (redo_record(d, &r, d->room + at, e) < 0)
			return -1;
		at += wal_round(carried, WAL_ALIGN);
	}
	if (i < b->records)
		return err_set(
		    e, ERR_CORRUPT, "change %" PRIu64 " of a batch", i);
	return 0;
}

/* The batch at `at` of the half: 1; 0 when the run has ended before it. */
static int
read_batch(struct redo *d, const struct wal_head *h, uint64_t from, uint64_t at,
    uint64_t sequence, struct err *e)
{
	const struct wal_batch *b = (const struct wal_batch *)(void *)d->room;

	if (h->half_len - at < WAL_BLOCK)
		return 0;
	if (io_read_at(d->fd, d->room, WAL_BLOCK, from + at, e) < 0)
		return -1;
	if (b->magic != WAL_BATCH_MAGIC || b->id != h->id ||
	    b->sequence != sequence || b->len < sizeof(*b) ||
	    b->len > WAL_STAGE || b->len > h->half_len - at)
		return 0;
	if (b->len > WAL_BLOCK &&
	    io_read_at(d->fd, d->room + WAL_BLOCK, b->len - WAL_BLOCK,
		from + at + WAL_BLOCK, e) < 0)
		return -1;
	return b->sum == wal_batch_sum(b);
}

static int
redo_half(
    struct redo *d, const struct wal_head *h, unsigned half, struct err *e)
{
	const struct wal_batch *b = (const struct wal_batch *)(void *)d->room;
	uint64_t from = wal_half_at(h, half), at = 0, sequence = 0;
	int got;

	while ((got = read_batch(d, h, from, at, sequence, e)) == 1) {
		if (redo_batch(d, e) < 0)
			return -1;
		at += wal_round(b->len, WAL_BLOCK);
		sequence++;
	}
	return got;
}

static int
redo_log(struct redo *d, struct err *e)
{
	struct wal_head heads[2];
	int newest, before, got;

	got =
	    wal_heads_read(d->c, d->volume, d->fd, heads, &newest, &before, e);
	if (got <= 0)
		return got;
	if (before >= 0 &&
	    redo_half(d, &heads[before], (unsigned)before, e) < 0)
		return -1;
	return redo_half(d, &heads[newest], (unsigned)newest, e);
}

static int
redo_volume(struct redo *d, struct err *e)
{
	const char *path = d->c->ctl->volume[d->volume].path;
	AUTO_CLOSE int fd = -1;
	int found = wal_file_open(d->c, d->volume, &fd, e);

	if (found < 0 && e->kind == ERR_RETRY)
		return err_set(e, ERR_REFUSED,
		    "%s is to be redone, but its nbdkit is running: end it "
		    "first",
		    path);
	if (found < 0)
		return -1;
	if (found == 0)
		return err_set(e, ERR_CORRUPT, "it is missing");
	d->fd = fd;
	/* Somebody may have done it just before. */
	if (!wal_is_set(d->c->ctl, d->volume))
		return 0;
	if (redo_log(d, e) < 0 ||
	    io_fdatasync(d->c->volume_fd[d->volume], path, e) < 0 ||
	    wal_file_end(d->c, d->volume, fd, e) < 0)
		return -1;
	return wal_clear(d->c, d->volume, e);
}

int
wal_redo(struct capture *c, uint64_t *redone, struct err *e)
{
	AUTO_FREE uint8_t *room = NULL;
	struct redo d = {.c = c};
	struct err why = {0};

	*redone = 0;
	if (atomic_load(&c->ctl->needs_redo) == 0)
		return 0;
	room = malloc(WAL_STAGE);
	if (room == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	d.room = room;
	for (; d.volume < c->volume_count; d.volume++) {
		if (!wal_is_set(c->ctl, d.volume))
			continue;
		if (redo_volume(&d, &why) == 0)
			continue;
		if (why.kind != ERR_CORRUPT)
			return err_set(e, why.kind, "%s", why.text);
		return err_set(e, ERR_CORRUPT,
		    "the log of %s, which is to be redone, is not whole (%s): "
		    "what was flushed to it may be lost; if you have it "
		    "nowhere else, remove %s/control and run 'aim-manager "
		    "base'",
		    c->ctl->volume[d.volume].path, why.text, c->where);
	}
	*redone = d.count;
	atomic_store(&c->ctl->needs_redo, 0);
	return control_sync_marks(c, e);
}
