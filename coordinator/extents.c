/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file: "AIMXTNT1", the number of volumes, and for each its UUID, whether
 * all of it counts, the number of bits, and the bits; XXH3 of all that. Only
 * this machine reads it.
 */
#include "coordinator/extents.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC "AIMXTNT1"
#define NAME_LEN (UUID_TEXT + 8)
#define FILE_LIMIT ((size_t)256 << 20)

struct entry {
	struct uuid volume;
	uint64_t all, count;
};

static const char *
file_name(const struct uuid *group, char out[NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(out, NAME_LEN, "%s.extents", uuid_text(group, text));
	return out;
}

void
extents_release(struct extents *x)
{
	uint32_t i;

	for (i = 0; i < x->count; i++)
		free(x->map[i].bits);
	free(x->map);
	*x = (struct extents){0};
}

static size_t
bytes_of(uint64_t bits)
{
	return (size_t)((bits + 7) / 8);
}

static int
room_for(struct extent_map *m, uint64_t count, struct err *e)
{
	uint8_t *bits;

	if (count <= m->count)
		return 0;
	bits = realloc(m->bits, bytes_of(count));
	if (bits == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	memset(
	    bits + bytes_of(m->count), 0, bytes_of(count) - bytes_of(m->count));
	m->bits = bits;
	m->count = count;
	return 0;
}

static int
room_for_volumes(struct extents *x, uint32_t n, struct err *e)
{
	*x = (struct extents){.map = calloc(n + 1u, sizeof(*x->map))};
	if (x->map == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	x->count = n;
	return 0;
}

int
extents_init(struct extents *x, struct capture *c, bool all, struct err *e)
{
	struct capture_volume v;
	uint32_t i;

	if (room_for_volumes(x, capture_volume_count(c), e) < 0)
		return -1;
	for (i = 0; i < x->count; i++) {
		capture_volume_get(c, i, &v);
		x->map[i].volume = v.uuid;
		x->map[i].all = all;
	}
	return 0;
}

int
extents_add_marked(
    struct extents *x, struct capture *c, bool *damaged, struct err *e)
{
	uint32_t i;
	bool all;

	*damaged = false;
	for (i = 0; i < x->count; i++) {
		struct extent_map *m = &x->map[i];

		if (room_for(m, capture_marks_end(c, i), e) < 0)
			return -1;
		if (capture_marked(c, i, m->bits, m->count, &all, e) < 0)
			return -1;
		m->all = m->all || all;
		*damaged = *damaged || all;
	}
	return 0;
}

static const struct extent_map *
find(const struct extents *x, const struct uuid *volume)
{
	uint32_t i;

	for (i = 0; i < x->count; i++)
		if (uuid_equal(&x->map[i].volume, volume))
			return &x->map[i];
	return NULL;
}

int
extents_merge(struct extents *x, const struct extents *from, struct err *e)
{
	uint32_t i;
	size_t k;

	for (i = 0; i < x->count; i++) {
		struct extent_map *m = &x->map[i];
		const struct extent_map *f = find(from, &m->volume);

		if (f == NULL || f->all) {
			m->all = true;
			continue;
		}
		if (room_for(m, f->count, e) < 0)
			return -1;
		for (k = 0; k < bytes_of(f->count); k++)
			m->bits[k] |= f->bits[k];
	}
	return 0;
}

static bool
has(const struct extent_map *m, uint64_t i)
{
	return i < m->count && (m->bits[i / 8] >> i % 8 & 1) != 0;
}

/* The last extent that there can be has all that follows. */
static uint64_t
end_of(uint64_t extent)
{
	uint64_t end = (extent + 1) * CAPTURE_EXTENT;

	return capture_extent_of(end) == extent ? UINT64_MAX : end;
}

bool
extents_next(const struct extents *x, uint32_t volume, uint64_t off,
    uint64_t *from, uint64_t *to)
{
	const struct extent_map *m;
	uint64_t i = capture_extent_of(off);

	if (volume >= x->count || x->map[volume].all) {
		*from = off;
		*to = UINT64_MAX;
		return true;
	}
	m = &x->map[volume];
	while (i < m->count && !has(m, i))
		i++;
	if (i >= m->count)
		return false;
	*from = i * CAPTURE_EXTENT > off ? i * CAPTURE_EXTENT : off;
	while (has(m, i + 1))
		i++;
	*to = end_of(i);
	return true;
}

void
extents_drop(struct extents *x, uint32_t volume, uint64_t extent)
{
	if (volume < x->count && has(&x->map[volume], extent))
		x->map[volume].bits[extent / 8] &=
		    (uint8_t) ~(1u << extent % 8);
}

int
extents_cut(struct extents *x, uint32_t volume, uint64_t off, uint64_t size,
    struct err *e)
{
	struct extent_map *m = &x->map[volume];
	uint64_t first = capture_extent_of(off), i;

	if (first == 0)
		return 0;
	if (m->all) {
		uint64_t end = capture_extent_of(size - 1) + 1;

		if (room_for(m, end, e) < 0)
			return -1;
		for (i = first; i < end; i++)
			m->bits[i / 8] |= (uint8_t)(1u << i % 8);
		m->all = false;
	}
	for (i = 0; i < first; i++)
		extents_drop(x, volume, i);
	return 0;
}

uint64_t
extents_bytes(const struct extents *x, uint32_t volume, uint64_t size)
{
	uint64_t sum = 0, off = 0, from, to;

	while (off < size && extents_next(x, volume, off, &from, &to) &&
	       from < size) {
		off = to < size ? to : size;
		sum += off - from;
	}
	return sum;
}

/* ---- the file ---- */

static bool
take(const uint8_t **at, size_t *left, void *to, size_t len)
{
	if (*left < len)
		return false;
	memcpy(to, *at, len);
	*at += len;
	*left -= len;
	return true;
}

static int
decode(const uint8_t *at, size_t left, struct extents *out, struct err *e)
{
	uint64_t count = 0;
	uint32_t i;

	if (!take(&at, &left, &count, sizeof(count)) ||
	    count > JOURNAL_VOLUME_LIMIT)
		return err_set(e, ERR_CORRUPT, "it names too many volumes");
	if (room_for_volumes(out, (uint32_t)count, e) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		struct extent_map *m = &out->map[i];
		struct entry entry;

		if (!take(&at, &left, &entry, sizeof(entry)) ||
		    entry.count / 8 > left)
			return err_set(e, ERR_CORRUPT, "it is too short");
		m->volume = entry.volume;
		m->all = entry.all != 0;
		if (room_for(m, entry.count, e) < 0)
			return -1;
		if (entry.count > 0 &&
		    !take(&at, &left, m->bits, bytes_of(entry.count)))
			return err_set(e, ERR_CORRUPT, "it is too short");
	}
	return left == 0 ? 0 : err_set(e, ERR_CORRUPT, "it is too long");
}

static int
check_and_decode(const struct buf *b, struct extents *out, struct err *e)
{
	size_t magic = strlen(MAGIC);
	uint64_t sum;

	if (b->len < magic + sizeof(sum) || memcmp(b->data, MAGIC, magic) != 0)
		return err_set(e, ERR_CORRUPT, "it is not such a file");
	memcpy(&sum, b->data + b->len - sizeof(sum), sizeof(sum));
	if (XXH3_64bits(b->data, b->len - sizeof(sum)) != sum)
		return err_set(e, ERR_CORRUPT, "its sum is wrong");
	return decode(b->data + magic, b->len - magic - sizeof(sum), out, e);
}

int
extents_load(struct home *h, const struct uuid *group, struct extents *out,
    struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO(extents_release) struct extents x = {0};
	char name[NAME_LEN];
	struct err why = {0};

	if (io_read_file(
		h->state, file_name(group, name), FILE_LIMIT, &b, &why) < 0) {
		if (why.sys == ENOENT)
			return 0;
		if (why.kind != ERR_CORRUPT && why.kind != ERR_REFUSED)
			return err_set(e, why.kind, "state/%s", why.text);
	} else if (check_and_decode(&b, &x, &why) == 0) {
		*out = x;
		x = (struct extents){0};
		return 1;
	}
	if (why.kind == ERR_RETRY)
		return err_set(e, why.kind, "state/%s: %s", name, why.text);
	log_warn("state/%s is damaged (%s): everything is copied in", name,
	    why.text);
	*out = (struct extents){0};
	return 1;
}

int
extents_store(struct home *h, const struct uuid *group, const struct extents *x,
    struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	uint64_t count = x->count, sum;
	char name[NAME_LEN];
	uint32_t i;

	if (buf_add(&b, MAGIC, strlen(MAGIC), e) < 0 ||
	    buf_add(&b, &count, sizeof(count), e) < 0)
		return -1;
	for (i = 0; i < x->count; i++) {
		const struct extent_map *m = &x->map[i];
		size_t len = bytes_of(m->count);
		bool all = m->all || len > FILE_LIMIT - 4096 - b.len;
		struct entry entry = {.volume = m->volume,
		    .all = all,
		    .count = all ? 0 : m->count};

		if (buf_add(&b, &entry, sizeof(entry), e) < 0 ||
		    (entry.count > 0 && buf_add(&b, m->bits, len, e) < 0))
			return -1;
	}
	sum = XXH3_64bits(b.data, b.len);
	if (buf_add(&b, &sum, sizeof(sum), e) < 0)
		return -1;
	if (io_write_file(
		h->state, file_name(group, name), b.data, b.len, 0600, e) < 0)
		return err_at(e, "state");
	return 0;
}

int
extents_remove(struct home *h, const struct uuid *group, struct err *e)
{
	char name[NAME_LEN];

	return io_remove(h->state, file_name(group, name), e);
}
