/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch: libc's own wrappers of the calls that write begin with a jump to
 * ours. What libc writes from inside (stdio above all) and what reaches a
 * wrapper past our symbols (dlsym on libc, ctypes) then comes here as well.
 *
 * Done once, by the first thread, before there are others; never undone. The
 * text is never writable and executable at the same time: while a page is
 * writable, nothing of libc runs, only code of this file and raw calls. A
 * function that entry.c does not recognise stays as it is.
 */
#include "aimdriver/preload/preload.h"

bool px_patched, px_patched_dups;

#if defined(__x86_64__) && !defined(__ILP32__)

#include "aimdriver/preload/entry.h"
#include "aimdriver/preload/calls.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>

enum { PATCH_PAGE = 4096 };

/* How libc's streams, helper threads and posix_spawn open and write; how
 * posix_spawn duplicates. */
enum { NEEDED = 4, DUP2 = NEEDED };

static const struct wrapper {
	const char *name;
	long nr; /* -1: any number */
	void (*ours)(void);
} wrappers[] = {
#define OURS(name) ((void (*)(void))px_##name)
    /* NEEDED */
    {"write", SYS_write, OURS(write)},
    {"open64", SYS_openat, OURS(open)},
    {"pwrite64", SYS_pwrite64, OURS(pwrite)},
    {"__open64_nocancel", SYS_openat, OURS(open_nocancel)},
    {"dup2", SYS_dup2, OURS(dup2)},
    /* the others */
    {"__write_nocancel", SYS_write, OURS(write_nocancel)},
    {"writev", SYS_writev, OURS(writev)},
    {"pwritev64", SYS_pwritev, OURS(pwritev)},
    {"pwritev64v2", SYS_pwritev2, OURS(pwritev2)},
    {"ftruncate64", SYS_ftruncate, OURS(ftruncate)},
    {"truncate64", SYS_truncate, OURS(truncate)},
    {"fallocate64", SYS_fallocate, OURS(fallocate)},
    {"copy_file_range", SYS_copy_file_range, OURS(copy_file_range)},
    {"sendfile64", SYS_sendfile, OURS(sendfile)},
    {"splice", SYS_splice, OURS(splice)},
    {"ioctl", SYS_ioctl, OURS(ioctl)},
    {"mmap64", SYS_mmap, OURS(mmap)},
    {"openat64", SYS_openat, OURS(openat)},
    {"creat64", SYS_creat, OURS(creat)},
    {"open_by_handle_at", SYS_open_by_handle_at, OURS(open_by_handle_at)},
    {"fsync", SYS_fsync, OURS(fsync)},
    {"fdatasync", SYS_fdatasync, OURS(fdatasync)},
    {"syncfs", SYS_syncfs, OURS(syncfs)},
    {"rename", SYS_rename, OURS(rename)},
    {"renameat", SYS_renameat, OURS(renameat)},
    {"renameat2", SYS_renameat2, OURS(renameat2)},
    {"unlink", SYS_unlink, OURS(unlink)},
    {"unlinkat", SYS_unlinkat, OURS(unlinkat)},
    {"link", SYS_link, OURS(link)},
    {"linkat", SYS_linkat, OURS(linkat)},
    {"mount", SYS_mount, OURS(mount)},
    {"swapon", SYS_swapon, OURS(swapon)},
    {"fsconfig", SYS_fsconfig, OURS(fsconfig)},
    {"syscall", -1, OURS(syscall)},
    {"dup", SYS_dup, OURS(dup)},
    {"dup3", SYS_dup3, OURS(dup3)},
    {"fcntl64", SYS_fcntl, OURS(fcntl)},
    {"recvmsg", SYS_recvmsg, OURS(recvmsg)},
    {"recvmmsg", SYS_recvmmsg, OURS(recvmmsg)},
    {"sendmsg", SYS_sendmsg, OURS(sendmsg)},
    {"sendmmsg", SYS_sendmmsg, OURS(sendmmsg)},
    {"memfd_create", SYS_memfd_create, OURS(memfd_create)},
#undef OURS
};
enum { WRAPPERS = sizeof(wrappers) / sizeof(wrappers[0]) };

