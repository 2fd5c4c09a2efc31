/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate: the one instruction that all system calls of the driver are made by.
 * A pointer leads to it.
 */
#include "aimdriver/preload/preload.h"

#if defined(__x86_64__) && !defined(__ILP32__)

__asm__(".text\n"
	".p2align 4\n"
	".globl raw6\n"
	".hidden raw6\n"
	".type raw6, @function\n"
	"raw6:\n"
	".cfi_startproc\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	jmp *px_gate(%rip)\n"
	".cfi_endproc\n"
	".size raw6, . - raw6\n"
	".p2align 4\n"
	".hidden px_gate_here\n"
	".type px_gate_here, @function\n"
	"px_gate_here:\n"
	".cfi_startproc\n"
	"	syscall\n"
	"	ret\n"
	".cfi_endproc\n"
	".size px_gate_here, . - px_gate_here\n");

extern void px_gate_here(void);
void (*px_gate)(void) = px_gate_here;

#else

long
raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long r = px_real.syscall(nr, a, b, c, d, e, f);

	if (r == -1)
		r = -errno;
	errno = saved;
	return r;
}

#endif
