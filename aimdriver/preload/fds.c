/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fds: programs that close "all" descriptors do not close the driver's own,
 * which to them do not exist. They are high numbers (the core opens them from
 * 1000 on) and are all there when attach returns.
 */
#include "aimdriver/preload/calls.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL_MAX = 1 << 20 }; /* the kernel takes less */

/* The range of numbers in which our own are; found once. */
static void
own_range(int *low, int *high)
{
	static int lowest = -1, highest = -1;
	static _Atomic bool known;
	struct rlimit limit;
	int end = 65536;

	if (!known) {
		if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		    limit.rlim_cur > 65536)
			end = limit.rlim_cur > 1 << 20 ? 1 << 20
						       : (int)limit.rlim_cur;
		for (int fd = 0; fd < end; fd++) {
			if (!px_owns(fd))
				continue;
			if (lowest < 0)
				lowest = fd;
			highest = fd;
		}
		known = true;
	}
	*low = lowest;
	*high = highest;
}

static bool
std(int fd)
{
	return fd >= 0 && fd <= 2;
}

EXPORT(int, close, (int fd))
{
	long r;

	if (unlikely(px_owns(fd)))
		return (int)ret(-EBADF);
	px_unknown(fd);
	r = px_block(SYS_close, fd, 0, 0, 0, 0, 0);
	if (unlikely(std(fd)))
		px_stdio_check();
	return (int)ret(r);
}
ALIAS(__close, close);

EXPORT(int, close_range, (unsigned first, unsigned last, int flags))
{
	int low, high;
	long r = 0;

	if (px_on() && (flags & (int)CLOSE_RANGE_UNSHARE) != 0)
		px_forget(); /* a table of this thread's own */
	if (!px_on() || (flags & (int)CLOSE_RANGE_CLOEXEC) != 0 || first > last)
		return (int)ret(raw3(SYS_close_range, first, last, flags));
	own_range(&low, &high);
	for (int fd = low; fd >= 0 && fd <= high && first <= last; fd++) {
		if (!px_owns(fd) || (unsigned)fd < first || (unsigned)fd > last)
			continue;
		if ((unsigned)fd > first)
			r = raw3(SYS_close_range, first, fd - 1, flags);
		if (r < 0)
			return (int)ret(r);
		first = (unsigned)fd + 1;
	}
	if (first <= last)
		r = raw3(SYS_close_range, first, last, flags);
	px_stdio_check();
	return (int)ret(r);
}

EXPORT(void, closefrom, (int low))
{
	(void)px_close_range(low < 0 ? 0 : (unsigned)low, UINT_MAX, 0);
}

static int
duplicate(int fd, int onto, int flags, bool three)
{
	bool counted;
	long r;

	if (unlikely(px_owns(fd)))
		return (int)ret(-EBADF);
	if (unlikely(px_owns(onto))) {
		px_say(PX_FDS,
		    "refused: %s wants descriptor %d, which AIM uses; raise "
		    "the limit of open files",
		    px_program(), onto);
		return (int)ret(-EBUSY);
	}
	counted = px_install();
#ifdef SYS_dup2
	r = three ? raw3(SYS_dup3, fd, onto, flags) : raw2(SYS_dup2, fd, onto);
#else
	r = !three && fd == onto ? raw3(SYS_fcntl, fd, F_GETFL, 0)
				 : raw3(SYS_dup3, fd, onto, flags);
	if (r >= 0)
		r = onto;
#endif
	(void)px_installed(counted, r);
	if (unlikely(std(onto)))
		px_stdio_check();
	return (int)ret(r);
}

EXPORT(int, dup2, (int fd, int onto))
{
	return duplicate(fd, onto, 0, false);
}
ALIAS(__dup2, dup2);

EXPORT(int, dup3, (int fd, int onto, int flags))
{
	return duplicate(fd, onto, flags, true);
}

EXPORT(int, dup, (int fd))
{
	bool counted = px_install();
	long r = px_installed(counted, raw1(SYS_dup, fd));

	if (unlikely(std((int)r)))
		px_stdio_check();
	return (int)ret(r);
}

long
px_dup_number(int fd, int command, long arg)
{
	bool counted = px_install();
	long r = px_installed(counted, raw3(SYS_fcntl, fd, command, arg));

	if (unlikely(std((int)r)))
		px_stdio_check();
	return r;
}

/* Whoever has noted the flags of a volume's open file asks again. */
long
px_set_flags(int fd, long flags)
{
	struct px_target t;
	long r;

	if (!px_find(fd, &t))
		return raw3(SYS_fcntl, fd, F_SETFL, flags);
	capture_flags_change(t.group, CAPTURE_FLAGS_BEGIN);
	r = raw3(SYS_fcntl, fd, F_SETFL, flags);
	capture_flags_change(t.group, CAPTURE_FLAGS_END);
	return r;
}

