/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: writes that the disk has seen already go into the stream, as a log
 * of them tells (capture.h).
 *
 * Nothing is issued, so there is nothing to settle: a recorded transaction
 * that is published is whole, whatever the disk holds by now (later writes of
 * the same log, mostly). SLOT_RECORDED says so to whoever finds it.
 *
 * A log must not be recorded from before a copy-in has read the disk, or
 * while one does: the stream would go back in time. The file `copyins` of the
 * group says when the last one was; it is written before the copy-in's BEGIN
 * and END are in the stream.
 */
#include "aimdriver/activity.h"
#include "aimdriver/control.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
check(const struct capture *c, const struct capture_record *r, struct err *e)
{
	uint64_t end;

	if (r->volume >= c->volume_count || (c->flags & CAPTURE_RECORDER) == 0)
		return err_set(
		    e, ERR_FATAL, "no volume %u to record for", r->volume);
	if ((r->op != OP_WRITE && r->op != OP_ZERO && r->op != OP_DISCARD) ||
	    r->len == 0 || (r->op == OP_WRITE && r->len > CAPTURE_CHUNK))
		return err_set(e, ERR_FATAL,
		    "%s of %" PRIu64 " bytes cannot be recorded",
		    op_name(r->op), r->len);
	if (__builtin_add_overflow(r->off, r->len, &end) ||
	    end > atomic_load(&c->ctl->volume[r->volume].size))
		return err_set(e, ERR_REFUSED,
		    "%" PRIu64 " bytes at %" PRIu64
		    " are beyond the end of the volume",
		    r->len, r->off);
	return 0;
}

/* 1: there was no room and no lock is held; try again. */
static int
no_room(struct capture *c, const struct capture_record *r, struct err *e)
{
	struct control *ctl = c->ctl;
	uint32_t seen = atomic_load(&ctl->room);

	if (atomic_load(&ctl->policy) == CAPTURE_FAIL)
		return err_set(e, ERR_FULL, "there is no room in the spool");
	if (r->interrupted != NULL && r->interrupted(r->ctx))
		return err_set(e, ERR_RETRY, "interrupted");
	ring(c);
	(void)futex_wait_ms(&ctl->room, seen, 100);
	return 1;
}

/*
 * What a log has and the stream not yet is on the disk already, anywhere: after
 * a crash the whole volume is to be compared. It lasts until a clean close.
 */
static int
mark_whole(struct capture *c, uint32_t volume)
{
	struct err e;
	int r;

	if (atomic_load(&c->activity[volume].all) != 0)
		return 0;
	if (!activity_lock(c))
		return -1;
	r = activity_mark_all(c, volume, &e);
	activity_unlock(c);
	return r < 0 ? trouble(c, "%s", e.text) : 0;
}

/* Into the segment; returns what payload_hash says of it. */
static uint64_t
copy_in(uint8_t *to, const void *data, uint64_t len)
{
	if (payload_copy_works(len))
		return payload_copy(to, data, len);
	memcpy(to, data, len);
	return payload_hash(to, len);
}

/* With the range locked. */
static enum reserve_result
put(struct capture *c, const struct capture_record *r)
{
	struct want w = {.op = r->op,
	    .flags = (r->flags & IOCB_FUA) | SLOT_RECORDED,
	    .volume = r->volume,
	    .room = r->op == OP_WRITE ? (uint32_t)r->len : 0,
	    .off = r->off,
	    .len = r->len};
	enum reserve_result got;
	struct ticket t;

	if (mark_whole(c, r->volume) < 0 || reserve_mark(c) < 0)
		return RESERVE_FAILED;
	got = reserve(c, &w, 1, false, SEGMENT_ALIGN, &t);
	if (got != RESERVE_OK)
		return got;
	if (w.room > 0) {
		uint64_t hash = copy_in(t.data, r->data, w.room);

		step(STEP_COPIED);
		ticket_publish_hashed(c, &t, hash);
	} else
		ticket_publish(c, &t, 0);
	step(STEP_PUBLISHED);
	slot_finish(t.slot, SLOT_DONE, r->len);
	step(STEP_DONE);
	return RESERVE_OK;
}

int
capture_recording_begin(struct capture *c, struct err *e)
{
	struct hold h;

	if (c->recording)
		return 0;
	hold_everything(&h);
	if (hold_take_settled(c, &h, e) < 0)
		return err_at(e, "record writes");
	c->recording = true;
	return 0;
}

