/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit is begun when there is room: it is decided from which members it is
 * read, and each of their stretches becomes a job. Jobs wait for a free slot
 * (a file in memory that the bytes are read into) and for room at their
 * member; several members, and several reads of each, are under way at a time.
 * What comes is written where it belongs in the volume. A unit whose jobs have
 * all come is noted as read; if one fails, the others are let come in, and the
 * unit is unread again. Every now and then the target is synced, and what was
 * noted is made durable after it.
 */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "coordinator/gather.h"
#include "coordinator/gather_plan.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS 16u
#define UNITS 16u
#define QUEUE 32u /* jobs; more than there are slots, so that none is idle */
#define WAIT_MS 250
#define NS_PER_S UINT64_C(1000000000)
#define SYNC_EVERY_NS (2 * NS_PER_S)
#define STUCK_NS (20 * NS_PER_S)
#define TELL_EVERY_NS (NS_PER_S / 2)

struct gather_slot {
	int fd;
	uint8_t *bytes;
	bool used;
};

struct gather_unit {
	bool used, failed;
	uint64_t number, members;
	uint32_t jobs;
};

struct gather_job {
	struct gather_read read;
	struct gather_unit *unit;
	struct gather_slot *slot; /* NULL: not begun */
	uint32_t ticket;
};

static uint64_t
bit(uint32_t member)
{
	return UINT64_C(1) << member;
}

/* ---- beginning and end ---- */

int
gather_work_init(struct gather_work *w, const struct gather_config *c,
    struct gather_result *r, struct err *e)
{
	struct gather_slot *s;

	*w = (struct gather_work){
	    .config = c, .state = GATHER_STATE_NONE, .result = r};
	w->slots = calloc(SLOTS, sizeof(*w->slots));
	w->units = calloc(UNITS, sizeof(*w->units));
	if (w->slots == NULL || w->units == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (s = w->slots; s < w->slots + SLOTS; s++)
		*s = (struct gather_slot){.fd = -1, .bytes = MAP_FAILED};
	for (s = w->slots; s < w->slots + SLOTS; s++) {
		s->fd = memfd_create("aim-gather", MFD_CLOEXEC);
		if (s->fd < 0 || ftruncate(s->fd, REMOTE_READ_LIMIT) < 0)
			return err_sys(e, "make a file in memory");
		s->bytes = mmap(
		    NULL, REMOTE_READ_LIMIT, PROT_READ, MAP_SHARED, s->fd, 0);
		if (s->bytes == MAP_FAILED)
			return err_sys(e, "map a file in memory");
	}
	return 0;
}

void
gather_work_release(struct gather_work *w)
{
	uint32_t i;

	for (i = 0; i < LAYOUT_MOST; i++)
		remote_close(w->sources[i].remote);
	for (i = 0; w->slots != NULL && i < SLOTS; i++) {
		if (w->slots[i].bytes != MAP_FAILED)
			(void)munmap(w->slots[i].bytes, REMOTE_READ_LIMIT);
		cleanup_fd(&w->slots[i].fd);
	}
	free(w->slots);
	free(w->units);
	free(w->jobs);
	target_close(w->target);
	gather_state_close(&w->state);
}

/* ---- members ---- */

/* Its jobs are not waited for; none of them may be under way. */
static void
drop_jobs(struct gather_work *w, uint32_t m)
{
	uint32_t i;

	for (i = 0; i < w->job_count;) {
		struct gather_job *j = &w->jobs[i];

		if (j->read.member != m) {
			i++;
			continue;
		}
		if (j->slot != NULL)
			j->slot->used = false;
		j->unit->failed = true;
		j->unit->jobs--;
		*j = w->jobs[--w->job_count];
	}
}

/* Nothing of it is under way any more. */
static void
drop_source(struct gather_work *w, uint32_t m)
{
	struct gather_source *s = &w->sources[m];

	remote_close(s->remote);
	s->remote = NULL;
	s->under = 0;
	drop_jobs(w, m);
}

static void
fail_source(struct gather_work *w, uint32_t m, const struct err *why)
{
	struct gather_source *s = &w->sources[m];
	char text[700];

	s->why = *why;
	s->health = GATHER_BAD;
	drop_source(w, m);
	gather_wait_after(w->config, &s->backoff);
	(void)snprintf(text, sizeof(text), "%s: %s", w->config->members[m].name,
	    why->text);
	if (w->config->tell != NULL)
		w->config->tell(w->config->ctx, text);
}

static void
begin_look(struct gather_work *w, uint32_t m)
{
	struct gather_source *s = &w->sources[m];
	struct err why = {0};

	if (remote_open(&w->config->members[m].how, &s->remote, &why) < 0 ||
	    remote_look(s->remote, &s->look, &why) < 0) {
		fail_source(w, m, &why);
		return;
	}
	if (s->seen)
		remote_expect(s->remote, s->size, s->tag);
	s->health = GATHER_LOOKING;
}

static void
take_look(struct gather_work *w, uint32_t m, const struct remote_answer *a)
{
	struct gather_source *s = &w->sources[m];

	if (a->result < 0) {
		s->changed = s->changed || a->changed;
		fail_source(w, m, &a->why);
		return;
	}
	s->size = a->size;
	memcpy(s->tag, a->tag, sizeof(s->tag));
	s->seen = true;
	s->health = GATHER_GOOD;
	backoff_good(&s->backoff);
	w->stuck = 0;
}

static uint64_t
good_ones(const struct gather_work *w)
{
	uint64_t good = 0;
	uint32_t m;

	for (m = 0; m < w->config->layout.members; m++)
		if (w->sources[m].health == GATHER_GOOD)
			good |= bit(m);
	return good & w->members;
}

static uint64_t
unit_len(const struct gather_work *w, uint64_t number)
{
	uint64_t off = number * w->unit;

	return w->unit < w->size - off ? w->unit : w->size - off;
}

/* ---- what comes ---- */

static int
put(struct gather_work *w, const uint8_t *bytes, size_t len, uint64_t off,
    struct err *e)
{
	if (io_is_zero(bytes, len))
		return target_zero(w->target, off, len, e);
	return target_write(w->target, bytes, len, off, e);
}

static int
compare(struct gather_work *w, const uint8_t *bytes, size_t len, uint64_t off,
    struct err *e)
{
	struct gather_result *r = w->result;
	AUTO_FREE uint8_t *mine = malloc(len);

