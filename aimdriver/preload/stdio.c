/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdio: what libc's streams write is written inside libc, where no symbol is
 * seen. Where libc's wrappers could be patched (patch.c) nothing is to be done
 * about them: all below is for other machines and other C libraries.
 *
 * There a stream on a protected volume is made of our own calls
 * (fopencookie), with the descriptor put into it so that fileno finds it.
 *
 * Standard output and error are streams that exist already. While descriptor
 * 1 or 2 is a protected volume, the variable `stdout` or `stderr` is such a
 * stream of ours, and libc's original one is parked on a descriptor that
 * cannot be written: whoever has kept a pointer to it gets EBADF and never
 * writes unseen. Descriptors are looked at after every call that may change
 * what 0 to 2 are.
 */
#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <link.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

/* libio's flags: unbuffered, line buffered, a stream on a descriptor. */
enum { IS_UNBUFFERED = 0x2, IS_LINES = 0x200, IS_FILEBUF = 0x2000 };

ssize_t px_write(int, const void *, size_t);
int px_close(int);

static struct standard {
	FILE **variable;
	FILE *original, *ours; /* ours NULL: not diverted */
	FILE *spare;	       /* one of ours from before, to be used again */
	int fd;
} standards[2];
int px_parking = -1;

/* ---- streams of our own ---- */

static int
cookie_fd(const void *cookie)
{
	return (int)(intptr_t)cookie - 1;
}

static ssize_t
cookie_read(void *cookie, char *to, size_t len)
{
	return read(cookie_fd(cookie), to, len);
}

/* All or an error: 0. */
static ssize_t
cookie_write(void *cookie, const char *from, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t r =
		    px_write(cookie_fd(cookie), from + done, len - done);

		if (r <= 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static int
cookie_seek(void *cookie, off64_t *off, int whence)
{
	off64_t r = lseek64(cookie_fd(cookie), *off, whence);

	if (r < 0)
		return -1;
	*off = r;
	return 0;
}

static int
cookie_close(void *cookie)
{
	int fd = cookie_fd(cookie);

	for (int i = 0; i < 2; i++)
		if (standards[i].ours != NULL && standards[i].fd == fd)
			standards[i].ours = NULL;
	return px_close(fd);
}

static FILE *
make_stream(int fd, const char *mode)
{
	cookie_io_functions_t calls = {
	    cookie_read, cookie_write, cookie_seek, cookie_close};
	FILE *f = fopencookie((void *)(intptr_t)(fd + 1), mode, calls);

	if (f != NULL)
		f->_fileno = fd;
	return f;
}

static bool
is_ours(const FILE *f)
{
	return (f->_flags & IS_FILEBUF) == 0 && f->_fileno >= 0;
}

/* ---- standard output and error ---- */

/* As the original is buffered; what that still holds is to come out here. */
static void
take_over(FILE *f, FILE *original)
{
	size_t held =
	    (size_t)(original->_IO_write_ptr - original->_IO_write_base);

	if ((original->_flags & IS_UNBUFFERED) != 0)
		(void)setvbuf(f, NULL, _IONBF, 0);
	else if ((original->_flags & IS_LINES) != 0)
		(void)setvbuf(f, NULL, _IOLBF, BUFSIZ);
	if (held > 0) {
		(void)fwrite(original->_IO_write_base, 1, held, f);
		__fpurge(original);
	}
}

static void
divert(struct standard *s)
{
	FILE *f = s->spare != NULL ? s->spare : make_stream(s->fd, "w");

	if (f == NULL)
		px_die(126, "no memory for a captured standard stream of %s",
		    px_program());
	take_over(f, s->original);
	s->spare = NULL;
	s->ours = f;
	s->original->_fileno = px_parking;
	*s->variable = f;
}

/* The descriptor is something else now; what our stream still holds goes
 * there, as libc's would have done. */
static void
put_back(struct standard *s)
{
	FILE *f = s->ours;

	(void)fflush(f);
	s->original->_fileno = s->fd;
	if (*s->variable == f)
		*s->variable = s->original;
	s->ours = NULL;
	f->_offset = -1; /* wherever the next one is */
	s->spare = f;
}

void
px_stdio_check(void)
{
	int saved = errno;

	if (px_patched || !px_on() || px_parking < 0)
		return;
	for (int i = 0; i < 2; i++) {
		struct standard *s = &standards[i];
		struct px_target t;
		bool protected =
		    px_find(s->fd, &t) && (raw3(SYS_fcntl, s->fd, F_GETFL, 0) &
					      O_ACCMODE) != O_RDONLY;

		if (protected && s->ours == NULL &&
		    *s->variable == s->original &&
		    s->original->_fileno == s->fd)
			divert(s);
		else if (!protected && s->ours != NULL)
			put_back(s);
	}
	errno = saved;
}

/* libstdc++ keeps pointers to the original streams from before. */
static int
find_cxx(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct px_target t;

	(void)size;
	(void)ctx;
	if (info->dlpi_name == NULL ||
	    strstr(info->dlpi_name, "libstdc++") == NULL)
		return 0;
	for (int fd = 1; fd <= 2; fd++)
		if (px_find(fd, &t))
			px_die(126,
			    "refused: %s would write to a protected volume "
			    "through C++ streams, which this release does not "
			    "capture; redirect its output to a pipe",
			    px_program());
	return 1;
}

void
px_stdio_start(void)
{
	long fd;

	if (px_patched)
		return;
	fd = raw4(
	    SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0) {
		long up = raw3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);

		if (up < 0)
			up = raw3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 40);
		(void)raw1(SYS_close, fd);
		px_parking = (int)up;
	}
	if (px_parking < 0)
		px_die(125, "capture could not start: open /dev/null");
	standards[0] = (struct standard){&stdout, stdout, NULL, NULL, 1};
	standards[1] = (struct standard){&stderr, stderr, NULL, NULL, 2};
}

