/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach: a process joins a group and leaves it.
 *
 * All descriptors are opened here, because programs drop privileges, change
 * their root and use up their descriptors later. Each writer holds the file
 * `attached` locked (shared) as long as it lives; who can have that lock
 * alone knows that no writer is there.
 */
#include "aimdriver/activity.h"
#include "aimdriver/seen.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOCK_PATIENCE_MS 30000

struct memory {
	struct capture c;
	int fds[JOURNAL_VOLUME_LIMIT];
	struct volume_id id[JOURNAL_VOLUME_LIMIT];
	uint32_t bucket[VOLUME_BUCKETS];
	_Atomic uint8_t opened[CONTROL_SEGMENTS];
	_Alignas(4096) uint8_t scratch[CAPTURE_CHUNK];
};

static void
close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

static void
release(struct capture **p)
{
	struct capture *c = *p;
	uint32_t i;

	if (c == NULL)
		return;
	for (i = 0; i < JOURNAL_VOLUME_LIMIT; i++)
		close_fd(c->volume_fd[i]);
	close_fd(c->attached_fd);
	close_fd(c->activity_fd);
	close_fd(c->segments_fd);
	close_fd(c->control_fd);
	close_fd(c->dir);
	if (c->segments != NULL)
		(void)munmap(c->segments, SEGMENTS_LEN);
	if (c->activity != NULL)
		(void)munmap(
		    c->activity, c->activity_count * sizeof(*c->activity));
	if (c->ctl != NULL)
		(void)munmap(c->ctl, c->control_len);
	(void)pthread_mutex_destroy(&c->local);
	(void)pthread_mutex_destroy(&c->text);
	(void)pthread_mutex_destroy(&c->syncing);
	(void)munmap(c, c->mapped);
	*p = NULL;
}

static int
allocate(const char *home, const struct uuid *group, unsigned flags,
    struct capture **out, struct err *e)
{
	char text[UUID_TEXT];
	struct memory *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct capture *c;
	uint32_t i;

	if (m == MAP_FAILED)
		return err_sys(e, "memory for attaching");
	c = &m->c;
	c->mapped = sizeof(*m);
	c->opened = m->opened;
	c->scratch = m->scratch;
	c->volume_fd = m->fds;
	c->id = m->id;
	c->bucket = m->bucket;
	c->flags = flags;
	c->group = *group;
	c->dir = c->control_fd = c->segments_fd = c->attached_fd = -1;
	c->activity_fd = -1;
	for (i = 0; i < JOURNAL_VOLUME_LIMIT; i++)
		c->volume_fd[i] = -1;
	(void)pthread_mutex_init(&c->local, NULL);
	(void)pthread_mutex_init(&c->text, NULL);
	(void)pthread_mutex_init(&c->syncing, NULL);
	*out = c;
	if ((size_t)snprintf(c->where, sizeof(c->where), "%s/active/%s", home,
		uuid_text(group, text)) >= sizeof(c->where))
		return err_set(e, ERR_REFUSED, "path too long: %s", home);
	return 0;
}

static int
lock_patiently(int fd, bool exclusive, const char *what, struct err *e)
{
	uint64_t until = clock_mono_ns() + UINT64_C(1000000) * LOCK_PATIENCE_MS;

	while (io_lock(fd, exclusive, e) < 0) {
		if (e->kind != ERR_RETRY || clock_mono_ns() >= until)
			return err_at(e, "%s", what);
		clock_sleep_ms(1);
	}
	return 0;
}

