/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch_tell: the mirror's acknowledgement, as the receiver has signed it, is
 * put where the files come from: at once when it has news, else now and then,
 * so that silence can be told from peace.
 */
#include "coordinator/fetch.h"

#include "common/clock.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEARTBEAT_NS UINT64_C(20000000000)
#define NEWS_NS UINT64_C(100000000) /* not more often than that */
#define NOTE_NS UINT64_C(250000000)

int
fetch_look(struct fetch *f, struct err *e)
{
	char name[ACK_NAME_LEN];
	struct err why = {0};
	struct ack a;

	if (io_read_file(f->ack, ack_name(&f->mirror.uuid, name), ACK_LIMIT,
		&f->ack_bytes, &why) < 0) {
		if (why.sys != ENOENT)
			return err_set(e, why.kind, "%s", why.text);
		f->has_ack = false;
		return 0;
	}
	if (ack_decode(f->ack_bytes.data, f->ack_bytes.len, &a, NULL) !=
	    VERDICT_WHOLE)
		return err_set(e, ERR_RETRY,
		    "the acknowledgement under fetched/ is damaged; the "
		    "receiver will write it anew");
	f->told = a;
	f->has_ack = true;
	return 0;
}

static bool
is_news(const struct fetch *f)
{
	struct ack a = f->told;

	if (!f->has_put)
		return true;
	/* The rest of what changes by itself. */
	a.counter = f->put.counter;
	a.time_ns = f->put.time_ns;
	a.free_bytes = f->put.free_bytes;
	return position_compare(&a.stored, &f->put.stored) != 0 ||
	       position_compare(&a.applied, &f->put.applied) != 0 ||
	       a.state != f->put.state || a.consistent != f->put.consistent ||
	       a.done_count != f->put.done_count ||
	       memcmp(a.done, f->put.done, sizeof(a.done)) != 0 ||
	       strcmp(a.reason, f->put.reason) != 0;
}

int
fetch_tell(struct fetch *f, struct err *e)
{
	char name[ACK_NAME_LEN], path[UUID_TEXT + ACK_NAME_LEN + 8];
	uint64_t since = clock_mono_ns() - f->put_ns;

	if (!f->has_ack || (f->has_put && f->told.counter == f->put.counter) ||
	    (f->has_put && since < (is_news(f) ? NEWS_NS : HEARTBEAT_NS)))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/ack/%s", f->stream,
	    ack_name(&f->mirror.uuid, name));
	if (transport_replace(
		f->transport, f->ack_bytes.data, f->ack_bytes.len, path, e) < 0)
		return err_at(e, "put the acknowledgement there");
	f->put = f->told;
	f->has_put = true;
	f->put_ns = clock_mono_ns();
	return 1;
}

void
fetch_note(struct fetch *f, bool now)
{
	uint64_t mono = clock_mono_ns(), wall = clock_wall_ns();
	uint32_t wait_ms = backoff_wait_ms(&f->backoff, mono);
	char name[UUID_TEXT + 8], text[UUID_TEXT], numbers[6][24];
	const char *error =
	    f->trouble.kind != ERR_NONE ? f->trouble.text : f->held;
	const uint64_t of[6] = {f->files, f->bytes, f->reached_ns, f->got_ns,
	    wait_ms > 0 ? wall + wait_ms * NS_PER_MS : 0, wall};
	struct note_pair pairs[] = {
	    {"state", f->mirror.fetch_paused ? "paused"
		      : error[0] != '\0'     ? "stalled"
					     : "streaming"},
	    {"error", error},
	    {"from", f->place.url},
	    {"files", numbers[0]},
	    {"bytes", numbers[1]},
	    {"reached_ns", numbers[2]},
	    {"got_ns", numbers[3]},
	    {"next_retry", numbers[4]},
	    {"updated_ns", numbers[5]},
	};

	if (!now && mono < f->note_ns)
		return;
	f->note_ns = mono + NOTE_NS;
	for (size_t i = 0; i < 6; i++)
		(void)snprintf(
		    numbers[i], sizeof(numbers[i]), "%" PRIu64, of[i]);
	(void)snprintf(
	    name, sizeof(name), "%s.fetch", uuid_text(&f->mirror.uuid, text));
	/* Status only: the next one will say it. */
	(void)!note_write(
	    f->home, name, pairs, sizeof(pairs) / sizeof(pairs[0]), NULL);
}