	if (mine == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (target_read(w->target, mine, len, off, e) < 0)
		return -1;
	r->compared += len;
	if (memcmp(mine, bytes, len) == 0)
		return 0;
	if (r->difference_count < GATHER_DIFFERENCES) {
		r->differences[r->difference_count].off = off;
		r->differences[r->difference_count].len = len;
	}
	r->difference_count++;
	return 0;
}

/* Did the byte come from this member? Of those that its unit was read from, the
 * first one that holds it is its own. */
static bool
is_from(const struct gather_work *w, uint64_t off, uint32_t member)
{
	uint32_t of[LAYOUT_MOST],
	    n = layout_holders(&w->config->layout, off, of);
	uint64_t read = w->state.read[off / w->unit];
	uint32_t i, first = LAYOUT_MOST;

	for (i = 0; i < n; i++)
		if ((read & bit(of[i])) != 0 && of[i] < first)
			first = of[i];
	return first == member;
}

/* Puts each piece of a stretch where it belongs; what is outside of the unit
 * was read because it lies between. */
static int
scatter(struct gather_work *w, const struct gather_job *j, struct err *e)
{
	uint64_t from = j->unit->number * w->unit;
	uint64_t to = from + unit_len(w, j->unit->number);
	uint64_t at = 0, begin, end;
	struct layout_piece p;
	const uint8_t *bytes;

	for (; at < j->read.len; at += p.len) {
		layout_unmap(&w->config->layout, j->read.member,
		    j->read.off + at, j->read.len - at, &p);
		begin = p.volume_off > from ? p.volume_off : from;
		end = p.volume_off + p.len < to ? p.volume_off + p.len : to;
		if (begin >= end ||
		    (w->comparing && is_from(w, begin, j->read.member)))
			continue;
		bytes = j->slot->bytes + at + (begin - p.volume_off);
		if ((w->comparing ? compare : put)(
			w, bytes, (size_t)(end - begin), begin, e) < 0)
			return -1;
	}
	return 0;
}

static int
take_job(struct gather_work *w, uint32_t m, const struct remote_answer *a,
    struct err *e)
{
	struct gather_job *j = w->jobs;
	int done = 0;

