/* SPDX-License-Identifier: Apache-2.0 */
/* project: the role of one projection. See project.h. */
#include "coordinator/project.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "coordinator/keyring.h"
#include "coordinator/source.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define JOBS_NS UINT64_C(200000000)
#define HOLE_NS UINT64_C(10000000000)
#define FILES_IN_A_PASS 16
#define LONGEST_WAIT_MS 500u
#define AHEAD_WAIT_MS 50u

static int
load_jobs(struct project *p, bool now, struct err *e)
{
	uint32_t i;

	if (!now && clock_mono_ns() < p->jobs_ns)
		return 0;
	for (i = 0; i < p->count; i++)
		if (job_load(
			p->home, &p->destinations[i].uuid, &p->jobs[i], e) < 0)
			return -1;
	p->jobs_ns = clock_mono_ns() + JOBS_NS;
	return 0;
}

static int
copy_config(struct project *p, const struct group_config *g,
    const struct projection_config *c,
    const struct destination_config *destinations, uint32_t count,
    struct err *e)
{
	uint32_t i;

	p->group = *g;
	p->group.volumes = NULL;
	p->projection = *c;
	p->projection.parts = calloc(c->part_count + 1u, sizeof(*c->parts));
	p->volume_count = g->volume_count;
	p->volumes = calloc(g->volume_count + 1u, sizeof(*p->volumes));
	p->table = calloc(c->part_count + 1u, sizeof(*p->table));
	p->destinations = calloc(count + 1u, sizeof(*p->destinations));
	p->jobs = calloc(count + 1u, sizeof(*p->jobs));
	p->targets = calloc(count + 1u, sizeof(*p->targets));
	p->inputs = calloc(PROJECT_INPUTS, sizeof(*p->inputs));
	if (p->projection.parts == NULL || p->volumes == NULL ||
	    p->table == NULL || p->destinations == NULL || p->jobs == NULL ||
	    p->targets == NULL || p->inputs == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	memcpy(
	    p->projection.parts, c->parts, c->part_count * sizeof(*c->parts));
	for (i = 0; i < g->volume_count; i++)
		p->volumes[i] = g->volumes[i].uuid;
	for (i = 0; i < count; i++)
		if (uuid_equal(&destinations[i].stream, &c->stream))
			p->destinations[p->count++] = destinations[i];
	return projection_map_init(&p->map, c, g->volume_count, e);
}

/* Without its key nothing is made: never in the open instead. */
static int
load_key(struct project *p, struct err *e)
{
	const struct group_config *g = &p->group;
	char id[2 * KEY_ID_LEN + 1];
	int found;

	if (!g->encrypted)
		return 0;
	found = keyring_find(p->home, &g->uuid, g->key_id, &p->key, e);
	if (found == 0)
		return err_set(e, ERR_REFUSED,
		    "key %s of group '%s' is not in keys/groups: put it back "
		    "('aim-manager key import')",
		    hex_text(g->key_id, KEY_ID_LEN, id), g->name);
	return found < 0 ? -1 : 0;
}

static void
watch(struct project *p)
{
	char path[PATH_MAX], stream[UUID_TEXT];

	p->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (p->inotify < 0)
		return; /* time-outs do as well */
	if ((size_t)snprintf(path, sizeof(path), "%s/sealed/%s", p->home->path,
		uuid_text(&p->in.stream, stream)) < sizeof(path))
		(void)inotify_add_watch(
		    p->inotify, path, IN_MOVED_TO | IN_ONLYDIR);
}

static int
find_tip(struct project *p, struct err *e)
{
	struct sealed_ends ends;
	struct sealed_file tip = {0};

	if (tip_load(&p->out, &p->home->key.pub, &ends, &tip, e) < 0)
		return -1;
	p->tip = tip;
	p->tip_unsure = p->tip_free = p->has_cursor = false;
	return project_count(p, e);
}

/* The sums of what was saved go on. */
static void
load_sums(struct project *p)
{
	struct projection_note n;

	projection_note_read(p->home, &p->projection.stream, &n);
	p->sum = (struct project_sums){
	    n.transactions_in, n.transactions_out, n.bytes_in, n.bytes_out};
}

int
project_open(struct home *h, const struct group_config *g,
    const struct projection_config *c,
    const struct destination_config *destinations, uint32_t count,
    struct project **out, struct err *e)
{
	struct project *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	p->home = h;
	p->in.dir = p->out.dir = p->inotify = -1;
	if (copy_config(p, g, c, destinations, count, e) < 0 ||
	    load_key(p, e) < 0 || sealed_open(h, &g->stream, &p->in, e) < 0 ||
	    sealed_open(h, &c->stream, &p->out, e) < 0 ||
	    load_jobs(p, true, e) < 0 || find_tip(p, e) < 0) {
		project_close(p);
		return err_at(e, "projection %s", c->name);
	}
	load_sums(p);
	watch(p);
	*out = p;
	return 0;
}

void
project_close(struct project *p)
{
	if (p == NULL)
		return;
	group_key_forget(&p->key);
	sealed_close(&p->in);
	sealed_close(&p->out);
	cleanup_fd(&p->inotify);
	if (p->inputs != NULL)
		reader_room_release(&p->inputs[0].room);
	fold_free(p->fold);
	free(p->inputs);
	projection_map_release(&p->map);
	free(p->projection.parts);
	free(p->volumes);
	free(p->table);
	free(p->destinations);
	free(p->jobs);
	free(p->targets);
	free(p->ops);
	free(p);
}

/* ---- one pass ---- */

static void
stand_before(struct project *p, const struct sealed_file *f)
{
	p->cursor = f->at;
	p->cursor.sequence--;
	p->cursor.last = f->first - 1;
	p->has_cursor = true;
}

/* The base's beginning is not in a file: not yet, or not any more. */
static int
check_begin(struct project *p, uint64_t from, struct err *e)
{
	struct sealed_file oldest;
	int found = sealed_skip(&p->in, 0, 0, &oldest, e);

	if (found <= 0 || oldest.first <= from)
		return found < 0 ? -1 : 0;
	return err_set(e, ERR_REFUSED,
	    "the file of group '%s' in which the base for projection '%s' "
	    "begins (transaction %ju) is not here any more: take a new base",
	    p->group.name, p->projection.name, (uintmax_t)from);
}

/* At the file in which the earliest base begins that is still here. */
static int
begin(struct project *p, struct err *e)
{
	struct sealed_file f, first = {0};
	bool any = false;
	uint64_t least = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < p->count; i++) {
		const struct job *j = &p->jobs[i];
		int found = 0;

		if (j->state == JOB_NONE || j->from == 0)
			continue;
		if (j->from < least)
			least = j->from;
		found = sealed_find(&p->in, j->from, &f, e);
		if (found < 0)
			return -1;
		if (found == 1 && (!any || f.first < first.first))
			first = f;
		any = any || found == 1;
	}
	if (!any)
		return check_begin(p, least, e);
	if (first.first <= p->tip.at.last)
		return 0;
	stand_before(p, &first);
	return 1;
}

