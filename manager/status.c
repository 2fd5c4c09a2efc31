/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/status.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "coordinator/ack_store.h"
#include "coordinator/carry.h"
#include "coordinator/lease.h"
#include "coordinator/sealed.h"
#include "manager/client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEARTBEATS_MISSED 3
#define HEARTBEAT_MS 30000u /* of a source that is not here */

const char *
status_state_name(enum status_state s)
{
	static const char *const names[] = {"streaming", "unprotected",
	    "paused", "base", "stalled", "inconsistent", "unclean",
	    "passthrough", "suspect"};

	return (size_t)s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}

static void
say(char reason[REASON_LIMIT], const char *text)
{
	(void)snprintf(reason, REASON_LIMIT, "%.*s", REASON_LIMIT - 1, text);
}

int
status_ack(struct home *h, const struct destination_config *d, struct ack *out,
    struct err *e)
{
	return ack_load(h, d, out, e);
}

/* A value of a role's note. */
static bool
note_of(struct home *h, const struct uuid *subject, const char *suffix,
    const char *key, char *out, size_t room)
{
	char name[UUID_TEXT + 16], uuid[UUID_TEXT];

	(void)snprintf(
	    name, sizeof(name), "%s.%s", uuid_text(subject, uuid), suffix);
	return note_read(h, name, key, out, room);
}

/* ---- a destination ---- */

static double
seconds_since(uint64_t wall_ns)
{
	uint64_t now = clock_wall_ns();

	return wall_ns == 0 || now <= wall_ns ? 0
					      : (double)(now - wall_ns) / 1e9;
}

