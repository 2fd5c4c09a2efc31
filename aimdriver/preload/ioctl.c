/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctl: discard and zero requests are captured; what only asks, passes; all
 * else on a protected volume is refused, because nobody knows what it does.
 */
#include "aimdriver/preload/filter.h"
#include "aimdriver/preload/preload.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/blkzoned.h>
#include <linux/cdrom.h>
#include <linux/fd.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/hdreg.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mtio.h>

/* As in xfs_fs.h, which not every system has. */
#define XFS_DIOINFO _IOR('X', 30, uint32_t[3])
#define XFS_GEOMETRY_V1 _IOR('X', 100, uint8_t[112])
#define XFS_GEOMETRY_V4 _IOR('X', 124, uint8_t[112])
#define XFS_GEOMETRY _IOR('X', 126, uint8_t[256])
#define XFS_GETBMAP _IOWR('X', 38, uint8_t[32])
#define XFS_GETBMAPX _IOWR('X', 56, uint8_t[48])

/* Requests that change no content, whatever they are sent to. */
static bool
is_harmless(unsigned long request)
{
	/* Terminals (isatty) and descriptors, old numbers 0x54xx. */
	if (request >> 8 == 'T')
		return true;
	switch (request) {
	case BLKROGET:
	case BLKGETSIZE:
	case BLKGETSIZE64:
	case BLKSSZGET:
	case BLKBSZGET:
	case BLKPBSZGET:
	case BLKIOMIN:
	case BLKIOOPT:
	case BLKALIGNOFF:
	case BLKRAGET:
	case BLKFRAGET:
	case BLKSECTGET:
	case BLKROTATIONAL:
	case BLKDISCARDZEROES:
	case BLKFLSBUF:
	case BLKRRPART:
	case BLKBSZSET:
	case BLKRASET:
	case BLKGETZONESZ:
	case BLKGETNRZONES:
	case BLKREPORTZONE:
	case BLKPG: /* the kernel's view of the partitions */
	case CDROM_GET_CAPABILITY:
	case CDROM_LAST_WRITTEN:
	case CDROM_DRIVE_STATUS:
	case CDROM_DISC_STATUS:
	case FDGETFDCSTAT:
	case FDGETPRM:
	case MTIOCTOP: /* tapes only */
	case MTIOCGET:
	case MTIOCPOS:
	case XFS_DIOINFO:
	case XFS_GEOMETRY_V1:
	case XFS_GEOMETRY_V4:
	case XFS_GEOMETRY:
	case XFS_GETBMAP:
	case XFS_GETBMAPX:
	case HDIO_GETGEO:
	case HDIO_GET_IDENTITY:
	case FIBMAP:
	case FIGETBSZ:
	case FS_IOC_FIEMAP:
	case FS_IOC_GETFLAGS:
	case FS_IOC32_GETFLAGS:
	case FS_IOC_FSGETXATTR:
	case FS_IOC_GETVERSION:
	case FS_IOC_GETFSLABEL:
	case FIONREAD:
	case FIOCLEX:
	case FIONCLEX:
	case FIONBIO:
	case FIOASYNC:
	case FIOQSIZE:
	case FS_IOC_GET_ENCRYPTION_POLICY:
	case FS_IOC_GET_ENCRYPTION_POLICY_EX:
	case LOOP_GET_STATUS:
	case LOOP_GET_STATUS64:
	/* These take equal content only, or write elsewhere. */
	case FIDEDUPERANGE:
		return true;
	default:
		return false;
	}
}

/* A loop device over a protected file would be written by the kernel. */
static bool
is_loop_over_ours(unsigned long request, void *arg)
{
	struct px_target t;
	long fd;

	if (request == LOOP_SET_FD || request == LOOP_CHANGE_FD)
		fd = (long)arg;
	else if (request == LOOP_CONFIGURE && arg != NULL)
		fd = ((const struct loop_config *)arg)->fd;
	else
		return false;
	if (!px_find((int)fd, &t))
		return false;
	px_say(PX_MOUNT,
	    "refused: %s wants a loop device over a protected volume: the "
	    "kernel's writes cannot be captured here; serve it with nbdkit",
	    px_program());
	return true;
}

static long
zero_range(const struct px_target *t, int fd, unsigned long request, void *arg)
{
	struct iovec check = {arg, 2 * sizeof(uint64_t)};
	const uint64_t *range = arg;
	uint64_t total, end, size = 0;

	if (arg == NULL || px_readable(&check, 1, 16, &total) < 16)
		return -EFAULT;
	/* What the kernel will refuse goes to the kernel. */
	if (!S_ISBLK(t->st.st_mode) || range[1] == 0 ||
	    __builtin_add_overflow(range[0], range[1], &end) ||
	    raw3(SYS_ioctl, fd, BLKGETSIZE64, (long)&size) < 0 || end > size ||
	    (raw3(SYS_fcntl, fd, F_GETFL, 0) & O_ACCMODE) == O_RDONLY)
		return raw3(SYS_ioctl, fd, (long)request, (long)arg);
	/* A discard need not read as zeroes; ours does, on both sides. */
	return px_zero(t, fd, request == BLKZEROOUT ? OP_ZERO : OP_DISCARD,
	    range[0], range[1], 0, BLKZEROOUT);
}

static long
refuse(unsigned long request)
{
	if (request == FICLONE || request == FICLONERANGE) {
		px_say(PX_CLONE,
		    "refused: %s wants to clone into a protected volume; it is "
		    "told that this is not supported (most programs copy then)",
		    px_program());
		return -EOPNOTSUPP;
	}
	px_say(PX_IOCTL,
	    "refused: %s sends request 0x%lx to a protected volume, and its "
	    "effect is not known",
	    px_program(), request);
	return -EPERM;
}

/* Requests by which descriptors come to be (known.c). */
static long
give(int fd, unsigned long request, void *arg)
{
	bool counted;

	if (request == FILTER_ADD_FD && px_remembers) {
		px_say(PX_FDS,
		    "refused: %s would put a descriptor into another process",
		    px_program());
		return -EPERM;
	}
	counted = px_install();
	return px_installed(
	    counted, raw3(SYS_ioctl, fd, (long)request, (long)arg));
}

static long
dispatch(int fd, unsigned long request, void *arg)
{
	struct px_target t;

	request &= 0xffffffffUL;
	if (is_harmless(request) || px_self.inside > 0)
		return raw3(SYS_ioctl, fd, (long)request, (long)arg);
	if (request == FILTER_XFS_OPEN || request == FILTER_VFIO_DEVICE ||
	    request == FILTER_ADD_FD)
		return give(fd, request, arg);
	if (unlikely(is_loop_over_ours(request, arg)))
		return -EBUSY;
	if (request == BLKDISCARD || request == BLKSECDISCARD ||
		    request == BLKZEROOUT
		? !px_find_written(fd, &t)
		: !px_find(fd, &t))
		return raw3(SYS_ioctl, fd, (long)request, (long)arg);
	switch (request) {
	case BLKDISCARD:
	case BLKSECDISCARD:
	case BLKZEROOUT:
		return zero_range(&t, fd, request, arg);
	default:
		return refuse(request);
	}
}

EXPORT(int, ioctl, (int fd, unsigned long request, ...))
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return (int)ret(dispatch(fd, request, arg));
}
