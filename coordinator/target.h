/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target: one volume of a mirror, the regular file or block device that
 * transactions are redriven onto.
 *
 * An open target is ours alone: a block device is opened O_EXCL (so nothing
 * on it is mounted or claimed), a file is locked (OFD) and is not the backing
 * of a loop device (faults F16, F29, F69). What is written is durable after
 * target_sync only; after a failed write or sync nothing is known until the
 * whole range has been written again through a new target (F26, F27).
 * One thread.
 */
#ifndef COORDINATOR_TARGET_H
#define COORDINATOR_TARGET_H

#include "common/err.h"
#include "fileformat/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TARGET_CREATE = 1u << 0,    /* make a missing file, sparse, 0600 */
	TARGET_OVERWRITE = 1u << 1, /* content other than zeroes may go */
};

/*
 * Can `path` become the mirror of a volume of `size` bytes and kind `source`?
 * REFUSED with what to do when it is missing (without CREATE), neither file
 * nor block device, of another size, read-only, mounted or otherwise in use,
 * or not all zero (without OVERWRITE; reads until the first other byte).
 * *kind is what is there. With CREATE a missing file is made, durably.
 */
int target_check(const char *path, uint64_t size, enum volume_kind source,
    unsigned flags, enum volume_kind *kind, struct err *e) CHECKED;

/* RETRY when the regular file behind `fd` backs a loop device. */
int target_is_looped(int fd, const char *path, struct err *e) CHECKED;

struct target;

/* What a target is recognised by; dev and rdev change from boot to boot. */
struct target_identity {
	enum volume_kind kind;
	uint64_t dev, ino, rdev;
};

/* RETRY when it is in use, REFUSED when it is not what may be written. */
int target_open(const char *path, enum volume_kind kind, struct target **out,
    struct err *e) CHECKED;
void target_close(struct target *t);

void target_identity(const struct target *t, struct target_identity *out);
/* Size as it is now, in bytes. */
int target_size(struct target *t, uint64_t *out, struct err *e) CHECKED;
/* The largest volume that fits: a device's size, no limit for a file. */
int target_room(struct target *t, uint64_t *out, struct err *e) CHECKED;

int target_read(struct target *t, void *to, size_t len, uint64_t off,
    struct err *e) CHECKED;
int target_write(struct target *t, const void *from, size_t len, uint64_t off,
    struct err *e) CHECKED;
/* The range reads as zeroes afterwards. */
int target_zero(
    struct target *t, uint64_t off, uint64_t len, struct err *e) CHECKED;
/*
 * The volume goes from `was` to `size` bytes; what is new reads as zeroes.
 * REFUSED when the device is too small.
 */
int target_resize(
    struct target *t, uint64_t was, uint64_t size, struct err *e) CHECKED;
/* Lets the kernel begin to write what target_sync will wait for. */
void target_hurry(struct target *t);
/* Has anything been changed since the last successful target_sync? */
bool target_is_dirty(const struct target *t);
int target_sync(struct target *t, struct err *e) CHECKED;

#endif
