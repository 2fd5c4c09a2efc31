/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture: one request through "publish, issue, complete". The steps are
 * those of capture.h; nothing here but the change itself and, rarely, waiting
 * and settling, calls the kernel.
 */
#include "aimdriver/activity.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void (*capture_test_step)(enum capture_step step);

struct job {
	struct capture *c;
	const struct capture_req *req;
	struct control_volume *volume;
	struct hold hold;
	uint64_t off, len; /* of this transaction */
	uint64_t size;	   /* live size before it */
	bool extends;
	uint64_t done; /* bytes of the request */
	int iov;       /* the caller's buffers, from where `done` is */
	size_t iov_at;
	unsigned tries;
};

enum chunk {
	CHUNK_DONE = 0,
	CHUNK_AGAIN, /* nothing happened, no lock is held */
};

int
trouble(struct capture *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)pthread_mutex_lock(&c->text);
	(void)vsnprintf(c->trouble, sizeof(c->trouble), fmt, ap);
	(void)pthread_mutex_unlock(&c->text);
	va_end(ap);
	return -1;
}

const char *
capture_trouble(const struct capture *c)
{
	return c->trouble;
}

/* ---- locks ---- */

static int64_t
not_now(struct job *j, enum hold_result r)
{
	if (r == HOLD_BUSY) {
		(void)trouble(j->c, "a lock of %s cannot be had", j->c->where);
		return -EIO;
	}
	settle(j->c, &j->hold);
	back_off(j->tries++);
	return CHUNK_AGAIN;
}

static int64_t
take_position(struct job *j)
{
	struct control_lock *l = &j->volume->position;

	if (j->hold.position)
		return 0;
	switch (lock_plain(j->c, l)) {
	case HOLD_OK:
		break;
	case HOLD_DIRTY:
		/* No transaction depends on it: there is nothing to settle. */
		atomic_store(&l->dirty, 0);
		break;
	case HOLD_BUSY:
		return not_now(j, HOLD_BUSY);
	}
	j->hold.position = true;
	return 0;
}

/* Where the next chunk goes. 0 or -errno. */
static int64_t
find_offset(struct job *j)
{
	const struct capture_req *req = j->req;
	int64_t r;

	if (req->place == CAPTURE_AT) {
		j->off = req->off + j->done;
		return 0;
	}
	r = take_position(j);
	if (r < 0)
		return r;
	r = req->place == CAPTURE_APPEND ? volume_real_size(j->c, req->volume)
					 : req->locate(req->ctx);
	if (r < 0)
		return r;
	j->off = (uint64_t)r;
	return 0;
}

/* Is what was found out before the locks were taken still so? */
static bool
still_holds(struct job *j)
{
	int64_t real;

	j->size = atomic_load_explicit(&j->volume->size, memory_order_acquire);
	j->extends =
	    j->volume->kind == VOLUME_FILE && j->off + j->len > j->size;
	if (j->req->place != CAPTURE_APPEND)
		return !j->extends || j->hold.size;
	real = volume_real_size(j->c, j->req->volume);
	if (real >= 0 && (uint64_t)real != j->size) {
		(void)trouble(j->c,
		    "%s has changed its size outside AIM; a resync is needed",
		    j->volume->path);
		atomic_store(&j->c->ctl->suspect, 1);
	}
	return real == (int64_t)j->off;
}

/*
 * A device may have grown, but until the command that says so (`volume
 * expand`) its mirrors have not: what goes beyond meets the end that the
 * stream knows, with the answers of a device of that size. 0 or -errno.
 */
static int64_t
fit_device(struct job *j, uint64_t *end)
{
	uint64_t size =
	    atomic_load_explicit(&j->volume->size, memory_order_acquire);

	if (j->volume->kind != VOLUME_BLOCK || *end <= size ||
	    !is_watching(j->c))
		return 0;
	if (j->req->op != OP_WRITE)
		return -EINVAL;
	if (j->off >= size)
		return -ENOSPC;
	j->len = size - j->off;
	*end = size;
	return 0;
}

