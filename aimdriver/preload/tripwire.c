/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tripwire: system calls that write are let through when they are made from
 * one page of ours; made from anywhere else they are not made at all, but
 * come here (SIGSYS) and go the way of the named functions. A seccomp filter
 * does it, by the address of the instruction.
 *
 * A filter lasts as long as the process and its children, through exec, and
 * filters can only be made stricter. So the page has the same address in all
 * processes: a program that this library is loaded into maps it there and is
 * free to write; one that it is not loaded into (static, or started past all
 * checks) is ended by the first write. Whether a filter of ours is there is
 * found out by trying.
 *
 * Opens and duplicates are traps only where libc is patched, because
 * libc's posix_spawn makes them with all signals blocked, and then a trap
 * kills.
 */
#include "aimdriver/preload/preload.h"

bool px_tripwire;

#if defined(__x86_64__) && !defined(__ILP32__)

#include "aimdriver/preload/filter.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code */
#endif

static const uint8_t gate[] = {0x0f, 0x05, 0xc3}; /* syscall; ret */
static volatile bool probing, tripped;

/* A call that is not made through the gate, and does nothing: a write, or a
 * duplicate, of descriptor -1, or a file with a bad name. */
static bool
is_armed(long nr)
{
	long r;

	tripped = false;
	probing = true;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(-1L), "S"(0L), "d"(0L)
			 : "rcx", "r11", "memory");
	probing = false;
	return tripped;
}

static void
map_gate(void)
{
	const long want = FILTER_GATE;
	long r = raw6(SYS_mmap, want, FILTER_GATE_LEN, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (r != want)
		px_die(125,
		    "capture could not start in %s: the address 0x%lx, which "
		    "the tripwire needs, is in use",
		    px_program(), want);
	memcpy((void *)want, gate, sizeof(gate));
	if (raw3(SYS_mprotect, want, FILTER_GATE_LEN, PROT_READ | PROT_EXEC) <
	    0)
		px_die(125,
		    "capture could not start in %s: the tripwire's page may "
		    "not be executed",
		    px_program());
	memcpy(&px_gate, &want, sizeof(want));
}

static void
arm(void)
{
	struct sock_filter code[FILTER_MAX];
	struct sock_fprog program = {
	    .len = filter_make(code, px_patched_dups ? FILTER_INSTALLS
				     : px_patched    ? FILTER_OPENS
						     : FILTER_WRITES),
	    .filter = code};
	const unsigned flags = SECCOMP_FILTER_FLAG_TSYNC;
	long r =
	    raw3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, (long)&program);

	if (r == -EACCES &&
	    raw6(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0) == 0)
		r = raw3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags,
		    (long)&program);
	if (r != 0)
		px_die(125,
		    "capture could not start in %s: the tripwire: %s; see "
		    "run --no-tripwire",
		    px_program(), r < 0 ? strerror((int)-r) : "a thread");
}

void
px_tripwire_start(void)
{
	bool wanted = getenv("AIM_TRIPWIRE") != NULL;
	bool armed;

	if (!wanted && raw6(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0, 0) != 2)
		return;
	px_tripwire = true;
	px_signals_claim();
	armed = is_armed(SYS_write);
	if (!armed && !wanted) {
		px_tripwire = false; /* somebody else's filter */
		return;
	}
	map_gate();
	if (!armed)
		arm();
	if (!is_armed(SYS_write))
		px_die(125,
		    "capture could not start in %s: the tripwire does not work",
		    px_program());
	/* An older filter may be there. */
	if (is_armed(SYS_dup3) && is_armed(SYS_memfd_create))
		px_known_start();
}

/* In the handler of SIGSYS: no lock, no memory. */
bool
px_tripped(const siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	const struct px_args x = {regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
	    regs[REG_R10], regs[REG_R8], regs[REG_R9]};
	int saved = errno;

	if (info->si_code != SYS_SECCOMP || info->si_errno != FILTER_OURS)
		return false;
	if (probing) {
		tripped = true;
		regs[REG_RAX] = -EBADF;
		return true;
	}
	/* Whoever makes the call itself is no cancellation point. */
	px_self.steady++;
	regs[REG_RAX] = px_number(info->si_syscall, &x);
	px_self.steady--;
	errno = saved;
	return true;
}

#else

void
px_tripwire_start(void)
{
}

bool
px_tripped(const siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	return false;
}

#endif
