/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_wait: what is waited for is settled at the start: the last transaction
 * that was completed, and the ENDs of the copy-ins that were queued or under
 * way. Then the files that tell of progress are looked at a few times a
 * second. Whatever makes it impossible ends the wait with 4: a pause here at
 * once, a mirror in trouble when it lasts a little (it may mend itself).
 */
#include "common/cleanup.h"
#include "common/clock.h"
#include "coordinator/request.h"
#include "manager/client.h"
#include "manager/command.h"
#include "manager/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS 100u
#define TROUBLE_NS UINT64_C(2000000000)
#define PROGRESS_NS UINT64_C(2000000000)
#define RELOAD_NS UINT64_C(1000000000)
#define ABSENT_NS UINT64_C(1500000000) /* it may just be starting */

enum outcome { NOT_YET = 0, REACHED, IMPOSSIBLE };

struct goal {
	char name[NAME_LIMIT];
	uint64_t number;     /* transaction to be acknowledged */
	struct uuid copyin;  /* its END belongs to it too */
	bool pending;	     /* that END is not yet known */
	bool broken;	     /* a break came: its END is waited for instead */
	uint64_t trouble_ns; /* since when the mirror is in trouble; 0 */
	bool reached;
};

struct wait {
	struct home *home;
	struct snapshot config;
	const char *group, *only;   /* only NULL: all destinations */
	const struct uuid *message; /* to be carried out; NULL: none */
	bool stored, limited;
	uint64_t began_ns, until_ns, told_ns, loaded_ns;
	uint64_t absent_ns;	 /* since when no coordinator was seen; 0 */
	struct capture *capture; /* a source's */
	uint64_t asked;		 /* sealing up to here was asked for */
	struct goal *goals;
	uint32_t goal_count;
	char why[REASON_LIMIT]; /* IMPOSSIBLE */
	char at[160];		/* progress */
};

static void
wait_release(struct wait *w)
{
	if (w->capture != NULL)
		capture_detach(w->capture);
	snapshot_release(&w->config);
	free(w->goals);
}

static enum outcome __attribute__((format(printf, 2, 3)))
impossible(struct wait *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
	return IMPOSSIBLE;
}

static int
load(struct wait *w, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	struct snapshot fresh;

	if (catalogue_open(w->home, false, &c, e) < 0 ||
	    catalogue_load(c, &fresh, e) < 0)
		return -1;
	snapshot_release(&w->config);
	w->config = fresh;
	w->loaded_ns = clock_mono_ns();
	return 0;
}

/* Trouble that lasts will not go away without the operator. */
static bool
lasts(struct goal *g, bool trouble)
{
	uint64_t now = clock_mono_ns();

	if (!trouble) {
		g->trouble_ns = 0;
		return false;
	}
	if (g->trouble_ns == 0)
		g->trouble_ns = now;
	return now - g->trouble_ns >= TROUBLE_NS;
}

static const struct destination_config *
destination_of(const struct wait *w, const char *name)
{
	const struct group_config *g = snapshot_group(&w->config, w->group);
	const struct destination_config *d;
	uint32_t count = 0;

	d = g == NULL ? NULL
		      : snapshot_destinations(&w->config, &g->uuid, &count);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(d[i].name, name) == 0)
			return &d[i];
	return NULL;
}

/*
 * A break of the history gives numbers out again that were never sealed. What
 * they stood for is part of the copy-in that comes after it, so the END of
 * that is waited for, and the numbers are forgotten.
 */
static void
notice_break(struct wait *w, struct goal *g, const struct job *j)
{
	bool other = !g->pending && j->kind == COPYIN_RECOVERY &&
		     !uuid_equal(&j->id, &g->copyin);
	struct capture_status s;

	capture_status(w->capture, &s);
	if (j->state == JOB_NONE || (!other && s.completed >= g->number))
		return;
	if (!g->broken)
		(void)fprintf(stderr,
		    "aim-manager: the history of %s broke off (the source's "
		    "host or disk failed, or its spool was full); waiting "
		    "until "
		    "'%s' has recovered\n",
		    w->group, g->name);
	g->broken = g->pending = true;
	g->number = 0;
	w->asked = 0;
}

/* Moves the goal on with the copy-in that it includes. */
static enum outcome
follow_copyin(struct wait *w, struct goal *g,
    const struct destination_config *d, struct err *e)
{
	struct job j;

	if (job_load(w->home, &d->uuid, &j, e) < 0)
		return impossible(w, "%s", e->text);
	notice_break(w, g, &j);
	if (!g->pending)
		return REACHED;
	if (j.state == JOB_NONE)
		return impossible(
		    w, "the copy-in for '%s' was given up", g->name);
	g->copyin = j.id; /* begun anew, or together with others */
	if (j.state != JOB_DONE) {
		(void)snprintf(w->at, sizeof(w->at), "%s: copy-in %s", g->name,
		    j.state == JOB_QUEUED ? "queued" : "under way");
		return NOT_YET;
	}
	if (j.end > g->number)
		g->number = j.end;
	g->pending = false;
	return REACHED;
}

