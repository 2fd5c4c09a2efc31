/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/mirror_state.h"

#include "common/io.h"
#include "tests/unit.h"

#include <stdio.h>

#define SLOT 4096

static struct unit_dir dir;
static struct home home;
static struct uuid mirror;
static char name[64];

static void
setup(void)
{
	char text[UUID_TEXT];

	unit_dir_make(&dir);
	memset(&home, 0, sizeof(home));
	home.state = dir.fd;
	memset(&mirror, 7, sizeof(mirror));
	(void)snprintf(
	    name, sizeof(name), "%s.state", uuid_text(&mirror, text));
}

static void
teardown(void)
{
	ladder_unset();
	unit_dir_drop(&dir);
}

static struct mirror_state
example(uint64_t n)
{
	struct mirror_state s = {.phase = MIRROR_APPLYING,
	    .consistent = true,
	    .staging = true,
	    .applied_time_ns = n * 1000,
	    .done_count = 2};

	s.mirror = mirror;
	memset(&s.stream, 1, sizeof(s.stream));
	memset(&s.copyin, 2, sizeof(s.copyin));
	memset(&s.done[0], 3, sizeof(s.done[0]));
	s.done[1] = s.done[0];
	memset(s.clean.digest, 4, DIGEST_LEN);
	memset(&s.clean.epoch, 5, 16);
	s.clean.epoch_number = 2;
	s.clean.sequence = n;
	s.clean.last = n * 10;
	s.target = s.clean;
	s.target.sequence++;
	(void)snprintf(s.reason, sizeof(s.reason), "reason %ju", (uintmax_t)n);
	return s;
}

