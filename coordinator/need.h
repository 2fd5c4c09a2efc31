/* SPDX-License-Identifier: Apache-2.0 */
/*
 * need: which files of a stream a destination still needs, by what it has
 * acknowledged and by its copy-in. One thread.
 */
#ifndef COORDINATOR_NEED_H
#define COORDINATOR_NEED_H

#include "coordinator/ack_store.h"
#include "coordinator/job.h"

struct need {
	bool nothing;
	struct position after; /* nil: all from transaction `from` */
	uint64_t from;
};

/* `stored`: what it has stored it needs no more; else what it has applied. */
int need_find(struct home *h, const struct destination_config *d,
    const struct job *j, bool stored, struct need *out, struct err *e) CHECKED;
bool need_has(const struct need *n, const struct sealed_file *f);

/*
 * How far a hub has been cleared, state/<destination>.hub: whoever clears it
 * writes it after the fact; nil when it is not known.
 */
void need_cleared(
    struct home *h, const struct uuid *destination, struct position *out);
int need_note_cleared(struct home *h, const struct uuid *destination,
    const struct position *at, struct err *e) CHECKED;

#endif
