/* SPDX-License-Identifier: Apache-2.0 */
/* request_group: group-export (group, projection, layout), group-digest
 * (group, seconds). */
#include "coordinator/request.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
pairing_free_volumes(struct pairing *p)
{
	free(p->volumes);
}

/* The size now; what it was when added if the path cannot be read. */
static uint64_t
size_now(const struct volume_config *v)
{
	AUTO_CLOSE int fd = open(v->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint64_t size;

	return fd >= 0 && io_size(fd, &size, NULL) == 0 ? size : v->size;
}

void
change_volume(const struct volume_config *v, struct pairing_volume *out)
{
	(void)strcpy(out->name, v->name);
	out->uuid = v->uuid;
	out->size = size_now(v);
	out->kind = v->kind;
}

static void
fill_volume(const struct volume_config *v, const struct projection_config *of,
    struct pairing_volume *out)
{
	change_volume(v, out);
	if (of != NULL && of->layout.members > 0)
		out->size =
		    layout_member_size(&of->layout, out->size, of->member);
}

/* `of` NULL: all of the group. */
static int
fill(struct change *ch, const struct group_config *g,
    const struct projection_config *of, struct pairing *p, struct err *e)
{
	uint32_t count = of != NULL ? of->part_count : g->volume_count;

	p->volumes = calloc(count, sizeof(*p->volumes));
	if (p->volumes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	p->role = PAIRING_SOURCE;
	(void)strcpy(p->site_name, ch->home->site_name);
	p->site = ch->home->site;
	(void)strcpy(p->group_name, g->name);
	p->group = g->uuid;
	p->stream = of != NULL ? of->stream : g->stream;
	p->encrypted = g->encrypted;
	p->location = ch->now.location;
	p->key = ch->home->key.pub;
	p->volume_count = count;
	for (uint32_t i = 0; i < count; i++)
		fill_volume(&g->volumes[of != NULL ? of->parts[i].volume : i],
		    of, &p->volumes[i]);
	return 0;
}

int
change_fingerprint(struct change *ch, struct err *e)
{
	uint8_t digest[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];

	if (sign_fingerprint(&ch->home->key.pub, digest, e) < 0)
		return -1;
	return buf_printf(&ch->err, e, "fingerprint: %s\n",
	    hex_text(digest, sizeof(digest), hex));
}

int
request_group_export(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "group", e);
	const struct group_config *g =
	    name == NULL ? NULL : change_group(ch, name, e);
	const char *projection = change_text(ch, "projection");
	const struct projection_config *of = NULL;
	AUTO(pairing_free_volumes) struct pairing p = {0};
	AUTO_FREE char *text = NULL;
	size_t len;

	if (g == NULL)
		return -1;
	if (change_has(ch, "layout"))
		return change_members(ch, g, e);
	if (projection[0] != '\0') {
		of = change_projection(ch, g, projection, e);
		if (of == NULL)
			return -1;
	}
	if (fill(ch, g, of, &p, e) < 0 ||
	    pairing_encode(&p, &ch->home->key, &text, &len, e) < 0)
		return err_at(e, "export group %s", g->name);
	if (buf_add(&ch->out, text, len, e) < 0 ||
	    change_fingerprint(ch, e) < 0)
		return -1;
	return catalogue_export_group(ch->catalogue, &g->uuid, e);
}

int
request_group_digest(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "group", e);
	const struct group_config *g =
	    name == NULL ? NULL : change_group(ch, name, e);
	const char *text = change_text(ch, "seconds");
	char *end, plain[16];
	unsigned long n;

	if (g == NULL)
		return -1;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || n > COMPARE_WAIT_MOST)
		return err_set(e, ERR_REFUSED,
		    "'%.40s' is not a number of seconds, 0..%d", text,
		    COMPARE_WAIT_MOST);
	(void)snprintf(plain, sizeof(plain), "%lu", n);
	return catalogue_set(
	    ch->catalogue, &g->uuid, COMPARE_WAIT_KEY, plain, e);
}
