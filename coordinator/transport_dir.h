/* SPDX-License-Identifier: Apache-2.0 */
/* transport_dir: what the parts of the folder transport share. */
#ifndef COORDINATOR_TRANSPORT_DIR_H
#define COORDINATOR_TRANSPORT_DIR_H

#include "coordinator/transport.h"

#define DIR_BLOCK (UINT64_C(1) << 20)

struct dir_transport {
	struct transport base;
	char path[PATH_MAX];
	uint8_t *block; /* DIR_BLOCK bytes to copy through */
};

static inline struct dir_transport *
dir_from_base(struct transport *t)
{
	return (struct dir_transport *)(void *)t;
}

/* Opens the folder that `name` lies in, beneath DIR, and points *base to the
 * last part of it. */
int dir_open_folder(struct dir_transport *t, const char *name,
    const char **base, int *out, struct err *e) CHECKED;
/* For when it could not be opened: what is missing may come: a mount, or the
 * other side making its folder. -1. */
int dir_no_folder(struct dir_transport *t, struct err *e);

/* ---- transport_dir_place.c ---- */
void dir_fetch(
    struct transport *base, struct transport_file *files, size_t count);
int dir_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e) CHECKED;
int dir_remove(struct transport *base, const char *name, struct err *e) CHECKED;
int dir_has(struct transport *base, const char *name, struct err *e) CHECKED;
int dir_make_folder(
    struct transport *base, const char *name, struct err *e) CHECKED;

#endif
