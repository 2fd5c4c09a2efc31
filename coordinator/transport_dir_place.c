/* SPDX-License-Identifier: Apache-2.0 */
/* transport_dir_place: a folder as a place that is fetched from. */
#include "coordinator/transport_dir.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>

static int
too_large(struct dir_transport *t, struct transport_file *f, struct err *e)
{
	return err_set(e, ERR_CORRUPT,
	    "%s/%s is larger than the %ju bytes that are accepted", t->path,
	    f->name, (uintmax_t)f->max);
}

/* Copies what there is now, at most f->max bytes. */
static int
fetch_bytes(struct dir_transport *t, int from, struct transport_file *f,
    uint64_t *len, struct err *e)
{
	uint64_t off = 0;
	ssize_t n;

	if (io_size(from, &off, e) < 0)
		return -1;
	if (off > f->max)
		return too_large(t, f, e);
	for (off = 0;;) {
		n = io_read_some_at(from, t->block, DIR_BLOCK, off, e);
		if (n <= 0)
			break;
		if ((uint64_t)n > f->max - off) /* it grows */
			return too_large(t, f, e);
		if (io_write_at(f->fd, t->block, (size_t)n, off, e) < 0)
			return -1;
		off += (uint64_t)n;
	}
	*len = off;
	return n < 0 ? err_at(e, "%s/%s", t->path, f->name) : 1;
}

static int
fetch_one(struct dir_transport *t, struct transport_file *f, uint64_t *len,
    struct err *e)
{
	AUTO_CLOSE int dir = -1, fd = -1;
	const char *file;

	if (dir_open_folder(t, f->name, &file, &dir, e) < 0)
		return dir_no_folder(t, e);
	if (io_open_regular(dir, file, &fd, e) < 0)
		return e->sys == ENOENT ? 0
					: err_at(e, "%s/%s", t->path, f->name);
	return fetch_bytes(t, fd, f, len, e);
}

void
dir_fetch(struct transport *base, struct transport_file *files, size_t count)
{
	struct dir_transport *t = dir_from_base(base);
	size_t i;

	for (i = 0; i < count; i++) {
		struct err why = {0};
		uint64_t len = 0;
		int got = fetch_one(t, &files[i], &len, &why);

		transport_file_done(&files[i], got, len, &why);
	}
}

/* Where a file cannot be replaced, it is removed first. */
static int
rename_over(int dir, const char *part, const char *name, struct err *e)
{
	if (sys_rename(dir, part, dir, name, 0) == 0)
		return 0;
	if (errno != EEXIST && errno != EPERM && errno != EACCES)
		return err_sys(e, "rename to %s", name);
	if (sys_unlink(dir, name) < 0 && errno != ENOENT)
		return err_sys(e, "remove the old %s", name);
	if (sys_rename(dir, part, dir, name, 0) < 0)
		return err_sys(e, "rename to %s", name);
	return 0;
}

static int
replace_in(
    int dir, const void *bytes, size_t len, const char *name, struct err *e)
{
	char part[TRANSPORT_NAME_LIMIT];
	AUTO_CLOSE int to = -1;

	if (transport_part_name(name, part, sizeof(part), e) < 0)
		return -1;
	to = sys_openat(
	    dir, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
	if (to < 0)
		return err_sys(e, "create %s", part);
	if (io_write_at(to, bytes, len, 0, e) < 0 ||
	    io_fsync(to, part, e) < 0 || rename_over(dir, part, name, e) < 0) {
		(void)sys_unlink(dir, part);
		return -1;
	}
	return io_fsync(dir, "the folder", e);
}

int
dir_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e)
{
	struct dir_transport *t = dir_from_base(base);
	AUTO_CLOSE int dir = -1;
	const char *file;

	if (dir_open_folder(t, name, &file, &dir, e) < 0)
		return dir_no_folder(t, e);
	if (replace_in(dir, bytes, len, file, e) < 0)
		return err_at(e, "%s/%s", t->path, name);
	return 0;
}

/* 1 and opened, or 0: the folder is not there, so nothing is in it. */
static int
find_folder(struct dir_transport *t, const char *name, const char **base,
    int *out, struct err *e)
{
	struct err why = {0};

	if (dir_open_folder(t, name, base, out, &why) == 0)
		return 1;
	if (why.sys == ENOENT)
		return 0;
	return err_set(e, why.kind, "%s", why.text);
}

int
dir_remove(struct transport *base, const char *name, struct err *e)
{
	struct dir_transport *t = dir_from_base(base);
	AUTO_CLOSE int dir = -1;
	const char *file;
	int found = find_folder(t, name, &file, &dir, e);

	if (found <= 0)
		return found;
	if (sys_unlink(dir, file) == 0)
		return 1;
	return errno == ENOENT ? 0 : err_sys(e, "remove %s/%s", t->path, name);
}

int
dir_has(struct transport *base, const char *name, struct err *e)
{
	struct dir_transport *t = dir_from_base(base);
	AUTO_CLOSE int dir = -1;
	const char *file;
	struct stat st;
	int found = find_folder(t, name, &file, &dir, e);

	if (found <= 0)
		return found;
	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : err_sys(e, "stat %s/%s", t->path, name);
}

/* It belongs to whom DIR belongs: several accounts may use the place. */
static int
make_one(int top, const char *name, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st, made;

	if (fstat(top, &st) < 0)
		return err_sys(e, "stat the folder");
	if (fstatat(top, name, &made, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(made.st_mode))
		return 0;
	if (io_make_dir(top, name, (st.st_mode & 0777) | 0700, e) < 0)
		return -1;
	fd = sys_openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0 || fstat(fd, &made) < 0)
		return err_sys(e, "open directory %s", name);
	if ((made.st_uid != st.st_uid || made.st_gid != st.st_gid) &&
	    fchown(fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return err_sys(e, "give %s to its folder's owner", name);
	return 0;
}

int
dir_make_folder(struct transport *base, const char *name, struct err *e)
{
	struct dir_transport *t = dir_from_base(base);
	char folder[TRANSPORT_NAME_LIMIT];
	const char *end = name;
	AUTO_CLOSE int top = -1;

	if (io_open_dir(AT_FDCWD, t->path, &top, e) < 0)
		return dir_no_folder(t, e);
	while (end != NULL) {
		end = strchr(end, '/');
		(void)snprintf(folder, sizeof(folder), "%.*s",
		    end == NULL ? (int)strlen(name) : (int)(end - name), name);
		if (make_one(top, folder, e) < 0)
			return err_at(e, "in %s", t->path);
		end = end == NULL ? NULL : end + 1;
	}
	return 0;
}
