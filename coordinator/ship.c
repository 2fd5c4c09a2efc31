/* SPDX-License-Identifier: Apache-2.0 */
/* ship: the role of one destination. See ship.h. */
#include "coordinator/ship.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define JOB_INTERVAL_NS UINT64_C(500000000)
#define LONGEST_WAIT_MS 1000u

static int
load_job(struct ship *s, bool now, struct err *e)
{
	uint64_t mono = clock_mono_ns();

	if (!now && mono < s->job_ns)
		return 0;
	if (job_load(s->home, &s->destination.uuid, &s->job, e) < 0)
		return -1;
	s->job_ns = mono + JOB_INTERVAL_NS;
	return 0;
}

/* What was saved may be damaged: then the next one fetched will do. */
static void
load_ack(struct ship *s)
{
	struct err why = {0};
	int got = ack_load(s->home, &s->destination, &s->ack, &why);

	s->has_ack = got == 1;
	if (got < 0)
		log_warn("%s", why.text);
}

static void
watch_near(struct ship *s)
{
	char path[PATH_MAX], stream[UUID_TEXT];

	s->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->inotify < 0)
		return; /* time-outs do as well */
	if ((size_t)snprintf(path, sizeof(path), "%s/sealed/%s", s->home->path,
		uuid_text(&s->sealed.stream, stream)) < sizeof(path))
		(void)inotify_add_watch(
		    s->inotify, path, IN_MOVED_TO | IN_ONLYDIR);
}

static void
watch_far(struct ship *s)
{
	char folder[UUID_TEXT + 8], stream[UUID_TEXT];

	if (s->watched_far || s->inotify < 0)
		return;
	(void)snprintf(folder, sizeof(folder), "%s/ack",
	    uuid_text(&s->sealed.stream, stream));
	s->watched_far = transport_watch(s->get, s->inotify, folder) >= 0;
}

int
ship_open(struct home *h, const struct destination_config *d, struct ship **out,
    struct err *e)
{
	struct ship *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	s->home = h;
	s->destination = *d;
	s->ahead = SHIP_AHEAD_FILES;
	s->sealed.dir = s->inotify = s->sums.fd = -1;
	if (rate_parse(d->limit, &s->rate, e) < 0 ||
	    retry_parse(d->retry_at, &s->retry, e) < 0 ||
	    sealed_open(h, &d->stream, &s->sealed, e) < 0 ||
	    load_job(s, true, e) < 0) {
		ship_close(s);
		return err_at(e, "destination %s", d->name);
	}
	load_ack(s);
	watch_near(s);
	*out = s;
	return 0;
}

void
ship_close(struct ship *s)
{
	if (s == NULL)
		return;
	transport_close(s->put);
	transport_close(s->get);
	ship_commit_close(s);
	sealed_close(&s->sealed);
	cleanup_fd(&s->inotify);
	cleanup_fd(&s->sums.fd);
	free(s);
}

/* The transports are opened late and again: keys and files may come. */
static int
open_transports(struct ship *s, struct err *e)
{
	if (s->put == NULL &&
	    transport_open(&s->destination, false, &s->put, e) < 0)
		return -1;
	if (s->get == NULL &&
	    transport_open(&s->destination, true, &s->get, e) < 0)
		return -1;
	watch_far(s);
	return 0;
}

static bool
is_wanted(const struct ship *s)
{
	return s->job.state != JOB_NONE || s->has_ack || ship_is_relay(s) ||
	       s->destination.forward;
}

