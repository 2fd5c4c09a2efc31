/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/source_kit.h"

#include "common/io.h"
#include "coordinator/source.h"

#include <stdio.h>

#define MIB (UINT64_C(1) << 20)
#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static struct source_kit k;
static struct sealed sealed;
static struct position place[6]; /* ends of files 1..5 */

/* A stream of five files. */
static void
setup(void)
{
	struct source *s;
	struct capture *c;
	struct rig_file f;
	struct err e = {0};
	int i;

	kit_open(&k, 1, MIB, 1);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	OK(source_seal_all(s, &e));
	rig_file_open(&f, c, &k.rig, 0);
	while (s->files < 5) {
		ck_assert_int_eq(rig_write(&f, "data", 4, 4096), 4);
		OK(source_seal_all(s, &e));
	}
	rig_file_close(&f);
	capture_detach(c);
	source_close(s);
	OK(sealed_open(&k.home, &k.group.stream, &sealed, &e));
	for (i = 1; i <= 5; i++)
		kit_position(&k, (uint64_t)i, &place[i]);
}

static void
teardown(void)
{
	sealed_close(&sealed);
	kit_close(&k);
}

static void
encode(const struct ack *a, const struct sign_secret *key,
    uint8_t bytes[ACK_LIMIT], size_t *len)
{
	struct ack copy = *a;
	struct err e = {0};

	OK(sign_key_id(&key->pub, copy.key_id, &e));
	OK(ack_encode(&copy, key, bytes, len, &e));
}

static int
offer_from(const struct ack *a, const struct sign_secret *key,
    const struct ack *old, struct ack *out, struct err *e)
{
	uint8_t bytes[ACK_LIMIT];
	size_t len;

	encode(a, key, bytes, &len);
	return ack_accept(
	    &k.home, &k.destination[0], &sealed, bytes, len, old, out, e);
}

static int
offer(const struct ack *a, const struct ack *old, struct ack *out)
{
	struct err e = {0};

	return offer_from(a, &k.mirror_key[0], old, out, &e);
}

static struct ack
good(int stored, int applied)
{
	struct ack a;

	kit_fill_ack(&k, 0, &a);
	if (stored > 0)
		a.stored = place[stored];
	if (applied > 0)
		a.applied = a.durable = place[applied];
	return a;
}

START_TEST(a_good_one_is_saved_and_read_again)
{
	struct ack a = good(3, 2), got, again;
	struct err e = {0};

	ck_assert_int_eq(ack_load(&k.home, &k.destination[0], &got, &e), 0);
	ck_assert_int_eq(offer(&a, NULL, &got), 1);
	ck_assert_uint_eq(got.stored.last, place[3].last);
	ck_assert_int_eq(offer(&a, &got, &again), 0); /* the same one */
	ck_assert_int_eq(ack_load(&k.home, &k.destination[0], &again, &e), 1);
	ck_assert_uint_eq(again.counter, a.counter);
	a = good(5, 5);
	ck_assert_int_eq(offer(&a, &got, &again), 1);
}
END_TEST

