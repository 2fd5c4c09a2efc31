/* SPDX-License-Identifier: Apache-2.0 */
/* What reaches libc past the names that a library can put itself before. */
#include "tests/preload_calls.h"

#include <dlfcn.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <utmp.h>
#include <wchar.h>

/* An address of libc's own, as Python's ctypes finds it. */
static void
find(const char *name, void *out)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY);
	void *p = libc != NULL ? dlsym(libc, name) : NULL;

	if (p == NULL) {
		fprintf(stderr, "%s: not in libc.so.6\n", name);
		exit(2);
	}
	memcpy(out, &p, sizeof(p));
}

static void
libcs_own(const char *path)
{
	ssize_t (*own_write)(int, const void *, size_t);
	ssize_t (*own_pwrite)(int, const void *, size_t, off_t);
	ssize_t (*own_writev)(int, const struct iovec *, int);
	int (*own_truncate)(int, off_t);
	long (*own_syscall)(long, ...);
	struct iovec iov[2] = {{pattern(70, 3), 70}, {pattern(900, 4), 900}};
	int fd = must_open(path, O_RDWR);

	find("write", &own_write);
	find("pwrite64", &own_pwrite);
	find("writev", &own_writev);
	find("ftruncate", &own_truncate);
	find("syscall", &own_syscall);
	SHOW(own_write(fd, pattern(100, 1), 100));
	SHOW(own_pwrite(fd, pattern(5000, 2), 5000, 9000));
	SHOW(own_writev(fd, iov, 2));
	SHOW(own_truncate(fd, 2000000));
	SHOW(own_syscall(SYS_pwrite64, fd, pattern(9, 5), 9, 1900000));
	SHOW(own_write(fd, NULL, 10));
	SHOW(own_write(-1, "x", 1));
}

static void
wide(const char *path)
{
	FILE *f = fopen(path, "r+");

	SHOW(fwprintf(f, L"%ls %d\n", L"wide", 42));
	SHOW(fputwc(L'x', f));
	SHOW(fclose(f));
	f = fopen(path, "a+,ccs=UTF-8");
	SHOW(fwprintf(f, L"wide at the end\n"));
	SHOW(fclose(f));
}

static void
log_entry(const char *path)
{
	struct utmp u = {.ut_type = USER_PROCESS, .ut_pid = 7};

	SHOW(ftruncate(must_open(path, O_RDWR), 0));
	updwtmp(path, &u);
	updwtmp(path, &u);
}

static void
kept_stream(const char *path)
{
	FILE *kept = stdout;
	int fd = must_open(path, O_RDWR), before = dup(1);

	fflush(stdout);
	SHOW(0);
	fflush(stdout);
	(void)dup2(fd, 1);
	fprintf(kept, "through a pointer from before\n");
	fflush(kept);
	putw(42, stdout);
	fflush(stdout);
	(void)dup2(before, 1);
}

/* A child that opens by a relative name, from another folder. */
static void
spawn_truncates(const char *path)
{
	posix_spawn_file_actions_t a;
	char here[4096], *argv[] = {(char *)(uintptr_t) "true", NULL};
	pid_t pid = 0;
	int r;

	if (getcwd(here, sizeof(here)) == NULL || chdir("/") != 0)
		return;
	(void)posix_spawn_file_actions_init(&a);
	SHOW(posix_spawn_file_actions_addchdir_np(&a, here));
	SHOW(r = posix_spawn_file_actions_addopen(
		 &a, 5, path, O_WRONLY | O_TRUNC, 0));
	SHOW(r = r != 0 ? r : posix_spawnp(&pid, "true", &a, NULL, argv, NULL));
	if (r == 0)
		(void)waitpid(pid, NULL, 0);
	(void)posix_spawn_file_actions_destroy(&a);
}

/* By a name that becomes the volume's only when the child opens it. */
static void
spawn_truncates_later(const char *path)
{
	posix_spawn_file_actions_t a;
	char *argv[] = {(char *)(uintptr_t) "true", NULL};
	pid_t pid = 0;
	int r;

	(void)posix_spawn_file_actions_init(&a);
	SHOW(posix_spawn_file_actions_addopen(
	    &a, 5, "later", O_WRONLY | O_TRUNC, 0));
	SHOW(symlink(path, "later"));
	SHOW(r = posix_spawnp(&pid, "true", &a, NULL, argv, NULL));
	if (r == 0)
		(void)waitpid(pid, NULL, 0);
	(void)posix_spawn_file_actions_destroy(&a);
	(void)unlink("later");
}

/* Another file: the child truncates it, with all signals blocked. */
static void
spawn_elsewhere(const char *path)
{
	posix_spawn_file_actions_t a;
	char *argv[] = {
	    (char *)(uintptr_t) "echo", (char *)(uintptr_t) "short", NULL};
	char other[4200], text[32];
	int fd, status = -1;
	pid_t pid = 0;

	(void)snprintf(other, sizeof(other), "%s.other", path);
	fd = open(other, O_RDWR | O_CREAT, 0600);
	SHOW(write(fd, pattern(1000, 1), 1000));
	(void)posix_spawn_file_actions_init(&a);
	SHOW(posix_spawn_file_actions_addopen(
	    &a, 1, other, O_WRONLY | O_TRUNC, 0));
	SHOW(posix_spawnp(&pid, "echo", &a, NULL, argv, NULL));
	SHOW(waitpid(pid, &status, 0) == pid);
	SHOW(status);
	SHOW(pread(fd, text, sizeof(text), 0));
	(void)posix_spawn_file_actions_destroy(&a);
	(void)unlink(other);
}

/* A descriptor that somebody else has opened. */
static void
received(const char *path)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {pattern(1, 1), 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	int ends[2], fd;
	pid_t pid;

	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fd = must_open(path, O_RDWR);
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		_exit(sendmsg(ends[1], &m, 0) != 1);
	}
	SHOW(recvmsg(ends[0], &m, 0));
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	(void)waitpid(pid, NULL, 0);
	SHOW(write(fd, pattern(3000, 2), 3000));
	SHOW(write(ends[0], "to the socket", 13));
}

const struct call inside_calls[] = {INSIDE(libcs_own), INSIDE(wide),
    INSIDE(log_entry), INSIDE(kept_stream), REFUSED(spawn_truncates),
    INSIDE_REFUSED(spawn_truncates_later), SAME(spawn_elsewhere),
    SAME(received), {NULL, NULL, NULL}};
