/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home: the folder of a site, its key, and the names of all that is in it.
 *
 *   catalogue.db                configuration and history (SQLite)
 *   groups                      "UUID NAME" of each source group (for `run`)
 *   keys/site.key               Ed25519 seed, hex, mode 0600
 *   keys/site.pub               its public key, hex
 *   keys/trusted/NAME.pub       public keys of the sites that it is paired with
 *   keys/groups/<group>/ID.key  keys of encrypted groups (keyring.h)
 *   active/<group>/             control file and segments (aimdriver)
 *   sealed/<stream>/NAME.aim    journal files not yet pruned
 *   fetched/<stream>/           files that a mirror has fetched (fetched.h)
 *   stage/<mirror>/NAME.aim     received and verified
 *   stage/<mirror>/.attempt     file that is being looked at, and its deaths
 *   done/<mirror>/NAME.aim      applied, kept for retention
 *   quarantine/                 what was refused, with NAME.why beside it
 *   state/site                  name, uuid, machine: it makes this a home
 *   state/pending               a volume that is just being added
 *   state/adopt                 the home has just been adopted
 *   state/lock                  OFD lock of the coordinator
 *   state/lease                 who that is, with its fence (lease.h)
 *   state/standby               OFD lock of the standby
 *   state/coordinator.sock      requests of the manager
 *   state/catalogue.copy        catalogue.db as of its last change
 *   state/<group>.break         a break of the history that is under way
 *   state/<id>.ROLE.lock        OFD lock of a role
 *   state/<destination>.ack     last valid acknowledgement of a destination
 *   state/<destination>.job     copy-in that is queued or under way
 *   state/<destination>.ship    shipper's progress and trouble, for status
 *   state/<mirror>.state        redriver's two slots
 *   state/<mirror>.counter      numbers of acknowledgements in use up to here
 *   state/<mirror>.encrypted    plain files are not taken any more
 *   state/<mirror>.targets      which files or devices were mirrored to
 *   state/<mirror>.apply        redriver's progress and trouble, for status
 *   state/<mirror>.recv         receiver's progress and trouble, for status
 *   state/<mirror>.fetch        fetcher's progress and trouble, for status
 *   state/<destination>.hub     up to where a shared place has been cleared
 *   state/<group>.source        sealer's progress and trouble, for status
 *   state/<stream>.project      where a projection stands (projection.h)
 *   state/<group>.rebuild       the source role is to give way (rebuild.h)
 *   state/<group>.extents       what an unfinished recovery copies in
 *
 * (<...> are UUIDs.) Files for status are "key value" lines, see note_*.
 */
#ifndef COORDINATOR_HOME_H
#define COORDINATOR_HOME_H

#include "common/err.h"
#include "common/name.h"
#include "common/uuid.h"
#include "fileformat/sign.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct home {
	char path[PATH_MAX];
	int dir; /* descriptors of the folder and of those in it */
	int sealed, stage, done, quarantine, state;
	uint64_t quarantine_bytes; /* kept there; less in tests */
	struct uuid site;
	char site_name[NAME_LIMIT];
	struct sign_secret key;
};

/* Not open. */
#define QUARANTINE_BYTES (UINT64_C(4) << 30)
#define HOME_NONE                                                              \
	{                                                                      \
		.dir = -1, .sealed = -1, .stage = -1, .done = -1,              \
		.quarantine = -1, .state = -1,                                 \
		.quarantine_bytes = QUARANTINE_BYTES                           \
	}

/*
 * Makes a home; REFUSED on NFS, FUSE, 9p and the like, in a folder that holds
 * other things, or where a home is already. What a crash left half made is
 * completed. Warns on tmpfs and overlay; on btrfs active/ becomes No-CoW or
 * the home is REFUSED.
 */
int home_create(const char *path, const char *site_name, struct err *e) CHECKED;
/* Opens it; REFUSED with guidance when there is none, when its key file is
 * not private, or when it belongs to another machine (rule 9.18). */
int home_open(const char *path, struct home *out, struct err *e) CHECKED;
void home_close(struct home *h);
/* Makes the home this machine's own: a new site UUID and a new key. Nobody
 * else may use it meanwhile. Leaves state/adopt: see request_adopt. */
int home_adopt(const char *path, struct err *e) CHECKED;
/* REFUSED where no home may lie; *advice is a warning, or NULL. */
int home_check_place(int fd, const char **advice, struct err *e) CHECKED;
/*
 * Takes the home's lock, which the coordinator or a changing manager holds;
 * RETRY when another has it. Released by closing *fd.
 */
int home_lock(struct home *h, int *fd, struct err *e) CHECKED;
/* Keeps the public key of a paired site in keys/trusted/NAME.pub. */
int home_trust(struct home *h, const char *name, const struct sign_public *key,
    struct err *e) CHECKED;

/*
 * Puts a file that was refused into quarantine/ (a copy of at most 64 MiB if
 * it lies on another file system), with the reason beside it, and removes it
 * from where it was. The folder holds at most 256 files, which take 4 GiB of
 * the disk, but for the newest; the oldest go.
 */
int home_quarantine(struct home *h, int dir, const char *name,
    const char *reason, struct err *e) CHECKED;

/* Small "key value" files: whole or untouched, not synced (status only). */
struct note_pair {
	const char *key;
	const char *value;
};
int note_write(struct home *h, const char *name, const struct note_pair *pairs,
    size_t count, struct err *e) CHECKED;
/* Copies the value of `key` into `out`; false when file or key is missing. */
bool note_read(
    struct home *h, const char *name, const char *key, char *out, size_t room);

#endif
