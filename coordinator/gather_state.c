/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/gather_state.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC                                                                  \
	"\x89"                                                                 \
	"AIM GATHER\r\n\x1a\n"

enum {
	MAGIC_LEN = 15,
	AT_VERSION = 16,
	AT_PLAN_LEN = 20,
	AT_UNITS = 24,
	AT_PLAN_SUM = 32,
	AT_SUM = 40,
	HEADER_LEN = 48,

	AT_FIRST = 0,
	AT_COUNT = 8,
	AT_MEMBERS = 16,
	AT_RECORD_SUM = 24,
	RECORD_LEN = 32,
};

#define UNITS_LIMIT (UINT64_C(1) << 40)
#define RECORDS_AT_ONCE 2048u

static uint64_t
records_at(uint32_t plan_len)
{
	uint64_t end = HEADER_LEN + (uint64_t)plan_len;

	return (end + RECORD_LEN - 1) / RECORD_LEN * RECORD_LEN;
}

void
gather_state_close(struct gather_state *s)
{
	cleanup_fd(&s->fd);
	free(s->read);
	buf_release(&s->records);
	*s = GATHER_STATE_NONE;
}

/* ---- making ---- */

static int
open_above(const char *path, char *name, int *dir, struct err *e)
{
	char one[PATH_MAX], two[PATH_MAX];

	(void)snprintf(one, sizeof(one), "%s", path);
	(void)snprintf(two, sizeof(two), "%s", path);
	(void)snprintf(name, NAME_MAX + 1, "%s", basename(one));
	return io_open_dir(AT_FDCWD, dirname(two), dir, e);
}

static int
make_text(
    const struct buf *plan, uint64_t units, struct buf *out, struct err *e)
{
	uint8_t h[HEADER_LEN] = {0};

	memcpy(h, MAGIC, MAGIC_LEN);
	le_put32(h + AT_VERSION, 1);
	le_put32(h + AT_PLAN_LEN, (uint32_t)plan->len);
	le_put64(h + AT_UNITS, units);
	le_put64(h + AT_PLAN_SUM, sum_bytes(plan->data, plan->len, 0));
	le_put64(h + AT_SUM, sum_bytes(h, AT_SUM, 0));
	if (buf_add(out, h, sizeof(h), e) < 0 ||
	    buf_add(out, plan->data, plan->len, e) < 0)
		return -1;
	while (out->len < records_at((uint32_t)plan->len))
		if (buf_add(out, "", 1, e) < 0)
			return -1;
	return 0;
}

int
gather_state_create(struct gather_state *s, const char *path,
    const struct buf *plan, uint64_t units, struct err *e)
{
	AUTO(buf_release) struct buf text = {0};
	AUTO_CLOSE int dir = -1;
	char name[NAME_MAX + 1];

	if (plan->len > GATHER_PLAN_LIMIT || units > UNITS_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "too much for one list of ranges: %zu bytes of plan, %ju "
		    "units",
		    plan->len, (uintmax_t)units);
	if (make_text(plan, units, &text, e) < 0 ||
	    open_above(path, name, &dir, e) < 0 ||
	    io_write_file(dir, name, text.data, text.len, 0600, e) < 0)
		return err_at(e, "keep the list of ranges in %s", path);
	return gather_state_open(s, path, units, e);
}

/* ---- reading ---- */

/* The header of the open file, and its plan: 1, or 0 when it is none. */
static int
read_plan(
    int fd, const char *path, uint64_t *units, struct buf *plan, struct err *e)
{
	uint8_t h[HEADER_LEN];
	uint32_t len;

	if (io_read_at(fd, h, sizeof(h), 0, e) < 0)
		return err_at(e, "%s", path);
	if (memcmp(h, MAGIC, MAGIC_LEN) != 0)
		return err_set(e, ERR_REFUSED,
		    "%s is no list of ranges of `gather`", path);
	if (le_get32(h + AT_VERSION) != 1)
		return err_set(e, ERR_REFUSED,
		    "%s is of another version of this program", path);
	len = le_get32(h + AT_PLAN_LEN);
	if (le_get64(h + AT_SUM) != sum_bytes(h, AT_SUM, 0) ||
	    len > GATHER_PLAN_LIMIT || le_get64(h + AT_UNITS) > UNITS_LIMIT)
		return err_set(e, ERR_CORRUPT, "%s is damaged", path);
	if (buf_room(plan, len + 1, e) < 0 ||
	    io_read_at(fd, plan->data, len, HEADER_LEN, e) < 0)
		return err_at(e, "%s", path);
	plan->len = len;
	if (le_get64(h + AT_PLAN_SUM) != sum_bytes(plan->data, len, 0))
		return err_set(e, ERR_CORRUPT, "%s is damaged", path);
	*units = le_get64(h + AT_UNITS);
	return 1;
}

int
gather_state_plan(const char *path, struct buf *plan, struct err *e)
{
	AUTO_CLOSE int fd = sys_openat(AT_FDCWD, path, O_RDONLY, 0);
	uint64_t units;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(e, "open %s", path);
	return read_plan(fd, path, &units, plan, e);
}

