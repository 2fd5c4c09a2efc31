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

/* One of several files that are got at the same time; see `fetch`. */
struct transport_file {
	const char *name;
	int fd;	      /* lent, empty; written from its beginning */
	uint64_t max; /* bytes that are accepted */
	/* Called once what follows is known, in any order; NULL: not. */
	void (*done)(struct transport_file *f);
	void *ctx;  /* the caller's */
	int result; /* 1: got, 0: there is no such file, -1 */
	uint64_t len;
	struct err why; /* of -1; CORRUPT: larger than `max` */
};

struct transport_ops {
	const char *scheme; /* "file", "sftp", "https", ... */
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

	/* ---- for places that are fetched from; NULL: it cannot ---- */

	/*
	 * Gets whole files into their descriptors, as many at a time as is
	 * good, and waits for all. What is in a descriptor of another result
	 * than 1 is nothing (of CORRUPT: how the file begins). After a
	 * failure the rest may fail likewise without being tried. Nothing is
	 * synced.
	 */
	void (*fetch)(
	    struct transport *t, struct transport_file *files, size_t count);
	/* Puts these few bytes under `name`, in the place of what is there.
	 * Who reads meanwhile gets either, whole, or nothing (rule 9.17). */
	int (*replace)(struct transport *t, const void *bytes, size_t len,
	    const char *name, struct err *e);
	/* 1 removed, or 0: it was not there. Where the server does not tell
	 * the one from the other: either. */
	int (*remove)(struct transport *t, const char *name, struct err *e);
	/* Is it there? 1, 0, -1. NULL: nobody knows, `put` will find out. */
	int (*has)(struct transport *t, const char *name, struct err *e);
	/* Makes the folder `name` and those above it within DIR, which must
	 * be there. NULL: the place has no folders, or makes them itself. */
	int (*make_folder)(
	    struct transport *t, const char *name, struct err *e);
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
/* Every file gets its result, a transport that cannot fetch included. */
void transport_fetch(
    struct transport *t, struct transport_file *files, size_t count);
int transport_replace(struct transport *t, const void *bytes, size_t len,
    const char *name, struct err *e) CHECKED;
int transport_remove(
    struct transport *t, const char *name, struct err *e) CHECKED;
/* 0 too when the transport cannot know. */
int transport_has(struct transport *t, const char *name, struct err *e) CHECKED;
int transport_make_folder(
    struct transport *t, const char *name, struct err *e) CHECKED;
void transport_close(struct transport *t);
/* Checks a URL and its options without connecting; REFUSED says why. */
int transport_check(const struct destination_config *d, struct err *e) CHECKED;

/* After that: can files be fetched from there, too? */
int transport_check_hub(
    const struct destination_config *d, struct err *e) CHECKED;

/* ---- for transports ---- */

/* The URL that counts: ack_url for acknowledgements when there is one. */
const char *transport_url(const struct destination_config *d, bool for_acks);
/* REFUSED for names that AIM itself would never make. */
int transport_name_check(const char *name, struct err *e) CHECKED;
/* "<folder>/.<NAME>.<32 hex digits>.part" for "<folder>/<NAME>". */
int transport_part_name(
    const char *name, char *out, size_t room, struct err *e) CHECKED;
/* Gives a file its result: 1 and its length, 0, or -1 with *why. */
void transport_file_done(
    struct transport_file *f, int result, uint64_t len, const struct err *why);

extern const struct transport_ops transport_dir_ops, transport_sftp_ops,
    transport_https_ops, transport_http_ops, transport_s3_ops,
    transport_rsync_ops, transport_rsync_ssh_ops;

#endif
