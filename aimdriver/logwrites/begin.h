/* SPDX-License-Identifier: Apache-2.0 */
/* begin: a new chain of logs for a volume. */
#ifndef AIMDRIVER_LOGWRITES_BEGIN_H
#define AIMDRIVER_LOGWRITES_BEGIN_H

#include "aimdriver/logwrites/progress.h"
#include "aimdriver/logwrites/target.h"

/* What the group is like now, under a new identity; nothing is stored.
 * REFUSED when no log may begin: it has no finished base. `kernel`:
 * dm-log-writes will make the logs. */
int begin_chain(const char *home, const struct target *t, bool kernel,
    struct progress *out, struct err *e) CHECKED;
/* Durably: from now on logs of this chain are known. */
int begin_store(const char *home, const struct target *t,
    const struct progress *p, struct err *e) CHECKED;

#endif
