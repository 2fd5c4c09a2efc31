/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Behind the copy-in note: u32 version 1, u32 grain_bits, u32 count, u32 length
 * of what follows; for each run three numbers of 1 to 10 bytes, seven bits each
 * from the lowest on, with bit 7 set in all but the last: volume (less that of
 * the run before), first extent (less the end of the run before, when that is
 * of the same volume), and how many.
 */
#include "fileformat/runs.h"

#include "fileformat/le.h"

#include <string.h>

enum {
	AT_VERSION = COPYIN_NOTE_LEN,
	AT_GRAIN = AT_VERSION + 4,
	AT_COUNT = AT_VERSION + 8,
	AT_LEN = AT_VERSION + 12,
	AT_RUNS = AT_VERSION + 16,
};

_Static_assert(AT_RUNS + 3 * RUNS_COUNT <= NOTE_LIMIT, "limit");

/* Extents of a volume: offsets stay below 2^63. */
#define EXTENT_LIMIT (UINT64_C(1) << (63 - RUNS_EXTENT_BITS))

uint64_t
runs_sums(const struct runs *r)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < r->count; i++)
		n += r->at[i].count << (RUNS_EXTENT_BITS - r->grain_bits);
	return n;
}

bool
runs_find(const struct runs *r, uint32_t volume, uint64_t off, uint32_t *out)
{
	uint64_t extent = off >> RUNS_EXTENT_BITS, before = 0;
	uint64_t within = off & ((UINT64_C(1) << RUNS_EXTENT_BITS) - 1);
	uint32_t i;

	if ((off & ((UINT64_C(1) << r->grain_bits) - 1)) != 0)
		return false;
	for (i = 0; i < r->count; i++) {
		const struct run *x = &r->at[i];

		if (x->volume == volume && extent >= x->first &&
		    extent - x->first < x->count) {
			before += extent - x->first;
			*out = (uint32_t)((before << (RUNS_EXTENT_BITS -
						      r->grain_bits)) +
					  (within >> r->grain_bits));
			return true;
		}
		before += x->count;
	}
	return false;
}

void
runs_place(
    const struct runs *r, uint32_t number, uint32_t *volume, uint64_t *off)
{
	uint32_t more = RUNS_EXTENT_BITS - r->grain_bits;
	uint64_t extent = number >> more, grain = number;
	uint32_t i;

	grain -= extent << more;
	for (i = 0; i + 1 < r->count && extent >= r->at[i].count; i++)
		extent -= r->at[i].count;
	*volume = r->at[i].volume;
	*off = ((r->at[i].first + extent) << RUNS_EXTENT_BITS) +
	       (grain << r->grain_bits);
}

/* Is it as a list must be? */
static bool
is_proper(const struct runs *r)
{
	uint64_t left = RUNS_SUM_LIMIT;
	uint32_t i;

	if (r->grain_bits < RUNS_GRAIN_LEAST ||
	    r->grain_bits > RUNS_GRAIN_MOST || r->count == 0 ||
	    r->count > RUNS_COUNT)
		return false;
	left >>= RUNS_EXTENT_BITS - r->grain_bits;
	for (i = 0; i < r->count; i++) {
		const struct run *x = &r->at[i];
		const struct run *was = &r->at[i > 0 ? i - 1 : 0];

		if (x->volume >= JOURNAL_VOLUME_LIMIT || x->count == 0 ||
		    x->count > left || x->first >= EXTENT_LIMIT - x->count)
			return false;
		left -= x->count;
		if (i > 0 && (x->volume < was->volume ||
				 (x->volume == was->volume &&
				     x->first < was->first + was->count)))
			return false;
	}
	return true;
}

static bool
put(uint8_t *to, size_t *at, uint64_t n)
{
	do {
		if (*at >= NOTE_LIMIT)
			return false;
		to[(*at)++] = (uint8_t)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
		n >>= 7;
	} while (n > 0);
	return true;
}

static bool
get(const uint8_t *from, size_t end, size_t *at, uint64_t *out)
{
	uint64_t n = 0;
	unsigned shift;

	for (shift = 0; shift < 63 && *at < end; shift += 7) {
		uint8_t byte = from[(*at)++];

		n |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*out = n;
			return true;
		}
	}
	return false;
}

bool
runs_encode(const struct copyin_note *n, const struct runs *r,
    uint8_t out[NOTE_LIMIT], size_t *len)
{
	struct run was = {0};
	size_t at = AT_RUNS;
	uint32_t i;

	if (!is_proper(r))
		return false;
	copyin_note_encode(n, out);
	for (i = 0; i < r->count; i++) {
		const struct run *x = &r->at[i];
		bool same = i > 0 && x->volume == was.volume;

		if (!put(out, &at, x->volume - was.volume) ||
		    !put(out, &at,
			same ? x->first - was.first - was.count : x->first) ||
		    !put(out, &at, x->count))
			return false;
		was = *x;
	}
	le_put32(out + AT_VERSION, 1);
	le_put32(out + AT_GRAIN, r->grain_bits);
	le_put32(out + AT_COUNT, r->count);
	le_put32(out + AT_LEN, (uint32_t)(at - AT_RUNS));
	*len = at;
	return true;
}

/* Sums that would overflow are beyond a limit. */
static bool
get_run(const uint8_t *bytes, size_t end, size_t *at, const struct run *was,
    struct run *out)
{
	uint64_t volume, first, count;

	if (!get(bytes, end, at, &volume) || !get(bytes, end, at, &first) ||
	    !get(bytes, end, at, &count) || volume >= JOURNAL_VOLUME_LIMIT ||
	    first >= EXTENT_LIMIT || count >= EXTENT_LIMIT)
		return false;
	out->volume =
	    was == NULL ? (uint32_t)volume : was->volume + (uint32_t)volume;
	out->first = first;
	if (was != NULL && volume == 0)
		out->first += was->first + was->count;
	out->count = count;
	return true;
}

bool
runs_decode(const uint8_t *bytes, size_t len, struct runs *out)
{
	uint32_t i, n;
	size_t at = AT_RUNS, end;

	if (len < AT_RUNS || len > NOTE_LIMIT ||
	    le_get32(bytes + AT_VERSION) != 1)
		return false;
	out->grain_bits = le_get32(bytes + AT_GRAIN);
	n = le_get32(bytes + AT_COUNT);
	end = le_get32(bytes + AT_LEN);
	if (n == 0 || n > RUNS_COUNT || end > len - AT_RUNS)
		return false;
	end += AT_RUNS;
	for (i = 0; i < n; i++)
		if (!get_run(bytes, end, &at, i == 0 ? NULL : &out->at[i - 1],
			&out->at[i]))
			return false;
	out->count = n;
	return at == end && is_proper(out);
}