void
px_stdio_inherited(void)
{
	if (px_patched)
		return;
	(void)dl_iterate_phdr(find_cxx, NULL);
	px_stdio_check();
}

/* ---- opening ---- */

/* The open flags of a mode; -1: not one that we can do. */
static int
mode_flags(const char *mode)
{
	int flags;

	switch (mode[0]) {
	case 'r':
		flags = 0;
		break;
	case 'w':
		flags = O_CREAT | O_TRUNC;
		break;
	case 'a':
		flags = O_CREAT | O_APPEND;
		break;
	default:
		return -1;
	}
	if (strchr(mode, ',') != NULL)
		return -1;
	if (strchr(mode, '+') != NULL)
		flags |= O_RDWR;
	else if (mode[0] != 'r')
		flags |= O_WRONLY;
	if (strchr(mode, 'e') != NULL)
		flags |= O_CLOEXEC;
	if (strchr(mode, 'x') != NULL)
		flags |= O_EXCL;
	return flags;
}

static FILE *
refused(const char *what)
{
	px_say(PX_STDIO,
	    "refused: %s writes %s through stdio in a way that this release "
	    "does not capture",
	    px_program(), what);
	errno = EACCES;
	return NULL;
}

static FILE *
stream_or_close(int fd, const char *mode)
{
	FILE *f = make_stream(fd, mode);

	if (f == NULL)
		(void)px_close(fd);
	return f;
}

EXPORT(FILE *, fopen, (const char *path, const char *mode))
{
	struct px_target t;
	int flags = mode != NULL ? mode_flags(mode) : -1;
	bool writes = mode != NULL && (mode[0] != 'r' || strchr(mode, '+'));
	long fd;

	if (px_patched || !writes || !px_find_at(AT_FDCWD, path, 0, &t))
		return px_real.fopen(path, mode);
	if (flags < 0)
		return refused(path);
	fd = px_openat_raw(AT_FDCWD, path, flags, 0666);
	if (fd < 0) {
		errno = (int)-fd;
		return NULL;
	}
	return stream_or_close((int)fd, mode);
}
ALIAS(fopen64, fopen);

EXPORT(FILE *, fdopen, (int fd, const char *mode))
{
	struct px_target t;
	long fl;
	int flags = mode != NULL ? mode_flags(mode) : -1;

	if (px_patched || mode == NULL ||
	    (mode[0] == 'r' && strchr(mode, '+') == NULL) || !px_find(fd, &t))
		return px_real.fdopen(fd, mode);
	if (flags < 0)
		return refused("a protected volume");
	fl = raw3(SYS_fcntl, fd, F_GETFL, 0);
	if ((fl & O_ACCMODE) != O_RDWR &&
	    (fl & O_ACCMODE) != (flags & O_ACCMODE)) {
		errno = EINVAL;
		return NULL;
	}
	if ((flags & O_APPEND) != 0 && (fl & O_APPEND) == 0)
		(void)raw3(SYS_fcntl, fd, F_SETFL, fl | O_APPEND);
	return make_stream(fd, mode);
}
ALIAS(_IO_fdopen, fdopen);

/* A standard stream that is ours becomes libc's again first. */
static FILE *
unwrap(FILE *f)
{
	for (int i = 0; i < 2; i++)
		if (f != NULL && standards[i].ours == f) {
			put_back(&standards[i]);
			return standards[i].original;
		}
	return f;
}

EXPORT(FILE *, freopen, (const char *path, const char *mode, FILE *f))
{
	struct px_target t;
	bool writes = mode != NULL && (mode[0] != 'r' || strchr(mode, '+'));
	FILE *r;

	if (!px_patched && f != NULL && writes && px_on() &&
	    ((path != NULL && px_find_at(AT_FDCWD, path, 0, &t)) ||
		(path == NULL && is_ours(f))))
		return refused(path != NULL ? path : "a protected volume");
	r = px_real.freopen(path, mode, unwrap(f));
	px_stdio_check();
	return r;
}
ALIAS(freopen64, freopen);

EXPORT(int, fileno, (FILE * f))
{
	return !px_patched && f != NULL && is_ours(f) ? f->_fileno
						      : px_real.fileno(f);
}
ALIAS(fileno_unlocked, fileno);

/* libio does not report what goes wrong while fclose flushes a stream that
 * is not on a descriptor. */
EXPORT(int, fclose, (FILE * f))
{
	int r = !px_patched && f != NULL && is_ours(f) ? fflush(f) : 0;
	int saved = errno;

	if (px_real.fclose(f) != 0)
		return EOF;
	if (r != 0)
		errno = saved;
	return r;
}