void
capture_recording_end(struct capture *c)
{
	struct hold h;

	if (!c->recording)
		return;
	c->recording = false;
	hold_everything(&h);
	h.notes = h.stripes = true;
	hold_release(c, &h);
}

int
capture_record(struct capture *c, const struct capture_record *r, struct err *e)
{
	int again = 1;

	if (check(c, r, e) < 0)
		return -1;
	while (again == 1) {
		struct hold h = {.volume = r->volume};
		enum reserve_result got;

		hold_range(c, &h, r->off, r->len);
		if (!c->recording && hold_take_settled(c, &h, e) < 0)
			return err_at(e, "record a write");
		got = put(c, r);
		hold_release(c, &h);
		switch (got) {
		case RESERVE_OK:
			return 0;
		case RESERVE_FULL:
			capture_recording_end(c);
			again = no_room(c, r, e);
			break;
		case RESERVE_MODE:
			return err_set(e, ERR_REFUSED,
			    "nothing is captured in this group now");
		case RESERVE_FAILED:
			return err_set(e, ERR_FATAL, "%s", c->trouble);
		}
	}
	return again;
}

int
capture_reread(struct capture *c, uint32_t volume, uint64_t off, uint64_t end,
    uint64_t *done, struct err *e)
{
	struct hold h = {.volume = volume};
	int64_t n = -EIO;

	if (volume >= c->volume_count || c->volume_fd[volume] < 0 ||
	    off >= end || end > atomic_load(&c->ctl->volume[volume].size))
		return err_set(e, ERR_REFUSED,
		    "no such range of volume %u to read", volume);
	if (end - off > CAPTURE_CHUNK)
		end = off + CAPTURE_CHUNK;
	capture_recording_end(c);
	hold_range(c, &h, off, end - off);
	if (hold_take_settled(c, &h, e) < 0)
		return err_at(e, "read the disk again");
	if (reserve_mark(c) == 0)
		n = extent_capture(c, volume, off, end, true);
	hold_release(c, &h);
	if (n <= 0) {
		errno = n < 0 ? (int)-n : EIO;
		return err_sys(e, "read %s at %" PRIu64 " again",
		    c->ctl->volume[volume].path, off);
	}
	*done = (uint64_t)n;
	return 0;
}

void
capture_suspect(struct capture *c)
{
	atomic_store(&c->ctl->suspect, 1);
	ring(c);
}

/* ---- copy-ins ---- */

static int
note_copyin(struct capture *c, enum aim_op op, struct err *e)
{
	struct capture_copyins was;
	char text[64];
	int n;

	if (capture_copyins(c, &was, e) < 0)
		return -1;
	n = snprintf(text, sizeof(text), "%" PRIu64 " %d\n",
	    was.count + (op == OP_COPYIN_BEGIN ? 1 : 0),
	    op == OP_COPYIN_BEGIN ? 1 : 0);
	return io_write_file(c->dir, "copyins", text, (size_t)n, 0660, e);
}

int
copyins_note(struct capture *c, enum aim_op op, struct err *e)
{
	struct err why;
	int r;

	if (op == OP_COPYIN_END)
		return note_copyin(c, op, e);
	if (op != OP_COPYIN_BEGIN)
		return 0;
	/* A recorder has it alone, and looks once it has it. */
	if (io_lock(c->attached_fd, false, e) < 0) {
		if (e->kind == ERR_RETRY)
			return err_set(e, ERR_RETRY,
			    "a log is being imported into %s: the copy-in "
			    "begins after that",
			    c->where);
		return err_at(e, "%s", c->where);
	}
	r = note_copyin(c, op, e);
	if (io_unlock(c->attached_fd, &why) < 0 && r == 0) {
		*e = why;
		r = -1;
	}
	return r;
}

int
capture_copyins(struct capture *c, struct capture_copyins *out, struct err *e)
{
	AUTO(buf_release) struct buf text = {0};
	struct capture_copyins n = {0};
	char *rest;

	if (io_read_file(c->dir, "copyins", 64, &text, e) < 0) {
		if (e->sys != ENOENT)
			return -1;
		*out = n;
		return 0;
	}
	if (buf_add(&text, "", 1, e) < 0)
		return -1;
	n.count = strtoull((const char *)text.data, &rest, 10);
	n.running = strcmp(rest, " 1\n") == 0;
	if (!n.running && strcmp(rest, " 0\n") != 0)
		return err_set(e, ERR_CORRUPT,
		    "%s/copyins is damaged; remove it, then run 'aim-manager "
		    "base'",
		    c->where);
	*out = n;
	return 0;
}
