/* SPDX-License-Identifier: Apache-2.0 */
/* projection_note: state/<stream>.project, where a projection stands. */
#include "coordinator/projection.h"

#include <stdio.h>
#include <stdlib.h>

#define NOTE_NAME_LEN (UUID_TEXT + 8)

static const char *
note_name(const struct uuid *stream, char out[NOTE_NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, NOTE_NAME_LEN, "%s.project", uuid_text(stream, text));
	return out;
}

int
projection_note_write(struct home *h, const struct uuid *stream,
    const struct note_pair *pairs, size_t count, struct err *e)
{
	char name[NOTE_NAME_LEN];

	return note_write(h, note_name(stream, name), pairs, count, e);
}

static uint64_t
number(struct home *h, const char *name, const char *key)
{
	char text[24];

	return note_read(h, name, key, text, sizeof(text))
		   ? strtoull(text, NULL, 10)
		   : 0;
}

void
projection_note_read(
    struct home *h, const struct uuid *stream, struct projection_note *out)
{
	char name[NOTE_NAME_LEN];

	(void)note_name(stream, name);
	*out = (struct projection_note){
	    .upto = {.epoch_number = (uint32_t)number(h, name, "epoch"),
		.sequence = number(h, name, "sequence"),
		.last = number(h, name, "last")},
	    .files = number(h, name, "files"),
	    .spool_bytes = number(h, name, "spool_bytes"),
	    .sent_bytes = number(h, name, "sent_bytes"),
	    .copyin_bytes = number(h, name, "copyin_bytes"),
	    .transactions_in = number(h, name, "transactions_in"),
	    .transactions_out = number(h, name, "transactions_out"),
	    .bytes_in = number(h, name, "bytes_in"),
	    .bytes_out = number(h, name, "bytes_out"),
	};
	if (!note_read(h, name, "error", out->error, sizeof(out->error)))
		out->error[0] = '\0';
}
