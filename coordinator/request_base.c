/* SPDX-License-Identifier: Apache-2.0 */
/* request_base: base (group, destination): queues a full copy-in, and makes
 * the group's files under active/ anew when they were lost or damaged. */
#include "coordinator/request.h"

#include "aimdriver/capture.h"
#include "coordinator/job.h"
#include "coordinator/rebuild.h"

#include <string.h>

/*
 * When a volume was changed or replaced outside AIM, nothing is captured
 * until the operator has said that it is meant: this is how. The group then
 * begins a new epoch, and what changed comes with the copy-in.
 */
static int
accept_changes(struct change *ch, const struct group_config *g, struct err *e)
{
	struct capture *c;
	struct err why = {0};

	if (capture_attach(
		ch->home->path, &g->uuid, CAPTURE_COORDINATOR, &c, &why) == 0) {
		capture_detach(c);
		return 0;
	}
	if (why.kind != ERR_REFUSED || strstr(why.text, "outside AIM") == NULL)
		return 0; /* the source role will tell */
	if (change_has(ch, "dry-run"))
		return buf_printf(
		    &ch->err, e, "would be accepted: %s\n", why.text);
	if (capture_accept_volumes(ch->home->path, &g->uuid, e) < 0)
		return -1;
	return buf_printf(
	    &ch->err, e, "accepted, and part of this base: %s\n", why.text);
}

/* The way back from lost or damaged files of the group: 1 when they were made
 * anew, 0 when there was no need. */
static int
make_whole(struct change *ch, const struct group_config *g, struct err *e)
{
	struct err why = {0};

	if (rebuild_is_needed(ch->home, g, &why) == 0)
		return 0;
	if (change_has(ch, "dry-run"))
		return buf_printf(&ch->err, e,
			   "would be made anew, with a recovery: %s\n",
			   why.text) < 0
			   ? -1
			   : 1;
	if (rebuild_group(ch->home, g, e) < 0)
		return -1;
	return buf_printf(&ch->err, e,
		   "%s\nmade anew; what was captured and not yet sealed comes "
		   "with the recovery\n",
		   why.text) < 0
		   ? -1
		   : 1;
}

/* A break makes recoveries of all bases that there are. */
static int
queue_one(struct change *ch, const struct group_config *g,
    const struct destination_config *d, bool anew, struct err *e)
{
	struct job j;

	if (anew && job_load(ch->home, &d->uuid, &j, e) < 0)
		return -1;
	if (anew && j.state != JOB_NONE)
		return buf_printf(&ch->out, e,
		    "recovery of %s for %s: queued\n", g->name, d->name);
	if (!change_has(ch, "dry-run") &&
	    job_queue(ch->home, d, COPYIN_BASE, e) < 0)
		return err_at(e, "base of '%s' for '%s'", g->name, d->name);
	return buf_printf(
	    &ch->out, e, "base of %s for %s: queued\n", g->name, d->name);
}

/* A relay has no image: is there anything else? */
static int
check_ends(const struct destination_config *d, uint32_t count, struct err *e)
{
	for (uint32_t i = 0; i < count; i++)
		if (d[i].relay[0] == 0)
			return 0;
	return err_set(e, ERR_REFUSED,
	    "'%s' is a relay, which holds no mirror: add the mirror behind it "
	    "with 'aim-manager destination add NAME --via %s ...'",
	    d[0].name, d[0].name);
}

int
request_base(struct change *ch, struct err *e)
{
	const char *group = change_need(ch, "group", e);
	const struct group_config *g =
	    group == NULL ? NULL : change_group(ch, group, e);
	const char *only = change_text(ch, "destination");
	const struct destination_config *d;
	uint32_t count;
	int anew;

	if (g == NULL)
		return -1;
	anew = make_whole(ch, g, e);
	if (anew < 0)
		return err_at(e, "group '%s'", g->name);
	d = snapshot_destinations(&ch->now, &g->uuid, &count);
	if (d == NULL)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has no destination yet: add one with "
		    "'aim-manager destination add NAME --group %s ...'",
		    g->name, g->name);
	if (only[0] != 0) {
		d = change_destination(ch, &g->uuid, g->name, only, e);
		count = 1;
	}
	if (d == NULL)
		return -1;
	if (check_ends(d, count, e) < 0)
		return err_at(e, "group '%s'", g->name);
	if (anew == 0 && accept_changes(ch, g, e) < 0)
		return err_at(e, "group '%s'", g->name);
	for (uint32_t i = 0; i < count; i++)
		if (d[i].relay[0] == 0 &&
		    queue_one(ch, g, &d[i], anew == 1, e) < 0)
			return -1;
	return 0;
}
