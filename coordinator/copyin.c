/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copyin: a job becomes a run of transactions, BEGIN, extents, END, among
 * live writes. Jobs that are queued together share one, under the id of the
 * first. A crash after BEGIN and before the jobs say "running" makes another
 * BEGIN of the same id, one before they say "done" another END; a mirror
 * takes the last BEGIN and the first END after it, and extents that come
 * twice do no harm.
 *
 * Only so much is copied in as all its targets have room for: what is beyond
 * the place that the slowest has stored, plus what is not yet sealed, stays
 * within a window. The sum goes along with that place (struct walk), so no
 * list of files is kept.
 */
#include "coordinator/source.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pulse.h"

#include <stdlib.h>
#include <string.h>

#define STEP_BYTES (UINT64_C(8) << 20)
#define STEP_EXTENTS 64
#define SAVE_BYTES (UINT64_C(64) << 20)

const struct job *
copyin_running(const struct source *s)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (s->jobs[i].state == JOB_RUNNING)
			return &s->jobs[i];
	return NULL;
}

bool
copyin_pending(const struct source *s)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (s->jobs[i].state == JOB_RUNNING ||
		    s->jobs[i].state == JOB_QUEUED)
			return true;
	return false;
}

/* Bytes to copy in up to `end` of a volume. */
static double
amount(const struct source *s, const struct job *j, uint32_t i, uint64_t end)
{
	return (double)(j->marked ? extents_bytes(&s->extents, i, end) : end);
}

uint32_t
copyin_percent(const struct source *s)
{
	const struct job *j = copyin_running(s);
	double total = 0, done = 0;
	uint32_t i;

	if (j == NULL)
		return 0;
	for (i = 0; i < s->volume_count; i++) {
		uint64_t size = s->volumes[i].size;

		total += amount(s, j, i, size);
		if (i < j->volume)
			done += amount(s, j, i, size);
		else if (i == j->volume)
			done += amount(s, j, i, j->off < size ? j->off : size);
	}
	return total > 0 && done < total ? (uint32_t)(100 * done / total) : 100;
}

/* ---- the window ---- */

void
copyin_sealed(struct source *s, uint64_t bytes)
{
	s->window_bytes += bytes;
}

/* The place up to which all targets have stored, or the first relay of the
 * chain to them has; nil when one has nothing. */
static void
find_slowest(struct source *s, struct position *out)
{
	struct position stored;
	bool any = false;
	uint32_t i;

	*out = (struct position){0};
	for (i = 0; i < s->count; i++) {
		if (s->jobs[i].state != JOB_RUNNING)
			continue;
		projected_stored(s, i, &stored);
		if (!any || position_compare(&stored, out) < 0)
			*out = stored;
		any = true;
	}
}

/* Sums up anew, from where the slowest is, or from the copy-in's beginning. */
static int
find_window(struct source *s, const struct job *j,
    const struct position *slowest, struct err *e)
{
	struct walk w = {.at = s->tip.at, .in_copyin = true};
	struct sealed_file f = {0};
	uint64_t copied, sum = 0;
	bool in_copyin;
	int found;

	if (!position_is_nil(slowest) && slowest->last >= j->begin)
		w.at = *slowest;
	else if (j->begin <= s->tip.at.last) {
		found = sealed_find(&s->sealed, j->begin, &f, e);
		if (found < 0)
			return -1;
		if (found == 1) {
			w = (struct walk){.at = f.at};
			w.at.sequence--;
		}
	}
	in_copyin = w.in_copyin;
	f.at = w.at;
	while ((found = sealed_after(&s->sealed, f.at.epoch_number,
		    f.at.sequence, &f, e)) == 1) {
		if (sealed_copyin_len(&s->sealed, &f, &in_copyin, &copied, e) <
		    0)
			return -1;
		sum += copied;
	}
	if (found < 0)
		return -1;
	s->window = w;
	s->window_bytes = sum;
	s->window_known = true;
	return 0;
}

static int
move_window(struct source *s, const struct job *j, struct err *e)
{
	struct position slowest;
	struct sealed_file f;
	uint64_t copied;
	int found;

	find_slowest(s, &slowest);
	while (
	    s->window_known && position_compare(&s->window.at, &slowest) < 0) {
		found = sealed_after(&s->sealed, s->window.at.epoch_number,
		    s->window.at.sequence, &f, e);
		if (found < 0)
			return -1;
		/* Pruned already: sum up from the slowest's place. */
		s->window_known = found == 1;
		if (found == 0)
			break;
		if (sealed_copyin_len(
			&s->sealed, &f, &s->window.in_copyin, &copied, e) < 0)
			return -1;
		s->window.at = f.at;
		s->window_bytes -=
		    copied < s->window_bytes ? copied : s->window_bytes;
	}
	return s->window_known ? 0 : find_window(s, j, &slowest, e);
}

