/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/compare.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/keyring.h"
#include "fileformat/note.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* So many sums at most, unless grains cannot be made any larger: pages that
 * take some seconds to fetch. */
#define SUMS_WANTED (UINT64_C(256) * SUMS_IN_PAGE)

void
compare_list_free(struct compare_list *l)
{
	if (l == NULL)
		return;
	explicit_bzero(&l->key, sizeof(l->key));
	free(l->volumes);
	free(l);
}

static void
drop(struct compare_list **l)
{
	compare_list_free(*l);
}

static int
make_key(const struct home *h, const struct journal_header *head,
    struct sums_key *out, struct err *e)
{
	struct group_key k;
	int found, done;

	if (!header_is_encrypted(head))
		return sums_key_make(head->content_digest, NULL, out, e);
	found = keyring_find(h, &head->group, head->group_key_id, &k, e);
	if (found == 0)
		(void)err_set(e, ERR_RETRY, "the group's key is not here");
	if (found <= 0)
		return -1;
	done = sums_key_make(head->content_digest, &k, out, e);
	group_key_forget(&k);
	return done;
}

/* Is every volume of the list in the table? */
static bool
are_known(const struct runs *r, uint32_t volumes)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->at[i].volume >= volumes)
			return false;
	return true;
}

static int
take_volumes(struct compare_list *l, const struct reader *r, struct err *e)
{
	l->volume_count = reader_header(r)->volume_count;
	l->volumes = calloc(l->volume_count + 1u, sizeof(*l->volumes));
	if (l->volumes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (uint32_t i = 0; i < l->volume_count; i++)
		reader_volume(r, i, &l->volumes[i]);
	return 0;
}

int
compare_list_load(const struct home *h, struct reader *r,
    struct compare_list **out, struct err *e)
{
	const struct journal_header *head = reader_header(r);
	AUTO(drop) struct compare_list *l = calloc(1, sizeof(*l));
	struct copyin_note note;
	const uint8_t *data;
	struct iocb b;
	int more;

	if (l == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (head->kind != JOURNAL_COPYIN_OPEN)
		return 0;
	reader_rewind(r);
	more = reader_next(r, &b, &data, e);
	if (more > 0 && (b.op != OP_COPYIN_BEGIN || data == NULL ||
			    copyin_note_decode(data, (size_t)b.len, &note,
				NULL) != VERDICT_WHOLE ||
			    note.kind != COPYIN_RECOVERY ||
			    !runs_decode(data, (size_t)b.len, &l->runs) ||
			    !are_known(&l->runs, head->volume_count)))
		more = 0;
	reader_rewind(r);
	if (more <= 0)
		return more;
	if (make_key(h, head, &l->key, e) < 0 || take_volumes(l, r, e) < 0)
		return -1;
	l->copyin = note.id;
	l->number = b.number;
	reader_position(r, &l->begin);
	*out = STEAL(l);
	return 1;
}

/* ---- the list ---- */

/* Adds extents from..end - 1, joined with the last run when the gap between
 * is small; false when there is no room. */
static bool
add_run(
    struct runs *r, uint32_t volume, uint64_t from, uint64_t end, uint64_t gap)
{
	struct run *last = r->count > 0 ? &r->at[r->count - 1] : NULL;

	if (last != NULL && last->volume == volume &&
	    from - (last->first + last->count) <= gap) {
		last->count = end - last->first;
		return true;
	}
	if (r->count == RUNS_COUNT)
		return false;
	r->at[r->count++] = (struct run){volume, from, end - from};
	return true;
}

static bool
add_volume(struct runs *r, const struct extents *x, uint32_t volume,
    uint64_t size, uint64_t gap)
{
	uint64_t extents = size == 0 ? 0 : ((size - 1) >> RUNS_EXTENT_BITS) + 1;
	uint64_t off = 0, from, to, end;

	if (x == NULL)
		return extents == 0 || add_run(r, volume, 0, extents, gap);
	while (off < size && extents_next(x, volume, off, &from, &to) &&
	       from < size) {
		end = to >= size ? extents : to >> RUNS_EXTENT_BITS;
		if (!add_run(r, volume, from >> RUNS_EXTENT_BITS, end, gap))
			return false;
		if (to >= size)
			break;
		off = to;
	}
	return true;
}

static bool
add_all(struct runs *r, const struct extents *x, const uint64_t *sizes,
    uint32_t count, uint64_t gap)
{
	r->count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (!add_volume(r, x, i, sizes[i], gap))
			return false;
	return true;
}

/* Leaves out what is too much. */
static uint64_t
cut_runs(struct runs *r, uint64_t most)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < r->count && sum < most; i++) {
		if (r->at[i].count > most - sum)
			r->at[i].count = most - sum;
		sum += r->at[i].count;
	}
	r->count = i;
	return sum;
}

int
compare_make_runs(const struct extents *x, const uint64_t *sizes,
    uint32_t count, struct runs *out)
{
	const struct copyin_note any = {.id = {{1}}, .kind = COPYIN_RECOVERY};
	uint8_t room[NOTE_LIMIT];
	uint64_t gap = 0, extents;
	size_t len;

	/* Larger gaps until it fits: at last each volume is one run. */
	for (;; gap = 2 * gap + 1) {
		bool all = add_all(out, x, sizes, count, gap);

		/* More volumes than runs: the rest is copied. */
		if (!all && gap < UINT64_MAX)
			continue;
		if (out->count == 0)
			return 0;
		extents = cut_runs(out, RUNS_SUM_LIMIT);
		out->grain_bits = RUNS_GRAIN_LEAST;
		while (out->grain_bits < RUNS_GRAIN_MOST &&
		       extents << (RUNS_EXTENT_BITS - out->grain_bits) >
			   SUMS_WANTED)
			out->grain_bits++;
		while (runs_sums(out) > RUNS_SUM_LIMIT)
			out->grain_bits++;
		if (runs_encode(&any, out, room, &len))
			return 1;
		if (gap == UINT64_MAX)
			return 0;
	}
}

int
compare_sum(struct summer *s, const struct uuid *volume, uint64_t off,
    const uint8_t *data, uint64_t len, uint8_t out[SUMS_LEN], struct err *e)
{
	bool zero = data == NULL || io_is_zero(data, (size_t)len);

	if (len == 0) {
		memset(out, 0, SUMS_LEN);
		return 0;
	}
	if (summer_begin(s, volume, off, len, zero, e) < 0 ||
	    (!zero && summer_add(s, data, (size_t)len, e) < 0))
		return -1;
	return summer_end(s, out, e);
}
