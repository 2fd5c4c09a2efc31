/* SPDX-License-Identifier: Apache-2.0 */
/* request_site: site-set (location), hook-add (name, path, on), hook-remove
 * (name), mirror-set (group, alarm-after). */
#include "coordinator/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ALARM_MOST_S 4000000.0

static const struct hook_config *
find_hook(struct change *ch, const char *name)
{
	for (uint32_t i = 0; i < ch->now.hook_count; i++)
		if (strcmp(ch->now.hooks[i].name, name) == 0)
			return &ch->now.hooks[i];
	return NULL;
}

int
request_site_set(struct change *ch, struct err *e)
{
	const char *text = change_need(ch, "location", e);
	struct location l = {.known = false};
	char canonical[LOCATION_TEXT];

	if (text == NULL ||
	    (strcmp(text, "none") != 0 && location_parse(text, &l, e) < 0))
		return -1;
	if (catalogue_set_location(ch->catalogue, NULL, &l, e) < 0)
		return -1;
	if (buf_printf(&ch->out, e, "site %s: %s\n", ch->home->site_name,
		l.known ? location_text(&l, canonical)
			: "its location is not known") < 0)
		return -1;
	return ch->now.destination_count + ch->now.mirror_count == 0
		   ? 0
		   : buf_printf(&ch->err, e,
			 "sites that are paired with this one already do not "
			 "learn of it\n");
}

int
request_hook_add(struct change *ch, struct err *e)
{
	struct hook_config k = {.kinds = "all"};
	const char *name = change_need(ch, "name", e);
	const char *path = name == NULL ? NULL : change_need(ch, "path", e);
	const char *on = change_text(ch, "on");
	struct stat st;

	if (path == NULL || name_check("hook", name, e) < 0)
		return -1;
	if (find_hook(ch, name) != NULL)
		return err_set(
		    e, ERR_REFUSED, "there is a hook '%s' already", name);
	if (ch->now.hook_count == HOOK_LIMIT)
		return err_set(
		    e, ERR_REFUSED, "a site has at most %u hooks", HOOK_LIMIT);
	if ((on[0] != 0 && hook_check_kinds(on, e) < 0))
		return -1;
	if (fstat(ch->home->dir, &st) < 0)
		return err_sys(e, "stat %s", ch->home->path);
	if (hook_check(path, st.st_uid, e) < 0)
		return err_at(e, "hook '%s'", name);
	(void)strcpy(k.name, name);
	if (on[0] != 0)
		(void)strcpy(k.kinds, on);
	(void)strcpy(k.path, path);
	if (catalogue_set_hook(ch->catalogue, &k, e) < 0)
		return -1;
	return buf_printf(
	    &ch->out, e, "hook %s: %s on %s\n", k.name, k.path, k.kinds);
}

int
request_hook_remove(struct change *ch, struct err *e)
{
	struct hook_config k = {.path = ""};
	const char *name = change_need(ch, "name", e);

	if (name == NULL)
		return -1;
	if (find_hook(ch, name) == NULL)
		return err_set(e, ERR_REFUSED,
		    "there is no hook '%s' (see 'aim-manager hook list')",
		    name);
	(void)strcpy(k.name, name);
	return catalogue_set_hook(ch->catalogue, &k, e);
}

int
request_mirror_set(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "group", e);
	const char *after =
	    name == NULL ? NULL : change_need(ch, "alarm-after", e);
	const struct mirror_config *m =
	    after == NULL ? NULL : snapshot_mirror(&ch->now, name);
	char text[24], *end;
	double s;

	if (after == NULL)
		return -1;
	if (m == NULL)
		return err_set(e, ERR_REFUSED,
		    "no mirror of a group '%s' is in this home (see "
		    "'aim-manager mirror list')",
		    name);
	s = strtod(after, &end);
	if (end == after || *end != 0 || !(s == 0 || s >= 1) ||
	    s > ALARM_MOST_S)
		return err_set(e, ERR_REFUSED,
		    "--alarm-after %s: it is seconds, 1 or more, or 0 for "
		    "never",
		    after);
	(void)snprintf(text, sizeof(text), "%.0f", s * 1000);
	if (catalogue_set(ch->catalogue, &m->uuid, "alarm-after-ms", text, e) <
	    0)
		return -1;
	if (s == 0)
		return buf_printf(&ch->out, e,
		    "mirror of %s: silence of the source is no alarm\n", name);
	return buf_printf(&ch->out, e,
	    "mirror of %s: alarm after %.0f s of silence\n", name, s);
}
