/* SPDX-License-Identifier: Apache-2.0 */
/* status_json: the contract: fields are only ever added. */
#include "manager/status.h"

#include "common/json.h"

#include <stdio.h>
#include <string.h>

static void
uuid_field(struct json *j, const char *key, const struct uuid *u)
{
	char text[UUID_TEXT];

	json_text(j, key, uuid_text(u, text));
}

/* Null when there is nothing to say. */
static void
maybe_text(struct json *j, const char *key, const char *text)
{
	if (text[0] == 0)
		json_null(j, key);
	else
		json_text(j, key, text);
}

static const char *
mode_name(enum capture_mode mode)
{
	switch (mode) {
	case CAPTURE_OFF:
		return "off";
	case CAPTURE_ON:
		return "on";
	case CAPTURE_PASSTHROUGH:
		return "passthrough";
	}
	return "?";
}

static void
distance(struct json *j, double km)
{
	if (km < 0)
		json_null(j, "distance_km");
	else
		json_real(j, "distance_km", km);
	json_bool(j, "near", km >= 0 && km < DISTANCE_LEAST_KM);
}

static void
job_field(struct json *j, const struct job *job)
{
	static const char *const states[] = {
	    "none", "queued", "running", "done"};

	if (job->state == JOB_NONE) {
		json_null(j, "copyin");
		return;
	}
	json_object(j, "copyin");
	json_text(j, "state", states[job->state]);
	json_text(
	    j, "kind", job->kind == COPYIN_RECOVERY ? "recovery" : "base");
	json_number(j, "begin", job->begin);
	json_number(j, "end", job->end);
	json_number(j, "volume", job->volume);
	json_number(j, "offset", job->off);
	json_object_end(j);
}

/* What it gets in place of all, and what that has saved since it began. */
static void
projection(struct json *j, const struct status_destination *d)
{
	const struct projection_note *n = &d->projected;

	if (d->projection == NULL) {
		json_null(j, "projection");
		return;
	}
	json_object(j, "projection");
	json_text(j, "name", d->projection->name);
	json_text(j, "fold", fold_mode_name(d->projection->fold));
	json_number(j, "projected", n->upto.last);
	json_number(j, "transactions_in", n->transactions_in);
	json_number(j, "transactions_out", n->transactions_out);
	json_number(j, "bytes_in", n->bytes_in);
	json_number(j, "bytes_out", n->bytes_out);
	json_object_end(j);
}

static void
destination(struct json *j, const struct status_destination *d)
{
	json_object(j, NULL);
	json_text(j, "name", d->config->name);
	uuid_field(j, "uuid", &d->config->uuid);
	json_text(j, "state", status_state_name(d->state));
	maybe_text(j, "reason", d->reason);
	json_number(j, "stored", d->stored);
	json_number(j, "applied", d->applied);
	json_bool(j, "consistent", d->acked && d->ack.consistent);
	json_real(j, "lag_seconds", d->lag_seconds);
	json_number(j, "lag_bytes", d->lag_bytes);
	json_number(j, "lag_files", d->lag_files);
	json_text(j, "url", d->config->url);
	json_text(j, "site", d->config->mirror_site_name);
	distance(j, d->distance_km);
	json_bool(j, "paused", d->config->paused);
	json_bool(j, "relay", d->config->relay[0] != 0);
	maybe_text(j, "via", d->config->via);
	if (d->acked) {
		json_text(j, "mirror_state", ack_state_name(d->ack.state));
		json_real(j, "ack_age_seconds", d->ack_age);
		json_number(j, "mirror_free_bytes", d->ack.free_bytes);
	} else {
		json_null(j, "mirror_state");
		json_null(j, "ack_age_seconds");
		json_null(j, "mirror_free_bytes");
	}
	job_field(j, &d->job);
	projection(j, d);
	json_object_end(j);
}

static void
source(struct json *j, const struct status_group *g)
{
	const struct capture_status *c = &g->capture;

	json_number(j, "captured", c->completed);
	json_number(j, "sealed", c->sealed);
	uuid_field(j, "stream", &g->source->stream);
	json_bool(j, "exported", g->source->exported);
	json_text(j, "capture", mode_name(c->mode));
	json_bool(j, "attached", c->attached);
	json_bool(j, "unclean", c->unclean);
	json_number(j, "spool_bytes", c->spool_bytes);
	json_number(j, "spool_limit", g->source->spool_limit);
	json_bool(j, "spool_alarm", g->spool_alarm);
	json_number(j, "waiting_writers", c->waiting);
	json_text(j, "buffer", g->buffer);
	json_number(j, "sealed_files", g->sealed_files);
	json_number(j, "unsealed_bytes", c->unsealed_bytes);
	status_commit_json(j, g);
	json_object(j, "digest");
	maybe_text(j, "state", g->compare.state);
	json_number(j, "equal_bytes", g->compare.equal);
	json_number(j, "copied_bytes", g->compare.copied);
	json_object_end(j);
	json_array(j, "destinations");
	for (uint32_t i = 0; i < g->destination_count; i++)
		destination(j, &g->destinations[i]);
	json_array_end(j);
	status_log_json(j, g);
	json_null(j, "mirror");
	json_null(j, "relay");
}

