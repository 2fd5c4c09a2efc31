/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/hook.h"

#include "common/cleanup.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define LOOK_MS 20u
#define PIPE_BYTES 65536u

static const char *const kinds[] = {"silence", "commit", "spool"};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- alarms ---- */

bool
alarm_parse(const char *event, struct alarm *out)
{
	static const char raised[] = "raised: ", cleared[] = "cleared: ";
	struct alarm a = {.raised = true};
	int n = 0;

	if (sscanf(event, "alarm %15[a-z] %n", a.kind, &n) != 1 || n == 0)
		return false;
	event += n;
	if (strncmp(event, raised, sizeof(raised) - 1) == 0) {
		a.text = event + sizeof(raised) - 1;
	} else if (strncmp(event, cleared, sizeof(cleared) - 1) == 0) {
		a.text = event + sizeof(cleared) - 1;
		a.raised = false;
	} else {
		return false;
	}
	*out = a;
	return true;
}

static bool
is_kind(const char *word, size_t len)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strlen(kinds[i]) == len &&
		    strncmp(kinds[i], word, len) == 0)
			return true;
	return false;
}

int
hook_check_kinds(const char *list, struct err *e)
{
	const char *at = list;

	if (strcmp(list, "all") == 0)
		return 0;
	for (;;) {
		size_t len = strcspn(at, ",");

		if (!is_kind(at, len) || strlen(list) >= HOOK_KINDS_LEN)
			return err_set(e, ERR_REFUSED,
			    "'%s': alarms are 'silence', 'commit' and 'spool', "
			    "or 'all'",
			    list);
		if (at[len] == 0)
			return 0;
		at += len + 1;
	}
}

bool
hook_wants(const struct hook_config *k, const char *kind)
{
	const char *at = k->kinds;
	size_t want = strlen(kind);

	if (strcmp(at, "all") == 0)
		return true;
	while (*at != 0) {
		size_t len = strcspn(at, ",");

		if (len == want && strncmp(at, kind, len) == 0)
			return true;
		at += len + (at[len] == ',');
	}
	return false;
}

/* ---- may it be run? ---- */

static int
check_owner(const char *path, const struct stat *st, uid_t owner, struct err *e)
{
	if (st->st_uid != 0 && st->st_uid != owner)
		return err_set(e, ERR_REFUSED,
		    "%s belongs to user %u, not to root or the home's owner",
		    path, (unsigned)st->st_uid);
	if ((st->st_mode & 022) != 0 &&
	    !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0))
		return err_set(e, ERR_REFUSED,
		    "%s can be changed by others than its owner (mode %04o)",
		    path, (unsigned)(st->st_mode & 07777));
	return 0;
}

/* What a name leads through; a link would lead elsewhere. */
static int
check_part(const char *path, uid_t owner, struct stat *st, struct err *e)
{
	if (lstat(path, st) < 0)
		return err_sys(e, "%s", path);
	if (S_ISLNK(st->st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is a symbolic link: name what it leads to", path);
	return check_owner(path, st, owner, e);
}

int
hook_check(const char *path, uid_t owner, struct err *e)
{
	char part[PATH_MAX];
	struct stat st;

	if (path[0] != '/' || strlen(path) >= sizeof(part))
		return err_set(e, ERR_REFUSED,
		    "a hook is named by an absolute path, not '%.100s'", path);
	for (size_t i = 1; path[i] != 0; i++) {
		if (path[i] != '/')
			continue;
		(void)snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (check_part(part, owner, &st, e) < 0)
			return -1;
	}
	if (check_part(path, owner, &st, e) < 0)
		return -1;
	if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		return err_set(e, ERR_REFUSED,
		    "%s is no regular file that may be executed", path);
	return 0;
}

/* ---- running ---- */

#define WORD_LEN 640

struct environment {
	char words[6][WORD_LEN];
	char *list[7];
};

/* For a program that may hand it to a shell: printable, no quotes. */
static void
put_word(struct environment *v, size_t i, const char *key, const char *value)
{
	char *word = v->words[i];

	(void)snprintf(word, WORD_LEN, "%s=%.600s", key, value);
	for (char *p = word + strlen(key); *p != 0; p++)
		if (*p < ' ' || *p > '~' || strchr("'\"`\\$", *p) != NULL)
			*p = ' ';
	v->list[i] = word;
}

static void
fill(struct environment *v, const struct hook_call *call)
{
	put_word(v, 0, "AIM_ALARM", call->alarm.kind);
	put_word(v, 1, "AIM_STATE", call->alarm.raised ? "raised" : "cleared");
	put_word(v, 2, "AIM_GROUP", call->group);
	put_word(v, 3, "AIM_SITE", call->site);
	put_word(v, 4, "AIM_TEXT", call->text);
	put_word(v, 5, "PATH",
	    "/usr/local/sbin:/usr/local/bin:/usr/sbin:"
	    "/usr/bin:/sbin:/bin");
	v->list[6] = NULL;
}

/* The program's own process. */
static _Noreturn void
become(const char *path, struct environment *v, int out, pid_t parent)
{
	char *argv[] = {NULL, NULL};
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	memcpy(&argv[0], &path, sizeof(path));
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &dfl, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() != parent || setpgid(0, 0) < 0 || chdir("/") < 0 ||
	    null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(out, 2) < 0)
		_exit(126);
	(void)syscall(SYS_close_range, 3u, ~0u, 0u);
	(void)execve(path, argv, v->list);
	dprintf(2, "%s: %s\n", path, strerror(errno));
	_exit(127);
}

/* Reads what there is, and no more than a pipe holds: who says more and more
 * must not keep us from the clock. What is too much goes nowhere. */
static void
take_output(int fd, struct buf *out, size_t *left)
{
	char bytes[4096];
	ssize_t n;

	for (size_t got = 0; got < PIPE_BYTES; got += (size_t)n) {
		size_t keep;

		n = read(fd, bytes, sizeof(bytes));
		if (n <= 0)
			return;
		keep = (size_t)n < *left ? (size_t)n : *left;
		if (buf_add(out, bytes, keep, NULL) == 0)
			*left -= keep;
	}
}

static volatile sig_atomic_t ended;

static void
on_end(int sig)
{
	(void)sig;
	ended = 1;
}

/* Whoever ends us ends it, with all that it has started. */
static void
catch_end(const struct sigaction *act, struct sigaction *was)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < 3; i++)
		(void)sigaction(signals[i], act == NULL ? &was[i] : act,
		    act == NULL ? NULL : &was[i]);
}

