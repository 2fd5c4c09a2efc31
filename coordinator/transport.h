/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport: the seam between shipping and the ways that files can travel.
 * Names are relative to the DIR of the URL, made of [A-Za-z0-9._-] and '/',
 * built by AIM itself; any other is REFUSED. A transport's "ok" counts for
 * nothing but progress. Every call is bounded in time. Errors: RETRY (try
 * again later), FULL (there), REFUSED (the operator must look; trying again
 * later is harmless).
 */
#ifndef COORDINATOR_TRANSPORT_H
#define COORDINATOR_TRANSPORT_H

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/config.h"

struct transport;

struct transport_ops {
	const char *scheme; /* "file", "sftp" */
	/* Checks URL and options without connecting. */
	int (*check)(
	    const struct destination_config *d, bool for_acks, struct err *e);
	/* Connects to nobody yet. */
	int (*open)(const struct destination_config *d, bool for_acks,
	    struct transport **out, struct err *e);
	/*
	 * Puts the file so that it appears whole under `name` or not at all,
	 * never over another (1: done, or 0: a file of that name is there
	 * already). `name` is "<stream UUID>/NAME.aim". May return 1 while
	 * the file is still on its way; then `drain` says what became of it,
	 * or an earlier put that fails. Files may appear in another order.
	 */
	int (*put)(struct transport *t, int fd, uint64_t len, const char *name,
	    struct err *e);
	/* Waits for all that was put: 0, or -1 for the first that failed. */
	int (*drain)(struct transport *t, struct err *e);
	/* At most `max` (<= TRANSPORT_GET_LIMIT) bytes; 1, or 0 when there is
	 * no such file. */
	int (*get)(struct transport *t, const char *name, size_t max,
	    struct buf *out, struct err *e);
	/* Adds an inotify watch that fires when something changes in the
	 * folder `name`; NULL or -1 when it cannot: then poll. */
	int (*watch)(struct transport *t, int inotify, const char *name);
	void (*close)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
};

#define TRANSPORT_GET_LIMIT 32768u
#define TRANSPORT_NAME_LIMIT 160u /* with the NUL */

/* By the URL's scheme; REFUSED with the list of schemes otherwise. */
int transport_open(const struct destination_config *d, bool for_acks,
    struct transport **out, struct err *e) CHECKED;
/* Borrows fd, which may be closed on return. */
int transport_put(struct transport *t, int fd, uint64_t len, const char *name,
    struct err *e) CHECKED;
int transport_drain(struct transport *t, struct err *e) CHECKED;
int transport_get(struct transport *t, const char *name, size_t max,
    struct buf *out, struct err *e) CHECKED;
int transport_watch(struct transport *t, int inotify, const char *name);
void transport_close(struct transport *t);
/* Checks a URL and its options without connecting; REFUSED says why. */
int transport_check(const struct destination_config *d, struct err *e) CHECKED;

/* ---- for transports ---- */

/* The URL that counts: ack_url for acknowledgements when there is one. */
const char *transport_url(const struct destination_config *d, bool for_acks);
/* REFUSED for names that AIM itself would never make. */
int transport_name_check(const char *name, struct err *e) CHECKED;
/* "<folder>/.<NAME>.<32 hex digits>.part" for "<folder>/<NAME>". */
int transport_part_name(
    const char *name, char *out, size_t room, struct err *e) CHECKED;

extern const struct transport_ops transport_dir_ops, transport_sftp_ops;

#endif
