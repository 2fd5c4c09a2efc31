/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message: "key = value" pairs between manager and coordinator, in order,
 * keys may repeat, values are any bytes (a NUL follows each that does not
 * count). On a socket: magic, length, pairs; at most MESSAGE_LIMIT bytes.
 */
#ifndef COORDINATOR_MESSAGE_H
#define COORDINATOR_MESSAGE_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>

#define MESSAGE_LIMIT ((size_t)8 << 20)

struct message {
	struct buf bytes; /* encoded pairs */
};

void message_release(struct message *m);
int message_add(struct message *m, const char *key, const void *value,
    size_t len, struct err *e) CHECKED;
int message_add_text(struct message *m, const char *key, const char *value,
    struct err *e) CHECKED;

/* A pair, lent until the message is changed. */
struct message_pair {
	const char *key, *value;
	size_t len;
	size_t next; /* where to go on; 0 at first */
};
/* The next pair after `p`, or the first when p->next is 0; false at the end. */
bool message_next(const struct message *m, struct message_pair *p);
/* The first value of `key`; NULL when there is none. *len may be NULL. */
const char *message_get(const struct message *m, const char *key, size_t *len);

/* Both give up after wait_ms without progress (RETRY). CORRUPT for nonsense. */
int message_send(int socket, const struct message *m, uint32_t wait_ms,
    struct err *e) CHECKED;
int message_receive(
    int socket, struct message *out, uint32_t wait_ms, struct err *e) CHECKED;

#endif
