/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ship_commit: while a flush waits for this destination, its acknowledgement is
 * asked for every few milliseconds, and the source role is woken when it has
 * come. Both by way of the capture core's control file, which is looked at and
 * rung, never waited for.
 */
#include "coordinator/ship.h"

#include "common/clock.h"

#define TRY_INTERVAL_NS UINT64_C(1000000000)
/* Nothing was sent or stored for so long: whatever is the matter is not mended
 * by asking often. */
#define URGENT_NS UINT64_C(5000000000)

void
ship_commit_look(struct ship *s)
{
	uint64_t now = clock_mono_ns();

	if (!s->destination.commit || now < s->commit_next_ns)
		return;
	s->commit_next_ns = now + TRY_INTERVAL_NS;
	if (s->commit != NULL && !capture_is_replaced(s->commit))
		return;
	ship_commit_close(s);
	/* Without it all goes on as it does for others. */
	if (capture_attach(s->home->path, &s->destination.group,
		CAPTURE_INSPECT, &s->commit, NULL) < 0)
		s->commit = NULL;
}

void
ship_commit_close(struct ship *s)
{
	capture_detach(s->commit);
	s->commit = NULL;
}

bool
ship_commit_urgent(const struct ship *s)
{
	return s->commit != NULL && capture_commit_awaited(s->commit) &&
	       clock_mono_ns() - s->moved_ns < URGENT_NS;
}

void
ship_commit_tell(struct ship *s)
{
	if (s->commit != NULL)
		capture_nudge(s->commit);
}
