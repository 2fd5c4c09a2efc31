/* SPDX-License-Identifier: Apache-2.0 */
/* control: making, mapping and re-initialising a group's shared files. */
#include "aimdriver/activity.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t test_boot[16];
static bool has_test_boot;

void
capture_test_boot(const uint8_t *boot)
{
	has_test_boot = boot != NULL;
	if (boot != NULL)
		memcpy(test_boot, boot, sizeof(test_boot));
}

static int
boot_id(uint8_t out[16], struct err *e)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	AUTO_CLOSE int fd = -1;
	char text[UUID_TEXT] = "";
	struct uuid u;

	if (has_test_boot) {
		memcpy(out, test_boot, sizeof(test_boot));
		return 0;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (io_read_at(fd, text, UUID_TEXT - 1, 0, e) < 0 ||
	    uuid_parse(text, &u, e) < 0)
		return err_at(e, "%s", path);
	memcpy(out, u.b, sizeof(u.b));
	return 0;
}

int
control_init_lock(struct control_lock *l, struct err *e)
{
	pthread_mutexattr_t a;
	int r = pthread_mutexattr_init(&a);

	if (r == 0) {
		r = pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
		if (r == 0)
			r = pthread_mutexattr_setrobust(
			    &a, PTHREAD_MUTEX_ROBUST);
		if (r == 0) {
			memset(&l->mutex, 0, sizeof(l->mutex));
			r = pthread_mutex_init(&l->mutex, &a);
		}
		(void)pthread_mutexattr_destroy(&a);
	}
	if (r != 0) {
		errno = r;
		return err_sys(e, "make a lock");
	}
	atomic_store(&l->dirty, 0);
	return 0;
}

static int
init_locks(struct control *ctl, uint32_t volumes, struct err *e)
{
	uint32_t i;

	if (control_init_lock(&ctl->reserve, e) < 0 ||
	    control_init_lock(&ctl->settle, e) < 0 ||
	    control_init_lock(&ctl->notes, e) < 0 ||
	    control_init_lock(&ctl->activity, e) < 0)
		return -1;
	for (i = 0; i < CONTROL_STRIPES; i++)
		if (control_init_lock(&ctl->stripe[i], e) < 0)
			return -1;
	for (i = 0; i < volumes; i++)
		if (control_init_lock(&ctl->volume[i].position, e) < 0 ||
		    control_init_lock(&ctl->volume[i].resize, e) < 0)
			return -1;
	return 0;
}

static int
sync_range(struct capture *c, size_t len, struct err *e)
{
	if (msync(c->ctl, len, MS_SYNC) < 0)
		return err_sys(e, "sync %s/control", c->where);
	return 0;
}

int
control_sync_marks(struct capture *c, struct err *e)
{
	return sync_range(c, 4096, e);
}

int
control_sync_all(struct capture *c, struct err *e)
{
	return sync_range(c, sizeof(struct control), e);
}

/* ---- what never changes, with sums ---- */

uint64_t
control_join_volumes(const struct control *ctl, uint32_t count)
{
	struct {
		uint64_t magic, seed;
		struct uuid group;
		uint32_t layout, count;
	} fixed = {ctl->magic, ctl->seed, ctl->group, ctl->layout, count};

	return payload_sum(&fixed, sizeof(fixed), 0) >> 32 << 32 | count;
}

uint64_t
control_volume_sum(const struct control_volume *v, uint32_t i)
{
	return payload_sum(v->path, strnlen(v->path, sizeof(v->path)), i) ^
	       payload_sum(&v->uuid, sizeof(v->uuid), v->kind);
}

int
control_put_volume(int fd, struct control *ctl, uint32_t i,
    const struct capture_volume *v, struct err *e)
{
	struct control_volume *to = &ctl->volume[i];
	size_t off = offsetof(struct control, volume) + i * sizeof(*to);

	if (sys_fallocate(fd, 0, off, sizeof(*to)) < 0)
		return err_sys(e, "make room for %s in control", v->path);
	memset(to, 0, sizeof(*to));
	to->uuid = v->uuid;
	to->kind = v->kind;
	(void)snprintf(to->path, sizeof(to->path), "%s", v->path);
	to->sum = control_volume_sum(to, i);
	volume_sized(to, v->size);
	atomic_store(&to->seen_size, v->size);
	atomic_store(&to->dev, v->dev);
	atomic_store(&to->ino, v->ino);
	atomic_store(&to->rdev, v->rdev);
	atomic_store(&to->mtime_ns, v->mtime_ns);
	atomic_store(&to->ctime_ns, v->ctime_ns);
	if (control_init_lock(&to->position, e) < 0)
		return -1;
	return control_init_lock(&to->resize, e);
}

/* ---- making ---- */

