/* SPDX-License-Identifier: Apache-2.0 */
/* volume: the protected files and devices of a group, as this process has
 * them open, and what was last seen of them (rule 9.12). */
#include "aimdriver/control.h"
#include "aimdriver/seen.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int64_t
nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

int
volume_look(int fd, struct volume_seen *out, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat");
	*out = (struct volume_seen){
	    .dev = st.st_dev,
	    .ino = st.st_ino,
	    .rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0,
	    .mtime_ns = nanoseconds(&st.st_mtim),
	    .ctime_ns = nanoseconds(&st.st_ctim),
	    .kind = S_ISBLK(st.st_mode) ? VOLUME_BLOCK : VOLUME_FILE,
	};
	return io_size(fd, &out->size, e);
}

int64_t
volume_real_size(struct capture *c, uint32_t volume)
{
	struct stat st;

	if (c->ctl->volume[volume].kind != VOLUME_FILE)
		return (int64_t)atomic_load(&c->ctl->volume[volume].size);
	if (fstat(c->volume_fd[volume], &st) < 0)
		return -errno;
	return st.st_size;
}

/* The path as it stands in shared memory, which may not end. */
static void
copy_path(const struct control_volume *v, char out[sizeof(v->path)])
{
	memcpy(out, v->path, sizeof(v->path));
	out[sizeof(v->path) - 1] = '\0';
}

static bool
is_same_object(const struct control_volume *v, const struct volume_seen *s)
{
	if (s->kind != v->kind)
		return false;
	if (v->kind == VOLUME_BLOCK)
		return atomic_load(&v->rdev) == 0 ||
		       s->rdev == atomic_load(&v->rdev);
	if (atomic_load(&v->ino) == 0)
		return true;
	/* No device number: not yet known since the machine has booted. */
	return s->ino == atomic_load(&v->ino) &&
	       (atomic_load(&v->dev) == 0 || s->dev == atomic_load(&v->dev));
}

static int
open_path(struct capture *c, const char *path, int *out, struct err *e)
{
	bool writer = (c->flags & CAPTURE_WRITER) != 0;
	int fd = open(path,
	    (writer ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && writer && (errno == EACCES || errno == EPERM)) {
		(void)err_sys(e, "open %s", path);
		return err_at(e, "the right to capture is the right to write "
				 "all volumes of the group");
	}
	if (fd < 0)
		return err_sys(e, "open %s", path);
	*out = fd;
	return 0;
}

/* A device may have been enlarged: its end is where it was until the command
 * `volume expand` moves it. */
static bool
is_as_noted(const struct control_volume *v, const struct volume_seen *s)
{
	uint64_t size = atomic_load(&v->seen_size);

	if (atomic_load(&v->ctime_ns) == 0)
		return true; /* not known yet */
	if (v->kind == VOLUME_BLOCK)
		return s->size >= size;
	return s->size == size && s->mtime_ns == atomic_load(&v->mtime_ns) &&
	       s->ctime_ns == atomic_load(&v->ctime_ns);
}

/* While nothing was captured since, all must be as it was noted. */
static int
check_times(struct capture *c, const struct control_volume *v,
    const struct volume_seen *s, const char *path, struct err *e)
{
	const _Atomic uint32_t *marks = &c->ctl->marks;

	if (!is_watching(c) || (c->flags & CAPTURE_RECORDER) != 0 ||
	    (atomic_load(marks) & MARK_TIMES) == 0 || is_as_noted(v, s))
		return 0;
	/* Somebody may have begun to write just now. */
	if ((atomic_load(marks) & MARK_TIMES) == 0)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "%s was changed outside AIM (size or time differ from what was "
	    "noted when it was last captured): its mirrors do not have that "
	    "change; a resync is needed",
	    path);
}

/* What add_volume was not told, and what may have changed with a boot, is
 * learnt by the first who opens it. */
static void
learn(struct control_volume *v, const struct volume_seen *s)
{
	if (v->kind == VOLUME_BLOCK) {
		if (atomic_load(&v->rdev) == 0)
			atomic_store(&v->rdev, s->rdev);
	} else if (atomic_load(&v->ino) == 0 || atomic_load(&v->dev) == 0) {
		atomic_store(&v->dev, s->dev);
		atomic_store(&v->ino, s->ino);
	}
}

