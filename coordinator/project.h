/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project: what the parts of the projector share. The role of one projection
 * reads the group's sealed files, in order, and makes from them the files of
 * another stream, in sealed/<its stream>/, that the ship roles of its
 * destinations send.
 *
 *   project.c       open, pass, wait, close    project_file.c  one file
 *   project_keep.c  what is there, what may go
 *
 * It begins at the file in which the first base of one of its destinations
 * begins, under that file's name, and goes on for as long as one of them has a
 * base. Where it stands is its newest file alone: its last transaction says
 * which of the group's files comes next. Files are made like sealed ones
 * (.NAME.tmp, sync, rename, sync of the folder), and sent after that, so what
 * a crash left unfinished was seen by nobody and is made anew. The source role
 * prunes none of the group's files before its projections stand behind it; it
 * knows that from state/<stream>.project, which is written after the fact.
 */
#ifndef COORDINATOR_PROJECT_H
#define COORDINATOR_PROJECT_H

#include "aimdriver/fold.h"
#include "aimdriver/reader.h"
#include "coordinator/job.h"
#include "coordinator/projection.h"
#include "coordinator/roles.h"
#include "coordinator/sealed.h"
#include "fileformat/crypt.h"

/* Files of a stream from its beginning up to `at`, counted by a walk; the
 * difference of two of them is what lies between. */
struct tally {
	struct position at;
	bool in_copyin; /* one is open after `at` */
	uint64_t files;
	uint64_t kept;	 /* bytes, copied-in content left out */
	uint64_t copied; /* bytes of that */
};

/* One of the group's files, loaded. */
struct project_input {
	struct sealed_file file;
	int fd;
	struct reader *reader;
	struct reader_room room;
	uint8_t *laid_out; /* data put together, of a layout */
};
#define PROJECT_INPUTS 256u
#define PROJECT_BYTES (UINT64_C(32) << 20)

struct project_sums {
	uint64_t transactions_in, transactions_out, bytes_in, bytes_out;
};

struct project {
	struct home *home;
	struct group_config group; /* without its volumes */
	struct uuid *volumes;	   /* of the group, in order */
	uint32_t volume_count;
	struct projection_config projection;
	struct projection_map map;
	struct destination_config *destinations;
	struct job *jobs; /* one for each */
	uint32_t count;
	struct group_key key; /* when group.encrypted */

	struct sealed in, out;
	struct sealed_file tip; /* of `out`; at nil: no file yet */
	bool tip_unsure;	/* a rename or its sync failed */
	bool tip_free;		/* nobody needs it any more; as last seen */
	bool has_cursor;
	struct position cursor; /* the file of `in` behind which we stand */

	struct project_input *inputs; /* PROJECT_INPUTS */
	uint32_t input_count;
	uint64_t input_bytes;
	struct fold *fold;   /* NULL: not needed yet */
	struct fold_op *ops; /* data lie in the inputs' rooms */
	size_t op_count, op_room;
	struct uuid *targets;
	struct journal_volume *table; /* of the projected volumes */

	struct tally gone, made;  /* removed; all */
	struct tally sent, taken; /* stored by all; by those copied in now */
	bool ahead;		  /* enough is under way */
	uint64_t keep_ns, note_ns, jobs_ns, hole_ns; /* monotonic: not before */
	struct project_sums sum, now; /* since it began; of this file */
	struct err trouble;	      /* kind 0: none */
	int inotify;		      /* -1: none */
};

/* Makes the next file from that one of the group's, or, where folding goes
 * across files, from as many as there are: 0, -1. */
int project_file(
    struct project *p, const struct sealed_file *from, struct err *e) CHECKED;

/* ---- project_keep.c ---- */
/* Does one of its destinations have a base, or is about to? */
bool project_is_wanted(const struct project *p);
/* Counts what is there; after tip_load. */
int project_count(struct project *p, struct err *e) CHECKED;
/* Where folding goes across files: has every destination enough under way? */
int project_is_ahead(struct project *p, bool *out, struct err *e) CHECKED;
/* A file was made. */
int project_made(
    struct project *p, const struct sealed_file *f, struct err *e) CHECKED;
/* Removes what no destination needs: 1 when something was, 0, -1. */
int project_keep(struct project *p, bool now, struct err *e) CHECKED;
/* state/<stream>.project */
void project_note(struct project *p, bool now);

#endif
