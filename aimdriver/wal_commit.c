/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_commit: what was put beside is made durable, together.
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
#include "aimdriver/wal_inner.h"

#include "common/io.h"

#include <errno.h>

/* The log begins anew: the disk has all that was in it. */
static int
cut_off(struct wal *w, struct err *e)
{
	if (wal_begin_half(w, 1 - w->half, 0, e) < 0)
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
			wal_flush_disk(w);
	}
	failed = w->failed;
	if (failed)
		*e = w->why;
	(void)pthread_mutex_unlock(&w->lock);
	if (failed || wal_begin_half(w, 1 - w->half, w->head.generation, e) < 0)
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
	wal_stage_empty(s);
	w->leading = false;
	if (r < 0)
		wal_fail(w, &e);
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
	wal_fail(w, &why);
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
