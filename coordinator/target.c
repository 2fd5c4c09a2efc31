/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/target.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/*
 * Large writes, a base above all, make large folios in the page cache, and in
 * those each small write walks over all blocks of its folio: at 4 KiB that is
 * most of what redriving costs. What was written in large pieces is let go
 * when it is durable; nobody reads a mirror's cache.
 */
#define LARGE (UINT64_C(64) << 10)
#define LARGE_RANGES 64u

struct target_range {
	uint64_t from, to;
};

struct target {
	int fd;
	enum volume_kind kind;
	struct target_identity identity;
	uint32_t block; /* bytes; device requests are aligned to it */
	bool dirty;
	bool can_punch; /* the file system or device zeroes by itself */
	struct target_range large[LARGE_RANGES]; /* since the last sync */
	uint32_t large_count;
	char path[1024];
};

#define ZERO_BLOCK (UINT64_C(1) << 20)
/* One request to a device, so that a large one can be interrupted. */
#define ZERO_REQUEST (UINT64_C(1) << 30)

/* Without memory of its own: pages of zeroes that are only ever read. */
static const uint8_t zeroes[ZERO_BLOCK];

void
target_close(struct target *t)
{
	if (t == NULL)
		return;
	if (t->fd >= 0)
		(void)close(t->fd);
	free(t);
}

static void
auto_target(struct target **t)
{
	target_close(*t);
}

void
target_identity(const struct target *t, struct target_identity *out)
{
	*out = t->identity;
}

bool
target_is_dirty(const struct target *t)
{
	return t->dirty;
}

static int
fill(struct target *t, enum volume_kind kind, struct err *e)
{
	struct stat st;
	int block = 0;

	if (fstat(t->fd, &st) < 0)
		return err_sys(e, "stat %s", t->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is neither a regular file nor a block device", t->path);
	t->kind = S_ISREG(st.st_mode) ? VOLUME_FILE : VOLUME_BLOCK;
	if (t->kind != kind)
		return err_set(e, ERR_REFUSED,
		    "%s is a %s, but was a %s when the mirror was added; put "
		    "back what was there",
		    t->path, t->kind == VOLUME_FILE ? "file" : "block device",
		    kind == VOLUME_FILE ? "file" : "block device");
	t->identity.kind = t->kind;
	t->identity.dev = st.st_dev;
	t->identity.ino = st.st_ino;
	t->identity.rdev = st.st_rdev;
	t->block = 1;
	if (t->kind == VOLUME_BLOCK) {
		if (ioctl(t->fd, BLKSSZGET, &block) < 0 || block < 512)
			return err_sys(e, "block size of %s", t->path);
		t->block = (uint32_t)block;
	}
	return 0;
}

/* Does a program hold a lock on the file, as QEMU does on its images? */
static int
check_unlocked(const struct target *t, struct err *e)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(t->fd, F_OFD_GETLK, &l) < 0)
		return err_sys(e, "look for locks on %s", t->path);
	if (l.l_type != F_UNLCK)
		return err_set(e, ERR_RETRY,
		    "%s is in use: another program holds a lock on it; stop "
		    "that program",
		    t->path);
	return 0;
}

/*
 * Other redrivers are kept out by flock(2): a lock by fcntl(2) would also
 * keep out who only reads the mirror and locks what it reads, as SQLite does.
 */
