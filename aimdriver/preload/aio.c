/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio: writes that somebody else carries out. Those of libc's helper threads
 * are captured there when libc is patched. The kernel's native AIO and io_uring
 * are refused with ENOSYS, after which most programs go on without.
 */
#include "aimdriver/preload/preload.h"

#define iocb kernel_iocb /* not the journal's */
#include <aio.h>
#include <linux/aio_abi.h>
#undef iocb

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

/* libaio's, which return the error instead of setting errno. */
EXPORT(int, io_submit, (unsigned long context, long count, void *requests))
{
	struct kernel_iocb *const *list = requests;

	for (long i = 0; i < count; i++) {
		unsigned op = list[i]->aio_lio_opcode;

		if ((op == IOCB_CMD_PWRITE || op == IOCB_CMD_PWRITEV) &&
		    refused((int)list[i]->aio_fildes, "native AIO"))
			return -ENOSYS;
	}
	return (int)raw3(SYS_io_submit, (long)context, count, (long)requests);
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
