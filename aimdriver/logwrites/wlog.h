/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wlog: the write log of Linux' dm-log-writes and of QEMU's blklogwrites,
 * bytes <-> structs. Pure, thread safe. docs/logwrites.md has the layout.
 *
 * A log is a superblock, padded to one log sector, then entries: a header,
 * padded to one log sector, and the data, unless it is a discard. All numbers
 * are little-endian and in log sectors. Nothing in it has a checksum.
 */
#ifndef AIMDRIVER_LOGWRITES_WLOG_H
#define AIMDRIVER_LOGWRITES_WLOG_H

#include "fileformat/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WLOG_MAGIC UINT64_C(0x006a736677736872)
#define WLOG_VERSION 1
#define WLOG_SUPER_LEN 28
#define WLOG_HEADER_LEN 32
#define WLOG_SECTOR_MIN 32u
#define WLOG_SECTOR_MAX (1u << 24)
/* Of a mark's text as it is shown and used; it may be longer in the log. */
#define WLOG_MARK_LIMIT 256

enum {
	WLOG_FLUSH = 1u << 0,
	WLOG_FUA = 1u << 1,
	WLOG_DISCARD = 1u << 2,
	WLOG_MARK = 1u << 3,
	WLOG_METADATA = 1u << 4, /* of the file system's; informational */
	WLOG_KNOWN =
	    WLOG_FLUSH | WLOG_FUA | WLOG_DISCARD | WLOG_MARK | WLOG_METADATA,
};

struct wlog_super {
	uint64_t entries; /* that were complete when it was written */
	uint32_t sector;  /* bytes; a power of two */
};

struct wlog_entry {
	uint32_t flags;	  /* WLOG_KNOWN of them */
	uint64_t unknown; /* the other flags, as they stood there */
	uint64_t off;	  /* bytes, on the volume */
	uint64_t len;	  /* bytes, on the volume; 0: no range */
	uint64_t stored;  /* bytes of data behind the header's sector */
	uint64_t mark_len;
	char mark[WLOG_MARK_LIMIT]; /* ends; cut when it is longer */
};

/* PARTIAL: fewer than WLOG_SUPER_LEN bytes. UNKNOWN: another version. */
enum verdict wlog_super_decode(
    const uint8_t *bytes, size_t len, struct wlog_super *out, struct why *why);
void wlog_super_encode(const struct wlog_super *s, uint8_t out[WLOG_SUPER_LEN]);

/*
 * A header, of which all of its sector should be given, for the text of a
 * mark. PARTIAL: more bytes are needed. A header of zeroes alone is CORRUPT:
 * it was never written. Ranges end below 2^63.
 */
enum verdict wlog_entry_decode(const uint8_t *bytes, size_t len,
    uint32_t sector, struct wlog_entry *out, struct why *why);

/*
 * Fills the header's sector, `sector` bytes of it. Range and length are whole
 * sectors; a mark's text must have room behind WLOG_HEADER_LEN. False when
 * it cannot be said in this log.
 */
bool wlog_entry_encode(
    const struct wlog_entry *b, uint32_t sector, uint8_t *out);

#endif
