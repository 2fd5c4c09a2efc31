/* SPDX-License-Identifier: Apache-2.0 */
/* wal_file: the file of a log of changes: made, locked, its heads. */
#include "aimdriver/wal_file.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_LEN (4 + UUID_TEXT)
#define FILL (1u << 20)

static const char *
name_for(const struct uuid *volume, char out[NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(out, NAME_LEN, "wal.%s", uuid_text(volume, text));
	return out;
}

static const char *
name_of(const struct capture *c, uint32_t volume, char out[NAME_LEN])
{
	return name_for(&c->ctl->volume[volume].uuid, out);
}

static int
take(struct capture *c, const char *name, int flags, int *out, struct err *e)
{
	AUTO_CLOSE int fd = sys_openat(
	    c->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | flags, 0660);
	struct stat st;

	if (fd < 0)
		return err_sys(e, "open %s/%s", c->where, name);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s/%s", c->where, name);
	/* Whoever may capture may have put it there. */
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return err_set(e, ERR_CORRUPT,
		    "%s/%s is not a regular file of its own", c->where, name);
	if (io_lock(fd, true, e) < 0)
		return err_at(e, "%s/%s", c->where, name);
	*out = STEAL_FD(fd);
	return 0;
}

int
wal_file_open(struct capture *c, uint32_t volume, int *out, struct err *e)
{
	char name[NAME_LEN];
	struct err why = {0};

	if (take(c, name_of(c, volume, name), 0, out, &why) == 0)
		return 1;
	if (why.sys == ENOENT)
		return 0;
	*e = why;
	return -1;
}

/* Written once, so that writing it later changes nothing of the file system's
 * own. */
static int
fill(int fd, uint64_t len, const char *name, struct err *e)
{
	AUTO_FREE uint8_t *zero = calloc(1, FILL);
	uint64_t off;

	if (zero == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (sys_ftruncate(fd, 0) < 0)
		return err_sys(e, "empty %s", name);
	for (off = 0; off < len; off += FILL) {
		uint64_t n = len - off < FILL ? len - off : FILL;

		if (io_write_at(fd, zero, n, off, e) < 0)
			return err_at(e, "make %s", name);
	}
	return io_fsync(fd, name, e);
}

int
wal_file_make(struct capture *c, uint32_t volume, uint64_t half_len, int *out,
    struct err *e)
{
	uint64_t len = 2 * (half_len + WAL_BLOCK), is;
	char name[NAME_LEN];
	AUTO_CLOSE int fd = -1;

	if (take(c, name_of(c, volume, name), O_CREAT, &fd, e) < 0)
		return -1;
	if (io_size(fd, &is, e) < 0)
		return err_at(e, "%s/%s", c->where, name);
	if (is != len) {
		/* The group comes from the folder, which is setgid. */
		if (fchmod(fd, 0660) < 0)
			return err_sys(e, "set mode of %s/%s", c->where, name);
		if (fill(fd, len, name, e) < 0 ||
		    io_fsync(c->dir, c->where, e) < 0)
			return -1;
	}
	*out = STEAL_FD(fd);
	return 0;
}

int
wal_file_open_sync(int fd, int *out, struct err *e)
{
	int flags = O_RDWR | O_DSYNC, again;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = sys_openat(AT_FDCWD, path, flags | O_DIRECT, 0);
	/* Not every file system can. */
	if (again < 0 && errno == EINVAL)
		again = sys_openat(AT_FDCWD, path, flags, 0);
	if (again < 0)
		return err_sys(e, "open the log of changes once more");
	*out = again;
	return 0;
}

/* ---- heads ---- */

static uint64_t
head_sum(const struct wal_head *h)
{
	return payload_sum(h, offsetof(struct wal_head, sum), WAL_MAGIC);
}

static bool
is_good(const struct uuid *group, const struct uuid *volume,
    const struct wal_head *h, uint64_t file_len)
{
	return h->magic == WAL_MAGIC && h->layout == WAL_LAYOUT &&
	       h->sum == head_sum(h) && uuid_equal(&h->group, group) &&
	       uuid_equal(&h->volume, volume) && h->half_len <= file_len / 2 &&
	       2 * (h->half_len + WAL_BLOCK) == file_len;
}

/* Which of the heads are whole. */
static int
read_heads(int fd, const struct uuid *group, const struct uuid *volume,
    struct wal_head heads[2], bool good[2], struct err *e)
{
	uint64_t len;
	int i;

	if (io_size(fd, &len, e) < 0)
		return -1;
	for (i = 0; i < 2; i++) {
		ssize_t got = io_read_some_at(fd, &heads[i], sizeof(heads[i]),
		    (uint64_t)i * WAL_BLOCK, e);

		if (got < 0)
			return -1;
		good[i] = got == (ssize_t)sizeof(heads[i]) &&
			  is_good(group, volume, &heads[i], len);
	}
	return 0;
}

static int
newest_of(const struct wal_head heads[2], const bool good[2])
{
	return good[1] &&
	       (!good[0] || heads[1].generation > heads[0].generation);
}

int
wal_heads_read(struct capture *c, uint32_t volume, int fd,
    struct wal_head heads[2], int *newest, int *before, struct err *e)
{
	bool good[2];
	int n;

	*before = -1;
	if (read_heads(fd, &c->group, &c->ctl->volume[volume].uuid, heads, good,
		e) < 0)
		return err_at(e, "%s/wal", c->where);
	if (!good[0] && !good[1])
		return err_set(e, ERR_CORRUPT, "neither of its heads is whole");
	n = newest_of(heads, good);
	*newest = n;
	if (heads[n].active == 0)
		return 0;
	if (heads[n].base == heads[n].generation)
		return 1;
	if (!good[1 - n] || heads[1 - n].generation < heads[n].base)
		return err_set(e, ERR_CORRUPT, "its older head is not whole");
	*before = 1 - n;
	return 1;
}

int
wal_file_is_active(int dir, const struct uuid *group, const struct uuid *volume,
    bool *out, struct err *e)
{
	struct wal_head heads[2];
	struct err why = {0};
	AUTO_CLOSE int fd = -1;
	char name[NAME_LEN];
	bool good[2];

	*out = false;
	if (io_open_regular(dir, name_for(volume, name), &fd, &why) < 0) {
		if (why.sys == ENOENT)
			return 0;
		*e = why;
		return -1;
	}
	if (read_heads(fd, group, volume, heads, good, e) < 0)
		return err_at(e, "%s", name);
	*out = (good[0] || good[1]) && heads[newest_of(heads, good)].active;
	return 0;
}

int
wal_head_write(struct capture *c, uint32_t volume, int fd, unsigned half,
    struct wal_head *h, struct err *e)
{
	uint8_t block[WAL_BLOCK] = {0};

	h->magic = WAL_MAGIC;
	h->layout = WAL_LAYOUT;
	h->group = c->group;
	h->volume = c->ctl->volume[volume].uuid;
	if (random_bytes(&h->id, sizeof(h->id), e) < 0)
		return -1;
	h->sum = head_sum(h);
	memcpy(block, h, sizeof(*h));
	if (io_write_at(
		fd, block, sizeof(block), (uint64_t)half * WAL_BLOCK, e) < 0)
		return err_at(e, "%s/wal", c->where);
	return io_fdatasync(fd, "the log of changes", e);
}

int
wal_file_end(struct capture *c, uint32_t volume, int fd, struct err *e)
{
	struct wal_head heads[2], h;
	struct err why = {0};
	int newest = 0, before;

	/* One that is damaged has nothing to be ended. */
	if (wal_heads_read(c, volume, fd, heads, &newest, &before, &why) < 0) {
		if (why.kind == ERR_CORRUPT)
			return 0;
		*e = why;
		return -1;
	}
	h = heads[newest];
	if (h.active == 0)
		return 0;
	h.active = 0;
	h.base = ++h.generation;
	return wal_head_write(c, volume, fd, (unsigned)(1 - newest), &h, e);
}

uint64_t
wal_batch_sum(const struct wal_batch *b)
{
	struct wal_batch head = *b;
	const uint8_t *rest = (const uint8_t *)b + sizeof(head);

	head.sum = 0;
	return payload_sum(&head, sizeof(head), b->id) ^
	       payload_sum(rest, b->len - sizeof(head), b->sequence);
}
