/* SPDX-License-Identifier: Apache-2.0 */
/* request_mirror: mirror-add and relay-add (group, pairing, fingerprint,
 * incoming or url and the other options of a place, onto..., create, overwrite,
 * as), mirror-export and relay-export (group), mirror-pause (group, fetch,
 * apply: "yes" or "no"). A relay has volumes without paths, and a spool-limit.
 */
#include "coordinator/request.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/place.h"
#include "coordinator/stage.h"
#include "coordinator/target.h"
#include "coordinator/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DONE_KEEP 16

struct plan {
	struct pairing pairing;
	struct mirror_config mirror;
	unsigned flags; /* TARGET_* */
};

static void
plan_release(struct plan *p)
{
	pairing_release(&p->pairing);
	free(p->mirror.volumes);
	free(p->mirror.pull);
}

static int
check_group(struct change *ch, struct plan *p, struct err *e)
{
	const char *group = change_need(ch, "group", e);
	const char *name = change_text(ch, "as");

	if (group == NULL)
		return -1;
	if (strcmp(group, p->pairing.group_name) != 0)
		return err_set(e, ERR_REFUSED,
		    "the pairing text is of group '%s' of site '%s', not of "
		    "'%s'",
		    p->pairing.group_name, p->pairing.site_name, group);
	if (name[0] == 0)
		name = group;
	if (name_check("group", name, e) < 0)
		return -1;
	if (snapshot_mirror(&ch->now, name) != NULL ||
	    snapshot_group(&ch->now, name) != NULL)
		return err_set(e, ERR_REFUSED,
		    "there is a %s of a group '%s' in this home already%s",
		    snapshot_group(&ch->now, name) != NULL ? "source"
							   : "mirror",
		    name, "; call this one otherwise with --as");
	for (uint32_t i = 0; i < ch->now.mirror_count; i++)
		if (uuid_equal(&ch->now.mirrors[i].stream, &p->pairing.stream))
			return err_set(e, ERR_REFUSED,
			    "this stream is mirrored here already, as '%s'",
			    ch->now.mirrors[i].group_name);
	(void)snprintf(
	    p->mirror.group_name, sizeof(p->mirror.group_name), "%s", name);
	return 0;
}

/* The path that --onto gives for this volume. */
static const char *
onto_path(struct change *ch, const char *volume)
{
	struct message_pair at = {0};
	size_t len = strlen(volume);

	while (message_next(ch->in, &at))
		if (strcmp(at.key, "onto") == 0 &&
		    strncmp(at.value, volume, len) == 0 && at.value[len] == '=')
			return at.value + len + 1;
	return NULL;
}

/* Every --onto must name a volume of the group, once. */
static int
check_onto(struct change *ch, const struct pairing *p, struct err *e)
{
	struct message_pair at = {0};
	uint32_t count = 0;

	while (message_next(ch->in, &at)) {
		const char *sign;
		uint32_t i = 0;

		if (strcmp(at.key, "onto") != 0)
			continue;
		sign = strchr(at.value, '=');
		if (sign == NULL)
			return err_set(
			    e, ERR_REFUSED, "--onto needs VOLUME=PATH");
		while (i < p->volume_count &&
		       (strncmp(p->volumes[i].name, at.value,
			    (size_t)(sign - at.value)) != 0 ||
			   p->volumes[i].name[sign - at.value] != 0))
			i++;
		if (i == p->volume_count)
			return err_set(e, ERR_REFUSED,
			    "--onto: group '%s' has no volume '%.*s'; its "
			    "first is '%s'",
			    p->group_name, (int)(sign - at.value), at.value,
			    p->volumes[0].name);
		count++;
	}
	if (count > p->volume_count)
		return err_set(
		    e, ERR_REFUSED, "--onto names a volume more than once");
	/* All of them, before a file is made for the first. */
	for (uint32_t i = 0; i < p->volume_count; i++)
		if (onto_path(ch, p->volumes[i].name) == NULL)
			return err_set(e, ERR_REFUSED,
			    "volume '%s' (%ju bytes) has no place: add --onto "
			    "%s=PATH",
			    p->volumes[i].name, (uintmax_t)p->volumes[i].size,
			    p->volumes[i].name);
	return 0;
}

