/* SPDX-License-Identifier: Apache-2.0 */
/* request_layout: group-layout (group, layout, fold): a projection for each
 * member. And the layout text, of group-export. */
#include "coordinator/request.h"

#include "common/cleanup.h"
#include "coordinator/projection.h"
#include "fileformat/members.h"

#include <stdlib.h>
#include <string.h>

static int
check_sizes(const struct group_config *g, const struct layout *l, struct err *e)
{
	for (uint32_t i = 0; i < g->volume_count; i++)
		for (uint32_t k = 0; k < l->members; k++)
			if (layout_member_size(l, g->volumes[i].size, k) == 0)
				return err_set(e, ERR_REFUSED,
				    "volume '%s' is too small: some member "
				    "would have nothing of it. Choose a "
				    "smaller chunk",
				    g->volumes[i].name);
	return g->volume_count > 0
		   ? 0
		   : err_set(e, ERR_REFUSED, "group '%s' has no volume yet",
			 g->name);
}

static int
check_spec(struct change *ch, const struct group_config *g,
    const struct layout_spec *spec, struct err *e)
{
	struct layout_spec was;
	int got = catalogue_get_layout(ch->catalogue, &g->uuid, &was, e);

	if (got < 0)
		return -1;
	if (got == 1)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has a layout already ('aim-manager projection "
		    "list')",
		    g->name);
	if (spec->layout.members == 0)
		return err_set(e, ERR_REFUSED,
		    "a layout needs its members, as in "
		    "raid10:chunk=1M:members=a,b,c,d");
	if (spec->layout.level == LAYOUT_RAID1)
		return err_set(e, ERR_REFUSED,
		    "members of RAID 1 have the whole volume: add them as "
		    "destinations of the group itself");
	for (uint32_t i = 0; i < spec->layout.members; i++)
		if (snapshot_projection(&ch->now, &g->uuid, spec->names[i]) !=
		    NULL)
			return err_set(e, ERR_REFUSED,
			    "group '%s' has a projection '%s' already", g->name,
			    spec->names[i]);
	return check_sizes(g, &spec->layout, e);
}

static int
add_member(struct change *ch, const struct group_config *g,
    const struct layout_spec *spec, enum fold_mode fold, uint32_t i,
    struct err *e)
{
	struct projection_config p = {.group = g->uuid,
	    .fold = fold,
	    .codec = g->codec,
	    .codec_level = g->codec_level,
	    .layout = spec->layout,
	    .member = i};

	(void)strcpy(p.name, spec->names[i]);
	if (uuid_make(&p.stream, e) < 0 ||
	    catalogue_add_projection(ch->catalogue, &p, g, e) < 0)
		return err_at(e, "member '%s'", p.name);
	return 0;
}

int
request_group_layout(struct change *ch, struct err *e)
{
	const char *group = change_need(ch, "group", e);
	const char *text = group == NULL ? NULL : change_need(ch, "layout", e);
	const struct group_config *g =
	    text == NULL ? NULL : change_group(ch, group, e);
	const char *fold = change_text(ch, "fold");
	enum fold_mode mode = FOLD_NONE;
	AUTO_FREE char *whole = malloc(LAYOUT_TEXT);
	struct layout_spec spec;
	char home[SHELL_WORD];

	if (g == NULL)
		return -1;
	if (whole == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (fold[0] != '\0' &&
	    (!fold_mode_parse(fold, &mode) || mode == FOLD_LAGGING))
		return err_set(e, ERR_REFUSED,
		    "--fold: members fold 'within' files or not at all, for "
		    "they stop at the same places");
	if (layout_parse(text, &spec, e) < 0 ||
	    check_spec(ch, g, &spec, e) < 0 ||
	    catalogue_set(ch->catalogue, &g->uuid, "layout",
		layout_text(&spec, whole), e) < 0)
		return -1;
	for (uint32_t i = 0; i < spec.layout.members; i++)
		if (add_member(ch, g, &spec, mode, i, e) < 0)
			return -1;
	return buf_printf(&ch->err, e,
	    "next, for each member: aim-manager --home %s group export %s "
	    "--projection %s > FILE\n",
	    shell_word(ch->home->path, home, sizeof(home)), g->name,
	    spec.names[0]);
}

/* ---- the text for who puts it together again ---- */

static int
fill_volumes(const struct group_config *g, struct members *m, struct err *e)
{
	m->volumes = calloc(g->volume_count, sizeof(*m->volumes));
	if (m->volumes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	m->volume_count = g->volume_count;
	for (uint32_t i = 0; i < g->volume_count; i++)
		change_volume(&g->volumes[i], &m->volumes[i]);
	return 0;
}

/* The destination of the projection, the first that there is. */
static int
fill_member(struct change *ch, const struct group_config *g, const char *name,
    struct member *out, struct err *e)
{
	const struct projection_config *p = change_projection(ch, g, name, e);
	const struct destination_config *d = NULL;
	const char *acks;

	if (p == NULL)
		return -1;
	for (uint32_t i = 0; d == NULL && i < ch->now.destination_count; i++)
		if (uuid_equal(&ch->now.destinations[i].stream, &p->stream))
			d = &ch->now.destinations[i];
	if (d == NULL)
		return err_set(
		    e, ERR_REFUSED, "member '%s' has no destination yet", name);
	(void)strcpy(out->name, d->name);
	out->stream = d->stream;
	out->mirror = d->mirror;
	out->site = d->mirror_site;
	out->key = d->mirror_key;
	acks = d->ack_url[0] != '\0' ? d->ack_url : d->url;
	if (strchr(acks, ' ') == NULL && strlen(acks) < sizeof(out->acks))
		(void)strcpy(out->acks, acks);
	return 0;
}

int
change_members(struct change *ch, const struct group_config *g, struct err *e)
{
	AUTO(members_release) struct members m = {0};
	AUTO_FREE char *text = NULL;
	struct layout_spec spec;
	size_t len;
	int got = catalogue_get_layout(ch->catalogue, &g->uuid, &spec, e);

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(e, ERR_REFUSED,
				     "group '%s' has no layout", g->name);
	(void)strcpy(m.site_name, ch->home->site_name);
	m.site = ch->home->site;
	(void)strcpy(m.group_name, g->name);
	m.group = g->uuid;
	m.stream = g->stream;
	m.layout = spec.layout;
	m.key = ch->home->key.pub;
	m.members = calloc(spec.layout.members, sizeof(*m.members));
	if (m.members == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (fill_volumes(g, &m, e) < 0)
		return -1;
	for (uint32_t i = 0; i < spec.layout.members; i++)
		if (fill_member(ch, g, spec.names[i], &m.members[i], e) < 0)
			return -1;
	if (members_encode(&m, &ch->home->key, &text, &len, e) < 0)
		return err_at(e, "layout of group %s", g->name);
	return buf_add(&ch->out, text, len, e) < 0 ? -1
						   : change_fingerprint(ch, e);
}