/* Of many messages an acknowledgement names the last ones only. */
static bool
is_carried_out(const struct wait *w, const struct ack *a)
{
	uint32_t i;

	if (w->message == NULL || a->done_count == ACK_DONE_LIMIT)
		return true;
	for (i = 0; i < a->done_count; i++)
		if (uuid_equal(&a->done[i], w->message))
			return true;
	return false;
}

static enum outcome
judge_ack(struct wait *w, struct goal *g, const struct ack *a)
{
	uint64_t at = w->stored ? a->stored.last : a->applied.last;

	if (at >= g->number && (w->stored || a->consistent) &&
	    is_carried_out(w, a))
		return REACHED;
	/* What it says may be over by now: it must go on saying so. */
	if (lasts(g, a->state == ACK_STALLED || a->state == ACK_SUSPECT ||
			 (a->state == ACK_PAUSED && !w->stored)))
		return impossible(w, "the mirror at '%s' is %s: %s", g->name,
		    ack_state_name(a->state), a->reason);
	(void)snprintf(w->at, sizeof(w->at), "%s: %ju of %ju%s", g->name,
	    (uintmax_t)at, (uintmax_t)g->number,
	    a->consistent ? "" : ", not yet consistent");
	return NOT_YET;
}

static enum outcome
look_at_destination(struct wait *w, struct goal *g)
{
	char home[SHELL_WORD];
	const struct destination_config *d = destination_of(w, g->name);
	struct ack a;
	struct err e = {0};
	enum outcome o;
	int got;

	if (d == NULL)
		return impossible(w, "destination '%s' is gone", g->name);
	got = status_ack(w->home, d, &a, &e);
	o = follow_copyin(w, g, d, &e);
	if (o == REACHED && got > 0)
		o = judge_ack(w, g, &a);
	else if (o == REACHED) {
		(void)snprintf(w->at, sizeof(w->at),
		    "%s: no acknowledgement yet", g->name);
		o = NOT_YET;
	}
	if (o == NOT_YET && d->paused)
		return impossible(w,
		    "destination '%s' is paused: 'aim-manager --home %s "
		    "destination resume %s --group %s'",
		    g->name, shell_word(w->home->path, home, sizeof(home)),
		    g->name, w->group);
	return o;
}

static void
ask_for_sealing(struct wait *w)
{
	uint64_t most = 0;

	for (uint32_t i = 0; i < w->goal_count; i++)
		if (w->goals[i].number > most)
			most = w->goals[i].number;
	if (most > w->asked) {
		capture_request_seal(w->capture, most);
		w->asked = most;
	}
}

static enum outcome
look_at_source(struct wait *w)
{
	enum outcome all = REACHED;

	for (uint32_t i = 0; i < w->goal_count; i++) {
		struct goal *g = &w->goals[i];
		enum outcome o;

		if (g->reached)
			continue;
		o = look_at_destination(w, g);
		if (o == IMPOSSIBLE)
			return o;
		g->reached = o == REACHED;
		if (o == NOT_YET)
			all = NOT_YET;
	}
	ask_for_sealing(w);
	return all;
}

static enum outcome
look_at_mirror(struct wait *w)
{
	char home[SHELL_WORD];
	const struct mirror_config *m = snapshot_mirror(&w->config, w->group);
	struct goal *g = &w->goals[0];
	struct mirror_state s;
	struct err e = {0};

	if (m == NULL)
		return impossible(w, "the mirror is gone");
	if (mirror_state_load(w->home, &m->uuid, &s, &e) < 0)
		return impossible(w, "%s", e.text);
	if (s.clean.last >= g->number && s.consistent &&
	    s.phase != MIRROR_SUSPECT && s.phase != MIRROR_EMPTY)
		return REACHED;
	if (m->apply_paused || (m->fetch_paused && !s.consistent))
		return impossible(w,
		    "the mirror is paused: 'aim-manager --home %s mirror "
		    "resume %s'",
		    shell_word(w->home->path, home, sizeof(home)), w->group);
	if (lasts(g, s.phase == MIRROR_SUSPECT || s.reason[0] != 0))
		return impossible(w, "the mirror is in trouble: %s", s.reason);
	(void)snprintf(w->at, sizeof(w->at), "%ju of %ju applied%s",
	    (uintmax_t)s.clean.last, (uintmax_t)g->number,
	    s.consistent ? "" : ", not yet consistent");
	return NOT_YET;
}

