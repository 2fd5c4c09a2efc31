/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/logfile.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGN UINT64_C(4096) /* of memory and places for O_DIRECT */
#define WINDOW (2 * LOGFILE_LEND)
#define GRAIN LOGFILE_LEND   /* of a mapped log, populated at once */
#define MUCH UINT64_C(16384) /* data that is not read along with headers */

struct logfile {
	int fd;
	char name[512];
	uint64_t size;
	struct wlog_super super;
	struct logfile_place place;
	uint64_t data, data_len; /* of the last entry */
	uint8_t *window;	 /* own memory, or within `map` */
	uint8_t *map;		 /* of `map_len` bytes; NULL: not mapped */
	uint64_t map_len;
	uint8_t *known; /* for each grain of the map: it was populated */
	bool lent;	/* fd and map are another's */
	uint64_t window_room, window_off, window_len;
	bool direct, skim;
};

static void
release(struct logfile **f)
{
	logfile_close(*f);
	*f = NULL;
}

void
logfile_close(struct logfile *f)
{
	if (f == NULL)
		return;
	if (f->fd >= 0 && !f->lent)
		(void)close(f->fd);
	if (f->map == NULL)
		free(f->window);
	else if (!f->lent)
		(void)munmap(f->map, f->map_len);
	free(f->known);
	free(f);
}

/* Unlike touching it, this fails where nothing can be read. */
static int
populate(uint8_t *at, uint64_t len)
{
#ifdef MADV_POPULATE_READ
	return madvise(at, len, MADV_POPULATE_READ);
#else
	(void)at;
	(void)len;
	errno = EINVAL;
	return -1;
#endif
}

void
logfile_map(struct logfile *f)
{
	uint8_t *known;
	void *p;

	if (f->direct || f->map != NULL || f->size < ALIGN)
		return;
	p = mmap(NULL, f->size, PROT_READ, MAP_SHARED, f->fd, 0);
	if (p == MAP_FAILED)
		return;
	if (populate(p, ALIGN) < 0) {
		(void)munmap(p, f->size);
		return;
	}
	known = calloc(f->size / GRAIN + 1, 1);
	if (known == NULL) {
		(void)munmap(p, f->size);
		return;
	}
	free(f->window);
	f->map = f->window = p;
	f->map_len = f->size;
	f->known = known;
	f->window_off = f->window_len = 0;
}

int
logfile_twin(const struct logfile *f, struct logfile **out, struct err *e)
{
	size_t len = f->map_len / GRAIN + 1;
	struct logfile *twin = NULL;
	uint8_t *known = NULL;

	if (f->map == NULL)
		return 0;
	twin = malloc(sizeof(*twin));
	known = malloc(len);
	if (twin == NULL || known == NULL) {
		free(twin);
		free(known);
		return err_set(e, ERR_RETRY, "no memory to read %s", f->name);
	}
	memcpy(known, f->known, len);
	*twin = *f;
	twin->known = known;
	twin->lent = true;
	*out = twin;
	return 1;
}

static void
lost(int number)
{
	static const char text[] =
	    "aim-logwrites: a log or the disk became shorter while it was "
	    "read, or cannot be read any more; start again when it is "
	    "whole\n";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

int
logfile_catch(struct err *e)
{
	struct sigaction a = {.sa_handler = lost};

	return sigaction(SIGBUS, &a, NULL) < 0 ? err_sys(e, "handle SIGBUS")
					       : 0;
}

/* Two grains, from the one on that has `off`. */
static int
fill_map(struct logfile *f, uint64_t off, struct err *e)
{
	uint64_t grain = off / GRAIN, from = grain * GRAIN, len = 0;
	uint64_t n, end = from + WINDOW;

	if (off >= f->map_len)
		return 0;
	for (; from + len < end && from + len < f->map_len; grain++, len += n) {
		n = f->map_len - from - len;
		if (n > GRAIN)
			n = GRAIN;
		if (f->known[grain] != 0)
			continue;
		if (populate(f->map + from + len, n) < 0)
			return err_sys(e, "read %s at %ju", f->name,
			    (uintmax_t)(from + len));
		f->known[grain] = 1;
	}
	f->window = f->map + from;
	f->window_off = from;
	f->window_len = len;
	return 0;
}

/* Fills the window with what is at `off`; less only at the log's end. */
static int
fill(struct logfile *f, uint64_t off, struct err *e)
{
	uint64_t from = off & ~(ALIGN - 1), most = f->window_room;
	ssize_t n;

	/* A device that is read past the cache likes it large. */
	if (f->skim && f->data_len > (f->direct ? WINDOW : MUCH))
		most = f->super.sector + ALIGN;
	most = (most + ALIGN - 1) & ~(ALIGN - 1);
	if (most > f->window_room)
		most = f->window_room;
	f->window_len = 0;
	if (f->map != NULL)
		return fill_map(f, off, e);
	n = io_read_some_at(f->fd, f->window, most, from, e);
	if (n < 0)
		return err_at(e, "read %s at %ju", f->name, (uintmax_t)from);
	f->window_off = from;
	f->window_len = (uint64_t)n;
	return 0;
}

/* How many bytes from `off` the window has. */
static uint64_t
has(const struct logfile *f, uint64_t off)
{
	if (off < f->window_off || off - f->window_off >= f->window_len)
		return 0;
	return f->window_len - (off - f->window_off);
}

/* Up to `len` bytes at `off`, in the window; fewer at the log's end. `len` is
 * at most a log sector. */
static int
look(struct logfile *f, uint64_t off, uint64_t len, const uint8_t **out,
    uint64_t *got, struct err *e)
{
	if (has(f, off) < len && fill(f, off, e) < 0)
		return -1;
	*got = has(f, off) < len ? has(f, off) : len;
	*out = *got == 0 ? f->window : f->window + (off - f->window_off);
	return 0;
}

static int
bad(const struct logfile *f, const struct why *why, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "%s: entry %ju, at byte %ju: %s",
	    f->name, (uintmax_t)f->place.index, (uintmax_t)f->place.off,
	    why->text);
}

