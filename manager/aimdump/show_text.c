/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/aimdump/show.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "fileformat/note.h"
#include "fileformat/runs.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
show_flags(uint32_t flags, char *out)
{
	size_t n = 0;

	if ((flags & IOCB_FUA) != 0)
		out[n++] = 'F';
	if ((flags & IOCB_SETTLED) != 0)
		out[n++] = 'R';
	if ((flags & IOCB_SHORT) != 0)
		out[n++] = 'S';
	out[n] = '\0';
	return out;
}

static void
uuid_line(const char *key, const struct uuid *u)
{
	char text[UUID_TEXT];

	(void)printf("  %-13s %s\n", key, uuid_text(u, text));
}

static void
hex_line(const char *key, const uint8_t *bytes, size_t len)
{
	char text[2 * DIGEST_LEN + 1];

	(void)printf("  %-13s %s\n", key, hex_text(bytes, len, text));
}

static void
identity(const struct journal_header *h)
{
	char text[UUID_TEXT], name[JOURNAL_NAME_LEN];

	(void)printf("  %-13s %u.%u, %s%s%s%s%s%s\n", "format:", h->major,
	    h->minor, journal_kind_name(h->kind),
	    (h->compat & JOURNAL_COMPAT_DENSE) != 0 ? ", dense" : "",
	    (h->compat & JOURNAL_COMPAT_FOLDED) != 0 ? ", folded" : "",
	    (h->compat & JOURNAL_COMPAT_EPOCH_OPEN) != 0 ? ", opens an epoch"
							 : "",
	    (h->incompat & JOURNAL_INCOMPAT_BREAK) != 0 ? ", after a break"
							: "",
	    (h->incompat & JOURNAL_INCOMPAT_CUTS) != 0 ? ", by cuts" : "");
	(void)printf("  %-13s %s\n",
	    "name:", journal_name(h->epoch_number, h->sequence, name));
	uuid_line("stream:", &h->stream);
	uuid_line("group:", &h->group);
	uuid_line("site:", &h->site);
	(void)printf("  %-13s %" PRIu32 ", %s\n", "epoch:", h->epoch_number,
	    uuid_text(&h->epoch, text));
	if (!uuid_is_nil(&h->parent_epoch))
		(void)printf("  %-13s epoch %" PRIu32 ", %s, file %" PRIu64
			     ", fork %" PRIu64 "\n",
		    "parent:", h->parent_epoch_number,
		    uuid_text(&h->parent_epoch, text), h->parent_sequence,
		    h->fork);
	(void)printf("  %-13s %" PRIu64 "\n", "sequence:", h->sequence);
	(void)printf("  %-13s %" PRIu64 "..%" PRIu64 ", of which %" PRIu32
		     " here\n",
	    "transactions:", h->first, h->last, h->iocb_count);
}

static void
place(const struct journal_header *h)
{
	char a[CLOCK_TEXT], b[CLOCK_TEXT];

	(void)printf("  %-13s %s to\n  %-13s %s\n",
	    "time:", clock_text(h->first_time_ns, a), "",
	    clock_text(h->last_time_ns, b));
	(void)printf(
	    "  %-13s %s\n", "sealed:", clock_text(h->sealed_time_ns, a));
	(void)printf("  %-13s %" PRIu64 " bytes: header %" PRIu32
		     ", IOCBs %" PRIu32 " x %" PRIu32 " at %" PRIu64 ",\n",
	    "size:", h->file_len, h->header_len, h->iocb_count, h->iocb_len,
	    h->iocb_off);
	(void)printf("  %-13s data %" PRIu64 " at %" PRIu64 ", raw %" PRIu64
		     ", codec %s, chunks of %" PRIu32 "\n",
	    "", h->data_stored_len, h->data_off, h->data_raw_len,
	    codec_name(h->codec), h->chunk_len);
	hex_line("previous:", h->prev_digest, DIGEST_LEN);
	hex_line("content:", h->content_digest, DIGEST_LEN);
	hex_line("stored:", h->stored_digest, DIGEST_LEN);
	hex_line("key:", h->key_id, KEY_ID_LEN);
}

static void
tables(const struct reader *r)
{
	const struct journal_header *h = reader_header(r);
	struct journal_volume v;
	char text[UUID_TEXT];
	struct uuid t;
	uint32_t i;

	(void)printf("\n  %4s  %-36s  %-5s  %20s\n", "vol", "uuid", "kind",
	    "bytes at first");
	for (i = 0; i < h->volume_count; i++) {
		reader_volume(r, i, &v);
		(void)printf("  %4" PRIu32 "  %s  %-5s  %20" PRIu64 "\n", i,
		    uuid_text(&v.uuid, text),
		    v.kind == VOLUME_BLOCK ? "block" : "file", v.size);
	}
	for (i = 0; i < h->target_count; i++) {
		reader_target(r, i, &t);
		(void)printf("  copy-in for mirror %s\n", uuid_text(&t, text));
	}
}

