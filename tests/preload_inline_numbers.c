/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Number 3 is a file that is no volume, is written to, is closed by an
 * instruction that nobody sees, and comes to mean the volume in one of many
 * ways. What is written to it then must be captured. All other descriptors are
 * kept above, so that 3 is the next one to be given.
 */
#include "tests/preload_inline.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__ILP32__)

enum { N = 3, UP = 100 };

static const char *volume;
static int ours;   /* the volume, above */
static int other;  /* the file that is no volume, above */
static long place; /* of the next write */

static int
up(int fd)
{
	int r = fcntl(fd, F_DUPFD, UP);

	if (fd < 0 || r < 0 || close(fd) != 0)
		exit(2);
	return r;
}

static bool
is_volume(void)
{
	struct stat a, b;

	return fstat(N, &a) == 0 && fstat(ours, &b) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* 3 is the other file, and the driver has seen that. */
static void
begin(void)
{
	if (dup2(other, N) != N)
		exit(2);
	for (int i = 0; i < 3; i++)
		if (pwrite(N, "known", 5, 0) != 5)
			exit(2);
}

static void
write_to_it(const char *name)
{
	char text[64];
	size_t len;

	memset(text, 0, sizeof(text));
	(void)snprintf(text, sizeof(text), "%s at %ld", name, place);
	len = strlen(text);
	printf("%s: %d, %d\n", name, is_volume(),
	    pwrite(N, text, len, place) == (ssize_t)len);
	place += 64;
}

/* ---- one way each; 3 is free, unless it is replaced ---- */

static void
sent(struct msghdr *m, bool receive, int *sockets)
{
	static char room[CMSG_SPACE(sizeof(int))], byte;
	static struct iovec iov = {&byte, 1};
	struct cmsghdr *c;

	memset(m, 0, sizeof(*m));
	m->msg_iov = &iov;
	m->msg_iovlen = 1;
	m->msg_control = room;
	m->msg_controllen = sizeof(room);
	if (receive)
		return;
	memset(room, 0, sizeof(room));
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &ours, sizeof(int));
	if (sendmsg(sockets[0], m, 0) != 1)
		exit(2);
}

static int sockets[2];

static void
by_recvmsg(void)
{
	struct msghdr m;

	sent(&m, false, sockets);
	sent(&m, true, sockets);
	(void)recvmsg(sockets[1], &m, 0);
}

static void
by_inline_recvmsg(void)
{
	struct msghdr m;

	sent(&m, false, sockets);
	sent(&m, true, sockets);
	(void)CALL(recvmsg, sockets[1], &m, 0, 0, 0, 0);
}

/* The descriptor is there before the kernel finds that it cannot say more. */
static void
by_failed_recvmsg(void)
{
	static struct msghdr *m;

	if (m == NULL)
		m = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		exit(2);
	sent(m, false, sockets);
	sent(m, true, sockets);
	if (mprotect(m, 4096, PROT_READ) != 0)
		exit(2);
	SHOW(recvmsg(sockets[1], m, 0));
}

static void
by_recvmmsg(void)
{
	struct mmsghdr m;

	sent(&m.msg_hdr, false, sockets);
	sent(&m.msg_hdr, true, sockets);
	(void)recvmmsg(sockets[1], &m, 1, 0, NULL);
}

static void
by_inline_recvmmsg(void)
{
	struct mmsghdr m;

	sent(&m.msg_hdr, false, sockets);
	sent(&m.msg_hdr, true, sockets);
	(void)CALL(recvmmsg, sockets[1], &m, 1, 0, 0, 0);
}

static void
by_handle(void)
{
	static char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *h = (void *)room;
	int id;

	h->handle_bytes = MAX_HANDLE_SZ;
	/* Without the right to it 3 stays closed, plainly as well. */
	if (name_to_handle_at(AT_FDCWD, volume, h, &id, 0) == 0)
		(void)CALL(open_by_handle_at, AT_FDCWD, h, O_RDWR, 0, 0, 0);
}

