/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment_map: the segments file in memory.
 *
 * The first touch of a page of a mapped file, and the first one after each
 * time that the kernel has written it back, is a fault and takes the file
 * system's word: about 1 us, more than all else that capturing a page takes.
 * Where the file system has large folios, huge pages take one for 2 MiB; so
 * places begin and end at huge pages, in the file and in memory.
 */
#include "aimdriver/control.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Does the system give huge pages to programs that ask for them? */
static bool
has_huge_pages(void)
{
	static const char path[] =
	    "/sys/kernel/mm/transparent_hugepage/enabled";
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[64] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
	    strstr(text, "[never]") != NULL)
		return false;
	return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0;
}

/* Without huge pages a fault had better bring in the one page that it is for:
 * a large folio in small pages is gone through again with each of them. */
static void
advise(uint8_t *p)
{
	if (!has_huge_pages() || madvise(p, SEGMENTS_LEN, MADV_HUGEPAGE) < 0)
		(void)madvise(p, SEGMENTS_LEN, MADV_RANDOM);
}

/* Address space that begins where a huge page can. */
static uint8_t *
find_room(void)
{
	size_t len = SEGMENTS_LEN, skip;
	uint8_t *at, *p = mmap(NULL, len + SEGMENT_HUGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	skip = -(uintptr_t)p % SEGMENT_HUGE;
	at = p + skip;
	(void)munmap(at + len, SEGMENT_HUGE - skip);
	if (skip > 0)
		(void)munmap(p, skip);
	return at;
}

int
segments_map(struct capture *c, struct err *e)
{
	uint8_t *room = c->segments != NULL ? c->segments : find_room();

	if (room == NULL)
		return err_sys(e,
		    "map %s/segments (%ju GiB of address space; "
		    "is it limited by ulimit -v?)",
		    c->where, (uintmax_t)(SEGMENTS_LEN >> 30));
	c->segments = room;
	if (mmap(room, SEGMENTS_LEN, PROT_NONE, MAP_SHARED | MAP_FIXED,
		c->segments_fd, 0) == MAP_FAILED)
		return err_sys(e, "map %s/segments", c->where);
	advise(room);
	return 0;
}