void
control_unmap(struct control **ctl)
{
	if (*ctl != NULL)
		(void)munmap(*ctl, sizeof(**ctl));
}

int
control_make_file(int dir, const char *name, gid_t access, uint64_t len,
    int *out, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (sys_unlink(dir, name) < 0 && errno != ENOENT)
		return err_sys(e, "remove %s", name);
	fd = sys_openat(dir, name, O_RDWR | O_CREAT | O_EXCL, 0660);
	if (fd < 0)
		return err_sys(e, "create %s", name);
	if (access != (gid_t)-1 && fchown(fd, (uid_t)-1, access) < 0)
		return err_sys(
		    e, "give %s to group %ju", name, (uintmax_t)access);
	if (fchmod(fd, 0660) < 0)
		return err_sys(e, "set mode of %s", name);
	if (sys_ftruncate(fd, len) < 0)
		return err_sys(
		    e, "make %s %ju bytes long", name, (uintmax_t)len);
	*out = STEAL_FD(fd);
	return 0;
}

int
control_fill(
    int fd, const struct uuid *group, struct control **out, struct err *e)
{
	AUTO(control_unmap) struct control *ctl = NULL;
	void *p;

	/* Whole, but for the volume table: a mapped hole is a SIGBUS when the
	 * disk is full. */
	if (sys_fallocate(fd, 0, 0, offsetof(struct control, volume)) < 0)
		return err_sys(e, "make room for control");
	p = mmap(NULL, sizeof(*ctl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "map control");
	ctl = p;
	ctl->magic = CONTROL_MAGIC;
	ctl->layout = CONTROL_LAYOUT;
	ctl->group = *group;
	if (random_bytes(&ctl->seed, sizeof(ctl->seed), e) < 0 ||
	    boot_id(ctl->boot, e) < 0 || init_locks(ctl, 0, e) < 0)
		return -1;
	atomic_store(&ctl->volumes, control_join_volumes(ctl, 0));
	atomic_store(&ctl->marks, MARK_TIMES);
	atomic_store(&ctl->word, place_join((struct place){.mode = CAPTURE_OFF,
				     .segment = CONTROL_NONE}));
	atomic_store(&ctl->idle_next, 1);
	atomic_store(&ctl->settled, 1);
	atomic_store(&ctl->oldest, CONTROL_NONE);
	atomic_store(&ctl->policy, CAPTURE_BLOCK);
	*out = STEAL(ctl);
	return 0;
}

static int
fill_empty(int fd, const struct uuid *group, struct err *e)
{
	AUTO(control_unmap) struct control *ctl = NULL;

	if (control_fill(fd, group, &ctl, e) < 0)
		return -1;
	if (msync(ctl, sizeof(*ctl), MS_SYNC) < 0)
		return err_sys(e, "sync control");
	return io_fsync(fd, "control", e);
}

int
control_make_dir(const char *home, const struct uuid *group, gid_t access,
    int *out, struct err *e)
{
	char path[PATH_MAX], text[UUID_TEXT];
	AUTO_CLOSE int dir = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s/active", home) >=
	    sizeof(path) - UUID_TEXT)
		return err_set(e, ERR_REFUSED, "path too long: %s", home);
	if (io_make_dir(AT_FDCWD, path, 0755, e) < 0)
		return -1;
	(void)snprintf(
	    path, sizeof(path), "%s/active/%s", home, uuid_text(group, text));
	if (io_make_dir(AT_FDCWD, path, 02770, e) < 0 ||
	    io_open_dir(AT_FDCWD, path, &dir, e) < 0)
		return -1;
	if (access != (gid_t)-1 && fchown(dir, (uid_t)-1, access) < 0)
		return err_sys(
		    e, "give %s to group %ju", path, (uintmax_t)access);
	if (fchmod(dir, 02770) < 0)
		return err_sys(e, "set mode of %s", path);
	*out = STEAL_FD(dir);
	return 0;
}

int
capture_create(
    const char *home, const struct uuid *group, gid_t access, struct err *e)
{
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int control = -1;
	AUTO_CLOSE int segments = -1;
	AUTO_CLOSE int attached = -1;

	if (control_make_dir(home, group, access, &dir, e) < 0)
		return err_at(e, "make the group");
	if (faccessat(dir, "control", F_OK, 0) == 0)
		return err_set(e, ERR_REFUSED,
		    "the group's folder under %s/active has a control file "
		    "already",
		    home);
	if (control_make_file(
		dir, "segments", access, SEGMENTS_LEN, &segments, e) < 0 ||
	    io_fsync(segments, "segments", e) < 0 ||
	    control_make_file(dir, "attached", access, 0, &attached, e) < 0 ||
	    io_fsync(attached, "attached", e) < 0 ||
	    control_make_file(dir, "control.new", access,
		sizeof(struct control), &control, e) < 0 ||
	    fill_empty(control, group, e) < 0)
		return err_at(e, "make the group");
	if (io_move(dir, "control.new", dir, "control", e) < 0) {
		/* Not known to be there for good: so that it can be tried
		 * again. */
		(void)unlinkat(dir, "control", 0);
		return err_at(e, "make the group");
	}
	return 0;
}