static int
work(struct ship *s, struct err *e)
{
	struct err why = {0}, uncleared = {0};
	int hub, fetched, sent;

	/* Until the first copy-in has begun there is nothing to send: looked
	 * for at every pass, so that one --once is enough. */
	if (load_job(s, !s->has_ack && s->job.begin == 0, e) < 0 ||
	    open_transports(s, e) < 0)
		return -1;
	/* A place that cannot be cleared can be sent to, even so. */
	hub = ship_hub(s, &uncleared);
	if (ship_pass_on(s, e) < 0)
		return -1;
	/* A destination that nothing was ever asked of needs nothing. */
	if (!is_wanted(s))
		return hub < 0
			   ? err_set(e, uncleared.kind, "%s", uncleared.text)
			   : 0;
	fetched = ship_fetch(s, &why);
	if (fetched == 1 && ship_pass_on(s, e) < 0)
		return -1;
	sent = ship_is_behind(s) ? 0 : ship_send(s, e);
	if (sent < 0)
		return -1;
	if (fetched < 0)
		return err_set(e, why.kind, "%s", why.text);
	if (hub < 0)
		return err_set(e, uncleared.kind, "%s", uncleared.text);
	/* Often the answer is there already. */
	return fetched == 1 || sent == 1;
}

/* The wall clock may be set, the other one stand still while a host sleeps:
 * whichever is there first. */
uint32_t
ship_back_ms(const struct ship *s)
{
	uint32_t ms = backoff_wait_ms(&s->backoff, clock_mono_ns());

	return s->retry_ns != 0 && clock_wall_ns() >= s->retry_ns ? 0 : ms;
}

static void
back_off(struct ship *s)
{
	uint64_t mono = clock_mono_ns(), wall = clock_wall_ns();

	backoff_fail(&s->backoff, mono);
	s->retry_ns = retry_next_ns(&s->retry, wall);
	if (s->retry_ns != 0)
		s->backoff.until_ns = mono + (s->retry_ns - wall);
}

static int
fail(struct ship *s, const struct err *why, struct err *e)
{
	s->trouble = *why;
	back_off(s);
	ship_note(s, true);
	return err_set(e, why->kind, "%s", why->text);
}

int
ship_pass(struct ship *s, struct err *e)
{
	struct err why = {0};
	int did;

	if (s->destination.paused) {
		ship_note(s, false);
		return 0;
	}
	/* The same trouble until it is over: nothing is tried meanwhile. */
	if (ship_back_ms(s) > 0) {
		ship_note(s, false);
		return err_set(e, s->trouble.kind, "%s", s->trouble.text);
	}
	ship_commit_look(s);
	did = work(s, &why);
	if (ship_count_lag(s, did < 0 ? NULL : &why) < 0)
		did = -1;
	if (did < 0)
		return fail(s, &why, e);
	s->trouble = (struct err){0};
	backoff_good(&s->backoff);
	ship_note(s, false);
	return did;
}

static uint32_t
until_ms(uint64_t when_ns)
{
	uint64_t now = clock_mono_ns();

	return when_ns <= now ? 0 : (uint32_t)((when_ns - now) / NS_PER_MS) + 1;
}

/* Events are hints: read and forgotten. One from far says: look now. */
static void
take_events(struct ship *s)
{
	_Alignas(struct inotify_event) char bytes[4096];
	bool any = false;

	while (read(s->inotify, bytes, sizeof(bytes)) > 0)
		any = true;
	if (any && s->watched_far)
		s->poll_ns = 0;
}

void
ship_wait(struct ship *s, uint32_t wait_ms)
{
	uint32_t most = wait_ms < LONGEST_WAIT_MS ? wait_ms : LONGEST_WAIT_MS;
	uint32_t back = ship_back_ms(s), poll_ms;
	struct pollfd p = {.fd = s->inotify, .events = POLLIN};

	if (back > 0)
		most = back < most ? back : most;
	else if (!s->destination.paused && is_wanted(s)) {
		poll_ms = until_ms(s->poll_ns);
		most = poll_ms < most ? poll_ms : most;
		if (s->held)
			poll_ms = pace_wait_ms(&s->pace, ship_rate(s));
		most = poll_ms < most ? poll_ms : most;
	}
	if (most > INT_MAX)
		most = INT_MAX;
	if (poll(&p, s->inotify >= 0 ? 1 : 0, (int)most) > 0)
		take_events(s);
}
