/* SPDX-License-Identifier: Apache-2.0 */
/* home_open: opening, locking and closing a home. */
#include "coordinator/home.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/name.h"
#include "common/sys.h"
#include "coordinator/home_site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
open_folders(struct home *h, struct err *e)
{
	if (io_open_dir(h->dir, "sealed", &h->sealed, e) < 0 ||
	    io_open_dir(h->dir, "stage", &h->stage, e) < 0 ||
	    io_open_dir(h->dir, "done", &h->done, e) < 0 ||
	    io_open_dir(h->dir, "quarantine", &h->quarantine, e) < 0)
		return -1;
	return 0;
}

/* The path without links, and its folder. */
static int
open_top(struct home *h, const char *path, struct err *e)
{
	char word[SHELL_WORD];
	AUTO_FREE char *real = realpath(path, NULL);

	if (real == NULL && errno == ENOENT)
		return err_set(e, ERR_REFUSED,
		    "no home at %s: make one with 'aim-manager --home %s init "
		    "--site NAME'",
		    path, shell_word(path, word, sizeof(word)));
	if (real == NULL)
		return err_sys(e, "home %s", path);
	if (strlen(real) >= sizeof(h->path))
		return err_set(e, ERR_REFUSED, "home %s: path too long", path);
	(void)strcpy(h->path, real);
	return io_open_dir(AT_FDCWD, h->path, &h->dir, e);
}

static int
check_machine(const struct home_site *s, const char *path, struct err *e)
{
	char word[SHELL_WORD];
	char here[MACHINE_LIMIT];

	machine_id(here);
	if (strcmp(s->machine, here) == 0 || strcmp(s->machine, "-") == 0 ||
	    strcmp(here, "-") == 0)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "home %s was made on another machine (%.8s..., this is %.8s...): "
	    "two copies of one site would destroy the mirrors' order. If the "
	    "other one will never run again, make it this machine's own with "
	    "'aim-manager --home %s init --adopt' (new key, pair again)",
	    path, s->machine, here, shell_word(path, word, sizeof(word)));
}

/* Never was a home, or is one that has lost state/site? */
static int
no_site(const struct home *h, struct err *e)
{
	char word[SHELL_WORD];

	(void)shell_word(h->path, word, sizeof(word));
	if (faccessat(h->dir, "catalogue.db", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_REFUSED,
		    "%s is not a home: make one with 'aim-manager --home %s "
		    "init --site NAME'",
		    h->path, word);
	return err_set(e, ERR_REFUSED,
	    "home %s has lost state/site. Put it back from a backup, or write "
	    "its four lines: format 1, name NAME, uuid UUID (both by: sqlite3 "
	    "%s/catalogue.db 'select name, uuid from site'), machine ID (by: "
	    "cat /etc/machine-id)",
	    h->path, word);
}

static int
open_site(struct home *h, struct err *e)
{
	AUTO_CLOSE int keys = -1;
	struct home_site s;
	struct err why = {0};

	if (io_open_dir(h->dir, "state", &h->state, &why) < 0 ||
	    home_site_load(h->state, &s, &why) < 0) {
		if (why.sys == ENOENT)
			return no_site(h, e);
		return err_set(e, why.kind, "home %s: %s", h->path, why.text);
	}
	if (check_machine(&s, h->path, e) < 0)
		return -1;
	if (io_open_dir(h->dir, "keys", &keys, e) < 0 ||
	    home_key_load(keys, &h->key, e) < 0)
		return err_at(e, "home %s", h->path);
	h->site = s.uuid;
	(void)strcpy(h->site_name, s.name);
	return 0;
}

static const struct home none = HOME_NONE;

int
home_open(const char *path, struct home *out, struct err *e)
{
	AUTO(home_close) struct home h = HOME_NONE;
	const char *advice;

	if (open_top(&h, path, e) < 0 || open_site(&h, e) < 0)
		return -1;
	if (home_check_place(h.dir, &advice, e) < 0)
		return err_at(e, "home %s", h.path);
	if (open_folders(&h, e) < 0)
		return err_at(e, "home %s is damaged", h.path);
	*out = h;
	h = none;
	return 0;
}

void
home_close(struct home *h)
{
	if (h == NULL)
		return;
	cleanup_fd(&h->dir);
	cleanup_fd(&h->sealed);
	cleanup_fd(&h->stage);
	cleanup_fd(&h->done);
	cleanup_fd(&h->quarantine);
	cleanup_fd(&h->state);
	sign_forget(&h->key);
	*h = none;
}

int
home_lock(struct home *h, int *fd, struct err *e)
{
	AUTO_CLOSE int lock =
	    sys_openat(h->state, "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	if (lock < 0)
		return err_sys(e, "open %s/state/lock", h->path);
	if (io_lock(lock, true, e) < 0)
		return err_at(e, "home %s", h->path);
	*fd = STEAL_FD(lock);
	return 0;
}