	while (
	    j < w->jobs + w->job_count &&
	    (j->read.member != m || j->slot == NULL || j->ticket != a->ticket))
		j++;
	if (j == w->jobs + w->job_count)
		return 0; /* given up meanwhile */
	if (a->result < 0) {
		w->sources[m].changed = w->sources[m].changed || a->changed;
		fail_source(w, m, &a->why);
		return 0;
	}
	w->sources[m].under--;
	if (!j->unit->failed)
		done = scatter(w, j, e);
	j->slot->used = false;
	j->unit->jobs--;
	*j = w->jobs[--w->job_count];
	return done;
}

static int
take_answers(struct gather_work *w, struct err *e)
{
	struct remote_answer a;
	uint32_t m;

	for (m = 0; m < w->config->layout.members; m++) {
		struct gather_source *s = &w->sources[m];

		while (s->remote != NULL && remote_next(s->remote, &a)) {
			if (s->health == GATHER_LOOKING && a.ticket == s->look)
				take_look(w, m, &a);
			else if (take_job(w, m, &a, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* Units of which nothing is under way any more. */
static int
settle_units(struct gather_work *w, struct err *e)
{
	struct gather_unit *u;

	for (u = w->units; u < w->units + UNITS; u++) {
		if (!u->used || u->jobs > 0)
			continue;
		u->used = false;
		if (w->comparing)
			continue;
		if (u->failed)
			w->cursor =
			    u->number < w->cursor ? u->number : w->cursor;
		else if (gather_state_note(
			     &w->state, u->number, 1, u->members, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- what goes ---- */

static struct gather_unit *
unit_of(struct gather_work *w, uint64_t number)
{
	struct gather_unit *u;

	for (u = w->units; u < w->units + UNITS; u++)
		if (u->used && u->number == number)
			return u;
	return NULL;
}

static struct gather_unit *
free_unit(struct gather_work *w)
{
	struct gather_unit *u;

	for (u = w->units; u < w->units + UNITS; u++)
		if (!u->used)
			return u;
	return NULL;
}

static int
add_job(struct gather_work *w, const struct gather_read *r,
    struct gather_unit *u, struct err *e)
{
	struct gather_job *grown;
	uint32_t room;

	if (w->job_count == w->job_room) {
		room = w->job_room == 0 ? 64 : w->job_room * 2;
		grown = reallocarray(w->jobs, room, sizeof(*grown));
		if (grown == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		w->jobs = grown;
		w->job_room = room;
	}
	w->jobs[w->job_count++] = (struct gather_job){.read = *r, .unit = u};
	u->jobs++;
	return 0;
}

/* Who is busiest is wanted least; else they take turns. */
static void
sort_members(
    const struct gather_work *w, uint64_t number, uint32_t order[LAYOUT_MOST])
{
	uint32_t n = w->config->layout.members, i, k, m;

	for (i = 0; i < n; i++) {
		m = (uint32_t)((number + i) % n);
		for (k = i; k > 0 && w->sources[order[k - 1]].under <
					 w->sources[m].under;
		     k--)
			order[k] = order[k - 1];
		order[k] = m;
	}
}

/* The members to be read for a unit; comparing: all others, too. 0: none. */
static uint64_t
choose(const struct gather_work *w, uint64_t number, uint64_t off, uint64_t len)
{
	const struct layout *l = &w->config->layout;
	uint32_t order[LAYOUT_MOST] = {0};
	uint64_t good = good_ones(w), read;

	if (w->comparing) {
		read = w->state.read[number];
		return l->level == LAYOUT_RAID1E ? good : good & ~read;
	}
	sort_members(w, number, order);
	return gather_choose(l, off, len, good, order);
}

/* 1: it is under way; 0: it cannot be had now. */
static int
begin_unit(struct gather_work *w, struct gather_unit *u, uint64_t number,
    struct err *e)
{
	const struct layout *l = &w->config->layout;
	uint64_t off = number * w->unit, len = unit_len(w, number);
	uint64_t members, before = 0, at;
	struct gather_read r;
	uint32_t m;

	members = choose(w, number, off, len);
	if (members == 0)
		return 0;
	*u = (struct gather_unit){
	    .used = true, .number = number, .members = members};
	for (m = 0; m < l->members; m++) {
		if ((members & bit(m)) == 0)
			continue;
		at = 0;
		while (gather_next(l, off, len, m, w->comparing ? 0 : before,
			   &at, &r) > 0)
			if (add_job(w, &r, u, e) < 0)
				return -1;
		before |= bit(m);
	}
	return 1;
}

static int
begin_units(struct gather_work *w, struct err *e)
{
	uint64_t good = good_ones(w);
	struct gather_unit *u;
	int begun;

	if (good == 0 || w->stuck == good)
		return 0;
	/* What could not be had before may be now. */
	if (w->scanned != good && !w->comparing)
		w->cursor = 0;
	w->scanned = good;
	while (w->job_count < QUEUE && w->cursor < w->state.units &&
	       (u = free_unit(w)) != NULL) {
		uint64_t number = w->cursor++;

		if ((!w->comparing && w->state.read[number] != 0) ||
		    unit_of(w, number) != NULL)
			continue;
		begun = begin_unit(w, u, number, e);
		if (begun < 0)
			return -1;
	}
	return 0;
}

static struct gather_slot *
free_slot(struct gather_work *w)
{
	struct gather_slot *s;

	for (s = w->slots; s < w->slots + SLOTS; s++)
		if (!s->used)
			return s;
	return NULL;
}

/* The first job that its member has room for. */
static struct gather_job *
next_job(struct gather_work *w)
{
	struct gather_job *j;

	for (j = w->jobs; j < w->jobs + w->job_count; j++)
		if (j->slot == NULL &&
		    remote_has_room(w->sources[j->read.member].remote))
			return j;
	return NULL;
}

static void
begin_jobs(struct gather_work *w)
{
	struct gather_slot *slot;
	struct gather_job *j;
	struct err why = {0};

	while ((slot = free_slot(w)) != NULL && (j = next_job(w)) != NULL) {
		uint32_t m = j->read.member;

		if (remote_read(w->sources[m].remote, j->read.off, j->read.len,
			slot->fd, &j->ticket, &why) < 0) {
			fail_source(w, m, &why);
			continue;
		}
		slot->used = true;
		j->slot = slot;
		w->sources[m].under++;
	}
}

/* ---- waiting ---- */

static bool
is_busy(const struct gather_work *w)
{
	uint32_t m;

	for (m = 0; m < w->config->layout.members; m++)
		if (w->sources[m].health == GATHER_LOOKING)
			return true;
	return w->job_count > 0;
}

static bool
is_any_changed(const struct gather_work *w)
{
	uint32_t m;

	for (m = 0; m < w->config->layout.members; m++)
		if (w->sources[m].changed)
			return true;
	return false;
}

/* Members that may be tried again; --once tries each one once. */
static void
try_again(struct gather_work *w)
{
	uint64_t now = clock_mono_ns();
	uint32_t m;

	for (m = 0; m < w->config->layout.members; m++) {
		struct gather_source *s = &w->sources[m];

		if ((w->members & bit(m)) == 0 || s->changed)
			continue;
		if (s->health == GATHER_NEW ||
		    (s->health == GATHER_BAD && !w->config->once &&
			s->why.kind != ERR_REFUSED &&
			backoff_wait_ms(&s->backoff, now) == 0))
			begin_look(w, m);
	}
}

static void
wait_some(struct gather_work *w)
{
	struct pollfd p[LAYOUT_MOST * REMOTE_SOCKETS];
	uint32_t n = 0, m;
	int most = WAIT_MS;

	for (m = 0; m < w->config->layout.members; m++) {
		const struct gather_source *s = &w->sources[m];

		if (s->remote == NULL)
			continue;
		/* What is here has its answer already. */
		if (strncmp(w->config->members[m].how.url, "file:", 5) == 0 ||
		    w->config->members[m].how.url[0] == '/')
			most = s->under > 0 || s->health == GATHER_LOOKING
				   ? 0
				   : most;
		n += remote_sockets(s->remote, p + n);
	}
	(void)poll(p, (nfds_t)n, most);
}

static void
tell_progress(struct gather_work *w)
{
	const struct gather_config *c = w->config;
	uint64_t now = clock_mono_ns(), done;

	if (c->progress == NULL || now - w->told_ns < TELL_EVERY_NS)
		return;
	w->told_ns = now;
	done = (w->state.units - w->state.unread) * w->unit;
	c->progress(c->ctx, done < w->size ? done : w->size, w->size);
}

int
gather_work_sync(struct gather_work *w, struct err *e)
{
	if (w->target == NULL)
		return 0;
	w->synced_ns = clock_mono_ns();
	if (target_sync(w->target, e) < 0)
		return -1;
	return gather_state_sync(&w->state, e);
}

/* What was begun is not waited for. */
static int
drop_all(struct gather_work *w, struct err *e)
{
	uint32_t m;

	for (m = 0; m < w->config->layout.members; m++) {
		struct gather_source *s = &w->sources[m];

		if (s->under == 0 && s->health != GATHER_LOOKING) {
			drop_jobs(w, m);
			continue;
		}
		drop_source(w, m);
		s->health = GATHER_NEW;
	}
	return settle_units(w, e);
}

int
gather_work_look(struct gather_work *w, struct err *e)
{
	uint64_t now = clock_mono_ns();
	uint32_t m;

	for (m = 0; m < w->config->layout.members; m++)
		if ((w->members & bit(m)) != 0 &&
		    w->sources[m].health != GATHER_GOOD &&
		    backoff_wait_ms(&w->sources[m].backoff, now) == 0)
			begin_look(w, m);
	while (is_busy(w)) {
		wait_some(w);
		if (take_answers(w, e) < 0)
			return -1;
	}
	return 0;
}

/* Are those that will not answer again needed? */
static int
check_hope(const struct gather_work *w, struct err *e)
{
	const struct gather_config *c = w->config;
	uint64_t hope = 0;
	const struct err *why = NULL;
	uint32_t m;

	for (m = 0; m < c->layout.members; m++) {
		const struct gather_source *s = &w->sources[m];

		if (s->health == GATHER_BAD && s->why.kind == ERR_REFUSED)
			why = &s->why;
		else
			hope |= bit(m) & w->members;
	}
	if (why == NULL || w->comparing || layout_is_covered(&c->layout, hope))
		return 0;
	return err_set(e, ERR_REFUSED, "%s", why->text);
}

/* One round: 1: go on, 0: no more can be had now, -1. */
static int
step(struct gather_work *w, struct err *e)
{
	uint64_t good;

	if (!w->comparing)
		try_again(w);
	if (begin_units(w, e) < 0)
		return -1;
	begin_jobs(w);
	if (take_answers(w, e) < 0 || settle_units(w, e) < 0)
		return -1;
	tell_progress(w);
	if (clock_mono_ns() - w->synced_ns >= SYNC_EVERY_NS &&
	    gather_work_sync(w, e) < 0)
		return -1;
	if (is_any_changed(w) || check_hope(w, e) < 0)
		return is_any_changed(w) ? 0 : -1;
	if (is_busy(w)) {
		w->stuck_ns = w->job_count > 0 ? 0 : w->stuck_ns;
		begin_jobs(w);
		wait_some(w);
		return 1;
	}
	good = good_ones(w);
	if (good != 0 && w->stuck != good &&
	    (w->cursor < w->state.units ||
		(w->scanned != good && !w->comparing)))
		return 1;
	if (w->comparing || w->config->once)
		return 0;
	if (w->stuck_ns == 0)
		w->stuck_ns = clock_mono_ns();
	w->stuck = good;
	w->cursor = 0;
	/* Members that were left out may be had by now. */
	if (w->config->retry_at[0] == '\0' &&
	    clock_mono_ns() - w->stuck_ns > STUCK_NS)
		return 0;
	wait_some(w);
	return 1;
}

int
gather_work_run(struct gather_work *w, struct err *e)
{
	int more = 1;

	w->cursor = w->stuck = w->scanned = 0;
	w->stuck_ns = 0;
	while (more > 0 && (w->comparing || w->state.unread > 0))
		more = step(w, e);
	if (more < 0 || drop_all(w, e) < 0 || gather_work_sync(w, e) < 0)
		return -1;
	return w->state.unread == 0 && !is_any_changed(w) ? 1 : 0;
}
