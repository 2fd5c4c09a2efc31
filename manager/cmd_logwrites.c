/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_logwrites: sets dm-log-writes up over a volume, moves it to another
 * log, takes it down; and lists the write logs of a site.
 */
#include "aimdriver/logwrites/device.h"
#include "aimdriver/logwrites/state.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "coordinator/request.h"
#include "manager/command.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ---- what was typed ---- */

static int
load(const char *path, struct home *h, struct snapshot *s, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (home_open(path, h, e) < 0 || catalogue_open(h, false, &c, e) < 0)
		return -1;
	return catalogue_load(c, s, e);
}

static const struct volume_config *
find_volume(const struct snapshot *s, const char *name)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		for (uint32_t k = 0; k < s->groups[i].volume_count; k++)
			if (strcmp(s->groups[i].volumes[k].name, name) == 0)
				return &s->groups[i].volumes[k];
	return NULL;
}

/* VOLUME is its name, as everywhere in aim-manager. */
static int
find_target(struct args *a, struct home *h, struct target *out, struct err *e)
{
	AUTO(snapshot_release) struct snapshot s = {0};
	const struct volume_config *v;
	char id[UUID_TEXT];

	if (load(a->home, h, &s, e) < 0)
		return -1;
	v = find_volume(&s, a->words[0]);
	if (v == NULL)
		return err_set(e, ERR_REFUSED,
		    "no volume '%s' is protected in this home: see "
		    "'aim-manager volume list'",
		    a->words[0]);
	return target_find(h->path, uuid_text(&v->uuid, id), out, e);
}

/* All --log, in order. */
static int
take_logs(const struct args *a, struct device_logs *out, struct err *e)
{
	out->count = 0;
	for (int i = 0; i < a->option_count; i++) {
		if (strcmp(a->options[i].spec->name, "log") != 0)
			continue;
		if (out->count == DEVICE_LOGS)
			return err_set(e, ERR_REFUSED,
			    "at most %d logs for a device", DEVICE_LOGS);
		out->path[out->count++] = a->options[i].value;
	}
	return 0;
}

static bool
has_all(struct args *a, bool log)
{
	const char *missing = !args_has(a, "device")	   ? "device"
			      : log && !args_has(a, "log") ? "log"
							   : NULL;

	if (missing == NULL)
		return true;
	(void)tell(
	    EXIT_USAGE, "logwrites %s needs --%s", a->command->verb, missing);
	return false;
}

/* ---- what is told ---- */

#define NEXT_LIMIT (5 * SHELL_WORD)

/* The commands, as they are given. */
struct story {
	bool json;
	struct json j;
};

static void
hear(void *ctx, const char *const *word)
{
	struct story *s = ctx;
	int i;

	if (s->json) {
		json_array(&s->j, NULL);
		for (i = 0; word[i] != NULL; i++)
			json_text(&s->j, NULL, word[i]);
		json_array_end(&s->j);
		return;
	}
	for (i = 0; word[i] != NULL; i++)
		(void)printf(strchr(word[i], ' ') != NULL ? "%s'%s'" : "%s%s",
		    i == 0 ? "" : " ", word[i]);
	(void)putchar('\n');
}

static void
begin_story(struct args *a, struct story *s, struct table *t)
{
	s->json = args_has(a, "json");
	*t = (struct table){
	    .name = args_option(a, "device"), .dry = args_has(a, "dry-run")};
	/* In words only when nothing is done. */
	if (s->json || t->dry) {
		t->told = hear;
		t->ctx = s;
	}
	if (!s->json)
		return;
	json_object(&s->j, NULL);
	json_number(&s->j, "format", 1);
	json_array(&s->j, "commands");
}

static void
state_json(struct json *j, const struct table *t, const struct device_state *d)
{
	char id[UUID_TEXT];

	json_array_end(j);
	json_bool(j, "dry_run", t->dry);
	json_text(j, "device", t->name);
	json_text(j, "disk", d->disk);
	json_text(j, "log", d->log);
	if (d->mark[0] != '\0') {
		json_text(j, "chain", uuid_text(&d->chain, id));
		json_number(j, "number", d->number);
		json_text(j, "mark", d->mark);
	} else {
		json_null(j, "chain");
		json_null(j, "number");
		json_null(j, "mark");
	}
	json_object_end(j);
}

