/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/layout.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const levels[] = {
    [LAYOUT_RAID1] = "raid1",
    [LAYOUT_RAID0] = "raid0",
    [LAYOUT_RAID10] = "raid10",
    [LAYOUT_RAID1E] = "raid1e",
};
#define LEVELS (sizeof(levels) / sizeof(levels[0]))

const char *
layout_level_name(enum layout_level level)
{
	if ((size_t)level >= LEVELS || levels[level] == NULL)
		return "?";
	return levels[level];
}

/* RAID 1 is one chunk that no volume fills. */
static uint64_t
chunk_of(const struct layout *l)
{
	return l->level == LAYOUT_RAID1 ? UINT64_C(1) << 63 : l->chunk;
}

uint32_t
layout_copies(const struct layout *l)
{
	switch (l->level) {
	case LAYOUT_RAID1:
		return l->members;
	case LAYOUT_RAID0:
		return 1;
	default:
		return 2;
	}
}

static int
check_members(const struct layout *l, struct err *e)
{
	uint32_t least = LAYOUT_LEAST;

	if (l->level == LAYOUT_RAID10)
		least = 4;
	if (l->level == LAYOUT_RAID1E)
		least = 3;
	if (l->members < least || l->members > LAYOUT_MOST)
		return err_set(e, ERR_REFUSED,
		    "%s has %" PRIu32 " to %u members, not %" PRIu32,
		    levels[l->level], least, LAYOUT_MOST, l->members);
	if (l->level == LAYOUT_RAID10 && l->members % 2 != 0)
		return err_set(e, ERR_REFUSED,
		    "raid10 has pairs of members, and %" PRIu32
		    " is an odd number: raid1e can do that",
		    l->members);
	return 0;
}

static int
check_chunk(const struct layout *l, struct err *e)
{
	if (l->level == LAYOUT_RAID1)
		return l->chunk == 0 ? 0
				     : err_set(e, ERR_REFUSED,
					   "raid1 is not cut into chunks");
	if (l->chunk < LAYOUT_CHUNK_LEAST || l->chunk > LAYOUT_CHUNK_MOST ||
	    l->chunk % LAYOUT_CHUNK_LEAST != 0)
		return err_set(e, ERR_REFUSED,
		    "chunk %" PRIu64 ": expected a multiple of 4096 bytes, at "
		    "most 1G",
		    l->chunk);
	return 0;
}

static int
check_level(const struct layout *l, struct err *e)
{
	if (strcmp(layout_level_name(l->level), "?") == 0)
		return err_set(e, ERR_REFUSED,
		    "layout level %d is not known to this version",
		    (int)l->level);
	return 0;
}

int
layout_check(const struct layout *l, struct err *e)
{
	if (check_level(l, e) < 0 || check_members(l, e) < 0)
		return -1;
	return check_chunk(l, e);
}

/* Rows of a member: how many of the slots 0..slots-1 are its own. */
static uint64_t
rows_of(const struct layout *l, uint64_t slots, uint32_t member)
{
	return slots > member ? (slots - member - 1) / l->members + 1 : 0;
}

/* A short chunk has all of its copies in the last rows of different members,
 * because there are never more copies than members. */
uint64_t
layout_member_size(
    const struct layout *l, uint64_t volume_size, uint32_t member)
{
	uint64_t chunk = chunk_of(l), chunks, rows, last;
	uint32_t copies = layout_copies(l);

	assert(member < l->members && volume_size <= INT64_MAX);
	if (volume_size == 0)
		return 0;
	chunks = (volume_size - 1) / chunk + 1;
	rows = rows_of(l, chunks * copies, member);
	if (rows == 0)
		return 0;
	last = (rows - 1) * l->members + member;
	if (last / copies < chunks - 1)
		return rows * chunk;
	return (rows - 1) * chunk + (volume_size - (chunks - 1) * chunk);
}