static void
by_openat2(void)
{
	struct open_how how = {.flags = O_RDWR};

	(void)CALL(openat2, AT_FDCWD, volume, &how, sizeof(how), 0, 0);
}

static void
by_pidfd(void)
{
	int self = (int)CALL(pidfd_open, getpid(), 0, 0, 0, 0, 0);

	(void)CALL(dup3, self, UP + 50, 0, 0, 0, 0);
	(void)CALL(close, self, 0, 0, 0, 0, 0);
	(void)CALL(pidfd_getfd, UP + 50, ours, 0, 0, 0, 0);
	(void)close(UP + 50);
}

static void
by_fopen(void)
{
	FILE *f = fopen(volume, "r+");

	if (f == NULL || fileno(f) != N || fseek(f, place + 6400, 0) != 0 ||
	    fputs("by a stream", f) < 0 || fflush(f) != 0)
		exit(2);
}

static void
by_freopen(void)
{
	static FILE *f;

	if (f == NULL)
		f = fopen("/dev/null", "r");
	if (f == NULL || fileno(f) != N || freopen(volume, "r+", f) == NULL)
		exit(2);
}

/* Which number it is shows when it is written to. */
static long given;
#define WAY(name, expr)                                                        \
	static void name(void)                                                 \
	{                                                                      \
		given = (expr);                                                \
	}
WAY(by_open, open(volume, O_RDWR))
WAY(by_openat, openat(AT_FDCWD, volume, O_WRONLY))
WAY(by_syscall, syscall(SYS_openat, AT_FDCWD, volume, O_RDWR))
WAY(by_inline_open, CALL(open, volume, O_RDWR, 0, 0, 0, 0))
WAY(by_inline_openat, CALL(openat, AT_FDCWD, volume, O_WRONLY, 0, 0, 0))
WAY(by_inline_append,
    CALL(openat, AT_FDCWD, volume, O_RDWR | O_APPEND, 0, 0, 0))
WAY(by_proc, open("/proc/self/fd/100", O_RDWR))
WAY(by_dup, dup(ours))
WAY(by_dup2, dup2(ours, N))
WAY(by_dup3, dup3(ours, N, O_CLOEXEC))
WAY(by_fcntl, fcntl(ours, F_DUPFD, 0))
WAY(by_fcntl_cloexec, fcntl(ours, F_DUPFD_CLOEXEC, 0))
WAY(by_inline_dup, CALL(dup, ours, 0, 0, 0, 0, 0))
WAY(by_inline_dup2, CALL(dup2, ours, N, 0, 0, 0, 0))
WAY(by_inline_dup3, CALL(dup3, ours, N, O_CLOEXEC, 0, 0, 0))
WAY(by_inline_fcntl, CALL(fcntl, ours, F_DUPFD, 2, 0, 0, 0))
WAY(by_inline_cloexec, CALL(fcntl, ours, F_DUPFD_CLOEXEC, 1, 0, 0, 0))
WAY(by_syscall_fcntl, syscall(SYS_fcntl, ours, F_DUPFD, 1))
WAY(by_inline_creat, CALL(creat, volume, 0600, 0, 0, 0, 0))

static const struct way {
	const char *name;
	void (*run)(void);
} ways[] = {
#define ENTRY(name)                                                            \
	{                                                                      \
#name, name                                                    \
	}
    ENTRY(by_inline_creat), ENTRY(by_open), ENTRY(by_openat), ENTRY(by_syscall),
    ENTRY(by_inline_open), ENTRY(by_inline_openat), ENTRY(by_inline_append),
    ENTRY(by_proc), ENTRY(by_openat2), ENTRY(by_handle), ENTRY(by_fopen),
    ENTRY(by_freopen), ENTRY(by_dup), ENTRY(by_dup2), ENTRY(by_dup3),
    ENTRY(by_fcntl), ENTRY(by_fcntl_cloexec), ENTRY(by_inline_dup),
    ENTRY(by_inline_dup2), ENTRY(by_inline_dup3), ENTRY(by_inline_fcntl),
    ENTRY(by_inline_cloexec), ENTRY(by_syscall_fcntl), ENTRY(by_recvmsg),
    ENTRY(by_inline_recvmsg), ENTRY(by_failed_recvmsg), ENTRY(by_recvmmsg),
    ENTRY(by_inline_recvmmsg), ENTRY(by_pidfd)
#undef ENTRY
};

