/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "coordinator/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who may capture stays as it was. */
static gid_t
access_of(struct home *h, const struct uuid *group)
{
	char path[UUID_TEXT + 8], uuid[UUID_TEXT];
	struct stat st;

	(void)snprintf(path, sizeof(path), "active/%s", uuid_text(group, uuid));
	if (fstatat(h->dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_gid == getegid())
		return (gid_t)-1;
	return st.st_gid;
}

static int
begin_anew(struct home *h, const struct group_config *g, struct err *e)
{
	gid_t access = access_of(h, &g->uuid);

	if (folder_remove(h, &g->uuid, e) < 0 ||
	    folder_make(h, &g->uuid, access, e) < 0)
		return -1;
	for (uint32_t i = 0; i < g->volume_count; i++)
		if (folder_add(h, &g->uuid, &g->volumes[i], e) < 0)
			return -1;
	return 0;
}

static int
change_streams(struct catalogue *c, const struct snapshot *s, struct err *e)
{
	struct uuid stream;
	char text[UUID_TEXT];

	for (uint32_t i = 0; i < s->destination_count; i++)
		if (!s->destinations[i].forward &&
		    catalogue_remove_destination(
			c, &s->destinations[i].uuid, e) < 0)
			return -1;
	for (uint32_t i = 0; i < s->projection_count; i++)
		if (catalogue_remove_projection(c, &s->projections[i], e) < 0)
			return -1;
	for (uint32_t i = 0; i < s->group_count; i++) {
		if (catalogue_set(c, &s->groups[i].uuid, "layout", "", e) < 0)
			return -1;
		if (uuid_make(&stream, e) < 0 ||
		    catalogue_renew_group(c, &s->groups[i].uuid, &stream, e) <
			0)
			return -1;
		log_info("group %s begins anew; what the other site had sealed "
			 "stays in sealed/%s",
		    s->groups[i].name, uuid_text(&s->groups[i].stream, text));
	}
	return 0;
}

int
request_adopt(struct home *h, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	AUTO(snapshot_release) struct snapshot s = {0};

	if (catalogue_adopt(h, e) < 0 || catalogue_open(h, true, &c, e) < 0 ||
	    catalogue_load(c, &s, e) < 0)
		return err_at(e, "adopt the catalogue");
	for (uint32_t i = 0; i < s.group_count; i++)
		if (begin_anew(h, &s.groups[i], e) < 0)
			return err_at(e, "adopt group %s", s.groups[i].name);
	if (catalogue_begin(c, e) < 0 || change_streams(c, &s, e) < 0 ||
	    catalogue_commit(c, e) < 0)
		return err_at(e, "adopt the catalogue");
	return io_remove(h->state, "adopt", e);
}
