/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/wlog.h"

#include "fileformat/le.h"

#include <string.h>

/* Superblock. */
enum { AT_MAGIC = 0, AT_VERSION = 8, AT_ENTRIES = 16, AT_SECTOR = 24 };
/* Entry. */
enum { AT_FIRST = 0, AT_COUNT = 8, AT_FLAGS = 16, AT_DATA_LEN = 24 };

static bool
is_sector(uint32_t n)
{
	return n >= WLOG_SECTOR_MIN && n <= WLOG_SECTOR_MAX &&
	       (n & (n - 1)) == 0;
}

enum verdict
wlog_super_decode(
    const uint8_t *bytes, size_t len, struct wlog_super *out, struct why *why)
{
	struct wlog_super s;

	if (len < WLOG_SUPER_LEN)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "a superblock has %d bytes", WLOG_SUPER_LEN);
	if (le_get64(bytes + AT_MAGIC) != WLOG_MAGIC)
		return verdict_say(why, VERDICT_CORRUPT, AT_MAGIC,
		    "no write log: it does not begin with its magic number");
	if (le_get64(bytes + AT_VERSION) != WLOG_VERSION)
		return verdict_say(why, VERDICT_UNKNOWN, AT_VERSION,
		    "version %ju of the write log is not known",
		    (uintmax_t)le_get64(bytes + AT_VERSION));
	s.entries = le_get64(bytes + AT_ENTRIES);
	s.sector = le_get32(bytes + AT_SECTOR);
	if (!is_sector(s.sector))
		return verdict_say(why, VERDICT_CORRUPT, AT_SECTOR,
		    "a sector of %u bytes", s.sector);
	*out = s;
	return VERDICT_WHOLE;
}

void
wlog_super_encode(const struct wlog_super *s, uint8_t out[WLOG_SUPER_LEN])
{
	le_put64(out + AT_MAGIC, WLOG_MAGIC);
	le_put64(out + AT_VERSION, WLOG_VERSION);
	le_put64(out + AT_ENTRIES, s->entries);
	le_put32(out + AT_SECTOR, s->sector);
}

static enum verdict
decode_range(const uint8_t *bytes, uint32_t sector, struct wlog_entry *b,
    struct why *why)
{
	uint64_t end;

	if (__builtin_mul_overflow(
		le_get64(bytes + AT_FIRST), (uint64_t)sector, &b->off) ||
	    b->off > INT64_MAX)
		return verdict_say(
		    why, VERDICT_CORRUPT, AT_FIRST, "its offset is too large");
	if (__builtin_mul_overflow(
		le_get64(bytes + AT_COUNT), (uint64_t)sector, &b->len) ||
	    __builtin_add_overflow(b->off, b->len, &end) || end > INT64_MAX)
		return verdict_say(
		    why, VERDICT_CORRUPT, AT_COUNT, "its length is too large");
	b->stored = (b->flags & WLOG_DISCARD) != 0 ? 0 : b->len;
	return VERDICT_WHOLE;
}

static enum verdict
decode_mark(const uint8_t *bytes, size_t len, uint32_t sector,
    struct wlog_entry *b, struct why *why)
{
	size_t n;

	b->mark_len = le_get64(bytes + AT_DATA_LEN);
	if (b->mark_len > sector - WLOG_HEADER_LEN)
		return verdict_say(why, VERDICT_CORRUPT, AT_DATA_LEN,
		    "a mark of %ju bytes does not fit into a sector of %u",
		    (uintmax_t)b->mark_len, sector);
	if (b->mark_len > len - WLOG_HEADER_LEN)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "a mark of %ju bytes is cut off", (uintmax_t)b->mark_len);
	n = b->mark_len < WLOG_MARK_LIMIT ? (size_t)b->mark_len
					  : WLOG_MARK_LIMIT - 1;
	memcpy(b->mark, bytes + WLOG_HEADER_LEN, n);
	b->mark[n] = '\0';
	return VERDICT_WHOLE;
}

enum verdict
wlog_entry_decode(const uint8_t *bytes, size_t len, uint32_t sector,
    struct wlog_entry *out, struct why *why)
{
	struct wlog_entry b = {0};
	enum verdict v;
	uint64_t flags;

	if (len < WLOG_HEADER_LEN)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "an entry's header has %d bytes", WLOG_HEADER_LEN);
	if (!is_sector(sector))
		return verdict_say(
		    why, VERDICT_CORRUPT, 0, "a sector of %u bytes", sector);
	flags = le_get64(bytes + AT_FLAGS);
	b.flags = (uint32_t)flags & WLOG_KNOWN;
	b.unknown = flags & ~(uint64_t)WLOG_KNOWN;
	if (flags == 0 && le_get64(bytes + AT_COUNT) == 0)
		return verdict_say(
		    why, VERDICT_CORRUPT, 0, "no entry was ever written here");
	v = decode_range(bytes, sector, &b, why);
	if (v == VERDICT_WHOLE && (b.flags & WLOG_MARK) != 0)
		v = decode_mark(bytes, len, sector, &b, why);
	if (v == VERDICT_WHOLE)
		*out = b;
	return v;
}

bool
wlog_entry_encode(const struct wlog_entry *b, uint32_t sector, uint8_t *out)
{
	bool mark = (b->flags & WLOG_MARK) != 0;

	if (!is_sector(sector) || b->off % sector != 0 ||
	    b->len % sector != 0 ||
	    (mark && (b->mark_len > sector - WLOG_HEADER_LEN ||
			 b->mark_len >= WLOG_MARK_LIMIT)))
		return false;
	memset(out, 0, sector);
	le_put64(out + AT_FIRST, b->off / sector);
	le_put64(out + AT_COUNT, b->len / sector);
	le_put64(out + AT_FLAGS, b->flags | b->unknown);
	if (mark) {
		le_put64(out + AT_DATA_LEN, b->mark_len);
		memcpy(out + WLOG_HEADER_LEN, b->mark, b->mark_len);
	}
	return true;
}
