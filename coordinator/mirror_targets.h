/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror_targets: all volumes of a mirror, open together, and the memory of
 * which objects they are: state/<mirror>.targets, so that a path that leads to
 * something else is noticed before it is written (faults F29, F69).
 */
#ifndef COORDINATOR_MIRROR_TARGETS_H
#define COORDINATOR_MIRROR_TARGETS_H

#include "coordinator/stage.h"
#include "coordinator/target.h"

struct mirror_targets {
	uint32_t count;
	struct target **all; /* in the order of the mirror's volumes */
};

int mirror_targets_open(
    const struct stage *s, struct mirror_targets *out, struct err *e) CHECKED;
void mirror_targets_close(struct mirror_targets *t);

/*
 * Compares them with what was remembered: 1 the same (or nothing was
 * remembered), 0 another object is there (`why` says which), -1.
 */
int mirror_targets_known(const struct stage *s, const struct mirror_targets *t,
    char why[CHAIN_WHY], struct err *e) CHECKED;
/* Remembers them as they are now, durably. */
int mirror_targets_remember(const struct stage *s,
    const struct mirror_targets *t, struct err *e) CHECKED;

#endif
