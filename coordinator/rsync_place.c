/* SPDX-License-Identifier: Apache-2.0 */
/* rsync_place: a place behind rsync that files are fetched from. */
#include "coordinator/transport_rsync.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BLOCK (1u << 16)

/* ---- fetching ---- */

static int
copy_all(int from, int to, uint64_t len, struct err *e)
{
	uint8_t block[COPY_BLOCK];
	uint64_t off, n;

	for (off = 0; off < len; off += n) {
		n = len - off < sizeof(block) ? len - off : sizeof(block);
		if (io_read_at(from, block, n, off, e) < 0 ||
		    io_write_at(to, block, n, off, e) < 0)
			return -1;
	}
	return 0;
}

/* One of those that were asked for: what became of it. */
static int
take_one(const struct rsync_transport *t, int got, const char *name,
    struct transport_file *f, uint64_t *len, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (rsync_is_over(t, name))
		return err_set(e, ERR_CORRUPT,
		    "%s: a file there is larger than the %ju bytes that are "
		    "accepted",
		    t->url_text, (uintmax_t)f->max);
	if (faccessat(got, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "look for %s", name);
	if (io_open_regular(got, name, &fd, e) < 0 || io_size(fd, len, e) < 0)
		return -1;
	if (*len > f->max)
		return err_set(e, ERR_CORRUPT,
		    "%s: a file there is larger than the %ju bytes that are "
		    "accepted",
		    t->url_text, (uintmax_t)f->max);
	if (copy_all(fd, f->fd, *len, e) < 0)
		return -1;
	/* Twice is too much for long. */
	(void)unlinkat(got, name, 0);
	return 1;
}

/* Those from the first on that one call can be for. */
static size_t
alike(const struct transport_file *files, size_t count, const char **names,
    char folder[TRANSPORT_NAME_LIMIT])
{
	char other[TRANSPORT_NAME_LIMIT];
	size_t n;

	names[0] = rsync_split(files[0].name, folder);
	for (n = 1; n < count && n < RSYNC_FILES; n++) {
		names[n] = rsync_split(files[n].name, other);
		if (strcmp(folder, other) != 0 || files[n].max != files[0].max)
			break;
	}
	return n;
}

static int
fetch_some(struct rsync_transport *t, struct transport_file *files,
    size_t count, const char *const *names, const char *folder, struct err *e)
{
	AUTO_CLOSE int got = -1;
	uint64_t len = 0;
	size_t i;
	int r;

	if (rsync_pull(t, folder, names, count, files[0].max, &got, e) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		struct err why = {0};

		r = take_one(t, got, names[i], &files[i], &len, &why);
		transport_file_done(&files[i], r, len, &why);
	}
	return 0;
}

/* One connection brings all of them, one behind the other. */
void
rsync_fetch(struct transport *base, struct transport_file *files, size_t count)
{
	struct rsync_transport *t = rsync_from_base(base);
	char folder[TRANSPORT_NAME_LIMIT];
	const char *names[RSYNC_FILES];
	struct err why = {0};
	size_t i = 0, n;

	if (rsync_drain(base, &why) == 0)
		for (; i < count; i += n) {
			n = alike(files + i, count - i, names, folder);
			if (fetch_some(t, files + i, n, names, folder, &why) <
			    0)
				break;
		}
	for (; i < count; i++)
		transport_file_done(&files[i], -1, 0, &why);
}

/* ---- small things ---- */

/* Begins a call in the empty folder *work, with nothing else under way. */
static int
begin(struct rsync_transport *t, struct rsync_args *a, int *work, struct err *e)
{
	if (rsync_drain(&t->base, e) < 0 || rsync_prepare(t, e) < 0 ||
	    scratch_folder(&t->scratch, "small", work, e) < 0)
		return -1;
	rsync_begin(t, 0, a);
	return 0;
}

int
rsync_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e)
{
	struct rsync_transport *t = rsync_from_base(base);
	char folder[TRANSPORT_NAME_LIMIT];
	const char *file = rsync_split(name, folder);
	AUTO_CLOSE int work = -1;
	struct rsync_args a;

	if (begin(t, &a, &work, e) < 0 ||
	    rsync_small_file(work, file, bytes, len, e) < 0)
		return -1;
	rsync_add(&a, "--ignore-times");
	rsync_add(&a, "--perms");
	rsync_add(&a, "--chmod=F644");
	rsync_add(&a, "--");
	rsync_add(&a, file);
	if (rsync_add_url(t, &a, folder, "/.", e) < 0 ||
	    rsync_run(t, &a, work, len, 0, e) < 0)
		return -1;
	if (t->alone.status != 0)
		return rsync_explain(t, &t->alone, RSYNC_WRITE, e);
	/* A server may be told to leave alone what is there. */
	return rsync_says(&t->alone, "<f", file)
		   ? 0
		   : err_set(e, ERR_REFUSED,
			 "%s: the server does not let us replace %s",
			 t->url_text, file);
}

