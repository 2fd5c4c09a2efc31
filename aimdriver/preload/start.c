/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start: attaches to every group of the home before main, or ends the program
 * with status 125. A call that comes before our constructor (from another
 * one's) starts the driver itself.
 *
 * A child of fork is recognised by a page that the kernel wipes in it, so
 * that clone and raw system calls are seen too; the first call there brings
 * the capture handles up to date.
 */
#include "aimdriver/preload/preload.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { NOT_STARTED = 0, STARTING, READY };

__thread struct px_thread px_self;
char px_home[4096];
char px_library[4096];
char px_loader[4096];

static _Atomic int state;
static struct capture **groups;
static uint32_t group_count;
static _Atomic uint32_t *same_process; /* 0: we are a new one; a lock */
static _Atomic long own_pid;

const struct px_calls *
px_libc(void)
{
	static struct px_calls real;
	static _Atomic bool known;

	if (likely(atomic_load_explicit(&known, memory_order_acquire)))
		return &real;
#define REAL(field, name) *(void **)(void *)&real.field = dlsym(RTLD_NEXT, name)
	REAL(sigaction, "sigaction");
	REAL(sigprocmask, "sigprocmask");
	REAL(pthread_cancel, "pthread_cancel");
	REAL(pthread_sigmask, "pthread_sigmask");
	REAL(posix_spawn, "posix_spawn");
	REAL(posix_spawnp, "posix_spawnp");
	REAL(addopen, "posix_spawn_file_actions_addopen");
	REAL(addchdir, "posix_spawn_file_actions_addchdir_np");
	REAL(addfchdir, "posix_spawn_file_actions_addfchdir_np");
	REAL(actions_destroy, "posix_spawn_file_actions_destroy");
	REAL(system, "system");
	REAL(popen, "popen");
	REAL(fopen, "fopen64");
	REAL(fdopen, "fdopen");
	REAL(freopen, "freopen64");
	REAL(fileno, "fileno");
	REAL(fclose, "fclose");
	REAL(posix_fallocate, "posix_fallocate64");
	REAL(aio_write, "aio_write64");
	REAL(lio_listio, "lio_listio64");
	REAL(syscall, "syscall");
#undef REAL
	if (real.sigaction == NULL || real.posix_spawn == NULL ||
	    real.fopen == NULL || real.syscall == NULL)
		px_die(125, "this C library is not one that can be captured");
	atomic_store_explicit(&known, true, memory_order_release);
	return &real;
}

/* This program's dynamic linker: only what uses it too can be captured. */
static void
find_loader(void)
{
	const ElfW(Phdr) *ph = (const void *)getauxval(AT_PHDR);
	unsigned long n = getauxval(AT_PHNUM);
	const char *base = NULL;

	for (unsigned long i = 0; ph != NULL && i < n; i++)
		if (ph[i].p_type == PT_PHDR)
			base = (const char *)ph - ph[i].p_vaddr;
	for (unsigned long i = 0; base != NULL && i < n; i++)
		if (ph[i].p_type == PT_INTERP)
			(void)snprintf(px_loader, sizeof(px_loader), "%s",
			    base + ph[i].p_vaddr);
#if defined(__x86_64__) && !defined(__ILP32__)
	if (px_loader[0] == '\0')
		(void)snprintf(px_loader, sizeof(px_loader),
		    "/lib64/ld-linux-x86-64.so.2");
#endif
}

static int
refuse_companions(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	if (info->dlpi_name != NULL &&
	    strstr(info->dlpi_name, "libeatmydata") != NULL)
		px_die(125,
		    "refused: %s is loaded into %s and makes fsync do nothing; "
		    "take it out of LD_PRELOAD",
		    info->dlpi_name, px_program());
	return 0;
}

static void
attach_one(const char *name)
{
	struct uuid id;
	struct err e = {0};

	if (uuid_parse(name, &id, NULL) < 0)
		return;
	if (group_count == PX_GROUPS)
		px_die(125, "more than %d groups in %s", PX_GROUPS, px_home);
	if (capture_attach(
		px_home, &id, CAPTURE_WRITER, &groups[group_count], &e) < 0)
		px_die(125, "capture could not start in %s: %s", px_program(),
		    e.text);
	group_count++;
}

static void
attach_all(void)
{
	char path[sizeof(px_home) + 8];
	struct dirent *d;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/active", px_home);
	dir = opendir(path);
	if (dir == NULL)
		px_die(125,
		    "capture could not start in %s: %s: %s; is AIM_HOME the "
		    "home of a site?",
		    px_program(), path, strerror(errno));
	groups = calloc(PX_GROUPS, sizeof(struct capture *));
	if (groups == NULL)
		px_die(125, "capture could not start: no memory");
	while ((d = readdir(dir)) != NULL)
		attach_one(d->d_name);
	(void)closedir(dir);
	if (group_count == 0)
		px_die(125,
		    "no group in %s: nothing is protected; see aim-manager "
		    "volume add",
		    path);
}

static void
in_child(void)
{
	if (same_process == NULL)
		return;
	atomic_store(same_process, 0);
	atomic_store(same_process + 1, 0);
}

static void
watch_forks(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || pthread_atfork(NULL, NULL, in_child) != 0)
		px_die(125, "capture could not start: no memory");
	/* Kernels before 4.14 cannot; then fork() alone is seen. */
	(void)madvise(page, 4096, MADV_WIPEONFORK);
	same_process = page;
	atomic_store(same_process, 1);
	atomic_store(&own_pid, raw1(SYS_getpid, 0));
}

