/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/stage.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int
open_folder(int above, const struct uuid *u, int *out, struct err *e)
{
	char name[UUID_TEXT];

	(void)uuid_text(u, name);
	if (io_make_dir(above, name, 0700, e) < 0)
		return -1;
	return io_open_dir(above, name, out, e);
}

static const char *
pin_name(const struct uuid *mirror, char out[UUID_TEXT + 16])
{
	(void)uuid_text(mirror, out);
	(void)strcat(out, ".encrypted");
	return out;
}

int
stage_pin(struct home *h, const struct uuid *mirror, struct err *e)
{
	char name[UUID_TEXT + 16];

	return io_write_file(
	    h->state, pin_name(mirror, name), "1\n", 2, 0600, e);
}

/* What cannot be looked at must not pass for missing. */
static int
load_pin(struct stage *s, struct err *e)
{
	char name[UUID_TEXT + 16];

	(void)pin_name(&s->mirror.uuid, name);
	s->encrypted = faccessat(s->home->state, name, F_OK, 0) == 0;
	if (!s->encrypted && errno != ENOENT)
		return err_sys(e, "look at state/%s", name);
	return 0;
}

bool
stage_belongs(
    const struct stage *s, const struct reader *r, char why[CHAIN_WHY])
{
	if (!chain_belongs(&s->mirror, s->key_id, r, why))
		return false;
	if (!s->encrypted || header_is_encrypted(reader_header(r)))
		return true;
	(void)snprintf(why, CHAIN_WHY,
	    "it is not encrypted, but all files of this group must be: "
	    "somebody has lowered its protection");
	return false;
}

int
stage_open(struct home *h, const struct mirror_config *m, struct stage *out,
    struct err *e)
{
	struct stage s = {.home = h, .mirror = *m, .stage = -1, .done = -1};
	size_t n = m->volume_count;

	s.volumes = calloc(n == 0 ? 1 : n, sizeof(*s.volumes));
	if (s.volumes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (n > 0)
		memcpy(s.volumes, m->volumes, n * sizeof(*s.volumes));
	s.mirror.volumes = s.volumes;
	if (sign_key_id(&m->source_key, s.key_id, e) < 0 ||
	    load_pin(&s, e) < 0 ||
	    open_folder(m->relay ? h->sealed : h->stage,
		m->relay ? &m->stream : &m->uuid, &s.stage, e) < 0 ||
	    open_folder(h->done, &m->uuid, &s.done, e) < 0) {
		stage_close(&s);
		return -1;
	}
	*out = s;
	return 0;
}

void
stage_close(struct stage *s)
{
	if (s->stage >= 0)
		(void)close(s->stage);
	if (s->done >= 0)
		(void)close(s->done);
	free(s->volumes);
	s->volumes = NULL;
	s->stage = s->done = -1;
}

void
staged_close(struct staged *f)
{
	reader_close(f->reader);
	f->reader = NULL;
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
}

int
staged_open(const struct home *h, int dir, uint32_t epoch_number,
    uint64_t sequence, struct staged *out, struct err *e)
{
	const struct journal_header *header;

	out->fd = -1;
	out->reader = NULL;
	(void)journal_name(epoch_number, sequence, out->name);
	out->fd =
	    sys_openat(dir, out->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (out->fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", out->name);
	if (reader_open(out->fd, out->name, &out->reader, e) < 0) {
		staged_close(out);
		return -1;
	}
	header = reader_header(out->reader);
	if (header->epoch_number != epoch_number ||
	    header->sequence != sequence) {
		staged_close(out);
		return err_set(e, ERR_CORRUPT,
		    "%s says inside that it is another file", out->name);
	}
	if (h != NULL)
		keyring_give(h, out->reader);
	return 1;
}

/* The name alone does not make a file the next one: its chain must fit. */
static int
next_named(struct stage *s, const struct position *tip,
    const struct chain_name *n, struct staged *out, struct err *e)
{
	char why[CHAIN_WHY];
	int r = staged_open(
	    s->home, s->stage, n->epoch_number, n->sequence, out, e);

	if (r <= 0)
		return r;
	if (position_is_nil(tip)
		? s->mirror.relay || chain_begins(&s->mirror, out->reader)
		: chain_fit(tip, reader_header(out->reader), why) == CHAIN_NEXT)
		return 1;
	staged_close(out);
	return 0;
}

int
stage_next(struct stage *s, const struct position *tip, struct staged *out,
    struct err *e)
{
	struct chain_name names[2];
	int r;

	out->fd = -1;
	out->reader = NULL;
	if (position_is_nil(tip)) {
		r = stage_first(s->stage, &names[0], e);
		return r <= 0 ? r : next_named(s, tip, &names[0], out, e);
	}
	chain_expected(tip, names);
	r = next_named(s, tip, &names[0], out, e);
	return r != 0 ? r : next_named(s, tip, &names[1], out, e);
}

static int
compare_names(const void *a, const void *b)
{
	const struct chain_name *x = a, *y = b;

	if (x->epoch_number != y->epoch_number)
		return x->epoch_number < y->epoch_number ? -1 : 1;
	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static int
open_list(int dir, DIR **out, struct err *e)
{
	int fd = sys_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return err_sys(e, "open the folder of staged files");
	*out = fdopendir(fd);
	if (*out == NULL) {
		(void)close(fd);
		return err_set(e, ERR_RETRY, "out of memory");
	}
	return 0;
}

int
stage_list(int dir, struct chain_name **out, size_t *count, struct err *e)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	AUTO_FREE struct chain_name *names = NULL;
	size_t n = 0, room = 0;
	struct dirent *entry;

	if (open_list(dir, &d, e) < 0)
		return -1;
	while ((errno = 0, entry = readdir(d)) != NULL) {
		struct chain_name one;

		if (!journal_name_parse(
			entry->d_name, &one.epoch_number, &one.sequence))
			continue;
		if (n == room) {
			struct chain_name *more;

			room = room == 0 ? 64 : room * 2;
			more = reallocarray(names, room, sizeof(*names));
			if (more == NULL)
				return err_set(e, ERR_RETRY, "out of memory");
			names = more;
		}
		names[n++] = one;
	}
	if (errno != 0)
		return err_sys(e, "list the folder of staged files");
	if (n > 0)
		qsort(names, n, sizeof(*names), compare_names);
	*out = STEAL(names);
	*count = n;
	return 0;
}

int
stage_first(int dir, struct chain_name *out, struct err *e)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	struct chain_name one;
	int found = 0;

	if (open_list(dir, &d, e) < 0)
		return -1;
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (!journal_name_parse(
			entry->d_name, &one.epoch_number, &one.sequence))
			continue;
		if (!found || compare_names(&one, out) < 0)
			*out = one;
		found = 1;
	}
	return errno != 0 ? err_sys(e, "list the folder of staged files")
			  : found;
}

int
stage_sweep(struct stage *s, struct err *e)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;

	if (open_list(s->stage, &d, e) < 0)
		return -1;
	while ((errno = 0, entry = readdir(d)) != NULL) {
		size_t n = strlen(entry->d_name);

		if (entry->d_name[0] != '.' || n < 5 ||
		    strcmp(entry->d_name + n - 4, ".tmp") != 0)
			continue;
		if (sys_unlink(s->stage, entry->d_name) < 0 && errno != ENOENT)
			return err_sys(e, "remove %s", entry->d_name);
	}
	return errno != 0 ? err_sys(e, "list the folder of staged files") : 0;
}
