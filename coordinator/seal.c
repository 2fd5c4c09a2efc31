/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal: one settled run of captured transactions becomes one journal file.
 *
 * `.NAME.tmp` is written and synced, renamed to NAME without replacing, and
 * the folder is synced; only then the capture core may recycle the segment.
 * So after a crash at any point either the file is there and is the tip, or
 * the segment still holds everything and the file is made anew (perhaps with
 * more in it, under the same name, because nobody has seen the other).
 * Numbers come from the tip alone: the name after it, transactions after its
 * last one, its digest.
 */
#include "coordinator/source.h"

#include "aimdriver/writer.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/sys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TMP_NAME_LEN (JOURNAL_NAME_LEN + 5)

static void
drop_writer(struct writer **w)
{
	writer_close(*w);
}

/* What was captured is not what it must be: nothing of it can be believed. */
static int
disbelieve(struct source *s, const struct err *why)
{
	if (why == NULL || why->kind != ERR_CORRUPT)
		return -1;
	s->must_break = true;
	s->break_marked = s->break_passed = false;
	(void)snprintf(s->break_reason, sizeof(s->break_reason), "%.*s",
	    (int)sizeof(s->break_reason) - 1, why->text);
	return -1;
}

/* Age by the wall clock or by ours, whichever is more: a clock that was set
 * back delays nothing. */
static bool
is_old(struct source *s, const struct capture_span *span)
{
	uint64_t wall = clock_wall_ns(), mono = clock_mono_ns();
	uint64_t age = s->group.seal_age_ms * NS_PER_MS;

	if (s->first_seen != span->first) {
		s->first_seen = span->first;
		s->first_seen_ns = mono;
	}
	return (wall > span->oldest_ns && wall - span->oldest_ns >= age) ||
	       mono - s->first_seen_ns >= age;
}

static bool
is_due(struct source *s, const struct capture_span *span, bool all)
{
	struct capture_status st;

	if (all || span->full || is_old(s, span))
		return true;
	capture_status(s->capture, &st);
	return st.sealed_request >= span->first;
}

/* Ends the span at the first gap in it: the old epoch ends there. */
static int
cut_at_gap(
    struct source *s, struct capture_span *span, bool *cut, struct err *e)
{
	struct iocb b;
	uint64_t n;

	*cut = false;
	for (n = span->first; n <= span->last; n++) {
		if (capture_span_entry(s->capture, span,
			(uint32_t)(n - span->first), &b, s->room, e) < 0)
			return -1;
		if (b.op != OP_GAP)
			continue;
		span->last = n;
		*cut = true;
		return 0;
	}
	return 0;
}

/* The mirrors that a copy-in which begins here is for. */
static uint32_t
find_targets(struct source *s, const uint8_t *payload, uint64_t len)
{
	struct copyin_note note;
	uint32_t i, k, n = 0;

	if (copyin_note_decode(payload, len, &note, NULL) != VERDICT_WHOLE)
		return 0;
	for (i = 0; i < s->count; i++) {
		const struct job *j = &s->jobs[i];

		if (j->state == JOB_NONE || !uuid_equal(&j->id, &note.id))
			continue;
		for (k = 0; k < n; k++)
			if (uuid_equal(&s->targets[k], &j->mirror))
				break;
		if (k == n && n < JOURNAL_TARGET_LIMIT)
			s->targets[n++] = j->mirror;
	}
	return n;
}

static int
fill_epoch(struct source *s, struct journal_header *h, struct err *e)
{
	const struct position *tip = &s->tip.at;

	if (!source_has_tip(s)) {
		h->epoch_number = 1;
		h->sequence = 1;
		return uuid_make(&h->epoch, e);
	}
	memcpy(h->prev_digest, tip->digest, DIGEST_LEN);
	if (!s->breaking) {
		h->epoch = tip->epoch;
		h->epoch_number = tip->epoch_number;
		h->sequence = tip->sequence + 1;
		return 0;
	}
	h->epoch_number = tip->epoch_number + 1;
	h->sequence = 1;
	h->compat |= JOURNAL_COMPAT_EPOCH_OPEN;
	h->incompat |= JOURNAL_INCOMPAT_BREAK;
	h->parent_epoch = tip->epoch;
	h->parent_epoch_number = tip->epoch_number;
	h->parent_sequence = tip->sequence;
	h->fork = tip->last;
	return uuid_make(&h->epoch, e);
}

static int
fill_spec(struct source *s, const struct capture_span *span,
    struct writer_spec *spec, struct err *e)
{
	struct journal_header *h = &spec->header;
	struct iocb b;
	uint32_t i;

