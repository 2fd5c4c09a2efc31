/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project_file: a file of the group is read whole into memory and verified
 * there; what is left of its transactions goes into a file that covers the
 * same range of numbers. Where folding goes across files, as many as there are
 * (within bounds) become one: then it is the projector that lags behind, not
 * the files that it has made, which nobody may change any more.
 */
#include "coordinator/project.h"

#include "aimdriver/writer.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TMP_NAME_LEN (JOURNAL_NAME_LEN + 5)

static void
drop_writer(struct writer **w)
{
	writer_close(*w);
}

/* The order of the volumes was fixed when the group was exported. */
static int
check_volumes(const struct project *p, const struct reader *r, struct err *e)
{
	const struct journal_header *h = reader_header(r);
	struct journal_volume v;
	uint32_t i;

	for (i = 0; i < h->volume_count && i < p->volume_count; i++) {
		reader_volume(r, i, &v);
		if (!uuid_equal(&v.uuid, &p->volumes[i]))
			break;
	}
	if (i == h->volume_count && i == p->volume_count)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "its volumes are not those of group '%s' in the catalogue",
	    p->group.name);
}

static int
add_op(
    struct project *p, const struct iocb *b, const uint8_t *data, struct err *e)
{
	if (p->op_count == p->op_room) {
		size_t room = p->op_room == 0 ? 1024 : 2 * p->op_room;
		struct fold_op *more =
		    reallocarray(p->ops, room, sizeof(*more));

		if (more == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		p->ops = more;
		p->op_room = room;
	}
	p->ops[p->op_count++] = (struct fold_op){*b, data};
	return 0;
}

/* Those of the file's mirrors that get this projection. */
static uint32_t
find_targets(struct project *p, const struct reader *r)
{
	uint32_t i, n = 0;

	for (i = 0; i < p->count; i++)
		if (reader_has_target(r, &p->destinations[i].mirror))
			p->targets[n++] = p->destinations[i].mirror;
	return n;
}

/* A copy-in that is for others only is data like any other. */
static int
gather(struct project *p, struct reader *r, bool begins, struct err *e)
{
	const uint8_t *data;
	struct iocb in, out;
	int more;

	while ((more = reader_next(r, &in, &data, e)) > 0) {
		p->now.transactions_in++;
		p->now.bytes_in += data != NULL ? in.len : 0;
		if (in.op == OP_COPYIN_BEGIN && !begins)
			continue;
		if (!projection_take(&p->map, &in, data, &out, &data))
			continue;
		/* What is to be compared is listed for the group's volumes. */
		if (out.op == OP_COPYIN_BEGIN)
			out.len = COPYIN_NOTE_LEN;
		if (add_op(p, &out, data, e) < 0)
			return -1;
	}
	return more;
}

static void
fill_table(struct project *p, const struct reader *r)
{
	uint32_t i;

	for (i = 0; i < p->projection.part_count; i++) {
		struct journal_volume *v = &p->table[i];

		reader_volume(r, p->projection.parts[i].volume, v);
		v->size = projection_size(&p->map, v->size);
	}
}

/* What says where it stands in its own stream. */
static void
fill_chain(const struct project *p, const struct journal_header *from,
    struct journal_header *h)
{
	const struct position *tip = &p->tip.at;
	const bool follows = p->tip.at.last + 1 == from->first;

