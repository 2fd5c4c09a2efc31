/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/request.h"
#include "manager/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool
exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A home without catalogue and without a copy of one was never finished. */
static bool
is_unfinished(const char *path, const char *site)
{
	AUTO(home_close) struct home h = HOME_NONE;

	return home_open(path, &h, NULL) == 0 &&
	       strcmp(h.site_name, site) == 0 &&
	       !exists(h.state, "catalogue.copy");
}

static int
make(const char *path, const char *site, struct home *h, struct err *e)
{
	struct err why = {0};

	if (home_create(path, site, &why) < 0 &&
	    !(why.kind == ERR_REFUSED && is_unfinished(path, site)))
		return err_set(e, why.kind, "%s", why.text);
	if (home_open(path, h, e) < 0)
		return -1;
	return catalogue_create(h, e);
}

static int
set_location(struct home *h, const struct location *l, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (!l->known)
		return 0;
	if (catalogue_open(h, true, &c, e) < 0 || catalogue_begin(c, e) < 0 ||
	    catalogue_set_location(c, NULL, l, e) < 0)
		return -1;
	return catalogue_commit(c, e);
}

static int
report(struct home *h)
{
	uint8_t digest[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1], uuid[UUID_TEXT];
	struct err e = {0};

	if (sign_fingerprint(&h->key.pub, digest, &e) < 0)
		return tell_err(&e);
	(void)printf("site %s, uuid %s\nhome %s\n", h->site_name,
	    uuid_text(&h->site, uuid), h->path);
	(void)fprintf(
	    stderr, "fingerprint: %s\n", hex_text(digest, sizeof(digest), hex));
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* The home cannot be opened before it is ours: its lock is taken by hand. */
static int
lock_foreign(const char *path, int *fd, struct err *e)
{
	AUTO_CLOSE int dir = -1, lock = -1;

	if (io_open_dir(AT_FDCWD, path, &dir, e) < 0)
		return -1;
	lock =
	    sys_openat(dir, "state/lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (lock < 0)
		return err_sys(e, "open %s/state/lock", path);
	if (io_lock(lock, true, e) < 0)
		return err_at(e, "a coordinator or manager uses %s", path);
	*fd = STEAL_FD(lock);
	return 0;
}

static int
adopt(const char *path)
{
	AUTO_CLOSE int lock = -1;
	AUTO(home_close) struct home h = HOME_NONE;
	struct err e = {0};

	if (lock_foreign(path, &lock, &e) < 0)
		return tell_err(&e);
	if (home_open(path, &h, NULL) == 0) {
		if (!exists(h.state, "adopt"))
			return tell(EXIT_REFUSED,
			    "home %s belongs to this machine: nothing to "
			    "adopt",
			    path);
	} else if (home_adopt(path, &e) < 0 || home_open(path, &h, &e) < 0)
		return tell_err(&e);
	if (request_adopt(&h, &e) < 0)
		return tell_err(&e);
	(void)fprintf(stderr,
	    "aim-manager: this site has a new identity and a new key; pair "
	    "every group and\nmirror again with its other sites\n");
	return report(&h);
}

int
run_init(struct args *a)
{
	const char *site = args_option(a, "site");
	const char *where = args_option(a, "location");
	struct location location = {.known = false};
	AUTO(home_close) struct home h = HOME_NONE;
	struct err e = {0};

	if (args_has(a, "adopt")) {
		if (site != NULL || where != NULL)
			return tell(EXIT_USAGE,
			    "init takes --site or --adopt, not both");
		return adopt(a->home);
	}
	if (site == NULL)
		return tell(EXIT_USAGE,
		    "init needs --site NAME, the name of this site");
	if (where != NULL && location_parse(where, &location, &e) < 0)
		return tell_err(&e);
	if (make(a->home, site, &h, &e) < 0 ||
	    set_location(&h, &location, &e) < 0)
		return tell_err(&e);
	return report(&h);
}