static void
tell_progress(struct wait *w)
{
	uint64_t now = clock_mono_ns();

	if (now - w->began_ns < PROGRESS_NS || now - w->told_ns < PROGRESS_NS ||
	    isatty(STDERR_FILENO) == 0)
		return;
	(void)fprintf(stderr, "aim-manager: waiting, %s\n", w->at);
	w->told_ns = now;
}

/* Has there been no coordinator for a while? */
static bool
is_abandoned(struct wait *w)
{
	uint64_t now = clock_mono_ns();

	if (client_is_coordinated(w->home)) {
		w->absent_ns = 0;
		return false;
	}
	if (w->absent_ns == 0)
		w->absent_ns = now;
	return now - w->absent_ns >= ABSENT_NS;
}

/* The exit code. */
static int
wait_for(struct wait *w, enum outcome (*look)(struct wait *w))
{
	struct err e = {0};

	for (;;) {
		enum outcome o = look(w);

		if (o == REACHED)
			return EXIT_DONE;
		if (o == IMPOSSIBLE)
			return tell(EXIT_REFUSED,
			    "waiting for %s is of no use: %s", w->group,
			    w->why);
		if (!w->limited && is_abandoned(w))
			return tell(EXIT_REFUSED,
			    "waiting for %s is of no use: no coordinator is "
			    "running here (start 'aim-coordinator --home %s', "
			    "or give --timeout)",
			    w->group, w->home->path);
		if (w->limited && clock_mono_ns() >= w->until_ns)
			return tell(EXIT_TIMEOUT,
			    "time is over, %s is not there yet (%s)", w->group,
			    w->at);
		tell_progress(w);
		clock_sleep_ms(POLL_MS);
		if (clock_mono_ns() - w->loaded_ns >= RELOAD_NS &&
		    load(w, &e) < 0)
			return tell_err(&e);
	}
}

/* After a crash of the host the coordinator decides first what is lost. */
static enum outcome
look_at_recovery(struct wait *w)
{
	struct capture_status s;

	capture_status(w->capture, &s);
	(void)snprintf(w->at, sizeof(w->at), "recovery has not begun");
	/* While writes pass, what is written now has no number: it is in the
	 * copy-in that follows. */
	return s.needs_recovery || s.mode == CAPTURE_PASSTHROUGH ? NOT_YET
								 : REACHED;
}

static int
set_goal(struct wait *w, struct goal *g, const struct destination_config *d,
    uint64_t completed, struct err *e)
{
	char home[SHELL_WORD];
	struct job j;
	struct ack a;
	int got = status_ack(w->home, d, &a, NULL);

	if (job_load(w->home, &d->uuid, &j, e) < 0)
		return -1;
	(void)strcpy(g->name, d->name);
	g->number = completed;
	g->copyin = j.id;
	g->pending = j.state == JOB_QUEUED || j.state == JOB_RUNNING;
	if (d->relay[0] == 0 && j.state == JOB_NONE &&
	    (got <= 0 || a.state == ACK_EMPTY))
		return err_set(e, ERR_REFUSED,
		    "destination '%s' has no base, and none is queued: run "
		    "'aim-manager --home %s base %s'",
		    d->name, shell_word(w->home->path, home, sizeof(home)),
		    w->group);
	return 0;
}

