/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal: putting changes beside, and making them durable together.
 *
 * There are two stages. Into one everybody puts; the leader takes it, and
 * leaves the other one, empty, in its place. The leader is whoever wants to
 * commit while nobody else is leading; it alone touches the file. It commits
 * all that was put beside before it took the stage, so those who wait
 * meanwhile, and those who come to wait, are mostly answered by one write, and
 * by one FLUSH in the stream. They wait for a word, and go without a lock.
 *
 * A half may be begun anew when the disk was flushed after the last change in
 * it was made: by the thread, which begins to when the other half is begun, or
 * by a leader that had to flush the disk itself. Then nothing of the log is
 * needed, and what the disk alone has must not be undone: a head whose base is
 * its own generation cuts off all that was before.
 */
#include "aimdriver/wal.h"
#include "aimdriver/wal_file.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct stage {
	uint8_t *bytes; /* WAL_STAGE */
	uint64_t used, records;
	bool overflow; /* something had no room */
};

struct wal {
	struct capture *c;
	uint32_t volume;
	int fd, sync_fd;
	pthread_mutex_t lock;
	pthread_cond_t done; /* a half is free */
	pthread_cond_t work; /* for the thread */
	pthread_t thread;
	bool started, stop;

	struct stage stage[2];
	unsigned into;			  /* the stage that is put into */
	_Atomic uint64_t staged, durable; /* counts of changes */
	_Atomic uint32_t commits;	  /* that ended; futex */
	bool leading;
	_Atomic bool failed;
	struct err why; /* once it has failed */

	/* the leader's */
	struct wal_head head;
	unsigned half;
	uint64_t at, sequence; /* in the half */
	/* halves that were left, and the last of them that is free again */
	uint64_t left, freed;
};

static void
stage_empty(struct stage *s)
{
	s->used = sizeof(struct wal_batch);
	s->records = 0;
	s->overflow = false;
}

static void
wal_free(struct wal *w)
{
	unsigned i;

	if (w == NULL)
		return;
	cleanup_fd(&w->sync_fd);
	cleanup_fd(&w->fd);
	for (i = 0; i < 2; i++)
		if (w->stage[i].bytes != NULL)
			(void)munmap(w->stage[i].bytes, WAL_STAGE);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->done);
	(void)pthread_cond_destroy(&w->work);
	free(w);
}

static void
drop(struct wal **w)
{
	wal_free(*w);
}

/* Locked. */
static void
fail(struct wal *w, const struct err *why)
{
	if (!atomic_load(&w->failed))
		w->why = *why;
	atomic_store(&w->failed, true);
	(void)pthread_cond_broadcast(&w->done);
}

/* ---- beginning ---- */

/* It is held for the copy of a few KiB: sleeping for it would take longer. */
static void
make_lock(pthread_mutex_t *m)
{
	pthread_mutexattr_t a;

	if (pthread_mutexattr_init(&a) != 0) {
		(void)pthread_mutex_init(m, NULL);
		return;
	}
	(void)pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ADAPTIVE_NP);
	(void)pthread_mutex_init(m, &a);
	(void)pthread_mutexattr_destroy(&a);
}

