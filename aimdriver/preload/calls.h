/* SPDX-License-Identifier: Apache-2.0 */
/* calls: the exported names by which other files call them. */
#ifndef AIMDRIVER_PRELOAD_CALLS_H
#define AIMDRIVER_PRELOAD_CALLS_H

#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/types.h>

ssize_t px_write(int, const void *, size_t);
ssize_t px_pwrite(int, const void *, size_t, off_t);
ssize_t px_writev(int, const struct iovec *, int);
ssize_t px_pwritev(int, const struct iovec *, int, off_t);
ssize_t px_pwritev2(int, const struct iovec *, int, off_t, int);
int px_ftruncate(int, off_t);
int px_truncate(const char *, off_t);
int px_fallocate(int, int, off_t, off_t);
ssize_t px_copy_file_range(int, off64_t *, int, off64_t *, size_t, unsigned);
ssize_t px_sendfile(int, int, off_t *, size_t);
ssize_t px_splice(int, off64_t *, int, off64_t *, size_t, unsigned);
int px_ioctl(int, unsigned long, ...);
void *px_mmap(void *, size_t, int, int, int, off_t);
int px_renameat2(int, const char *, int, const char *, unsigned);
int px_unlinkat(int, const char *, int);
int px_linkat(int, const char *, int, const char *, int);
int px_mount(
    const char *, const char *, const char *, unsigned long, const void *);
int px_swapon(const char *, int);
int px_fsconfig(int, unsigned, const char *, const void *, int);
int px_close(int);
int px_close_range(unsigned, unsigned, int);
int px_dup(int);
int px_dup2(int, int);
int px_dup3(int, int, int);
int px_fcntl(int, int, ...);
long px_dup_number(int fd, int command, long arg); /* -errno */
long px_set_flags(int fd, long flags);		   /* -errno */
int px_memfd_create(const char *, unsigned);
ssize_t px_sendmsg(int, const struct msghdr *, int);
int px_sendmmsg(int, struct mmsghdr *, unsigned, int);
ssize_t px_recvmsg(int, struct msghdr *, int);
int px_recvmmsg(int, struct mmsghdr *, unsigned, int, struct timespec *);
int px_fsync(int);
int px_fdatasync(int);
int px_syncfs(int);
int px_execveat(int, const char *, char *const[], char *const[], int);
int px_execve(const char *, char *const[], char *const[]);
int px_io_submit(unsigned long, long, void *);
int px_io_uring_setup(unsigned, void *);
int px_open(const char *, int, ...);
int px_openat(int, const char *, int, ...);
int px_open_nocancel(const char *, int, ...);
int px_creat(const char *, mode_t);
int px_open_by_handle_at(int, struct file_handle *, int);
ssize_t px_write_nocancel(int, const void *, size_t);
int px_rename(const char *, const char *);
int px_renameat(int, const char *, int, const char *);
int px_unlink(const char *);
int px_link(const char *, const char *);
long px_syscall(long, ...);

#endif
