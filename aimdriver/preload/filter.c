/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter: which system calls may change a volume. A filter sees numbers, not
 * what they stand for: whether a descriptor is a protected volume is asked
 * after the trap. Calls whose number alone says that they are harmless are
 * let through first; the kernel remembers those and does not run the filter
 * for them.
 */
#include "aimdriver/preload/filter.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <scsi/sg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__x86_64__) && !defined(__ILP32__)

/* Jumps to these are filled in at the end; real ones are shorter. */
enum { TO_GATE = 254, TO_ALLOW = 255, X32_BIT = 0x40000000 };

/* Not in the kernel's headers for programs: holes and zeroes (falloc.h's
 * numbers came later), and ext4's way to exchange content. */
struct space {
	int16_t type, whence;
	int64_t from, len;
	int32_t system, pid, pad[4];
};
#define UNRESERVE _IOW('X', 41, struct space)
#define UNRESERVE_64 _IOW('X', 43, struct space)
#define ZERO_SPACE _IOW('X', 57, struct space)
#define MOVE_EXTENT _IOWR('f', 15, uint64_t[5])

struct program {
	struct sock_filter *code;
	unsigned short len;
};

static void
add(struct program *p, uint16_t op, uint8_t yes, uint8_t no, uint32_t k)
{
	assert(p->len < FILTER_MAX);
	p->code[p->len++] = (struct sock_filter){op, yes, no, k};
}

static void
load(struct program *p, size_t field)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)field);
}

static void
if_equal(struct program *p, uint32_t k, uint8_t yes, uint8_t no)
{
	add(p, BPF_JMP | BPF_JEQ | BPF_K, yes, no, k);
}

static void
answer(struct program *p, uint32_t what)
{
	add(p, BPF_RET | BPF_K, 0, 0, what);
}

/* The low half of an argument. */
static size_t
argument(int i)
{
	return offsetof(struct seccomp_data, args) + (size_t)i * 8;
}

/* Behind a test of the number: what is loaded is lost, so each ends. */
static void
if_bits(struct program *p, long nr, int arg, uint32_t bits)
{
	if_equal(p, (uint32_t)nr, 0, 2);
	load(p, argument(arg));
	add(p, BPF_JMP | BPF_JSET | BPF_K, TO_GATE, TO_ALLOW, bits);
}

