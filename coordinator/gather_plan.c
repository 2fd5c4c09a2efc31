/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/gather_plan.h"

#include "coordinator/remote.h"

#define UNIT REMOTE_READ_LIMIT
#define GAP                                                                    \
	(UINT64_C(256) << 10) /* reading it is cheaper than to begin anew      \
			       */

uint64_t
gather_unit(const struct layout *l)
{
	uint64_t wide = l->members / layout_copies(l);

	if (l->level == LAYOUT_RAID1 || l->chunk >= UNIT || wide == 0)
		return UNIT;
	return UNIT * (wide < 16 ? wide : 16);
}

static uint64_t
bit(uint32_t member)
{
	return UINT64_C(1) << member;
}

/* Is every byte of the range on one of the members? */
static bool
is_held(const struct layout *l, uint64_t off, uint64_t len, uint64_t members)
{
	uint32_t of[LAYOUT_MOST], n, i;
	struct layout_piece p;
	bool held;

	for (; len > 0; off += p.len, len -= p.len) {
		n = layout_holders(l, off, of);
		held = false;
		for (i = 0; i < n; i++)
			held = held || (members & bit(of[i])) != 0;
		if (!held)
			return false;
		layout_map(l, off, len, 0, &p);
	}
	return true;
}

uint64_t
gather_choose(const struct layout *l, uint64_t off, uint64_t len, uint64_t from,
    const uint32_t order[LAYOUT_MOST])
{
	uint32_t i;

	if (!is_held(l, off, len, from))
		return 0;
	for (i = 0; i < l->members; i++)
		if ((from & bit(order[i])) != 0 &&
		    is_held(l, off, len, from & ~bit(order[i])))
			from &= ~bit(order[i]);
	return from;
}

/* Where copy of the volume's byte is this member's? False: it has none. */
static bool
find_piece(const struct layout *l, uint64_t off, uint64_t len, uint32_t member,
    uint64_t before, struct layout_piece *out)
{
	uint32_t copies = layout_copies(l), j;
	struct layout_piece p;
	bool mine = false, done = false;

	for (j = 0; j < copies; j++) {
		layout_map(l, off, len, j, &p);
		done = done || (before & bit(p.member)) != 0;
		if (p.member != member)
			continue;
		*out = p;
		mine = true;
	}
	return mine && !done;
}

/* Of one member, volume offsets and member offsets grow together: a chunk has
 * at most one copy there. */
int
gather_next(const struct layout *l, uint64_t off, uint64_t len, uint32_t member,
    uint64_t before, uint64_t *at, struct gather_read *out)
{
	struct layout_piece p = {.len = 0}, all;
	uint64_t to = 0;
	bool any = false;

	for (; *at < len; *at += all.len) {
		layout_map(l, off + *at, len - *at, 0, &all);
		if (!find_piece(l, off + *at, all.len, member, before, &p))
			continue;
		if (!any) {
			any = true;
			*out = (struct gather_read){
			    .member = member, .off = p.member_off};
			to = p.member_off;
		}
		if (p.member_off > to + GAP ||
		    p.member_off - out->off >= REMOTE_READ_LIMIT)
			break;
		to = p.member_off + p.len;
		if (to - out->off >= REMOTE_READ_LIMIT) {
			to = out->off + REMOTE_READ_LIMIT;
			/* The rest of the piece is the next one's. */
			*at += to - p.member_off;
			break;
		}
	}
	if (any)
		out->len = (uint32_t)(to - out->off);
	return any ? 1 : 0;
}
