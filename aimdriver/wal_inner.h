/* SPDX-License-Identifier: Apache-2.0 */
/* wal_inner: what wal.c and wal_commit.c share. */
#ifndef AIMDRIVER_WAL_INNER_H
#define AIMDRIVER_WAL_INNER_H

#include "aimdriver/wal.h"
#include "aimdriver/wal_file.h"

struct stage {
	uint8_t *bytes; /* WAL_STAGE */
	uint64_t used, records;
	bool overflow;		  /* something had no room */
	_Atomic uint32_t copying; /* threads that still fill their part */
};

struct wal {
	struct capture *c;
	uint32_t volume;
	int fd, sync_fd;
	pthread_mutex_t lock;
	pthread_cond_t done; /* a half is free */
	pthread_cond_t work; /* for the thread */
	pthread_t thread;
	bool started, stop;

	struct stage stage[2];
	unsigned into;			  /* the stage that is put into */
	_Atomic uint64_t staged, durable; /* counts of changes */
	/* Commits that were begun, changed locked, and that have ended. One is
	 * under way when they differ; it is for the changes up to `taken`. */
	_Atomic uint32_t begun, ended;
	_Atomic uint64_t taken;
	_Atomic uint32_t turn[2]; /* futex: for who waits for commit n, n % 2 */
	_Atomic bool failed;
	struct err why; /* once it has failed */

	/* the leader's */
	struct wal_head head;
	unsigned half;
	uint64_t at, sequence; /* in the half */
	/* halves that were left, and the last of them that is free again */
	uint64_t left, freed;
};

void wal_stage_empty(struct stage *s);
/* Locked. From now on nothing is committed any more. */
void wal_fail(struct wal *w, const struct err *why);
/* The leader's. Begins half number `half`; `base` is the oldest generation
 * that a redo needs from now on, 0: the new one. */
int wal_begin_half(
    struct wal *w, unsigned half, uint64_t base, struct err *e) CHECKED;
/* Locked, and again when it returns: all halves that were left are free. */
void wal_flush_disk(struct wal *w);

#endif
