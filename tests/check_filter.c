/* SPDX-License-Identifier: Apache-2.0 */
/* What the tripwire's filter answers, by an interpreter of such programs. */
#include "aimdriver/preload/filter.h"
#include "tests/unit.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__x86_64__) && !defined(__ILP32__)

enum { ALLOW = 0, TRAP, KILL, NO_SUCH };
#define OUTSIDE 0x7f1234567890u

static uint32_t
jump(const struct sock_filter *f, uint32_t a)
{
	bool yes = false;

	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		yes = a == f->k;
		break;
	case BPF_JGE:
		yes = a >= f->k;
		break;
	case BPF_JSET:
		yes = (a & f->k) != 0;
		break;
	default:
		ck_abort_msg("jump 0x%x", f->code);
	}
	return yes ? f->jt : f->jf;
}

static uint32_t
interpret(const struct sock_filter *code, unsigned len,
    const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (uint32_t i = 0; i < len; i++) {
		const struct sock_filter *f = &code[i];

		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
			ck_assert_uint_le(f->k + sizeof(a), sizeof(*data));
			memcpy(&a, (const char *)data + f->k, sizeof(a));
			break;
		case BPF_JMP:
			i += jump(f, a);
			break;
		case BPF_RET:
			return f->k;
		default:
			ck_abort_msg("instruction 0x%x", f->code);
		}
	}
	ck_abort_msg("it ends without an answer");
	return 0;
}

static int
ask_with(const struct seccomp_data *data, enum filter_kind kind)
{
	struct sock_filter code[FILTER_MAX];
	unsigned len = filter_make(code, kind);

	switch (interpret(code, len, data)) {
	case SECCOMP_RET_ALLOW:
		return ALLOW;
	case SECCOMP_RET_TRAP | FILTER_OURS:
		return TRAP;
	case SECCOMP_RET_KILL_PROCESS:
		return KILL;
	case SECCOMP_RET_ERRNO | ENOSYS:
		return NO_SUCH;
	default:
		return -1;
	}
}

/* Call `nr` from address `ip`, argument number `i` being `arg`. */
static int
ask(long nr, uint64_t ip, int i, uint64_t arg)
{
	struct seccomp_data data = {.nr = (int)nr,
	    .arch = AUDIT_ARCH_X86_64,
	    .instruction_pointer = ip};

	data.args[i] = arg;
	return ask_with(&data, FILTER_INSTALLS);
}

static const long writes[] = {SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev,
    SYS_pwritev2, SYS_ftruncate, SYS_truncate, SYS_fallocate,
    SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_io_submit,
    SYS_io_uring_setup, SYS_creat, SYS_openat2, SYS_dup, SYS_dup2, SYS_dup3,
    SYS_recvmsg, SYS_recvmmsg, SYS_pidfd_getfd, SYS_memfd_create, SYS_sendmsg,
    SYS_sendmmsg};
enum { WRITES = sizeof(writes) / sizeof(writes[0]) };

START_TEST(a_write_is_trapped_unless_it_comes_from_the_page)
{
	long nr = writes[_i];

	ck_assert_int_eq(ask(nr, OUTSIDE, 0, 3), TRAP);
	ck_assert_int_eq(ask(nr, FILTER_GATE, 0, 3), ALLOW);
	ck_assert_int_eq(ask(nr, FILTER_GATE + 2, 0, 3), ALLOW);
	ck_assert_int_eq(
	    ask(nr, FILTER_GATE + FILTER_GATE_LEN - 1, 0, 3), ALLOW);
	ck_assert_int_eq(ask(nr, FILTER_GATE + FILTER_GATE_LEN, 0, 3), TRAP);
	ck_assert_int_eq(ask(nr, FILTER_GATE - 1, 0, 3), TRAP);
	ck_assert_int_eq(ask(nr, FILTER_GATE + (1L << 32), 0, 3), TRAP);
	ck_assert_int_eq(ask(nr, 2, 0, 3), TRAP);
}
END_TEST

/* All numbers that are not told apart by an argument. */
START_TEST(all_other_calls_are_let_through)
{
	for (long nr = 0; nr < 1000; nr++) {
		bool is_write = false;

		for (int i = 0; i < WRITES; i++)
			is_write = is_write || nr == writes[i];
		if (!is_write && nr != SYS_clone3)
			ck_assert_int_eq(
			    ask(nr, OUTSIDE, 1, nr == SYS_fcntl ? F_GETFD : 0),
			    ALLOW);
	}
	ck_assert_int_eq(ask(-1, OUTSIDE, 0, 0), ALLOW);
}
END_TEST

