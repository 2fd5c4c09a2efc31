/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/stream_maker.h"

#include "aimdriver/writer.h"
#include "fileformat/runs.h"
#include "tests/unit.h"

#include <stdio.h>

/* The same stream for the same seed. */
uint64_t
maker_random(struct maker *m, uint64_t below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return below == 0 ? m->random : m->random % below;
}

static void
random_fill(struct maker *m, void *to, size_t len)
{
	uint8_t *p = to;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(maker_random(m, 0) >> 24);
}

static void
random_uuid(struct maker *m, struct uuid *u)
{
	random_fill(m, u->b, sizeof(u->b));
}

void
maker_init(struct maker *m, uint64_t seed, uint64_t size)
{
	uint32_t v;

	memset(m, 0, sizeof(*m));
	m->random = seed * 2654435761u + 88172645463325252u;
	random_fill(m, m->key.seed, sizeof(m->key.seed));
	ck_assert_int_eq(sign_derive(&m->key, NULL), 0);
	random_uuid(m, &m->stream);
	random_uuid(m, &m->group);
	random_uuid(m, &m->site);
	random_uuid(m, &m->mirror);
	random_uuid(m, &m->epoch);
	m->epoch_number = 1;
	m->sequence = m->next = 1;
	m->time_ns = UINT64_C(1700000000000000000);
	m->codec = CODEC_ZLIB;
	for (v = 0; v < MAKER_VOLUMES; v++) {
		struct maker_volume *w = &m->volume[v];

		random_uuid(m, &w->uuid);
		w->size = w->sealed = size;
		w->source = calloc(1, MAKER_ROOM);
		w->mirror = calloc(1, MAKER_ROOM);
		ck_assert_ptr_nonnull(w->source);
		ck_assert_ptr_nonnull(w->mirror);
		random_fill(m, w->source, size);
	}
}

static void
forget_ops(struct maker *m)
{
	while (m->ops > 0)
		free(m->data[--m->ops]);
}

void
maker_release(struct maker *m)
{
	uint32_t i, v;

	forget_ops(m);
	for (v = 0; v < MAKER_VOLUMES; v++) {
		free(m->volume[v].source);
		free(m->volume[v].mirror);
		for (i = 0; i < m->files; i++)
			free(m->file[i].image[v]);
	}
}

/* Adds a transaction; its number is the next. */
static struct iocb *
add(struct maker *m, enum aim_op op, uint32_t v, uint64_t off, uint64_t len,
    uint8_t *data)
{
	struct iocb *b = &m->op[m->ops];

	ck_assert_uint_lt(m->ops, MAKER_OPS);
	m->time_ns += 1000;
	*b = (struct iocb){.op = op,
	    .volume = v,
	    .origin = ORIGIN_NONE,
	    .number = m->next++,
	    .time_ns = m->time_ns,
	    .off = off,
	    .len = len};
	m->data[m->ops++] = data;
	return b;
}

static uint8_t *
copy_of(const void *from, size_t len)
{
	uint8_t *to = malloc(len + 1);

	ck_assert_ptr_nonnull(to);
	memcpy(to, from, len);
	return to;
}

void
maker_write(struct maker *m, uint32_t v, uint64_t off, uint64_t len)
{
	struct maker_volume *w = &m->volume[v];

	ck_assert_uint_le(off + len, w->size);
	random_fill(m, w->source + off, len);
	/* Some of it compresses. */
	if (len > 64 && maker_random(m, 2) == 0)
		memset(w->source + off + len / 4, 7, len / 2);
	memcpy(w->mirror + off, w->source + off, len);
	(void)add(m, OP_WRITE, v, off, len, copy_of(w->source + off, len));
}

void
maker_zero(
    struct maker *m, enum aim_op op, uint32_t v, uint64_t off, uint64_t len)
{
	struct maker_volume *w = &m->volume[v];

	ck_assert_uint_le(off + len, w->size);
	if (op != OP_COPYIN_ZERO)
		memset(w->source + off, 0, len);
	memset(w->mirror + off, 0, len);
	(void)add(m, op, v, off, len, NULL);
}

void
maker_resize(struct maker *m, uint32_t v, uint64_t size)
{
	struct maker_volume *w = &m->volume[v];
	uint64_t was = w->size;

	ck_assert_uint_le(size, MAKER_ROOM);
	if (size < was) {
		memset(w->source + size, 0, was - size);
		memset(w->mirror + size, 0, was - size);
	}
	w->size = size;
	(void)add(m, OP_RESIZE, v, size, was, NULL);
}

void
maker_plain(struct maker *m, enum aim_op op)
{
	(void)add(m, op, 0, 0, 0, NULL);
}

void
maker_gap(struct maker *m, uint32_t v)
{
	struct maker_volume *w = &m->volume[v];

	random_fill(m, w->source + 100, 50);
	(void)add(m, OP_GAP, v, 100, 50, NULL);
	m->consistent = false;
	memset(&m->copyin, 0, sizeof(m->copyin));
}

