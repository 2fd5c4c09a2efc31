/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known: numbers of descriptors that were looked at, so that a write to one
 * need not ask again what it is.
 *
 * No volume. Whatever happened to a number, a write can reach a volume through
 * it only after a call has put a descriptor there that may write: an open for
 * writing, a duplicate, one received over a socket or taken from another
 * process. All of these come through here and make the number unknown before
 * they return: by name, because libc is patched, or because the tripwire traps
 * them (filter.c). How a number was closed does not matter, and a number that
 * was closed unseen and opened unseen for reading cannot be written to.
 *
 * A volume. For the same reason: what is captured is written at a place, and
 * that works only through descriptors that have places and may write. Of those
 * that come to be unseen (readers, sockets, pipes, events...) none is such: the
 * kernel refuses the write before it does anything (EBADF, ESPIPE, EINVAL), the
 * transaction becomes void, and the number is asked about. Memory files
 * (memfd_create) and VFIO's devices have places; so these come through here
 * too.
 *
 * The flags of a volume's open file, of which O_APPEND and O_DIRECT can change.
 * Whoever has the same open file may do that. So they are remembered only of
 * files that this very process has opened. Only its children can have them,
 * who are captured, and to whom it or they send them. F_SETFL on a volume is
 * counted where all programs of the group see it, before and after, by name or
 * by the tripwire; a child that lost the driver ends at that call. Once
 * somebody has sent a volume's descriptor to anybody, all of the group ask.
 *
 * So nothing is remembered where the tripwire does not trap them all, nor
 * after a call by which threads have different tables, or another process has
 * ours (px_forget). A child of fork begins with nothing: the page is wiped.
 *
 * A write that is made while another thread puts something else in place of the
 * same number may still go either way. That a volume's number has come to mean
 * something else is looked at again right before it is written.
 */
#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <sys/mman.h>

/*
 * A number's word. Unknown: the low two bits are 0, and no other value was ever
 * there, so that what was asked before is not noted. NO_VOLUME, A_VOLUME: as
 * of the epoch in the high bits.
 */
enum {
	NO_VOLUME = 1,
	A_VOLUME = 2,
	KIND = 3,
	IS_BLOCK = 1 << 2,
	HAS_FLAGS = 1 << 3, /* the next three say something */
	APPENDS = 1 << 4,
	DIRECT = 1 << 5,
	SYNCED = 1 << 6,
	VOLUME_SHIFT = 8,
	GROUP_SHIFT = 20,
	SERIAL_STEP = KIND + 1,
};
_Static_assert(JOURNAL_VOLUME_LIMIT <= 1 << (GROUP_SHIFT - VOLUME_SHIFT) &&
		   PX_GROUPS <= 1 << (PX_EPOCH_SHIFT - GROUP_SHIFT),
    "they fit");

struct px_known *_Atomic px_known;
bool px_remembers;
static _Atomic uint64_t serial;

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

static void
disown_all(struct px_known *k)
{
	for (int fd = 0; fd < PX_NUMBERS; fd++)
		atomic_store_explicit(&k->opener[fd], 0, memory_order_relaxed);
}

void
px_forget_all(void)
{
	struct px_known *k = atomic_load(&px_known);
	uint64_t step = UINT64_C(1) << PX_EPOCH_SHIFT;

	if (k == NULL)
		return;
	disown_all(k);
	/* An epoch must not come again. */
	if (atomic_fetch_add(&k->epoch, step) > UINT64_MAX / 2)
		px_forget();
}

/* Whatever is being asked about it is not noted. */
static uint64_t
unknown(void)
{
	return atomic_fetch_add(&serial, SERIAL_STEP) + SERIAL_STEP;
}

void
px_unknown(int fd)
{
	struct px_known *k = atomic_load(&px_known);

	if (k != NULL && fd >= 0 && fd < PX_NUMBERS &&
	    (atomic_load(&k->is[fd]) & KIND) == A_VOLUME)
		atomic_store(&k->is[fd], unknown());
}

/* ---- flags of open files ---- */

/* Has nobody changed flags in the group since they were asked for? */
static inline bool
flags_hold(struct px_known *k, uint32_t group)
{
	return atomic_load(&k->flags_seen[group]) ==
	       capture_flags_changes(px_group(group));
}

/*
 * They are asked for again. What is noted meanwhile, of questions that were
 * answered before the change, is not: each number's word is another one after
 * this, and while a change is under way none is taken to hold.
 */
static void
look_again(struct px_known *k, uint32_t group)
{
	uint64_t now = capture_flags_changes(px_group(group));

	if (!capture_flags_are_steady(now))
		return;
	for (int fd = 0; fd < PX_NUMBERS; fd++)
		if (atomic_load(&k->opener[fd]) != 0)
			atomic_store(&k->is[fd], unknown());
	atomic_store(&k->flags_seen[group], now);
}

/* ---- asking ---- */

static uint64_t
describe(uint64_t epoch, const struct px_target *t)
{
	return epoch | (uint64_t)t->index << GROUP_SHIFT |
	       (uint64_t)t->volume << VOLUME_SHIFT |
	       (S_ISBLK(t->st.st_mode) ? IS_BLOCK : 0) | A_VOLUME;
}

