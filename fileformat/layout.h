/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout: how a volume lies on several members, each of which is a mirror of
 * its own. Pure maps: no allocation, no state, thread safe. Specified in
 * docs/layout.md.
 *
 * All levels are one arrangement with different numbers of copies. The volume
 * is cut into chunks, the last may be short; the copies of chunk 0, of chunk
 * 1 ... are dealt to the members in turn, like cards: copy j of chunk k gets
 * slot k * copies + j, which lies on member slot % members, in its row
 * slot / members, at row * chunk bytes. With one copy this is RAID 0; with two
 * and an even number of members RAID 10; with two and any number, also an odd
 * one, RAID 1E; with as many copies as members RAID 1, which is not cut into
 * chunks. It is the arrangement "near" of the raid10 driver of Linux (md(4)),
 * with odd numbers known as RAID 1E, "adjacent" (or "integrated adjacent
 * stripe mirroring", SNIA DDF).
 *
 *	raid1e, 3 members, chunks A to E:	A A B
 *						B C C
 *						D D E
 *						E
 *
 * Offsets are bytes; a volume has at most INT64_MAX. Parameters of the maps
 * must have passed layout_check.
 */
#ifndef FILEFORMAT_LAYOUT_H
#define FILEFORMAT_LAYOUT_H

#include "common/err.h"
#include "common/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_LEAST 2u /* members */
#define LAYOUT_MOST 64u
#define LAYOUT_CHUNK_LEAST UINT64_C(4096)
#define LAYOUT_CHUNK_MOST (UINT64_C(1) << 30)
#define LAYOUT_CHUNK_DEFAULT (UINT64_C(1) << 20)

/* The numbers are kept in files. */
enum layout_level {
	LAYOUT_RAID1 = 1,
	LAYOUT_RAID0 = 2,
	LAYOUT_RAID10 = 3,
	LAYOUT_RAID1E = 4,
};

struct layout {
	enum layout_level level;
	uint32_t members;
	uint64_t chunk; /* bytes, a multiple of 4096; 0 for RAID 1 */
};

/* A stretch of one copy of the volume that lies on one member. */
struct layout_piece {
	uint32_t member, copy; /* both from 0 */
	uint64_t volume_off, member_off, len;
};

/* Members (raid10: an even number from 4; raid1e: from 3; else from 2) and
 * chunk; REFUSED says what is wrong. */
int layout_check(const struct layout *l, struct err *e) CHECKED;

/* How many copies of every byte there are. */
uint32_t layout_copies(const struct layout *l);

/* Bytes of a member, for a volume of so many. May be 0 for a small one. */
uint64_t layout_member_size(
    const struct layout *l, uint64_t volume_size, uint32_t member);

/*
 * Where the beginning of volume range [off, off + len) has its copy `copy`:
 * the longest piece that is in one stretch on one member, at least one byte
 * (len > 0). Go on behind it for the rest:
 *
 *	for (; len > 0; off += p.len, len -= p.len) {
 *		layout_map(l, off, len, copy, &p);
 *		...
 *	}
 */
void layout_map(const struct layout *l, uint64_t off, uint64_t len,
    uint32_t copy, struct layout_piece *out);

/*
 * The way back: what part of the volume the beginning of a member's range
 * [off, off + len) is. Good for offsets below layout_member_size only: behind
 * it lies nothing of the volume.
 */
void layout_unmap(const struct layout *l, uint32_t member, uint64_t off,
    uint64_t len, struct layout_piece *out);

/*
 * The members that hold the byte at `off`, in order of preference: the copy
 * that comes first alternates, so that all members share the reading. Returns
 * their number (layout_copies).
 */
uint32_t layout_holders(
    const struct layout *l, uint64_t off, uint32_t out[LAYOUT_MOST]);

/* Bit m of `members` says that member m is there: is every byte of the volume
 * on one of them? */
bool layout_is_covered(const struct layout *l, uint64_t members);

/* "raid1", ...; "?" for none. */
const char *layout_level_name(enum layout_level level);

/* ---- as a text: "raid1e:chunk=1M:members=a,b,c" ---- */

struct layout_spec {
	struct layout layout;
	/* Of each member, as people call it; no name comes twice. */
	char names[LAYOUT_MOST][NAME_LIMIT];
};

#define LAYOUT_TEXT (LAYOUT_MOST * NAME_LIMIT + 64)

/*
 * Reads one. The chunk may be left out (1 MiB; RAID 1 has none), with K, M
 * or G, or as bytes. Without members layout.members is 0, and the layout is to
 * be checked once they are known; else it has been. REFUSED with what is
 * expected.
 */
int layout_parse(
    const char *text, struct layout_spec *out, struct err *e) CHECKED;
/* Writes one such that it reads back the same; `out` has LAYOUT_TEXT bytes. */
const char *layout_text(const struct layout_spec *s, char *out);

#endif