/* The file that the acknowledgement is kept in is replaced with each. */
static double
ack_age(struct home *h, const struct destination_config *d)
{
	char name[UUID_TEXT + 8], uuid[UUID_TEXT];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s.ack", uuid_text(&d->uuid, uuid));
	if (fstatat(h->state, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return seconds_since((uint64_t)st.st_mtim.tv_sec * 1000000000u +
			     (uint64_t)st.st_mtim.tv_nsec);
}

/* This file and all that follow it. */
static int
add_files(struct sealed *folder, struct sealed_file *f,
    struct status_destination *d, uint64_t *oldest_ns, struct err *e)
{
	int more = 1;

	while (more > 0) {
		if (*oldest_ns == 0)
			*oldest_ns = f->first_time_ns;
		d->lag_bytes += f->file_len;
		d->lag_files++;
		more = sealed_after(
		    folder, f->at.epoch_number, f->at.sequence, f, e);
	}
	return more;
}

/* The group's own files that are not yet part of a projection. */
static int
add_unprojected(struct home *h, const struct status_group *g,
    struct status_destination *d, uint64_t *oldest_ns, struct err *e)
{
	AUTO(sealed_close) struct sealed folder = {.dir = -1};
	const struct position *upto = &d->projected.upto;
	struct sealed_file f;
	int more;

	if (d->projection == NULL || upto->sequence == 0)
		return 0;
	if (sealed_open(h, &g->source->stream, &folder, e) < 0)
		return -1;
	more = sealed_after(&folder, upto->epoch_number, upto->sequence, &f, e);
	return more > 0 ? add_files(&folder, &f, d, oldest_ns, e) : more;
}

/* All files behind the applied position, and what is not yet sealed; at a
 * relay, or of one, those that are not stored there. */
static int
measure_lag(struct home *h, const struct status_group *g,
    struct status_destination *d, struct err *e)
{
	AUTO(sealed_close) struct sealed folder = {.dir = -1};
	struct sealed_ends ends = {0};
	struct sealed_file f;
	bool relay = d->config->relay[0] != 0 || d->config->forward;
	const struct position *at = relay ? &d->ack.stored : &d->ack.applied;
	uint64_t oldest_ns = 0;
	int more = 0;

	if (g->source != NULL &&
	    (relay ? d->stored : d->applied) >= g->capture.completed)
		return 0;
	if (sealed_open(h, &d->config->stream, &folder, e) < 0 ||
	    sealed_list(&folder, false, &ends, e) < 0)
		return -1;
	if (ends.count > 0)
		more = position_is_nil(at) || !d->acked
			   ? sealed_look(&folder, ends.oldest_epoch,
				 ends.oldest_sequence, &f, e)
			   : sealed_after(&folder, at->epoch_number,
				 at->sequence, &f, e);
	if (more < 0 ||
	    (more > 0 && add_files(&folder, &f, d, &oldest_ns, e) < 0) ||
	    add_unprojected(h, g, d, &oldest_ns, e) < 0)
		return -1;
	if (g->source != NULL && g->capture.completed > g->capture.sealed) {
		d->lag_bytes += g->capture.unsealed_bytes;
		if (oldest_ns == 0)
			oldest_ns = g->capture.oldest_unsealed_ns;
	}
	d->lag_seconds = seconds_since(oldest_ns);
	return 0;
}

static enum status_state
state_of_ack(const struct ack *a)
{
	switch (a->state) {
	case ACK_SUSPECT:
		return STATUS_SUSPECT;
	case ACK_STALLED:
		return STATUS_STALLED;
	case ACK_PAUSED:
		return STATUS_PAUSED;
	case ACK_STAGING:
		return STATUS_UNCLEAN;
	case ACK_STREAMING:
		return a->consistent ? STATUS_STREAMING : STATUS_INCONSISTENT;
	case ACK_INCONSISTENT:
		return STATUS_INCONSISTENT;
	case ACK_EMPTY:
		return STATUS_UNPROTECTED;
	}
	return STATUS_INCONSISTENT;
}

/* It has no image that could be consistent. */
static enum status_state
state_of_relay(const struct ack *a)
{
	if (a->state == ACK_STREAMING)
		return STATUS_STREAMING;
	return a->state == ACK_EMPTY ? STATUS_BASE : state_of_ack(a);
}

/* A copy-in that has not arrived as a whole says more than "inconsistent". */
static enum status_state
state_with_job(enum status_state s, const struct job *j, uint64_t applied)
{
	bool active = j->state == JOB_QUEUED || j->state == JOB_RUNNING ||
		      (j->state == JOB_DONE && applied < j->end);

	if (s != STATUS_UNPROTECTED && s != STATUS_INCONSISTENT &&
	    !(active && s == STATUS_STREAMING))
		return s;
	if (active || (j->state == JOB_DONE && s == STATUS_UNPROTECTED))
		return j->kind == COPYIN_RECOVERY ? STATUS_UNCLEAN
						  : STATUS_BASE;
	if (j->state == JOB_DONE && s == STATUS_INCONSISTENT)
		return STATUS_BASE;
	return s;
}

/* What the shipper has met. */
static void
look_at_ship(
    struct home *h, struct status_destination *d, const struct status *s)
{
	char text[REASON_LIMIT];

	if (note_of(h, &d->config->uuid, "ship", "error", text, sizeof(text)) &&
	    text[0] != 0) {
		if (d->state < STATUS_STALLED)
			d->state = STATUS_STALLED;
		say(d->reason, text);
	}
	if (d->projected.error[0] != 0) {
		if (d->state < STATUS_STALLED)
			d->state = STATUS_STALLED;
		say(d->reason, d->projected.error);
	}
	if (!s->coordinated && d->state != STATUS_UNPROTECTED &&
	    d->reason[0] == 0)
		say(d->reason, "no coordinator is running here");
}

/* Silence is a fault: both sites speak at every heartbeat. */
static void
look_at_silence(uint32_t heartbeat_ms, struct status_destination *d)
{
	double most = HEARTBEATS_MISSED * (double)heartbeat_ms / 1000;

	if (!d->acked || d->state != STATUS_STREAMING || d->ack_age <= most ||
	    strcmp(d->config->url, CARRY_URL) == 0)
		return;
	d->state = STATUS_STALLED;
	(void)snprintf(d->reason, sizeof(d->reason),
	    "no word from the mirror's site for %.0f s", d->ack_age);
}

static void
collect_ack(struct home *h, struct status_destination *d)
{
	struct err e = {0};
	int got = status_ack(h, d->config, &d->ack, &e);
	bool relay = d->config->relay[0] != 0;

	d->acked = got > 0;
	d->state = relay ? STATUS_BASE : STATUS_UNPROTECTED;
	if (got < 0)
		say(d->reason, e.text);
	if (d->acked) {
		d->stored = d->ack.stored.last;
		d->applied = d->ack.applied.last;
		d->ack_age = ack_age(h, d->config);
		d->state =
		    relay ? state_of_relay(&d->ack) : state_of_ack(&d->ack);
		if (d->ack.reason[0] != 0)
			(void)snprintf(d->reason, sizeof(d->reason),
			    "site %s: %s", d->config->mirror_site_name,
			    d->ack.reason);
	}
	if (d->config->url[0] == 0)
		(void)snprintf(d->reason, sizeof(d->reason),
		    "it lies behind '%s', which is not there any more",
		    d->config->via);
}

static void
collect_destination(struct home *h, const struct status *s,
    struct status_group *g, struct status_destination *d)
{
	struct err e = {0};

	d->projection = snapshot_projection_of(&s->config, &d->config->stream);
	if (d->projection != NULL)
		projection_note_read(h, &d->config->stream, &d->projected);
	d->distance_km = distance_km(&s->config.location, &d->config->location);
	collect_ack(h, d);
	if (job_load(h, &d->config->uuid, &d->job, &e) < 0)
		say(d->reason, e.text);
	d->state = state_with_job(d->state, &d->job, d->applied);
	look_at_silence(
	    g->source != NULL ? g->source->heartbeat_ms : HEARTBEAT_MS, d);
	look_at_ship(h, d, s);
	if (d->config->paused && d->state < STATUS_STALLED) {
		d->state = STATUS_PAUSED;
		say(d->reason, "paused here by the operator");
	}
	if (measure_lag(h, g, d, &e) < 0 && d->reason[0] == 0)
		say(d->reason, e.text);
}

/* ---- a source ---- */

static void
count_sealed(struct home *h, struct status_group *g)
{
	AUTO(sealed_close) struct sealed folder = {.dir = -1};
	struct sealed_ends ends = {0};
	struct err e = {0};

	if (sealed_open(h, &g->source->stream, &folder, &e) < 0 ||
	    sealed_list(&folder, false, &ends, &e) < 0) {
		say(g->reason, e.text);
		return;
	}
	g->sealed_files = ends.count;
	g->epoch = ends.count > 0 ? ends.newest_epoch : 0;
}

static bool
look_at_capture(struct home *h, struct status_group *g)
{
	struct capture *c;
	struct err e = {0};

	if (capture_attach(h->path, &g->source->uuid, CAPTURE_INSPECT, &c, &e) <
	    0) {
		say(g->reason, e.text);
		return false;
	}
	capture_status(c, &g->capture);
	capture_detach(c);
	return true;
}

static void
worse(struct status_group *g, enum status_state s, const char *why)
{
	if (s <= g->state && g->state != STATUS_STREAMING)
		return;
	if (s == STATUS_STREAMING)
		return;
	g->state = s;
	if (why[0] != 0)
		say(g->reason, why);
}

/* What becomes of writes now. */
static const char *
buffer_of(struct home *h, const struct status_group *g)
{
	const struct capture_status *c = &g->capture;
	char name[UUID_TEXT + 8], uuid[UUID_TEXT];

	if (c->mode == CAPTURE_OFF)
		return "off";
	if (c->mode == CAPTURE_PASSTHROUGH)
		return "passthrough";
	(void)snprintf(name, sizeof(name), "%s.extents",
	    uuid_text(&g->source->uuid, uuid));
	if (faccessat(h->state, name, F_OK, 0) == 0)
		return "recovering";
	if (c->waiting > 0 ||
	    (c->spool_limit != 0 && c->spool_bytes >= c->spool_limit))
		return "no buffer";
	return "active";
}

/* What the recovery under way, or the last one, has compared. */
static void
read_compare(struct home *h, struct status_group *g)
{
	const struct uuid *of = &g->source->uuid;
	struct status_compare *c = &g->compare;
	char text[32];

	if (!note_of(h, of, "source", "compare", c->state, sizeof(c->state)))
		c->state[0] = 0;
	if (note_of(h, of, "source", "equal_bytes", text, sizeof(text)))
		c->equal = strtoull(text, NULL, 10);
	if (note_of(h, of, "source", "copied_bytes", text, sizeof(text)))
		c->copied = strtoull(text, NULL, 10);
}

static void
judge_source(struct home *h, struct status_group *g)
{
	char text[REASON_LIMIT];

	(void)snprintf(g->buffer, sizeof(g->buffer), "%s", buffer_of(h, g));
	read_compare(h, g);
	if (g->capture.needs_redo)
		worse(g, STATUS_UNCLEAN,
		    "a volume served by nbdkit with commit=wal is to be redone "
		    "from its log: start that nbdkit");
	if (note_of(
		h, &g->source->uuid, "source", "reason", text, sizeof(text)) &&
	    text[0] != 0)
		worse(g, STATUS_UNCLEAN, text);
	if (note_of(
		h, &g->source->uuid, "source", "trouble", text, sizeof(text)) &&
	    text[0] != 0)
		worse(g, STATUS_STALLED, text);
	if (g->capture.lost)
		worse(g, STATUS_UNCLEAN,
		    "the group's files under active/ were lost or damaged, and "
		    "made anew");
	else if (g->capture.needs_recovery)
		worse(g, STATUS_UNCLEAN,
		    "the host went down while programs were writing");
	else if (g->capture.mode == CAPTURE_PASSTHROUGH)
		worse(g, STATUS_PASSTHROUGH,
		    "the spool was full: writes are not captured, what they "
		    "change is remembered and will be copied in; mirrors keep "
		    "their image");
	if (g->capture.suspect)
		worse(g, STATUS_SUSPECT,
		    "a flush of a volume failed, or a write could not be "
		    "read back");
	if (g->capture.waiting > 0 && g->reason[0] == 0)
		say(g->reason, "the spool is full: writers wait");
	status_commit_judge(g);
	if (note_of(h, &g->source->uuid, "source", "spool_level", text,
		sizeof(text)))
		g->spool_alarm = text[0] != '0';
	if (note_of(
		h, &g->source->uuid, "source", "spool_old", text, sizeof(text)))
		g->spool_alarm = g->spool_alarm || text[0] == '1';
	if (g->spool_alarm && g->reason[0] == 0)
		say(g->reason, "ALARM: the spool fills up, or old things wait "
			       "in it");
}

static void
advise_source(const struct status *s, struct status_group *g)
{
	char word[SHELL_WORD];
	const char *home = shell_word(s->home->path, word, sizeof(word));
	const char *what = "";

	for (uint32_t i = 0; i < g->destination_count; i++)
		if (g->destinations[i].state == STATUS_PAUSED &&
		    g->destinations[i].config->paused) {
			(void)snprintf(g->next, sizeof(g->next),
			    "aim-manager --home %s destination resume %s "
			    "--group %s",
			    home, g->destinations[i].config->name, g->name);
			return;
		}
	if (strstr(g->reason, "outside AIM") != NULL ||
	    strstr(g->reason, "makes it anew") != NULL)
		what = "base"; /* it accepts the change, or makes files anew */
	else if (!g->source->exported)
		what = "group export";
	else if (g->destination_count == 0) {
		(void)snprintf(g->next, sizeof(g->next),
		    "aim-manager --home %s destination add NAME --group %s "
		    "--url URL --pairing FILE",
		    home, g->name);
		return;
	} else if (!s->coordinated) {
		(void)snprintf(g->next, sizeof(g->next),
		    "aim-coordinator --home %s", home);
		return;
	} else if (g->state == STATUS_UNPROTECTED ||
		   g->state == STATUS_SUSPECT ||
		   g->state == STATUS_INCONSISTENT)
		what = "base";
	else if (g->state == STATUS_BASE || g->state == STATUS_UNCLEAN ||
		 g->state == STATUS_PASSTHROUGH)
		what = "wait";
	if (what[0] != 0)
		(void)snprintf(g->next, sizeof(g->next),
		    "aim-manager --home %s %s %s", home, what, g->name);
}

static int
collect_destinations(struct home *h, struct status *s, struct status_group *g,
    const struct uuid *owner, struct err *e)
{
	const struct destination_config *d;
	uint32_t count;

	d = snapshot_destinations(&s->config, owner, &count);
	g->destinations = calloc((size_t)count + 1, sizeof(*g->destinations));
	if (g->destinations == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	g->destination_count = count;
	for (uint32_t i = 0; i < count; i++) {
		g->destinations[i].config = &d[i];
		collect_destination(h, s, g, &g->destinations[i]);
	}
	return 0;
}

static int
collect_source(struct home *h, struct status *s, struct status_group *g,
    const struct group_config *c, struct err *e)
{
	g->name = c->name;
	g->source = c;
	if (!look_at_capture(h, g))
		g->state = STATUS_STALLED;
	count_sealed(h, g);
	if (collect_destinations(h, s, g, &c->uuid, e) < 0)
		return -1;
	for (uint32_t i = 0; i < g->destination_count; i++)
		worse(g, g->destinations[i].state, g->destinations[i].reason);
	if (g->destination_count == 0)
		worse(g, STATUS_UNPROTECTED, "it has no destination yet");
	judge_source(h, g);
	status_log_collect(h, g);
	if (!status_log_advise(s, g))
		advise_source(s, g);
	return 0;
}

/* ---- a mirror ---- */

int
status_received(struct home *h, const struct mirror_config *m,
    const struct mirror_state *s, uint64_t *out, struct err *e)
{
	char text[32], *end;
	unsigned long long n;

	*out = s->clean.last;
	if (s->phase == MIRROR_APPLYING && s->target.last > *out)
		*out = s->target.last;
	if (!note_of(h, &m->uuid, "recv", "received", text, sizeof(text)))
		return 0;
	n = strtoull(text, &end, 10);
	if (end == text || *end != 0)
		return err_set(
		    e, ERR_CORRUPT, "state/<mirror>.recv is damaged");
	if (n > *out)
		*out = n;
	return 0;
}

static enum status_state
state_of_mirror(const struct mirror_config *m, const struct mirror_state *s)
{
	if (s->phase == MIRROR_SUSPECT)
		return STATUS_SUSPECT;
	if (s->reason[0] != 0)
		return STATUS_STALLED;
	if (s->phase == MIRROR_EMPTY)
		return STATUS_UNPROTECTED;
	if (!s->consistent)
		return STATUS_INCONSISTENT;
	if (m->fetch_paused || m->apply_paused)
		return STATUS_PAUSED;
	return s->staging ? STATUS_UNCLEAN : STATUS_STREAMING;
}

/* A relay's state is only where it stands. */
static enum status_state
state_of_site(const struct mirror_config *m, const struct status_group *g)
{
	if (g->received == 0)
		return STATUS_UNPROTECTED;
	return m->fetch_paused ? STATUS_PAUSED : STATUS_STREAMING;
}

/* The roles know more than the state: gaps, quarantine, full disks. */
static void
look_at_notes(struct home *h, struct status_group *g)
{
	static const char *const notes[] = {"apply", "recv"};
	char state[32], text[REASON_LIMIT];

	for (size_t i = 0; i < 2; i++) {
		if (note_of(h, &g->mirror->uuid, notes[i], "state", state,
			sizeof(state)) &&
		    strcmp(state, ack_state_name(ACK_STALLED)) == 0 &&
		    note_of(h, &g->mirror->uuid, notes[i], "reason", text,
			sizeof(text)))
			worse(g, STATUS_STALLED, text);
	}
	if (note_of(
		h, &g->mirror->uuid, "recv", "quarantined", text, sizeof(text)))
		g->quarantined = strtoull(text, NULL, 10);
	if (note_of(h, &g->mirror->uuid, "recv", "silent_since_ns", text,
		sizeof(text)))
		g->silent_since_ns = strtoull(text, NULL, 10);
	if (g->silent_since_ns != 0) {
		(void)snprintf(text, sizeof(text),
		    "ALARM: no word from the source's site %s for %.0f s",
		    g->mirror->source_site_name,
		    seconds_since(g->silent_since_ns));
		worse(g, STATUS_STALLED, text);
	}
	if (g->reason[0] == 0 &&
	    note_of(h, &g->mirror->uuid, "recv", "refused", text, sizeof(text)))
		say(g->reason, text);
}

static uint64_t
number_of(struct home *h, const struct status_group *g, const char *note,
    const char *key)
{
	char text[32];

	return note_of(h, &g->mirror->uuid, note, key, text, sizeof(text))
		   ? strtoull(text, NULL, 10)
		   : 0;
}

/* Where it fetches from, and whether that answers. */
static void
look_at_fetch(struct home *h, struct status_group *g)
{
	struct status_fetch *f = &g->fetch;

	if (g->mirror->pull == NULL)
		return;
	f->files = number_of(h, g, "fetch", "files");
	f->bytes = number_of(h, g, "fetch", "bytes");
	f->reached_ns = number_of(h, g, "fetch", "reached_ns");
	f->got_ns = number_of(h, g, "fetch", "got_ns");
	if (!note_of(h, &g->mirror->uuid, "fetch", "error", f->error,
		sizeof(f->error)))
		f->error[0] = 0;
	if (f->error[0] != 0) {
		worse(g, STATUS_STALLED, f->error);
		return;
	}
	if (g->reason[0] != 0 || f->reached_ns == 0)
		return;
	(void)snprintf(g->reason, sizeof(g->reason),
	    "it fetches from %.300s, reached %.0f s ago", g->mirror->pull->url,
	    seconds_since(f->reached_ns));
}

static void
advise_mirror(const struct status *s, struct status_group *g)
{
	char word[SHELL_WORD];
	const char *home = shell_word(s->home->path, word, sizeof(word));

	if (g->mirror->fetch_paused || g->mirror->apply_paused)
		(void)snprintf(g->next, sizeof(g->next),
		    "aim-manager --home %s mirror resume %s", home, g->name);
	else if (!s->coordinated)
		(void)snprintf(g->next, sizeof(g->next),
		    "aim-coordinator --home %s", home);
	else if (g->state == STATUS_UNPROTECTED)
		(void)snprintf(g->next, sizeof(g->next),
		    "at site %s: aim-manager base %s",
		    g->mirror->source_site_name, g->name);
	else if (g->state == STATUS_INCONSISTENT || g->state == STATUS_UNCLEAN)
		(void)snprintf(g->next, sizeof(g->next),
		    "aim-manager --home %s wait %s", home, g->name);
	else if (g->quarantined > 0)
		(void)snprintf(
		    g->next, sizeof(g->next), "ls %s/quarantine", home);
}

/* What a relay, or a mirror that passes files on, says of the hops behind. */
static int
collect_relay(
    struct home *h, struct status *s, struct status_group *g, struct err *e)
{
	const struct mirror_config *m = g->mirror;

	g->spool_files = number_of(h, g, "recv", "spool_files");
	g->spool_bytes = number_of(h, g, "recv", "spool_bytes");
	if (collect_destinations(h, s, g, &m->uuid, e) < 0)
		return -1;
	for (uint32_t i = 0; i < g->destination_count; i++)
		if (m->relay || g->destinations[i].state != STATUS_UNPROTECTED)
			worse(g, g->destinations[i].state,
			    g->destinations[i].reason);
	if (!m->relay || g->destination_count > 0)
		return 0;
	worse(g, STATUS_UNPROTECTED, "it has nowhere to pass files on to");
	(void)snprintf(g->next, sizeof(g->next),
	    "aim-manager --home %s destination add NAME --group %s --url URL "
	    "--pairing FILE",
	    h->path, g->name);
	return 0;
}

static void
collect_mirror(struct home *h, struct status *s, struct status_group *g,
    const struct mirror_config *m)
{
	struct mirror_state state = {.phase = MIRROR_EMPTY};
	struct err e = {0};

	g->name = m->group_name;
	g->mirror = m;
	g->distance_km = distance_km(&s->config.location, &m->location);
	if (mirror_state_load(h, &m->uuid, &state, &e) < 0 ||
	    status_received(h, m, &state, &g->received, &e) < 0) {
		g->state = STATUS_SUSPECT;
		say(g->reason, e.text);
		return;
	}
	g->applied = state.clean.last;
	g->consistent = state.consistent && state.phase != MIRROR_SUSPECT &&
			state.phase != MIRROR_EMPTY;
	g->epoch = state.clean.epoch_number;
	g->state = m->relay ? state_of_site(m, g) : state_of_mirror(m, &state);
	say(g->reason, state.reason);
	if (g->state == STATUS_PAUSED && g->reason[0] == 0)
		say(g->reason, "paused here by the operator");
	if (g->state == STATUS_UNPROTECTED && g->reason[0] == 0)
		say(g->reason, "it waits for a base from the source");
	look_at_notes(h, g);
	look_at_fetch(h, g);
	if (collect_relay(h, s, g, &e) < 0)
		say(g->reason, e.text);
	if (!s->coordinated && g->reason[0] == 0)
		say(g->reason, "no coordinator is running here");
	if (g->next[0] == 0)
		advise_mirror(s, g);
}

/* ---- all ---- */

static int
load_config(struct home *h, struct snapshot *out, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (catalogue_open(h, false, &c, e) < 0)
		return -1;
	return catalogue_load(c, out, e);
}

int
status_collect(struct home *h, struct status *out, struct err *e)
{
	AUTO(status_release) struct status s = {.home = h};
	uint8_t digest[DIGEST_LEN];

	if (load_config(h, &s.config, e) < 0 ||
	    sign_fingerprint(&h->key.pub, digest, e) < 0)
		return -1;
	(void)hex_text(digest, sizeof(digest), s.fingerprint);
	s.coordinated = client_is_coordinated(h);
	if (lease_look(h, &s.fence, &s.standby, NULL) < 0)
		s.fence = 0; /* the next coordinator says why, and mends it */
	s.groups =
	    calloc((size_t)s.config.group_count + s.config.mirror_count + 1,
		sizeof(*s.groups));
	if (s.groups == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (uint32_t i = 0; i < s.config.group_count; i++)
		if (collect_source(h, &s, &s.groups[s.group_count++],
			&s.config.groups[i], e) < 0)
			return -1;
	for (uint32_t i = 0; i < s.config.mirror_count; i++)
		collect_mirror(
		    h, &s, &s.groups[s.group_count++], &s.config.mirrors[i]);
	*out = s;
	memset(&s, 0, sizeof(s));
	return 0;
}

void
status_release(struct status *s)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		free(s->groups[i].destinations);
	free(s->groups);
	snapshot_release(&s->config);
	memset(s, 0, sizeof(*s));
}

struct status_group *
status_group(struct status *s, const char *name)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		if (strcmp(s->groups[i].name, name) == 0)
			return &s->groups[i];
	return NULL;
}
