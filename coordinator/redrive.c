/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/redrive.h"

#include "coordinator/survey.h"

#include <stdlib.h>
#include <string.h>

#define HURRY_LEN (UINT64_C(8) << 20)
#define HURRY_WRITE (UINT64_C(128) << 10)

int
redrive_init(struct redrive *r, const struct stage *s, struct target **targets,
    struct err *e)
{
	memset(r, 0, sizeof(*r));
	r->stage = s;
	r->targets = targets;
	r->map = calloc(s->mirror.volume_count + 1, sizeof(*r->map));
	return r->map != NULL ? 0 : err_set(e, ERR_RETRY, "out of memory");
}

void
redrive_release(struct redrive *r)
{
	free(r->map);
	r->map = NULL;
}

static int
write_one(struct redrive *r, uint32_t volume, const uint8_t *data, size_t len,
    uint64_t off, struct err *e)
{
	r->writes++;
	r->written += len;
	return target_write(r->targets[volume], data, len, off, e);
}

static int
flush_run(struct redrive *r, struct err *e)
{
	size_t len = r->run_len;

	r->run_len = 0;
	if (len == 0)
		return 0;
	return write_one(r, r->run_volume, r->run, len, r->run_off, e);
}

/*
 * Order among overlapping writes is kept: a run only ever grows at its end.
 * Nothing is copied: a file that is loaded has the data of transactions that
 * follow one another side by side. Data of one that is not loaded are gone at
 * the next step, so they are written at once.
 */
static int
put(struct redrive *r, uint32_t volume, const uint8_t *data, uint64_t len,
    uint64_t off, struct err *e)
{
	if (r->run_len > 0 && r->run_volume == volume &&
	    r->run_off + r->run_len == off && r->run + r->run_len == data) {
		r->run_len += (size_t)len;
		return 0;
	}
	if (flush_run(r, e) < 0)
		return -1;
	if (!r->data_stay)
		return write_one(r, volume, data, (size_t)len, off, e);
	r->run_volume = volume;
	r->run_off = off;
	r->run = data;
	r->run_len = (size_t)len;
	return 0;
}

/* Remembers that a message to this mirror was carried out; the oldest goes. */
static void
note_done(struct redrive *r, const uint8_t *data, uint64_t len)
{
	const struct mirror_config *m = &r->stage->mirror;
	struct control_note n;

	if (data == NULL ||
	    control_note_decode(data, (size_t)len, &n, NULL) != VERDICT_WHOLE ||
	    uuid_is_nil(&n.message))
		return;
	if (!uuid_is_nil(&n.target) && !uuid_equal(&n.target, &m->uuid) &&
	    !uuid_equal(&n.target, &r->stage->home->site))
		return;
	if (r->done_count == ACK_DONE_LIMIT)
		memmove(
		    r->done, r->done + 1, --r->done_count * sizeof(r->done[0]));
	r->done[r->done_count++] = n.message;
}

static int
content(
    struct redrive *r, const struct iocb *b, const uint8_t *data, struct err *e)
{
	uint32_t v = r->map[b->volume];

	if (b->op == OP_WRITE || b->op == OP_COPYIN)
		return b->len == 0 ? 0 : put(r, v, data, b->len, b->off, e);
	if (flush_run(r, e) < 0)
		return -1;
	if (b->op == OP_RESIZE)
		return target_resize(r->targets[v], b->len, b->off, e);
	return b->len == 0 ? 0 : target_zero(r->targets[v], b->off, b->len, e);
}

static int
one(struct redrive *r, const struct iocb *b, const uint8_t *data, struct err *e)
{
	switch (b->op) {
	case OP_WRITE:
	case OP_COPYIN:
	case OP_ZERO:
	case OP_DISCARD:
	case OP_COPYIN_ZERO:
	case OP_RESIZE:
		r->device = true;
		if (content(r, b, data, e) < 0)
			return -1;
		r->device = false;
		return 0;
	case OP_FLUSH:
	case OP_VOID:
	case OP_GAP:
	case OP_HEARTBEAT:
	case OP_COPYIN_BEGIN:
	case OP_COPYIN_END:
		return 0;
	default:
		note_done(r, data, b->len);
		return 0;
	}
}

/*
 * Brings each volume to the size that it had before the file's first
 * transaction: a redo may find it larger or smaller.
 */
static int
set_sizes(struct redrive *r, struct staged *f, struct err *e)
{
	uint32_t i, n = reader_header(f->reader)->volume_count;
	struct journal_volume v;
	uint64_t size;

	if (n > r->stage->mirror.volume_count)
		return err_set(e, ERR_CORRUPT, "too many volumes");
	for (i = 0; i < n; i++) {
		struct target_identity id;
		struct target *t;

		if (survey_volume(r->stage, f->reader, i, &r->map[i], e) < 0)
			return -1;
		t = r->targets[r->map[i]];
		target_identity(t, &id);
		if (id.kind != VOLUME_FILE)
			continue;
		reader_volume(f->reader, i, &v);
		r->device = true;
		if (target_size(t, &size, e) < 0 ||
		    (size != v.size && target_resize(t, size, v.size, e) < 0))
			return -1;
		r->device = false;
	}
	return 0;
}

void
redrive_hurry(struct redrive *r)
{
	bool large;
	uint32_t i;

	if (r->written < HURRY_LEN)
		return;
	large = r->written / r->writes >= HURRY_WRITE;
	r->written = r->writes = 0;
	for (i = 0; large && i < r->stage->mirror.volume_count; i++)
		target_hurry(r->targets[i]);
}

int
redrive_file(struct redrive *r, struct staged *f, struct err *e)
{
	const uint8_t *data;
	struct iocb b;
	int more;

	r->device = false;
	r->run_len = 0;
	r->data_stay = reader_is_loaded(f->reader);
	if (set_sizes(r, f, e) < 0)
		return err_at(e, "apply %s", f->name);
	reader_rewind(f->reader);
	while ((more = reader_next(f->reader, &b, &data, e)) > 0)
		if (one(r, &b, data, e) < 0)
			return err_at(e, "apply %s: transaction %ju", f->name,
			    (uintmax_t)b.number);
	if (more < 0)
		return err_at(e, "apply %s", f->name);
	r->device = true;
	if (flush_run(r, e) < 0)
		return err_at(e, "apply %s", f->name);
	r->device = false;
	return 0;
}

int
redrive_sync(struct redrive *r, struct err *e)
{
	uint32_t i;

	r->device = true;
	for (i = 0; i < r->stage->mirror.volume_count; i++)
		if (target_sync(r->targets[i], e) < 0)
			return -1;
	r->device = false;
	return 0;
}
