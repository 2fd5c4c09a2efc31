/* SPDX-License-Identifier: Apache-2.0 */
/* dump: what a write log holds, for people and, in JSON, for programs. */
#include "aimdriver/logwrites/logfile.h"
#include "aimdriver/logwrites/program.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void
release(struct logfile **f)
{
	logfile_close(*f);
}

static const char *
entry_name(const struct wlog_entry *b)
{
	if ((b->flags & WLOG_MARK) != 0)
		return "mark";
	if ((b->flags & WLOG_DISCARD) != 0)
		return "discard";
	return b->len == 0 ? "flush" : "write";
}

static void
show_text(const struct wlog_entry *b, const struct logfile_place *p)
{
	char text[4 * WLOG_MARK_LIMIT];
	char flags[8];
	char *f = flags;

	/* A flush that comes with a write goes before it. */
	if ((b->flags & WLOG_FLUSH) != 0)
		*f++ = 'L';
	if ((b->flags & WLOG_FUA) != 0)
		*f++ = 'F';
	if ((b->flags & WLOG_METADATA) != 0)
		*f++ = 'M';
	if (b->unknown != 0)
		*f++ = '?';
	*f = '\0';
	(void)printf("%10" PRIu64 " %14" PRIu64 "  %-8s %14" PRIu64
		     " %12" PRIu64,
	    p->index, p->off, entry_name(b), b->off, b->len);
	if (flags[0] != '\0')
		(void)printf("  %s", flags);
	if ((b->flags & WLOG_MARK) != 0)
		(void)printf("  \"%s\"",
		    name_quote(b->mark, strlen(b->mark), text, sizeof(text)));
	(void)putchar('\n');
}

static int
put_line(struct json *j, struct err *e)
{
	AUTO(buf_release) struct buf line = {0};

	json_object_end(j);
	if (json_end(j, &line, e) < 0)
		return -1;
	(void)fwrite(line.data, 1, line.len, stdout);
	return 0;
}

static int
show_json(
    const struct wlog_entry *b, const struct logfile_place *p, struct err *e)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_number(&j, "entry", p->index);
	json_number(&j, "at", p->off);
	json_text(&j, "op", entry_name(b));
	json_number(&j, "offset", b->off);
	json_number(&j, "length", b->len);
	json_bool(&j, "flush", (b->flags & WLOG_FLUSH) != 0);
	json_bool(&j, "fua", (b->flags & WLOG_FUA) != 0);
	json_bool(&j, "metadata", (b->flags & WLOG_METADATA) != 0);
	json_number(&j, "unknown_flags", b->unknown);
	json_text(&j, "mark", (b->flags & WLOG_MARK) != 0 ? b->mark : NULL);
	return put_line(&j, e);
}

static int
show_super(const struct logfile *f, bool json, struct err *e)
{
	const struct wlog_super *s = logfile_super(f);
	struct json j = {0};

	if (!json) {
		(void)printf("%s: %" PRIu64 " entries, sector %" PRIu32
			     " bytes\n%10s %14s  %-8s %14s %12s\n",
		    logfile_name(f), s->entries, s->sector, "entry", "at", "op",
		    "offset", "length");
		return 0;
	}
	json_object(&j, NULL);
	json_text(&j, "log", logfile_name(f));
	json_number(&j, "entries", s->entries);
	json_number(&j, "sector", s->sector);
	return put_line(&j, e);
}

static int
dump(const char *path, bool json, struct err *e)
{
	AUTO(release) struct logfile *f = NULL;
	struct logfile_place p;
	struct wlog_entry b;
	int r;

	if (logfile_open(path, &f, e) < 0 || show_super(f, json, e) < 0)
		return -1;
	for (;;) {
		logfile_tell(f, &p);
		r = logfile_next(f, &b, e);
		if (r <= 0)
			return r;
		if (!json)
			show_text(&b, &p);
		else if (show_json(&b, &p, e) < 0)
			return -1;
	}
}

int
run_dump(const struct options *o)
{
	int i, status, worst = EXIT_DONE;
	struct err e;

	for (i = 0; i < o->count; i++) {
		if (dump(o->name[i], o->json, &e) == 0)
			continue;
		(void)fflush(stdout);
		status = complain(&e);
		if (status > worst)
			worst = status;
	}
	if (fflush(stdout) != 0) {
		(void)err_sys(&e, "standard output");
		return complain(&e);
	}
	return worst;
}
