/* SPDX-License-Identifier: Apache-2.0 */
/* note: payloads of control and copy-in transactions. Pure, thread safe. */
#ifndef FILEFORMAT_NOTE_H
#define FILEFORMAT_NOTE_H

#include "common/name.h"
#include "common/uuid.h"
#include "fileformat/header.h"

#define NOTE_LIMIT 4096 /* a note may be longer than what is known here */

/* BEGIN and END of a copy-in. The same id in both. */
struct copyin_note {
	struct uuid id;
	enum copyin_kind kind;
	uint64_t begin; /* END: transaction number of its BEGIN; BEGIN: 0 */
};
#define COPYIN_NOTE_LEN 64

/* A control transaction (marker, cut, expand, ...). */
struct control_note {
	struct uuid target;    /* mirror or site; nil: every mirror */
	struct uuid initiator; /* site that asks */
	struct uuid message;   /* id that the acknowledgement returns */
	uint64_t value;	       /* op's own number (expand: new size) */
	char name[NAME_LIMIT]; /* op's own name (marker) */
};
#define CONTROL_NOTE_LEN 160

void copyin_note_encode(
    const struct copyin_note *n, uint8_t out[COPYIN_NOTE_LEN]);
enum verdict copyin_note_decode(
    const uint8_t *bytes, size_t len, struct copyin_note *out, struct why *why);
void control_note_encode(
    const struct control_note *n, uint8_t out[CONTROL_NOTE_LEN]);
enum verdict control_note_decode(const uint8_t *bytes, size_t len,
    struct control_note *out, struct why *why);

#endif
