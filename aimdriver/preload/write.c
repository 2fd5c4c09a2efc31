/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write: write, pwrite, writev, pwritev, pwritev2 and dprintf.
 *
 * The disk is written with pwrite at the place that was captured, through the
 * caller's descriptor (its rights, O_DSYNC and O_DIRECT count); write() moves
 * the position afterwards.
 */
#include "aimdriver/preload/calls.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_RW UINT64_C(0x7ffff000) /* the kernel's limit for one call */
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#define RWF_OURS (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)

struct write_call {
	const struct px_target *target;
	int fd, rwf, iov_count;
	const struct iovec *iov;
	bool advance; /* the position follows */
	bool direct;
	bool gone; /* the descriptor is another file's by now */
};

static int64_t
locate(void *ctx)
{
	const struct write_call *w = ctx;

	return raw3(SYS_lseek, w->fd, 0, SEEK_CUR);
}

static bool
interrupted(void *ctx)
{
	struct write_call *w = ctx;

	if (px_self.deferred || (w->rwf & RWF_NOWAIT) != 0)
		return true;
	w->gone = !px_still_is(w->fd, w->target);
	if (w->gone)
		px_self.interrupts = true; /* or it would be made again */
	return w->gone;
}

/* Bytes `done` to `done + len` of the caller's own buffers, as much as fits
 * into `out`; returns how many entries. */
static int
own_buffers(const struct write_call *w, uint64_t done, uint64_t len,
    struct iovec *out, int max)
{
	int n = 0;

	for (int i = 0; i < w->iov_count && len > 0 && n < max; i++) {
		uint64_t size = w->iov[i].iov_len;

		if (done >= size) {
			done -= size;
			continue;
		}
		size -= done;
		out[n].iov_base = (char *)w->iov[i].iov_base + done;
		out[n].iov_len = size < len ? size : len;
		len -= out[n].iov_len;
		done = 0;
		n++;
	}
	return n;
}

/*
 * The place is settled by now: O_APPEND, set by another thread meanwhile, must
 * not move the bytes to the end. Kernels before 6.9 cannot be told so.
 */
static long
put_here(
    const struct write_call *w, const struct iovec *iov, int n, uint64_t off)
{
	static _Atomic int unknown;
	int rwf = (w->rwf & ~RWF_APPEND) | RWF_NOAPPEND;
	long r;

	if (unknown != 0)
		return -EOPNOTSUPP;
	r = raw6(SYS_pwritev2, w->fd, (long)iov, n, (long)off, 0, rwf);
	/* Is it that, or one of the caller's flags? */
	if (r == -EOPNOTSUPP && w->rwf == 0)
		unknown = 1;
	return r;
}

static long
put(const struct write_call *w, const struct iovec *iov, int n, uint64_t off)
{
	long r = put_here(w, iov, n, off);

	if (r != -EOPNOTSUPP)
		return r;
	if (w->rwf != 0)
		return raw6(
		    SYS_pwritev2, w->fd, (long)iov, n, (long)off, 0, w->rwf);
	if (n == 1)
		return raw4(SYS_pwrite64, w->fd, (long)iov->iov_base,
		    (long)iov->iov_len, (long)off);
	return raw6(SYS_pwritev, w->fd, (long)iov, n, (long)off, 0, 0);
}

static int64_t
issue(void *ctx, const void *data, uint64_t len, uint64_t off, uint64_t done,
    bool *clean)
{
	struct write_call *w = ctx;
	uint64_t put_len = 0;
	long r = 0;

	w->gone = !px_still_is(w->fd, w->target);
	*clean = w->gone;
	if (w->gone)
		return -EBADF;
	while (put_len < len) {
		struct iovec iov[16];
		int n = 1;

		if (data != NULL) {
			const char *from = data;

			memcpy(&iov[0].iov_base, &from, sizeof(from));
			iov[0].iov_base = (char *)iov[0].iov_base + put_len;
			iov[0].iov_len = len - put_len;
		} else {
			n = own_buffers(
			    w, done + put_len, len - put_len, iov, 16);
		}
		r = put(w, iov, n, off + put_len);
		/* One call on our copy is the whole transaction; only the
		 * caller's scattered buffers take several. */
		if (r <= 0 || data != NULL)
			break;
		put_len += (uint64_t)r;
	}
	if (r > 0 && data != NULL)
		put_len = (uint64_t)r;
	if (put_len == 0 && r < 0) {
		*clean = px_is_clean(r) && !(w->direct && r == -EINVAL);
		return r;
	}
	if (w->advance)
		(void)raw3(SYS_lseek, w->fd, (long)(off + put_len), SEEK_SET);
	return (int64_t)put_len;
}