static int
read_super(struct logfile *f, struct wlog_super *out, struct err *e)
{
	struct why why = {0};
	const uint8_t *bytes;
	enum verdict v;
	uint64_t got;

	if (look(f, 0, WLOG_SUPER_LEN, &bytes, &got, e) < 0)
		return -1;
	v = wlog_super_decode(bytes, got, out, &why);
	if (v == VERDICT_WHOLE)
		return 0;
	return err_set(e, v == VERDICT_UNKNOWN ? ERR_REFUSED : ERR_CORRUPT,
	    "%s: %s", f->name, why.text);
}

static int
open_fd(struct logfile *f, const char *path, struct err *e)
{
	struct stat st;
	int direct = 0;

	if (stat(path, &st) < 0)
		return err_sys(e, "open %s", path);
	if (S_ISBLK(st.st_mode))
		direct = O_DIRECT;
	else if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is neither a file nor a block device", path);
	f->fd = sys_openat(
	    AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | direct, 0);
	if (f->fd < 0)
		return err_sys(e, "open %s", path);
	f->direct = direct != 0;
	return io_size(f->fd, &f->size, e);
}

static int
make_window(struct logfile *f, uint64_t room, struct err *e)
{
	void *p = NULL;

	if (room <= f->window_room)
		return 0;
	if (posix_memalign(&p, ALIGN, room) != 0)
		return err_set(e, ERR_RETRY, "no memory to read %s", f->name);
	free(f->window);
	f->window = p;
	f->window_room = room;
	f->window_len = 0;
	return 0;
}

int
logfile_open(const char *path, struct logfile **out, struct err *e)
{
	AUTO(release) struct logfile *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return err_set(e, ERR_RETRY, "no memory to read %s", path);
	f->fd = -1;
	(void)snprintf(f->name, sizeof(f->name), "%s", path);
	if (open_fd(f, path, e) < 0 || make_window(f, WINDOW, e) < 0 ||
	    read_super(f, &f->super, e) < 0)
		return -1;
	/* A header's sector must fit, wherever it begins. */
	if (make_window(f, f->super.sector + 2 * ALIGN, e) < 0)
		return -1;
	f->place.off = f->super.sector;
	*out = STEAL(f);
	return 0;
}

const struct wlog_super *
logfile_super(const struct logfile *f)
{
	return &f->super;
}

uint64_t
logfile_size(const struct logfile *f)
{
	return f->size;
}

const char *
logfile_name(const struct logfile *f)
{
	return f->name;
}

int
logfile_refresh(struct logfile *f, struct err *e)
{
	struct wlog_super s;

	f->window_len = 0;
	if (io_size(f->fd, &f->size, e) < 0 || read_super(f, &s, e) < 0)
		return -1;
	if (s.sector != f->super.sector || s.entries < f->super.entries)
		return err_set(e, ERR_CORRUPT,
		    "%s was begun anew while it was read", f->name);
	f->super = s;
	return 0;
}

void
logfile_tell(const struct logfile *f, struct logfile_place *out)
{
	*out = f->place;
}