START_TEST(an_open_is_trapped_when_it_truncates_or_may_write)
{
	ck_assert_int_eq(ask(SYS_open, OUTSIDE, 1, O_RDWR | O_TRUNC), TRAP);
	ck_assert_int_eq(ask(SYS_openat, OUTSIDE, 2, O_WRONLY | O_TRUNC), TRAP);
	ck_assert_int_eq(
	    ask(SYS_open_by_handle_at, OUTSIDE, 2, O_RDWR | O_TRUNC), TRAP);
	ck_assert_int_eq(
	    ask(SYS_openat, FILTER_GATE + 2, 2, O_WRONLY | O_TRUNC), ALLOW);
	ck_assert_int_eq(ask(SYS_open, OUTSIDE, 1, O_TRUNC), TRAP);
	ck_assert_int_eq(ask(SYS_open, OUTSIDE, 1, O_WRONLY | O_CREAT), TRAP);
	ck_assert_int_eq(ask(SYS_openat, OUTSIDE, 2, O_RDWR), TRAP);
	ck_assert_int_eq(ask(SYS_openat, FILTER_GATE + 2, 2, O_RDWR), ALLOW);
	/* As the dynamic linker does it. */
	ck_assert_int_eq(ask(SYS_openat, OUTSIDE, 2, O_CLOEXEC), ALLOW);
	ck_assert_int_eq(ask(SYS_open, OUTSIDE, 1, O_NONBLOCK), ALLOW);
}
END_TEST

START_TEST(a_duplicate_or_change_of_flags_is_trapped)
{
	ck_assert_int_eq(ask(SYS_fcntl, OUTSIDE, 1, F_DUPFD), TRAP);
	ck_assert_int_eq(ask(SYS_fcntl, OUTSIDE, 1, F_DUPFD_CLOEXEC), TRAP);
	ck_assert_int_eq(ask(SYS_fcntl, FILTER_GATE + 2, 1, F_DUPFD), ALLOW);
	ck_assert_int_eq(ask(SYS_fcntl, OUTSIDE, 1, F_SETFL), TRAP);
	ck_assert_int_eq(ask(SYS_fcntl, FILTER_GATE + 2, 1, F_SETFL), ALLOW);
	ck_assert_int_eq(ask(SYS_fcntl, OUTSIDE, 1, F_GETFL), ALLOW);
	ck_assert_int_eq(ask(SYS_fcntl, OUTSIDE, 1, F_SETFD), ALLOW);
	ck_assert_int_eq(ask(SYS_fcntl, OUTSIDE, 1, F_SETLKW), ALLOW);
	ck_assert_int_eq(ask(SYS_fanotify_init, OUTSIDE, 1, O_RDWR), TRAP);
	ck_assert_int_eq(ask(SYS_fanotify_init, OUTSIDE, 1, O_CLOEXEC), ALLOW);
}
END_TEST

/* Which of memory and descriptors it shares must be both, or neither. */
START_TEST(a_process_that_shares_half_is_trapped)
{
	const long thread =
	    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;

	ck_assert_int_eq(ask(SYS_clone, OUTSIDE, 0, thread), ALLOW);
	ck_assert_int_eq(ask(SYS_clone, OUTSIDE, 0, SIGCHLD), ALLOW);
	ck_assert_int_eq(
	    ask(SYS_clone, OUTSIDE, 0, CLONE_VM | CLONE_VFORK | SIGCHLD),
	    ALLOW);
	ck_assert_int_eq(
	    ask(SYS_clone, OUTSIDE, 0, thread & ~CLONE_FILES), TRAP);
	ck_assert_int_eq(
	    ask(SYS_clone, OUTSIDE, 0, CLONE_FILES | SIGCHLD), TRAP);
	ck_assert_int_eq(ask(SYS_clone3, OUTSIDE, 0, 0), NO_SUCH);
	ck_assert_int_eq(ask(SYS_unshare, OUTSIDE, 0, CLONE_FILES), TRAP);
	ck_assert_int_eq(ask(SYS_unshare, OUTSIDE, 0, CLONE_FS), ALLOW);
	ck_assert_int_eq(
	    ask(SYS_close_range, OUTSIDE, 2, CLOSE_RANGE_UNSHARE), TRAP);
	ck_assert_int_eq(
	    ask(SYS_close_range, OUTSIDE, 2, CLOSE_RANGE_CLOEXEC), ALLOW);
}
END_TEST