/* With O_DIRECT the kernel minds where the caller's buffers lie; our copy is
 * always aligned, so ask what it would have said. */
static bool
is_misaligned(int fd, const struct iovec *iov, int count)
{
#ifdef STATX_DIOALIGN
	struct statx sx;

	memset(&sx, 0, sizeof(sx));
	if (raw6(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_DIOALIGN,
		(long)&sx, 0) < 0 ||
	    (sx.stx_mask & STATX_DIOALIGN) == 0 || sx.stx_dio_mem_align == 0)
		return false;
	for (int i = 0; i < count; i++)
		if ((uintptr_t)iov[i].iov_base % sx.stx_dio_mem_align != 0)
			return true;
#else
	(void)fd;
	(void)iov;
	(void)count;
#endif
	return false;
}

/* The plain call, for what the kernel will refuse (or has nothing to do). */
static long
plain(int fd, const struct iovec *iov, int count, int64_t off, int rwf)
{
	return raw6(SYS_pwritev2, fd, (long)iov, count, (long)off, 0, rwf);
}

static int64_t
write_once(const struct px_target *t, int fd, const struct iovec *iov,
    int count, int64_t off, int rwf, bool *gone)
{
	long fl = t->flags >= 0 ? t->flags : raw3(SYS_fcntl, fd, F_GETFL, 0);
	struct write_call w = {.target = t, .fd = fd, .rwf = rwf, .iov = iov};
	struct capture_req req = {.volume = t->volume, .op = OP_WRITE};
	uint64_t total = 0;
	int64_t len, r;

	if (fl < 0 || (fl & O_PATH) != 0 || (fl & O_ACCMODE) == O_RDONLY ||
	    off < -1 || count < 0 || count > IOV_MAX)
		return plain(fd, iov, count, off, rwf & RWF_OURS);
	if ((rwf & ~RWF_OURS) != 0)
		return -EOPNOTSUPP;
	len = px_readable(iov, count, MAX_RW, &total);
	if (len <= 0)
		return len < 0 ? len : plain(fd, iov, count, off, rwf);
	w.direct = (fl & O_DIRECT) != 0;
	if (w.direct && is_misaligned(fd, iov, count))
		return -EINVAL;
	w.iov_count = count;
	w.advance = off == -1;
	if ((fl & O_DSYNC) != 0 || (rwf & (RWF_DSYNC | RWF_SYNC)) != 0)
		req.flags = IOCB_FUA;
	req.place = (fl & O_APPEND) != 0 || (rwf & RWF_APPEND) != 0
			? CAPTURE_APPEND
		    : off == -1 ? CAPTURE_POSITION
				: CAPTURE_AT;
	/* A block device has no end to append to: the kernel takes the place
	 * that it is given. */
	if (req.place == CAPTURE_APPEND && S_ISBLK(t->st.st_mode))
		req.place = off == -1 ? CAPTURE_POSITION : CAPTURE_AT;
	req.direct = w.direct;
	req.off = off < 0 ? 0 : (uint64_t)off;
	req.len = (uint64_t)len;
	req.iov = iov;
	req.iov_count = count;
	req.ctx = &w;
	req.locate = locate;
	req.issue = issue;
	req.interrupted = interrupted;
	r = px_submit(t, &req);
	*gone = w.gone;
	if (r > 0 && (req.flags & IOCB_FUA) != 0 && px_commit(t) < 0)
		return -EIO;
	return r == -EINTR && (rwf & RWF_NOWAIT) != 0 ? -EAGAIN : r;
}

/* What was remembered of the descriptor may be out of date; then nothing has
 * been written. */
static int64_t __attribute__((noinline))
write_again(const struct px_target *was, int fd, const struct iovec *iov,
    int count, int64_t off, int rwf, bool gone, int64_t error)
{
	struct px_target t = *was;

	for (;;) {
		struct capture *group = t.group;
		uint32_t volume = t.volume;

		px_unknown(fd);
		if (!px_ask(fd, &t))
			return px_block(SYS_pwritev2, fd, (long)iov, count,
			    (long)off, 0, rwf);
		if (!gone && t.group == group && t.volume == volume)
			return error;
		gone = false;
		error = write_once(&t, fd, iov, count, off, rwf, &gone);
		if (error >= 0 || t.word == 0)
			return error;
	}
}

/* off -1: at the position. */
int64_t
px_write_raw(const struct px_target *t, int fd, const struct iovec *iov,
    int count, int64_t off, int rwf)
{
	bool gone = false;
	int64_t r = write_once(t, fd, iov, count, off, rwf, &gone);

	if (likely(r >= 0) || t->word == 0)
		return r;
	return write_again(t, fd, iov, count, off, rwf, gone, r);
}