static int
claim(struct target *t, struct err *e)
{
	if (t->kind == VOLUME_BLOCK)
		return 0; /* O_EXCL has done it */
	if (flock(t->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			   ? err_set(e, ERR_RETRY,
				 "%s is in use: another redriver holds it; "
				 "stop the other coordinator",
				 t->path)
			   : err_sys(e, "lock %s", t->path);
	if (check_unlocked(t, e) < 0)
		return -1;
	return target_is_looped(t->fd, t->path, e);
}

int
target_open(
    const char *path, enum volume_kind kind, struct target **out, struct err *e)
{
	AUTO(auto_target) struct target *t = calloc(1, sizeof(*t));
	struct stat st;
	int flags = O_RDWR | O_NONBLOCK | O_NOCTTY;

	if (t == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	t->fd = -1;
	t->can_punch = true;
	if ((size_t)snprintf(t->path, sizeof(t->path), "%s", path) >=
	    sizeof(t->path))
		return err_set(e, ERR_REFUSED, "path too long: %s", path);
	if (stat(path, &st) < 0)
		return err_sys(e,
		    "mirror volume %s is not there; attach it again, or "
		    "correct its path",
		    path);
	if (S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	else if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is neither a regular file nor a block device", path);
	t->fd = sys_openat(AT_FDCWD, path, flags, 0);
	if (t->fd < 0 && errno == EBUSY)
		return err_set(e, ERR_RETRY,
		    "%s is in use (mounted, or part of another device); "
		    "unmount it first",
		    path);
	if (t->fd < 0)
		return err_sys(e, "open %s for writing", path);
	if (fill(t, kind, e) < 0 || claim(t, e) < 0)
		return -1;
	*out = STEAL(t);
	return 0;
}

int
target_size(struct target *t, uint64_t *out, struct err *e)
{
	return io_size(t->fd, out, e) < 0 ? err_at(e, "%s", t->path) : 0;
}

int
target_room(struct target *t, uint64_t *out, struct err *e)
{
	if (t->kind == VOLUME_BLOCK)
		return target_size(t, out, e);
	*out = INT64_MAX;
	return 0;
}

int
target_read(struct target *t, void *to, size_t len, uint64_t off, struct err *e)
{
	return io_read_at(t->fd, to, len, off, e) < 0 ? err_at(e, "%s", t->path)
						      : 0;
}

/* What does not fit stays cached: that costs time, nothing else. */
static void
note_large(struct target *t, uint64_t off, uint64_t len)
{
	struct target_range *last =
	    t->large_count > 0 ? &t->large[t->large_count - 1] : NULL;

	if (last != NULL && last->to == off)
		last->to += len;
	else if (t->large_count < LARGE_RANGES)
		t->large[t->large_count++] =
		    (struct target_range){off, off + len};
}

static void
let_go_large(struct target *t)
{
	uint32_t i;

	for (i = 0; i < t->large_count; i++)
		(void)posix_fadvise(t->fd, (off_t)t->large[i].from,
		    (off_t)(t->large[i].to - t->large[i].from),
		    POSIX_FADV_DONTNEED);
	t->large_count = 0;
}

int
target_write(
    struct target *t, const void *from, size_t len, uint64_t off, struct err *e)
{
	t->dirty = true;
	if (len >= LARGE)
		note_large(t, off, len);
	return io_write_at(t->fd, from, len, off, e) < 0
		   ? err_at(e, "%s", t->path)
		   : 0;
}

static int
write_zeroes(struct target *t, uint64_t off, uint64_t len, struct err *e)
{
	while (len > 0) {
		size_t n = len < ZERO_BLOCK ? (size_t)len : ZERO_BLOCK;

		if (target_write(t, zeroes, n, off, e) < 0)
			return -1;
		off += n;
		len -= n;
	}
	return 0;
}

static int
ask_to_zero(struct target *t, uint64_t off, uint64_t len)
{
	if (t->kind == VOLUME_FILE)
		return sys_fallocate(t->fd,
		    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
	return sys_ioctl_range(t->fd, BLKZEROOUT, off, len);
}

static bool
is_unsupported(int sys)
{
	return sys == EOPNOTSUPP || sys == ENOSYS || sys == ENOTTY ||
	       sys == EINVAL;
}

/* What the device cannot do by itself is written, zero by zero. */
int
target_zero(struct target *t, uint64_t off, uint64_t len, struct err *e)
{
	uint64_t end = off + len;
	uint64_t from = (off + t->block - 1) / t->block * t->block;
	uint64_t to = end / t->block * t->block;

	t->dirty = true;
	if (!t->can_punch || from >= to)
		return write_zeroes(t, off, len, e);
	if (write_zeroes(t, off, from - off, e) < 0 ||
	    write_zeroes(t, to, end - to, e) < 0)
		return -1;
	while (from < to) {
		uint64_t n =
		    to - from < ZERO_REQUEST ? to - from : ZERO_REQUEST;

		if (ask_to_zero(t, from, n) == 0) {
			from += n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (!is_unsupported(errno))
			return err_sys(e, "zero %ju bytes at offset %ju of %s",
			    (uintmax_t)n, (uintmax_t)from, t->path);
		t->can_punch = false;
		return write_zeroes(t, from, to - from, e);
	}
	return 0;
}

int
target_resize(struct target *t, uint64_t was, uint64_t size, struct err *e)
{
	uint64_t room;

	t->dirty = true;
	if (t->kind == VOLUME_FILE) {
		int r;

		do
			r = sys_ftruncate(t->fd, size);
		while (r < 0 && errno == EINTR);
		return r < 0 ? err_sys(e, "resize %s to %ju bytes", t->path,
				   (uintmax_t)size)
			     : 0;
	}
	if (target_room(t, &room, e) < 0)
		return -1;
	if (size > room)
		return err_set(e, ERR_REFUSED,
		    "suspended (size): %s has %ju bytes, %ju are needed; make "
		    "the device larger",
		    t->path, (uintmax_t)room, (uintmax_t)size);
	return size > was ? target_zero(t, was, size - was, e) : 0;
}

void
target_hurry(struct target *t)
{
	/* Its failures are told by the sync that follows. */
	if (t->dirty)
		(void)sync_file_range(t->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

int
target_sync(struct target *t, struct err *e)
{
	if (!t->dirty)
		return 0;
	if (io_fdatasync(t->fd, t->path, e) < 0)
		return -1;
	t->dirty = false;
	let_go_large(t);
	return 0;
}