/* posix_spawn's child could not be told otherwise. */
START_TEST(without_patches_no_open_is_trapped)
{
	struct seccomp_data data = {.nr = SYS_openat,
	    .arch = AUDIT_ARCH_X86_64,
	    .instruction_pointer = OUTSIDE,
	    .args = {0, 0, O_RDWR | O_TRUNC}};

	ck_assert_int_eq(ask_with(&data, FILTER_WRITES), ALLOW);
	ck_assert_int_eq(ask_with(&data, FILTER_OPENS), TRAP);
	data.args[2] = O_RDWR;
	ck_assert_int_eq(ask_with(&data, FILTER_OPENS), ALLOW);
	data.nr = SYS_creat;
	ck_assert_int_eq(ask_with(&data, FILTER_WRITES), ALLOW);
	data.nr = SYS_dup2;
	ck_assert_int_eq(ask_with(&data, FILTER_OPENS), ALLOW);
	ck_assert_int_eq(ask_with(&data, FILTER_INSTALLS), TRAP);
	data.nr = SYS_clone3;
	ck_assert_int_eq(ask_with(&data, FILTER_OPENS), ALLOW);
	data.nr = SYS_write;
	ck_assert_int_eq(ask_with(&data, FILTER_WRITES), TRAP);
}
END_TEST

START_TEST(a_mapping_is_trapped_when_it_is_shared_and_of_a_file)
{
	ck_assert_int_eq(ask(SYS_mmap, OUTSIDE, 3, MAP_SHARED), TRAP);
	ck_assert_int_eq(ask(SYS_mmap, OUTSIDE, 3, MAP_SHARED_VALIDATE), TRAP);
	ck_assert_int_eq(ask(SYS_mmap, FILTER_GATE + 2, 3, MAP_SHARED), ALLOW);
	ck_assert_int_eq(ask(SYS_mmap, OUTSIDE, 3, MAP_PRIVATE), ALLOW);
	ck_assert_int_eq(
	    ask(SYS_mmap, OUTSIDE, 3, MAP_SHARED | MAP_ANONYMOUS), ALLOW);
}
END_TEST

START_TEST(a_request_is_trapped_when_it_writes)
{
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, BLKDISCARD), TRAP);
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, BLKZEROOUT), TRAP);
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, FICLONERANGE), TRAP);
	/* FS_IOC_UNRESVSP64, FS_IOC_ZERO_RANGE, EXT4_IOC_MOVE_EXT, SG_IO */
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, 0x4030582b), TRAP);
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, 0x40305839), TRAP);
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, 0xc028660f), TRAP);
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, 0x2285), TRAP);
	/* XFS_IOC_OPEN_BY_HANDLE, VFIO_GROUP_GET_DEVICE_FD */
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, 0xc038586b), TRAP);
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, 0x3b6a), TRAP);
	ck_assert_int_eq(
	    ask(SYS_ioctl, OUTSIDE, 1, SECCOMP_IOCTL_NOTIF_ADDFD), TRAP);
	ck_assert_int_eq(ask(SYS_ioctl, FILTER_GATE + 2, 1, FICLONE), ALLOW);
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, FIONREAD), ALLOW);
	ck_assert_int_eq(ask(SYS_ioctl, OUTSIDE, 1, BLKGETSIZE64), ALLOW);
}
END_TEST

START_TEST(other_machines_numbers_do_not_pass)
{
	struct seccomp_data data = {.nr = 4, .arch = AUDIT_ARCH_I386};

	ck_assert_int_eq(ask_with(&data, FILTER_INSTALLS), KILL);
	ck_assert_int_eq(
	    ask(SYS_write | 0x40000000, FILTER_GATE + 2, 0, 1), NO_SUCH);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("filter");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(
	    t, a_write_is_trapped_unless_it_comes_from_the_page, 0, WRITES);
	tcase_add_test(t, all_other_calls_are_let_through);
	tcase_add_test(t, an_open_is_trapped_when_it_truncates_or_may_write);
	tcase_add_test(t, a_duplicate_or_change_of_flags_is_trapped);
	tcase_add_test(t, a_process_that_shares_half_is_trapped);
	tcase_add_test(t, without_patches_no_open_is_trapped);
	tcase_add_test(t, a_mapping_is_trapped_when_it_is_shared_and_of_a_file);
	tcase_add_test(t, a_request_is_trapped_when_it_writes);
	tcase_add_test(t, other_machines_numbers_do_not_pass);
	suite_add_tcase(s, t);
	return unit_run(s);
}

#else

int
main(void)
{
	return 77;
}

#endif
