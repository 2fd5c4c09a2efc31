/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import: finished logs of a volume, into its group's stream, in order.
 *
 * Everything is checked before anything is recorded: that the logs are whole,
 * of this volume, in order, not from before a copy-in, and that the disk is
 * as they leave it. Then each entry is recorded and the place after it noted,
 * so that an import that was killed goes on where it was. What the disk has
 * otherwise than the logs say (a write that had failed, a discard that was
 * ignored, overlapping writes in flight) is read from it at the end.
 *
 * Between its first and last entry the mirrors are at points of the volume's
 * past; at the end they are what the disk is.
 */
#include "aimdriver/logwrites/import.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
import_close(struct import *m)
{
	compare_release(&m->compare);
	progress_close(&m->file);
	chain_close(&m->chain);
	capture_detach(m->capture);
}

/* ---- may it be? ---- */

static int
check_group(struct import *m, struct err *e)
{
	const char *path = m->target.info.path;
	AUTO_CLOSE int fd = -1;
	uint64_t size;

	capture_status(m->capture, &m->status);
	if (m->status.mode != CAPTURE_ON)
		return err_set(e, ERR_REFUSED,
		    "nothing is captured of %s yet: pair its group, then run "
		    "'aim-manager base' and wait for it, before the disk is "
		    "written to",
		    path);
	if (m->status.needs_recovery || m->status.suspect)
		return err_set(e, ERR_REFUSED,
		    "the group of %s is to be recovered, which copies the "
		    "disk in: let the coordinator do that; the log is not "
		    "needed",
		    path);
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (io_size(fd, &size, e) < 0)
		return -1;
	if (size != m->target.info.size)
		return err_set(e, ERR_REFUSED,
		    "%s has %" PRIu64 " bytes, and had %" PRIu64
		    " when it was last captured: logs do not tell of that; "
		    "run 'aim-manager base'",
		    path, size, m->target.info.size);
	return 0;
}

/* A log without a mark begins when it is first seen. */
static int
begin_unmarked(struct import *m, uint64_t copyins, struct err *e)
{
	m->progress = (struct progress){.chain = m->chain.id,
	    .volume = m->target.info.uuid,
	    .copyins = copyins,
	    .boots = m->status.boots};
	return progress_store(&m->file, &m->progress, e);
}

static int
check_progress(
    struct import *m, const struct capture_copyins *copyins, struct err *e)
{
	const struct progress *p = &m->progress;

	if (!uuid_equal(&p->volume, &m->target.info.uuid))
		return err_set(e, ERR_REFUSED, "the log is of another volume");
	if (p->copyins != copyins->count)
		return err_set(e, ERR_REFUSED,
		    "the disk was copied in since the log began, all of it or "
		    "what a recovery took for changed: the log would take the "
		    "mirrors back. Nothing is imported; what the log has may "
		    "not be in the mirrors before you run 'aim-manager base'");
	if (p->begun && !p->done && p->boots != m->status.boots)
		return err_set(e, ERR_REFUSED,
		    "the machine stopped in the middle of the import, and how "
		    "far it was is not known: run 'aim-manager base'");
	if (m->chain.first > p->log ||
	    m->chain.first + m->chain.count <= p->log)
		return err_set(e, ERR_REFUSED,
		    "%s is log %" PRIu64 " of its chain: give the logs from "
		    "log %" PRIu64 " on",
		    logfile_name(m->chain.log[0]), m->chain.first, p->log);
	return 0;
}

static int
find_progress(struct import *m, struct err *e)
{
	struct capture_copyins copyins;
	int r = progress_open(&m->file, m->o->home, &m->target.group,
	    &m->chain.id, &m->progress, e);

	if (r < 0 || capture_copyins(m->capture, &copyins, e) < 0)
		return -1;
	if (copyins.running)
		return err_set(e, ERR_REFUSED,
		    "a copy-in of %s is under way: what it reads is newer than "
		    "the log. Wait for it; if it is a recovery and no base, "
		    "run 'aim-manager base' then",
		    m->target.info.path);
	if (r == 0 && m->chain.marked)
		return err_set(e, ERR_REFUSED,
		    "%s was not prepared for %s in this home",
		    logfile_name(m->chain.log[0]), m->target.info.path);
	m->chain.kernel = r == 1 && m->progress.kernel;
	if (r == 0 && begin_unmarked(m, copyins.count, e) < 0)
		return -1;
	return check_progress(m, &copyins, e);
}

/* ---- is it of this disk? ---- */

static int
compare(struct import *m, struct err *e)
{
	const char *path = m->target.info.path;
	struct compare *c = &m->compare;
	AUTO(disk_close) struct disk disk = {.fd = -1};

	if (compare_check(&m->chain, m->target.info.size, c, e) < 0)
		return -1;
	if (m->o->no_compare)
		return 0;
	if (disk_open(path, m->target.info.size,
		m->target.info.kind == VOLUME_BLOCK, &disk, e) < 0)
		return -1;
	if (compare_disk(&m->chain, &disk, c, e) < 0)
		return err_at(e, "compare %s with the log", path);
	if (c->differing > c->compared / 4)
		return err_set(e, ERR_REFUSED,
		    "%s differs from what the log leaves on it in %" PRIu64
		    " of %" PRIu64
		    " bytes: it is the log of another disk, or not the last "
		    "that was written. Nothing is imported; 'aim-manager "
		    "base' copies the disk in",
		    path, c->differing, c->compared);
	return 0;
}

/* ---- recording ---- */