/* Where our newest file ends: 1, 0 when that is not to be found, -1. */
static int
find_cursor(struct project *p, struct err *e)
{
	struct sealed_file f;
	int found;

	if (p->has_cursor)
		return 1;
	if (position_is_nil(&p->tip.at))
		return begin(p, e);
	found = sealed_find(&p->in, p->tip.at.last, &f, e);
	if (found == 1 && f.at.last == p->tip.at.last) {
		p->cursor = f.at;
		p->has_cursor = true;
		return 1;
	}
	if (found == 0)
		found = sealed_find(&p->in, p->tip.at.last + 1, &f, e);
	if (found != 1)
		return found < 0 ? -1 : begin(p, e);
	if (f.first != p->tip.at.last + 1)
		return err_set(e, ERR_REFUSED,
		    "transaction %ju, at which the files of projection '%s' "
		    "end, is in the midst of a file of group '%s': remove the "
		    "projection, and make it anew",
		    (uintmax_t)p->tip.at.last, p->projection.name,
		    p->group.name);
	stand_before(p, &f);
	return 1;
}

/* The next file is not there. Are later ones? Then it never will be. */
static int
check_hole(struct project *p, struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	struct sealed_file f;
	int found;

	if (clock_mono_ns() < p->hole_ns)
		return 0;
	p->hole_ns = clock_mono_ns() + HOLE_NS;
	found = sealed_skip(
	    &p->in, p->cursor.epoch_number, p->cursor.sequence, &f, e);
	/* It may have come just now. */
	if (found <= 0 || f.first == p->cursor.last + 1)
		return found < 0 ? -1 : 0;
	p->has_cursor = false;
	(void)journal_name(
	    p->cursor.epoch_number, p->cursor.sequence + 1, name);
	return err_set(e, ERR_REFUSED,
	    "%s of group '%s', which comes next for projection '%s', is not "
	    "here any more: take a new base",
	    name, p->group.name, p->projection.name);
}

