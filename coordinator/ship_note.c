/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ship_note: lag and state of a destination. The lag is counted between two
 * places that only move forward, each file's header being read once when it
 * comes in at one end and once when it goes out at the other.
 */
#include "coordinator/ship.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INTERVAL_NS UINT64_C(250000000)
#define PAIRS 32

/* A relay applies nothing, and at one it matters what waits there. */
static const struct position *
place_of(const struct ship *s)
{
	return ship_is_relay(s) || s->destination.forward ? &s->ack.stored
							  : &s->ack.applied;
}

/* Where the destination stands: what it has applied, or the file before the
 * first that it needs. 0 when it needs none yet. */
static int
find_base(struct ship *s, struct position *out, struct err *e)
{
	struct sealed_file f;
	uint64_t from = s->job.from > 0 ? s->job.from : s->job.begin;
	int found;

	if (s->has_ack && !position_is_nil(place_of(s))) {
		*out = *place_of(s);
		return 1;
	}
	if (from == 0)
		return 0;
	found = sealed_find(&s->sealed, from, &f, e);
	if (found == 1) {
		*out = f.at;
		out->sequence--;
		out->last = f.first - 1;
	}
	return found;
}

/* Counts files in at the newer end. */
static int
count_in(struct ship *s, struct ship_lag *l, struct err *e)
{
	struct sealed_file f;
	int found;

	while ((found = sealed_after(&s->sealed, l->to.epoch_number,
		    l->to.sequence, &f, e)) == 1) {
		if (l->files == 0)
			l->oldest_ns = f.first_time_ns;
		l->files++;
		l->bytes += f.file_len;
		l->newest = f.at.last;
		l->to = f.at;
	}
	return found;
}

/* Counts out what was applied: 1, 0 when a file is gone: begin anew. */
static int
count_out(struct ship *s, struct ship_lag *l, struct err *e)
{
	struct sealed_file f;
	int found;

	while (position_compare(&l->from, place_of(s)) < 0) {
		found = sealed_after(
		    &s->sealed, l->from.epoch_number, l->from.sequence, &f, e);
		if (found <= 0)
			return found;
		l->from = f.at;
		l->files -= l->files > 0;
		l->bytes -= f.file_len < l->bytes ? f.file_len : l->bytes;
		l->oldest_ns = 0;
	}
	if (l->files == 0 || l->oldest_ns != 0)
		return 1;
	found = sealed_after(
	    &s->sealed, l->from.epoch_number, l->from.sequence, &f, e);
	if (found == 1)
		l->oldest_ns = f.first_time_ns;
	return found;
}

int
ship_count_lag(struct ship *s, struct err *e)
{
	struct ship_lag l = s->lag;
	int got;

	if (l.known && s->has_ack && !position_is_nil(place_of(s))) {
		got = count_out(s, &l, e);
		if (got < 0)
			return -1;
		l.known = got == 1;
	}
	if (!l.known) {
		l = (struct ship_lag){0};
		got = find_base(s, &l.from, e);
		if (got <= 0)
			return got;
		l.to = l.from;
		l.newest = l.from.last;
		l.known = true;
	}
	if (count_in(s, &l, e) < 0)
		return -1;
	s->lag = l;
	return 0;
}

struct note {
	struct note_pair pairs[PAIRS];
	char numbers[PAIRS][24];
	size_t count;
};

static void
add_text(struct note *n, const char *key, const char *value)
{
	n->pairs[n->count++] = (struct note_pair){key, value};
}

static void
add_number(struct note *n, const char *key, uint64_t value)
{
	char *text = n->numbers[n->count];

	(void)snprintf(text, sizeof(n->numbers[0]), "%" PRIu64, value);
	add_text(n, key, text);
}

static const char *
state_of(const struct ship *s)
{
	if (s->destination.paused)
		return "paused";
	if (s->job.state == JOB_NONE && !s->has_ack && !ship_is_relay(s) &&
	    !s->destination.forward)
		return "unprotected";
	if (s->has_ack && s->ack.state == ACK_SUSPECT)
		return "suspect";
	if (s->trouble.kind != ERR_NONE || s->ack_trouble[0] != '\0' ||
	    (s->has_ack && s->ack.state == ACK_STALLED))
		return "stalled";
	if (!s->has_ack || s->ack.state == ACK_EMPTY)
		return "base";
	switch (s->ack.state) {
	case ACK_INCONSISTENT:
		return "inconsistent";
	case ACK_PAUSED:
		return "paused";
	case ACK_STAGING:
		return "unclean";
	default:
		return "streaming";
	}
}

static void
add_ack(struct note *n, const struct ship *s)
{
	static const struct ack none;
	const struct ack *a = s->has_ack ? &s->ack : &none;

	add_text(n, "ack_state", s->has_ack ? ack_state_name(a->state) : "");
	add_text(n, "reason", a->reason);
	add_number(n, "consistent", a->consistent);
	add_number(n, "stored", a->stored.last);
	add_number(n, "applied", a->applied.last);
	add_number(n, "applied_time_ns", a->applied_time_ns);
	add_number(n, "ack_time_ns", a->time_ns);
	add_number(n, "free_bytes", a->free_bytes);
}

static uint64_t
lag_seconds(const struct ship_lag *l)
{
	uint64_t now = clock_wall_ns();

	if (l->files == 0 || l->oldest_ns == 0 || now < l->oldest_ns)
		return 0;
	return (now - l->oldest_ns) / UINT64_C(1000000000);
}

void
ship_note(struct ship *s, bool now)
{
	uint64_t mono = clock_mono_ns(), wall = clock_wall_ns();
	uint32_t wait_ms = ship_back_ms(s);
	char name[UUID_TEXT + 8], text[UUID_TEXT];
	struct note n = {.count = 0};

	if (!now && mono < s->note_ns)
		return;
	s->note_ns = mono + INTERVAL_NS;
	add_text(&n, "state", state_of(s));
	add_text(&n, "error",
	    s->trouble.kind != ERR_NONE ? s->trouble.text : s->ack_trouble);
	add_ack(&n, s);
	add_number(&n, "sent", s->sent);
	add_number(&n, "sealed", s->lag.newest);
	add_number(&n, "lag_files", s->lag.files);
	add_number(&n, "lag_bytes", s->lag.bytes);
	add_number(&n, "lag_seconds", lag_seconds(&s->lag));
	add_number(&n, "oldest_ns", s->lag.files > 0 ? s->lag.oldest_ns : 0);
	add_number(&n, "attempts", s->backoff.attempts);
	add_number(
	    &n, "next_retry", wait_ms > 0 ? wall + wait_ms * NS_PER_MS : 0);
	add_number(&n, "updated_ns", wall);
	(void)snprintf(name, sizeof(name), "%s.ship",
	    uuid_text(&s->destination.uuid, text));
	/* Status only: the next one will say it. */
	(void)!note_write(s->home, name, n.pairs, n.count, NULL);
}
