/* SPDX-License-Identifier: Apache-2.0 */
/* source_note: what the source role tells whoever asks for status. */
#include "coordinator/source.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INTERVAL_NS UINT64_C(250000000)
#define PAIRS 40

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
state_of(const struct source *s, const struct capture_status *st)
{
	bool base = false, any = false;
	uint32_t i;

	if (st->mode == CAPTURE_PASSTHROUGH && !st->needs_recovery)
		return "passthrough";
	if (s->must_break || s->breaking || st->needs_recovery)
		return "unclean";
	if (st->suspect)
		return "suspect";
	for (i = 0; i < s->count; i++) {
		const struct job *j = &s->jobs[i];

		any = any || j->state != JOB_NONE;
		if (j->state != JOB_QUEUED && j->state != JOB_RUNNING)
			continue;
		if (j->kind == COPYIN_RECOVERY)
			return "unclean";
		base = true;
	}
	if (source_trouble(s) != NULL)
		return "stalled";
	if (base)
		return "base";
	return any ? "streaming" : "unprotected";
}

static const char *
mode_name(enum capture_mode m)
{
	switch (m) {
	case CAPTURE_ON:
		return "on";
	case CAPTURE_PASSTHROUGH:
		return "passthrough";
	case CAPTURE_OFF:
		break;
	}
	return "off";
}

static void
add_positions(struct note *n, struct source *s, const struct capture_status *st)
{
	add_number(n, "captured", st->completed);
	add_number(n, "reserved", st->reserved);
	add_number(n, "sealed", s->tip.at.last);
	add_number(n, "sealed_time_ns", s->tip.last_time_ns);
	add_number(n, "epoch", s->tip.at.epoch_number);
	add_number(n, "sequence", s->tip.at.sequence);
	add_number(n, "oldest", s->oldest.first);
	add_number(n, "files", s->files);
	add_number(n, "unsealed_bytes", st->unsealed_bytes);
	add_number(n, "unsealed_ns", st->oldest_unsealed_ns);
	add_number(n, "spool_bytes", s->spool_bytes);
	add_number(n, "spool_limit", s->group.spool_limit);
	add_number(n, "waiting", st->waiting);
}

void
source_note(struct source *s, bool now)
{
	const struct err *trouble = source_trouble(s);
	const struct job *j = copyin_running(s);
	uint64_t mono = clock_mono_ns();
	struct capture_status st = {.mode = CAPTURE_OFF};
	char name[UUID_TEXT + 8], text[UUID_TEXT];
	struct note n = {.count = 0};
	const char *state;

	if (!now && mono < s->note_ns)
		return;
	s->note_ns = mono + INTERVAL_NS;
	if (s->capture != NULL)
		capture_status(s->capture, &st);
	state = state_of(s, &st);
	add_text(&n, "state", state);
	/* Once all is copied in again it is history. */
	add_text(
	    &n, "reason", strcmp(state, "unclean") == 0 ? s->break_reason : "");
	add_text(&n, "trouble", trouble == NULL ? "" : trouble->text);
	add_text(&n, "mode", mode_name(st.mode));
	add_positions(&n, s, &st);
	add_number(&n, "spool_level", s->spool.level);
	add_number(&n, "spool_old", s->spool.old);
	add_number(&n, "attached", st.attached);
	add_number(&n, "unclean", st.unclean);
	add_number(&n, "break", s->breaking || s->must_break);
	add_number(&n, "copyin", j != NULL);
	add_number(&n, "copyin_percent", copyin_percent(s));
	add_number(&n, "copyin_begin", j == NULL ? 0 : j->begin);
	add_text(&n, "compare", copyin_compare_state(s));
	add_number(&n, "equal_bytes", s->comparing.equal);
	add_number(&n, "copied_bytes", s->comparing.copied);
	add_number(&n, "heartbeat_ns", s->heartbeat_wall_ns);
	add_number(&n, "updated_ns", clock_wall_ns());
	(void)snprintf(
	    name, sizeof(name), "%s.source", uuid_text(&s->group.uuid, text));
	/* Status only: the next one will say it. */
	(void)!note_write(s->home, name, n.pairs, n.count, NULL);
}
