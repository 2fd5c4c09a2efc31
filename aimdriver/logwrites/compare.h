/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: is the disk what the logs say that it must be by now?
 *
 * Nothing in a log proves that it is of this disk, that a write in it has
 * succeeded, that a discard was carried out, or that overlapping writes
 * reached the disk in the log's order. So every log is gone through backwards:
 * what no later entry has written to must be on the disk as the entry has it,
 * and zeroes where it was discarded. Where it is not, the disk is right: it is
 * what the source has.
 *
 * Memory: a bit for each log sector that the logs write to, and what differs.
 */
#ifndef AIMDRIVER_LOGWRITES_COMPARE_H
#define AIMDRIVER_LOGWRITES_COMPARE_H

#include "aimdriver/logwrites/chain.h"
#include "aimdriver/logwrites/disk.h"

struct compare_range {
	uint64_t off, len;
};

/* Where blocks of a log's entries begin: each block small enough to be read at
 * once, unless it is a single entry. */
struct compare_log {
	struct logfile_place *start;
	size_t count, room;
};

struct compare {
	struct compare_log *log; /* of each log of the chain */
	uint32_t logs;
	struct compare_range *differ; /* sorted by nothing, none overlap */
	uint32_t count, room;
	uint64_t compared;	   /* bytes that some entry has written */
	uint64_t differing;	   /* of those, not as the log has them */
	uint64_t discarded;	   /* bytes, at the end */
	uint64_t kept;		   /* of those, not zero on the disk */
	uint64_t entries, written; /* of all logs: entries, bytes of data */
};

/* Goes through all entries once: all of them whole, and within a volume of
 * `size` bytes. CORRUPT or REFUSED when not. */
int compare_check(const struct chain *c, uint64_t size, struct compare *out,
    struct err *e) CHECKED;
int compare_disk(const struct chain *c, struct disk *disk, struct compare *out,
    struct err *e) CHECKED;
void compare_release(struct compare *c);

#endif
