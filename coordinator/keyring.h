/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyring: the keys of encrypted groups that this site has, each a file
 * keys/groups/<group>/<id>.key (docs/journal-format.md 9) of mode 0600. They
 * are read anew by whoever needs one, so what was brought in is found at once.
 * Safe from any thread.
 */
#ifndef COORDINATOR_KEYRING_H
#define COORDINATOR_KEYRING_H

#include "aimdriver/reader.h"
#include "coordinator/home.h"

/* 1 and *out, 0 when it is not here, -1. A key that cannot be had is never a
 * reason to doubt a journal file: failures are RETRY. */
int keyring_find(const struct home *h, const struct uuid *group,
    const uint8_t id[KEY_ID_LEN], struct group_key *out, struct err *e) CHECKED;
/* Durable; the same key again is no error. */
int keyring_put(struct home *h, const struct uuid *group,
    const struct group_key *k, struct err *e) CHECKED;
int keyring_drop(struct home *h, const struct uuid *group,
    const uint8_t id[KEY_ID_LEN], struct err *e) CHECKED;

/* Lets the reader look here. The home is lent until the reader is closed. */
void keyring_give(const struct home *h, struct reader *r);

#endif