static int
make(struct capture *c, uint32_t volume, struct wal **out, struct err *e)
{
	AUTO(drop) struct wal *w = calloc(1, sizeof(*w));
	unsigned i;

	if (w == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	w->c = c;
	w->volume = volume;
	w->fd = w->sync_fd = -1;
	make_lock(&w->lock);
	(void)pthread_cond_init(&w->done, NULL);
	(void)pthread_cond_init(&w->work, NULL);
	for (i = 0; i < 2; i++) {
		void *p = mmap(NULL, WAL_STAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return err_sys(e, "memory for a log of changes");
		w->stage[i].bytes = p;
		stage_empty(&w->stage[i]);
	}
	*out = STEAL(w);
	return 0;
}

static int
take_file(struct wal *w, uint64_t half_len, struct err *e)
{
	struct err why = {0};

	if (wal_file_make(w->c, w->volume, half_len, &w->fd, &why) < 0) {
		if (why.kind == ERR_RETRY && why.sys == EAGAIN)
			return err_set(e, ERR_REFUSED,
			    "another nbdkit serves %s with commit=wal",
			    w->c->ctl->volume[w->volume].path);
		*e = why;
		return -1;
	}
	if (wal_is_set(w->c->ctl, w->volume))
		return err_set(e, ERR_REFUSED,
		    "the log of %s was not ended: attach again",
		    w->c->ctl->volume[w->volume].path);
	return wal_file_open_sync(w->fd, &w->sync_fd, e);
}

/* Begins half number `half`; `base` is the oldest generation that a redo
 * needs from now on. */
static int
begin_half(struct wal *w, unsigned half, uint64_t base, struct err *e)
{
	struct wal_head h = {.active = 1,
	    .generation = w->head.generation + 1,
	    .half_len = w->head.half_len};

	h.base = base != 0 ? base : h.generation;
	if (wal_head_write(w->c, w->volume, w->fd, half, &h, e) < 0)
		return -1;
	w->head = h;
	w->half = half;
	w->at = w->sequence = 0;
	return 0;
}

/* After whatever the file has. */
static int
begin(struct wal *w, uint64_t half_len, struct err *e)
{
	struct wal_head heads[2];
	int newest = 0, before;
	struct err why = {0};

	w->head.half_len = half_len;
	if (wal_heads_read(
		w->c, w->volume, w->fd, heads, &newest, &before, &why) >= 0)
		w->head.generation = heads[newest].generation;
	else if (why.kind != ERR_CORRUPT) {
		*e = why;
		return -1;
	}
	return begin_half(w, (unsigned)(1 - newest), 0, e);
}

int
wal_open(struct capture *c, uint32_t volume, uint64_t size, struct wal **out,
    struct err *e)
{
	AUTO(drop) struct wal *w = NULL;
	uint64_t half = wal_round(size, UINT64_C(2) << 20) / 2;

	if (volume >= c->volume_count || (c->flags & CAPTURE_WRITER) == 0)
		return err_set(e, ERR_REFUSED, "no such volume");
	if (size < WAL_SIZE_LEAST || size > WAL_SIZE_MOST)
		return err_set(e, ERR_REFUSED,
		    "a log of changes has %ju MiB to %ju GiB",
		    (uintmax_t)(WAL_SIZE_LEAST >> 20),
		    (uintmax_t)(WAL_SIZE_MOST >> 30));
	if (make(c, volume, &w, e) < 0 || take_file(w, half, e) < 0 ||
	    begin(w, half, e) < 0 || wal_set(c, volume, e) < 0)
		return err_at(e, "begin the log of changes");
	/* What others have left in the page cache is flushed by the first
	 * commit. */
	w->stage[0].overflow = true;
	atomic_store(&w->staged, 1);
	*out = STEAL(w);
	return 0;
}

/* ---- the thread: flushes the disk for a half that was left ---- */

static void
flush_disk(struct wal *w)
{
	uint64_t left = w->left;
	struct err e = {0};
	int r;

	(void)pthread_mutex_unlock(&w->lock);
	r = io_fdatasync(
	    w->c->volume_fd[w->volume], w->c->ctl->volume[w->volume].path, &e);
	if (r < 0) {
		wal_lost(w->c, w->volume);
		capture_suspect(w->c);
	}
	(void)pthread_mutex_lock(&w->lock);
	if (r < 0)
		fail(w, &e);
	else if (w->freed < left)
		w->freed = left;
	(void)pthread_cond_broadcast(&w->done);
}

static void *
run(void *arg)
{
	struct wal *w = arg;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if (w->freed < w->left && !w->failed)
			flush_disk(w);
		else
			(void)pthread_cond_wait(&w->work, &w->lock);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

int
wal_start(struct wal *w, struct err *e)
{
	errno = pthread_create(&w->thread, NULL, run, w);
	if (errno != 0)
		return err_sys(e, "start a thread");
	w->started = true;
	return 0;
}

/* ---- putting beside ---- */

void
wal_stage(
    struct wal *w, enum aim_op op, uint64_t off, uint64_t len, const void *data)
{
	struct wal_record r = {.op = (uint32_t)op, .off = off, .len = len};
	uint64_t carried = data == NULL ? 0 : len;
	struct stage *s;

	(void)pthread_mutex_lock(&w->lock);
	s = &w->stage[w->into];
	atomic_fetch_add(&w->staged, 1);
	if (s->overflow || carried > WAL_STAGE ||
	    WAL_STAGE - s->used < sizeof(r) + wal_round(carried, WAL_ALIGN))
		s->overflow = true;
	else {
		memcpy(s->bytes + s->used, &r, sizeof(r));
		s->used += sizeof(r);
		if (carried > 0)
			memcpy(s->bytes + s->used, data, carried);
		s->used += wal_round(carried, WAL_ALIGN);
		s->records++;
	}
	(void)pthread_mutex_unlock(&w->lock);
}

/* ---- the leader ---- */

/* The log begins anew: the disk has all that was in it. */
static int
cut_off(struct wal *w, struct err *e)
{
	if (begin_half(w, 1 - w->half, 0, e) < 0)
		return -1;
	(void)pthread_mutex_lock(&w->lock);
	w->left++;
	w->freed = w->left;
	(void)pthread_mutex_unlock(&w->lock);
	return 0;
}

/* Goes on in the other half, once the disk was flushed for it. */
static int
change_half(struct wal *w, struct err *e)
{
	bool failed;

	(void)pthread_mutex_lock(&w->lock);
	while (w->freed < w->left && !w->failed) {
		/* Without a thread (tests) it is ours to do. */
		if (w->started)
			(void)pthread_cond_wait(&w->done, &w->lock);
		else
			flush_disk(w);
	}
	failed = w->failed;
	if (failed)
		*e = w->why;
	(void)pthread_mutex_unlock(&w->lock);
	if (failed || begin_half(w, 1 - w->half, w->head.generation, e) < 0)
		return -1;
	(void)pthread_mutex_lock(&w->lock);
	w->left++;
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
	return 0;
}

static int
append(struct wal *w, struct stage *s, struct err *e)
{
	uint64_t len = wal_round(s->used, WAL_BLOCK);
	struct wal_batch *b = (struct wal_batch *)(void *)s->bytes;

	if (w->at + len > w->head.half_len && change_half(w, e) < 0)
		return -1;
	*b = (struct wal_batch){.magic = WAL_BATCH_MAGIC,
	    .id = w->head.id,
	    .sequence = w->sequence,
	    .len = s->used,
	    .records = s->records};
	b->sum = wal_batch_sum(b);
	if (io_write_at(w->sync_fd, s->bytes, len,
		wal_half_at(&w->head, w->half) + w->at, e) < 0)
		return err_at(e, "write the log of changes");
	w->at += len;
	w->sequence++;
	return 0;
}

static int
flush_and_cut(struct wal *w, int (*flush)(void *ctx), void *ctx, struct err *e)
{
	int r = flush(ctx);

	if (r < 0) {
		errno = -r;
		(void)err_sys(e, "flush %s", w->c->ctl->volume[w->volume].path);
		wal_lost(w->c, w->volume);
		capture_suspect(w->c);
		return -1;
	}
	return cut_off(w, e);
}

/* What is flushed now is so in the stream, too. */
static int
note_flush(struct wal *w, struct err *e)
{
	if (capture_flushed(w->c, w->volume) == 0)
		return 0;
	return err_set(e, ERR_FATAL, "note a flush: %s", capture_trouble(w->c));
}

/* Locked, and again when it returns. */
static void
lead(struct wal *w, int (*flush)(void *ctx), void *ctx)
{
	struct stage *s = &w->stage[w->into];
	uint64_t upto = atomic_load(&w->staged);
	struct err e = {0};
	int r = 0;

	w->leading = true;
	w->into = 1 - w->into;
	(void)pthread_mutex_unlock(&w->lock);
	if (s->overflow)
		r = flush_and_cut(w, flush, ctx, &e);
	else if (s->records > 0)
		r = append(w, s, &e);
	if (r == 0)
		r = note_flush(w, &e);
	(void)pthread_mutex_lock(&w->lock);
	stage_empty(s);
	w->leading = false;
	if (r < 0)
		fail(w, &e);
	else
		atomic_store(&w->durable, upto);
	atomic_fetch_add(&w->commits, 1);
	futex_wake_all(&w->commits);
}

static bool
is_over(struct wal *w, uint64_t want)
{
	return atomic_load(&w->durable) >= want || atomic_load(&w->failed);
}

/* Leads, or waits for the one who does. */
static void
go_on(struct wal *w, int (*flush)(void *ctx), void *ctx)
{
	uint32_t seen;
	bool wait;

	(void)pthread_mutex_lock(&w->lock);
	wait = w->leading;
	seen = atomic_load(&w->commits);
	if (!wait && !atomic_load(&w->failed))
		lead(w, flush, ctx);
	(void)pthread_mutex_unlock(&w->lock);
	while (wait && atomic_load(&w->commits) == seen)
		(void)futex_wait_ms(&w->commits, seen, 1000);
}

/* Somebody else may have seen that the disk has lost something. */
static void
look_at_disk(struct wal *w)
{
	struct err why = {0};

	if (atomic_load(&w->c->ctl->needs_redo) == 0)
		return;
	(void)err_set(&why, ERR_FATAL,
	    "a flush of the disk has failed: it is to be redone from the log");
	(void)pthread_mutex_lock(&w->lock);
	fail(w, &why);
	(void)pthread_mutex_unlock(&w->lock);
}

int
wal_commit(struct wal *w, int (*flush)(void *ctx), void *ctx, struct err *e)
{
	uint64_t want = atomic_load(&w->staged);

	while (!is_over(w, want))
		go_on(w, flush, ctx);
	look_at_disk(w);
	if (!atomic_load(&w->failed))
		return 0;
	(void)pthread_mutex_lock(&w->lock);
	*e = w->why;
	(void)pthread_mutex_unlock(&w->lock);
	return -1;
}

/* ---- the end ---- */

int
wal_close(struct wal *w, struct err *e)
{
	struct control_volume *v;
	int r = -1;

	if (w == NULL)
		return 0;
	v = &w->c->ctl->volume[w->volume];
	if (w->started) {
		(void)pthread_mutex_lock(&w->lock);
		w->stop = true;
		(void)pthread_cond_signal(&w->work);
		(void)pthread_mutex_unlock(&w->lock);
		(void)pthread_join(w->thread, NULL);
	}
	if (w->failed)
		*e = w->why;
	else if (io_fdatasync(w->c->volume_fd[w->volume], v->path, e) < 0)
		wal_lost(w->c, w->volume);
	else if (wal_file_end(w->c, w->volume, w->fd, e) == 0)
		r = wal_clear(w->c, w->volume, e);
	w->c->wal_own = 0;
	wal_free(w);
	return r;
}