/* The next entry: 1; 0 at the end. */
static int
record_next(struct import *m, struct logfile *f, struct err *e)
{
	struct progress *p = &m->progress;
	struct wlog_entry b;
	int got = logfile_next(f, &b, e);

	if (got != 1)
		return got;
	if (recorder_put(&m->recorder, f, &b, p->log, p->place.index, e) < 0)
		return -1;
	logfile_tell(f, &p->place);
	progress_step(&m->file, p);
	return 1;
}

/* With all locks held while the window has what comes: a read may take long.
 * An entry that is larger than the window takes its own. */
static int
record_on(struct import *m, struct logfile *f, struct err *e)
{
	int got = 1;

	while (got == 1 && m->progress.place.index < m->until) {
		if (!logfile_is_near(f)) {
			capture_recording_end(m->capture);
			if (logfile_bring(f, e) < 0)
				return -1;
		}
		if (logfile_is_near(f) &&
		    capture_recording_begin(m->capture, e) < 0)
			return -1;
		got = record_next(m, f, e);
	}
	return got < 0 ? -1 : 0;
}

int
import_log(struct import *m, uint32_t i, struct err *e)
{
	struct logfile *f = m->chain.log[i];
	int r;

	if (logfile_seek(f, &m->progress.place, e) < 0)
		return -1;
	r = record_on(m, f, e);
	capture_recording_end(m->capture);
	return r;
}

void
import_next_log(struct import *m)
{
	m->progress.log++;
	m->progress.place = (struct logfile_place){0};
	progress_step(&m->file, &m->progress);
}

int
import_begin(struct import *m, struct err *e)
{
	m->progress.begun = true;
	m->progress.done = false;
	m->progress.boots = m->status.boots;
	return progress_store(&m->file, &m->progress, e);
}

/* The disk is right. */
static int
reread(struct import *m, struct err *e)
{
	uint32_t i;

	for (i = 0; i < m->compare.count; i++) {
		const struct compare_range *r = &m->compare.differ[i];
		uint64_t off = r->off, end = r->off + r->len, n;

		for (; off < end; off += n)
			if (capture_reread(m->capture, m->target.volume, off,
				end, &n, e) < 0)
				return -1;
	}
	return 0;
}

static int
record(struct import *m, struct err *e)
{
	struct progress *p = &m->progress;
	uint64_t last = m->chain.first + m->chain.count - 1;

	if (import_begin(m, e) < 0)
		return -1;
	for (;;) {
		if (import_log(m, (uint32_t)(p->log - m->chain.first), e) < 0)
			return -1;
		if (p->log == last)
			break;
		import_next_log(m);
	}
	if (reread(m, e) < 0)
		return -1;
	capture_status(m->capture, &m->status);
	capture_request_seal(m->capture, m->status.reserved);
	p->done = true;
	return progress_store(&m->file, p, e);
}

static void
tell(const struct import *m)
{
	const struct compare *c = &m->compare;

	(void)printf("imported %" PRIu64 " entries, %" PRIu64
		     " bytes, up to transaction %" PRIu64 "\n",
	    c->entries, c->written, m->status.reserved);
	if (c->kept > 0)
		(void)printf("note: the disk has not zeroed %" PRIu64
			     " of %" PRIu64
			     " discarded bytes; what it holds there was read "
			     "from it\n",
		    c->kept, c->discarded);
	if (c->differing > 0)
		(void)printf(
		    "note: %" PRIu64
		    " bytes on the disk are not as the log has them (writes "
		    "that failed, or overlapped); they were read from it\n",
		    c->differing);
}

/* All of it before? A log may have grown since. */
static bool
is_done(const struct import *m)
{
	const struct progress *p = &m->progress;
	uint32_t last = m->chain.count - 1;

	return p->done && p->log == m->chain.first + last &&
	       p->place.index >= logfile_super(m->chain.log[last])->entries;
}

int
import_open(struct import *m, char *const *path, int count, struct err *e)
{
	const struct options *o = m->o;

	if (target_find(o->home, o->volume, &m->target, e) < 0 ||
	    chain_open(&m->chain, path, count, o->unmarked, e) < 0 ||
	    capture_attach(o->home, &m->target.group, CAPTURE_RECORDER,
		&m->capture, e) < 0 ||
	    check_group(m, e) < 0 || find_progress(m, e) < 0)
		return -1;
	recorder_init(&m->recorder, m->capture, m->target.volume, &m->chain.id);
	return 0;
}

static int
import(struct import *m, struct err *e)
{
	uint32_t i;

	if (logfile_catch(e) < 0 ||
	    import_open(m, m->o->name, m->o->count, e) < 0)
		return -1;
	for (i = 0; i < m->chain.count; i++)
		logfile_map(m->chain.log[i]);
	if (is_done(m)) {
		(void)printf("imported already\n");
		return 0;
	}
	if (compare(m, e) < 0)
		return -1;
	if (m->o->dry_run) {
		(void)printf("%" PRIu64 " entries, %" PRIu64
			     " bytes would be imported\n",
		    m->compare.entries, m->compare.written);
		return 0;
	}
	if (record(m, e) < 0)
		return err_at(e, "the import can be started again and goes on "
				 "from there");
	tell(m);
	return 0;
}

int
run_import(const struct options *o)
{
	struct import m = IMPORT_NONE(o);
	struct err e;
	int r = import(&m, &e);

	import_close(&m);
	return r < 0 ? complain(&e) : EXIT_DONE;
}
