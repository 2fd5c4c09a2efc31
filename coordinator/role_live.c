/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role_live: the loop of a child. SIGTERM is blocked but for the waits, so no
 * pass is ever torn by it; should it come just before a wait begins, the
 * wait's time-out bounds the delay.
 */
#include "coordinator/role.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pulse.h"
#include "coordinator/roles.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 500u	    /* the truth, where no hint comes */
#define SOURCE_WAIT_MS 200u /* files are sealed by age */
#define BACKOFF_FIRST_MS 250u
#define BACKOFF_RETRY_MS 10000u /* the most, for what may pass by itself */
#define BACKOFF_LOOK_MS 30000u	/* the most, when the operator must look */

static volatile sig_atomic_t stopped;

static void
on_term(int number)
{
	(void)number;
	stopped = 1;
}

static void
let_in(int how)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(how, &set, NULL);
}

static void
sleep_beating(uint32_t wait_ms)
{
	uint32_t part_ms;

	for (; wait_ms > 0 && !stopped; wait_ms -= part_ms) {
		part_ms = wait_ms < WAIT_MS ? wait_ms : WAIT_MS;
		clock_sleep_ms(part_ms);
		pulse_beat();
	}
}

static void
nap(struct role *r, uint32_t wait_ms, bool may_wake)
{
	let_in(SIG_UNBLOCK);
	if (!stopped) {
		if (may_wake)
			role_wait(r, wait_ms);
		else
			sleep_beating(wait_ms);
	}
	let_in(SIG_BLOCK);
}

struct trouble {
	uint32_t backoff_ms;
	char last[sizeof(((struct err *)0)->text)];
	int report;
};

/* Twice as long each time, a quarter of it by chance. */
static uint32_t
next_backoff(struct trouble *t, const struct err *e)
{
	uint32_t most =
	    e->kind == ERR_RETRY ? BACKOFF_RETRY_MS : BACKOFF_LOOK_MS;
	uint32_t chance = 0;

	t->backoff_ms =
	    t->backoff_ms == 0 ? BACKOFF_FIRST_MS : 2 * t->backoff_ms;
	if (t->backoff_ms > most)
		t->backoff_ms = most;
	if (random_bytes(&chance, sizeof(chance), NULL) < 0)
		return t->backoff_ms;
	return t->backoff_ms - chance % (t->backoff_ms / 4);
}

static void
report(const struct role *r, struct trouble *t, const char *text)
{
	char line[sizeof(r->name) + sizeof(t->last) + 2];
	int n;

	if (t->report < 0)
		return;
	n = snprintf(line, sizeof(line), "%s%c%s", r->name, 0, text);
	if (write(t->report, line, (size_t)n + 1) < 0)
		t->report = -1; /* nobody listens any more */
}

static void
report_event(const struct role *r, struct trouble *t)
{
	const char *event = r->kind == ROLE_SOURCE    ? source_event(r->work)
			    : r->kind == ROLE_RECEIVE ? receive_event(r->work)
						      : NULL;

	if (event != NULL)
		report(r, t, event);
}

/* Said once, as long as it stays the same. */
static void
tell_trouble(struct role *r, struct trouble *t, const struct err *e)
{
	if (strcmp(t->last, e->text) == 0)
		return;
	(void)strcpy(t->last, e->text);
	if (e->kind == ERR_RETRY)
		log_warn("%s; trying again", e->text);
	else
		log_error("%s", e->text);
	report(r, t, e->text);
}

static void
recovered(struct trouble *t)
{
	if (t->backoff_ms != 0)
		log_info("works again");
	t->backoff_ms = 0;
	t->last[0] = 0;
}

static int
end(struct role *r)
{
	struct err e = {0};
	int status = EXIT_SUCCESS;

	if (r->kind == ROLE_SOURCE && source_finish(r->work, &e) < 0) {
		log_warn("could not close cleanly: %s", e.text);
		status = EXIT_FAILURE;
	}
	role_close(r);
	return status;
}

int
role_live(struct role *r, struct home *h, int report)
{
	struct sigaction act = {.sa_handler = on_term};
	struct trouble t = {.report = report};
	uint32_t wait_ms = r->kind == ROLE_SOURCE ? SOURCE_WAIT_MS : WAIT_MS;

	let_in(SIG_BLOCK);
	(void)sigaction(SIGTERM, &act, NULL);
	while (!stopped && r->work == NULL) {
		struct err e = {0};

		if (role_open(r, h, &e) == 0)
			break;
		tell_trouble(r, &t, &e);
		nap(r, next_backoff(&t, &e), false);
	}
	while (!stopped) {
		struct err e = {0};
		int did = role_pass(r, &e);

		pulse_beat();
		report_event(r, &t);
		if (did < 0) {
			tell_trouble(r, &t, &e);
			if (e.kind == ERR_FATAL)
				break;
			nap(r, next_backoff(&t, &e), false);
			continue;
		}
		/* A pass that found nothing to do proves nothing. */
		if (did > 0)
			recovered(&t);
		nap(r, did == 0 ? wait_ms : 0, did == 0);
	}
	if (r->work == NULL)
		return EXIT_SUCCESS;
	return end(r) == EXIT_SUCCESS && stopped ? EXIT_SUCCESS : EXIT_FAILURE;
}
