/* SPDX-License-Identifier: Apache-2.0 */
/* import: what importing finished logs and following live ones share. */
#ifndef AIMDRIVER_LOGWRITES_IMPORT_H
#define AIMDRIVER_LOGWRITES_IMPORT_H

#include "aimdriver/logwrites/compare.h"
#include "aimdriver/logwrites/program.h"
#include "aimdriver/logwrites/progress.h"
#include "aimdriver/logwrites/recorder.h"
#include "aimdriver/logwrites/target.h"

struct import {
	const struct options *o;
	struct target target;
	struct capture *capture;
	struct chain chain;
	struct progress_file file;
	struct progress progress;
	struct compare compare;
	struct recorder recorder;
	struct capture_status status;
	uint64_t until; /* index of the entry before which import_log stops */
};
#define IMPORT_NONE(options)                                                   \
	{                                                                      \
		.o = (options), .file = PROGRESS_FILE_NONE,                    \
		.until = UINT64_MAX                                            \
	}

/* Finds the volume, opens `count` logs of `path`, has the group alone; REFUSED
 * when these logs may not be imported into it from where `progress` is. */
int import_open(
    struct import *m, char *const *path, int count, struct err *e) CHECKED;
/* Durably: from now on something of it may be in the stream. */
int import_begin(struct import *m, struct err *e) CHECKED;
/* Records log[i] from where `progress` is, which it is of, to its end. */
int import_log(struct import *m, uint32_t i, struct err *e) CHECKED;
/* `progress` to the beginning of the next log. */
void import_next_log(struct import *m);
void import_close(struct import *m);

#endif
