/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio: writes that somebody else carries out. Those of libc's helper threads
 * are captured there when libc is patched; those of the kernel's native AIO are
 * made here. io_uring is refused with ENOSYS, after which most programs go on
 * without.
 */
#include "aimdriver/preload/calls.h"

#define iocb kernel_iocb /* not the journal's */
#include <aio.h>
#include <linux/aio_abi.h>
#undef iocb
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

static bool
refused(int fd, const char *what)
{
	struct px_target t;

	if (!px_find(fd, &t))
		return false;
	px_say(PX_AIO,
	    "refused: %s writes to a protected volume through %s, which is not "
	    "captured here; serve the volume with nbdkit --filter=aim",
	    px_program(), what);
	return true;
}

EXPORT(int, aio_write, (struct aiocb * cb))
{
	if (!px_patched && refused(cb->aio_fildes, "aio_write"))
		return (int)ret(-ENOSYS);
	return px_real.aio_write(cb);
}
ALIAS(aio_write64, aio_write);

EXPORT(int, lio_listio,
    (int mode, struct aiocb *const list[], int count, struct sigevent *event))
{
	for (int i = 0; i < count && !px_patched; i++)
		if (list[i] != NULL && list[i]->aio_lio_opcode == LIO_WRITE &&
		    refused(list[i]->aio_fildes, "lio_listio"))
			return (int)ret(-ENOSYS);
	return px_real.lio_listio(
	    mode, (void *const *)(const void *)list, count, event);
}
ALIAS(lio_listio64, lio_listio);

/*
 * Native AIO. A write to a volume is made and captured before io_submit
 * returns; then the program's request goes to the kernel after all, for that
 * moment changed into a write of as many bytes to /dev/null, so that its
 * completion comes by the ring as always: in io_getevents, with the program's
 * data, and to its eventfd. A flush goes the same way, as a write of nothing.
 * Only errors are told by io_submit itself. When the ring is full the program
 * is told so, and its next try makes the same write at the same place again.
 */

int px_null = -1;

void
px_null_start(void)
{
	long fd = raw4(
	    SYS_openat, AT_FDCWD, (long)"/dev/null", O_WRONLY | O_CLOEXEC, 0);
	long up;

	if (fd < 0)
		return;
	up = raw3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 1000);
	if (up < 0)
		up = raw3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 40);
	(void)raw1(SYS_close, fd);
	px_null = (int)up;
}

