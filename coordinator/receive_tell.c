/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the receiver says: the acknowledgement for the source, and the note
 * state/<mirror>.recv for status: state, received, applied, consistent,
 * reason, quarantined, refused, duplicates, gap, spool_files, spool_bytes,
 * silent_since_ns.
 */
#include "coordinator/receive.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool
is_paused(const struct receive *r)
{
	return r->stage.mirror.fetch_paused || r->stage.mirror.apply_paused;
}

static bool
is_gap(const struct receive *r)
{
	return r->gap_since_ns != 0 &&
	       clock_mono_ns() - r->gap_since_ns >= r->gap_alarm_ns;
}

static enum ack_state
state_of(const struct receive *r)
{
	const struct mirror_state *s = &r->state;

	if (s->phase == MIRROR_SUSPECT)
		return ACK_SUSPECT;
	if (r->stall[0] != '\0' || s->reason[0] != '\0' || is_gap(r))
		return ACK_STALLED;
	if (is_paused(r))
		return ACK_PAUSED;
	if (position_is_nil(&r->tip))
		return ACK_EMPTY;
	if (r->stage.mirror.relay)
		return ACK_STREAMING;
	if (s->staging)
		return ACK_STAGING;
	return s->consistent ? ACK_STREAMING : ACK_INCONSISTENT;
}

static void
reason_of(const struct receive *r, char *out, size_t room)
{
	struct chain_name next[2];
	char name[JOURNAL_NAME_LEN];

	out[0] = '\0';
	if (r->state.reason[0] != '\0') {
		(void)snprintf(out, room, "%s", r->state.reason);
	} else if (r->stall[0] != '\0') {
		(void)snprintf(out, room, "%s", r->stall);
	} else if (is_gap(r)) {
		chain_expected(&r->tip, next);
		(void)snprintf(out, room,
		    "%s is missing, later files are here: send it again",
		    journal_name(next[0].epoch_number, next[0].sequence, name));
	} else if (is_paused(r)) {
		(void)snprintf(out, room, "paused here: %s",
		    r->stage.mirror.fetch_paused ? "receiving" : "applying");
	}
}

static void
fill(const struct receive *r, struct ack *a)
{
	const struct mirror_state *s = &r->state;
	uint64_t free_bytes = 0;

	memset(a, 0, sizeof(*a));
	a->stream = r->stage.mirror.stream;
	a->group = r->stage.mirror.group;
	a->mirror = r->stage.mirror.uuid;
	a->mirror_site = r->stage.home->site;
	a->source_site = r->stage.mirror.source_site;
	a->state = state_of(r);
	a->consistent = s->consistent && s->phase != MIRROR_SUSPECT;
	a->at_rest = s->phase == MIRROR_CLEAN;
	a->stored = r->stored;
	if (io_free_bytes(r->stage.stage, &free_bytes, NULL) == 0)
		a->free_bytes = free_bytes;
	reason_of(r, a->reason, sizeof(a->reason));
	if (r->stage.mirror.relay)
		return; /* it has no redriver */
	/* The redriver syncs before it says applied. */
	a->applied = s->clean;
	a->durable = s->clean;
	a->applied_time_ns = s->applied_time_ns;
	a->done_count = s->done_count;
	memcpy(a->done, s->done, sizeof(a->done));
}

static int
note(struct receive *r, const struct ack *a, struct err *e)
{
	char mirror[UUID_TEXT], name[UUID_TEXT + 8], all[sizeof(r->note)];
	char received[24], applied[24], quarantined[24], duplicates[24];
	char files[24], bytes[24], silent[24];
	struct note_pair pairs[] = {
	    {"state", ack_state_name(a->state)},
	    {"received", received},
	    {"applied", applied},
	    {"consistent", a->consistent ? "yes" : "no"},
	    {"reason", a->reason},
	    {"quarantined", quarantined},
	    {"refused", r->refused},
	    {"duplicates", duplicates},
	    {"gap", is_gap(r) ? "yes" : "no"},
	    {"spool_files", files},
	    {"spool_bytes", bytes},
	    {"silent_since_ns", silent},
	};

	(void)snprintf(received, sizeof(received), "%" PRIu64, r->stored.last);
	(void)snprintf(applied, sizeof(applied), "%" PRIu64, a->applied.last);
	(void)snprintf(
	    quarantined, sizeof(quarantined), "%" PRIu64, r->quarantined);
	(void)snprintf(
	    duplicates, sizeof(duplicates), "%" PRIu64, r->duplicates);
	(void)snprintf(files, sizeof(files), "%" PRIu64,
	    r->forward == NULL ? 0 : r->forward->files);
	(void)snprintf(bytes, sizeof(bytes), "%" PRIu64,
	    r->forward == NULL ? 0 : r->forward->bytes);
	(void)snprintf(silent, sizeof(silent), "%" PRIu64, r->silent_since_ns);
	(void)snprintf(all, sizeof(all), "%d %s %s %d %s %s %s %s %d %s %s",
	    (int)a->state, received, applied, a->consistent, a->reason,
	    quarantined, duplicates, r->refused, is_gap(r), bytes, silent);
	if (strcmp(all, r->note) == 0)
		return 0;
	(void)snprintf(name, sizeof(name), "%s.recv",
	    uuid_text(&r->stage.mirror.uuid, mirror));
	if (note_write(r->stage.home, name, pairs,
		sizeof(pairs) / sizeof(pairs[0]), e) < 0)
		return -1;
	memcpy(r->note, all, sizeof(all));
	return 0;
}

/* What was loaded may be old by now: the redriver may have begun. */
static bool
is_state_of_now(const struct receive *r)
{
	struct mirror_state now;

	return mirror_state_load(
		   r->stage.home, &r->stage.mirror.uuid, &now, NULL) == 0 &&
	       now.generation == r->state.generation;
}

int
receive_tell(struct receive *r, struct err *e)
{
	struct ack a;

	receive_silence_look(r);
	fill(r, &a);
	if (publisher_is_due(&r->publisher, &a)) {
		a.at_rest = a.at_rest && is_state_of_now(r);
		if (publisher_put(&r->publisher, &a, e) < 0)
			return -1;
	}
	return note(r, &a, e);
}

/*
 * Only what is durable under its name in stage/ is acknowledged, and only what
 * is acknowledged is removed from incoming/ (R4).
 */
int
receive_settle(struct receive *r, struct err *e)
{
	uint32_t i;

	if (r->pending_count > 0 &&
	    io_fsync(r->stage.stage, "the folder of staged files", e) < 0)
		return -1;
	r->stored = r->tip;
	if (receive_tell(r, e) < 0)
		return -1;
	for (i = 0; i < r->pending_count; i++)
		if (sys_unlink(incoming_dir(r->in), r->pending[i]) < 0 &&
		    errno != ENOENT)
			log_warn("%s is received but cannot be removed from "
				 "the incoming folder: %s",
			    r->pending[i], strerror(errno));
	r->pending_count = 0;
	return 0;
}
