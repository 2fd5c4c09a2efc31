/* SPDX-License-Identifier: Apache-2.0 */
/* keys: by which signatures are checked, and encrypted files opened. */
#ifndef MANAGER_AIMDUMP_KEYS_H
#define MANAGER_AIMDUMP_KEYS_H

#include "common/err.h"
#include "aimdriver/reader.h"
#include "coordinator/home.h"
#include "fileformat/sign.h"

/* Begins as KEYS_NONE; release with keys_release. */
struct keys {
	struct sign_public *key;
	size_t count;
	struct group_key *group; /* keys of encrypted groups */
	size_t group_count;
	struct home home; /* its folder alone, for those that lie there */
};
#define KEYS_NONE                                                              \
	{                                                                      \
		.home = HOME_NONE                                              \
	}

/* A pairing text, a file with a public key in hexadecimal, or a group's key
 * as 'aim-manager key export' writes it. */
int keys_add_file(struct keys *k, const char *path, struct err *e) CHECKED;
/* keys/site.pub and keys/trusted/NAME.pub of a home, and its group keys. */
int keys_add_home(struct keys *k, const char *home, struct err *e) CHECKED;
/* *out is NULL when none of them has that id. */
int keys_find(const struct keys *k, const uint8_t id[KEY_ID_LEN],
    const struct sign_public **out, struct err *e) CHECKED;
/* Lets the reader find group keys here. The keys are lent. */
void keys_give(const struct keys *k, struct reader *r);
void keys_release(struct keys *k);

#endif