static int
open_shared(struct capture *c, const char *name, int *out, struct err *e)
{
	int how = (c->read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK;
	AUTO_CLOSE int fd = sys_openat(c->dir, name, how, 0);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return control_damaged(e, "%s/%s is missing", c->where, name);
	if (fd < 0 && errno != ELOOP && errno != EISDIR && errno != ENXIO)
		return err_sys(e, "open %s/%s", c->where, name);
	if (fd >= 0 && fstat(fd, &st) < 0)
		return err_sys(e, "stat %s/%s", c->where, name);
	if (fd < 0 || !S_ISREG(st.st_mode))
		return control_damaged(
		    e, "%s/%s is not a regular file", c->where, name);
	*out = STEAL_FD(fd);
	return 0;
}

static int
open_control(struct capture *c, struct err *e)
{
	struct err why;

	if (io_open_dir(AT_FDCWD, c->where, &c->dir, &why) < 0) {
		if (why.sys == ENOENT)
			return control_damaged(e, "%s is missing", c->where);
		*e = why;
		return -1;
	}
	if (open_shared(c, "control", &c->control_fd, &why) == 0)
		return 0;
	if ((c->flags & CAPTURE_INSPECT) == 0 || why.sys != EACCES) {
		*e = why;
		return -1;
	}
	c->read_only = true;
	return open_shared(c, "control", &c->control_fd, e);
}

/* The first after a boot does so alone; `segments` may be changed by it. */
static int
map_and_boot(struct capture *c, struct err *e)
{
	struct err why;
	int r;

	if (!c->read_only &&
	    lock_patiently(c->control_fd, true, c->where, e) < 0)
		return -1;
	r = open_shared(c, "segments", &c->segments_fd, e);
	if (r == 0)
		r = control_map(c, e);
	if (r == 0)
		r = activity_open(c, e);
	if (r == 0)
		r = control_boot(c, e);
	if (!c->read_only && io_unlock(c->control_fd, &why) < 0 && r == 0) {
		*e = why;
		r = -1;
	}
	return r;
}

/* Out of the way of the captured program's own numbers. */
static void
move_up(int *fd)
{
	static const int from[] = {1000, 500, 200, 100, 40};
	unsigned i;

	for (i = 0; *fd >= 0 && i < sizeof(from) / sizeof(from[0]); i++) {
		int up = fcntl(*fd, F_DUPFD_CLOEXEC, from[i]);

		if (up < 0)
			continue;
		(void)close(*fd);
		*fd = up;
		return;
	}
}

static void
move_all_up(struct capture *c)
{
	uint32_t i;

	move_up(&c->dir);
	move_up(&c->control_fd);
	move_up(&c->segments_fd);
	move_up(&c->attached_fd);
	move_up(&c->activity_fd);
	for (i = 0; i < c->volume_count; i++)
		move_up(&c->volume_fd[i]);
}

static bool
is_at(struct capture *c, const char *name, int fd)
{
	struct stat own, named;

	return fstat(fd, &own) == 0 &&
	       fstatat(c->dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       own.st_dev == named.st_dev && own.st_ino == named.st_ino;
}

/* Whoever makes the files anew has `attached` locked meanwhile: a writer that
 * has it now, and finds them in their places, is where the others are. */
static int
check_places(struct capture *c, struct err *e)
{
	if (is_at(c, "attached", c->attached_fd) &&
	    is_at(c, "segments", c->segments_fd) && !capture_is_replaced(c))
		return 0;
	return err_set(e, ERR_RETRY,
	    "the files in %s were made anew just now: try again", c->where);
}

/* No program captures in the group, and none can begin to. */
static int
have_alone(struct capture *c, struct err *e)
{
	if (io_lock(c->attached_fd, true, e) == 0)
		return 0;
	if (e->kind != ERR_RETRY)
		return err_at(e, "%s", c->where);
	return err_set(e, ERR_REFUSED,
	    "programs are capturing in this group; end them first");
}

/* A log tells of writes, and of flushes, that are done and reported. */
static int
check_commit(struct capture *c, struct err *e)
{
	if (capture_commit_kind(c) == COMMIT_LOCAL)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "the group's commit policy cannot be kept where writes are taken "
	    "from a log: 'aim-manager group set GROUP --commit local'");
}

static int
join(struct capture *c, struct err *e)
{
	if (open_control(c, e) < 0 || map_and_boot(c, e) < 0)
		return -1;
	c->bell_seen = atomic_load(&c->ctl->doorbell);
	atomic_store(&c->hint, CONTROL_NONE);
	if (open_shared(c, "attached", &c->attached_fd, e) < 0)
		return -1;
	if ((c->flags & CAPTURE_WRITER) != 0 &&
	    (lock_patiently(c->attached_fd, false, c->where, e) < 0 ||
		check_places(c, e) < 0))
		return -1;
	if ((c->flags & CAPTURE_RECORDER) != 0 &&
	    (have_alone(c, e) < 0 || check_places(c, e) < 0 ||
		check_commit(c, e) < 0))
		return -1;
	if ((c->flags & CAPTURE_INSPECT) == 0 && volumes_open(c, e) < 0)
		return -1;
	if ((c->flags & (CAPTURE_WRITER | CAPTURE_RECORDER)) != 0 &&
	    wal_attach(c, e) < 0)
		return -1;
	volumes_index(c);
	move_all_up(c);
	return 0;
}

int
capture_attach(const char *home, const struct uuid *group, unsigned flags,
    struct capture **out, struct err *e)
{
	AUTO(release) struct capture *c = NULL;
	struct err own;

	if (e == NULL)
		e = &own;
	if (allocate(home, group, flags, &c, e) < 0 || join(c, e) < 0)
		return err_at(e, "attach to a group");
	*out = STEAL(c);
	return 0;
}

/* Nobody else writes: what the volumes look like now is what they are. */
static void
note_times(struct capture *c)
{
	struct hold h;
	struct err e;

	if ((atomic_load(&c->ctl->marks) & MARK_TIMES) != 0 ||
	    io_lock(c->attached_fd, true, &e) < 0)
		return;
	/* Once: a program that ends waits for nobody. */
	hold_everything(&h);
	if (!hold_try(c, &h))
		return;
	if (volumes_note(c, false, &e) == 0)
		atomic_fetch_or(&c->ctl->marks, MARK_TIMES);
	hold_release(c, &h);
}

void
capture_detach(struct capture *c)
{
	if (c == NULL)
		return;
	if ((c->flags & CAPTURE_WRITER) != 0)
		note_times(c);
	release(&c);
}

void
capture_after_fork(struct capture *c)
{
	int fd;

	(void)pthread_mutex_init(&c->local, NULL);
	(void)pthread_mutex_init(&c->text, NULL);
	(void)pthread_mutex_init(&c->syncing, NULL);
	if ((c->flags & CAPTURE_WRITER) == 0)
		return;
	/* A lock of our own. Without one we share the parent's, and it may
	 * note times while we are still here: the first transaction after
	 * that says so. */
	fd = openat(c->dir, "attached", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (io_lock(fd, false, NULL) == 0)
		(void)dup3(fd, c->attached_fd, O_CLOEXEC);
	(void)close(fd);
}

bool
capture_is_replaced(struct capture *c)
{
	struct stat own, named;
	char path[sizeof(c->where) + 16];

	(void)snprintf(path, sizeof(path), "%s/control", c->where);
	return fstat(c->control_fd, &own) == 0 && lstat(path, &named) == 0 &&
	       (own.st_dev != named.st_dev || own.st_ino != named.st_ino);
}

const struct uuid *
capture_group(const struct capture *c)
{
	return &c->group;
}

bool
capture_owns_fd(const struct capture *c, int fd)
{
	uint32_t i;

	if (fd < 0)
		return false;
	if (fd == c->dir || fd == c->control_fd || fd == c->segments_fd ||
	    fd == c->attached_fd || fd == c->activity_fd)
		return true;
	for (i = 0; i < c->volume_count; i++)
		if (fd == c->volume_fd[i])
			return true;
	return false;
}

/* ---- volumes come and change while nobody is attached ---- */

static int
attach_alone(const char *home, const struct uuid *group, struct capture **out,
    struct err *e)
{
	AUTO(release) struct capture *c = NULL;

	if (capture_attach(
		home, group, CAPTURE_INSPECT | CAPTURE_ALONE, &c, e) < 0)
		return -1;
	if (c->read_only)
		return err_set(e, ERR_REFUSED,
		    "%s may not be written by this "
		    "user",
		    c->where);
	if (have_alone(c, e) < 0)
		return -1;
	*out = STEAL(c);
	return 0;
}

static int
put_volume(struct capture *c, const struct capture_volume *v, struct err *e)
{
	uint32_t n = c->volume_count;

	if (activity_add(c, n, &v->uuid, e) < 0 ||
	    control_put_volume(c->control_fd, c->ctl, n, v, e) < 0 ||
	    control_sync_all(c, e) < 0)
		return -1;
	atomic_store(&c->ctl->volumes, control_join_volumes(c->ctl, n + 1));
	return control_sync_marks(c, e);
}

int
capture_add_volume(const char *home, const struct uuid *group,
    const struct capture_volume *v, struct err *e)
{
	AUTO(release) struct capture *c = NULL;
	uint32_t i;

	if (v->path[0] != '/' ||
	    memchr(v->path, '\0', sizeof(v->path)) == NULL ||
	    (v->kind != VOLUME_FILE && v->kind != VOLUME_BLOCK))
		return err_set(e, ERR_REFUSED,
		    "a volume needs an absolute path of less than %zu bytes",
		    sizeof(v->path));
	if (attach_alone(home, group, &c, e) < 0)
		return err_at(e, "add %s", v->path);
	if (c->volume_count >= JOURNAL_VOLUME_LIMIT)
		return err_set(e, ERR_REFUSED, "a group has at most %d volumes",
		    JOURNAL_VOLUME_LIMIT);
	for (i = 0; i < c->volume_count; i++)
		if (uuid_equal(&c->ctl->volume[i].uuid, &v->uuid) ||
		    strncmp(c->ctl->volume[i].path, v->path, sizeof(v->path)) ==
			0)
			return err_set(e, ERR_REFUSED,
			    "%s is a volume of this group already", v->path);
	return put_volume(c, v, e) < 0 ? err_at(e, "add %s", v->path) : 0;
}

int
capture_accept_volumes(
    const char *home, const struct uuid *group, struct err *e)
{
	AUTO(release) struct capture *c = NULL;
	struct hold h;
	unsigned tries = 0;
	int r;

	if (attach_alone(home, group, &c, e) < 0)
		return err_at(e, "accept the volumes");
	hold_everything(&h);
	while (!hold_try(c, &h)) {
		if (tries++ >= 1000)
			return err_set(e, ERR_RETRY,
			    "the group's locks are held; try again");
		back_off(tries);
	}
	/* Nobody can tell what the disk held after them. */
	settle_as_gaps(c);
	/* What changed is in no stream: it must be copied in. */
	if ((volumes_changed(c) || seen_changed(c) >= 0) && is_watching(c))
		atomic_store(&c->ctl->suspect, 1);
	r = seen_forget(c, e);
	if (r == 0)
		r = volumes_note_resizes(c, e);
	if (r == 0)
		r = volumes_sync(c, e);
	if (r == 0)
		r = volumes_note(c, true, e);
	if (r == 0) {
		atomic_fetch_or(&c->ctl->marks, MARK_TIMES);
		r = control_sync_all(c, e);
	}
	hold_release(c, &h);
	return r < 0 ? err_at(e, "accept the volumes") : 0;
}
