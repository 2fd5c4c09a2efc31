/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/progress.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x0a1a676f4c6d6941) /* "AimLog\x1a\n" */

#define PREFIX "log-"

enum {
	AT_MAGIC = 0,
	AT_CHAIN = 8,
	AT_VOLUME = 24,
	AT_COPYINS = 40,
	AT_BOOTS = 48,
	AT_LOG = 56,
	AT_INDEX = 64,
	AT_OFF = 72,
	AT_STATE = 80,
	AT_SUM = 88,
	LEN = 96,
	FILE_LEN = 2 * LEN,
};
enum {
	BEGUN = 1,
	DONE = 2,
	KERNEL = 4,
	GAP_SHIFT = 4,
	GAP_BITS = 3,
	TURN_SHIFT = 8,
};

static void
encode(const struct progress *p, uint64_t turn, uint8_t out[LEN])
{
	le_put64(out + AT_MAGIC, MAGIC);
	memcpy(out + AT_CHAIN, p->chain.b, 16);
	memcpy(out + AT_VOLUME, p->volume.b, 16);
	le_put64(out + AT_COPYINS, p->copyins);
	le_put64(out + AT_BOOTS, p->boots);
	le_put64(out + AT_LOG, p->log);
	le_put64(out + AT_INDEX, p->place.index);
	le_put64(out + AT_OFF, p->place.off);
	le_put64(out + AT_STATE,
	    (p->begun ? UINT64_C(1) * BEGUN : 0) | (p->done ? DONE : 0) |
		(p->kernel ? KERNEL : 0) | (uint64_t)p->gap << GAP_SHIFT |
		turn << TURN_SHIFT);
	le_put64(out + AT_SUM, sum_bytes(out, AT_SUM, MAGIC));
}

/* 0: it is none; else one more than its turn. */
static uint64_t
decode(const uint8_t in[LEN], struct progress *out)
{
	uint64_t state = le_get64(in + AT_STATE);
	struct progress p = {
	    .copyins = le_get64(in + AT_COPYINS),
	    .boots = le_get64(in + AT_BOOTS),
	    .log = le_get64(in + AT_LOG),
	    .place = {.index = le_get64(in + AT_INDEX),
		.off = le_get64(in + AT_OFF)},
	    .begun = (state & BEGUN) != 0,
	    .done = (state & DONE) != 0,
	    .kernel = (state & KERNEL) != 0,
	    .gap = (enum progress_gap)(state >> GAP_SHIFT & GAP_BITS),
	};

	if (le_get64(in + AT_MAGIC) != MAGIC ||
	    le_get64(in + AT_SUM) != sum_bytes(in, AT_SUM, MAGIC))
		return 0;
	memcpy(p.chain.b, in + AT_CHAIN, 16);
	memcpy(p.volume.b, in + AT_VOLUME, 16);
	*out = p;
	return (state >> TURN_SHIFT) + 1;
}

/* The later one of a file's two. */
static bool
decode_file(const uint8_t in[FILE_LEN], struct progress *out)
{
	struct progress p[2];
	uint64_t turn[2] = {decode(in, &p[0]), decode(in + LEN, &p[1])};

	if (turn[0] == 0 && turn[1] == 0)
		return false;
	*out = p[turn[1] > turn[0] ? 1 : 0];
	return true;
}

static int
open_folder(const char *home, const struct uuid *group, char path[PATH_MAX],
    int *out, struct err *e)
{
	char text[UUID_TEXT];

	if (snprintf(path, PATH_MAX, "%s/active/%s", home,
		uuid_text(group, text)) >= PATH_MAX)
		return err_set(e, ERR_REFUSED, "path too long: %s", home);
	return io_open_dir(AT_FDCWD, path, out, e);
}

int
progress_open(struct progress_file *f, const char *home,
    const struct uuid *group, const struct uuid *chain, struct progress *p,
    struct err *e)
{
	char path[PATH_MAX], text[UUID_TEXT];
	uint8_t bytes[FILE_LEN] = {0};
	AUTO_CLOSE int fd = -1;

	(void)snprintf(
	    f->name, sizeof(f->name), PREFIX "%s", uuid_text(chain, text));
	if (open_folder(home, group, path, &f->dir, e) < 0)
		return -1;
	fd = sys_openat(f->dir, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(e, "open %s/%s", path, f->name);
	if (io_read_some_at(fd, bytes, sizeof(bytes), 0, e) < 0)
		return err_at(e, "%s/%s", path, f->name);
	if (!decode_file(bytes, p) || !uuid_equal(&p->chain, chain))
		return err_set(e, ERR_CORRUPT,
		    "%s/%s is damaged: how far the log was imported is not "
		    "known; copy the disk in with 'aim-manager base'",
		    path, f->name);
	return 1;
}

static void
unmap(struct progress_file *f)
{
	if (f->map != NULL)
		(void)munmap(f->map, FILE_LEN);
	f->map = NULL;
}

int
progress_store(struct progress_file *f, const struct progress *p, struct err *e)
{
	uint8_t bytes[FILE_LEN] = {0};
	AUTO_CLOSE int fd = -1;
	void *map;

	unmap(f);
	f->turn = 0;
	encode(p, f->turn, bytes);
	if (io_write_file(f->dir, f->name, bytes, sizeof(bytes), 0660, e) < 0)
		return -1;
	fd = sys_openat(f->dir, f->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return err_sys(e, "open %s", f->name);
	map = mmap(NULL, FILE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(e, "map %s", f->name);
	f->map = map;
	return 0;
}

void
progress_step(struct progress_file *f, const struct progress *p)
{
	uint8_t bytes[LEN];

	encode(p, ++f->turn, bytes);
	memcpy(f->map + f->turn % 2 * LEN, bytes, LEN);
	/* The next one must not begin before this one is whole. */
	atomic_signal_fence(memory_order_seq_cst);
}

void
progress_close(struct progress_file *f)
{
	unmap(f);
	if (f->dir >= 0)
		(void)close(f->dir);
	f->dir = -1;
}

/* False: there is no such file (any more). */
static bool
look_at(int dir, const char *name, struct progress *p, bool *good,
    uint64_t *changed_ns)
{
	AUTO_CLOSE int fd = -1;
	uint8_t bytes[FILE_LEN] = {0};
	struct stat st;

	if (io_open_regular(dir, name, &fd, NULL) < 0 || fstat(fd, &st) < 0)
		return false;
	*changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u +
		      (uint64_t)st.st_mtim.tv_nsec;
	*good = io_read_some_at(fd, bytes, sizeof(bytes), 0, NULL) >= 0 &&
		decode_file(bytes, p);
	return true;
}

int
progress_list(const char *home, const struct uuid *group,
    int (*each)(void *ctx, const struct progress *p, uint64_t changed_ns,
	struct err *e),
    void *ctx, struct err *e)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	AUTO_CLOSE int fd = -1;
	char path[PATH_MAX];
	struct dirent *entry;
	int r = 0;

	if (open_folder(home, group, path, &fd, e) < 0)
		return -1;
	d = fdopendir(fd);
	if (d == NULL)
		return err_sys(e, "list %s", path);
	fd = -1; /* now d's */
	while (r == 0 && (entry = readdir(d)) != NULL) {
		struct progress p;
		struct uuid chain;
		uint64_t changed;
		bool good;

		if (strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) != 0 ||
		    uuid_parse(
			entry->d_name + sizeof(PREFIX) - 1, &chain, NULL) < 0 ||
		    !look_at(dirfd(d), entry->d_name, &p, &good, &changed))
			continue;
		r = each(ctx, good ? &p : NULL, changed, e);
	}
	return r;
}
