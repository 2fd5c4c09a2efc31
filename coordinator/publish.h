/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish: puts the acknowledgement of a mirror where its source fetches it,
 * ack/<mirror>.ack, whole or not at all, with a counter that grows for ever
 * (rule 9.17). One thread.
 */
#ifndef COORDINATOR_PUBLISH_H
#define COORDINATOR_PUBLISH_H

#include "coordinator/home.h"
#include "fileformat/ack.h"

#define PUBLISH_HEARTBEAT_NS UINT64_C(10000000000)

struct publisher {
	struct home *home; /* borrowed, as is dir */
	int dir;	   /* ack/ */
	struct uuid mirror;
	uint64_t counter, reserved; /* last used; may be used up to */
	uint64_t last_ns;	    /* monotonic; 0: not yet */
	struct ack last;
};

/* Finds the counter to go on from. */
void publisher_init(
    struct publisher *p, struct home *h, int dir, const struct uuid *mirror);

/* Is there news in `a`, or is a heartbeat due? */
bool publisher_is_due(const struct publisher *p, const struct ack *a);

/*
 * Publishes `a` with counter, time and key filled in. Durable; mode 0644,
 * so that the account by which the source fetches can read it.
 */
int publisher_put(
    struct publisher *p, const struct ack *a, struct err *e) CHECKED;

/* Puts an acknowledgement into ack/ as it is: another site's, passed on. */
int publish_bytes(struct home *h, int dir, const struct uuid *mirror,
    const uint8_t *bytes, size_t len, struct err *e) CHECKED;
/* One file in ack/, likewise. */
int publish_file(struct home *h, int dir, const char *name,
    const uint8_t *bytes, size_t len, struct err *e) CHECKED;

#endif
