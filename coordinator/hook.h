/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook: a program of the local administrator's that is run when an alarm is
 * raised, and again when it is cleared. No shell; fixed words in its
 * environment:
 *
 *   AIM_ALARM  silence, commit, spool or test     AIM_STATE  raised or cleared
 *   AIM_GROUP  the group                          AIM_SITE   this site
 *   AIM_TEXT   what it is, printable ASCII        PATH       the system's
 *
 * It is run by a process of its own, which kills it with its group of processes
 * when it takes too long; nobody else waits for it.
 */
#ifndef COORDINATOR_HOOK_H
#define COORDINATOR_HOOK_H

#include "common/buf.h"
#include "common/name.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOOK_LIMIT 16u	    /* hooks of a site */
#define HOOK_WAIT_MS 60000u /* it may take */
#define HOOK_OUTPUT 4096u   /* bytes that are kept of what it says */
#define HOOK_KINDS_LEN 64
#define ALARM_KIND_LEN 16

struct hook_config {
	char name[NAME_LIMIT];
	char kinds[HOOK_KINDS_LEN]; /* "silence,spool"; "all" */
	char path[PATH_MAX];
};

/* An alarm, as the text of an event: "alarm KIND raised: TEXT". */
struct alarm {
	char kind[ALARM_KIND_LEN];
	bool raised;	  /* else cleared */
	const char *text; /* lent from the event */
};
/* False: the event is no alarm. */
bool alarm_parse(const char *event, struct alarm *out);

/* REFUSED unless it is "all" or a list of known kinds. */
int hook_check_kinds(const char *kinds, struct err *e) CHECKED;
bool hook_wants(const struct hook_config *k, const char *kind);

/*
 * REFUSED unless the path is absolute, a regular file that may be executed, and
 * it and all folders above it belong to root or `owner` and can be changed by
 * nobody else (folders like /tmp, where nobody can rename what is another's,
 * are good).
 */
int hook_check(const char *path, uid_t owner, struct err *e) CHECKED;

struct hook_call {
	struct hook_config hook;
	struct alarm alarm;
	char group[NAME_LIMIT], site[NAME_LIMIT];
	char text[512]; /* of the alarm */
};

/*
 * Checks and runs it, from any process with one thread; SIGTERM, SIGINT and
 * SIGHUP end it meanwhile, with all that it has started. What it says is added
 * to `out`. *status as of waitpid. TIMEOUT is RETRY with ETIMEDOUT: it was
 * killed.
 */
int hook_run(const struct hook_call *call, uid_t owner, uint32_t limit_ms,
    struct buf *out, int *status, struct err *e) CHECKED;

#endif
