/* SPDX-License-Identifier: Apache-2.0 */
/* request_folder: a group's folder under active/. */
#include "aimdriver/capture.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/request.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int
folder_make(
    struct home *h, const struct uuid *group, gid_t access, struct err *e)
{
	return capture_create(h->path, group, access, e);
}

int
folder_volume(
    const struct volume_config *v, struct capture_volume *out, struct err *e)
{
	struct stat st;

	if (strlen(v->path) >= sizeof(out->path))
		return err_set(e, ERR_REFUSED, "%s: path too long", v->name);
	if (stat(v->path, &st) < 0)
		return err_sys(e, "stat %s", v->path);
	*out = (struct capture_volume){
	    .uuid = v->uuid,
	    .kind = v->kind,
	    .size = v->size,
	    .dev = st.st_dev,
	    .ino = st.st_ino,
	    .rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0,
	};
	(void)memcpy(out->path, v->path, strlen(v->path) + 1);
	return 0;
}

int
folder_add(struct home *h, const struct uuid *group,
    const struct volume_config *v, struct err *e)
{
	struct capture_volume cv;

	if (folder_volume(v, &cv, e) < 0)
		return -1;
	if (capture_add_volume(h->path, group, &cv, e) < 0)
		return err_at(e, "volume %s", v->name);
	return 0;
}

int
folder_remove(struct home *h, const struct uuid *group, struct err *e)
{
	AUTO_CLOSE int active = -1, fd = -1, copy = -1;
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	char name[UUID_TEXT];

	if (io_open_dir(h->dir, "active", &active, e) < 0)
		return -1;
	fd = sys_openat(active, uuid_text(group, name),
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open active/%s", name);
	if (io_open_dir(fd, ".", &copy, e) < 0)
		return -1;
	d = fdopendir(copy);
	if (d == NULL)
		return err_sys(e, "list active/%s", name);
	copy = -1; /* now d's */
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0 &&
		    sys_unlink(fd, entry->d_name) < 0)
			return err_sys(e, "remove active/%s/...", name);
	if (unlinkat(active, name, AT_REMOVEDIR) < 0)
		return err_sys(e, "remove active/%s", name);
	return io_fsync(active, "active/", e);
}