static void
encryption(const struct finding *f)
{
	const struct journal_header *h = reader_header(f->reader);
	char id[2 * KEY_ID_LEN + 1];

	if (!header_is_encrypted(h))
		return;
	(void)printf("  encrypted: with key %s%s\n",
	    hex_text(h->group_key_id, KEY_ID_LEN, id),
	    strcmp(f->encryption, "locked") == 0
		? ", which was not given: this is all there is to see"
		: "");
}

static void
begin(struct show *s, const struct finding *f)
{
	char shown[512];

	(void)s;
	(void)printf(
	    "%s\n", name_quote(f->path, strlen(f->path), shown, sizeof(shown)));
	if (f->reader == NULL)
		return;
	identity(reader_header(f->reader));
	place(reader_header(f->reader));
	(void)printf("  signature: %s\n", f->signature);
	(void)printf("  digests: %s\n", f->digests);
	(void)printf("  chain: %s\n", f->chain);
	encryption(f);
	tables(f->reader);
	if (strcmp(f->encryption, "locked") == 0)
		return;
	(void)printf("\n  %10s %-12s %-12s %4s %18s %10s %s\n", "number",
	    "time", "operation", "vol", "offset", "length", "flag");
}

/* What a recovery is about to compare. */
static void
compared(const uint8_t *data, size_t len)
{
	struct runs *r = malloc(sizeof(*r));

	if (r != NULL && runs_decode(data, len, r)) {
		(void)printf("  %10s compares %" PRIu64 " grains of %u KiB:",
		    "", runs_sums(r), 1u << (r->grain_bits - 10));
		for (uint32_t i = 0; i < r->count; i++)
			(void)printf(" %u@%" PRIu64 "+%" PRIu64,
			    r->at[i].volume, r->at[i].first, r->at[i].count);
		(void)printf(" (volume@extent+count, of 4 MiB)\n");
	}
	free(r);
}

static void
note(const struct iocb *b, const uint8_t *data)
{
	struct copyin_note copyin;
	struct control_note control;
	char id[UUID_TEXT];

	if (copyin_note_decode(data, (size_t)b->len, &copyin, NULL) ==
		VERDICT_WHOLE &&
	    (b->op == OP_COPYIN_BEGIN || b->op == OP_COPYIN_END)) {
		(void)printf("  %10s %s %s", "",
		    copyin.kind == COPYIN_BASE ? "base" : "recovery",
		    uuid_text(&copyin.id, id));
		if (b->op == OP_COPYIN_END)
			(void)printf(", begun by %" PRIu64, copyin.begin);
		(void)printf("\n");
		if (b->op == OP_COPYIN_BEGIN)
			compared(data, (size_t)b->len);
	} else if (control_note_decode(data, (size_t)b->len, &control, NULL) ==
		   VERDICT_WHOLE) {
		(void)printf("  %10s \"%s\", message %s", "", control.name,
		    uuid_text(&control.message, id));
		if (control.value != 0)
			(void)printf(", %" PRIu64, control.value);
		(void)printf("\n");
	}
}

static void
hex_dump(const uint8_t *data, size_t len)
{
	size_t at, i;

	for (at = 0; at < len; at += 16) {
		(void)printf("    %08zx ", at);
		for (i = at; i < at + 16; i++)
			if (i < len)
				(void)printf(
				    i % 8 == 0 ? "  %02x" : " %02x", data[i]);
			else
				(void)printf(i % 8 == 0 ? "    " : "   ");
		(void)printf("  |");
		for (i = at; i < at + 16 && i < len; i++)
			(void)putchar(
			    data[i] >= 0x20 && data[i] < 0x7f ? data[i] : '.');
		(void)printf("|\n");
	}
}

static void
entry(struct show *s, const struct iocb *b, const uint8_t *data)
{
	char time[CLOCK_TEXT], flags[4];

	/* Of "2026-11-21T08:42:38.123456Z" the time of day. */
	(void)clock_text(b->time_ns, time);
	(void)printf("  %10" PRIu64 " %-12.12s %-12s %4" PRIu32 " %18" PRIu64
		     " %10" PRIu64 "%s%s\n",
	    b->number, strlen(time) > 11 ? time + 11 : time, op_name(b->op),
	    b->volume, b->off, b->len, b->flags == 0 ? "" : " ",
	    show_flags(b->flags, flags));
	if (op_has_note(b->op))
		note(b, data);
	if (s->data && data != NULL)
		hex_dump(data, (size_t)b->len);
}

static void
end(struct show *s, const struct finding *f)
{
	(void)s;
	if (f->error != NULL)
		(void)printf("  INVALID: %s\n", f->error);
	(void)printf("\n");
}

void
show_text_init(struct show *s, bool data)
{
	*s = (struct show){
	    .data = data, .begin = begin, .entry = entry, .end = end};
}

int
show_flush(struct show *s, struct err *e)
{
	AUTO(buf_release) struct buf rest = {0};

	if (s->json.failed) {
		buf_release(&s->json.out);
		return err_set(e, s->json.err.kind, "%s", s->json.err.text);
	}
	buf_swap(&rest, &s->json.out);
	(void)fwrite(rest.data, 1, rest.len, stdout);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		errno = errno == 0 ? EIO : errno;
		return err_sys(e, "write the output");
	}
	return 0;
}
