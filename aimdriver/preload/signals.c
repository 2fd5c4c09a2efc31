/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals: the program's handlers wait until a capture call is over.
 *
 * A handler that ran inside one could leave it by longjmp and so leave locks
 * with a live owner behind. Blocking signals around each call would cost two
 * system calls, so handlers are installed behind `entry` instead. When it is
 * called inside a capture, it blocks all signals in the interrupted context
 * and sends the signal to its own thread again; the kernel keeps it, with its
 * siginfo, until px_leave unblocks it.
 *
 * SIGSEGV and SIGBUS always come here first, so that a bad buffer is EFAULT;
 * with the tripwire SIGSYS, too. These are never blocked inside a capture, for
 * then the real one would end the program. When somebody sends one, it is kept
 * here, one of each kind (as the kernel would), and sent again by px_leave.
 */
#include "aimdriver/preload/preload.h"

#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { SIGNALS = 65, KERNEL_SET = 8 };

/* What the program asked for. Written with all signals blocked, under `lock`;
 * read by handlers, which try again when `seq` is odd or has changed. */
static struct {
	_Atomic uint32_t seq;
	struct sigaction act;
} table[SIGNALS];
static _Atomic int lock;
static sigset_t interrupting; /* siginterrupt(); under lock */

static bool
is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS;
}

/* Sets the kernel's part only: in a signal frame other things lie behind. */
static void
all_signals(uint8_t mask[KERNEL_SET])
{
	memset(mask, 0xff, KERNEL_SET);
	/* libc's own two stay open: cancellation, and setuid in all threads */
	mask[31 / 8] = (uint8_t)(mask[31 / 8] & ~(1u << 31 % 8));
	mask[32 / 8] = (uint8_t)(mask[32 / 8] & ~(1u << 32 % 8));
	mask[(SIGSEGV - 1) / 8] =
	    (uint8_t)(mask[(SIGSEGV - 1) / 8] & ~(1u << (SIGSEGV - 1) % 8));
	mask[(SIGBUS - 1) / 8] =
	    (uint8_t)(mask[(SIGBUS - 1) / 8] & ~(1u << (SIGBUS - 1) % 8));
	if (px_tripwire)
		mask[(SIGSYS - 1) / 8] = (uint8_t)(mask[(SIGSYS - 1) / 8] &
						   ~(1u << (SIGSYS - 1) % 8));
}

/* Ours in the kernel whatever the program asks for. */
static bool
is_claimed(int sig)
{
	return is_fault(sig) || (px_tripwire && sig == SIGSYS);
}

static void
lock_table(sigset_t *old)
{
	sigset_t all;

	all_signals((uint8_t *)&all);
	memset(old, 0, sizeof(*old));
	(void)raw4(
	    SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)old, KERNEL_SET);
	while (atomic_exchange(&lock, 1) != 0)
		(void)raw1(SYS_sched_yield, 0);
}

static void
unlock_table(const sigset_t *old)
{
	atomic_store(&lock, 0);
	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)old, 0, KERNEL_SET);
}

static void
table_read(int sig, struct sigaction *out)
{
	uint32_t before, after;

	do {
		before = atomic_load(&table[sig].seq);
		*out = table[sig].act;
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load(&table[sig].seq);
	} while (before != after || (before & 1) != 0);
}

static void
table_write(int sig, const struct sigaction *act)
{
	(void)atomic_fetch_add(&table[sig].seq, 1);
	table[sig].act = *act;
	atomic_thread_fence(memory_order_release);
	(void)atomic_fetch_add(&table[sig].seq, 1);
}

static const int claimed[PX_CLAIMED] = {SIGSEGV, SIGBUS, SIGSYS};

/* To this thread, as it came. Without room for more only the number is kept. */
static void
send_again(int sig, const siginfo_t *info)
{
	long pid = raw1(SYS_getpid, 0), tid = raw1(SYS_gettid, 0);

	if (raw4(SYS_rt_tgsigqueueinfo, pid, tid, sig, (long)info) < 0)
		(void)raw3(SYS_tgkill, pid, tid, sig);
}

/*
 * Waits for the end of the capture call. Several may have interrupted it at
 * once, one handler on top of the other: each blocks the rest first, so the
 * last one to pass is the one that interrupted the capture, and its mask
 * counts.
 */
