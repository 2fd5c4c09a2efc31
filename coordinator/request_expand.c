/* SPDX-License-Identifier: Apache-2.0 */
/* request_expand: volume-expand (name, size, message): a volume grows, and its
 * mirrors with it. */
#include "coordinator/request.h"

#include "aimdriver/capture.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct volume_config *
find_volume(struct change *ch, const char *name, const struct group_config **g,
    struct err *e)
{
	for (uint32_t i = 0; i < ch->now.group_count; i++) {
		*g = &ch->now.groups[i];
		for (uint32_t k = 0; k < (*g)->volume_count; k++)
			if (strcmp((*g)->volumes[k].name, name) == 0)
				return &(*g)->volumes[k];
	}
	(void)err_set(e, ERR_REFUSED,
	    "no volume '%s' is protected in this home (see 'aim-manager volume "
	    "list')",
	    name);
	return NULL;
}

static int
read_size(const char *text, uint64_t *out, struct err *e)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != 0 || *out > INT64_MAX)
		return err_set(e, ERR_REFUSED, "'%s' is no size", text);
	return 0;
}

static void
auto_detach(struct capture **c)
{
	if (*c != NULL)
		capture_detach(*c);
}

/* 1 it grew, 0 it had that size. */
static int
expand(struct change *ch, const struct group_config *g,
    const struct volume_config *v, uint64_t size, uint64_t *number,
    struct err *e)
{
	AUTO(auto_detach) struct capture *c = NULL;
	struct control_note note = {.initiator = ch->home->site, .value = size};
	struct capture_volume has;

	if (uuid_parse(change_text(ch, "message"), &note.message, e) < 0)
		return err_at(e, "message id");
	if (capture_attach(ch->home->path, &g->uuid, CAPTURE_WRITER, &c, e) < 0)
		return -1;
	for (uint32_t i = 0; i < capture_volume_count(c); i++) {
		capture_volume_get(c, i, &has);
		if (!uuid_equal(&has.uuid, &v->uuid))
			continue;
		if (capture_compare_path(c, i, v->path, e) < 0)
			return -1;
		return capture_expand(c, i, size, &note, number, e);
	}
	return err_set(e, ERR_FATAL, "it is not in the group's folder");
}

int
request_volume_expand(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "name", e);
	const char *text = name == NULL ? NULL : change_need(ch, "size", e);
	const struct group_config *g = NULL;
	const struct volume_config *v;
	uint64_t size, number = 0;
	int done;

	if (text == NULL || read_size(text, &size, e) < 0)
		return -1;
	v = find_volume(ch, name, &g, e);
	if (v == NULL)
		return -1;
	if (change_has(ch, "dry-run"))
		return buf_printf(&ch->out, e,
		    "volume %s of group %s would grow to %ju bytes\n", name,
		    g->name, (uintmax_t)size);
	done = expand(ch, g, v, size, &number, e);
	if (done < 0)
		return err_at(e, "expand volume '%s' (%s)", name, v->path);
	if (catalogue_resize_volume(ch->catalogue, &v->uuid, size, e) < 0)
		return -1;
	if (done == 0)
		return buf_printf(&ch->out, e,
		    "volume %s has %ju bytes already\n", name, (uintmax_t)size);
	return buf_printf(&ch->out, e,
	    "volume %s has %ju bytes from transaction %ju on\n", name,
	    (uintmax_t)size, (uintmax_t)number);
}
