/* SPDX-License-Identifier: Apache-2.0 */
/* transport_https: what its two halves share; see transport_https.c. */
#ifndef COORDINATOR_TRANSPORT_HTTPS_H
#define COORDINATOR_TRANSPORT_HTTPS_H

#include "coordinator/http.h"
#include "coordinator/http_url.h"
#include "coordinator/transport.h"

#define HTTPS_WORDS 512u /* of an answer that is no success */

enum step { STEP_PUT = 1, STEP_FOLDER, STEP_MOVE };

struct upload {
	enum step step; /* 0: free */
	uint32_t ticket;
	int fd;
	uint64_t len;
	char name[TRANSPORT_NAME_LIMIT], part[TRANSPORT_NAME_LIMIT];
	struct err why; /* what the first PUT said, while the folder is made */
};

struct https_transport {
	struct transport base;
	struct http_setup setup;
	struct http_url url;
	struct http *http;
	bool proven;	   /* something has arrived: more at a time */
	struct err failed; /* of a put that was handed over; kind 0: none */
	struct upload uploads[HTTP_IN_FLIGHT];
	struct http_request request;
};

static inline struct https_transport *
https_from_base(struct transport *t)
{
	return (struct https_transport *)(void *)t;
}

static inline bool
https_is_success(const struct http_answer *a)
{
	return a->status >= 200 && a->status < 300;
}

static inline bool
https_is_absent(const struct http_answer *a)
{
	return a->status == 404 || a->status == 410;
}

/* Makes t->request, without headers and body. */
int https_ask_for(struct https_transport *t, enum http_method method,
    const char *name, struct err *e) CHECKED;
/* The same to rename; `overwrite` is "T" or "F". */
int https_ask_for_move(struct https_transport *t, const char *from,
    const char *to, const char *overwrite, struct err *e) CHECKED;
/* Deals with one answer about an upload; false: there is none any more or,
 * without `block`, none yet. A failure is kept for the next put or drain. */
bool https_settle_one(struct https_transport *t, bool block);
int https_drain(struct transport *base, struct err *e) CHECKED;

void https_fetch(
    struct transport *base, struct transport_file *files, size_t count);
int https_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e) CHECKED;
int https_remove(
    struct transport *base, const char *name, struct err *e) CHECKED;
int https_has(struct transport *base, const char *name, struct err *e) CHECKED;
int https_make_folder(
    struct transport *base, const char *name, struct err *e) CHECKED;

#endif
