/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/location.h"

#include <stdio.h>
#include <stdlib.h>

#define MILLION 1000000

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number at *at, in millionths; *at is put behind it. No exponents, and no
 * locale that writes a comma for the point. */
static int
parse_degrees(const char **at, int32_t most, int32_t *out)
{
	const char *p = *at;
	bool minus = *p == '-';
	int64_t n = 0, unit = MILLION;

	p += minus || *p == '+';
	if (!is_digit(*p))
		return -1;
	for (; is_digit(*p); p++) {
		n = n * 10 + (*p - '0');
		if (n > most)
			return -1;
	}
	n *= MILLION;
	if (*p == '.' && !is_digit(p[1]))
		return -1;
	if (*p == '.')
		for (p++; is_digit(*p); p++) {
			unit /= 10;
			if (unit == 0)
				return -1;
			n += (*p - '0') * unit;
		}
	if (n > (int64_t)most * MILLION)
		return -1;
	*at = p;
	*out = (int32_t)(minus ? -n : n);
	return 0;
}

int
location_parse(const char *text, struct location *out, struct err *e)
{
	struct location l = {.known = true};
	const char *at = text;

	if (parse_degrees(&at, 90, &l.lat) < 0 || *at++ != ',' ||
	    parse_degrees(&at, 180, &l.lon) < 0 || *at != 0)
		return err_set(e, ERR_REFUSED,
		    "'%.60s' is no location: it is LAT,LON in degrees, north "
		    "and east positive, as 52.5186,13.4083",
		    text);
	*out = l;
	return 0;
}

static int
put_degrees(char *out, size_t room, int32_t n)
{
	return snprintf(out, room, "%s%d.%06d", n < 0 ? "-" : "",
	    abs(n) / MILLION, abs(n) % MILLION);
}

const char *
location_text(const struct location *l, char out[LOCATION_TEXT])
{
	int n;

	out[0] = 0;
	if (!l->known)
		return out;
	n = put_degrees(out, LOCATION_TEXT / 2, l->lat);
	out[n] = ',';
	(void)put_degrees(out + n + 1, LOCATION_TEXT / 2, l->lon);
	return out;
}
