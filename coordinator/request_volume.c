/* SPDX-License-Identifier: Apache-2.0 */
/* request_volume: volume-add (name, path, group, access, spool-limit,
 * spool-policy, codec, encrypt). */
#include "coordinator/request.h"

#include "aimdriver/capture.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/place.h"
#include "fileformat/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SPOOL_SHARE 4 /* of the free space */
#define SPOOL_MOST (UINT64_C(64) << 30)

static int
check_not_taken(
    struct change *ch, const struct stat *st, const char *path, struct err *e)
{
	struct stat other;

	for (uint32_t i = 0; i < ch->now.group_count; i++) {
		const struct group_config *g = &ch->now.groups[i];

		for (uint32_t k = 0; k < g->volume_count; k++)
			if (stat(g->volumes[k].path, &other) == 0 &&
			    place_same(&other, st))
				return err_set(e, ERR_REFUSED,
				    "%s is protected already, as volume '%s' "
				    "of group '%s'",
				    path, g->volumes[k].name, g->name);
	}
	for (uint32_t i = 0; i < ch->now.mirror_count; i++) {
		const struct mirror_config *m = &ch->now.mirrors[i];

		for (uint32_t k = 0; k < m->volume_count; k++)
			if (stat(m->volumes[k].path, &other) == 0 &&
			    place_same(&other, st))
				return err_set(e, ERR_REFUSED,
				    "%s is the mirror of volume '%s' of group "
				    "'%s': nobody else may write to it",
				    path, m->volumes[k].name, m->group_name);
	}
	return 0;
}

/* The home must not lie on the disk, nor the disk in the home (F72). */
static int
check_home(
    struct change *ch, const struct stat *st, const char *path, struct err *e)
{
	size_t len = strlen(ch->home->path);
	struct stat home;

	if (strncmp(path, ch->home->path, len) == 0 && path[len] == '/')
		return err_set(e, ERR_REFUSED,
		    "%s lies inside the home %s: what AIM writes cannot be "
		    "protected by itself",
		    path, ch->home->path);
	if (fstat(ch->home->dir, &home) < 0)
		return err_sys(e, "stat %s", ch->home->path);
	return place_not_on(&home, "the home", st, path, e);
}

