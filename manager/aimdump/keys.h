/* SPDX-License-Identifier: Apache-2.0 */
/* keys: the public keys by which signatures are checked. */
#ifndef MANAGER_AIMDUMP_KEYS_H
#define MANAGER_AIMDUMP_KEYS_H

#include "common/err.h"
#include "fileformat/sign.h"

/* {0} is empty; release with keys_release. */
struct keys {
	struct sign_public *key;
	size_t count;
};

/* A pairing text, or a file with a public key in hexadecimal. */
int keys_add_file(struct keys *k, const char *path, struct err *e) CHECKED;
/* keys/site.pub and keys/trusted/NAME.pub of a home. */
int keys_add_home(struct keys *k, const char *home, struct err *e) CHECKED;
/* *out is NULL when none of them has that id. */
int keys_find(const struct keys *k, const uint8_t id[KEY_ID_LEN],
    const struct sign_public **out, struct err *e) CHECKED;
void keys_release(struct keys *k);

#endif
