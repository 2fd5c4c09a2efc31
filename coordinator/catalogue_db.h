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
	bool has_settings, has_keys, has_forwards;
};

/* ---- catalogue_setting.c ---- */
/* Where its transport may make private folders. */
void catalogue_scratch(struct catalogue *c, struct destination_config *d);
/* The options of the place of this mirror: 1 and *out (free()), 0: none. */
int catalogue_load_pull(struct catalogue *c, const struct uuid *mirror,
    struct destination_config **out, struct err *e) CHECKED;
int catalogue_save_pull(struct catalogue *c, const struct uuid *mirror,
    const struct destination_config *place, struct err *e) CHECKED;
/* A place: what is sent to, or fetched from, as settings of `subject`. */
int catalogue_save_place(struct catalogue *c, const struct uuid *subject,
    const struct destination_config *place, struct err *e) CHECKED;
int catalogue_load_place(struct catalogue *c, const struct uuid *subject,
    struct destination_config *place, struct err *e) CHECKED;
/* ---- catalogue_forward.c ---- */
/* The destinations of mirrors and relays, after all else. */
int catalogue_load_forwards(
    struct catalogue *c, struct snapshot *s, struct err *e) CHECKED;
/* 1, or 0 when it is not one of those. */
int catalogue_is_forward(
    struct catalogue *c, const struct uuid *destination, struct err *e) CHECKED;
/* Gives those behind another one its place, and each mirror its own. */
void catalogue_join(struct snapshot *s);
/* What a mirror has beyond its row. */
int catalogue_load_relay(
    struct catalogue *c, struct mirror_config *m, struct err *e) CHECKED;
int catalogue_save_relay(
    struct catalogue *c, const struct mirror_config *m, struct err *e) CHECKED;
/* Room for one more element, zeroed. */
void *catalogue_grow(void **array, uint32_t count, size_t size, struct err *e);
/* Which destinations have a hub, and in what order. */
int catalogue_load_hubs(
    struct catalogue *c, struct snapshot *s, struct err *e) CHECKED;

/* ---- catalogue_projection.c ---- */
/* All of them, when groups and destinations are loaded; also says which
 * destinations get one. */
int catalogue_load_projections(
    struct catalogue *c, struct snapshot *s, struct err *e) CHECKED;
/* ---- catalogue_group.c ---- */
/* What the group's settings say beside its row. */
int catalogue_load_group(
    struct catalogue *c, struct group_config *g, struct err *e) CHECKED;
/* What a mirror's settings say beside its row and its place. */
int catalogue_load_mirror(
    struct catalogue *c, struct mirror_config *m, struct err *e) CHECKED;
/* ---- catalogue_site.c ---- */
int catalogue_load_locations(
    struct catalogue *c, struct snapshot *s, struct err *e) CHECKED;
int catalogue_load_hooks(
    struct catalogue *c, struct snapshot *s, struct err *e) CHECKED;
/* Which destinations flushes wait for. */
void catalogue_mark_commits(struct snapshot *s);

#endif
