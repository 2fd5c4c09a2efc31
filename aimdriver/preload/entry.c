/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: the beginnings of glibc's wrappers, instruction by instruction. What
 * the jump covers is never run again (nobody calls the original), so it need
 * not be moved; but it must be straight code that ends inside the function,
 * and nothing further on may come back into it. Whatever is not in the list
 * below is not recognised, and then nothing is written.
 */
#include "aimdriver/preload/entry.h"

#include <stdbool.h>
#include <string.h>

enum { LONGEST = 9, ENDBR = 4 };

/* One instruction: its length, its bytes, and which bits of them count. */
static const struct shape {
	uint8_t len;
	uint8_t bytes[LONGEST], mask[LONGEST];
} shapes[] = {
    /* cmpb $0, __libc_single_threaded(%rip) */
    {7, {0x80, 0x3d}, {0xff, 0xff, 0, 0, 0, 0, 0xff}},
    /* mov %fs:0x18, %eax; mov %fs:0x28, %rax */
    {8, {0x64, 0x8b, 0x04, 0x25, 0x18},
	{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {9, {0x64, 0x48, 0x8b, 0x04, 0x25, 0x28},
	{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    /* test, mov, xor between registers, with and without REX */
    {2, {0x85, 0xc0}, {0xff, 0xc0}},
    {2, {0x89, 0xc0}, {0xff, 0xc0}},
    {2, {0x31, 0xc0}, {0xff, 0xc0}},
    {3, {0x40, 0x89, 0xc0}, {0xf0, 0xff, 0xc0}},
    {3, {0x40, 0x31, 0xc0}, {0xf0, 0xff, 0xc0}},
    {3, {0x40, 0x85, 0xc0}, {0xf0, 0xff, 0xc0}},
    /* mov register, disp8(%rsp) */
    {4, {0x89, 0x44, 0x24}, {0xff, 0xc7, 0xff}},
    {5, {0x40, 0x89, 0x44, 0x24}, {0xf0, 0xff, 0xc7, 0xff}},
    /* sub, and, cmp with a constant */
    {4, {0x40, 0x83, 0xc0}, {0xf0, 0xff, 0xc0}},
    {7, {0x48, 0x81, 0xec}, {0xff, 0xff, 0xff}},
    {6, {0x48, 0x3d}, {0xff, 0xff}},
    {3, {0xf6, 0xc0}, {0xff, 0xf8}},
    {7, {0x41, 0xf7, 0xc0}, {0xff, 0xff, 0xf8}},
    /* push */
    {1, {0x50}, {0xf8}},
    {2, {0x41, 0x50}, {0xff, 0xf8}},
    /* mov $number, %eax; syscall; je, jne, jae, ja */
    {5, {0xb8}, {0xff}},
    {2, {0x0f, 0x05}, {0xff, 0xff}},
    {2, {0x74}, {0xfe}},
    {2, {0x73}, {0xff}},
    {2, {0x77}, {0xff}},
};

static size_t
known(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		size_t n = 0;

		while (n < s->len && n < len &&
		       (at[n] & s->mask[n]) == s->bytes[n])
			n++;
		if (n == s->len)
			return n;
	}
	return 0;
}

static bool
is_straight(const uint8_t *code, size_t len)
{
	size_t at = 0, n;

	while (at < ENTRY_JUMP) {
		n = known(code + at, len - at);
		if (n == 0)
			return false;
		at += n;
	}
	return at < len;
}

/* Read at every byte, so that no jump is overlooked; what only looks like one
 * costs us the function. */
static bool
is_entered_again(const uint8_t *code, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		int64_t to = -1;
		int32_t far;

		if ((code[i] & 0xf0) == 0x70 || code[i] == 0xeb ||
		    (code[i] & 0xfc) == 0xe0)
			to = (int64_t)i + 2 + (int8_t)code[i + 1];
		else if (code[i] == 0xe9 && i + 5 <= len) {
			memcpy(&far, code + i + 1, sizeof(far));
			to = (int64_t)i + 5 + far;
		} else if (code[i] == 0x0f && (code[i + 1] & 0xf0) == 0x80 &&
			   i + 6 <= len) {
			memcpy(&far, code + i + 2, sizeof(far));
			to = (int64_t)i + 6 + far;
		}
		if (to >= 0 && to < ENTRY_JUMP)
			return true;
	}
	return false;
}

/* mov $nr, %eax, and a syscall not far behind. */
static bool
makes_call(const uint8_t *code, size_t len, long nr)
{
	enum { NEAR = 24 };

	for (size_t i = 0; i + 5 < len; i++) {
		uint32_t n;

		memcpy(&n, code + i + 1, sizeof(n));
		if (code[i] != 0xb8 || n != (uint32_t)nr)
			continue;
		for (size_t j = i + 5; j + 1 < len && j < i + NEAR; j++)
			if (code[j] == 0x0f && code[j + 1] == 0x05)
				return true;
	}
	return false;
}

int
entry_place(const uint8_t *code, size_t len, long nr)
{
	static const uint8_t endbr[ENDBR] = {0xf3, 0x0f, 0x1e, 0xfa};
	int at = 0;

	if (len > ENDBR && memcmp(code, endbr, ENDBR) == 0)
		at = ENDBR;
	code += at;
	len -= (size_t)at;
	if (len <= ENTRY_JUMP || (nr >= 0 && !makes_call(code, len, nr)) ||
	    !is_straight(code, len) || is_entered_again(code, len))
		return -1;
	return at;
}

void
entry_jump(uint8_t out[ENTRY_JUMP], const void *to)
{
	static const uint8_t jump[6] = {0xff, 0x25};

	memcpy(out, jump, sizeof(jump));
	memcpy(out + sizeof(jump), &to, sizeof(to));
}
