/* SPDX-License-Identifier: Apache-2.0 */
/*
 * incoming: the folder DIR/<stream>/ that somebody else writes into. Nothing
 * in it is believed: not names, not types, not that a file stays as it is.
 * Names from it are only ever used against its own descriptor. One thread.
 */
#ifndef COORDINATOR_INCOMING_H
#define COORDINATOR_INCOMING_H

#include "coordinator/chain.h"
#include "coordinator/home.h"

struct incoming;

/* REFUSED with guidance when the folder or its ack/ is not there. Of a mirror
 * that fetches its files it is fetched/<stream>/, which is made. */
int incoming_open(struct home *h, const struct mirror_config *m,
    struct incoming **out, struct err *e) CHECKED;
/* Its ack/ alone; close(). */
int incoming_open_acks(struct home *h, const struct mirror_config *m, int *out,
    struct err *e) CHECKED;
void incoming_close(struct incoming *in);

int incoming_dir(const struct incoming *in);
int incoming_ack_dir(const struct incoming *in);

/* A regular file in the folder, as it was when it was opened. */
struct incoming_file {
	int fd;
	uint64_t len, ino;
	int64_t mtime_ns;
};

/*
 * Opens `name` for reading: 1; 0 when it is not there; 2 when it is something
 * that is never opened (`why` says what: link, FIFO, ...) or is too large; -1.
 */
int incoming_get(struct incoming *in, const char *name,
    struct incoming_file *out, char why[CHAIN_WHY], struct err *e) CHECKED;

/* Is somebody still writing to it? Known only for files of our own account,
 * or as root; else false. */
bool incoming_is_written(const struct incoming_file *f);

/* ---- looking through the folder ---- */

enum incoming_kind {
	INCOMING_JOURNAL = 1, /* has a journal file's name, and is a file */
	INCOMING_STRANGE,     /* anything else; `why` says what */
};

struct incoming_entry {
	enum incoming_kind kind;
	char name[256];
	struct chain_name at; /* JOURNAL only */
	uint64_t ino;
	char why[CHAIN_WHY];
};

/* Begins a look through the whole folder, unless one is under way. */
int incoming_scan_begin(struct incoming *in, struct err *e) CHECKED;
bool incoming_is_scanning(const struct incoming *in);
/*
 * The next entry: 1, 0 at the end, -1. Entries of transfers that are under way
 * (.*.part) are left out; those that have not changed for an hour, as seen by
 * the monotonic clock, are removed (1, kind 0: nothing to do for the caller).
 */
int incoming_scan_next(
    struct incoming *in, struct incoming_entry *out, struct err *e) CHECKED;
/* For tests: the age at which a .part is removed. */
void incoming_set_part_age(struct incoming *in, uint64_t age_ns);

/* ---- waiting ---- */

enum {
	INCOMING_FILES = 1u << 0, /* a journal file has come */
	INCOMING_SCAN = 1u << 1,  /* something that a scan must look at */
	INCOMING_STATE = 1u << 2, /* the mirror's state has changed */
};

/*
 * Sleeps until something happens, at most wait_ms (0: only looks), and says
 * what. Names at or before `tip` ask for a scan. Only a hint: events can be
 * lost.
 */
unsigned incoming_wait(
    struct incoming *in, const struct position *tip, uint32_t wait_ms);

#endif
