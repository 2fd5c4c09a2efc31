/* SPDX-License-Identifier: Apache-2.0 */
/* status: positions, modes, notes and the clean close of a group. */
#include "aimdriver/activity.h"
#include "aimdriver/seen.h"

#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool
somebody_writes(const struct capture *c)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(c->attached_fd, F_OFD_GETLK, &l) == 0 &&
	       l.l_type != F_UNLCK;
}

static void
count_segments(struct capture *c, struct capture_status *out)
{
	uint32_t i, top = atomic_load(&c->ctl->top);

	for (i = 0; i < top && i < CONTROL_SEGMENTS; i++) {
		if (atomic_load(&c->ctl->segment[i].place) == PLACE_ABSENT)
			continue;
		out->segments++;
		out->segment_bytes += SEGMENT_STRIDE;
		if (atomic_load(&c->ctl->segment[i].in_use) == 0)
			out->segments_free++;
	}
}

void
capture_status(struct capture *c, struct capture_status *out)
{
	const struct control *ctl = c->ctl;
	uint32_t marks = atomic_load(&ctl->marks), segment, slot;
	struct place p = place_split(atomic_load(&ctl->word));

	*out = (struct capture_status){
	    .mode = (enum capture_mode)p.mode,
	    .policy = (enum capture_policy)atomic_load(&ctl->policy),
	    .completed = settled_upto(c) - 1,
	    .sealed = atomic_load(&ctl->sealed),
	    .sealed_request = atomic_load(&ctl->seal_request),
	    .unsealed_bytes =
		atomic_load(&ctl->bytes) - atomic_load(&ctl->sealed_bytes),
	    .spool_bytes = atomic_load(&ctl->spool_bytes),
	    .spool_limit = atomic_load(&ctl->spool_limit),
	    .waiting = atomic_load(&ctl->waiting),
	    .unclean = (marks & MARK_UNCLEAN) != 0,
	    .needs_recovery = atomic_load(&ctl->needs_recovery) != 0,
	    .lost = atomic_load(&ctl->needs_recovery) == RECOVERY_LOST,
	    .suspect = atomic_load(&ctl->suspect) != 0,
	    .needs_redo = atomic_load(&ctl->needs_redo) != 0,
	    .attached = somebody_writes(c),
	    .boots = atomic_load(&ctl->boots),
	};
	out->reserved = next_number(c) - 1;
	if (out->reserved > out->sealed &&
	    segment_find(c, out->sealed + 1, &segment, &slot))
		out->oldest_unsealed_ns =
		    segment_slot(c, segment, slot)->time_ns;
	count_segments(c, out);
	commit_status(c, out);
}

void
capture_request_seal(struct capture *c, uint64_t upto)
{
	uint64_t was = atomic_load(&c->ctl->seal_request);

	while (was < upto &&
	       !atomic_compare_exchange_weak(&c->ctl->seal_request, &was, upto))
		continue;
	ring(c);
}

void
capture_wait(struct capture *c, uint32_t wait_ms)
{
	struct control *ctl = c->ctl;

	atomic_store(&ctl->listening, 1);
	if (atomic_load(&ctl->doorbell) == c->bell_seen)
		(void)futex_wait_ms(&ctl->doorbell, c->bell_seen, wait_ms);
	atomic_store(&ctl->listening, 0);
	c->bell_seen = atomic_load(&ctl->doorbell);
}

void
capture_set_spool(struct capture *c, uint64_t bytes, uint64_t limit,
    enum capture_policy policy)
{
	struct control *ctl = c->ctl;

	atomic_store(&ctl->policy, policy);
	atomic_store(&ctl->spool_limit, limit);
	atomic_store(&ctl->spool_bytes, bytes);
	tell_room(c);
}

/* ---- notes: transactions without a range, under the notes lock ---- */

static enum reserve_result
put_note(struct capture *c, const struct want *w, const void *payload,
    bool free, uint64_t *number)
{
	enum reserve_result r;
	struct ticket t;

	if (atomic_load(&c->ctl->marks) != MARK_WRITING && reserve_mark(c) < 0)
		return RESERVE_FAILED;
	r = reserve(c, w, 1, free, SEGMENT_ALIGN, &t);
	if (r != RESERVE_OK)
		return r;
	*number = t.slot->number;
	if (w->room > 0)
		memcpy(t.data, payload, w->room);
	ticket_publish(c, &t, w->room);
	slot_finish(t.slot, SLOT_DONE, w->op == OP_RESIZE ? w->off : w->room);
	return RESERVE_OK;
}

static int
hold_notes(struct capture *c, struct hold *h, struct err *e)
{
	*h = (struct hold){.want_notes = true};
	return c->recording ? 0 : hold_take_settled(c, h, e);
}