/* Somebody may have closed it past libc. */
static bool
is_null(void)
{
	struct stat st;

	return px_null >= 0 && raw2(SYS_fstat, px_null, (long)&st) == 0 &&
	       S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static bool
can_read(const void *at, size_t len)
{
	struct iovec check;
	uint64_t total;

	memcpy(&check.iov_base, &at, sizeof(at));
	check.iov_len = len;
	return px_readable(&check, 1, len, &total) == (int64_t)len;
}

/* A request that is to be captured; the kernel refuses the others better. */
static bool
changes_volume(const struct kernel_iocb *r, struct px_target *t)
{
	switch (r->aio_lio_opcode) {
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PWRITEV:
		return r->aio_reserved2 == 0 && r->aio_offset >= 0 &&
		       px_find_written((int)r->aio_fildes, t);
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		return r->aio_reserved2 == 0 && r->aio_offset == 0 &&
		       r->aio_buf == 0 && r->aio_nbytes == 0 &&
		       r->aio_rw_flags == 0 && px_find((int)r->aio_fildes, t);
	default:
		return false;
	}
}

/* What would have come of it. */
static int64_t
carry_out(const struct px_target *t, const struct kernel_iocb *r)
{
	int fd = (int)r->aio_fildes;
	struct iovec one = {(void *)(uintptr_t)r->aio_buf, r->aio_nbytes};

	switch (r->aio_lio_opcode) {
	case IOCB_CMD_PWRITE:
		return px_write_raw(
		    t, fd, &one, 1, r->aio_offset, (int)r->aio_rw_flags);
	case IOCB_CMD_PWRITEV:
		return px_write_raw(t, fd, one.iov_base, (int)r->aio_nbytes,
		    r->aio_offset, (int)r->aio_rw_flags);
	case IOCB_CMD_FSYNC:
		return px_fsync(fd) < 0 ? -errno : 0;
	default:
		return px_fdatasync(fd) < 0 ? -errno : 0;
	}
}

static long
complete(unsigned long context, struct kernel_iocb **at, int64_t result)
{
	struct kernel_iocb *r = *at, was = *r;
	long n;

	r->aio_lio_opcode = IOCB_CMD_PWRITE;
	r->aio_fildes = (uint32_t)px_null;
	r->aio_buf = 0; /* /dev/null does not read it */
	r->aio_nbytes = (uint64_t)result;
	r->aio_offset = 0;
	r->aio_rw_flags = 0;
	r->aio_flags &= IOCB_FLAG_RESFD;
	n = raw3(SYS_io_submit, (long)context, 1, (long)at);
	was.aio_key = r->aio_key; /* the kernel's */
	*r = was;
	return n;
}

static long
submit_captured(
    unsigned long context, struct kernel_iocb **at, const struct px_target *t)
{
	long fl = raw3(SYS_fcntl, (int)(*at)->aio_fildes, F_GETFL, 0);
	int64_t result;

	/* A second try would append twice. */
	if (!is_null() || (fl >= 0 && (fl & O_APPEND) != 0) ||
	    ((*at)->aio_rw_flags & RWF_APPEND) != 0) {
		px_say(PX_AIO,
		    "refused: %s appends to a protected volume through native "
		    "AIO, or has no /dev/null, which is not captured here; "
		    "serve the volume with nbdkit --filter=aim",
		    px_program());
		return -ENOSYS;
	}
	px_self.steady++;
	result = carry_out(t, *at);
	px_self.steady--;
	return result < 0 ? (long)result : complete(context, at, result);
}

/* How many at the front are none of ours; *t is of the one behind them. */
static long
others(struct kernel_iocb **list, long count, struct px_target *t)
{
	long n = 0;

	while (n < count && can_read(&list[n], sizeof(list[n])) &&
	       can_read(list[n], sizeof(*list[n])) &&
	       !changes_volume(list[n], t))
		n++;
	if (n < count && (!can_read(&list[n], sizeof(list[n])) ||
			     !can_read(list[n], sizeof(*list[n]))))
		return count; /* the kernel says how far it comes */
	return n;
}

/* libaio's, which return the error instead of setting errno. */
EXPORT(int, io_submit, (unsigned long context, long count, void *requests))
{
	struct kernel_iocb **list = requests;
	struct px_target t;
	long done = 0;
	/* Is there such a ring at all? */
	long r = raw3(SYS_io_submit, (long)context, 0, (long)requests);

	if (r < 0 || count <= 0 || !px_on())
		return (int)raw3(
		    SYS_io_submit, (long)context, count, (long)requests);
	while (done < count) {
		long n = others(list + done, count - done, &t);

		r = n > 0 ? raw3(SYS_io_submit, (long)context, n,
				(long)(list + done))
			  : submit_captured(context, list + done, &t);
		if (r <= 0)
			break;
		done += r;
		if (r < n)
			break;
	}
	return (int)(done > 0 ? done : r);
}

static int
no_ring(void)
{
	px_say(PX_URING,
	    "refused: %s sets up io_uring, which is not captured here; serve "
	    "the volume with nbdkit --filter=aim for that",
	    px_program());
	return -ENOSYS;
}

/* liburing's. */
EXPORT(int, io_uring_setup, (unsigned entries, void *params))
{
	(void)entries;
	(void)params;
	return no_ring();
}

EXPORT(int, io_uring_queue_init, (unsigned entries, void *ring, unsigned flags))
{
	(void)entries;
	(void)ring;
	(void)flags;
	return no_ring();
}

EXPORT(int, io_uring_queue_init_params,
    (unsigned entries, void *ring, void *params))
{
	(void)entries;
	(void)ring;
	(void)params;
	return no_ring();
}

EXPORT(int, io_uring_queue_init_mem,
    (unsigned entries, void *ring, void *params, void *memory, size_t len))
{
	(void)entries;
	(void)ring;
	(void)params;
	(void)memory;
	(void)len;
	return no_ring();
}
