/* SPDX-License-Identifier: Apache-2.0 */
/* source: the role of a group whose volumes are here. See source.h. */
#include "coordinator/source.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "coordinator/carry.h"
#include "coordinator/keyring.h"
#include "coordinator/rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_INTERVAL_NS UINT64_C(200000000)
#define IDLE_NS UINT64_C(3000000000)
#define FILES_IN_A_PASS 16
#define LONGEST_WAIT_MS 500u
#define COPYIN_WAIT_MS 100u
/* Up to 128 MiB stay marked without costing anybody anything. */
#define COOL_KEEP 32u
#define COOL_REST_MS 5000u

bool
source_has_tip(const struct source *s)
{
	return !position_is_nil(&s->tip.at);
}

int
source_jobs(struct source *s, bool now, struct err *e)
{
	uint64_t mono = clock_mono_ns();
	uint32_t i;

	/* Running jobs are ours alone, and our own word is the newest. */
	if (!now && (mono < s->jobs_ns || copyin_running(s) != NULL))
		return 0;
	for (i = 0; i < s->count; i++) {
		struct job j;

		if (job_load(s->home, &s->destinations[i].uuid, &j, e) < 0)
			return -1;
		s->jobs[i] = j;
	}
	s->jobs_ns = mono + JOBS_INTERVAL_NS;
	return 0;
}

static int
copy_config(struct source *s, const struct group_config *g,
    const struct destination_config *destinations, uint32_t count,
    struct err *e)
{
	s->group = *g;
	s->group.volumes = NULL;
	s->group.volume_count = 0;
	s->count = count;
	s->destinations = calloc(count + 1u, sizeof(*s->destinations));
	s->jobs = calloc(count + 1u, sizeof(*s->jobs));
	s->targets = calloc(count + 1u, sizeof(*s->targets));
	s->room = malloc(CAPTURE_CHUNK);
	if (s->destinations == NULL || s->jobs == NULL || s->targets == NULL ||
	    s->room == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (count > 0)
		memcpy(s->destinations, destinations,
		    count * sizeof(*destinations));
	return 0;
}

/* What a member of the group wrote into its control file is not to make us
 * copy a file that he may not read. */
static int
check_volumes(struct source *s, const struct group_config *g, struct err *e)
{
	if (rebuild_compare(g, s->capture, e) < 0)
		return -1;
	for (uint32_t i = 0; i < g->volume_count; i++)
		if (capture_compare_path(s->capture, i, g->volumes[i].path, e) <
		    0)
			return -1;
	return 0;
}

/* `g` may come without a list of its volumes. */
static int
attach(struct source *s, const struct group_config *g, struct err *e)
{
	struct capture_volume v;
	uint32_t i, n;

	if (capture_attach(s->home->path, &s->group.uuid, CAPTURE_COORDINATOR,
		&s->capture, e) < 0 ||
	    (g->volumes != NULL && check_volumes(s, g, e) < 0) ||
	    rebuild_forget(s->home, &s->group.uuid, e) < 0)
		return -1;
	n = s->volume_count = capture_volume_count(s->capture);
	s->volumes = calloc(n + 1u, sizeof(*s->volumes));
	s->sizes = calloc(n + 1u, sizeof(*s->sizes));
	if (s->volumes == NULL || s->sizes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; i < n; i++) {
		capture_volume_get(s->capture, i, &v);
		s->volumes[i] = (struct journal_volume){
		    .uuid = v.uuid, .size = v.size, .kind = v.kind};
	}
	return 0;
}

uint64_t
source_spool(const struct source *s)
{
	uint64_t sent = s->held && s->sent_known ? s->sent_bytes : 0;

	uint64_t own = s->spool_bytes > sent ? s->spool_bytes - sent : 0;

	if (s->files < 2 && s->tip_free)
		own = 0;
	return own + projected_spool(s, s->held);
}

static void
publish_spool(struct source *s)
{
	capture_set_spool(s->capture, source_spool(s), s->group.spool_limit,
	    s->group.spool_policy);
}

/* Without its key nothing is sealed: never in the open instead. */
static int
load_key(struct source *s, struct err *e)
{
	const struct group_config *g = &s->group;
	char id[2 * KEY_ID_LEN + 1];
	int found;

	if (!g->encrypted)
		return 0;
	found = keyring_find(s->home, &g->uuid, g->key_id, &s->key, e);
	if (found == 0)
		return err_set(e, ERR_REFUSED,
		    "its key %s is not in keys/groups: nothing is sealed until "
		    "it is put back ('aim-manager key import')",
		    hex_text(g->key_id, KEY_ID_LEN, id));
	return found < 0 ? -1 : 0;
}

/* What is carried by hand takes as long as that takes: a copy-in that waited
 * for it would never end. */
static bool
is_carried(const struct source *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->destinations[i].url, CARRY_URL) == 0)
			return true;
	return false;
}

