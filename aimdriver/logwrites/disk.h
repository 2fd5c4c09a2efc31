/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: the volume, as the comparison reads it. A regular file is mapped, which
 * saves a copy of every byte; a block device is read past the page cache, or
 * what the kernel wrote below it would not be seen.
 *
 * Several threads may look at once, each with its own room, as long as no two
 * look within one DISK_ZONE. Whoever maps answers SIGBUS (logfile_catch).
 */
#ifndef AIMDRIVER_LOGWRITES_DISK_H
#define AIMDRIVER_LOGWRITES_DISK_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	DISK_PIECE = 256 << 10, /* that is looked at at once */
	DISK_ZONE = 1 << 20,
};

struct disk {
	int fd;
	uint64_t size;
	const uint8_t *map; /* of `size` bytes; NULL: it is read */
	uint8_t *known;	    /* for each zone: it was populated */
};

/* `direct`: a block device. `size` as the stream has it. */
int disk_open(const char *path, uint64_t size, bool direct, struct disk *out,
    struct err *e) CHECKED;
/* NULL is none. */
void disk_close(struct disk *d);

/* Memory for disk_look; NULL: there is none. Give it back with free. */
uint8_t *disk_room(void);
/* `len` bytes at `off`, at most DISK_PIECE, within one zone; in `room` or in
 * the map, until the next call. CORRUPT when the disk ends before. */
int disk_look(struct disk *d, uint8_t *room, uint64_t off, uint64_t len,
    const uint8_t **out, struct err *e) CHECKED;

#endif