/* ---- mapping ---- */

int
control_damaged(struct err *e, const char *fmt, ...)
{
	char text[sizeof(e->text) - 64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(e, ERR_CORRUPT,
	    "%s; 'aim-manager base' of this group makes it anew", text);
}

/* The table is for whoever attaches alone; others have their own copy. */
static int
check_volumes(struct capture *c, uint32_t count, struct err *e)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		const struct control_volume *v = &c->ctl->volume[i];

		if (v->sum != control_volume_sum(v, i))
			return control_damaged(e,
			    "%s/control is damaged (volume %u)", c->where, i);
	}
	return 0;
}

static int
check_control(struct capture *c, const struct uuid *group, struct err *e)
{
	const struct control *ctl = c->ctl;
	uint64_t volumes = atomic_load(&ctl->volumes);
	uint32_t n = (uint32_t)volumes;

	if (ctl->magic != CONTROL_MAGIC || !uuid_equal(&ctl->group, group))
		return control_damaged(
		    e, "%s/control is not this group's control file", c->where);
	if (ctl->layout != CONTROL_LAYOUT)
		return control_damaged(e,
		    "%s/control has layout %u, this program knows %u: another "
		    "version of AIM made it",
		    c->where, ctl->layout, CONTROL_LAYOUT);
	if (n > JOURNAL_VOLUME_LIMIT ||
	    volumes != control_join_volumes(ctl, n) ||
	    (atomic_load(&ctl->marks) & ~(uint32_t)MARK_KNOWN) != 0)
		return control_damaged(
		    e, "%s/control is damaged (its head)", c->where);
	if ((c->flags & CAPTURE_ALONE) == 0 && check_volumes(c, n, e) < 0)
		return -1;
	c->seed = ctl->seed;
	c->volume_count = n;
	return 0;
}

/* With room behind it for whoever keeps its own list of locks (lock.c). */
static int
map_it(struct capture *c, int prot)
{
	bool shadow = (c->flags & CAPTURE_WRITER) == 0 && !c->read_only;
	size_t len =
	    sizeof(struct control) + (shadow ? (size_t)CONTROL_SHADOW : 0);
	uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	if (mmap(p, sizeof(struct control), prot, MAP_SHARED | MAP_FIXED,
		c->control_fd, 0) == MAP_FAILED) {
		int was = errno;

		(void)munmap(p, len);
		errno = was;
		return -1;
	}
	c->ctl = (struct control *)(void *)p;
	c->control_len = len;
	return 0;
}

int
control_map(struct capture *c, struct err *e)
{
	int prot = c->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	uint64_t len;

	if (io_size(c->control_fd, &len, e) < 0)
		return err_at(e, "%s/control", c->where);
	if (len != sizeof(struct control))
		return control_damaged(e, "%s/control has %ju bytes, not %zu",
		    c->where, (uintmax_t)len, sizeof(struct control));
	if (map_it(c, prot) < 0)
		return err_sys(e, "map %s/control", c->where);
	if (check_control(c, &c->group, e) < 0)
		return -1;
	if (io_size(c->segments_fd, &len, e) < 0)
		return err_at(e, "%s/segments", c->where);
	if (len != SEGMENTS_LEN)
		return control_damaged(e, "%s/segments has %ju bytes, not %ju",
		    c->where, (uintmax_t)len, (uintmax_t)SEGMENTS_LEN);
	return segments_map(c, e);
}

/* ---- the first one after a boot ---- */

/*
 * What the segments held is kept aside until the group is clean again: an
 * empty file takes their place. Nobody else is attached.
 */
static int
set_segments_aside(struct capture *c, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (fstat(c->segments_fd, &st) < 0)
		return err_sys(e, "stat %s/segments", c->where);
	if (st.st_blocks == 0)
		return 0;
	if (control_make_file(
		c->dir, "segments.new", st.st_gid, SEGMENTS_LEN, &fd, e) < 0 ||
	    io_fsync(fd, "segments.new", e) < 0)
		return -1;
	/* A second name first: `segments` is there at every moment. */
	if (sys_unlink(c->dir, "segments.broken") < 0 && errno != ENOENT)
		return err_sys(e, "remove %s/segments.broken", c->where);
	if (sys_link(c->dir, "segments", c->dir, "segments.broken") < 0 ||
	    sys_rename(c->dir, "segments.new", c->dir, "segments", 0) < 0)
		return err_sys(e, "set %s/segments aside", c->where);
	if (io_fsync(c->dir, c->where, e) < 0)
		return -1;
	/* The same number, so that what lies above it stays. */
	if (dup3(fd, c->segments_fd, O_CLOEXEC) < 0)
		return err_sys(e, "open %s/segments", c->where);
	return segments_map(c, e);
}

