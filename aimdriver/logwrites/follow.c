/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: the log that blklogwrites writes now, into the stream as it comes.
 *
 * What the superblock counts is trusted: QEMU writes data to the disk, then
 * the entry, then, at a flush, the superblock. When the next log of the chain
 * has something after its mark, QEMU has changed to it and closed the one
 * before: that is read to its end first.
 *
 * The disk is ahead of the log, so nothing is compared here, and no copy-in
 * begins while a log is followed. `import` does the rest when the last log is
 * closed. When a log cannot be followed any further, what it would have told
 * is a gap: the group is suspect, and the coordinator copies the disk in.
 */
#include "aimdriver/logwrites/import.h"
#include "aimdriver/logwrites/kernel.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>

static volatile sig_atomic_t stopped;

static void
stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

static int
catch_signals(struct err *e)
{
	struct sigaction a = {.sa_handler = stop};

	if (sigaction(SIGTERM, &a, NULL) < 0 || sigaction(SIGINT, &a, NULL) < 0)
		return err_sys(e, "handle signals");
	return 0;
}

static uint32_t
current(const struct import *m)
{
	return (uint32_t)(m->progress.log - m->chain.first);
}

/* All that log i says now. */
static int
catch_up(struct import *m, uint32_t i, struct err *e)
{
	return logfile_refresh(m->chain.log[i], e) < 0 ||
		       import_log(m, i, e) < 0
		   ? -1
		   : 0;
}

/* 1: QEMU writes to the next log now; 0: not yet, or there is none. */
static int
has_moved_on(struct import *m, struct err *e)
{
	uint32_t i = current(m) + 1;

	if (i >= m->chain.count)
		return 0;
	if (logfile_refresh(m->chain.log[i], e) < 0)
		return -1;
	return logfile_super(m->chain.log[i])->entries > 1;
}

static int
change_log(struct import *m, struct err *e)
{
	bool more;
	uint32_t i = current(m);

	/* It was closed before the other one was begun. */
	if (catch_up(m, i, e) < 0 ||
	    logfile_goes_on(m->chain.log[i], &more, e) < 0)
		return -1;
	if (more)
		return err_set(e, ERR_CORRUPT,
		    "%s was left for %s without being closed",
		    logfile_name(m->chain.log[i]),
		    logfile_name(m->chain.log[i + 1]));
	import_next_log(m);
	log_info("%s is at its end; following %s",
	    logfile_name(m->chain.log[i]), logfile_name(m->chain.log[i + 1]));
	return 0;
}

static int
follow_on(struct import *m, struct err *e)
{
	while (!stopped) {
		uint64_t before = m->progress.place.index;
		int moved;

		if (catch_up(m, current(m), e) < 0)
			return -1;
		moved = has_moved_on(m, e);
		if (moved < 0 || (moved == 1 && change_log(m, e) < 0))
			return -1;
		if (moved == 0 && m->progress.place.index == before)
			clock_sleep_ms(m->o->interval);
	}
	return catch_up(m, current(m), e);
}

/* The log cannot be read any further, or says what cannot be. */
static bool
is_gap(const struct err *e)
{
	return e->kind == ERR_CORRUPT || e->kind == ERR_REFUSED ||
	       e->kind == ERR_FATAL;
}

static int
open_live(struct import *m, struct err *e)
{
	if (import_open(m, m->o->name, m->o->count, e) < 0)
		return -1;
	if (m->chain.kernel || !m->chain.marked)
		return err_set(e, ERR_REFUSED,
		    "this log was not prepared for blklogwrites: a log of "
		    "dm-log-writes is followed with --device; others are "
		    "imported when they are closed");
	return 0;
}

static int
follow(struct import *m, struct err *e)
{
	bool kernel = m->o->device != NULL;
	struct err why;
	int r;

	if ((kernel ? kernel_open(m, e) : open_live(m, e)) < 0)
		return -1;
	m->recorder.stopped = &stopped;
	if (catch_signals(e) < 0 || import_begin(m, e) < 0)
		return -1;
	log_info("following %s from entry %" PRIu64,
	    logfile_name(m->chain.log[current(m)]), m->progress.place.index);
	r = kernel ? kernel_follow(m, &stopped, e) : follow_on(m, e);
	if (r < 0 && !(stopped && e->kind == ERR_RETRY)) {
		if (!is_gap(e))
			return -1;
		capture_suspect(m->capture);
		m->progress.gap = e->sys == ENOSPC ? GAP_FULL : GAP_LOST;
		if (progress_store(&m->file, &m->progress, &why) < 0)
			log_warn("%s", why.text);
		return err_at(e, "the log cannot be followed any further; the "
				 "coordinator will copy the disk in");
	}
	log_info("stopped before entry %" PRIu64 " of %s",
	    m->progress.place.index, logfile_name(m->chain.log[current(m)]));
	return 0;
}

int
run_follow(const struct options *o)
{
	struct import m = IMPORT_NONE(o);
	struct err e;
	int r;

	log_set_role("logwrites");
	r = follow(&m, &e);
	import_close(&m);
	return r < 0 ? complain(&e) : EXIT_DONE;
}