/* The exit code. `next` is told to people. */
static int
end_story(struct story *s, const struct table *t, const struct device_state *d,
    const char *next)
{
	AUTO(buf_release) struct buf b = {0};
	struct err e = {0};

	if (s->json) {
		state_json(&s->j, t, d);
		if (json_end(&s->j, &b, &e) < 0)
			return tell_err(&e);
		return tell_out(b.data, b.len);
	}
	if (!t->dry)
		(void)printf("%s\n", next);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* Nothing of it is printed. */
static int
fail_story(struct story *s, const struct err *e)
{
	buf_release(&s->j.out);
	return tell_err(e);
}

/* ---- the commands ---- */

int
run_logwrites_attach(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	struct device_logs logs;
	struct device_state d;
	struct story s = {0};
	struct target volume;
	struct table t;
	struct err e = {0};
	char next[NEXT_LIMIT], home[SHELL_WORD], path[SHELL_WORD];

	if (!has_all(a, true))
		return EXIT_USAGE;
	if (take_logs(a, &logs, &e) < 0 || find_target(a, &h, &volume, &e) < 0)
		return tell_err(&e);
	begin_story(a, &s, &t);
	if (device_attach(&t, h.path, &volume, &logs, &d, &e) < 0)
		return fail_story(&s, &e);
	(void)snprintf(next, sizeof(next),
	    "use /dev/mapper/%s instead of %s from now on, and follow it:\n"
	    "aim-logwrites follow --home %s --volume %s --device %s LOG...",
	    t.name, volume.info.path, shell_word(h.path, home, sizeof(home)),
	    shell_word(volume.info.path, path, sizeof(path)), t.name);
	return end_story(&s, &t, &d, next);
}

int
run_logwrites_rotate(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	struct device_logs logs;
	struct device_state d;
	struct story s = {0};
	struct target volume;
	struct table t;
	struct err e = {0};
	char next[NEXT_LIMIT];

	if (!has_all(a, true))
		return EXIT_USAGE;
	if (take_logs(a, &logs, &e) < 0)
		return tell_err(&e);
	if (logs.count != 1)
		return tell(EXIT_USAGE, "logwrites rotate takes one --log");
	if (find_target(a, &h, &volume, &e) < 0)
		return tell_err(&e);
	begin_story(a, &s, &t);
	if (device_rotate(&t, h.path, &volume, logs.path[0], &d, &e) < 0)
		return fail_story(&s, &e);
	(void)snprintf(next, sizeof(next),
	    "%s is log %" PRIu64 " of its chain; give it to 'aim-logwrites "
	    "import' after those before it",
	    logs.path[0], d.number);
	return end_story(&s, &t, &d, next);
}

int
run_logwrites_detach(struct args *a)
{
	struct device_state d;
	struct story s = {0};
	struct table t;
	struct err e = {0};
	char next[NEXT_LIMIT];
	char home[SHELL_WORD], disk[SHELL_WORD], log[SHELL_WORD];

	if (!has_all(a, false))
		return EXIT_USAGE;
	begin_story(a, &s, &t);
	if (device_detach(&t, &d, &e) < 0)
		return fail_story(&s, &e);
	(void)snprintf(next, sizeof(next),
	    "its last log is on %s; when nobody follows it any more:\n"
	    "aim-logwrites import --home %s --volume %s %s",
	    d.log, shell_word(a->home, home, sizeof(home)),
	    shell_word(d.disk, disk, sizeof(disk)),
	    shell_word(d.log, log, sizeof(log)));
	return end_story(&s, &t, &d, next);
}

/* ---- the list ---- */

static void
log_json(struct json *j, const char *volume, const struct log_state *l)
{
	const struct progress *p = &l->progress;
	char id[UUID_TEXT], when[CLOCK_TEXT];

	json_object(j, NULL);
	json_text(j, "volume", volume);
	json_text(j, "chain", uuid_text(&p->chain, id));
	json_text(j, "kind", p->kernel ? "dm-log-writes" : "blklogwrites");
	json_text(j, "state", log_phase_name(l->phase));
	json_number(j, "number", p->log);
	json_number(j, "entry", p->place.index);
	json_text(j, "changed", clock_text(l->changed_ns, when));
	if (p->gap != GAP_NONE)
		json_text(j, "gap", log_gap_text(p->gap));
	else
		json_null(j, "gap");
	json_object_end(j);
}

static void
log_text(const char *volume, const struct log_state *l)
{
	const struct progress *p = &l->progress;
	char id[UUID_TEXT];

	(void)printf("%-14s %-13s %-8s %4ju %9ju %s\n", volume,
	    p->kernel ? "dm-log-writes" : "blklogwrites",
	    log_phase_name(l->phase), (uintmax_t)p->log,
	    (uintmax_t)p->place.index, uuid_text(&p->chain, id));
}

static const char *
volume_name(const struct group_config *g, const struct uuid *volume)
{
	for (uint32_t i = 0; i < g->volume_count; i++)
		if (uuid_equal(&g->volumes[i].uuid, volume))
			return g->volumes[i].name;
	return "?";
}

static int
list_group(struct json *j, const struct home *h, const struct group_config *g,
    struct err *e)
{
	AUTO(log_states_release) struct log_states s = {.list = NULL};

	if (log_states_look(h->path, &g->uuid, &s, e) < 0)
		return err_at(e, "group %s", g->name);
	for (size_t i = 0; i < s.count; i++) {
		const char *name = volume_name(g, &s.list[i].progress.volume);

		if (j != NULL)
			log_json(j, name, &s.list[i]);
		else
			log_text(name, &s.list[i]);
	}
	return 0;
}

int
run_logwrites_list(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(snapshot_release) struct snapshot s = {0};
	AUTO(buf_release) struct buf b = {0};
	bool as_json = args_has(a, "json");
	struct json j = {0};
	struct err e = {0};
	int r = 0;

	if (load(a->home, &h, &s, &e) < 0)
		return tell_err(&e);
	if (as_json) {
		json_object(&j, NULL);
		json_number(&j, "format", 1);
		json_array(&j, "logs");
	} else
		(void)printf("%-14s %-13s %-8s %4s %9s %s\n", "VOLUME", "KIND",
		    "STATE", "LOG", "ENTRY", "CHAIN");
	for (uint32_t i = 0; r == 0 && i < s.group_count; i++)
		r = list_group(as_json ? &j : NULL, &h, &s.groups[i], &e);
	if (as_json) {
		json_array_end(&j);
		json_object_end(&j);
		if (json_end(&j, &b, r == 0 ? &e : NULL) < 0)
			r = -1;
	}
	if (r < 0)
		return tell_err(&e);
	if (as_json)
		return tell_out(b.data, b.len);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