static void
empty_chain(struct control *ctl, uint64_t next, enum capture_mode mode)
{
	uint32_t i;

	atomic_store(&ctl->idle_next, next);
	atomic_store(&ctl->word,
	    place_join((struct place){.mode = mode, .segment = CONTROL_NONE}));
	atomic_store(&ctl->oldest, CONTROL_NONE);
	atomic_store(&ctl->settled, next);
	atomic_store(&ctl->sealed, next - 1);
	atomic_store(&ctl->seal_request, 0);
	atomic_store(&ctl->commit_wanted, 0);
	atomic_store(&ctl->committed, 0);
	atomic_fetch_add(&ctl->commit_era, 1);
	atomic_store(&ctl->sealed_charged, atomic_load(&ctl->charged));
	atomic_store(&ctl->sealed_bytes, atomic_load(&ctl->bytes));
	for (i = 0; i < CONTROL_SEGMENTS; i++)
		if (atomic_load(&ctl->segment[i].in_use) != 0)
			atomic_store(&ctl->segment[i].in_use, 0);
}

void
control_empty(struct capture *c, uint64_t next, enum capture_mode mode)
{
	empty_chain(c->ctl, next, mode);
}

static int
begin_boot(struct capture *c, const uint8_t *boot, struct err *e)
{
	struct control *ctl = c->ctl;
	bool unclean = (atomic_load(&ctl->marks) & MARK_UNCLEAN) != 0;
	struct place p = place_split(atomic_load(&ctl->word));
	uint64_t next = next_number(c);
	uint32_t i;

	if (wal_any(c)) {
		/* What is redone may be older than what a clean close has
		 * left: it is copied in afterwards in any case. */
		atomic_store(&ctl->needs_redo, 1);
		unclean = unclean || p.mode != CAPTURE_OFF;
		if (unclean)
			atomic_store(&ctl->marks, MARK_UNCLEAN);
	}
	if (unclean) {
		/* Known for good before anything is thrown away. */
		if (atomic_load(&ctl->needs_recovery) == RECOVERY_NONE)
			atomic_store(&ctl->needs_recovery, RECOVERY_BOOT);
		/* From here on, too, every write is remembered. */
		p.mode = CAPTURE_PASSTHROUGH;
		/* What a crash has made of the volumes was noted by nobody. */
		atomic_fetch_and(&ctl->marks, ~(uint32_t)MARK_TIMES);
		if (control_sync_marks(c, e) < 0 ||
		    set_segments_aside(c, e) < 0)
			return -1;
		for (i = 0; i < CONTROL_SEGMENTS; i++)
			atomic_store(&ctl->segment[i].place, PLACE_ABSENT);
		atomic_store(&ctl->top, 0);
	}
	empty_chain(ctl, next == 0 ? 1 : next, (enum capture_mode)p.mode);
	for (i = 0; i < CONTROL_SEGMENTS; i++)
		if (atomic_load(&ctl->segment[i].place) == PLACE_REMOVING)
			atomic_store(&ctl->segment[i].place, PLACE_ABSENT);
	atomic_store(&ctl->waiting, 0);
	atomic_store(&ctl->listening, 0);
	atomic_store(&ctl->flag_changes, 0);
	/* Device numbers may change with a boot, numbers of inodes do not. */
	for (i = 0; i < c->volume_count; i++)
		if (ctl->volume[i].kind == VOLUME_FILE)
			atomic_store(&ctl->volume[i].dev, 0);
	if (activity_boot(c, unclean, e) < 0 ||
	    init_locks(ctl, c->volume_count, e) < 0 ||
	    control_sync_all(c, e) < 0)
		return -1;
	atomic_fetch_add(&ctl->boots, 1);
	memcpy(ctl->boot, boot, sizeof(ctl->boot));
	return control_sync_marks(c, e);
}

int
control_boot(struct capture *c, struct err *e)
{
	uint8_t boot[16];

	if (boot_id(boot, e) < 0)
		return -1;
	if (memcmp(boot, c->ctl->boot, sizeof(boot)) == 0)
		return 0;
	if (c->read_only)
		return err_set(e, ERR_REFUSED,
		    "%s was not used since the machine has started, and may "
		    "not be written by this user",
		    c->where);
	return begin_boot(c, boot, e);
}