/* A name that is not here, and so is not to be there. */
int
rsync_remove(struct transport *base, const char *name, struct err *e)
{
	struct rsync_transport *t = rsync_from_base(base);
	char folder[TRANSPORT_NAME_LIMIT];
	const char *file = rsync_split(name, folder);
	AUTO_CLOSE int work = -1;
	struct rsync_args a;

	if (begin(t, &a, &work, e) < 0)
		return -1;
	rsync_add(&a, "--delete-missing-args");
	rsync_add(&a, "--");
	rsync_add(&a, file);
	if (rsync_add_url(t, &a, folder, "/.", e) < 0 ||
	    rsync_run(t, &a, work, 0, 0, e) < 0)
		return -1;
	/* So says one that was not told, because it may not be. */
	if (strstr(t->alone.out_text, "skipping non-regular") != NULL)
		return err_set(e, ERR_REFUSED,
		    "%s: the server does not let us remove %s", t->url_text,
		    file);
	if (t->alone.status == 0)
		return rsync_says(&t->alone, "*deleting", file);
	if (rsync_is_absence(&t->alone))
		return 0;
	return rsync_explain(t, &t->alone, RSYNC_WRITE, e);
}

int
rsync_has(struct transport *base, const char *name, struct err *e)
{
	struct rsync_transport *t = rsync_from_base(base);
	char folder[TRANSPORT_NAME_LIMIT];
	const char *file = rsync_split(name, folder);
	char more[TRANSPORT_NAME_LIMIT + 1];
	AUTO_CLOSE int work = -1;
	struct rsync_args a;

	if (begin(t, &a, &work, e) < 0)
		return -1;
	(void)snprintf(more, sizeof(more), "/%s", file);
	rsync_add(&a, "--list-only");
	rsync_add(&a, "--ignore-missing-args");
	if (rsync_add_url(t, &a, folder, more, e) < 0 ||
	    rsync_run(t, &a, work, 0, 0, e) < 0)
		return -1;
	if (t->alone.status == 0)
		return t->alone.out_len > 0;
	if (rsync_is_absence(&t->alone))
		return 0;
	return rsync_explain(t, &t->alone, RSYNC_READ, e);
}

/* The same folders, empty, here: "A", "A/B". */
static int
make_here(int work, const char *name, struct rsync_args *a,
    char made[][TRANSPORT_NAME_LIMIT + 1], size_t room, struct err *e)
{
	const char *end = name;
	size_t i;

	for (i = 0; end != NULL && i < room; i++) {
		end = strchr(end, '/');
		(void)snprintf(made[i], TRANSPORT_NAME_LIMIT, "%.*s",
		    end == NULL ? (int)strlen(name) : (int)(end - name), name);
		/* What is new there has this mode, but for its umask. */
		if (mkdirat(work, made[i], 0700) < 0 ||
		    fchmodat(work, made[i], 0755, 0) < 0)
			return err_sys(e, "make %s", made[i]);
		(void)strcat(made[i], "/");
		rsync_add(a, made[i]);
		end = end == NULL ? NULL : end + 1;
	}
	return end == NULL ? 0 : err_set(e, ERR_REFUSED, "%s: too deep", name);
}

int
rsync_make_folder(struct transport *base, const char *name, struct err *e)
{
	struct rsync_transport *t = rsync_from_base(base);
	char made[8][TRANSPORT_NAME_LIMIT + 1];
	AUTO_CLOSE int work = -1;
	struct rsync_args a;

	if (begin(t, &a, &work, e) < 0)
		return -1;
	rsync_add(&a, "--dirs");
	rsync_add(&a, "--relative");
	rsync_add(&a, "--");
	if (make_here(work, name, &a, made, 8, e) < 0 ||
	    rsync_add_url(t, &a, "", "/.", e) < 0 ||
	    rsync_run(t, &a, work, 0, 0, e) < 0)
		return -1;
	return t->alone.status == 0
		   ? 0
		   : rsync_explain(t, &t->alone, RSYNC_WRITE, e);
}
