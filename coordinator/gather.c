/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/gather.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "coordinator/gather_plan.h"
#include "coordinator/transport.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOVES 5u /* of members, before it is given up */
#define HEAR_MS 500u
#define PATIENCE_NS (UINT64_C(60) * 1000000000)

struct run {
	struct gather_config *config;
	struct gather_result *result;
	struct gather_work work;
	struct gather_word words[LAYOUT_MOST];
	bool again; /* there is a state */
	uint32_t moves;
};

static void __attribute__((format(printf, 2, 3)))
say(const struct run *r, const char *fmt, ...)
{
	char text[800];
	va_list ap;

	if (r->config->tell == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->config->tell(r->config->ctx, text);
}

static uint64_t
bit(uint32_t member)
{
	return UINT64_C(1) << member;
}

/* ---- what can be known before ---- */

static int
check_member(const struct gather_member *m, struct err *e)
{
	if (remote_check(&m->how, e) < 0)
		return err_at(e, "member %s", m->name);
	if (m->has_ack && m->how.ack_url[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "member %s: where is its acknowledgement? --ack %s=URL is "
		    "the place that files are sent to",
		    m->name, m->name);
	return 0;
}

int
gather_check(const struct gather_config *c, struct err *e)
{
	uint32_t i, k;

	if (layout_check(&c->layout, e) < 0)
		return -1;
	for (i = 0; i < c->layout.members; i++) {
		if (check_member(&c->members[i], e) < 0)
			return -1;
		for (k = 0; k < i; k++)
			if (strcmp(c->members[i].how.url,
				c->members[k].how.url) == 0)
				return err_set(e, ERR_REFUSED,
				    "members %s and %s are at the same place",
				    c->members[k].name, c->members[i].name);
	}
	if (c->target[0] != '/' || c->state[0] != '/')
		return err_set(e, ERR_REFUSED,
		    "the target and the list of ranges need absolute paths");
	return c->retry_at[0] == '\0' ? 0 : gather_times_check(c->retry_at, e);
}

/* ---- at which moment ---- */

static void
hear_all(struct run *r)
{
	uint32_t i;

	for (i = 0; i < r->config->layout.members; i++)
		gather_hear(&r->config->members[i], &r->words[i]);
}

static struct gather_word
word_of(const struct gather_cut *cut)
{
	return (struct gather_word){
	    .known = 1, .ack = {.stream = cut->stream, .applied = cut->at}};
}

static bool
is_same_cut(const struct gather_cut *a, const struct gather_cut *b)
{
	const struct gather_word one = word_of(a), two = word_of(b);

	return gather_same(&one, &two);
}

static void
wait_a_while(const struct run *r)
{
	struct backoff b = {.attempts = 3};

	gather_wait_after(r->config, &b);
	while (backoff_wait_ms(&b, clock_mono_ns()) > 0)
		clock_sleep_ms(backoff_wait_ms(&b, clock_mono_ns()));
}

/* Hears until enough can be had; --once: once. */
static int
pick(struct run *r, struct gather_cut *cut, struct err *e)
{
	uint64_t members = 0;
	struct err why = {0};

	for (;;) {
		hear_all(r);
		err_clear(&why);
		if (gather_pick(r->config, r->words, cut, &members, &why) == 0)
			break;
		if (why.kind != ERR_RETRY || r->config->once)
			return err_set(e, why.kind, "%s", why.text);
		say(r, "%s; trying again", why.text);
		wait_a_while(r);
	}
	r->work.members = members;
	return 0;
}

/* ---- size ---- */

static bool
are_of_size(const struct run *r, uint64_t members, uint64_t size)
{
	const struct layout *l = &r->config->layout;
	uint32_t m;

	for (m = 0; m < l->members; m++)
		if ((members & bit(m)) != 0 &&
		    r->work.sources[m].size != layout_member_size(l, size, m))
			return false;
	return true;
}

/* Without a size given: what the members' sizes add up to. */
static int
derive_size(struct run *r, struct err *e)
{
	struct gather_config *c = r->config;
	uint64_t sum = 0, seen = 0;
	uint32_t m;

	for (m = 0; m < c->layout.members; m++) {
		const struct gather_source *s = &r->work.sources[m];

		if ((r->work.members & bit(m)) == 0 || !s->seen)
			continue;
		seen |= bit(m);
		if (s->size > INT64_MAX - sum &&
		    c->layout.level != LAYOUT_RAID1)
			return err_set(
			    e, ERR_REFUSED, "the members are too large");
		sum = c->layout.level == LAYOUT_RAID1 ? s->size : sum + s->size;
	}
	if (c->layout.level == LAYOUT_RAID1 && seen != 0) {
		c->size = sum;
		return 0;
	}
	/* Those that are there may be just of the size that it had. */
	if (c->was != 0 && layout_is_covered(&c->layout, seen) &&
	    are_of_size(r, seen, c->was)) {
		c->size = c->was;
		return 0;
	}
	if (seen !=
	    (c->layout.members == 64 ? UINT64_MAX : bit(c->layout.members) - 1))
		return err_set(e, ERR_RETRY,
		    "the volume's size cannot be known while a member is "
		    "missing: say --size BYTES");
	c->size = sum / layout_copies(&c->layout);
	return 0;
}

static int
check_sizes(struct run *r, bool given, struct err *e)
{
	const struct gather_config *c = r->config;
	uint64_t want;
	uint32_t m;

	for (m = 0; m < c->layout.members; m++) {
		const struct gather_source *s = &r->work.sources[m];

		if ((r->work.members & bit(m)) == 0 || !s->seen)
			continue;
		want = layout_member_size(&c->layout, c->size, m);
		if (s->size < want || (s->size > want && !given))
			return err_set(e, ERR_REFUSED,
			    "member %s has %" PRIu64
			    " bytes; of a volume of %" PRIu64
			    " it should have %" PRIu64
			    ". Are layout, chunk and order of members right? "
			    "(--size BYTES accepts larger ones)",
			    c->members[m].name, s->size, c->size, want);
	}
	return 0;
}

static int
find_size(struct run *r, struct err *e)
{
	bool given = r->config->size != 0;

	for (;;) {
		struct err why = {0};

		if (gather_work_look(&r->work, e) < 0)
			return -1;
		if (given || derive_size(r, &why) == 0)
			return check_sizes(r, given, e);
		if (why.kind != ERR_RETRY || r->config->once)
			return err_set(e, why.kind, "%s", why.text);
		say(r, "%s; trying again", why.text);
		wait_a_while(r);
	}
}

/* ---- target and state ---- */

static int
open_target(struct run *r, struct err *e)
{
	const struct gather_config *c = r->config;
	enum volume_kind kind;
	unsigned flags = r->again	? TARGET_OVERWRITE
			 : c->overwrite ? TARGET_CREATE | TARGET_OVERWRITE
					: TARGET_CREATE;

	if (r->work.target != NULL)
		return 0;
	if (target_check(c->target, c->size, VOLUME_FILE, flags, &kind, e) < 0)
		return -1;
	return target_open(c->target, kind, &r->work.target, e);
}

static int
make_state(struct run *r, const struct gather_cut *cut, struct err *e)
{
	AUTO(buf_release) struct buf plan = {0};
	struct gather_work *w = &r->work;
	uint64_t units;

	w->unit = gather_unit(&r->config->layout);
	units = w->size / w->unit + (w->size % w->unit != 0 ? 1 : 0);
	if (gather_plan_encode(r->config, w->unit, cut, &plan, e) < 0)
		return -1;
	gather_state_close(&w->state);
	if (gather_state_create(&w->state, r->config->state, &plan, units, e) <
	    0)
		return -1;
	r->again = true;
	r->result->cut = *cut;
	return 0;
}

/* What was read from members that do not count any more is read again. */
static int
forget(struct run *r, uint64_t members, struct err *e)
{
	uint64_t units = 0;

	if (r->work.state.read == NULL)
		return 0;
	if (gather_state_forget(&r->work.state, members, &units, e) < 0 ||
	    gather_work_sync(&r->work, e) < 0)
		return -1;
	r->result->again += units * r->work.unit;
	return 0;
}

/* Everything is prepared for reading at `cut`. */
static int
prepare(struct run *r, const struct gather_cut *cut, struct err *e)
{
	struct gather_work *w = &r->work;
	uint64_t was;

	if (find_size(r, e) < 0 || open_target(r, e) < 0)
		return -1;
	w->size = r->result->size = r->config->size;
	if (r->again && w->state.read == NULL &&
	    gather_state_open(&w->state, r->config->state,
		w->size / w->unit + (w->size % w->unit != 0 ? 1 : 0), e) < 0)
		return -1;
	if (r->again && is_same_cut(cut, &r->result->cut))
		return forget(r, ~w->members, e);
	if (r->again) {
		was = w->state.units - w->state.unread;
		say(r, "what was read so far was of another moment: all is "
		       "read again");
		r->result->again += was * w->unit;
	}
	return make_state(r, cut, e);
}

/* The plan of an earlier run: its unit and cut. */
static int
recall(struct run *r, struct err *e)
{
	AUTO(buf_release) struct buf plan = {0};
	AUTO_FREE struct gather_config *old = calloc(1, sizeof(*old));
	int there;

	if (old == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	there = gather_state_plan(r->config->state, &plan, e);
	if (there < 0)
		return -1;
	if (r->again && there == 0)
		return err_set(e, ERR_REFUSED,
		    "there is nothing to go on with: no %s", r->config->state);
	if (!r->again && there != 0)
		return err_set(e, ERR_REFUSED,
		    "%s says that this was begun before and not ended: go on "
		    "with --continue, or remove that file to begin anew",
		    r->config->state);
	if (there == 0)
		return 0;
	if (gather_plan_decode(&plan, old, &r->work.unit, &r->result->cut, e) <
	    0)
		return -1;
	r->config->size = old->size;
	free(old->members);
	return 0;
}

/* ---- are they still where they were? ---- */

static uint64_t
used_ones(const struct run *r)
{
	uint64_t used = 0, i;

	for (i = 0; i < r->work.state.units; i++)
		used |= r->work.state.read[i];
	return used;
}

static bool
is_at_cut(const struct run *r, const struct gather_word *w)
{
	const struct gather_word cut = word_of(&r->result->cut);

	return w->ack.consistent && gather_same(w, &cut);
}

/* Which have moved, or been changed, by what their files look like. */
static int
look_again(struct run *r, uint64_t used, uint64_t *moved, struct err *e)
{
	uint32_t m;

	for (m = 0; m < r->config->layout.members; m++)
		if ((used & bit(m)) != 0) {
			remote_close(r->work.sources[m].remote);
			r->work.sources[m].remote = NULL;
			r->work.sources[m].health = GATHER_NEW;
		}
	if (gather_work_look(&r->work, e) < 0)
		return -1;
	for (m = 0; m < r->config->layout.members; m++)
		if (r->work.sources[m].changed)
			*moved |= bit(m);
	return 0;
}

/*
 * An acknowledgement that was seen after reading may have been in the making
 * before; the one after the next cannot have been. 1: it is where it was, 0:
 * not yet known, -1: it has moved.
 */
static int
ask_where(struct run *r, uint32_t m, uint64_t *counter)
{
	struct gather_word w;

	gather_hear(&r->config->members[m], &w);
	if (w.known <= 0)
		return 0;
	if (!is_at_cut(r, &w))
		return -1;
	if (*counter == 0)
		*counter = w.ack.counter;
	if (!w.ack.at_rest)
		return r->config->still ? -1 : 0;
	return r->config->still || w.ack.counter >= *counter + 2;
}

/* 1: all are; 0: some have moved, or (--once) nobody tells; -1. */
static int
confirm(struct run *r, uint64_t *moved, struct err *e)
{
	uint64_t used = used_ones(r), open, counters[LAYOUT_MOST] = {0};
	uint64_t since = clock_mono_ns();
	bool told = false;
	uint32_t m;
	int where;

	r->result->used = used;
	*moved = 0;
	if (look_again(r, used, moved, e) < 0)
		return -1;
	open = position_is_nil(&r->result->cut.at) ? 0 : used;
	while (open != 0 && *moved == 0) {
		for (m = 0; m < r->config->layout.members; m++) {
			if ((open & bit(m)) == 0)
				continue;
			where = ask_where(r, m, &counters[m]);
			if (where < 0)
				*moved |= bit(m);
			if (where != 0)
				open &= ~bit(m);
		}
		if (open == 0 || *moved != 0)
			break;
		if (clock_mono_ns() - since > PATIENCE_NS && r->config->once)
			return 0;
		if (!told)
			say(r, "all is read; waiting for the members to say "
			       "that they have not moved (up to 20 s)");
		told = true;
		clock_sleep_ms(HEAR_MS);
	}
	return *moved == 0;
}

static int
note_moves(struct run *r, uint64_t moved, struct err *e)
{
	uint32_t m;

	for (m = 0; m < r->config->layout.members; m++) {
		struct gather_source *s = &r->work.sources[m];

		if ((moved & bit(m)) == 0)
			continue;
		say(r,
		    "%s has moved while it was read: what came from it is "
		    "read again",
		    r->config->members[m].name);
		remote_close(s->remote);
		*s = (struct gather_source){.health = GATHER_NEW};
	}
	if (++r->moves > MOVES)
		return err_set(e, ERR_REFUSED,
		    "the members move all the time: hold them where they are, "
		    "'aim-manager mirror pause GROUP --apply' at their sites, "
		    "then go on with --continue");
	return forget(r, moved, e);
}

static uint64_t
changed_ones(const struct run *r)
{
	uint64_t changed = 0;
	uint32_t m;

	for (m = 0; m < r->config->layout.members; m++)
		if (r->work.sources[m].changed)
			changed |= bit(m);
	return changed;
}

/* ---- the whole ---- */

static int
compare_copies(struct run *r, struct err *e)
{
	int done;

	if (!r->config->compare || layout_copies(&r->config->layout) < 2)
		return 0;
	r->result->compared = 0;
	r->result->difference_count = 0;
	r->work.comparing = true;
	done = gather_work_run(&r->work, e);
	r->work.comparing = false;
	r->result->not_compared =
	    r->work.size * (layout_copies(&r->config->layout) - 1) -
	    r->result->compared;
	return done < 0 ? -1 : 0;
}

static void
list_left(struct run *r)
{
	const struct gather_state *s = &r->work.state;
	struct gather_result *out = r->result;
	uint64_t i, end, begin = 0;

	out->left_count = 0;
	out->unread = 0;
	for (i = 0; i < s->units; i++) {
		if (s->read[i] != 0)
			continue;
		end = (i + 1) * r->work.unit;
		end = end < r->work.size ? end : r->work.size;
		out->unread += end - i * r->work.unit;
		if (i == 0 || s->read[i - 1] != 0)
			begin = i * r->work.unit;
		if (i == 0 || s->read[i - 1] != 0)
			out->left_count++;
		if (out->left_count > GATHER_DIFFERENCES)
			continue;
		out->left[out->left_count - 1].off = begin;
		out->left[out->left_count - 1].len = end - begin;
	}
}

/* One time through: 1: done, 0: again, 2: no more can be had now; -1. */
static int
pass(struct run *r, struct gather_cut *cut, struct err *e)
{
	uint64_t moved;
	int done;

	if (pick(r, cut, e) < 0 || prepare(r, cut, e) < 0)
		return -1;
	done = gather_work_run(&r->work, e);
	if (done < 0)
		return -1;
	moved = changed_ones(r);
	if (done > 0 && moved == 0) {
		if (compare_copies(r, e) < 0)
			return -1;
		done = confirm(r, &moved, e);
		if (done != 0)
			return done;
		/* --once, and nobody tells. */
		if (moved == 0)
			return 2;
	}
	if (moved == 0)
		return r->config->once ? 2 : 0;
	return note_moves(r, moved, e);
}

static int
run_passes(struct run *r, struct err *e)
{
	struct gather_cut cut;
	int done;

	if (recall(r, e) < 0)
		return -1;
	do {
		cut = r->result->cut;
		done = pass(r, &cut, e);
	} while (done == 0);
	if (done < 0)
		return -1;
	list_left(r);
	r->result->end = done == 2			   ? GATHER_UNREAD
			 : r->result->difference_count > 0 ? GATHER_DIFFERS
							   : GATHER_DONE;
	if (r->result->end == GATHER_DONE)
		return gather_state_remove(&r->work.state, e);
	return 0;
}

int
gather_run(struct gather_config *c, bool again, struct gather_result *out,
    struct err *e)
{
	AUTO_FREE struct run *r = calloc(1, sizeof(*r));
	int done;

	*out = (struct gather_result){.end = GATHER_DONE};
	if (r == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	*r = (struct run){.config = c, .result = out, .again = again};
	if (gather_check(c, e) < 0)
		return -1;
	done = gather_work_init(&r->work, c, out, e);
	if (done == 0)
		done = run_passes(r, e);
	gather_work_release(&r->work);
	return done;
}
