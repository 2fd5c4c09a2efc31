/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare: a new chain of logs for a volume. Each log gets a superblock and
 * its mark, so that blklogwrites can go on behind it (log-append=on); for
 * dm-log-writes, which begins anew, the mark is a message to send.
 */
#include "aimdriver/logwrites/begin.h"
#include "aimdriver/logwrites/chain.h"
#include "aimdriver/logwrites/program.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A log may be overwritten, and what holds nothing. */
static int
check_unused(int fd, const char *path, struct err *e)
{
	uint8_t bytes[4096] = {0};
	struct wlog_super s;
	ssize_t n = io_read_some_at(fd, bytes, sizeof(bytes), 0, e);

	if (n < 0)
		return err_at(e, "read %s", path);
	if (io_is_zero(bytes, (size_t)n) ||
	    wlog_super_decode(bytes, (size_t)n, &s, NULL) == VERDICT_WHOLE)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "%s holds something that is no write log: it is not overwritten",
	    path);
}

static int
write_log(const char *path, uint32_t sector, const struct uuid *id, uint64_t n,
    struct err *e)
{
	struct wlog_super s = {.entries = 1, .sector = sector};
	struct wlog_entry mark = {.flags = WLOG_MARK};
	AUTO_FREE uint8_t *bytes = calloc(2, sector);
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (bytes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	fd = sys_openat(
	    AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0660);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (check_unused(fd, path, e) < 0)
		return -1;
	/* What is behind the end tells that a log was not closed. */
	if (fstat(fd, &st) < 0 ||
	    (S_ISREG(st.st_mode) && sys_ftruncate(fd, 0) < 0))
		return err_sys(e, "empty %s", path);
	(void)chain_mark(id, n, mark.mark);
	mark.mark_len = strlen(mark.mark);
	wlog_super_encode(&s, bytes);
	if (!wlog_entry_encode(&mark, sector, bytes + sector))
		return err_set(e, ERR_REFUSED,
		    "a mark does not fit into a sector of %u bytes", sector);
	if (io_write_at(fd, bytes, (size_t)2 * sector, 0, e) < 0 ||
	    io_fsync(fd, path, e) < 0)
		return err_at(e, "write %s", path);
	return 0;
}

static int
prepare(const struct options *o, struct err *e)
{
	char mark[CHAIN_MARK];
	struct progress p;
	struct target t;
	int i;

	if (target_find(o->home, o->volume, &t, e) < 0 ||
	    begin_chain(o->home, &t, o->count == 0, &p, e) < 0)
		return -1;
	if (o->sector < WLOG_SECTOR_MIN || o->sector > WLOG_SECTOR_MAX)
		return err_set(e, ERR_REFUSED,
		    "a log's sector has 64 bytes to 16 MiB, a power of two");
	for (i = 0; i < o->count; i++)
		if (write_log(o->name[i], o->sector, &p.chain, (uint64_t)i, e) <
		    0)
			return -1;
	if (begin_store(o->home, &t, &p, e) < 0)
		return -1;
	if (o->count == 0)
		(void)printf("%s\n", chain_mark(&p.chain, 0, mark));
	return 0;
}

int
run_prepare(const struct options *o)
{
	struct err e;

	return prepare(o, &e) < 0 ? complain(&e) : EXIT_DONE;
}
