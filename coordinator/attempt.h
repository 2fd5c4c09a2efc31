/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attempt: remembers which incoming file is being looked at, so that one that
 * kills its reader is found out (fault F20). The mark outlives the process;
 * it need not outlive the machine.
 */
#ifndef COORDINATOR_ATTEMPT_H
#define COORDINATOR_ATTEMPT_H

#include "coordinator/incoming.h"

/*
 * Marks that `name` is being looked at; *deaths is how often a process has
 * died while it looked at this very file. `dir`: the mirror's stage folder.
 */
int attempt_begin(int dir, const char *name, const struct incoming_file *f,
    uint32_t *deaths, struct err *e) CHECKED;
/* It was survived. */
int attempt_end(int dir, struct err *e) CHECKED;

#endif