/* Locks the range of the next chunk. 0, CHUNK_AGAIN or -errno. */
static int64_t
take_range(struct job *j)
{
	struct hold *h = &j->hold;
	uint64_t end;
	int64_t r;

	for (;;) {
		enum hold_result taken;

		r = find_offset(j);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(j->off, j->len, &end) ||
		    end > INT64_MAX)
			return -EINVAL;
		r = fit_device(j, &end);
		if (r < 0)
			return r;
		h->want_size = j->volume->kind == VOLUME_FILE &&
			       (j->req->place == CAPTURE_APPEND ||
				   end > atomic_load_explicit(&j->volume->size,
					     memory_order_acquire));
		hold_range(j->c, h, j->off, j->len);
		taken = hold_take(j->c, h);
		if (taken != HOLD_OK)
			return not_now(j, taken);
		if (still_holds(j))
			return 0;
		hold_release_range(j->c, h);
	}
}

static int64_t
take_resize(struct job *j)
{
	struct hold *h = &j->hold;
	enum hold_result taken;

	for (;;) {
		j->size = atomic_load(&j->volume->size);
		h->want_size = true;
		hold_resize(j->c, h, j->size, j->off);
		taken = hold_take(j->c, h);
		if (taken != HOLD_OK)
			return not_now(j, taken);
		if (atomic_load(&j->volume->size) == j->size)
			return 0;
		hold_release_range(j->c, h);
	}
}

/* ---- one transaction ---- */

/* The next `len` bytes of the caller's buffers; `to` NULL: passes over. */
static void
copy_out(struct job *j, uint8_t *to, uint64_t len)
{
	while (len > 0) {
		const struct iovec *v = &j->req->iov[j->iov];
		size_t n = v->iov_len - j->iov_at;

		if (n > len)
			n = (size_t)len;
		if (to != NULL) {
			memcpy(to, (const uint8_t *)v->iov_base + j->iov_at, n);
			to += n;
		}
		len -= n;
		j->iov_at += n;
		if (j->iov_at == v->iov_len) {
			j->iov++;
			j->iov_at = 0;
		}
	}
}

/* The next chunk's bytes into the segment; returns what payload_hash says of
 * them. */
static uint64_t
copy_in(struct job *j, uint8_t *to)
{
	const struct iovec *v = &j->req->iov[j->iov];
	uint64_t hash;

	if (v->iov_len - j->iov_at < j->len || !payload_copy_works(j->len)) {
		copy_out(j, to, j->len);
		return payload_hash(to, j->len);
	}
	hash =
	    payload_copy(to, (const uint8_t *)v->iov_base + j->iov_at, j->len);
	copy_out(j, NULL, j->len);
	return hash;
}

/* The spool is full: no lock is held. 0: try again; -errno. */
static int64_t
wait_for_room(struct job *j)
{
	struct control *ctl = j->c->ctl;
	uint32_t n, seen = atomic_load(&ctl->room);

	if (atomic_load(&ctl->policy) == CAPTURE_FAIL)
		return -ENOSPC;
	if (j->req->interrupted != NULL && j->req->interrupted(j->req->ctx))
		return -EINTR;
	atomic_fetch_add(&ctl->waiting, 1);
	ring(j->c);
	(void)futex_wait_ms(&ctl->room, seen, 100);
	/* Set to 0 when there is room, so that the killed do not count on. */
	n = atomic_load(&ctl->waiting);
	while (n > 0 && !atomic_compare_exchange_weak(&ctl->waiting, &n, n - 1))
		continue;
	return CHUNK_AGAIN;
}

/*
 * Before the change: the group is known to be in use, and what will differ
 * from its mirrors is marked. The locks are held. (A change of size makes
 * zeroes of, or takes away, all between the old and the new end.)
 */
static int
remember(struct job *j)
{
	struct capture *c = j->c;
	uint64_t from = j->off, to = j->off + j->len;

	if (j->req->op == OP_RESIZE) {
		from = j->off < j->size ? j->off : j->size;
		to = j->off < j->size ? j->size : j->off;
	} else if (j->extends && j->size < from)
		from = j->size;
	if (atomic_load_explicit(&c->ctl->marks, memory_order_relaxed) !=
		MARK_WRITING &&
	    reserve_mark(c) < 0)
		return -1;
	if (from == to || activity_is_hot(c, j->req->volume, from, to - from))
		return 0;
	return activity_mark(c, j->req->volume, from, to - from);
}