static void
mark(struct gather_state *s, uint64_t first, uint64_t count, uint64_t members)
{
	uint64_t i;

	for (i = first; i < first + count; i++) {
		s->unread += s->read[i] != 0 && members == 0 ? 1 : 0;
		s->unread -= s->read[i] == 0 && members != 0 ? 1 : 0;
		s->read[i] = members;
	}
}

static uint64_t
record_sum(const struct gather_state *s, const uint8_t *r, uint64_t at)
{
	return sum_bytes(r, AT_RECORD_SUM, s->seed ^ at);
}

/* Takes one over; false: this is no record, and all ends here. */
static bool
take_record(struct gather_state *s, const uint8_t *r)
{
	uint64_t first = le_get64(r + AT_FIRST), count = le_get64(r + AT_COUNT);

	if (le_get64(r + AT_RECORD_SUM) != record_sum(s, r, s->end) ||
	    count == 0 || first >= s->units || count > s->units - first)
		return false;
	mark(s, first, count, le_get64(r + AT_MEMBERS));
	s->end += RECORD_LEN;
	return true;
}

static int
read_records(struct gather_state *s, struct err *e)
{
	AUTO_FREE uint8_t *block = malloc(RECORDS_AT_ONCE * RECORD_LEN);
	ssize_t n, i;

	if (block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	do {
		n = io_read_some_at(
		    s->fd, block, RECORDS_AT_ONCE * RECORD_LEN, s->end, e);
		if (n < 0)
			return -1;
		for (i = 0; i + RECORD_LEN <= n; i += RECORD_LEN)
			if (!take_record(s, block + i))
				return 0;
	} while (n == RECORDS_AT_ONCE * RECORD_LEN);
	return 0;
}

/* Behind a torn record may be whole ones that never counted: the next append
 * must not bring them back. */
static int
cut_tail(struct gather_state *s, struct err *e)
{
	uint64_t len;

	if (io_size(s->fd, &len, e) < 0)
		return -1;
	if (len <= s->end)
		return 0;
	if (sys_ftruncate(s->fd, s->end) < 0)
		return err_sys(e, "cut off what is torn");
	return io_fdatasync(s->fd, s->path, e);
}

int
gather_state_open(
    struct gather_state *s, const char *path, uint64_t units, struct err *e)
{
	AUTO(buf_release) struct buf plan = {0};
	AUTO(gather_state_close) struct gather_state n = GATHER_STATE_NONE;
	uint64_t has = 0;

	n.fd = sys_openat(AT_FDCWD, path, O_RDWR, 0);
	if (n.fd < 0)
		return err_sys(e, "open %s", path);
	if (read_plan(n.fd, path, &has, &plan, e) < 0)
		return -1;
	if (has != units)
		return err_set(e, ERR_CORRUPT, "%s is of %ju units, not of %ju",
		    path, (uintmax_t)has, (uintmax_t)units);
	(void)snprintf(n.path, sizeof(n.path), "%s", path);
	n.seed = sum_bytes(plan.data, plan.len, 0);
	n.end = records_at((uint32_t)plan.len);
	n.units = n.unread = units;
	n.read = calloc(units == 0 ? 1 : units, sizeof(*n.read));
	if (n.read == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (read_records(&n, e) < 0 || cut_tail(&n, e) < 0)
		return err_at(e, "%s", path);
	*s = n;
	n = GATHER_STATE_NONE;
	return 0;
}

/* ---- writing ---- */

int
gather_state_note(struct gather_state *s, uint64_t first, uint64_t count,
    uint64_t members, struct err *e)
{
	uint8_t r[RECORD_LEN];

	assert(count > 0 && first < s->units && count <= s->units - first);
	le_put64(r + AT_FIRST, first);
	le_put64(r + AT_COUNT, count);
	le_put64(r + AT_MEMBERS, members);
	le_put64(r + AT_RECORD_SUM, record_sum(s, r, s->end + s->records.len));
	if (buf_add(&s->records, r, sizeof(r), e) < 0)
		return -1;
	mark(s, first, count, members);
	return 0;
}

int
gather_state_forget(
    struct gather_state *s, uint64_t members, uint64_t *count, struct err *e)
{
	uint64_t i = 0, first;

	*count = 0;
	while (i < s->units) {
		first = i;
		while (i < s->units && (s->read[i] & members) != 0)
			i++;
		if (i > first &&
		    gather_state_note(s, first, i - first, 0, e) < 0)
			return -1;
		*count += i - first;
		i += i == first ? 1 : 0;
	}
	return 0;
}

int
gather_state_sync(struct gather_state *s, struct err *e)
{
	if (s->records.len == 0)
		return 0;
	if (io_write_at(s->fd, s->records.data, s->records.len, s->end, e) <
		0 ||
	    io_fdatasync(s->fd, s->path, e) < 0)
		return err_at(e, "keep the list of ranges in %s", s->path);
	s->end += s->records.len;
	s->records.len = 0;
	return 0;
}

int
gather_state_remove(struct gather_state *s, struct err *e)
{
	AUTO_CLOSE int dir = -1;
	char name[NAME_MAX + 1];

	if (open_above(s->path, name, &dir, e) < 0)
		return -1;
	return io_remove(dir, name, e);
}