static int
check_not_ours(struct change *ch, struct plan *p, uint32_t upto,
    const struct stat *st, const char *path, struct err *e)
{
	struct stat other;

	for (uint32_t i = 0; i < upto; i++)
		if (stat(p->mirror.volumes[i].path, &other) == 0 &&
		    place_same(&other, st))
			return err_set(e, ERR_REFUSED,
			    "%s is given for two volumes", path);
	for (uint32_t i = 0; i < ch->now.group_count; i++) {
		const struct group_config *g = &ch->now.groups[i];

		for (uint32_t k = 0; k < g->volume_count; k++)
			if (stat(g->volumes[k].path, &other) == 0 &&
			    place_same(&other, st))
				return err_set(e, ERR_REFUSED,
				    "%s is the protected volume '%s' of group "
				    "'%s': a mirror there would destroy it",
				    path, g->volumes[k].name, g->name);
	}
	for (uint32_t i = 0; i < ch->now.mirror_count; i++) {
		const struct mirror_config *m = &ch->now.mirrors[i];

		for (uint32_t k = 0; k < m->volume_count; k++)
			if (stat(m->volumes[k].path, &other) == 0 &&
			    place_same(&other, st))
				return err_set(e, ERR_REFUSED,
				    "%s is the mirror of volume '%s' of group "
				    "'%s' already",
				    path, m->volumes[k].name, m->group_name);
	}
	return 0;
}

/* Before anything is made: what is there must not be somebody's. */
static int
check_existing(struct change *ch, struct plan *p, uint32_t i, const char *path,
    struct err *e)
{
	size_t len = strlen(ch->home->path);
	struct stat st, home;

	if (path[0] != '/')
		return err_set(e, ERR_REFUSED, "%s is not absolute", path);
	if (strlen(path) >= PATH_MAX || strchr(path, '\n') != NULL)
		return err_set(e, ERR_REFUSED,
		    "the path is too long or has a line break in it");
	if (strncmp(path, ch->home->path, len) == 0 && path[len] == '/')
		return err_set(e, ERR_REFUSED,
		    "%s lies inside the home: choose a place for the mirror "
		    "outside of it",
		    path);
	if (stat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "stat %s", path);
	if (fstat(ch->home->dir, &home) < 0)
		return err_sys(e, "stat %s", ch->home->path);
	if (check_not_ours(ch, p, i, &st, path, e) < 0)
		return -1;
	return place_not_on(&home, "the home", &st, path, e);
}

/* What is there is checked; what is missing must be wanted. */
static int
choose_target(struct change *ch, struct plan *p, uint32_t i, struct err *e)
{
	const struct pairing_volume *from = &p->pairing.volumes[i];
	struct mirror_volume_config *v = &p->mirror.volumes[i];
	const char *path = onto_path(ch, from->name);
	struct stat st;

	if (check_existing(ch, p, i, path, e) < 0)
		return -1;
	(void)strcpy(v->name, from->name);
	(void)snprintf(v->path, sizeof(v->path), "%s", path);
	v->uuid = from->uuid;
	v->source_kind = from->kind;
	v->size = from->size;
	v->kind = VOLUME_FILE;
	if ((p->flags & TARGET_CREATE) != 0 && lstat(path, &st) < 0 &&
	    errno == ENOENT)
		return 0;
	return target_check(v->path, v->size, v->source_kind,
	    p->flags & ~(unsigned)TARGET_CREATE, &v->kind, e);
}

