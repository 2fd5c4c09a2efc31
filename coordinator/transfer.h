/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer: a process of its own for a transfer library. The library and what
 * is below it can hang, spin, or be attacked by a server; there it holds no
 * lock, no journal and no key but its own, and whoever waits for it may kill
 * it. Messages go over a SOCK_SEQPACKET pair, a descriptor may go with one.
 * The process ends when the other side closes, or dies.
 */
#ifndef COORDINATOR_TRANSFER_H
#define COORDINATOR_TRANSFER_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct transfer {
	pid_t pid; /* 0: none */
	int sock;  /* to it; -1: none */
};

#define TRANSFER_NONE ((struct transfer){.sock = -1})

/* Runs in the new process until it is done or killed. */
typedef void transfer_fn(int sock, const void *setup);

/* Starts one; `name` is what a list of processes shows. `setup` is the
 * caller's memory as it is now. */
int transfer_start(struct transfer *t, const char *name, transfer_fn *run,
    const void *setup, struct err *e) CHECKED;
/* Ends it, whatever it is doing. */
void transfer_stop(struct transfer *t);

/* Sends one message, with `fd` unless it is -1; never waits for long. */
int transfer_send(
    int sock, const void *data, size_t len, int fd, struct err *e) CHECKED;
/* Waits for one message: its length, 0 when nobody is there any more or it
 * does not fit. *fd is -1 when none came along; may be NULL. */
size_t transfer_receive(int sock, void *to, size_t room, int *fd);

/* How long a transfer of so many bytes may take at most, when so many of them
 * share the way. */
uint32_t transfer_limit_ms(uint64_t len, uint32_t at_once);
/* The process gives up by itself so much earlier. */
#define TRANSFER_MARGIN_MS 5000u

#endif