static uint64_t
describe_flags(long flags)
{
	return HAS_FLAGS | ((flags & O_APPEND) != 0 ? APPENDS : 0) |
	       ((flags & O_DIRECT) != 0 ? DIRECT : 0) |
	       ((flags & O_DSYNC) != 0 ? SYNCED : 0);
}

/* What a word says. */
static void
recall(struct px_known *k, uint64_t word, struct px_target *t)
{
	const uint64_t groups = (1 << (PX_EPOCH_SHIFT - GROUP_SHIFT)) - 1;
	const uint64_t volumes = (1 << (GROUP_SHIFT - VOLUME_SHIFT)) - 1;

	t->index = (uint32_t)(word >> GROUP_SHIFT & groups);
	t->volume = (uint32_t)(word >> VOLUME_SHIFT & volumes);
	t->group = px_group(t->index);
	t->st.st_mode = (word & IS_BLOCK) != 0 ? S_IFBLK : S_IFREG;
	t->word = word;
	t->flags = -1;
	if ((word & HAS_FLAGS) == 0)
		return;
	if (likely(flags_hold(k, t->index)))
		t->flags = O_RDWR | ((word & APPENDS) != 0 ? O_APPEND : 0) |
			   ((word & DIRECT) != 0 ? O_DIRECT : 0) |
			   ((word & SYNCED) != 0 ? O_DSYNC : 0);
	else
		look_again(k, t->index);
}

static inline bool
is_of(uint64_t word, uint64_t epoch, unsigned kind)
{
	return (word & KIND) == kind && (word ^ epoch) >> PX_EPOCH_SHIFT == 0;
}

/* The flags, when they can be remembered: false when nothing is. */
static bool
look_at_flags(int fd, struct px_target *t, uint64_t *word)
{
	long flags = raw3(SYS_fcntl, fd, F_GETFL, 0);

	if (flags < 0 || (flags & O_PATH) != 0 ||
	    (flags & O_ACCMODE) == O_RDONLY)
		return false;
	t->flags = flags;
	*word |= describe_flags(flags);
	return true;
}

/*
 * Notes the answer if nothing has happened since `was`. What is known already
 * (somebody asks while a descriptor is being put somewhere) is not noted: it
 * may have been unknown meanwhile, and be known again.
 */
static bool
ask(struct px_known *k, int fd, struct px_target *t)
{
	uint64_t epoch = atomic_load(&k->epoch), was = atomic_load(&k->is[fd]);
	uint32_t opener = atomic_load(&k->opener[fd]);
	bool notes =
	    !is_of(was, epoch, NO_VOLUME) && !is_of(was, epoch, A_VOLUME);
	uint64_t now;

	t->st.st_mode = 0;
	if (!px_find_written(fd, t)) {
		/* Asked, and not of a disk: its partitions may become
		 * volumes'. */
		if (notes && t->st.st_mode != 0 && !S_ISBLK(t->st.st_mode) &&
		    px_is_settled())
			(void)atomic_compare_exchange_strong(
			    &k->is[fd], &was, epoch | NO_VOLUME);
		return false;
	}
	if (!notes || !px_is_settled())
		return true;
	now = describe(epoch, t);
	if (opener == px_pid() && !look_at_flags(fd, t, &now))
		return true;
	if (atomic_compare_exchange_strong(&k->is[fd], &was, now))
		t->word = now;
	return true;
}

bool
px_ask(int fd, struct px_target *t)
{
	struct px_known *k = atomic_load(&px_known);
	uint64_t word;

	if (k == NULL || fd < 0 || fd >= PX_NUMBERS)
		return px_find_written(fd, t);
	word = atomic_load(&k->is[fd]);
	if (unlikely(px_self.inside > 0) ||
	    !is_of(word, atomic_load(&k->epoch), A_VOLUME) ||
	    atomic_load(&k->installing) != 0)
		return ask(k, fd, t);
	recall(k, word, t);
	return true;
}

/* Inside a capture: nothing is noted. */
bool
px_still_is(int fd, const struct px_target *t)
{
	struct px_known *k = atomic_load(&px_known);

	if (t->word == 0)
		return true;
	if (likely(k != NULL && atomic_load(&k->installing) == 0 &&
		   atomic_load(&k->is[fd]) == t->word &&
		   is_of(t->word, atomic_load(&k->epoch), A_VOLUME)))
		return true;
	return px_is_volume(fd, t);
}

/* ---- what puts descriptors in place ---- */

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

static long
installed(bool counted, long fd, uint32_t opener)
{
	struct px_known *k = atomic_load(&px_known);

	if (k == NULL)
		return fd;
	if (fd >= 0 && fd < PX_NUMBERS) {
		atomic_store(&k->opener[fd], opener);
		atomic_store(&k->is[fd], unknown());
	}
	/* In a child of this very call's handler nobody has counted. */
	if (counted && atomic_load(&k->installing) > 0)
		(void)atomic_fetch_sub(&k->installing, 1);
	return fd;
}

long
px_installed(bool counted, long fd)
{
	return installed(counted, fd, 0);
}

/* Whose number it is shows when it is asked about: not that of a child in our
 * memory, which has descriptors of its own. */
long
px_opened(bool counted, long fd)
{
	return installed(counted, fd,
	    counted && fd >= 0 ? (uint32_t)raw1(SYS_getpid, 0) : 0);
}
