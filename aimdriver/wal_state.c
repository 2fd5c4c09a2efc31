/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_state: which volumes have a log (wal.h), and what those who come then
 * have to do (design 9.14). Their bits are in the control file and as durable
 * as the log's heads: set after the head is there, cleared after it has ended.
 */
#include "aimdriver/wal.h"
#include "aimdriver/wal_file.h"

#include "common/cleanup.h"
#include "common/io.h"

bool
wal_any(const struct capture *c)
{
	uint32_t i;

	for (i = 0; i < c->volume_count; i++)
		if (wal_is_set(c->ctl, i))
			return true;
	return false;
}

bool
wal_is_taken(const struct capture *c, uint32_t volume)
{
	return volume < c->volume_count && wal_is_set(c->ctl, volume) &&
	       c->wal_own != volume + 1;
}

int
wal_set(struct capture *c, uint32_t volume, struct err *e)
{
	struct hold h;
	int r;

	/* Whoever is in the middle of a write comes to its end. */
	hold_everything(&h);
	if (hold_take_settled(c, &h, e) < 0)
		return -1;
	c->wal_own = volume + 1;
	atomic_fetch_or(&c->ctl->wal[volume / 64], UINT64_C(1) << volume % 64);
	r = control_sync_marks(c, e);
	hold_release(c, &h);
	return r;
}

int
wal_clear(struct capture *c, uint32_t volume, struct err *e)
{
	uint64_t bit = UINT64_C(1) << volume % 64;

	atomic_fetch_and(&c->ctl->wal[volume / 64], ~bit);
	if (!wal_any(c))
		atomic_store(&c->ctl->needs_redo, 0);
	if (control_sync_marks(c, e) == 0)
		return 0;
	atomic_fetch_or(&c->ctl->wal[volume / 64], bit);
	return -1;
}

void
wal_lost(struct capture *c, uint32_t volume)
{
	struct err e;

	if (!wal_is_set(c->ctl, volume))
		return;
	atomic_store(&c->ctl->needs_redo, 1);
	/* A boot comes to the same by itself. */
	if (control_sync_marks(c, &e) < 0)
		(void)trouble(c, "%s", e.text);
}

/* Its owner was killed, the machine goes on: the page cache has it all. */
static int
end_orphan(struct capture *c, uint32_t volume, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct err why = {0};
	int found = wal_file_open(c, volume, &fd, &why);

	if (found < 0 && why.kind == ERR_RETRY)
		return 0; /* it is alive */
	if (found < 0) {
		*e = why;
		return -1;
	}
	/* It may have ended the log just before we locked it. */
	if (!wal_is_set(c->ctl, volume))
		return 0;
	if (io_fdatasync(c->volume_fd[volume], c->ctl->volume[volume].path, e) <
	    0) {
		wal_lost(c, volume);
		return -1;
	}
	if (found == 1 && wal_file_end(c, volume, fd, e) < 0)
		return -1;
	return wal_clear(c, volume, e);
}

int
wal_attach(struct capture *c, struct err *e)
{
	uint32_t i;

	if (!wal_any(c))
		return 0;
	if (atomic_load(&c->ctl->needs_redo) != 0) {
		if ((c->flags & CAPTURE_REDO) != 0)
			return 0;
		return err_set(e, ERR_REFUSED,
		    "refused: a volume of this group was served by nbdkit with "
		    "commit=wal and is to be redone from its log first: start "
		    "that nbdkit");
	}
	for (i = 0; i < c->volume_count; i++)
		if (wal_is_set(c->ctl, i) && end_orphan(c, i, e) < 0)
			return err_at(e, "end the log of a killed nbdkit");
	return 0;
}
