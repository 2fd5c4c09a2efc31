/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copyin_compare: leaves out of a recovery what every mirror that it is for
 * has already (compare.h). A grain is left out when the sum of what the volume
 * holds, read under its range lock, is the one that each of them has signed,
 * for the very file that begins this recovery, of its image at the fork. In
 * doubt it is copied: doubt costs bytes, and nothing else.
 *
 * Sums are waited for while there is hope. Each mirror has so long (the
 * group's compare_wait_ms) from the last sign that it comes nearer: a file
 * stored or applied before the BEGIN, or a page of sums. When that is over for
 * one, the rest is copied whole, for all; so none holds up the others for
 * longer than that.
 */
#include "coordinator/source.h"

#include "aimdriver/reader.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "coordinator/ack_store.h"
#include "coordinator/carry.h"
#include "coordinator/keyring.h"
#include "coordinator/sums_store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One look is not enough: in --once others work between two. */
#define LOOKS_LEAST 2u

enum look {
	LOOK_EQUAL,
	LOOK_DIFFERS,
	LOOK_WAIT,
	LOOK_OVER, /* no sums: all that follows is copied */
	LOOK_FAILED,
};

/* What is known of one destination. */
struct compare_target {
	uint8_t *bytes; /* a page */
	bool has_page;
	struct sums page;
	struct position stored, applied; /* as last seen */
	uint64_t since_ns;		 /* monotonic: the last progress */
	bool moved;			 /* there was some */
	uint32_t looks;
};

void
copyin_compare_close(struct source *s)
{
	struct comparing *c = &s->comparing;

	for (uint32_t i = 0; c->target != NULL && i < s->count; i++)
		free(c->target[i].bytes);
	free(c->target);
	free(c->room);
	summer_close(&c->summer);
	compare_list_free(c->list);
	*c = (struct comparing){.equal = c->equal, .copied = c->copied};
}

__attribute__((format(printf, 2, 3))) static enum look
stop(struct source *s, const char *fmt, ...)
{
	struct comparing *c = &s->comparing;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	c->over = true;
	c->waits = false;
	log_info("copy-in: what differs is not known, the rest is copied "
		 "whole: %s",
	    c->why);
	return LOOK_OVER;
}

/* ---- what is compared ---- */

static void
drop_reader(struct reader **r)
{
	reader_close(*r);
}

/* Opens a file of ours that can be believed: 1, 0 it is not here, -1. */
static int
open_sealed(struct source *s, uint32_t epoch_number, uint64_t sequence, int *fd,
    struct reader **r, struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	int found = sealed_open_file(&s->sealed, epoch_number, sequence, fd, e);

	if (found <= 0)
		return found;
	if (reader_open(*fd, journal_name(epoch_number, sequence, name), r, e) <
	    0)
		return -1;
	keyring_give(s->home, *r);
	return reader_check_signature(*r, &s->home->key.pub, e) < 0 ? -1 : 1;
}

/*
 * The image from which this epoch goes on. Files behind it, of an earlier
 * epoch, may have changed a mirror's copy of what the source's host has lost
 * since; so a mirror that stands anywhere else is not to be compared with.
 */
static int
find_fork(struct source *s, uint32_t epoch_number, struct err *e)
{
	struct position *fork = &s->comparing.fork;
	AUTO(drop_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	const struct journal_header *h;
	int found = open_sealed(s, epoch_number, 1, &fd, &r, e);

	if (found <= 0)
		return found;
	h = reader_header(r);
	if ((h->compat & JOURNAL_COMPAT_EPOCH_OPEN) == 0 ||
	    uuid_is_nil(&h->parent_epoch))
		return 0;
	*fork = (struct position){.epoch = h->parent_epoch,
	    .epoch_number = h->parent_epoch_number,
	    .sequence = h->parent_sequence,
	    .last = h->fork};
	memcpy(fork->digest, h->prev_digest, DIGEST_LEN);
	return 1;
}

/* 1 and the list, 0 there is none, -1. */
static int
load_list(struct source *s, uint64_t number, struct err *e)
{
	struct comparing *c = &s->comparing;
	AUTO(drop_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	struct sealed_file f;
	int found = sealed_find(&s->sealed, number, &f, e);

	if (found > 0)
		found = open_sealed(
		    s, f.at.epoch_number, f.at.sequence, &fd, &r, e);
	if (found > 0)
		found = compare_list_load(s->home, r, &c->list, e);
	if (found <= 0)
		return found;
	if (c->list->number != number ||
	    c->list->volume_count > s->volume_count)
		return 0;
	c->begun_ns = reader_header(r)->sealed_time_ns;
	return find_fork(s, f.at.epoch_number, e);
}

static int
make_room(struct source *s, struct err *e)
{
	struct comparing *c = &s->comparing;
	uint64_t now = clock_mono_ns();

	c->target = calloc(s->count + 1u, sizeof(*c->target));
	c->room = malloc((size_t)1 << c->list->runs.grain_bits);
	if (c->target == NULL || c->room == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (uint32_t i = 0; i < s->count; i++) {
		c->target[i].since_ns = now;
		c->target[i].bytes = malloc(SUMS_LIMIT);
		if (c->target[i].bytes == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
	}
	return summer_open(&c->summer, &c->list->key, e);
}

/* Once for each BEGIN. Trouble with it is no reason not to recover. */
static enum look
get_ready(struct source *s, const struct job *j)
{
	struct comparing *c = &s->comparing;
	struct err why = {0};
	int found;

	if (c->number == j->begin)
		return c->over ? LOOK_OVER : LOOK_DIFFERS;
	/* It is sealed as soon as may be. */
	if (j->begin > s->tip.at.last)
		return LOOK_WAIT;
	copyin_compare_close(s);
	c->number = j->begin;
	found = load_list(s, j->begin, &why);
	if (found == 0)
		return stop(s, "the copy-in was begun without a list");
	if (found < 0 || make_room(s, &why) < 0)
		return stop(s, "%.140s", why.text);
	return LOOK_DIFFERS;
}

/* ---- the sums ---- */

static bool
has_sum(const struct compare_target *t, uint32_t number)
{
	return t->has_page && number >= t->page.first &&
	       number - t->page.first < t->page.count;
}

static int
load_page(struct source *s, uint32_t i, uint32_t page, struct err *e)
{
	struct comparing *c = &s->comparing;
	struct compare_target *t = &c->target[i];
	AUTO_CLOSE int fd = -1;
	int got;

	t->has_page = false;
	got = sums_store_open(s->home, &s->destinations[i], false, &fd, e);
	if (got <= 0)
		return got;
	got = sums_store_get(s->home, &s->destinations[i], fd, &c->list->begin,
	    page, t->bytes, &t->page, e);
	t->has_page = got == 1;
	return got;
}

/* Does the mirror come nearer to what we wait for? Once it has the BEGIN,
 * only sums tell. */
static bool
has_moved(struct source *s, uint32_t i, const struct ack *a)
{
	struct compare_target *t = &s->comparing.target[i];
	bool moved = position_compare(&a->applied, &t->applied) != 0 ||
		     (t->stored.last < s->comparing.number &&
			 position_compare(&a->stored, &t->stored) != 0);

	t->stored = a->stored;
	t->applied = a->applied;
	return moved;
}

/* Is there no use in waiting for sums of this one? */
static const char *
is_hopeless(const struct source *s, uint32_t i, const struct ack *a)
{
	const struct destination_config *d = &s->destinations[i];

	if (strcmp(d->url, CARRY_URL) == 0)
		return "its files are carried by hand";
	if (projected_of(s, i) != NULL)
		return "it gets a projection";
	if (d->via[0] != '\0' || d->relay[0] != '\0')
		return "it is behind a relay";
	if (d->paused)
		return "it is paused";
	if (a == NULL)
		return NULL;
	if (a->state == ACK_SUSPECT)
		return "the mirror is suspect";
	if (a->stored.last >= s->comparing.number && !a->consistent)
		return "the mirror is inconsistent";
	return NULL;
}

static bool
is_crowded(const struct source *s)
{
	uint64_t limit = s->group.spool_limit;

	return limit > 0 && source_spool(s) / 3 > limit / 4;
}

/* The page is not here: wait, or no more. */
static enum look
await(struct source *s, uint32_t i)
{
	struct comparing *c = &s->comparing;
	struct compare_target *t = &c->target[i];
	const char *name = s->destinations[i].name, *no;
	uint64_t now = clock_mono_ns(), wall = clock_wall_ns();
	uint64_t wait_ns = s->group.compare_wait_ms * NS_PER_MS;
	struct ack a;
	bool acked = ack_load(s->home, &s->destinations[i], &a, NULL) == 1;

	no = is_hopeless(s, i, acked ? &a : NULL);
	if (no != NULL)
		return stop(s, "no sums from %s: %s", name, no);
	if (is_crowded(s))
		return stop(
		    s, "no sums from %s yet, and the spool is filling", name);
	/* The first look only tells where it stands. */
	if (acked && has_moved(s, i, &a) && t->looks > 0) {
		t->since_ns = now;
		t->moved = true;
	}
	t->looks += t->looks < LOOKS_LEAST;
	c->waits = true;
	if (t->looks < LOOKS_LEAST ||
	    (now - t->since_ns < wait_ns &&
		(t->moved ||
		    (wall >= c->begun_ns && wall - c->begun_ns < wait_ns))))
		return LOOK_WAIT;
	return stop(s, "no sums from %s for %u s", name,
	    s->group.compare_wait_ms / 1000);
}

/* Is the page one to compare with? */
static enum look
judge(struct source *s, uint32_t i)
{
	const struct comparing *c = &s->comparing;
	const struct sums *page = &c->target[i].page;
	const char *name = s->destinations[i].name;

	if (page->total == 0)
		return stop(s, "%s has none: %.100s", name, page->reason);
	if (!position_equal(&page->at, &c->fork))
		return stop(s,
		    "the image of %s is not of the place where this epoch "
		    "begins",
		    name);
	if (page->total != runs_sums(&c->list->runs) ||
	    page->grain_bits != c->list->runs.grain_bits)
		return stop(s, "%s has summed up something else", name);
	return LOOK_EQUAL;
}

/* The sum that this mirror has sent: LOOK_EQUAL and *out. */
static enum look
get_sum(struct source *s, uint32_t i, uint32_t number, const uint8_t **out)
{
	struct compare_target *t = &s->comparing.target[i];
	uint32_t page = number / SUMS_IN_PAGE;
	struct err why = {0};
	int got = has_sum(t, number);
	enum look good;

	if (got == 0)
		got = load_page(s, i, page, &why);
	/* That there are none is in the first. */
	if (got == 0 && page > 0)
		(void)!load_page(s, i, 0, &why);
	if (got < 0)
		return stop(s, "%.140s", why.text);
	good = t->has_page ? judge(s, i) : LOOK_EQUAL;
	if (good != LOOK_EQUAL)
		return good;
	if (!has_sum(t, number))
		return await(s, i);
	t->since_ns = clock_mono_ns();
	t->moved = true;
	*out =
	    t->bytes + SUMS_HEAD + (size_t)(number - t->page.first) * SUMS_LEN;
	return LOOK_EQUAL;
}

/* The sum that every mirror has sent. */
static enum look
find_sum(struct source *s, uint32_t number, const uint8_t **out)
{
	const uint8_t *first = NULL, *sum = NULL;
	bool differ = false;
	enum look got;

	for (uint32_t i = 0; i < s->count; i++) {
		if (s->jobs[i].state != JOB_RUNNING)
			continue;
		got = get_sum(s, i, number, &sum);
		if (got != LOOK_EQUAL)
			return got;
		if (first == NULL)
			first = sum;
		differ = differ || first == NULL || sums_is_none(sum) ||
			 memcmp(first, sum, SUMS_LEN) != 0;
	}
	s->comparing.waits = false;
	*out = first;
	return differ || first == NULL ? LOOK_DIFFERS : LOOK_EQUAL;
}

/* ---- one grain ---- */

/* Of the grain at `off`: *len is how much of it there is. */
static enum look
look_at(struct source *s, const struct job *j, uint64_t off, uint64_t *len,
    struct err *e)
{
	struct comparing *c = &s->comparing;
	const struct uuid *volume = &s->volumes[j->volume].uuid;
	struct capture_content is;
	uint8_t mine[SUMS_LEN];
	const uint8_t *sum;
	uint32_t number;
	enum look found;

	if (j->volume >= c->list->volume_count ||
	    !uuid_equal(&c->list->volumes[j->volume].uuid, volume) ||
	    !runs_find(&c->list->runs, j->volume, off, &number))
		return LOOK_DIFFERS;
	found = find_sum(s, number, &sum);
	if (found != LOOK_EQUAL)
		return found;
	if (capture_read(s->capture, j->volume, off,
		UINT64_C(1) << c->list->runs.grain_bits, c->room, &is, e) < 0 ||
	    compare_sum(&c->summer, volume, off, is.hole ? NULL : c->room,
		is.len, mine, e) < 0)
		return LOOK_FAILED;
	*len = is.len;
	return is.len > 0 && memcmp(mine, sum, SUMS_LEN) == 0 ? LOOK_EQUAL
							      : LOOK_DIFFERS;
}

int
copyin_compare(struct source *s, const struct job *j, uint64_t off,
    uint64_t *end, uint64_t *equal, struct err *e)
{
	struct comparing *c = &s->comparing;
	uint64_t grain, at = off, len = 0;
	enum look found;

	*equal = 0;
	if (s->group.compare_wait_ms == 0 || j->kind != COPYIN_RECOVERY)
		return 1;
	found = get_ready(s, j);
	if (found == LOOK_DIFFERS) {
		/* Larger transactions, where more than one grain differs. */
		grain = UINT64_C(1) << c->list->runs.grain_bits;
		do {
			found = look_at(s, j, at, &len, e);
			if (found == LOOK_DIFFERS)
				at = (at | (grain - 1)) + 1;
		} while (found == LOOK_DIFFERS && at < *end &&
			 at - off < CAPTURE_CHUNK &&
			 at < s->volumes[j->volume].size);
	}
	if (at > off) {
		*end = at < *end ? at : *end;
		return 1;
	}
	if (found == LOOK_FAILED)
		return -1;
	if (found == LOOK_EQUAL)
		*equal = len < *end - off ? len : *end - off;
	return found == LOOK_WAIT ? 0 : 1;
}

const char *
copyin_compare_state(const struct source *s)
{
	const struct comparing *c = &s->comparing;

	if (copyin_running(s) == NULL || c->number == 0)
		return "";
	if (c->over)
		return c->why;
	return c->waits ? "waiting for sums" : "comparing";
}