/* Other machines' numbers: i386 by int 0x80, and x32. */
static void
other_numbers(struct program *p)
{
	load(p, offsetof(struct seccomp_data, arch));
	if_equal(p, AUDIT_ARCH_X86_64, 1, 0);
	answer(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
	add(p, BPF_JMP | BPF_JGE | BPF_K, 0, 2, X32_BIT);
	if_equal(p, UINT32_MAX, 1, 0); /* a call that a tracer takes away */
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
}

static void
by_number(struct program *p)
{
	static const uint16_t writes[] = {SYS_write, SYS_pwrite64, SYS_writev,
	    SYS_pwritev, SYS_pwritev2, SYS_ftruncate, SYS_truncate,
	    SYS_fallocate, SYS_copy_file_range, SYS_sendfile, SYS_splice,
	    SYS_io_submit, SYS_io_uring_setup};

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
		if_equal(p, writes[i], TO_GATE, 0);
}

/* What gives a descriptor that may write, or gives one to others, or changes
 * what an open file does, or makes threads or processes have tables of
 * descriptors that known.c would not know of. */
static void
by_installing(struct program *p)
{
	static const uint16_t gives[] = {SYS_dup, SYS_dup2, SYS_dup3,
	    SYS_recvmsg, SYS_recvmmsg, SYS_pidfd_getfd, SYS_memfd_create,
	    SYS_sendmsg, SYS_sendmmsg};

	for (size_t i = 0; i < sizeof(gives) / sizeof(gives[0]); i++)
		if_equal(p, gives[i], TO_GATE, 0);
	if_bits(p, SYS_unshare, 0, CLONE_FILES);
	if_bits(p, SYS_close_range, 2, CLOSE_RANGE_UNSHARE);
	/* Reading from it gives descriptors of files. */
	if_bits(p, SYS_fanotify_init, 1, O_ACCMODE);
	if_equal(p, SYS_fcntl, 0, 4);
	load(p, argument(1));
	if_equal(p, F_SETFL, TO_GATE, 0);
	if_equal(p, F_DUPFD, TO_GATE, 0);
	if_equal(p, F_DUPFD_CLOEXEC, TO_GATE, TO_ALLOW);
	/* What it is to share lies in memory; libc takes the older call then.
	 */
	if_equal(p, SYS_clone3, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
	if_equal(p, SYS_clone, 0, 4);
	load(p, argument(0));
	add(p, BPF_JMP | BPF_JSET | BPF_K, 0, 1, CLONE_VM);
	add(p, BPF_JMP | BPF_JSET | BPF_K, TO_ALLOW, TO_GATE,
	    CLONE_FILES | CLONE_VFORK);
	add(p, BPF_JMP | BPF_JSET | BPF_K, TO_GATE, TO_ALLOW, CLONE_FILES);
}

static void
by_argument(struct program *p, enum filter_kind kind)
{
	static const uint32_t requests[] = {FICLONE, FICLONERANGE, BLKDISCARD,
	    BLKSECDISCARD, BLKZEROOUT, LOOP_SET_FD, LOOP_CHANGE_FD,
	    LOOP_CONFIGURE, UNRESERVE, UNRESERVE_64, ZERO_SPACE, MOVE_EXTENT,
	    SG_IO, FILTER_XFS_OPEN, FILTER_VFIO_DEVICE, FILTER_ADD_FD};
	const uint8_t count = sizeof(requests) / sizeof(requests[0]);
	const uint32_t open_flags =
	    kind >= FILTER_INSTALLS ? O_TRUNC | O_ACCMODE : O_TRUNC;

	/* A shared mapping of a file. */
	if_equal(p, SYS_mmap, 0, 4);
	load(p, argument(3));
	add(p, BPF_JMP | BPF_JSET | BPF_K, TO_ALLOW, 0, MAP_ANONYMOUS);
	add(p, BPF_JMP | BPF_JSET | BPF_K, TO_GATE, TO_ALLOW, MAP_SHARED);
	/* never reached; keeps the distances above plain */
	answer(p, SECCOMP_RET_ALLOW);
	if (kind >= FILTER_OPENS) {
		if_equal(p, SYS_creat, TO_GATE, 0);
		if_equal(p, SYS_openat2, TO_GATE, 0);
		if_bits(p, SYS_open, 1, open_flags);
		if_bits(p, SYS_openat, 2, open_flags);
		if_bits(p, SYS_open_by_handle_at, 2, open_flags);
	}
	if (kind >= FILTER_INSTALLS)
		by_installing(p);
	if_equal(p, SYS_ioctl, 0, (uint8_t)(count + 1));
	load(p, argument(1));
	for (size_t i = 0; i < count; i++)
		if_equal(p, requests[i], TO_GATE, 0);
	answer(p, SECCOMP_RET_ALLOW);
}

/* The address is that behind the instruction. */
static void
through_gate(struct program *p)
{
	load(p, offsetof(struct seccomp_data, instruction_pointer) + 4);
	if_equal(p, (uint32_t)(FILTER_GATE >> 32), 0, 3);
	load(p, offsetof(struct seccomp_data, instruction_pointer));
	add(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, (uint32_t)FILTER_GATE);
	add(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1,
	    (uint32_t)FILTER_GATE + FILTER_GATE_LEN);
	answer(p, SECCOMP_RET_TRAP | FILTER_OURS);
	answer(p, SECCOMP_RET_ALLOW);
}

static void
fill_in(struct program *p, unsigned gate)
{
	unsigned allow = p->len - 1u;

	for (unsigned i = 0; i < gate; i++) {
		struct sock_filter *f = &p->code[i];

		if (BPF_CLASS(f->code) != BPF_JMP)
			continue;
		if (f->jt >= TO_GATE)
			f->jt = (uint8_t)((f->jt == TO_GATE ? gate : allow) -
					  i - 1);
		if (f->jf >= TO_GATE)
			f->jf = (uint8_t)((f->jf == TO_GATE ? gate : allow) -
					  i - 1);
	}
}

unsigned short
filter_make(struct sock_filter out[FILTER_MAX], enum filter_kind kind)
{
	struct program p = {out, 0};
	unsigned gate;

	other_numbers(&p);
	by_number(&p);
	by_argument(&p, kind);
	answer(&p, SECCOMP_RET_ALLOW);
	gate = p.len;
	through_gate(&p);
	fill_in(&p, gate);
	return p.len;
}

#else

unsigned short
filter_make(struct sock_filter out[FILTER_MAX], enum filter_kind kind)
{
	(void)out;
	(void)kind;
	return 0;
}

#endif