	h->sequence = from->sequence;
	h->parent_sequence = from->parent_sequence;
	memcpy(h->prev_digest, from->prev_digest, DIGEST_LEN);
	if (position_is_nil(tip) || !follows)
		return;
	memcpy(h->prev_digest, tip->digest, DIGEST_LEN);
	if (from->epoch_number == tip->epoch_number)
		h->sequence = tip->sequence + 1;
	else
		h->parent_sequence = tip->sequence;
}

static uint32_t
incompat_of(const struct project *p, const struct journal_header *from)
{
	return (uint32_t)(from->incompat & JOURNAL_INCOMPAT_BREAK) |
	       (p->projection.layout.members > 0 ? JOURNAL_INCOMPAT_CUTS : 0);
}

static uint32_t
compat_of(const struct journal_header *from, bool folded)
{
	return (uint32_t)(from->compat & JOURNAL_COMPAT_EPOCH_OPEN) |
	       (folded ? JOURNAL_COMPAT_FOLDED : 0);
}

static void
fill_spec(struct project *p, bool folded, struct writer_spec *spec)
{
	const struct project_input *first = &p->inputs[0];
	const struct project_input *last = &p->inputs[p->input_count - 1];
	const struct journal_header *from = reader_header(first->reader);
	const struct journal_header *to = reader_header(last->reader);
	uint32_t targets = find_targets(p, first->reader);

	*spec = (struct writer_spec){
	    .header = {.incompat = incompat_of(p, from),
		.compat = compat_of(from, folded),
		.kind = targets > 0 ? JOURNAL_COPYIN_OPEN : JOURNAL_PLAIN,
		.stream = p->projection.stream,
		.group = from->group,
		.site = from->site,
		.epoch = from->epoch,
		.epoch_number = from->epoch_number,
		.first = from->first,
		.last = to->last,
		.first_time_ns = from->first_time_ns,
		.last_time_ns = to->last_time_ns,
		.sealed_time_ns = to->sealed_time_ns,
		.parent_epoch = from->parent_epoch,
		.parent_epoch_number = from->parent_epoch_number,
		.fork = from->fork,
		.volume_count = p->projection.part_count,
		.target_count = targets},
	    .volumes = p->table,
	    .targets = p->targets,
	    .codec = p->projection.codec,
	    .level = p->projection.codec_level,
	    .key = &p->home->key,
	    .group_key = p->group.encrypted ? &p->key : NULL,
	};
	fill_table(p, first->reader);
	fill_chain(p, from, &spec->header);
}

static int
write_ops(struct project *p, int fd, struct writer_spec *spec,
    const struct fold_op *ops, size_t count, struct journal_header *out,
    struct err *e)
{
	AUTO(drop_writer) struct writer *w = NULL;

