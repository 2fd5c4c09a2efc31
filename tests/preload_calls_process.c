/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/preload_calls.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

extern char **environ;

static int
status_of(pid_t pid)
{
	int st = 0;

	if (waitpid(pid, &st, 0) != pid)
		return -2;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

static void
fork_writes(const char *path)
{
	int fd = must_open(path, O_RDWR);
	pid_t pid = fork();

	if (pid == 0) {
		if (write(fd, pattern(1000, 1), 1000) != 1000)
			_exit(1);
		_exit(0);
	}
	SHOW(status_of(pid));
	SHOW(write(fd, pattern(1000, 2), 1000));
	SHOW(lseek(fd, 0, SEEK_CUR));
}

static void
vfork_execs(const char *path)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl(own_name, own_name, "pwrites", path, (char *)NULL);
		_exit(9);
	}
	SHOW(status_of(pid));
}

/* With an environment that has lost everything. */
static void
bare_exec(const char *path)
{
	char *argv[] = {(char *)(uintptr_t)own_name,
	    (char *)(uintptr_t) "append", (char *)(uintptr_t)path, NULL};
	char *env[] = {NULL};
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)execve(own_name, argv, env);
		_exit(9);
	}
	SHOW(status_of(pid));
	SHOW(posix_spawn(&pid, own_name, NULL, NULL, argv, env));
	SHOW(status_of(pid));
	SHOW(posix_spawnp(&pid, "true", NULL, NULL, argv, env));
	SHOW(status_of(pid));
	SHOW(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, env));
	SHOW(execve("/nonexistent", argv, env));
	SHOW(execve("/etc/passwd", argv, env));
}

static void
bare_shell(const char *path)
{
	char command[5000];
	FILE *f;

	(void)clearenv();
	(void)snprintf(
	    command, sizeof(command), "echo from system >>'%s'", path);
	SHOW(system(command));
	(void)snprintf(command, sizeof(command), "cat >>'%s'", path);
	f = popen(command, "w");
	fputs("through popen\n", f);
	SHOW(pclose(f));
}

static void
close_everything(const char *path)
{
	int fd;

	fflush(stdout);
	closefrom(3);
	SHOW((fd = open(path, O_RDWR)) < 0);
	SHOW(pwrite(fd, pattern(100, 1), 100, 100));
	for (int i = 3; i < 5000; i++)
		(void)close(i);
	SHOW((fd = open(path, O_RDWR)) < 0);
	SHOW(pwrite(fd, pattern(100, 2), 100, 300));
	SHOW(close_range(3, ~0u, 0));
	SHOW((fd = open(path, O_RDWR)) < 0);
	SHOW(pwrite(fd, pattern(100, 3), 100, 500));
	SHOW(dup2(fd, 3) < 0);
}

static const char *job_path;

static void *
many_writes(void *seed)
{
	int fd = must_open(job_path, O_RDWR);
	unsigned s = (unsigned)(uintptr_t)seed;
	char *p = pattern(5000, s);

	for (unsigned i = 0; i < 200; i++)
		if (pwrite(fd, p, 5000, (off_t)(s * 5000 + i * 20000)) != 5000)
			exit(3);
	(void)close(fd);
	return NULL;
}

static void
threads(const char *path)
{
	pthread_t t[4];

	job_path = path;
	for (uintptr_t i = 0; i < 4; i++)
		(void)pthread_create(&t[i], NULL, many_writes, (void *)i);
	for (int i = 0; i < 4; i++)
		SHOW(pthread_join(t[i], NULL));
}

static sigjmp_buf back;
static volatile sig_atomic_t jumps, handled;
static int handler_fd;

