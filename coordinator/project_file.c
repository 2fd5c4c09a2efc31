/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project_file: a file of the group is read whole into memory and verified
 * there; what is left of its transactions goes into a file that covers the
 * same range of numbers.
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
drop_reader(struct reader **r)
{
	reader_close(*r);
}

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
		struct project_op *more =
		    reallocarray(p->ops, room, sizeof(*more));

		if (more == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		p->ops = more;
		p->op_room = room;
	}
	p->ops[p->op_count++] = (struct project_op){*b, data};
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
		p->transactions_in++;
		p->bytes_in += data != NULL ? in.len : 0;
		if (in.op == OP_COPYIN_BEGIN && !begins)
			continue;
		if (projection_take(&p->map, &in, data, &out, &data) &&
		    add_op(p, &out, data, e) < 0)
			return -1;
	}
	return more;
}

static void
fill_table(struct project *p, const struct reader *r)
{
	uint32_t i;

	for (i = 0; i < p->projection.part_count; i++)
		reader_volume(r, p->projection.parts[i].volume, &p->table[i]);
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

static void
fill_spec(struct project *p, const struct reader *r, struct writer_spec *spec)
{
	const struct journal_header *from = reader_header(r);
	uint32_t targets = find_targets(p, r);

	*spec = (struct writer_spec){
	    .header = {.incompat = from->incompat & JOURNAL_INCOMPAT_BREAK,
		.compat = from->compat & JOURNAL_COMPAT_EPOCH_OPEN,
		.kind = targets > 0 ? JOURNAL_COPYIN_OPEN : JOURNAL_PLAIN,
		.stream = p->projection.stream,
		.group = from->group,
		.site = from->site,
		.epoch = from->epoch,
		.epoch_number = from->epoch_number,
		.first = from->first,
		.last = from->last,
		.first_time_ns = from->first_time_ns,
		.last_time_ns = from->last_time_ns,
		.sealed_time_ns = from->sealed_time_ns,
		.parent_epoch = from->parent_epoch,
		.parent_epoch_number = from->parent_epoch_number,
		.fork = from->fork,
		.volume_count = p->projection.part_count,
		.target_count = targets},
	    .volumes = p->table,
	    .targets = p->targets,
	    .codec = p->group.codec,
	    .level = p->group.codec_level,
	    .key = &p->home->key,
	    .group_key = p->group.encrypted ? &p->key : NULL,
	};
	fill_table(p, r);
	fill_chain(p, from, &spec->header);
}

static int
write_ops(struct project *p, int fd, struct writer_spec *spec,
    struct journal_header *out, struct err *e)
{
	AUTO(drop_writer) struct writer *w = NULL;
	size_t i;

	spec->iocb_count = (uint32_t)p->op_count;
	if (writer_open(fd, spec, &w, e) < 0)
		return -1;
	for (i = 0; i < p->op_count; i++) {
		const struct project_op *op = &p->ops[i];

		if (writer_add(w, &op->b, op->data, e) < 0)
			return -1;
		p->transactions_out++;
		p->bytes_out += op->data != NULL ? op->b.len : 0;
	}
	return writer_finish(w, out, e);
}

static int
put_file(struct project *p, struct writer_spec *spec,
    struct journal_header *out, struct err *e)
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
	if (write_ops(p, fd, spec, out, e) < 0) {
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

static int
project_open_file(struct project *p, const struct sealed_file *from,
    const char *name, int fd, struct reader **out, struct err *e)
{
	if (reader_open(fd, name, out, e) < 0)
		return -1;
	keyring_give(p->home, *out);
	if (reader_load(*out, &p->home->key.pub, &p->room, e) < 0 ||
	    check_volumes(p, *out, e) < 0)
		return -1;
	/* Once its files were encrypted, a stream's are for ever. */
	if (from->encrypted && !p->group.encrypted)
		return err_set(e, ERR_REFUSED,
		    "%s is encrypted, but the catalogue knows no key: nothing "
		    "is made of it in the open. Put the catalogue back "
		    "('aim-manager catalogue restore')",
		    name);
	return 0;
}

int
project_file(struct project *p, const struct sealed_file *from, struct err *e)
{
	AUTO(drop_reader) struct reader *r = NULL;
	char name[JOURNAL_NAME_LEN];
	struct sealed_file made;
	struct writer_spec spec;
	struct journal_header h;
	AUTO_CLOSE int fd = -1;
	int found = sealed_open_file(
	    &p->in, from->at.epoch_number, from->at.sequence, &fd, e);

	(void)journal_name(from->at.epoch_number, from->at.sequence, name);
	if (found <= 0)
		return found < 0 ? -1
				 : err_set(e, ERR_RETRY, "%s is gone", name);
	if (project_open_file(p, from, name, fd, &r, e) < 0)
		return err_at(e, "projection '%s'", p->projection.name);
	fill_spec(p, r, &spec);
	p->op_count = 0;
	if (gather(p, r, spec.header.target_count > 0, e) < 0 ||
	    put_file(p, &spec, &h, e) < 0)
		return err_at(e, "projection '%s'", p->projection.name);
	sealed_file_from(&h, &made);
	p->tip = made;
	p->cursor = from->at;
	p->has_cursor = true;
	return project_made(p, &made, e);
}
