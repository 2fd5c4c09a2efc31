/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_spool: an alarm before the spool is full, at each of the operator's
 * thresholds (in percent of the limit), and one when what waits is older than
 * it should ever be. It is cleared once the spool is clearly below the lowest
 * threshold, and nothing that old waits.
 *
 * What was raised is in the role's note, so that it is not raised again when
 * the role is begun anew.
 */
#include "coordinator/source.h"

#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_NS UINT64_C(500000000)
/* So far below a threshold it is left. */
#define SLACK_PERCENT 5u
#define NS UINT64_C(1000000000)

void
spool_open(struct source *s)
{
	char name[UUID_TEXT + 8], text[UUID_TEXT], value[24];

	(void)snprintf(
	    name, sizeof(name), "%s.source", uuid_text(&s->group.uuid, text));
	if (note_read(s->home, name, "spool_level", value, sizeof(value)))
		s->spool.level = (uint32_t)strtoul(value, NULL, 10);
	if (note_read(s->home, name, "spool_old", value, sizeof(value)))
		s->spool.old = value[0] == '1';
	if (s->spool.level > s->group.spool_warn.count)
		s->spool.level = s->group.spool_warn.count;
}

/* Of the limit, which there is. */
static uint32_t
percent(const struct source *s)
{
	double part =
	    (double)source_spool(s) / (double)s->group.spool_limit * 100;

	return part < 1000 ? (uint32_t)part : 1000;
}

/* How many thresholds are reached; one that was is left only below it. */
static uint32_t
level_of(const struct source *s, uint32_t now)
{
	const struct spool_warn *w = &s->group.spool_warn;
	uint32_t n = 0;

	while (n < w->count &&
	       now + (n < s->spool.level ? SLACK_PERCENT : 0) >= w->percent[n])
		n++;
	return n;
}

/* By the wall clock, as the file says; a clock that was set back makes nothing
 * old. */
static uint64_t
oldest_s(const struct source *s)
{
	uint64_t now = clock_wall_ns();

	if (source_spool(s) == 0 || s->files == 0 ||
	    now <= s->oldest.first_time_ns)
		return 0;
	return (now - s->oldest.first_time_ns) / NS;
}

static void
tell(struct source *s)
{
	log_warn("group %s: %s", s->group.name, s->spool.event);
}

static void
look_at_bytes(struct source *s)
{
	uint32_t now, level;

	if (s->group.spool_limit == 0)
		return;
	now = percent(s);
	level = level_of(s, now);
	if (level > s->spool.level) {
		(void)snprintf(s->spool.event, sizeof(s->spool.event),
		    "alarm spool raised: %u %% of the spool limit are in use, "
		    "by what mirrors have not acknowledged",
		    now);
		tell(s);
	}
	s->spool.level = level;
}

static void
look_at_age(struct source *s)
{
	uint64_t age = oldest_s(s), most = s->group.spool_warn.age_s;
	bool old = most != 0 && age >= most;

	if (old && !s->spool.old) {
		(void)snprintf(s->spool.event, sizeof(s->spool.event),
		    "alarm spool raised: what was written %" PRIu64 " s ago "
		    "still waits for mirrors",
		    age);
		tell(s);
	}
	s->spool.old = old;
}

void
spool_step(struct source *s)
{
	bool was = s->spool.level > 0 || s->spool.old;
	uint64_t mono = clock_mono_ns();

	if (mono < s->spool.next_ns || s->tip_unsure)
		return;
	s->spool.next_ns = mono + INTERVAL_NS;
	look_at_bytes(s);
	look_at_age(s);
	if (!was || s->spool.level > 0 || s->spool.old)
		return;
	(void)snprintf(s->spool.event, sizeof(s->spool.event),
	    "alarm spool cleared: the spool is below its thresholds again");
	tell(s);
}

const char *
spool_event(struct source *s)
{
	if (s->spool.event[0] == 0)
		return NULL;
	(void)snprintf(
	    s->spool.told, sizeof(s->spool.told), "%s", s->spool.event);
	s->spool.event[0] = 0;
	return s->spool.told;
}
