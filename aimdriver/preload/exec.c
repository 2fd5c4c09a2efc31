/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: the exec and spawn families, system and popen. Whatever environment
 * the program passes on, the driver stays in it; what could not be captured
 * is not started (EACCES, with a message).
 */
#include "aimdriver/preload/exec.h"

#include <alloca.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long
px_exec(int dir, const char *path, char *const *argv, char *const *env, int at)
{
	struct px_environ e;
	long r;

	if (!px_on())
		return raw6(SYS_execveat, dir, (long)path, (long)argv,
		    (long)env, at, 0);
	r = px_may_exec(dir, path, at);
	if (r < 0)
		return r;
	if (!px_environ_make(env, &e))
		return -ENOMEM;
	/* execve keeps the name for the script's interpreter; execveat by
	 * descriptor would give it /dev/fd/N. */
	if (dir == AT_FDCWD && at == 0)
		r = raw3(SYS_execve, (long)path, (long)argv, (long)e.env);
	else
		r = raw6(SYS_execveat, dir, (long)path, (long)argv, (long)e.env,
		    at, 0);
	px_environ_free(&e);
	return r;
}

EXPORT(int, execve, (const char *path, char *const argv[], char *const env[]))
{
	return (int)ret(px_exec(AT_FDCWD, path, argv, env, 0));
}
ALIAS(__execve, execve);

EXPORT(int, execv, (const char *path, char *const argv[]))
{
	return px_execve(path, argv, environ);
}

EXPORT(int, fexecve, (int fd, char *const argv[], char *const env[]))
{
	if (fd < 0 || argv == NULL || env == NULL)
		return (int)ret(-EINVAL);
	return (int)ret(px_exec(fd, "", argv, env, AT_EMPTY_PATH));
}

EXPORT(int, execveat,
    (int dir, const char *path, char *const argv[], char *const env[], int at))
{
	return (int)ret(px_exec(dir, path, argv, env, at));
}

/* A file that the kernel does not know is given to the shell, as libc does. */
static long
exec_or_shell(const char *path, char *const *argv, char *const *env)
{
	long r = px_exec(AT_FDCWD, path, argv, env, 0);
	size_t n = 0;
	char **shell;

	if (r != -ENOEXEC)
		return r;
	while (n < 65536 && argv[n] != NULL)
		n++;
	shell = alloca((n + 3) * sizeof(char *));
	memset(shell, 0, (n + 3) * sizeof(char *));
	shell[0] = strdupa(_PATH_BSHELL);
	memcpy(&shell[1], &path, sizeof(path));
	for (size_t i = 1; i < n; i++)
		shell[i + 1] = argv[i];
	return px_exec(AT_FDCWD, _PATH_BSHELL, shell, env, 0);
}

static long
search_path(const char *name, char *const *argv, char *const *env)
{
	const char *path = getenv("PATH");
	char full[PATH_MAX];
	bool denied = false;
	long r = -ENOENT;

	if (strchr(name, '/') != NULL)
		return exec_or_shell(name, argv, env);
	if (name[0] == '\0')
		return -ENOENT;
	for (const char *p = path != NULL ? path : "/bin:/usr/bin";; p++) {
		size_t len = strcspn(p, ":");

		if (len + strlen(name) + 2 <= sizeof(full)) {
			(void)snprintf(full, sizeof(full), "%.*s%s%s", (int)len,
			    p, len > 0 ? "/" : "", name);
			r = exec_or_shell(full, argv, env);
			denied = denied || r == -EACCES;
			if (r != -ENOENT && r != -EACCES && r != -ENOTDIR &&
			    r != -ESTALE && r != -ENODEV && r != -ETIMEDOUT)
				return r;
		}
		p += len;
		if (*p == '\0')
			break;
	}
	return denied ? -EACCES : r;
}

EXPORT(int, execvpe, (const char *name, char *const argv[], char *const env[]))
{
	return (int)ret(search_path(name, argv, env));
}

EXPORT(int, execvp, (const char *name, char *const argv[]))
{
	return (int)ret(search_path(name, argv, environ));
}

/* Collects the arguments of execl and its kin; *last walks behind NULL. */
#define COLLECT(argv, first, ap)                                               \
	do {                                                                   \
		size_t n_ = 1;                                                 \
		va_list count_;                                                \
		va_copy(count_, ap);                                           \
		while (n_ < 65536 && va_arg(count_, char *) != NULL)           \
			n_++;                                                  \
		va_end(count_);                                                \
		argv = alloca((n_ + 1) * sizeof(char *));                      \
		memcpy(&argv[0], &first, sizeof(first));                       \
		for (size_t i_ = 1; i_ <= n_; i_++)                            \
			argv[i_] = va_arg(ap, char *);                         \
	} while (0)

EXPORT(int, execl, (const char *path, const char *arg, ...))
{
	char **argv;
	va_list ap;

	va_start(ap, arg);
	COLLECT(argv, arg, ap);
	va_end(ap);
	return px_execve(path, argv, environ);
}

EXPORT(int, execlp, (const char *name, const char *arg, ...))
{
	char **argv;
	va_list ap;

	va_start(ap, arg);
	COLLECT(argv, arg, ap);
	va_end(ap);
	return (int)ret(search_path(name, argv, environ));
}

EXPORT(int, execle, (const char *path, const char *arg, ...))
{
	char **argv, **env;
	va_list ap;

	va_start(ap, arg);
	COLLECT(argv, arg, ap);
	env = va_arg(ap, char **);
	va_end(ap);
	return px_execve(path, argv, env);
}
