/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expand: a volume grows by command. The stream gets RESIZE, at exactly the
 * point from which on writes may go beyond the old end, and EXPAND, whose
 * message id the mirrors return when they have grown.
 */
#include "aimdriver/control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct growth {
	struct capture *c;
	uint32_t volume;
};

static int64_t
grow_file(void *ctx, const void *data, uint64_t len, uint64_t off,
    uint64_t done, bool *clean)
{
	const struct growth *g = ctx;

	(void)data, (void)len, (void)done;
	*clean = true; /* unless it is done, it is of the old size still */
	/* A writer may have been faster; the size is locked now. */
	if (volume_real_size(g->c, g->volume) > (int64_t)off)
		return -EBUSY;
	if (ftruncate(g->c->volume_fd[g->volume], (off_t)off) == 0)
		return 0;
	return -errno;
}

/* Never smaller, whoever else changes the size meanwhile. */
static int
check_size(struct capture *c, uint32_t volume, uint64_t size, struct err *e)
{
	const struct control_volume *v = &c->ctl->volume[volume];
	uint64_t has = atomic_load(&v->size);
	struct volume_seen seen;

	if (size > INT64_MAX)
		return err_set(
		    e, ERR_REFUSED, "%ju bytes are too many", (uintmax_t)size);
	if (size < has)
		return err_set(e, ERR_REFUSED,
		    "it has %ju bytes, and a volume is never made smaller by "
		    "this command",
		    (uintmax_t)has);
	if (v->kind != VOLUME_BLOCK)
		return 0;
	if (volume_look_path(c, volume, &seen, e) < 0)
		return -1;
	if (seen.size < size)
		return err_set(e, ERR_REFUSED,
		    "the device has %ju bytes, less than %ju: enlarge it first "
		    "(lvextend, losetup -c, ...), then run this again",
		    (uintmax_t)seen.size, (uintmax_t)size);
	atomic_store(&c->ctl->volume[volume].seen_size, seen.size);
	return 0;
}

/*
 * Everything is locked. Whoever settles after our death goes by the size in
 * shared memory: it is changed while RESIZE is published and EXPAND is not.
 */
static int
grow_device(struct capture *c, uint32_t volume, uint64_t size,
    const uint8_t *note, uint64_t *number, struct err *e)
{
	struct control_volume *v = &c->ctl->volume[volume];
	struct want w[2] = {{.op = OP_RESIZE,
				.volume = volume,
				.off = size,
				.len = atomic_load(&v->size)},
	    {.op = OP_EXPAND,
		.volume = volume,
		.room = CONTROL_NOTE_LEN,
		.len = CONTROL_NOTE_LEN}};
	struct ticket t[2];

	if (atomic_load(&c->ctl->marks) != MARK_WRITING && reserve_mark(c) < 0)
		return err_set(e, ERR_FATAL, "%s", c->trouble);
	if (reserve(c, w, 2, true, SEGMENT_ALIGN, t) != RESERVE_OK)
		return err_set(e, ERR_RETRY, "%s", c->trouble);
	*number = t[1].slot->number;
	ticket_publish(c, &t[0], 0);
	volume_sized(v, size);
	slot_finish(t[0].slot, SLOT_DONE, size);
	memcpy(t[1].data, note, CONTROL_NOTE_LEN);
	ticket_publish(c, &t[1], CONTROL_NOTE_LEN);
	slot_finish(t[1].slot, SLOT_DONE, CONTROL_NOTE_LEN);
	return control_sync_all(c, e);
}

static int
expand_device(struct capture *c, uint32_t volume, uint64_t size,
    const uint8_t *note, uint64_t *number, struct err *e)
{
	struct hold h;
	int r;

	hold_everything(&h);
	if (hold_take_settled(c, &h, e) < 0)
		return -1;
	r = check_size(c, volume, size, e);
	if (r == 0 && size > atomic_load(&c->ctl->volume[volume].size))
		r = grow_device(c, volume, size, note, number, e) < 0 ? -1 : 1;
	hold_release(c, &h);
	return r;
}

static int
expand_file(struct capture *c, uint32_t volume, uint64_t size,
    const uint8_t *note, uint64_t *number, struct err *e)
{
	struct growth g = {.c = c, .volume = volume};
	struct capture_req req = {.volume = volume,
	    .op = OP_RESIZE,
	    .place = CAPTURE_AT,
	    .off = size,
	    .ctx = &g,
	    .issue = grow_file};
	int64_t r;

	if (check_size(c, volume, size, e) < 0)
		return -1;
	if (size == atomic_load(&c->ctl->volume[volume].size))
		return 0;
	r = capture_submit(c, &req);
	if (r < 0)
		return err_set(e, r == -EIO ? ERR_FATAL : ERR_REFUSED,
		    "cannot make it %ju bytes long: %s", (uintmax_t)size,
		    strerror((int)-r));
	return capture_control(
		   c, OP_EXPAND, note, CONTROL_NOTE_LEN, number, e) < 0
		   ? -1
		   : 1;
}

int
capture_expand(struct capture *c, uint32_t volume, uint64_t size,
    const struct control_note *note, uint64_t *number, struct err *e)
{
	uint8_t bytes[CONTROL_NOTE_LEN];
	int r;

	if (volume >= c->volume_count || (c->flags & CAPTURE_WRITER) == 0)
		return err_set(e, ERR_REFUSED, "no such volume");
	if (!is_capturing(c))
		return err_set(e, ERR_REFUSED,
		    "nothing is captured in this group: its next base takes "
		    "the volumes as large as they are then");
	control_note_encode(note, bytes);
	r = c->ctl->volume[volume].kind == VOLUME_BLOCK
		? expand_device(c, volume, size, bytes, number, e)
		: expand_file(c, volume, size, bytes, number, e);
	/* The mirrors are to say that they have that size, too. */
	if (r == 0 &&
	    capture_control(c, OP_EXPAND, bytes, sizeof(bytes), number, e) < 0)
		return -1;
	if (r >= 0)
		capture_request_seal(c, *number);
	return r;
}