static void
defer(int sig, const siginfo_t *info, ucontext_t *uc)
{
	struct px_thread *self = &px_self;
	uint64_t all = ~UINT64_C(0);
	struct sigaction act;

	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, KERNEL_SET);
	table_read(sig, &act);
	if ((act.sa_flags & SA_RESTART) == 0)
		self->interrupts = true;
	self->deferred = true;
	for (int i = 0; i < PX_CLAIMED; i++) {
		if (sig != claimed[i] || !is_claimed(sig))
			continue;
		if ((self->held & 1u << i) == 0)
			self->info[i] = *info;
		self->held |= 1u << i;
		return;
	}
	memcpy(&self->mask, &uc->uc_sigmask, KERNEL_SET);
	self->masked = true;
	all_signals((uint8_t *)&uc->uc_sigmask);
	send_again(sig, info);
}

void
px_undefer(void)
{
	struct px_thread *self = &px_self;
	uint64_t all = ~UINT64_C(0), mask = 0;

	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask,
	    KERNEL_SET);
	if (self->masked)
		mask = self->mask;
	for (int i = 0; i < PX_CLAIMED; i++)
		if ((self->held & 1u << i) != 0)
			send_again(claimed[i], &self->info[i]);
	self->held = 0;
	self->masked = false;
	self->deferred = false;
	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, KERNEL_SET);
}

static void
default_action(int sig, const siginfo_t *info)
{
	struct sigaction dfl;

	memset(&dfl, 0, sizeof(dfl));
	dfl.sa_handler = SIG_DFL;
	(void)px_real.sigaction(sig, &dfl, NULL);
	/* A fault happens again by itself when we return; a call that another
	 * filter has trapped does not. */
	if (info->si_code <= 0 || sig == SIGSYS)
		(void)raw3(
		    SYS_tgkill, raw1(SYS_getpid, 0), raw1(SYS_gettid, 0), sig);
}

static void
entry(int sig, siginfo_t *info, void *context)
{
	struct px_thread *self = &px_self;
	bool fault = is_fault(sig) && info->si_code > 0;
	/* Also when px_leave is about to let the others through. */
	bool waits = (self->inside > 0 || self->deferred) && !fault;
	struct sigaction act, dfl;

	if (sig == SIGSYS && px_tripped(info, context))
		return;
	if (fault && self->fault != NULL) {
		sigjmp_buf *to = self->fault;

		self->fault = NULL;
		(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK,
		    (long)&((ucontext_t *)context)->uc_sigmask, 0, KERNEL_SET);
		siglongjmp(*to, 1);
	}
	table_read(sig, &act);
	/* Somebody has sent one of those that are ours only in the kernel, and
	 * no handler is to run: nothing to wait for. */
	if (waits && (act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN)) {
		if (act.sa_handler == SIG_DFL)
			default_action(sig, info);
		return;
	}
	if (waits) {
		defer(sig, info, context);
		return;
	}
	if (self->inside > 0 || act.sa_handler == SIG_DFL ||
	    (fault && act.sa_handler == SIG_IGN)) {
		default_action(sig, info);
		return;
	}
	if (act.sa_handler == SIG_IGN)
		return;
	if (((unsigned)act.sa_flags & SA_RESETHAND) != 0) {
		memset(&dfl, 0, sizeof(dfl));
		dfl.sa_handler = SIG_DFL;
		if (is_claimed(sig))
			table_write(sig, &dfl);
		else
			(void)px_real.sigaction(sig, &dfl, NULL);
	}
	act.sa_sigaction(sig, info, context);
}

/* Under the lock: installs `act`, behind entry when it is a handler. */
static int
install(int sig, const struct sigaction *act)
{
	struct sigaction k = *act, was;

	if (px_tripwire) {
		(void)sigdelset(&k.sa_mask, SIGSYS);
		if (sig == SIGSYS) /* a handler may trap again */
			k.sa_flags |= SA_NODEFER;
	}
	if ((act->sa_handler == SIG_DFL || act->sa_handler == SIG_IGN) &&
	    !is_claimed(sig))
		return px_real.sigaction(sig, act, NULL);
	table_read(sig, &was);
	table_write(sig, act);
	k.sa_sigaction = entry;
	k.sa_flags |= SA_SIGINFO;
	k.sa_flags &= (int)~(unsigned)SA_RESETHAND;
	if (sig == SIGSYS) /* a capture takes more room than such stacks have */
		k.sa_flags &= ~SA_ONSTACK;
	else if (act->sa_handler == SIG_DFL || act->sa_handler == SIG_IGN)
		k.sa_flags |= SA_ONSTACK;
	if (px_real.sigaction(sig, &k, NULL) == 0)
		return 0;
	table_write(sig, &was);
	return -1;
}

