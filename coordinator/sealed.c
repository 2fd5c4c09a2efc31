/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/sealed.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enough for nearly every header at once. */
#define FIRST_READ 4096u

int
sealed_open(struct home *h, const struct uuid *stream, struct sealed *out,
    struct err *e)
{
	char name[UUID_TEXT];
	int dir;

	(void)uuid_text(stream, name);
	if (io_make_dir(h->sealed, name, 0700, e) < 0 ||
	    io_open_dir(h->sealed, name, &dir, e) < 0)
		return err_at(e, "sealed/%s", name);
	*out = (struct sealed){.dir = dir, .stream = *stream, .home = h};
	return 0;
}

void
sealed_close(struct sealed *s)
{
	cleanup_fd(&s->dir);
	s->dir = -1;
}

/* ".NAME.tmp" of a journal file. */
static bool
is_unfinished(const char *name)
{
	char middle[JOURNAL_NAME_LEN];
	size_t len = strlen(name);
	uint32_t epoch;
	uint64_t sequence;

	if (len != JOURNAL_NAME_LEN - 1 + 5 || name[0] != '.' ||
	    strcmp(name + len - 4, ".tmp") != 0)
		return false;
	memcpy(middle, name + 1, JOURNAL_NAME_LEN - 1);
	middle[JOURNAL_NAME_LEN - 1] = '\0';
	return journal_name_parse(middle, &epoch, &sequence);
}

static bool
is_before(uint32_t epoch, uint64_t sequence, uint32_t other_epoch,
    uint64_t other_sequence)
{
	return epoch != other_epoch ? epoch < other_epoch
				    : sequence < other_sequence;
}

static void
count_name(struct sealed_ends *ends, uint32_t epoch, uint64_t sequence)
{
	if (ends->count == 0 || is_before(epoch, sequence, ends->oldest_epoch,
				    ends->oldest_sequence)) {
		ends->oldest_epoch = epoch;
		ends->oldest_sequence = sequence;
	}
	if (ends->count == 0 || is_before(ends->newest_epoch,
				    ends->newest_sequence, epoch, sequence)) {
		ends->newest_epoch = epoch;
		ends->newest_sequence = sequence;
	}
	ends->count++;
}

/* Counts the names that are after the given one. */
static int
list_after(struct sealed *s, bool clean, uint32_t after_epoch,
    uint64_t after_sequence, struct sealed_ends *out, struct err *e)
{
	struct sealed_ends ends = {0};
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	uint64_t sequence;
	uint32_t epoch;
	int fd;

	if (io_open_dir(s->dir, ".", &fd, e) < 0)
		return -1;
	d = fdopendir(fd);
	if (d == NULL) {
		(void)err_sys(e, "list sealed journal files");
		cleanup_fd(&fd);
		return -1;
	}
	while (errno = 0, (entry = readdir(d)) != NULL) {
		if (journal_name_parse(entry->d_name, &epoch, &sequence)) {
			if (is_before(
				after_epoch, after_sequence, epoch, sequence))
				count_name(&ends, epoch, sequence);
		} else if (clean && is_unfinished(entry->d_name) &&
			   sys_unlink(s->dir, entry->d_name) < 0 &&
			   errno != ENOENT)
			return err_sys(e, "remove %s", entry->d_name);
	}
	if (errno != 0)
		return err_sys(e, "list sealed journal files");
	*out = ends;
	return 0;
}

int
sealed_list(
    struct sealed *s, bool clean, struct sealed_ends *out, struct err *e)
{
	return list_after(s, clean, 0, 0, out, e);
}

int
sealed_skip(struct sealed *s, uint32_t epoch_number, uint64_t sequence,
    struct sealed_file *out, struct err *e)
{
	struct sealed_ends ends;

	if (list_after(s, false, epoch_number, sequence, &ends, e) < 0)
		return -1;
	if (ends.count == 0)
		return 0;
	return sealed_look(s, ends.oldest_epoch, ends.oldest_sequence, out, e);
}

void
sealed_file_from(const struct journal_header *h, struct sealed_file *out)
{
	*out = (struct sealed_file){
	    .at = {.epoch = h->epoch,
		.epoch_number = h->epoch_number,
		.sequence = h->sequence,
		.last = h->last},
	    .first = h->first,
	    .file_len = h->file_len,
	    .raw_len = h->data_raw_len,
	    .stored_len = h->data_stored_len,
	    .first_time_ns = h->first_time_ns,
	    .last_time_ns = h->last_time_ns,
	    .sealed_time_ns = h->sealed_time_ns,
	    .iocb_off = h->iocb_off,
	    .iocb_count = h->iocb_count,
	    .iocb_len = h->iocb_len,
	    .kind = h->kind,
	    .opens_epoch = (h->compat & JOURNAL_COMPAT_EPOCH_OPEN) != 0,
	    .encrypted = header_is_encrypted(h),
	};
	memcpy(out->at.digest, h->content_digest, DIGEST_LEN);
}

int
sealed_open_file(struct sealed *s, uint32_t epoch_number, uint64_t sequence,
    int *fd, struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	struct err why = {0};

	(void)journal_name(epoch_number, sequence, name);
	if (io_open_regular(s->dir, name, fd, &why) == 0)
		return 1;
	if (why.sys == ENOENT)
		return 0;
	return err_set(e, why.kind, "%s", why.text);
}