/*
 * The configuration has changed: no file is made by the old one. A file that
 * came later may be the beginning of a base for a destination that we do not
 * know; it would be left out, and never made again. So it is asked for after
 * the file was seen: the role is told before a base can be asked for.
 */
static bool
is_to_end(void)
{
	sigset_t told;

	return sigpending(&told) == 0 && sigismember(&told, SIGTERM) == 1;
}

static int
project_some(struct project *p, struct err *e)
{
	struct sealed_file f;
	int n, found;

	p->ahead = false;
	if (!project_is_wanted(p)) {
		p->has_cursor = false;
		return 0;
	}
	if (p->tip_unsure && find_tip(p, e) < 0)
		return -1;
	found = find_cursor(p, e);
	if (found <= 0)
		return found;
	for (n = 0; n < FILES_IN_A_PASS; n++) {
		if (project_is_ahead(p, &p->ahead, e) < 0)
			return -1;
		if (p->ahead)
			return n > 0;
		found = sealed_after(
		    &p->in, p->cursor.epoch_number, p->cursor.sequence, &f, e);
		if (found < 0)
			return -1;
		if (found == 0)
			return n > 0 ? 1 : check_hole(p, e);
		if (is_to_end())
			return n > 0;
		if (project_file(p, &f, e) < 0)
			return -1;
		p->hole_ns = clock_mono_ns() + HOLE_NS;
	}
	return 1;
}

int
project_pass(struct project *p, struct err *e)
{
	struct err why = {0};
	int did = load_jobs(p, !project_is_wanted(p), &why), kept = 0;

	if (did == 0)
		did = project_some(p, &why);
	if (did >= 0) {
		kept = project_keep(p, did == 1, &why);
		if (kept < 0)
			did = -1;
	}
	p->trouble = did < 0 ? why : (struct err){0};
	project_note(p, did != 0);
	if (did < 0)
		return err_set(e, why.kind == ERR_FULL ? ERR_RETRY : why.kind,
		    "%s", why.text);
	return did == 1 || kept == 1;
}

void
project_wait(struct project *p, uint32_t wait_ms)
{
	_Alignas(struct inotify_event) char bytes[4096];
	struct pollfd f = {.fd = p->inotify, .events = POLLIN};

	/* Acknowledgements are not told of. */
	if (p->ahead)
		wait_ms = wait_ms < AHEAD_WAIT_MS ? wait_ms : AHEAD_WAIT_MS;
	if (wait_ms > LONGEST_WAIT_MS)
		wait_ms = LONGEST_WAIT_MS;
	if (poll(&f, p->inotify >= 0 ? 1 : 0, (int)wait_ms) <= 0)
		return;
	while (read(p->inotify, bytes, sizeof(bytes)) > 0)
		continue;
}
