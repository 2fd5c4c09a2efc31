/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/tool.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define AT_MOST 8 /* that are waited for together */
#define BEAT_MS 500
#define LOOK_MS 1000
#define READS 64 /* of one that never stops talking */
#define NS_PER_MS UINT64_C(1000000)
#define CANNOT_RUN 127

void
tool_init(struct tool *p)
{
	*p = (struct tool){.ended = -1, .out = -1, .err = -1};
}

/* ---- in the child ---- */

static void
usual_signals(void)
{
	struct sigaction act = {.sa_handler = SIG_DFL};
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &act, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool
set_limits(const struct tool_setup *s)
{
	struct rlimit none = {0}, most = {s->file_limit, s->file_limit};

	(void)setrlimit(RLIMIT_CORE, &none);
	return s->file_limit == 0 || setrlimit(RLIMIT_FSIZE, &most) == 0;
}

static bool
set_descriptors(const struct tool_setup *s, int out, int err)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	size_t i;

	if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(err, 2) < 0 || fchdir(s->cwd) < 0 ||
	    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return false;
	for (i = 0; i < s->keep_count; i++)
		if (fcntl(s->keep[i], F_SETFD, 0) < 0)
			return false;
	return true;
}

static void __attribute__((noreturn))
become(const struct tool_setup *s, int out, int err, pid_t parent)
{
	const char *path = getenv("PATH");
	char path_line[4096], *argv[256];
	char locale[] = "LC_ALL=C";
	char *environment[] = {path_line, locale, NULL};
	size_t i;

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(CANNOT_RUN);
	usual_signals();
	(void)snprintf(path_line, sizeof(path_line), "PATH=%s",
	    path == NULL ? "/usr/bin:/bin" : path);
	for (i = 0; i < 255 && s->argv[i] != NULL; i++)
		memcpy(&argv[i], &s->argv[i], sizeof(argv[i]));
	argv[i] = NULL;
	if (i > 0 && set_descriptors(s, out, err) && set_limits(s))
		(void)execvpe(argv[0], argv, environment);
	(void)dprintf(2, "cannot run %s: %s\n", i > 0 ? argv[0] : "nothing",
	    strerror(errno));
	_exit(CANNOT_RUN);
}

/* ---- in the parent ---- */

static void
let_go(struct tool *p)
{
	cleanup_fd(&p->ended);
	cleanup_fd(&p->out);
	cleanup_fd(&p->err);
	p->ended = p->out = p->err = -1;
	p->pid = 0;
}

void
tool_stop(struct tool *p)
{
	int status;

	if (p->pid > 0) {
		/* Until it is waited for, its number is nobody else's. */
		(void)kill(-p->pid, SIGKILL);
		(void)kill(p->pid, SIGKILL);
		while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
			continue;
	}
	let_go(p);
}

static int
run(struct tool *p, const struct tool_setup *s, const int out[2],
    const int err[2], struct err *e)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return err_sys(e, "fork");
	if (pid == 0)
		become(s, out[1], err[1], parent);
	(void)setpgid(pid, pid);
	p->pid = pid;
	p->ended = pidfd_open(pid, 0);
	if (p->ended < 0) {
		(void)err_sys(e, "watch process %d", (int)pid);
		tool_stop(p);
		return -1;
	}
	return 0;
}

int
tool_start(struct tool *p, const struct tool_setup *s, struct err *e)
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, r;

	tool_init(p);
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		r = err_sys(e, "make a pipe");
	else
		r = run(p, s, out, err, e);
	cleanup_fd(&out[1]);
	cleanup_fd(&err[1]);
	if (r < 0) {
		cleanup_fd(&out[0]);
		cleanup_fd(&err[0]);
		return -1;
	}
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(err[0], F_SETFL, O_NONBLOCK);
	p->out = out[0];
	p->err = err[0];
	p->limit_ms = s->limit_ms;
	p->still_ms = s->still_ms;
	p->moved_ns = clock_mono_ns();
	p->until_ns = p->moved_ns + s->limit_ms * NS_PER_MS;
	return 0;
}

