/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_list: what is configured, and what was done. */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "coordinator/request.h"
#include "manager/client.h"
#include "manager/command.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char *
kind_name(enum volume_kind kind)
{
	return kind == VOLUME_BLOCK ? "block" : "file";
}

static void
uuid_field(struct json *j, const char *key, const struct uuid *u)
{
	char text[UUID_TEXT];

	json_text(j, key, uuid_text(u, text));
}

static void
volumes_json(struct json *j, const struct group_config *g)
{
	json_array(j, "volumes");
	for (uint32_t i = 0; i < g->volume_count; i++) {
		const struct volume_config *v = &g->volumes[i];

		json_object(j, NULL);
		json_text(j, "name", v->name);
		uuid_field(j, "uuid", &v->uuid);
		json_text(j, "group", g->name);
		json_text(j, "kind", kind_name(v->kind));
		json_number(j, "size", v->size);
		json_text(j, "path", v->path);
		json_object_end(j);
	}
	json_array_end(j);
}

static const char *
policy_name(const struct group_config *g)
{
	switch (g->spool_policy) {
	case CAPTURE_BLOCK:
		return "block";
	case CAPTURE_FAIL:
		return "fail";
	default:
		return "passthrough";
	}
}

static void
groups_json(struct json *j, const struct snapshot *s)
{
	json_array(j, "groups");
	for (uint32_t i = 0; i < s->group_count; i++) {
		const struct group_config *g = &s->groups[i];
		char commit[COMMIT_TEXT];

		json_object(j, NULL);
		json_text(j, "name", g->name);
		uuid_field(j, "uuid", &g->uuid);
		uuid_field(j, "stream", &g->stream);
		json_bool(j, "exported", g->exported);
		json_number(j, "spool_limit", g->spool_limit);
		json_text(j, "spool_policy", policy_name(g));
		json_number(j, "spool_age_seconds", g->spool_warn.age_s);
		json_text(j, "compress", codec_name(g->codec));
		json_number(j, "compress_level", (uint64_t)g->codec_level);
		json_bool(j, "encrypted", g->encrypted);
		json_text(j, "commit", commit_text(&g->commit, commit));
		volumes_json(j, g);
		json_object_end(j);
	}
	json_array_end(j);
}

static const char *
group_name(const struct snapshot *s, const struct uuid *group)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		if (uuid_equal(&s->groups[i].uuid, group))
			return s->groups[i].name;
	for (uint32_t i = 0; i < s->mirror_count; i++)
		if (uuid_equal(&s->mirrors[i].uuid, group))
			return s->mirrors[i].group_name;
	return "?";
}

static void
projection_field(struct json *j, const struct snapshot *s,
    const struct destination_config *d)
{
	const struct projection_config *p =
	    snapshot_projection_of(s, &d->stream);

	if (p == NULL)
		json_null(j, "projection");
	else
		json_text(j, "projection", p->name);
}

