/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io: whole reads and writes, durable files, safe opening, over the sys seam.
 *
 * Functions return 0 or -1 with the error filled, unless they say otherwise.
 * EINTR is retried and short transfers are continued. A failed fsync is never
 * retried: what it covered must be written again from a good copy. All
 * descriptors are close-on-exec.
 */
#ifndef COMMON_IO_H
#define COMMON_IO_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exactly `len` bytes, or an error; the end of the file is CORRUPT. */
int io_read_at(
    int fd, void *to, size_t len, uint64_t off, struct err *e) CHECKED;
/* Up to `len` bytes: returns how many (less only at the end), or -1. */
ssize_t io_read_some_at(
    int fd, void *to, size_t len, uint64_t off, struct err *e) CHECKED;
int io_write_at(
    int fd, const void *from, size_t len, uint64_t off, struct err *e) CHECKED;

int io_fsync(int fd, const char *what, struct err *e) CHECKED;
int io_fdatasync(int fd, const char *what, struct err *e) CHECKED;

/* Opens a directory below `dir` (AT_FDCWD allowed) for *at calls and fsync. */
int io_open_dir(int dir, const char *name, int *out, struct err *e) CHECKED;
/*
 * Makes the directory if it is not there, durably. `mode` is set as given,
 * whatever the umask. An existing directory is left alone, but when `dir` is
 * given its name is made durable.
 */
int io_make_dir(int dir, const char *name, mode_t mode, struct err *e) CHECKED;

/*
 * Opens a regular file for reading, beneath `dir` and through no symbolic
 * link, mount point or special file, without ever blocking on it (faults F59,
 * F60). REFUSED when it is anything else.
 */
int io_open_regular(int dir, const char *name, int *out, struct err *e) CHECKED;

/* Reads a whole regular file of at most `max` bytes; larger is REFUSED. */
int io_read_file(int dir, const char *name, size_t max, struct buf *out,
    struct err *e) CHECKED;

/*
 * Replaces or creates `name` so that it is whole or untouched whatever
 * happens: temporary name, write, fsync, rename, fsync of the directory.
 * The temporary name is ".NAME.tmp": one writer at a time.
 */
int io_write_file(int dir, const char *name, const void *data, size_t len,
    mode_t mode, struct err *e) CHECKED;

/* Moves a file within or between directories of a file system, durably, and
 * never over an existing one (EEXIST in e->sys). */
int io_move(int from_dir, const char *from, int to_dir, const char *to,
    struct err *e) CHECKED;

/* Removes a file durably, also when it is missing already. */
int io_remove(int dir, const char *name, struct err *e) CHECKED;

/* Size in bytes of a regular file or block device. */
int io_size(int fd, uint64_t *out, struct err *e) CHECKED;

/* Free bytes for us on the file system of `fd`. */
int io_free_bytes(int fd, uint64_t *out, struct err *e) CHECKED;

bool io_is_zero(const void *data, size_t len);

/*
 * Takes an open-file-description lock on the whole file, without waiting.
 * `exclusive` or shared. RETRY (sys = EAGAIN) when another holds it. The lock
 * lives until the last descriptor of this open file is closed.
 */
int io_lock(int fd, bool exclusive, struct err *e) CHECKED;
int io_unlock(int fd, struct err *e) CHECKED;

#endif
