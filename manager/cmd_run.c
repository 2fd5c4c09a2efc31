/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_run: starts a program under the preload driver. Needs no right to the
 * home but to pass through it: whoever may write to the volumes may capture.
 *
 * The program is a child, so that its death by signal can be told as 128+N;
 * signals that are sent to us are passed on, and it dies when we are killed.
 */
#include "aimdriver/capture.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/home.h"
#include "manager/command.h"
#include "manager/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <paths.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_FAILED = 125, RUN_REFUSED = 126, RUN_NOT_FOUND = 127 };
#define LIBRARY "libaim-preload.so"
#define GROUPS_LIMIT (8u << 20)

static volatile sig_atomic_t the_child;

static int __attribute__((format(printf, 2, 3)))
say(int code, const char *fmt, ...)
{
	va_list ap;

	(void)fputs("aim: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return code;
}

/* ---- the groups of the home ---- */

struct group {
	struct uuid uuid;
	char name[NAME_LIMIT];
};
struct groups {
	struct group *list;
	size_t count;
};

static void
groups_release(struct groups *g)
{
	free(g->list);
}

static int
add_group(struct groups *g, const char *line, struct err *e)
{
	struct group *more = reallocarray(g->list, g->count + 1, sizeof(*more));
	char uuid[UUID_TEXT];

	if (more == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	g->list = more;
	if (strlen(line) < UUID_TEXT || line[UUID_TEXT - 1] != ' ')
		return err_set(e, ERR_CORRUPT, "the file 'groups' is damaged");
	memcpy(uuid, line, UUID_TEXT - 1);
	uuid[UUID_TEXT - 1] = 0;
	(void)snprintf(
	    g->list[g->count].name, NAME_LIMIT, "%.63s", line + UUID_TEXT);
	if (uuid_parse(uuid, &g->list[g->count].uuid, e) < 0)
		return err_at(e, "the file 'groups' is damaged");
	g->count++;
	return 0;
}

static int
read_groups(int dir, struct groups *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char *at, *line, *save = NULL;

	if (io_read_file(dir, "groups", GROUPS_LIMIT, &b, e) < 0 ||
	    buf_add(&b, "", 1, e) < 0)
		return -1;
	at = (char *)b.data;
	while ((line = strtok_r(at, "\n", &save)) != NULL) {
		at = NULL;
		if (add_group(out, line, e) < 0)
			return -1;
	}
	return 0;
}

/* A folder that belongs to no group would capture into nowhere. */
static int
check_folders(int home, const struct groups *g, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;

	if (io_open_dir(home, "active", &fd, e) < 0)
		return -1;
	d = fdopendir(fd);
	if (d == NULL)
		return err_sys(e, "list active/");
	fd = -1; /* now d's */
	while ((entry = readdir(d)) != NULL) {
		struct uuid id;
		size_t i = 0;

		if (uuid_parse(entry->d_name, &id, NULL) < 0)
			continue;
		while (i < g->count && !uuid_equal(&g->list[i].uuid, &id))
			i++;
		if (i == g->count)
			return err_set(e, ERR_REFUSED,
			    "active/%s belongs to no group: a change was "
			    "interrupted; start the coordinator, or run the "
			    "change again",
			    entry->d_name);
	}
	return 0;
}

/* Whoever owns the home must find it in order; others cannot look. */
static int
check_home(const char *path, int dir, struct err *e)
{
	AUTO(home_close) struct home h = HOME_NONE;

	if (faccessat(dir, "state/site", R_OK, AT_EACCESS) < 0 &&
	    errno == EACCES)
		return 0;
	return home_open(path, &h, e);
}

static void
warn(const struct group *g, const struct capture_status *s)
{
	if (s->lost)
		(void)say(0,
		    "group %s has a new control file: its writes are not "
		    "captured until the coordinator has begun to recover it",
		    g->name);
	else if (s->needs_recovery)
		(void)say(0,
		    "group %s was not closed cleanly before this boot: its "
		    "writes are only remembered until the coordinator has "
		    "begun to recover it",
		    g->name);
	else if (s->mode == CAPTURE_PASSTHROUGH)
		(void)say(0,
		    "the spool of group %s is full: its writes are not "
		    "captured, only remembered, until there is room again",
		    g->name);
	else if (s->mode == CAPTURE_OFF)
		(void)say(0,
		    "group %s has no base yet: its writes are not captured",
		    g->name);
}

/* Can capture start, for every group? */
static int
try_attach(const char *home, const struct groups *g, struct err *e)
{
	for (size_t i = 0; i < g->count; i++) {
		struct capture_status s;
		struct capture *c;

		if (capture_attach(
			home, &g->list[i].uuid, CAPTURE_WRITER, &c, e) < 0)
			return err_at(e, "group %s", g->list[i].name);
		capture_status(c, &s);
		capture_detach(c);
		warn(&g->list[i], &s);
	}
	return 0;
}

static int
check_capture(const char *home, const char *group, struct err *e)
{
	AUTO(groups_release) struct groups g = {0};
	/* Others may pass through it, not list it. */
	AUTO_CLOSE int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t i = 0;

	if (dir < 0)
		return err_sys(e, "home %s", home);
	if (check_home(home, dir, e) < 0 || read_groups(dir, &g, e) < 0 ||
	    check_folders(dir, &g, e) < 0)
		return -1;
	while (i < g.count && strcmp(g.list[i].name, group) != 0)
		i++;
	if (i == g.count)
		return err_set(e, ERR_REFUSED,
		    "no group '%s' is protected in this home", group);
	return try_attach(home, &g, e);
}

/* ---- the library ---- */

/* Beside the build's programs, or where it is installed. */
static int
find_library(char out[PATH_MAX], struct err *e)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	AUTO_FREE char *real = NULL;
	char *slash;

	if (n > 0) {
		exe[n] = 0;
		slash = strrchr(exe, '/');
		if (slash != NULL &&
		    (size_t)(slash - exe) + sizeof(LIBRARY) + 4 < sizeof(exe)) {
			(void)strcpy(slash, "/../" LIBRARY);
			real = realpath(exe, NULL);
		}
	}
	if (real == NULL)
		real = realpath(AIM_PKGLIBDIR "/" LIBRARY, NULL);
	if (real == NULL)
		return err_sys(e, "the driver " AIM_PKGLIBDIR "/" LIBRARY);
	if (strlen(real) >= PATH_MAX)
		return err_set(e, ERR_REFUSED, "the driver's path is too long");
	(void)strcpy(out, real);
	return 0;
}

/* It becomes part of every program that is run. */
static int
check_library(const char *path, struct err *e)
{
	struct stat st;

	if (strpbrk(path, " :\t\n") != NULL)
		return err_set(e, ERR_REFUSED,
		    "the driver's path '%s' has a space or colon in it, which "
		    "LD_PRELOAD cannot carry: install it elsewhere",
		    path);
	if (stat(path, &st) < 0)
		return err_sys(e, "the driver %s", path);
	if (!S_ISREG(st.st_mode) ||
	    (st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & 022) != 0)
		return err_set(e, ERR_REFUSED,
		    "the driver %s must belong to root or to you, and be "
		    "writable for its owner only",
		    path);
	return 0;
}

/* Whether system calls past the C library can be seen, and if not, why. */
static const char *
no_tripwire(void)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	unsigned trap = SECCOMP_RET_TRAP;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap) < 0)
		return "this kernel has no seccomp filters";
	return NULL;
