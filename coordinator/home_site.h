/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home_site: the file state/site (who this home is, and on which machine)
 * and the site's key files. Only for home_*.c.
 */
#ifndef COORDINATOR_HOME_SITE_H
#define COORDINATOR_HOME_SITE_H

#include "common/err.h"
#include "common/name.h"
#include "common/uuid.h"
#include "fileformat/sign.h"

#define MACHINE_LIMIT 64 /* bytes of a machine id with the NUL */

struct home_site {
	char name[NAME_LIMIT];
	struct uuid uuid;
	char machine[MACHINE_LIMIT]; /* "-": not known when it was made */
};

/* The machine's id from /etc/machine-id, or "-". */
void machine_id(char out[MACHINE_LIMIT]);

/* `state` is the folder's descriptor. Durable. */
int home_site_store(
    int state, const struct home_site *s, struct err *e) CHECKED;
/* REFUSED with sys ENOENT when there is none. */
int home_site_load(int state, struct home_site *out, struct err *e) CHECKED;

/* Makes a new key pair in `keys`; durable. */
int home_key_make(int keys, struct err *e) CHECKED;
/* REFUSED unless the file is regular, ours (or root's) and private. */
int home_key_load(int keys, struct sign_secret *out, struct err *e) CHECKED;

#endif
