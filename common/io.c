/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io.h"

#include "common/cleanup.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t
io_read_some_at(int fd, void *to, size_t len, uint64_t off, struct err *e)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n =
		    sys_pread(fd, (char *)to + got, len - got, off + got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %zu bytes at offset %ju",
			    len - got, (uintmax_t)(off + got));
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int
io_read_at(int fd, void *to, size_t len, uint64_t off, struct err *e)
{
	ssize_t n = io_read_some_at(fd, to, len, off, e);

	if (n < 0)
		return -1;
	if ((size_t)n < len)
		return err_set(e, ERR_CORRUPT,
		    "file ends at offset %ju, %zu bytes short",
		    (uintmax_t)off + (uintmax_t)n, len - (size_t)n);
	return 0;
}

int
io_write_at(int fd, const void *from, size_t len, uint64_t off, struct err *e)
{
	size_t put = 0;

	while (put < len) {
		ssize_t n = sys_pwrite(
		    fd, (const char *)from + put, len - put, off + put);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return err_sys(e, "write %zu bytes at offset %ju",
			    len - put, (uintmax_t)(off + put));
		put += (size_t)n;
	}
	return 0;
}

int
io_fsync(int fd, const char *what, struct err *e)
{
	if (sys_fsync(fd) == 0)
		return 0;
	(void)err_sys(e, "fsync %s", what);
	if (e != NULL && e->kind != ERR_FULL)
		e->kind = ERR_FATAL;
	return -1;
}

int
io_fdatasync(int fd, const char *what, struct err *e)
{
	if (sys_fdatasync(fd) == 0)
		return 0;
	(void)err_sys(e, "fdatasync %s", what);
	if (e != NULL && e->kind != ERR_FULL)
		e->kind = ERR_FATAL;
	return -1;
}

int
io_open_dir(int dir, const char *name, int *out, struct err *e)
{
	int fd = sys_openat(dir, name, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return err_sys(e, "open directory %s", name);
	*out = fd;
	return 0;
}

int
io_make_dir(int dir, const char *name, mode_t mode, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (sys_mkdir(dir, name, mode & 0777) < 0) {
		if (errno != EEXIST)
			return err_sys(e, "make directory %s", name);
		/* What is there must be a directory. It may have been made
		 * just before a crash: its name has to last, too. */
		if (io_open_dir(dir, name, &fd, e) < 0)
			return -1;
		if (dir == AT_FDCWD || strchr(name, '/') != NULL)
			return 0;
		return io_fsync(dir, "the directory above", e);
	}
	if (io_open_dir(dir, name, &fd, e) < 0)
		return -1;
	if (fchmod(fd, mode) < 0)
		return err_sys(e, "set mode of directory %s", name);
	if (io_fsync(fd, name, e) < 0)
		return -1;
	/* The name itself lives in the directory above. */
	(void)close(STEAL_FD(fd));
	if (strchr(name, '/') == NULL && dir != AT_FDCWD)
		return io_fsync(dir, "the directory above", e);
	{
		char above[PATH_MAX];

		(void)snprintf(above, sizeof(above), "%s/..", name);
		if (io_open_dir(dir, above, &fd, e) < 0)
			return -1;
		return io_fsync(fd, above, e);
	}
}

int
io_open_regular(int dir, const char *name, int *out, struct err *e)
{
	struct open_how how = {
	    .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV |
		       RESOLVE_NO_MAGICLINKS,
	};
	struct stat st;
	AUTO_CLOSE int fd =
	    (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	if (fd < 0)
		return err_sys(e, "open %s", name);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_REFUSED, "%s is not a regular file", name);
	*out = STEAL_FD(fd);
	return 0;
}

int
io_read_file(
    int dir, const char *name, size_t max, struct buf *out, struct err *e)
{
	AUTO_CLOSE int fd =
	    sys_openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	AUTO(buf_release) struct buf got = {0};
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return err_sys(e, "open %s", name);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_REFUSED, "%s is not a regular file", name);
	if ((uint64_t)st.st_size > max)
		return err_set(e, ERR_REFUSED,
		    "%s has %jd bytes; at most %zu are accepted", name,
		    (intmax_t)st.st_size, max);
	if (buf_room(&got, (size_t)st.st_size + 1, e) < 0)
		return err_at(e, "read %s", name);
	n = io_read_some_at(fd, got.data, (size_t)st.st_size, 0, e);
	if (n < 0)
		return err_at(e, "%s", name);
	got.len = (size_t)n;
	got.data[got.len] = 0;
	buf_swap(out, &got);
	return 0;
}

