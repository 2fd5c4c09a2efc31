/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalogue: configuration and history of a site in HOME/catalogue.db.
 *
 * Whoever changes it holds the home's lock; readers need nothing and never
 * hinder for long. Positions are not in it: they lie in the files that they
 * belong to, so losing the history loses no data. After each change a whole
 * copy is put into state/catalogue.copy, from which catalogue_restore makes
 * a damaged or lost catalogue anew. Never used across a fork.
 */
#ifndef COORDINATOR_CATALOGUE_H
#define COORDINATOR_CATALOGUE_H

#include "coordinator/config.h"
#include "coordinator/home.h"

struct catalogue;

/* Makes an empty one for this site; completes a half made one. */
int catalogue_create(struct home *h, struct err *e) CHECKED;
/*
 * REFUSED with guidance when there is none, when it is of a newer version, or
 * of another site; CORRUPT with guidance when it is damaged (quick_check).
 */
int catalogue_open(
    struct home *h, bool write, struct catalogue **out, struct err *e) CHECKED;
void catalogue_close(struct catalogue *c);
/* For scope cleanup. */
void catalogue_closep(struct catalogue **c);
/* Puts state/catalogue.copy back; the damaged file is kept aside. */
int catalogue_restore(struct home *h, struct err *e) CHECKED;
/* Takes over the home's new identity after home_adopt. */
int catalogue_adopt(struct home *h, struct err *e) CHECKED;

/* A change is everything between begin and commit; closing gives it up. */
int catalogue_begin(struct catalogue *c, struct err *e) CHECKED;
int catalogue_commit(struct catalogue *c, struct err *e) CHECKED;

/* All of the configuration at one moment. */
struct snapshot {
	struct uuid site;
	char site_name[NAME_LIMIT];
	struct location location;
	uint32_t group_count, destination_count, mirror_count, key_count;
	uint32_t hook_count;
	struct group_config *groups;		 /* by name */
	struct destination_config *destinations; /* by owner, then name */
	struct mirror_config *mirrors;		 /* by name */
	struct key_config *keys;		 /* as they came */
	uint32_t projection_count;
	struct projection_config *projections; /* by group, then name */
	struct hook_config *hooks;	       /* by name */
};
int catalogue_load(
    struct catalogue *c, struct snapshot *out, struct err *e) CHECKED;
void snapshot_release(struct snapshot *s);
/* NULL when there is none of that name. */
const struct group_config *snapshot_group(
    const struct snapshot *s, const char *name);
const struct mirror_config *snapshot_mirror(
    const struct snapshot *s, const char *name);
const struct projection_config *snapshot_projection(
    const struct snapshot *s, const struct uuid *group, const char *name);
/* The projection of that stream; NULL when it is a group's own. */
const struct projection_config *snapshot_projection_of(
    const struct snapshot *s, const struct uuid *stream);
/* The destinations of a group, or of a mirror or relay, by name, which lie
 * together; NULL and 0 when it has none. */
const struct destination_config *snapshot_destinations(
    const struct snapshot *s, const struct uuid *owner, uint32_t *count);

/*
 * The destination that sends for `d`, out of the `count` ones of its owner (or
 * more): itself, or the first relay of the chain that it lies behind. NULL:
 * that one is not there (any more).
 */
const struct destination_config *destination_hop(
    const struct destination_config *d, const struct destination_config *all,
    uint32_t count);

/* ---- changes, each REFUSED when a name or UUID is taken ---- */
int catalogue_add_group(
    struct catalogue *c, const struct group_config *g, struct err *e) CHECKED;
int catalogue_add_volume(struct catalogue *c, const struct uuid *group,
    const struct volume_config *v, struct err *e) CHECKED;
int catalogue_resize_volume(struct catalogue *c, const struct uuid *volume,
    uint64_t size, struct err *e) CHECKED;
int catalogue_export_group(
    struct catalogue *c, const struct uuid *group, struct err *e) CHECKED;
/* Another stream; its volumes are not fixed any more. */
int catalogue_renew_group(struct catalogue *c, const struct uuid *group,
    const struct uuid *stream, struct err *e) CHECKED;
