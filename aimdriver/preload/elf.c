/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf: may this program be started? Only one that our dynamic linker will
 * load, with LD_PRELOAD in force, is captured; any other could write to a
 * protected volume unseen. What the kernel itself will refuse to start is
 * left to the kernel, for its own error.
 */
#include "aimdriver/preload/exec.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { SCRIPT_LEVELS = 4, SCRIPT_LINE = 256 };
#ifndef ST_NOSUID
#define ST_NOSUID 2
#endif

static long
no(const char *path, const char *why)
{
	px_say(PX_EXEC,
	    "refused: %s starts %s, which %s and so cannot be captured",
	    px_program(), path, why);
	return -EACCES;
}

static bool
is_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return raw4(SYS_newfstatat, AT_FDCWD, (long)a, (long)&sa, 0) == 0 &&
	       raw4(SYS_newfstatat, AT_FDCWD, (long)b, (long)&sb, 0) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Would the kernel set AT_SECURE, so that LD_PRELOAD is dropped? */
static const char *
changes_rights(int fd, const struct stat *st)
{
	/* The tripwire takes them away from all, which is no reason to start
	 * what needs them. */
	bool honoured =
	    px_tripwire || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
	struct statfs fs;
	char caps[64];

	if (getuid() != geteuid() || getgid() != getegid())
		return "starts with changed rights (its user is not the real "
		       "one)";
	if (!honoured ||
	    (fstatfs(fd, &fs) == 0 && (fs.f_flags & ST_NOSUID) != 0))
		return NULL;
	if ((st->st_mode & S_ISUID) != 0 && st->st_uid != getuid())
		return "is setuid";
	if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    st->st_gid != getgid())
		return "is setgid";
	if (getuid() != 0 &&
	    raw4(SYS_fgetxattr, fd, (long)"security.capability", (long)caps,
		sizeof(caps)) > 0)
		return "has file capabilities";
	return NULL;
}

static long
check_interpreter(const char *path, int fd, const ElfW(Phdr) * ph)
{
	char name[4096];
	size_t len = ph->p_filesz < sizeof(name) ? ph->p_filesz : 0;

	if (len == 0 || raw4(SYS_pread64, fd, (long)name, (long)len,
			    (long)ph->p_offset) != (long)len)
		return no(path, "names no dynamic linker");
	name[len - 1] = '\0';
	if (!is_same_file(name, px_loader))
		return no(path, "uses another C library");
	return 0;
}

static long
check_elf(const char *path, int fd, const ElfW(Ehdr) * eh)
{
	ElfW(Phdr) ph;

	if (eh->e_ident[EI_CLASS] !=
		(sizeof(long) == 8 ? ELFCLASS64 : ELFCLASS32) ||
#if defined(__x86_64__)
	    eh->e_machine != EM_X86_64
#elif defined(__aarch64__)
	    eh->e_machine != EM_AARCH64
#else
	    false
#endif
	)
		return no(path, "is for another architecture");
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		if (raw4(SYS_pread64, fd, (long)&ph, sizeof(ph),
			(long)(eh->e_phoff + i * sizeof(ph))) != sizeof(ph))
			break;
		if (ph.p_type == PT_INTERP)
			return check_interpreter(path, fd, &ph);
	}
	if (is_same_file(path, px_loader))
		return 0; /* ld.so PROGRAM */
	return no(path, "is statically linked");
}

/* The interpreter of a `#!` line, in place; NULL when there is none. */
static const char *
script_interpreter(char *line)
{
	char *p = line + 2, *end;

	while (*p == ' ' || *p == '\t')
		p++;
	end = p + strcspn(p, " \t\n");
	*end = '\0';
	return *p == '\0' ? NULL : p;
}

/* 1: a script, whose interpreter is in `line` at *next. */
static long
check_one(int dir, const char *path, int at, char *line, const char **next)
{
	union {
		ElfW(Ehdr) eh;
		char text[sizeof(ElfW(Ehdr))];
	} head;
	struct stat st;
	const char *why;
	bool by_fd = (at & AT_EMPTY_PATH) != 0 && path[0] == '\0';
	const char *name = by_fd ? "a descriptor" : path;
	long fd, n, r = 0;

	if (by_fd)
		fd = raw3(SYS_dup, dir, 0, 0);
	else
		fd = raw4(SYS_openat, dir, (long)path,
		    O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd == -EACCES && raw3(SYS_faccessat, dir, (long)path, X_OK) == 0)
		return no(name, "cannot be read");
	if (fd < 0)
		return 0; /* the kernel will say */
	memset(&head, 0, sizeof(head));
	memset(line, 0, SCRIPT_LINE);
	if (raw2(SYS_fstat, fd, (long)&st) < 0 || !S_ISREG(st.st_mode))
		goto out;
	why = changes_rights((int)fd, &st);
	if (why != NULL) {
		r = no(name, why);
		goto out;
	}
	n = raw4(SYS_pread64, fd, (long)&head, sizeof(head), 0);
	if (n == sizeof(head) && memcmp(head.text, ELFMAG, SELFMAG) == 0)
		r = check_elf(name, (int)fd, &head.eh);
	else if (n > 2 && head.text[0] == '#' && head.text[1] == '!' &&
		 raw4(SYS_pread64, fd, (long)line, SCRIPT_LINE - 1, 0) > 2) {
		*next = script_interpreter(line);
		r = *next != NULL ? 1 : 0;
	}
out:
	(void)raw1(SYS_close, fd);
	return r;
}

long
px_may_exec(int dir, const char *path, int at)
{
	char line[2][SCRIPT_LINE];
	const char *next = NULL;
	long r;

	if (path == NULL)
		return 0;
	/* What ld.so cannot open it leaves out, and goes on. (As the real
	 * user: where the effective one differs, nothing is started.) */
	if (raw3(SYS_faccessat, AT_FDCWD, (long)px_library, R_OK) < 0)
		return no(path,
		    "runs where the AIM library is not to be found, or may "
		    "not be read");
	r = check_one(dir, path, at, line[0], &next);
	for (int i = 1; r == 1 && i <= SCRIPT_LEVELS; i++)
		r = check_one(AT_FDCWD, next, 0, line[i & 1], &next);
	return r == 1 ? 0 : r; /* the kernel gives up as well */
}
