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

/* `stored`: what it has stored it needs no more; else what it has applied. A
 * relay needs what it has not stored; before it has anything, those behind it
 * say what is needed. */
int need_find(struct home *h, const struct destination_config *d,
    const struct job *j, bool stored, struct need *out, struct err *e) CHECKED;
bool need_has(const struct need *n, const struct sealed_file *f);

/* What keeps a file from being pruned: that, and where it is this destination
 * that clears a hub, what it has not removed there yet: by the file the name
 * is known. */
struct file_hold {
	struct need need;
	bool clears;
	struct position cleared;
};
int hold_find(struct home *h, const struct destination_config *d,
    const struct job *j, struct file_hold *out, struct err *e) CHECKED;
/* What the relay that sends for it has stored is that one's to bring, if the
 * destination says so (PRUNE_HOP): then less is held. */
int hold_hop(struct home *h, const struct destination_config *d,
    const struct destination_config *hop, struct file_hold *out,
    struct err *e) CHECKED;
bool hold_has(const struct file_hold *h, const struct sealed_file *f);

/*
 * How far a hub has been cleared, state/<destination>.hub: whoever clears it
 * writes it after the fact; nil when it is not known.
 */
void need_cleared(
    struct home *h, const struct uuid *destination, struct position *out);
int need_note_cleared(struct home *h, const struct uuid *destination,
    const struct position *at, struct err *e) CHECKED;

#endif