int catalogue_add_destination(struct catalogue *c,
    const struct destination_config *d, struct err *e) CHECKED;
/* Of a mirror or relay, d->owner. */
int catalogue_add_forward(struct catalogue *c,
    const struct destination_config *d, struct err *e) CHECKED;
int catalogue_pause_destination(struct catalogue *c,
    const struct uuid *destination, bool paused, struct err *e) CHECKED;
/* Sets an option of destination_option.h; "": takes it away. */
int catalogue_set_destination(struct catalogue *c,
    const struct uuid *destination, const char *option, const char *value,
    struct err *e) CHECKED;
int catalogue_remove_destination(
    struct catalogue *c, const struct uuid *destination, struct err *e) CHECKED;
int catalogue_add_mirror(
    struct catalogue *c, const struct mirror_config *m, struct err *e) CHECKED;
int catalogue_pause_mirror(struct catalogue *c, const struct uuid *mirror,
    bool fetch_paused, bool apply_paused, struct err *e) CHECKED;

int catalogue_add_key(
    struct catalogue *c, const struct key_config *k, struct err *e) CHECKED;
int catalogue_set_key(struct catalogue *c, const uint8_t id[KEY_ID_LEN],
    enum key_state state, struct err *e) CHECKED;

/* ---- projections (catalogue_projection.c) ---- */
/* part_count 0: all of every volume. */
int catalogue_add_projection(struct catalogue *c,
    const struct projection_config *p, const struct group_config *g,
    struct err *e) CHECKED;
/* The layout of a group: 1 and *out, 0 none. */
int catalogue_get_layout(struct catalogue *c, const struct uuid *group,
    struct layout_spec *out, struct err *e) CHECKED;
/* Notes that a new destination gets one. */
int catalogue_save_stream(struct catalogue *c,
    const struct destination_config *d, struct err *e) CHECKED;
int catalogue_remove_projection(struct catalogue *c,
    const struct projection_config *p, struct err *e) CHECKED;

/* ---- options that only some have (catalogue_setting.c) ---- */
/* `subject`: a group, destination or mirror. "" takes the option away. */
int catalogue_set(struct catalogue *c, const struct uuid *subject,
    const char *key, const char *value, struct err *e) CHECKED;
/* 1, or 0 when it has no such option: then *out is left alone. */
int catalogue_get(struct catalogue *c, const struct uuid *subject,
    const char *key, char *out, size_t room, struct err *e) CHECKED;
/* Of the site (`subject` NULL), or of the one that a destination or mirror of
 * that UUID is paired with; one that is not known is taken away. */
int catalogue_set_location(struct catalogue *c, const struct uuid *subject,
    const struct location *l, struct err *e) CHECKED;
/* "50,80,95" or "none"; the age stays. REFUSED says what is wrong. */
#define SPOOL_WARN "80,95" /* unless the operator says otherwise */
int spool_warn_parse(
    const char *text, struct spool_warn *out, struct err *e) CHECKED;
int catalogue_set_spool(struct catalogue *c, const struct uuid *group,
    uint64_t limit, enum capture_policy policy, struct err *e) CHECKED;
/* Registers a hook, in the place of one of that name; an empty path: takes it
 * away (catalogue_site.c). */
int catalogue_set_hook(
    struct catalogue *c, const struct hook_config *k, struct err *e) CHECKED;
/* Of a group: seconds that a recovery waits for sums of its mirrors. */
#define COMPARE_WAIT_KEY "compare-wait"
#define COMPARE_WAIT_DEFAULT 60
#define COMPARE_WAIT_MOST 86400
/* Takes all of them away. */
int catalogue_forget(
    struct catalogue *c, const struct uuid *subject, struct err *e) CHECKED;

/* ---- history ---- */
/* Notes what happened to `subject`; the oldest beyond 10000 go. */
int catalogue_event(struct catalogue *c, const char *subject, const char *text,
    struct err *e) CHECKED;
/* Calls `show` for the last `count` events, oldest first. */
int catalogue_events(struct catalogue *c, uint32_t count,
    int (*show)(
	void *ctx, uint64_t time_ns, const char *subject, const char *text),
    void *ctx, struct err *e) CHECKED;

#endif