void
maker_marker(struct maker *m, const struct uuid *message)
{
	struct control_note n = {.message = *message, .name = "here"};
	uint8_t note[CONTROL_NOTE_LEN];

	control_note_encode(&n, note);
	(void)add(
	    m, OP_MARKER, 0, 0, sizeof(note), copy_of(note, sizeof(note)));
}

void
maker_cut(struct maker *m, uint64_t value)
{
	struct control_note n = {.value = value};
	uint8_t note[CONTROL_NOTE_LEN];

	control_note_encode(&n, note);
	(void)add(m, OP_CUT, 0, 0, sizeof(note), copy_of(note, sizeof(note)));
}

static void
add_note(struct maker *m, enum aim_op op, uint64_t begin)
{
	struct copyin_note n = {
	    .id = m->copyin, .kind = m->copyin_kind, .begin = begin};
	/* Both volumes, as a whole. */
	struct runs r = {.grain_bits = RUNS_GRAIN_LEAST,
	    .count = 2,
	    .at = {{0, 0, 1}, {1, 0, 1}}};
	uint8_t note[NOTE_LIMIT];
	size_t len = COPYIN_NOTE_LEN;

	copyin_note_encode(&n, note);
	if (op == OP_COPYIN_BEGIN && n.kind == COPYIN_RECOVERY)
		ck_assert(runs_encode(&n, &r, note, &len));
	(void)add(m, op, 0, 0, len, copy_of(note, len));
}

void
maker_copyin_begin(struct maker *m, enum copyin_kind kind)
{
	ck_assert_uint_eq(m->ops, 0);
	random_uuid(m, &m->copyin);
	m->copyin_kind = kind;
	m->copyin_begin = m->next;
	m->begun = true;
	add_note(m, OP_COPYIN_BEGIN, 0);
}

void
maker_copyin(struct maker *m, uint32_t v, uint64_t off, uint64_t len)
{
	struct maker_volume *w = &m->volume[v];

	if (off >= w->size)
		return;
	if (off + len > w->size)
		len = w->size - off;
	memcpy(w->mirror + off, w->source + off, len);
	(void)add(m, OP_COPYIN, v, off, len, copy_of(w->source + off, len));
}

void
maker_copyin_end(struct maker *m)
{
	add_note(m, OP_COPYIN_END, m->copyin_begin);
	m->consistent = true;
}

void
maker_mix(struct maker *m, uint32_t count)
{
	while (count-- > 0) {
		uint32_t v = (uint32_t)maker_random(m, MAKER_VOLUMES);
		uint64_t size = m->volume[v].size;
		uint64_t off = maker_random(m, size - 1);
		uint64_t len =
		    1 + maker_random(m, size - off < 9000 ? size - off : 9000);
		static const enum aim_op zeroing[] = {OP_ZERO, OP_DISCARD};

		if (len > size - off)
			len = size - off;
		switch (maker_random(m, 12)) {
		case 0:
			maker_zero(m, zeroing[maker_random(m, 2)], v, off, len);
			break;
		case 1:
			maker_resize(
			    m, v, size / 2 + 5000 + maker_random(m, size));
			if (m->volume[v].size > MAKER_ROOM / 4)
				maker_resize(m, v, 60000);
			break;
		case 2:
			maker_plain(m, OP_FLUSH);
			break;
		case 3:
			maker_plain(m, OP_VOID);
			break;
		default:
			maker_write(m, v, off, len);
			/* adjacent and overlapping ones too */
			if (off + 2 * len < size && maker_random(m, 2) == 0)
				maker_write(m, v, off + len / 2, len);
			break;
		}
	}
}

void
maker_new_epoch(struct maker *m)
{
	ck_assert_uint_eq(m->ops, 0);
	m->parent = m->last;
	m->opens_epoch = true;
	random_uuid(m, &m->epoch);
	m->epoch_number++;
	m->sequence = 1;
}

void
maker_break(struct maker *m)
{
	uint32_t v;

	maker_new_epoch(m);
	m->breaks = true;
	m->consistent = false;
	for (v = 0; v < MAKER_VOLUMES; v++)
		random_fill(m, m->volume[v].source + 1000, 3000);
}

static void
fill_header(struct maker *m, struct journal_header *h)
{
	memset(h, 0, sizeof(*h));
	h->major = 1;
	h->kind = m->begun ? JOURNAL_COPYIN_OPEN : JOURNAL_PLAIN;
	h->compat = JOURNAL_COMPAT_DENSE;
	h->stream = m->stream;
	h->group = m->group;
	h->site = m->site;
	h->epoch = m->epoch;
	h->epoch_number = m->epoch_number;
	h->sequence = m->sequence;
	h->first = m->op[0].number;
	h->last = m->op[m->ops - 1].number;
	h->first_time_ns = m->op[0].time_ns;
	h->last_time_ns = m->op[m->ops - 1].time_ns;
	h->sealed_time_ns = m->time_ns;
	memcpy(h->prev_digest, m->last.digest, DIGEST_LEN);
	h->volume_count = MAKER_VOLUMES;
	h->target_count = m->begun ? 1 : 0;
	if (m->cuts)
		h->incompat |= JOURNAL_INCOMPAT_CUTS;
	if (!m->opens_epoch)
		return;
	h->compat |= JOURNAL_COMPAT_EPOCH_OPEN;
	if (m->breaks)
		h->incompat |= JOURNAL_INCOMPAT_BREAK;
	h->parent_epoch = m->parent.epoch;
	h->parent_epoch_number = m->parent.epoch_number;
	h->parent_sequence = m->parent.sequence;
	h->fork = m->parent.last;
}

