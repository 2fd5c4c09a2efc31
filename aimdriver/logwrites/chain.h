/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain: the write logs of a volume, one after the other. Each begins with a
 * mark of ours, "aim:UUID:N", by which it is told from the stale log of
 * another session, N counting from 0. UUID is the chain's. When logs are
 * changed under load some entries may come before the mark: dm-log-writes
 * writes its superblock at a mark, so they are of this session too.
 */
#ifndef AIMDRIVER_LOGWRITES_CHAIN_H
#define AIMDRIVER_LOGWRITES_CHAIN_H

#include "aimdriver/logwrites/logfile.h"
#include "common/uuid.h"

#include <stdbool.h>

#define CHAIN_LIMIT 256 /* logs that are given at once */
#define CHAIN_MARK 64	/* text of a mark, with the NUL */

struct chain {
	struct uuid id;
	bool marked;
	bool kernel;	/* dm-log-writes makes it, and ends it with a mark */
	uint64_t first; /* the number of log[0] */
	uint32_t count;
	struct logfile *log[CHAIN_LIMIT];
};

const char *chain_mark(const struct uuid *id, uint64_t n, char out[CHAIN_MARK]);
/* False: not one of ours, or one that begins no log. */
bool chain_parse(const char *mark, struct uuid *id, uint64_t *n);
/* Any mark of ours, also one that only keeps time. */
bool chain_is_own(const char *mark);
/* The kernel's, when it ends a log. */
bool chain_is_end(const char *mark);

/*
 * Opens logs that follow each other. REFUSED when one has no mark, or that of
 * another chain, or is out of order. `unmarked`: without marks; then there is
 * one log, and its identity is made of its first bytes.
 */
int chain_open(struct chain *c, char *const *path, int count, bool unmarked,
    struct err *e) CHECKED;
void chain_close(struct chain *c);

#endif
