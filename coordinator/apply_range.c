/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One range: APPLYING durable, every file's transactions, one sync for each
 * volume, CLEAN durable, files to done/ (reliability 3.5, A2 to A8). A crash
 * anywhere leaves APPLYING with all its files staged, and the whole range is
 * done again.
 *
 * Files are read once: verified in memory (ahead.h) and carried out from
 * there. What does not fit into memory together is done in groups: a group is
 * verified, the state APPLYING moves on to its end, durably, and only then its
 * first transaction is carried out. So APPLYING names nothing that was not
 * verified, and the mirror is a mixture of nothing else. Where a range has to
 * end at a given place (what was held back; a redo), every file up to there
 * was verified when APPLYING was said, and each is verified again.
 */
#include "coordinator/apply.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "coordinator/redrive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS UINT64_C(30000000000)

struct range {
	struct apply *apply;
	struct redrive redrive;
	const struct standing *end; /* where it has to end, or NULL */
	struct standing to;	    /* behind what was gathered */
	struct apply_names names;   /* carried out */
	uint32_t files;
	uint64_t bytes;
	bool over; /* no file belongs to it any more */
	bool held; /* its first file is held back */

	struct staged *file[AHEAD_FILES]; /* gathered, not carried out */
	uint32_t count;
};

/*
 * The volume could not be written or synced. Full: there is hope, the range
 * is done again as after a crash. Else nothing is known of what it holds; only
 * a redo through new descriptors can tell (F26, F27).
 */
static int
device_failed(struct apply *a, struct err *e)
{
	struct err again = {0};

	mirror_targets_close(&a->targets);
	a->retry_ns = clock_mono_ns() + RETRY_NS;
	if (e->kind == ERR_FULL || e->kind == ERR_RETRY)
		return -1;
	e->kind = ERR_FATAL;
	a->state.phase = MIRROR_SUSPECT;
	(void)snprintf(
	    a->state.reason, sizeof(a->state.reason), "%.159s", e->text);
	if (mirror_state_store(a->stage.home, &a->state, &again) < 0)
		log_error(
		    "the mirror's failure could not be noted: %s", again.text);
	return -1;
}

static void
add_done(struct mirror_state *s, const struct redrive *r)
{
	uint32_t i;

	for (i = 0; i < r->done_count; i++) {
		if (s->done_count == ACK_DONE_LIMIT)
			memmove(s->done, s->done + 1,
			    --s->done_count * sizeof(s->done[0]));
		s->done[s->done_count++] = r->done[i];
	}
}

static int
say_applying(struct apply *a, const struct standing *to, struct err *e)
{
	struct mirror_state s = a->state;

	s.phase = MIRROR_APPLYING;
	s.target = to->at;
	s.stream = a->stage.mirror.stream;
	s.reason[0] = '\0';
	if (mirror_state_store(a->stage.home, &s, e) < 0)
		return -1;
	a->state = s;
	return 0;
}

static int
say_clean(struct apply *a, const struct standing *to, const struct redrive *r,
    struct err *e)
{
	struct mirror_state s = a->state;

	s.phase = MIRROR_CLEAN;
	s.clean = to->at;
	memset(&s.target, 0, sizeof(s.target));
	s.consistent = to->consistent;
	s.copyin = to->copyin;
	s.applied_time_ns = to->time_ns;
	s.staging = false;
	s.reason[0] = '\0';
	add_done(&s, r);
	if (mirror_state_store(a->stage.home, &s, e) < 0)
		return -1;
	a->state = s;
	return 0;
}

/*
 * Files that the redriver keeps have the size that it left. Asked before each
 * range, as far as that is known. 1, 0, -1.
 */
static int
are_sizes_right(struct apply *a, const struct reader *next, struct err *e)
{
	char why[CHAIN_WHY];
	int good;

	if (a->state.phase != MIRROR_CLEAN ||
	    (!a->state.consistent && uuid_is_nil(&a->state.copyin)))
		return 1;
	good = tail_sizes(&a->stage, &a->targets, next, why, e);
	if (good == 0)
		return apply_changed(a, why, e) < 0 ? -1 : 0;
	return good;
}

static bool
is_first(const struct range *g)
{
	return g->names.count + g->count == 0;
}

/*
 * The next file is damaged, or cannot be read now. Where a range may end
 * anywhere it ends before that file, which the next range begins with.
 */
static int
spoilt(struct range *g, const struct staged *f, const struct err *why,
    struct err *e)
{
	g->over = true;
	if (g->end == NULL && !is_first(g))
		return 0;
	g->count = 0;
	if (apply_is_damage(why))
		return apply_refuse(g->apply, f->name, why->text, e);
	*e = *why;
	return -1;
}

/* May what ends anywhere go on with this file? 1; 0 and it is over; -1. */
static int
may_follow(struct range *g, struct staged *f, struct err *e)
{
	char why[CHAIN_WHY];
	struct err bad = {0};
	int got = apply_cut_admits(g->apply, f, g->to.consistent, &bad);

	if (got == 0) {
		g->over = true;
		g->apply->cut_wait = is_first(g);
		return 0;
	}
	if (got > 0)
		got = apply_admit(g->apply, f, &g->to, why, &bad);

	if (got < 0)
		return spoilt(g, f, &bad, e);
	if (got == 1)
		return 1;
	g->over = true;
	if (!is_first(g))
		return 0;
	g->held = why[0] == '\0';
	return g->held ? 0 : apply_stall(g->apply, why, e);
}

