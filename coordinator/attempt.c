/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file .attempt is one line of fixed length, written in place by a single
 * write: "COUNT LENGTH MTIME NAME". Count 0: nothing is being looked at.
 */
#include "coordinator/attempt.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MARK ".attempt"
#define MARK_LEN 128

static int
open_mark(int dir, struct err *e)
{
	int fd = sys_openat(dir, MARK, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	return fd < 0 ? err_sys(e, "open the mark of attempts") : fd;
}

static int
write_mark(int fd, uint32_t count, const char *name,
    const struct incoming_file *f, struct err *e)
{
	char line[MARK_LEN + 1];

	(void)snprintf(line, sizeof(line),
	    "%u %" PRIu64 " %" PRId64 " %-80.80s\n", count,
	    f == NULL ? 0 : f->len, f == NULL ? 0 : f->mtime_ns, name);
	memset(line + strlen(line), ' ', sizeof(line) - strlen(line));
	return io_write_at(fd, line, MARK_LEN, 0, e);
}

int
attempt_begin(int dir, const char *name, const struct incoming_file *f,
    uint32_t *deaths, struct err *e)
{
	char line[MARK_LEN + 1] = "", was[81] = "";
	AUTO_CLOSE int fd = open_mark(dir, e);
	uint64_t len = 0;
	int64_t mtime = 0;
	uint32_t count = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = io_read_some_at(fd, line, MARK_LEN, 0, e);
	if (n < 0)
		return -1;
	line[n] = '\0';
	if (sscanf(line, "%u %" SCNu64 " %" SCNd64 " %80s", &count, &len,
		&mtime, was) != 4 ||
	    strcmp(was, name) != 0 || len != f->len || mtime != f->mtime_ns)
		count = 0;
	if (write_mark(fd, count + 1, name, f, e) < 0)
		return -1;
	*deaths = count;
	return 0;
}

int
attempt_end(int dir, struct err *e)
{
	AUTO_CLOSE int fd = open_mark(dir, e);

	if (fd < 0)
		return -1;
	return write_mark(fd, 0, "-", NULL, e);
}
