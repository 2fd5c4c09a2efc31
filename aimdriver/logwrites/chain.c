/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/chain.h"

#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEFORE_MARK 65536 /* entries */

static const char prefix[] = "aim:";
static const char end_mark[] = "dm-log-writes-end";

const char *
chain_mark(const struct uuid *id, uint64_t n, char out[CHAIN_MARK])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, CHAIN_MARK, "%s%s:%" PRIu64, prefix, uuid_text(id, text), n);
	return out;
}

bool
chain_is_own(const char *mark)
{
	return strncmp(mark, prefix, sizeof(prefix) - 1) == 0;
}

bool
chain_is_end(const char *mark)
{
	return strcmp(mark, end_mark) == 0;
}

bool
chain_parse(const char *mark, struct uuid *id, uint64_t *n)
{
	char text[UUID_TEXT], again[CHAIN_MARK];
	struct uuid u;
	uint64_t number;

	if (!chain_is_own(mark) ||
	    strlen(mark) < sizeof(prefix) - 1 + UUID_TEXT)
		return false;
	memcpy(text, mark + sizeof(prefix) - 1, UUID_TEXT - 1);
	text[UUID_TEXT - 1] = '\0';
	number = strtoull(mark + sizeof(prefix) - 1 + UUID_TEXT, NULL, 10);
	if (uuid_parse(text, &u, NULL) < 0 ||
	    strcmp(chain_mark(&u, number, again), mark) != 0)
		return false;
	*id = u;
	*n = number;
	return true;
}

void
chain_close(struct chain *c)
{
	while (c->count > 0)
		logfile_close(c->log[--c->count]);
}

static int
read_mark(struct logfile *f, struct uuid *id, uint64_t *n, struct err *e)
{
	struct logfile_place start = {0};
	struct wlog_entry b;
	bool found = false;
	int i, got = 1;

	for (i = 0; i < BEFORE_MARK && got == 1 && !found; i++) {
		got = logfile_next(f, &b, e);
		found = got == 1 && (b.flags & WLOG_MARK) != 0 &&
			chain_parse(b.mark, id, n);
	}
	if (got < 0 || logfile_seek(f, &start, e) < 0)
		return -1;
	if (found)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "%s does not begin with a mark of AIM's: it may be the stale log "
	    "of another session, or of another disk. 'aim-logwrites prepare' "
	    "sets the mark before the log is used; --unmarked imports it all "
	    "the same",
	    logfile_name(f));
}

/* Follows the one before it? */
static int
check_order(struct chain *c, uint32_t i, struct err *e)
{
	struct uuid id;
	uint64_t n;

	if (read_mark(c->log[i], &id, &n, e) < 0)
		return -1;
	if (i == 0) {
		c->id = id;
		c->first = n;
		return 0;
	}
	if (!uuid_equal(&id, &c->id))
		return err_set(e, ERR_REFUSED,
		    "%s is not of the same chain "
		    "of logs as %s",
		    logfile_name(c->log[i]), logfile_name(c->log[0]));
	if (n != c->first + i)
		return err_set(e, ERR_REFUSED,
		    "%s is log %" PRIu64 ", but after %s comes log %" PRIu64
		    ": give all of them, in order",
		    logfile_name(c->log[i]), n, logfile_name(c->log[i - 1]),
		    c->first + i);
	return 0;
}

/* What a log without a mark is known by: the first 8 entries. */
static int
make_identity(struct chain *c, struct err *e)
{
	struct logfile_place start = {0};
	uint64_t sum[2] = {1, 2};
	uint8_t text[32];
	struct wlog_entry b;
	int i, k, got = 1;

	for (i = 0; i < 8 && got == 1; i++) {
		got = logfile_next(c->log[0], &b, e);
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		le_put64(text, b.off);
		le_put64(text + 8, b.len);
		le_put64(text + 16, b.flags);
		le_put64(text + 24, 0);
		for (k = 0; k < 2; k++)
			sum[k] = sum_bytes(text, sizeof(text), sum[k]);
		if (b.stored > 0 &&
		    logfile_data(c->log[0], 0, text,
			b.stored < 32 ? (size_t)b.stored : 32, e) < 0)
			return -1;
		for (k = 0; k < 2; k++)
			sum[k] = sum_bytes(text, sizeof(text), sum[k]);
	}
	le_put64(c->id.b, sum[0]);
	le_put64(c->id.b + 8, sum[1]);
	return logfile_seek(c->log[0], &start, e);
}

int
chain_open(
    struct chain *c, char *const *path, int count, bool unmarked, struct err *e)
{
	int i;

	if (count > CHAIN_LIMIT || (unmarked && count > 1))
		return err_set(
		    e, ERR_REFUSED, "%d logs at once are too many", count);
	c->marked = !unmarked;
	for (i = 0; i < count; i++) {
		if (logfile_open(path[i], &c->log[i], e) < 0)
			return -1;
		c->count = (uint32_t)i + 1;
		if (!unmarked && check_order(c, (uint32_t)i, e) < 0)
			return -1;
	}
	return unmarked ? make_identity(c, e) : 0;
}