#else
	return "this is not an x86-64 machine";
#endif
}

static int
set_tripwire(bool off, struct err *e)
{
	const char *why = no_tripwire();

	if (off || why != NULL) {
		(void)unsetenv("AIM_TRIPWIRE");
		if (!off)
			(void)say(0,
			    "%s: system calls that programs make past the C "
			    "library are not captured",
			    why);
		return 0;
	}
	if (setenv("AIM_TRIPWIRE", "1", 1) < 0)
		return err_set(e, ERR_RETRY, "out of memory");
	return 0;
}

static int
set_environment(const char *home, struct err *e)
{
	const char *before = getenv("LD_PRELOAD");
	char library[PATH_MAX];
	AUTO_FREE char *list = NULL;

	if (find_library(library, e) < 0 || check_library(library, e) < 0)
		return -1;
	if (before == NULL || before[0] == 0)
		list = strdup(library);
	else if (asprintf(&list, "%s:%s", library, before) < 0)
		list = NULL;
	if (list == NULL || setenv("LD_PRELOAD", list, 1) < 0 ||
	    setenv("AIM_HOME", home, 1) < 0)
		return err_set(e, ERR_RETRY, "out of memory");
	return 0;
}

/* ---- the program ---- */

static void
pass_on(int number, siginfo_t *info, void *context)
{
	int was = errno;

	(void)context;
	/* What a terminal sends has reached the program too. */
	if (info->si_code != SI_KERNEL && the_child > 0)
		(void)kill((pid_t)the_child, number);
	errno = was;
}

