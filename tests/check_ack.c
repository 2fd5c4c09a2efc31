/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/ack.h"

#include "fileformat/le.h"
#include "fileformat/sum.h"
#include "tests/unit.h"

#include <string.h>

static struct sign_secret key;
static struct ack sample;
static uint8_t bytes[ACK_LIMIT + 1];
static size_t len;
static struct err e;

static void
setup(void)
{
	struct position p = {.epoch = {{1}},
	    .epoch_number = 2,
	    .sequence = 3,
	    .last = 4,
	    .digest = {5}};

	memset(key.seed, 1, sizeof(key.seed));
	ck_assert_int_eq(sign_derive(&key, NULL), 0);
	sample = (struct ack){.stream = {{1}},
	    .group = {{2}},
	    .mirror = {{3}},
	    .mirror_site = {{4}},
	    .source_site = {{5}},
	    .counter = 9,
	    .state = ACK_STALLED,
	    .consistent = true,
	    .at_rest = true,
	    .stored = p,
	    .applied = p,
	    .time_ns = 10,
	    .applied_time_ns = 11,
	    .free_bytes = 12,
	    .reason = "the mirror's device is too small",
	    .done_count = 2,
	    .done = {{{7}}, {{8}}}};
	sample.stored.sequence = 4;
	ck_assert_int_eq(sign_key_id(&key.pub, sample.key_id, NULL), 0);
	ck_assert_msg(
	    ack_encode(&sample, &key, bytes, &len, &e) == 0, "%s", e.text);
}

static enum verdict
decode(void)
{
	struct ack out;
	struct why why = {0};
	enum verdict v = ack_decode(bytes, len, &out, &why);

	ck_assert(v == VERDICT_WHOLE || why.text[0] != '\0');
	return v;
}

static bool
is_valid(const struct sign_public *pub)
{
	bool valid = true;

	ck_assert_int_eq(ack_check(bytes, len, pub, &valid, &e), 0);
	return valid;
}

START_TEST(an_acknowledgement_comes_back_as_it_was)
{
	struct ack out;

	ck_assert_int_eq(ack_decode(bytes, len, &out, NULL), VERDICT_WHOLE);
	ck_assert_uint_eq(len, 672);
	ck_assert(uuid_equal(&out.stream, &sample.stream));
	ck_assert(uuid_equal(&out.source_site, &sample.source_site));
	ck_assert_uint_eq(out.counter, 9);
	ck_assert_int_eq(out.state, ACK_STALLED);
	ck_assert(out.consistent);
	ck_assert(out.at_rest);
	ck_assert_int_eq(position_compare(&out.stored, &sample.stored), 0);
	ck_assert_uint_eq(out.applied.last, 4);
	ck_assert_mem_eq(out.applied.digest, sample.applied.digest, 32);
	ck_assert(position_is_nil(&out.durable));
	ck_assert_uint_eq(out.time_ns, 10);
	ck_assert_uint_eq(out.applied_time_ns, 11);
	ck_assert_uint_eq(out.free_bytes, 12);
	ck_assert_str_eq(out.reason, sample.reason);
	ck_assert_uint_eq(out.done_count, 2);
	ck_assert(uuid_equal(&out.done[1], &sample.done[1]));
	ck_assert(is_valid(&key.pub));
}
END_TEST

