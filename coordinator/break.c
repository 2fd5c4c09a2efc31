/* SPDX-License-Identifier: Apache-2.0 */
/*
 * break: the history has a hole. The machine went down while programs wrote,
 * or a range could not be read again, or shared memory cannot be believed, or
 * it was lost. What is missing is not known, so the epoch ends, every mirror
 * that has a base is copied in anew, and what comes says so (BREAK).
 *
 * In this order, each step durable, each harmless when done again:
 *
 *   1 state/<group>.break: the end of the epoch, "prepared 0"
 *   2 recovery jobs are queued
 *   3 capture begins again after the tip, mode OFF
 *   4 mode ON, if any mirror has a base; then state/<group>.extents: after a
 *     boot what the activity log has marked (design 9.10), with what an
 *     earlier recovery has not finished; after all else, everything
 *   5 the note says "prepared 1"
 *   6 the next sealed file opens the new epoch
 *   7 the note is removed
 *
 * The note is fulfilled when the tip is of a later epoch.
 */
#include "coordinator/source.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BREAK_NAME_LEN (UUID_TEXT + 6)
#define BREAK_LIMIT 1024
#define BREAK_FIRST_MS 1000u
#define BREAK_LAST_MS 60000u

struct break_note {
	uint32_t epoch; /* that ended */
	unsigned prepared, marked;
};

static const char *
note_name(const struct source *s, char out[BREAK_NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, BREAK_NAME_LEN, "%s.break", uuid_text(&s->group.uuid, text));
	return out;
}

static int
store_note(struct source *s, bool prepared, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char name[BREAK_NAME_LEN];

	if (buf_printf(&b, e,
		"aim-break 1\nepoch %u\nprepared %d\nmarked %d\nlast %ju\n"
		"reason %s\n",
		s->tip.at.epoch_number, prepared, s->break_marked,
		(uintmax_t)s->tip.at.last, s->break_reason) < 0)
		return -1;
	if (io_write_file(
		s->home->state, note_name(s, name), b.data, b.len, 0600, e) < 0)
		return err_at(e, "state");
	return 0;
}

/* 1, 0 when there is none, -1. A note that cannot be read was begun: it
 * counts as one that is not prepared. */
static int
load_note(struct source *s, struct break_note *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char name[BREAK_NAME_LEN];
	struct err why = {0};

	if (io_read_file(s->home->state, note_name(s, name), BREAK_LIMIT, &b,
		&why) < 0) {
		if (why.sys == ENOENT)
			return 0;
		return err_set(e, why.kind, "state/%s", why.text);
	}
	if (buf_add(&b, "", 1, e) < 0)
		return -1;
	if (sscanf((const char *)b.data,
		"aim-break 1\nepoch %" SCNu32 "\nprepared %u\nmarked %u\n",
		&out->epoch, &out->prepared, &out->marked) != 3)
		*out = (struct break_note){.epoch = s->tip.at.epoch_number};
	return 1;
}

static int
remove_note(struct source *s, struct err *e)
{
	char name[BREAK_NAME_LEN];

	return io_remove(s->home->state, note_name(s, name), e);
}

int
break_sealed(struct source *s, struct err *e)
{
	log_warn("epoch %u begins at transaction %ju: %s",
	    s->tip.at.epoch_number, (uintmax_t)s->tip.first, s->break_reason);
	s->breaking = false;
	return remove_note(s, e);
}

static void
set_reason(struct source *s, const char *reason)
{
	(void)snprintf(s->break_reason, sizeof(s->break_reason), "%s", reason);
}

/* Why must the epoch end, by what the capture core says? NULL: it need not. */
static const char *
reason_of(const struct source *s, const struct capture_status *st)
{
	if (st->lost)
		return "the group's control file was lost or damaged";
	if (st->needs_recovery)
		return "the machine stopped while the group was not closed "
		       "cleanly";
	if (st->reserved < s->tip.at.last)
		return "the group's control file was lost";
	return NULL;
}

