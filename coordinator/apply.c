/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply: the redriver of a mirror. Its durable word is the two-slot state
 * (mirror_state.h); whatever the phase says after a crash is simply carried
 * on with: APPLYING is done again from CLEAN, SUSPECT with a target too
 * (through new descriptors), SUSPECT without a target waits for a base.
 */
#include "coordinator/apply.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static bool
is_changed_by_others(const struct apply *a)
{
	return a->state.phase == MIRROR_SUSPECT &&
	       position_is_nil(&a->state.target);
}

static const char *
state_word(const struct apply *a)
{
	const struct mirror_state *s = &a->state;

	if (s->phase == MIRROR_SUSPECT)
		return ack_state_name(ACK_SUSPECT);
	if (s->reason[0] != '\0')
		return ack_state_name(ACK_STALLED);
	if (a->stage.mirror.apply_paused)
		return ack_state_name(ACK_PAUSED);
	if (s->staging)
		return ack_state_name(ACK_STAGING);
	if (s->phase == MIRROR_EMPTY)
		return ack_state_name(ACK_EMPTY);
	return ack_state_name(s->consistent ? ACK_STREAMING : ACK_INCONSISTENT);
}

/* state/<mirror>.apply: state, applied, consistent, staging, reason. */
static void
tell(struct apply *a, const char *trouble)
{
	const struct mirror_state *s = &a->state;
	const char *reason = s->reason[0] != '\0' ? s->reason : trouble;
	char mirror[UUID_TEXT], name[UUID_TEXT + 8], applied[24];
	char all[sizeof(a->note)];
	struct err why = {0};
	const bool sure = s->consistent && s->phase != MIRROR_SUSPECT;
	struct note_pair pairs[] = {
	    {"state", trouble[0] != '\0' ? ack_state_name(ACK_STALLED)
					 : state_word(a)},
	    {"applied", applied},
	    {"consistent", sure ? "yes" : "no"},
	    {"staging", s->staging ? "yes" : "no"},
	    {"reason", reason},
	};

	(void)snprintf(applied, sizeof(applied), "%" PRIu64, s->clean.last);
	(void)snprintf(all, sizeof(all), "%s %s %d %d %s", pairs[0].value,
	    applied, sure, s->staging, reason);
	if (strcmp(all, a->note) == 0)
		return;
	(void)snprintf(name, sizeof(name), "%s.apply",
	    uuid_text(&a->stage.mirror.uuid, mirror));
	if (note_write(a->stage.home, name, pairs,
		sizeof(pairs) / sizeof(pairs[0]), &why) < 0)
		log_warn("status cannot be noted: %s", why.text);
	else
		memcpy(a->note, all, sizeof(all));
}

int
apply_stall(struct apply *a, const char *why, struct err *e)
{
	struct mirror_state s = a->state;

	(void)snprintf(s.reason, sizeof(s.reason), "%.159s", why);
	if (strcmp(s.reason, a->state.reason) == 0)
		return 0;
	if (why[0] != '\0')
		log_warn("group %s: %s", a->stage.mirror.group_name, why);
	if (mirror_state_store(a->stage.home, &s, e) < 0)
		return -1;
	a->state = s;
	a->trouble = false;
	return 0;
}

int
apply_refuse(struct apply *a, const char *name, const char *why, struct err *e)
{
	char text[CHAIN_WHY], own[JOURNAL_NAME_LEN];

	/* The name is perhaps what goes with the files read ahead. */
	(void)snprintf(own, sizeof(own), "%s", name);
	(void)snprintf(text, sizeof(text),
	    "staged file %s is damaged, it has to come again: %.80s", own, why);
	a->holding = false;
	ahead_close(a->ahead);
	a->ahead = NULL;
	if (home_quarantine(a->stage.home, a->stage.stage, own, text, e) < 0)
		return err_at(e, "%s", text);
	return apply_stall(a, text, e);
}

bool
apply_is_damage(const struct err *e)
{
	return e->kind == ERR_CORRUPT || e->kind == ERR_REFUSED ||
	       e->sys == EIO;
}

