/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attributes: changes of mode, owner, times and extended attributes are no
 * content and pass. But they change the times by which the next attach knows
 * whether a volume was changed outside AIM. A transaction before them says
 * that what was noted is old: a flush, which is made first, so that it is
 * true. These are not write-class calls: libc's own functions make them.
 */
#include "aimdriver/preload/preload.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/time.h>
#include <utime.h>

static void
about_to_change(const struct px_target *t, int fd)
{
	if (S_ISREG(t->st.st_mode) && raw1(SYS_fsync, fd) == 0)
		px_flushed(t);
}

static void
by_fd(int fd)
{
	struct px_target t;

	if (px_find(fd, &t))
		about_to_change(&t, fd);
}

static void
by_name(int dir, const char *path, int at)
{
	struct px_target t;
	long fd;

	if (path == NULL) { /* utimensat of a descriptor */
		by_fd(dir);
		return;
	}
	if (!px_find_at(
		dir, path, at & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), &t))
		return;
	fd = raw4(
	    SYS_openat, dir, (long)path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	about_to_change(&t, (int)fd);
	(void)raw1(SYS_close, fd);
}

/* A call of libc that is made after `first`. */
#define CHANGES(name, params, args, first)                                     \
	EXPORT(int, name, params)                                              \
	{                                                                      \
		static int(*real) params;                                      \
                                                                               \
		if (real == NULL)                                              \
			*(void **)(void *)&real = dlsym(RTLD_NEXT, #name);     \
		first;                                                         \
		return real args;                                              \
	}

#define HERE(path) by_name(AT_FDCWD, path, 0)
#define LINK(path) by_name(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)

CHANGES(chmod, (const char *path, mode_t mode), (path, mode), HERE(path))
CHANGES(fchmod, (int fd, mode_t mode), (fd, mode), by_fd(fd))
CHANGES(fchmodat, (int dir, const char *path, mode_t mode, int at),
    (dir, path, mode, at), by_name(dir, path, at))
CHANGES(chown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid),
    HERE(path))
CHANGES(lchown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid),
    LINK(path))
CHANGES(fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), by_fd(fd))
CHANGES(fchownat, (int dir, const char *path, uid_t uid, gid_t gid, int at),
    (dir, path, uid, gid, at), by_name(dir, path, at))

CHANGES(utime, (const char *path, const struct utimbuf *times), (path, times),
    HERE(path))
CHANGES(utimes, (const char *path, const struct timeval *times), (path, times),
    HERE(path))
CHANGES(lutimes, (const char *path, const struct timeval *times), (path, times),
    LINK(path))
CHANGES(futimes, (int fd, const struct timeval *times), (fd, times), by_fd(fd))
CHANGES(futimesat, (int dir, const char *path, const struct timeval *times),
    (dir, path, times), by_name(dir, path, 0))
CHANGES(
    futimens, (int fd, const struct timespec *times), (fd, times), by_fd(fd))
CHANGES(utimensat,
    (int dir, const char *path, const struct timespec *times, int at),
    (dir, path, times, at), by_name(dir, path, at))

CHANGES(setxattr,
    (const char *path, const char *name, const void *value, size_t len,
	int flags),
    (path, name, value, len, flags), HERE(path))
CHANGES(lsetxattr,
    (const char *path, const char *name, const void *value, size_t len,
	int flags),
    (path, name, value, len, flags), LINK(path))
CHANGES(fsetxattr,
    (int fd, const char *name, const void *value, size_t len, int flags),
    (fd, name, value, len, flags), by_fd(fd))
CHANGES(
    removexattr, (const char *path, const char *name), (path, name), HERE(path))
CHANGES(lremovexattr, (const char *path, const char *name), (path, name),
    LINK(path))
CHANGES(fremovexattr, (int fd, const char *name), (fd, name), by_fd(fd))
