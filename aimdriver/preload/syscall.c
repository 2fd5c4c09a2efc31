/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall: system calls by number, of libc's syscall() and of the tripwire,
 * go the way of the named functions.
 */
#include "aimdriver/preload/calls.h"
#include "aimdriver/preload/exec.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Would it empty a volume? The name is resolved as the call would do it. */
static bool
empties_ours(const struct px_args *x)
{
	struct iovec check = {(void *)x->c, sizeof(struct open_how)};
	struct open_how how;
	struct px_target t;
	uint64_t total;
	bool ours;
	long fd;

	if ((size_t)x->d < sizeof(how) ||
	    px_readable(&check, 1, sizeof(how), &total) < (int)sizeof(how))
		return false;
	memcpy(&how, (const void *)x->c, sizeof(how));
	if ((how.flags & O_TRUNC) == 0)
		return false;
	how.flags = O_PATH | O_CLOEXEC | (how.flags & O_NOFOLLOW);
	how.mode = 0;
	fd = raw4(SYS_openat2, x->a, x->b, (long)&how, sizeof(how));
	if (fd < 0)
		return false;
	ours = px_find((int)fd, &t);
	(void)raw1(SYS_close, fd);
	return ours;
}

static long
open_how(const struct px_args *x)
{
	bool counted;

	/* Rare; without O_TRUNC it is the plain call. */
	if (px_on() && empties_ours(x))
		return ret(-ENOSYS);
	counted = px_install();
	return ret(
	    px_installed(counted, raw4(SYS_openat2, x->a, x->b, x->c, x->d)));
}

static long
take_from(const struct px_args *x)
{
	bool counted = px_install();

	return ret(
	    px_installed(counted, raw3(SYS_pidfd_getfd, x->a, x->b, x->c)));
}

/* Some of them would make descriptors mean different things in the same
 * memory, or memory different things of the same descriptors. */
static long
process(const struct px_args *x)
{
	bool files = (x->a & CLONE_FILES) != 0;

	if (atomic_load(&px_known) == NULL ||
	    ((x->a & CLONE_VM) != 0 ? files || (x->a & CLONE_VFORK) != 0
				    : !files))
		return ret(raw6(SYS_clone, x->a, x->b, x->c, x->d, x->e, 0));
	/* On another stack it could not come back to where it was made. */
	if (x->b != 0) {
		px_say(PX_PROCESS,
		    "refused: %s makes a process by clone(2) that shares its "
		    "memory or its descriptors, but not both",
		    px_program());
		return ret(-EPERM);
	}
	px_forget();
	return ret(raw6(SYS_clone, x->a, x->b, x->c, x->d, x->e, 0));
}

/* Reading from it would give descriptors that may write, to whoever has it by
 * then. */
static long
watch(const struct px_args *x)
{
	if ((x->b & O_ACCMODE) == O_RDONLY || !px_remembers)
		return ret(raw2(SYS_fanotify_init, x->a, x->b));
	px_say(PX_FDS,
	    "refused: %s wants fanotify to give it descriptors for writing",
	    px_program());
	return ret(-EPERM);
}

static long
unshare_some(const struct px_args *x)
{
	if ((x->a & CLONE_FILES) != 0)
		px_forget(); /* a table of this thread's own */
	return ret(raw1(SYS_unshare, x->a));
}

static long
io_requests(const struct px_args *x)
{
	return ret(px_io_submit((unsigned long)x->a, x->b, (void *)x->c));
}

