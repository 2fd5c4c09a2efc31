/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict: what a decoder thinks of some bytes. Bad bytes are news, not a
 * failure; `why` says where and what, for people.
 */
#ifndef FILEFORMAT_VERDICT_H
#define FILEFORMAT_VERDICT_H

#include <stdint.h>

enum verdict {
	VERDICT_WHOLE = 0,
	VERDICT_PARTIAL, /* a proper beginning: more bytes are needed */
	VERDICT_CORRUPT,
	VERDICT_UNKNOWN, /* valid, but of a version or feature not known here */
};

struct why {
	uint64_t offset; /* of the field, from the start of the given bytes */
	char text[160];
};

/* Fills *why (NULL allowed) and returns v. */
enum verdict verdict_say(struct why *why, enum verdict v, uint64_t offset,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
