/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/forward.h"

#include "aimdriver/reader.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/chain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int
forward_open(struct home *h, const struct mirror_config *m, struct forward *out,
    struct err *e)
{
	struct forward f = {.sealed.dir = -1};

	f.looked = calloc(m->destination_count + 1u, sizeof(*f.looked));
	if (f.looked == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (sealed_open(h, &m->stream, &f.sealed, e) < 0 ||
	    forward_count(&f, e) < 0) {
		forward_close(&f);
		return -1;
	}
	*out = f;
	return 0;
}

void
forward_close(struct forward *f)
{
	sealed_close(&f->sealed);
	free(f->looked);
	f->looked = NULL;
}

/* Before that name, as numbers alone. */
static struct position
before_name(uint32_t epoch_number, uint64_t sequence)
{
	return (struct position){
	    .epoch_number = epoch_number, .sequence = sequence - 1};
}

void
forward_added(struct forward *f, const struct position *at, uint64_t len)
{
	struct position before = before_name(at->epoch_number, at->sequence);

	if (f->files == 0 || position_compare(&before, &f->oldest) < 0)
		f->oldest = before;
	f->files++;
	f->bytes += len;
}

int
forward_count(struct forward *f, struct err *e)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	struct position at = {0};
	struct stat st;
	int fd;

	if (io_open_dir(f->sealed.dir, ".", &fd, e) < 0)
		return -1;
	d = fdopendir(fd);
	if (d == NULL) {
		(void)err_sys(e, "list the files that are passed on");
		cleanup_fd(&fd);
		return -1;
	}
	f->bytes = f->files = 0;
	f->oldest = at;
	while (errno = 0, (entry = readdir(d)) != NULL)
		if (journal_name_parse(
			entry->d_name, &at.epoch_number, &at.sequence) &&
		    fstatat(f->sealed.dir, entry->d_name, &st,
			AT_SYMLINK_NOFOLLOW) == 0)
			forward_added(f, &at, (uint64_t)st.st_size);
	return errno != 0 ? err_sys(e, "list the files that are passed on") : 0;
}

/* The name that follows: 1 and how long the file is, 0 there is none, -1. */
static int
next_name(struct forward *f, const struct position *after,
    struct chain_name *next, uint64_t *len, struct err *e)
{
	struct chain_name names[2];
	char name[JOURNAL_NAME_LEN];
	struct stat st;

	chain_expected(after, names);
	for (int i = 0; i < 2; i++) {
		(void)journal_name(
		    names[i].epoch_number, names[i].sequence, name);
		if (fstatat(f->sealed.dir, name, &st, AT_SYMLINK_NOFOLLOW) ==
		    0) {
			*next = names[i];
			*len = (uint64_t)st.st_size;
			return 1;
		}
		if (errno != ENOENT)
			return err_sys(e, "look at sealed/.../%s", name);
	}
	return 0;
}

int
forward_has_next(struct forward *f, const struct position *after, struct err *e)
{
	struct chain_name next;
	uint64_t len;

	return next_name(f, after, &next, &len, e);
}

int
forward_drop(struct forward *f, const struct position *upto, struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	struct chain_name next;
	uint64_t len;
	bool any = false;
	int found;

	while (f->files > 0 && position_compare(&f->oldest, upto) < 0) {
		found = next_name(f, &f->oldest, &next, &len, e);
		/* A gap, or somebody has put one aside. */
		if (found < 0 || (found == 0 && forward_count(f, e) < 0))
			return -1;
		if (found == 0)
			continue;
		f->oldest = (struct position){.epoch_number = next.epoch_number,
		    .sequence = next.sequence};
		if (position_compare(&f->oldest, upto) > 0) {
			f->oldest =
			    before_name(next.epoch_number, next.sequence);
			break;
		}
		(void)journal_name(next.epoch_number, next.sequence, name);
		if (sys_unlink(f->sealed.dir, name) < 0 && errno != ENOENT)
			return err_sys(e, "drop %s", name);
		f->bytes -= len < f->bytes ? len : f->bytes;
		f->files--;
		any = true;
	}
	return any;
}

/* ---- where a mirror begins ---- */

static void
drop_reader(struct reader **r)
{
	reader_close(*r);
}

static int
names_mirror(struct sealed *s, const struct sealed_file *f,
    const struct uuid *mirror, struct position *before, struct err *e)
{
	AUTO(drop_reader) struct reader *r = NULL;
	char name[JOURNAL_NAME_LEN];
	AUTO_CLOSE int fd = -1;
	int found =
	    sealed_open_file(s, f->at.epoch_number, f->at.sequence, &fd, e);

	if (found <= 0)
		return found;
	(void)journal_name(f->at.epoch_number, f->at.sequence, name);
	if (reader_open(fd, name, &r, e) < 0)
		return -1;
	if (!reader_has_target(r, mirror))
		return 0;
	chain_before(reader_header(r), before);
	return 1;
}

/* The file that follows, or the next one that is there: one between may be
 * damaged and put aside, or was dropped. */
static int
next_there(struct sealed *s, const struct position *after,
    struct sealed_file *out, struct err *e)
{
	int found =
	    sealed_after(s, after->epoch_number, after->sequence, out, e);

	return found != 0 ? found
			  : sealed_skip(s, after->epoch_number, after->sequence,
				out, e);
}

int
forward_find(struct sealed *s, const struct uuid *mirror,
    struct position *looked, struct position *before, struct err *e)
{
	struct position at = looked == NULL ? (struct position){0} : *looked;
	struct sealed_file f;
	int found, named;

	while ((found = next_there(s, &at, &f, e)) == 1) {
		named = f.kind == JOURNAL_COPYIN_OPEN
			    ? names_mirror(s, &f, mirror, before, e)
			    : 0;
		if (named != 0)
			return named;
		at = f.at;
		if (looked != NULL)
			*looked = at;
	}
	return found;
}
