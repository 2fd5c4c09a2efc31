/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress: how far a chain of logs has been imported, in a file of the
 * group's folder, "log-UUID".
 *
 * It is stored after each entry without a sync. That survives the end of the
 * process, not of the machine: `boots` tells that there was another start, and
 * then nothing here may be believed but `done` and the beginning. When an
 * entry is in the stream and not yet here it is recorded again, right behind
 * itself, which changes nothing.
 */
#ifndef AIMDRIVER_LOGWRITES_PROGRESS_H
#define AIMDRIVER_LOGWRITES_PROGRESS_H

#include "aimdriver/logwrites/logfile.h"
#include "common/uuid.h"

#include <stdbool.h>

struct progress {
	struct uuid chain, volume;
	uint64_t copyins;	    /* of the group when the chain began */
	uint64_t boots;		    /* of the group when this was stored */
	uint64_t log;		    /* the chain's log that comes next */
	struct logfile_place place; /* in it */
	bool begun;		    /* something may be in the stream */
	bool kernel;		    /* dm-log-writes makes the logs */
	bool done;		    /* up to the end of the log before */
};

struct progress_file {
	int dir, fd;
	char name[64];
};
#define PROGRESS_FILE_NONE                                                     \
	{                                                                      \
		.dir = -1, .fd = -1                                            \
	}

/* The group's folder. 1: there is a file for the chain, and *p is what it
 * says; 0: there is none. */
int progress_open(struct progress_file *f, const char *home,
    const struct uuid *group, const struct uuid *chain, struct progress *p,
    struct err *e) CHECKED;
/* Durable, whole or not at all. */
int progress_store(
    struct progress_file *f, const struct progress *p, struct err *e) CHECKED;
/* Not durable; for each entry. After progress_store only. */
int progress_step(
    struct progress_file *f, const struct progress *p, struct err *e) CHECKED;
void progress_close(struct progress_file *f);

#endif