	/* Once its files were encrypted, a stream's are for ever. */
	if (s->tip.encrypted && !s->group.encrypted)
		return err_set(e, ERR_REFUSED,
		    "the stream is encrypted, but the catalogue knows no key "
		    "of it: nothing is sealed in the open. Put the catalogue "
		    "back ('aim-manager catalogue restore')");
	*spec = (struct writer_spec){
	    .volumes = s->volumes,
	    .targets = s->targets,
	    .iocb_count = (uint32_t)(span->last - span->first + 1),
	    .codec = s->group.codec,
	    .level = s->group.codec_level,
	    .key = &s->home->key,
	    .group_key = s->group.encrypted ? &s->key : NULL,
	};
	*h = (struct journal_header){
	    .compat = JOURNAL_COMPAT_DENSE,
	    .kind = JOURNAL_PLAIN,
	    .stream = s->group.stream,
	    .group = s->group.uuid,
	    .site = s->home->site,
	    .first = span->first,
	    .last = span->last,
	    .sealed_time_ns = clock_wall_ns(),
	    .volume_count = s->volume_count,
	};
	if (capture_span_entry(s->capture, span, 0, &b, s->room, e) < 0)
		return disbelieve(s, e);
	if (b.op == OP_COPYIN_BEGIN)
		h->target_count = find_targets(s, s->room, b.len);
	if (h->target_count > 0)
		h->kind = JOURNAL_COPYIN_OPEN;
	capture_sizes(s->capture, s->sizes);
	for (i = 0; i < s->volume_count; i++)
		s->volumes[i].size = s->sizes[i];
	return fill_epoch(s, h, e);
}

static int
write_entries(struct source *s, const struct capture_span *span, int fd,
    const struct writer_spec *spec, struct journal_header *out, struct err *e)
{
	AUTO(drop_writer) struct writer *w = NULL;
	struct iocb b;
	uint32_t i;

	if (writer_open(fd, spec, &w, e) < 0)
		return -1;
	for (i = 0; i < spec->iocb_count; i++) {
		if (capture_span_entry(s->capture, span, i, &b, s->room, e) <
			0 ||
		    writer_add(w, &b, op_has_data(b.op) ? s->room : NULL, e) <
			0)
			return disbelieve(s, e);
		if (b.op != OP_CUT && b.op != OP_HEARTBEAT)
			s->content = b.number;
	}
	return writer_finish(w, out, e);
}

static int
write_tmp(struct source *s, const struct capture_span *span, const char *tmp,
    const struct writer_spec *spec, struct journal_header *out, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (sys_unlink(s->sealed.dir, tmp) < 0 && errno != ENOENT)
		return err_sys(e, "remove %s", tmp);
	fd = sys_openat(
	    s->sealed.dir, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "create %s", tmp);
	if (write_entries(s, span, fd, spec, out, e) == 0)
		return 0;
	(void)sys_unlink(s->sealed.dir, tmp);
	return -1;
}

/* The file is durable under its name. */
static void
advance(struct source *s, const struct journal_header *h,
    const struct capture_span *span)
{
	bool first = s->files == 0;
	uint64_t copied;

	sealed_file_from(h, &s->tip);
	copied = sealed_copyin_share(&s->tip, span->copyin_len);
	s->files++;
	s->tip_free = false;
	s->spool_bytes += s->tip.file_len - copied;
	if (first) {
		s->oldest = s->tip;
		s->counted_out = (struct walk){0};
	}
	copyin_sealed(s, copied);
	capture_sealed(s->capture, s->tip.at.last);
}

static int
seal_span(struct source *s, const struct capture_span *span, struct err *e)
{
	char name[JOURNAL_NAME_LEN], tmp[TMP_NAME_LEN];
	struct writer_spec spec;
	struct journal_header h;

	if (fill_spec(s, span, &spec, e) < 0)
		return -1;
	(void)journal_name(
	    spec.header.epoch_number, spec.header.sequence, name);
	(void)snprintf(tmp, sizeof(tmp), ".%s.tmp", name);
	if (write_tmp(s, span, tmp, &spec, &h, e) < 0)
		return err_at(e, "seal %s", name);
	if (io_move(s->sealed.dir, tmp, s->sealed.dir, name, e) < 0) {
		/* Renamed or not, durable or not: the folder must say. */
		s->tip_unsure = true;
		return err_at(e, "seal %s", name);
	}
	advance(s, &h, span);
	return s->breaking ? break_sealed(s, e) : 0;
}

int
seal_one(struct source *s, bool all, struct err *e)
{
	struct capture_span span;
	bool cut = false;
	int got;

	if (s->must_break)
		return 0;
	if (s->tip_unsure && source_find_tip(s, e) < 0)
		return -1;
	got = capture_span_next(s->capture, s->tip.at.last + 1, &span, NULL, e);
	if (got < 0)
		return disbelieve(s, e);
	if (got == 0 || !is_due(s, &span, all || s->gap))
		return 0;
	if (s->gap && cut_at_gap(s, &span, &cut, e) < 0)
		return disbelieve(s, e);
	if (seal_span(s, &span, e) < 0)
		return -1;
	s->must_break = s->must_break || cut;
	return 1;
}