/* Calls that write, by descriptor. */
static bool
by_descriptor(long nr, const struct px_args *x, long *r)
{
	int fd = (int)x->a;

	switch (nr) {
	case SYS_write:
		*r = px_write(fd, (const void *)x->b, (size_t)x->c);
		return true;
	case SYS_pwrite64:
		*r = px_pwrite(fd, (const void *)x->b, (size_t)x->c, x->d);
		return true;
	case SYS_writev:
		*r = px_writev(fd, (const void *)x->b, (int)x->c);
		return true;
	case SYS_pwritev:
		*r = px_pwritev(fd, (const void *)x->b, (int)x->c, x->d);
		return true;
	case SYS_pwritev2:
		*r = px_pwritev2(
		    fd, (const void *)x->b, (int)x->c, x->d, (int)x->f);
		return true;
	case SYS_ftruncate:
		*r = px_ftruncate(fd, x->b);
		return true;
	case SYS_fallocate:
		*r = px_fallocate(fd, (int)x->b, x->c, x->d);
		return true;
	case SYS_copy_file_range:
		*r = px_copy_file_range(fd, (void *)x->b, (int)x->c,
		    (void *)x->d, (size_t)x->e, (unsigned)x->f);
		return true;
	case SYS_sendfile:
		*r = px_sendfile(fd, (int)x->b, (void *)x->c, (size_t)x->d);
		return true;
	case SYS_splice:
		*r = px_splice(fd, (void *)x->b, (int)x->c, (void *)x->d,
		    (size_t)x->e, (unsigned)x->f);
		return true;
	case SYS_ioctl:
		*r = px_ioctl(fd, (unsigned long)x->b, (void *)x->c);
		return true;
	case SYS_fsync:
		*r = px_fsync(fd);
		return true;
	case SYS_fdatasync:
		*r = px_fdatasync(fd);
		return true;
	case SYS_syncfs:
		*r = px_syncfs(fd);
		return true;
	case SYS_open_by_handle_at:
		*r = px_open_by_handle_at(fd, (void *)x->b, (int)x->c);
		return true;
	case SYS_io_submit:
		*r = io_requests(x);
		return true;
	case SYS_io_uring_setup:
		*r = ret(px_io_uring_setup((unsigned)x->a, (void *)x->b));
		return true;
	case SYS_mmap:
		*r = (long)px_mmap((void *)x->a, (size_t)x->b, (int)x->c,
		    (int)x->d, (int)x->e, x->f);
		return true;
	default:
		return false;
	}
}

/* Calls that take or change names. */
static bool
by_name(long nr, const struct px_args *x, long *r)
{
	const char *a = (const char *)x->a, *b = (const char *)x->b;

	switch (nr) {
	case SYS_openat:
		*r = ret(px_openat_raw((int)x->a, b, (int)x->c, (mode_t)x->d));
		return true;
	case SYS_openat2:
		*r = open_how(x);
		return true;
	case SYS_truncate:
		*r = px_truncate(a, x->b);
		return true;
	case SYS_renameat2:
		*r = px_renameat2((int)x->a, b, (int)x->c, (const char *)x->d,
		    (unsigned)x->e);
		return true;
	case SYS_unlinkat:
		*r = px_unlinkat((int)x->a, b, (int)x->c);
		return true;
	case SYS_linkat:
		*r = px_linkat(
		    (int)x->a, b, (int)x->c, (const char *)x->d, (int)x->e);
		return true;
	case SYS_mount:
		*r = px_mount(a, b, (const char *)x->c, (unsigned long)x->d,
		    (const void *)x->e);
		return true;
	case SYS_swapon:
		*r = px_swapon(a, (int)x->b);
		return true;
	case SYS_fsconfig:
		*r = px_fsconfig((int)x->a, (unsigned)x->b, (const char *)x->c,
		    (const void *)x->d, (int)x->e);
		return true;
	case SYS_execve:
		*r = px_execve(a, (char *const *)x->b, (char *const *)x->c);
		return true;
	case SYS_execveat:
		*r = px_execveat((int)x->a, b, (char *const *)x->c,
		    (char *const *)x->d, (int)x->e);
		return true;
#ifdef SYS_open
	case SYS_open:
		*r = ret(px_openat_raw(AT_FDCWD, a, (int)x->b, (mode_t)x->c));
		return true;
	case SYS_creat:
		*r = ret(px_openat_raw(
		    AT_FDCWD, a, O_WRONLY | O_CREAT | O_TRUNC, (mode_t)x->b));
		return true;
	case SYS_rename:
		*r = px_renameat2(AT_FDCWD, a, AT_FDCWD, b, 0);
		return true;
	case SYS_unlink:
		*r = px_unlinkat(AT_FDCWD, a, 0);
		return true;
	case SYS_link:
		*r = px_linkat(AT_FDCWD, a, AT_FDCWD, b, 0);
		return true;
#endif
#ifdef SYS_renameat
	case SYS_renameat:
		*r = px_renameat2(
		    (int)x->a, b, (int)x->c, (const char *)x->d, 0);
		return true;
#endif
	default:
		return false;
	}
}

