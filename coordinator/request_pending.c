/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_pending: adding a volume changes two things, the group's folder
 * under active/ and the catalogue. Before the first, state/pending says what
 * is coming; after a crash the change is completed when the folder has the
 * volume and the catalogue the group, and otherwise undone. So no folder is
 * ever left that captures for a group nobody knows.
 */
#include "coordinator/request.h"

#include "aimdriver/capture.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pending {
	struct uuid group;
	struct volume_config volume;
};

int
pending_note(struct home *h, const struct uuid *group,
    const struct volume_config *v, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char g[UUID_TEXT], u[UUID_TEXT];

	if (buf_printf(&b, e,
		"group %s\nvolume %s\nname %s\nkind %d\nsize %ju\npath %s\n",
		uuid_text(group, g), uuid_text(&v->uuid, u), v->name,
		(int)v->kind, (uintmax_t)v->size, v->path) < 0)
		return -1;
	return io_write_file(h->state, "pending", b.data, b.len, 0600, e);
}

static bool
pending_read(struct home *h, struct pending *p)
{
	char text[PATH_MAX];

	if (!note_read(h, "pending", "group", text, sizeof(text)) ||
	    uuid_parse(text, &p->group, NULL) < 0 ||
	    !note_read(h, "pending", "volume", text, sizeof(text)) ||
	    uuid_parse(text, &p->volume.uuid, NULL) < 0 ||
	    !note_read(
		h, "pending", "name", p->volume.name, sizeof(p->volume.name)) ||
	    !note_read(
		h, "pending", "path", p->volume.path, sizeof(p->volume.path)) ||
	    !note_read(h, "pending", "kind", text, sizeof(text)))
		return false;
	p->volume.kind = strcmp(text, "2") == 0 ? VOLUME_BLOCK : VOLUME_FILE;
	if (!note_read(h, "pending", "size", text, sizeof(text)))
		return false;
	p->volume.size = strtoull(text, NULL, 10);
	return true;
}

static bool
knows_volume(const struct snapshot *s, const struct pending *p, bool *group)
{
	*group = false;
	for (uint32_t i = 0; i < s->group_count; i++) {
		const struct group_config *g = &s->groups[i];

		if (!uuid_equal(&g->uuid, &p->group))
			continue;
		*group = true;
		for (uint32_t k = 0; k < g->volume_count; k++)
			if (uuid_equal(&g->volumes[k].uuid, &p->volume.uuid))
				return true;
	}
	return false;
}

static int
folder_has_volume(
    struct home *h, const struct pending *p, bool *has, struct err *e)
{
	struct capture *c;
	struct err why = {0};

	*has = false;
	if (capture_attach(h->path, &p->group, CAPTURE_INSPECT, &c, &why) < 0) {
		/* It is made anew by what the catalogue says: `base`. */
		if (why.kind == ERR_CORRUPT)
			return 0;
		return err_set(e, why.kind, "%s", why.text);
	}
	for (uint32_t i = 0; i < capture_volume_count(c); i++) {
		struct capture_volume v;

		capture_volume_get(c, i, &v);
		*has = *has || uuid_equal(&v.uuid, &p->volume.uuid);
	}
	capture_detach(c);
	return 0;
}

static int
complete(
    struct home *h, struct catalogue *c, const struct pending *p, struct err *e)
{
	bool has;

	if (folder_has_volume(h, p, &has, e) < 0)
		return -1;
	if (!has)
		return 0;
	if (catalogue_begin(c, e) < 0 ||
	    catalogue_add_volume(c, &p->group, &p->volume, e) < 0)
		return -1;
	return catalogue_commit(c, e);
}

int
request_recover(struct home *h, struct catalogue *c, struct err *e)
{
	AUTO(snapshot_release) struct snapshot s = {0};
	struct pending p = {0};
	bool group;

	if (faccessat(h->state, "pending", F_OK, 0) < 0)
		return errno == ENOENT ? 0
				       : err_sys(e, "look for state/pending");
	if (!pending_read(h, &p))
		return err_set(e, ERR_CORRUPT,
		    "%s/state/pending is damaged: look at it, and at active/, "
		    "then remove it",
		    h->path);
	if (catalogue_load(c, &s, e) < 0)
		return -1;
	if (!knows_volume(&s, &p, &group)) {
		log_info("putting right an interrupted 'volume add %s'",
		    p.volume.name);
		if ((group ? complete(h, c, &p, e)
			   : folder_remove(h, &p.group, e)) < 0)
			return err_at(
			    e, "interrupted 'volume add %s'", p.volume.name);
	}
	return io_remove(h->state, "pending", e);
}
