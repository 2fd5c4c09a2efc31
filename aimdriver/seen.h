/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen: what block devices looked like when their group was closed cleanly,
 * for a device has no times by which a change outside AIM could be told. The
 * file `seen` beside the control file holds for each volume the kernel's
 * count of written sectors, the number that the kernel gave to the disk, and
 * a sum of sampled blocks: the first and last ones, where file systems and
 * partition tables keep their own, and others all over it.
 *
 * Within one boot and as the same disk, the count tells of every write that
 * went through this device. Else the samples do, and may miss one. It is only
 * asked while nothing was captured since.
 */
#ifndef AIMDRIVER_SEEN_H
#define AIMDRIVER_SEEN_H

#include "aimdriver/control.h"

/* Notes what is there now, which has been synced; every volume is open.
 * Without block devices there is nothing to note. */
int seen_store(struct capture *c, struct err *e) CHECKED;
/* Nothing is known any more. */
int seen_forget(struct capture *c, struct err *e) CHECKED;
/* The first block device that was changed since, or -1. What cannot be read
 * or compared has not changed. */
int seen_changed(struct capture *c);

#endif