static void
jump(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static void
start_timer(long us)
{
	struct itimerval every = {{0, us}, {0, us}};

	(void)setitimer(ITIMER_REAL, &every, NULL);
}

/* Leaves a write by longjmp again and again; nothing may stay locked. */
static void
jump_out(const char *path)
{
	int fd = must_open(path, O_RDWR);
	char *p = pattern(1u << 20, 1);

	(void)signal(SIGALRM, jump);
	if (sigsetjmp(back, 1) == 0)
		start_timer(700);
	while (jumps++ < 200)
		if (pwrite(fd, p, 1u << 20, 4096) != 1 << 20)
			exit(3);
	start_timer(0);
	SHOW(pwrite(fd, p, 1u << 20, 4096));
}

static void
write_too(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	handled++;
	if (info->si_code != SI_KERNEL) {
		dprintf(2, "si_code %d\n", info->si_code);
		exit(4);
	}
	if (pwrite(handler_fd, "handler", 7, 0) != 7)
		exit(3);
}

static void
handler_writes(const char *path)
{
	struct sigaction act = {.sa_flags = SA_SIGINFO | SA_RESTART}, old;
	char *p = pattern(300000, 2);

	handler_fd = must_open(path, O_RDWR);
	act.sa_sigaction = write_too;
	SHOW(sigaction(SIGALRM, &act, NULL));
	SHOW(sigaction(SIGALRM, NULL, &old));
	SHOW(old.sa_sigaction == write_too &&
	     (old.sa_flags & ~0x04000000) == act.sa_flags);
	start_timer(500);
	while (handled < 20)
		if (pwrite(handler_fd, p, 300000, 0) != 300000)
			exit(3);
	start_timer(0);
	SHOW(pwrite(handler_fd, p, 300000, 0));
	SHOW(signal(SIGALRM, SIG_DFL) == (void (*)(int))(uintptr_t)write_too);
}

static volatile sig_atomic_t faults;
static void *volatile nowhere = (void *)(uintptr_t)16;

static void
on_fault(int sig)
{
	faults += sig;
	siglongjmp(back, 1);
}

/* A program's own SIGSEGV handler still works, before and after an EFAULT. */
static void
own_faults(const char *path)
{
	int fd = must_open(path, O_RDWR);

	(void)signal(SIGSEGV, on_fault);
	for (volatile int i = 0; i < 2; i++) {
		SHOW(write(fd, nowhere, 100));
		if (sigsetjmp(back, 1) == 0)
			*(volatile char *)nowhere = 1;
		SHOW(faults);
	}
}

static void
dies_of_fault(const char *path)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd = must_open(path, O_RDWR);

		SHOW(write(fd, nowhere, 100));
		fflush(stdout);
		*(volatile char *)nowhere = 1;
	}
	SHOW(status_of(pid));
}

static void *
blocked_writer(void *fd)
{
	static char full[1 << 20];

	for (;;)
		if (write((int)(intptr_t)fd, full, sizeof(full)) < 0)
			return NULL;
}

static void *
endless_writer(void *fd)
{
	for (;;)
		if (pwrite((int)(intptr_t)fd, "cancelled", 9, 0) != 9)
			return NULL;
}

static void
cancellation(const char *path)
{
	pthread_t t;
	void *end = NULL;
	int p[2], fd = must_open(path, O_RDWR);

	if (pipe(p) < 0)
		exit(2);
	(void)pthread_create(&t, NULL, blocked_writer, (void *)(intptr_t)p[1]);
	(void)usleep(20000);
	SHOW(pthread_cancel(t));
	SHOW(pthread_join(t, &end));
	SHOW(end == PTHREAD_CANCELED);
	(void)pthread_create(&t, NULL, endless_writer, (void *)(intptr_t)fd);
	(void)usleep(20000);
	SHOW(pthread_cancel(t));
	SHOW(pthread_join(t, &end));
	SHOW(end == PTHREAD_CANCELED);
	SHOW(pwrite(fd, "afterwards", 10, 5));
}

const struct call process_calls[] = {SAME(fork_writes), SAME(vfork_execs),
    SAME(bare_exec), SAME(bare_shell), SAME(close_everything), SAME(threads),
    SAME(jump_out), SAME(handler_writes), SAME(own_faults), SAME(dies_of_fault),
    SAME(cancellation), {NULL, NULL, NULL}};
