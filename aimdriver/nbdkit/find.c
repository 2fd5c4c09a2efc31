/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find: the group by its name or UUID, in it the volume: that which the
 * plugin's own parameter `file` names, or `volume` (path or UUID), or the only
 * one that there is.
 */
#include "aimdriver/nbdkit/filter.h"

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define GROUPS_LIMIT (8u << 20)

struct nf_disk nf_disk = {.fd = -1};

/* HOME/groups has a line "UUID NAME" for each group. */
static int
group_by_name(
    const char *home, const char *name, struct uuid *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO_CLOSE int dir = -1;
	char *at, *line, *save = NULL;

	if (io_open_dir(AT_FDCWD, home, &dir, e) < 0 ||
	    io_read_file(dir, "groups", GROUPS_LIMIT, &b, e) < 0)
		return err_at(e, "is %s the home of a site?", home);
	if (buf_add(&b, "", 1, e) < 0)
		return -1;
	at = (char *)b.data;
	while ((line = strtok_r(at, "\n", &save)) != NULL) {
		at = NULL;
		if (strlen(line) < UUID_TEXT || line[UUID_TEXT - 1] != ' ')
			return err_set(
			    e, ERR_CORRUPT, "%s/groups is damaged", home);
		line[UUID_TEXT - 1] = '\0';
		if (strcmp(line + UUID_TEXT, name) == 0)
			return uuid_parse(line, out, e);
	}
	return err_set(e, ERR_REFUSED,
	    "there is no group '%s' in %s; see aim-manager status", name, home);
}

static int
find_group(const struct nf_config *k, struct uuid *out, struct err *e)
{
	if (k->group == NULL)
		return err_set(e, ERR_REFUSED,
		    "which group? add group=NAME; aim-manager status lists "
		    "them");
	if (uuid_parse(k->group, out, NULL) == 0)
		return 0;
	return group_by_name(k->home, k->group, out, e);
}

/* By UUID, else by path. -1: none. */
static int
volume_by_word(const struct capture *c, const char *word)
{
	struct capture_volume v;
	struct uuid id;
	bool is_uuid = uuid_parse(word, &id, NULL) == 0;
	struct stat st;

	for (uint32_t i = 0; i < capture_volume_count(c); i++) {
		capture_volume_get(c, i, &v);
		if (is_uuid ? uuid_equal(&v.uuid, &id)
			    : strcmp(v.path, word) == 0)
			return (int)i;
	}
	return is_uuid || stat(word, &st) < 0 ? -1
					      : capture_volume_find(c, &st);
}

static int
volume_of_file(
    const struct capture *c, const struct nf_config *k, int *out, struct err *e)
{
	struct stat st;

	if (stat(k->file, &st) < 0)
		return err_sys(e, "%s", k->file);
	*out = capture_volume_find(c, &st);
	if (*out < 0)
		return err_set(e, ERR_REFUSED, "%s is no volume of group %s",
		    k->file, k->group);
	return 0;
}

static int
find_volume(const struct capture *c, const struct nf_config *k, uint32_t *out,
    struct err *e)
{
	int served = -1, named = -1;

	if (k->file != NULL && volume_of_file(c, k, &served, e) < 0)
		return -1;
	if (k->volume != NULL) {
		named = volume_by_word(c, k->volume);
		if (named < 0)
			return err_set(e, ERR_REFUSED,
			    "'%s' is neither path nor UUID of a volume of "
			    "group %s",
			    k->volume, k->group);
		if (served >= 0 && served != named)
			return err_set(e, ERR_REFUSED,
			    "%s is another volume than '%s'", k->file,
			    k->volume);
	} else if (served >= 0)
		named = served;
	else if (capture_volume_count(c) == 1)
		named = 0;
	if (named < 0)
		return err_set(e, ERR_REFUSED,
		    "group %s has %u volumes: say which with volume=PATH",
		    k->group, capture_volume_count(c));
	*out = (uint32_t)named;
	return 0;
}

static void
detach(struct capture **c)
{
	capture_detach(*c);
}

/* What a crash has left of commit=wal, before anybody is served. */
static int
redo(struct capture *c, struct err *e)
{
	uint64_t n;

	if (wal_redo(c, &n, e) < 0)
		return -1;
	if (n > 0)
		nbdkit_debug("aim: %ju changes were redone from the log of "
			     "commit=wal",
		    (uintmax_t)n);
	return 0;
}

int
nf_find(const struct nf_config *k, struct err *e)
{
	AUTO(detach) struct capture *c = NULL;
	AUTO_CLOSE int fd = -1;
	struct capture_volume v;
	struct uuid group;
	uint32_t i = 0;

	if (find_group(k, &group, e) < 0 ||
	    capture_attach(
		k->home, &group, CAPTURE_WRITER | CAPTURE_REDO, &c, e) < 0 ||
	    find_volume(c, k, &i, e) < 0 || redo(c, e) < 0)
		return -1;
	capture_volume_get(c, i, &v);
	if (wal_is_taken(c, i))
		return err_set(e, ERR_REFUSED,
		    "another nbdkit serves %s with commit=wal", v.path);
	fd = open(v.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, "open %s", v.path);
	nf_disk.volume = i;
	nf_disk.kind = v.kind;
	memcpy(nf_disk.path, v.path, sizeof(nf_disk.path));
	nf_disk.fd = STEAL_FD(fd);
	nf_disk.capture = STEAL(c);
	return 0;
}
