/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: after a flush, or a write through O_(D)SYNC, what the group's commit
 * policy asks for.
 *
 * fsync does not return EINTR, so this does not either. While it waits for
 * mirrors nothing is held, so the thread is not `inside` then: handlers run at
 * once, and may leave by longjmp, and a cancellation acts, as in fsync.
 */
#include "aimdriver/preload/preload.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>

static int
sync_journal(const struct px_target *t)
{
	struct err e = {0};
	int r;

	px_enter();
	r = capture_sync_journal(t->group, &e);
	px_leave();
	if (r < 0)
		px_say(PX_TROUBLE, "%s: %s", px_program(), e.text);
	return r < 0 ? -EIO : 0;
}

static void
wait_mirrors(const struct px_target *t)
{
	struct capture_commit w = {0};
	uint32_t wait_ms;

	for (;;) {
		struct timespec ts;

		px_enter();
		wait_ms = capture_commit_step(t->group, &w);
		px_leave();
		if (wait_ms == 0)
			return;
		ts.tv_sec = wait_ms / 1000;
		ts.tv_nsec = (long)(wait_ms % 1000) * 1000000;
		(void)px_block(SYS_futex, (long)w.word, FUTEX_WAIT,
		    (long)w.seen, (long)&ts, 0, 0);
	}
}

long
px_commit(const struct px_target *t)
{
	int saved = errno;
	long r = 0;

	switch (capture_commit_kind(t->group)) {
	case COMMIT_LOCAL:
		break;
	case COMMIT_JOURNAL:
		r = sync_journal(t);
		break;
	case COMMIT_MIRRORS:
		wait_mirrors(t);
		break;
	}
	errno = saved;
	return r;
}
