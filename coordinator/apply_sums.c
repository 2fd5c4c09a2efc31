/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply_sums: what a mirror that holds its image tells its source of it, so
 * that a recovery brings only what differs (compare.h). Files are held back
 * from a break on, nothing is applied meanwhile, and this process alone writes
 * to the volumes; so while it is here, they are exactly at state.clean, and
 * that is what the pages say. Nothing is kept of it: after a crash they are
 * made again, the same as before.
 */
#include "coordinator/apply.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pulse.h"
#include "common/sys.h"
#include "coordinator/compare.h"
#include "coordinator/incoming.h"
#include "coordinator/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Read in one turn. */
#define TURN_BYTES (UINT32_C(64) << 20)

struct apply_sums {
	struct position begin; /* which file asks */
	struct compare_list *list;
	struct summer summer;
	int ack;	  /* folder, or -1 */
	uint32_t next;	  /* page to be made */
	uint32_t filled;  /* sums of it that are */
	uint32_t *target; /* of each volume in the list's table */
	uint64_t *size;	  /* of each of these, both as the mirror has it */
	uint8_t *room;	  /* a grain */
	uint8_t *sums;	  /* a page */
};

static void
release(struct apply_sums *m)
{
	if (m == NULL)
		return;
	compare_list_free(m->list);
	summer_close(&m->summer);
	cleanup_fd(&m->ack);
	free(m->target);
	free(m->size);
	free(m->room);
	free(m->sums);
	free(m);
}

void
apply_sums_close(struct apply *a)
{
	release(a->sums);
	a->sums = NULL;
}

/* What the mirror has of each volume: no more than the source had when it
 * asked, for a device may be larger. */
static int
find_volumes(
    struct apply *a, struct apply_sums *m, struct reader *r, struct err *e)
{
	const struct compare_list *l = m->list;
	uint64_t size;

