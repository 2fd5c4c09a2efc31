/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be applied now. Usually the files that are staged, as many as one
 * sync is worth. Two things hold a consistent mirror back: a break in the
 * history, and a gap in it; its image stays as it is until the whole of a
 * recovery for it, BEGIN to END, is staged after that, and then everything up
 * to that END is one range. A mirror that is suspect waits for a base that
 * names it and begins again with that.
 */
#include "coordinator/apply.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>

/* Reading through all that is held back is not done in a loop. */
#define HELD_RETRY_NS UINT64_C(5000000000)
#define CUT_RETRY_NS UINT64_C(500000000)

void
apply_step(struct standing *s, const struct staged *f, const struct survey *v)
{
	/* What a copy-in has brought before a break may be stale after it. */
	if (v->is_break) {
		memset(&s->copyin, 0, sizeof(s->copyin));
		s->consistent = false;
	}
	if (v->begins && !s->consistent)
		s->copyin = v->begin.id;
	if (v->ends && !uuid_is_nil(&s->copyin) &&
	    uuid_equal(&v->end.id, &s->copyin)) {
		s->consistent = true;
		memset(&s->copyin, 0, sizeof(s->copyin));
	}
	reader_position(f->reader, &s->at);
	s->time_ns = reader_header(f->reader)->last_time_ns;
}

struct standing
apply_standing(const struct apply *a)
{
	struct standing s = {.at = a->state.clean,
	    .time_ns = a->state.applied_time_ns,
	    .consistent = a->state.consistent,
	    .copyin = a->state.copyin};

	return s;
}

/*
 * Opens and surveys the file after `at`: 1, 0 none, -1. One that is damaged is
 * put aside (0): the receiver takes it again.
 */
static int
look(struct apply *a, const struct position *at, bool verify, struct staged *f,
    struct survey *v, struct err *e)
{
	struct err why = {0};
	int got = stage_next(&a->stage, at, f, &why);

	if (got == 0)
		return 0;
	if (got == 1 && verify &&
	    reader_verify(f->reader, &a->stage.mirror.source_key, &why) < 0)
		got = -1;
	if (got == 1 && survey_file(&a->stage, f, v, a->needed, &why) < 0)
		got = -1;
	if (got == 1)
		return 1;
	staged_close(f);
	if (apply_is_damage(&why))
		return apply_refuse(a, f->name, why.text, e);
	*e = why;
	return -1;
}

/* 1 when the volumes can become as large as a->needed, else 0. */
static int
fits(struct apply *a, char why[CHAIN_WHY], struct err *e)
{
	uint64_t room;
	uint32_t i;

	for (i = 0; i < a->targets.count; i++) {
		if (target_room(a->targets.all[i], &room, e) < 0)
			return -1;
		if (a->needed[i] <= room)
			continue;
		(void)snprintf(why, CHAIN_WHY,
		    "suspended (size): volume %.40s needs %ju bytes, its "
		    "device has %ju: make the device larger",
		    a->stage.volumes[i].name, (uintmax_t)a->needed[i],
		    (uintmax_t)room);
		return 0;
	}
	return 1;
}

void
apply_forget_sizes(struct apply *a)
{
	memset(a->needed, 0, a->targets.count * sizeof(*a->needed));
}

/*
 * Looks at all files from `s` to `end`, however many: 1 and *s stands there,
 * 0 when one is missing or unfit, -1.
 */
static int
plan_to(struct apply *a, const struct position *end, bool verify,
    struct standing *s, struct err *e)
{
	char why[CHAIN_WHY];
	int got;

	apply_forget_sizes(a);
	while (position_compare(&s->at, end) < 0) {
		struct staged f = STAGED_NONE;
		struct survey v;
		got = look(a, &s->at, verify, &f, &v, e);
		if (got == 1)
			apply_step(s, &f, &v);
		staged_close(&f);
		if (got <= 0)
			return got;
	}
	if (memcmp(s->at.digest, end->digest, DIGEST_LEN) != 0)
		return err_set(e, ERR_FATAL,
		    "staged files lead to another place than the mirror's "
		    "state says; take a new base");
	got = fits(a, why, e);
	return got == 0 && apply_stall(a, why, e) < 0 ? -1 : got;
}

