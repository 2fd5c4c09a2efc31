/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks: those that wait to be run, and those that run, for the supervisor:
 * at most so many at a time, in the order of the alarms.
 */
#ifndef COORDINATOR_HOOKS_H
#define COORDINATOR_HOOKS_H

#include "coordinator/catalogue.h"
#include "coordinator/hook.h"

enum { HOOKS_RUNNING = 4, HOOKS_WAITING = 32 };

struct hooks {
	struct hook_call *waiting[HOOKS_WAITING]; /* the first is next */
	uint32_t count;
	pid_t running[HOOKS_RUNNING]; /* 0: none */
};

void hooks_release(struct hooks *q);
/* What role `name` ("receive db") has reported: an alarm is queued for every
 * hook that wants it. */
void hooks_take(struct hooks *q, const struct snapshot *s, const char *name,
    const char *event);
/* The next one (free()) if one may be run now, else NULL. */
struct hook_call *hooks_next(struct hooks *q);
void hooks_started(struct hooks *q, pid_t pid);
/* True when the child was one of them. */
bool hooks_reaped(struct hooks *q, pid_t pid);
bool hooks_are_running(const struct hooks *q);
/* Nothing more is run; what runs is ended. */
void hooks_stop(struct hooks *q);

/* The life of the child that runs it; writes "hook NAME\0RESULT\0" to
 * `report`. */
void hooks_work(const struct home *h, const struct hook_call *call, int report);

#endif
