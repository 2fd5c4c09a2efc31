/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that others send, and cancellation that waits for nothing. */
#include "tests/preload_calls.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { LEN = 300000, PLACE = 900000 };

static int file;
static char *data;

/* ---- a storm ---- */

static const int storm_of[] = {
    SIGSEGV, SIGBUS, SIGSYS, SIGUSR1, SIGUSR2, SIGALRM};
enum { KINDS = sizeof(storm_of) / sizeof(storm_of[0]), ENOUGH = 60 };
static volatile sig_atomic_t came[NSIG], may_jump;
static sigjmp_buf back;

static void
on_storm(int sig)
{
	int error = errno;

	came[sig]++;
	if (pwrite(file, "handler", 7, PLACE + sig * 7) != 7)
		_exit(3);
	errno = error;
	if (may_jump != 0 && came[sig] % 5 == 0) {
		may_jump = 0;
		siglongjmp(back, 1);
	}
}

static bool
is_over(void)
{
	for (int i = 0; i < KINDS; i++)
		if (came[storm_of[i]] < ENOUGH)
			return false;
	return true;
}

static pid_t
begin_storm(void)
{
	pid_t to = getpid(), pid = fork();

	while (pid == 0) {
		for (int i = 0; i < KINDS; i++)
			if (kill(to, storm_of[i]) != 0 || getppid() != to)
				_exit(0);
		(void)usleep(200);
	}
	return pid;
}

/* Of all kinds at once; some handlers leave by longjmp. */
static void
storm(const char *path)
{
	struct sigaction act = {.sa_handler = on_storm};
	volatile long wrong = 0;
	sigset_t mask;
	pid_t pid;

	file = must_open(path, O_RDWR);
	data = pattern(LEN, 3);
	act.sa_flags = SA_RESTART;
	for (int i = 0; i < KINDS; i++)
		SHOW(sigaction(storm_of[i], &act, NULL));
	(void)fflush(stdout);
	pid = begin_storm();
	while (!is_over()) {
		(void)sigsetjmp(back, 1);
		may_jump = 1;
		if (pwrite(file, data, LEN, 4096) != LEN)
			wrong++;
		may_jump = 0;
	}
	SHOW(kill(pid, SIGKILL));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	SHOW(wrong);
	/* Nothing is kept for ever. */
	SHOW(sigprocmask(SIG_SETMASK, NULL, &mask));
	for (int i = 0; i < KINDS; i++) {
		SHOW(sigismember(&mask, storm_of[i]));
		came[storm_of[i]] = 0;
		SHOW(raise(storm_of[i]));
		SHOW(came[storm_of[i]]);
	}
	SHOW(pwrite(file, data, LEN, PLACE));
}

/* ---- cancellation at any instruction ---- */

static volatile sig_atomic_t ready, popped, waiting;
static int pipes[2];

static void
pop(void *arg)
{
	(void)arg;
	popped = pwrite(file, "popped", 6, PLACE) == 6;
}

static void *
writes_on(void *arg)
{
	int type;

	pthread_cleanup_push(pop, NULL);
	(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	for (ready = 1;;)
		if (pwrite(file, data, LEN, 4096) != LEN)
			exit(3);
	pthread_cleanup_pop(0);
	return arg;
}

static void
write_much(int sig)
{
	(void)sig;
	for (ready = 1;;)
		if (pwrite(file, data, LEN, 4096) != LEN)
			_exit(3);
}

/* libc lets it be cancelled at once while it waits. */
static void *
waits(void *arg)
{
	char c;

	pthread_cleanup_push(pop, NULL);
	waiting = 1;
	if (read(pipes[0], &c, 1) == 1)
		exit(3);
	pthread_cleanup_pop(0);
	return arg;
}

static int
cancel_one(void *(*run)(void *), unsigned us)
{
	void *end = NULL;
	pthread_t t;

	ready = popped = waiting = 0;
	if (pthread_create(&t, NULL, run, NULL) != 0)
		return 1;
	if (run == waits) {
		while (waiting == 0)
			(void)usleep(50);
		if (pthread_kill(t, SIGUSR1) != 0)
			return 2;
	}
	while (ready == 0)
		(void)usleep(50);
	(void)usleep(us);
	if (pthread_cancel(t) != 0 || pthread_join(t, &end) != 0)
		return 3;
	return end == PTHREAD_CANCELED && popped == 1 ? 0 : 4;
}

static void
cancelled_anywhere(const char *path)
{
	int bad = 0;

	file = must_open(path, O_RDWR);
	data = pattern(LEN, 4);
	if (pipe(pipes) != 0)
		exit(2);
	(void)signal(SIGUSR1, write_much);
	for (unsigned i = 0; i < 60 && bad == 0; i++) {
		bad = cancel_one(writes_on, i * 37 % 300);
		/* Nobody has kept a lock. */
		if (pwrite(file, data, LEN, 4096) != LEN)
			bad = 5;
	}
	SHOW(bad);
	for (unsigned i = 0; i < 30 && bad == 0; i++) {
		bad = cancel_one(waits, i * 37 % 300);
		if (pwrite(file, data, LEN, 4096) != LEN)
			bad = 5;
	}
	SHOW(bad);
	SHOW(pwrite(file, "afterwards", 10, 5));
}

const struct call signal_calls[] = {
    SAME(storm), SAME(cancelled_anywhere), {NULL, NULL, NULL}};
