/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch_take: which files are asked for. After the tip (e, s) that the receiver
 * has acknowledged comes (e, s+1) or (e+1, 1): these two are asked for whenever
 * they are not here; so idle polling costs two requests, however many files the
 * place holds. While files are found, more are asked for at once after the last
 * that is here, twice as many each time. A mirror without state asks for the
 * file that its source names in <mirror>.begin.
 *
 * What comes is not looked into: it gets its name in fetched/ once it is whole
 * on disk, and the receiver judges it. What the receiver refuses is fetched
 * again, because it is next and not here; the very same bytes are handed over
 * again only after a while.
 */
#include "coordinator/fetch.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sys.h"
#include "fileformat/sum.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLD_NS UINT64_C(30000000000)
#define HOLD_DOUBLINGS 6u
#define SUM_BLOCK (1u << 20)
/* So much of a file that is too large is kept, for the receiver to refuse. */
#define TOO_LARGE_KEEP (UINT64_C(64) << 10)

/* One file that is asked for. */
struct slot {
	struct fetch *fetch;
	struct chain_name at;
	char name[JOURNAL_NAME_LEN], part[16];
	char path[FETCH_PATH];
	struct err why; /* our own trouble with what came */
	bool handed;	/* it is in fetched/ under its name */
	/* It opens an epoch: of use only if the file that would go on with the
	 * epoch before, `instead` of it, is not there. */
	const struct transport_file *instead;
	bool waits;
};

struct batch {
	struct slot slots[FETCH_AT_ONCE];
	struct transport_file files[FETCH_AT_ONCE]; /* of the same places */
	uint32_t count;
};

void
fetch_path(const struct fetch *f, const char *name, char out[FETCH_PATH])
{
	char path[FETCH_PATH];

	(void)snprintf(path, sizeof(path), "%s/%.48s", f->stream, name);
	memcpy(out, path, sizeof(path));
}

const char *
begin_name(const struct uuid *mirror, char out[BEGIN_NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, BEGIN_NAME_LEN, "%s.begin", uuid_text(mirror, text));
	return out;
}

int
fetch_sweep(struct fetch *f, struct err *e)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	int fd = sys_openat(f->dir, ".", O_RDONLY | O_DIRECTORY, 0);
	struct dirent *entry;

	if (fd < 0)
		return err_sys(e, "list the folder of fetched files");
	d = fdopendir(fd);
	if (d == NULL) {
		(void)close(fd);
		return err_set(e, ERR_RETRY, "out of memory");
	}
	while ((errno = 0, entry = readdir(d)) != NULL) {
		size_t n = strlen(entry->d_name);

		if (entry->d_name[0] != '.' || n < 6 ||
		    strcmp(entry->d_name + n - 5, ".part") != 0)
			continue;
		if (sys_unlink(f->dir, entry->d_name) < 0 && errno != ENOENT)
			return err_sys(e, "remove %s", entry->d_name);
	}
	return errno != 0 ? err_sys(e, "list the folder of fetched files") : 0;
}

/* ---- what is here ---- */

/* Its length, or -1 when it is not here. */
static int64_t
length_here(const struct fetch *f, uint32_t epoch_number, uint64_t sequence)
{
	char name[JOURNAL_NAME_LEN];
	struct stat st;

	(void)journal_name(epoch_number, sequence, name);
	return fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1
								   : st.st_size;
}

/* The last of the files that are here in a row, and how many there are. */
struct frontier {
	struct chain_name at;
	uint32_t files;
	uint64_t bytes;
};

static void
walk(const struct fetch *f, struct frontier *w)
{
	int64_t len;

	while (w->files < FETCH_AHEAD_FILES) {
		struct chain_name next = {
		    w->at.epoch_number, w->at.sequence + 1};

		len = length_here(f, next.epoch_number, next.sequence);
		if (len < 0) {
			next = (struct chain_name){w->at.epoch_number + 1, 1};
			len = length_here(f, next.epoch_number, 1);
		}
		if (len < 0)
			return;
		w->at = next;
		w->files++;
		w->bytes += (uint64_t)len;
	}
}

static bool
is_full(const struct frontier *w)
{
	return w->files >= FETCH_AHEAD_FILES || w->bytes >= FETCH_AHEAD_BYTES;
}

/* ---- what is handed over ---- */

