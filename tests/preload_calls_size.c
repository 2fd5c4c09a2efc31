/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/preload_calls.h"

#include <linux/falloc.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum { KEEP = FALLOC_FL_KEEP_SIZE };

static long
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

static void
truncates(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(ftruncate(fd, 3000000));
	SHOW(pwrite(fd, "end", 3, 2999990));
	SHOW(ftruncate(fd, 12345));
	SHOW(ftruncate(fd, 12345));
	SHOW(ftruncate(fd, -1));
	SHOW(truncate(path, 500000));
	SHOW(truncate(path, 0));
	SHOW(truncate(path, 77));
	SHOW(truncate("/nonexistent/x", 0));
	SHOW(size_of(path));
}

static void
open_truncating(const char *path)
{
	int fd;

	SHOW((fd = open(path, O_WRONLY | O_TRUNC)) < 0);
	SHOW(size_of(path));
	SHOW(write(fd, "abc", 3));
	SHOW(open(path, O_WRONLY | O_CREAT | O_EXCL | O_TRUNC, 0600));
	SHOW(openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0600) < 0);
	SHOW(size_of(path));
	SHOW(write(fd, "defg", 4));
	SHOW(open(path, O_RDONLY | O_TRUNC) < 0);
	SHOW(size_of(path));
	SHOW(write(fd, "hi", 2));
	SHOW(creat(path, 0600) < 0);
	SHOW(size_of(path));
	SHOW(write(fd, "jk", 2));
	SHOW(open(path, O_RDONLY | O_TRUNC | O_DIRECTORY));
	SHOW(size_of(path));
}

static void
fallocates(const char *path)
{
	int fd = must_open(path, O_RDWR), ro = must_open(path, O_RDONLY);
	long size = size_of(path);

	SHOW(fallocate(fd, 0, 0, 4096));
	SHOW(fallocate(fd, 0, size - 100, 5000));
	SHOW(size_of(path));
	SHOW(fallocate(fd, KEEP, size, 100000));
	SHOW(size_of(path));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | KEEP, 1000, 20000));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | KEEP, size, 1 << 20));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | KEEP, 1 << 30, 4096));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 30001, 9999));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE | KEEP, 50000, 1 << 22));
	SHOW(size_of(path));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 60000, 1 << 22));
	SHOW(size_of(path));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 1 << 23, 5));
	SHOW(size_of(path));
	SHOW(fallocate(fd, 0, -1, 5));
	SHOW(fallocate(fd, 0, 5, 0));
	SHOW(fallocate(ro, 0, 0, 1 << 24));
	SHOW(posix_fallocate(fd, 9000000, 50));
	SHOW(posix_fallocate(fd, 0, 50));
	SHOW(posix_fallocate(fd, 0, -50));
	SHOW(size_of(path));
}

static void
collapse(const char *path)
{
	SHOW(fallocate(
	    must_open(path, O_RDWR), FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
}

static int
source(const char *path, size_t len)
{
	char name[4200];
	int fd;

	(void)snprintf(name, sizeof(name), "%s.source", path);
	fd = must_open(name, O_RDWR | O_CREAT | O_TRUNC);
	(void)unlink(name);
	if (write(fd, pattern(len, 77), len) != (ssize_t)len)
		exit(2);
	(void)lseek(fd, 0, SEEK_SET);
	return fd;
}

static void
copy_ranges(const char *path)
{
	int fd = must_open(path, O_RDWR), from = source(path, 300000);
	int end = must_open(path, O_RDWR | O_APPEND);
	off64_t in = 100, out = 70000;

	SHOW(copy_file_range(from, NULL, fd, NULL, 200000, 0));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(from, 0, SEEK_CUR));
	SHOW(copy_file_range(from, &in, fd, &out, 30000, 0));
	SHOW(in);
	SHOW(out);
	SHOW(copy_file_range(from, NULL, fd, NULL, 1 << 20, 0));
	SHOW(copy_file_range(from, NULL, fd, NULL, 1 << 20, 0));
	in = 0;
	out = 1000000;
	SHOW(copy_file_range(fd, &in, fd, &out, 5000, 0));
	in = 0;
	out = 100;
	SHOW(copy_file_range(fd, &in, fd, &out, 5000, 0));
	SHOW(copy_file_range(from, NULL, fd, NULL, 10, 1));
	SHOW(copy_file_range(from, NULL, end, NULL, 10, 0));
	in = 0;
	SHOW(copy_file_range(fd, &in, from, NULL, 100, 0));
}

static void
sendfiles(const char *path)
{
	int fd = must_open(path, O_RDWR), from = source(path, 300000);
	off_t in = 100;

	SHOW(sendfile(fd, from, NULL, 200000));
	SHOW(lseek(from, 0, SEEK_CUR));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(sendfile(fd, from, &in, 5000));
	SHOW(in);
	SHOW(sendfile(fd, from, NULL, 1 << 20));
	SHOW(sendfile(must_open(path, O_WRONLY | O_APPEND), from, NULL, 10));
}

static void
splices(const char *path)
{
	int fd = must_open(path, O_RDWR), p[2];

	if (pipe(p) < 0 || write(p[1], "0123456789", 10) != 10)
		exit(2);
	SHOW(splice(p[0], NULL, fd, NULL, 10, 0));
}

const struct call size_calls[] = {SAME(truncates), SAME(open_truncating),
    SAME(fallocates), REFUSED(collapse), SAME(copy_ranges), SAME(sendfiles),
    REFUSED(splices), {NULL, NULL, NULL}};
