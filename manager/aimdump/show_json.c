/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/aimdump/show.h"

#include "common/cleanup.h"
#include "fileformat/note.h"
#include "fileformat/runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPILL ((size_t)1 << 20)

static void
put_uuid(struct json *j, const char *key, const struct uuid *u)
{
	char text[UUID_TEXT];

	json_text(j, key, uuid_is_nil(u) ? NULL : uuid_text(u, text));
}

static void
put_hex(struct json *j, const char *key, const uint8_t *bytes, size_t len)
{
	char text[2 * SIGNATURE_LEN + 1];

	json_text(j, key, hex_text(bytes, len, text));
}

static void
identity(struct json *j, const struct journal_header *h)
{
	char name[JOURNAL_NAME_LEN];

	json_number(j, "major", h->major);
	json_number(j, "minor", h->minor);
	json_text(j, "kind", journal_kind_name(h->kind));
	json_bool(j, "dense", (h->compat & JOURNAL_COMPAT_DENSE) != 0);
	json_bool(j, "folded", (h->compat & JOURNAL_COMPAT_FOLDED) != 0);
	json_bool(
	    j, "epoch_open", (h->compat & JOURNAL_COMPAT_EPOCH_OPEN) != 0);
	json_bool(j, "break", (h->incompat & JOURNAL_INCOMPAT_BREAK) != 0);
	json_text(j, "name", journal_name(h->epoch_number, h->sequence, name));
	put_uuid(j, "stream", &h->stream);
	put_uuid(j, "group", &h->group);
	put_uuid(j, "site", &h->site);
	put_uuid(j, "epoch", &h->epoch);
	json_number(j, "epoch_number", h->epoch_number);
	json_number(j, "sequence", h->sequence);
	json_number(j, "first", h->first);
	json_number(j, "last", h->last);
	json_number(j, "first_time_ns", h->first_time_ns);
	json_number(j, "last_time_ns", h->last_time_ns);
	json_number(j, "sealed_time_ns", h->sealed_time_ns);
	put_uuid(j, "parent_epoch", &h->parent_epoch);
	json_number(j, "parent_epoch_number", h->parent_epoch_number);
	json_number(j, "parent_sequence", h->parent_sequence);
	json_number(j, "fork", h->fork);
}

static void
place(struct json *j, const struct journal_header *h)
{
	json_number(j, "file_len", h->file_len);
	json_number(j, "header_len", h->header_len);
	json_number(j, "iocb_off", h->iocb_off);
	json_number(j, "iocb_count", h->iocb_count);
	json_number(j, "iocb_len", h->iocb_len);
	json_number(j, "data_off", h->data_off);
	json_number(j, "data_stored_len", h->data_stored_len);
	json_number(j, "data_raw_len", h->data_raw_len);
	json_number(j, "chunk_len", h->chunk_len);
	json_text(j, "codec", codec_name(h->codec));
	put_hex(j, "prev_digest", h->prev_digest, DIGEST_LEN);
	put_hex(j, "content_digest", h->content_digest, DIGEST_LEN);
	put_hex(j, "stored_digest", h->stored_digest, DIGEST_LEN);
	put_hex(j, "salt", h->salt, SALT_LEN);
	put_hex(j, "key_id", h->key_id, KEY_ID_LEN);
	if (header_is_encrypted(h))
		put_hex(j, "group_key_id", h->group_key_id, KEY_ID_LEN);
	else
		json_null(j, "group_key_id");
	put_hex(j, "signature", h->signature, SIGNATURE_LEN);
}

static void
tables(struct json *j, const struct reader *r)
{
	const struct journal_header *h = reader_header(r);
	struct journal_volume v;
	struct uuid t;
	uint32_t i;

	json_array(j, "volumes");
	for (i = 0; i < h->volume_count; i++) {
		reader_volume(r, i, &v);
		json_object(j, NULL);
		put_uuid(j, "uuid", &v.uuid);
		json_text(j, "kind", v.kind == VOLUME_BLOCK ? "block" : "file");
		json_number(j, "size", v.size);
		json_object_end(j);
	}
	json_array_end(j);
	json_array(j, "targets");
	for (i = 0; i < h->target_count; i++) {
		reader_target(r, i, &t);
		put_uuid(j, NULL, &t);
	}
	json_array_end(j);
}