void
layout_map(const struct layout *l, uint64_t off, uint64_t len, uint32_t copy,
    struct layout_piece *out)
{
	uint64_t chunk = chunk_of(l), into = off % chunk;
	uint64_t slot = off / chunk * layout_copies(l) + copy;

	assert(copy < layout_copies(l) && len > 0);
	*out = (struct layout_piece){
	    .member = (uint32_t)(slot % l->members),
	    .copy = copy,
	    .volume_off = off,
	    .member_off = slot / l->members * chunk + into,
	    .len = len < chunk - into ? len : chunk - into,
	};
}

void
layout_unmap(const struct layout *l, uint32_t member, uint64_t off,
    uint64_t len, struct layout_piece *out)
{
	uint64_t chunk = chunk_of(l), into = off % chunk;
	uint64_t slot = off / chunk * l->members + member;
	uint32_t copies = layout_copies(l);

	assert(member < l->members && len > 0);
	*out = (struct layout_piece){
	    .member = member,
	    .copy = (uint32_t)(slot % copies),
	    .volume_off = slot / copies * chunk + into,
	    .member_off = off,
	    .len = len < chunk - into ? len : chunk - into,
	};
}

/* With an even number of members the first copies would all lie on every other
 * member: the rows take turns. */
uint32_t
layout_holders(const struct layout *l, uint64_t off, uint32_t out[LAYOUT_MOST])
{
	uint32_t copies = layout_copies(l), i, first = 0;
	struct layout_piece p;

	if (l->members % 2 == 0) {
		layout_map(l, off, 1, 0, &p);
		first = (uint32_t)(p.member_off / chunk_of(l) % copies);
	}
	for (i = 0; i < copies; i++) {
		layout_map(l, off, 1, (first + i) % copies, &p);
		out[i] = p.member;
	}
	return copies;
}

/* Where the copies lie repeats itself after at most as many chunks as there
 * are members. */
bool
layout_is_covered(const struct layout *l, uint64_t members)
{
	uint32_t copies = layout_copies(l), k, j;
	uint64_t slot;
	bool held;

	for (k = 0; k < l->members; k++) {
		held = false;
		for (j = 0; j < copies; j++) {
			slot = (uint64_t)k * copies + j;
			held |= (members >> (slot % l->members) & 1) != 0;
		}
		if (!held)
			return false;
	}
	return true;
}

/* ---- as a text ---- */

static int
expected(const char *text, struct err *e)
{
	char shown[120];

	return err_set(e, ERR_REFUSED,
	    "layout \"%s\": expected LEVEL[:chunk=SIZE][:members=A,B,...], "
	    "where LEVEL is raid0, raid1, raid10 or raid1e",
	    name_quote(text, strlen(text), shown, sizeof(shown)));
}

/* Digits, then K, M or G or nothing; false for anything else. */
static bool
parse_bytes(const char *text, size_t len, uint64_t *out)
{
	static const char units[] = "KMG";
	uint64_t n = 0;
	const char *unit;
	size_t i;

	for (i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
		n = n * 10 + (uint64_t)(text[i] - '0');
		if (n > LAYOUT_CHUNK_MOST)
			return false;
	}
	if (i == 0 || i + 1 < len)
		return false;
	if (i < len) {
		unit = memchr(units, text[i], sizeof(units) - 1);
		if (unit == NULL)
			return false;
		n <<= 10 * (unit - units + 1);
	}
	*out = n;
	return true;
}

