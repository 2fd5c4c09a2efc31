/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: a protected volume keeps its name (rule 9.12). What would take the
 * name away, or put something else in its place, gets EBUSY.
 */
#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/swap.h>
#include <unistd.h>

static bool
is_kept(const char *what, int dir, const char *path)
{
	struct px_target t;

	if (!px_find_at(dir, path, AT_SYMLINK_NOFOLLOW, &t))
		return false;
	px_say(PX_NAMES,
	    "refused: %s wants to %s %s, which is a protected volume; write "
	    "into it instead",
	    px_program(), what, path);
	return true;
}

static int
rename_at(
    int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	if (is_kept("rename", from_dir, from) || is_kept("replace", to_dir, to))
		return (int)ret(-EBUSY);
	return (int)ret(raw6(
	    SYS_renameat2, from_dir, (long)from, to_dir, (long)to, flags, 0));
}

EXPORT(int, rename, (const char *from, const char *to))
{
	return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT(
    int, renameat, (int from_dir, const char *from, int to_dir, const char *to))
{
	return rename_at(from_dir, from, to_dir, to, 0);
}

EXPORT(int, renameat2,
    (int from_dir, const char *from, int to_dir, const char *to,
	unsigned flags))
{
	return rename_at(from_dir, from, to_dir, to, flags);
}

static int
unlink_at(int dir, const char *path, int flags)
{
	if ((flags & AT_REMOVEDIR) == 0 && is_kept("remove", dir, path))
		return (int)ret(-EBUSY);
	return (int)ret(raw3(SYS_unlinkat, dir, (long)path, flags));
}

EXPORT(int, unlink, (const char *path))
{
	return unlink_at(AT_FDCWD, path, 0);
}

EXPORT(int, unlinkat, (int dir, const char *path, int flags))
{
	return unlink_at(dir, path, flags);
}

EXPORT(int, remove, (const char *path))
{
	long r;

	if (is_kept("remove", AT_FDCWD, path))
		return (int)ret(-EBUSY);
	r = raw3(SYS_unlinkat, AT_FDCWD, (long)path, 0);
	if (r == -EISDIR || r == -EPERM) {
		long d = raw3(SYS_unlinkat, AT_FDCWD, (long)path, AT_REMOVEDIR);

		r = d == -ENOTDIR ? r : d;
	}
	return (int)ret(r);
}

EXPORT(int, linkat,
    (int from_dir, const char *from, int to_dir, const char *to, int flags))
{
	if (is_kept("link", from_dir, from))
		return (int)ret(-EBUSY);
	return (int)ret(
	    raw6(SYS_linkat, from_dir, (long)from, to_dir, (long)to, flags, 0));
}

EXPORT(int, link, (const char *from, const char *to))
{
	return px_linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Whoever mounts it or swaps to it writes from inside the kernel. */
static bool
is_taken(const char *what, const char *path)
{
	struct px_target t;

	if (!px_find_at(AT_FDCWD, path, 0, &t))
		return false;
	px_say(PX_MOUNT,
	    "refused: %s wants to %s %s, a protected volume: the kernel's "
	    "writes cannot be captured here; serve it with nbdkit instead",
	    px_program(), what, path);
	return true;
}

static bool
has_any(const char *text, const char *const *words)
{
	for (; text != NULL && *words != NULL; words++)
		if (strstr(text, *words) != NULL)
			return true;
	return false;
}

/*
 * A journal is replayed even when it is mounted read-only, unless the options
 * say no; these have none.
 */
static bool
is_only_read(const char *type, const char *options)
{
	static const char *const without[] = {
	    "iso9660", "squashfs", "erofs", "udf", "fat", "msdos", NULL};
	static const char *const no_replay[] = {
	    "noload", "norecovery", "nologreplay", NULL};

	return has_any(type, without) || has_any(options, no_replay);
}

EXPORT(int, mount,
    (const char *from, const char *on, const char *type, unsigned long flags,
	const void *data))
{
	if ((flags & (MS_BIND | MS_MOVE)) == 0 &&
	    ((flags & MS_RDONLY) == 0 || !is_only_read(type, data)) &&
	    is_taken("mount", from))
		return (int)ret(-EBUSY);
	return (int)ret(raw6(SYS_mount, (long)from, (long)on, (long)type,
	    (long)flags, (long)data, 0));
}

EXPORT(int, swapon, (const char *path, int flags))
{
	if (is_taken("swap to", path))
		return (int)ret(-EBUSY);
	return (int)ret(raw2(SYS_swapon, (long)path, flags));
}

/* The newer way to mount: what is to be mounted is a parameter by the name of
 * "source"; whether for reading only is not known yet. */
EXPORT(int, fsconfig,
    (int fd, unsigned command, const char *key, const void *value, int aux))
{
	const bool text =
	    command == FSCONFIG_SET_STRING || command == FSCONFIG_SET_PATH;

	if (text && key != NULL && value != NULL &&
	    strcmp(key, "source") == 0 && is_taken("mount", value))
		return (int)ret(-EBUSY);
	return (int)ret(
	    raw6(SYS_fsconfig, fd, command, (long)key, (long)value, aux, 0));
}