/* Until it has ended, or its time is over. */
static int
watch_it(pid_t pid, int fd, uint32_t limit_ms, struct buf *out, int *status,
    struct err *e)
{
	uint64_t until = clock_mono_ns() + limit_ms * NS_PER_MS;
	size_t left = HOOK_OUTPUT;
	bool late = false;
	siginfo_t info = {0};
	pid_t got;

	while (info.si_pid == 0 && !late) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		(void)poll(&p, 1, LOOK_MS);
		take_output(fd, out, &left);
		/* It said all and lives: poll does not wait any more. */
		if ((p.revents & (POLLHUP | POLLIN)) == POLLHUP)
			clock_sleep_ms(LOOK_MS);
		if (waitid(P_PID, (id_t)pid, &info,
			WEXITED | WNOHANG | WNOWAIT) < 0)
			return err_sys(e, "wait for a hook");
		late = info.si_pid == 0 && (ended || clock_mono_ns() >= until);
	}
	/* With what it has left behind, while its number is nobody else's. */
	(void)kill(-pid, SIGKILL);
	do
		got = waitpid(pid, status, 0);
	while (got < 0 && errno == EINTR);
	take_output(fd, out, &left);
	if (got < 0)
		return err_sys(e, "wait for a hook");
	if (!late)
		return 0;
	if (ended)
		return err_set(e, ERR_RETRY, "it was killed: we are ended");
	(void)err_set(e, ERR_RETRY, "it took more than %u s and was killed",
	    limit_ms / 1000);
	if (e != NULL)
		e->sys = ETIMEDOUT;
	return -1;
}

int
hook_run(const struct hook_call *call, uid_t owner, uint32_t limit_ms,
    struct buf *out, int *status, struct err *e)
{
	AUTO_CLOSE int in = -1;
	AUTO_CLOSE int to = -1;
	struct sigaction act = {.sa_handler = on_end}, was[3];
	struct environment v = {.list = {NULL}};
	pid_t parent = getpid(), pid;
	int ends[2], r;

	fill(&v, call);
	if (hook_check(call->hook.path, owner, e) < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	in = ends[0];
	to = ends[1];
	if (fcntl(in, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(e, "pipe");
	ended = 0;
	catch_end(&act, was);
	pid = fork();
	if (pid < 0) {
		(void)err_sys(e, "start %s", call->hook.path);
		catch_end(NULL, was);
		return -1;
	}
	if (pid == 0)
		become(call->hook.path, &v, to, parent);
	/* Whoever is first: a kill must find the group. */
	(void)setpgid(pid, pid);
	cleanup_fd(&to);
	to = -1;
	r = watch_it(pid, in, limit_ms, out, status, e);
	catch_end(NULL, was);
	return r;
}