static int
open_parts(struct source *s, const struct group_config *g, struct err *e)
{
	uint64_t now = clock_mono_ns();
	int found;

	found = extents_load(s->home, &s->group.uuid, &s->extents, e);
	if (found < 0)
		return -1;
	s->recovering = found == 1;
	if (load_key(s, e) < 0 ||
	    sealed_open(s->home, &s->group.stream, &s->sealed, e) < 0 ||
	    attach(s, g, e) < 0 || source_jobs(s, true, e) < 0 ||
	    projected_open(s, e) < 0 || source_find_tip(s, e) < 0 ||
	    commit_open(s, e) < 0 || break_open(s, e) < 0)
		return -1;
	/* What it was is not known: once more than there must be. */
	s->content = s->tip.at.last;
	if (is_carried(s))
		s->window_limit = UINT64_MAX;
	s->heartbeat_ns = s->idle_ns = now;
	spool_open(s);
	publish_spool(s);
	return 0;
}

int
source_open(struct home *h, const struct group_config *g,
    const struct destination_config *destinations, uint32_t count,
    struct source **out, struct err *e)
{
	struct source *s = calloc(1, sizeof(*s));
	struct err why = {0};

	if (s == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	s->home = h;
	s->sealed.dir = -1;
	s->window_limit = COPYIN_WINDOW;
	s->held = true; /* until their acknowledgements say otherwise */
	s->cooling.keep = COOL_KEEP;
	s->cooling.rest_ms = COOL_REST_MS;
	if (copy_config(s, g, destinations, count, &why) < 0 ||
	    open_parts(s, g, &why) < 0) {
		s->trouble[PART_SEAL] = why;
		if (s->jobs != NULL)
			source_note(s, true);
		source_close(s);
		return err_set(e, why.kind, "group %s: %s", g->name, why.text);
	}
	source_note(s, true);
	*out = s;
	return 0;
}

void
source_close(struct source *s)
{
	if (s == NULL)
		return;
	capture_detach(s->capture);
	group_key_forget(&s->key);
	copyin_compare_close(s);
	extents_release(&s->extents);
	extents_release(&s->cooling.cooled);
	commit_close(s);
	sealed_close(&s->sealed);
	free(s->projected);
	free(s->destinations);
	free(s->jobs);
	free(s->targets);
	free(s->volumes);
	free(s->sizes);
	free(s->room);
	free(s);
}

/* ---- one pass ---- */

/* Silence would be a fault, so there is a transaction now and then. */
static int
heartbeat(struct source *s, struct err *e)
{
	uint64_t now = clock_mono_ns(), number;
	struct capture_status st;
	int checked;

	capture_status(s->capture, &st);
	if (st.mode != CAPTURE_ON || s->must_break)
		return PART_NOT_NOW;
	if (st.reserved != s->heartbeat_reserved) {
		s->heartbeat_reserved = st.reserved;
		s->heartbeat_ns = now;
	}
	if (s->group.heartbeat_ms == 0 ||
	    now - s->heartbeat_ns < s->group.heartbeat_ms * NS_PER_MS)
		return PART_NOT_NOW;
	s->heartbeat_ns = now;
	checked = capture_check_paths(s->capture, e);
	if (capture_control(s->capture, OP_HEARTBEAT, NULL, 0, &number,
		checked < 0 ? NULL : e) < 0)
		return -1;
	s->heartbeat_reserved = number;
	s->heartbeat_wall_ns = clock_wall_ns();
	return checked < 0 ? -1 : 1;
}

/* A group in which nothing has happened for a while is closed cleanly, so
 * that the machine may stop at any time. */
static int
close_idle(struct source *s, struct err *e)
{
	uint64_t now = clock_mono_ns();
	struct capture_status st;

	capture_status(s->capture, &st);
	if (st.reserved != s->idle_reserved) {
		s->idle_reserved = st.reserved;
		s->idle_ns = now;
	}
	if (!st.unclean || s->must_break || st.sealed != st.reserved ||
	    now - s->idle_ns < IDLE_NS)
		return PART_NOT_NOW;
	s->idle_ns = now; /* not again at once if it does not work now */
	return capture_close_clean(s->capture, e) < 0 ? -1 : 0;
}

static int
seal_some(struct source *s, struct err *e)
{
	int n, got = 1;

	for (n = 0; n < FILES_IN_A_PASS && got == 1; n++)
		got = seal_one(s, false, e);
	/* A gap that is not in what is left: the epoch ends here. */
	if (got == 0 && s->gap)
		s->must_break = true;
	return got < 0 ? -1 : n > 1;
}

static int
prune_some(struct source *s, struct err *e)
{
	return prune_step(s, false, e);
}

const struct err *
source_trouble(const struct source *s)
{
	int i;

	for (i = 0; i < SOURCE_PARTS; i++)
		if (s->trouble[i].kind != ERR_NONE)
			return &s->trouble[i];
	return NULL;
}

/* Runs one part; true when it did something. Its trouble is said once. */
static bool
run_part(struct source *s, enum source_part part,
    int (*run)(struct source *, struct err *))
{
	struct err why = {0}, *was = &s->trouble[part];
	int did = run(s, &why);

	if (did == PART_NOT_NOW)
		return false;
	/* The one of sealing is what the pass returns: the caller tells. */
	if (did < 0 && part != PART_SEAL && strcmp(was->text, why.text) != 0)
		log_warn("%s", why.text);
	*was = why;
	if (did >= 0)
		was->kind = ERR_NONE;
	return did == 1;
}

/* Sealing goes on whatever else is in trouble, so only its own trouble makes
 * the caller wait. A full disk passes. */
static int
seal_outcome(struct source *s, bool did, struct err *e)
{
	const struct err *why = &s->trouble[PART_SEAL];

	if (did || why->kind == ERR_NONE)
		return did;
	return err_set(
	    e, why->kind == ERR_FULL ? ERR_RETRY : why->kind, "%s", why->text);
}

static int
break_or_seal(struct source *s, struct err *e)
{
	break_look(s);
	if (s->must_break)
		return break_may(s, e) < 0 || break_run(s, e) < 0 ? -1 : 1;
	return seal_some(s, e);
}

/* What we have mapped is no longer what others capture into, or will be. */
static int
check_files(struct source *s, struct err *e)
{
	if (!rebuild_is_asked(s->home, &s->group.uuid) &&
	    !capture_is_replaced(s->capture))
		return 0;
	return err_set(e, ERR_FATAL,
	    "group %s: its files under active/ are made anew; beginning again "
	    "with them",
	    s->group.name);
}

int
source_pass(struct source *s, struct err *e)
{
	uint64_t spool = source_spool(s);
	bool did;

	if (check_files(s, e) < 0)
		return -1;
	commit_step(s);
	projected_look(s, false);
	did = run_part(s, PART_SEAL, break_or_seal);
	if (run_part(s, PART_COPYIN, copyin_step)) {
		did = true;
		(void)run_part(s, PART_SEAL, break_or_seal);
	}
	did = run_part(s, PART_HEARTBEAT, heartbeat) || did;
	did = run_part(s, PART_CLOSE, close_idle) || did;
	did = run_part(s, PART_COOL, cool_step) || did;
	did = run_part(s, PART_CUT, cut_step) || did;
	did = run_part(s, PART_PRUNE, prune_some) || did;
	/* After that: with --once there may be no other pass. */
	did = run_part(s, PART_PASSING, passing_step) || did;
	if (source_spool(s) != spool)
		publish_spool(s);
	spool_step(s);
	source_note(s, source_trouble(s) != NULL);
	return seal_outcome(s, did, e);
}

void
source_wait(struct source *s, uint32_t wait_ms)
{
	uint32_t most = copyin_pending(s) ? COPYIN_WAIT_MS : LONGEST_WAIT_MS;

	if (s->group.seal_age_ms < most)
		most = s->group.seal_age_ms > 10 ? s->group.seal_age_ms : 10;
	capture_wait(s->capture, wait_ms < most ? wait_ms : most);
}

int
source_seal_all(struct source *s, struct err *e)
{
	struct capture_status st;
	int got = 1;

	capture_status(s->capture, &st);
	while (got == 1 && s->tip.at.last < st.reserved)
		got = seal_one(s, true, e);
	s->prune_ns = 0; /* whoever asks for this wants the rest too */
	(void)run_part(s, PART_PRUNE, prune_some);
	publish_spool(s);
	source_note(s, true);
	return got < 0 ? -1 : 0;
}

int
source_finish(struct source *s, struct err *e)
{
	const struct err *why;

	if (source_seal_all(s, e) < 0 || copyin_save(s, e) < 0)
		return -1;
	if (!s->must_break && capture_close_clean(s->capture, e) < 0)
		return -1;
	source_note(s, true);
	/* What has not worked is not hidden by a clean end. */
	why = source_trouble(s);
	return why == NULL ? 0 : err_set(e, why->kind, "%s", why->text);
}
