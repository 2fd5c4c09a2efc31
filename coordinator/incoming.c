/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/incoming.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/fetched.h"
#include "fileformat/sum.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define PART_AGE_NS UINT64_C(3600000000000)
#define PART_SLOTS 4096u /* a power of two */

/* A transfer under way, as last seen. */
struct part {
	uint64_t name; /* hash; 0: free slot */
	uint64_t len, since_ns;
	int64_t mtime_ns;
	uint32_t scan; /* the scan that saw it last */
};

struct incoming {
	int dir, ack;
	int events; /* inotify, or -1: time-outs must do */
	int folder_watch, state_watch;
	char state_name[UUID_TEXT + 8];
	DIR *scan;
	uint32_t scans;
	uint64_t part_age_ns;
	struct part parts[PART_SLOTS];
};

static const char *
type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	default:
		return "not a regular file";
	}
}

static void
watch(struct incoming *in, struct home *h)
{
	char path[64];

	in->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (in->events < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", in->dir);
	in->folder_watch = inotify_add_watch(in->events, path,
	    IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_TO);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", h->state);
	in->state_watch =
	    inotify_add_watch(in->events, path, IN_MODIFY | IN_MOVED_TO);
}

/* The folder of the mirror's stream, and its name for messages. */
static int
open_folder(struct home *h, const struct mirror_config *m,
    char path[PATH_MAX + UUID_TEXT], int *out, struct err *e)
{
	char stream[UUID_TEXT];
	int dir;

	(void)uuid_text(&m->stream, stream);
	if (m->pull != NULL) {
		(void)snprintf(
		    path, PATH_MAX + UUID_TEXT, "fetched/%s", stream);
		return fetched_open(h, &m->stream, out, e);
	}
	(void)snprintf(
	    path, PATH_MAX + UUID_TEXT, "%s/%s", m->incoming, stream);
	dir =
	    sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0) {
		(void)err_sys(e, "open the incoming folder %s", path);
		return err_at(e, "nothing can be received (is its file system "
				 "mounted?)");
	}
	*out = dir;
	return 0;
}

