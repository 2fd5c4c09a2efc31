/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy: copy_file_range and sendfile into a protected volume, as reads and
 * captured writes of bounded pieces. Both may do less than they are asked
 * for, so callers go on by themselves. splice takes from a pipe what could
 * not be put back if the write failed: EINVAL, as for a file system that has
 * no splice.
 */
#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 256 << 10 };

struct end {
	int fd;
	off64_t *off; /* NULL: the descriptor's position */
};

static long
read_piece(const struct end *in, void *room, size_t len)
{
	if (in->off != NULL)
		return raw4(
		    SYS_pread64, in->fd, (long)room, (long)len, (long)*in->off);
	return raw3(SYS_read, in->fd, (long)room, (long)len);
}

/* Bytes copied, or -errno when none were. */
static int64_t
copy(const struct px_target *t, const struct end *in, const struct end *out,
    size_t len)
{
	int64_t done = 0, w = 0;
	long r = 0;
	void *room = mmap(NULL, PIECE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return -ENOMEM;
	while (done < (int64_t)len && done < 16 * (int64_t)PIECE) {
		size_t want = len - (size_t)done < PIECE ? len - (size_t)done
							 : (size_t)PIECE;
		struct iovec iov = {.iov_base = room};

		r = read_piece(in, room, want);
		if (r <= 0)
			break;
		iov.iov_len = (size_t)r;
		w = px_write_raw(
		    t, out->fd, &iov, 1, out->off != NULL ? *out->off : -1, 0);
		if (w < r && in->off == NULL)
			(void)raw3(SYS_lseek, in->fd,
			    -(r - (w < 0 ? 0 : (long)w)), SEEK_CUR);
		if (w <= 0)
			break;
		done += w;
		if (in->off != NULL)
			*in->off += w;
		if (out->off != NULL)
			*out->off += w;
		if (w < r)
			break;
	}
	(void)munmap(room, PIECE);
	if (done > 0)
		return done;
	return r < 0 ? r : w < 0 ? w : 0;
}

static int64_t
place(const struct end *e)
{
	return e->off != NULL ? *e->off : raw3(SYS_lseek, e->fd, 0, SEEK_CUR);
}

/* What copy_file_range(2) refuses. */
static long
check_range(const struct px_target *t, const struct end *in,
    const struct end *out, size_t len, unsigned flags)
{
	struct stat from;
	long infl = raw3(SYS_fcntl, in->fd, F_GETFL, 0);
	long outfl = raw3(SYS_fcntl, out->fd, F_GETFL, 0);
	int64_t a, b;

	if (infl < 0 || raw2(SYS_fstat, in->fd, (long)&from) < 0)
		return -EBADF;
	if (S_ISDIR(from.st_mode))
		return -EISDIR;
	if (!S_ISREG(from.st_mode) || !S_ISREG(t->st.st_mode) || flags != 0)
		return -EINVAL;
	if ((infl & O_ACCMODE) == O_WRONLY || (infl & O_PATH) != 0 ||
	    (outfl & O_ACCMODE) == O_RDONLY || (outfl & O_APPEND) != 0)
		return -EBADF;
	a = place(in);
	b = place(out);
	if (a < 0 || b < 0)
		return -EINVAL;
	if (from.st_ino == t->st.st_ino && from.st_dev == t->st.st_dev &&
	    a < b + (int64_t)len && b < a + (int64_t)len)
		return -EINVAL;
	return 0;
}

EXPORT(ssize_t, copy_file_range,
    (int in, off64_t *in_off, int out, off64_t *out_off, size_t len,
	unsigned flags))
{
	struct end from = {in, in_off}, to = {out, out_off};
	struct px_target t;
	int64_t r;

	if (!px_find_written(out, &t))
		return ret(px_block(SYS_copy_file_range, in, (long)in_off, out,
		    (long)out_off, (long)len, flags));
	if (len > INT32_MAX)
		len = INT32_MAX;
	r = check_range(&t, &from, &to, len, flags);
	return ret(r < 0 ? r : copy(&t, &from, &to, len));
}

EXPORT(ssize_t, sendfile, (int out, int in, off_t *off, size_t len))
{
	struct end from = {in, off}, to = {out, NULL};
	struct px_target t;
	struct stat st;
	long fl;

	if (!px_find_written(out, &t))
		return ret(px_block(
		    SYS_sendfile, out, in, (long)off, (long)len, 0, 0));
	fl = raw3(SYS_fcntl, out, F_GETFL, 0);
	if ((fl & O_ACCMODE) == O_RDONLY || (fl & O_PATH) != 0 ||
	    raw2(SYS_fstat, in, (long)&st) < 0)
		return ret(-EBADF);
	if ((fl & O_APPEND) != 0 ||
	    (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return ret(-EINVAL);
	return ret(copy(&t, &from, &to, len));
}
ALIAS(sendfile64, sendfile);

EXPORT(ssize_t, splice,
    (int in, off64_t *in_off, int out, off64_t *out_off, size_t len,
	unsigned flags))
{
	struct px_target t;

	if (!px_find_written(out, &t))
		return ret(px_block(SYS_splice, in, (long)in_off, out,
		    (long)out_off, (long)len, flags));
	px_say(PX_SPLICE,
	    "refused: %s splices into a protected volume, which is not "
	    "captured; it is told that this does not work here",
	    px_program());
	return ret(-EINVAL);
}