static bool
by_number(long nr, const struct px_args *x, long *r)
{
	switch (nr) {
	case SYS_close:
		*r = px_close((int)x->a);
		return true;
	case SYS_close_range:
		*r = px_close_range((unsigned)x->a, (unsigned)x->b, (int)x->c);
		return true;
	case SYS_dup:
		*r = px_dup((int)x->a);
		return true;
#ifdef SYS_dup2
	case SYS_dup2:
		*r = px_dup2((int)x->a, (int)x->b);
		return true;
#endif
	case SYS_dup3:
		*r = px_dup3((int)x->a, (int)x->b, (int)x->c);
		return true;
	case SYS_fcntl:
		if ((int)x->b == F_SETFL)
			*r = ret(px_set_flags((int)x->a, x->c));
		else if ((int)x->b == F_DUPFD || (int)x->b == F_DUPFD_CLOEXEC)
			*r = ret(px_dup_number((int)x->a, (int)x->b, x->c));
		else
			return false;
		return true;
	case SYS_recvmsg:
		*r = px_recvmsg((int)x->a, (void *)x->b, (int)x->c);
		return true;
	case SYS_recvmmsg:
		*r = px_recvmmsg((int)x->a, (void *)x->b, (unsigned)x->c,
		    (int)x->d, (void *)x->e);
		return true;
	case SYS_sendmsg:
		*r = px_sendmsg((int)x->a, (const void *)x->b, (int)x->c);
		return true;
	case SYS_sendmmsg:
		*r = px_sendmmsg(
		    (int)x->a, (void *)x->b, (unsigned)x->c, (int)x->d);
		return true;
	case SYS_memfd_create:
		*r = px_memfd_create((const char *)x->a, (unsigned)x->b);
		return true;
	case SYS_pidfd_getfd:
		*r = take_from(x);
		return true;
	case SYS_clone:
		*r = process(x);
		return true;
	case SYS_fanotify_init:
		*r = watch(x);
		return true;
	case SYS_unshare:
		*r = unshare_some(x);
		return true;
	default:
		return false;
	}
}

static bool
known(long nr, const struct px_args *x, long *r)
{
	return by_descriptor(nr, x, r) || by_name(nr, x, r) ||
	       by_number(nr, x, r);
}

long
px_number(long nr, const struct px_args *x)
{
	long r;

	if (px_self.inside == 0 && known(nr, x, &r))
		return r == -1 ? -errno : r;
	return raw6(nr, x->a, x->b, x->c, x->d, x->e, x->f);
}

EXPORT(long, syscall, (long nr, ...))
{
	struct px_args x;
	va_list ap;
	long r;

	va_start(ap, nr);
	x.a = va_arg(ap, long);
	x.b = va_arg(ap, long);
	x.c = va_arg(ap, long);
	x.d = va_arg(ap, long);
	x.e = va_arg(ap, long);
	x.f = va_arg(ap, long);
	va_end(ap);
	if (px_self.inside == 0 && nr != SYS_futex && known(nr, &x, &r))
		return r;
	return ret(raw6(nr, x.a, x.b, x.c, x.d, x.e, x.f));
}
