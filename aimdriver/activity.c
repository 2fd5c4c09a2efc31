/* SPDX-License-Identifier: Apache-2.0 */
/* activity: the file of the activity log, made, mapped and believed. */
#include "aimdriver/activity.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAD_LEN 512u

/* An empty log, or one in which everything counts as marked. */
static int
write_head(struct capture *c, int fd, uint32_t index, const struct uuid *volume,
    bool all, struct err *e)
{
	union {
		struct {
			uint64_t magic;
			uint32_t layout, pages;
			struct uuid group, volume;
			uint32_t all, spare;
			uint64_t sum;
		} is;
		uint8_t bytes[HEAD_LEN];
	} head = {.bytes = {0}};

	head.is.magic = ACTIVITY_MAGIC;
	head.is.layout = ACTIVITY_LAYOUT;
	head.is.group = c->group;
	head.is.volume = *volume;
	head.is.all = all;
	head.is.sum =
	    payload_sum(&head, offsetof(struct activity, sum), ACTIVITY_MAGIC);
	return io_write_at(fd, head.bytes, sizeof(head.bytes),
	    (uint64_t)index * sizeof(struct activity), e);
}

/* Nothing may have been marked in it that would be lost: nobody writes. */
static int
is_alone(struct capture *c, struct err *e)
{
	AUTO_CLOSE int fd = sys_openat(c->dir, "attached", O_RDWR, 0);

	if (fd < 0)
		return err_sys(e, "open %s/attached", c->where);
	if (io_lock(fd, true, e) == 0)
		return 0;
	if (e->kind != ERR_RETRY)
		return -1;
	return err_set(e, ERR_REFUSED,
	    "%s/activity is missing or damaged while programs capture in this "
	    "group: end them first",
	    c->where);
}

static int
fill_new(struct capture *c, int fd, uint32_t count, struct err *e)
{
	struct place p = place_split(atomic_load(&c->ctl->word));
	bool all = p.mode != CAPTURE_OFF ||
		   (atomic_load(&c->ctl->marks) & MARK_UNCLEAN) != 0;
	uint32_t i;

	/* The group comes from the folder, which is setgid. */
	if (fchmod(fd, 0660) < 0)
		return err_sys(e, "set mode of %s/activity", c->where);
	if (sys_ftruncate(fd, (uint64_t)count * sizeof(struct activity)) < 0)
		return err_sys(e, "make %s/activity longer", c->where);
	for (i = 0; i < count; i++)
		if (write_head(c, fd, i, &c->ctl->volume[i].uuid, all, e) < 0)
			return -1;
	return io_fsync(fd, "activity", e);
}

static int
make_new(struct capture *c, uint32_t count, int *out, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (is_alone(c, e) < 0)
		return -1;
	if (sys_unlink(c->dir, "activity.new") < 0 && errno != ENOENT)
		return err_sys(e, "remove %s/activity.new", c->where);
	fd =
	    sys_openat(c->dir, "activity.new", O_RDWR | O_CREAT | O_EXCL, 0660);
	if (fd < 0)
		return err_sys(e, "create %s/activity.new", c->where);
	if (fill_new(c, fd, count, e) < 0)
		return err_at(e, "make the activity log");
	if (sys_rename(c->dir, "activity.new", c->dir, "activity", 0) < 0)
		return err_sys(e, "rename %s/activity.new", c->where);
	if (io_fsync(c->dir, c->where, e) < 0)
		return -1;
	*out = STEAL_FD(fd);
	return 0;
}