static int
set_goals(struct wait *w, const struct group_config *g, struct err *e)
{
	const struct destination_config *d;
	struct capture_status s;
	uint32_t count;

	d = snapshot_destinations(&w->config, &g->uuid, &count);
	if (d == NULL)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has no destination to wait for", g->name);
	w->goals = calloc(count, sizeof(*w->goals));
	if (w->goals == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	capture_status(w->capture, &s);
	for (uint32_t i = 0; i < count; i++) {
		if (w->only != NULL && strcmp(d[i].name, w->only) != 0)
			continue;
		/* A relay applies nothing, and gets what those behind it
		 * need: it is waited for by name only. */
		if (d[i].relay[0] != 0 && (w->only == NULL || !w->stored))
			continue;
		if (set_goal(
			w, &w->goals[w->goal_count], &d[i], s.completed, e) < 0)
			return -1;
		w->goal_count++;
	}
	if (w->goal_count > 0)
		return 0;
	if (w->only == NULL || destination_of(w, w->only) != NULL)
		return err_set(e, ERR_REFUSED,
		    "a relay applies nothing: wait for a mirror behind it, or "
		    "with --stored --destination NAME for the relay");
	return err_set(e, ERR_REFUSED, "group '%s' has no destination '%s'",
	    g->name, w->only);
}

static int
wait_at_source(struct wait *w, const struct group_config *g)
{
	struct err e = {0};
	int code;

	if (capture_attach(w->home->path, &g->uuid, CAPTURE_INSPECT,
		&w->capture, &e) < 0) {
		w->capture = NULL;
		return tell_err(&e);
	}
	code = wait_for(w, look_at_recovery);
	if (code != EXIT_DONE)
		return code;
	g = snapshot_group(&w->config, w->group); /* it may be loaded anew */
	if (g == NULL)
		return tell(EXIT_REFUSED, "group '%s' is gone", w->group);
	if (set_goals(w, g, &e) < 0)
		return tell_err(&e);
	return wait_for(w, look_at_source);
}

static int
wait_at_mirror(struct wait *w, const struct mirror_config *m)
{
	struct mirror_state s;
	struct err e = {0};

	if (w->only != NULL)
		return tell(EXIT_REFUSED,
		    "'%s' is mirrored here: it has no destinations", w->group);
	w->goals = calloc(1, sizeof(*w->goals));
	if (w->goals == NULL)
		return tell(EXIT_FAILED, "out of memory");
	w->goal_count = 1;
	if (mirror_state_load(w->home, &m->uuid, &s, &e) < 0 ||
	    status_received(w->home, m, &s, &w->goals[0].number, &e) < 0)
		return tell_err(&e);
	if (w->stored) /* what has been received is stored */
		return EXIT_DONE;
	return wait_for(w, look_at_mirror);
}

/* Seconds, with a fraction if need be. */
static int
take_timeout(struct wait *w, const char *text)
{
	double seconds;
	char *end;

	if (text == NULL)
		return 0;
	errno = 0;
	seconds = strtod(text, &end);
	if (errno != 0 || end == text || *end != 0 || !(seconds >= 0) ||
	    seconds > 1e9)
		return -1;
	w->limited = true;
	w->until_ns = w->began_ns + (uint64_t)(seconds * 1e9);
	return 0;
}

bool
wait_timeout_is_good(struct args *a)
{
	struct wait w = {.began_ns = 0};

	if (take_timeout(&w, args_option(a, "timeout")) == 0)
		return true;
	(void)tell(EXIT_USAGE, "--timeout %s: no number of seconds",
	    args_option(a, "timeout"));
	return false;
}

/* The group of which `volume` is one; NULL: none. */
static const struct group_config *
group_of_volume(const struct snapshot *s, const char *volume)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		for (uint32_t k = 0; k < s->groups[i].volume_count; k++)
			if (strcmp(s->groups[i].volumes[k].name, volume) == 0)
				return &s->groups[i];
	return NULL;
}

int
wait_for_message(struct args *a, const struct uuid *message)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(wait_release) struct wait w = {.home = &h, .message = message};
	char group[NAME_LIMIT];
	const struct group_config *g;
	struct err e = {0};

	w.began_ns = w.told_ns = clock_mono_ns();
	if (take_timeout(&w, args_option(a, "timeout")) < 0)
		return EXIT_USAGE;
	if (home_open(a->home, &h, &e) < 0 || load(&w, &e) < 0)
		return tell_err(&e);
	g = group_of_volume(&w.config, a->words[0]);
	if (g == NULL)
		return tell(EXIT_REFUSED, "volume '%s' is gone", a->words[0]);
	(void)snprintf(group, sizeof(group), "%s", g->name);
	w.group = group;
	return wait_at_source(&w, g);
}

int
run_wait(struct args *a)
{
	char home[SHELL_WORD];
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(wait_release) struct wait w = {.home = &h};
	const struct group_config *g;
	const struct mirror_config *m;
	struct err e = {0};

	w.began_ns = w.told_ns = clock_mono_ns();
	w.group = a->words[0];
	w.only = args_option(a, "destination");
	w.stored = args_has(a, "stored");
	if (w.stored && args_has(a, "applied"))
		return tell(EXIT_USAGE, "--applied or --stored, not both");
	if (take_timeout(&w, args_option(a, "timeout")) < 0)
		return tell(EXIT_USAGE, "--timeout %s: no number of seconds",
		    args_option(a, "timeout"));
	if (home_open(a->home, &h, &e) < 0 || load(&w, &e) < 0)
		return tell_err(&e);
	g = snapshot_group(&w.config, w.group);
	m = snapshot_mirror(&w.config, w.group);
	if (g != NULL)
		return wait_at_source(&w, g);
	if (m != NULL && m->relay)
		return tell(EXIT_REFUSED,
		    "this is a relay of '%s', which applies nothing: wait at "
		    "the source, or at a mirror",
		    w.group);
	if (m != NULL)
		return wait_at_mirror(&w, m);
	return tell(EXIT_REFUSED,
	    "no group '%s' in this home; see "
	    "'aim-manager --home %s status'",
	    w.group, shell_word(h.path, home, sizeof(home)));
}
