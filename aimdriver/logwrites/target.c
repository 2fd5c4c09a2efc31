/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/target.h"

#include "common/cleanup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void
detach(struct capture **c)
{
	capture_detach(*c);
}

static bool
is_it(const struct capture_volume *v, uint32_t i, const struct uuid *id,
    const struct capture *c, const struct stat *st)
{
	if (id != NULL)
		return uuid_equal(&v->uuid, id);
	return capture_volume_find(c, st) == (int)i;
}

/* 1: found. */
static int
look_in(const char *home, const struct uuid *group, const struct uuid *id,
    const struct stat *st, struct target *out, struct err *e)
{
	AUTO(detach) struct capture *c = NULL;
	uint32_t i, n;

	if (capture_attach(home, group, CAPTURE_INSPECT, &c, e) < 0)
		return -1;
	n = capture_volume_count(c);
	for (i = 0; i < n; i++) {
		struct capture_volume v;

		capture_volume_get(c, i, &v);
		if (!is_it(&v, i, id, c, st))
			continue;
		if (n > 1)
			return err_set(e, ERR_REFUSED,
			    "%s is in a group with %u volumes: logs do not "
			    "tell the order between several disks; protect "
			    "it in a group of its own",
			    v.path, n);
		*out = (struct target){*group, i, v};
		return 1;
	}
	return 0;
}

int
target_find(
    const char *home, const char *what, struct target *out, struct err *e)
{
	AUTO_CLOSEDIR DIR *dir = NULL;
	char path[PATH_MAX];
	struct uuid id, group;
	struct stat st = {0};
	struct dirent *d;
	bool named = uuid_parse(what, &id, NULL) == 0;
	int found = 0;

	if (!named && stat(what, &st) < 0)
		return err_sys(e, "volume %s", what);
	if ((size_t)snprintf(path, sizeof(path), "%s/active", home) >=
	    sizeof(path))
		return err_set(e, ERR_REFUSED, "path too long: %s", home);
	dir = opendir(path);
	if (dir == NULL)
		return err_sys(e, "%s: is this the home of a site?", path);
	while (found == 0 && (d = readdir(dir)) != NULL)
		if (uuid_parse(d->d_name, &group, NULL) == 0)
			found = look_in(
			    home, &group, named ? &id : NULL, &st, out, e);
	if (found == 0)
		return err_set(e, ERR_REFUSED,
		    "%s is no protected volume of %s: give the path of the "
		    "disk or the volume's UUID",
		    what, home);
	return found < 0 ? -1 : 0;
}
