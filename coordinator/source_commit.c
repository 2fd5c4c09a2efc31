/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_commit: up to where the mirrors that the group's commit policy names
 * have the stream, for the flushes that wait (aimdriver/commit.c).
 *
 * A destination counts from the end of its copy-in on, and only while its
 * mirror says that it is consistent: what it has stored before would not make
 * an image. So after a break, and while writes pass uncaptured, none counts
 * until its recovery is complete there, which is what a flush of those writes
 * has to wait for.
 *
 * Acknowledgements come by way of the ship roles, which save what they believe
 * and wake this one. Those that came too late for the policy are caught up with
 * when all that had been captured a moment ago is committed: then flushes wait
 * for mirrors again.
 */
#include "coordinator/source.h"

#include "common/clock.h"
#include "common/log.h"
#include "coordinator/ack_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LOST                                                                   \
	"alarm commit raised: the mirrors did not confirm in time: flushes "   \
	"go on without them "                                                  \
	"until they have caught up"
#define HELD                                                                   \
	"alarm commit raised: the mirrors do not confirm in time: flushes "    \
	"wait for them, as the "                                               \
	"policy says"
#define AGAIN                                                                  \
	"alarm commit cleared: the mirrors have caught up: flushes are "       \
	"confirmed in time again"

static bool
waits_for_mirrors(const struct source *s)
{
	return s->group.commit.kind == COMMIT_MIRRORS;
}

int
commit_open(struct source *s, struct err *e)
{
	const struct commit_config *p = &s->group.commit;
	uint32_t i;

	s->commit.members = calloc(s->count + 1u, sizeof(*s->commit.members));
	s->commit.at = calloc(s->count + 1u, sizeof(*s->commit.at));
	if (s->commit.members == NULL || s->commit.at == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; i < s->count; i++) {
		s->commit.members[i].counts = s->destinations[i].commit;
		s->commit.needed += p->all && s->destinations[i].commit;
	}
	if (!p->all)
		s->commit.needed = p->needed;
	if (capture_set_commit(s->capture, p->kind, p->hold, p->timeout_ms, e) <
	    0)
		return -1;
	/* What was published before may have been by other names, or another
	 * stage, of which the capture core knows nothing. */
	commit_break(s);
	return 0;
}

void
commit_close(struct source *s)
{
	free(s->commit.members);
	free(s->commit.at);
}

void
commit_break(struct source *s)
{
	s->commit.told = false;
	if (waits_for_mirrors(s))
		capture_committed(s->capture, 0);
}

/* The saved acknowledgement, if it is another one than before. */
static void
load_ack(struct source *s, uint32_t i)
{
	struct commit_member *m = &s->commit.members[i];
	const struct destination_config *d = &s->destinations[i];
	char name[UUID_TEXT + 4], text[UUID_TEXT];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s.ack", uuid_text(&d->uuid, text));
	if (fstatat(s->home->state, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		m->known = false;
		return;
	}
	if (m->known && m->ino == st.st_ino &&
	    m->mtime.tv_sec == st.st_mtim.tv_sec &&
	    m->mtime.tv_nsec == st.st_mtim.tv_nsec)
		return;
	m->known = ack_load(s->home, d, &m->ack, NULL) == 1;
	m->ino = st.st_ino;
	m->mtime = st.st_mtim;
}

/* Transactions that this mirror has as the policy wants it. */
static uint64_t
position_of(const struct source *s, uint32_t i)
{
	const struct commit_member *m = &s->commit.members[i];
	const struct job *j = &s->jobs[i];
	const struct position *p =
	    s->group.commit.applied ? &m->ack.applied : &m->ack.stored;

	if (!m->known || !m->ack.consistent || m->ack.state == ACK_SUSPECT ||
	    m->ack.state == ACK_EMPTY)
		return 0;
	if (j->state != JOB_DONE || p->last < j->end)
		return 0;
	return p->last;
}

static uint64_t
position(struct source *s)
{
	struct committing *c = &s->commit;
	uint32_t i, n = 0;

	if (s->must_break)
		return 0;
	for (i = 0; i < s->count; i++) {
		if (!c->members[i].counts)
			continue;
		load_ack(s, i);
		c->at[n++] = position_of(s, i);
	}
	return commit_position(c->at, n, c->needed);
}

/* ---- too late, and caught up ---- */

static void
tell(struct source *s, const char *event)
{
	s->commit.event = event;
	log_warn("group %s: %s", s->group.name, event);
}

/* Has the stream's end been reached by what is committed, or what was its end
 * so short a time ago that a flush would not have been late? */
static bool
has_caught_up(struct source *s, const struct capture_status *st, uint64_t at)
{
	struct committing *c = &s->commit;
	uint64_t now = clock_mono_ns();
	uint64_t most = s->group.commit.timeout_ms * NS_PER_MS / 2;
	bool quick;

	if (st->mode != CAPTURE_ON) {
		c->mark_ns = 0;
		return false;
	}
	if (c->mark_ns != 0 && at < c->mark)
		return false;
	quick = c->mark_ns != 0 && now - c->mark_ns <= most;
	c->mark = st->reserved;
	c->mark_ns = now;
	return at >= st->reserved || quick;
}

static void
look_at_time(struct source *s, uint64_t at)
{
	struct committing *c = &s->commit;
	struct capture_status st;

	capture_status(s->capture, &st);
	if (st.commit_late_ns == 0) {
		c->late = false;
		return;
	}
	if (!c->late) {
		c->late = true;
		c->mark_ns = 0;
		tell(s, s->group.commit.hold ? HELD : LOST);
	}
	if (!has_caught_up(s, &st, at))
		return;
	c->late = false;
	capture_commit_in_time(s->capture);
	tell(s, AGAIN);
}

void
commit_step(struct source *s)
{
	uint64_t at;

	if (!waits_for_mirrors(s))
		return;
	at = position(s);
	if (at != s->commit.published || !s->commit.told) {
		capture_committed(s->capture, at);
		s->commit.published = at;
		s->commit.told = true;
	}
	look_at_time(s, at);
}

const char *
commit_event(struct source *s)
{
	const char *event = s->commit.event;

	s->commit.event = NULL;
	return event;
}
