/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal: a log that is written at once where the disk would have to be, for
 * drivers with commit=wal (the nbdkit filter). One volume has one log, written
 * by one process, which has the volume for itself: other processes' changes to
 * it get EBUSY.
 *
 *   write    goes to the disk as ever, but only as far as the page cache, and
 *            is put beside (wal_stage), with its range locked: so changes that
 *            overlap are in the log in their order
 *   flush    what was put beside is written to the log, with one synchronous
 *            write for all who wait (wal_commit)
 *   log      two halves. When one is full the other is begun, and a thread
 *            flushes the disk; after that the first may be used again. What is
 *            too much to be put beside makes the next flush one of the disk;
 *            then the log begins anew.
 *   redo     after the host has crashed, or a flush of the disk has failed,
 *            before anybody else may attach as a writer: the log is written to
 *            the disk again, from where it began, as far as it is whole
 *
 * The mode does not matter: the log has what passes uncaptured, too. What is
 * redone may be older than what was on the disk and was never flushed by a
 * client; so its extents are marked first, and copied in afterwards.
 *
 * Files: active/<group>/wal.<volume UUID>; wal_file.h says how they lie.
 */
#ifndef AIMDRIVER_WAL_H
#define AIMDRIVER_WAL_H

#include "aimdriver/capture.h"

#define WAL_SIZE_DEFAULT (UINT64_C(64) << 20)
#define WAL_SIZE_LEAST (UINT64_C(8) << 20)
#define WAL_SIZE_MOST (UINT64_C(64) << 30)

struct wal;

/*
 * Takes the volume for this process and begins a log of `size` bytes (both
 * halves, rounded up to MiB). `c` is attached as WRITER and outlives the log.
 * REFUSED when another process has it, or it must be redone first.
 */
int wal_open(struct capture *c, uint32_t volume, uint64_t size,
    struct wal **out, struct err *e) CHECKED;
/* Once, in the process that will call the rest (after fork). */
int wal_start(struct wal *w, struct err *e) CHECKED;
/*
 * Flushes the disk, ends the log and gives the volume back. -1: it was not
 * flushed; the next who attaches sees to it. `w` is gone in any case.
 */
int wal_close(struct wal *w, struct err *e) CHECKED;

/*
 * Notes a change that the disk has been given: WRITE (with `data`), ZERO or
 * DISCARD. The range is locked. Any thread.
 */
void wal_stage(struct wal *w, enum aim_op op, uint64_t off, uint64_t len,
    const void *data);
/*
 * All that was staged before is durable when it returns 0, and a FLUSH in the
 * stream says so. flush(ctx) flushes the disk: 0, or -errno. After a failure
 * every call fails: what the clients were told stands in the log, and is redone
 * by the next one. Any thread.
 */
int wal_commit(
    struct wal *w, int (*flush)(void *ctx), void *ctx, struct err *e) CHECKED;

/*
 * Redoes all volumes of the group that wait for it. `c` is attached with
 * CAPTURE_REDO. *redone is the number of changes that were made again.
 * Whenever it is killed it is to be done again from the beginning. CORRUPT
 * when a log is missing or damaged in its head.
 */
int wal_redo(struct capture *c, uint64_t *redone, struct err *e) CHECKED;
/* Has another process the volume for itself? */
bool wal_is_taken(const struct capture *c, uint32_t volume);

#endif
