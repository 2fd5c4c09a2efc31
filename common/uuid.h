/* SPDX-License-Identifier: Apache-2.0 */
/* uuid: 16 random bytes (RFC 4122 version 4) and their usual text. */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uuid {
	uint8_t b[16];
};

#define UUID_TEXT 37 /* with the NUL */

/* Bytes from the kernel's random generator. */
int random_bytes(void *to, size_t len, struct err *e) CHECKED;
int uuid_make(struct uuid *out, struct err *e) CHECKED;
/* Accepts exactly the lower- or upper-case form with hyphens. */
int uuid_parse(const char *text, struct uuid *out, struct err *e) CHECKED;
const char *uuid_text(const struct uuid *u, char out[UUID_TEXT]);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *u);

/* Lower-case hex; `out` has 2*len+1 bytes. */
const char *hex_text(const void *data, size_t len, char *out);
/* Exactly 2*len hex digits; REFUSED otherwise. */
int hex_parse(const char *text, void *out, size_t len, struct err *e) CHECKED;

#endif
