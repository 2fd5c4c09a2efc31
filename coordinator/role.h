/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role: the workers of roles.h under one shape, so that the supervisor and
 * --once can treat them alike. A role lends its configuration from a snapshot.
 */
#ifndef COORDINATOR_ROLE_H
#define COORDINATOR_ROLE_H

#include "coordinator/catalogue.h"

enum role_kind {
	ROLE_SOURCE = 0,
	ROLE_SHIP,
	ROLE_RECEIVE,
	ROLE_APPLY,
	ROLE_FETCH,
	ROLE_PROJECT
};

struct role {
	enum role_kind kind;
	struct uuid subject;	    /* group, destination, mirror, or a
				     * projection's stream */
	char name[NAME_LIMIT + 16]; /* "ship paris" */
	uint8_t digest[DIGEST_LEN]; /* of its whole configuration */
	/* lent from the snapshot */
	const struct group_config *group;
	const struct projection_config *projection;
	const struct destination_config *destinations; /* SHIP: one */
	uint32_t destination_count;
	/* SHIP to a hub or a relay: all destinations of its owner */
	const struct destination_config *siblings;
	uint32_t sibling_count;
	const struct mirror_config *mirror;
	void *work; /* open: struct source, ship, receive, apply, fetch or
		     * project */
	int lock;
};

/* All roles that the configuration asks for; free() the array. */
int roles_of(const struct snapshot *s, struct role **out, uint32_t *count,
    struct err *e) CHECKED;

/*
 * Opens the worker. RETRY when one that a dead coordinator left behind is
 * still at work (each holds state/<subject>.<kind>.lock).
 */
int role_open(struct role *r, struct home *h, struct err *e) CHECKED;
/* That lock alone; RETRY while the role is at work. close(*out) ends it. */
int role_lock(struct home *h, enum role_kind kind, const struct uuid *subject,
    int *out, struct err *e) CHECKED;
int role_pass(struct role *r, struct err *e) CHECKED;
void role_wait(struct role *r, uint32_t wait_ms);
void role_close(struct role *r);

/* Names the calling process after the role's kind, for ps: "aim-ship". */
void role_title(const struct role *r);

/*
 * A child's life: passes and waits until SIGTERM, which is looked at between
 * passes only. `report`, when not negative, gets each new trouble as
 * "NAME\0TEXT\0". Returns the exit status.
 */
int role_live(struct role *r, struct home *h, int report);

#endif
