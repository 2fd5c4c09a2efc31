/* SPDX-License-Identifier: Apache-2.0 */
/* ship_send: files, in order, so many ahead of what is stored. */
#include "coordinator/ship.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Nothing moved for so long: a file may have been lost over there. */
#define RESEND_NS UINT64_C(30000000000)

static void
set_cursor(
    struct ship *s, uint32_t epoch_number, uint64_t sequence, uint64_t last)
{
	s->has_cursor = true;
	s->epoch_number = epoch_number;
	s->sequence = sequence;
	s->sent = last;
	s->ring_first = s->ring_count = 0;
	s->ring_bytes = 0;
	s->moved_ns = clock_mono_ns();
	s->doubt = true;
}

void
ship_again(struct ship *s)
{
	s->has_cursor = false;
}

/* The copy-in's beginning is not in a file: not yet, or not any more. */
static int
check_begin(struct ship *s, struct err *e)
{
	struct sealed_file oldest;
	int found = sealed_skip(&s->sealed, 0, 0, &oldest, e);

	if (found <= 0 || oldest.first <= s->job.begin)
		return found < 0 ? -1 : 0;
	return err_set(e, ERR_REFUSED,
	    "the file in which the base of this mirror begins (transaction "
	    "%ju) is not here any more: take a new base",
	    (uintmax_t)s->job.begin);
}

/* The first file for a destination that has acknowledged nothing. */
static int
find_first(struct ship *s, struct err *e)
{
	uint64_t wanted[2] = {s->job.from, s->job.begin};
	struct sealed_file f;
	int i, found = 0;

	for (i = 0; i < 2 && found == 0; i++)
		if (wanted[i] > 0)
			found = sealed_find(&s->sealed, wanted[i], &f, e);
	if (found == 0 && s->job.begin > 0)
		return check_begin(s, e);
	if (found != 1)
		return found;
	if (ship_hub_begin(s, f.at.epoch_number, f.at.sequence, e) < 0)
		return -1;
	set_cursor(s, f.at.epoch_number, f.at.sequence - 1, f.first - 1);
	return 1;
}

/* The same at or for a relay. */
static int
find_relayed(struct ship *s, struct err *e)
{
	struct position before;
	struct sealed_file f;
	int found = ship_first(s, &before, e);

	if (found <= 0)
		return found;
	found = sealed_after(
	    &s->sealed, before.epoch_number, before.sequence, &f, e);
	if (found < 0 || (found == 1 && ship_hub_begin(s, f.at.epoch_number,
					    f.at.sequence, e) < 0))
		return -1;
	set_cursor(s, before.epoch_number, before.sequence, before.last);
	return 1;
}

/* 1 when it is known what comes next, 0 when there is nothing to send yet. */
static int
find_cursor(struct ship *s, struct err *e)
{
	const struct position *p = &s->ack.stored;

	if (s->has_cursor)
		return 1;
	if (!s->has_ack || position_is_nil(p))
		return ship_is_relay(s) || s->destination.forward
			   ? find_relayed(s, e)
			   : find_first(s, e);
	set_cursor(s, p->epoch_number, p->sequence, p->last);
	return 1;
}

static bool
is_after(uint32_t epoch, uint64_t sequence, const struct position *p)
{
	return epoch != p->epoch_number ? epoch > p->epoch_number
					: sequence > p->sequence;
}

void
ship_stored(struct ship *s)
{
	const struct position *p = &s->ack.stored;
	bool moved = false;

	while (s->ring_count > 0) {
		const struct ship_sent *f = &s->ring[s->ring_first];

		if (is_after(f->epoch_number, f->sequence, p))
			break;
		s->ring_bytes -= f->len;
		s->ring_first = (s->ring_first + 1) % SHIP_AHEAD_FILES;
		s->ring_count--;
		moved = true;
	}
	if (moved) {
		s->moved_ns = clock_mono_ns();
		s->resends = 0;
	}
	/* The other side has more than we thought, or lost what it had. */
	if (s->has_cursor && s->ring_count == 0 &&
	    (s->epoch_number != p->epoch_number || s->sequence != p->sequence))
		ship_again(s);
}

static void
remember(struct ship *s, const struct sealed_file *f)
{
	uint32_t at = (s->ring_first + s->ring_count) % SHIP_AHEAD_FILES;

	s->ring[at] = (struct ship_sent){.epoch_number = f->at.epoch_number,
	    .sequence = f->at.sequence,
	    .last = f->at.last,
	    .len = f->file_len};
	s->ring_count++;
	s->ring_bytes += f->file_len;
	s->epoch_number = f->at.epoch_number;
	s->sequence = f->at.sequence;
	s->sent = f->at.last;
	s->moved_ns = clock_mono_ns();
}

