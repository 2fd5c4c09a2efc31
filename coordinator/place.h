/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place: where files really lie: which file or block device is under which
 * file system, so that a disk is never protected that the home lives on
 * (fault F72), and none that somebody else is using. Reads /sys and /proc.
 */
#ifndef COORDINATOR_PLACE_H
#define COORDINATOR_PLACE_H

#include "common/err.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Is `st` (a regular file or block device) the same object? */
bool place_same(const struct stat *a, const struct stat *b);

/*
 * REFUSED when the file system of `what` lies on the object `disk`, through
 * partitions, loop devices, device mapper and the files beneath them.
 * `what_name` is for the text.
 */
int place_not_on(const struct stat *what, const char *what_name,
    const struct stat *disk, const char *disk_path, struct err *e) CHECKED;

/*
 * REFUSED when a block device is mounted or held by others, or when a regular
 * file is behind a loop device: writes that way could not be captured.
 * `path` is absolute, `file` is open on it.
 */
int place_not_in_use(
    int file, const char *path, const struct stat *st, struct err *e) CHECKED;

#endif
