/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pairing: the text by which two sites learn of each other, one "key value"
 * per line, versioned, signed by the key that it carries. Pure, thread safe.
 * Specified in docs/pairing.md.
 */
#ifndef FILEFORMAT_PAIRING_H
#define FILEFORMAT_PAIRING_H

#include "common/err.h"
#include "common/name.h"
#include "fileformat/location.h"
#include "fileformat/sign.h"

#define PAIRING_LIMIT (1u << 20) /* bytes of text */

/* A relay passes a stream on and keeps no image of the volumes. */
enum pairing_role { PAIRING_SOURCE = 1, PAIRING_MIRROR = 2, PAIRING_RELAY = 3 };

struct pairing_volume {
	char name[NAME_LIMIT];
	struct uuid uuid;
	uint64_t size;
	enum volume_kind kind;
};

struct pairing {
	enum pairing_role role;
	char site_name[NAME_LIMIT];
	struct uuid site;
	char group_name[NAME_LIMIT];
	struct uuid group, stream;
	struct uuid mirror;	  /* of a mirror or relay, its own */
	bool encrypted;		  /* PAIRING_SOURCE only: all its files are */
	struct location location; /* of the site, if it says so */
	struct sign_public key;
	uint32_t volume_count;
	struct pairing_volume *volumes; /* owned; free() */
};

/* Text with NUL in *out (free()); *len without it. */
int pairing_encode(const struct pairing *p, const struct sign_secret *key,
    char **out, size_t *len, struct err *e) CHECKED;
/* Decodes and checks the signature. REFUSED or CORRUPT with line number. */
int pairing_decode(
    const char *text, size_t len, struct pairing *out, struct err *e) CHECKED;
void pairing_release(struct pairing *p);

#endif