/* Half of the window is taken: what was stored meanwhile frees it before it is
 * shut, and the way there does not run dry. */
static bool
fills_up(const struct ship *s)
{
	return s->ring_count >= s->ahead / 2 ||
	       s->ring_bytes >= SHIP_AHEAD_BYTES / 2;
}

static bool
has_room(const struct ship *s)
{
	return s->ring_count < s->ahead && ship_may_send(s) &&
	       (s->ring_count == 0 || s->ring_bytes < SHIP_AHEAD_BYTES);
}

/*
 * A file may be seen before its name is durable here, and nobody else may have
 * what a power cut could take from us. So the folder is synced, once for this
 * file and those that are there after it.
 */
static int
make_durable(struct ship *s, const struct sealed_file *f, struct err *e)
{
	uint64_t sequence = f->at.sequence;
	char name[JOURNAL_NAME_LEN];

	if (f->at.epoch_number == s->synced_epoch &&
	    sequence <= s->synced_sequence)
		return 0;
	while (sequence - f->at.sequence < SHIP_AHEAD_FILES &&
	       faccessat(s->sealed.dir,
		   journal_name(f->at.epoch_number, sequence + 1, name), F_OK,
		   AT_SYMLINK_NOFOLLOW) == 0)
		sequence++;
	if (io_fsync(s->sealed.dir, "the folder of sealed files", e) < 0)
		return -1;
	s->synced_epoch = f->at.epoch_number;
	s->synced_sequence = sequence;
	return 0;
}

/* 1, or 0 when it is another's turn to send it. */
static int
send_file(struct ship *s, const struct sealed_file *f, struct err *e)
{
	char name[JOURNAL_NAME_LEN], stream[UUID_TEXT], path[SHIP_PATH];
	enum ship_turn turn;
	AUTO_CLOSE int fd = -1;
	int found = sealed_open_file(
	    &s->sealed, f->at.epoch_number, f->at.sequence, &fd, e);

	(void)journal_name(f->at.epoch_number, f->at.sequence, name);
	if (found < 0)
		return -1;
	if (found == 0)
		return err_set(e, ERR_RETRY, "%s is gone", name);
	(void)snprintf(path, sizeof(path), "%s/%s",
	    uuid_text(&s->sealed.stream, stream), name);
	found = s->destination.hub ? 1 : ship_check_kept(s, fd, name, e);
	if (found <= 0)
		return found;
	if (ship_hub_turn(s, path, &turn, e) < 0)
		return err_at(e, "send %s", name);
	if (turn == SHIP_WAIT)
		return 0;
	if (turn == SHIP_SEND &&
	    transport_put(s->put, fd, f->file_len, path, e) < 0)
		return err_at(e, "send %s", name);
	remember(s, f);
	return 1;
}

/* The file after the cursor is not here. Is there one beyond it? Then this
 * one is missing, and no file after it is of use to the mirror. */
static int
check_hole(struct ship *s, struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	struct sealed_file f;
	int found;

	if (s->ring_count > 0)
		return 0;
	found = sealed_skip(&s->sealed, s->epoch_number, s->sequence, &f, e);
	if (found <= 0)
		return found;
	/* It has come just now. */
	if ((f.at.epoch_number == s->epoch_number &&
		f.at.sequence == s->sequence + 1) ||
	    (f.at.epoch_number == s->epoch_number + 1 && f.at.sequence == 1))
		return 0;
	(void)journal_name(s->epoch_number, s->sequence + 1, name);
	if (s->upstream != NULL && s->upstream->relay)
		return err_set(e, ERR_RETRY,
		    "%s, which comes next there, is not here any more: the hop "
		    "before is asked for it",
		    name);
	return err_set(e, ERR_REFUSED,
	    "%s, which comes next for this mirror, is not here any more, but "
	    "later files are: take a new base",
	    name);
}

uint64_t
ship_rate(const struct ship *s)
{
	return s->rate.count == 0
		   ? RATE_FULL
		   : rate_at(&s->rate, rate_minute(clock_wall_ns()));
}

static int
send_all(struct ship *s, bool *any, struct err *e)
{
	struct sealed_file f;
	struct err unheard = {0};
	bool hears = true;
	int found;

	s->held = false;
	while (has_room(s)) {
		found = sealed_after(
		    &s->sealed, s->epoch_number, s->sequence, &f, e);
		if (found < 0)
			return -1;
		if (found == 0)
			return *any ? 0 : check_hole(s, e);
		s->held = !pace_lets(&s->pace, ship_rate(s), clock_mono_ns());
		if (s->held)
			return 0;
		if (make_durable(s, &f, e) < 0)
			return -1;
		found = send_file(s, &f, e);
		if (found <= 0)
			return found;
		pace_sent(&s->pace, f.file_len);
		*any = true;
		/* What was sent is sent, heard of or not: whoever asks next
		 * says what is wrong. */
		if (hears && fills_up(s))
			hears = ship_fetch(s, &unheard) >= 0;
		if (!s->has_cursor)
			return 0;
	}
	return 0;
}

