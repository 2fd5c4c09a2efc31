/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/preload/entry.h"
#include "tests/unit.h"

#include <string.h>

/* glibc 2.36, write: a flag, a short way, a long way, an error. */
static const uint8_t cancellable[] = {0x80, 0x3d, 0x91, 0x32, 0x0e, 0x00, 0x00,
    0x74, 0x17, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x48, 0x3d, 0x00,
    0xf0, 0xff, 0xff, 0x77, 0x58, 0xc3, 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00,
    0x00, 0x48, 0x83, 0xec, 0x28};
/* ftruncate: nothing but the call. */
static const uint8_t plain[] = {0xb8, 0x4d, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x48,
    0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0x01, 0xc3, 0x48, 0x8b, 0x15, 0x79,
    0x2d, 0x0d, 0x00, 0xf7, 0xd8, 0x64, 0x89, 0x02, 0xb8, 0xff, 0xff, 0xff,
    0xff, 0xc3};

START_TEST(a_wrapper_with_a_flag_is_recognised)
{
	ck_assert_int_eq(entry_place(cancellable, sizeof(cancellable), 1), 0);
}
END_TEST

START_TEST(a_short_wrapper_is_recognised)
{
	ck_assert_int_eq(entry_place(plain, sizeof(plain), 0x4d), 0);
}
END_TEST

START_TEST(the_jump_goes_behind_an_endbr64)
{
	uint8_t code[4 + sizeof(plain)] = {0xf3, 0x0f, 0x1e, 0xfa};

	memcpy(code + 4, plain, sizeof(plain));
	ck_assert_int_eq(entry_place(code, sizeof(code), 0x4d), 4);
}
END_TEST

START_TEST(another_call_is_not_recognised)
{
	ck_assert_int_eq(entry_place(plain, sizeof(plain), 1), -1);
	ck_assert_int_eq(entry_place(plain, sizeof(plain), -1), 0);
}
END_TEST

/* Where the instructions under the jump begin, or are told apart. */
static const int opcodes[] = {0, 1, 6, 7, 9};
START_TEST(an_unknown_instruction_is_not_recognised)
{
	uint8_t code[sizeof(cancellable)];

	memcpy(code, cancellable, sizeof(code));
	code[opcodes[_i]] = 0xcc;
	ck_assert_int_eq(entry_place(code, sizeof(code), 1), -1);
}
END_TEST

START_TEST(a_function_that_is_too_short_is_not_recognised)
{
	for (size_t len = 0; len <= ENTRY_JUMP; len++)
		ck_assert_int_eq(entry_place(plain, len, 0x4d), -1);
	/* cut inside the last instruction that the jump would cover */
	ck_assert_int_eq(entry_place(plain, 15, 0x4d), -1);
	ck_assert_int_eq(entry_place(plain, 16, 0x4d), 0);
}
END_TEST

START_TEST(a_jump_back_into_it_is_not_recognised)
{
	static const uint8_t jumps[][6] = {
	    {0xeb, (uint8_t)-34},			  /* to 2 */
	    {0x75, (uint8_t)-30},			  /* to 6 */
	    {0xe9, (uint8_t)-35, 0xff, 0xff, 0xff},	  /* to 4 */
	    {0x0f, 0x84, (uint8_t)-37, 0xff, 0xff, 0xff}, /* to 3 */
	};
	uint8_t code[sizeof(plain) + 8];

	memset(code, 0x90, sizeof(code));
	memcpy(code, plain, sizeof(plain));
	ck_assert_int_eq(entry_place(code, sizeof(code), 0x4d), 0);
	memcpy(code + sizeof(plain), jumps[_i], sizeof(jumps[_i]));
	ck_assert_int_eq(entry_place(code, sizeof(code), 0x4d), -1);
}
END_TEST

START_TEST(random_bytes_never_read_beyond_the_end)
{
	uint32_t seed = 7;

	for (int n = 0; n < 200000; n++) {
		size_t len = (size_t)n % 48;
		uint8_t *code = malloc(len + 1);

		ck_assert_ptr_nonnull(code);
		for (size_t i = 0; i < len; i++) {
			seed = seed * 1664525 + 1013904223;
			code[i] = (uint8_t)(seed >> 24);
		}
		ck_assert_int_le(entry_place(code, len, -1), 4);
		free(code);
	}
}
END_TEST

START_TEST(the_jump_has_the_address)
{
	uint8_t jump[ENTRY_JUMP];
	const uint8_t want[ENTRY_JUMP] = {0xff, 0x25, 0, 0, 0, 0, 0x88, 0x77,
	    0x66, 0x55, 0x44, 0x33, 0x22, 0x11};

	entry_jump(jump, (const void *)(uintptr_t)0x1122334455667788);
	ck_assert_mem_eq(jump, want, ENTRY_JUMP);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("entry");
	TCase *t = tcase_create("all");

	tcase_add_test(t, a_wrapper_with_a_flag_is_recognised);
	tcase_add_test(t, a_short_wrapper_is_recognised);
	tcase_add_test(t, the_jump_goes_behind_an_endbr64);
	tcase_add_test(t, another_call_is_not_recognised);
	tcase_add_loop_test(t, an_unknown_instruction_is_not_recognised, 0,
	    sizeof(opcodes) / sizeof(opcodes[0]));
	tcase_add_test(t, a_function_that_is_too_short_is_not_recognised);
	tcase_add_loop_test(t, a_jump_back_into_it_is_not_recognised, 0, 4);
	tcase_add_test(t, random_bytes_never_read_beyond_the_end);
	tcase_add_test(t, the_jump_has_the_address);
	suite_add_tcase(s, t);
	return unit_run(s);
}
