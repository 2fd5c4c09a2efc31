/* SPDX-License-Identifier: Apache-2.0 */
/* Locations as text, and how far they are apart. */
#include "coordinator/distance.h"
#include "tests/unit.h"

#include <check.h>
#include <string.h>

static const struct {
	const char *text, *canonical;
	int32_t lat, lon;
} good[] = {
    {"52.5186,13.4083", "52.518600,13.408300", 52518600, 13408300},
    {"-0.5,-179.999999", "-0.500000,-179.999999", -500000, -179999999},
    {"90,180", "90.000000,180.000000", 90000000, 180000000},
    {"+1,-180.0", "1.000000,-180.000000", 1000000, -180000000},
    {"0,0", "0.000000,0.000000", 0, 0},
    {"-0.000001,0", "-0.000001,0.000000", -1, 0},
};

START_TEST(a_location_comes_back_as_it_was)
{
	struct location l = {0}, again = {0};
	char text[LOCATION_TEXT];
	struct err e = {0};

	ck_assert_msg(location_parse(good[_i].text, &l, &e) == 0, "%s", e.text);
	ck_assert(l.known);
	ck_assert_int_eq(l.lat, good[_i].lat);
	ck_assert_int_eq(l.lon, good[_i].lon);
	ck_assert_str_eq(location_text(&l, text), good[_i].canonical);
	ck_assert_int_eq(location_parse(text, &again, NULL), 0);
	ck_assert_mem_eq(&l, &again, sizeof(l));
}
END_TEST

static const char *const bad[] = {"", "52", "52,", ",13", "52.,13", "91,0",
    "90.000001,0", "0,180.000001", "0,181", "1,2,3", "1 ,2", "1, 2", "1,2 ",
    "0x1,2", "1e1,2", "nan,0", "1.0000001,0", "--1,0", "99999999999999999,0"};

START_TEST(what_is_no_location_is_refused)
{
	struct location l = {0};
	struct err e = {0};

	ck_assert_int_eq(location_parse(bad[_i], &l, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert(!l.known);
}
END_TEST

/* Known distances: a degree of a great circle is 111.195 km. */
static const struct {
	const char *a, *b;
	double km, within;
} distances[] = {
    {"0,0", "0,0", 0, 1e-9},
    {"0,0", "0,1", 111.195, 0.001},
    {"10,20", "11,20", 111.195, 0.001},
    {"0,179.5", "0,-179.5", 111.195, 0.001},
    {"90,0", "-90,0", 20015.1, 0.1},
    {"0,0", "0,180", 20015.1, 0.1},
    {"48.8566,2.3522", "51.5074,-0.1278", 343.6, 0.5}, /* Paris, London */
    {"52.5186,13.4083", "52.5186,13.408301", 0.00007, 0.00002},
};

START_TEST(the_distance_is_that_of_the_great_circle)
{
	struct location a, b;

	ck_assert_int_eq(location_parse(distances[_i].a, &a, NULL), 0);
	ck_assert_int_eq(location_parse(distances[_i].b, &b, NULL), 0);
	ck_assert_double_eq_tol(
	    distance_km(&a, &b), distances[_i].km, distances[_i].within);
	ck_assert_double_eq_tol(
	    distance_km(&b, &a), distances[_i].km, distances[_i].within);
}
END_TEST

START_TEST(nobody_knows_how_far_nowhere_is)
{
	struct location a = {.known = true}, b = {.known = false};
	char text[LOCATION_TEXT];

	ck_assert_double_lt(distance_km(&a, &b), 0);
	ck_assert_double_lt(distance_km(&b, &a), 0);
	ck_assert_str_eq(location_text(&b, text), "");
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int
main(void)
{
	Suite *s = suite_create("location");
	TCase *t = tcase_create("location");

	tcase_add_loop_test(t, a_location_comes_back_as_it_was, 0, COUNT(good));
	tcase_add_loop_test(t, what_is_no_location_is_refused, 0, COUNT(bad));
	tcase_add_loop_test(
	    t, the_distance_is_that_of_the_great_circle, 0, COUNT(distances));
	tcase_add_test(t, nobody_knows_how_far_nowhere_is);
	suite_add_tcase(s, t);
	return unit_run(s);
}
