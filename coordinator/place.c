/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/place.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#define DEPTH_LIMIT 16

struct search {
	const struct stat *disk;
	bool found;
};

bool
place_same(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) || S_ISBLK(b->st_mode))
		return S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode) &&
		       a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* First line of a small file under /sys; false when it is not there. */
static bool
line_of(const char *path, char *out, size_t room)
{
	AUTO_FCLOSE FILE *f = fopen(path, "re");

	if (f == NULL || fgets(out, (int)room, f) == NULL)
		return false;
	out[strcspn(out, "\n")] = 0;
	return true;
}

static bool
parse_dev(const char *text, dev_t *out)
{
	unsigned major_number, minor_number;

	if (sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return false;
	*out = makedev(major_number, minor_number);
	return true;
}

static void look_at_device(struct search *s, dev_t dev, int depth);

/* The file behind a loop device, and what that lies on. */
static void
look_at_backing(struct search *s, const char *sys, int depth)
{
	char path[PATH_MAX], file[PATH_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/loop/backing_file", sys);
	if (!line_of(path, file, sizeof(file)) || stat(file, &st) < 0)
		return;
	if (place_same(&st, s->disk)) {
		s->found = true;
		return;
	}
	look_at_device(
	    s, S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev, depth + 1);
}

/* Devices that this one is made of (device mapper, md). */
static void
look_at_slaves(struct search *s, const char *sys, int depth)
{
	char path[PATH_MAX], text[64];
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;
	dev_t dev;

	(void)snprintf(path, sizeof(path), "%s/slaves", sys);
	d = opendir(path);
	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(
		    path, sizeof(path), "%s/slaves/%s/dev", sys, entry->d_name);
		if (line_of(path, text, sizeof(text)) && parse_dev(text, &dev))
			look_at_device(s, dev, depth + 1);
	}
}

static void
look_at_device(struct search *s, dev_t dev, int depth)
{
	char sys[64], path[PATH_MAX], text[64];
	dev_t whole;

	if (s->found || depth > DEPTH_LIMIT)
		return;
	if (S_ISBLK(s->disk->st_mode) && s->disk->st_rdev == dev) {
		s->found = true;
		return;
	}
	(void)snprintf(
	    sys, sizeof(sys), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	look_at_backing(s, sys, depth);
	look_at_slaves(s, sys, depth);
	/* A partition lies on its disk. */
	(void)snprintf(path, sizeof(path), "%s/partition", sys);
	if (!line_of(path, text, sizeof(text)))
		return;
	(void)snprintf(path, sizeof(path), "%s/../dev", sys);
	if (line_of(path, text, sizeof(text)) && parse_dev(text, &whole))
		look_at_device(s, whole, depth + 1);
}

/* File systems without a device of their own (btrfs) name it in the table of
 * mounts: "ID PARENT MAJ:MIN ROOT POINT ... - TYPE SOURCE ...". */
static bool
mounted_device(dev_t anonymous, dev_t *out)
{
	AUTO_FCLOSE FILE *f = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	struct stat st;
	dev_t dev;

	while (f != NULL && getline(&line, &room, f) > 0) {
		char source[PATH_MAX], *after = strstr(line, " - ");
		char text[32];

		if (after == NULL || sscanf(line, "%*s %*s %31s", text) != 1 ||
		    !parse_dev(text, &dev) || dev != anonymous)
			continue;
		if (sscanf(after, " - %*s %4095s", source) == 1 &&
		    stat(source, &st) == 0 && S_ISBLK(st.st_mode)) {
			*out = st.st_rdev;
			return true;
		}
	}
	return false;
}

int
place_not_on(const struct stat *what, const char *what_name,
    const struct stat *disk, const char *disk_path, struct err *e)
{
	struct search s = {.disk = disk};
	dev_t dev = what->st_dev;

	if (major(dev) == 0 && !mounted_device(dev, &dev))
		return 0;
	look_at_device(&s, dev, 0);
	if (s.found)
		return err_set(e, ERR_REFUSED,
		    "%s lies on the disk %s itself: every write there would "
		    "cause another one, without end",
		    what_name, disk_path);
	return 0;
}

int
place_not_in_use(
    int file, const char *path, const struct stat *st, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (S_ISREG(st->st_mode)) {
		if (target_is_looped(file, path, e) == 0)
			return 0;
		if (e != NULL)
			e->kind = ERR_REFUSED;
		return -1;
	}
	/* The kernel gives a device to one exclusive opener: a mount, device
	 * mapper, md, swap. */
	fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return 0;
	if (errno == EBUSY)
		return err_set(e, ERR_REFUSED,
		    "%s is in use (mounted, swap, or part of another device): "
		    "what is written that way is not seen; unmount it first",
		    path);
	return err_sys(e, "open %s", path);
}
