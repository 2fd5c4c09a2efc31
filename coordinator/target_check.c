/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/target.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_BLOCK (1u << 20)

static void
auto_glob(glob_t *g)
{
	globfree(g);
}

/* The path in a loop device's backing_file, without its newline. */
static bool
backing_of(const char *attribute, char *out, size_t room)
{
	AUTO_FCLOSE FILE *f = fopen(attribute, "re");

	if (f == NULL || fgets(out, (int)room, f) == NULL)
		return false;
	out[strcspn(out, "\n")] = '\0';
	return true;
}

int
target_is_looped(int fd, const char *path, struct err *e)
{
	AUTO(auto_glob) glob_t g = {0};
	struct stat st, loop;
	char backing[PATH_MAX];
	size_t i;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", path);
	if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &g) != 0)
		return 0; /* no loop device is attached */
	for (i = 0; i < g.gl_pathc; i++) {
		if (!backing_of(g.gl_pathv[i], backing, sizeof(backing)) ||
		    stat(backing, &loop) < 0)
			continue;
		if (loop.st_dev == st.st_dev && loop.st_ino == st.st_ino)
			return err_set(e, ERR_RETRY,
			    "%s is in use: %.*s stands on it; detach that loop "
			    "device (losetup -d) first",
			    path, (int)strcspn(g.gl_pathv[i] + 11, "/"),
			    g.gl_pathv[i] + 11);
	}
	return 0;
}

/* Makes a sparse file of `size` bytes; its name is durable afterwards. */
static int
make_file(const char *path, uint64_t size, struct err *e)
{
	char above[PATH_MAX];
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int fd =
	    sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0)
		return err_sys(e, "create %s", path);
	if (sys_ftruncate(fd, size) < 0) {
		(void)err_sys(
		    e, "make %s %ju bytes long", path, (uintmax_t)size);
		(void)unlink(path);
		return -1;
	}
	if (io_fsync(fd, path, e) < 0)
		return -1;
	(void)snprintf(above, sizeof(above), "%s", path);
	if (io_open_dir(AT_FDCWD, dirname(above), &dir, e) < 0)
		return err_at(e, "create %s", path);
	return io_fsync(dir, above, e);
}

/* Where content may be: a file's holes are skipped. */
static uint64_t
next_data(int fd, uint64_t off, uint64_t end)
{
	off_t at = lseek(fd, (off_t)off, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? end : off;
	return (uint64_t)at;
}

static int
check_zero(int fd, const char *path, uint64_t size, struct err *e)
{
	AUTO_FREE uint8_t *block = malloc(LOOK_BLOCK);
	uint64_t off = 0;

	if (block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	while ((off = next_data(fd, off, size)) < size) {
		ssize_t n = io_read_some_at(fd, block, LOOK_BLOCK, off, e);

		if (n < 0)
			return err_at(e, "%s", path);
		if (n == 0)
			break;
		if (!io_is_zero(block, (size_t)n))
			return err_set(e, ERR_REFUSED,
			    "%s is not empty: there is data near byte %ju; "
			    "its content would be lost. Choose another path, "
			    "or say --overwrite if it may go",
			    path, (uintmax_t)off);
		off += (uint64_t)n;
	}
	return 0;
}

static int
check_kind_and_size(const char *path, const struct stat *st, uint64_t size,
    unsigned flags, enum volume_kind *kind, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	uint64_t has;

	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is neither a regular file nor a block device", path);
	*kind = S_ISREG(st->st_mode) ? VOLUME_FILE : VOLUME_BLOCK;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (io_size(fd, &has, e) < 0)
		return err_at(e, "%s", path);
	if (has != size)
		return err_set(e, ERR_REFUSED,
		    "%s has %ju bytes, the volume has %ju; a mirror has the "
		    "same size. Choose another path, or resize it",
		    path, (uintmax_t)has, (uintmax_t)size);
	return (flags & TARGET_OVERWRITE) != 0 ? 0
					       : check_zero(fd, path, size, e);
}

int
target_check(const char *path, uint64_t size, enum volume_kind source,
    unsigned flags, enum volume_kind *kind, struct err *e)
{
	struct target *t = NULL;
	struct stat st;
	enum volume_kind found = VOLUME_FILE;

	if (size > INT64_MAX)
		return err_set(e, ERR_REFUSED,
		    "a volume of %ju bytes is too "
		    "large",
		    (uintmax_t)size);
	if (stat(path, &st) < 0) {
		if (errno != ENOENT)
			return err_sys(e, "stat %s", path);
		if ((flags & TARGET_CREATE) == 0)
			return err_set(e, ERR_REFUSED,
			    "%s does not exist; make it with %ju bytes, or say "
			    "--create to have a %s made",
			    path, (uintmax_t)size,
			    source == VOLUME_BLOCK
				? "file in place of the device"
				: "file");
		if (make_file(path, size, e) < 0)
			return -1;
		if (stat(path, &st) < 0)
			return err_sys(e, "stat %s", path);
	}
	if (check_kind_and_size(path, &st, size, flags, &found, e) < 0)
		return -1;
	/* The same claims that redriving will need. */
	if (target_open(path, found, &t, e) < 0) {
		if (e != NULL && e->kind == ERR_RETRY)
			e->kind = ERR_REFUSED;
		return -1;
	}
	target_close(t);
	*kind = found;
	return 0;
}
