/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_replay LOG DISK: the plain loop that an import is measured against.
 * Reads each entry's header, then its data, and writes that to DISK, as any
 * replayer does; nothing else, and nothing is synced.
 */
#include "common/cleanup.h"
#include "fileformat/le.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST = 1 << 24 };

static bool
take(int fd, void *to, uint64_t len, uint64_t at)
{
	return len <= MOST && pread(fd, to, len, (off_t)at) == (ssize_t)len;
}

/* False: something is not as it should be. */
static bool
replay(int log, int disk, uint8_t *head, uint8_t *data)
{
	uint64_t entries, at, sector;

	if (!take(log, head, 28, 0))
		return false;
	entries = le_get64(head + 16);
	at = sector = le_get32(head + 24);
	while (entries-- > 0) {
		uint64_t off, len, flags;

		if (!take(log, head, sector, at))
			return false;
		off = le_get64(head) * sector;
		len = le_get64(head + 8) * sector;
		flags = le_get64(head + 16);
		at += sector;
		if (len == 0 || (flags & 4) != 0)
			continue;
		if (!take(log, data, len, at) ||
		    pwrite(disk, data, len, (off_t)off) != (ssize_t)len)
			return false;
		at += len;
	}
	return true;
}

int
main(int argc, char **argv)
{
	AUTO_FREE uint8_t *head = malloc(MOST), *data = malloc(MOST);
	AUTO_CLOSE int log = -1, disk = -1;

	if (argc != 3 || head == NULL || data == NULL)
		return 2;
	log = open(argv[1], O_RDONLY | O_CLOEXEC);
	disk = open(argv[2], O_WRONLY | O_CLOEXEC);
	if (log < 0 || disk < 0 || !replay(log, disk, head, data)) {
		perror("bench_replay");
		return 1;
	}
	return 0;
}
