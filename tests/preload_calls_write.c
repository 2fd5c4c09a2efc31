/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/preload_calls.h"

#include <linux/fs.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

static void *volatile nowhere = (void *)(uintptr_t)16;

static void
write_at_position(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(write(fd, pattern(5000, 1), 5000));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, 70001, SEEK_SET));
	SHOW(write(fd, pattern(70000, 2), 70000));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(close(fd));
}

static void
write_beyond_end(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(lseek(fd, 1000, SEEK_END));
	SHOW(write(fd, pattern(3000, 3), 3000));
	SHOW(lseek(fd, 0, SEEK_CUR));
}

static void
pwrites(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(pwrite(fd, pattern(1, 1), 1, 1));
	SHOW(pwrite(fd, pattern(65536, 2), 65536, 65535));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pwrite(fd, pattern(10, 3), 10, 3000000));
	SHOW(pwrite(fd, "x", 1, -1));
	SHOW(pwrite(fd, "x", 0, 5));
	SHOW(pwrite(fd, "x", 0, 50000000));
	SHOW(write(fd, "x", 0));
}

static void
big_write(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(write(fd, pattern(5u << 20, 1), (5u << 20) - 3));
	SHOW(pwrite(fd, pattern(3u << 20, 2), 3u << 20, 1048575));
	SHOW(lseek(fd, 0, SEEK_CUR));
}

static void
vectors(const char *path)
{
	int fd = must_open(path, O_RDWR);
	volatile int too_many = 1025, too_few = -1;
	struct iovec v[1024], one = {pattern(100, 9), 100};

	for (int i = 0; i < 1024; i++)
		v[i] =
		    (struct iovec){pattern(200, (unsigned)i), (size_t)i % 200};
	SHOW(writev(fd, v, 3));
	SHOW(writev(fd, v, 1024));
	SHOW(pwritev(fd, v, 1024, 12345));
	SHOW(writev(fd, v, too_many));
	SHOW(writev(fd, v, too_few));
	SHOW(writev(fd, v, 0));
	SHOW(pwritev2(fd, v, 500, 200000, 0));
	SHOW(pwritev2(fd, v, 500, -1, 0));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pwritev2(fd, &one, 1, 50, RWF_DSYNC));
	SHOW(pwritev2(fd, &one, 1, 70, RWF_SYNC));
	SHOW(pwritev2(fd, &one, 1, 0, RWF_APPEND));
	SHOW(pwritev2(fd, &one, 1, -1, RWF_APPEND));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pwritev2(fd, &one, 1, 0, 0x40000000));
	v[1].iov_len = (size_t)-5;
	SHOW(writev(fd, v, 3));
}

static void
append(const char *path)
{
	int fd = must_open(path, O_RDWR | O_APPEND);
	struct iovec v[2] = {{pattern(10, 1), 10}, {pattern(3000, 2), 3000}};

	SHOW(write(fd, pattern(10, 5), 10));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, 5, SEEK_SET));
	SHOW(writev(fd, v, 2));
	SHOW(pwrite(fd, pattern(100, 6), 100, 3));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(write(fd, pattern(2u << 20, 7), 2u << 20));
	SHOW(lseek(fd, 0, SEEK_CUR));
}

static void
set_append_later(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(write(fd, pattern(10, 5), 10));
	SHOW(fcntl(fd, F_SETFL, O_APPEND));
	SHOW(write(fd, pattern(10, 6), 10));
	SHOW(lseek(fd, 0, SEEK_CUR));
}

static void
synchronous(const char *path)
{
	int fd = must_open(path, O_RDWR | O_DSYNC);
	int full = must_open(path, O_RDWR | O_SYNC);

	SHOW(pwrite(fd, pattern(9000, 1), 9000, 5));
	SHOW(write(full, pattern(9000, 2), 9000));
}

static void
direct(const char *path)
{
	int fd = must_open(path, O_RDWR | O_DIRECT);
	char *p = pattern(1u << 20, 4);

	SHOW(pwrite(fd, p, 8192, 4096));
	SHOW(write(fd, p + 4096, 4096));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pwrite(fd, p, 1u << 20, 0));
	SHOW(pwrite(fd, p, 4096, 100));
	SHOW(pwrite(fd, p, 100, 4096));
	SHOW(pwrite(fd, p + 1, 4096, 0));
}

static void
bad_descriptors(const char *path)
{
	int ro = must_open(path, O_RDONLY), p = must_open(path, O_PATH);

	SHOW(write(ro, "x", 1));
	SHOW(pwrite(ro, "x", 1, 0));
	SHOW(ftruncate(ro, 0));
	SHOW(write(p, "x", 1));
	SHOW(ftruncate(p, 0));
	SHOW(write(777, "x", 1));
	SHOW(write(-1, "x", 1));
}

static void
bad_buffers(const char *path)
{
	int fd = must_open(path, O_RDWR);
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec v[2] = {{p, 4096}, {nowhere, 100}};

	memset(p, 'a', 8192);
	SHOW(mprotect(p + 4096, 4096, PROT_NONE));
	SHOW(write(fd, nowhere, 100));
	SHOW(pwrite(fd, p + 4096, 4096, 0));
	SHOW(pwrite(fd, p, 8192, 8192));
	SHOW(pwritev(fd, v, 2, 32768));
	SHOW(writev(fd, nowhere, 2));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(write(fd, p, 4096));
}

static void
size_limit(const char *path)
{
	int fd = must_open(path, O_RDWR);
	struct rlimit limit = {100000, 100000};

	(void)signal(SIGXFSZ, SIG_IGN);
	SHOW(setrlimit(RLIMIT_FSIZE, &limit));
	SHOW(pwrite(fd, pattern(60000, 1), 60000, 50000));
	SHOW(pwrite(fd, pattern(60000, 2), 60000, 100000));
	SHOW(ftruncate(fd, 200000000));
}

static void
formatted(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(dprintf(fd, "%s and %d\n", "text", 42));
	SHOW(dprintf(fd, "%9000d", 1));
	SHOW(lseek(fd, 0, SEEK_CUR));
}

static void
duplicates(const char *path)
{
	int fd = must_open(path, O_RDWR), d = dup(fd);

	SHOW(write(d, pattern(100, 1), 100));
	SHOW(dup2(fd, 50));
	SHOW(write(50, pattern(100, 2), 100));
	SHOW(fcntl(fd, F_DUPFD, 60));
	SHOW(write(60, pattern(100, 3), 100));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(close(fd));
	SHOW(write(d, pattern(100, 4), 100));
}

const struct call write_calls[] = {SAME(write_at_position),
    SAME(write_beyond_end), SAME(pwrites), SAME(big_write), SAME(vectors),
    SAME(append), SAME(set_append_later), SAME(synchronous), SAME(direct),
    SAME(bad_descriptors), SAME(bad_buffers), SAME(size_limit), SAME(formatted),
    SAME(duplicates), {NULL, NULL, NULL}};