static int
sum_of(int fd, uint64_t len, uint64_t *out, struct err *e)
{
	AUTO_FREE uint8_t *block = malloc(SUM_BLOCK);
	uint64_t off, n, sum = len;

	if (block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (off = 0; off < len; off += n) {
		n = len - off < SUM_BLOCK ? len - off : SUM_BLOCK;
		if (io_read_at(fd, block, n, off, e) < 0)
			return -1;
		sum = sum_bytes(block, n, sum);
	}
	*out = sum;
	return 0;
}

static struct fetch_given *
find_given(struct fetch *f, const struct chain_name *at)
{
	for (uint32_t i = 0; i < FETCH_GIVEN; i++) {
		struct fetch_given *g = &f->given[i];

		if (g->at.epoch_number == at->epoch_number &&
		    g->at.sequence == at->sequence && g->times > 0)
			return g;
	}
	return NULL;
}

/* Notes what is handed over; false: the same was, a short while ago. */
static bool
may_hand(
    struct fetch *f, const struct chain_name *at, uint64_t sum, uint64_t len)
{
	struct fetch_given *g = find_given(f, at);
	uint64_t now = clock_mono_ns();
	bool same = g != NULL && g->sum == sum && g->len == len;

	if (same && now < g->until_ns)
		return false;
	if (g == NULL)
		g = &f->given[f->given_next++ % FETCH_GIVEN];
	if (!same)
		*g = (struct fetch_given){.at = *at, .sum = sum, .len = len};
	g->until_ns =
	    now + (HOLD_NS << (g->times < HOLD_DOUBLINGS ? g->times
							 : HOLD_DOUBLINGS));
	g->times++;
	return true;
}

/* Whole, durable and named: 0, or -1. */
static int
hand_over(struct slot *s, int fd, uint64_t len, struct err *e)
{
	struct fetch *f = s->fetch;
	uint64_t sum = 0;

	if (sum_of(fd, len, &sum, e) < 0)
		return -1;
	if (!may_hand(f, &s->at, sum, len)) {
		(void)snprintf(f->held, sizeof(f->held),
		    "%s there is still the one that was refused (see "
		    "quarantine/): waiting for the source to send it again",
		    s->name);
		return 0;
	}
	if (io_fsync(fd, s->part, e) < 0)
		return -1;
	if (sys_rename(f->dir, s->part, f->dir, s->name, 0) < 0)
		return err_sys(e, "rename fetched/%s to %s", s->part, s->name);
	s->handed = true;
	f->files++;
	f->bytes += len;
	f->got_ns = clock_wall_ns();
	return 0;
}

/* As soon as a file has come: the receiver need not wait for the others. */
static void
got_one(struct transport_file *file)
{
	struct slot *s = file->ctx;
	uint64_t len = file->len;

	/* Too large: its beginning is, so that it is refused by its name. */
	if (file->result < 0 && file->why.kind == ERR_CORRUPT) {
		len = TOO_LARGE_KEEP;
		if (sys_ftruncate(file->fd, len) < 0) {
			(void)err_sys(&s->why, "cut %s", s->part);
			return;
		}
		log_warn("%s: %s", s->name, file->why.text);
	} else if (file->result != 1) {
		return;
	}
	if (s->instead != NULL) {
		s->waits = true;
		return;
	}
	(void)!hand_over(s, file->fd, len, &s->why);
}

/* ---- a batch ---- */

static bool
is_asked(const struct batch *b, const struct chain_name *at)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (b->slots[i].at.epoch_number == at->epoch_number &&
		    b->slots[i].at.sequence == at->sequence)
			return true;
	return false;
}

/* NULL when it is here, asked for already, or one too many. */
static struct slot *
ask_for(
    struct fetch *f, struct batch *b, uint32_t epoch_number, uint64_t sequence)
{
	struct chain_name at = {epoch_number, sequence};
	uint32_t i = b->count;
	struct slot *s = &b->slots[i];

	if (i == FETCH_AT_ONCE || is_asked(b, &at) ||
	    length_here(f, epoch_number, sequence) >= 0)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->fetch = f;
	s->at = at;
	(void)journal_name(epoch_number, sequence, s->name);
	(void)snprintf(s->part, sizeof(s->part), ".%u.part", i);
	fetch_path(f, s->name, s->path);
	b->files[b->count++] = (struct transport_file){.name = s->path,
	    .fd = -1,
	    .max = JOURNAL_FILE_LIMIT,
	    .done = got_one,
	    .ctx = s};
	return s;
}

/* The two names that may follow. */
static void
ask_for_next(struct fetch *f, struct batch *b, const struct chain_name *at)
{
	const struct transport_file *next = &b->files[b->count];
	struct slot *opener;

	if (ask_for(f, b, at->epoch_number, at->sequence + 1) == NULL)
		return;
	opener = ask_for(f, b, at->epoch_number + 1, 1);
	if (opener != NULL)
		opener->instead = next;
}

/* Now it is known which of the two it is. */
static void
settle_openers(struct batch *b)
{
	for (uint32_t i = 0; i < b->count; i++) {
		struct slot *s = &b->slots[i];

		if (s->waits && s->instead->result == 0)
			(void)!hand_over(
			    s, b->files[i].fd, b->files[i].len, &s->why);
	}
}