/* Mode OFF or PASSTHROUGH: the change alone, with the locks held. */
static int64_t
pass(struct job *j)
{
	const struct capture_req *req = j->req;
	bool clean = false;
	int64_t real,
	    n = req->issue(req->ctx, NULL, j->len, j->off, j->done, &clean);

	if (j->hold.size) {
		real = volume_real_size(j->c, req->volume);
		if (real >= 0)
			atomic_store(&j->volume->size, (uint64_t)real);
	}
	if (req->op == OP_WRITE && n > 0)
		copy_out(j, NULL, (uint64_t)n);
	return n;
}

/* ZERO and DISCARD over the end: whether it grew the file is to be seen. */
static void
complete_change(struct job *j, struct ticket *t)
{
	uint64_t len = j->len, size;

	if (j->extends) {
		settle_slot(j->c, &t[0]);
		size = atomic_load(&j->volume->size);
		if (size < j->off + len)
			len = size > j->off ? size - j->off : 0;
	}
	slot_finish(
	    t[j->extends ? 1 : 0].slot, len == 0 ? SLOT_VOID : SLOT_DONE, len);
}

static void
complete_write(struct job *j, struct ticket *t)
{
	if (j->extends) {
		volume_sized(j->volume, j->off + j->len);
		step(STEP_SIZED);
		slot_finish(t[0].slot, SLOT_DONE, j->off + j->len);
		step(STEP_DONE_FIRST);
	}
	slot_finish(t[j->extends ? 1 : 0].slot, SLOT_DONE, j->len);
}

static void
complete(struct job *j, struct ticket *t, uint32_t count, int64_t n, bool clean)
{
	bool all = n >= 0 && (j->req->op != OP_WRITE || (uint64_t)n == j->len);
	uint32_t i;

	if (__builtin_expect(!all, 0)) {
		for (i = 0; i < count; i++)
			if (n < 0 && clean)
				slot_finish(t[i].slot, SLOT_VOID, 0);
			else
				settle_slot(j->c, &t[i]);
	} else if (j->req->op == OP_WRITE)
		complete_write(j, t);
	else if (j->req->op == OP_RESIZE) {
		volume_sized(j->volume, j->off);
		step(STEP_SIZED);
		slot_finish(t[0].slot, SLOT_DONE, j->off);
	} else
		complete_change(j, t);
	step(STEP_DONE);
}

static uint32_t
list_wants(const struct job *j, struct want *w)
{
	const struct capture_req *req = j->req;
	uint32_t n = 0;

	if (j->extends)
		w[n++] = (struct want){.op = OP_RESIZE,
		    .volume = req->volume,
		    .off = j->off + j->len,
		    .len = j->size};
	w[n++] = (struct want){.op = req->op,
	    .flags = req->flags & IOCB_FUA,
	    .volume = req->volume,
	    .extends = j->extends,
	    .room = req->op == OP_WRITE ? (uint32_t)j->len : 0,
	    .off = j->off,
	    .len = req->op == OP_RESIZE ? j->size : j->len};
	return n;
}

/*
 * Reserves, publishes, issues and completes, with the range locked. *n is
 * what the disk said. CHUNK_AGAIN: nothing happened, nothing is held.
 */
static int64_t
transact(struct job *j, int64_t *n)
{
	const struct capture_req *req = j->req;
	struct capture *c = j->c;
	struct want w[2];
	struct ticket t[2], *last;
	uint32_t i, count = list_wants(j, w);
	uint32_t align = req->direct || j->len >= SEGMENT_PAGE ? SEGMENT_PAGE
							       : SEGMENT_ALIGN;
	uint64_t hash = 0;
	bool clean = false;

	step(STEP_LOCKED);
	if (remember(j) < 0)
		return -EIO;
	switch (reserve(c, w, count, false, align, t)) {
	case RESERVE_OK:
		break;
	case RESERVE_FULL:
		hold_release(c, &j->hold);
		return wait_for_room(j);
	case RESERVE_MODE: /* somebody has found the spool full */
		hold_release(c, &j->hold);
		return CHUNK_AGAIN;
	case RESERVE_FAILED:
		return -EIO;
	}
	last = &t[count - 1];
	if (req->op == OP_WRITE)
		hash = copy_in(j, last->data);
	step(STEP_COPIED);
	for (i = 0; i < count; i++) {
		if (w[i].op == OP_WRITE)
			ticket_publish_hashed(c, &t[i], hash);
		else
			ticket_publish(c, &t[i], 0);
	}
	step(STEP_PUBLISHED);
	*n = req->issue(req->ctx, req->op == OP_WRITE ? last->data : NULL,
	    j->len, j->off, j->done, &clean);
	step(STEP_ISSUED);
	complete(j, t, count, *n, clean);
	return CHUNK_DONE;
}