int
logfile_seek(struct logfile *f, const struct logfile_place *to, struct err *e)
{
	struct logfile_place p = *to;

	if (p.index == 0)
		p.off = f->super.sector;
	if (p.index > f->super.entries || p.off < f->super.sector ||
	    p.off > f->size ||
	    (p.off % f->super.sector != 0 && p.off != f->size))
		return err_set(e, ERR_CORRUPT,
		    "%s has no entry %ju at byte %ju: it is shorter than it "
		    "was, or another log",
		    f->name, (uintmax_t)p.index, (uintmax_t)p.off);
	f->place = p;
	f->data_len = 0;
	return 0;
}

/* Does all of it lie within the log? *next is where the one after begins. */
static bool
fits(const struct logfile *f, const struct wlog_entry *b, uint64_t *next)
{
	uint64_t end;

	return !__builtin_add_overflow(
		   f->place.off, (uint64_t)f->super.sector, &end) &&
	       !__builtin_add_overflow(end, b->stored, next) &&
	       *next <= f->size;
}

int
logfile_next(struct logfile *f, struct wlog_entry *out, struct err *e)
{
	struct why why = {0};
	struct wlog_entry b;
	const uint8_t *bytes;
	enum verdict v;
	uint64_t got, next = 0;

	if (f->place.index >= f->super.entries)
		return 0;
	if (look(f, f->place.off, f->super.sector, &bytes, &got, e) < 0)
		return -1;
	v = wlog_entry_decode(bytes, got, f->super.sector, &b, &why);
	/* A log in a file may end with a header's used part. */
	if (v == VERDICT_WHOLE && b.stored == 0 && got < f->super.sector)
		next = f->size;
	else if (v == VERDICT_WHOLE && !fits(f, &b, &next))
		v = verdict_say(&why, VERDICT_PARTIAL, 0,
		    "its data is cut off: the log ends at byte %ju",
		    (uintmax_t)f->size);
	if (v != VERDICT_WHOLE)
		return bad(f, &why, e);
	f->data = f->place.off + f->super.sector;
	f->data_len = b.stored;
	f->place.index++;
	f->place.off = next;
	*out = b;
	return 1;
}

int
logfile_data(
    struct logfile *f, uint64_t at, void *to, size_t len, struct err *e)
{
	uint8_t *put = to;
	uint64_t off = f->data + at;

	if (at > f->data_len || len > f->data_len - at)
		return err_set(
		    e, ERR_FATAL, "%s: beyond an entry's data", f->name);
	while (len > 0) {
		uint64_t n;

		if (has(f, off) == 0 && fill(f, off, e) < 0)
			return -1;
		n = has(f, off) < len ? has(f, off) : len;
		if (n == 0)
			return err_set(e, ERR_CORRUPT,
			    "%s ends at byte %ju while it is read", f->name,
			    (uintmax_t)off);
		memcpy(put, f->window + (off - f->window_off), n);
		put += n;
		off += n;
		len -= n;
	}
	return 0;
}

bool
logfile_is_near(const struct logfile *f)
{
	struct wlog_entry b;
	uint64_t got = has(f, f->place.off), next;

	if (f->place.index >= f->super.entries)
		return true;
	if (got < f->super.sector ||
	    wlog_entry_decode(f->window + (f->place.off - f->window_off), got,
		f->super.sector, &b, NULL) != VERDICT_WHOLE)
		return false;
	return fits(f, &b, &next) && got >= next - f->place.off;
}

int
logfile_bring(struct logfile *f, struct err *e)
{
	return fill(f, f->place.off, e);
}

void
logfile_skim(struct logfile *f, bool on)
{
	f->skim = on;
}

int
logfile_lend(struct logfile *f, uint64_t at, size_t len, const uint8_t **out,
    struct err *e)
{
	uint64_t off = f->data + at;

	if (at > f->data_len || len > f->data_len - at || len > LOGFILE_LEND)
		return err_set(
		    e, ERR_FATAL, "%s: beyond an entry's data", f->name);
	if (has(f, off) < len && fill(f, off, e) < 0)
		return -1;
	if (has(f, off) < len)
		return err_set(e, ERR_CORRUPT,
		    "%s ends at byte %ju while it is read", f->name,
		    (uintmax_t)(f->window_off + f->window_len));
	*out = f->window + (off - f->window_off);
	return 0;
}

int
logfile_goes_on(struct logfile *f, bool *out, struct err *e)
{
	const uint8_t *bytes;
	uint64_t got;

	if (look(f, f->place.off, WLOG_HEADER_LEN, &bytes, &got, e) < 0)
		return -1;
	*out = !io_is_zero(bytes, (size_t)got);
	return 0;
}