START_TEST(every_flipped_bit_is_rejected)
{
	size_t bit;

	for (bit = 0; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_msg(decode() != VERDICT_WHOLE || !is_valid(&key.pub),
		    "bit %zu of byte %zu", bit % 8, bit / 8);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

START_TEST(every_truncation_is_partial_and_a_tail_corrupt)
{
	size_t whole = len;

	for (len = 0; len < whole; len++)
		ck_assert_int_eq(decode(), VERDICT_PARTIAL);
	len = whole + 1;
	ck_assert_int_eq(decode(), VERDICT_CORRUPT);
}
END_TEST

START_TEST(a_changed_acknowledgement_does_not_validate)
{
	bytes[41] ^= 1;
	le_put64(bytes + 632, sum_with_hole(bytes, len, 632, 8));
	ck_assert_int_eq(decode(), VERDICT_WHOLE);
	ck_assert(!is_valid(&key.pub));
}
END_TEST

START_TEST(another_key_does_not_validate)
{
	struct sign_secret other;

	ck_assert_int_eq(sign_make(&other, NULL), 0);
	ck_assert(!is_valid(&other.pub));
}
END_TEST

/* Changed by somebody who makes the checksum right. */
static const struct {
	size_t at;
	uint32_t value;
	enum verdict want;
} changes[] = {
    {16, 2, VERDICT_UNKNOWN},
    {20, 0, VERDICT_CORRUPT},
    {20, 639, VERDICT_CORRUPT},
    {20, ACK_LIMIT + 1, VERDICT_CORRUPT},
    {24, 1, VERDICT_UNKNOWN},
    {40, 0, VERDICT_CORRUPT}, /* counter */
    {48, 0, VERDICT_CORRUPT},
    {48, 8, VERDICT_UNKNOWN},
    {52, 2, VERDICT_CORRUPT},
    {80, 1, VERDICT_CORRUPT}, /* done count */
    {80, 3, VERDICT_CORRUPT},
    {80, ACK_DONE_LIMIT + 1, VERDICT_CORRUPT},
    {80, UINT32_MAX, VERDICT_CORRUPT},
    {84, 1, VERDICT_CORRUPT},
    {88, 0, VERDICT_CORRUPT},	    /* stream */
    {168 + 16, 0, VERDICT_CORRUPT}, /* half a position */
    {168 + 20, 1, VERDICT_CORRUPT},
    {240 + 24, 5, VERDICT_CORRUPT}, /* applied before stored */
    {312 + 16, 1, VERDICT_CORRUPT},
    {384, 0x1b, VERDICT_CORRUPT},
    {384 + 156, 0x20, VERDICT_CORRUPT}, /* text after its NUL */
    {560, 1, VERDICT_CORRUPT},
};

START_TEST(each_field_out_of_bounds_is_rejected)
{
	le_put32(bytes + changes[_i].at, changes[_i].value);
	le_put64(bytes + 632, sum_with_hole(bytes, len, 632, 8));
	ck_assert_msg(decode() == changes[_i].want, "offset %zu = %u",
	    changes[_i].at, changes[_i].value);
}
END_TEST

START_TEST(what_makes_no_sense_is_not_encoded)
{
	struct ack a = sample;

	a.done_count = ACK_DONE_LIMIT + 1;
	ck_assert_int_lt(ack_encode(&a, &key, bytes, &len, &e), 0);
	a = sample;
	a.reason[3] = '\n';
	ck_assert_int_lt(ack_encode(&a, &key, bytes, &len, &e), 0);
	a = sample;
	a.applied.sequence = 99;
	ck_assert_int_lt(ack_encode(&a, &key, bytes, &len, &e), 0);
	a = sample;
	a.done_count = ACK_DONE_LIMIT;
	ck_assert_int_eq(ack_encode(&a, &key, bytes, &len, &e), 0);
}
END_TEST

START_TEST(positions_go_by_epoch_then_sequence)
{
	struct position a = {.epoch_number = 1, .sequence = 9};
	struct position b = {.epoch_number = 2, .sequence = 1};

	ck_assert_int_lt(position_compare(&a, &b), 0);
	ck_assert_int_gt(position_compare(&b, &a), 0);
	b.epoch_number = 1;
	ck_assert_int_gt(position_compare(&a, &b), 0);
	b.sequence = 9;
	ck_assert_int_eq(position_compare(&a, &b), 0);
}
END_TEST

START_TEST(the_name_is_that_of_the_mirror)
{
	char name[ACK_NAME_LEN];
	struct uuid u = {{0xde, 0xad}};

	ck_assert_str_eq(
	    ack_name(&u, name), "dead0000-0000-0000-0000-000000000000.ack");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ack");
	TCase *t = tcase_create("ack");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, an_acknowledgement_comes_back_as_it_was);
	tcase_add_test(t, every_flipped_bit_is_rejected);
	tcase_add_test(t, every_truncation_is_partial_and_a_tail_corrupt);
	tcase_add_test(t, a_changed_acknowledgement_does_not_validate);
	tcase_add_test(t, another_key_does_not_validate);
	tcase_add_loop_test(t, each_field_out_of_bounds_is_rejected, 0,
	    (int)(sizeof(changes) / sizeof(changes[0])));
	tcase_add_test(t, what_makes_no_sense_is_not_encoded);
	tcase_add_test(t, positions_go_by_epoch_then_sequence);
	tcase_add_test(t, the_name_is_that_of_the_mirror);
	suite_add_tcase(s, t);
	return unit_run(s);
}