static void
start(void)
{
	const char *home = getenv("AIM_HOME");
	Dl_info info;

	(void)px_libc();
	px_patch_start();
	px_tripwire_start();
	px_signals_start();
	if (getauxval(AT_SECURE) != 0)
		px_die(125, "refused: %s changes its user or rights",
		    px_program());
	if (home == NULL || home[0] != '/' || strlen(home) >= sizeof(px_home))
		px_die(125,
		    "AIM_HOME is not an absolute path; start programs with "
		    "aim-manager run");
	(void)snprintf(px_home, sizeof(px_home), "%s", home);
	if (dladdr((void *)(uintptr_t)px_on, &info) == 0 ||
	    info.dli_fname == NULL ||
	    realpath(info.dli_fname, px_library) == NULL)
		px_die(125, "capture could not start: own path not known");
	find_loader();
	(void)dl_iterate_phdr(refuse_companions, NULL);
	attach_all();
	px_null_start();
	watch_forks();
}

static void __attribute__((constructor)) px_start(void)
{
	int seen = NOT_STARTED;
	int saved = errno;

	if (atomic_compare_exchange_strong(&state, &seen, STARTING)) {
		px_enter();
		start();
		px_stdio_start();
		atomic_store(&state, READY);
		px_leave();
		px_stdio_inherited();
	}
	while (atomic_load(&state) != READY)
		(void)raw1(SYS_sched_yield, 0);
	errno = saved;
}

/* Made by clone(2) past libc: the kernel has no list of its locks, and libc
 * takes it for its parent. */
static _Atomic bool is_stranger;

static void
look_for_locks(void)
{
	void *head = NULL;
	size_t len = 0;
	long r = raw3(SYS_get_robust_list, 0, (long)&head, (long)&len);

	atomic_store(&is_stranger, r == 0 && head == NULL);
}

/* One thread brings the handles up to date; others wait for it. */
static void __attribute__((noinline)) forked(void)
{
	/* On the page as well: whoever held it at the fork is not here. */
	_Atomic uint32_t *busy = same_process + 1;
	int saved = errno;

	while (atomic_exchange(busy, 1) != 0)
		(void)raw1(SYS_sched_yield, 0);
	if (atomic_load(same_process) == 0) {
		px_enter();
		for (uint32_t i = 0; i < group_count; i++)
			capture_after_fork(groups[i]);
		look_for_locks();
		atomic_store(&own_pid, raw1(SYS_getpid, 0));
		atomic_store(same_process, 1);
		px_leave();
	}
	atomic_store(busy, 0);
	errno = saved;
}

bool
px_on(void)
{
	if (unlikely(px_self.inside > 0))
		return false;
	if (unlikely(
		atomic_load_explicit(&state, memory_order_acquire) != READY))
		px_start();
	return true;
}

