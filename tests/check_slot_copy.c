/* SPDX-License-Identifier: Apache-2.0 */
/* Copying into a segment and summing in one pass: the same as in two. */
#include "aimdriver/control.h"
#include "tests/unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { ROOM = 1 << 20, EDGE = 64 };

static uint8_t from[ROOM + EDGE], to[ROOM + 2 * EDGE];

static void
fill(uint8_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1;
		p[i] = (uint8_t)(seed >> 56);
	}
}

/* Any processor that cannot do it says so for all lengths. */
static bool
is_there(void)
{
	return payload_copy_works(4096);
}

static void
try_one(uint64_t len, size_t skew)
{
	fill(from, len + EDGE, len);
	memset(to, 0xa5, len + 2 * EDGE);
	ck_assert_uint_eq(payload_copy(to + EDGE, from + skew, len),
	    payload_hash(from + skew, len));
	ck_assert_mem_eq(to + EDGE, from + skew, len);
	for (int i = 0; i < EDGE; i++) {
		ck_assert_uint_eq(to[i], 0xa5);
		ck_assert_uint_eq(to[EDGE + len + (size_t)i], 0xa5);
	}
}

START_TEST(what_is_copied_has_the_sum_of_the_source)
{
	if (!is_there())
		return;
	for (uint64_t len = 64; len <= 8192; len += 64)
		if (payload_copy_works(len))
			try_one(len, len / 64 % EDGE);
	try_one(65536, 1);
	try_one(ROOM - 64, 63);
	try_one(ROOM, 0);
}
END_TEST

START_TEST(short_and_odd_lengths_are_left_to_others)
{
	ck_assert(!payload_copy_works(0));
	ck_assert(!payload_copy_works(192));
	ck_assert(!payload_copy_works(240));
	ck_assert(!payload_copy_works(4095));
	ck_assert(!payload_copy_works(4097));
}
END_TEST

/* The caller's buffer may change at any time: the sum is that of the copy. */
START_TEST(a_buffer_that_changes_meanwhile_is_copied_once)
{
	uint8_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int changes = 0;
	uint64_t last = 0;
	pid_t child;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		for (uint64_t n = 1;; n++)
			memset(shared, (int)(n & 0xff), 4096);
	for (int i = 0; is_there() && i < 200000 && changes < 200; i++) {
		uint64_t hash = payload_copy(to, shared, 4096);

		ck_assert_uint_eq(hash, payload_hash(to, 4096));
		changes += hash != last ? 1 : 0;
		last = hash;
	}
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ck_assert_int_eq(munmap(shared, 4096), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("slot_copy");
	TCase *t = tcase_create("all");

	tcase_add_test(t, what_is_copied_has_the_sum_of_the_source);
	tcase_add_test(t, short_and_odd_lengths_are_left_to_others);
	tcase_add_test(t, a_buffer_that_changes_meanwhile_is_copied_once);
	suite_add_tcase(s, t);
	return unit_run(s);
}
