/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/state.h"

#include "aimdriver/capture.h"
#include "common/cleanup.h"

#include <stdlib.h>

#define STATES_LIMIT 4096

struct look {
	struct log_states s;
	struct capture_copyins copyins;
	struct capture_status status;
};

static void
detach(struct capture **c)
{
	capture_detach(*c);
}

const char *
log_phase_name(enum log_phase phase)
{
	static const char *const names[] = {
	    "prepared", "working", "stopped", "done", "gap", "cut", "over"};

	return (size_t)phase < sizeof(names) / sizeof(names[0]) ? names[phase]
								: "?";
}

const char *
log_gap_text(enum progress_gap gap)
{
	switch (gap) {
	case GAP_NONE:
		break;
	case GAP_FULL:
		return "the log was full";
	case GAP_LOST:
		return "the log was begun anew, damaged or taken away";
	}
	return "";
}

static enum log_phase
phase_of(const struct look *l, const struct progress *p)
{
	if (p->copyins != l->copyins.count)
		return LOG_OVER;
	if (p->gap != GAP_NONE)
		return LOG_GAP;
	if (!p->begun)
		return LOG_PREPARED;
	if (p->done)
		return LOG_DONE;
	if (p->boots != l->status.boots)
		return LOG_CUT;
	return l->status.attached ? LOG_WORKING : LOG_STOPPED;
}

static int
add(void *ctx, const struct progress *p, uint64_t changed_ns, struct err *e)
{
	struct look *l = ctx;
	void *more;

	if (p == NULL) {
		l->s.damaged++;
		return 0;
	}
	if (l->s.count == STATES_LIMIT)
		return 0;
	more = reallocarray(l->s.list, l->s.count + 1, sizeof(*l->s.list));
	if (more == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	l->s.list = more;
	l->s.list[l->s.count++] = (struct log_state){
	    .progress = *p,
	    .phase = phase_of(l, p),
	    .changed_ns = changed_ns,
	};
	return 0;
}

static int
by_age(const void *a, const void *b)
{
	const struct log_state *x = a, *y = b;

	return x->changed_ns < y->changed_ns   ? 1
	       : x->changed_ns > y->changed_ns ? -1
					       : 0;
}

int
log_states_look(const char *home, const struct uuid *group,
    struct log_states *out, struct err *e)
{
	AUTO(detach) struct capture *c = NULL;
	struct look l = {.s = {.list = NULL}};

	if (capture_attach(home, group, CAPTURE_INSPECT, &c, e) < 0 ||
	    capture_copyins(c, &l.copyins, e) < 0)
		return -1;
	capture_status(c, &l.status);
	if (progress_list(home, group, add, &l, e) < 0) {
		log_states_release(&l.s);
		return -1;
	}
	if (l.s.count > 1)
		qsort(l.s.list, l.s.count, sizeof(*l.s.list), by_age);
	*out = l.s;
	return 0;
}

void
log_states_release(struct log_states *s)
{
	free(s->list);
	*s = (struct log_states){.list = NULL};
}
