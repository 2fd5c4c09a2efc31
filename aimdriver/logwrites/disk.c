/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/disk.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGN UINT64_C(4096) /* of memory and places for O_DIRECT */

/* Without it all is read, which only takes longer. */
static void
map(struct disk *d)
{
	uint8_t *known;
	void *p;

	if (d->size == 0 || d->size > SIZE_MAX)
		return;
	p = mmap(NULL, (size_t)d->size, PROT_READ, MAP_SHARED, d->fd, 0);
	if (p == MAP_FAILED)
		return;
	known = calloc((size_t)(d->size / DISK_ZONE + 1), 1);
	if (known == NULL) {
		(void)munmap(p, (size_t)d->size);
		return;
	}
	d->map = p;
	d->known = known;
}

int
disk_open(const char *path, uint64_t size, bool direct, struct disk *out,
    struct err *e)
{
	struct disk d = {.size = size};

	d.fd = sys_openat(AT_FDCWD, path,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK | (direct ? O_DIRECT : 0), 0);
	if (d.fd < 0)
		return err_sys(e, "open %s", path);
	if (!direct)
		map(&d);
	*out = d;
	return 0;
}

void
disk_close(struct disk *d)
{
	if (d == NULL)
		return;
	if (d->map != NULL)
		(void)munmap((void *)(uintptr_t)d->map, (size_t)d->size);
	free(d->known);
	cleanup_fd(&d->fd);
	*d = (struct disk){.fd = -1};
}

uint8_t *
disk_room(void)
{
	void *p = NULL;

	return posix_memalign(&p, ALIGN, DISK_PIECE + 2 * ALIGN) == 0 ? p
								      : NULL;
}

/* Unlike touching it, this fails where nothing can be read. */
static bool
populate(struct disk *d, uint64_t zone)
{
#ifdef MADV_POPULATE_READ
	uint64_t from = zone * DISK_ZONE, len = d->size - from;

	if (d->known[zone] != 0)
		return true;
	if (len > DISK_ZONE)
		len = DISK_ZONE;
	if (madvise((void *)(uintptr_t)(d->map + from), (size_t)len,
		MADV_POPULATE_READ) < 0)
		return false;
	d->known[zone] = 1;
	return true;
#else
	(void)d;
	(void)zone;
	return false;
#endif
}

int
disk_look(struct disk *d, uint8_t *room, uint64_t off, uint64_t len,
    const uint8_t **out, struct err *e)
{
	uint64_t from = off & ~(ALIGN - 1);
	uint64_t end = (off + len + ALIGN - 1) & ~(ALIGN - 1);
	ssize_t n;

	if (d->map != NULL && off + len <= d->size &&
	    populate(d, off / DISK_ZONE)) {
		*out = d->map + off;
		return 0;
	}
	n = io_read_some_at(d->fd, room, (size_t)(end - from), from, e);
	if (n < 0)
		return err_at(e, "read the disk");
	if ((uint64_t)n < off + len - from)
		return err_set(e, ERR_CORRUPT, "the disk ends at byte %" PRIu64,
		    from + (uint64_t)n);
	*out = room + (off - from);
	return 0;
}
