/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport: the seam between shipping and the ways that files can travel.
 * Names are relative to the DIR of the URL, made of [A-Za-z0-9._-] and '/',
 * built by AIM itself. A transport's "ok" counts for nothing but progress.
 * Every call is bounded in time; RETRY means try again later.
 */
#ifndef COORDINATOR_TRANSPORT_H
#define COORDINATOR_TRANSPORT_H

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/config.h"

struct transport;

struct transport_ops {
	const char *scheme; /* "file", "sftp" */
	int (*open)(const struct destination_config *d, bool for_acks,
	    struct transport **out, struct err *e);
	/*
	 * Puts the file so that it appears whole under `name` or not at all,
	 * never over another (1: done, or 0: a file of that name is there
	 * already). `name` is "<stream UUID>/NAME.aim".
	 */
	int (*put)(struct transport *t, int fd, uint64_t len, const char *name,
	    struct err *e);
	/* At most `max` bytes; 1, or 0 when there is no such file. */
	int (*get)(struct transport *t, const char *name, size_t max,
	    struct buf *out, struct err *e);
	void (*close)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
};

/* By the URL's scheme; REFUSED with the list of schemes otherwise. */
int transport_open(const struct destination_config *d, bool for_acks,
    struct transport **out, struct err *e) CHECKED;
int transport_put(struct transport *t, int fd, uint64_t len, const char *name,
    struct err *e) CHECKED;
int transport_get(struct transport *t, const char *name, size_t max,
    struct buf *out, struct err *e) CHECKED;
void transport_close(struct transport *t);
/* Checks a URL and its options without connecting; REFUSED says why. */
int transport_check(
    const struct destination_config *d, struct err *e) CHECKED;

#endif
