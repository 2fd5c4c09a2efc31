/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members: the text by which `gather` learns of a group that lies on several
 * destinations: the layout, the volumes, and of each member which mirror it
 * is and by whose key its acknowledgements are signed. Written by the source,
 * signed by its key, which the text carries; specified in docs/layout.md. It
 * contains no secret. Pure, thread safe.
 */
#ifndef FILEFORMAT_MEMBERS_H
#define FILEFORMAT_MEMBERS_H

#include "fileformat/layout.h"
#include "fileformat/pairing.h"
#include "fileformat/sign.h"

#define MEMBERS_LIMIT (1u << 20) /* bytes of text */
#define MEMBERS_URL_LIMIT 2048u	 /* with the NUL */

struct member {
	char name[NAME_LIMIT];	  /* of the destination, at the source */
	struct uuid stream;	  /* that is sent there */
	struct uuid mirror, site; /* whose acknowledgements are meant */
	struct sign_public key;	  /* that signs them */
	/* The place that has ack/, as `destination add` was told; "": not
	 * known. Printable ASCII without blanks. */
	char acks[MEMBERS_URL_LIMIT];
};

struct members {
	char site_name[NAME_LIMIT];
	struct uuid site;
	char group_name[NAME_LIMIT];
	struct uuid group;
	struct uuid stream; /* that is captured; RAID 1: the members', too */
	struct layout layout;
	struct sign_public key;
	uint32_t volume_count;
	struct pairing_volume *volumes; /* owned; the whole ones, in the order
					 * of the volume table */
	struct member *members;		/* owned; layout.members */
};

/* Text with NUL in *out (free()); *len without it. */
int members_encode(const struct members *m, const struct sign_secret *key,
    char **out, size_t *len, struct err *e) CHECKED;
/* Decodes and checks the signature. REFUSED or CORRUPT with line number. */
int members_decode(
    const char *text, size_t len, struct members *out, struct err *e) CHECKED;
void members_release(struct members *m);

#endif
