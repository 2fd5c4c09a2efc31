/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span: the sealer's side. Everything read here can be written by any
 * program that may capture, at any time: each value is copied once, checked
 * as a copy, and used as that copy.
 */
#include "aimdriver/control.h"

#include <string.h>

/* A slot and its state as they were at one moment. */
struct view {
	struct slot slot;
	uint64_t state;
	uint32_t op; /* what it came to */
	uint64_t value;
};

static void
look(struct capture *c, uint32_t segment, uint32_t index, struct view *out)
{
	const struct slot *s = segment_slot(c, segment, index);

	out->state = atomic_load_explicit(&s->state, memory_order_acquire);
	memcpy(&out->slot.number, &s->number,
	    sizeof(*s) - offsetof(struct slot, number));
	out->value = out->state >> SLOT_VALUE_SHIFT;
	switch (out->state & SLOT_STATE) {
	case SLOT_VOID:
		out->op = OP_VOID;
		break;
	case SLOT_GAP:
		out->op = OP_GAP;
		break;
	default:
		out->op = out->slot.op;
		break;
	}
}

static uint32_t
slots_in(struct capture *c, uint32_t segment, bool *full)
{
	struct place p = place_split(atomic_load(&c->ctl->word));
	uint32_t n;

	*full = segment != p.segment;
	n = *full ? atomic_load(&c->ctl->segment[segment].slots) : p.slot;
	return n <= SEGMENT_SLOTS ? n : SEGMENT_SLOTS;
}

/* The group is suspect from now on: what is missing must be copied in. */
static int
bad(struct capture *c, struct err *e, uint64_t number, const char *what)
{
	atomic_store(&c->ctl->suspect, 1);
	return err_set(e, ERR_CORRUPT,
	    "transaction %ju in shared memory: %s; a program that captures "
	    "has damaged it",
	    (uintmax_t)number, what);
}

/* Is it finished? Orphans are settled once for each span. */
static bool
is_ready(struct capture *c, uint32_t segment, uint32_t index, bool *settled,
    struct view *v)
{
	look(c, segment, index, v);
	if (slot_is_finished(v->state))
		return true;
	if (*settled)
		return false;
	settle(c, NULL);
	*settled = true;
	look(c, segment, index, v);
	return slot_is_finished(v->state);
}

static bool
carries(const struct view *v)
{
	return op_has_data(v->op);
}

int
capture_span_next(struct capture *c, uint64_t next, struct capture_span *out,
    uint64_t *pending_ns, struct err *e)
{
	struct capture_span s = {.first = next};
	bool settled = false, full;
	uint32_t slots, i;
	struct view v;

	if (pending_ns != NULL)
		*pending_ns = 0;
	if (next >= next_number(c))
		return 0;
	if (!segment_find(c, next, &s.segment, &s.slot))
		return bad(c, e, next, "it is in no segment");
	slots = slots_in(c, s.segment, &full);
	for (i = s.slot; i < slots; i++) {
		uint64_t number = next + (i - s.slot);

		if (!is_ready(c, s.segment, i, &settled, &v)) {
			if (pending_ns != NULL)
				*pending_ns = v.slot.time_ns;
			break;
		}
		if (v.op == OP_COPYIN_BEGIN && i > s.slot)
			break;
		if (i == s.slot)
			s.oldest_ns = v.slot.time_ns;
		if (carries(&v)) {
			if (v.value > CAPTURE_CHUNK)
				return bad(
				    c, e, number, "its length is too large");
			s.data_len += v.value;
			if (v.op == OP_COPYIN)
				s.copyin_len += v.value;
		}
		s.last = number;
		if (v.op == OP_COPYIN_END)
			break;
	}
	if (s.last == 0)
		return 0;
	s.full = full;
	*out = s;
	return 1;
}

/* What a finished slot says, checked. */
static int
check_view(struct capture *c, const struct view *v, uint64_t number,
    uint64_t seed, struct err *e)
{
	const struct slot *s = &v->slot;

	if (!slot_is_finished(v->state) || (v->state & SLOT_STATE) > SLOT_GAP)
		return bad(c, e, number, "its state is not known");
	if (s->number != number)
		return bad(c, e, number, "it has another number");
	if ((v->state & SLOT_STATE) == SLOT_VOID)
		return 0; /* perhaps never published: nothing else counts */
	if (s->sum != slot_sum(s, seed))
		return bad(c, e, number, "its checksum is wrong");
	if (!op_is_known(v->op))
		return bad(c, e, number, "its operation is not known");
	if ((op_has_range(v->op) || v->op == OP_RESIZE || v->op == OP_FLUSH ||
		v->op == OP_GAP) &&
	    s->volume >= c->volume_count)
		return bad(c, e, number, "its volume is not known");
	if (op_has_range(v->op) &&
	    (s->off > INT64_MAX || s->len > INT64_MAX - s->off ||
		v->value > s->len))
		return bad(c, e, number, "its range is too large");
	if (v->op == OP_RESIZE && v->value > INT64_MAX)
		return bad(c, e, number, "its size is too large");
	if (carries(v) && (v->value > s->room || v->value > CAPTURE_CHUNK ||
			      s->data_off > SEGMENT_DATA ||
			      v->value > SEGMENT_DATA - s->data_off))
		return bad(c, e, number, "its payload is not in the segment");
	return 0;
}