/* After a boot, and only then, it is known what may be missing. */
static bool
is_marked(const struct capture_status *st)
{
	return st->needs_recovery && !st->lost && !st->suspect;
}

void
break_look(struct source *s)
{
	struct capture_status st;
	const char *reason;

	capture_status(s->capture, &st);
	reason = reason_of(s, &st);
	if (reason != NULL) {
		s->must_break = true;
		s->break_passed = false;
		s->break_marked = is_marked(&st);
		set_reason(s, reason);
	} else if (st.suspect && !s->must_break) {
		/* Up to the gap everything is known; seal_one stops there.
		 * Without one (a flush failed), after all that there is. */
		s->break_marked = s->break_passed = false;
		if (!s->gap)
			set_reason(s, "a range could not be read, or a flush "
				      "failed, at the source");
		s->gap = true;
	}
}

int
break_open(struct source *s, struct err *e)
{
	struct break_note note = {0};
	struct capture_status st;
	const char *reason;
	int found = load_note(s, &note, e);

	if (found < 0)
		return -1;
	if (found == 1 && note.epoch < s->tip.at.epoch_number) {
		if (remove_note(s, e) < 0)
			return -1;
		found = 0;
	}
	capture_status(s->capture, &st);
	reason = reason_of(s, &st);
	if (reason == NULL && st.suspect)
		reason = "the source was suspect when its coordinator ended";
	if (reason == NULL && found == 1)
		reason = "a break that was noted before";
	if (reason == NULL)
		return 0;
	set_reason(s, reason);
	/* Nothing new: it was known when the note was made. */
	s->break_marked =
	    is_marked(&st) || (found == 1 && note.marked == 1 && !st.suspect &&
				  st.reserved >= s->tip.at.last);
	if (found == 1 && note.prepared == 1 && !st.needs_recovery &&
	    !st.suspect && st.reserved >= s->tip.at.last) {
		s->breaking = true;
		return 0;
	}
	s->must_break = true;
	return st.needs_redo ? 0 : break_run(s, e);
}

/* Is it enough to copy in what is marked for this one? Not when its last
 * copy-in of everything has no durable end, unless its rest is in it. */
static bool
may_be_marked(const struct source *s, const struct job *j)
{
	bool ended = j->state == JOB_DONE && j->end <= s->tip.at.last;
	bool kept = j->state == JOB_RUNNING && s->rest_kept;

	return s->break_marked && (ended || kept || j->marked);
}

/* What was only asked for stays, but for how much. */
static int
widen(struct source *s, struct job *j, struct err *e)
{
	struct job next = *j;

	if (!j->marked || s->break_marked)
		return 0;
	next.marked = false;
	if (job_store(s->home, &next, e) < 0)
		return -1;
	*j = next;
	return 0;
}

/* Whatever was under way or done must be done again. */
static int
queue_recoveries(struct source *s, bool *any, struct err *e)
{
	uint32_t i;

	if (source_jobs(s, true, e) < 0)
		return -1;
	*any = false;
	for (i = 0; i < s->count; i++) {
		struct job *j = &s->jobs[i];

		if (j->state == JOB_NONE)
			continue;
		*any = true;
		/* A number that was never sealed will be given out again. */
		if (j->from > s->tip.at.last) {
			j->from = 0;
			if (job_store(s->home, j, e) < 0)
				return -1;
		}
		if (j->state == JOB_QUEUED) {
			if (widen(s, j, e) < 0)
				return -1;
			continue;
		}
		j->marked = may_be_marked(s, j);
		/* With a part alone no mirror may begin. */
		if (job_restart(s->home, j,
			j->marked || j->state == JOB_DONE ? COPYIN_RECOVERY
							  : j->kind,
			e) < 0)
			return -1;
	}
	return 0;
}

