/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter: the nbdkit driver. `nbdkit --filter=aim file DISK group=G home=H`
 * captures what NBD clients write to a protected volume. It is the innermost
 * filter: what it passes on goes straight to the plugin, which must lead to
 * the volume's own path, because that is what the capture core re-reads after
 * a crash and what the coordinator copies in. proof.c sees to that.
 *
 * nbdkit's threads call in parallel and on several connections; all state but
 * the configuration is either atomic or the capture core's, which is safe to
 * use from any thread.
 */
#ifndef AIMDRIVER_NBDKIT_FILTER_H
#define AIMDRIVER_NBDKIT_FILTER_H

#include "aimdriver/wal.h"

#include <nbdkit-filter.h>
#include <stdatomic.h>

/* The one volume that this nbdkit serves. Set before the first client. */
struct nf_disk {
	struct capture *capture;
	uint32_t volume;
	enum volume_kind kind;
	bool journal;	 /* commit=journal */
	struct wal *wal; /* commit=wal */
	char path[1024];
	int fd; /* of path, for looking */
};
extern struct nf_disk nf_disk;

/* One connection. */
struct nf_client {
	bool writes;	      /* it may */
	_Atomic bool proven;  /* what is passed on reaches the path */
	_Atomic bool refused; /* it does not */
};

/* ---- find.c: which group, which volume ---- */

/* What the command line says; all may be NULL but home. */
struct nf_config {
	const char *home, *group, *volume, *file;
};
/* Attaches to the group, redoes what is to be redone, and fills nf_disk.
 * REFUSED when it is not clear, or another nbdkit has the volume for itself. */
int nf_find(const struct nf_config *config, struct err *e) CHECKED;

/* ---- proof.c: is the plugin's disk the volume? ---- */

/* Compares size and sample blocks. */
int nf_compare(nbdkit_next *next, struct err *e) CHECKED;

/* Around a change of a connection that is not proven yet; the range is
 * locked. `data` NULL: zeroes. */
struct nf_probe {
	uint8_t was[4096];
	uint64_t off;
	size_t len; /* bytes of the range that are looked at */
	bool known; /* was[] holds what was there */
};
void nf_probe_begin(struct nf_probe *p, uint64_t off, uint64_t len);
/* False: the change did not arrive; the connection is refused from now on. */
bool nf_probe_end(
    const struct nf_probe *p, struct nf_client *c, const void *data);
/* Can the volume's device zero a range without writing it? */
bool nf_can_trim(void);

/* ---- change.c: the calls that change the disk ---- */

int nf_pwrite(nbdkit_next *next, void *handle, const void *buf, uint32_t count,
    uint64_t offset, uint32_t flags, int *err);
int nf_zero(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset,
    uint32_t flags, int *err);
int nf_trim(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset,
    uint32_t flags, int *err);
int nf_flush(nbdkit_next *next, void *handle, uint32_t flags, int *err);

#endif