static ssize_t
capture_buffer(
    const struct px_target *t, int fd, const void *from, size_t len, off_t off)
{
	struct iovec iov;

	memcpy(&iov.iov_base, &from, sizeof(from));
	iov.iov_len = len;
	return ret(px_write_raw(t, fd, &iov, 1, off, 0));
}

EXPORT(ssize_t, write, (int fd, const void *from, size_t len))
{
	struct px_target t;

	if (likely(!px_writes_to(fd, &t)))
		return ret(
		    px_block(SYS_write, fd, (long)from, (long)len, 0, 0, 0));
	return capture_buffer(&t, fd, from, len, -1);
}
ALIAS(__write, write);

/* libc's own, from inside (patch.c). */
ssize_t
px_write_nocancel(int fd, const void *from, size_t len)
{
	ssize_t r;

	px_self.steady++;
	r = px_write(fd, from, len);
	px_self.steady--;
	return r;
}

EXPORT(ssize_t, pwrite, (int fd, const void *from, size_t len, off_t off))
{
	struct px_target t;

	if (off < 0 || !px_writes_to(fd, &t))
		return ret(px_block(
		    SYS_pwrite64, fd, (long)from, (long)len, (long)off, 0, 0));
	return capture_buffer(&t, fd, from, len, off);
}
ALIAS(pwrite64, pwrite);
ALIAS(__pwrite64, pwrite);
ALIAS(__libc_pwrite, pwrite);

EXPORT(ssize_t, writev, (int fd, const struct iovec *iov, int count))
{
	struct px_target t;

	if (likely(!px_writes_to(fd, &t)))
		return ret(px_block(SYS_writev, fd, (long)iov, count, 0, 0, 0));
	return ret(px_write_raw(&t, fd, iov, count, -1, 0));
}
ALIAS(__writev, writev);

EXPORT(
    ssize_t, pwritev, (int fd, const struct iovec *iov, int count, off_t off))
{
	struct px_target t;

	if (off < 0 || !px_writes_to(fd, &t))
		return ret(px_block(
		    SYS_pwritev, fd, (long)iov, count, (long)off, 0, 0));
	return ret(px_write_raw(&t, fd, iov, count, off, 0));
}
ALIAS(pwritev64, pwritev);

EXPORT(ssize_t, pwritev2,
    (int fd, const struct iovec *iov, int count, off_t off, int flags))
{
	struct px_target t;

	if (off < -1 || !px_writes_to(fd, &t))
		return ret(px_block(
		    SYS_pwritev2, fd, (long)iov, count, (long)off, 0, flags));
	return ret(px_write_raw(&t, fd, iov, count, off, flags));
}
ALIAS(pwritev64v2, pwritev2);

/* Through write(): libc's own dprintf writes from inside. */
static int __attribute__((format(printf, 2, 0)))
print(int fd, const char *fmt, va_list ap)
{
	char *text = NULL;
	int n = vasprintf(&text, fmt, ap);
	int put_len = 0;

	while (n > 0 && put_len < n) {
		ssize_t r = px_write(fd, text + put_len, (size_t)(n - put_len));

		if (r < 0) {
			n = -1;
			break;
		}
		put_len += (int)r;
	}
	free(text);
	return n;
}

int px_vdprintf(int, const char *, va_list)
    __attribute__((format(printf, 2, 0)));
int px_dprintf(int, const char *, ...) __attribute__((format(printf, 2, 3)));
int px___vdprintf_chk(int, int, const char *, va_list)
    __attribute__((format(printf, 3, 0)));
int px___dprintf_chk(int, int, const char *, ...)
    __attribute__((format(printf, 3, 4)));

EXPORT(int, vdprintf, (int fd, const char *fmt, va_list ap))
{
	return print(fd, fmt, ap);
}

EXPORT(int, dprintf, (int fd, const char *fmt, ...))
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = print(fd, fmt, ap);
	va_end(ap);
	return n;
}

/* The checked ones stop a program that has %n in memory it can write to; our
 * vasprintf is the checked one as well (_FORTIFY_SOURCE). */
EXPORT(int, __vdprintf_chk, (int fd, int flag, const char *fmt, va_list ap))
{
	(void)flag;
	return print(fd, fmt, ap);
}

EXPORT(int, __dprintf_chk, (int fd, int flag, const char *fmt, ...))
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, fmt);
	n = print(fd, fmt, ap);
	va_end(ap);
	return n;
}