int
io_write_file(int dir, const char *name, const void *data, size_t len,
    mode_t mode, struct err *e)
{
	char tmp[NAME_MAX + 1];
	AUTO_CLOSE int fd = -1;

	if ((size_t)snprintf(tmp, sizeof(tmp), ".%s.tmp", name) >= sizeof(tmp))
		return err_set(e, ERR_REFUSED, "name too long: %s", name);
	if (sys_unlink(dir, tmp) < 0 && errno != ENOENT)
		return err_sys(e, "remove %s", tmp);
	fd = sys_openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL, mode & 0777);
	if (fd < 0)
		return err_sys(e, "create %s", tmp);
	if (fchmod(fd, mode) < 0) {
		(void)err_sys(e, "set mode of %s", tmp);
		goto undo;
	}
	if (io_write_at(fd, data, len, 0, e) < 0)
		goto undo;
	if (io_fsync(fd, tmp, e) < 0)
		goto undo;
	if (sys_rename(dir, tmp, dir, name, 0) < 0) {
		(void)err_sys(e, "rename %s to %s", tmp, name);
		goto undo;
	}
	return io_fsync(dir, "the directory", e) < 0 ? err_at(e, "%s", name)
						     : 0;
undo:
	(void)unlinkat(dir, tmp, 0);
	return err_at(e, "write %s", name);
}

int
io_move(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e)
{
	if (sys_rename(from_dir, from, to_dir, to, RENAME_NOREPLACE) < 0)
		return err_sys(e, "rename %s to %s", from, to);
	if (io_fsync(to_dir, "the directory", e) < 0)
		return err_at(e, "rename %s to %s", from, to);
	if (from_dir != to_dir && io_fsync(from_dir, "the directory", e) < 0)
		return err_at(e, "rename %s to %s", from, to);
	return 0;
}

int
io_remove(int dir, const char *name, struct err *e)
{
	/* One that is gone may have gone just before a crash. */
	if (sys_unlink(dir, name) < 0 && errno != ENOENT)
		return err_sys(e, "remove %s", name);
	return io_fsync(dir, "the directory", e);
}

int
io_size(int fd, uint64_t *out, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat");
	if (S_ISREG(st.st_mode)) {
		*out = (uint64_t)st.st_size;
		return 0;
	}
	if (S_ISBLK(st.st_mode)) {
		uint64_t size;

		if (ioctl(fd, BLKGETSIZE64, &size) < 0)
			return err_sys(e, "size of the block device");
		*out = size;
		return 0;
	}
	return err_set(
	    e, ERR_REFUSED, "neither a regular file nor a block device");
}

int
io_free_bytes(int fd, uint64_t *out, struct err *e)
{
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0)
		return err_sys(e, "free space");
	*out = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

bool
io_is_zero(const void *data, size_t len)
{
	const unsigned char *p = data;

	/* Zero first, and equal to itself one byte on: all zero. */
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int
ofd_lock(int fd, short type, struct err *e)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &l) < 0) {
		int sys = errno == EACCES ? EAGAIN : errno;

		errno = sys;
		return err_sys(e, "lock");
	}
	return 0;
}

int
io_lock(int fd, bool exclusive, struct err *e)
{
	return ofd_lock(fd, exclusive ? F_WRLCK : F_RDLCK, e);
}

int
io_unlock(int fd, struct err *e)
{
	return ofd_lock(fd, F_UNLCK, e);
}
