/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch_sums: pages of sums that the redriver has put beside the
 * acknowledgement are put where the files come from, too; and removed there
 * when it has removed them here. What a role that was started anew finds there
 * is of no use to anybody, and is written over by the next.
 */
#include "coordinator/fetch.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGES_AT_ONCE 16

static const char *
page_path(const struct fetch *f, uint32_t page, char out[FETCH_PATH])
{
	char name[SUMS_NAME_LEN];

	(void)snprintf(out, FETCH_PATH, "%s/ack/%s", f->stream,
	    sums_name(&f->mirror.uuid, page, name));
	return out;
}

/* 1 and the page, 0 when it is not there, or no page, -1. */
static int
read_page(struct fetch *f, uint32_t page, struct buf *b, struct sums *out,
    struct err *e)
{
	char name[SUMS_NAME_LEN];
	struct err why = {0};

	if (io_read_file(f->ack, sums_name(&f->mirror.uuid, page, name),
		SUMS_LIMIT, b, &why) < 0)
		return why.sys == ENOENT ? 0
					 : err_set(e, why.kind, "%s", why.text);
	return sums_decode(b->data, b->len, out, NULL) == VERDICT_WHOLE;
}

/* The first page says for which recovery they are. */
static int
look(struct fetch *f, bool *any, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	struct sums s;
	int got = read_page(f, 0, &b, &s, e);

	if (got < 0)
		return -1;
	*any = got == 1;
	if (got == 1 && (memcmp(s.begin.digest, f->sums_begin,
			     sizeof(f->sums_begin)) != 0 ||
			    s.time_ns != f->sums_time_ns)) {
		memcpy(f->sums_begin, s.begin.digest, sizeof(f->sums_begin));
		f->sums_time_ns = s.time_ns;
		f->sums_next = 0;
	}
	return 0;
}

/* 1 put some, 0, -1. */
static int
put_some(struct fetch *f, struct err *e)
{
	char path[FETCH_PATH];
	int n;

	for (n = 0; n < PAGES_AT_ONCE; n++) {
		AUTO(buf_release) struct buf b = {0};
		struct sums s;
		int got = read_page(f, f->sums_next, &b, &s, e);

		if (got < 0)
			return -1;
		/* One of a recovery before is still to be replaced. */
		if (got == 0 || memcmp(s.begin.digest, f->sums_begin,
				    sizeof(f->sums_begin)) != 0)
			break;
		if (transport_replace(f->transport, b.data, b.len,
			page_path(f, f->sums_next, path), e) < 0)
			return -1;
		f->sums_next++;
	}
	return n > 0;
}

static int
remove_some(struct fetch *f, struct err *e)
{
	char path[FETCH_PATH];

	for (int n = 0; n < PAGES_AT_ONCE && f->sums_next > 0; n++) {
		if (transport_remove(f->transport,
			page_path(f, f->sums_next - 1, path), e) < 0)
			return -1;
		f->sums_next--;
	}
	return 0;
}

bool
fetch_sums(struct fetch *f)
{
	struct err why = {0};
	bool any = false;
	int got = look(f, &any, &why);

	if (got == 0)
		got = any ? put_some(f, &why) : remove_some(f, &why);
	if (got < 0 && strcmp(f->sums_trouble, why.text) != 0) {
		log_warn(
		    "sums for a recovery cannot be put there: %s", why.text);
		(void)snprintf(
		    f->sums_trouble, sizeof(f->sums_trouble), "%s", why.text);
	}
	return got == 1;
}