static void
store(uint64_t n, uint64_t generation)
{
	struct mirror_state s = example(n);
	struct err e = {0};

	s.generation = generation;
	ck_assert_msg(mirror_state_store(&home, &s, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(s.generation, generation + 1);
}

static void
loads(uint64_t n, uint64_t generation)
{
	struct mirror_state want = example(n), s;
	struct err e = {0};

	ck_assert_msg(
	    mirror_state_load(&home, &mirror, &s, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(s.generation, generation);
	ck_assert_int_eq(s.phase, want.phase);
	ck_assert(s.consistent && s.staging);
	ck_assert(uuid_equal(&s.stream, &want.stream));
	ck_assert(uuid_equal(&s.copyin, &want.copyin));
	ck_assert_uint_eq(s.clean.last, want.clean.last);
	ck_assert_uint_eq(s.clean.epoch_number, 2);
	ck_assert_mem_eq(s.clean.digest, want.clean.digest, DIGEST_LEN);
	ck_assert_uint_eq(s.target.sequence, n + 1);
	ck_assert_uint_eq(s.applied_time_ns, want.applied_time_ns);
	ck_assert_uint_eq(s.done_count, 2);
	ck_assert(uuid_equal(&s.done[1], &want.done[1]));
	ck_assert_str_eq(s.reason, want.reason);
}

/* Overwrites `len` bytes at `off` with 0xa5. */
static void
spoil(uint64_t off, size_t len)
{
	AUTO_CLOSE int fd = openat(dir.fd, name, O_RDWR | O_CLOEXEC);
	uint8_t bytes[SLOT];

	memset(bytes, 0xa5, sizeof(bytes));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(io_write_at(fd, bytes, len, off, NULL), 0);
}

START_TEST(without_a_file_the_mirror_is_empty)
{
	struct mirror_state s;

	ck_assert_int_eq(mirror_state_load(&home, &mirror, &s, NULL), 0);
	ck_assert_int_eq(s.phase, MIRROR_EMPTY);
	ck_assert_uint_eq(s.generation, 0);
	ck_assert(position_is_nil(&s.clean));
	ck_assert(uuid_equal(&s.mirror, &mirror));
}
END_TEST

START_TEST(what_is_stored_is_loaded)
{
	uint64_t i;

	for (i = 0; i < 5; i++) {
		store(i + 1, i);
		loads(i + 1, i + 1);
	}
}
END_TEST

START_TEST(a_spoilt_slot_leaves_the_other)
{
	store(1, 0); /* generation 1: slot 1 */
	store(2, 1); /* generation 2: slot 0 */
	spoil(0 + (uint64_t)_i * 13, 1);
	loads(1, 1);
	/* The spoilt one is the next to be written. */
	store(3, 1);
	loads(3, 2);
	spoil(SLOT + (uint64_t)_i * 13, 1);
	loads(3, 2);
}
END_TEST

START_TEST(two_spoilt_slots_are_told_with_advice)
{
	struct mirror_state s;
	struct err e = {0};

	store(1, 0);
	store(2, 1);
	spoil(100, 8);
	spoil(SLOT + 100, 8);
	ck_assert_int_eq(mirror_state_load(&home, &mirror, &s, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "new base"));
}
END_TEST

START_TEST(a_file_of_zeroes_is_damage_not_the_beginning)
{
	struct mirror_state s;
	struct err e = {0};
	AUTO_CLOSE int fd = -1;

	store(1, 0);
	fd = openat(dir.fd, name, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(mirror_state_load(&home, &mirror, &s, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_int_eq(ftruncate(fd, 2L * SLOT), 0);
	ck_assert_int_eq(mirror_state_load(&home, &mirror, &s, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

START_TEST(slots_in_each_others_place_do_not_count)
{
	AUTO_CLOSE int fd = -1;
	uint8_t slots[2 * SLOT];
	struct mirror_state s;
	struct err e = {0};

	store(1, 0);
	store(2, 1);
	fd = openat(dir.fd, name, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(io_read_at(fd, slots, sizeof(slots), 0, NULL), 0);
	ck_assert_int_eq(io_write_at(fd, slots, SLOT, SLOT, NULL), 0);
	ck_assert_int_eq(io_write_at(fd, slots + SLOT, SLOT, 0, NULL), 0);
	ck_assert_int_eq(mirror_state_load(&home, &mirror, &s, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

START_TEST(the_state_of_another_mirror_is_not_taken)
{
	struct mirror_state s;
	struct uuid other;
	char text[UUID_TEXT], to[64];

	store(1, 0);
	memset(&other, 9, sizeof(other));
	(void)snprintf(to, sizeof(to), "%s.state", uuid_text(&other, text));
	ck_assert_int_eq(renameat(dir.fd, name, dir.fd, to), 0);
	ck_assert_int_eq(mirror_state_load(&home, &other, &s, NULL), -1);
}
END_TEST

/* A store that is cut after any number of bytes: the old one or the new. */
START_TEST(a_torn_store_leaves_the_old)
{
	AUTO_CLOSE int fd = -1;
	uint8_t before[2 * SLOT], after[2 * SLOT];
	size_t cut;

	store(1, 0);
	store(2, 1);
	fd = openat(dir.fd, name, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(io_read_at(fd, before, sizeof(before), 0, NULL), 0);
	store(3, 2);
	ck_assert_int_eq(io_read_at(fd, after, sizeof(after), 0, NULL), 0);
	for (cut = 0; cut < SLOT; cut += _i == 0 ? 512 : 61) {
		ck_assert_int_eq(
		    io_write_at(fd, before, sizeof(before), 0, NULL), 0);
		ck_assert_int_eq(
		    io_write_at(fd, after + SLOT, cut, SLOT, NULL), 0);
		loads(2, 2);
	}
}
END_TEST

START_TEST(a_store_that_fails_leaves_the_old_or_the_new)
{
	static const int troubles[] = {EIO, ENOSPC, SYS_SHORT};
	struct ladder l = {
	    .trouble = troubles[_i % 3], .stays = _i >= 3, .op = -1};

	store(1, 0);
	store(2, 1);
	do {
		struct mirror_state s = example(3), got;
		int r;

		s.generation = 2;
		ladder_set(&l);
		r = mirror_state_store(&home, &s, NULL);
		ladder_unset();
		ck_assert_int_eq(
		    mirror_state_load(&home, &mirror, &got, NULL), 0);
		if (r == 0)
			loads(3, 3);
		else
			ck_assert_uint_le(got.generation, 3);
		ck_assert_uint_ge(got.generation, 2);
		l.rung++;
	} while (l.struck);
}
END_TEST

START_TEST(a_first_store_that_fails_leaves_nothing_or_all)
{
	struct ladder l = {.trouble = EIO, .op = -1, .stays = _i == 1};

	do {
		struct mirror_state s = example(1), got;
		int r;

		(void)unlinkat(dir.fd, name, 0);
		ladder_set(&l);
		r = mirror_state_store(&home, &s, NULL);
		ladder_unset();
		ck_assert_int_eq(
		    mirror_state_load(&home, &mirror, &got, NULL), 0);
		ck_assert(
		    got.generation == 1 || (r < 0 && got.generation == 0));
		l.rung++;
	} while (l.struck);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mirror_state");
	TCase *t = tcase_create("state");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, without_a_file_the_mirror_is_empty);
	tcase_add_test(t, what_is_stored_is_loaded);
	tcase_add_loop_test(t, a_spoilt_slot_leaves_the_other, 0, SLOT / 13);
	tcase_add_test(t, two_spoilt_slots_are_told_with_advice);
	tcase_add_test(t, a_file_of_zeroes_is_damage_not_the_beginning);
	tcase_add_test(t, slots_in_each_others_place_do_not_count);
	tcase_add_test(t, the_state_of_another_mirror_is_not_taken);
	tcase_add_loop_test(t, a_torn_store_leaves_the_old, 0, 2);
	tcase_add_loop_test(
	    t, a_store_that_fails_leaves_the_old_or_the_new, 0, 6);
	tcase_add_loop_test(
	    t, a_first_store_that_fails_leaves_nothing_or_all, 0, 2);
	suite_add_tcase(s, t);
	return unit_run(s);
}
