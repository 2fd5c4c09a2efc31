/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One range: APPLYING durable, every file's transactions, one sync for each
 * volume, CLEAN durable, files to done/ (reliability 3.5, A3 to A8). A crash
 * anywhere leaves APPLYING with all its files staged, and the whole range is
 * done again.
 */
#include "coordinator/apply.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"
#include "coordinator/redrive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DONE_LAG 256u
#define RETRY_NS UINT64_C(30000000000)

/* Names of the files of a range, for their way to done/. */
struct names {
	struct chain_name *at;
	size_t count, room;
};

static int
add_name(struct chain_name **at, size_t *count, size_t *room,
    const struct chain_name *n, struct err *e)
{
	if (*count == *room) {
		size_t more = *room == 0 ? 64 : *room * 2;
		struct chain_name *p = reallocarray(*at, more, sizeof(*p));

		if (p == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		*at = p;
		*room = more;
	}
	(*at)[(*count)++] = *n;
	return 0;
}

/* The last one always stays, because the tail check reads it. */
static size_t
done_keep(const struct apply *a)
{
	return a->stage.mirror.done_keep < 1 ? 1 : a->stage.mirror.done_keep;
}

int
apply_trim(struct apply *a, struct err *e)
{
	char old[JOURNAL_NAME_LEN];

	if (a->done_count <= done_keep(a))
		return 0;
	(void)journal_name(a->done[0].epoch_number, a->done[0].sequence, old);
	if (sys_unlink(a->stage.done, old) < 0 && errno != ENOENT)
		return err_sys(e, "remove done/%s", old);
	memmove(a->done, a->done + 1, --a->done_count * sizeof(a->done[0]));
	return 1;
}

/* A file moves to done/. What is too much there goes when there is nothing
 * else to do, for removing files can take long; but it does not pile up. */
static int
retire(struct apply *a, const struct chain_name *n, struct err *e)
{
	char name[JOURNAL_NAME_LEN];

	(void)journal_name(n->epoch_number, n->sequence, name);
	if (sys_rename(a->stage.stage, name, a->stage.done, name, 0) < 0) {
		if (errno != ENOENT)
			return err_sys(e, "move %s to done/", name);
		return 0;
	}
	if (add_name(&a->done, &a->done_count, &a->done_room, n, e) < 0)
		return -1;
	while (a->done_count > done_keep(a) + DONE_LAG)
		if (apply_trim(a, e) < 0)
			return -1;
	return 0;
}

int
apply_settle_done(struct apply *a, struct err *e)
{
	AUTO_FREE struct chain_name *staged = NULL;
	const struct position *c = &a->state.clean;
	size_t count, i;
	int more;

	if (stage_list(a->stage.done, &a->done, &a->done_count, e) < 0)
		return -1;
	a->done_room = a->done_count;
	if (stage_list(a->stage.stage, &staged, &count, e) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		if (staged[i].epoch_number > c->epoch_number ||
		    (staged[i].epoch_number == c->epoch_number &&
			staged[i].sequence > c->sequence))
			break;
		if (retire(a, &staged[i], e) < 0)
			return -1;
	}
	while ((more = apply_trim(a, e)) > 0)
		continue;
	return more;
}

/*
 * The volume could not be written or synced. Full: there is hope, the range
 * is done again as after a crash. Else nothing is known of what it holds; only
 * a redo through new descriptors can tell (F26, F27).
 */
static int
device_failed(struct apply *a, struct err *e)
{
	struct err again = {0};

	mirror_targets_close(&a->targets);
	a->retry_ns = clock_mono_ns() + RETRY_NS;
	if (e->kind == ERR_FULL || e->kind == ERR_RETRY)
		return -1;
	e->kind = ERR_FATAL;
	a->state.phase = MIRROR_SUSPECT;
	(void)snprintf(
	    a->state.reason, sizeof(a->state.reason), "%.159s", e->text);
	if (mirror_state_store(a->stage.home, &a->state, &again) < 0)
		log_error(
		    "the mirror's failure could not be noted: %s", again.text);
	return -1;
}

static int
redrive_all(struct apply *a, struct redrive *r, const struct position *to,
    struct names *names, struct err *e)
{
	struct position at = a->state.clean;

	while (position_compare(&at, to) < 0) {
		struct staged f = STAGED_NONE;
		int got = stage_next(&a->stage, &at, &f, e);
		struct chain_name n;

		if (got == 0)
			return err_set(e, ERR_RETRY,
			    "a staged file vanished while it was applied");
		if (got < 0 && !apply_is_damage(e))
			return -1;
		if (got < 0)
			return apply_refuse(a, f.name, e->text, e) < 0 ? -1 : 1;
		if (redrive_file(r, &f, e) < 0) {
			staged_close(&f);
			if (r->device || !apply_is_damage(e))
				return -1;
			return apply_refuse(a, f.name, e->text, e) < 0 ? -1 : 1;
		}
		reader_position(f.reader, &at);
		staged_close(&f);
		n = (struct chain_name){at.epoch_number, at.sequence};
		if (add_name(&names->at, &names->count, &names->room, &n, e) <
		    0)
			return -1;
	}
	return redrive_sync(r, e);
}

static void
add_done(struct mirror_state *s, const struct redrive *r)
{
	uint32_t i;

	for (i = 0; i < r->done_count; i++) {
		if (s->done_count == ACK_DONE_LIMIT)
			memmove(s->done, s->done + 1,
			    --s->done_count * sizeof(s->done[0]));
		s->done[s->done_count++] = r->done[i];
	}
}

static int
say_applying(struct apply *a, const struct standing *to, struct err *e)
{
	struct mirror_state s = a->state;

	s.phase = MIRROR_APPLYING;
	s.target = to->at;
	s.stream = a->stage.mirror.stream;
	s.reason[0] = '\0';
	if (mirror_state_store(a->stage.home, &s, e) < 0)
		return -1;
	a->state = s;
	return 0;
}

static int
say_clean(struct apply *a, const struct standing *to, const struct redrive *r,
    struct err *e)
{
	struct mirror_state s = a->state;

	s.phase = MIRROR_CLEAN;
	s.clean = to->at;
	memset(&s.target, 0, sizeof(s.target));
	s.consistent = to->consistent;
	s.copyin = to->copyin;
	s.applied_time_ns = to->time_ns;
	s.staging = false;
	s.reason[0] = '\0';
	add_done(&s, r);
	if (mirror_state_store(a->stage.home, &s, e) < 0)
		return -1;
	a->state = s;
	return 0;
}

static void
auto_names(struct names *n)
{
	free(n->at);
}

static void
auto_redrive(struct redrive *r)
{
	redrive_release(r);
}

/*
 * Files that the redriver keeps have the size that it left. Asked before each
 * range, as far as that is known.
 */
static int
are_sizes_right(struct apply *a, struct err *e)
{
	struct staged f = STAGED_NONE;
	char why[CHAIN_WHY];
	int good;

	if (a->state.phase != MIRROR_CLEAN ||
	    (!a->state.consistent && uuid_is_nil(&a->state.copyin)))
		return 1;
	good = stage_next(&a->stage, &a->state.clean, &f, e);
	if (good == 0)
		return 1;
	if (good > 0)
		good = tail_sizes(&a->stage, &a->targets, f.reader, why, e);
	staged_close(&f);
	if (good == 0)
		return apply_changed(a, why, e) < 0 ? -1 : 0;
	return good;
}

/* 1 applied; 0 a file turned out damaged and has to come again; -1. */
int
apply_range(struct apply *a, const struct standing *to, struct err *e)
{
	AUTO(auto_redrive) struct redrive r = {0};
	AUTO(auto_names) struct names names = {0};
	size_t i;
	int got;

	if (redrive_init(&r, &a->stage, a->targets.all, e) < 0)
		return -1;
	got = are_sizes_right(a, e);
	if (got <= 0)
		return got;
	/* A redo has it written already, and stays suspect until it is done. */
	if ((a->state.phase == MIRROR_EMPTY ||
		a->state.phase == MIRROR_CLEAN) &&
	    say_applying(a, to, e) < 0)
		return -1;
	got = redrive_all(a, &r, &to->at, &names, e);
	if (got > 0)
		return 0;
	if (got < 0)
		return r.device ? device_failed(a, e) : -1;
	if (say_clean(a, to, &r, e) < 0)
		return -1;
	for (i = 0; i < names.count; i++)
		if (retire(a, &names.at[i], e) < 0)
			return -1;
	return 1;
}