static int
open_acks(int dir, const char *path, int *out, struct err *e)
{
	int ack =
	    sys_openat(dir, "ack", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (ack < 0) {
		(void)err_sys(e, "open %s/ack", path);
		return err_at(e, "no acknowledgement can be published (make "
				 "the folder again)");
	}
	*out = ack;
	return 0;
}

int
incoming_open_acks(
    struct home *h, const struct mirror_config *m, int *out, struct err *e)
{
	char path[PATH_MAX + UUID_TEXT];
	AUTO_CLOSE int dir = -1;

	if (open_folder(h, m, path, &dir, e) < 0)
		return -1;
	return open_acks(dir, path, out, e);
}

int
incoming_open(struct home *h, const struct mirror_config *m,
    struct incoming **out, struct err *e)
{
	struct incoming *in = calloc(1, sizeof(*in));
	char path[PATH_MAX + UUID_TEXT], mirror[UUID_TEXT];

	if (in == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	in->events = in->ack = in->folder_watch = in->state_watch = -1;
	in->part_age_ns = PART_AGE_NS;
	(void)snprintf(in->state_name, sizeof(in->state_name), "%s.state",
	    uuid_text(&m->uuid, mirror));
	in->dir = -1;
	if (open_folder(h, m, path, &in->dir, e) < 0 ||
	    open_acks(in->dir, path, &in->ack, e) < 0) {
		incoming_close(in);
		return -1;
	}
	watch(in, h);
	*out = in;
	return 0;
}

void
incoming_close(struct incoming *in)
{
	if (in == NULL)
		return;
	if (in->scan != NULL)
		(void)closedir(in->scan);
	if (in->events >= 0)
		(void)close(in->events);
	if (in->ack >= 0)
		(void)close(in->ack);
	if (in->dir >= 0)
		(void)close(in->dir);
	free(in);
}

int
incoming_dir(const struct incoming *in)
{
	return in->dir;
}

int
incoming_ack_dir(const struct incoming *in)
{
	return in->ack;
}

void
incoming_set_part_age(struct incoming *in, uint64_t age_ns)
{
	in->part_age_ns = age_ns;
}

static int64_t
mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

int
incoming_get(struct incoming *in, const char *name, struct incoming_file *out,
    char why[CHAIN_WHY], struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	/* Looked at first: opening a device can already do something. */
	if (fstatat(in->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "stat %s", name);
	if (!S_ISREG(st.st_mode)) {
		(void)snprintf(why, CHAIN_WHY, "it is %s, not a regular file",
		    type_name(st.st_mode));
		return 2;
	}
	if (io_open_regular(in->dir, name, &fd, e) < 0) {
		if (e != NULL && e->sys == ENOENT)
			return 0;
		if (e != NULL && e->kind == ERR_REFUSED && e->sys != EACCES &&
		    e->sys != EPERM) {
			(void)snprintf(why, CHAIN_WHY, "%.150s", e->text);
			return 2;
		}
		return -1;
	}
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", name);
	if ((uint64_t)st.st_size > JOURNAL_FILE_LIMIT) {
		(void)snprintf(why, CHAIN_WHY,
		    "it has %jd bytes, a journal file at most %ju",
		    (intmax_t)st.st_size, (uintmax_t)JOURNAL_FILE_LIMIT);
		return 2;
	}
	out->fd = STEAL_FD(fd);
	out->len = (uint64_t)st.st_size;
	out->ino = st.st_ino;
	out->mtime_ns = mtime_ns(&st);
	return 1;
}

bool
incoming_is_written(const struct incoming_file *f)
{
	/* A read lease is granted only while nobody has it open to write. */
	if (fcntl(f->fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN;
	(void)fcntl(f->fd, F_SETLEASE, F_UNLCK);
	return false;
}

int
incoming_scan_begin(struct incoming *in, struct err *e)
{
	int fd;

	if (in->scan != NULL)
		return 0;
	fd = sys_openat(in->dir, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(e, "list the incoming folder");
	in->scan = fdopendir(fd);
	if (in->scan == NULL) {
		(void)close(fd);
		return err_set(e, ERR_RETRY, "out of memory");
	}
	in->scans++;
	return 0;
}

bool
incoming_is_scanning(const struct incoming *in)
{
	return in->scan != NULL;
}

/*
 * A slot for this name: its own, or a free one, or one whose name the last
 * whole scan no longer saw. NULL when so many transfers are under way that
 * this one has to wait for a later scan.
 */
static struct part *
part_slot(struct incoming *in, uint64_t name)
{
	struct part *unused = NULL;
	uint32_t i;

	for (i = 0; i < 16; i++) {
		struct part *p = &in->parts[(name + i) % PART_SLOTS];

		if (p->name == name)
			return p;
		if (unused == NULL && (p->name == 0 || p->scan + 1 < in->scans))
			unused = p;
	}
	if (unused != NULL)
		memset(unused, 0, sizeof(*unused));
	return unused;
}

/* Has this transfer stood still for so long that nobody works on it? */
static bool
is_abandoned(struct incoming *in, const char *name, const struct stat *st)
{
	uint64_t now = clock_mono_ns();
	uint64_t hash = sum_bytes(name, strlen(name), 0) | 1;
	struct part *p = part_slot(in, hash);

	if (p == NULL)
		return false;
	if (p->name != hash || p->len != (uint64_t)st->st_size ||
	    p->mtime_ns != mtime_ns(st)) {
		p->name = hash;
		p->len = (uint64_t)st->st_size;
		p->mtime_ns = mtime_ns(st);
		p->since_ns = now;
	}
	p->scan = in->scans;
	return now - p->since_ns >= in->part_age_ns;
}

/* rsync's own name for what it writes: ".NAME.XXXXXX". */
static bool
is_part_of_rsync(const char *name, size_t len)
{
	char whole[JOURNAL_NAME_LEN];
	uint32_t epoch_number;
	uint64_t sequence;

	if (len != JOURNAL_NAME_LEN + 7 || name[len - 7] != '.')
		return false;
	memcpy(whole, name + 1, sizeof(whole) - 1);
	whole[sizeof(whole) - 1] = '\0';
	return journal_name_parse(whole, &epoch_number, &sequence);
}

static bool
is_part(const char *name)
{
	size_t n = strlen(name);

	return name[0] == '.' &&
	       ((n > 6 && strcmp(name + n - 5, ".part") == 0) ||
		   is_part_of_rsync(name, n));
}

/* Fills *out; false when there is nothing to do for this name. */
static bool
look_at(struct incoming *in, const char *name, struct incoming_entry *out)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, "ack") == 0)
		return false;
	if (fstatat(in->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	(void)snprintf(out->name, sizeof(out->name), "%s", name);
	out->ino = st.st_ino;
	out->kind = INCOMING_STRANGE;
	if (!S_ISREG(st.st_mode)) {
		(void)snprintf(out->why, sizeof(out->why),
		    "it is %s, not a regular file", type_name(st.st_mode));
		return true;
	}
	if (is_part(name)) {
		if (is_abandoned(in, name, &st))
			(void)sys_unlink(in->dir, name);
		return false;
	}
	if (!journal_name_parse(
		name, &out->at.epoch_number, &out->at.sequence)) {
		(void)snprintf(out->why, sizeof(out->why),
		    "its name is not that of a journal file");
		return true;
	}
	out->kind = INCOMING_JOURNAL;
	return true;
}

int
incoming_scan_next(
    struct incoming *in, struct incoming_entry *out, struct err *e)
{
	struct dirent *entry;

	memset(out, 0, sizeof(*out));
	if (in->scan == NULL)
		return 0;
	errno = 0;
	entry = readdir(in->scan);
	if (entry == NULL) {
		int sys = errno;

		(void)closedir(in->scan);
		in->scan = NULL;
		errno = sys;
		return sys != 0 ? err_sys(e, "list the incoming folder") : 0;
	}
	if (!look_at(in, entry->d_name, out))
		out->kind = 0;
	return 1;
}

static unsigned
what_happened(struct incoming *in, const struct position *tip,
    const struct inotify_event *ev)
{
	struct chain_name at;

	if ((ev->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT)) != 0)
		return INCOMING_FILES | INCOMING_SCAN | INCOMING_STATE;
	if (ev->wd == in->state_watch)
		return ev->len > 0 && strcmp(ev->name, in->state_name) == 0
			   ? INCOMING_STATE
			   : 0;
	if (ev->len == 0)
		return 0;
	/* OpenSSH's server renames by link and unlink: the temporary name goes
	 * when the final one is there. */
	if (is_part(ev->name) && (ev->mask & IN_DELETE) != 0)
		return position_is_nil(tip) ? INCOMING_SCAN : INCOMING_FILES;
	if (is_part(ev->name) || (ev->mask & IN_DELETE) != 0)
		return 0;
	if (!journal_name_parse(ev->name, &at.epoch_number, &at.sequence))
		return INCOMING_SCAN;
	/* What is written in place is looked at when it is closed. */
	if ((ev->mask & IN_CREATE) != 0)
		return 0;
	if (position_is_nil(tip) || at.epoch_number < tip->epoch_number ||
	    (at.epoch_number == tip->epoch_number &&
		at.sequence <= tip->sequence))
		return INCOMING_SCAN;
	return INCOMING_FILES;
}

static unsigned
read_events(struct incoming *in, const struct position *tip)
{
	char bytes[4096] __attribute__((aligned(8)));
	unsigned what = 0;
	ssize_t n;

	while ((n = read(in->events, bytes, sizeof(bytes))) > 0) {
		ssize_t at = 0;

		while (at < n) {
			const struct inotify_event *ev =
			    (const void *)(bytes + at);

			what |= what_happened(in, tip, ev);
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
	}
	return what;
}

unsigned
incoming_wait(struct incoming *in, const struct position *tip, uint32_t wait_ms)
{
	uint64_t end = clock_mono_ns() + (uint64_t)wait_ms * 1000000;
	struct pollfd p = {.fd = in->events, .events = POLLIN};

	for (;;) {
		uint64_t now = clock_mono_ns();
		unsigned what = in->events < 0 ? 0 : read_events(in, tip);
		int left =
		    end > now ? (int)((end - now + 999999) / 1000000) : 0;

		if (what != 0 || left == 0)
			return what;
		/* A signal ends the sleep: the caller may have to stop. */
		if (poll(&p, in->events < 0 ? 0 : 1, left) < 0)
			return 0;
	}
}
