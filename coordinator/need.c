/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/need.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int
need_find(struct home *h, const struct destination_config *d,
    const struct job *j, bool stored, struct need *out, struct err *e)
{
	bool relay = d->relay[0] != 0;
	struct ack a;
	int got;

	*out = (struct need){
	    .nothing = j->state == JOB_NONE && !relay && !d->forward};
	if (out->nothing)
		return 0;
	out->from = j->from;
	got = ack_load(h, d, &a, e);
	if (got < 0)
		return err_at(e, "destination %s: nothing is pruned", d->name);
	if (got == 1)
		out->after = stored || relay ? a.stored : a.applied;
	/* Asked for a base, which has not begun: what is sealed before that
	 * is not for this one. */
	out->nothing = position_is_nil(&out->after) && out->from == 0;
	return 0;
}

bool
need_has(const struct need *n, const struct sealed_file *f)
{
	if (n->nothing)
		return false;
	if (!position_is_nil(&n->after))
		return position_compare(&f->at, &n->after) > 0;
	return f->at.last >= n->from;
}

int
hold_find(struct home *h, const struct destination_config *d,
    const struct job *j, struct file_hold *out, struct err *e)
{
	*out = (struct file_hold){
	    .clears = d->hub && d->hub_rank == 0 && !d->paused};
	if (out->clears)
		need_cleared(h, &d->uuid, &out->cleared);
	return need_find(h, d, j, d->prune_at == PRUNE_STORED, &out->need, e);
}

int
hold_hop(struct home *h, const struct destination_config *d,
    const struct destination_config *hop, struct file_hold *out, struct err *e)
{
	struct need *n = &out->need;
	struct ack a;
	int got;

	if (d->prune_at != PRUNE_HOP || n->nothing || hop == NULL)
		return 0;
	got = ack_load(h, hop, &a, e);
	if (got < 0)
		return err_at(
		    e, "destination %s: nothing is pruned", hop->name);
	if (got == 1 && position_compare(&a.stored, &n->after) > 0)
		n->after = a.stored;
	return 0;
}

bool
hold_has(const struct file_hold *h, const struct sealed_file *f)
{
	return need_has(&h->need, f) ||
	       (h->clears && position_compare(&f->at, &h->cleared) > 0);
}

static const char *
note_name(const struct uuid *destination, char out[UUID_TEXT + 8])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, UUID_TEXT + 8, "%s.hub", uuid_text(destination, text));
	return out;
}

void
need_cleared(
    struct home *h, const struct uuid *destination, struct position *out)
{
	char name[UUID_TEXT + 8], epoch[24], sequence[24];

	*out = (struct position){0};
	(void)note_name(destination, name);
	if (!note_read(h, name, "epoch", epoch, sizeof(epoch)) ||
	    !note_read(h, name, "sequence", sequence, sizeof(sequence)))
		return;
	out->epoch_number = (uint32_t)strtoul(epoch, NULL, 10);
	out->sequence = strtoull(sequence, NULL, 10);
}

int
need_note_cleared(struct home *h, const struct uuid *destination,
    const struct position *at, struct err *e)
{
	char name[UUID_TEXT + 8], epoch[24], sequence[24];
	struct note_pair pairs[] = {{"epoch", epoch}, {"sequence", sequence}};

	(void)snprintf(epoch, sizeof(epoch), "%u", at->epoch_number);
	(void)snprintf(sequence, sizeof(sequence), "%" PRIu64, at->sequence);
	return note_write(h, note_name(destination, name), pairs, 2, e);
}
