/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/program.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <paths.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define SCRIPT_LEVELS 4
#define SCRIPT_LINE 256
#define HEADERS_LIMIT 4096u
#define ST_NOSUID_FLAG 2

int
program_find(const char *name, char path[PATH_MAX], struct err *e)
{
	const char *list = getenv("PATH");
	bool denied = false;
	struct stat st;

	if (list == NULL)
		list = _PATH_DEFPATH;
	if (strchr(name, '/') != NULL)
		list = NULL;
	while (name[0] != 0) {
		size_t len = list == NULL ? 0 : strcspn(list, ":");
		int n = list == NULL
			    ? snprintf(path, PATH_MAX, "%s", name)
			    : snprintf(path, PATH_MAX, "%.*s%s%s", (int)len,
				  list, len > 0 ? "/" : "./", name);

		if (n < PATH_MAX && stat(path, &st) == 0) {
			if (S_ISREG(st.st_mode) &&
			    faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
				return 0;
			denied = true;
		} else if (errno == EACCES)
			denied = true;
		if (list == NULL || list[len] == 0)
			break;
		list += len + 1;
	}
	(void)err_set(e, ERR_REFUSED,
	    denied ? "%s cannot be executed" : "%s: command not found", name);
	if (e != NULL)
		e->sys = denied ? EACCES : ENOENT;
	return -1;
}

static int
no(struct err *e, const char *path, const char *why)
{
	return err_set(e, ERR_REFUSED,
	    "%s %s: its writes could not be captured, so it is not started",
	    path, why);
}

/* The dynamic linker that we were loaded by. */
static int
our_linker(char *out, size_t room)
{
	AUTO_CLOSE int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ElfW(Ehdr) eh;
	ElfW(Phdr) ph;

	if (fd < 0 || io_read_at(fd, &eh, sizeof(eh), 0, NULL) < 0)
		return -1;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (io_read_at(fd, &ph, sizeof(ph), eh.e_phoff + i * sizeof(ph),
			NULL) < 0)
			return -1;
		if (ph.p_type != PT_INTERP)
			continue;
		if (ph.p_filesz == 0 || ph.p_filesz > room ||
		    io_read_at(fd, out, ph.p_filesz, ph.p_offset, NULL) < 0)
			return -1;
		out[ph.p_filesz - 1] = 0;
		return 0;
	}
	return -1;
}

static bool
is_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Would the kernel start it with other rights, and so without LD_PRELOAD? */
static const char *
changes_rights(int fd, const struct stat *st)
{
	struct statfs fs;
	char caps[64];

	if (getuid() != geteuid() || getgid() != getegid())
		return "would start with other rights than its user's";
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
	    (fstatfs(fd, &fs) == 0 && (fs.f_flags & ST_NOSUID_FLAG) != 0))
		return NULL;
	if ((st->st_mode & S_ISUID) != 0 && st->st_uid != getuid())
		return "is setuid";
	if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    st->st_gid != getgid())
		return "is setgid";
	if (getuid() != 0 &&
	    fgetxattr(fd, "security.capability", caps, sizeof(caps)) > 0)
		return "has file capabilities";
	return NULL;
}

static int
check_linker(int fd, const char *path, const ElfW(Phdr) * ph, struct err *e)
{
	char name[PATH_MAX], ours[PATH_MAX];

	if (ph->p_filesz == 0 || ph->p_filesz > sizeof(name) ||
	    io_read_at(fd, name, ph->p_filesz, ph->p_offset, NULL) < 0)
		return no(e, path, "names no dynamic linker");
	name[ph->p_filesz - 1] = 0;
	if (our_linker(ours, sizeof(ours)) == 0 && !is_same_file(name, ours))
		return no(e, path, "uses another C library");
	return 0;
}

static int
check_elf(int fd, const char *path, const ElfW(Ehdr) * eh, struct err *e)
{
	char ours[PATH_MAX];
	ElfW(Phdr) ph;

	if (eh->e_ident[EI_CLASS] !=
	    (sizeof(long) == 8 ? ELFCLASS64 : ELFCLASS32))
		return no(e, path, "is for another architecture");
	for (unsigned i = 0; i < eh->e_phnum && i < HEADERS_LIMIT; i++) {
		if (io_read_at(fd, &ph, sizeof(ph),
			eh->e_phoff + i * sizeof(ph), NULL) < 0)
			break;
		if (ph.p_type == PT_INTERP)
			return check_linker(fd, path, &ph, e);
	}
	if (our_linker(ours, sizeof(ours)) == 0 && is_same_file(path, ours))
		return 0; /* ld.so PROGRAM */
	return no(e, path, "is statically linked");
}

/* 1: a script; its interpreter is then in `line` at *next. */
static int
check_one(
    const char *path, char line[SCRIPT_LINE], const char **next, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ElfW(Ehdr) eh = {0};
	struct stat st;
	const char *why;
	char *end;

	if (fd < 0)
		return errno == EACCES ? no(e, path, "cannot be read")
				       : err_sys(e, "open %s", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", path);
	why = changes_rights(fd, &st);
	if (why != NULL)
		return no(e, path, why);
	if (io_read_some_at(fd, &eh, sizeof(eh), 0, e) < 0)
		return err_at(e, "%s", path);
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) == 0)
		return check_elf(fd, path, &eh, e);
	memset(line, 0, SCRIPT_LINE);
	if (io_read_some_at(fd, line, SCRIPT_LINE - 1, 0, e) < 0)
		return err_at(e, "%s", path);
	if (line[0] != '#' || line[1] != '!')
		return 0; /* the shell takes it */
	*next = line + 2 + strspn(line + 2, " \t");
	end = line + (*next - line) + strcspn(*next, " \t\n");
	*end = 0;
	return **next == 0 ? 0 : 1;
}

int
program_check(const char *path, struct err *e)
{
	char line[2][SCRIPT_LINE];
	const char *next = path;
	int more = 1;

	for (int i = 0; more > 0 && i <= SCRIPT_LEVELS; i++)
		more = check_one(next, line[i & 1], &next, e);
	return more < 0 ? -1 : 0; /* deeper: the kernel gives up as well */
}
