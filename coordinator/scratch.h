/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch: a private folder for files that another program needs by name. It
 * is locked while its process lives, and goes away with it; one that a killed
 * process left is removed by the next that opens one beside it. One thread.
 */
#ifndef COORDINATOR_SCRATCH_H
#define COORDINATOR_SCRATCH_H

#include "common/err.h"

#include <limits.h>

struct scratch {
	int dir; /* -1: none */
	char path[PATH_MAX];
};

#define SCRATCH_NONE ((struct scratch){.dir = -1})

/* In the folder `under`; "": in that for temporary files. */
int scratch_open(const char *under, struct scratch *out, struct err *e) CHECKED;
/* Makes an empty folder in it, in the place of what has that name. */
int scratch_folder(
    const struct scratch *s, const char *name, int *out, struct err *e) CHECKED;
void scratch_close(struct scratch *s);

#endif
