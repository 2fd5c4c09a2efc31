/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/carry.h"

#include "aimdriver/digest.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST "manifest"
#define MANIFEST_LIMIT ((size_t)64 << 20)
#define FILES_LIMIT 500000u
#define BLOCK (1u << 20)
#define HEX (2 * DIGEST_LEN)

void
carry_release(struct carry_list *l)
{
	free(l->files);
	*l = (struct carry_list){0};
}

struct carry_file *
carry_add(struct carry_list *l, struct err *e)
{
	struct carry_file *more;

	if (l->count >= FILES_LIMIT) {
		(void)err_set(
		    e, ERR_REFUSED, "more than %u files", FILES_LIMIT);
		return NULL;
	}
	if ((l->count & (l->count - 1)) == 0) {
		more = reallocarray(l->files,
		    l->count == 0 ? 1 : 2 * (size_t)l->count, sizeof(*more));
		if (more == NULL) {
			(void)err_set(e, ERR_RETRY, "out of memory");
			return NULL;
		}
		l->files = more;
	}
	more = &l->files[l->count++];
	memset(more, 0, sizeof(*more));
	return more;
}

/* ---- the manifest ---- */

int
carry_store(int dir, const struct carry_list *l, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char uuid[UUID_TEXT], hex[HEX + 1];
	uint8_t sum[DIGEST_LEN];

	if (buf_printf(&b, e, "aim-carry 1\nstream %s\ngroup %s\nfiles %u\n",
		uuid_text(&l->stream, uuid), l->group, l->count) < 0)
		return -1;
	for (uint32_t i = 0; i < l->count; i++)
		if (buf_printf(&b, e, "%s %" PRIu64 " %s\n", l->files[i].name,
			l->files[i].len,
			hex_text(l->files[i].digest, DIGEST_LEN, hex)) < 0)
			return -1;
	if (digest_bytes(b.data, b.len, sum, e) < 0 ||
	    buf_printf(&b, e, "sum %s\n", hex_text(sum, DIGEST_LEN, hex)) < 0)
		return -1;
	return io_write_file(dir, MANIFEST, b.data, b.len, 0644, e);
}

static int
damaged(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT,
	    "the manifest is damaged (%s): carry it out again", what);
}

/* The text before the line "sum HEX", which must be its digest. */
static int
check_sum(struct buf *b, struct err *e)
{
	const size_t line = strlen("sum \n") + HEX;
	uint8_t is[DIGEST_LEN], want[DIGEST_LEN];
	char hex[HEX + 1];
	const char *last;

	if (b->len < line || memchr(b->data, 0, b->len) != NULL)
		return damaged(e, "cut");
	last = (const char *)b->data + b->len - line;
	if (strncmp(last, "sum ", 4) != 0 || last[line - 1] != '\n')
		return damaged(e, "cut");
	memcpy(hex, last + 4, HEX);
	hex[HEX] = '\0';
	if (hex_parse(hex, want, sizeof(want), NULL) < 0)
		return damaged(e, "no digest");
	b->len -= line;
	if (digest_bytes(b->data, b->len, is, e) < 0)
		return -1;
	if (memcmp(is, want, sizeof(is)) != 0)
		return damaged(e, "its digest differs");
	b->data[b->len] = '\0';
	return 0;
}

static int
parse_file(const char *line, struct carry_list *l, struct err *e)
{
	char name[JOURNAL_NAME_LEN], hex[HEX + 1];
	uint32_t epoch_number;
	uint64_t len, sequence;
	struct carry_file *f;

	_Static_assert(JOURNAL_NAME_LEN == 30, "the width below");
	_Static_assert(HEX == 64, "the width below");
	if (sscanf(line, "%29s %" SCNu64 " %64s", name, &len, hex) != 3 ||
	    !journal_name_parse(name, &epoch_number, &sequence))
		return damaged(e, "a line is no file");
	f = carry_add(l, e);
	if (f == NULL)
		return -1;
	(void)strcpy(f->name, name);
	f->len = len;
	if (hex_parse(hex, f->digest, sizeof(f->digest), NULL) < 0)
		return damaged(e, "a line has no digest");
	return 0;
}

