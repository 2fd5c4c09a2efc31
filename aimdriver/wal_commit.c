/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_commit: what was put beside is made durable, together.
 *
 * There are two stages. Into one everybody puts; the leader takes it, and
 * leaves the other one, empty, in its place. The leader is whoever wants to
 * commit while nobody else is leading; it alone touches the file. It commits
 * all that was put beside before it took the stage, so those who wait
 * meanwhile, and those who come to wait, are mostly answered by one write, and
 * by one FLUSH in the stream.
 *
 * They wait without the lock, and each for its own commit: who came before the
 * stage was taken for the one under way, who came later for the next one. So
 * a leader that is done wakes those whom it has served, and one more, to lead.
 * Each is woken once: with many clients waking is most of what a flush takes.
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
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

static void
wake(_Atomic uint32_t *turn, int count)
{
	atomic_fetch_add(turn, 1);
	(void)syscall(SYS_futex, (uintptr_t)turn, FUTEX_WAKE_PRIVATE, count,
	    NULL, NULL, 0);
}

/* Whatever is lost, nobody waits longer than that. */
static void
wait_for(_Atomic uint32_t *turn, uint32_t seen)
{
	const struct timespec t = {.tv_sec = 1};

	(void)syscall(
	    SYS_futex, (uintptr_t)turn, FUTEX_WAIT_PRIVATE, seen, &t, NULL, 0);
}

/* Locked; not any more when it returns. */
static void
lead(struct wal *w, int (*flush)(void *ctx), void *ctx)
{
	struct stage *s = &w->stage[w->into];
	uint64_t upto = atomic_load(&w->staged);
	struct err e = {0};
	uint32_t n;
	unsigned tries;
	int r = 0;

	atomic_store(&w->taken, upto);
	n = atomic_fetch_add(&w->begun, 1) + 1;
	w->into = 1 - w->into;
	(void)pthread_mutex_unlock(&w->lock);
	for (tries = 0; atomic_load(&s->copying) != 0; tries++)
		back_off(tries);
	if (s->overflow)
		r = flush_and_cut(w, flush, ctx, &e);
	else if (s->records > 0)
		r = append(w, s, &e);
	if (r == 0)
		r = note_flush(w, &e);
	(void)pthread_mutex_lock(&w->lock);
	wal_stage_empty(s);
	if (r < 0)
		wal_fail(w, &e);
	else
		atomic_store(&w->durable, upto);
	atomic_store(&w->ended, n);
	(void)pthread_mutex_unlock(&w->lock);
	/* First the one who will give the disk something to do. */
	wake(&w->turn[(n + 1) % 2], r < 0 ? INT_MAX : 1);
	wake(&w->turn[n % 2], INT_MAX);
}

static bool
is_over(struct wal *w, uint64_t want)
{
	return atomic_load(&w->durable) >= want || atomic_load(&w->failed);
}

/* While a commit is under way: until it, or the next one, may have made `want`
 * durable, or is to be led. False: none is. */
static bool
wait_turn(struct wal *w, uint64_t want)
{
	/* Whatever ends from here on changes one of these. */
	uint32_t seen[2] = {atomic_load(&w->turn[0]), atomic_load(&w->turn[1])};
	uint32_t n = atomic_load(&w->begun);

	if (is_over(w, want))
		return true;
	if (atomic_load(&w->ended) == n)
		return false;
	if (atomic_load(&w->taken) < want)
		n++;
	wait_for(&w->turn[n % 2], seen[n % 2]);
	return true;
}

/* Leads, unless somebody does. */
static void
go_on(struct wal *w, uint64_t want, int (*flush)(void *ctx), void *ctx)
{
	(void)pthread_mutex_lock(&w->lock);
	if (atomic_load(&w->begun) == atomic_load(&w->ended) &&
	    !is_over(w, want))
		lead(w, flush, ctx);
	else
		(void)pthread_mutex_unlock(&w->lock);
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
		if (!wait_turn(w, want))
			go_on(w, want, flush, ctx);
	look_at_disk(w);
	if (!atomic_load(&w->failed))
		return 0;
	(void)pthread_mutex_lock(&w->lock);
	*e = w->why;
	(void)pthread_mutex_unlock(&w->lock);
	return -1;
}
