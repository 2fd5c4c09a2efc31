/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuild: a source group's files under active/, when they were lost or
 * damaged. The operator asks for it with `base`; the request makes them anew,
 * under the source role's lock, and the role then begins a new epoch with
 * recoveries, as for a group that was not closed cleanly.
 *
 * A role that still runs on the old files (it has them mapped, even when they
 * were removed) must go first: state/<group>.rebuild asks it to.
 */
#ifndef COORDINATOR_REBUILD_H
#define COORDINATOR_REBUILD_H

#include "aimdriver/capture.h"
#include "coordinator/config.h"
#include "coordinator/home.h"

/* CORRUPT, with advice, unless the group that is attached to has exactly the
 * volumes that the catalogue says. */
int rebuild_compare(const struct group_config *g, const struct capture *c,
    struct err *e) CHECKED;

/* 0 when the group's files are in order or in other trouble than this; 1 when
 * they are lost or damaged: *why says how. */
int rebuild_is_needed(
    const struct home *h, const struct group_config *g, struct err *why);

/* Makes them anew, durably. REFUSED while captured programs are attached;
 * RETRY when the source role does not go. */
int rebuild_group(
    struct home *h, const struct group_config *g, struct err *e) CHECKED;

/* For the source role: is it to go? And: it has the new files. */
bool rebuild_is_asked(const struct home *h, const struct uuid *group);
int rebuild_forget(
    struct home *h, const struct uuid *group, struct err *e) CHECKED;

#endif
