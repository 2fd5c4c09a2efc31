/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune: promise 6. A sealed file goes, oldest first, when every destination
 * that has a base has acknowledged it as its prune_at says, the source's
 * volumes were flushed since its last transaction was complete, and its least
 * age is over. The tip never goes. A transport's success counts for nothing,
 * and an acknowledgement that cannot be believed holds everything.
 *
 * Age is believed only when the wall clock says so and this process has seen
 * as much time go by on the monotonic clock since it began, or since the wall
 * clock was last seen to jump (fault F57).
 */
#include "coordinator/source.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sys.h"
#include "coordinator/need.h"

#include <errno.h>
#include <stdlib.h>

#define INTERVAL_NS UINT64_C(2000000000)
#define BATCH 64u /* files between two syncs of the folder */
#define JUMP_NS INT64_C(1000000000)

static bool
is_needed(const struct source *s, const struct file_hold *holds,
    const struct sealed_file *f)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (hold_has(&holds[i], f))
			return true;
	return false;
}

/* Begins the count of our own time anew when the wall clock has jumped. */
static void
watch_clock(struct source *s)
{
	uint64_t mono = clock_mono_ns();
	int64_t offset = (int64_t)(clock_wall_ns() - mono);
	int64_t jump = offset - s->wall_offset_ns;

	if (s->retention_ns == 0 || jump > JUMP_NS || jump < -JUMP_NS)
		s->retention_ns = mono;
	s->wall_offset_ns = offset;
}

static bool
is_old_enough(const struct source *s, const struct sealed_file *f)
{
	uint64_t least = s->group.retention_ms * NS_PER_MS;
	uint64_t wall = clock_wall_ns();

	if (least == 0)
		return true;
	return wall > f->sealed_time_ns && wall - f->sealed_time_ns >= least &&
	       clock_mono_ns() - s->retention_ns >= least;
}

/* Everything sealed is complete, so a flush that begins now covers it. */
static int
flush_past(struct source *s, const struct sealed_file *f, struct err *e)
{
	uint64_t upto = s->tip.at.last;

	if (f->at.last <= s->flushed)
		return 0;
	if (capture_flush_volumes(s->capture, e) < 0)
		return err_at(e, "nothing is pruned");
	s->flushed = upto;
	return 0;
}

static int
next_oldest(struct source *s, struct sealed_file *out, struct err *e)
{
	const struct position *at = &s->oldest.at;
	int found =
	    sealed_after(&s->sealed, at->epoch_number, at->sequence, out, e);

	if (found == 0)
		found = sealed_skip(
		    &s->sealed, at->epoch_number, at->sequence, out, e);
	if (found == 0)
		return err_set(e, ERR_RETRY, "the tip is gone");
	return found;
}

static int
remove_oldest(struct source *s, struct err *e)
{
	bool in_copyin = s->counted_out.in_copyin;
	char name[JOURNAL_NAME_LEN];
	struct sealed_file next;
	uint64_t copied, kept;

	(void)journal_name(
	    s->oldest.at.epoch_number, s->oldest.at.sequence, name);
	if (next_oldest(s, &next, e) < 0 ||
	    sealed_copyin_len(&s->sealed, &s->oldest, &in_copyin, &copied, e) <
		0)
		return err_at(e, "prune %s", name);
	if (sys_unlink(s->sealed.dir, name) < 0 && errno != ENOENT)
		return err_sys(e, "prune %s", name);
	kept = s->oldest.file_len - copied;
	s->spool_bytes -= kept < s->spool_bytes ? kept : s->spool_bytes;
	passing_pruned(s, kept);
	s->files -= s->files > 1;
	s->counted_out =
	    (struct walk){.at = s->oldest.at, .in_copyin = in_copyin};
	s->oldest = next;
	return 0;
}

static int
remove_all(struct source *s, const struct file_hold *holds, struct err *e)
{
	uint32_t n = 0;
	int failed = 0;

	while (n < BATCH && position_compare(&s->oldest.at, &s->tip.at) < 0 &&
	       !is_needed(s, holds, &s->oldest) &&
	       is_old_enough(s, &s->oldest)) {
		if (flush_past(s, &s->oldest, e) < 0 ||
		    remove_oldest(s, e) < 0) {
			failed = -1;
			break;
		}
		n++;
	}
	if (n > 0 && io_fsync(s->sealed.dir, "the folder of sealed files",
			 failed < 0 ? NULL : e) < 0)
		return -1;
	return failed < 0 ? -1 : n > 0;
}

int
prune_step(struct source *s, bool now, struct err *e)
{
	struct file_hold *holds;
	uint64_t mono = clock_mono_ns();
	uint32_t i;
	int did = 0;

	watch_clock(s);
	if ((!now && mono < s->prune_ns) || s->tip_unsure)
		return PART_NOT_NOW;
	if (s->files < 2 && (s->files == 0 || s->tip_free))
		return 0;
	holds = calloc(s->count + 1u, sizeof(*holds));
	if (holds == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	projected_look(s, true);
	for (i = 0; did == 0 && i < s->count; i++)
		did = projected_hold(s, i, &holds[i], e);
	if (did == 0)
		did = remove_all(s, holds, e);
	s->tip_free = did >= 0 && !is_needed(s, holds, &s->tip);
	free(holds);
	/* A full batch: there may be more at once. */
	s->prune_ns = did == 1 ? mono : mono + INTERVAL_NS;
	return did;
}
