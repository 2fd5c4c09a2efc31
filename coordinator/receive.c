/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receive: the role that takes a stream's files from the folder that others
 * write into (reliability 3.5, R1 to R4).
 *
 * The truth is the expected name: after (e, s) comes (e, s+1) or (e+1, 1), so
 * each pass opens at most two names, however many files lie there. The folder
 * is listed only for what is not expected, every 30 s or when inotify has
 * seen something odd. Nothing is kept but files: after any crash the tip is
 * found again by walking the staged files from the redriver's position.
 */
#include "coordinator/receive.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_EVERY_NS UINT64_C(30000000000)
#define STATE_EVERY_NS UINT64_C(1000000000)
#define PUBLISH_EVERY_NS UINT64_C(50000000)
#define GAP_ALARM_NS UINT64_C(60000000000)
#define PASS_FILES 1024

/*
 * Only what a power cut cannot take back is told to others, and the
 * redriver's word may be seen before it has been synced. While it applies,
 * what is told is what was clean before, which has been.
 */
static int
load_state(struct receive *r, struct err *e)
{
	if (mirror_state_load(
		r->stage.home, &r->stage.mirror.uuid, &r->state, e) < 0)
		return -1;
	if (r->state.generation == r->synced ||
	    r->state.phase == MIRROR_APPLYING)
		return 0;
	if (mirror_state_sync(r->stage.home, &r->stage.mirror.uuid, e) < 0)
		return -1;
	r->synced = r->state.generation;
	return 0;
}

/* Where to walk from: the redriver's position; everything after it is still
 * in stage/. */
static int
find_tip(struct receive *r, struct err *e)
{
	uint64_t generation;

	do {
		if (load_state(r, e) < 0)
			return -1;
		generation = r->state.generation;
		r->tip = r->state.clean;
		if (receive_walk(r, e) < 0)
			return -1;
		/* Files may have left for done/ while we walked. */
		if (load_state(r, e) < 0)
			return -1;
	} while (r->state.generation != generation);
	/* A crash may have come between a name and its being durable. */
	if (io_fsync(r->stage.stage, "the folder of staged files", e) < 0)
		return -1;
	r->stored = r->tip;
	r->state_ns = clock_mono_ns();
	return 0;
}

static int
open_parts(struct receive *r, struct home *h, const struct mirror_config *m,
    struct err *e)
{
	if (stage_open(h, m, &r->stage, e) < 0 || stage_sweep(&r->stage, e) < 0)
		return -1;
	if (incoming_open(h, m, &r->in, e) < 0)
		return -1;
	publisher_init(&r->publisher, h, incoming_ack_dir(r->in), &m->uuid);
	receive_silence_begin(r);
	return receive_forward_open(r, e) < 0 ? -1 : find_tip(r, e);
}

/* Status must tell even when the role cannot begin. */
static void
note_failure(struct home *h, const struct mirror_config *m, const struct err *e)
{
	char mirror[UUID_TEXT], name[UUID_TEXT + 8];
	struct note_pair pairs[] = {
	    {"state", ack_state_name(ACK_STALLED)}, {"reason", e->text}};

	(void)snprintf(
	    name, sizeof(name), "%s.recv", uuid_text(&m->uuid, mirror));
	if (note_write(h, name, pairs, 2, NULL) < 0)
		log_debug("the receiver's note cannot be written");
}

int
receive_open(struct home *h, const struct mirror_config *m,
    struct receive **out, struct err *e)
{
	struct receive *r = calloc(1, sizeof(*r));
	struct err why = {0};

