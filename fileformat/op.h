/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op: the codes of operations, file kinds and flags in journal format 1.
 * Numbers are for ever. 0 is never valid. Codes whose behaviour comes in a
 * later release have their number now, so that no reader mistakes them.
 */
#ifndef FILEFORMAT_OP_H
#define FILEFORMAT_OP_H

#include <stdbool.h>
#include <stdint.h>

enum aim_op {
	/* Changes of content. WRITE and COPYIN carry data. */
	OP_WRITE = 1,
	OP_ZERO = 2,	/* the range reads as zeroes afterwards */
	OP_DISCARD = 3, /* same promise; the mirror may free the space */
	OP_RESIZE = 4,	/* offset = new size in bytes, length = old size */
	OP_FLUSH = 5,	/* the volume was flushed; no range */
	OP_VOID = 6,	/* a number that was reserved and never happened */
	OP_GAP = 7,	/* something happened here that could not be read */
	/* Copy-in: BEGIN, any number of COPYIN / COPYIN_ZERO, END. */
	OP_COPYIN_BEGIN = 16, /* data: struct copyin_note */
	OP_COPYIN = 17,
	OP_COPYIN_ZERO = 18,
	OP_COPYIN_END = 19, /* data: struct copyin_note */
	/* Control. Data: struct control_note unless said otherwise. */
	OP_MARKER = 32,
	OP_HEARTBEAT = 33, /* no data */
	OP_CUT = 34,
	OP_VERIFY = 35,
	OP_EXPAND = 36,
	OP_ESTABLISH = 37,
	OP_SPLIT = 38,
	OP_RESYNC = 39,
	OP_PROMOTE = 40,
};

/* IOCB flags. */
enum {
	IOCB_FUA = 1u << 0,	/* the caller asked for it to be durable */
	IOCB_SETTLED = 1u << 1, /* content re-read from the disk afterwards */
	IOCB_SHORT = 1u << 2,	/* less was written than was asked for */
	IOCB_KNOWN = IOCB_FUA | IOCB_SETTLED | IOCB_SHORT,
};

/* Kinds of journal file. */
enum journal_kind {
	JOURNAL_PLAIN = 1,
	/* first transaction is COPYIN_BEGIN; targets say for whom. A mirror
	 * without state starts at such a file, and only there. */
	JOURNAL_COPYIN_OPEN = 2,
};

/* Header flags that change what a reader must understand. */
enum {
	/* All behind the header is encrypted (fileformat/crypt.h). */
	JOURNAL_INCOMPAT_ENCRYPTED = 1u << 0,
	/* With EPOCH_OPEN: what happened between the fork and this file is not
	 * known. A consistent mirror keeps its image and holds all files of
	 * this epoch back until the END of a RECOVERY copy-in for it. */
	JOURNAL_INCOMPAT_BREAK = 1u << 1,
	/* Of a member of a layout: a consistent mirror applies it only when a
	 * cut at or behind its last transaction is known (docs/layout.md). */
	JOURNAL_INCOMPAT_CUTS = 1u << 2,
	JOURNAL_INCOMPAT_KNOWN = JOURNAL_INCOMPAT_ENCRYPTED |
				 JOURNAL_INCOMPAT_BREAK | JOURNAL_INCOMPAT_CUTS,
	JOURNAL_COMPAT_DENSE = 1u << 0, /* every number first..last is there */
	JOURNAL_COMPAT_EPOCH_OPEN = 1u << 1, /* parent_* fields are set */
	/* What was written over is left out: what lies between two entries is
	 * no state that the volumes had, but where one is that no fold
	 * crosses. */
	JOURNAL_COMPAT_FOLDED = 1u << 2,
};

/* Volume kinds. */
enum volume_kind { VOLUME_FILE = 1, VOLUME_BLOCK = 2 };

/* Copy-in kinds: BASE keeps the stream's history; RECOVERY follows a break
 * in it, so that the mirror is consistent only from the END on. */
enum copyin_kind { COPYIN_BASE = 1, COPYIN_RECOVERY = 2 };

bool op_is_known(uint32_t op);
bool op_has_data(uint32_t op);	/* payload bytes in the Data portion */
bool op_has_range(uint32_t op); /* offset..offset+length on the volume */
bool op_has_note(uint32_t op);	/* its payload is a note (fileformat/note.h) */
const char *op_name(uint32_t op); /* "write", "copyin-begin", ... or "?" */
const char *journal_kind_name(uint32_t kind);
const char *codec_name(uint32_t codec);

#endif
