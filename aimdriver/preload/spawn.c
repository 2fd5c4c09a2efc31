/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn: processes that libc makes by itself, and fork.
 *
 * vfork is fork here: a child that shares our memory could not keep capture
 * state of its own.
 */
#include "aimdriver/preload/exec.h"

#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int spawn_call(pid_t *, const char *,
    const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
    char *const *, char *const *);

static int
spawn(spawn_call *call, pid_t *pid, const char *path,
    const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
    char *const *argv, char *const *env)
{
	struct px_environ e;
	int r;

	if (!px_environ_make(env, &e))
		return ENOMEM;
	r = call(pid, path, actions, attr, argv, e.env);
	px_environ_free(&e);
	return r;
}

EXPORT(int, posix_spawn,
    (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attr, char *const argv[], char *const env[]))
{
	long r = px_on() ? px_may_exec(AT_FDCWD, path, 0) : 0;

	return r < 0 ? (int)-r
		     : spawn(px_real.posix_spawn, pid, path, actions, attr,
			   argv, env);
}

/* What the search will find first. */
static long
may_spawn(const char *name)
{
	const char *p = getenv("PATH");
	char full[PATH_MAX];

	if (strchr(name, '/') != NULL)
		return px_may_exec(AT_FDCWD, name, 0);
	for (p = p != NULL ? p : "/bin:/usr/bin";; p++) {
		size_t len = strcspn(p, ":");

		(void)snprintf(full, sizeof(full), "%.*s%s%s", (int)len, p,
		    len > 0 ? "/" : "", name);
		if (raw3(SYS_faccessat, AT_FDCWD, (long)full, X_OK) == 0)
			return px_may_exec(AT_FDCWD, full, 0);
		p += len;
		if (*p == '\0')
			return 0;
	}
}

EXPORT(int, posix_spawnp,
    (pid_t * pid, const char *name, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attr, char *const argv[], char *const env[]))
{
	long r = px_on() ? may_spawn(name) : 0;

	return r < 0 ? (int)-r
		     : spawn(px_real.posix_spawnp, pid, name, actions, attr,
			   argv, env);
}

/*
 * The child opens it inside libc, in our memory and with none of our locks:
 * O_TRUNC there is refused. Where the child will look for a relative name is
 * kept with the actions, in room that libc leaves free (and clears).
 */
static char **
where(posix_spawn_file_actions_t *actions)
{
	enum { LAST = sizeof(actions->__pad) / sizeof(actions->__pad[0]) };

	_Static_assert(
	    offsetof(posix_spawn_file_actions_t, __pad) % sizeof(char *) == 0 &&
		LAST % 2 == 0,
	    "a pointer fits");
	return (char **)(void *)&actions->__pad[LAST - 2];
}

static char *
joined(const char *dir, const char *path)
{
	char *out;

	if (path[0] == '/' || dir == NULL)
		return strdup(path);
	return asprintf(&out, "%s/%s", dir, path) < 0 ? NULL : out;
}

static int
moved(posix_spawn_file_actions_t *actions, const char *path)
{
	char *now = joined(*where(actions), path);

	if (now == NULL)
		return ENOMEM;
	free(*where(actions));
	*where(actions) = now;
	return 0;
}

EXPORT(int, posix_spawn_file_actions_addchdir_np,
    (posix_spawn_file_actions_t * actions, const char *path))
{
	int r = px_real.addchdir(actions, path);

	return r != 0 ? r : moved(actions, path);
}

/* By the name that the folder has now. */
EXPORT(int, posix_spawn_file_actions_addfchdir_np,
    (posix_spawn_file_actions_t * actions, int fd))
{
	char self[32], name[PATH_MAX];
	int r = px_real.addfchdir(actions, fd);
	long n;

	if (r != 0)
		return r;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = raw4(
	    SYS_readlinkat, AT_FDCWD, (long)self, (long)name, sizeof(name) - 1);
	if (n < 0)
		return moved(actions, self);
	name[n] = '\0';
	return moved(actions, name);
}

EXPORT(int, posix_spawn_file_actions_destroy,
    (posix_spawn_file_actions_t * actions))
{
	free(*where(actions));
	*where(actions) = NULL;
	return px_real.actions_destroy(actions);
}

EXPORT(int, posix_spawn_file_actions_addopen,
    (posix_spawn_file_actions_t * actions, int fd, const char *path, int flags,
	mode_t mode))
{
	struct px_target t;
	char *name;
	bool ours;

	if ((flags & O_TRUNC) == 0 || !px_on())
		return px_real.addopen(actions, fd, path, flags, mode);
	name = joined(*where(actions), path);
	if (name == NULL)
		return ENOMEM;
	ours = px_find_at(AT_FDCWD, name, 0, &t) && S_ISREG(t.st.st_mode);
	free(name);
	if (!ours)
		return px_real.addopen(actions, fd, path, flags, mode);
	px_say(PX_SPAWN,
	    "refused: %s has a child truncate %s through posix_spawn, which "
	    "is not captured; truncate it before",
	    px_program(), path);
	return EACCES;
}

EXPORT(int, system, (const char *command))
{
	if (command != NULL && px_on()) {
		if (px_may_exec(AT_FDCWD, _PATH_BSHELL, 0) < 0)
			return (int)ret(-EACCES);
		px_environ_ensure();
	}
	return px_real.system(command);
}

EXPORT(FILE *, popen, (const char *command, const char *mode))
{
	if (px_on()) {
		if (px_may_exec(AT_FDCWD, _PATH_BSHELL, 0) < 0) {
			errno = EACCES;
			return NULL;
		}
		px_environ_ensure();
	}
	return px_real.popen(command, mode);
}

EXPORT(pid_t, vfork, (void))
{
	return fork();
}