static int
parse_name(const char *text, size_t len, struct layout_spec *s, struct err *e)
{
	uint32_t n = s->layout.members, i;
	char name[NAME_LIMIT] = "", shown[120];

	if (n == LAYOUT_MOST)
		return err_set(e, ERR_REFUSED,
		    "a layout has at most %u members", LAYOUT_MOST);
	if (len >= sizeof(name))
		return err_set(e, ERR_REFUSED, "member \"%s\": too long",
		    name_quote(text, len, shown, sizeof(shown)));
	memcpy(name, text, len);
	name[len] = '\0';
	if (name_check("member", name, e) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (strcmp(s->names[i], name) == 0)
			return err_set(e, ERR_REFUSED,
			    "member \"%s\" is named twice", name);
	memcpy(s->names[n], name, sizeof(name));
	s->layout.members = n + 1;
	return 0;
}

static int
parse_names(const char *text, size_t len, struct layout_spec *s, struct err *e)
{
	const char *end = text + len, *stop;

	for (;;) {
		stop = memchr(text, ',', (size_t)(end - text));
		if (stop == NULL)
			stop = end;
		if (parse_name(text, (size_t)(stop - text), s, e) < 0)
			return -1;
		if (stop == end)
			return 0;
		text = stop + 1;
	}
}

static bool
parse_level(const char *text, size_t len, enum layout_level *out)
{
	size_t i;

	for (i = 1; i < LEVELS; i++)
		if (strlen(levels[i]) == len &&
		    memcmp(levels[i], text, len) == 0) {
			*out = (enum layout_level)i;
			return true;
		}
	return false;
}

/* "chunk=..." or "members=..."; each once. */
static int
parse_part(const char *whole, const char *part, size_t len,
    struct layout_spec *s, struct err *e)
{
	if (len > 6 && memcmp(part, "chunk=", 6) == 0 && s->layout.chunk == 0) {
		if (!parse_bytes(part + 6, len - 6, &s->layout.chunk) ||
		    s->layout.chunk == 0)
			return err_set(e, ERR_REFUSED,
			    "layout \"%.80s\": chunk is no size such as 64K "
			    "or 1M, at most 1G",
			    whole);
		return 0;
	}
	if (len > 8 && memcmp(part, "members=", 8) == 0 &&
	    s->layout.members == 0)
		return parse_names(part + 8, len - 8, s, e);
	return expected(whole, e);
}

int
layout_parse(const char *text, struct layout_spec *out, struct err *e)
{
	struct layout_spec s = {.layout = {.members = 0}};
	size_t len = strcspn(text, ":");
	const char *at = text + len;

	if (!parse_level(text, len, &s.layout.level))
		return expected(text, e);
	while (*at == ':') {
		len = strcspn(at + 1, ":");
		if (parse_part(text, at + 1, len, &s, e) < 0)
			return -1;
		at += 1 + len;
	}
	if (s.layout.chunk == 0 && s.layout.level != LAYOUT_RAID1)
		s.layout.chunk = LAYOUT_CHUNK_DEFAULT;
	if (check_chunk(&s.layout, e) < 0 ||
	    (s.layout.members > 0 && layout_check(&s.layout, e) < 0))
		return -1;
	*out = s;
	return 0;
}

static const char *
bytes_text(uint64_t n, char out[32])
{
	static const char units[] = "KMG";
	int unit = -1;

	while (n > 0 && n % 1024 == 0 && unit < 2) {
		n /= 1024;
		unit++;
	}
	(void)snprintf(out, 32, "%" PRIu64 "%.*s", n, unit < 0 ? 0 : 1,
	    units + (unit < 0 ? 0 : unit));
	return out;
}

const char *
layout_text(const struct layout_spec *s, char *out)
{
	size_t used;
	char size[32];
	uint32_t i;

	used = (size_t)snprintf(
	    out, LAYOUT_TEXT, "%s", layout_level_name(s->layout.level));
	if (s->layout.chunk > 0)
		used += (size_t)snprintf(out + used, LAYOUT_TEXT - used,
		    ":chunk=%s", bytes_text(s->layout.chunk, size));
	for (i = 0; i < s->layout.members; i++)
		used += (size_t)snprintf(out + used, LAYOUT_TEXT - used, "%s%s",
		    i == 0 ? ":members=" : ",", s->names[i]);
	return out;
}
