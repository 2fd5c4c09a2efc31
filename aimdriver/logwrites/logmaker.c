/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/logmaker.h"

#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
logmaker_open(
    struct logmaker *m, const char *path, uint32_t sector, struct err *e)
{
	if (sector < WLOG_SECTOR_MIN || sector > WLOG_SECTOR_MAX ||
	    (sector & (sector - 1)) != 0)
		return err_set(e, ERR_REFUSED,
		    "a log's sector has 32 bytes to 16 MiB, a power of two");
	if ((size_t)snprintf(m->path, sizeof(m->path), "%s", path) >=
	    sizeof(m->path))
		return err_set(e, ERR_REFUSED, "path too long: %s", path);
	m->header = malloc(sector);
	if (m->header == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	m->fd = sys_openat(
	    AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
	if (m->fd < 0 && errno == EEXIST)
		return err_set(e, ERR_REFUSED,
		    "%s is there already: it is not overwritten", path);
	if (m->fd < 0)
		return err_sys(e, "create %s", path);
	m->sector = sector;
	m->off = sector;
	return 0;
}

int
logmaker_add(struct logmaker *m, const struct wlog_entry *b, const void *data,
    struct err *e)
{
	if (!wlog_entry_encode(b, m->sector, m->header))
		return err_set(e, ERR_FATAL,
		    "an entry cannot be said in sectors of %u bytes",
		    m->sector);
	if (io_write_at(m->fd, m->header, m->sector, m->off, e) < 0)
		return err_at(e, "%s", m->path);
	m->off += m->sector;
	if (b->stored > 0 && data != NULL &&
	    io_write_at(m->fd, data, (size_t)b->stored, m->off, e) < 0)
		return err_at(e, "%s", m->path);
	m->off += b->stored;
	m->entries++;
	return 0;
}

int
logmaker_add_mark(struct logmaker *m, const char *text, struct err *e)
{
	struct wlog_entry b = {.flags = WLOG_MARK, .mark_len = strlen(text)};

	/* What there is no room for is cut. */
	if (b.mark_len > m->sector - WLOG_HEADER_LEN)
		b.mark_len = m->sector - WLOG_HEADER_LEN;
	if (b.mark_len >= WLOG_MARK_LIMIT)
		b.mark_len = WLOG_MARK_LIMIT - 1;
	memcpy(b.mark, text, (size_t)b.mark_len);
	return logmaker_add(m, &b, NULL, e);
}

int
logmaker_finish(struct logmaker *m, struct err *e)
{
	struct wlog_super s = {.entries = m->entries, .sector = m->sector};
	uint8_t bytes[WLOG_SUPER_LEN];

	wlog_super_encode(&s, bytes);
	/* The last entry's data may be a hole. */
	if (sys_ftruncate(m->fd, m->off) < 0)
		return err_sys(e, "make %s as long as it is", m->path);
	if (io_fsync(m->fd, m->path, e) < 0 ||
	    io_write_at(m->fd, bytes, sizeof(bytes), 0, e) < 0 ||
	    io_fsync(m->fd, m->path, e) < 0)
		return err_at(e, "%s", m->path);
	m->finished = true;
	return 0;
}

void
logmaker_close(struct logmaker *m)
{
	if (m->fd >= 0) {
		(void)close(m->fd);
		if (!m->finished)
			(void)unlink(m->path);
	}
	free(m->header);
	m->header = NULL;
	m->fd = -1;
}
