/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress: how far a chain of logs has been imported, in a file of the
 * group's folder, "log-UUID".
 *
 * It is stored after each entry, into the file's memory, in two places by
 * turns: whoever is killed while he stores leaves the one before. That survives
 * the end of the process, not of the machine: `boots` tells that there was
 * another start, and then nothing here may be believed but `done` and the
 * beginning. When an entry is in the stream and not yet here it is recorded
 * again, right behind itself, which changes nothing.
 */
#ifndef AIMDRIVER_LOGWRITES_PROGRESS_H
#define AIMDRIVER_LOGWRITES_PROGRESS_H

#include "aimdriver/logwrites/logfile.h"
#include "common/uuid.h"

#include <stdbool.h>

/* Why a log could not be followed any further. */
enum progress_gap {
	GAP_NONE = 0,
	GAP_FULL, /* it was full */
	GAP_LOST, /* begun anew, damaged, or taken away */
};

struct progress {
	struct uuid chain, volume;
	uint64_t copyins;	    /* of the group when the chain began */
	uint64_t boots;		    /* of the group when this was stored */
	uint64_t log;		    /* the chain's log that comes next */
	struct logfile_place place; /* in it */
	bool begun;		    /* something may be in the stream */
	bool kernel;		    /* dm-log-writes makes the logs */
	bool done;		    /* up to the end of the log before */
	enum progress_gap gap;
};

struct progress_file {
	int dir;
	char name[64];
	uint8_t *map; /* after progress_store */
	uint64_t turn;
};
#define PROGRESS_FILE_NONE                                                     \
	{                                                                      \
		.dir = -1                                                      \
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
void progress_step(struct progress_file *f, const struct progress *p);
void progress_close(struct progress_file *f);

/*
 * Calls each(ctx, what a file says, when it was changed last) for all chains
 * of a group; NULL instead for a file that is damaged. Stops at -1.
 */
int progress_list(const char *home, const struct uuid *group,
    int (*each)(void *ctx, const struct progress *p, uint64_t changed_ns,
	struct err *e),
    void *ctx, struct err *e) CHECKED;

#endif
