/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal: a log's beginning and end, putting changes beside, and the thread that
 * flushes the disk. How they are committed: wal_commit.c.
 */
#include "aimdriver/wal_inner.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void
wal_stage_empty(struct stage *s)
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

void
wal_fail(struct wal *w, const struct err *why)
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
		wal_stage_empty(&w->stage[i]);
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

int
wal_begin_half(struct wal *w, unsigned half, uint64_t base, struct err *e)
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
	return wal_begin_half(w, (unsigned)(1 - newest), 0, e);
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

void
wal_flush_disk(struct wal *w)
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
		wal_fail(w, &e);
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
			wal_flush_disk(w);
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

/* A place for `len` bytes in the stage; NULL: there is none. Locked. */
static uint8_t *
take_place(struct stage *s, uint64_t len)
{
	uint8_t *at = s->bytes + s->used;

	if (s->overflow || len > WAL_STAGE - s->used) {
		s->overflow = true;
		return NULL;
	}
	s->used += len;
	s->records++;
	atomic_fetch_add(&s->copying, 1);
	return at;
}

/* The place is taken with the lock, which gives it its number; it is filled
 * without. Whoever takes the stage waits for that. */
void
wal_stage(
    struct wal *w, enum aim_op op, uint64_t off, uint64_t len, const void *data)
{
	struct wal_record r = {.op = (uint32_t)op, .off = off, .len = len};
	uint64_t carried = data == NULL ? 0 : len;
	struct stage *s;
	uint8_t *to;

	if (carried > WAL_STAGE)
		carried = WAL_STAGE; /* too much in any case */
	(void)pthread_mutex_lock(&w->lock);
	s = &w->stage[w->into];
	to = take_place(s, sizeof(r) + wal_round(carried, WAL_ALIGN));
	atomic_fetch_add(&w->staged, 1);
	(void)pthread_mutex_unlock(&w->lock);
	if (to == NULL)
		return;
	memcpy(to, &r, sizeof(r));
	if (carried > 0)
		memcpy(to + sizeof(r), data, carried);
	atomic_fetch_sub(&s->copying, 1);
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