static int
open_one(struct capture *c, uint32_t i, struct err *e)
{
	struct control_volume *v = &c->ctl->volume[i];
	char path[sizeof(v->path)];
	struct volume_seen seen;
	AUTO_CLOSE int fd = -1;

	copy_path(v, path);
	if (open_path(c, path, &fd, e) < 0)
		return -1;
	if (volume_look(fd, &seen, e) < 0)
		return err_at(e, "%s", path);
	if (!is_same_object(v, &seen))
		return err_set(e, ERR_REFUSED,
		    "%s is not the file or device that was protected: changed "
		    "outside AIM; a resync is needed",
		    path);
	if (check_times(c, v, &seen, path, e) < 0)
		return -1;
	learn(v, &seen);
	/* Reading ahead would fill the page cache with large folios, in which
	 * the program's small writes cost several times more. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	c->volume_fd[i] = STEAL_FD(fd);
	return 0;
}

int
volume_open_path(struct capture *c, uint32_t i, int *out, struct err *e)
{
	char path[sizeof(c->ctl->volume[i].path)];
	int fd;

	copy_path(&c->ctl->volume[i], path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	*out = fd;
	return 0;
}

/* Programs that are about to write are told; the coordinator has to go on
 * with what it has. */
static int
check_devices(struct capture *c, struct err *e)
{
	char path[sizeof(c->ctl->volume[0].path)];
	int i;

	/* (Seen at a clean close: while writes pass there was none.) */
	if (!is_capturing(c) ||
	    (c->flags & (CAPTURE_WRITER | CAPTURE_RECORDER)) != CAPTURE_WRITER)
		return 0;
	i = seen_changed(c);
	if (i < 0)
		return 0;
	copy_path(&c->ctl->volume[i], path);
	return err_set(e, ERR_REFUSED,
	    "%s was changed outside AIM (something wrote to the device since "
	    "it was last captured): its mirrors do not have that change; a "
	    "resync is needed",
	    path);
}

int
volumes_open(struct capture *c, struct err *e)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++)
		if (open_one(c, i, e) < 0)
			return -1;
	return check_devices(c, e);
}

bool
volumes_changed(struct capture *c)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++) {
		struct volume_seen seen;

		if (volume_look_path(c, i, &seen, NULL) < 0 ||
		    !is_same_object(&c->ctl->volume[i], &seen) ||
		    !is_as_noted(&c->ctl->volume[i], &seen))
			return true;
	}
	return false;
}

static void
note(struct control_volume *v, const struct volume_seen *s, bool identity)
{
	if (identity) {
		atomic_store(&v->dev, s->dev);
		atomic_store(&v->ino, s->ino);
		atomic_store(&v->rdev, s->rdev);
		atomic_store(&v->size, s->size);
	}
	atomic_store(&v->seen_size, s->size);
	atomic_store(&v->mtime_ns, s->mtime_ns);
	atomic_store(&v->ctime_ns, s->ctime_ns);
}

int
volume_look_path(
    struct capture *c, uint32_t i, struct volume_seen *out, struct err *e)
{
	const struct control_volume *v = &c->ctl->volume[i];
	char path[sizeof(v->path)];
	AUTO_CLOSE int own = -1;

	copy_path(v, path);
	if (c->volume_fd[i] < 0) {
		own = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (own < 0)
			return err_sys(e, "open %s", path);
	}
	if (volume_look(own >= 0 ? own : c->volume_fd[i], out, e) < 0)
		return err_at(e, "%s", path);
	if (out->kind != v->kind)
		return err_set(e, ERR_REFUSED, "%s is no longer a %s", path,
		    v->kind == VOLUME_BLOCK ? "block device" : "regular file");
	return 0;
}

int
volumes_sync(struct capture *c, struct err *e)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++) {
		char path[sizeof(c->ctl->volume[i].path)];
		AUTO_CLOSE int own = -1;

		copy_path(&c->ctl->volume[i], path);
		if (c->volume_fd[i] < 0) {
			own = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
			if (own < 0)
				return err_sys(e, "open %s", path);
		}
		if (io_fsync(own >= 0 ? own : c->volume_fd[i], path, e) < 0) {
			/* What the kernel has lost it has lost for good. */
			atomic_store(&c->ctl->suspect, 1);
			wal_lost(c, i);
			return -1;
		}
	}
	return 0;
}

int
volumes_note(struct capture *c, bool identity, struct err *e)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++) {
		struct volume_seen seen;

		if (volume_look_path(c, i, &seen, e) < 0)
			return -1;
		note(&c->ctl->volume[i], &seen, identity);
	}
	return 0;
}

