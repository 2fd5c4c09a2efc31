/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload_inline: makes system calls by an instruction of its own, as Go
 * programs and JITs do. `PATH WHAT` makes one kind of call on a file and
 * prints what came of it. Nothing here calls libc to write to the file.
 */
#include "tests/preload_inline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__ILP32__)

static char data[300000];
static const char *path;

static void
writes(void)
{
	struct iovec iov[2] = {{data, 70}, {data + 100, 900}};
	int fd = open(path, O_RDWR);
	int pipes[2];

	if (pipe(pipes) != 0)
		exit(2);
	SHOW(CALL(write, fd, data, 5000, 0, 0, 0));
	SHOW(CALL(pwrite64, fd, data, 5000, 900000, 0, 0));
	SHOW(CALL(writev, fd, iov, 2, 0, 0, 0));
	SHOW(CALL(pwritev, fd, iov, 2, 70000, 0, 0));
	SHOW(CALL(pwritev2, fd, iov, 2, 80000, 0, 0));
	SHOW(CALL(lseek, fd, 0, SEEK_CUR, 0, 0, 0));
	SHOW(CALL(ftruncate, fd, 2000000, 0, 0, 0, 0));
	SHOW(CALL(truncate, path, 1900000, 0, 0, 0, 0));
	SHOW(CALL(fallocate, fd, 0, 0, 1950000, 0, 0));
	SHOW(CALL(write, fd, 0, 10, 0, 0, 0));
	SHOW(CALL(write, -1, data, 10, 0, 0, 0));
	SHOW(CALL(write, pipes[1], data, 10, 0, 0, 0));
	SHOW(CALL(write, fd, data, 0, 0, 0, 0));
	errno = 77;
	SHOW(CALL(write, fd, data, 5, 0, 0, 0));
	SHOW(errno);
}

static void
truncates(void)
{
	int fd;

	SHOW((fd = (int)CALL(open, path, O_RDWR | O_TRUNC, 0, 0, 0, 0)) < 0);
	SHOW(CALL(write, fd, data, 10, 0, 0, 0));
	SHOW((fd = (int)CALL(
		  openat, AT_FDCWD, path, O_WRONLY | O_TRUNC, 0, 0, 0)) < 0);
	SHOW(CALL(write, fd, data, 20, 0, 0, 0));
	SHOW((fd = (int)CALL(creat, path, 0600, 0, 0, 0, 0)) < 0);
	SHOW(CALL(write, fd, data, 30, 0, 0, 0));
	SHOW(CALL(close, fd, 0, 0, 0, 0, 0));
}

static void
copies(void)
{
	int fd = open(path, O_RDWR), from = open("/proc/self/exe", O_RDONLY);
	long at = 0;

	SHOW(CALL(sendfile, fd, from, &at, 3000, 0, 0) == 3000);
	SHOW(CALL(copy_file_range, from, 0, fd, 0, 3000, 0) == 3000);
}

static void
ring(void)
{
	SHOW(CALL(io_uring_setup, 4, data, 0, 0, 0, 0));
}

static void
gives(void)
{
	SHOW(CALL(fanotify_init, 0, O_RDWR, 0, 0, 0, 0));
	/* Whoever it starts would have it, too. */
	if (CALL(unshare, CLONE_FILES, 0, 0, 0, 0, 0) == 0)
		SHOW(CALL(fanotify_init, 0, O_WRONLY, 0, 0, 0, 0));
}

