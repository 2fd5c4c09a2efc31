/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project_keep: what a projection keeps. A file goes, oldest first, when every
 * destination that has a base has acknowledged it as its prune_at says; the
 * newest never goes. The group's own file was held until this one was durable,
 * and for as long as the source's volumes were not flushed past it.
 */
#include "coordinator/project.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/ack_store.h"
#include "coordinator/catalogue.h"
#include "coordinator/need.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEEP_NS UINT64_C(2000000000)
#define NOTE_NS UINT64_C(250000000)
#define BATCH 64u /* files between two syncs of the folder */
#define PAIRS 20
#define AHEAD_FILES 4u /* under way, where folding goes across files */

bool
project_is_wanted(const struct project *p)
{
	uint32_t i;

	for (i = 0; i < p->count; i++)
		if (p->jobs[i].state != JOB_NONE && p->jobs[i].from > 0)
			return true;
	return false;
}

/* ---- counting ---- */

static int
tally_add(struct project *p, struct tally *t, const struct sealed_file *f,
    struct err *e)
{
	uint64_t copied;

	if (sealed_copyin_len(&p->out, f, &t->in_copyin, &copied, e) < 0)
		return -1;
	t->at = f->at;
	t->files++;
	t->copied += copied;
	t->kept += f->file_len - copied;
	return 0;
}

/* The file after that place, even if others between are missing. */
static int
after(struct project *p, const struct position *at, struct sealed_file *out,
    struct err *e)
{
	int found =
	    sealed_after(&p->out, at->epoch_number, at->sequence, out, e);

	if (found == 0)
		found = sealed_skip(
		    &p->out, at->epoch_number, at->sequence, out, e);
	return found;
}

static int
tally_move(struct project *p, struct tally *t, const struct position *to,
    struct err *e)
{
	struct sealed_file f;
	int found;

	while (position_compare(&t->at, to) < 0 &&
	       position_compare(&t->at, &p->made.at) < 0) {
		found = after(p, &t->at, &f, e);
		if (found < 0 || (found == 1 && tally_add(p, t, &f, e) < 0))
			return -1;
		if (found == 0)
			break;
	}
	return 0;
}

/* Was a copy-in open before this file? The jobs know. */
static bool
copyin_before(const struct project *p, const struct sealed_file *f)
{
	uint32_t i;

	for (i = 0; i < p->count; i++) {
		const struct job *j = &p->jobs[i];

		if (j->state != JOB_NONE && j->begin > 0 &&
		    j->begin < f->first && (j->end == 0 || j->end >= f->first))
			return true;
	}
	return false;
}

static void
begin_before(struct project *p, const struct sealed_file *f)
{
	p->gone = (struct tally){.at = f->at, .in_copyin = copyin_before(p, f)};
	p->gone.at.sequence--;
	p->gone.at.last = f->first - 1;
	p->sent = p->taken = p->made = p->gone;
}

int
project_count(struct project *p, struct err *e)
{
	struct sealed_file f;
	int found;

	p->gone = p->sent = p->taken = p->made = (struct tally){0};
	if (position_is_nil(&p->tip.at))
		return 0;
	found = sealed_skip(&p->out, 0, 0, &f, e);
	if (found <= 0)
		return found;
	begin_before(p, &f);
	while (position_compare(&p->made.at, &p->tip.at) < 0) {
		found = after(p, &p->made.at, &f, e);
		if (found == 0)
			return err_set(e, ERR_RETRY,
			    "projected files vanish while they are counted");
		if (found < 0 || tally_add(p, &p->made, &f, e) < 0)
			return -1;
	}
	return 0;
}

int
project_made(struct project *p, const struct sealed_file *f, struct err *e)
{
	if (position_is_nil(&p->made.at))
		begin_before(p, f);
	return tally_add(p, &p->made, f, e);
}

/* Up to where all have stored, or all whose copy-in is running. */
static void
find_slowest(struct project *p, bool running, struct position *out)
{
	struct ack a;
	uint32_t i;

	*out = p->made.at;
	for (i = 0; i < p->count; i++) {
		const struct job *j = &p->jobs[i];

		if (j->state == JOB_NONE ||
		    (running && j->state != JOB_RUNNING))
			continue;
		if (ack_load(p->home, &p->destinations[i], &a, NULL) != 1)
			*out = p->gone.at;
		else if (position_compare(&a.stored, out) < 0)
			*out = a.stored;
	}
}

static int
follow(struct project *p, struct tally *t, bool running, struct err *e)
{
	struct position to;

	find_slowest(p, running, &to);
	/* One that begins anew, or files that went meanwhile. */
	if (position_compare(&to, &t->at) < 0 ||
	    position_compare(&t->at, &p->gone.at) < 0)
		*t = p->gone;
	return tally_move(p, t, &to, e);
}

/* Files beyond what destination i has stored, as many as matter. */
static int
count_ahead(struct project *p, uint32_t i, uint32_t *out, struct err *e)
{
	struct position at = p->gone.at;
	struct sealed_file f;
	struct ack a;
	int found = 1;

	*out = 0;
	if (ack_load(p->home, &p->destinations[i], &a, NULL) == 1 &&
	    position_compare(&a.stored, &at) > 0)
		at = a.stored;
	while (*out < AHEAD_FILES && found == 1 &&
	       position_compare(&at, &p->made.at) < 0) {
		found = after(p, &at, &f, e);
		at = f.at;
		*out += found == 1;
	}
	return found < 0 ? -1 : 0;
}

