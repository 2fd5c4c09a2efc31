/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server: the coordinator's end and the manager's end of
 * state/coordinator.sock. Only the same user and root are answered.
 */
#ifndef COORDINATOR_SERVER_H
#define COORDINATOR_SERVER_H

#include "coordinator/home.h"

/* Binds and listens; the caller holds the home's lock, so that a socket file
 * found there is a dead one's. Not blocking. */
int server_listen(struct home *h, int *fd, struct err *e) CHECKED;
/* Takes a caller: 1, 0 when there is none (or it was turned away). */
int server_accept(int listening, int *fd, struct err *e) CHECKED;
/* Takes the name away. */
void server_unlink(struct home *h);

/* RETRY when nobody listens. */
int server_connect(struct home *h, int *fd, struct err *e) CHECKED;

#endif
