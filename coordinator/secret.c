/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/secret.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
secret_read(const char *what, const char *path, struct buf *out, struct err *e)
{
	AUTO_CLOSE int fd =
	    open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	AUTO(secret_release) struct buf b = {0};
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return err_sys(e, "open %s %s", what, path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_REFUSED, "%s is not a regular file", path);
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return err_set(e, ERR_REFUSED,
		    "%s can be read by others: it must be owned by the user of "
		    "the coordinator and have mode 0600",
		    path);
	if (st.st_size > SECRET_LIMIT)
		return err_set(
		    e, ERR_REFUSED, "%s is too large for a %s", path, what);
	if (buf_room(&b, (size_t)st.st_size + 1, e) < 0)
		return -1;
	n = io_read_some_at(fd, b.data, (size_t)st.st_size, 0, e);
	if (n < 0)
		return err_at(e, "%s", path);
	b.len = (size_t)n;
	b.data[n] = '\0';
	buf_swap(out, &b);
	return 0;
}

void
secret_release(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->room);
	buf_release(b);
}