static bool
has_room(const struct source *s, const struct capture_status *st)
{
	return s->window_bytes + projected_copyin(s) + st->unsealed_bytes +
		   STEP_BYTES <=
	       s->window_limit;
}

/* 1 when there is room for a step, 0 when not, -1. */
static int
window_open(struct source *s, const struct job *j, struct err *e)
{
	struct capture_status st;

	capture_status(s->capture, &st);
	if (s->window_known && has_room(s, &st))
		return 1;
	if (move_window(s, j, e) < 0)
		return -1;
	return has_room(s, &st);
}

/* ---- jobs ---- */

/* Stores what all running jobs share: progress, and later the end. */
static int
store_running(struct source *s, const struct job *like, enum job_state state,
    uint64_t end, struct err *e)
{
	struct job model = *like;
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		struct job *j = &s->jobs[i];
		struct job next = *j;

		if (j->state != JOB_RUNNING)
			continue;
		next.volume = model.volume;
		next.off = model.off;
		next.state = state;
		next.end = end;
		if (job_store(s->home, &next, e) < 0)
			return -1;
		*j = next;
	}
	s->saved_bytes = 0;
	return 0;
}

int
copyin_save(struct source *s, struct err *e)
{
	const struct job *j = copyin_running(s);

	if (j == NULL || s->saved_bytes == 0)
		return 0;
	return store_running(s, j, JOB_RUNNING, 0, e);
}

static int
start_job(
    struct source *s, struct job *j, const struct job *like, struct err *e)
{
	struct job next = *j;

	next.id = like->id;
	next.kind = like->kind;
	next.state = JOB_RUNNING;
	next.begin = like->begin;
	next.end = 0;
	next.volume = like->volume;
	next.off = like->off;
	next.marked = like->marked;
	if (next.from == 0)
		next.from = like->begin;
	if (job_store(s->home, &next, e) < 0)
		return -1;
	*j = next;
	return 0;
}

/* A crash came between two jobs of the same copy-in: the other one follows. */
static int
join_running(struct source *s, const struct job *running, struct err *e)
{
	struct job like = *running;
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (s->jobs[i].state == JOB_QUEUED &&
		    uuid_equal(&s->jobs[i].id, &like.id) &&
		    start_job(s, &s->jobs[i], &like, e) < 0)
			return -1;
	return 0;
}

/* Gives all queued jobs one id, durably, before that id is in the stream. */
static int
share_id(struct source *s, struct job *like, struct err *e)
{
	bool any = false;
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		const struct job *j = &s->jobs[i];

		if (j->state != JOB_QUEUED)
			continue;
		if (!any)
			*like = *j;
		like->marked = like->marked && j->marked && s->recovering;
		/* A mirror that is suspect accepts nothing but a base. */
		if (j->kind == COPYIN_BASE)
			like->kind = COPYIN_BASE;
		any = true;
	}
	for (i = 0; i < s->count; i++) {
		struct job next = s->jobs[i];

		if (next.state != JOB_QUEUED || uuid_equal(&next.id, &like->id))
			continue;
		next.id = like->id;
		if (job_store(s->home, &next, e) < 0)
			return -1;
		s->jobs[i] = next;
	}
	return any;
}

