/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known: numbers of descriptors that were looked at and are no volume, so
 * that a write to one need not ask again.
 *
 * Whatever happened to a number, a write can reach a volume through it only
 * after a call has put a descriptor there that may write: an open for writing,
 * a duplicate, one received over a socket or taken from another process. All
 * of these come through here and make the number unknown before they return:
 * by name, because libc is patched, or because the tripwire traps them
 * (filter.c). How a number was closed does not matter, and a number that was
 * closed unseen and opened unseen for reading cannot be written to.
 *
 * So nothing is remembered where the tripwire does not trap them all, nor
 * after a call by which threads have different tables, or another process has
 * ours (px_forget). A child of fork begins with nothing: the page is wiped.
 *
 * A write that is made while another thread puts a volume in place of the
 * same number may still go either way, and then reaches the volume unseen, as
 * it would between the question and the call.
 */
#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <sys/mman.h>

struct px_known *_Atomic px_known;
bool px_remembers;

void
px_known_start(void)
{
	long len = sizeof(struct px_known);
	long page = raw6(SYS_mmap, 0, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	px_remembers = true;
	if (page < 0 && page > -4096)
		return;
	if (raw3(SYS_madvise, page, len, MADV_WIPEONFORK) < 0)
		(void)raw2(SYS_munmap, page, len);
	else
		atomic_store(&px_known, (struct px_known *)page);
}

/* The memory stays: somebody may be reading it. */
void
px_forget(void)
{
	atomic_store(&px_known, NULL);
}

void
px_forget_all(void)
{
	struct px_known *k = atomic_load(&px_known);

	if (k != NULL)
		(void)atomic_fetch_add(&k->epoch, 2);
}

bool
px_ask(int fd, struct px_target *t)
{
	struct px_known *k = atomic_load(&px_known);
	uint64_t epoch, was;

	if (k == NULL || fd < 0 || fd >= PX_NUMBERS)
		return px_find_written(fd, t);
	epoch = atomic_load(&k->epoch);
	was = atomic_load(&k->is[fd]);
	t->st.st_mode = 0;
	if (px_find_written(fd, t))
		return true;
	/* Asked, and not of a disk: its partitions may become volumes'. */
	if (t->st.st_mode != 0 && !S_ISBLK(t->st.st_mode) && px_is_settled())
		(void)atomic_compare_exchange_strong(
		    &k->is[fd], &was, epoch | 1);
	return false;
}

/* A thread that never comes back from the call (a handler's longjmp, its
 * cancellation) leaves the count up: then all writes ask. */
bool
px_install(void)
{
	struct px_known *k;

	(void)px_on();
	k = atomic_load(&px_known);
	if (k != NULL)
		(void)atomic_fetch_add(&k->installing, 1);
	return k != NULL;
}

long
px_installed(bool counted, long fd)
{
	static _Atomic uint64_t serial;
	struct px_known *k = atomic_load(&px_known);

	if (k == NULL)
		return fd;
	/* No other value was ever there: what was asked before is not noted. */
	if (fd >= 0 && fd < PX_NUMBERS)
		atomic_store(&k->is[fd], atomic_fetch_add(&serial, 2) + 2);
	/* In a child of this very call's handler nobody has counted. */
	if (counted && atomic_load(&k->installing) > 0)
		(void)atomic_fetch_sub(&k->installing, 1);
	return fd;
}
