/* SPDX-License-Identifier: Apache-2.0 */
/* request_projection: projection-add (name, group, volume..., range..., fold,
 * compress), projection-remove (name, group). A range is VOLUME:OFFSET+LENGTH,
 * in bytes. */
#include "coordinator/request.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/projection.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
parts_release(struct projection_config *p)
{
	free(p->parts);
}

/* The volume whose name is the first `len` bytes of the text. */
static int
find_volume(const struct group_config *g, const char *text, size_t len,
    uint32_t *out, struct err *e)
{
	for (uint32_t i = 0; i < g->volume_count; i++)
		if (strlen(g->volumes[i].name) == len &&
		    memcmp(g->volumes[i].name, text, len) == 0) {
			*out = i;
			return 0;
		}
	return err_set(e, ERR_REFUSED,
	    "group '%s' has no volume '%.*s'; its first is '%s'", g->name,
	    (int)(len < NAME_LIMIT ? len : NAME_LIMIT), text,
	    g->volumes[0].name);
}

static int
add_part(const struct group_config *g, struct projection_config *p,
    const struct projection_part *part, struct err *e)
{
	for (uint32_t i = 0; i < p->part_count; i++)
		if (p->parts[i].volume == part->volume)
			return err_set(e, ERR_REFUSED,
			    "volume '%s' is given twice: a projection takes "
			    "all of a volume or one range of it; make a "
			    "projection for each range",
			    g->volumes[part->volume].name);
	p->parts[p->part_count++] = *part;
	return 0;
}

static int
add_range(const struct group_config *g, struct projection_config *p,
    const char *text, struct err *e)
{
	const char *sign = strchr(text, ':');
	struct projection_part part = {0};
	int used = -1;

	if (sign == NULL ||
	    sscanf(sign, ":%" SCNu64 "+%" SCNu64 "%n", &part.off, &part.len,
		&used) != 2 ||
	    used < 0 || sign[used] != '\0')
		return err_set(e, ERR_REFUSED,
		    "--range %s: it takes VOLUME:OFFSET+LENGTH", text);
	if (find_volume(g, text, (size_t)(sign - text), &part.volume, e) < 0)
		return -1;
	if (part.len == 0 || part.off > INT64_MAX ||
	    part.len > INT64_MAX - part.off ||
	    part.off >= g->volumes[part.volume].size)
		return err_set(e, ERR_REFUSED,
		    "--range %s: the volume has %ju bytes", text,
		    (uintmax_t)g->volumes[part.volume].size);
	return add_part(g, p, &part, e);
}

static int
take_parts(struct change *ch, const struct group_config *g,
    struct projection_config *p, struct err *e)
{
	struct message_pair at = {0};