/* A BEGIN says what will be compared, if anything is. */
static int
add_list(struct source *s, const struct job *j, const struct copyin_note *n,
    uint8_t out[NOTE_LIMIT], size_t *len, struct err *e)
{
	AUTO_FREE struct runs *r = NULL;
	struct capture_volume v;

	if (n->begin != 0 || j->kind != COPYIN_RECOVERY ||
	    s->group.compare_wait_ms == 0)
		return 0;
	r = malloc(sizeof(*r));
	if (r == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (uint32_t i = 0; i < s->volume_count; i++) {
		capture_volume_get(s->capture, i, &v);
		s->sizes[i] = v.size;
	}
	if (compare_make_runs(j->marked ? &s->extents : NULL, s->sizes,
		s->volume_count, r) == 1)
		(void)runs_encode(n, r, out, len);
	return 0;
}

static int
put_note(struct source *s, enum aim_op op, const struct job *j,
    uint64_t *number, struct err *e)
{
	struct copyin_note note = {.id = j->id,
	    .kind = j->kind,
	    .begin = op == OP_COPYIN_END ? j->begin : 0};
	uint8_t bytes[NOTE_LIMIT];
	size_t len = COPYIN_NOTE_LEN;

	copyin_note_encode(&note, bytes);
	if (add_list(s, j, &note, bytes, &len, e) < 0 ||
	    capture_control(s->capture, op, bytes, (uint32_t)len, number, e) <
		0)
		return -1;
	capture_request_seal(s->capture, *number);
	return 0;
}

static int
begin(struct source *s, struct err *e)
{
	struct capture_status st;
	struct job like = {0};
	int any = share_id(s, &like, e);
	uint32_t i;

	if (any <= 0)
		return any;
	capture_status(s->capture, &st);
	/* That flushes the volumes: what was written before is in no stream,
	 * and marked nowhere, so it must not be lost here once the mirror has
	 * it. */
	if (st.mode == CAPTURE_OFF &&
	    capture_set_mode(s->capture, CAPTURE_ON, e) < 0)
		return -1;
	like.volume = 0;
	like.off = 0;
	s->window_known = false;
	copyin_compare_close(s);
	s->comparing.equal = s->comparing.copied = 0;
	if (put_note(s, OP_COPYIN_BEGIN, &like, &like.begin, e) < 0)
		return -1;
	for (i = 0; i < s->count; i++)
		if (s->jobs[i].state == JOB_QUEUED &&
		    start_job(s, &s->jobs[i], &like, e) < 0)
			return -1;
	log_info("copy-in begins at transaction %ju", (uintmax_t)like.begin);
	return 1;
}

static int
finish(struct source *s, const struct job *j, struct err *e)
{
	uint64_t end;

	if (put_note(s, OP_COPYIN_END, j, &end, e) < 0)
		return -1;
	log_info("copy-in ends at transaction %ju", (uintmax_t)end);
	if (s->comparing.equal > 0)
		log_info("copy-in: %ju bytes were copied, %ju were left out, "
			 "because every mirror has them",
		    (uintmax_t)s->comparing.copied,
		    (uintmax_t)s->comparing.equal);
	copyin_compare_close(s);
	return store_running(s, j, JOB_DONE, end, e) < 0 ? -1 : 1;
}

/*
 * Copies in, or leaves out, some of what comes next: 1 and *done is how much,
 * none when that was all of the volume; 0 it has to wait; -1.
 */
static int
copy_some(struct source *s, struct job *j, uint64_t *done, struct err *e)
{
	uint64_t end = UINT64_MAX;
	int known;

	*done = 0;
	if (j->marked &&
	    !extents_next(&s->extents, j->volume, j->off, &j->off, &end))
		return 1;
	known = copyin_compare(s, j, j->off, &end, done, e);
	if (known > 0 && *done > 0) {
		s->comparing.equal += *done;
		return 1;
	}
	if (known > 0 &&
	    capture_copyin(s->capture, j->volume, j->off, end, done, e) < 0)
		known = -1;
	s->comparing.copied += *done;
	return known < 0 ? err_at(e, "copy-in of volume %u", j->volume) : known;
}

/* Copies in up to a step's worth. */
static int
go_on(struct source *s, struct job *j, struct err *e)
{
	uint64_t copied = 0, done;
	int extents, did;

	for (extents = 0; extents < STEP_EXTENTS && copied < STEP_BYTES &&
			  j->volume < s->volume_count;
	     extents++) {
		pulse_beat();
		did = copy_some(s, j, &done, e);
		if (did < 0)
			return -1;
		if (did == 0)
			return extents > 0;
		if (done == 0) {
			j->volume++;
			j->off = 0;
			continue;
		}
		j->off += done;
		copied += done < CAPTURE_CHUNK ? done : CAPTURE_CHUNK;
		s->saved_bytes += done;
	}
	if (j->volume >= s->volume_count)
		return finish(s, j, e);
	if (s->saved_bytes >= SAVE_BYTES &&
	    store_running(s, j, JOB_RUNNING, 0, e) < 0)
		return -1;
	return 1;
}

static int
step(struct source *s, struct err *e)
{
	const struct job *running;
	int open;

	if (source_jobs(s, false, e) < 0)
		return -1;
	running = copyin_running(s);
	if (running == NULL)
		return begin(s, e);
	if (join_running(s, running, e) < 0)
		return -1;
	open = window_open(s, running, e);
	if (open <= 0)
		return open;
	return go_on(s, &s->jobs[running - s->jobs], e);
}

int
copyin_step(struct source *s, struct err *e)
{
	uint64_t now = clock_mono_ns();
	struct capture_status st;
	int did;

	capture_status(s->capture, &st);
	if (st.mode == CAPTURE_PASSTHROUGH || s->must_break || s->gap ||
	    s->tip_unsure || backoff_wait_ms(&s->copyin_backoff, now) > 0)
		return PART_NOT_NOW;
	did = step(s, e);
	if (did < 0) {
		capture_status(s->capture, &st);
		/* The spool is full again: a new epoch begins it anew. */
		if (st.mode == CAPTURE_PASSTHROUGH)
			return PART_NOT_NOW;
	}
	if (did < 0)
		backoff_fail(&s->copyin_backoff, now);
	else
		backoff_good(&s->copyin_backoff);
	return did;
}
