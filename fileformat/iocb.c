/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/iocb.h"

#include "fileformat/header.h"
#include "fileformat/le.h"
#include "fileformat/note.h"
#include "fileformat/sum.h"

#include <inttypes.h>
#include <string.h>

/* Offsets in an entry. */
enum {
	AT_OP = 0,
	AT_FLAGS = 4,
	AT_VOLUME = 8,
	AT_ORIGIN = 12,
	AT_NUMBER = 16,
	AT_TIME = 24,
	AT_OFF = 32,
	AT_LEN = 40,
	AT_DATA_OFF = 48,
	AT_DATA_SUM = 56,
	AT_RESERVED = 64,
	AT_SUM = 72,
};

uint64_t
iocb_seed(const struct uuid *stream, uint64_t sequence)
{
	uint8_t bytes[24];

	memcpy(bytes, stream->b, 16);
	le_put64(bytes + 16, sequence);
	return sum_bytes(bytes, sizeof(bytes), 0);
}

uint64_t
iocb_data_sum(const void *data, size_t len, uint64_t seed)
{
	return sum_bytes(data, len, seed);
}

void
iocb_encode(const struct iocb *b, uint64_t seed, uint8_t out[IOCB_LEN])
{
	le_put32(out + AT_OP, b->op);
	le_put32(out + AT_FLAGS, b->flags);
	le_put32(out + AT_VOLUME, b->volume);
	le_put32(out + AT_ORIGIN, b->origin);
	le_put64(out + AT_NUMBER, b->number);
	le_put64(out + AT_TIME, b->time_ns);
	le_put64(out + AT_OFF, b->off);
	le_put64(out + AT_LEN, b->len);
	le_put64(out + AT_DATA_OFF, b->data_off);
	le_put64(out + AT_DATA_SUM, b->data_sum);
	le_put64(out + AT_RESERVED, 0);
	le_put64(out + AT_SUM, sum_bytes(out, AT_SUM, seed));
}

void
iocb_encode_canonical(const struct iocb *b, uint8_t out[IOCB_CANONICAL_LEN])
{
	le_put32(out, b->op);
	le_put32(out + 4, b->flags);
	le_put32(out + 8, b->volume);
	le_put32(out + 12, 0);
	le_put64(out + 16, b->number);
	le_put64(out + 24, b->time_ns);
	le_put64(out + 32, b->off);
	le_put64(out + 40, b->len);
	le_put64(out + 48, b->data_off);
}

/* Is `len` right for what the op carries or covers? */
static enum verdict
check_len(const struct iocb *b, struct why *why)
{
	uint64_t least = 0, most = 0;

	if (b->op == OP_COPYIN_BEGIN || b->op == OP_COPYIN_END) {
		least = COPYIN_NOTE_LEN;
		most = NOTE_LIMIT;
	} else if (op_has_note(b->op)) {
		least = CONTROL_NOTE_LEN;
		most = NOTE_LIMIT;
	} else if (op_has_range(b->op)) {
		least = b->op == OP_GAP ? 0 : 1;
		most = op_has_data(b->op) ? JOURNAL_DATA_LIMIT : INT64_MAX;
	} else if (b->op == OP_RESIZE) {
		most = INT64_MAX;
	}
	if (b->len < least || b->len > most)
		return verdict_say(why, VERDICT_CORRUPT, AT_LEN,
		    "length %" PRIu64 " of operation %s is not %" PRIu64
		    "..%" PRIu64,
		    b->len, op_name(b->op), least, most);
	return VERDICT_WHOLE;
}

enum verdict
iocb_check(const struct iocb *b, struct why *why)
{
	bool has_off = op_has_range(b->op) || b->op == OP_RESIZE;

	if (b->op == 0)
		return verdict_say(
		    why, VERDICT_CORRUPT, AT_OP, "operation 0 is never valid");
	if (!op_is_known(b->op))
		return verdict_say(why, VERDICT_UNKNOWN, AT_OP,
		    "operation %" PRIu32 " is not known to this version",
		    b->op);
	if ((b->flags & ~(uint32_t)IOCB_KNOWN) != 0)
		return verdict_say(why, VERDICT_UNKNOWN, AT_FLAGS,
		    "flags 0x%" PRIx32 " are not known to this version",
		    b->flags & ~(uint32_t)IOCB_KNOWN);
	if (b->number == 0)
		return verdict_say(why, VERDICT_CORRUPT, AT_NUMBER,
		    "transaction number 0 is never valid");
	if (!has_off && b->off != 0)
		return verdict_say(why, VERDICT_CORRUPT, AT_OFF,
		    "operation %s has no offset, but offset %" PRIu64
		    " is given",
		    op_name(b->op), b->off);
	if (check_len(b, why) != VERDICT_WHOLE)
		return VERDICT_CORRUPT;
	if (b->off > INT64_MAX ||
	    (op_has_range(b->op) && b->len > (uint64_t)INT64_MAX - b->off))
		return verdict_say(why, VERDICT_CORRUPT, AT_OFF,
		    "range %" PRIu64 "+%" PRIu64 " goes beyond 2^63", b->off,
		    b->len);
	if (!op_has_data(b->op) && (b->data_off != 0 || b->data_sum != 0))
		return verdict_say(why, VERDICT_CORRUPT, AT_DATA_OFF,
		    "operation %s has no data, but data is pointed to",
		    op_name(b->op));
	return VERDICT_WHOLE;
}

enum verdict
iocb_decode(
    const uint8_t *bytes, uint64_t seed, struct iocb *out, struct why *why)
{
	struct iocb b = {
	    .op = le_get32(bytes + AT_OP),
	    .flags = le_get32(bytes + AT_FLAGS),
	    .volume = le_get32(bytes + AT_VOLUME),
	    .origin = le_get32(bytes + AT_ORIGIN),
	    .number = le_get64(bytes + AT_NUMBER),
	    .time_ns = le_get64(bytes + AT_TIME),
	    .off = le_get64(bytes + AT_OFF),
	    .len = le_get64(bytes + AT_LEN),
	    .data_off = le_get64(bytes + AT_DATA_OFF),
	    .data_sum = le_get64(bytes + AT_DATA_SUM),
	};
	enum verdict v;

	if (le_get64(bytes + AT_SUM) != sum_bytes(bytes, AT_SUM, seed))
		return verdict_say(why, VERDICT_CORRUPT, AT_SUM,
		    "checksum of the entry does not match");
	if (le_get64(bytes + AT_RESERVED) != 0)
		return verdict_say(why, VERDICT_CORRUPT, AT_RESERVED,
		    "reserved bytes are not zero");
	v = iocb_check(&b, why);
	if (v == VERDICT_WHOLE)
		*out = b;
	return v;
}