	if (r == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	r->stage.stage = r->stage.done = -1;
	r->gap_alarm_ns = GAP_ALARM_NS;
	r->scan_wanted = true;
	if (open_parts(r, h, m, &why) < 0) {
		receive_close(r);
		note_failure(h, m, &why);
		if (e != NULL)
			*e = why;
		return err_at(e, "receive group %s", m->group_name);
	}
	*out = r;
	return 0;
}

void
receive_close(struct receive *r)
{
	if (r == NULL)
		return;
	incoming_close(r->in);
	receive_forward_close(r);
	stage_close(&r->stage);
	free(r->looked);
	free(r);
}

/* Is the file still staged that the redriver wants next? */
static bool
is_there(struct receive *r, struct err *e)
{
	struct staged f = STAGED_NONE;
	bool there;

	if (position_compare(&r->state.clean, &r->tip) >= 0)
		return true;
	there = stage_next(&r->stage, &r->state.clean, &f, e) == 1;
	staged_close(&f);
	return there;
}

int
receive_find_again(struct receive *r, struct err *e)
{
	struct position told = r->publisher.last.stored;
	struct chain_name next[2];
	char name[JOURNAL_NAME_LEN];

	if (receive_settle(r, e) < 0 || find_tip(r, e) < 0)
		return -1;
	if (r->forward != NULL && forward_count(r->forward, e) < 0)
		return -1;
	if (position_compare(&r->tip, &told) < 0) {
		chain_expected(&r->tip, next);
		(void)snprintf(r->stall, sizeof(r->stall),
		    "%s was damaged or lost after it was staged: it has to "
		    "come again",
		    journal_name(next[0].epoch_number, next[0].sequence, name));
		r->stall_lasts = true;
	}
	return 0;
}

/* Learns what the redriver has done. A reason means that it may have thrown
 * out a damaged file, which has to come again. */
static int
look_at_state(struct receive *r, struct err *e)
{
	uint64_t was = r->state.generation;

	if (load_state(r, e) < 0)
		return -1;
	r->state_ns = clock_mono_ns();
	r->state_wanted = false;
	if ((r->state.generation == was || r->state.reason[0] == '\0') &&
	    is_there(r, e))
		return 0;
	return receive_find_again(r, e);
}

/* Begins the chain, once the folder has been looked through. */
static int
take_first(struct receive *r, struct err *e)
{
	int got;

	if (!r->has_best || incoming_is_scanning(r->in))
		return 0;
	r->has_best = false;
	got = receive_take(r, &r->best, e);
	if (got == 0) {
		/* Not that one, or not yet: all are looked at again, at once
		 * if it was put aside. */
		r->looked_count = RECEIVE_LOOKED;
		r->scan_wanted = r->stall_lasts;
	}
	return got;
}

static int
take_one(struct receive *r, struct err *e)
{
	struct chain_name next[2];
	int got;

	if (receive_is_full(r))
		return 0;
	if (position_is_nil(&r->tip))
		return take_first(r, e);
	chain_expected(&r->tip, next);
	got = receive_take(r, &next[0], e);
	return got != 0 ? got : receive_take(r, &next[1], e);
}

static int
take_all(struct receive *r, struct err *e)
{
	int n, got = 1;

	for (n = 0; n < PASS_FILES; n++) {
		/* Files beyond a damaged one may be here already. */
		if (receive_walk(r, e) < 0)
			got = -1;
		else
			got = take_one(r, e);
		if (got <= 0)
			break;
		if ((r->pending_count == RECEIVE_PENDING ||
			clock_mono_ns() - r->publisher.last_ns >=
			    PUBLISH_EVERY_NS) &&
		    receive_settle(r, e) < 0)
			return -1;
	}
	return got < 0 ? -1 : n;
}

static int
scan_some(struct receive *r, struct err *e)
{
	int more;

	if (!r->scan_wanted && !incoming_is_scanning(r->in) &&
	    clock_mono_ns() - r->scan_ns < SCAN_EVERY_NS)
		return 0;
	r->scan_wanted = false;
	more = receive_scan(r, e);
	if (more != 0 || !position_is_nil(&r->tip) || !r->has_best)
		return more;
	more = take_all(r, e);
	if (more > 0)
		receive_heard(r);
	/* Seen from where it begins, other files are old or later. */
	if (more > 0)
		r->scan_wanted = true;
	return more < 0 ? -1 : r->scan_wanted;
}

static int
receive_files(struct receive *r, struct err *e)
{
	int taken = take_all(r, e), more;

	if (taken < 0)
		return -1;
	/* The chain moves: what seemed to be missing was only late. */
	if (taken > 0) {
		receive_heard(r);
		r->later = false;
		r->gap_since_ns = 0;
	}
	more = scan_some(r, e);
	if (more < 0)
		return -1;
	if (r->later && r->gap_since_ns == 0)
		r->gap_since_ns = clock_mono_ns();
	return taken > 0 || more > 0;
}

/* What is durable is told even so, with the trouble. */
static int
tell_trouble(struct receive *r, struct err *why)
{
	struct err second = {0};

	if (r->stall[0] == '\0')
		(void)snprintf(r->stall, sizeof(r->stall), "%.150s", why->text);
	if (receive_settle(r, &second) < 0)
		log_warn(
		    "the trouble could not be acknowledged: %s", second.text);
	return err_at(why, "receive group %s", r->stage.mirror.group_name);
}

int
receive_pass(struct receive *r, struct err *e)
{
	struct err mine = {0}, *why = e == NULL ? &mine : e;
	unsigned what = incoming_wait(r->in, &r->tip, 0);
	int did = 0;

	if ((what & INCOMING_SCAN) != 0)
		r->scan_wanted = true;
	if (!r->stall_lasts)
		r->stall[0] = '\0';
	if (((what & INCOMING_STATE) != 0 || r->state_wanted ||
		clock_mono_ns() - r->state_ns >= STATE_EVERY_NS) &&
	    look_at_state(r, why) < 0)
		return tell_trouble(r, why);
	if (receive_forward(r, why) < 0)
		return tell_trouble(r, why);
	if (!r->stage.mirror.fetch_paused)
		did = receive_files(r, why);
	if (did < 0)
		return tell_trouble(r, why);
	if (receive_settle(r, why) < 0)
		return err_at(
		    why, "receive group %s", r->stage.mirror.group_name);
	return did;
}

void
receive_wait(struct receive *r, uint32_t wait_ms)
{
	uint64_t now = clock_mono_ns();
	uint64_t due = r->publisher.last_ns + PUBLISH_HEARTBEAT_NS;
	unsigned what;

	if (due <= now)
		return;
	if ((due - now) / 1000000 < wait_ms)
		wait_ms = (uint32_t)((due - now) / 1000000) + 1;
	what = incoming_wait(r->in, &r->tip, wait_ms);
	if ((what & INCOMING_SCAN) != 0)
		r->scan_wanted = true;
	if ((what & INCOMING_STATE) != 0)
		r->state_wanted = true;
}
