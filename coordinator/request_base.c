/* SPDX-License-Identifier: Apache-2.0 */
/* request_base: base (group, destination): queues a full copy-in. */
#include "coordinator/request.h"

#include "coordinator/job.h"

static int
queue_one(struct change *ch, const struct group_config *g,
    const struct destination_config *d, struct err *e)
{
	if (!change_has(ch, "dry-run") &&
	    job_queue(ch->home, d, COPYIN_BASE, e) < 0)
		return err_at(e, "base of '%s' for '%s'", g->name, d->name);
	return buf_printf(
	    &ch->out, e, "base of %s for %s: queued\n", g->name, d->name);
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

	if (g == NULL)
		return -1;
	if (only[0] != 0) {
		d = change_destination(ch, g, only, e);
		return d == NULL ? -1 : queue_one(ch, g, d, e);
	}
	d = snapshot_destinations(&ch->now, &g->uuid, &count);
	if (d == NULL)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has no destination yet: add one with "
		    "'aim-manager destination add NAME --group %s ...'",
		    g->name, g->name);
	for (uint32_t i = 0; i < count; i++)
		if (queue_one(ch, g, &d[i], e) < 0)
			return -1;
	return 0;
}