static int
look_at_path(
    struct change *ch, const char *path, struct volume_config *v, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (path[0] != '/')
		return err_set(e, ERR_REFUSED, "%s is not absolute", path);
	if (strlen(path) >= sizeof(((struct capture_volume *)0)->path) ||
	    strchr(path, '\n') != NULL)
		return err_set(e, ERR_REFUSED,
		    "the path is too long or has a line break in it");
	if (stat(path, &st) < 0)
		return err_sys(e, "%s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is neither a regular file nor a block device", path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, "%s must be readable and writable", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", path);
	if (check_not_taken(ch, &st, path, e) < 0 ||
	    check_home(ch, &st, path, e) < 0 ||
	    place_not_in_use(fd, path, &st, e) < 0 ||
	    io_size(fd, &v->size, e) < 0)
		return -1;
	if (S_ISBLK(st.st_mode) && v->size == 0)
		return err_set(
		    e, ERR_REFUSED, "the device %s has no medium", path);
	v->kind = S_ISBLK(st.st_mode) ? VOLUME_BLOCK : VOLUME_FILE;
	(void)snprintf(v->path, sizeof(v->path), "%s", path);
	return 0;
}

int
change_spool_limit(struct change *ch, uint64_t *out, struct err *e)
{
	const char *text = change_text(ch, "spool-limit");
	uint64_t space;
	char *end;

	if (text[0] != 0) {
		errno = 0;
		*out = strtoull(text, &end, 10);
		if (errno != 0 || *end != 0 || *out > INT64_MAX)
			return err_set(e, ERR_REFUSED,
			    "spool limit '%s' is not a number of bytes", text);
		return 0;
	}
	if (io_free_bytes(ch->home->dir, &space, e) < 0)
		return -1;
	*out = space / SPOOL_SHARE;
	if (*out > SPOOL_MOST)
		*out = SPOOL_MOST;
	if (*out == 0)
		*out = 1; /* 0 would mean none */
	return 0;
}

int
change_spool_policy(const char *name)
{
	if (name[0] == 0 || strcmp(name, "passthrough") == 0)
		return CAPTURE_PASS;
	if (strcmp(name, "block") == 0)
		return CAPTURE_BLOCK;
	return strcmp(name, "fail") == 0 ? CAPTURE_FAIL : 0;
}

int
change_codec(const char *text, enum codec *codec, int *out, struct err *e)
{
	size_t len = strcspn(text, ":");
	char *end = NULL;
	long level = 0;

	*codec = CODEC_NONE;
	for (uint32_t c = CODEC_NONE; c <= CODEC_ZSTD; c++)
		if (strlen(codec_name(c)) == len &&
		    strncmp(text, codec_name(c), len) == 0)
			*codec = (enum codec)c;
	if (len > 0 && strncmp(text, codec_name(*codec), len) != 0)
		return err_set(e, ERR_REFUSED,
		    "compression '%s': it is 'none', 'zlib' or 'zstd'", text);
	if (!codec_is_built(*codec))
		return err_set(e, ERR_REFUSED,
		    "compression '%s' is not built into this release: it needs "
		    "libzstd",
		    text);
	if (text[len] == ':') {
		level = strtol(text + len + 1, &end, 10);
		if (end == text + len + 1 || *end != 0 || level < 1 ||
		    level > codec_levels(*codec))
			return err_set(e, ERR_REFUSED,
			    "compression '%s': levels of %s are 1..%d", text,
			    codec_name(*codec), codec_levels(*codec));
	}
	*out = (int)level;
	return 0;
}

static int
add_group(struct change *ch, const struct group_config *g, struct err *e)
{
	char level[16];

	if (catalogue_add_group(ch->catalogue, g, e) < 0)
		return -1;
	(void)snprintf(level, sizeof(level), "%d", g->codec_level);
	return g->codec_level == 0 ? 0
				   : catalogue_set(ch->catalogue, &g->uuid,
					 "codec-level", level, e);
}

static int
make_group(
    struct change *ch, const char *name, struct group_config *g, struct err *e)
{
	const char *policy = change_text(ch, "spool-policy");

	if (name_check("group", name, e) < 0)
		return -1;
	if (snapshot_mirror(&ch->now, name) != NULL)
		return err_set(e, ERR_REFUSED,
		    "this home holds a mirror of a group '%s': choose another "
		    "name with --group",
		    name);
	(void)snprintf(g->name, sizeof(g->name), "%s", name);
	g->spool_policy = (enum capture_policy)change_spool_policy(policy);
	if (g->spool_policy == 0)
		return err_set(e, ERR_REFUSED,
		    "spool policy '%s': it is 'passthrough', 'block' or 'fail'",
		    policy);
	if (change_codec(
		change_text(ch, "codec"), &g->codec, &g->codec_level, e) < 0)
		return -1;
	g->seal_age_ms = 1000;
	g->heartbeat_ms = 30000;
	if (uuid_make(&g->uuid, e) < 0 || uuid_make(&g->stream, e) < 0)
		return -1;
	return change_spool_limit(ch, &g->spool_limit, e);
}

/* gid of a Unix group's name, or -1 for none. */
static int
access_gid(const char *name, gid_t *out, struct err *e)
{
	struct group *g;

	*out = (gid_t)-1;
	if (name[0] == 0)
		return 0;
	errno = 0;
	g = getgrnam(name);
	if (g == NULL)
		return err_set(e, ERR_REFUSED,
		    "there is no Unix group '%s' on this host", name);
	*out = g->gr_gid;
	return 0;
}

static int
show(struct change *ch, const struct volume_config *v, const char *group,
    struct err *e)
{
	char home[SHELL_WORD];

	if (buf_printf(&ch->out, e,
		"volume %s: %s, %s of %ju bytes, in group %s\n", v->name,
		v->path, v->kind == VOLUME_BLOCK ? "block device" : "file",
		(uintmax_t)v->size, group) < 0)
		return -1;
	return buf_printf(&ch->err, e,
	    "next: aim-manager --home %s group export %s > FILE\n",
	    shell_word(ch->home->path, home, sizeof(home)), group);
}

/* The folder under active/; then the caller commits the catalogue. */
static int
put_into_folder(struct change *ch, const struct group_config *g, bool fresh,
    gid_t access, const struct volume_config *v, struct err *e)
{
	if (pending_note(ch->home, &g->uuid, v, e) < 0)
		return -1;
	if (fresh && folder_make(ch->home, &g->uuid, access, e) < 0)
		return -1;
	return folder_add(ch->home, &g->uuid, v, e);
}

static int
check_volume_name(struct change *ch, const char *name, struct err *e)
{
	if (name_check("volume", name, e) < 0)
		return -1;
	for (uint32_t i = 0; i < ch->now.group_count; i++)
		for (uint32_t k = 0; k < ch->now.groups[i].volume_count; k++)
			if (strcmp(ch->now.groups[i].volumes[k].name, name) ==
			    0)
				return err_set(e, ERR_REFUSED,
				    "there is a volume '%s' already (%s)", name,
				    ch->now.groups[i].volumes[k].path);
	return 0;
}

/* An existing group that may still grow, or none (*out NULL). */
static int
find_open_group(struct change *ch, const char *name,
    const struct group_config **out, struct err *e)
{
	const struct group_config *g = snapshot_group(&ch->now, name);

	if (g != NULL && g->exported)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has been exported: its volumes are fixed. Put "
		    "the volume into a group of its own (another --group)",
		    name);
	if (g != NULL && g->volume_count >= JOURNAL_VOLUME_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has %u volumes: that is the most", name,
		    g->volume_count);
	if (g != NULL &&
	    (change_has(ch, "access") || change_has(ch, "spool-limit") ||
		change_has(ch, "spool-policy") || change_has(ch, "codec") ||
		change_has(ch, "encrypt")))
		return err_set(e, ERR_REFUSED,
		    "group '%s' is there already: its options were given with "
		    "its first volume",
		    name);
	*out = g;
	return 0;
}

