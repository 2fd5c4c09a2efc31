/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfile: a write log in a file or on a block device, read in order with
 * bounded memory (one window of 2 MiB, or the log's sector when larger).
 *
 * A block device is read past the page cache: device mapper writes below it,
 * and what the cache holds would stay old. Errors: CORRUPT for bytes (the
 * text says which entry, and where), REFUSED for versions, others from the
 * system. One thread at a time.
 */
#ifndef AIMDRIVER_LOGWRITES_LOGFILE_H
#define AIMDRIVER_LOGWRITES_LOGFILE_H

#include "aimdriver/logwrites/wlog.h"
#include "common/err.h"

struct logfile;

/* A place between two entries. */
struct logfile_place {
	uint64_t index; /* of the entry that begins here, from 0 */
	uint64_t off;	/* in the log, bytes */
};

int logfile_open(const char *path, struct logfile **out, struct err *e) CHECKED;
void logfile_close(struct logfile *f);
/*
 * From now on the window is mapped, not copied: for a log that is finished.
 * Where that cannot be done all stays as it is. What goes away meanwhile is
 * SIGBUS: logfile_catch says so on standard error and ends the process, which
 * is as good as being killed.
 */
void logfile_map(struct logfile *f);
int logfile_catch(struct err *e) CHECKED;
/* For another thread, of a mapped log that outlives it: 1; 0 when it is not
 * mapped. To be closed. */
int logfile_twin(
    const struct logfile *f, struct logfile **out, struct err *e) CHECKED;

/* As it was read last; `size` of the file or device, in bytes. */
const struct wlog_super *logfile_super(const struct logfile *f);
uint64_t logfile_size(const struct logfile *f);
const char *logfile_name(const struct logfile *f);

/* Reads the superblock again, and forgets what the window holds. CORRUPT
 * when it is another log now. */
int logfile_refresh(struct logfile *f, struct err *e) CHECKED;

/* Where the next entry begins. logfile_seek takes only what logfile_tell
 * gave for this log; zero is the beginning. */
void logfile_tell(const struct logfile *f, struct logfile_place *out);
int logfile_seek(
    struct logfile *f, const struct logfile_place *to, struct err *e) CHECKED;

/*
 * The next entry, within those that the superblock counts: 1, 0 at the end,
 * -1 (the place stays). Its data lies within the log.
 */
int logfile_next(
    struct logfile *f, struct wlog_entry *out, struct err *e) CHECKED;
/* Is something written behind the last entry that the superblock counts? To be
 * asked when logfile_next has returned 0. */
int logfile_goes_on(struct logfile *f, bool *out, struct err *e) CHECKED;
/*
 * Does the window hold all of the next entry, or is there none? When not, it
 * can be filled from that entry on: logfile_bring reads, and nothing else of
 * what follows does until logfile_is_near says no again.
 */
bool logfile_is_near(const struct logfile *f);
int logfile_bring(struct logfile *f, struct err *e) CHECKED;
/* For going through headers alone: reads little beyond them, when what lies
 * between them is much. */
void logfile_skim(struct logfile *f, bool on);
/* As logfile_data, but lends the window's bytes until the next call, when they
 * all fit into it: at most LOGFILE_LEND. */
#define LOGFILE_LEND (UINT64_C(1) << 20)
int logfile_lend(struct logfile *f, uint64_t at, size_t len,
    const uint8_t **out, struct err *e) CHECKED;
/* `len` bytes of the data of the last entry that was returned, from byte
 * `at` of it. */
int logfile_data(struct logfile *f, uint64_t at, void *to, size_t len,
    struct err *e) CHECKED;

#endif
