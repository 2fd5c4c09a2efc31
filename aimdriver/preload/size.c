/* SPDX-License-Identifier: Apache-2.0 */
/*
 * size: truncate and fallocate. The size of a protected file is content: it
 * changes in a RESIZE transaction. The size of a block device does not change
 * here, and the kernel says so.
 */
#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct change {
	int fd;
	const char *path;
	int mode;	       /* of fallocate; -1: truncate */
	int64_t from, len;     /* of fallocate, when it grows the file */
	unsigned long request; /* an ioctl instead; 0: none */
};

static bool
interrupted(void *ctx)
{
	(void)ctx;
	return px_self.deferred;
}

static int64_t
resize(void *ctx, const void *data, uint64_t len, uint64_t off, uint64_t done,
    bool *clean)
{
	const struct change *c = ctx;
	char self[32];
	struct stat st;
	long r;

	(void)data;
	(void)len;
	(void)done;
	/* Somebody has grown the file meanwhile: nothing is to be resized, or
	 * it would zero what was written there, and the stream not know. */
	if (c->mode >= 0 && raw2(SYS_fstat, c->fd, (long)&st) == 0 &&
	    (st.st_size >= (int64_t)off ||
		(c->mode > 0 && st.st_size > c->from))) {
		*clean = true;
		return -ESTALE;
	}
	if (c->mode >= 0)
		r = raw4(SYS_fallocate, c->fd, c->mode, c->from, c->len);
	else if (c->path != NULL)
		r = raw2(SYS_truncate, (long)c->path, (long)off);
	else
		r = raw2(SYS_ftruncate, c->fd, (long)off);
	/* open(O_RDONLY | O_TRUNC) truncates on Linux. */
	if (r == -EINVAL && c->mode < 0 && c->path == NULL) {
		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", c->fd);
		r = raw2(SYS_truncate, (long)self, (long)off);
	}
	/* fallocate may have grown the file before it failed. */
	*clean = c->mode < 0 && px_is_clean(r);
	return r;
}

static long
submit_resize(const struct px_target *t, struct change *c, uint64_t size)
{
	struct capture_req req = {
	    .volume = t->volume,
	    .op = OP_RESIZE,
	    .place = CAPTURE_AT,
	    .off = size,
	    .ctx = c,
	    .issue = resize,
	    .interrupted = interrupted,
	};

	return px_submit(t, &req);
}

long
px_resize(const struct px_target *t, int fd, const char *path, uint64_t size)
{
	struct change c = {.fd = fd, .path = path, .mode = -1};

	return submit_resize(t, &c, size);
}

EXPORT(int, ftruncate, (int fd, off_t size))
{
	struct px_target t;
	long fl;

	if (size < 0 || !px_find(fd, &t) || !S_ISREG(t.st.st_mode))
		return (int)ret(raw2(SYS_ftruncate, fd, (long)size));
	fl = raw3(SYS_fcntl, fd, F_GETFL, 0);
	if (fl < 0 || (fl & O_ACCMODE) == O_RDONLY || (fl & O_PATH) != 0)
		return (int)ret(raw2(SYS_ftruncate, fd, (long)size));
	return (int)ret(px_resize(&t, fd, NULL, (uint64_t)size));
}
ALIAS(ftruncate64, ftruncate);

EXPORT(int, truncate, (const char *path, off_t size))
{
	struct px_target t;

	if (size < 0 || !px_find_at(AT_FDCWD, path, 0, &t) ||
	    !S_ISREG(t.st.st_mode))
		return (int)ret(raw2(SYS_truncate, (long)path, (long)size));
	return (int)ret(px_resize(&t, -1, path, (uint64_t)size));
}
ALIAS(truncate64, truncate);

static int64_t
zero(void *ctx, const void *data, uint64_t len, uint64_t off, uint64_t done,
    bool *clean)
{
	const struct change *c = ctx;
	uint64_t range[2] = {off, len};
	long r;

	(void)data;
	(void)done;
	if (c->request != 0)
		r = raw3(SYS_ioctl, c->fd, (long)c->request, (long)range);
	else
		r = raw4(SYS_fallocate, c->fd, c->mode, (long)off, (long)len);
	*clean = r == -EOPNOTSUPP || r == -EBADF || r == -ENODEV;
	return r;
}

/* ZERO or DISCARD of a range inside the volume, by fallocate(mode) or, when
 * it is not 0, by that ioctl. */
long
px_zero(const struct px_target *t, int fd, enum aim_op op, uint64_t off,
    uint64_t len, int mode, unsigned long request)
{
	struct change c = {.fd = fd, .mode = mode, .request = request};
	struct capture_req req = {
	    .volume = t->volume,
	    .op = op,
	    .place = CAPTURE_AT,
	    .off = off,
	    .len = len,
	    .ctx = &c,
	    .issue = zero,
	    .interrupted = interrupted,
	};

	return px_submit(t, &req);
}