bool
px_find_stat(const struct stat *st, struct px_target *t)
{
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return false;
	if (unlikely(
		atomic_load_explicit(same_process, memory_order_relaxed) == 0))
		forked();
	for (uint32_t i = 0; i < group_count; i++) {
		int v = capture_volume_find(groups[i], st);

		if (v >= 0) {
			if (unlikely(atomic_load_explicit(
				&is_stranger, memory_order_relaxed)))
				px_die(125,
				    "refused: %s uses a protected volume in a "
				    "process that it made by clone(2) itself: "
				    "nobody would notice its death in a write",
				    px_program());
			t->group = groups[i];
			t->index = i;
			t->volume = (uint32_t)v;
			t->flags = -1;
			t->word = 0;
			return true;
		}
	}
	return false;
}

/*
 * What a file is, and not its times: since Linux 6.13 a file whose times were
 * asked for gets a new one with its next write, which then dirties the inode,
 * and an fdatasync has that to write as well.
 */
static long
look_at(int fd, struct stat *st)
{
	struct statx sx = {0};
	long r = raw6(SYS_statx, fd, (long)"", AT_EMPTY_PATH,
	    STATX_TYPE | STATX_INO | STATX_SIZE, (long)&sx, 0);

	if (r == -EBADF)
		return r;
	if (r < 0) {
		r = raw2(SYS_fstat, fd, (long)st);
		return r == 0 ? 0
			      : raw4(SYS_newfstatat, fd, (long)"", (long)st,
				    AT_EMPTY_PATH);
	}
	*st = (struct stat){
	    .st_mode = sx.stx_mode,
	    .st_dev = makedev(sx.stx_dev_major, sx.stx_dev_minor),
	    .st_ino = sx.stx_ino,
	    .st_rdev = makedev(sx.stx_rdev_major, sx.stx_rdev_minor),
	    .st_size = (off_t)sx.stx_size,
	};
	return 0;
}

/*
 * What a file is could not be asked. When not even the root folder can be
 * looked at, it is the asking that is forbidden (a seccomp filter of the
 * program's own): then nobody knows what it writes to.
 */
static void __attribute__((noinline)) not_told(long why)
{
	struct stat st;

	if (why == -EBADF || why == -ENOENT || why == -EFAULT ||
	    raw4(SYS_newfstatat, AT_FDCWD, (long)"/", (long)&st, 0) == 0)
		return;
	/* Nor is it known where a message would go: only to what has no place
	 * to write at. */
	px_enter();
	while (raw3(SYS_lseek, 2, 0, SEEK_CUR) != -ESPIPE)
		(void)raw1(SYS_exit_group, 126);
	px_die(126,
	    "refused: a seccomp filter of %s's own forbids to ask what a file "
	    "is (statx, fstat): its writes could not be captured",
	    px_program());
}

bool
px_find(int fd, struct px_target *t)
{
	long r;

	if (!px_on())
		return false;
	r = look_at(fd, &t->st);
	if (unlikely(r != 0)) {
		not_told(r);
		return false;
	}
	return px_find_stat(&t->st, t);
}

bool
px_is_volume(int fd, const struct px_target *t)
{
	struct stat st;

	return look_at(fd, &st) == 0 &&
	       (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) &&
	       capture_volume_find(t->group, &st) == (int)t->volume;
}

bool
px_find_at(int dir, const char *path, int flags, struct px_target *t)
{
	long r;

	if (!px_on())
		return false;
	r = raw4(SYS_newfstatat, dir, (long)path, (long)&t->st, flags);
	if (r != 0) {
		not_told(r);
		return false;
	}
	return px_find_stat(&t->st, t);
}

/* After px_find, which knows a child of fork. */
bool
px_is_guest(void)
{
	return raw1(SYS_getpid, 0) != atomic_load(&own_pid);
}

bool
px_is_settled(void)
{
	return atomic_load(same_process) != 0 && !px_is_guest();
}

uint32_t
px_pid(void)
{
	return (uint32_t)atomic_load(&own_pid);
}

uint32_t
px_groups(void)
{
	return group_count;
}

struct capture *
px_group(uint32_t i)
{
	return groups[i];
}

bool
px_owns(int fd)
{
	if (fd < 0 || px_self.inside > 0 || atomic_load(&state) != READY)
		return false;
	if (fd == px_parking || fd == px_null)
		return true;
	for (uint32_t i = 0; i < group_count; i++)
		if (capture_owns_fd(groups[i], fd))
			return true;
	return false;
}