/* ---- children: what they do to their own numbers ---- */

static void
in_child(void)
{
	pid_t pid;
	int status = -1;

	for (int i = 0; i < 2; i++) {
		begin();
		(void)fflush(stdout);
		pid = i == 0 ? fork() : vfork();
		if (pid == 0) {
			(void)CALL(dup2, ours, N, 0, 0, 0, 0);
			_exit(pwrite(N, "a child's", 9, place) != 9);
		}
		place += 64;
		printf("%d\n", pwrite(N, "known", 5, 0) == 5);
		printf("%d %d\n", waitpid(pid, &status, 0) == pid, status);
		write_to_it("beside a child");
	}
}

/* ---- threads: each write follows its dup2, others ask all the time ---- */

static volatile bool over;

static void *
asks(void *arg)
{
	while (!over)
		(void)!write(N, arg, 0);
	return NULL;
}

static void
while_others_ask(void)
{
	pthread_t t[2];
	long bad = 0;

	begin();
	for (int i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, asks, NULL) != 0)
			exit(2);
	for (long i = 0; i < 4000; i++) {
		if (i % 3 == 0) {
			(void)CALL(close, N, 0, 0, 0, 0, 0);
			bad += CALL(open, volume, O_RDWR, 0, 0, 0, 0) != N;
		} else {
			bad += dup2(ours, N) != N;
		}
		bad += pwrite(N, &i, sizeof(i), place) != sizeof(i);
		place += (long)sizeof(i);
		bad += dup2(other, N) != N;
		bad += pwrite(N, "known", 5, 0) != 5;
	}
	over = true;
	for (int i = 0; i < 2; i++)
		(void)pthread_join(t[i], NULL);
	SHOW(bad);
}

static void
prepare(const char *path)
{
	volume = path;
	ours = up(open(path, O_RDWR));
	other = up(open("other", O_RDWR | O_CREAT, 0600));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
		exit(2);
	sockets[1] = up(sockets[1]);
	sockets[0] = up(sockets[0]);
}

void
numbers(const char *path)
{
	prepare(path);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		begin();
		/* Not those that replace it. */
		if (strstr(ways[i].name, "dup2") == NULL &&
		    strstr(ways[i].name, "dup3") == NULL)
			(void)CALL(close, N, 0, 0, 0, 0, 0);
		ways[i].run();
		write_to_it(ways[i].name);
	}
	in_child();
	while_others_ask();
}

/* ---- tables that are shared, or not ---- */

static pthread_barrier_t barrier;

static void *
alone(void *arg)
{
	SHOW(unshare(CLONE_FILES));
	(void)CALL(dup2, ours, N, 0, 0, 0, 0);
	(void)pthread_barrier_wait(&barrier);
	/* The other thread writes to its own. */
	(void)pthread_barrier_wait(&barrier);
	write_to_it("a table of its own");
	return arg;
}

void
shared_numbers(const char *path)
{
	int status = -1;
	pthread_t t;
	long pid;

	prepare(path);
	begin();
	(void)fflush(stdout);
	pid = CALL(clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0, 0);
	if (pid == 0)
		_exit(CALL(dup2, ours, N, 0, 0, 0, 0) != N);
	SHOW(waitpid((pid_t)pid, &status, 0) == pid);
	SHOW(status);
	write_to_it("a table of two");

	begin();
	(void)pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&t, NULL, alone, NULL) != 0)
		exit(2);
	(void)pthread_barrier_wait(&barrier);
	for (int i = 0; i < 3; i++)
		SHOW(pwrite(N, "known", 5, 0));
	(void)pthread_barrier_wait(&barrier);
	SHOW(pthread_join(t, NULL));
}

#endif