struct patch {
	volatile uint8_t *at;
	uint8_t jump[ENTRY_JUMP];
};

/* False: not to be found in libc, or not recognised. */
static bool
prepare(void *libc, const struct wrapper *w, struct patch *out)
{
	const uint8_t *code = dlsym(libc, w->name);
	void *found = NULL;
	const ElfW(Sym) * symbol;
	struct link_map *map = libc;
	const char *ours;
	Dl_info info;
	int place;

	memcpy(&ours, &w->ours, sizeof(ours));
	if (code == NULL || dladdr1(code, &info, &found, RTLD_DL_SYMENT) == 0 ||
	    found == NULL || info.dli_saddr != code ||
	    (uintptr_t)info.dli_fbase != map->l_addr)
		return false;
	symbol = found;
	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC)
		return false;
	place = entry_place(code, symbol->st_size, w->nr);
	if (place < 0)
		return false;
	entry_jump(out->jump, ours);
	out->at = (volatile uint8_t *)(uintptr_t)(code + place);
	return true;
}

static uintptr_t
page_of(uintptr_t a)
{
	return a / PATCH_PAGE * PATCH_PAGE;
}

/* Some systems refuse to execute what was writable: then all stays as it is. */
static bool
may_execute(void)
{
	long page = raw6(SYS_mmap, 0, PATCH_PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long r;

	if (page < 0 && page > -4096)
		return false;
	r = raw3(SYS_mprotect, page, PATCH_PAGE, PROT_READ | PROT_EXEC);
	(void)raw2(SYS_munmap, page, PATCH_PAGE);
	return r == 0;
}

_Noreturn static void
stuck(void)
{
	static const char text[] =
	    "aim: capture could not start: the C library's text may not be "
	    "executed after it was changed; what forbids it (SELinux?) must "
	    "allow it for this program\n";

	(void)raw3(SYS_write, 2, (long)text, sizeof(text) - 1);
	for (;;)
		(void)raw1(SYS_exit_group, 125);
}

/* Nothing of libc from here on: its text may not be executable. */
static void
put(const struct patch *p)
{
	for (int i = 0; i < ENTRY_JUMP; i++)
		p->at[i] = p->jump[i];
}

static bool
apply(const struct patch *list, size_t count)
{
	size_t i = 0;

	while (i < count) {
		uintptr_t from = page_of((uintptr_t)list[i].at);
		uintptr_t end = from;
		size_t n = i;

		while (n < count && page_of((uintptr_t)list[n].at) <= end) {
			end = page_of((uintptr_t)list[n].at + ENTRY_JUMP - 1) +
			      PATCH_PAGE;
			n++;
		}
		if (raw3(SYS_mprotect, (long)from, (long)(end - from),
			PROT_READ | PROT_WRITE) < 0)
			return false;
		for (; i < n; i++)
			put(&list[i]);
		if (raw3(SYS_mprotect, (long)from, (long)(end - from),
			PROT_READ | PROT_EXEC) < 0)
			stuck();
	}
	return true;
}

static void
add_sorted(struct patch *list, size_t count, const struct patch *p)
{
	while (count > 0 && list[count - 1].at > p->at) {
		list[count] = list[count - 1];
		count--;
	}
	list[count] = *p;
}

void
px_patch_start(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	struct patch list[WRAPPERS], one;
	size_t count = 0, needed = 0;
	bool dups = false;
	uint64_t all = ~UINT64_C(0), mask = 0;

	if (libc == NULL || !__libc_single_threaded || !may_execute())
		return;
	for (size_t i = 0; i < WRAPPERS; i++) {
		if (!prepare(libc, &wrappers[i], &one))
			continue;
		add_sorted(list, count++, &one);
		needed += i < NEEDED;
		dups = dups || i == DUP2;
	}
	(void)dlclose(libc);
	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, 8);
	px_patched = apply(list, count) && needed == NEEDED;
	px_patched_dups = px_patched && dups;
	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, 8);
}

#else

void
px_patch_start(void)
{
}

#endif
