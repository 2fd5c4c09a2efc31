/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/rate.h"
#include "coordinator/retry.h"
#include "tests/unit.h"

#include <time.h>

#define S UINT64_C(1000000000)

static const struct {
	const char *text;
	uint32_t minute;
	uint64_t bytes;
} good[] = {
    {"", 0, RATE_FULL},
    {"full", 100, RATE_FULL},
    {"none", 100, 0},
    {"1000", 0, 1000},
    {"500K", 1439, 500 * 1024},
    {"2M", 0, 2 * 1048576},
    {"1G", 0, 1073741824},
    {"08:00-18:00=1K", 479, RATE_FULL},
    {"08:00-18:00=1K", 480, 1024},
    {"08:00-18:00=1K", 1079, 1024},
    {"08:00-18:00=1K", 1080, RATE_FULL},
    {"22:00-06:00=none", 1320, 0},
    {"22:00-06:00=none", 0, 0},
    {"22:00-06:00=none", 360, RATE_FULL},
    {"9:00-24:00=1", 1439, 1},
    {"5,12:00-13:00=full", 721, RATE_FULL},
    {"12:00-13:00=full,5", 721, 5}, /* the last rule wins */
    {"1K,08:00-18:00=2K,09:00-10:00=3K", 545, 3072},
    {"1K,08:00-18:00=2K,09:00-10:00=3K", 500, 2048},
    {"1K,08:00-18:00=2K,09:00-10:00=3K", 5, 1024},
};

START_TEST(the_last_rule_of_that_minute_counts)
{
	struct err e = {0};
	struct rate r;

	ck_assert_msg(rate_parse(good[_i].text, &r, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(rate_at(&r, good[_i].minute), good[_i].bytes);
}
END_TEST

static const char *const bad[] = {"x", "0", "5,", ",5", "5,,5", "5T", "5 M",
    "-5", "1.5M", "8-9=5", "08:00-18:00", "08:60-09:00=1", "25:00-26:00=1",
    "24:01-01:00=1", "08:00=5", "1234567890", "full none",
    "08:00-09:00=", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "5\n"};

START_TEST(what_is_no_rate_is_refused)
{
	struct err e = {0};
	struct rate r = {.count = 7};

	ck_assert_int_eq(rate_parse(bad[_i], &r, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_uint_eq(r.count, 7);
}
END_TEST

START_TEST(the_average_is_kept)
{
	struct pace p = {0};
	uint64_t now = S, sent = 0, rate = 1000000;

	for (; now < 101 * S; now += S / 100)
		while (pace_lets(&p, rate, now)) {
			pace_sent(&p, 70000);
			sent += 70000;
		}
	ck_assert_uint_ge(sent, 99 * rate);
	ck_assert_uint_le(sent, 102 * rate);
}
END_TEST

START_TEST(a_pause_saves_no_more_than_a_second)
{
	struct pace p = {0};
	uint64_t now = S, sent = 0;

	ck_assert(pace_lets(&p, 1000, now));
	pace_sent(&p, 1000);
	ck_assert(!pace_lets(&p, 1000, now));
	ck_assert_uint_ge(pace_wait_ms(&p, 1000), 1000);
	ck_assert_uint_le(pace_wait_ms(&p, 1000), 1002);
	now += 3600 * S;
	while (pace_lets(&p, 1000, now)) {
		pace_sent(&p, 100);
		sent += 100;
	}
	ck_assert_uint_le(sent, 1100);
}
END_TEST

START_TEST(nothing_is_sent_at_none_and_all_at_full)
{
	struct pace p = {0};

	ck_assert(!pace_lets(&p, 0, S));
	ck_assert_uint_eq(pace_wait_ms(&p, 0), UINT32_MAX);
	pace_sent(&p, UINT64_C(1) << 40);
	ck_assert(!pace_lets(&p, 1, 2 * S));
	ck_assert(pace_lets(&p, RATE_FULL, 2 * S));
	ck_assert_uint_eq(pace_wait_ms(&p, RATE_FULL), 0);
	/* What was owed is forgotten then. */
	ck_assert(pace_lets(&p, 1, 2 * S));
}
END_TEST

/* ---- given times ---- */

/* 2026-03-28 00:00 UTC, the day before the clocks of Berlin change */
#define DAY_BEFORE UINT64_C(1774656000)
#define AT(day, hour, minute)                                                  \
	((DAY_BEFORE + (day)*86400u + (hour)*3600u + (minute)*60u) * S)
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

static const struct {
	const char *zone, *times;
	uint64_t from, next;
} nexts[] = {
    {"UTC0", "", AT(0, 1, 0), 0},
    {"UTC0", "02:00,12:30", AT(0, 1, 0), AT(0, 2, 0)},
    {"UTC0", "12:30,02:00", AT(0, 1, 59), AT(0, 2, 0)},
    {"UTC0", "02:00,12:30", AT(0, 2, 0), AT(0, 12, 30)},
    {"UTC0", "02:00,12:30", AT(0, 2, 0) - 1, AT(0, 2, 0)},
    {"UTC0", "02:00,12:30", AT(0, 12, 30), AT(1, 2, 0)},
    {"UTC0", "0:00", AT(0, 23, 59), AT(1, 0, 0)},
    {"UTC0", "5:05", AT(0, 5, 5), AT(1, 5, 5)},
    {BERLIN, "01:30", AT(0, 1, 0), AT(1, 0, 30)},
    /* 02:30 is not there on the 29th: an hour later by the old time */
    {BERLIN, "02:30", AT(0, 2, 0), AT(1, 1, 30)},
    {BERLIN, "04:00", AT(0, 4, 0), AT(1, 2, 0)},
};

START_TEST(the_next_of_the_given_times_is_found)
{
	struct retry r;
	struct err e = {0};

	ck_assert_int_eq(setenv("TZ", nexts[_i].zone, 1), 0);
	tzset();
	ck_assert_msg(retry_parse(nexts[_i].times, &r, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(retry_next_ns(&r, nexts[_i].from), nexts[_i].next);
}
END_TEST

static const char *const no_times[] = {"2", "24:00", "12:60", "12:", ":30",
    "12:30,", ",12:30", "12:30 ,13:00", "012:30", "12.30", "-1:00",
    ("1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,"
     "1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00,1:00")};

START_TEST(what_are_no_times_is_refused)
{
	struct retry r = {.count = 7};
	struct err e = {0};

	ck_assert_int_eq(retry_parse(no_times[_i], &r, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_uint_eq(r.count, 7);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int
main(void)
{
	Suite *s = suite_create("rate");
	TCase *c = tcase_create("rate");

	tcase_add_loop_test(
	    c, the_last_rule_of_that_minute_counts, 0, COUNT(good));
	tcase_add_loop_test(c, what_is_no_rate_is_refused, 0, COUNT(bad));
	tcase_add_test(c, the_average_is_kept);
	tcase_add_test(c, a_pause_saves_no_more_than_a_second);
	tcase_add_test(c, nothing_is_sent_at_none_and_all_at_full);
	tcase_add_loop_test(
	    c, the_next_of_the_given_times_is_found, 0, COUNT(nexts));
	tcase_add_loop_test(
	    c, what_are_no_times_is_refused, 0, COUNT(no_times));
	suite_add_tcase(s, c);
	return unit_run(s);
}