/* Capture is on: what was written before is marked, or in all of it. */
static int
note_extents(struct source *s, struct err *e)
{
	AUTO(extents_release) struct extents x = {0};
	bool damaged = false;

	if (extents_init(&x, s->capture, !s->break_marked, e) < 0)
		return -1;
	if (s->break_marked &&
	    extents_add_marked(&x, s->capture, &damaged, e) < 0)
		return -1;
	if (s->recovering && extents_merge(&x, &s->extents, e) < 0)
		return -1;
	if (extents_store(s->home, &s->group.uuid, &x, e) < 0)
		return -1;
	if (damaged)
		log_warn("the activity log was damaged or lost: it is not "
			 "known what was being written, so whole volumes are "
			 "copied in");
	extents_release(&s->extents);
	s->extents = x;
	x = (struct extents){0};
	s->recovering = true;
	return 0;
}

static int
capture_anew(struct source *s, bool any, struct err *e)
{
	struct capture_status st;

	capture_status(s->capture, &st);
	if (st.suspect && s->break_marked)
		return err_set(e, ERR_RETRY, "a volume has become suspect");
	/* Unless this was done already, before a crash. */
	if ((st.needs_recovery || st.suspect ||
		st.reserved != s->tip.at.last) &&
	    capture_recover(s->capture, s->tip.at.last + 1, e) < 0)
		return -1;
	if (capture_set_mode(s->capture, any ? CAPTURE_ON : CAPTURE_OFF, e) <
		0 ||
	    (any && note_extents(s, e) < 0))
		return -1;
	log_warn("%s; transactions after %ju are taken from the volumes anew, "
		 "%s copied in again for every mirror with a base",
	    s->break_reason, (uintmax_t)s->tip.at.last,
	    s->break_marked ? "what was being written is" : "everything is");
	return 0;
}

int
break_may(const struct source *s, struct err *e)
{
	uint64_t age_ms = (clock_mono_ns() - s->break_ns) / 1000000;

	if (s->break_ns == 0 || age_ms >= s->break_wait_ms)
		return 0;
	return err_set(e, ERR_RETRY,
	    "%s, again; the next epoch begins in %ju ms at the earliest",
	    s->break_reason, (uintmax_t)(s->break_wait_ms - age_ms));
}

static void
break_done(struct source *s)
{
	uint64_t now = clock_mono_ns();
	uint64_t age_ms = (now - s->break_ns) / 1000000;
	uint32_t wait_ms = s->break_wait_ms * 2;

	if (s->break_ns == 0 || age_ms > 10u * (uint64_t)s->break_wait_ms)
		wait_ms = BREAK_FIRST_MS;
	s->break_wait_ms = wait_ms < BREAK_LAST_MS ? wait_ms : BREAK_LAST_MS;
	s->break_ns = now;
}

int
break_run(struct source *s, struct err *e)
{
	struct capture_status st;
	bool any;

	/* What is copied in comes from the volumes: they come first. */
	capture_status(s->capture, &st);
	if (st.needs_redo)
		return err_set(e, ERR_RETRY,
		    "group %s: a volume served by nbdkit with commit=wal is to "
		    "be redone from its log: start that nbdkit",
		    s->group.name);
	/* What a suspect volume holds may be marked nowhere. */
	if (st.suspect)
		s->break_marked = s->break_passed = false;
	s->rest_kept = false;
	if (s->break_passed && passing_keep_rest(s, e) < 0)
		return err_at(e, "begin a new epoch");
	if (source_has_tip(s) && store_note(s, false, e) < 0)
		return -1;
	/* No mirror has what was written since, before it has its recovery. */
	commit_break(s);
	if (queue_recoveries(s, &any, e) < 0 || capture_anew(s, any, e) < 0)
		return err_at(e, "begin a new epoch");
	if (source_has_tip(s) && store_note(s, true, e) < 0)
		return -1;
	s->breaking = source_has_tip(s);
	/* That was so of this break alone. */
	s->break_marked = s->break_passed = s->rest_kept = false;
	s->held = true;
	s->must_break = false;
	s->gap = false;
	s->window_known = false;
	break_done(s);
	return 0;
}