static int
parse(char *text, struct carry_list *l, struct err *e)
{
	char uuid[UUID_TEXT] = "", *line;
	uint32_t count, version;
	int at = 0;

	_Static_assert(UUID_TEXT == 37 && NAME_LIMIT == 64, "the widths below");
	if (sscanf(text,
		"aim-carry %" SCNu32 " stream %36s group %63s files %" SCNu32
		" %n",
		&version, uuid, l->group, &count, &at) != 4 ||
	    uuid_parse(uuid, &l->stream, NULL) < 0)
		return damaged(e, "its head");
	if (version != 1)
		return err_set(e, ERR_REFUSED,
		    "the manifest has version %u; this release knows 1",
		    version);
	for (line = text + at; *line != '\0';) {
		char *end = strchr(line, '\n');

		if (end == NULL)
			return damaged(e, "cut");
		*end = '\0';
		if (parse_file(line, l, e) < 0)
			return -1;
		line = end + 1;
	}
	return l->count == count ? 0 : damaged(e, "not all files are named");
}

int
carry_load(int dir, struct carry_list *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO(carry_release) struct carry_list l = {0};
	struct err why = {0};

	if (io_read_file(dir, MANIFEST, MANIFEST_LIMIT, &b, &why) < 0)
		return why.sys == ENOENT ? 0
					 : err_set(e, why.kind, "%s", why.text);
	if (check_sum(&b, e) < 0 || parse((char *)b.data, &l, e) < 0)
		return -1;
	*out = l;
	l = (struct carry_list){0};
	return 1;
}

/* ---- files ---- */

/* Reads all of it; writes it to `to` unless that is -1. */
static int
run_through(
    int from, int to, uint64_t *len, uint8_t out[DIGEST_LEN], struct err *e)
{
	AUTO(digest_release) struct digest d = {0};
	AUTO_FREE uint8_t *block = malloc(BLOCK);
	uint64_t off = 0;
	ssize_t n;

	if (block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (digest_begin(&d, e) < 0)
		return -1;
	while ((n = io_read_some_at(from, block, BLOCK, off, e)) > 0) {
		if (off + (uint64_t)n > JOURNAL_FILE_LIMIT)
			return err_set(
			    e, ERR_CORRUPT, "it is larger than any may be");
		if (digest_add(&d, block, (size_t)n, e) < 0 ||
		    (to >= 0 && io_write_at(to, block, (size_t)n, off, e) < 0))
			return -1;
		off += (uint64_t)n;
	}
	*len = off;
	return n < 0 ? -1 : digest_end(&d, out, e);
}

int
carry_look(int dir, const char *name, uint64_t *len, uint8_t digest[DIGEST_LEN],
    struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct err why = {0};

	if (io_open_regular(dir, name, &fd, &why) < 0)
		return why.sys == ENOENT ? 0
					 : err_set(e, why.kind, "%s", why.text);
	if (run_through(fd, -1, len, digest, e) < 0)
		return err_at(e, "%s", name);
	return 1;
}

static int
fill_part(int from, int to, struct carry_file *f, bool check, struct err *e)
{
	uint8_t digest[DIGEST_LEN];
	uint64_t len;

	if (run_through(from, to, &len, digest, e) < 0)
		return -1;
	if (check &&
	    (len != f->len || memcmp(digest, f->digest, sizeof(digest)) != 0))
		return err_set(e, ERR_CORRUPT,
		    "it is not what the manifest says: damaged on the way; "
		    "carry it out again");
	f->len = len;
	memcpy(f->digest, digest, sizeof(digest));
	return io_fsync(to, f->name, e);
}

int
carry_copy(int from, int to, struct carry_file *f, bool check, struct err *e)
{
	AUTO_CLOSE int in = -1, out = -1;
	char part[JOURNAL_NAME_LEN + 8];

	(void)snprintf(part, sizeof(part), ".%s.part", f->name);
	if (io_open_regular(from, f->name, &in, e) < 0)
		return -1;
	out = sys_openat(
	    to, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0640);
	if (out < 0)
		return err_sys(e, "create %s", part);
	if (fill_part(in, out, f, check, e) < 0) {
		(void)sys_unlink(to, part);
		return err_at(e, "copy %s", f->name);
	}
	if (sys_rename(to, part, to, f->name, 0) < 0)
		return err_sys(e, "rename %s to %s", part, f->name);
	return 0;
}
