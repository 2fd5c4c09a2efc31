/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/rebuild.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "coordinator/request.h"
#include "coordinator/role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLE_GOES_MS 20000
#define NAME_LEN (UUID_TEXT + 16)

static const char *
note_name(const struct uuid *group, char out[NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(out, NAME_LEN, "%s.rebuild", uuid_text(group, text));
	return out;
}

bool
rebuild_is_asked(const struct home *h, const struct uuid *group)
{
	char name[NAME_LEN];

	return faccessat(h->state, note_name(group, name), F_OK, 0) == 0;
}

int
rebuild_forget(struct home *h, const struct uuid *group, struct err *e)
{
	char name[NAME_LEN];

	return io_remove(h->state, note_name(group, name), e);
}

int
rebuild_compare(
    const struct group_config *g, const struct capture *c, struct err *e)
{
	struct capture_volume v;
	uint32_t i, n = capture_volume_count(c);
	char text[UUID_TEXT];

	for (i = 0; i < n && i < g->volume_count; i++) {
		capture_volume_get(c, i, &v);
		if (!uuid_equal(&v.uuid, &g->volumes[i].uuid) ||
		    strcmp(v.path, g->volumes[i].path) != 0)
			break;
	}
	if (i == n && n == g->volume_count)
		return 0;
	return err_set(e, ERR_CORRUPT,
	    "active/%s/control has other volumes than the catalogue; "
	    "'aim-manager base' of this group makes it anew",
	    uuid_text(&g->uuid, text));
}

int
rebuild_is_needed(
    const struct home *h, const struct group_config *g, struct err *why)
{
	struct capture *c = NULL;
	int r = capture_attach(h->path, &g->uuid, CAPTURE_INSPECT, &c, why);

	if (r == 0)
		r = rebuild_compare(g, c, why);
	capture_detach(c);
	return r < 0 && why->kind == ERR_CORRUPT;
}

static int
await_role(
    struct home *h, const struct group_config *g, int *lock, struct err *e)
{
	uint64_t until = clock_mono_ns() + ROLE_GOES_MS * UINT64_C(1000000);

	while (role_lock(h, ROLE_SOURCE, &g->uuid, lock, e) < 0) {
		if (e->kind != ERR_RETRY)
			return -1;
		if (clock_mono_ns() > until)
			return err_set(e, ERR_RETRY,
			    "the coordinator's source process of group '%s' "
			    "still uses the old files; try again",
			    g->name);
		clock_sleep_ms(20);
	}
	return 0;
}

static int
make_anew(struct home *h, const struct group_config *g, struct err *e)
{
	AUTO_FREE struct capture_volume *v =
	    calloc((size_t)g->volume_count + 1, sizeof(*v));
	uint32_t i;

	if (v == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; i < g->volume_count; i++)
		if (folder_volume(&g->volumes[i], &v[i], e) < 0)
			return -1;
	return capture_rebuild(h->path, &g->uuid, v, g->volume_count, e);
}

int
rebuild_group(struct home *h, const struct group_config *g, struct err *e)
{
	AUTO_CLOSE int lock = -1;
	char name[NAME_LEN];
	struct err ignored;
	int r;

	if (io_write_file(
		h->state, note_name(&g->uuid, name), "1\n", 2, 0600, e) < 0)
		return -1;
	r = await_role(h, g, &lock, e);
	if (r == 0)
		r = make_anew(h, g, e);
	/* The role may come back, whatever came of it. */
	if (rebuild_forget(h, &g->uuid, r < 0 ? &ignored : e) < 0)
		r = -1;
	if (r == 0)
		log_warn("group %s: its files under active/ were made anew",
		    g->name);
	return r;
}
