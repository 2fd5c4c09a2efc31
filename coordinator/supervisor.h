/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor: runs a site. One child process for each role, started again
 * with backoff when it dies, killed when it does not move; requests of
 * managers, each carried out by a child; changes of the configuration restart
 * the roles that they concern. Does no I/O on data itself, so nothing that
 * hangs can hang it.
 */
#ifndef COORDINATOR_SUPERVISOR_H
#define COORDINATOR_SUPERVISOR_H

#include "coordinator/home.h"
#include "coordinator/lease.h"

/* The caller holds the home's lock, by descriptor `lock`, and has taken the
 * lease. Returns at SIGTERM or SIGINT, when all children are gone. A role that
 * has not moved for the lease's limit is killed and started again (watch.h);
 * 0: never. `takes_over` is noted as an event. */
int supervisor_run(struct home *h, int lock, struct lease *lease,
    bool takes_over, struct err *e) CHECKED;

/*
 * One pass over all roles, in this process: seals everything, and goes on
 * until nothing moves any more; never waits for the other site. 0 when
 * nothing failed, else how many roles had trouble, which was logged; -1 when
 * it could not begin.
 */
int supervisor_once(struct home *h, struct err *e) CHECKED;

#endif