static int
open_parts(struct fetch *f, struct batch *b, struct err *e)
{
	for (uint32_t i = 0; i < b->count; i++) {
		b->files[i].fd = sys_openat(f->dir, b->slots[i].part,
		    O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
		if (b->files[i].fd < 0)
			return err_sys(
			    e, "create fetched/%s", b->slots[i].part);
	}
	return 0;
}

/* What was not handed over goes; the first trouble of any is told. */
static int
close_parts(struct fetch *f, struct batch *b, struct err *e)
{
	int bad = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		struct slot *s = &b->slots[i];
		const struct err *why = &b->files[i].why;

		if (b->files[i].fd < 0)
			continue;
		cleanup_fd(&b->files[i].fd);
		if (!s->handed && sys_unlink(f->dir, s->part) < 0 &&
		    errno != ENOENT && s->why.kind == ERR_NONE)
			(void)err_sys(&s->why, "remove fetched/%s", s->part);
		if (s->why.kind != ERR_NONE)
			why = &s->why;
		else if (b->files[i].result >= 0 || why->kind == ERR_CORRUPT)
			continue;
		if (bad == 0)
			bad =
			    err_set(e, why->kind, "%s: %s", s->name, why->text);
	}
	return bad;
}

/* Gets all of the batch: 1 when some were handed over, 0, -1. */
static int
get_batch(struct fetch *f, struct batch *b, struct err *e)
{
	struct err why = {0};
	bool any = false;
	int bad = open_parts(f, b, &why);

	if (bad == 0)
		transport_fetch(f->transport, b->files, b->count);
	if (bad == 0)
		settle_openers(b);
	if (close_parts(f, b, bad == 0 ? &why : NULL) < 0)
		bad = -1;
	for (uint32_t i = 0; i < b->count; i++)
		any = any || b->slots[i].handed;
	/* A trouble that stays will be met again. */
	if (any)
		return 1;
	return bad < 0 ? err_set(e, why.kind, "%s", why.text) : 0;
}

/* ---- where it begins ---- */

static int
parse_begin(struct fetch *f, const struct buf *b)
{
	char name[JOURNAL_NAME_LEN] = "";
	struct chain_name at;

	if (b->len >= JOURNAL_NAME_LEN - 1)
		memcpy(name, b->data, JOURNAL_NAME_LEN - 1);
	if (!journal_name_parse(name, &at.epoch_number, &at.sequence) ||
	    at.sequence == 0) {
		(void)snprintf(f->held, sizeof(f->held),
		    "the file that says where to begin has no name in it: "
		    "waiting for the source to write it again");
		return 0;
	}
	f->begin = at;
	f->has_begin = true;
	return 1;
}

/* A mirror without state asks where to begin: 1, 0 not known yet, -1. */
static int
find_begin(struct fetch *f, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char name[BEGIN_NAME_LEN], path[FETCH_PATH];
	int got;

	f->has_begin = false;
	fetch_path(f, begin_name(&f->mirror.uuid, name), path);
	got = transport_get(f->transport, path, 64, &b, e);
	return got <= 0 ? got : parse_begin(f, &b);
}

/* The file after which comes the one that is next. */
static struct chain_name
tip_of(const struct fetch *f)
{
	if (position_is_nil(&f->told.stored))
		return (struct chain_name){
		    f->begin.epoch_number, f->begin.sequence - 1};
	return (struct chain_name){
	    f->told.stored.epoch_number, f->told.stored.sequence};
}

/*
 * Between the acknowledgement and the look at the names the receiver may have
 * acknowledged and removed some: then all is looked at again.
 */
static int
look_around(struct fetch *f, struct frontier *w, struct err *e)
{
	uint64_t counter;

	do {
		counter = f->told.counter;
		*w = (struct frontier){.at = tip_of(f)};
		walk(f, w);
		if (fetch_look(f, e) < 0)
			return -1;
	} while (f->has_ack && f->told.counter != counter);
	return 0;
}

/* What the receiver waits for, always; more only as there is room. */
static void
plan(struct fetch *f, const struct frontier *w, struct batch *b)
{
	struct chain_name tip = tip_of(f);

	b->count = 0;
	ask_for_next(f, b, &tip);
	if (f->full)
		return;
	if (f->ahead == 1)
		ask_for_next(f, b, &w->at);
	for (uint32_t i = 1; i <= f->ahead && f->ahead > 1; i++)
		if (w->files + i <= FETCH_AHEAD_FILES)
			(void)ask_for(
			    f, b, w->at.epoch_number, w->at.sequence + i);
}

int
fetch_take(struct fetch *f, struct err *e)
{
	struct batch b;
	struct frontier w;
	int got;

	f->full = false;
	f->held[0] = '\0';
	/* The receiver has not said yet where it stands. */
	if (!f->has_ack)
		return 0;
	if (position_is_nil(&f->told.stored)) {
		got = find_begin(f, e);
		if (got <= 0)
			return got;
	}
	if (look_around(f, &w, e) < 0)
		return -1;
	f->full = is_full(&w);
	plan(f, &w, &b);
	got = get_batch(f, &b, e);
	/* An epoch may have ended there, and the next one goes on. */
	if (got == 0 && f->ahead > 1 && !f->full) {
		f->ahead = 1;
		plan(f, &w, &b);
		got = get_batch(f, &b, e);
	}
	if (length_here(f, w.at.epoch_number, w.at.sequence + 1) < 0)
		f->ahead = 1;
	else if (f->ahead < FETCH_AT_ONCE)
		f->ahead *= 2;
	return got;
}
