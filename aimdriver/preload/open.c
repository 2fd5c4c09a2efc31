/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open: O_TRUNC on a protected file is an open without it and a captured
 * resize. Nothing else about an open matters: protected volumes are known
 * again at each write by device and inode.
 */
#include "aimdriver/preload/calls.h"

#include <fcntl.h>
#include <stdlib.h>

static long
truncating(int dir, const char *path, int flags, mode_t mode)
{
	struct px_target t;
	long fd, r = 0;

	if (px_is_guest()) {
		px_say(PX_SPAWN,
		    "refused: %s has a child truncate %s through posix_spawn, "
		    "which is not captured; truncate it before",
		    px_program(), path);
		return -EACCES;
	}
	fd = px_block(
	    SYS_openat, dir, (long)path, flags & ~O_TRUNC, (long)mode, 0, 0);
	if (fd < 0)
		return fd;
	if (px_find((int)fd, &t) && S_ISREG(t.st.st_mode))
		r = px_resize(&t, (int)fd, NULL, 0);
	else if (S_ISREG(t.st.st_mode)) /* another file by now */
		r = raw2(SYS_ftruncate, fd, 0);
	if (r == 0)
		return fd;
	(void)raw1(SYS_close, fd);
	return r;
}

long
px_openat_raw(int dir, const char *path, int flags, mode_t mode)
{
	struct px_target t;
	int at = (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	bool counted = writes && px_install();
	long fd;

	if ((flags & (O_TRUNC | O_PATH)) == O_TRUNC &&
	    px_find_at(dir, path, at, &t))
		fd = truncating(dir, path, flags, mode);
	else
		fd = px_block(
		    SYS_openat, dir, (long)path, flags, (long)mode, 0, 0);
	if (writes)
		(void)px_opened(counted, fd);
	if (unlikely(fd >= 0 && fd <= 2))
		px_stdio_check();
	return fd;
}

static bool
takes_mode(int flags)
{
	return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

EXPORT(int, open, (const char *path, int flags, ...))
{
	mode_t mode = 0;
	va_list ap;

	if (takes_mode(flags)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return (int)ret(px_openat_raw(AT_FDCWD, path, flags, mode));
}
ALIAS(open64, open);
ALIAS(__open, open);
ALIAS(__open64, open);

/* libc's own, from inside (patch.c). */
int
px_open_nocancel(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	int r;

	if (takes_mode(flags)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	px_self.steady++;
	r = (int)ret(px_openat_raw(AT_FDCWD, path, flags, mode));
	px_self.steady--;
	return r;
}

EXPORT(int, openat, (int dir, const char *path, int flags, ...))
{
	mode_t mode = 0;
	va_list ap;

	if (takes_mode(flags)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return (int)ret(px_openat_raw(dir, path, flags, mode));
}
ALIAS(openat64, openat);

EXPORT(int, __open_2, (const char *path, int flags))
{
	if (takes_mode(flags))
		abort();
	return (int)ret(px_openat_raw(AT_FDCWD, path, flags, 0));
}
ALIAS(__open64_2, __open_2);

EXPORT(int, __openat_2, (int dir, const char *path, int flags))
{
	if (takes_mode(flags))
		abort();
	return (int)ret(px_openat_raw(dir, path, flags, 0));
}
ALIAS(__openat64_2, __openat_2);

EXPORT(int, creat, (const char *path, mode_t mode))
{
	return (int)ret(
	    px_openat_raw(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode));
}
ALIAS(creat64, creat);

EXPORT(
    int, open_by_handle_at, (int mount, struct file_handle *handle, int flags))
{
	struct px_target t;
	bool counted = px_install();
	long r;
	int fd = (int)px_installed(counted,
	    raw3(SYS_open_by_handle_at, mount, (long)handle, flags & ~O_TRUNC));

	if (fd < 0 || (flags & O_TRUNC) == 0)
		return (int)ret(fd);
	r = px_find(fd, &t) ? px_resize(&t, fd, NULL, 0)
			    : raw2(SYS_ftruncate, fd, 0);
	if (r == 0)
		return fd;
	(void)raw1(SYS_close, fd);
	return (int)ret(r);
}
