/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync: the plain call; when it succeeded the stream is told that the volume
 * was flushed, and what the group's commit policy asks for is waited for.
 * sync() cannot fail and says nothing of errors, and sync_file_range is no
 * durability: neither is noted.
 */
#include "aimdriver/preload/preload.h"

#include <errno.h>
#include <unistd.h>

static long
flush(long nr, int fd)
{
	struct px_target t;
	long r = px_block(nr, fd, 0, 0, 0, 0, 0);

	if (r != 0 || !px_find(fd, &t))
		return r;
	px_flushed(&t);
	return px_commit(&t);
}

EXPORT(int, fsync, (int fd))
{
	return (int)ret(flush(SYS_fsync, fd));
}

EXPORT(int, fdatasync, (int fd))
{
	return (int)ret(flush(SYS_fdatasync, fd));
}

/* Flushes the file system: every protected file that lies on it. */
EXPORT(int, syncfs, (int fd))
{
	long r = raw1(SYS_syncfs, fd), done = 0;
	struct stat st;

	if (r != 0 || !px_on() || raw2(SYS_fstat, fd, (long)&st) < 0)
		return (int)ret(r);
	for (uint32_t g = 0; g < px_groups(); g++) {
		struct px_target t = {.group = px_group(g)};
		bool any = false;

		for (uint32_t v = 0; v < capture_volume_count(t.group); v++) {
			struct capture_volume info;

			capture_volume_get(t.group, v, &info);
			t.volume = v;
			if (info.kind != VOLUME_FILE || info.dev != st.st_dev)
				continue;
			px_flushed(&t);
			any = true;
		}
		if (any && px_commit(&t) < 0)
			done = -EIO;
	}
	return (int)ret(done);
}