	spec->iocb_count = (uint32_t)count;
	if (writer_open(fd, spec, &w, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (writer_add(w, &ops[i].b, ops[i].data, e) < 0)
			return -1;
		p->now.transactions_out++;
		p->now.bytes_out += ops[i].data != NULL ? ops[i].b.len : 0;
	}
	return writer_finish(w, out, e);
}

static int
put_file(struct project *p, struct writer_spec *spec, const struct fold_op *ops,
    size_t count, struct journal_header *out, struct err *e)
{
	char name[JOURNAL_NAME_LEN], tmp[TMP_NAME_LEN];
	AUTO_CLOSE int fd = -1;

	(void)journal_name(
	    spec->header.epoch_number, spec->header.sequence, name);
	(void)snprintf(tmp, sizeof(tmp), ".%s.tmp", name);
	if (sys_unlink(p->out.dir, tmp) < 0 && errno != ENOENT)
		return err_sys(e, "remove %s", tmp);
	fd = sys_openat(
	    p->out.dir, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "create %s", tmp);
	if (write_ops(p, fd, spec, ops, count, out, e) < 0) {
		(void)sys_unlink(p->out.dir, tmp);
		return err_at(e, "make %s", name);
	}
	if (io_move(p->out.dir, tmp, p->out.dir, name, e) < 0) {
		/* Renamed or not, durable or not: the folder must say. */
		p->tip_unsure = true;
		return err_at(e, "make %s", name);
	}
	return 0;
}

/* ---- what it is made from ---- */

static void
drop_inputs(struct project *p)
{
	/* Memory for many is given back: they are not the rule. */
	for (uint32_t i = 0; i < p->input_count; i++) {
		struct project_input *in = &p->inputs[i];

		reader_close(in->reader);
		in->reader = NULL;
		free(in->laid_out);
		in->laid_out = NULL;
		cleanup_fd(&in->fd);
		if (i > 0)
			reader_room_release(&in->room);
	}
	if (p->input_count > 1) {
		fold_free(p->fold);
		p->fold = NULL;
	}
	p->input_count = 0;
}

static void
auto_inputs(struct project **p)
{
	drop_inputs(*p);
}

static int
open_input(struct project *p, struct project_input *in, const char *name,
    struct err *e)
{
	if (reader_open(in->fd, name, &in->reader, e) < 0)
		return -1;
	keyring_give(p->home, in->reader);
	if (reader_load(in->reader, &p->home->key.pub, &in->room, e) < 0 ||
	    check_volumes(p, in->reader, e) < 0)
		return -1;
	/* Once its files were encrypted, a stream's are for ever. */
	if (in->file.encrypted && !p->group.encrypted)
		return err_set(e, ERR_REFUSED,
		    "%s is encrypted, but the catalogue knows no key: nothing "
		    "is made of it in the open. Put the catalogue back "
		    "('aim-manager catalogue restore')",
		    name);
	return 0;
}

static int
make_room(struct project *p, struct project_input *in, struct err *e)
{
	size_t len = (size_t)in->file.raw_len;

	if (p->projection.layout.members == 0)
		return 0;
	in->laid_out = malloc(len + 1);
	if (in->laid_out == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	p->map.room = in->laid_out;
	p->map.room_end = in->laid_out + len;
	return 0;
}

/* Loads it, and takes what is left of its transactions. */
static int
add_input(struct project *p, const struct sealed_file *from, struct err *e)
{
	struct project_input *in = &p->inputs[p->input_count];
	int found = sealed_open_file(
	    &p->in, from->at.epoch_number, from->at.sequence, &in->fd, e);
	char name[JOURNAL_NAME_LEN];

	(void)journal_name(from->at.epoch_number, from->at.sequence, name);
	if (found <= 0)
		return found < 0 ? -1
				 : err_set(e, ERR_RETRY, "%s is gone", name);
	p->input_count++;
	in->file = *from;
	if (open_input(p, in, name, e) < 0 || make_room(p, in, e) < 0)
		return -1;
	p->input_bytes += from->raw_len;
	return gather(p, in->reader, find_targets(p, in->reader) > 0, e);
}

/* May the next file become part of the same one? An epoch or a copy-in begins
 * with its file, and ends with it. */
static bool
may_follow(const struct project *p, const struct sealed_file *next)
{
	const struct fold_op *last =
	    p->op_count == 0 ? NULL : &p->ops[p->op_count - 1];

	return p->input_count < PROJECT_INPUTS &&
	       p->input_bytes + next->raw_len <= PROJECT_BYTES &&
	       p->op_count + next->iocb_count <= JOURNAL_IOCB_LIMIT &&
	       !next->opens_epoch && next->kind == JOURNAL_PLAIN &&
	       (last == NULL ||
		   (last->b.op != OP_COPYIN_END && last->b.op != OP_GAP));
}

static int
add_inputs(struct project *p, const struct sealed_file *from, struct err *e)
{
	struct sealed_file next;
	int found = 1;

	p->op_count = 0;
	p->input_bytes = 0;
	memset(&p->now, 0, sizeof(p->now));
	if (add_input(p, from, e) < 0)
		return -1;
	while (p->projection.fold == FOLD_LAGGING && found == 1) {
		const struct position *at =
		    &p->inputs[p->input_count - 1].file.at;

		found = sealed_after(
		    &p->in, at->epoch_number, at->sequence, &next, e);
		if (found == 1 && !may_follow(p, &next))
			found = 0;
		if (found < 0 || (found == 1 && add_input(p, &next, e) < 0))
			return -1;
	}
	return 0;
}

static int
fold(struct project *p, struct fold_op **ops, size_t *count, bool *folded,
    struct err *e)
{
	*ops = p->ops;
	*count = p->op_count;
	*folded = false;
	if (p->projection.fold == FOLD_NONE)
		return 0;
	if (p->fold == NULL && fold_make(&p->fold, e) < 0)
		return -1;
	return fold_ops(p->fold, p->ops, p->op_count, ops, count, folded, e);
}

static int
make(struct project *p, const struct sealed_file *from, struct sealed_file *out,
    struct err *e)
{
	AUTO(auto_inputs) struct project *inputs = p;
	struct writer_spec spec;
	struct journal_header h;
	struct fold_op *ops;
	size_t count;
	bool folded;

	if (add_inputs(inputs, from, e) < 0 ||
	    fold(p, &ops, &count, &folded, e) < 0)
		return -1;
	fill_spec(p, folded, &spec);
	if (put_file(p, &spec, ops, count, &h, e) < 0)
		return -1;
	sealed_file_from(&h, out);
	p->cursor = p->inputs[p->input_count - 1].file.at;
	return 0;
}

int
project_file(struct project *p, const struct sealed_file *from, struct err *e)
{
	struct sealed_file made;

	if (make(p, from, &made, e) < 0)
		return err_at(e, "projection '%s'", p->projection.name);
	p->tip = made;
	p->has_cursor = true;
	p->sum.transactions_in += p->now.transactions_in;
	p->sum.transactions_out += p->now.transactions_out;
	p->sum.bytes_in += p->now.bytes_in;
	p->sum.bytes_out += p->now.bytes_out;
	return project_made(p, &made, e);
}
