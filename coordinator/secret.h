/* SPDX-License-Identifier: Apache-2.0 */
/* secret: reading files that nobody else may read. One thread. */
#ifndef COORDINATOR_SECRET_H
#define COORDINATOR_SECRET_H

#include "common/buf.h"
#include "common/err.h"

#define SECRET_LIMIT 65536u

/*
 * The whole file, with a NUL behind it that does not count. REFUSED unless it
 * is a regular file of ours, of mode 0600 or less, and no larger than
 * SECRET_LIMIT. `what` is for the text. Wipe it with secret_release.
 */
int secret_read(
    const char *what, const char *path, struct buf *out, struct err *e) CHECKED;
/* For scope cleanup: overwrites what it held. */
void secret_release(struct buf *b);

#endif