/* Opens the file if it can be one: 1, 0 no, -1. */
static int
open_old(struct capture *c, uint32_t count, int *out, struct err *e)
{
	int flags = c->read_only ? O_RDONLY : O_RDWR;
	AUTO_CLOSE int fd =
	    sys_openat(c->dir, "activity", flags | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == EISDIR ||
			       errno == ENXIO
			   ? 0
			   : err_sys(e, "open %s/activity", c->where);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s/activity", c->where);
	if (!S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size < (uint64_t)count * sizeof(struct activity))
		return 0;
	*out = STEAL_FD(fd);
	return 1;
}

int
activity_open(struct capture *c, struct err *e)
{
	uint32_t count = c->volume_count;
	int prot = c->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	int got = open_old(c, count, &c->activity_fd, e);
	void *p;

	if (got < 0)
		return -1;
	if (got == 0 && c->read_only)
		return 0;
	if (got == 0 && make_new(c, count, &c->activity_fd, e) < 0)
		return -1;
	if (count == 0)
		return 0;
	p = mmap(NULL, count * sizeof(struct activity), prot, MAP_SHARED,
	    c->activity_fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "map %s/activity", c->where);
	c->activity = p;
	c->activity_count = count;
	return 0;
}

int
activity_add(
    struct capture *c, uint32_t index, const struct uuid *volume, struct err *e)
{
	uint64_t end = ((uint64_t)index + 1) * sizeof(struct activity), len;

	if (io_size(c->activity_fd, &len, e) < 0)
		return err_at(e, "%s/activity", c->where);
	/* What an attempt that failed has left there goes. */
	if ((len > end - sizeof(struct activity) &&
		sys_ftruncate(c->activity_fd, end - sizeof(struct activity)) <
		    0) ||
	    sys_ftruncate(c->activity_fd, end) < 0)
		return err_sys(e, "make %s/activity longer", c->where);
	/* Not synced: should the machine stop, a file that is short or a head
	 * that is empty counts as damaged. */
	if (write_head(c, c->activity_fd, index, volume, false, e) < 0)
		return err_at(e, "%s/activity", c->where);
	return 0;
}

/* ---- boots ---- */

/* Everything behind the head reads as zeroes and has no room. */
static int
blank(struct capture *c, uint32_t i, struct err *e)
{
	uint64_t at = (uint64_t)i * sizeof(struct activity);
	uint64_t from = offsetof(struct activity, log);

	if (sys_fallocate(c->activity_fd,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at + from,
		sizeof(struct activity) - from) < 0)
		return err_sys(e, "clear %s/activity", c->where);
	return 0;
}

static bool
are_sectors_good(const struct activity *a)
{
	uint32_t i, n = activity_pages(a) * ACTIVITY_SECTORS;

	for (i = 0; i < n; i++)
		if (atomic_load(&a->log[i].sum) != activity_sector_sum(a, i))
			return false;
	return true;
}

/* Marks that are believed stay; what was hot is not. */
static void
cool_all(struct activity *a)
{
	uint64_t i, n = activity_pages(a) * (ACTIVITY_PAGE_EXTENTS / 64);

	for (i = 0; i < n; i++)
		atomic_store(&a->hot[i], 0);
	atomic_store(&a->marks, 0);
	atomic_store(&a->synced, 0);
	atomic_store(&a->cleared, 0);
}

static int
boot_one(struct capture *c, uint32_t i, bool unclean, struct err *e)
{
	struct activity *a = &c->activity[i];
	bool good = activity_head_is_good(c, i) && are_sectors_good(a);

	if (unclean && good) {
		cool_all(a);
		return 0;
	}
	/* In this order: what is damaged stays so until all is marked. */
	if (unclean) {
		if (write_head(c, c->activity_fd, i, &c->ctl->volume[i].uuid,
			true, e) < 0 ||
		    io_fsync(c->activity_fd, "activity", e) < 0)
			return -1;
		return blank(c, i, e);
	}
	if (blank(c, i, e) < 0)
		return -1;
	return write_head(
	    c, c->activity_fd, i, &c->ctl->volume[i].uuid, false, e);
}

int
activity_boot(struct capture *c, bool unclean, struct err *e)
{
	uint32_t i;

	for (i = 0; i < c->activity_count; i++)
		if (boot_one(c, i, unclean, e) < 0)
			return err_at(e, "the activity log");
	return io_fsync(c->activity_fd, "activity", e);
}
