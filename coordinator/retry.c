/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/retry.h"

#include "common/name.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

static bool
take_digits(const char **at, uint32_t *out)
{
	const char *begin = *at;

	for (*out = 0; **at >= '0' && **at <= '9' && *at - begin < 2; ++*at)
		*out = *out * 10 + (uint32_t)(**at - '0');
	return *at > begin;
}

static bool
take_time(const char **at, uint16_t *out)
{
	uint32_t hour, minute;

	if (!take_digits(at, &hour) || *(*at)++ != ':' ||
	    !take_digits(at, &minute) || hour > 23 || minute > 59)
		return false;
	*out = (uint16_t)(hour * 60 + minute);
	return true;
}

int
retry_parse(const char *text, struct retry *out, struct err *e)
{
	struct retry r = {0};
	const char *at = text;
	char shown[120];

	while (*at != '\0') {
		if (r.count < RETRY_TIMES &&
		    take_time(&at, &r.minutes[r.count++]) &&
		    (*at == '\0' || (*at++ == ',' && *at != '\0')))
			continue;
		return err_set(e, ERR_REFUSED,
		    "\"%s\": expected times of day, HH:MM, up to %u of them "
		    "with commas between",
		    name_quote(text, strlen(text), shown, sizeof(shown)),
		    RETRY_TIMES);
	}
	*out = r;
	return 0;
}

/* That minute of the day of `now`, or of a day after it; 0: there is none. */
static uint64_t
time_of(const struct tm *now, int days, uint16_t minute)
{
	struct tm tm = *now;
	time_t at;

	tm.tm_mday += days;
	tm.tm_hour = minute / 60;
	tm.tm_min = minute % 60;
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	at = mktime(&tm);
	return at < 0 ? 0 : (uint64_t)at * NS_PER_S;
}

uint64_t
retry_next_ns(const struct retry *r, uint64_t wall_ns)
{
	time_t now = (time_t)(wall_ns / NS_PER_S);
	uint64_t first = 0, at;
	struct tm tm;
	uint32_t i;
	int days;

	if (r->count == 0 || localtime_r(&now, &tm) == NULL)
		return 0;
	for (i = 0; i < r->count; i++)
		for (days = 0; days < 3; days++) {
			at = time_of(&tm, days, r->minutes[i]);
			if (at > wall_ns && (first == 0 || at < first))
				first = at;
		}
	return first;
}
