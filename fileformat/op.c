/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/op.h"

#include "fileformat/header.h"

#include <stddef.h>

enum { RANGE = 1, DATA = 2, NOTE = 4 };

static const struct {
	const char *name;
	unsigned traits;
} ops[] = {
    [OP_WRITE] = {"write", RANGE | DATA},
    [OP_ZERO] = {"zero", RANGE},
    [OP_DISCARD] = {"discard", RANGE},
    [OP_RESIZE] = {"resize", 0},
    [OP_FLUSH] = {"flush", 0},
    [OP_VOID] = {"void", 0},
    [OP_GAP] = {"gap", RANGE},
    [OP_COPYIN_BEGIN] = {"copyin-begin", DATA | NOTE},
    [OP_COPYIN] = {"copyin", RANGE | DATA},
    [OP_COPYIN_ZERO] = {"copyin-zero", RANGE},
    [OP_COPYIN_END] = {"copyin-end", DATA | NOTE},
    [OP_MARKER] = {"marker", DATA | NOTE},
    [OP_HEARTBEAT] = {"heartbeat", 0},
    [OP_CUT] = {"cut", DATA | NOTE},
    [OP_VERIFY] = {"verify", DATA | NOTE},
    [OP_EXPAND] = {"expand", DATA | NOTE},
    [OP_ESTABLISH] = {"establish", DATA | NOTE},
    [OP_SPLIT] = {"split", DATA | NOTE},
    [OP_RESYNC] = {"resync", DATA | NOTE},
    [OP_PROMOTE] = {"promote", DATA | NOTE},
};

bool
op_is_known(uint32_t op)
{
	return op < sizeof(ops) / sizeof(ops[0]) && ops[op].name != NULL;
}

bool
op_has_data(uint32_t op)
{
	return op_is_known(op) && (ops[op].traits & DATA) != 0;
}

bool
op_has_range(uint32_t op)
{
	return op_is_known(op) && (ops[op].traits & RANGE) != 0;
}

bool
op_has_note(uint32_t op)
{
	return op_is_known(op) && (ops[op].traits & NOTE) != 0;
}

const char *
op_name(uint32_t op)
{
	return op_is_known(op) ? ops[op].name : "?";
}

const char *
journal_kind_name(uint32_t kind)
{
	switch (kind) {
	case JOURNAL_PLAIN:
		return "plain";
	case JOURNAL_COPYIN_OPEN:
		return "copyin-open";
	default:
		return "?";
	}
}

const char *
codec_name(uint32_t codec)
{
	switch (codec) {
	case CODEC_NONE:
		return "none";
	case CODEC_ZLIB:
		return "zlib";
	case CODEC_ZSTD:
		return "zstd";
	default:
		return "?";
	}
}