int
project_is_ahead(struct project *p, bool *out, struct err *e)
{
	uint32_t i, files;

	*out = false;
	if (p->projection.fold != FOLD_LAGGING)
		return 0;
	/* The fastest one decides: a dead one holds up nobody. */
	for (i = 0; i < p->count; i++) {
		if (p->jobs[i].state == JOB_NONE || p->jobs[i].from == 0)
			continue;
		if (count_ahead(p, i, &files, e) < 0)
			return -1;
		*out = files >= AHEAD_FILES;
		if (!*out)
			return 0;
	}
	return 0;
}

/* ---- removing ---- */

static bool
is_needed(const struct project *p, const struct file_hold *holds,
    const struct sealed_file *f)
{
	uint32_t i;

	for (i = 0; i < p->count; i++)
		if (hold_has(&holds[i], f))
			return true;
	return false;
}

static int
remove_oldest(struct project *p, const struct sealed_file *f, struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	struct tally gone = p->gone;

	(void)journal_name(f->at.epoch_number, f->at.sequence, name);
	if (tally_add(p, &gone, f, e) < 0)
		return err_at(e, "prune %s", name);
	if (sys_unlink(p->out.dir, name) < 0 && errno != ENOENT)
		return err_sys(e, "prune %s", name);
	p->gone = gone;
	return 0;
}

static int
remove_all(struct project *p, const struct file_hold *holds, struct err *e)
{
	struct sealed_file f;
	uint32_t n = 0;
	int found = 1;

	while (n < BATCH && position_compare(&p->gone.at, &p->tip.at) < 0) {
		found = after(p, &p->gone.at, &f, e);
		if (found <= 0 || position_compare(&f.at, &p->tip.at) >= 0 ||
		    is_needed(p, holds, &f))
			break;
		found = remove_oldest(p, &f, e) < 0 ? -1 : 1;
		if (found < 0)
			break;
		n++;
	}
	if (n > 0 && io_fsync(p->out.dir, "the folder of projected files",
			 found < 0 ? NULL : e) < 0)
		return -1;
	return found < 0 ? -1 : n > 0;
}

int
project_keep(struct project *p, bool now, struct err *e)
{
	struct file_hold *holds;
	uint32_t i;
	int did = 0;

	if ((!now && clock_mono_ns() < p->keep_ns) || p->tip_unsure ||
	    position_is_nil(&p->tip.at))
		return 0;
	holds = calloc(p->count + 1u, sizeof(*holds));
	if (holds == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; did == 0 && i < p->count; i++) {
		const struct destination_config *d = &p->destinations[i];

		did = hold_find(p->home, d, &p->jobs[i], &holds[i], e);
		if (did == 0)
			did = hold_hop(p->home, d,
			    destination_hop(d, p->destinations, p->count),
			    &holds[i], e);
	}
	if (did == 0)
		did = remove_all(p, holds, e);
	p->tip_free = did >= 0 && !is_needed(p, holds, &p->tip);
	free(holds);
	if (did >= 0 && (follow(p, &p->sent, false, e) < 0 ||
			    follow(p, &p->taken, true, e) < 0))
		did = -1;
	p->keep_ns = clock_mono_ns() + (did == 1 ? 0 : KEEP_NS);
	return did;
}

/* ---- telling ---- */

struct note {
	struct note_pair pairs[PAIRS];
	char numbers[PAIRS][24];
	size_t count;
};

static void
add_number(struct note *n, const char *key, uint64_t value)
{
	char *text = n->numbers[n->count];

	(void)snprintf(text, sizeof(n->numbers[0]), "%" PRIu64, value);
	n->pairs[n->count++] = (struct note_pair){key, text};
}

void
project_note(struct project *p, bool now)
{
	const bool alone = p->made.files - p->gone.files < 2 && p->tip_free;
	struct note n = {.count = 0};
	uint64_t mono = clock_mono_ns();

	if (!now && mono < p->note_ns)
		return;
	p->note_ns = mono + NOTE_NS;
	n.pairs[n.count++] = (struct note_pair){
	    "error", p->trouble.kind == ERR_NONE ? "" : p->trouble.text};
	if (p->has_cursor) {
		add_number(&n, "epoch", p->cursor.epoch_number);
		add_number(&n, "sequence", p->cursor.sequence);
		add_number(&n, "last", p->cursor.last);
	}
	add_number(&n, "files", p->made.files - p->gone.files);
	add_number(&n, "spool_bytes", alone ? 0 : p->made.kept - p->gone.kept);
	add_number(&n, "sent_bytes", alone ? 0 : p->sent.kept - p->gone.kept);
	add_number(&n, "copyin_bytes", p->made.copied - p->taken.copied);
	add_number(&n, "transactions_in", p->sum.transactions_in);
	add_number(&n, "transactions_out", p->sum.transactions_out);
	add_number(&n, "bytes_in", p->sum.bytes_in);
	add_number(&n, "bytes_out", p->sum.bytes_out);
	add_number(&n, "updated_ns", clock_wall_ns());
	if (projection_note_write(
		p->home, &p->projection.stream, n.pairs, n.count, NULL) < 0)
		p->note_ns = 0; /* the next one will say it */
}