/* F_GETOWN may be a negative group, which the plain call cannot tell from an
 * error: asked as libc does. */
static long
owner(int fd)
{
	struct f_owner_ex who;
	long r = raw3(SYS_fcntl, fd, F_GETOWN_EX, (long)&who);

	if (r < 0)
		return ret(r);
	return who.type == F_OWNER_PGRP ? -who.pid : who.pid;
}

EXPORT(int, fcntl, (int fd, int command, ...))
{
	va_list ap;
	long arg;

	va_start(ap, command);
	arg = va_arg(ap, long);
	va_end(ap);
	switch (command) {
	case F_GETOWN:
		return (int)owner(fd);
	case F_SETLKW:
	case F_OFD_SETLKW:
		return (int)ret(px_block(SYS_fcntl, fd, command, arg, 0, 0, 0));
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return (int)ret(px_dup_number(fd, command, arg));
	case F_SETFL:
		return (int)ret(px_set_flags(fd, arg));
	default:
		return (int)ret(raw3(SYS_fcntl, fd, command, arg));
	}
}
ALIAS(fcntl64, fcntl);
ALIAS(__fcntl, fcntl);

/* ---- descriptors from elsewhere ---- */

/* Or something else came: then all are asked about once for nothing. A fault is
 * met after descriptors are in place. */
static void
look_for_rights(long r, const struct msghdr *m)
{
	if (r == -EFAULT || (r >= 0 && m->msg_controllen > 0))
		px_forget_all();
}

EXPORT(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags))
{
	long r;

	(void)px_on();
	r = px_block(SYS_recvmsg, fd, (long)m, flags, 0, 0, 0);
	look_for_rights(r, m);
	return ret(r);
}
ALIAS(__recvmsg, recvmsg);

EXPORT(int, recvmmsg,
    (int fd, struct mmsghdr *list, unsigned count, int flags,
	struct timespec *limit))
{
	long r;

	(void)px_on();
	r = px_block(
	    SYS_recvmmsg, fd, (long)list, count, flags, (long)limit, 0);
	/* Not each looked at: the one after the last may have met a fault. */
	if (r > 0 || r == -EFAULT)
		px_forget_all();
	return (int)ret(r);
}

/* Memory that can be written to at a place. */
EXPORT(int, memfd_create, (const char *name, unsigned flags))
{
	bool counted = px_install();

	return (int)ret(px_installed(
	    counted, raw2(SYS_memfd_create, (long)name, (long)flags)));
}

/* ---- descriptors for others ---- */

/* Who gets a volume's may change the flags of its open file. */
static void
look_at_rights(const struct cmsghdr *c)
{
	size_t len = c->cmsg_len - CMSG_LEN(0);
	struct px_target t;
	int fd;

	for (size_t at = 0; at + sizeof(fd) <= len; at += sizeof(fd)) {
		memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
		if (px_find(fd, &t))
			capture_flags_change(t.group, CAPTURE_FLAGS_GIVEN);
	}
}

/* What cannot be read the kernel will refuse. */
static void
look_into(const struct msghdr *message)
{
	struct iovec head = {(void *)(uintptr_t)message, sizeof(*message)};
	struct iovec control;
	struct msghdr m;
	uint64_t total;

	if (px_readable(&head, 1, sizeof(m), &total) < (int64_t)sizeof(m))
		return;
	memcpy(&m, message, sizeof(m));
	control = (struct iovec){m.msg_control, m.msg_controllen};
	if (m.msg_controllen == 0 || m.msg_controllen > CONTROL_MAX ||
	    px_readable(&control, 1, CONTROL_MAX, &total) <
		(int64_t)m.msg_controllen)
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
	     c = CMSG_NXTHDR(&m, c)) {
		uint64_t left = m.msg_controllen -
				(uint64_t)((char *)c - (char *)m.msg_control);

		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > left)
			return;
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			look_at_rights(c);
	}
}

EXPORT(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags))
{
	if (px_on())
		look_into(m);
	return ret(px_block(SYS_sendmsg, fd, (long)m, flags, 0, 0, 0));
}
ALIAS(__sendmsg, sendmsg);

EXPORT(int, sendmmsg, (int fd, struct mmsghdr *list, unsigned count, int flags))
{
	for (unsigned i = 0; px_on() && i < count && i < UIO_MAXIOV; i++)
		look_into(&list[i].msg_hdr);
	return (int)ret(
	    px_block(SYS_sendmmsg, fd, (long)list, count, flags, 0, 0));
}
ALIAS(__sendmmsg, sendmmsg);
