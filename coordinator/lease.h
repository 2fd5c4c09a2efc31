/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease: who works for a home, and how the next one takes over.
 *
 * There is one coordinator for a home: whoever has the lock on state/lock,
 * which the kernel gives back when the process ends, however it ends. The
 * lease, state/lease, says who that is, with a fencing number that grows by
 * one with each of them, and its time of change is moved on while the holder
 * works. A standby (--standby) waits for the lock. It does not wait for ever
 * for a holder that has stopped working: it kills it, and the lock is free.
 *
 * So two can never work at once: no number has to be compared for that, as
 * all of them are processes of one machine (a home on a network file system
 * is refused, and so is one of another machine). A holder's children die
 * with it, and a role that the kernel still keeps has a lock of its own.
 */
#ifndef COORDINATOR_LEASE_H
#define COORDINATOR_LEASE_H

#include "coordinator/home.h"

/* Times in ms. */
enum {
	LEASE_LOOK = 200,   /* a standby looks so often */
	LEASE_RENEW = 30000 /* a holder renews so often, or more often when
			     * its limit is short */
};

struct lease {
	int fd; /* of the holder's file; -1: none */
	uint64_t fence;
	uint32_t limit_ms; /* without a sign of life; 0: never too long */
	uint64_t renew_ns; /* next time (monotonic) */
};
#define LEASE_NONE                                                             \
	{                                                                      \
		.fd = -1                                                       \
	}

/*
 * Waits for the lock as a standby: 1 and *lock is ours; 0 when SIGTERM or
 * SIGINT came first; -1: REFUSED when another standby waits already. A holder
 * that has not renewed its lease for the longer of its limit and `limit_ms`
 * (0: never) is killed. Blocks SIGTERM and SIGINT meanwhile.
 */
int lease_stand_by(
    struct home *h, uint32_t limit_ms, int *lock, struct err *e) CHECKED;

/* The lock is ours: writes down who we are, durably, with the next number. */
int lease_take(struct home *h, uint32_t limit_ms, struct lease *out,
    struct err *e) CHECKED;
/* Renews it if that is due; *next_ns is made no later than the next time. */
void lease_renew(struct lease *l, uint64_t *next_ns);
void lease_release(struct lease *l);

/* For status: the fencing number (0: none yet), and whether a standby waits.
 * Needs no lock. */
int lease_look(
    struct home *h, uint64_t *fence, bool *standby, struct err *e) CHECKED;

#endif
