/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/kernel.h"

#include "aimdriver/logwrites/table.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

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
	if (s.disabled) {
		(void)err_set(e, ERR_CORRUPT,
		    "%s was full: dm-log-writes has stopped logging",
		    logfile_name(f));
		e->sys = ENOSPC;
		return -1;
	}
	return s.used > logfile_size(f) / 4 * 3 ? change(t, e) : 0;
}

enum { NOT_MARKED, IS_NEXT, IS_FOREIGN };

/* What is the log device `name`? *out is open when it has the log that is
 * next. */
static int
open_next(struct import *m, char *name, uint64_t next, struct chain *out)
{
	struct chain c = {0};
	bool ours;
	int marked;

	marked = chain_open(&c, &name, 1, false, NULL);
	ours = marked == 0 && uuid_equal(&c.id, &m->chain.id);
	if (ours && c.first == next) {
		c.kernel = true;
		*out = c;
		return IS_NEXT;
	}
	chain_close(&c);
	return marked < 0 || ours ? NOT_MARKED : IS_FOREIGN;
}

/*
 * Does the device write to the log device `name` now? 0: there is no device
 * any more. When it writes to something else, what that has is lost to us.
 */
static int
writes_to(const struct ticker *t, const char *name, struct err *e)
{
	struct table_devices d;
	char other[PATH_MAX];
	struct stat st;
	int there = table_exists(&t->table, e);

	if (there <= 0)
		return there;
	if (table_look(&t->table, &d, e) < 0)
		return -1;
	if (stat(name, &st) < 0)
		return err_sys(e, "%s", name);
	if (st.st_rdev == d.log)
		return 1;
	table_device_path(d.log, other, sizeof(other));
	return err_set(e, ERR_CORRUPT,
	    "%s is at its end, and the device %s logs to %s now, which is not "
	    "the next of the logs that were given",
	    logfile_name(t->m->chain.log[0]), t->table.name, other);
}

/*
 * The log is at its end. 1: the next one is followed; 0: the device was taken
 * down. Whoever changed the log may have been killed before he sent the new
 * one its mark: then we do.
 */
static int
go_on(struct ticker *t, struct err *e)
{
	struct import *m = t->m;
	uint64_t next = m->progress.log + 1;
	char *name = device_of(m, next), mark[CHAIN_MARK];
	struct chain c = {0};
	int is = open_next(m, name, next, &c), there;

	if (is != IS_NEXT) {
		there = writes_to(t, name, e);
		/* Taken down; and set up again for another chain. */
		if (there <= 0 || is == IS_FOREIGN || m->o->count < 2)
			return there < 0 ? -1 : 0;
		if (table_mark(
			&t->table, chain_mark(&m->chain.id, next, mark), e) < 0)
			return -1;
		if (open_next(m, name, next, &c) != IS_NEXT)
			return err_set(e, ERR_CORRUPT,
			    "%s does not take the mark of log %" PRIu64, name,
			    next);
	}
	chain_close(&m->chain);
	m->chain = c;
	import_next_log(m);
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