static void
begin(struct show *s, const struct finding *f)
{
	struct json *j = &s->json;

	j->comma = false;
	json_object(j, NULL);
	json_text(j, "file", f->path);
	json_text(j, "signature", f->signature);
	json_text(j, "digests", f->digests);
	json_text(j, "chain", f->chain);
	json_text(j, "encryption", f->encryption);
	if (f->reader == NULL) {
		json_null(j, "header");
	} else {
		json_object(j, "header");
		identity(j, reader_header(f->reader));
		place(j, reader_header(f->reader));
		json_object_end(j);
		tables(j, f->reader);
	}
	json_array(j, "transactions");
}

/* What a recovery is about to compare. */
static void
compared(struct json *j, const uint8_t *data, size_t len)
{
	struct runs *r = malloc(sizeof(*r));

	if (r != NULL && runs_decode(data, len, r)) {
		json_number(j, "grain", UINT64_C(1) << r->grain_bits);
		json_array(j, "compares");
		for (uint32_t i = 0; i < r->count; i++) {
			json_object(j, NULL);
			json_number(j, "volume", r->at[i].volume);
			json_number(j, "extent", r->at[i].first);
			json_number(j, "count", r->at[i].count);
			json_object_end(j);
		}
		json_array_end(j);
	}
	free(r);
}

static void
note(struct json *j, const struct iocb *b, const uint8_t *data)
{
	struct copyin_note copyin;
	struct control_note control;

	if (b->op == OP_COPYIN_BEGIN || b->op == OP_COPYIN_END) {
		if (copyin_note_decode(data, (size_t)b->len, &copyin, NULL) !=
		    VERDICT_WHOLE)
			return;
		json_object(j, "note");
		put_uuid(j, "id", &copyin.id);
		json_text(j, "kind",
		    copyin.kind == COPYIN_BASE ? "base" : "recovery");
		json_number(j, "begin", copyin.begin);
		if (b->op == OP_COPYIN_BEGIN)
			compared(j, data, (size_t)b->len);
	} else {
		if (control_note_decode(data, (size_t)b->len, &control, NULL) !=
		    VERDICT_WHOLE)
			return;
		json_object(j, "note");
		put_uuid(j, "target", &control.target);
		put_uuid(j, "initiator", &control.initiator);
		put_uuid(j, "message", &control.message);
		json_number(j, "value", control.value);
		json_text(j, "name", control.name);
	}
	json_object_end(j);
}

static void
payload(struct json *j, const uint8_t *data, size_t len)
{
	AUTO_FREE char *hex = malloc(2 * len + 1);

	if (hex == NULL) {
		j->failed = true;
		(void)err_set(&j->err, ERR_RETRY, "out of memory");
		return;
	}
	json_text(j, "data", hex_text(data, len, hex));
}

/* Memory stays bounded: what is finished goes out. */
static void
spill(struct json *j)
{
	if (j->out.len < SPILL)
		return;
	(void)fwrite(j->out.data, 1, j->out.len, stdout);
	j->out.len = 0;
}

static void
entry(struct show *s, const struct iocb *b, const uint8_t *data)
{
	struct json *j = &s->json;
	char flags[4];

	json_object(j, NULL);
	json_number(j, "number", b->number);
	json_text(j, "op", op_name(b->op));
	json_text(j, "flags", show_flags(b->flags, flags));
	json_number(j, "volume", b->volume);
	json_number(j, "time_ns", b->time_ns);
	json_number(j, "offset", b->off);
	json_number(j, "length", b->len);
	if (op_has_data(b->op))
		json_number(j, "data_offset", b->data_off);
	if (op_has_note(b->op))
		note(j, b, data);
	if (s->data && data != NULL)
		payload(j, data, (size_t)b->len);
	json_object_end(j);
	spill(j);
}

static void
end(struct show *s, const struct finding *f)
{
	struct json *j = &s->json;

	json_array_end(j);
	json_bool(j, "valid", f->error == NULL);
	json_text(j, "error", f->error);
	json_object_end(j);
	if (!j->failed && buf_add(&j->out, "\n", 1, &j->err) < 0)
		j->failed = true;
	spill(j);
}

void
show_json_init(struct show *s, bool data)
{
	*s = (struct show){
	    .data = data, .begin = begin, .entry = entry, .end = end};
}
