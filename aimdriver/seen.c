/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/seen.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/sum.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NAME "seen"
#define MAGIC UINT64_C(0x0a1a6e6565536941) /* "AiSeen\x1a\n" */

enum { BLOCK = 4096, EDGE = 8, SPREAD = 48 };

/* In the file: a head, then one of these for each volume, then a sum. */
struct head {
	uint64_t magic, next;
	uint8_t boot[16];
	uint64_t count;
};

struct look {
	uint64_t writes;  /* sectors written or discarded + 1; 0: not known */
	uint64_t diskseq; /* 0: not known */
	uint64_t size, sum;
};

/* One line of /sys/dev/block/MAJOR:MINOR/NAME; false when there is none. */
static bool
read_sys(uint64_t dev, const char *name, char *out, size_t room)
{
	char path[96];
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s",
	    major(dev), minor(dev), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, out, room - 1);
	if (n <= 0)
		return false;
	out[n] = '\0';
	return true;
}

static void
look_at_kernel(uint64_t dev, struct look *l)
{
	unsigned long long written, discarded = 0;
	char text[512];

	/* reads: 4 numbers; writes: requests, merged, sectors; 4 others;
	 * discards: requests, merged, sectors */
	if (read_sys(dev, "stat", text, sizeof(text)) &&
	    sscanf(text,
		"%*u %*u %*u %*u %*u %*u %llu %*u %*u %*u %*u %*u %*u %llu",
		&written, &discarded) >= 1)
		l->writes = written + discarded + 1;
	if (read_sys(dev, "diskseq", text, sizeof(text)) ||
	    read_sys(dev, "../diskseq", text, sizeof(text)))
		l->diskseq = strtoull(text, NULL, 10);
}

/* Sample number i of a device with so many blocks. */
static uint64_t
place_of(uint32_t i, uint64_t blocks)
{
	if (i < EDGE)
		return i;
	if (i < 2 * EDGE)
		return blocks - 1 - (i - EDGE);
	return blocks / SPREAD * (i - 2 * EDGE) + blocks / SPREAD / 2;
}

static int
look_at_blocks(int fd, struct look *l, struct err *e)
{
	uint64_t blocks = l->size / BLOCK;
	uint8_t block[BLOCK];
	uint32_t i;

	for (i = 0; blocks > 0 && i < 2 * EDGE + SPREAD; i++) {
		uint64_t at = place_of(i, blocks);

		if (at >= blocks)
			continue;
		if (io_read_at(fd, block, sizeof(block), at * BLOCK, e) < 0)
			return -1;
		l->sum = sum_bytes(block, sizeof(block), l->sum);
	}
	return 0;
}

/* The device behind volume i; `out` is zero when it is none. */
static int
look(
    struct capture *c, uint32_t i, bool blocks, struct look *out, struct err *e)
{
	struct volume_seen seen;
	AUTO_CLOSE int own = -1;
	int fd = c->volume_fd[i];

	*out = (struct look){0};
	if (c->ctl->volume[i].kind != VOLUME_BLOCK)
		return 0;
	if (fd < 0 && volume_open_path(c, i, &own, e) < 0)
		return -1;
	fd = fd < 0 ? own : fd;
	if (volume_look(fd, &seen, e) < 0)
		return -1;
	out->size = atomic_load(&c->ctl->volume[i].seen_size);
	if (out->size == 0 || out->size > seen.size)
		out->size = seen.size;
	look_at_kernel(seen.rdev, out);
	return blocks ? look_at_blocks(fd, out, e) : 0;
}

static bool
has_blocks(struct capture *c)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++)
		if (c->ctl->volume[i].kind == VOLUME_BLOCK)
			return true;
	return false;
}

int
seen_store(struct capture *c, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	struct head h = {
	    .magic = MAGIC, .next = next_number(c), .count = c->volume_count};
	struct look l;
	uint64_t sum;
	uint32_t i;

	if (!has_blocks(c))
		return 0;
	memcpy(h.boot, c->ctl->boot, sizeof(h.boot));
	if (buf_add(&b, &h, sizeof(h), e) < 0)
		return -1;
	for (i = 0; i < c->volume_count; i++)
		if (look(c, i, true, &l, e) < 0 ||
		    buf_add(&b, &l, sizeof(l), e) < 0)
			return -1;
	sum = sum_bytes(b.data, b.len, MAGIC);
	if (buf_add(&b, &sum, sizeof(sum), e) < 0)
		return -1;
	return io_write_file(c->dir, NAME, b.data, b.len, 0660, e);
}

int
seen_forget(struct capture *c, struct err *e)
{
	return io_remove(c->dir, NAME, e);
}

/* Is it about the group as it is now? */
static bool
is_current(struct capture *c, const struct buf *b, struct head *h)
{
	size_t len = sizeof(*h) + c->volume_count * sizeof(struct look);
	uint64_t sum;

	if (b->len != len + sizeof(sum))
		return false;
	memcpy(h, b->data, sizeof(*h));
	memcpy(&sum, b->data + len, sizeof(sum));
	return sum == sum_bytes(b->data, len, MAGIC) && h->magic == MAGIC &&
	       h->count == c->volume_count && h->next == next_number(c);
}

static bool
is_changed(
    struct capture *c, uint32_t i, const struct look *was, bool same_boot)
{
	struct look is;

	if (was->size == 0 || look(c, i, false, &is, NULL) < 0)
		return false;
	if (same_boot && was->writes != 0 && is.writes != 0 &&
	    was->diskseq != 0 && is.diskseq == was->diskseq)
		return is.writes != was->writes;
	if (look(c, i, true, &is, NULL) < 0)
		return false;
	return is.size == was->size && is.sum != was->sum;
}

int
seen_changed(struct capture *c)
{
	AUTO(buf_release) struct buf b = {0};
	struct head h;
	uint32_t i;
	int found = -1;

	if (!has_blocks(c) ||
	    (atomic_load(&c->ctl->marks) & MARK_UNCLEAN) != 0 ||
	    io_read_file(c->dir, NAME,
		sizeof(h) + 8 + JOURNAL_VOLUME_LIMIT * sizeof(struct look), &b,
		NULL) < 0 ||
	    !is_current(c, &b, &h))
		return -1;
	for (i = 0; i < c->volume_count && found < 0; i++) {
		struct look was;

		memcpy(&was, b.data + sizeof(h) + i * sizeof(was), sizeof(was));
		if (is_changed(c, i, &was,
			memcmp(h.boot, c->ctl->boot, sizeof(h.boot)) == 0))
			found = (int)i;
	}
	/* Somebody may have begun to write just now, as he may. */
	if ((atomic_load(&c->ctl->marks) & MARK_UNCLEAN) != 0)
		return -1;
	return found;
}