static void
remember(struct maker *m, const struct journal_header *h)
{
	struct maker_file *f = &m->file[m->files];
	uint32_t v;

	ck_assert_uint_lt(m->files, MAKER_FILES);
	m->last.epoch = h->epoch;
	m->last.epoch_number = h->epoch_number;
	m->last.sequence = h->sequence;
	m->last.last = h->last;
	memcpy(m->last.digest, h->content_digest, DIGEST_LEN);
	(void)journal_name(h->epoch_number, h->sequence, f->name);
	f->at = m->last;
	f->consistent = m->consistent;
	for (v = 0; v < MAKER_VOLUMES; v++) {
		f->size[v] = m->volume[v].size;
		f->image[v] = copy_of(m->volume[v].mirror, f->size[v]);
		m->volume[v].sealed = m->volume[v].size;
		/* What the box itself promises. */
		if (m->consistent)
			ck_assert_mem_eq(m->volume[v].source,
			    m->volume[v].mirror, f->size[v]);
	}
	m->files++;
}

uint32_t
maker_seal(struct maker *m, int dir)
{
	struct journal_volume volumes[MAKER_VOLUMES];
	struct writer_spec spec = {.volumes = volumes,
	    .targets = &m->mirror,
	    .iocb_count = m->ops,
	    .codec = m->codec,
	    .key = &m->key,
	    .group_key = m->group_key};
	struct journal_header done;
	struct writer *w = NULL;
	struct err e = {0};
	char name[JOURNAL_NAME_LEN];
	AUTO_CLOSE int fd = -1;
	uint32_t i;

	ck_assert_uint_gt(m->ops, 0);
	fill_header(m, &spec.header);
	for (i = 0; i < MAKER_VOLUMES; i++)
		volumes[i] = (struct journal_volume){.uuid = m->volume[i].uuid,
		    .size = m->volume[i].sealed,
		    .kind = VOLUME_FILE};
	(void)journal_name(m->epoch_number, m->sequence, name);
	fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(writer_open(fd, &spec, &w, &e) == 0, "%s", e.text);
	for (i = 0; i < m->ops; i++)
		ck_assert_msg(writer_add(w, &m->op[i], m->data[i], &e) == 0,
		    "%s", e.text);
	ck_assert_msg(writer_finish(w, &done, &e) == 0, "%s", e.text);
	writer_close(w);
	remember(m, &done);
	forget_ops(m);
	m->sequence++;
	m->begun = m->opens_epoch = m->breaks = false;
	return m->files - 1;
}

void
maker_base(struct maker *m, int dir, enum copyin_kind kind)
{
	uint64_t off, step = 24000;
	uint32_t v;

	maker_copyin_begin(m, kind);
	for (v = 0; v < MAKER_VOLUMES; v++) {
		for (off = 0; off < m->volume[v].size; off += step) {
			maker_copyin(m, v, off, step);
			/* A write in front of and behind the copy-in. */
			maker_write(m, v,
			    maker_random(m, m->volume[v].size - 3000), 3000);
			maker_write(m, v, m->volume[v].size - 4000, 3500);
		}
		(void)maker_seal(m, dir);
	}
	maker_mix(m, 3);
	/* What was extended meanwhile came as changes. */
	maker_copyin_end(m);
	(void)maker_seal(m, dir);
}

void
maker_config(const struct maker *m, const char *above, const char *incoming,
    struct mirror_volume_config *volumes, struct mirror_config *out)
{
	uint32_t v;

	memset(out, 0, sizeof(*out));
	(void)strcpy(out->group_name, "g");
	(void)strcpy(out->source_site_name, "source");
	out->uuid = m->mirror;
	out->group = m->group;
	out->stream = m->stream;
	out->source_site = m->site;
	out->source_key = m->key.pub;
	(void)snprintf(out->incoming, sizeof(out->incoming), "%s", incoming);
	out->done_keep = 4;
	out->volume_count = MAKER_VOLUMES;
	out->volumes = volumes;
	for (v = 0; v < MAKER_VOLUMES; v++) {
		struct mirror_volume_config *c = &volumes[v];

		memset(c, 0, sizeof(*c));
		(void)snprintf(c->name, sizeof(c->name), "v%u", v);
		c->uuid = m->volume[v].uuid;
		c->kind = c->source_kind = VOLUME_FILE;
		c->size = m->volume[v].size;
		(void)snprintf(c->path, sizeof(c->path), "%s/v%u", above, v);
	}
}

int
maker_find(const struct maker *m, const struct position *at)
{
	uint32_t i;

	for (i = 0; i < m->files; i++)
		if (position_compare(&m->file[i].at, at) == 0)
			return (int)i;
	return -1;
}
