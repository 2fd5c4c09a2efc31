/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/recorder.h"

#include "aimdriver/logwrites/chain.h"
#include "common/clock.h"
#include "common/io.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_NS (UINT64_C(5) * 1000000000)

void
recorder_init(struct recorder *r, struct capture *c, uint32_t volume,
    const struct uuid *chain)
{
	*r = (struct recorder){.capture = c, .volume = volume, .chain = *chain};
}

/* Says once why nothing goes on. */
static bool
tell_waiting(void *ctx)
{
	struct recorder *r = ctx;
	uint64_t now = clock_mono_ns();

	if (r->waiting_ns == 0)
		r->waiting_ns = now;
	if (!r->told && now - r->waiting_ns > PATIENCE_NS) {
		r->told = true;
		(void)fprintf(stderr,
		    "aim-logwrites: waiting for room in the spool; is "
		    "aim-coordinator running?\n");
	}
	return r->stopped != NULL && *r->stopped != 0;
}

static void
make_message(
    const struct recorder *r, uint64_t log, uint64_t at, struct uuid *out)
{
	uint8_t text[32];

	memcpy(text, r->chain.b, 16);
	le_put64(text + 16, log);
	le_put64(text + 24, at);
	le_put64(out->b, sum_bytes(text, sizeof(text), 1));
	le_put64(out->b + 8, sum_bytes(text, sizeof(text), 2));
}

static void
make_name(const char *mark, char out[NAME_LIMIT])
{
	size_t i, n = 0;

	if (!isalnum((unsigned char)mark[0]))
		out[n++] = 'm';
	for (i = 0; mark[i] != '\0' && n < NAME_LIMIT - 1; i++) {
		char c = mark[i];

		out[n++] = isalnum((unsigned char)c) || strchr("._-", c) != NULL
			       ? c
			       : '_';
	}
	out[n] = '\0';
}

static int
put_marker(struct recorder *r, const struct wlog_entry *b, uint64_t log,
    uint64_t at, struct err *e)
{
	struct control_note note = {.value = 0};
	uint8_t payload[CONTROL_NOTE_LEN];
	uint64_t number;

	if (chain_is_own(b->mark) || chain_is_end(b->mark))
		return 0;
	make_message(r, log, at, &note.message);
	make_name(b->mark, note.name);
	control_note_encode(&note, payload);
	return capture_control(
	    r->capture, OP_MARKER, payload, sizeof(payload), &number, e);
}

static int
put_range(struct recorder *r, struct logfile *f, const struct wlog_entry *b,
    struct err *e)
{
	struct capture_record w = {.volume = r->volume,
	    .flags = (b->flags & WLOG_FUA) != 0 ? IOCB_FUA : 0,
	    .interrupted = tell_waiting,
	    .ctx = r};
	const uint8_t *data;
	uint64_t done;

	r->waiting_ns = 0;
	if (b->stored == 0) {
		w.op = OP_DISCARD;
		w.off = b->off;
		w.len = b->len;
		return capture_record(r->capture, &w, e);
	}
	for (done = 0; done < b->len; done += w.len) {
		w.off = b->off + done;
		w.len = b->len - done < CAPTURE_CHUNK ? b->len - done
						      : CAPTURE_CHUNK;
		if (logfile_lend(f, done, (size_t)w.len, &data, e) < 0)
			return -1;
		w.data = data;
		w.op = io_is_zero(data, (size_t)w.len) ? OP_ZERO : OP_WRITE;
		if (capture_record(r->capture, &w, e) < 0)
			return -1;
	}
	return 0;
}

int
recorder_put(struct recorder *r, struct logfile *f, const struct wlog_entry *b,
    uint64_t log, uint64_t at, struct err *e)
{
	if ((b->flags & WLOG_FLUSH) != 0 &&
	    capture_flushed(r->capture, r->volume) < 0)
		return err_set(e, ERR_FATAL, "%s", capture_trouble(r->capture));
	if (b->len > 0 && put_range(r, f, b, e) < 0)
		return -1;
	if ((b->flags & WLOG_MARK) != 0)
		return put_marker(r, b, log, at, e);
	return 0;
}