static const int passed[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2,
    SIGALRM, SIGCONT, SIGWINCH};
#define PASSED (sizeof(passed) / sizeof(passed[0]))

static void
exec_program(const char *path, char **argv, pid_t parent, int report)
{
	int why;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(RUN_FAILED);
	(void)execv(path, argv);
	if (errno == ENOEXEC) {
		size_t n = 0;
		char **shell;

		while (argv[n] != NULL)
			n++;
		shell = calloc(n + 2, sizeof(*shell));
		if (shell != NULL) {
			shell[0] = strdup(_PATH_BSHELL);
			shell[1] = strdup(path);
			for (size_t i = 1; i < n; i++)
				shell[i + 1] = argv[i];
			(void)execv(_PATH_BSHELL, shell);
		}
	}
	why = errno;
	if (write(report, &why, sizeof(why)) < 0)
		_exit(RUN_FAILED);
	_exit(why == ENOENT ? RUN_NOT_FOUND : RUN_REFUSED);
}

static int
await_program(pid_t pid, const char *path, int report)
{
	int status, why = 0;

	/* Empty when the program was started: the pipe closed with exec. */
	if (read(report, &why, sizeof(why)) == sizeof(why))
		(void)say(0, "%s: %s", path, strerror(why));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return say(RUN_FAILED, "wait: %s", strerror(errno));
	the_child = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		(void)say(0,
		    "%s was stopped at a system call that cannot be captured "
		    "here; serve the volume with nbdkit --filter=aim",
		    path);
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

/* Handlers go in before the fork; the program starts with what we had. */
static int
start_program(const char *path, char **argv)
{
	struct sigaction act = {
	    .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
	/* Whoever ignores SIGCHLD, and may have passed that on to us, is not
	 * told how a child ended. */
	const struct sigaction tell = {.sa_handler = SIG_DFL};
	struct sigaction before[PASSED], child;
	AUTO_CLOSE int in = -1, out = -1;
	sigset_t all, mask;
	int ends[2];
	pid_t parent = getpid(), pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return say(RUN_FAILED, "pipe: %s", strerror(errno));
	in = ends[0];
	out = ends[1];
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &mask);
	for (size_t i = 0; i < PASSED; i++)
		(void)sigaction(passed[i], &act, &before[i]);
	(void)sigaction(SIGCHLD, &tell, &child);
	pid = fork();
	if (pid == 0) {
		for (size_t i = 0; i < PASSED; i++)
			(void)sigaction(passed[i], &before[i], NULL);
		(void)sigaction(SIGCHLD, &child, NULL);
		(void)sigprocmask(SIG_SETMASK, &mask, NULL);
		exec_program(path, argv, parent, out);
	}
	the_child = pid;
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	if (pid < 0)
		return say(RUN_FAILED, "fork: %s", strerror(errno));
	(void)close(STEAL_FD(out));
	return await_program(pid, path, in);
}

int
run_run(struct args *a)
{
	AUTO_FREE char *home = realpath(a->home, NULL);
	char path[PATH_MAX];
	struct err e = {0};

	if (home == NULL)
		return say(RUN_FAILED, "home %s: %s", a->home, strerror(errno));
	if (program_find(a->rest[0], path, &e) < 0)
		return say(e.sys == ENOENT ? RUN_NOT_FOUND : RUN_REFUSED, "%s",
		    e.text);
	if (program_check(path, &e) < 0)
		return say(RUN_REFUSED, "%s", e.text);
	if (check_capture(home, a->words[0], &e) < 0 ||
	    set_environment(home, &e) < 0 ||
	    set_tripwire(args_has(a, "no-tripwire"), &e) < 0)
		return say(RUN_FAILED, "capture could not start: %s", e.text);
	return start_program(path, a->rest);
}
