/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/rate.h"

#include "common/name.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)
#define DAY 1440u

static int
no_rate(const char *text, struct err *e)
{
	char shown[120];

	return err_set(e, ERR_REFUSED,
	    "\"%s\": expected SPEED or HH:MM-HH:MM=SPEED, up to %u of them "
	    "with commas between; SPEED is bytes in a second (500K, 2M, 1G), "
	    "full or none",
	    name_quote(text, strlen(text), shown, sizeof(shown)), RATE_RULES);
}

/* At most `most` digits; false when there is none. */
static bool
take_number(const char **at, uint32_t most, uint64_t *out)
{
	uint32_t n = 0;

	*out = 0;
	while (**at >= '0' && **at <= '9' && n++ < most)
		*out = *out * 10 + (uint64_t)(*(*at)++ - '0');
	return n > 0 && n <= most;
}

static bool
take_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool
take_time(const char **at, uint16_t *out)
{
	uint64_t hour, minute;

	if (!take_number(at, 2, &hour) || !take_word(at, ":") ||
	    !take_number(at, 2, &minute) || minute > 59 ||
	    hour * 60 + minute > DAY)
		return false;
	*out = (uint16_t)(hour * 60 + minute);
	return true;
}

static bool
take_speed(const char **at, uint64_t *out)
{
	static const char units[] = "KMG";
	const char *unit;

	if (take_word(at, "full")) {
		*out = RATE_FULL;
		return true;
	}
	if (take_word(at, "none")) {
		*out = 0;
		return true;
	}
	if (!take_number(at, 9, out) || *out == 0)
		return false;
	unit = **at == '\0' ? NULL : strchr(units, **at);
	if (unit == NULL)
		return true;
	*out <<= 10 * (unit - units + 1);
	++*at;
	return true;
}

static bool
take_rule(const char **at, struct rate_rule *out)
{
	const char *equals = strchr(*at, '='), *comma = strchr(*at, ',');

	*out = (struct rate_rule){0};
	if (equals != NULL && (comma == NULL || equals < comma) &&
	    (!take_time(at, &out->from) || !take_word(at, "-") ||
		!take_time(at, &out->to) || !take_word(at, "=")))
		return false;
	return take_speed(at, &out->bytes);
}

int
rate_parse(const char *text, struct rate *out, struct err *e)
{
	struct rate r = {0};
	const char *at = text;

	while (*at != '\0') {
		if (r.count == RATE_RULES ||
		    !take_rule(&at, &r.rules[r.count++]) ||
		    (*at != '\0' && (*at++ != ',' || *at == '\0')))
			return no_rate(text, e);
	}
	*out = r;
	return 0;
}

static bool
is_within(const struct rate_rule *r, uint32_t minute)
{
	if (r->from == r->to)
		return true;
	if (r->from < r->to)
		return minute >= r->from && minute < r->to;
	return minute >= r->from || minute < r->to;
}

uint64_t
rate_at(const struct rate *r, uint32_t minute)
{
	uint32_t i;

	for (i = r->count; i-- > 0;)
		if (is_within(&r->rules[i], minute))
			return r->rules[i].bytes;
	return RATE_FULL;
}

uint32_t
rate_minute(uint64_t wall_ns)
{
	time_t now = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;

	if (localtime_r(&now, &tm) == NULL)
		return 0;
	return (uint32_t)tm.tm_hour * 60 + (uint32_t)tm.tm_min;
}

bool
pace_lets(struct pace *p, uint64_t bytes_per_s, uint64_t now_ns)
{
	double passed;

	if (bytes_per_s == RATE_FULL) {
		*p = (struct pace){0};
		return true;
	}
	if (p->at_ns != 0 && now_ns > p->at_ns) {
		passed = (double)(now_ns - p->at_ns) / (double)NS_PER_S;
		p->owed -= passed * (double)bytes_per_s;
	}
	p->at_ns = now_ns;
	if (p->owed < -(double)bytes_per_s)
		p->owed = -(double)bytes_per_s;
	return bytes_per_s > 0 && p->owed <= 0;
}

void
pace_sent(struct pace *p, uint64_t len)
{
	p->owed += (double)len;
}

uint32_t
pace_wait_ms(const struct pace *p, uint64_t bytes_per_s)
{
	double ms;

	if (p->owed <= 0)
		return bytes_per_s > 0 ? 0 : UINT32_MAX;
	if (bytes_per_s == 0)
		return UINT32_MAX;
	ms = p->owed * 1000 / (double)bytes_per_s + 1;
	return ms < (double)UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}