	m->target = calloc(l->volume_count + 1u, sizeof(*m->target));
	m->size = calloc(l->volume_count + 1u, sizeof(*m->size));
	if (m->target == NULL || m->size == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (uint32_t i = 0; i < l->volume_count; i++) {
		if (survey_volume(&a->stage, r, i, &m->target[i], e) < 0 ||
		    target_size(a->targets.all[m->target[i]], &size, e) < 0)
			return -1;
		m->size[i] =
		    l->volumes[i].size < size ? l->volumes[i].size : size;
	}
	return 0;
}

/* 1 begun, 0 when the file asks for nothing, -1. */
static int
begin(struct apply *a, struct apply_sums *m, struct err *e)
{
	struct staged f = STAGED_NONE;
	int got = staged_open(a->stage.home, a->stage.stage,
	    a->begin.epoch_number, a->begin.sequence, &f, e);

	if (got > 0)
		got = compare_list_load(a->stage.home, f.reader, &m->list, e);
	if (got > 0 && !position_equal(&m->list->begin, &a->begin))
		got = 0;
	if (got > 0 && (find_volumes(a, m, f.reader, e) < 0 ||
			   summer_open(&m->summer, &m->list->key, e) < 0 ||
			   incoming_open_acks(a->stage.home, &a->stage.mirror,
			       &m->ack, e) < 0))
		got = -1;
	staged_close(&f);
	if (got <= 0)
		return got;
	m->begin = a->begin;
	m->room = malloc((size_t)1 << m->list->runs.grain_bits);
	m->sums = malloc((size_t)SUMS_IN_PAGE * SUMS_LEN);
	if (m->room == NULL || m->sums == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	log_info("group %s: a recovery asks for sums of %ju MiB",
	    a->stage.mirror.group_name,
	    (uintmax_t)(runs_sums(&m->list->runs) *
			    ((uint64_t)1 << m->list->runs.grain_bits) >>
			20));
	return 1;
}

static int
sum_one(struct apply *a, struct apply_sums *m, uint32_t number,
    uint8_t out[SUMS_LEN], struct err *e)
{
	uint64_t len = (uint64_t)1 << m->list->runs.grain_bits, off;
	uint32_t v;

	runs_place(&m->list->runs, number, &v, &off);
	if (off >= m->size[v])
		len = 0;
	else if (len > m->size[v] - off)
		len = m->size[v] - off;
	if (len > 0 && target_read(a->targets.all[m->target[v]], m->room,
			   (size_t)len, off, e) < 0)
		return -1;
	return compare_sum(
	    &m->summer, &m->list->volumes[v].uuid, off, m->room, len, out, e);
}

static int
publish(struct apply *a, struct apply_sums *m, struct sums *s, struct err *e)
{
	const struct mirror_config *c = &a->stage.mirror;
	uint8_t bytes[SUMS_LIMIT];
	char name[SUMS_NAME_LEN];
	size_t len;

	s->stream = c->stream;
	s->group = c->group;
	s->mirror = c->uuid;
	s->mirror_site = a->stage.home->site;
	s->source_site = c->source_site;
	s->copyin = m->list->copyin;
	s->at = a->state.clean;
	s->begin = m->list->begin;
	s->time_ns = clock_wall_ns();
	s->grain_bits = m->list->runs.grain_bits;
	a->swept = false;
	if (sums_encode(s, m->sums, &a->stage.home->key, bytes, &len, e) < 0 ||
	    publish_file(a->stage.home, m->ack,
		sums_name(&c->uuid, s->first / SUMS_IN_PAGE, name), bytes, len,
		e) < 0)
		return err_at(e, "publish sums");
	return 0;
}

/* Goes on with a page, so far that others get their turn: 1, 0 when there is
 * no other, -1. */
static int
make_page(struct apply *a, struct apply_sums *m, struct err *e)
{
	struct sums s = {.total = (uint32_t)runs_sums(&m->list->runs),
	    .first = m->next * SUMS_IN_PAGE};
	uint32_t left = TURN_BYTES >> m->list->runs.grain_bits;

	if (s.first >= s.total)
		return 0;
	s.count =
	    s.total - s.first < SUMS_IN_PAGE ? s.total - s.first : SUMS_IN_PAGE;
	for (; m->filled < s.count && left > 0; m->filled++, left--) {
		pulse_beat();
		if (sum_one(a, m, s.first + m->filled,
			m->sums + (size_t)m->filled * SUMS_LEN, e) < 0)
			return -1;
	}
	if (m->filled < s.count)
		return 1;
	if (publish(a, m, &s, e) < 0)
		return -1;
	m->filled = 0;
	m->next++;
	return 1;
}

/* Nobody is to wait for what does not come. */
static void
give_up(struct apply *a, struct err *why)
{
	struct sums s = {.total = 0};
	struct err e = {0};

	log_warn("group %s: the recovery that is awaited has to bring "
		 "everything: %s",
	    a->stage.mirror.group_name, why->text);
	if (a->sums == NULL || a->sums->list == NULL || a->sums->ack < 0)
		return;
	(void)snprintf(s.reason, sizeof(s.reason), "%.150s", why->text);
	for (char *p = s.reason; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	if (publish(a, a->sums, &s, &e) < 0)
		log_warn("%s", e.text);
}

/* Made for the file that asks now? */
static int
get_ready(struct apply *a, struct err *e)
{
	int got;

	if (a->sums != NULL && position_equal(&a->sums->begin, &a->begin))
		return a->answered ? 0 : 1;
	apply_sums_close(a);
	a->answered = false;
	a->sums = calloc(1, sizeof(*a->sums));
	if (a->sums == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	a->sums->ack = -1;
	a->sums->begin = a->begin;
	got = begin(a, a->sums, e);
	a->answered = got == 0;
	return got;
}

int
apply_sums(struct apply *a)
{
	struct err why = {0};
	int got;

	if (!a->state.consistent || !a->state.staging ||
	    a->state.phase != MIRROR_CLEAN || position_is_nil(&a->begin))
		return 0;
	got = get_ready(a, &why);
	if (got > 0)
		got = make_page(a, a->sums, &why);
	if (got < 0)
		give_up(a, &why);
	if (got <= 0)
		a->answered = true;
	return got == 1;
}

void
apply_sums_sweep(struct apply *a)
{
	char name[SUMS_NAME_LEN];
	AUTO_CLOSE int ack = -1;
	uint32_t i;

	apply_sums_close(a);
	if (a->swept)
		return;
	if (incoming_open_acks(a->stage.home, &a->stage.mirror, &ack, NULL) < 0)
		return;
	for (i = 0; i < SUMS_PAGES; i++)
		if (sys_unlink(ack, sums_name(&a->stage.mirror.uuid, i, name)) <
		    0)
			break;
	a->swept = i == SUMS_PAGES || errno == ENOENT;
}