EXPORT(int, sigaction,
    (int sig, const struct sigaction *act, struct sigaction *old))
{
	struct sigaction now, want;
	sigset_t mask;
	int r;

	if (!px_on() || sig < 1 || sig >= SIGNALS)
		return px_real.sigaction(sig, act, old);
	if (act != NULL)
		want = *act;
	lock_table(&mask);
	r = px_real.sigaction(sig, NULL, &now);
	if (r == 0 && now.sa_sigaction == entry)
		now = table[sig].act;
	if (r == 0 && act != NULL)
		r = install(sig, &want);
	unlock_table(&mask);
	if (r == 0 && old != NULL)
		*old = now;
	return r;
}
ALIAS(__sigaction, sigaction);

static sighandler_t
set_handler(int sig, sighandler_t handler, int flags, bool mask_itself)
{
	struct sigaction act, old;

	if (handler == SIG_ERR || sig < 1 || sig >= SIGNALS) {
		errno = EINVAL;
		return SIG_ERR;
	}
	memset(&act, 0, sizeof(act));
	act.sa_handler = handler;
	act.sa_flags = flags;
	if (mask_itself)
		(void)sigaddset(&act.sa_mask, sig);
	return px_sigaction(sig, &act, &old) == 0 ? old.sa_handler : SIG_ERR;
}

EXPORT(sighandler_t, signal, (int sig, sighandler_t handler))
{
	bool interrupts =
	    sig > 0 && sig < SIGNALS && sigismember(&interrupting, sig) == 1;

	return set_handler(sig, handler, interrupts ? 0 : SA_RESTART, true);
}
ALIAS(bsd_signal, signal);
ALIAS(ssignal, signal);

EXPORT(sighandler_t, sysv_signal, (int sig, sighandler_t handler))
{
	return set_handler(
	    sig, handler, (int)(SA_RESETHAND | SA_NODEFER), false);
}
ALIAS(__sysv_signal, sysv_signal);

EXPORT(int, sigignore, (int sig))
{
	return set_handler(sig, SIG_IGN, 0, false) == SIG_ERR ? -1 : 0;
}

EXPORT(int, siginterrupt, (int sig, int flag))
{
	struct sigaction act;

	if (px_sigaction(sig, NULL, &act) < 0)
		return -1;
	if (flag != 0) {
		(void)sigaddset(&interrupting, sig);
		act.sa_flags &= ~SA_RESTART;
	} else {
		(void)sigdelset(&interrupting, sig);
		act.sa_flags |= SA_RESTART;
	}
	return px_sigaction(sig, &act, NULL);
}

EXPORT(sighandler_t, sigset, (int sig, sighandler_t handler))
{
	struct sigaction act;
	sighandler_t was;
	sigset_t one, old;

	(void)sigemptyset(&one);
	if (sigaddset(&one, sig) < 0)
		return SIG_ERR;
	if (handler == SIG_HOLD) {
		if (sigprocmask(SIG_BLOCK, &one, &old) < 0 ||
		    px_sigaction(sig, NULL, &act) < 0)
			return SIG_ERR;
		return sigismember(&old, sig) == 1 ? SIG_HOLD : act.sa_handler;
	}
	was = set_handler(sig, handler, 0, false);
	if (was == SIG_ERR || sigprocmask(SIG_UNBLOCK, &one, &old) < 0)
		return SIG_ERR;
	return sigismember(&old, sig) == 1 ? SIG_HOLD : was;
}

/* Blocked, it would be the end of the program instead of a write. */
static const sigset_t *
unblocked(int how, const sigset_t *set, sigset_t *room)
{
	if (!px_tripwire || set == NULL || how == SIG_UNBLOCK ||
	    sigismember(set, SIGSYS) != 1)
		return set;
	*room = *set;
	(void)sigdelset(room, SIGSYS);
	return room;
}

EXPORT(int, sigprocmask, (int how, const sigset_t *set, sigset_t *old))
{
	sigset_t room;

	return px_real.sigprocmask(how, unblocked(how, set, &room), old);
}

EXPORT(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old))
{
	sigset_t room;

	return px_real.pthread_sigmask(how, unblocked(how, set, &room), old);
}

void
px_signals_claim(void)
{
	struct sigaction now;
	sigset_t one;

	(void)sigemptyset(&one);
	(void)sigaddset(&one, SIGSYS);
	(void)raw4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&one, 0, KERNEL_SET);
	if (px_real.sigaction(SIGSYS, NULL, &now) < 0 ||
	    install(SIGSYS, &now) < 0)
		px_die(125, "capture could not start in %s: no SIGSYS",
		    px_program());
}

void
px_signals_start(void)
{
	static const int faults[] = {SIGSEGV, SIGBUS};
	struct sigaction now;

	for (int i = 0; i < 2; i++)
		if (px_real.sigaction(faults[i], NULL, &now) == 0)
			(void)install(faults[i], &now);
}
