/* SPDX-License-Identifier: Apache-2.0 */
/* exec: what starts another program. Safe between fork and exec. */
#ifndef AIMDRIVER_PRELOAD_EXEC_H
#define AIMDRIVER_PRELOAD_EXEC_H

#include "aimdriver/preload/preload.h"

/* 0, or -EACCES after a message: it could not be captured. */
long px_may_exec(int dir, const char *path, int at);

/* An environment with LD_PRELOAD and AIM_HOME as they must be. */
struct px_environ {
	char **env; /* the caller's own when nothing was missing */
	void *room;
	size_t len;
};
/* False: no memory. */
bool px_environ_make(char *const *from, struct px_environ *out);
void px_environ_free(struct px_environ *e);

/* execveat, checked and captured; -errno. */
long px_exec(
    int dir, const char *path, char *const *argv, char *const *env, int at);

#endif