	p->parts = calloc((size_t)g->volume_count + 1, sizeof(*p->parts));
	if (p->parts == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	while (message_next(ch->in, &at)) {
		struct projection_part part = {0};

		if (strcmp(at.key, "range") == 0 &&
		    add_range(g, p, at.value, e) < 0)
			return -1;
		if (strcmp(at.key, "volume") != 0)
			continue;
		if (find_volume(
			g, at.value, strlen(at.value), &part.volume, e) < 0 ||
		    add_part(g, p, &part, e) < 0)
			return -1;
	}
	return 0;
}

static int
check_new(struct change *ch, const struct group_config *g, const char *name,
    struct err *e)
{
	if (name_check("projection", name, e) < 0)
		return -1;
	if (snapshot_projection(&ch->now, &g->uuid, name) != NULL)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has a projection '%s' already", g->name, name);
	return g->volume_count > 0
		   ? 0
		   : err_set(e, ERR_REFUSED, "group '%s' has no volume yet",
			 g->name);
}

int
request_projection_add(struct change *ch, struct err *e)
{
	char home[SHELL_WORD];
	AUTO(parts_release) struct projection_config p = {0};
	const char *name = change_need(ch, "name", e);
	const char *group = name == NULL ? NULL : change_need(ch, "group", e);
	const struct group_config *g =
	    group == NULL ? NULL : change_group(ch, group, e);
	const char *fold = change_text(ch, "fold");
	const char *codec = change_text(ch, "compress");

	if (g == NULL || check_new(ch, g, name, e) < 0 ||
	    take_parts(ch, g, &p, e) < 0)
		return -1;
	if (fold[0] != '\0' && !fold_mode_parse(fold, &p.fold))
		return err_set(e, ERR_REFUSED,
		    "--fold is 'none', 'within' or 'lagging', not '%s'", fold);
	p.codec = g->codec;
	p.codec_level = g->codec_level;
	if (codec[0] != '\0' &&
	    change_codec(codec, &p.codec, &p.codec_level, e) < 0)
		return -1;
	(void)strcpy(p.name, name);
	p.group = g->uuid;
	if (uuid_make(&p.stream, e) < 0 ||
	    catalogue_add_projection(ch->catalogue, &p, g, e) < 0)
		return err_at(e, "projection '%s'", name);
	return buf_printf(&ch->err, e,
	    "next: aim-manager --home %s group export %s --projection %s > "
	    "FILE\n",
	    shell_word(ch->home->path, home, sizeof(home)), g->name, name);
}

/* Nobody needs what was made of it. What cannot be removed does no harm. */
static void
remove_files(struct home *h, const struct uuid *stream)
{
	char name[UUID_TEXT], note[UUID_TEXT + 8];
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	int fd;

	(void)uuid_text(stream, name);
	(void)snprintf(note, sizeof(note), "%s.project", name);
	(void)!io_remove(h->state, note, NULL);
	if (io_open_dir(h->sealed, name, &fd, NULL) < 0)
		return;
	d = fdopendir(fd);
	if (d == NULL) {
		(void)close(fd);
		return;
	}
	while ((entry = readdir(d)) != NULL)
		(void)unlinkat(fd, entry->d_name, 0);
	(void)unlinkat(h->sealed, name, AT_REMOVEDIR);
}

/* A layout goes as a whole. */
static bool
goes_with(const struct projection_config *p, const struct projection_config *o)
{
	return uuid_equal(&p->stream, &o->stream) ||
	       (p->layout.members > 0 && o->layout.members > 0 &&
		   uuid_equal(&p->group, &o->group));
}

static int
check_unused(
    struct change *ch, const struct projection_config *p, struct err *e)
{
	for (uint32_t i = 0; i < ch->now.destination_count; i++)
		if (uuid_equal(&ch->now.destinations[i].stream, &p->stream))
			return err_set(e, ERR_REFUSED,
			    "destination '%s' gets projection '%s': remove "
			    "that first ('aim-manager destination remove')",
			    ch->now.destinations[i].name, p->name);
	return 0;
}

static int
remove_one(struct change *ch, const struct projection_config *p, struct err *e)
{
	if (catalogue_remove_projection(ch->catalogue, p, e) < 0)
		return -1;
	if (!change_has(ch, "dry-run"))
		remove_files(ch->home, &p->stream);
	return 0;
}

int
request_projection_remove(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "name", e);
	const char *group = name == NULL ? NULL : change_need(ch, "group", e);
	const struct group_config *g =
	    group == NULL ? NULL : change_group(ch, group, e);
	const struct projection_config *p;

	if (g == NULL)
		return -1;
	p = change_projection(ch, g, name, e);
	if (p == NULL)
		return -1;
	for (uint32_t i = 0; i < ch->now.projection_count; i++)
		if (goes_with(p, &ch->now.projections[i]) &&
		    check_unused(ch, &ch->now.projections[i], e) < 0)
			return -1;
	for (uint32_t i = 0; i < ch->now.projection_count; i++)
		if (goes_with(p, &ch->now.projections[i]) &&
		    remove_one(ch, &ch->now.projections[i], e) < 0)
			return -1;
	return p->layout.members == 0
		   ? 0
		   : catalogue_set(ch->catalogue, &g->uuid, "layout", "", e);
}

const struct projection_config *
change_projection(struct change *ch, const struct group_config *g,
    const char *name, struct err *e)
{
	const struct projection_config *p =
	    snapshot_projection(&ch->now, &g->uuid, name);

	if (p == NULL)
		(void)err_set(e, ERR_REFUSED,
		    "group '%s' has no projection '%s' (see 'aim-manager "
		    "projection list')",
		    g->name, name);
	return p;
}
