/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/note.h"

#include "common/io.h"
#include "fileformat/le.h"

#include <inttypes.h>
#include <string.h>

/* Copy-in note: id 0, kind 16, zero 20, begin 24, zero 32..64. */
/* Control note: target 0, initiator 16, message 32, value 48, name 56..120,
 * zero 120..160. */

static bool
is_zero(const uint8_t *bytes, size_t len)
{
	return io_is_zero(bytes, len);
}

void
copyin_note_encode(const struct copyin_note *n, uint8_t out[COPYIN_NOTE_LEN])
{
	memset(out, 0, COPYIN_NOTE_LEN);
	memcpy(out, n->id.b, 16);
	le_put32(out + 16, (uint32_t)n->kind);
	le_put64(out + 24, n->begin);
}

enum verdict
copyin_note_decode(
    const uint8_t *bytes, size_t len, struct copyin_note *out, struct why *why)
{
	struct copyin_note n = {0};
	uint32_t kind;

	if (len < COPYIN_NOTE_LEN)
		return verdict_say(why, VERDICT_CORRUPT, 0,
		    "copy-in note has %zu bytes, not %d", len, COPYIN_NOTE_LEN);
	memcpy(n.id.b, bytes, 16);
	kind = le_get32(bytes + 16);
	n.begin = le_get64(bytes + 24);
	if (uuid_is_nil(&n.id))
		return verdict_say(
		    why, VERDICT_CORRUPT, 0, "copy-in note without an id");
	if (kind == 0)
		return verdict_say(
		    why, VERDICT_CORRUPT, 16, "copy-in kind 0 is never valid");
	if (kind != COPYIN_BASE && kind != COPYIN_RECOVERY)
		return verdict_say(why, VERDICT_UNKNOWN, 16,
		    "copy-in kind %" PRIu32 " is not known to this version",
		    kind);
	if (!is_zero(bytes + 20, 4) || !is_zero(bytes + 32, 32))
		return verdict_say(why, VERDICT_CORRUPT, 20,
		    "reserved bytes of a copy-in note are not zero");
	n.kind = (enum copyin_kind)kind;
	*out = n;
	return VERDICT_WHOLE;
}

void
control_note_encode(const struct control_note *n, uint8_t out[CONTROL_NOTE_LEN])
{
	memset(out, 0, CONTROL_NOTE_LEN);
	memcpy(out, n->target.b, 16);
	memcpy(out + 16, n->initiator.b, 16);
	memcpy(out + 32, n->message.b, 16);
	le_put64(out + 48, n->value);
	memcpy(out + 56, n->name, strnlen(n->name, NAME_LIMIT - 1));
}

enum verdict
control_note_decode(
    const uint8_t *bytes, size_t len, struct control_note *out, struct why *why)
{
	struct control_note n = {0};
	size_t name_len;

	if (len < CONTROL_NOTE_LEN)
		return verdict_say(why, VERDICT_CORRUPT, 0,
		    "control note has %zu bytes, not %d", len,
		    CONTROL_NOTE_LEN);
	memcpy(n.target.b, bytes, 16);
	memcpy(n.initiator.b, bytes + 16, 16);
	memcpy(n.message.b, bytes + 32, 16);
	n.value = le_get64(bytes + 48);
	memcpy(n.name, bytes + 56, NAME_LIMIT);
	name_len = strnlen(n.name, NAME_LIMIT);
	if (name_len == NAME_LIMIT ||
	    !is_zero(bytes + 56 + name_len, NAME_LIMIT - name_len) ||
	    (name_len > 0 && name_check("marker", n.name, NULL) < 0))
		return verdict_say(why, VERDICT_CORRUPT, 56,
		    "name in a control note is not a name");
	if (!is_zero(bytes + 120, 40))
		return verdict_say(why, VERDICT_CORRUPT, 120,
		    "reserved bytes of a control note are not zero");
	*out = n;
	return VERDICT_WHOLE;
}
