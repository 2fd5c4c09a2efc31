/* SPDX-License-Identifier: Apache-2.0 */
/* remote_here: a file or block device of this machine. A read is done at once,
 * and its answer waits to be taken. */
#include "coordinator/remote.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BLOCK (UINT32_C(256) << 10)

struct here {
	struct remote base;
	char path[PATH_MAX];
	int fd; /* -1: not open */
	bool has_answer;
	struct remote_answer answer;
};

static struct here *
here_of(struct remote *r)
{
	return (struct here *)(void *)r;
}

static void
here_close(struct remote *r)
{
	cleanup_fd(&here_of(r)->fd);
	free(r);
}

static bool
here_has_room(const struct remote *r)
{
	const struct here *h = (const struct here *)(const void *)r;

	return !h->has_answer;
}

/* Opened anew for each look: another file may be there by now. */
static int
find(struct here *h, uint64_t *size, char tag[REMOTE_TAG], struct err *e)
{
	AUTO_CLOSE int fd =
	    sys_openat(AT_FDCWD, h->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return err_set(
		    e, ERR_RETRY, "%s is not there: is it mounted?", h->path);
	if (fd < 0)
		return err_sys(e, "open %s", h->path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", h->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is neither a regular file nor a block device", h->path);
	if (io_size(fd, size, e) < 0)
		return err_at(e, "%s", h->path);
	tag[0] = '\0';
	if (S_ISREG(st.st_mode))
		(void)snprintf(tag, REMOTE_TAG, "%ju.%ju.%jd.%09ld",
		    (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
		    (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	cleanup_fd(&h->fd);
	h->fd = STEAL_FD(fd);
	return 0;
}

static int
here_look(struct remote *r, uint32_t ticket, struct err *e)
{
	struct here *h = here_of(r);
	char tag[REMOTE_TAG];
	uint64_t size;

	(void)e;
	h->answer = (struct remote_answer){.ticket = ticket, .result = -1};
	h->has_answer = true;
	if (find(h, &size, tag, &h->answer.why) == 0)
		remote_found(r, size, tag, &h->answer);
	return 0;
}

static int
copy(struct here *h, uint64_t off, uint32_t len, int fd, struct err *e)
{
	AUTO_FREE uint8_t *block = malloc(BLOCK);
	uint32_t at = 0, n;

	if (block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (; at < len; at += n) {
		n = len - at < BLOCK ? len - at : BLOCK;
		if (io_read_at(h->fd, block, n, off + at, e) < 0)
			return err_at(e, "%s", h->path);
		if (io_write_at(fd, block, n, at, e) < 0)
			return -1;
	}
	return 0;
}

static int
here_read(struct remote *r, uint64_t off, uint32_t len, int fd, uint32_t ticket,
    struct err *e)
{
	struct here *h = here_of(r);

	if (h->fd < 0)
		return err_set(e, ERR_RETRY, "%s is not open", h->path);
	h->answer = (struct remote_answer){.ticket = ticket, .result = 1};
	h->has_answer = true;
	if (copy(h, off, len, fd, &h->answer.why) < 0)
		h->answer.result = -1;
	return 0;
}

static bool
here_next(struct remote *r, struct remote_answer *out)
{
	struct here *h = here_of(r);

	if (!h->has_answer)
		return false;
	*out = h->answer;
	h->has_answer = false;
	return true;
}

static uint32_t
here_sockets(const struct remote *r, struct pollfd *out)
{
	(void)r;
	(void)out;
	return 0;
}

static const struct remote_ops here_ops = {
    .has_room = here_has_room,
    .look = here_look,
    .read = here_read,
    .next = here_next,
    .sockets = here_sockets,
    .close = here_close,
};

int
remote_here_open(const char *path, struct remote **out, struct err *e)
{
	AUTO_FREE struct here *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (path[0] != '/')
		return err_set(e, ERR_REFUSED,
		    "\"%.120s\": expected an absolute path", path);
	if ((size_t)snprintf(h->path, sizeof(h->path), "%s", path) >=
	    sizeof(h->path))
		return err_set(e, ERR_REFUSED, "path too long: %.120s", path);
	h->base.ops = &here_ops;
	h->fd = -1;
	*out = &STEAL(h)->base;
	return 0;
}