/*
 * Has another process the volume for itself (wal.h)? What its log does not
 * have would be undone by a redo. That never makes a file smaller, so it may
 * grow.
 */
static bool
is_taken(const struct job *j)
{
	uint32_t v = j->req->volume;

	return wal_is_set(j->c->ctl, v) && j->c->wal_own != v + 1 &&
	       !(j->req->op == OP_RESIZE && j->off >= j->size);
}

static int64_t
one_chunk(struct job *j, int64_t *n)
{
	int64_t r = j->req->op == OP_RESIZE ? take_resize(j) : take_range(j);

	if (r != 0)
		return r;
	if (__builtin_expect(is_taken(j), 0)) {
		hold_release_range(j->c, &j->hold);
		(void)trouble(j->c,
		    "nbdkit serves %s with commit=wal and has it for itself",
		    j->volume->path);
		return -EBUSY;
	}
	if (__builtin_expect(is_capturing(j->c), 1))
		r = transact(j, n);
	else if (is_passing_through(j->c) && remember(j) < 0)
		r = -EIO;
	else
		*n = pass(j);
	hold_release_range(j->c, &j->hold);
	return r;
}

/* ---- one request ---- */

static int64_t
submit_write(struct job *j)
{
	while (j->done < j->req->len) {
		uint64_t rest = j->req->len - j->done;
		int64_t r, n = 0;

		j->len = rest < CAPTURE_CHUNK ? rest : CAPTURE_CHUNK;
		r = one_chunk(j, &n);
		if (r == CHUNK_AGAIN)
			continue;
		if (r == CHUNK_DONE && n < 0)
			r = n;
		if (r < 0)
			return j->done > 0 ? (int64_t)j->done : r;
		j->done += (uint64_t)n;
		if ((uint64_t)n < j->len)
			break;
	}
	return (int64_t)j->done;
}

static int64_t
submit_change(struct job *j)
{
	int64_t r, n = 0;

	j->off = j->req->off;
	j->len = j->req->op == OP_RESIZE ? 0 : j->req->len;
	do
		r = one_chunk(j, &n);
	while (r == CHUNK_AGAIN);
	if (r < 0)
		return r;
	return n < 0 ? n : 0;
}

static bool
makes_sense(const struct capture *c, const struct capture_req *req)
{
	if (req->volume >= c->volume_count || (c->flags & CAPTURE_WRITER) == 0)
		return false;
	switch (req->op) {
	case OP_WRITE:
		return true;
	case OP_ZERO:
	case OP_DISCARD:
		return req->place == CAPTURE_AT;
	case OP_RESIZE:
		return req->place == CAPTURE_AT && req->off <= INT64_MAX &&
		       c->ctl->volume[req->volume].kind == VOLUME_FILE;
	default:
		return false;
	}
}

int64_t
capture_submit(struct capture *c, const struct capture_req *req)
{
	struct job j = {.c = c, .req = req, .hold = {.volume = req->volume}};
	int was = errno, cancel;
	int64_t r;

	if (!makes_sense(c, req))
		return -EINVAL;
	if (req->len == 0 && req->op != OP_RESIZE)
		return 0;
	j.volume = &c->ctl->volume[req->volume];
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	r = req->op == OP_WRITE ? submit_write(&j) : submit_change(&j);
	hold_release(c, &j.hold);
	(void)pthread_setcancelstate(cancel, NULL);
	errno = was;
	return r;
}
