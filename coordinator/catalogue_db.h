/* SPDX-License-Identifier: Apache-2.0 */
/* catalogue_db: the inside of a catalogue. Only for catalogue*.c. */
#ifndef COORDINATOR_CATALOGUE_DB_H
#define COORDINATOR_CATALOGUE_DB_H

#include "coordinator/catalogue.h"

#include <sqlite3.h>

struct catalogue {
	sqlite3 *db;
	struct home *home; /* lent */
	/* else it is of an older release, and only read */
	bool has_settings, has_keys;
};

/* ---- catalogue_setting.c ---- */
/* The options of the place of this mirror: 1 and *out (free()), 0: none. */
int catalogue_load_pull(struct catalogue *c, const struct uuid *mirror,
    struct destination_config **out, struct err *e) CHECKED;
int catalogue_save_pull(struct catalogue *c, const struct uuid *mirror,
    const struct destination_config *place, struct err *e) CHECKED;
/* Which destinations have a hub, and in what order. */
int catalogue_load_hubs(
    struct catalogue *c, struct snapshot *s, struct err *e) CHECKED;

/* ---- catalogue_projection.c ---- */
/* All of them, when groups and destinations are loaded; also says which
 * destinations get one. */
int catalogue_load_projections(
    struct catalogue *c, struct snapshot *s, struct err *e) CHECKED;

#endif
