/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ship_ack: the acknowledgement is asked for, because folders and SFTP cannot
 * tell: often after something was sent, ever more rarely while nothing comes,
 * seldom when nothing is awaited. A folder on this machine tells by inotify.
 */
#include "coordinator/ship.h"

#include "common/cleanup.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>

#define POLL_FIRST_MS 50u
#define POLL_LAST_MS 2000u
#define POLL_IDLE_MS 10000u
/* While a flush waits. */
#define POLL_URGENT_FIRST_MS 2u
#define POLL_URGENT_LAST_MS 16u

void
ship_poll_soon(struct ship *s)
{
	s->poll_ms =
	    ship_commit_urgent(s) ? POLL_URGENT_FIRST_MS : POLL_FIRST_MS;
	s->poll_ns = clock_mono_ns() + s->poll_ms * NS_PER_MS / 2;
}

bool
ship_is_idle(const struct ship *s)
{
	/* Others send for it, so the stream says what is awaited. */
	if (ship_is_behind(s))
		return s->has_ack && s->ack.applied.last >= s->lag.newest &&
		       s->ack.stored.last >= s->lag.newest;
	if (ship_is_relay(s))
		return s->has_ack && s->ring_count == 0;
	return s->has_ack && s->ring_count == 0 &&
	       position_compare(&s->ack.applied, &s->ack.stored) == 0 &&
	       s->ack.state != ACK_STAGING;
}

static void
poll_later(struct ship *s)
{
	bool urgent = ship_commit_urgent(s);
	uint32_t first = urgent ? POLL_URGENT_FIRST_MS : POLL_FIRST_MS;
	uint32_t last = urgent		  ? POLL_URGENT_LAST_MS
			: ship_is_idle(s) ? POLL_IDLE_MS
					  : POLL_LAST_MS;

	if (s->poll_ms < first)
		s->poll_ms = first;
	if (urgent && s->poll_ms > last)
		s->poll_ms = last;
	s->poll_ns = clock_mono_ns() + s->poll_ms * NS_PER_MS;
	s->poll_ms = s->poll_ms * 2 < last ? s->poll_ms * 2 : last;
}

/* Somebody else's words, or ours from before: said once, and not believed. */
static int
distrust(struct ship *s, const struct err *why)
{
	if (strcmp(s->ack_trouble, why->text) != 0)
		log_error("%s: %s", s->destination.name, why->text);
	(void)snprintf(s->ack_trouble, sizeof(s->ack_trouble), "%s", why->text);
	return 0;
}

static int
accept(struct ship *s, const struct buf *b, struct err *e)
{
	struct err why = {0};
	const struct ack before = s->ack;
	const bool had = s->has_ack;
	struct ack a;
	int got = ack_accept(s->home, &s->destination, &s->sealed, b->data,
	    b->len, s->has_ack ? &s->ack : NULL, &a, &why);

	if (got < 0) {
		if (why.kind == ERR_CORRUPT || why.kind == ERR_REFUSED)
			return distrust(s, &why);
		return err_set(e, why.kind, "%s", why.text);
	}
	s->ack_trouble[0] = '\0';
	if (got == 0)
		return 0;
	s->ack = a;
	s->has_ack = true;
	s->passed = false;
	s->hub_ns = 0;
	ship_stored(s);
	ship_asked(s, had ? &before : NULL);
	ship_commit_tell(s);
	ship_poll_soon(s);
	return 1;
}

int
ship_fetch(struct ship *s, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char file[ACK_NAME_LEN], stream[UUID_TEXT], path[120];
	int got;

	if (clock_mono_ns() < s->poll_ns)
		return 0;
	poll_later(s);
	(void)snprintf(path, sizeof(path), "%s/ack/%s",
	    uuid_text(&s->sealed.stream, stream),
	    ack_name(&s->destination.mirror, file));
	got = transport_get(s->get, path, ACK_LIMIT, &b, e);
	if (got < 0)
		return err_at(e, "acknowledgement");
	if (got > 0)
		got = accept(s, &b, e);
	if (got < 0)
		return -1;
	return ship_sums(s) || got == 1;
}
