/* SPDX-License-Identifier: Apache-2.0 */
/*
 * location: where a site is, "LAT,LON" in degrees, as in WGS 84 without its
 * height: north and east are positive. Pure, thread safe.
 */
#ifndef FILEFORMAT_LOCATION_H
#define FILEFORMAT_LOCATION_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct location {
	bool known;
	int32_t lat, lon; /* millionths of a degree (0.1 m) */
};

#define LOCATION_TEXT 32

/* REFUSED unless it is two decimal numbers, -90..90 and -180..180, with at
 * most six digits behind the point. */
int location_parse(
    const char *text, struct location *out, struct err *e) CHECKED;
/* The text that is parsed to the same, always with six digits; "" when it is
 * not known. */
const char *location_text(const struct location *l, char out[LOCATION_TEXT]);

#endif
