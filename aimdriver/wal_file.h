/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_file: how a log of changes lies in its file. For wal*.c.
 *
 * Two heads, in the first sectors of the blocks 0 and 1, one for each half;
 * from block 2 on the halves. A half is a run of batches, each from a block's
 * start: struct wal_batch, then records with their data, each at a multiple of
 * eight. The id, random for each use of a half, is in its batches and in their
 * sums, so nothing of an earlier use is ever taken for one of this; the run
 * ends at the first batch that is not whole or not the next. The half with the
 * higher generation is the newer one; the other one comes before it if its
 * generation is not below `base`. A log that was ended has an inactive head.
 */
#ifndef AIMDRIVER_WAL_FILE_H
#define AIMDRIVER_WAL_FILE_H

#include "aimdriver/control.h"

#define WAL_MAGIC UINT64_C(0x0a1a6c6157416941)
#define WAL_BATCH_MAGIC UINT64_C(0x686374616257416d)

enum {
	WAL_LAYOUT = 1,
	WAL_BLOCK = 4096,
	WAL_STAGE = 4 << 20, /* largest batch */
	WAL_ALIGN = 8,
};

struct wal_head {
	uint64_t magic;
	uint32_t layout, active;
	struct uuid group, volume;
	uint64_t id, generation, base;
	uint64_t half_len; /* bytes of a half */
	uint64_t sum;
};

struct wal_batch {
	uint64_t magic, id, sequence;
	uint64_t len; /* with this */
	uint64_t records;
	uint64_t sum; /* of all of it, with 0 here */
};

struct wal_record {
	uint32_t op, spare;
	uint64_t off, len;
};

static inline uint64_t
wal_round(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static inline uint64_t
wal_half_at(const struct wal_head *h, unsigned half)
{
	return 2 * (uint64_t)WAL_BLOCK + half * h->half_len;
}

/* Opens the volume's log and locks it for as long as it is open: 1; 0 when
 * there is none; -1, RETRY when another process has it. */
int wal_file_open(
    struct capture *c, uint32_t volume, int *out, struct err *e) CHECKED;
/* The same; makes it with halves of that length if it is not so. */
int wal_file_make(struct capture *c, uint32_t volume, uint64_t half_len,
    int *out, struct err *e) CHECKED;
/* The same file once more, for batches that are durable when written. */
int wal_file_open_sync(int fd, int *out, struct err *e) CHECKED;

/* The index of the newest head and, if it needs the other half, that one's
 * (else -1). 1; 0 when the log was ended; CORRUPT. */
int wal_heads_read(struct capture *c, uint32_t volume, int fd,
    struct wal_head heads[2], int *newest, int *before, struct err *e) CHECKED;
/* Fills the rest in and writes it, durably. */
int wal_head_write(struct capture *c, uint32_t volume, int fd, unsigned half,
    struct wal_head *h, struct err *e) CHECKED;
/* Whatever the file holds, it is not to be redone. Durable. */
int wal_file_end(
    struct capture *c, uint32_t volume, int fd, struct err *e) CHECKED;

/* Is there one in the group's folder that was not ended? For whoever makes the
 * group's files anew. */
int wal_file_is_active(int dir, const struct uuid *group,
    const struct uuid *volume, bool *out, struct err *e) CHECKED;

/* Over a whole batch in memory. */
uint64_t wal_batch_sum(const struct wal_batch *b);

#endif
