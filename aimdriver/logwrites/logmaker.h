/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logmaker: writes a new write log into a file. It is no log before
 * logmaker_finish, which writes the superblock last. Zeroes become holes.
 */
#ifndef AIMDRIVER_LOGWRITES_LOGMAKER_H
#define AIMDRIVER_LOGWRITES_LOGMAKER_H

#include "aimdriver/logwrites/wlog.h"
#include "common/err.h"

struct logmaker {
	int fd;
	uint32_t sector;
	uint64_t entries, off; /* so far */
	uint8_t *header;       /* a sector */
	char path[512];
	bool finished;
};
#define LOGMAKER_NONE                                                          \
	{                                                                      \
		.fd = -1                                                       \
	}

/* REFUSED when the file is there already. */
int logmaker_open(struct logmaker *m, const char *path, uint32_t sector,
    struct err *e) CHECKED;
/* `data` has b->stored bytes; NULL: zeroes. Range in whole sectors. */
int logmaker_add(struct logmaker *m, const struct wlog_entry *b,
    const void *data, struct err *e) CHECKED;
int logmaker_add_mark(
    struct logmaker *m, const char *text, struct err *e) CHECKED;
/* Superblock, sync. */
int logmaker_finish(struct logmaker *m, struct err *e) CHECKED;
/* Removes the file when it was not finished. */
void logmaker_close(struct logmaker *m);

#endif
