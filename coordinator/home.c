/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home: making a home. Folders first, then the key, then state/site, which
 * is what makes it a home: whatever a crash leaves before that is completed
 * by the next attempt.
 *
 * Modes: programs of other users capture through active/<group>/, so the top
 * and active/ can be passed by everybody; what else is in it is private.
 */
#include "coordinator/home.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "coordinator/home_site.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static const struct folder {
	const char *name;
	mode_t mode;
} folders[] = {
    {"active", 0755},
    {"sealed", 0700},
    {"stage", 0700},
    {"done", 0700},
    {"quarantine", 0700},
    {"state", 0700},
    {"keys", 0700},
};
#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

/* Kinds of file system, by the number that statfs(2) gives. */
#define FS_BTRFS 0x9123683EL

static const struct place {
	unsigned long magic;
	bool refused;
	const char *name;
} places[] = {
    {0x6969, true, "NFS"},
    {0x65735546, true, "FUSE"},
    {0x01021997, true, "9p"},
    {0xFF534D42, true, "CIFS"},
    {0xFE534D42, true, "SMB"},
    {0x517B, true, "SMB"},
    {0x00C36400, true, "Ceph"},
    {0x5346414F, true, "AFS"},
    {0x01021994, false,
	"the home is on tmpfs: all of it is lost at the next boot"},
    {0x858458F6, false,
	"the home is on ramfs: all of it is lost at the next boot"},
    {0x794C7630, false,
	"the home is on an overlay (a container?): it may vanish with it"},
};

int
home_check_place(int fd, const char **advice, struct err *e)
{
	struct statfs s;

	if (fstatfs(fd, &s) < 0)
		return err_sys(e, "statfs");
	*advice = NULL;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if ((unsigned long)s.f_type != places[i].magic)
			continue;
		if (places[i].refused)
			return err_set(e, ERR_REFUSED,
			    "is on %s, where locks, shared memory and fsync "
			    "cannot be relied on: choose a local file system",
			    places[i].name);
		*advice = places[i].name;
	}
	return 0;
}

/* Segments are rewritten in place for ever: copy-on-write would only hurt,
 * and breaks the promise that a mapped segment needs no new space. */
static int
forbid_cow(int dir, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct statfs s;
	int flags;

	if (io_open_dir(dir, "active", &fd, e) < 0)
		return -1;
	if (fstatfs(fd, &s) < 0)
		return err_sys(e, "statfs");
	if ((unsigned long)s.f_type != FS_BTRFS)
		return 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		if ((flags & FS_NOCOW_FL) != 0)
			return 0;
		flags |= FS_NOCOW_FL;
		if (ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0)
			return 0;
	}
	(void)err_sys(e, "set No-CoW on active/ (btrfs): choose another file "
			 "system for the home");
	if (e != NULL)
		e->kind = ERR_REFUSED;
	return -1;
}

/* Only what an interrupted init may have left may be there. */
static int
check_empty(int dir, const char *path, struct err *e)
{
	AUTO_CLOSE int copy = -1;
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;

	if (io_open_dir(dir, ".", &copy, e) < 0)
		return -1;
	d = fdopendir(copy);
	if (d == NULL)
		return err_sys(e, "list %s", path);
	copy = -1; /* now d's */
	while ((entry = readdir(d)) != NULL) {
		const char *name = entry->d_name;
		char quoted[80];
		size_t i = 0;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		    strcmp(name, "lost+found") == 0)
			continue;
		while (i < FOLDERS && strcmp(name, folders[i].name) != 0)
			i++;
		if (i == FOLDERS)
			return err_set(e, ERR_REFUSED,
			    "%s holds other things ('%s'): a home needs a "
			    "folder of its own",
			    path,
			    name_quote(
				name, strlen(name), quoted, sizeof(quoted)));
	}
	return 0;
}

static int
make_folders(int dir, struct err *e)
{
	AUTO_CLOSE int keys = -1;
	struct stat st;

	if (fchmod(dir, 0711) < 0)
		return err_sys(e, "set its mode");
	for (size_t i = 0; i < FOLDERS; i++)
		if (io_make_dir(dir, folders[i].name, folders[i].mode, e) < 0)
			return -1;
	if (io_open_dir(dir, "keys", &keys, e) < 0 ||
	    io_make_dir(keys, "trusted", 0700, e) < 0)
		return -1;
	if (fstatat(keys, "site.pub", &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	    home_key_make(keys, e) < 0)
		return -1;
	return forbid_cow(dir, e);
}

int
home_create(const char *path, const char *site_name, struct err *e)
{
	AUTO_CLOSE int dir = -1, state = -1;
	struct home_site s = {0};
	const char *advice;
	struct err why = {0};

	if (name_check("site", site_name, e) < 0)
		return -1;
	if (io_make_dir(AT_FDCWD, path, 0711, e) < 0 ||
	    io_open_dir(AT_FDCWD, path, &dir, e) < 0)
		return err_at(e, "make home %s", path);
	if (home_check_place(dir, &advice, e) < 0)
		return err_at(e, "%s", path);
	if (io_open_dir(dir, "state", &state, &why) == 0 &&
	    (home_site_load(state, &s, &why) == 0 || why.sys != ENOENT))
		return err_set(e, ERR_REFUSED,
		    "%s is already the home of a site%s%s", path,
		    s.name[0] != 0 ? ": " : "", s.name);
	cleanup_fd(&state);
	state = -1;
	if (check_empty(dir, path, e) < 0 || make_folders(dir, e) < 0 ||
	    io_open_dir(dir, "state", &state, e) < 0)
		return err_at(e, "make home %s", path);
	(void)snprintf(s.name, sizeof(s.name), "%s", site_name);
	machine_id(s.machine);
	if (uuid_make(&s.uuid, e) < 0 || home_site_store(state, &s, e) < 0)
		return err_at(e, "make home %s", path);
	if (advice != NULL)
		log_warn("%s: %s", path, advice);
	return 0;
}

int
home_adopt(const char *path, struct err *e)
{
	AUTO_CLOSE int dir = -1, state = -1, keys = -1;
	struct home_site s;

	if (io_open_dir(AT_FDCWD, path, &dir, e) < 0 ||
	    io_open_dir(dir, "state", &state, e) < 0 ||
	    io_open_dir(dir, "keys", &keys, e) < 0 ||
	    home_site_load(state, &s, e) < 0)
		return err_at(e, "adopt %s", path);
	machine_id(s.machine);
	/* The machine's name last: it is what opens the home. */
	if (uuid_make(&s.uuid, e) < 0 || home_key_make(keys, e) < 0 ||
	    io_write_file(state, "adopt", "", 0, 0600, e) < 0 ||
	    home_site_store(state, &s, e) < 0)
		return err_at(e, "adopt %s", path);
	return 0;
}

int
home_trust(struct home *h, const char *name, const struct sign_public *key,
    struct err *e)
{
	AUTO_CLOSE int trusted = -1;
	char file[NAME_LIMIT + 8], text[2 * sizeof(key->key) + 2];

	if (name_check("site", name, e) < 0 ||
	    io_open_dir(h->dir, "keys/trusted", &trusted, e) < 0)
		return -1;
	(void)snprintf(file, sizeof(file), "%s.pub", name);
	(void)hex_text(key->key, sizeof(key->key), text);
	(void)strcat(text, "\n");
	return io_write_file(trusted, file, text, strlen(text), 0644, e);
}
