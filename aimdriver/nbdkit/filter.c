/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter: the table that nbdkit calls, its parameters, and connections.
 *
 * The group is joined before nbdkit goes into the background, so that what is
 * wrong is said where the operator sees it; the process that goes on then is a
 * child, and takes the handle over.
 */
#include "aimdriver/nbdkit/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_HOME "/var/lib/aim"

static struct nf_config config;
static const char *commit = "local";
static bool logs; /* commit=wal */
static uint64_t wal_size = WAL_SIZE_DEFAULT;
static pid_t joined; /* the process that has attached */

static int
refuse(const struct err *e)
{
	nbdkit_error("aim: %s", e->text);
	return -1;
}

/* ---- parameters ---- */

static int
keep(const char **to, const char *value)
{
	*to = nbdkit_strdup_intern(value);
	return *to == NULL ? -1 : 0;
}

/* nbdkit changes its folder when it goes into the background. */
static int
keep_path(const char **to, const char *value)
{
	char *path = nbdkit_absolute_path(value);
	int r = path == NULL ? -1 : keep(to, path);

	free(path);
	return r;
}

static int
take_size(const char *value)
{
	int64_t size = nbdkit_parse_size(value);

	if (size < 0)
		return -1;
	wal_size = (uint64_t)size;
	return 0;
}

static int
on_config(nbdkit_next_config *next, nbdkit_backend *backend, const char *key,
    const char *value)
{
	if (strcmp(key, "group") == 0)
		return keep(&config.group, value);
	if (strcmp(key, "home") == 0)
		return keep_path(&config.home, value);
	if (strcmp(key, "volume") == 0)
		return keep(&config.volume, value);
	if (strcmp(key, "commit") == 0)
		return keep(&commit, value);
	if (strcmp(key, "wal-size") == 0)
		return take_size(value);
	/* The plugin's; we want to know, too. */
	if (strcmp(key, "file") == 0 && keep_path(&config.file, value) < 0)
		return -1;
	return next(backend, key, value);
}

static int
check_commit(void)
{
	if (strcmp(commit, "local") == 0 || strcmp(commit, "journal") == 0) {
		nf_disk.journal = commit[0] == 'j';
		return 0;
	}
	logs = strcmp(commit, "wal") == 0;
	if (logs)
		return 0;
	nbdkit_error("aim: commit=%s: it is 'local' (the disk), 'journal' (the "
		     "disk and the journal) or 'wal' (a log instead of the "
		     "disk)",
	    commit);
	return -1;
}

static int
on_config_complete(nbdkit_next_config_complete *next, nbdkit_backend *backend)
{
	const char *home = getenv("AIM_HOME");

	if (config.home == NULL &&
	    keep_path(&config.home, home != NULL ? home : DEFAULT_HOME) < 0)
		return -1;
	if (check_commit() < 0)
		return -1;
	return next(backend);
}

static int
on_thread_model(void)
{
	return NBDKIT_THREAD_MODEL_PARALLEL;
}

/* ---- the process ---- */

static int
on_get_ready(int thread_model)
{
	struct err e = {0};

	(void)thread_model;
	if (nf_find(&config, &e) < 0 ||
	    (logs && wal_open(nf_disk.capture, nf_disk.volume, wal_size,
			 &nf_disk.wal, &e) < 0))
		return refuse(&e);
	joined = getpid();
	return 0;
}

static int
on_after_fork(nbdkit_backend *backend)
{
	struct err e = {0};

	(void)backend;
	if (getpid() != joined)
		capture_after_fork(nf_disk.capture);
	if (logs && wal_start(nf_disk.wal, &e) < 0)
		return refuse(&e);
	return 0;
}

static void
on_cleanup(nbdkit_backend *backend)
{
	struct err e = {0};

	(void)backend;
	if (wal_close(nf_disk.wal, &e) < 0)
		(void)refuse(&e);
	nf_disk.wal = NULL;
	capture_detach(nf_disk.capture);
	nf_disk.capture = NULL;
	if (nf_disk.fd >= 0)
		(void)close(nf_disk.fd);
	nf_disk.fd = -1;
}

/* ---- connections ---- */

static void *
on_open(nbdkit_next_open *next, nbdkit_context *context, int readonly,
    const char *exportname, int is_tls)
{
	struct nf_client *c;

	(void)is_tls;
	if (next(context, readonly, exportname) < 0)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		nbdkit_error("aim: out of memory");
	return c;
}

static void
on_close(void *handle)
{
	free(handle);
}

static int
on_prepare(nbdkit_next *next, void *handle, int readonly)
{
	struct nf_client *c = handle;
	struct err e = {0};
	int can = readonly ? 0 : next->can_write(next);

	if (can <= 0)
		return can;
	if (nf_compare(next, &e) < 0)
		return refuse(&e);
	c->writes = true;
	return 0;
}

static int
on_can_write(nbdkit_next *next, void *handle)
{
	const struct nf_client *c = handle;

	(void)next;
	return c->writes;
}

static int
on_can_zero(nbdkit_next *next, void *handle)
{
	int r = next->can_zero(next);

	(void)handle;
	return r <= NBDKIT_ZERO_NONE ? r : NBDKIT_ZERO_NATIVE;
}

static int
on_can_trim(nbdkit_next *next, void *handle)
{
	int trims = next->can_trim(next), zeroes;

	(void)handle;
	if (trims <= 0)
		return trims;
	zeroes = next->can_zero(next);
	if (zeroes < 0)
		return -1;
	return zeroes != NBDKIT_ZERO_NONE && nf_can_trim();
}

/* The plugin makes a flush of it if it must. */
static int
on_can_fua(nbdkit_next *next, void *handle)
{
	int r = next->can_fua(next);

	(void)handle;
	return r <= NBDKIT_FUA_NONE ? r : NBDKIT_FUA_NATIVE;
}

#define HELP                                                                   \
	"group=NAME             (required) The group of the volume.\n"         \
	"home=DIR               The site's home (default: $AIM_HOME, else\n"   \
	"                       " DEFAULT_HOME ").\n"                          \
	"volume=PATH            Which volume, where it is not clear.\n"        \
	"commit=local|journal|wal\n"                                           \
	"                       What a flush waits for (default: local).\n"    \
	"wal-size=SIZE          Of the log of commit=wal (default: 64M)."

static struct nbdkit_filter filter = {
    .name = "aim",
    .longname = "AIM capture filter",
    .description = "capture all changes of a volume for its mirrors",
    .config = on_config,
    .config_complete = on_config_complete,
    .config_help = HELP,
    .thread_model = on_thread_model,
    .get_ready = on_get_ready,
    .after_fork = on_after_fork,
    .cleanup = on_cleanup,
    .open = on_open,
    .close = on_close,
    .prepare = on_prepare,
    .can_write = on_can_write,
    .can_zero = on_can_zero,
    .can_trim = on_can_trim,
    .can_fua = on_can_fua,
    .pwrite = nf_pwrite,
    .zero = nf_zero,
    .trim = nf_trim,
    .flush = nf_flush,
};

/* By this name nbdkit finds it; that it is for this very version of nbdkit is
 * checked there. */
struct nbdkit_filter *filter_init(void);
NBDKIT_REGISTER_FILTER(filter)
