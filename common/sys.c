/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sys.h"

#include "common/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static sys_judge *the_judge;
static void *the_judge_ctx;
static bool takes_threads;

void
sys_set_judge(sys_judge *judge, void *ctx)
{
	the_judge = judge;
	the_judge_ctx = ctx;
	takes_threads = false;
}

bool
sys_wants_one_thread(void)
{
	return the_judge != NULL && !takes_threads;
}

void
sys_judge_takes_threads(void)
{
	takes_threads = true;
}

const char *
sys_op_name(enum sys_op op)
{
	static const char *const names[SYS_OP_COUNT] = {"open", "pread",
	    "pwrite", "fsync", "fdatasync", "rename", "link", "unlink", "mkdir",
	    "ftruncate", "fallocate", "ioctl", "msync"};

	return (unsigned)op < SYS_OP_COUNT ? names[op] : "?";
}

/* 0: go on; 1: go on with half the length; -1: fail, errno is set. */
static int
judged(enum sys_op op, const char *path, int fd)
{
	char name[24];
	int verdict;

	pulse_beat();
	if (__builtin_expect(the_judge == NULL, 1))
		return 0;
	if (path == NULL) {
		(void)snprintf(name, sizeof(name), "fd:%d", fd);
		path = name;
	}
	verdict = the_judge(the_judge_ctx, op, path);
	if (verdict > 0) {
		errno = verdict;
		return -1;
	}
	return verdict == SYS_SHORT ? 1 : 0;
}

/* Half of a length, but something. */
static size_t
half(size_t len)
{
	return len > 1 ? len / 2 : len;
}

int
sys_openat(int dir, const char *name, int flags, mode_t mode)
{
	if (judged(SYS_OPEN, name, dir) < 0)
		return -1;
	return openat(dir, name, flags | O_CLOEXEC, mode);
}

ssize_t
sys_pread(int fd, void *to, size_t len, uint64_t off)
{
	int v = judged(SYS_PREAD, NULL, fd);

	if (v < 0)
		return -1;
	return pread(fd, to, v == 1 ? half(len) : len, (off_t)off);
}

ssize_t
sys_pwrite(int fd, const void *from, size_t len, uint64_t off)
{
	int v = judged(SYS_PWRITE, NULL, fd);

	if (v < 0)
		return -1;
	return pwrite(fd, from, v == 1 ? half(len) : len, (off_t)off);
}

ssize_t
sys_pwritev(int fd, const struct iovec *iov, int n, uint64_t off)
{
	int v = judged(SYS_PWRITE, NULL, fd);

	if (v < 0)
		return -1;
	if (v == 1)
		return pwrite(
		    fd, iov[0].iov_base, half(iov[0].iov_len), (off_t)off);
	return pwritev(fd, iov, n, (off_t)off);
}

int
sys_fsync(int fd)
{
	int r;

	if (judged(SYS_FSYNC, NULL, fd) < 0)
		return -1;
	pulse_sync_begin();
	r = fsync(fd);
	pulse_sync_end();
	return r;
}

int
sys_fdatasync(int fd)
{
	int r;

	if (judged(SYS_FDATASYNC, NULL, fd) < 0)
		return -1;
	pulse_sync_begin();
	r = fdatasync(fd);
	pulse_sync_end();
	return r;
}

int
sys_msync(void *at, size_t len)
{
	int r;

	if (judged(SYS_MSYNC, NULL, -1) < 0)
		return -1;
	pulse_sync_begin();
	r = msync(at, len, MS_SYNC);
	pulse_sync_end();
	return r;
}

int
sys_rename(
    int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	if (judged(SYS_RENAME, to, to_dir) < 0)
		return -1;
	return renameat2(from_dir, from, to_dir, to, flags);
}

int
sys_link(int from_dir, const char *from, int to_dir, const char *to)
{
	if (judged(SYS_LINK, to, to_dir) < 0)
		return -1;
	return linkat(from_dir, from, to_dir, to, 0);
}

int
sys_unlink(int dir, const char *name)
{
	return judged(SYS_UNLINK, name, dir) < 0 ? -1 : unlinkat(dir, name, 0);
}

int
sys_mkdir(int dir, const char *name, mode_t mode)
{
	return judged(SYS_MKDIR, name, dir) < 0 ? -1 : mkdirat(dir, name, mode);
}

int
sys_ftruncate(int fd, uint64_t len)
{
	return judged(SYS_FTRUNCATE, NULL, fd) < 0 ? -1
						   : ftruncate(fd, (off_t)len);
}

int
sys_fallocate(int fd, int mode, uint64_t off, uint64_t len)
{
	if (judged(SYS_FALLOCATE, NULL, fd) < 0)
		return -1;
	return fallocate(fd, mode, (off_t)off, (off_t)len);
}

int
sys_ioctl_range(int fd, unsigned long request, uint64_t off, uint64_t len)
{
	uint64_t range[2] = {off, len};

	return judged(SYS_IOCTL, NULL, fd) < 0 ? -1 : ioctl(fd, request, range);
}
