/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: what the manager wants changed, as a message: "verb" and its
 * arguments. Contents of files are inlined, paths are absolute. It is carried
 * out by whoever holds the home's lock: the manager itself, or (sent over
 * state/coordinator.sock) a child of the coordinator. Each is whole or not at
 * all: what a crash left half done is put right before the next one.
 *
 * The answer has "exit" (the manager's exit code), "out" and "err" (texts).
 */
#ifndef COORDINATOR_REQUEST_H
#define COORDINATOR_REQUEST_H

#include "aimdriver/capture.h"
#include "coordinator/catalogue.h"
#include "coordinator/message.h"

#include <sys/types.h>

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_TIMEOUT = 3,
	EXIT_REFUSED = 4,
};

/* The exit code for a failure. */
int exit_code(const struct err *e);

/* The caller holds the home's lock. Fails only when memory is short. */
int request_execute(struct home *h, const struct message *in,
    struct message *out, struct err *e) CHECKED;

/* Puts right what an interrupted request left (rule: whole or not at all).
 * The caller holds the home's lock. */
int request_recover(struct home *h, struct catalogue *c, struct err *e) CHECKED;

/*
 * After home_adopt: the catalogue takes over the new identity, and every
 * source group begins anew, with another stream and without destinations:
 * what it had captured belongs to the other site. May be repeated; the end
 * removes state/adopt. The caller holds the home's lock.
 */
int request_adopt(struct home *h, struct err *e) CHECKED;

/* ---- between request.c and request_*.c ---- */
struct change {
	struct home *home;
	struct catalogue *catalogue; /* inside a transaction */
	struct snapshot now;	     /* before the change */
	const struct message *in;
	struct buf out, err; /* for the operator's stdout and stderr */
};
typedef int change_fn(struct change *ch, struct err *e);
change_fn request_volume_add, request_group_export, request_group_layout,
    request_mirror_add, request_mirror_export, request_mirror_pause,
    request_relay_add, request_relay_export, request_destination_add,
    request_destination_pause, request_destination_limit,
    request_destination_retry, request_destination_remove, request_base,
    request_volume_expand, request_carry_acks, request_key_generate,
    request_key_rotate, request_key_import, request_key_retire,
    request_projection_add, request_projection_remove, request_group_set,
    request_mirror_set, request_hook_add, request_hook_remove, request_site_set;
change_fn request_group_digest;

/* The argument `key`; NULL and REFUSED when it is missing or has a NUL. */
const char *change_need(struct change *ch, const char *key, struct err *e);
/* The same, "" when it is missing. */
const char *change_text(struct change *ch, const char *key);
/* "none", "zlib", "zstd", the latter two with ":LEVEL" if wanted; "": none. */
int change_codec(
    const char *text, enum codec *codec, int *level, struct err *e) CHECKED;
bool change_has(struct change *ch, const char *key);
/* The source group of that name; NULL and REFUSED, naming those that exist. */
const struct group_config *change_group(
    struct change *ch, const char *name, struct err *e);

/* Makes a key of the group and prints its id. */
int change_add_key(struct change *ch, const struct uuid *group,
    enum key_state state, struct err *e) CHECKED;

/* A volume of the group, with the size that it has now. */
void change_volume(const struct volume_config *v, struct pairing_volume *out);
/* Prints the text by which members of the group's layout are found. */
int change_members(
    struct change *ch, const struct group_config *g, struct err *e) CHECKED;

/* "fingerprint: HEX" of this site on the operator's stderr. */
int change_fingerprint(struct change *ch, struct err *e) CHECKED;

/* Who may have destinations: a source group, or a mirror or relay here. */
struct stream_owner {
	const char *name;
	struct uuid uuid, group, stream;
	const struct group_config *source; /* one of these two */
	const struct mirror_config *mirror;
};
int change_owner(struct change *ch, const char *name, struct stream_owner *out,
    struct err *e) CHECKED;
/* Its destination of that name; NULL and REFUSED otherwise. */
const struct destination_config *change_destination(struct change *ch,
    const struct uuid *owner, const char *group, const char *name,
    struct err *e);
/* The group's projection of that name; NULL and REFUSED otherwise. */
const struct projection_config *change_projection(struct change *ch,
    const struct group_config *g, const char *name, struct err *e);
/* A policy by its name; 0: there is no such one. */
int change_spool_policy(const char *name);
/* "spool-limit", or a share of what is free. */
int change_spool_limit(struct change *ch, uint64_t *out, struct err *e) CHECKED;
/* Decodes the pairing text that was sent along; checks its role (a relay's is
 * as good as a mirror's) and, when "fingerprint" was given, its key. Release
 * with pairing_release. */
int change_pairing(struct change *ch, enum pairing_role role,
    struct pairing *out, struct err *e) CHECKED;

/* The options of a place: url, ack-url, key, known-hosts, ack-key. */
int change_place(
    struct change *ch, struct destination_config *d, struct err *e) CHECKED;

/* Makes the group's folder under active/, and puts a volume into it. */
int folder_make(struct home *h, const struct uuid *group, gid_t access,
    struct err *e) CHECKED;
int folder_add(struct home *h, const struct uuid *group,
    const struct volume_config *v, struct err *e) CHECKED;
/* The volume as it is now, for its folder. */
int folder_volume(const struct volume_config *v, struct capture_volume *out,
    struct err *e) CHECKED;
/* Removes it; a missing one is no error. */
int folder_remove(
    struct home *h, const struct uuid *group, struct err *e) CHECKED;

/* Notes that `v` is about to become part of `group`'s folder, and forgets it
 * when the change is whole. */
int pending_note(struct home *h, const struct uuid *group,
    const struct volume_config *v, struct err *e) CHECKED;

#endif