static void
destinations_json(struct json *j, const struct snapshot *s)
{
	json_array(j, "destinations");
	for (uint32_t i = 0; i < s->destination_count; i++) {
		const struct destination_config *d = &s->destinations[i];

		json_object(j, NULL);
		json_text(j, "name", d->name);
		uuid_field(j, "uuid", &d->uuid);
		json_text(j, "group", group_name(s, &d->owner));
		projection_field(j, s, d);
		json_text(j, "site", d->mirror_site_name);
		uuid_field(j, "mirror", &d->mirror);
		json_text(j, "url", d->url);
		json_text(
		    j, "ack_url", d->ack_url[0] != 0 ? d->ack_url : d->url);
		json_bool(j, "paused", d->paused);
		json_text(j, "limit", d->limit);
		json_text(j, "retry_at", d->retry_at);
		json_text(j, "prune_at",
		    d->prune_at == PRUNE_STORED ? "stored"
		    : d->prune_at == PRUNE_HOP	? "hop"
						: "applied");
		json_bool(j, "relay", d->relay[0] != 0);
		json_text(j, "via", d->via);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
relays_json(struct json *j, const struct snapshot *s)
{
	json_array(j, "relays");
	for (uint32_t i = 0; i < s->mirror_count; i++) {
		const struct mirror_config *m = &s->mirrors[i];

		if (!m->relay)
			continue;
		json_object(j, NULL);
		json_text(j, "name", m->group_name);
		uuid_field(j, "uuid", &m->uuid);
		uuid_field(j, "group", &m->group);
		uuid_field(j, "stream", &m->stream);
		json_text(j, "source_site", m->source_site_name);
		json_text(j, "incoming", m->incoming);
		json_number(j, "spool_limit", m->spool_limit);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
mirrors_json(struct json *j, const struct snapshot *s)
{
	json_array(j, "mirrors");
	for (uint32_t i = 0; i < s->mirror_count; i++) {
		const struct mirror_config *m = &s->mirrors[i];

		if (m->relay)
			continue;
		json_object(j, NULL);
		json_text(j, "name", m->group_name);
		uuid_field(j, "uuid", &m->uuid);
		uuid_field(j, "group", &m->group);
		uuid_field(j, "stream", &m->stream);
		json_text(j, "source_site", m->source_site_name);
		json_text(j, "incoming", m->incoming);
		json_text(j, "pull", m->pull == NULL ? "" : m->pull->url);
		json_bool(j, "fetch_paused", m->fetch_paused);
		json_bool(j, "apply_paused", m->apply_paused);
		json_array(j, "volumes");
		for (uint32_t k = 0; k < m->volume_count; k++) {
			json_object(j, NULL);
			json_text(j, "name", m->volumes[k].name);
			uuid_field(j, "uuid", &m->volumes[k].uuid);
			json_number(j, "size", m->volumes[k].size);
			json_text(j, "kind", kind_name(m->volumes[k].kind));
			json_text(j, "path", m->volumes[k].path);
			json_object_end(j);
		}
		json_array_end(j);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
volumes_of_all(struct json *j, const struct snapshot *s)
{
	json_array(j, "volumes");
	for (uint32_t i = 0; i < s->group_count; i++)
		for (uint32_t k = 0; k < s->groups[i].volume_count; k++) {
			const struct volume_config *v =
			    &s->groups[i].volumes[k];

			json_object(j, NULL);
			json_text(j, "name", v->name);
			uuid_field(j, "uuid", &v->uuid);
			json_text(j, "group", s->groups[i].name);
			json_text(j, "kind", kind_name(v->kind));
			json_number(j, "size", v->size);
			json_text(j, "path", v->path);
			json_object_end(j);
		}
	json_array_end(j);
}

static int
load(const char *path, struct home *h, struct snapshot *s, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (home_open(path, h, e) < 0 || catalogue_open(h, false, &c, e) < 0)
		return -1;
	return catalogue_load(c, s, e);
}

static int
print_json(void (*fill)(struct json *j, const struct snapshot *s),
    const struct snapshot *s)
{
	AUTO(buf_release) struct buf b = {0};
	struct json j = {0};
	struct err e = {0};

	json_object(&j, NULL);
	json_number(&j, "format", 1);
	fill(&j, s);
	json_object_end(&j);
	if (json_end(&j, &b, &e) < 0)
		return tell_err(&e);
	return tell_out(b.data, b.len);
}

static int
list(struct args *a, void (*fill)(struct json *j, const struct snapshot *s),
    void (*print)(const struct snapshot *s))
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(snapshot_release) struct snapshot s = {0};
	struct err e = {0};

	if (load(a->home, &h, &s, &e) < 0)
		return tell_err(&e);
	if (args_has(a, "json"))
		return print_json(fill, &s);
	print(&s);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static void
volumes_text(const struct snapshot *s)
{
	(void)printf("%-14s %-14s %-5s %15s %s\n", "VOLUME", "GROUP", "KIND",
	    "BYTES", "PATH");
	for (uint32_t i = 0; i < s->group_count; i++)
		for (uint32_t k = 0; k < s->groups[i].volume_count; k++) {
			const struct volume_config *v =
			    &s->groups[i].volumes[k];

			(void)printf("%-14s %-14s %-5s %15ju %s\n", v->name,
			    s->groups[i].name, kind_name(v->kind),
			    (uintmax_t)v->size, v->path);
		}
}

static void
groups_text(const struct snapshot *s)
{
	(void)printf("%-14s %8s %-9s %15s %-6s %s\n", "GROUP", "VOLUMES",
	    "EXPORTED", "SPOOL LIMIT", "POLICY", "UUID");
	for (uint32_t i = 0; i < s->group_count; i++) {
		const struct group_config *g = &s->groups[i];
		char uuid[UUID_TEXT];

		(void)printf("%-14s %8u %-9s %15ju %-6s %s\n", g->name,
		    g->volume_count, g->exported ? "yes" : "no",
		    (uintmax_t)g->spool_limit, policy_name(g),
		    uuid_text(&g->uuid, uuid));
	}
}

static void
destinations_text(const struct snapshot *s)
{
	(void)printf("%-14s %-14s %-14s %-7s %s\n", "DESTINATION", "GROUP",
	    "SITE", "PAUSED", "URL");
	for (uint32_t i = 0; i < s->destination_count; i++) {
		const struct destination_config *d = &s->destinations[i];

		(void)printf("%-14s %-14s %-14s %-7s %s\n", d->name,
		    group_name(s, &d->owner), d->mirror_site_name,
		    d->paused ? "yes" : "no", d->via[0] != 0 ? d->via : d->url);
	}
}

static void
mirrors_text(const struct snapshot *s)
{
	(void)printf(
	    "%-14s %-14s %-14s %s\n", "MIRROR", "FROM SITE", "VOLUME", "PATH");
	for (uint32_t i = 0; i < s->mirror_count; i++)
		for (uint32_t k = 0;
		     !s->mirrors[i].relay && k < s->mirrors[i].volume_count;
		     k++)
			(void)printf("%-14s %-14s %-14s %s\n",
			    s->mirrors[i].group_name,
			    s->mirrors[i].source_site_name,
			    s->mirrors[i].volumes[k].name,
			    s->mirrors[i].volumes[k].path);
}

static void
relays_text(const struct snapshot *s)
{
	(void)printf("%-14s %-14s %15s %s\n", "RELAY OF", "FROM SITE",
	    "SPOOL LIMIT", "INCOMING");
	for (uint32_t i = 0; i < s->mirror_count; i++)
		if (s->mirrors[i].relay)
			(void)printf("%-14s %-14s %15ju %s\n",
			    s->mirrors[i].group_name,
			    s->mirrors[i].source_site_name,
			    (uintmax_t)s->mirrors[i].spool_limit,
			    s->mirrors[i].incoming);
}

int
run_relay_list(struct args *a)
{
	return list(a, relays_json, relays_text);
}

int
run_volume_list(struct args *a)
{
	return list(a, volumes_of_all, volumes_text);
}

int
run_group_list(struct args *a)
{
	return list(a, groups_json, groups_text);
}

int
run_destination_list(struct args *a)
{
	return list(a, destinations_json, destinations_text);
}

int
run_mirror_list(struct args *a)
{
	return list(a, mirrors_json, mirrors_text);
}

static int
event_text(void *ctx, uint64_t time_ns, const char *subject, const char *text)
{
	char when[CLOCK_TEXT];

	(void)ctx;
	(void)printf("%s %-16s %s\n", clock_text(time_ns, when), subject, text);
	return 0;
}

static int
event_json(void *ctx, uint64_t time_ns, const char *subject, const char *text)
{
	struct json *j = ctx;
	char when[CLOCK_TEXT];

	json_object(j, NULL);
	json_text(j, "time", clock_text(time_ns, when));
	json_text(j, "subject", subject);
	json_text(j, "text", text);
	json_object_end(j);
	return 0;
}

static int
events_json(struct catalogue *c, uint32_t count)
{
	AUTO(buf_release) struct buf b = {0};
	struct json j = {0};
	struct err e = {0};

	json_object(&j, NULL);
	json_number(&j, "format", 1);
	json_array(&j, "events");
	if (catalogue_events(c, count, event_json, &j, &e) < 0)
		return tell_err(&e);
	json_array_end(&j);
	json_object_end(&j);
	if (json_end(&j, &b, &e) < 0)
		return tell_err(&e);
	return tell_out(b.data, b.len);
}

int
run_events(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	const char *text = args_option(a, "count");
	unsigned long count = 100;
	struct err e = {0};
	char *end;

	if (text != NULL) {
		errno = 0;
		count = strtoul(text, &end, 10);
		if (errno != 0 || end == text || *end != 0 || text[0] == '-' ||
		    count > UINT32_MAX)
			return tell(EXIT_USAGE, "--count %s: no number", text);
	}
	if (home_open(a->home, &h, &e) < 0 ||
	    catalogue_open(&h, false, &c, &e) < 0)
		return tell_err(&e);
	if (args_has(a, "json"))
		return events_json(c, (uint32_t)count);
	if (catalogue_events(c, (uint32_t)count, event_text, NULL, &e) < 0)
		return tell_err(&e);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

int
run_catalogue_restore(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO_CLOSE int lock = -1;
	struct err e = {0};

	if (home_open(a->home, &h, &e) < 0)
		return tell_err(&e);
	if (home_lock(&h, &lock, &e) < 0)
		return tell(e.kind == ERR_RETRY ? EXIT_REFUSED : EXIT_FAILED,
		    "%s: stop the coordinator first", e.text);
	if (catalogue_restore(&h, &e) < 0)
		return tell_err(&e);
	(void)printf("catalogue restored; compare with 'aim-manager status'\n");
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
