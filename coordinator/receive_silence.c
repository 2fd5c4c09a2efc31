/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receive_silence: a source speaks at least at every heartbeat, so one from
 * which nothing has come for long is down, or cannot reach us. How long is
 * judged by our own monotonic clock alone (design 9.17), and only a file that
 * continues the chain is a word of the source's: all else anybody may send.
 *
 * The alarm lasts until the next such file, also when this process is started
 * again meanwhile: the note says so.
 */
#include "coordinator/receive.h"

#include "common/clock.h"
#include "common/log.h"
#include "coordinator/backoff.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ALARM "alarm silence raised: "
#define CLEAR "alarm silence cleared: "

void
receive_silence_begin(struct receive *r)
{
	char name[UUID_TEXT + 8], mirror[UUID_TEXT], since[24];

	r->heard_ns = clock_mono_ns();
	(void)snprintf(name, sizeof(name), "%s.recv",
	    uuid_text(&r->stage.mirror.uuid, mirror));
	if (r->stage.mirror.alarm_ms != 0 &&
	    note_read(
		r->stage.home, name, "silent_since_ns", since, sizeof(since)))
		r->silent_since_ns = strtoull(since, NULL, 10);
}

void
receive_heard(struct receive *r)
{
	r->heard_ns = clock_mono_ns();
	if (r->silent_since_ns == 0)
		return;
	r->silent_since_ns = 0;
	(void)snprintf(r->event, sizeof(r->event),
	    CLEAR "the source's site %s is heard again",
	    r->stage.mirror.source_site_name);
	log_info("%s", r->event);
}

void
receive_silence_look(struct receive *r)
{
	const struct mirror_config *m = &r->stage.mirror;
	uint64_t now = clock_mono_ns(), silent = now - r->heard_ns;

	/* Who does not listen, or waits for a first base, hears nothing. */
	if (m->fetch_paused || position_is_nil(&r->tip))
		r->heard_ns = now;
	if (m->alarm_ms == 0 || r->silent_since_ns != 0 || m->fetch_paused ||
	    position_is_nil(&r->tip) || silent < m->alarm_ms * NS_PER_MS)
		return;
	r->silent_since_ns = clock_wall_ns() - silent;
	(void)snprintf(r->event, sizeof(r->event),
	    ALARM "no word from the source's site %s for %" PRIu64 " s",
	    m->source_site_name, silent / UINT64_C(1000000000));
	log_error("%s", r->event);
}

const char *
receive_event(struct receive *r)
{
	if (r->event[0] == 0)
		return NULL;
	(void)snprintf(r->told, sizeof(r->told), "%s", r->event);
	r->event[0] = 0;
	return r->told;
}
