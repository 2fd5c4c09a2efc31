/* SPDX-License-Identifier: Apache-2.0 */
/* examine: one file after the other, each against the one before it. */
#ifndef MANAGER_AIMDUMP_EXAMINE_H
#define MANAGER_AIMDUMP_EXAMINE_H

#include "manager/aimdump/keys.h"
#include "manager/aimdump/show.h"

enum { EXAMINE_VALID = 0, EXAMINE_INVALID = 1, EXAMINE_UNREADABLE = 2 };

struct examine {
	struct keys keys;
	bool has_keys; /* signatures are wanted */
	bool verify;   /* digests and chain */
	struct show show;
	bool has_before; /* the chain goes on from here: */
	struct journal_header before;
	/* of `before`, with the sizes that it ends with; NULL: not known */
	struct journal_volume *volumes;
};

void examine_release(struct examine *x);

/* EXAMINE_*; with UNREADABLE the error says why; then nothing was shown, or
 * the header alone of a file that could not be opened. */
int examine_file(struct examine *x, const char *path, struct err *e) CHECKED;

#endif
