/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of files: first those that were kept, then those that are prepared.
 * The owner opens them, which takes no more than a header; loading is done by
 * the helper, or by the owner when it would else have to wait. Only the owner
 * changes the ring; a slot that is LOADING belongs to whoever loads it. Rooms
 * go from file to file with their slot.
 */
#include "coordinator/ahead.h"

#include "common/sys.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Less than this is loaded sooner than a thread is made. */
#define HELP_BYTES (UINT64_C(1) << 20)

enum slot_state {
	SLOT_HELD = 1, /* no room for it yet */
	SLOT_WAITING,
	SLOT_LOADING,
	SLOT_READY,
	SLOT_LARGE, /* never loaded */
	SLOT_FAILED,
};

struct slot {
	enum slot_state state;
	struct staged file;
	struct err err; /* FAILED */
	struct reader_room room;
	uint64_t reserved; /* what its room will have */
};

struct ahead {
	struct stage *stage;
	uint64_t bytes;
	struct slot ring[AHEAD_FILES];
	uint32_t first, kept, count; /* kept <= count */
	struct position at, tail;    /* of the last one kept; of the last */

	pthread_mutex_t lock; /* states; first, kept, count for the helper */
	pthread_cond_t changed;
	pthread_t helper;
	bool helped, stop;
};

static struct slot *
slot_at(struct ahead *a, uint32_t i)
{
	return &a->ring[(a->first + i) % AHEAD_FILES];
}

static enum slot_state
state_of(struct ahead *a, uint32_t i)
{
	enum slot_state state;

	(void)pthread_mutex_lock(&a->lock);
	state = slot_at(a, i)->state;
	(void)pthread_mutex_unlock(&a->lock);
	return state;
}

static void
load(struct ahead *a, struct slot *s)
{
	struct err why = {0};
	int rc = reader_load(
	    s->file.reader, &a->stage->mirror.source_key, &s->room, &why);

	(void)pthread_mutex_lock(&a->lock);
	s->state = rc < 0 ? SLOT_FAILED : SLOT_READY;
	if (rc < 0)
		s->err = why;
	(void)pthread_cond_broadcast(&a->changed);
	(void)pthread_mutex_unlock(&a->lock);
}

/* The oldest file that nobody loads yet, or NULL. Locked. */
static struct slot *
claim(struct ahead *a)
{
	uint32_t i;

	for (i = a->kept; i < a->count; i++)
		if (slot_at(a, i)->state == SLOT_WAITING) {
			slot_at(a, i)->state = SLOT_LOADING;
			return slot_at(a, i);
		}
	return NULL;
}

static void *
help(void *arg)
{
	struct ahead *a = arg;
	struct slot *s;

	(void)pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		s = claim(a);
		if (s == NULL) {
			(void)pthread_cond_wait(&a->changed, &a->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&a->lock);
		load(a, s);
		(void)pthread_mutex_lock(&a->lock);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return NULL;
}

static bool
may_help(void)
{
	cpu_set_t cpus;

	return !sys_wants_one_thread() &&
	       sched_getaffinity(0, sizeof(cpus), &cpus) == 0 &&
	       CPU_COUNT(&cpus) > 1;
}

/* Signals are the owner's. Without a helper it goes slower, that is all. */
static void
get_help(struct ahead *a)
{
	sigset_t all, was;

	if (a->helped || !may_help())
		return;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &was);
	a->helped = pthread_create(&a->helper, NULL, help, a) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &was, NULL);
}

/* Room that is given to files or left over from some. Owner. */
static uint64_t
reserved(struct ahead *a)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < AHEAD_FILES; i++)
		sum += a->ring[i].reserved;
	return sum;
}

static void
drop_unused_rooms(struct ahead *a)
{
	uint32_t i;

	for (i = a->count; i < AHEAD_FILES; i++) {
		reader_room_release(&slot_at(a, i)->room);
		slot_at(a, i)->reserved = 0;
	}
}

/* Memory that has been used before costs nothing; new one is zeroed. */
static void
take_used_room(struct ahead *a, struct slot *s, uint64_t need)
{
	uint32_t i;

	for (i = a->count; i < AHEAD_FILES && s->room.len < need; i++) {
		struct slot *unused = slot_at(a, i);
		struct reader_room room = s->room;

		if (unused->room.len < need)
			continue;
		s->room = unused->room;
		unused->room = room;
		s->reserved = s->room.len;
		unused->reserved = room.len;
	}
}

/* Finds room for the newest file, which is HELD: does it have it now? */
static bool
admit(struct ahead *a)
{
	struct slot *s = slot_at(a, a->count - 1);
	uint64_t need = reader_load_len(s->file.reader), mine;

	take_used_room(a, s, need);
	mine = s->reserved;
	if (need > mine && reserved(a) - mine + need > a->bytes)
		drop_unused_rooms(a);
	if (need > mine && reserved(a) - mine + need > a->bytes)
		return false;
	s->reserved = need > mine ? need : mine;
	(void)pthread_mutex_lock(&a->lock);
	s->state = SLOT_WAITING;
	(void)pthread_cond_broadcast(&a->changed);
	(void)pthread_mutex_unlock(&a->lock);
	return true;
}