/* Does the mirror say that it is stalled for want of this file? */
static bool
is_named(const struct ship *s, uint32_t epoch_number, uint64_t sequence)
{
	char name[JOURNAL_NAME_LEN];

	return strstr(s->ack.reason,
		   journal_name(epoch_number, sequence, name)) != NULL;
}

/* Is it stalled for want of the file that comes next, or of the oldest that is
 * under way? */
static bool
is_asked_for(const struct ship *s)
{
	const struct position *p = &s->ack.stored;
	const struct ship_sent *oldest = &s->ring[s->ring_first];

	return s->has_ack && s->ack.state == ACK_STALLED &&
	       (is_named(s, p->epoch_number, p->sequence + 1) ||
		   is_named(s, p->epoch_number + 1, 1) ||
		   (s->ring_count > 0 &&
		       is_named(s, oldest->epoch_number, oldest->sequence)));
}

/* Sent, and not stored for long: the receiver may have refused it, or it was
 * lost on the way. Again, ever more rarely; what is there stays. */
static void
resend_if_stuck(struct ship *s)
{
	uint64_t wait = RESEND_NS << (s->resends < 6 ? s->resends : 6);

	if (s->ring_count == 0 || clock_mono_ns() - s->moved_ns < wait)
		return;
	log_info("nothing was stored for %ju s: sending again from there",
	    (uintmax_t)(wait / UINT64_C(1000000000)));
	s->resends++;
	s->renew = is_asked_for(s);
	ship_again(s);
}

/*
 * What is damaged over there, or on the way, is sent again as soon as that is
 * said: once for each file. Should that be of no use, it is tried ever more
 * rarely as anything else that is not stored. The words are for people, but
 * the name of a file in them cannot be taken for another.
 */
void
ship_asked(struct ship *s, const struct ack *before)
{
	const struct position *p = &s->ack.stored;

	if (!s->has_cursor || !is_after(s->epoch_number, s->sequence, p))
		return;
	/* It had more. */
	if (before != NULL && position_compare(p, &before->stored) < 0) {
		ship_again(s);
		return;
	}
	if (!is_asked_for(s) ||
	    (s->asked && position_compare(p, &s->asked_after) == 0))
		return;
	log_info("the mirror is stalled, sending again: %s", s->ack.reason);
	s->asked = true;
	s->asked_after = *p;
	s->renew = true;
	ship_again(s);
}

/* Takes back what was sent after `sure`: which of it arrived is not known,
 * unless the mirror has told it meanwhile. */
static void
take_back(struct ship *s, const struct ship_sent *sure)
{
	const struct position *p = &s->ack.stored;
	const struct position at = {
	    .epoch_number = sure->epoch_number, .sequence = sure->sequence};
	const struct ship_sent *newest;

	if (!s->has_cursor)
		return;
	s->epoch_number = sure->epoch_number;
	s->sequence = sure->sequence;
	s->sent = sure->last;
	if (s->has_ack && is_after(p->epoch_number, p->sequence, &at)) {
		s->epoch_number = p->epoch_number;
		s->sequence = p->sequence;
		s->sent = p->last;
	}
	while (s->ring_count > 0) {
		newest = &s->ring[(s->ring_first + s->ring_count - 1) %
				  SHIP_AHEAD_FILES];
		if (!is_after(newest->epoch_number, newest->sequence, &at))
			break;
		s->ring_count--;
		s->ring_bytes -= newest->len;
	}
}

int
ship_send(struct ship *s, struct err *e)
{
	struct ship_sent sure;
	struct err why = {0};
	bool any = false;
	int known, sent;

	resend_if_stuck(s);
	known = find_cursor(s, e);
	if (known <= 0)
		return known;
	sure = (struct ship_sent){.epoch_number = s->epoch_number,
	    .sequence = s->sequence,
	    .last = s->sent};
	sent = send_all(s, &any, &why);
	/* What was handed over is waited for, whatever happened after it. */
	if (transport_drain(s->put, sent < 0 ? NULL : &why) < 0)
		sent = -1;
	if (any)
		ship_poll_soon(s);
	/* The window is shut: what was stored meanwhile may open it. */
	if (any && !has_room(s))
		s->poll_ns = 0;
	if (sent == 0)
		return any;
	take_back(s, &sure);
	return err_set(e, why.kind, "%s", why.text);
}