static void
fill_iocb(const struct view *v, struct iocb *out)
{
	const struct slot *s = &v->slot;

	*out = (struct iocb){.op = v->op,
	    .origin = ORIGIN_NONE,
	    .number = s->number,
	    .time_ns = s->time_ns};
	if (v->op == OP_VOID)
		return;
	out->flags = s->flags & IOCB_KNOWN;
	out->volume = s->volume;
	if ((v->state & SLOT_SETTLED) != 0)
		out->flags |= IOCB_SETTLED;
	if (v->op == OP_FLUSH)
		return;
	if (v->op == OP_RESIZE) {
		out->off = v->value;
		out->len = s->len;
		return;
	}
	out->off = s->off;
	out->len = v->op == OP_GAP ? s->len : v->value;
	if (op_has_range(v->op) && v->op != OP_GAP && v->value < s->len)
		out->flags |= IOCB_SHORT;
}

/* Times never go back; shared memory is not asked twice about that. */
static int
check_time(struct capture *c, const struct view *v, struct err *e)
{
	if (v->slot.number > c->entry_number &&
	    v->slot.time_ns < c->entry_time_ns)
		return bad(c, e, v->slot.number, "its time goes back");
	c->entry_number = v->slot.number;
	c->entry_time_ns = v->slot.time_ns;
	return 0;
}

int
capture_span_entry(struct capture *c, const struct capture_span *s, uint32_t i,
    struct iocb *out, uint8_t *room, struct err *e)
{
	uint64_t number = s->first + i, seed;
	uint32_t index = s->slot + i;
	struct view v;

	if (number > s->last || index >= SEGMENT_SLOTS ||
	    !segment_open(c, s->segment))
		return bad(c, e, number, "it is not in the span");
	look(c, s->segment, index, &v);
	seed = slot_seed(
	    c, atomic_load(&c->ctl->segment[s->segment].generation), index);
	if (check_view(c, &v, number, seed, e) < 0 || check_time(c, &v, e) < 0)
		return -1;
	if (carries(&v)) {
		memcpy(room, segment_data(c, s->segment) + v.slot.data_off,
		    v.value);
		if (payload_sum(room, v.value, seed) != v.slot.data_sum)
			return bad(c, e, number, "its payload's sum is wrong");
	}
	fill_iocb(&v, out);
	return 0;
}

/*
 * Sizes as of the first transaction that is not sealed: what the first RESIZE
 * from there on says was before it; else, the one at the stream's end. (That is
 * read first: a resize that it already shows was reserved before, and is
 * found.)
 */
void
capture_sizes(struct capture *c, uint64_t *sizes)
{
	uint64_t n = atomic_load(&c->ctl->sealed) + 1, next;
	uint32_t i, segment, index, left = c->volume_count;
	struct view v;

	for (i = 0; i < c->volume_count; i++)
		sizes[i] = atomic_load(&c->ctl->volume[i].stream_size) |
			   UINT64_C(1) << 63;
	next = next_number(c);
	while (n < next && left > 0 && segment_find(c, n, &segment, &index)) {
		const struct control_segment *g = &c->ctl->segment[segment];
		bool full;
		uint32_t slots = slots_in(c, segment, &full);

		if (full && slots > index && atomic_load(&g->has_resize) == 0) {
			n += slots - index;
			continue;
		}
		look(c, segment, index, &v);
		n++;
		if (v.slot.op != OP_RESIZE ||
		    v.slot.volume >= c->volume_count ||
		    sizes[v.slot.volume] >> 63 == 0)
			continue;
		sizes[v.slot.volume] = v.slot.len & ~(UINT64_C(1) << 63);
		left--;
	}
	for (i = 0; i < c->volume_count; i++)
		sizes[i] &= ~(UINT64_C(1) << 63);
}

void
capture_sealed(struct capture *c, uint64_t upto)
{
	uint64_t was = atomic_load(&c->ctl->sealed);

	if (upto < was || upto >= settled_upto(c))
		return;
	atomic_store(&c->ctl->sealed, upto);
	segments_recycle(c, upto);
	tell_room(c);
}