/* Does a verified file, the next one, belong to the range? 1, 0, -1. */
static int
admit(struct range *g, struct staged *f, struct err *e)
{
	int got = is_first(g) ? are_sizes_right(g->apply, f->reader, e) : 1;

	if (got == 0)
		g->over = true;
	if (got == 1 && g->end == NULL)
		return may_follow(g, f, e);
	if (got == 1)
		reader_position(f->reader, &g->to.at);
	return got;
}

static bool
is_whole(const struct range *g)
{
	if (g->end != NULL)
		return position_compare(&g->to.at, &g->end->at) >= 0;
	return g->files >= APPLY_FILES || g->bytes >= APPLY_BYTES;
}

/*
 * Takes verified files: what there is up to APPLY_GROUP, then what is ready.
 * 0 and g->count says how many; -1.
 */
static int
gather(struct range *g, struct err *e)
{
	struct ahead *ahead = g->apply->ahead;
	uint64_t bytes = 0;

	while (!g->over && !is_whole(g) && g->count < AHEAD_FILES) {
		struct err why = {0};
		struct staged *f;
		int got = ahead_look(ahead, bytes < APPLY_GROUP, &f, &why);

		if (got < 0)
			return spoilt(g, f, &why, e);
		if (got == 0)
			break;
		got = admit(g, f, e);
		if (got <= 0)
			return got;
		ahead_keep(ahead);
		bytes += reader_header(f->reader)->data_raw_len;
		g->file[g->count++] = f;
		g->files++;
	}
	g->bytes += bytes;
	if (g->count > 0 || g->over || g->end == NULL || is_whole(g))
		return 0;
	return err_set(
	    e, ERR_RETRY, "a staged file vanished while it was applied");
}

/* 1; 0 when a file that was read again is damaged; -1. */
static int
redrive_group(struct range *g, struct err *e)
{
	struct apply *a = g->apply;
	uint32_t i;

	for (i = 0; i < g->count; i++) {
		struct staged *f = g->file[i];
		const struct journal_header *h = reader_header(f->reader);
		struct chain_name n = {h->epoch_number, h->sequence};
		struct err why = {0};

		if (redrive_file(&g->redrive, f, &why) < 0) {
			if (!g->redrive.device && apply_is_damage(&why))
				return apply_refuse(a, f->name, why.text, e);
			*e = why;
			return -1;
		}
		ahead_done(a->ahead);
		if (apply_add_name(&g->names, &n, e) < 0)
			return -1;
	}
	g->count = 0;
	return 1;
}

/* Group by group: 1 and all is to be made durable; 0; -1. */
static int
redrive_all(struct range *g, struct err *e)
{
	const struct standing *to = g->end != NULL ? g->end : &g->to;
	struct apply *a = g->apply;
	int got;

	for (;;) {
		if (gather(g, e) < 0)
			return -1;
		if (g->count == 0)
			break;
		/* A redo has it written already, and stays suspect until it is
		 * done. */
		if ((g->end == NULL || a->state.phase == MIRROR_EMPTY ||
			a->state.phase == MIRROR_CLEAN) &&
		    say_applying(a, to, e) < 0)
			return -1;
		redrive_hurry(&g->redrive);
		got = redrive_group(g, e);
		if (got <= 0)
			return got;
	}
	return g->names.count > 0 && (g->end == NULL || is_whole(g));
}

static int
get_ahead(struct apply *a, struct err *e)
{
	if (a->ahead != NULL && !ahead_is_at(a->ahead, &a->state.clean)) {
		ahead_close(a->ahead);
		a->ahead = NULL;
	}
	if (a->ahead != NULL)
		return 0;
	return ahead_open(
	    &a->stage, &a->state.clean, a->ahead_bytes, &a->ahead, e);
}

static void
auto_range(struct range *g)
{
	redrive_release(&g->redrive);
	free(g->names.at);
}

int
apply_range(struct apply *a, const struct standing *end, struct err *e)
{
	AUTO(auto_range)
	struct range g = {.apply = a, .end = end, .to = apply_standing(a)};
	size_t i;
	int got;

	if (redrive_init(&g.redrive, &a->stage, a->targets.all, e) < 0 ||
	    get_ahead(a, e) < 0)
		return -1;
	apply_forget_sizes(a);
	got = redrive_all(&g, e);
	if (got > 0 && redrive_sync(&g.redrive, e) < 0)
		got = -1;
	if (got < 0)
		return g.redrive.device ? device_failed(a, e) : -1;
	if (got == 0)
		return g.held ? 2 : 0;
	if (say_clean(a, end != NULL ? end : &g.to, &g.redrive, e) < 0)
		return -1;
	for (i = 0; i < g.names.count; i++)
		if (apply_retire(a, &g.names.at[i], e) < 0)
			return -1;
	return 1;
}
