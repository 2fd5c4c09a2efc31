/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: how the write logs of a group stand, for people: what was prepared,
 * what is being imported or followed, what was left half done, what was lost.
 * Takes no lock and changes nothing.
 */
#ifndef AIMDRIVER_LOGWRITES_STATE_H
#define AIMDRIVER_LOGWRITES_STATE_H

#include "aimdriver/logwrites/progress.h"

enum log_phase {
	LOG_PREPARED, /* nothing of it is in the stream yet */
	LOG_WORKING,  /* somebody imports or follows it now */
	LOG_STOPPED,  /* half done, and nobody is at it */
	LOG_DONE,     /* imported to its end */
	LOG_GAP,      /* it lacks something: the disk is to be copied in */
	LOG_CUT,      /* the machine stopped: how far it was is not known */
	LOG_OVER,     /* the disk was copied in since it began: of no use */
};

struct log_state {
	struct progress progress;
	enum log_phase phase;
	uint64_t changed_ns; /* wall clock */
};

struct log_states {
	struct log_state *list; /* the newest first */
	size_t count;
	size_t damaged; /* files that cannot be read */
};

int log_states_look(const char *home, const struct uuid *group,
    struct log_states *out, struct err *e) CHECKED;
void log_states_release(struct log_states *s);
const char *log_phase_name(enum log_phase phase);
const char *log_gap_text(enum progress_gap gap);

#endif
