/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: may a function of libc be entered by a jump of ours? Only pure
 * looking at bytes; x86-64.
 */
#ifndef AIMDRIVER_PRELOAD_ENTRY_H
#define AIMDRIVER_PRELOAD_ENTRY_H

#include <stddef.h>
#include <stdint.h>

enum { ENTRY_JUMP = 14 }; /* jmp *0(%rip) and the address */

/*
 * Where in `code` (the whole function, `len` bytes) the jump goes: 0, or 4
 * behind an endbr64; -1 when it must stay as it is. It may be written over
 * when every instruction under the jump is one that we know, none of the rest
 * goes back there, and the function makes system call `nr` (-1: any).
 */
int entry_place(const uint8_t *code, size_t len, long nr);

/* The jump itself. */
void entry_jump(uint8_t out[ENTRY_JUMP], const void *to);

#endif