START_TEST(one_signed_by_another_key_is_not_believed)
{
	struct ack a = good(3, 3), got;
	struct sign_secret forger;
	struct err e = {0};

	OK(sign_make(&forger, &e));
	ck_assert_int_eq(offer_from(&a, &forger, NULL, &got, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_int_eq(ack_load(&k.home, &k.destination[0], &got, &e), 0);
}
END_TEST

START_TEST(an_older_one_is_a_replay)
{
	struct ack first = good(2, 1), second = good(3, 2), got, out;

	ck_assert_int_eq(offer(&first, NULL, &got), 1);
	ck_assert_int_eq(offer(&second, &got, &got), 1);
	ck_assert_int_eq(offer(&first, &got, &out), -1);
	/* Another one under the number that was seen. */
	first = second;
	first.stored = place[4];
	ck_assert_int_eq(offer(&first, &got, &out), -1);
}
END_TEST

START_TEST(what_was_applied_cannot_be_taken_back)
{
	struct ack a = good(4, 4), got, out;

	ck_assert_int_eq(offer(&a, NULL, &got), 1);
	a = good(4, 2);
	ck_assert_int_eq(offer(&a, &got, &out), -1);
	/* What was stored can: the file there was found damaged. */
	a = good(5, 4);
	ck_assert_int_eq(offer(&a, &got, &got), 1);
	a = good(4, 4);
	ck_assert_int_eq(offer(&a, &got, &got), 1);
	/* And a mirror that was made anew says so. */
	a = good(0, 0);
	a.state = ACK_EMPTY;
	ck_assert_int_eq(offer(&a, &got, &got), 1);
}
END_TEST

START_TEST(a_place_that_is_not_in_the_stream_is_refused)
{
	struct ack a = good(5, 5), out;

	a.stored.sequence++; /* beyond the tip */
	ck_assert_int_eq(offer(&a, NULL, &out), -1);
	a = good(5, 5);
	a.stored.digest[7] ^= 1;
	ck_assert_int_eq(offer(&a, NULL, &out), -1);
	a = good(5, 5);
	a.applied.last++;
	ck_assert_int_eq(offer(&a, NULL, &out), -1);
	a = good(5, 5);
	a.stored.epoch.b[0] ^= 1;
	ck_assert_int_eq(offer(&a, NULL, &out), -1);
	a = good(5, 5);
	a.stored.epoch_number = 9;
	ck_assert_int_eq(offer(&a, NULL, &out), -1);
}
END_TEST

START_TEST(a_place_before_the_oldest_file_is_accepted)
{
	struct ack a = good(1, 1), out;
	struct err e = {0};
	char name[JOURNAL_NAME_LEN];

	OK(io_remove(sealed.dir, journal_name(1, 1, name), &e));
	ck_assert_int_eq(offer(&a, NULL, &out), 1);
}
END_TEST

START_TEST(one_for_somebody_else_is_refused)
{
	struct ack a = good(3, 3), out;
	struct uuid *ids[] = {
	    &a.stream, &a.group, &a.mirror, &a.mirror_site, &a.source_site};

	ids[_i]->b[3] ^= 0x40;
	ck_assert_int_eq(offer(&a, NULL, &out), -1);
}
END_TEST

START_TEST(every_changed_or_missing_byte_is_noticed)
{
	struct ack a = good(3, 2), out;
	uint8_t bytes[ACK_LIMIT];
	size_t len, i;

	encode(&a, &k.mirror_key[0], bytes, &len);
	for (i = 0; i < len; i++) {
		bytes[i] ^= 0x10;
		ck_assert_int_eq(ack_accept(&k.home, &k.destination[0], &sealed,
				     bytes, len, NULL, &out, NULL),
		    -1);
		bytes[i] ^= 0x10;
		ck_assert_int_eq(ack_accept(&k.home, &k.destination[0], &sealed,
				     bytes, i, NULL, &out, NULL),
		    -1);
	}
}
END_TEST

START_TEST(a_damaged_saved_one_is_not_believed)
{
	struct ack a = good(3, 2), out;
	char name[UUID_TEXT + 4], text[UUID_TEXT];
	struct err e = {0};
	uint8_t byte = 0;
	int fd;

	kit_save_ack(&k, 0, &a);
	ck_assert_int_eq(ack_load(&k.home, &k.destination[0], &out, &e), 1);
	(void)snprintf(name, sizeof(name), "%s.ack",
	    uuid_text(&k.destination[0].uuid, text));
	fd = openat(k.home.state, name, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, &byte, 1, 200), 1);
	close(fd);
	ck_assert_int_eq(ack_load(&k.home, &k.destination[0], &out, &e), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ack_store");
	TCase *t = tcase_create("believing");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_good_one_is_saved_and_read_again);
	tcase_add_test(t, one_signed_by_another_key_is_not_believed);
	tcase_add_test(t, an_older_one_is_a_replay);
	tcase_add_test(t, what_was_applied_cannot_be_taken_back);
	tcase_add_test(t, a_place_that_is_not_in_the_stream_is_refused);
	tcase_add_test(t, a_place_before_the_oldest_file_is_accepted);
	tcase_add_loop_test(t, one_for_somebody_else_is_refused, 0, 5);
	tcase_add_test(t, every_changed_or_missing_byte_is_noticed);
	tcase_add_test(t, a_damaged_saved_one_is_not_believed);
	suite_add_tcase(s, t);
	return unit_run(s);
}
