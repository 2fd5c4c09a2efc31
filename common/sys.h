/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys: the seam between AIM and the kernel for every call that changes or
 * reads state that matters. Same arguments, results and errno as the system
 * call of that name. Tests install a judge that sees each call before it is
 * made and may let it go, fail it, cut it short, or kill the process, so that
 * "fail or die at the N-th call" is one loop. Without a judge the cost is one
 * predicted branch. Not for the capture path inside captured programs.
 */
#ifndef COMMON_SYS_H
#define COMMON_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

enum sys_op {
	SYS_OPEN,
	SYS_PREAD,
	SYS_PWRITE,
	SYS_FSYNC,
	SYS_FDATASYNC,
	SYS_RENAME,
	SYS_LINK,
	SYS_UNLINK,
	SYS_MKDIR,
	SYS_FTRUNCATE,
	SYS_FALLOCATE,
	SYS_IOCTL,
	SYS_MSYNC,
	SYS_OP_COUNT,
};

#define SYS_SHORT (-1) /* judge: do the first half of a read or write only */

/*
 * Returns 0 to let the call go, a positive errno to fail it without making
 * it, or SYS_SHORT. `name` is the path or "fd:N".
 */
typedef int sys_judge(void *ctx, enum sys_op op, const char *name);

/* Not thread safe: tests only. NULL takes the judge away. */
void sys_set_judge(sys_judge *judge, void *ctx);
/* Under a judge all calls are made by one thread, so that their order is the
 * same each time: who has helpers does without them. Unless the judge says that
 * it can be asked by several at once. */
bool sys_wants_one_thread(void);
void sys_judge_takes_threads(void);
const char *sys_op_name(enum sys_op op);

int sys_openat(int dir, const char *name, int flags, mode_t mode);
ssize_t sys_pread(int fd, void *to, size_t len, uint64_t off);
ssize_t sys_pwrite(int fd, const void *from, size_t len, uint64_t off);
ssize_t sys_pwritev(int fd, const struct iovec *iov, int n, uint64_t off);
int sys_fsync(int fd);
int sys_fdatasync(int fd);
/* MS_SYNC; `at` is the start of a page. */
int sys_msync(void *at, size_t len);
/* flags as renameat2(2): RENAME_NOREPLACE, RENAME_EXCHANGE. */
int sys_rename(
    int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int sys_link(int from_dir, const char *from, int to_dir, const char *to);
int sys_unlink(int dir, const char *name);
int sys_mkdir(int dir, const char *name, mode_t mode);
int sys_ftruncate(int fd, uint64_t len);
int sys_fallocate(int fd, int mode, uint64_t off, uint64_t len);
/* The block device requests that zero or discard: a two-number range. */
int sys_ioctl_range(int fd, unsigned long request, uint64_t off, uint64_t len);

#endif
