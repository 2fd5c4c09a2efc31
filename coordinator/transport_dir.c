/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_dir: file:///DIR, a folder that the mirror's site reads too: a
 * disk that travels, a mount, or the same machine. The bytes go to a hidden
 * name of our own and are synced before the rename, so that a file is whole
 * when it appears; the folder is opened anew each time, because a mount may
 * come and go.
 */
#include "coordinator/transport_dir.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The path of a URL, with %XX made the byte that it stands for; false when
 * it is none. */
static bool
decode_path(const char *url, char out[PATH_MAX])
{
	const char *p = url + strlen("file://");
	size_t n = 0;

	if (p[0] != '/')
		return false;
	for (; *p != '\0' && n < PATH_MAX - TRANSPORT_NAME_LIMIT - 1; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '%') {
			int high = hex_digit(p[1]);
			int low = high < 0 ? -1 : hex_digit(p[2]);

			if (low < 0)
				return false;
			c = (unsigned char)(high << 4 | low);
			p += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return *p == '\0';
}

static int
dir_check(const struct destination_config *d, bool for_acks, struct err *e)
{
	const char *url = transport_url(d, for_acks);
	char shown[120], path[PATH_MAX];

	if (decode_path(url, path))
		return 0;
	return err_set(e, ERR_REFUSED,
	    "\"%s\": after file:// comes an absolute path, as in "
	    "file:///srv/incoming; a percent sign in it is written %%25, other "
	    "bytes may be written %%XX",
	    name_quote(url, strlen(url), shown, sizeof(shown)));
}

static int
dir_open(const struct destination_config *d, bool for_acks,
    struct transport **out, struct err *e)
{
	struct dir_transport *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->block = malloc(DIR_BLOCK)) == NULL) {
		free(t);
		return err_set(e, ERR_RETRY, "out of memory");
	}
	t->base.ops = &transport_dir_ops;
	if (!decode_path(transport_url(d, for_acks), t->path)) {
		free(t->block);
		free(t);
		return dir_check(d, for_acks, e);
	}
	*out = &t->base;
	return 0;
}

int
dir_open_folder(struct dir_transport *t, const char *name, const char **base,
    int *out, struct err *e)
{
	const char *slash = strrchr(name, '/');
	AUTO_CLOSE int top = -1;
	char folder[TRANSPORT_NAME_LIMIT];
	int fd;

	if (io_open_dir(AT_FDCWD, t->path, &top, e) < 0)
		return -1;
	if (slash == NULL) {
		*base = name;
		*out = STEAL_FD(top);
		return 0;
	}
	(void)snprintf(
	    folder, sizeof(folder), "%.*s", (int)(slash - name), name);
	fd = sys_openat(top, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return err_sys(e, "open directory %s/%s", t->path, folder);
	*base = slash + 1;
	*out = fd;
	return 0;
}

int
dir_no_folder(struct dir_transport *t, struct err *e)
{
	if (e != NULL && (e->sys == ENOENT || e->sys == ENOTDIR)) {
		e->kind = ERR_RETRY;
		return err_at(e,
		    "%s is not ready (is it mounted? was `mirror add` run at "
		    "the other site?)",
		    t->path);
	}
	return -1;
}

static int
copy_bytes(
    struct dir_transport *t, int from, int to, uint64_t len, struct err *e)
{
	uint64_t off, n;

	for (off = 0; off < len; off += n) {
		n = len - off < DIR_BLOCK ? len - off : DIR_BLOCK;
		if (io_read_at(from, t->block, n, off, e) < 0 ||
		    io_write_at(to, t->block, n, off, e) < 0)
			return -1;
	}
	return io_fsync(to, "the copy", e);
}

/* Some file systems cannot rename without replacing; a link can. */
static int
publish(int dir, const char *part, const char *name, struct err *e)
{
	if (sys_rename(dir, part, dir, name, RENAME_NOREPLACE) == 0)
		return 1;
	if (errno == EEXIST)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return err_sys(e, "rename to %s", name);
	if (sys_link(dir, part, dir, name) < 0)
		return errno == EEXIST ? 0 : err_sys(e, "link to %s", name);
	(void)sys_unlink(dir, part);
	return 1;
}

static int
put_into(struct dir_transport *t, int dir, int fd, uint64_t len,
    const char *name, struct err *e)
{
	char part[TRANSPORT_NAME_LIMIT];
	AUTO_CLOSE int to = -1;
	int done;

	if (transport_part_name(name, part, sizeof(part), e) < 0)
		return -1;
	to = sys_openat(
	    dir, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0640);
	if (to < 0)
		return err_sys(e, "create %s", part);
	if (copy_bytes(t, fd, to, len, e) < 0) {
		(void)sys_unlink(dir, part);
		return -1;
	}
	done = publish(dir, part, name, e);
	if (done <= 0)
		(void)sys_unlink(dir, part);
	if (done == 1 && io_fsync(dir, "the folder", e) < 0)
		return -1;
	return done;
}

static int
dir_put(struct transport *base, int fd, uint64_t len, const char *name,
    struct err *e)
{
	struct dir_transport *t = dir_from_base(base);
	AUTO_CLOSE int dir = -1;
	const char *file;
	struct stat st;
	int done;

	if (dir_open_folder(t, name, &file, &dir, e) < 0)
		return dir_no_folder(t, e);
	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	done = put_into(t, dir, fd, len, file, e);
	return done < 0 ? err_at(e, "%s/%s", t->path, name) : done;
}

static int
dir_get(struct transport *base, const char *name, size_t max, struct buf *out,
    struct err *e)
{
	struct dir_transport *t = dir_from_base(base);
	AUTO(buf_release) struct buf got = {0};
	AUTO_CLOSE int dir = -1, fd = -1;
	struct err why = {0};
	const char *file;
	ssize_t n;

	if (dir_open_folder(t, name, &file, &dir, &why) < 0 ||
	    io_open_regular(dir, file, &fd, &why) < 0) {
		if (why.sys == ENOENT)
			return 0;
		return err_set(
		    e, why.kind, "%s/%s: %s", t->path, name, why.text);
	}
	if (buf_room(&got, max + 1, e) < 0)
		return -1;
	n = io_read_some_at(fd, got.data, max + 1, 0, e);
	if (n < 0)
		return err_at(e, "%s/%s", t->path, name);
	if ((size_t)n > max)
		return err_set(e, ERR_REFUSED,
		    "%s/%s is larger than the %zu bytes that are accepted",
		    t->path, name, max);
	got.len = (size_t)n;
	buf_swap(out, &got);
	return 1;
}

static int
dir_watch(struct transport *base, int inotify, const char *name)
{
	struct dir_transport *t = dir_from_base(base);
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", t->path, name) >=
	    sizeof(path))
		return -1;
	return inotify_add_watch(inotify, path,
	    IN_MOVED_TO | IN_CREATE | IN_CLOSE_WRITE | IN_ONLYDIR);
}

static void
dir_close(struct transport *base)
{
	struct dir_transport *t = dir_from_base(base);

	free(t->block);
	free(t);
}

const struct transport_ops transport_dir_ops = {
    .scheme = "file",
    .check = dir_check,
    .open = dir_open,
    .put = dir_put,
    .get = dir_get,
    .watch = dir_watch,
    .close = dir_close,
    .fetch = dir_fetch,
    .replace = dir_replace,
    .remove = dir_remove,
    .has = dir_has,
    .make_folder = dir_make_folder,
};