/* Each file is verified again before it is applied: nothing is lost by that,
 * for the mirror is already what only the whole range makes good. */
int
apply_replan(struct apply *a, struct standing *out, struct err *e)
{
	struct standing s = apply_standing(a);
	int got = plan_to(a, &a->state.target, false, &s, e);

	if (got < 0)
		return -1;
	if (got == 0)
		return a->state.reason[0] != '\0'
			   ? 0
			   : apply_stall(a,
				 "a staged file that was being applied is "
				 "missing: it has to come again",
				 e);
	*out = s;
	return 1;
}

/*
 * Goes on through files that are held back, each once, for the END of a
 * copy-in for this mirror whose BEGIN comes after the last break: 1 and *end
 * is its place.
 */
static int
find_recovery(struct apply *a, struct position *end, struct err *e)
{
	int got, found = 0;

	if (!a->holding) {
		a->held = a->state.clean;
		memset(&a->held_copyin, 0, sizeof(a->held_copyin));
		memset(&a->begin, 0, sizeof(a->begin));
		a->holding = true;
	}
	do {
		struct staged f = STAGED_NONE;
		struct survey v;

		got = look(a, &a->held, false, &f, &v, e);
		if (got == 1) {
			struct standing s = {.copyin = a->held_copyin};

			apply_step(&s, &f, &v);
			a->held_copyin = s.copyin;
			a->held = s.at;
			a->held_cuts = (reader_header(f.reader)->incompat &
					   JOURNAL_INCOMPAT_CUTS) != 0;
			found = s.consistent;
			if (v.begins)
				a->begin = s.at;
		}
		staged_close(&f);
	} while (got > 0 && !found);
	if (found)
		*end = a->held;
	return got < 0 ? -1 : found;
}

/* Every file up to the END is verified before the old image is given up. */
int
apply_plan_held(struct apply *a, struct standing *out, struct err *e)
{
	struct standing s = apply_standing(a);
	struct position end;
	int found;

	if (!a->state.staging) {
		log_info("a break in the history: the mirror keeps its "
			 "consistent image until the recovery is complete");
		a->state.staging = true;
		if (mirror_state_store(a->stage.home, &a->state, e) < 0)
			return -1;
	}
	found = find_recovery(a, &end, e);
	if (found <= 0)
		return found;
	/* Found or not verified: the search begins anew either way. */
	a->holding = false;
	found = a->held_cuts ? apply_cut_has(a, &end, e) : 1;
	if (found <= 0) {
		a->retry_ns = clock_mono_ns() + CUT_RETRY_NS;
		return found;
	}
	found = plan_to(a, &end, true, &s, e);
	if (found == 1)
		*out = s;
	else
		a->retry_ns = clock_mono_ns() + HELD_RETRY_NS;
	return found;
}

int
apply_find_base(struct apply *a, struct err *e)
{
	int got, found = 0;

	if (!a->holding) {
		a->held = a->state.clean;
		a->holding = true;
	}
	do {
		struct staged f = STAGED_NONE;
		struct survey v;

		got = look(a, &a->held, false, &f, &v, e);
		if (got == 1) {
			reader_position(f.reader, &a->held);
			found = v.begins && v.begin.kind == COPYIN_BASE;
		}
		staged_close(&f);
	} while (got > 0 && !found);
	if (got < 0 || !found)
		return got < 0 ? -1 : 0;
	a->holding = false;
	return 1;
}

bool
apply_is_holding(const struct apply *a)
{
	return a->state.staging && a->holding;
}

int
apply_admit(struct apply *a, struct staged *f, struct standing *s,
    char why[CHAIN_WHY], struct err *e)
{
	struct standing next = *s;
	struct survey v;
	int got;

	why[0] = '\0';
	if (survey_file(&a->stage, f, &v, a->needed, e) < 0)
		return -1;
	apply_step(&next, f, &v);
	if (s->consistent && v.is_break)
		return 0;
	got = fits(a, why, e);
	if (got == 1)
		*s = next;
	return got;
}