int
capture_check_paths(struct capture *c, struct err *e)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++) {
		const struct control_volume *v = &c->ctl->volume[i];
		char path[sizeof(v->path)];
		struct volume_seen seen = {0};
		struct stat st;

		copy_path(v, path);
		if (stat(path, &st) < 0)
			return err_sys(
			    e, "%s is gone: changed outside AIM", path);
		seen.dev = st.st_dev;
		seen.ino = st.st_ino;
		seen.rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
		seen.kind = S_ISBLK(st.st_mode)	  ? VOLUME_BLOCK
			    : S_ISREG(st.st_mode) ? VOLUME_FILE
						  : 0;
		if (!is_same_object(v, &seen))
			return err_set(e, ERR_REFUSED,
			    "%s is not the file or device that was protected: "
			    "changed outside AIM; a resync is needed",
			    path);
	}
	return 0;
}

int
capture_compare_path(
    const struct capture *c, uint32_t i, const char *path, struct err *e)
{
	struct stat is, named;

	if (i >= c->volume_count || fstat(c->volume_fd[i], &is) < 0)
		return err_set(e, ERR_CORRUPT, "%s is not open", path);
	if (stat(path, &named) < 0)
		return err_sys(e, "%s is gone: changed outside AIM", path);
	if (S_ISBLK(is.st_mode)
		? S_ISBLK(named.st_mode) && is.st_rdev == named.st_rdev
		: S_ISREG(named.st_mode) && is.st_dev == named.st_dev &&
		      is.st_ino == named.st_ino)
		return 0;
	return err_set(e, ERR_CORRUPT,
	    "%s/control names another file or device than %s; 'aim-manager "
	    "base' of this group makes it anew",
	    c->where, path);
}

uint32_t
capture_volume_count(const struct capture *c)
{
	return c->volume_count;
}

void
capture_volume_get(
    const struct capture *c, uint32_t i, struct capture_volume *out)
{
	const struct control_volume *v = &c->ctl->volume[i];

	*out = (struct capture_volume){
	    .uuid = v->uuid,
	    .kind = v->kind == VOLUME_BLOCK ? VOLUME_BLOCK : VOLUME_FILE,
	    .size = atomic_load(&v->size),
	    .dev = atomic_load(&v->dev),
	    .ino = atomic_load(&v->ino),
	    .rdev = atomic_load(&v->rdev),
	    .mtime_ns = atomic_load(&v->mtime_ns),
	    .ctime_ns = atomic_load(&v->ctime_ns),
	};
	copy_path(v, out->path);
}

static uint32_t
bucket_of(uint64_t dev, uint64_t ino)
{
	uint64_t h = (dev * 31 + ino) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32) & (VOLUME_BUCKETS - 1);
}

void
volumes_index(struct capture *c)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++) {
		const struct control_volume *v = &c->ctl->volume[i];
		struct volume_id *id = &c->id[i];
		uint32_t *b;

		id->kind = v->kind;
		id->dev = v->kind == VOLUME_BLOCK ? atomic_load(&v->rdev)
						  : atomic_load(&v->dev);
		id->ino = v->kind == VOLUME_BLOCK ? 0 : atomic_load(&v->ino);
		b = &c->bucket[bucket_of(id->dev, id->ino)];
		id->next = *b;
		*b = i + 1;
	}
}

int
capture_volume_find(const struct capture *c, const struct stat *st)
{
	bool block = S_ISBLK(st->st_mode);
	uint64_t dev = block ? st->st_rdev : st->st_dev;
	uint64_t ino = block ? 0 : st->st_ino;
	uint32_t i;

	if (!block && !S_ISREG(st->st_mode))
		return -1;
	for (i = c->bucket[bucket_of(dev, ino)]; i != 0; i = c->id[i - 1].next)
		if (c->id[i - 1].dev == dev && c->id[i - 1].ino == ino &&
		    (c->id[i - 1].kind == VOLUME_BLOCK) == block)
			return (int)(i - 1);
	return -1;
}

int
capture_flush_volumes(struct capture *c, struct err *e)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++) {
		char path[sizeof(c->ctl->volume[i].path)];

		copy_path(&c->ctl->volume[i], path);
		if (io_fdatasync(c->volume_fd[i], path, e) < 0) {
			/* What the kernel has lost it has lost for good. */
			atomic_store(&c->ctl->suspect, 1);
			wal_lost(c, i);
			return -1;
		}
	}
	return 0;
}
