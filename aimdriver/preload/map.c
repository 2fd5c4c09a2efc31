/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: stores into a shared mapping are seen by nobody, so a protected volume
 * cannot be mapped so. A shared mapping for reading goes through a read-only
 * descriptor: then the kernel itself refuses a later mprotect.
 */
#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

static long
refuse(void)
{
	px_say(PX_MAP,
	    "refused: %s maps a protected volume for shared writing, which "
	    "cannot be captured here; serve the volume with nbdkit "
	    "--filter=aim",
	    px_program());
	return -EACCES;
}

static long
map_shared(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	long fl = raw3(SYS_fcntl, fd, F_GETFL, 0);
	char self[32];
	long other, r;

	if (fl < 0 || (fl & O_ACCMODE) != O_RDWR)
		return raw6(
		    SYS_mmap, (long)at, (long)len, prot, flags, fd, (long)off);
	if ((prot & PROT_WRITE) != 0)
		return refuse();
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	other = raw4(SYS_openat, AT_FDCWD, (long)self, O_RDONLY | O_CLOEXEC, 0);
	if (other < 0)
		return refuse();
	r = raw6(SYS_mmap, (long)at, (long)len, prot, flags, other, (long)off);
	(void)raw1(SYS_close, other);
	return r;
}

EXPORT(void *, mmap,
    (void *at, size_t len, int prot, int flags, int fd, off_t off))
{
	struct px_target t;

	/* MAP_SHARED or MAP_SHARED_VALIDATE */
	if ((flags & MAP_SHARED) == 0 || (flags & MAP_ANONYMOUS) != 0 ||
	    !((prot & PROT_WRITE) != 0 ? px_find_written(fd, &t)
				       : px_find(fd, &t)))
		return (void *)ret(raw6(
		    SYS_mmap, (long)at, (long)len, prot, flags, fd, (long)off));
	return (void *)ret(map_shared(at, len, prot, flags, fd, off));
}
ALIAS(mmap64, mmap);
