/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead: staged files in the order of their chain, each read once into memory
 * and verified there (reader_load) some way ahead of the redriver, which acts
 * upon that same memory. A second thread does so while the redriver writes,
 * when there is enough to do and a processor for it; files are handed out in
 * order whoever loaded them.
 *
 * For one thread; the helper is an inner matter.
 */
#ifndef COORDINATOR_AHEAD_H
#define COORDINATOR_AHEAD_H

#include "coordinator/stage.h"

#define AHEAD_FILES 32u

struct ahead;

/* Begins after `at`, with at most so much memory. Borrows the stage. */
int ahead_open(struct stage *s, const struct position *at, uint64_t bytes,
    struct ahead **out, struct err *e) CHECKED;
void ahead_close(struct ahead *a);

/* Is the last one kept (or where it began) there? */
bool ahead_is_at(const struct ahead *a, const struct position *at);
/*
 * The file after the last one kept, verified: 1; 0 none, or (unless `must`) it
 * is not ready yet; -1, and (*out)->name is the file's. Lent until it is given
 * back, or until the next call unless kept. A file that is too large to be
 * loaded was read through to verify it: reader_is_loaded says which.
 */
int ahead_look(
    struct ahead *a, bool must, struct staged **out, struct err *e) CHECKED;
/* The file last looked at is taken. */
void ahead_keep(struct ahead *a);
/* The oldest file that was kept is given back. */
void ahead_done(struct ahead *a);

#endif
