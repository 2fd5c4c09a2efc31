/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/kernel.h"

#include "aimdriver/logwrites/table.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>

struct ticker {
	struct import *m;
	struct table table;
	uint64_t tick;
	struct logfile_place looked; /* entries before it were looked at */
	uint64_t mark, before;	     /* index after the last two ticks' marks */
	bool ended;		     /* the kernel's own mark was seen */
	bool told;
};

static char *
device_of(const struct import *m, uint64_t log)
{
	return m->o->name[log % (uint64_t)m->o->count];
}

int
kernel_open(struct import *m, struct err *e)
{
	const struct options *o = m->o;
	int i;

	for (i = 0; i < o->count; i++) {
		if (import_open(m, &o->name[i], 1, e) == 0)
			break;
		import_close(m);
		*m = (struct import)IMPORT_NONE(o);
	}
	if (i == o->count)
		return -1;
	if (!m->chain.kernel ||
	    m->progress.log % (uint64_t)o->count != (uint64_t)i)
		return err_set(e, ERR_REFUSED,
		    "%s is not the log that is next: give all log devices, as "
		    "they were given to attach",
		    o->name[i]);
	return 0;
}

/* Where the marks are. */
static int
look(struct ticker *t, struct err *e)
{
	struct logfile *f = t->m->chain.log[0];
	struct wlog_entry b;
	int got;

	if (logfile_refresh(f, e) < 0 || logfile_seek(f, &t->looked, e) < 0)
		return -1;
	while ((got = logfile_next(f, &b, e)) == 1) {
		logfile_tell(f, &t->looked);
		if ((b.flags & WLOG_MARK) == 0)
			continue;
		t->ended = chain_is_end(b.mark);
		if (chain_is_own(b.mark)) {
			t->before = t->mark;
			t->mark = t->looked.index;
		}
	}
	return got;
}

static int
send_mark(struct ticker *t, struct err *e)
{
	char text[CHAIN_MARK], mark[2 * CHAIN_MARK];

	(void)snprintf(mark, sizeof(mark), "%s:%" PRIu64,
	    chain_mark(&t->m->chain.id, t->m->progress.log, text), ++t->tick);
	return table_mark(&t->table, mark, e);
}

static int
change(struct ticker *t, struct err *e)
{
	struct import *m = t->m;
	uint64_t next = m->progress.log + 1;
	char mark[CHAIN_MARK];

	if (m->o->count < 2) {
		if (!t->told)
			log_warn("%s is nearly full, and there is no other",
			    t->table.log);
		t->told = true;
		return 0;
	}
	t->table.log = device_of(m, next);
	return table_change(&t->table, chain_mark(&m->chain.id, next, mark), e);
}

/* Flush, mark, look at the log's room. */
static int
tick(struct ticker *t, struct err *e)
{
	struct logfile *f = t->m->chain.log[0];
	struct table_status s;

	if (table_flush(&t->table, e) < 0 || send_mark(t, e) < 0 ||
	    table_status(&t->table, &s, e) < 0)
		return -1;
	if (s.disabled)
		return err_set(e, ERR_CORRUPT,
		    "%s was full: dm-log-writes has stopped logging",
		    logfile_name(f));
	return s.used > logfile_size(f) / 4 * 3 ? change(t, e) : 0;
}

/* The log is at its end. 1: the next one is followed; 0: there is none. */
static int
go_on(struct ticker *t, struct err *e)
{
	struct import *m = t->m;
	uint64_t next = m->progress.log + 1;
	char *name = device_of(m, next);
	struct chain c = {0};

	if (m->o->count < 2)
		return 0;
	if (chain_open(&c, &name, 1, false, NULL) < 0 ||
	    !uuid_equal(&c.id, &m->chain.id) || c.first != next) {
		chain_close(&c);
		return 0;
	}
	c.kernel = true;
	chain_close(&m->chain);
	m->chain = c;
	if (import_next_log(m, e) < 0)
		return -1;
	t->looked = (struct logfile_place){0};
	t->mark = t->before = 0;
	t->ended = false;
	log_info("following %s, log %" PRIu64, name, next);
	return 1;
}

/* 1: go on; 0: the device was taken down, all is recorded. */
static int
step_on(struct ticker *t, struct err *e)
{
	struct err why = {0};
	int ticked = tick(t, &why);

	if (look(t, e) < 0)
		return -1;
	if (ticked < 0 && !t->ended) {
		*e = why;
		return -1;
	}
	t->m->until = t->ended ? UINT64_MAX : t->before;
	if (import_log(t->m, 0, e) < 0)
		return -1;
	return t->ended ? go_on(t, e) : 1;
}

int
kernel_follow(
    struct import *m, const volatile sig_atomic_t *stopped, struct err *e)
{
	struct ticker t = {.m = m,
	    .table = {.name = m->o->device,
		.disk = m->target.info.path,
		.log = device_of(m, m->progress.log)},
	    .tick = clock_wall_ns() / 1000000};
	int r = 1;

	while (r == 1 && !*stopped) {
		r = step_on(&t, e);
		if (r == 1)
			clock_sleep_ms(m->o->interval);
	}
	return r < 0 ? -1 : 0;
}
