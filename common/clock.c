/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t
now_ns(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t
clock_wall_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

uint64_t
clock_mono_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

void
clock_sleep_ms(uint64_t wait_ms)
{
	struct timespec t = {.tv_sec = (time_t)(wait_ms / 1000),
	    .tv_nsec = (long)(wait_ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL);
}

const char *
clock_text(uint64_t wall_ns, char *out)
{
	time_t s = (time_t)(wall_ns / 1000000000u);
	unsigned micro = (unsigned)(wall_ns % 1000000000u / 1000u);
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL) {
		(void)snprintf(out, CLOCK_TEXT, "-");
		return out;
	}
	(void)snprintf(out, CLOCK_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
	    (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1),
	    (unsigned)tm.tm_mday, (unsigned)tm.tm_hour, (unsigned)tm.tm_min,
	    (unsigned)tm.tm_sec, micro);
	return out;
}