int
capture_flushed(struct capture *c, uint32_t volume)
{
	struct want w = {.op = OP_FLUSH, .volume = volume};
	struct hold h;
	enum reserve_result r = RESERVE_OK;
	int was = errno, cancel;
	uint64_t number;
	struct err e;

	if (volume >= c->volume_count)
		return -EINVAL;
	if (!is_capturing(c))
		return 0;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (hold_notes(c, &h, &e) == 0) {
		r = put_note(c, &w, NULL, false, &number);
		hold_release(c, &h);
	} else
		r = RESERVE_FAILED;
	(void)pthread_setcancelstate(cancel, NULL);
	errno = was;
	/* A full spool has no room for news that change nothing. */
	return r == RESERVE_FAILED ? -EIO : 0;
}

int
capture_control(struct capture *c, enum aim_op op, const void *payload,
    uint32_t len, uint64_t *number, struct err *e)
{
	struct want w = {.op = op, .room = len, .len = len};
	struct hold h;
	enum reserve_result r;

	if (len > 65536 || !op_is_known(op) || op == OP_RESIZE ||
	    (op_has_range(op)) || (len > 0 && !op_has_data(op)))
		return err_set(e, ERR_REFUSED,
		    "%s with %u bytes is no control transaction", op_name(op),
		    len);
	if (is_passing_through(c))
		return err_set(e, ERR_REFUSED,
		    "nothing is captured in this group until there is room in "
		    "its spool again, or it is recovered");
	if (!is_capturing(c))
		return err_set(e, ERR_REFUSED,
		    "nothing is captured in this group yet: it needs a base");
	if (copyins_note(c, op, e) < 0 || hold_notes(c, &h, e) < 0)
		return err_at(e, "put %s into the stream", op_name(op));
	r = put_note(c, &w, payload, true, number);
	hold_release(c, &h);
	switch (r) {
	case RESERVE_OK:
		return 0;
	case RESERVE_MODE:
		return err_set(e, ERR_REFUSED, "capture is off for this group");
	case RESERVE_FULL:
		return err_set(e, ERR_FULL, "%s", c->trouble);
	case RESERVE_FAILED:
		break;
	}
	return err_set(e, ERR_FATAL, "%s", c->trouble);
}

/* Sizes that changed outside AIM, for the stream. Everything is locked. */
int
volumes_note_resizes(struct capture *c, struct err *e)
{
	uint32_t i;

	if (!is_capturing(c))
		return 0;
	for (i = 0; i < c->volume_count; i++) {
		struct want w = {.op = OP_RESIZE, .volume = i};
		struct volume_seen seen;
		uint64_t number;

		if (c->ctl->volume[i].kind != VOLUME_FILE)
			continue;
		if (volume_look_path(c, i, &seen, e) < 0)
			return -1;
		w.off = seen.size;
		w.len = atomic_load(&c->ctl->volume[i].size);
		if (w.off == w.len)
			continue;
		if (put_note(c, &w, NULL, true, &number) != RESERVE_OK)
			return err_set(e, ERR_FATAL, "%s", c->trouble);
		atomic_store(&c->ctl->volume[i].stream_size, w.off);
	}
	return 0;
}

/* ---- modes ---- */

static int
store_mode(struct capture *c, enum capture_mode mode, struct err *e)
{
	struct place p;
	uint32_t i;

	if (mode == CAPTURE_ON) {
		if (volumes_sync(c, e) < 0 || volumes_note(c, false, e) < 0)
			return -1;
		for (i = 0; i < c->volume_count; i++)
			volume_sized(&c->ctl->volume[i],
			    atomic_load(&c->ctl->volume[i].seen_size));
		atomic_fetch_or(&c->ctl->marks, MARK_TIMES);
	}
	if (!reserve_lock(c))
		return err_set(e, ERR_RETRY, "%s", c->trouble);
	p = place_split(atomic_load(&c->ctl->word));
	p.mode = (uint32_t)mode;
	atomic_store(&c->ctl->word, place_join(p));
	unlock_plain(c, &c->ctl->reserve);
	return control_sync_all(c, e);
}

