/* SPDX-License-Identifier: Apache-2.0 */
/* target: the protected volume that a log is of, and its group. */
#ifndef AIMDRIVER_LOGWRITES_TARGET_H
#define AIMDRIVER_LOGWRITES_TARGET_H

#include "aimdriver/capture.h"

struct target {
	struct uuid group;
	uint32_t volume; /* index */
	struct capture_volume info;
};

/* `what` is the path of the disk, or the volume's UUID. REFUSED when no group
 * of the home has it, or when its group has other volumes too: logs do not
 * say in what order the writes of several were made. */
int target_find(const char *home, const char *what, struct target *out,
    struct err *e) CHECKED;

#endif
