/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuild: a group's files after they were lost or damaged.
 *
 * Everything is made and durable under other names before the first of the
 * old files moves. `control` goes aside first and comes last: as long as it is
 * missing nobody can attach, so whatever a crash leaves is either the old
 * state, or "control is missing", or the new one.
 *
 * Nobody may still capture into the old files, which nobody would seal any
 * more. `attached`, locked exclusively all the time, tells; should somebody
 * have removed it, the processes themselves do (attached.c).
 */
#include "aimdriver/wal_file.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct rebuild {
	const char *home;
	const struct uuid *group;
	char where[768]; /* for texts */
	int dir, attached;
	gid_t access;
};

static void
rebuild_release(struct rebuild *r)
{
	cleanup_fd(&r->attached);
	cleanup_fd(&r->dir);
}

/* Also a folder, if it is empty: who may write here may have put it. */
static int
remove_any(const struct rebuild *r, const char *name, struct err *e)
{
	if (sys_unlink(r->dir, name) == 0 || errno == ENOENT ||
	    (errno == EISDIR && unlinkat(r->dir, name, AT_REMOVEDIR) == 0))
		return 0;
	return err_sys(e, "%s/%s is in the way: remove it", r->where, name);
}

static int
open_folder(struct rebuild *r, struct err *e)
{
	char text[UUID_TEXT];
	struct err why = {0};
	struct stat st;

	if ((size_t)snprintf(r->where, sizeof(r->where), "%s/active/%s",
		r->home, uuid_text(r->group, text)) >= sizeof(r->where))
		return err_set(e, ERR_REFUSED, "path too long: %s", r->home);
	if (io_open_dir(AT_FDCWD, r->where, &r->dir, &why) < 0) {
		if (why.sys != ENOENT)
			return err_set(e, why.kind, "%s", why.text);
		if (control_make_dir(r->home, r->group, (gid_t)-1, &r->dir, e) <
		    0)
			return -1;
	}
	/* Who may capture stays as it was. */
	if (fstat(r->dir, &st) < 0)
		return err_sys(e, "stat %s", r->where);
	r->access = st.st_gid == getegid() ? (gid_t)-1 : st.st_gid;
	return 0;
}

static int
refuse(const struct rebuild *r, const char *who, struct err *e)
{
	return err_set(e, ERR_REFUSED,
	    "programs still capture in this group%s%s%s: end them first, they "
	    "are found by 'fuser %s/attached'",
	    who[0] == 0 ? "" : " (process ", who, who[0] == 0 ? "" : ")",
	    r->where);
}

/* True when there is a proper one, which is opened. */
static bool
open_attached(struct rebuild *r)
{
	struct stat st;

	r->attached =
	    sys_openat(r->dir, "attached", O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
	if (r->attached >= 0 && fstat(r->attached, &st) == 0 &&
	    S_ISREG(st.st_mode))
		return true;
	cleanup_fd(&r->attached);
	r->attached = -1;
	return false;
}

static int
lock_out(struct rebuild *r, struct err *e)
{
	bool there = open_attached(r);
	char who[128];
	bool all = attached_find(r->group, who, sizeof(who));

	if (who[0] != 0)
		return refuse(r, who, e);
	if (!there && !all)
		return err_set(e, ERR_REFUSED,
		    "%s/attached is missing, too, and not every process can be "
		    "looked at for whether it still captures: do this as root",
		    r->where);
	if (!there && (remove_any(r, "attached", e) < 0 ||
			  control_make_file(r->dir, "attached", r->access, 0,
			      &r->attached, e) < 0 ||
			  io_fsync(r->attached, "attached", e) < 0))
		return -1;
	if (io_lock(r->attached, true, e) < 0)
		return e->kind == ERR_RETRY
			   ? refuse(r, "", e)
			   : err_at(e, "%s/attached", r->where);
	return 0;
}

/* What a log promises is not lost with the control file. */
static int
find_logs(const struct rebuild *r, struct control *ctl,
    const struct capture_volume *volumes, uint32_t count, struct err *e)
{
	bool active;
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (wal_file_is_active(
			r->dir, r->group, &volumes[i].uuid, &active, e) < 0)
			return -1;
		if (!active)
			continue;
		atomic_fetch_or(&ctl->wal[i / 64], UINT64_C(1) << i % 64);
		atomic_store(&ctl->needs_redo, 1);
	}
	return 0;
}

static int
make_control(struct rebuild *r, const struct capture_volume *volumes,
    uint32_t count, struct err *e)
{
	AUTO(control_unmap) struct control *ctl = NULL;
	AUTO_CLOSE int fd = -1;
	uint32_t i;

	if (remove_any(r, "control.new", e) < 0 ||
	    control_make_file(r->dir, "control.new", r->access,
		sizeof(struct control), &fd, e) < 0 ||
	    control_fill(fd, r->group, &ctl, e) < 0)
		return -1;
	for (i = 0; i < count; i++)
		if (control_put_volume(fd, ctl, i, &volumes[i], e) < 0)
			return -1;
	atomic_store(&ctl->volumes, control_join_volumes(ctl, count));
	atomic_store(&ctl->marks, MARK_UNCLEAN);
	atomic_store(&ctl->needs_recovery, RECOVERY_LOST);
	if (find_logs(r, ctl, volumes, count, e) < 0)
		return -1;
	if (msync(ctl, sizeof(*ctl), MS_SYNC) < 0)
		return err_sys(e, "sync %s/control.new", r->where);
	return io_fsync(fd, "control.new", e);
}

static int
make_segments(struct rebuild *r, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (remove_any(r, "segments.new", e) < 0 ||
	    control_make_file(
		r->dir, "segments.new", r->access, SEGMENTS_LEN, &fd, e) < 0)
		return -1;
	return io_fsync(fd, "segments.new", e);
}

static int
set_aside(
    struct rebuild *r, const char *name, const char *broken, struct err *e)
{
	if (faccessat(r->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno == ENOENT)
		return 0;
	if (remove_any(r, broken, e) < 0)
		return -1;
	if (sys_rename(r->dir, name, r->dir, broken, 0) < 0)
		return err_sys(e, "set %s/%s aside", r->where, name);
	return io_fsync(r->dir, r->where, e);
}

int
capture_rebuild(const char *home, const struct uuid *group,
    const struct capture_volume *volumes, uint32_t count, struct err *e)
{
	AUTO(rebuild_release)
	struct rebuild r = {
	    .home = home, .group = group, .dir = -1, .attached = -1};

	if (count > JOURNAL_VOLUME_LIMIT)
		return err_set(e, ERR_REFUSED, "a group has at most %d volumes",
		    JOURNAL_VOLUME_LIMIT);
	if (open_folder(&r, e) < 0 || lock_out(&r, e) < 0 ||
	    make_segments(&r, e) < 0 || make_control(&r, volumes, count, e) < 0)
		return err_at(e, "make the group's files anew");
	if (set_aside(&r, "control", "control.broken", e) < 0 ||
	    set_aside(&r, "segments", "segments.broken", e) < 0 ||
	    io_move(r.dir, "segments.new", r.dir, "segments", e) < 0 ||
	    io_move(r.dir, "control.new", r.dir, "control", e) < 0)
		return err_at(e, "make the group's files anew");
	return 0;
}