/* Puts the next file of the chain into the ring: 1, 0 when there is none. */
static int
open_next(struct ahead *a)
{
	struct slot *s = slot_at(a, a->count);
	int got;

	s->file = (struct staged)STAGED_NONE;
	s->err = (struct err){0};
	got = stage_next(a->stage, &a->tail, &s->file, &s->err);
	if (got == 0)
		return 0;
	if (got < 0)
		s->state = SLOT_FAILED;
	else if (reader_load_len(s->file.reader) > a->bytes)
		s->state = SLOT_LARGE;
	else
		s->state = SLOT_HELD;
	if (got > 0)
		reader_position(s->file.reader, &a->tail);
	(void)pthread_mutex_lock(&a->lock);
	a->count++;
	(void)pthread_mutex_unlock(&a->lock);
	return 1;
}

/* Opens files as far as there are some, and room for them. */
static void
fill(struct ahead *a)
{
	uint64_t waiting = 0;
	uint32_t i;

	for (;;) {
		enum slot_state last =
		    a->count > a->kept ? state_of(a, a->count - 1) : 0;

		if (last == SLOT_LARGE || last == SLOT_FAILED)
			break;
		if (last == SLOT_HELD
			? !admit(a)
			: a->count == AHEAD_FILES || open_next(a) == 0)
			break;
	}
	for (i = a->kept; i < a->count; i++)
		waiting += slot_at(a, i)->reserved;
	if (a->count - a->kept > 1 && waiting >= HELP_BYTES)
		get_help(a);
}

int
ahead_open(struct stage *s, const struct position *at, uint64_t bytes,
    struct ahead **out, struct err *e)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	a->stage = s;
	a->bytes = bytes;
	a->at = a->tail = *at;
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_cond_init(&a->changed, NULL);
	*out = a;
	return 0;
}

/* Forgets the files that were not kept. */
static void
forget(struct ahead *a)
{
	uint32_t i, count = a->count;

	(void)pthread_mutex_lock(&a->lock);
	for (i = a->kept; i < count; i++)
		if (slot_at(a, i)->state == SLOT_WAITING)
			slot_at(a, i)->state = SLOT_HELD;
	for (i = a->kept; i < count; i++)
		while (slot_at(a, i)->state == SLOT_LOADING)
			(void)pthread_cond_wait(&a->changed, &a->lock);
	a->count = a->kept;
	(void)pthread_mutex_unlock(&a->lock);
	for (i = a->kept; i < count; i++)
		staged_close(&slot_at(a, i)->file);
	a->tail = a->at;
}

void
ahead_close(struct ahead *a)
{
	uint32_t i;

	if (a == NULL)
		return;
	(void)pthread_mutex_lock(&a->lock);
	a->stop = true;
	(void)pthread_cond_broadcast(&a->changed);
	(void)pthread_mutex_unlock(&a->lock);
	if (a->helped)
		(void)pthread_join(a->helper, NULL);
	a->kept = 0;
	for (i = 0; i < a->count; i++)
		staged_close(&slot_at(a, i)->file);
	for (i = 0; i < AHEAD_FILES; i++)
		reader_room_release(&a->ring[i].room);
	(void)pthread_cond_destroy(&a->changed);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}

/* Until the file is ready, or is known to be what cannot be. */
static enum slot_state
wait_for(struct ahead *a, struct slot *s, bool must)
{
	enum slot_state state;

	(void)pthread_mutex_lock(&a->lock);
	while (s->state == SLOT_WAITING || s->state == SLOT_LOADING) {
		struct slot *mine;

		if (!must && a->helped)
			break;
		mine = claim(a);
		if (mine == NULL) {
			(void)pthread_cond_wait(&a->changed, &a->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&a->lock);
		load(a, mine);
		(void)pthread_mutex_lock(&a->lock);
	}
	state = s->state;
	(void)pthread_mutex_unlock(&a->lock);
	return state;
}

/* What cannot be loaded is read through, once. */
static void
read_through(struct ahead *a, struct slot *s)
{
	int rc = reader_verify(
	    s->file.reader, &a->stage->mirror.source_key, &s->err);

	(void)pthread_mutex_lock(&a->lock);
	s->state = rc < 0 ? SLOT_FAILED : SLOT_READY;
	(void)pthread_mutex_unlock(&a->lock);
}

int
ahead_look(struct ahead *a, bool must, struct staged **out, struct err *e)
{
	enum slot_state state;
	struct slot *s;

	fill(a);
	if (a->count == a->kept)
		return 0;
	s = slot_at(a, a->kept);
	*out = &s->file;
	if (must && state_of(a, a->kept) == SLOT_LARGE)
		read_through(a, s);
	state = wait_for(a, s, must);
	if (state != SLOT_FAILED)
		return state == SLOT_READY;
	/* It is looked for anew next time. */
	if (e != NULL)
		*e = s->err;
	forget(a);
	return -1;
}

bool
ahead_is_at(const struct ahead *a, const struct position *at)
{
	return position_compare(&a->at, at) == 0 &&
	       memcmp(a->at.digest, at->digest, DIGEST_LEN) == 0;
}

void
ahead_keep(struct ahead *a)
{
	reader_position(slot_at(a, a->kept)->file.reader, &a->at);
	(void)pthread_mutex_lock(&a->lock);
	a->kept++;
	(void)pthread_mutex_unlock(&a->lock);
}

void
ahead_done(struct ahead *a)
{
	struct slot *s = slot_at(a, 0);

	staged_close(&s->file);
	(void)pthread_mutex_lock(&a->lock);
	a->first = (a->first + 1) % AHEAD_FILES;
	a->kept--;
	a->count--;
	(void)pthread_mutex_unlock(&a->lock);
	if (a->helped)
		fill(a);
}