static int
damaged(const char *name, const struct why *why, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "%s: offset %ju: %s", name,
	    (uintmax_t)why->offset, why->text);
}

/* Reads and decodes the header of `fd` through a buffer of its own if it has
 * unusually large tables. */
static int
read_header(int fd, const char *name, struct journal_header *out, struct err *e)
{
	uint8_t first[FIRST_READ];
	AUTO_FREE uint8_t *whole = NULL;
	struct why why = {0};
	uint32_t len;
	ssize_t n = io_read_some_at(fd, first, sizeof(first), 0, e);

	if (n < 0)
		return err_at(e, "%s", name);
	if (header_peek(first, (size_t)n, &len, &why) != VERDICT_WHOLE)
		return damaged(name, &why, e);
	if (len <= (size_t)n) {
		if (header_decode(first, (size_t)n, out, &why) != VERDICT_WHOLE)
			return damaged(name, &why, e);
		return 0;
	}
	whole = malloc(len);
	if (whole == NULL)
		return err_set(e, ERR_RETRY, "out of memory (%u bytes)", len);
	if (io_read_at(fd, whole, len, 0, e) < 0)
		return err_at(e, "%s", name);
	if (header_decode(whole, len, out, &why) != VERDICT_WHOLE)
		return damaged(name, &why, e);
	return 0;
}

int
sealed_look(struct sealed *s, uint32_t epoch_number, uint64_t sequence,
    struct sealed_file *out, struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	struct journal_header h;
	AUTO_CLOSE int fd = -1;
	uint64_t size;
	int found = sealed_open_file(s, epoch_number, sequence, &fd, e);

	if (found <= 0)
		return found;
	(void)journal_name(epoch_number, sequence, name);
	if (read_header(fd, name, &h, e) < 0 || io_size(fd, &size, e) < 0)
		return -1;
	if (h.epoch_number != epoch_number || h.sequence != sequence ||
	    !uuid_equal(&h.stream, &s->stream) || h.file_len != size)
		return err_set(e, ERR_CORRUPT,
		    "%s is not the file that its name says", name);
	sealed_file_from(&h, out);
	return 1;
}

int
sealed_after(struct sealed *s, uint32_t epoch_number, uint64_t sequence,
    struct sealed_file *out, struct err *e)
{
	int found = sealed_look(s, epoch_number, sequence + 1, out, e);

	if (found != 0)
		return found;
	return sealed_look(s, epoch_number + 1, 1, out, e);
}

int
sealed_find(struct sealed *s, uint64_t transaction, struct sealed_file *out,
    struct err *e)
{
	struct sealed_ends ends;
	struct sealed_file f;
	int found;

	if (sealed_list(s, false, &ends, e) < 0)
		return -1;
	if (ends.count == 0)
		return 0;
	found = sealed_look(s, ends.oldest_epoch, ends.oldest_sequence, &f, e);
	while (found == 1) {
		if (f.first > transaction)
			return 0;
		if (f.at.last >= transaction) {
			*out = f;
			return 1;
		}
		found =
		    sealed_after(s, f.at.epoch_number, f.at.sequence, &f, e);
	}
	return found;
}

uint64_t
sealed_copyin_share(const struct sealed_file *f, uint64_t raw)
{
	if (f->raw_len == 0)
		return 0;
	if (raw >= f->raw_len)
		return f->stored_len;
	return (
	    uint64_t)((double)f->stored_len * (double)raw / (double)f->raw_len);
}

static void
drop_reader(struct reader **r)
{
	reader_close(*r);
}

/* Adds up what COPYIN entries brought; *last_op is the file's last. */
static int
scan_iocbs(struct sealed *s, int fd, const char *name, uint64_t *raw,
    uint32_t *last_op, struct err *e)
{
	AUTO(drop_reader) struct reader *r = NULL;
	struct iocb b;
	int more;

	if (reader_open(fd, name, &r, e) < 0)
		return -1;
	keyring_give(s->home, r);
	while ((more = reader_next_iocb(r, &b, e)) > 0) {
		*raw += b.op == OP_COPYIN ? b.len : 0;
		*last_op = b.op;
	}
	return more;
}

int
sealed_copyin_len(struct sealed *s, const struct sealed_file *f,
    bool *in_copyin, uint64_t *len, struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	bool in = f->opens_epoch ? false : *in_copyin;
	AUTO_CLOSE int fd = -1;
	uint32_t last_op = 0;
	uint64_t raw = 0;
	int found;

	in = in || f->kind == JOURNAL_COPYIN_OPEN;
	if (in) {
		(void)journal_name(f->at.epoch_number, f->at.sequence, name);
		found = sealed_open_file(
		    s, f->at.epoch_number, f->at.sequence, &fd, e);
		if (found < 0)
			return -1;
		if (found == 0)
			return err_set(e, ERR_RETRY, "%s is gone", name);
		if (scan_iocbs(s, fd, name, &raw, &last_op, e) < 0)
			return -1;
	}
	*in_copyin = in && last_op != OP_COPYIN_END;
	*len = sealed_copyin_share(f, raw);
	return 0;
}
