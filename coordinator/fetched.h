/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetched: HOME/fetched/<stream>/, where the fetcher of a mirror puts what it
 * has got, and its receiver takes it from: an incoming folder that nobody
 * else can write to. In its ack/ lies the acknowledgement that is to be put
 * where the files come from.
 */
#ifndef COORDINATOR_FETCHED_H
#define COORDINATOR_FETCHED_H

#include "coordinator/home.h"

/* Opens the folder; makes it, and ack/ in it, when it is not there. */
int fetched_open(
    struct home *h, const struct uuid *stream, int *out, struct err *e) CHECKED;

#endif