int
capture_set_mode(struct capture *c, enum capture_mode mode, struct err *e)
{
	struct hold h;
	int r = 0;

	if (mode != CAPTURE_OFF && mode != CAPTURE_ON &&
	    mode != CAPTURE_PASSTHROUGH)
		return err_set(e, ERR_REFUSED, "no such mode");
	if (mode == CAPTURE_ON && atomic_load(&c->ctl->needs_recovery) != 0)
		return err_set(e, ERR_REFUSED,
		    "the group was not closed cleanly before the machine "
		    "stopped: it must be recovered first");
	/* What is redone is captured by nobody: it comes before a copy. */
	if (mode == CAPTURE_ON && atomic_load(&c->ctl->needs_redo) != 0)
		return err_set(e, ERR_REFUSED,
		    "a volume is to be redone from the log of commit=wal: "
		    "start its nbdkit");
	/* The long part without the locks. */
	if (mode == CAPTURE_ON && volumes_sync(c, e) < 0)
		return err_at(e, "change the mode");
	hold_everything(&h);
	if (hold_take_settled(c, &h, e) < 0)
		return err_at(e, "change the mode");
	if (place_split(atomic_load(&c->ctl->word)).mode != (uint32_t)mode)
		r = store_mode(c, mode, e);
	hold_release(c, &h);
	return r < 0 ? err_at(e, "change the mode") : 0;
}

int
capture_recover(struct capture *c, uint64_t next, struct err *e)
{
	struct hold h;
	int r = -1;

	if (next == 0 || next > UINT64_C(1) << 62)
		return err_set(e, ERR_REFUSED, "no such transaction number");
	if (atomic_load(&c->ctl->needs_redo) != 0)
		return err_set(e, ERR_REFUSED,
		    "a volume is to be redone from the log of commit=wal: "
		    "start its nbdkit");
	hold_everything(&h);
	if (hold_take_settled(c, &h, e) < 0)
		return err_at(e, "recover the group");
	if (atomic_load(&c->ctl->needs_recovery) == 0 &&
	    atomic_load(&c->ctl->suspect) == 0 && next == next_number(c))
		(void)err_set(e, ERR_REFUSED, "the group needs no recovery");
	else if (!reserve_lock(c))
		(void)err_set(e, ERR_RETRY, "%s", c->trouble);
	else {
		/* Mirrors have a base: what is written is remembered. */
		control_empty(c, next,
		    place_split(atomic_load(&c->ctl->word)).mode == CAPTURE_OFF
			? CAPTURE_OFF
			: CAPTURE_PASSTHROUGH);
		unlock_plain(c, &c->ctl->reserve);
		atomic_store(&c->ctl->needs_recovery, 0);
		atomic_store(&c->ctl->suspect, 0);
		r = control_sync_all(c, e);
	}
	hold_release(c, &h);
	return r < 0 ? err_at(e, "recover the group") : 0;
}

/* ---- clean ---- */

static bool
is_all_sealed(struct capture *c)
{
	uint64_t next = next_number(c);

	return !is_passing_through(c) &&
	       atomic_load(&c->ctl->sealed) + 1 == next &&
	       settled_upto(c) == next &&
	       atomic_load(&c->ctl->needs_recovery) == 0;
}

/* What was kept aside. Somebody may have put a folder into a file's place:
 * what is in it is not ours. */
static int
remove_broken(struct capture *c, const char *name, struct err *e)
{
	struct err why = {0};

	if (io_remove(c->dir, name, &why) == 0)
		return 0;
	if (why.sys != EISDIR)
		return err_set(e, why.kind, "%s", why.text);
	(void)unlinkat(c->dir, name, AT_REMOVEDIR);
	return 0;
}

/* Everything is locked. */
static int
close_locked(struct capture *c, struct err *e)
{
	if (!is_all_sealed(c))
		return 0;
	/* All of it first, then the mark: what is on disk when the mark is
	 * gone is what the next boot goes by. */
	if (volumes_sync(c, e) < 0 || volumes_note(c, false, e) < 0 ||
	    activity_reset(c, e) < 0 || control_sync_all(c, e) < 0)
		return -1;
	atomic_store(&c->ctl->marks, MARK_TIMES);
	if (control_sync_marks(c, e) < 0) {
		atomic_store(&c->ctl->marks, MARK_TIMES | MARK_UNCLEAN);
		return -1;
	}
	if (remove_broken(c, "segments.broken", e) < 0 ||
	    remove_broken(c, "control.broken", e) < 0)
		return -1;
	return 1;
}

int
capture_close_clean(struct capture *c, struct err *e)
{
	struct hold h;
	int r;

	if ((atomic_load(&c->ctl->marks) & MARK_UNCLEAN) == 0)
		return 1;
	if (!is_all_sealed(c))
		return 0;
	/* The long part without the locks. */
	if (volumes_sync(c, e) < 0 || seen_store(c, e) < 0)
		return err_at(e, "close the group");
	hold_everything(&h);
	if (hold_take_settled(c, &h, e) < 0)
		return err_at(e, "close the group");
	r = close_locked(c, e);
	hold_release(c, &h);
	return r < 0 ? err_at(e, "close the group") : r;
}