int
request_volume_add(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "name", e);
	const char *path = name == NULL ? NULL : change_need(ch, "path", e);
	const char *group = change_text(ch, "group");
	const struct group_config *g = NULL;
	struct group_config fresh = {0};
	struct volume_config v = {0};
	gid_t access;

	if (path == NULL)
		return -1;
	if (group[0] == 0)
		group = name;
	if (check_volume_name(ch, name, e) < 0 ||
	    find_open_group(ch, group, &g, e) < 0 ||
	    access_gid(change_text(ch, "access"), &access, e) < 0 ||
	    look_at_path(ch, path, &v, e) < 0 || uuid_make(&v.uuid, e) < 0)
		return -1;
	(void)snprintf(v.name, sizeof(v.name), "%s", name);
	if (g == NULL && (make_group(ch, group, &fresh, e) < 0 ||
			     add_group(ch, &fresh, e) < 0))
		return -1;
	if (change_has(ch, "encrypt") &&
	    change_add_key(ch, &fresh.uuid, KEY_CURRENT, e) < 0)
		return -1;
	if (catalogue_add_volume(
		ch->catalogue, g == NULL ? &fresh.uuid : &g->uuid, &v, e) < 0)
		return -1;
	if (show(ch, &v, group, e) < 0)
		return -1;
	if (change_has(ch, "dry-run"))
		return 0;
	return put_into_folder(
	    ch, g == NULL ? &fresh : g, g == NULL, access, &v, e);
}
