/* SPDX-License-Identifier: Apache-2.0 */
/* extent: what the disk holds, into the stream. */
#include "aimdriver/control.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { CACHE_PAGE = 65536 };

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * How far the hole at `off` goes: 0 when there is data, or when the volume
 * cannot tell. *data_end is where the next hole begins, if that is known.
 */
static uint64_t
look_for_hole(struct capture *c, uint32_t volume, uint64_t off, uint64_t end,
    uint64_t *data_end)
{
	int fd = c->volume_fd[volume];
	off_t data, hole;

	*data_end = end;
	if (c->ctl->volume[volume].kind != VOLUME_FILE)
		return 0;
	data = lseek(fd, (off_t)off, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? end - off : 0;
	if ((uint64_t)data > off)
		return least((uint64_t)data, end) - off;
	hole = lseek(fd, (off_t)off, SEEK_HOLE);
	if (hole > 0 && (uint64_t)hole > off)
		*data_end = least((uint64_t)hole, end);
	return 0;
}

static int64_t
put(struct capture *c, const struct want *w, const uint8_t *data)
{
	struct ticket t;

	switch (reserve(c, w, 1, true, SEGMENT_ALIGN, &t)) {
	case RESERVE_OK:
		break;
	case RESERVE_FULL:
		return -ENOSPC;
	case RESERVE_MODE:
		return -EPERM;
	case RESERVE_FAILED:
		return -EIO;
	}
	if (w->room > 0)
		memcpy(t.data, data, w->room);
	step(STEP_COPIED);
	ticket_publish(c, &t, w->room);
	step(STEP_PUBLISHED);
	slot_finish(t.slot, SLOT_DONE, w->len);
	return (int64_t)w->len;
}

/* Who writes below the page cache (device mapper) leaves it stale. */
static void
forget_cached(int fd, uint64_t off, uint64_t len)
{
	uint64_t from = off & ~(uint64_t)(CACHE_PAGE - 1);
	uint64_t end =
	    (off + len + CACHE_PAGE - 1) & ~(uint64_t)(CACHE_PAGE - 1);

	(void)posix_fadvise(
	    fd, (off_t)from, (off_t)(end - from), POSIX_FADV_DONTNEED);
}

/* Up to a chunk into `to`; -errno. */
static int64_t
read_some(int fd, uint8_t *to, uint64_t len, uint64_t off)
{
	struct err e = {.sys = 0};
	ssize_t n = io_read_some_at(fd, to, len, off, &e);

	if (n < 0)
		return e.sys != 0 ? -e.sys : -EIO;
	return n;
}

static int64_t
capture_data(struct capture *c, struct want *w, uint64_t len, bool settling)
{
	int64_t n, r;

	if (c->ctl->volume[w->volume].kind == VOLUME_BLOCK)
		forget_cached(c->volume_fd[w->volume], w->off, len);
	(void)pthread_mutex_lock(&c->local);
	n = read_some(c->volume_fd[w->volume], c->scratch, len, w->off);
	if (n <= 0) {
		(void)pthread_mutex_unlock(&c->local);
		return n;
	}
	w->len = (uint64_t)n;
	if (io_is_zero(c->scratch, (size_t)n))
		w->op = settling ? OP_ZERO : OP_COPYIN_ZERO;
	else
		w->room = (uint32_t)n;
	r = put(c, w, c->scratch);
	(void)pthread_mutex_unlock(&c->local);
	return r;
}

int64_t
extent_capture(struct capture *c, uint32_t volume, uint64_t off, uint64_t end,
    bool settling)
{
	struct want w = {.op = settling ? OP_WRITE : OP_COPYIN,
	    .flags = settling ? IOCB_SETTLED : 0,
	    .volume = volume,
	    .off = off};
	uint64_t data_end, hole = look_for_hole(c, volume, off, end, &data_end);

	if (hole > 0) {
		w.op = settling ? OP_ZERO : OP_COPYIN_ZERO;
		w.len = least(hole, CAPTURE_HOLE_CHUNK);
		return put(c, &w, NULL);
	}
	return capture_data(
	    c, &w, least(data_end - off, CAPTURE_CHUNK), settling);
}

/* The length to lock: a hole's as it looks now, else a chunk. */
static uint64_t
guess(struct capture *c, uint32_t volume, uint64_t off, uint64_t size)
{
	uint64_t data_end,
	    hole = look_for_hole(c, volume, off, size, &data_end);

	return hole > 0 ? least(hole, CAPTURE_HOLE_CHUNK)
			: least(size - off, CAPTURE_CHUNK);
}

int
capture_copyin(struct capture *c, uint32_t volume, uint64_t off, uint64_t end,
    uint64_t *done, struct err *e)
{
	_Atomic uint64_t *live;
	struct hold h = {.volume = volume};
	uint64_t size, len;
	int64_t n;

	if (volume >= c->volume_count || c->volume_fd[volume] < 0)
		return err_set(e, ERR_REFUSED, "no volume %u to copy", volume);
	live = &c->ctl->volume[volume].size;
	size = least(end, atomic_load(live));
	if (off >= size) {
		*done = 0;
		return 0;
	}
	len = guess(c, volume, off, size);
	hold_range(c, &h, off, len);
	if (hold_take_settled(c, &h, e) < 0)
		return err_at(e, "copy in at offset %ju", (uintmax_t)off);
	size = least(end, atomic_load(live));
	n = off >= size ? 0 : -EIO;
	if (n != 0 && reserve_mark(c) == 0)
		n = extent_capture(
		    c, volume, off, least(off + len, size), false);
	hold_release(c, &h);
	if (n == -EPERM)
		return err_set(e, ERR_REFUSED, "capture is off for this group");
	if (n < 0) {
		errno = (int)-n;
		return err_sys(e,
		    "copy in %ju bytes at offset %ju of volume %u",
		    (uintmax_t)len, (uintmax_t)off, volume);
	}
	*done = (uint64_t)n;
	return 0;
}

/* Up to `len` bytes, fewer at the end of a file; -errno. */
static int64_t
read_range(
    struct capture *c, uint32_t volume, uint64_t off, uint64_t len, uint8_t *to)
{
	int fd = c->volume_fd[volume];
	uint64_t got = 0;

	if (c->ctl->volume[volume].kind == VOLUME_BLOCK)
		forget_cached(fd, off, len);
	while (got < len) {
		int64_t n = read_some(
		    fd, to + got, least(len - got, CAPTURE_CHUNK), off + got);

		if (n <= 0)
			return n < 0 ? n : (int64_t)got;
		got += (uint64_t)n;
	}
	return (int64_t)got;
}

int
capture_read(struct capture *c, uint32_t volume, uint64_t off, uint64_t len,
    uint8_t *to, struct capture_content *out, struct err *e)
{
	struct capture_content got = {0};
	struct hold h = {.volume = volume};
	uint64_t size, data_end;
	int64_t n = 0;

	if (volume >= c->volume_count || c->volume_fd[volume] < 0)
		return err_set(e, ERR_REFUSED, "no volume %u to read", volume);
	hold_range(c, &h, off, len);
	if (hold_take_settled(c, &h, e) < 0)
		return err_at(e, "read at offset %ju", (uintmax_t)off);
	size = atomic_load(&c->ctl->volume[volume].size);
	if (off < size) {
		got.len = least(len, size - off);
		got.hole = look_for_hole(c, volume, off, off + got.len,
			       &data_end) >= got.len;
		n = got.hole ? (int64_t)got.len
			     : read_range(c, volume, off, got.len, to);
	}
	hold_release(c, &h);
	if (n < 0) {
		errno = (int)-n;
		return err_sys(e, "read %ju bytes at offset %ju of volume %u",
		    (uintmax_t)got.len, (uintmax_t)off, volume);
	}
	got.len = (uint64_t)n;
	*out = got;
	return 0;
}

int
capture_look(struct capture *c, uint32_t volume, uint64_t off, uint64_t len,
    int (*look)(void *ctx), void *ctx, struct err *e)
{
	struct hold h = {.volume = volume};
	int r;

	if (volume >= c->volume_count)
		return err_set(e, ERR_REFUSED, "no volume %u", volume);
	hold_range(c, &h, off, len);
	if (hold_take_settled(c, &h, e) < 0)
		return err_at(e, "look at offset %ju", (uintmax_t)off);
	r = look(ctx);
	hold_release(c, &h);
	return r;
}