/* What is there now; false: there will be no more. */
static bool
take(int fd, char *text, size_t room, size_t *len)
{
	char thrown[4096] = {0};
	ssize_t n;
	int i;

	for (i = 0; i < READS; i++) {
		bool fits = *len < room - 1;

		n = read(fd, fits ? text + *len : thrown,
		    fits ? room - 1 - *len : sizeof(thrown));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		if (fits)
			*len += (size_t)n;
		text[*len] = '\0';
	}
	return true;
}

static void
take_words(struct tool *p)
{
	if (p->out >= 0 && !take(p->out, p->out_text, TOOL_OUT, &p->out_len)) {
		cleanup_fd(&p->out);
		p->out = -1;
	}
	if (p->err >= 0 && !take(p->err, p->err_text, TOOL_ERR, &p->err_len)) {
		cleanup_fd(&p->err);
		p->err = -1;
	}
}

/* It has ended: its status and its last words. */
static void
collect(struct tool *p)
{
	int status = 0;
	pid_t got;

	take_words(p);
	(void)kill(-p->pid, SIGKILL); /* what it has left */
	do
		got = waitpid(p->pid, &status, 0);
	while (got < 0 && errno == EINTR);
	p->status = got > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	let_go(p);
}

static void
expire(struct tool *p)
{
	take_words(p);
	tool_stop(p);
	p->expired = true;
	p->status = -1;
}

/*
 * Is its time over, or has it stood still? What a connection does to stay
 * alive is not moving; a program that waits for a server that is stuck sends
 * that for ever.
 */
static bool
is_over(struct tool *p, uint64_t now)
{
	uint64_t moved;

	if (p->until_ns <= now)
		return true;
	if (p->still_ms == 0 || now < p->look_ns)
		return false;
	p->look_ns = now + LOOK_MS * NS_PER_MS;
	if (!tool_moved(p, &moved))
		return false;
	if (moved - p->moved >= TOOL_LEAST) {
		p->moved = moved;
		p->moved_ns = now;
	}
	p->still = now - p->moved_ns >= p->still_ms * NS_PER_MS;
	return p->still;
}

/* One look at all of them, of so long. */
static struct tool *
look(struct tool *const *all, size_t count, int wait_ms)
{
	struct pollfd polled[AT_MOST * 3];
	uint64_t now;
	size_t i;

	for (i = 0; i < count; i++) {
		const struct tool *p = all[i];

		polled[3 * i] = (struct pollfd){p->ended, POLLIN, 0};
		polled[3 * i + 1] = (struct pollfd){p->out, POLLIN, 0};
		polled[3 * i + 2] = (struct pollfd){p->err, POLLIN, 0};
	}
	/* Negative descriptors are skipped. */
	if (poll(polled, 3 * count, wait_ms) < 0)
		return NULL;
	now = clock_mono_ns();
	for (i = 0; i < count; i++) {
		if (!tool_is_running(all[i]))
			continue;
		take_words(all[i]);
		if (polled[3 * i].revents != 0) {
			collect(all[i]);
			return all[i];
		}
		if (is_over(all[i], now)) {
			expire(all[i]);
			return all[i];
		}
	}
	return NULL;
}

struct tool *
tool_wait(struct tool *const *all, size_t count, uint32_t wait_ms)
{
	uint64_t end = clock_mono_ns() + wait_ms * NS_PER_MS;
	struct tool *ended;

	if (count > AT_MOST)
		count = AT_MOST;
	for (;;) {
		uint64_t now = clock_mono_ns(), next = end;
		size_t i;

		for (i = 0; i < count; i++)
			if (tool_is_running(all[i]) && all[i]->until_ns < next)
				next = all[i]->until_ns;
		next = next > now ? (next - now) / NS_PER_MS + 1 : 0;
		pulse_beat();
		ended = look(all, count, next < BEAT_MS ? (int)next : BEAT_MS);
		if (ended != NULL || clock_mono_ns() >= end)
			return ended;
	}
}
