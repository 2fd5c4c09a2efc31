/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ship_sums: while a recovery is under way, the pages of sums that its mirror
 * publishes beside the acknowledgement are fetched, one after the other, and
 * kept for the source role (sums_store.h). What cannot be fetched or believed
 * is not there: the source waits for it only so long.
 */
#include "coordinator/ship.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/sys.h"

#include <stdio.h>
#include <string.h>

#define PAGES_AT_ONCE 16

/* Does the mirror hold a recovery of ours back? */
static bool
is_wanted(const struct ship *s)
{
	return s->job.state == JOB_RUNNING && s->job.kind == COPYIN_RECOVERY &&
	       s->has_ack && s->ack.stored.last >= s->job.begin &&
	       s->ack.applied.last < s->job.begin;
}

static bool
has_all(const struct ship_sums *m)
{
	return m->next > 0 && (uint64_t)m->next * SUMS_IN_PAGE >= m->total;
}

/* Those that were fetched before this role began. */
static int
find_next(struct ship *s, struct ship_sums *m, struct err *e)
{
	uint8_t bytes[SUMS_LIMIT];
	struct sums page;
	int got;

	while ((got = sums_store_get(s->home, &s->destination, m->fd, &m->begin,
		    m->next, bytes, &page, e)) == 1) {
		m->next++;
		m->total = page.total;
		if (has_all(m))
			return 0;
	}
	if (got < 0)
		return -1;
	/* Of another recovery, or none: away with it. */
	if (m->next == 0 && sys_ftruncate(m->fd, 0) < 0)
		return err_sys(e, "empty the sums of %s", s->destination.name);
	return 0;
}

/* 1 when it is known what for, 0 not yet, -1. */
static int
get_ready(struct ship *s, struct ship_sums *m, struct err *e)
{
	struct sealed_file f;
	int found;

	if (m->number == s->job.begin)
		return 1;
	cleanup_fd(&m->fd);
	*m = (struct ship_sums){.fd = -1};
	found = sealed_find(&s->sealed, s->job.begin, &f, e);
	if (found <= 0)
		return found;
	m->begin = f.at;
	if (sums_store_open(s->home, &s->destination, true, &m->fd, e) < 0 ||
	    find_next(s, m, e) < 0)
		return -1;
	m->number = s->job.begin;
	return 1;
}

/* Said once; nothing else has to suffer for it. */
static void
tell(struct ship *s, const struct err *why)
{
	struct ship_sums *m = &s->sums;

	if (strcmp(m->trouble, why->text) != 0)
		log_warn("%s: %s", s->destination.name, why->text);
	(void)snprintf(m->trouble, sizeof(m->trouble), "%s", why->text);
}

/* 1, 0 when it is not there, or is one of before, -1. */
static int
get_page(struct ship *s, struct ship_sums *m, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char file[SUMS_NAME_LEN], stream[UUID_TEXT], path[120];
	struct sums page;
	int got;

	(void)snprintf(path, sizeof(path), "%s/ack/%s",
	    uuid_text(&s->sealed.stream, stream),
	    sums_name(&s->destination.mirror, m->next, file));
	got = transport_get(s->get, path, SUMS_LIMIT, &b, e);
	if (got <= 0)
		return got < 0 ? err_at(e, "sums") : 0;
	got = sums_read(s->home, &s->destination, &m->begin, m->next, b.data,
	    b.len, &page, e);
	if (got <= 0)
		return got;
	if (sums_store_put(m->fd, m->next, b.data, b.len, e) < 0)
		return err_at(e, "keep sums");
	m->next++;
	m->total = page.total;
	return 1;
}

/* The copy-in is over: nobody needs them any more. */
static void
forget(struct ship *s)
{
	struct ship_sums *m = &s->sums;

	if (m->dropped || s->job.state == JOB_RUNNING)
		return;
	cleanup_fd(&m->fd);
	*m = (struct ship_sums){.fd = -1, .dropped = true};
	sums_store_drop(s->home, &s->destination);
}

bool
ship_sums(struct ship *s)
{
	struct ship_sums *m = &s->sums;
	struct err why = {0};
	int got, n = 0;

	if (!is_wanted(s)) {
		forget(s);
		return false;
	}
	m->dropped = false;
	got = get_ready(s, m, &why);
	while (got == 1 && n < PAGES_AT_ONCE && !has_all(m)) {
		got = get_page(s, m, &why);
		n += got == 1;
	}
	if (got < 0)
		tell(s, &why);
	if (n > 0)
		ship_poll_soon(s);
	return n > 0;
}
