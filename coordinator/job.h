/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job: the copy-in of one destination, kept in state/<destination>.job so that
 * it survives everything. Made by whoever registers it (manager, recovery),
 * afterwards changed by the source role alone. One thread; durable on return.
 *
 * A job file is there for ever once a base was asked for: without one a
 * destination holds no journal file back.
 */
#ifndef COORDINATOR_JOB_H
#define COORDINATOR_JOB_H

#include "coordinator/config.h"
#include "coordinator/home.h"

enum job_state { JOB_NONE = 0, JOB_QUEUED, JOB_RUNNING, JOB_DONE };

struct job {
	struct uuid id; /* of the copy-in; those begun together share it */
	struct uuid destination, mirror;
	enum copyin_kind kind;
	enum job_state state;
	uint64_t begin, end; /* transactions; 0: not yet */
	/* First transaction that the destination may need as long as it has
	 * acknowledged nothing: the first BEGIN made for it. 0: none yet. */
	uint64_t from;
	bool marked;	 /* only what is in state/<group>.extents */
	uint32_t volume; /* progress: this volume ... */
	uint64_t off;	 /* ... is copied in up to here */
};

/* JOB_NONE in out->state when there is no file; CORRUPT when it is damaged. */
int job_load(struct home *h, const struct uuid *destination, struct job *out,
    struct err *e) CHECKED;
int job_store(struct home *h, const struct job *j, struct err *e) CHECKED;
/* Queues a copy-in unless one is queued or running already (then 0 too). */
int job_queue(struct home *h, const struct destination_config *d,
    enum copyin_kind kind, struct err *e) CHECKED;
/* Begins anew, with another id, whatever was under way: after a break. */
int job_restart(struct home *h, struct job *j, enum copyin_kind kind,
    struct err *e) CHECKED;
const char *job_state_name(enum job_state s);

#endif
