/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload: what the files of the preload driver share. Each of them exports
 * the libc names of one idea (EXPORT); a name does the plain system call
 * unless what it is about to change is a protected volume.
 *
 * Inside a capture call, and while the driver starts, the thread is `inside`:
 * then every exported name is the plain call (the core uses libc too), and
 * the program's signal handlers wait (signals.c).
 */
#ifndef AIMDRIVER_PRELOAD_PRELOAD_H
#define AIMDRIVER_PRELOAD_PRELOAD_H

#include "aimdriver/capture.h"
#include "aimdriver/preload/raw.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* Defines px_NAME and exports it as libc's NAME, and under other names. */
#define EXPORT(type, name, args)                                               \
	type px_##name args;                                                   \
	EXPORT_AS(name, name);                                                 \
	type px_##name args
#define ALIAS(name, of) EXPORT_AS(name, of)
#define EXPORT_AS(name, of)                                                    \
	extern __typeof__(px_##of) px_export_##name __asm__(#name)             \
	    __attribute__((alias("px_" #of), visibility("default"), COPY(of)))
#if defined(__clang__)
#define COPY(of) used
#else
#define COPY(of) copy(px_##of)
#endif

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* ---- start.c: which volumes there are ---- */

enum { PX_CLAIMED = 3 }; /* SIGSEGV, SIGBUS, SIGSYS */

struct px_thread {
	int inside;	   /* > 0: no handler runs, all names are plain */
	bool deferred;	   /* a signal came meanwhile */
	bool interrupts;   /* one of them wants EINTR (no SA_RESTART) */
	bool masked;	   /* all are blocked since; `mask` to go back to */
	bool asynchronous; /* the cancellation type to go back to */
	int steady;	   /* > 0: no cancellation point */
	uint64_t mask;
	sigjmp_buf *fault; /* where a fault while reading a buffer goes */
	uint32_t held;	   /* which of these came */
	siginfo_t info[PX_CLAIMED];
};
extern __thread struct px_thread px_self
    __attribute__((tls_model("initial-exec")));

enum { PX_GROUPS = 1024 };

struct px_target {
	struct capture *group;
	uint32_t index; /* the group's */
	uint32_t volume;
	long flags;    /* of the open file; -1: to be asked for */
	uint64_t word; /* known.c's; 0: it was asked */
	struct stat st;
};

/* True when the driver is to do its work for this thread now. */
bool px_on(void);
/* Is the descriptor a protected volume? One fstat. */
bool px_find(int fd, struct px_target *t);
/* The same for a name; `flags` as fstatat(2). */
bool px_find_at(int dir, const char *path, int flags, struct px_target *t);
bool px_find_stat(const struct stat *st, struct px_target *t);
/* Is the descriptor this volume? Also inside. */
bool px_is_volume(int fd, const struct px_target *t);
uint32_t px_groups(void);
struct capture *px_group(uint32_t i);
/* Are we a child that runs in its parent's memory (posix_spawn's)? */
bool px_is_guest(void);
/* Neither that, nor a child of fork that is not yet up to date. */
bool px_is_settled(void);
/* Then: our process' number. */
uint32_t px_pid(void);
/* Is it one of the driver's own descriptors? */
bool px_owns(int fd);
void px_check_partition(const struct stat *st);
extern char px_home[4096];    /* AIM_HOME */
extern char px_library[4096]; /* this library's path */
extern char px_loader[4096];  /* the program's own dynamic linker */

/* px_find of what is about to be written to: the program ends when it is a
 * partition of a protected disk (partition.c). */
static inline bool
px_find_written(int fd, struct px_target *t)
{
	t->st.st_mode = 0;
	if (px_find(fd, t))
		return true;
	if (unlikely(S_ISBLK(t->st.st_mode)))
		px_check_partition(&t->st);
	return false;
}

/* ---- known.c: descriptors that need not be asked about ---- */

enum {
	PX_NUMBERS = 1000, /* the first ones */
	PX_EPOCH_SHIFT = 30,
};

struct px_known {
	_Atomic uint32_t installing; /* calls in progress */
	_Atomic uint64_t epoch;	     /* shifted; a new one forgets all */
	/* epoch + 1: no volume. All else: known.c. */
	_Atomic uint64_t is[PX_NUMBERS];
	_Atomic uint32_t opener[PX_NUMBERS]; /* the process; 0: not opened */
	_Atomic uint64_t flags_seen[PX_GROUPS];
};
extern struct px_known *_Atomic px_known;
/* Numbers were remembered here to begin with, and will be again in a program
 * that this one becomes, or starts, whatever was forgotten since. */
extern bool px_remembers;

/* Only when the tripwire traps all calls that put a descriptor in place. */
void px_known_start(void);
/* Nothing is remembered from now on. */
void px_forget(void);
/* All descriptors are asked about again. */
void px_forget_all(void);
/* The number is about to be closed, or may mean something else. */
void px_unknown(int fd);
/* Around a call that puts a descriptor in place that may write: */
bool px_install(void);
/* `fd` may be an error; returns it. */
long px_installed(bool counted, long fd);
/* The same of one that this process alone has: an open. */
long px_opened(bool counted, long fd);
bool px_ask(int fd, struct px_target *t);
/* Does what px_ask has said still hold? Inside, right before the write. */
bool px_still_is(int fd, const struct px_target *t);

/* px_find_written for calls that only write, at a place: nothing is asked when
 * the answer is known. A write that fails is to ask again (px_unknown). */
static inline bool
px_writes_to(int fd, struct px_target *t)
{
	const struct px_known *k =
	    atomic_load_explicit(&px_known, memory_order_acquire);

	if (k != NULL && (unsigned)fd < PX_NUMBERS &&
	    atomic_load_explicit(&k->installing, memory_order_acquire) == 0 &&
	    atomic_load_explicit(&k->is[fd], memory_order_acquire) ==
		(atomic_load_explicit(&k->epoch, memory_order_acquire) | 1))
		return false;
	return px_ask(fd, t);
}

/* libc's own functions, for what a system call alone cannot do. */
struct px_calls {
	int (*sigaction)(int, const struct sigaction *, struct sigaction *);
	int (*sigprocmask)(int, const sigset_t *, sigset_t *);
	int (*pthread_cancel)(pthread_t);
	int (*pthread_sigmask)(int, const sigset_t *, sigset_t *);
	int (*posix_spawn)(pid_t *, const char *,
	    const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
	    char *const *, char *const *);
	int (*posix_spawnp)(pid_t *, const char *,
	    const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
	    char *const *, char *const *);
	int (*addopen)(
	    posix_spawn_file_actions_t *, int, const char *, int, mode_t);
	int (*addchdir)(posix_spawn_file_actions_t *, const char *);
	int (*addfchdir)(posix_spawn_file_actions_t *, int);
	int (*actions_destroy)(posix_spawn_file_actions_t *);
	int (*system)(const char *);
	FILE *(*popen)(const char *, const char *);
	FILE *(*fopen)(const char *, const char *);
	FILE *(*fdopen)(int, const char *);
	FILE *(*freopen)(const char *, const char *, FILE *);
	int (*fileno)(FILE *);
	int (*fclose)(FILE *);
	int (*posix_fallocate)(int, off_t, off_t);
	int (*aio_write)(void *);
	int (*lio_listio)(int, void *const *, int, void *);
	long (*syscall)(long, ...);
};
/* Looked up at the first use: other constructors come before ours. */
const struct px_calls *px_libc(void);
#define px_real (*px_libc())

/* ---- gate.c, patch.c ---- */

/* Where raw6 finds `syscall; ret`. */
extern void (*px_gate)(void);

void px_patch_start(void);
/* libc's streams and helper threads write through us: set before main. */
extern bool px_patched;
/* So do its duplicates of descriptors. */
extern bool px_patched_dups;

/* ---- tripwire.c, syscall.c ---- */

/* Arms the tripwire when AIM_TRIPWIRE asks for it, or finds it armed. */
void px_tripwire_start(void);
extern bool px_tripwire;
/* A SIGSYS: true when it was the tripwire, and the call has been made. */
bool px_tripped(const siginfo_t *info, void *context);

struct px_args {
	long a, b, c, d, e, f;
};
/* A system call by its number, captured; -errno. */
long px_number(long nr, const struct px_args *x);

/* ---- signals.c, guard.c ---- */

void px_signals_start(void);
/* SIGSYS comes to us first, and is never blocked. */
void px_signals_claim(void);
void px_undefer(void);

/* Nobody may cancel the thread in between either: the locks that it has would
 * stay, with a live owner. */
static inline void
px_enter(void)
{
	int type = PTHREAD_CANCEL_DEFERRED;

	if (!__libc_single_threaded && px_self.inside == 0)
		(void)pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	px_self.inside++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (unlikely(type == PTHREAD_CANCEL_ASYNCHRONOUS))
		px_self.asynchronous = true;
}

static inline void
px_leave(void)
{
	bool asynchronous = px_self.asynchronous && px_self.inside == 1;

	if (unlikely(asynchronous))
		px_self.asynchronous = false;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	px_self.inside--;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (unlikely(px_self.deferred) && px_self.inside == 0)
		px_undefer();
	if (unlikely(asynchronous))
		(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
}

/* A system call that may block, as a cancellation point (unless steady). */
long px_block(long nr, long a, long b, long c, long d, long e, long f);

/*
 * How many of the first `max` bytes of the buffers can be read, or -EFAULT
 * (none), -EINVAL (a length is negative). *total is the sum of the lengths.
 */
int64_t px_readable(
    const struct iovec *iov, int count, uint64_t max, uint64_t *total);

/* Calls capture_submit as libc would make the call: cancellation point,
 * restarted after signals that ask for it, errno unchanged. -errno. */
int64_t px_submit(const struct px_target *t, const struct capture_req *req);
/* Errors that the kernel gives before it has changed anything. */
bool px_is_clean(long error);
/* Tells the stream that a flush has succeeded. */
void px_flushed(const struct px_target *t);
/* Waits for what the group's commit policy asks for; -EIO when the journal
 * cannot be made durable. A cancellation point (unless steady). commit.c. */
long px_commit(const struct px_target *t);

/* ---- message.c ---- */

enum px_kind {
	PX_TROUBLE,
	PX_IOCTL,
	PX_CLONE,
	PX_MAP,
	PX_STDIO,
	PX_NAMES,
	PX_EXEC,
	PX_AIO,
	PX_URING,
	PX_FALLOCATE,
	PX_SPLICE,
	PX_FDS,
	PX_SPAWN,
	PX_PROCESS,
	PX_MOUNT,
	PX_KINDS,
};
/* "aim: ..." on stderr, once for each kind in a process. */
void px_say(enum px_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, and the program ends with that status. */
_Noreturn void px_die(int status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
const char *px_program(void);

/* ---- between the families ---- */

/* open.c, write.c, size.c, copy.c, exec.c: -errno instead of errno. */
long px_openat_raw(int dir, const char *path, int flags, mode_t mode);
int64_t px_write_raw(const struct px_target *t, int fd, const struct iovec *iov,
    int count, int64_t off, int rwf);
long px_resize(
    const struct px_target *t, int fd, const char *path, uint64_t size);
long px_fallocate_raw(
    const struct px_target *t, int fd, int mode, int64_t off, int64_t len);
long px_zero(const struct px_target *t, int fd, enum aim_op op, uint64_t off,
    uint64_t len, int mode, unsigned long request);
void px_environ_ensure(void);
/* stdio.c: descriptors 0 to 2 may have changed. */
void px_stdio_check(void);
void px_stdio_start(void);
void px_stdio_inherited(void);
extern int px_parking; /* where libc's diverted streams are kept */
extern int px_null;    /* aio.c: /dev/null, for writing */
void px_null_start(void);

#endif