static void
watch(struct apply *a)
{
	char path[64];

	a->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (a->events < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", a->stage.stage);
	if (inotify_add_watch(a->events, path, IN_MOVED_TO) < 0)
		log_debug("staged files are not watched; time-outs must do");
}

static int
open_parts(struct apply *a, struct home *h, const struct mirror_config *m,
    struct err *e)
{
	if (stage_open(h, m, &a->stage, e) < 0)
		return -1;
	a->needed = calloc((size_t)m->volume_count + 1, sizeof(*a->needed));
	if (a->needed == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (mirror_state_load(h, &m->uuid, &a->state, e) < 0)
		return -1;
	/* Whether it still holds will be seen. */
	a->trouble = true;
	watch(a);
	return apply_settle_done(a, e);
}

int
apply_open(struct home *h, const struct mirror_config *m, struct apply **out,
    struct err *e)
{
	struct apply *a = calloc(1, sizeof(*a));
	struct err why = {0};

	if (a == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	a->events = -1;
	a->ahead_bytes = APPLY_AHEAD;
	a->stage.stage = a->stage.done = -1;
	if (open_parts(a, h, m, &why) < 0) {
		if (a->stage.home != NULL)
			tell(a, why.text);
		apply_close(a);
		if (e != NULL)
			*e = why;
		return err_at(e, "apply group %s", m->group_name);
	}
	*out = a;
	return 0;
}

void
apply_close(struct apply *a)
{
	if (a == NULL)
		return;
	ahead_close(a->ahead);
	apply_sums_close(a);
	mirror_targets_close(&a->targets);
	if (a->events >= 0)
		(void)close(a->events);
	stage_close(&a->stage);
	free(a->needed);
	free(a->done.at);
	free(a);
}

int
apply_changed(struct apply *a, const char *why, struct err *e)
{
	struct mirror_state s = a->state;

	s.phase = MIRROR_SUSPECT;
	memset(&s.target, 0, sizeof(s.target));
	memset(&s.copyin, 0, sizeof(s.copyin));
	s.consistent = false;
	s.staging = false;
	(void)snprintf(s.reason, sizeof(s.reason), "%s", why);
	log_error("group %s: %s", a->stage.mirror.group_name, why);
	if (mirror_state_store(a->stage.home, &s, e) < 0)
		return -1;
	a->state = s;
	a->holding = false;
	return 0;
}

/*
 * Are the volumes those, and in that state, in which we left them? 1; 0 no,
 * the state says so now; -1.
 */
static int
check_targets(struct apply *a, struct err *e)
{
	char why[CHAIN_WHY];
	int good;

	if (a->checked || is_changed_by_others(a))
		return 1;
	good = mirror_targets_known(&a->stage, &a->targets, why, e);
	if (good == 1 && a->state.phase == MIRROR_CLEAN)
		good =
		    tail_check(&a->stage, &a->targets, &a->state.clean, why, e);
	if (good < 0)
		return -1;
	if (good == 0)
		return apply_changed(a, why, e) < 0 ? -1 : 0;
	if (mirror_targets_remember(&a->stage, &a->targets, e) < 0)
		return -1;
	a->checked = true;
	return 1;
}

static int
open_targets(struct apply *a, struct err *e)
{
	if (a->targets.all == NULL) {
		a->checked = false;
		if (mirror_targets_open(&a->stage, &a->targets, e) < 0)
			return -1;
	}
	return check_targets(a, e);
}

/*
 * A base for a suspect mirror has begun to arrive: it starts again as one that
 * is inconsistent, on the volumes as they are.
 */
static int
begin_again(struct apply *a, struct err *e)
{
	struct mirror_state s = a->state;
	int found = apply_find_base(a, e);

	if (found <= 0)
		return found;
	log_info("group %s: a new base has begun", a->stage.mirror.group_name);
	if (mirror_targets_remember(&a->stage, &a->targets, e) < 0)
		return -1;
	s.phase = position_is_nil(&s.clean) ? MIRROR_EMPTY : MIRROR_CLEAN;
	s.reason[0] = '\0';
	if (mirror_state_store(a->stage.home, &s, e) < 0)
		return -1;
	a->state = s;
	a->checked = true;
	return 1;
}

static int
do_pass(struct apply *a, struct err *e)
{
	struct standing to;
	int got;

	if (clock_mono_ns() < a->retry_ns)
		return 0;
	got = open_targets(a, e);
	if (got <= 0)
		return got;
	if (is_changed_by_others(a)) {
		got = begin_again(a, e);
		if (got <= 0)
			return got;
	}
	if (position_is_nil(&a->state.target)) {
		if (!a->state.staging)
			apply_sums_sweep(a);
		got = apply_cut_waits(a, e);
		if (got != 0)
			return got < 0 ? -1 : 0;
		got = apply_is_holding(a) ? 2 : apply_range(a, NULL, e);
		if (got < 2)
			return got;
		got = apply_plan_held(a, &to, e);
		if (got == 0)
			return apply_sums(a);
	} else {
		got = apply_replan(a, &to, e);
	}
	return got <= 0 ? got : apply_range(a, &to, e);
}

int
apply_pass(struct apply *a, struct err *e)
{
	struct err why = {0}, second = {0};
	int got;

	if (a->stage.mirror.apply_paused) {
		tell(a, "");
		return 0;
	}
	got = do_pass(a, &why);
	if (got <= 0) {
		ahead_close(a->ahead);
		a->ahead = NULL;
	}
	if (got >= 0 && a->trouble && clock_mono_ns() >= a->retry_ns &&
	    !is_changed_by_others(a) && apply_stall(a, "", &why) < 0)
		got = -1;
	if (got < 0) {
		/* The acknowledgement has to say it too. */
		if ((a->state.reason[0] == '\0' || a->trouble) &&
		    apply_stall(a, why.text, &second) == 0)
			a->trouble = true;
		tell(a, why.text);
		if (e != NULL)
			*e = why;
		return err_at(e, "apply group %s", a->stage.mirror.group_name);
	}
	tell(a, "");
	return got;
}

void
apply_wait(struct apply *a, uint32_t wait_ms)
{
	struct pollfd p = {.fd = a->events, .events = POLLIN};
	struct err why = {0};
	char bytes[4096];

	/* Tidying up is for when there is nothing to do. */
	while (
	    poll(&p, a->events < 0 ? 0 : 1, 0) == 0 && apply_trim(a, &why) > 0)
		continue;
	if (poll(&p, a->events < 0 ? 0 : 1, (int)wait_ms) <= 0)
		return;
	while (read(a->events, bytes, sizeof(bytes)) > 0)
		continue;
}