static int
choose_targets(struct change *ch, struct plan *p, struct err *e)
{
	if (check_onto(ch, &p->pairing, e) < 0)
		return -1;
	p->mirror.volumes =
	    calloc(p->pairing.volume_count, sizeof(*p->mirror.volumes));
	if (p->mirror.volumes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	p->mirror.volume_count = p->pairing.volume_count;
	for (uint32_t i = 0; i < p->pairing.volume_count; i++)
		if (choose_target(ch, p, i, e) < 0)
			return err_at(e, "mirror of volume '%s'",
			    p->pairing.volumes[i].name);
	return 0;
}

/* A relay knows the volumes, for the files name them, and nothing more. */
static int
name_volumes(struct plan *p, struct err *e)
{
	p->mirror.volumes =
	    calloc(p->pairing.volume_count, sizeof(*p->mirror.volumes));
	if (p->mirror.volumes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	p->mirror.volume_count = p->pairing.volume_count;
	for (uint32_t i = 0; i < p->pairing.volume_count; i++) {
		const struct pairing_volume *from = &p->pairing.volumes[i];
		struct mirror_volume_config *v = &p->mirror.volumes[i];

		(void)strcpy(v->name, from->name);
		v->uuid = from->uuid;
		v->source_kind = v->kind = from->kind;
		v->size = from->size;
	}
	return 0;
}

/* After everything else was found in order. */
static int
make_targets(const struct plan *p, struct err *e)
{
	for (uint32_t i = 0; i < p->mirror.volume_count; i++) {
		struct mirror_volume_config *v = &p->mirror.volumes[i];

		if (target_check(v->path, v->size, v->source_kind, p->flags,
			&v->kind, e) < 0)
			return err_at(e, "mirror of volume '%s'", v->name);
	}
	return 0;
}

static int
choose_pull(struct change *ch, struct plan *p, struct err *e)
{
	p->mirror.pull = calloc(1, sizeof(*p->mirror.pull));
	if (p->mirror.pull == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (change_place(ch, p->mirror.pull, e) < 0 ||
	    transport_check_hub(p->mirror.pull, e) < 0)
		return err_at(e, "--pull");
	return 0;
}

/* Where the files come from: a folder that others fill, or a place. */
static int
choose_incoming(struct change *ch, struct plan *p, struct err *e)
{
	const char *dir = change_need(ch, "incoming", NULL);
	size_t len = strlen(ch->home->path);
	struct stat st;

	if ((dir == NULL) == !change_has(ch, "url"))
		return err_set(e, ERR_REFUSED,
		    "a mirror needs --incoming, the folder that its source "
		    "uploads to, or --pull, the URL that it fetches from: one "
		    "of them");
	if (dir == NULL && p->mirror.relay)
		return err_set(e, ERR_REFUSED,
		    "a relay needs --incoming, the folder that is uploaded to");
	if (dir == NULL)
		return choose_pull(ch, p, e);
	if (dir[0] != '/' || strlen(dir) >= sizeof(p->mirror.incoming) ||
	    strchr(dir, '\n') != NULL)
		return err_set(e, ERR_REFUSED,
		    "the incoming folder must be an absolute path");
	if (strncmp(dir, ch->home->path, len) == 0 &&
	    (dir[len] == '/' || dir[len] == 0))
		return err_set(e, ERR_REFUSED,
		    "%s lies inside the home: whoever uploads must not come "
		    "near it",
		    dir);
	if (stat(dir, &st) < 0)
		return err_sys(e, "the incoming folder %s", dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_REFUSED, "%s is not a folder", dir);
	(void)snprintf(
	    p->mirror.incoming, sizeof(p->mirror.incoming), "%s", dir);
	return 0;
}

/*
 * DIR/<stream>/ belongs to whoever DIR belongs to, so that the account that
 * uploads can put files there; ack/ is ours, and everybody's to read.
 */
static int
make_incoming(const struct mirror_config *m, struct err *e)
{
	AUTO_CLOSE int dir = -1, stream = -1;
	char name[UUID_TEXT];
	struct stat st, made;

	if (io_open_dir(AT_FDCWD, m->incoming, &dir, e) < 0)
		return -1;
	if (fstat(dir, &st) < 0)
		return err_sys(e, "stat %s", m->incoming);
	(void)uuid_text(&m->stream, name);
	if (io_make_dir(dir, name, (st.st_mode & 0777) | 0700, e) < 0 ||
	    io_open_dir(dir, name, &stream, e) < 0)
		return err_at(e, "in %s", m->incoming);
	if (fstat(stream, &made) < 0)
		return err_sys(e, "stat %s/%s", m->incoming, name);
	if ((made.st_uid != st.st_uid || made.st_gid != st.st_gid) &&
	    fchown(stream, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return err_sys(
		    e, "give %s/%s to its folder's owner", m->incoming, name);
	return io_make_dir(stream, "ack", 0755, e);
}

/* By the site's name; by its UUID when another site of that name is known. */
static int
trust(struct change *ch, const struct pairing *p, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO_CLOSE int keys = -1;
	char file[NAME_LIMIT + 16], hex[2 * sizeof(p->key.key) + 1];
	char uuid[UUID_TEXT];

	if (io_open_dir(ch->home->dir, "keys/trusted", &keys, e) < 0)
		return -1;
	(void)snprintf(file, sizeof(file), "%s.pub", p->site_name);
	(void)hex_text(p->key.key, sizeof(p->key.key), hex);
	if (io_read_file(keys, file, 4096, &b, NULL) == 0 &&
	    (b.len < strlen(hex) || memcmp(b.data, hex, strlen(hex)) != 0))
		return home_trust(
		    ch->home, uuid_text(&p->site, uuid), &p->key, e);
	return home_trust(ch->home, p->site_name, &p->key, e);
}

static void
take_identity(struct plan *p)
{
	p->mirror.group = p->pairing.group;
	p->mirror.stream = p->pairing.stream;
	p->mirror.source_site = p->pairing.site;
	(void)strcpy(p->mirror.source_site_name, p->pairing.site_name);
	p->mirror.source_key = p->pairing.key;
	p->mirror.done_keep = DONE_KEEP;
}

/* Writes what was decided, and says what comes next. */
static int
add(struct change *ch, struct plan *p, struct err *e)
{
	const char *noun = p->mirror.relay ? "relay" : "mirror";
	char home[SHELL_WORD];

	take_identity(p);
	if (uuid_make(&p->mirror.uuid, e) < 0 ||
	    catalogue_add_mirror(ch->catalogue, &p->mirror, e) < 0 ||
	    catalogue_set_location(
		ch->catalogue, &p->mirror.uuid, &p->pairing.location, e) < 0 ||
	    buf_printf(&ch->out, e, "%s of %s: %u volume%s from site %s\n",
		noun, p->mirror.group_name, p->mirror.volume_count,
		p->mirror.volume_count == 1 ? "" : "s",
		p->mirror.source_site_name) < 0 ||
	    buf_printf(&ch->err, e,
		"next: aim-manager --home %s %s export %s > FILE\n",
		shell_word(ch->home->path, home, sizeof(home)), noun,
		p->mirror.group_name) < 0)
		return -1;
	if (p->pairing.encrypted && !p->mirror.relay &&
	    buf_printf(&ch->err, e,
		"the group is encrypted: bring its key here with 'aim-manager "
		"--home %s key import %s FILE'\n",
		shell_word(ch->home->path, home, sizeof(home)),
		p->mirror.group_name) < 0)
		return -1;
	if (change_has(ch, "dry-run"))
		return 0;
	if ((!p->mirror.relay && make_targets(p, e) < 0) ||
	    trust(ch, &p->pairing, e) < 0)
		return -1;
	/* No file of another kind is ever taken then. */
	if (p->pairing.encrypted && stage_pin(ch->home, &p->mirror.uuid, e) < 0)
		return -1;
	return p->mirror.pull != NULL ? 0 : make_incoming(&p->mirror, e);
}

int
request_mirror_add(struct change *ch, struct err *e)
{
	AUTO(plan_release) struct plan p = {0};

	p.flags = (change_has(ch, "create") ? TARGET_CREATE : 0) |
		  (change_has(ch, "overwrite") ? TARGET_OVERWRITE : 0);
	if (change_pairing(ch, PAIRING_SOURCE, &p.pairing, e) < 0 ||
	    check_group(ch, &p, e) < 0 || choose_incoming(ch, &p, e) < 0 ||
	    choose_targets(ch, &p, e) < 0)
		return -1;
	return add(ch, &p, e);
}

int
request_relay_add(struct change *ch, struct err *e)
{
	AUTO(plan_release) struct plan p = {.mirror.relay = true};

	if (change_pairing(ch, PAIRING_SOURCE, &p.pairing, e) < 0 ||
	    check_group(ch, &p, e) < 0 || choose_incoming(ch, &p, e) < 0 ||
	    change_spool_limit(ch, &p.mirror.spool_limit, e) < 0 ||
	    name_volumes(&p, e) < 0)
		return -1;
	return add(ch, &p, e);
}

static const struct mirror_config *
need_mirror(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "group", e);
	const struct mirror_config *m =
	    name == NULL ? NULL : snapshot_mirror(&ch->now, name);

	if (name != NULL && m == NULL)
		(void)err_set(e, ERR_REFUSED,
		    "this home holds no mirror of a group '%s'%s%s", name,
		    ch->now.mirror_count > 0 ? "; the first that it holds is "
					     : "",
		    ch->now.mirror_count > 0 ? ch->now.mirrors[0].group_name
					     : "");
	return m;
}

static int
fill_export(struct change *ch, const struct mirror_config *m, struct pairing *p,
    struct err *e)
{
	p->volumes = calloc(m->volume_count, sizeof(*p->volumes));
	if (p->volumes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	p->role = m->relay ? PAIRING_RELAY : PAIRING_MIRROR;
	p->location = ch->now.location;
	(void)strcpy(p->site_name, ch->home->site_name);
	p->site = ch->home->site;
	(void)strcpy(p->group_name, m->group_name);
	p->group = m->group;
	p->stream = m->stream;
	p->mirror = m->uuid;
	p->key = ch->home->key.pub;
	p->volume_count = m->volume_count;
	for (uint32_t i = 0; i < m->volume_count; i++) {
		(void)strcpy(p->volumes[i].name, m->volumes[i].name);
		p->volumes[i].uuid = m->volumes[i].uuid;
		p->volumes[i].size = m->volumes[i].size;
		p->volumes[i].kind = m->volumes[i].kind;
	}
	return 0;
}

static int export(
    struct change *ch, const struct mirror_config *m, struct err *e)
{
	AUTO(pairing_release) struct pairing p = {0};
	AUTO_FREE char *text = NULL;
	size_t len;

	if (fill_export(ch, m, &p, e) < 0 ||
	    pairing_encode(&p, &ch->home->key, &text, &len, e) < 0)
		return err_at(e, "export %s", m->group_name);
	if (buf_add(&ch->out, text, len, e) < 0)
		return -1;
	return change_fingerprint(ch, e);
}

static int
export_as(struct change *ch, bool relay, struct err *e)
{
	const struct mirror_config *m = need_mirror(ch, e);

	if (m == NULL)
		return -1;
	if (m->relay != relay)
		return err_set(e, ERR_REFUSED,
		    "this home has a %s of group '%s': 'aim-manager %s export "
		    "%s'",
		    m->relay ? "relay" : "mirror", m->group_name,
		    m->relay ? "relay" : "mirror", m->group_name);
	return export(ch, m, e);
}

int
request_mirror_export(struct change *ch, struct err *e)
{
	return export_as(ch, false, e);
}

int
request_relay_export(struct change *ch, struct err *e)
{
	return export_as(ch, true, e);
}

int
request_mirror_pause(struct change *ch, struct err *e)
{
	const struct mirror_config *m = need_mirror(ch, e);
	const char *fetch = change_text(ch, "fetch");
	const char *apply = change_text(ch, "apply");

	if (m == NULL)
		return -1;
	return catalogue_pause_mirror(ch->catalogue, &m->uuid,
	    fetch[0] == 0 ? m->fetch_paused : strcmp(fetch, "yes") == 0,
	    apply[0] == 0 ? m->apply_paused : strcmp(apply, "yes") == 0, e);
}