static void
maps(void)
{
	int fd = open(path, O_RDWR);

	SHOW(CALL(mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
}

/* ---- signals ---- */

static int handler_fd;
static volatile sig_atomic_t handled;

static void
on_signal(int sig)
{
	handled += sig == SIGALRM || sig == SIGSYS;
	(void)CALL(write, handler_fd, data, 11, 0, 0, 0);
}

static void
handlers(void)
{
	struct sigaction act, old;
	sigset_t all;

	handler_fd = open(path, O_RDWR);
	memset(&act, 0, sizeof(act));
	act.sa_handler = on_signal;
	(void)sigfillset(&act.sa_mask);
	SHOW(sigaction(SIGALRM, &act, NULL));
	SHOW(sigaction(SIGSYS, &act, NULL));
	(void)sigfillset(&all);
	SHOW(sigprocmask(SIG_BLOCK, &all, NULL));
	SHOW(CALL(write, handler_fd, data, 7, 0, 0, 0));
	(void)sigdelset(&all, SIGSYS);
	SHOW(sigprocmask(SIG_UNBLOCK, &all, NULL));
	SHOW(raise(SIGALRM));
	(void)sigemptyset(&all);
	(void)sigaddset(&all, SIGSYS);
	SHOW(sigprocmask(SIG_UNBLOCK, &all, NULL));
	SHOW(raise(SIGSYS));
	SHOW(handled);
	SHOW(CALL(write, handler_fd, data, 13, 0, 0, 0));
	SHOW(sigaction(SIGSYS, NULL, &old));
	SHOW(old.sa_handler == on_signal);
	SHOW(lseek(handler_fd, 0, SEEK_CUR));
}

static void *
one_thread(void *arg)
{
	uintptr_t n = (uintptr_t)arg;
	int fd = open(path, O_RDWR);
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (long i = 0; i < 100; i++)
		if (CALL(pwrite64, fd, data, 500, ((long)n + i * 4) * 500, 0,
			0) != 500)
			exit(3);
	return NULL;
}

static void
threads(void)
{
	pthread_t t[4];
	pid_t pid;
	int status;

	for (uintptr_t i = 0; i < 4; i++)
		(void)pthread_create(&t[i], NULL, one_thread, (void *)i);
	for (int i = 0; i < 4; i++)
		SHOW(pthread_join(t[i], NULL));
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd = open(path, O_RDWR);

		_exit(CALL(pwrite64, fd, data, 100, 1000000, 0, 0) != 100);
	}
	SHOW(waitpid(pid, &status, 0) == pid);
	SHOW(status);
}

/*
 * Writes that block, in threads that are cancelled: each thread ends, what it
 * pushed is popped, and the stream that it wrote to is not locked (this file is
 * compiled with exceptions, so that both need the stack to be unwound).
 */
static int full[2];
static FILE *stream;

static void
popped(void *arg)
{
	(void)arg;
	handled++;
}

static void *
blocks(void *by_stream)
{
	pthread_cleanup_push(popped, NULL);
	while (by_stream != NULL ? fwrite(data, sizeof(data), 1, stream) == 1
				 : write(full[1], data, sizeof(data)) >= 0)
		continue;
	pthread_cleanup_pop(0);
	return NULL;
}

static void
cancel_one(void *by_stream)
{
	static char sink[30000];
	pthread_t t;
	void *result = NULL;
	int queued = 0, room;

	if (pipe(full) != 0 || (room = fcntl(full[1], F_GETPIPE_SZ)) < 0 ||
	    (stream = fdopen(full[1], "w")) == NULL)
		exit(2);
	SHOW(pthread_create(&t, NULL, blocks, by_stream));
	SHOW(read(full[0], sink, sizeof(sink)) > 0);
	while (ioctl(full[0], FIONREAD, &queued) == 0 && queued < room / 2)
		(void)sched_yield();
	SHOW(pthread_cancel(t));
	SHOW(pthread_join(t, &result));
	SHOW(result == PTHREAD_CANCELED);
	SHOW(handled);
	SHOW(ftrylockfile(stream));
}

static void
cancels(void)
{
	cancel_one(NULL);
	cancel_one(full);
}

/* Another program, by a call that nobody can stand in front of. */
static char *const *arguments;

static void
execs(void)
{
	char *const none[] = {NULL};

	(void)fflush(stdout);
	(void)CALL(execve, arguments[0], arguments, none, 0, 0, 0);
	perror(arguments[0]);
	exit(9);
}

static void
replaces(void)
{
	numbers(path);
}

static void
shares(void)
{
	shared_numbers(path);
}

static void
keeps(void)
{
	kept_numbers(path);
}

static void
flags(void)
{
	shared_flags(path);
}

static void
sets(void)
{
	sets_flags(atoi(arguments[0]));
}

static void
sends_it(void)
{
	sends(path, atoi(arguments[0]));
}

static void
takes_it(void)
{
	takes(path);
}

static const struct {
	const char *name;
	void (*run)(void);
} all[] = {{"writes", writes}, {"truncates", truncates}, {"copies", copies},
    {"ring", ring}, {"maps", maps}, {"gives", gives}, {"handlers", handlers},
    {"threads", threads}, {"cancels", cancels}, {"replaces", replaces},
    {"shares", shares}, {"execs", execs}, {"keeps", keeps}, {"flags", flags},
    {"sets", sets}, {"sends", sends_it}, {"takes", takes_it}};

int
main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 % 251);
	if (argc < 3)
		return 2;
	path = argv[2];
	arguments = argv + 3;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].name, argv[1]) == 0) {
			all[i].run();
			return 0;
		}
	return 2;
}

#else

int
main(void)
{
	return 77;
}

#endif