/* Of the range only what lies inside the file is content. */
static uint64_t
inside(const struct px_target *t, int64_t off, int64_t len)
{
	int64_t size = t->st.st_size;

	if (S_ISBLK(t->st.st_mode))
		return (uint64_t)len;
	if (off >= size)
		return 0;
	return (uint64_t)(len < size - off ? len : size - off);
}

static long
grow(const struct px_target *t, int fd, int mode, int64_t off, int64_t len)
{
	struct change c = {.fd = fd, .mode = mode, .from = off, .len = len};
	long r = submit_resize(t, &c, (uint64_t)(off + len));

	if (r != -ESTALE || mode != 0)
		return r;
	return raw4(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, off, len);
}

/* -ESTALE: the file has grown meanwhile. */
static long
try_zero_range(
    const struct px_target *t, int fd, int mode, int64_t off, int64_t len)
{
	uint64_t n = inside(t, off, len);
	bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0 && (uint64_t)len > n;
	int64_t rest = off + (int64_t)n;
	long r = 0;

	if (n > 0)
		r = px_zero(t, fd, OP_ZERO, (uint64_t)off, n,
		    mode | (S_ISREG(t->st.st_mode) ? FALLOC_FL_KEEP_SIZE : 0),
		    0);
	if (r < 0 || !grows)
		return n > 0 || grows ? r
				      : raw4(SYS_fallocate, fd, mode, off, len);
	return grow(t, fd, mode, rest, off + len - rest);
}

static long
zero_range(
    const struct px_target *t, int fd, int mode, int64_t off, int64_t len)
{
	struct px_target now = *t;
	long r;

	while ((r = try_zero_range(&now, fd, mode, off, len)) == -ESTALE)
		if (raw2(SYS_fstat, fd, (long)&now.st) < 0)
			break;
	return r;
}

long
px_fallocate_raw(
    const struct px_target *t, int fd, int mode, int64_t off, int64_t len)
{
	const int keep = FALLOC_FL_KEEP_SIZE;
	uint64_t n;
	int64_t end;
	long fl;

	fl = raw3(SYS_fcntl, fd, F_GETFL, 0);
	if (off < 0 || len <= 0 || __builtin_add_overflow(off, len, &end) ||
	    fl < 0 || (fl & O_ACCMODE) == O_RDONLY || (fl & O_PATH) != 0 ||
	    mode == keep)
		return raw4(SYS_fallocate, fd, mode, off, len);
	if (mode == 0) {
		if (S_ISBLK(t->st.st_mode) || end <= t->st.st_size)
			return raw4(SYS_fallocate, fd, keep, off, len);
		return grow(t, fd, mode, off, len);
	}
	if (mode == (FALLOC_FL_PUNCH_HOLE | keep)) {
		n = inside(t, off, len);
		return n == 0 ? 0
			      : px_zero(t, fd, OP_DISCARD, (uint64_t)off, n,
				    mode, 0);
	}
	if ((mode & ~keep) == FALLOC_FL_ZERO_RANGE)
		return zero_range(t, fd, mode, off, len);
	if ((mode & FALLOC_FL_PUNCH_HOLE) != 0 && (mode & keep) == 0)
		return -EOPNOTSUPP; /* as the kernel says of every file */
	px_say(PX_FALLOCATE,
	    "refused: %s wants fallocate mode 0x%x on a protected volume, "
	    "which is not captured",
	    px_program(), (unsigned)mode);
	return -EOPNOTSUPP;
}

EXPORT(int, fallocate, (int fd, int mode, off_t off, off_t len))
{
	struct px_target t;

	if (!px_find_written(fd, &t))
		return (int)ret(px_block(
		    SYS_fallocate, fd, mode, (long)off, (long)len, 0, 0));
	return (int)ret(px_fallocate_raw(&t, fd, mode, off, len));
}
ALIAS(fallocate64, fallocate);

/* Returns the error. libc's own would write zeroes from inside where the file
 * system cannot allocate. */
EXPORT(int, posix_fallocate, (int fd, off_t off, off_t len))
{
	struct px_target t;
	long r;

	if (!px_find_written(fd, &t)) {
		r = raw4(SYS_fallocate, fd, 0, (long)off, (long)len);
		return r == -EOPNOTSUPP ? px_real.posix_fallocate(fd, off, len)
					: (int)-r;
	}
	return (int)-px_fallocate_raw(&t, fd, 0, off, len);
}
ALIAS(posix_fallocate64, posix_fallocate);
