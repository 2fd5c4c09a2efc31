/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export: journal files of a stream, as a write log that other tools replay.
 *
 * A log knows whole sectors only, AIM bytes. So when a change does not fit,
 * all is redriven into a scratch file without a name, and the log gets the
 * whole sectors from there; what was there before the first file must be
 * known then: a base does not need it.
 *
 * What AIM promises to read as zeroes is exported as data of zeroes (holes in
 * the log's file): the content after a log's discard is anybody's guess.
 */
#include "aimdriver/logwrites/logmaker.h"
#include "aimdriver/logwrites/program.h"

#include "aimdriver/reader.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "fileformat/note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PIECE (UINT64_C(1) << 20)

struct export
{
	const struct options *o;
	struct logmaker log;
	struct uuid volume;
	bool chosen;
	/* the file before */
	bool has_before;
	struct journal_header before;
	int scratch;
	bool odd;	/* something is not in whole sectors */
	bool based;	/* the stream begins with a copy-in */
	uint8_t *room;	/* PIECE and two sectors */
	bool second;	/* the pass that writes */
	uint64_t count; /* transactions */
};

typedef int handle(
    struct export *x, const struct iocb *b, const uint8_t *data, struct err *e);

static void
close_reader(struct reader **r)
{
	reader_close(*r);
}

/* ---- what a change becomes ---- */

static int
add_mark(struct export *x, const char *text, struct err *e)
{
	return logmaker_add_mark(&x->log, text, e);
}

/* Whole sectors around [off, off + len), which is at most PIECE. */
static int
add_range(struct export *x, uint32_t flags, uint64_t off, uint64_t len,
    const uint8_t *data, struct err *e)
{
	uint64_t sector = x->o->sector, from = off & ~(sector - 1);
	uint64_t end = (off + len + sector - 1) & ~(sector - 1);
	struct wlog_entry b = {.flags = flags,
	    .off = from,
	    .len = end - from,
	    .stored = end - from};
	ssize_t n;

	if (x->scratch >= 0 && (from != off || end != off + len)) {
		memset(x->room, 0, (size_t)b.len);
		n = io_read_some_at(
		    x->scratch, x->room, (size_t)b.len, from, e);
		if (n < 0)
			return -1;
		data = x->room;
	}
	return logmaker_add(&x->log, &b, data, e);
}

static int
keep(struct export *x, uint64_t off, uint64_t len, const uint8_t *data,
    struct err *e)
{
	if (x->scratch < 0)
		return 0;
	if (data != NULL)
		return io_write_at(x->scratch, data, (size_t)len, off, e);
	if (sys_fallocate(x->scratch,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len) < 0)
		return err_sys(e, "scratch file");
	return 0;
}

/* A change of content. `data` NULL: zeroes. */
static int
add_change(struct export *x, uint32_t flags, uint64_t off, uint64_t len,
    const uint8_t *data, struct err *e)
{
	uint64_t done, n;

	if (keep(x, off, len, data, e) < 0)
		return -1;
	for (done = 0; done < len; done += n) {
		uint64_t at = off + done;

		/* Pieces end at multiples of PIECE. */
		n = PIECE - at % PIECE;
		if (n > len - done)
			n = len - done;
		if (add_range(x, flags, at, n,
			data == NULL ? NULL : data + done, e) < 0)
			return -1;
	}
	return 0;
}

static int
write_one(
    struct export *x, const struct iocb *b, const uint8_t *data, struct err *e)
{
	uint32_t flags = (b->flags & IOCB_FUA) != 0 ? WLOG_FUA : 0;
	struct wlog_entry flush = {.flags = WLOG_FLUSH};
	struct control_note note;

	switch (b->op) {
	case OP_WRITE:
	case OP_COPYIN:
		return add_change(x, flags, b->off, b->len, data, e);
	case OP_ZERO:
	case OP_DISCARD:
	case OP_COPYIN_ZERO:
		return add_change(x, flags, b->off, b->len, NULL, e);
	case OP_RESIZE:
		/* What is cut off reads as zeroes if it comes back. */
		return b->off < b->len
			   ? add_change(x, 0, b->off, b->len - b->off, NULL, e)
			   : 0;
	case OP_FLUSH:
		return logmaker_add(&x->log, &flush, NULL, e);
	case OP_COPYIN_BEGIN:
	case OP_COPYIN_END:
		return add_mark(x, op_name(b->op), e);
	case OP_MARKER:
		if (control_note_decode(data, (size_t)b->len, &note, NULL) !=
		    VERDICT_WHOLE)
			return err_set(e, ERR_CORRUPT,
			    "transaction %" PRIu64 ": no marker", b->number);
		return add_mark(x, note.name, e);
	default:
		return 0;
	}
}

/* ---- the first pass: what is there? ---- */

static int
look_at_one(
    struct export *x, const struct iocb *b, const uint8_t *data, struct err *e)
{
	uint64_t mask = x->o->sector - 1;

	(void)data;
	x->count++;
	if (b->op == OP_GAP)
		return err_set(e, ERR_REFUSED,
		    "transaction %" PRIu64
		    " is a gap: what happened there is in no log",
		    b->number);
	if (op_has_range(b->op) || b->op == OP_RESIZE)
		x->odd = x->odd || ((b->off | b->len) & mask) != 0;
	return 0;
}

/* ---- files ---- */

static int
check_order(struct export *x, const struct journal_header *h, const char *path,
    struct err *e)
{
	const struct journal_header *was = &x->before;

	if (!x->has_before)
		x->based = h->kind == JOURNAL_COPYIN_OPEN;
	else if (!uuid_equal(&h->stream, &was->stream) ||
		 h->first != was->last + 1 ||
		 memcmp(h->prev_digest, was->content_digest, DIGEST_LEN) != 0)
		return err_set(e, ERR_REFUSED,
		    "%s does not follow the file before it: give the files of "
		    "one stream, in order",
		    path);
	x->before = *h;
	x->has_before = true;
	return 0;
}

static int
choose_volume(
    struct export *x, const struct reader *r, uint32_t *index, struct err *e)
{
	uint32_t i, n = reader_header(r)->volume_count;
	struct journal_volume v;

	if (!x->chosen && n != 1)
		return err_set(e, ERR_REFUSED,
		    "the stream has %u volumes: say which one with --volume "
		    "UUID; aimdump shows them",
		    n);
	for (i = 0; i < n; i++) {
		reader_volume(r, i, &v);
		if (!x->chosen || uuid_equal(&v.uuid, &x->volume)) {
			x->volume = v.uuid;
			x->chosen = true;
			*index = i;
			return 0;
		}
	}
	return err_set(e, ERR_REFUSED, "the stream has no such volume");
}

static int
walk(struct export *x, struct reader *r, uint32_t volume, handle *each,
    struct err *e)
{
	const uint8_t *data;
	struct iocb b;
	int got;

	while ((got = reader_next(r, &b, &data, e)) == 1) {
		bool ours = b.volume == volume ||
			    !(op_has_range(b.op) || b.op == OP_RESIZE ||
				b.op == OP_FLUSH);

		if (ours && each(x, &b, data, e) < 0)
			return -1;
	}
	return got;
}

static int
do_file(struct export *x, const char *path, handle *each, struct err *e)
{
	AUTO(close_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	uint32_t volume = 0;

	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (reader_open(fd, path, &r, e) < 0 ||
	    (!x->second && reader_verify(r, NULL, e) < 0) ||
	    choose_volume(x, r, &volume, e) < 0 ||
	    check_order(x, reader_header(r), path, e) < 0)
		return -1;
	if (x->second &&
	    (reader_header(r)->incompat & JOURNAL_INCOMPAT_BREAK) != 0 &&
	    add_mark(x, "epoch", e) < 0)
		return -1;
	return walk(x, r, volume, each, e) < 0 ? err_at(e, "%s", path) : 0;
}

static int
is_journal(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return d->d_name[0] != '.' && dot != NULL && strcmp(dot, ".aim") == 0;
}

static void
free_names(struct dirent **list, int n)
{
	while (n > 0)
		free(list[--n]);
	free(list);
}

/* Names sort as epoch and sequence do. */
static int
do_folder(struct export *x, const char *path, handle *each, struct err *e)
{
	struct dirent **list;
	int i, r = 0, n = scandir(path, &list, is_journal, alphasort);

	if (n < 0)
		return err_sys(e, "read %s", path);
	if (n == 0)
		r = err_set(e, ERR_REFUSED, "%s has no journal files", path);
	for (i = 0; i < n && r == 0; i++) {
		char name[PATH_MAX];

		if ((size_t)snprintf(name, sizeof(name), "%s/%s", path,
			list[i]->d_name) >= sizeof(name))
			r = err_set(e, ERR_REFUSED, "path too long: %s", path);
		else
			r = do_file(x, name, each, e);
	}
	free_names(list, n);
	return r;
}

static int
pass(struct export *x, handle *each, struct err *e)
{
	int i, r = 0;

	x->has_before = false;
	for (i = 0; i < x->o->count && r == 0; i++) {
		struct stat st;

		if (stat(x->o->name[i], &st) == 0 && S_ISDIR(st.st_mode))
			r = do_folder(x, x->o->name[i], each, e);
		else
			r = do_file(x, x->o->name[i], each, e);
	}
	return r;
}

/* ---- scratch ---- */

static int
copy_base(struct export *x, struct err *e)
{
	AUTO_CLOSE int fd =
	    sys_openat(AT_FDCWD, x->o->base, O_RDONLY | O_CLOEXEC, 0);
	uint64_t off;
	ssize_t n = 1;

	if (fd < 0)
		return err_sys(e, "open %s", x->o->base);
	for (off = 0; n > 0; off += (uint64_t)n) {
		n = io_read_some_at(fd, x->room, PIECE, off, e);
		if (n < 0 || (n > 0 && !io_is_zero(x->room, (size_t)n) &&
				 io_write_at(x->scratch, x->room, (size_t)n,
				     off, e) < 0))
			return -1;
	}
	return 0;
}

static int
make_scratch(struct export *x, struct err *e)
{
	char folder[PATH_MAX];
	char *slash;

	if (!x->odd)
		return 0;
	if (!x->based && x->o->base == NULL)
		return err_set(e, ERR_REFUSED,
		    "some changes are not in whole sectors of %u bytes, and "
		    "the first file begins no base: say with --base what the "
		    "volume held before it",
		    x->o->sector);
	(void)snprintf(folder, sizeof(folder), "%s", x->o->out);
	slash = strrchr(folder, '/');
	if (slash == NULL)
		(void)snprintf(folder, sizeof(folder), ".");
	else
		slash[slash == folder ? 1 : 0] = '\0';
	x->scratch =
	    sys_openat(AT_FDCWD, folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (x->scratch < 0)
		return err_sys(e, "scratch file in %s", folder);
	return x->o->base == NULL ? 0 : copy_base(x, e);
}

static int export(struct export *x, struct err *e)
{
	x->room = malloc(PIECE + 2 * (size_t)x->o->sector);
	if (x->room == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (x->o->volume != NULL) {
		if (uuid_parse(x->o->volume, &x->volume, e) < 0)
			return err_at(e, "--volume");
		x->chosen = true;
	}
	if (logmaker_open(&x->log, x->o->out, x->o->sector, e) < 0 ||
	    pass(x, look_at_one, e) < 0 || make_scratch(x, e) < 0)
		return -1;
	x->second = true;
	if (pass(x, write_one, e) < 0 || logmaker_finish(&x->log, e) < 0)
		return -1;
	(void)printf("exported %" PRIu64 " transactions as %" PRIu64
		     " entries\n",
	    x->count, x->log.entries);
	return 0;
}

int
run_export(const struct options *o)
{
	struct export x = {.o = o, .log = LOGMAKER_NONE, .scratch = -1};
	struct err e;
	int r = export(&x, &e);

	logmaker_close(&x.log);
	cleanup_fd(&x.scratch);
	free(x.room);
	return r < 0 ? complain(&e) : EXIT_DONE;
}