static void
pull(struct json *j, const struct status_group *g)
{
	const struct status_fetch *f = &g->fetch;

	if (g->mirror->pull == NULL) {
		json_null(j, "pull");
		return;
	}
	json_object(j, "pull");
	json_text(j, "url", g->mirror->pull->url);
	maybe_text(j, "error", f->error);
	json_number(j, "files", f->files);
	json_number(j, "bytes", f->bytes);
	json_number(j, "reached_ns", f->reached_ns);
	json_number(j, "got_ns", f->got_ns);
	json_object_end(j);
}

static void
relay(struct json *j, const struct status_group *g)
{
	json_null(j, "mirror");
	json_object(j, "relay");
	json_number(j, "received", g->received);
	uuid_field(j, "uuid", &g->mirror->uuid);
	json_text(j, "source_site", g->mirror->source_site_name);
	maybe_text(j, "incoming", g->mirror->incoming);
	json_bool(j, "fetch_paused", g->mirror->fetch_paused);
	json_number(j, "spool_files", g->spool_files);
	json_number(j, "spool_bytes", g->spool_bytes);
	json_number(j, "spool_limit", g->mirror->spool_limit);
	json_number(j, "quarantined", g->quarantined);
	json_object_end(j);
}

static void
mirror(struct json *j, const struct status_group *g)
{
	json_number(j, "captured", g->received);
	json_number(j, "sealed", g->received);
	uuid_field(j, "stream", &g->mirror->stream);
	json_array(j, "destinations");
	for (uint32_t i = 0; i < g->destination_count; i++)
		destination(j, &g->destinations[i]);
	json_array_end(j);
	if (g->mirror->relay) {
		relay(j, g);
		return;
	}
	json_object(j, "mirror");
	json_text(j, "state", status_state_name(g->state));
	json_number(j, "received", g->received);
	json_number(j, "applied", g->applied);
	json_bool(j, "consistent", g->consistent);
	uuid_field(j, "uuid", &g->mirror->uuid);
	json_text(j, "source_site", g->mirror->source_site_name);
	distance(j, g->distance_km);
	maybe_text(j, "incoming", g->mirror->incoming);
	pull(j, g);
	json_bool(j, "fetch_paused", g->mirror->fetch_paused);
	json_bool(j, "apply_paused", g->mirror->apply_paused);
	json_number(j, "quarantined", g->quarantined);
	json_real(j, "alarm_after_seconds", g->mirror->alarm_ms / 1000.0);
	json_bool(j, "source_silent", g->silent_since_ns != 0);
	json_number(j, "silent_since_ns", g->silent_since_ns);
	json_object_end(j);
	json_null(j, "relay");
}

static void
group(struct json *j, const struct status_group *g)
{
	json_object(j, NULL);
	json_text(j, "name", g->name);
	uuid_field(j, "uuid",
	    g->source != NULL ? &g->source->uuid : &g->mirror->group);
	json_text(j, "role",
	    g->source != NULL  ? "source"
	    : g->mirror->relay ? "relay"
			       : "mirror");
	json_text(j, "state", status_state_name(g->state));
	maybe_text(j, "reason", g->reason);
	json_number(j, "epoch", g->epoch);
	if (g->source != NULL)
		source(j, g);
	else
		mirror(j, g);
	maybe_text(j, "next", g->next);
	json_object_end(j);
}

int
status_json(const struct status *s, const struct status_group *only,
    struct buf *out, struct err *e)
{
	struct json j = {0};
	char where[LOCATION_TEXT];

	json_object(&j, NULL);
	json_number(&j, "format", 1);
	json_object(&j, "site");
	json_text(&j, "name", s->home->site_name);
	uuid_field(&j, "uuid", &s->home->site);
	json_text(&j, "fingerprint", s->fingerprint);
	json_text(&j, "home", s->home->path);
	maybe_text(&j, "location", location_text(&s->config.location, where));
	json_object_end(&j);
	json_text(&j, "coordinator", s->coordinated ? "running" : "stopped");
	json_number(&j, "fence", s->fence);
	json_bool(&j, "standby", s->standby);
	json_array(&j, "groups");
	for (uint32_t i = 0; i < s->group_count; i++)
		if (only == NULL || only == &s->groups[i])
			group(&j, &s->groups[i]);
	json_array_end(&j);
	json_object_end(&j);
	return json_end(&j, out, e);
}
