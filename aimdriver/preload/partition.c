/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition: what is written to a partition of a protected disk changes the
 * disk, and does not go through its device. Which disk a partition belongs to
 * is asked from the kernel each time: partitions come and go.
 */
#include "aimdriver/preload/preload.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

/* "8:0\n"; false: something else. */
static bool
parse_device(const char *text, dev_t *out)
{
	unsigned part[2] = {0, 0};

	for (int i = 0; i < 2; i++) {
		if (*text < '0' || *text > '9')
			return false;
		while (*text >= '0' && *text <= '9')
			part[i] = part[i] * 10 + (unsigned)(*text++ - '0');
		if (*text++ != (i == 0 ? ':' : '\n'))
			return false;
	}
	*out = makedev(part[0], part[1]);
	return true;
}

/* The folder of a partition lies in that of its disk. */
static bool
find_disk(dev_t partition, dev_t *out)
{
	char path[64], text[32];
	long fd, n;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev",
	    major(partition), minor(partition));
	fd = raw4(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = raw3(SYS_read, fd, (long)text, sizeof(text) - 1);
	(void)raw1(SYS_close, fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return parse_device(text, out);
}

void
px_check_partition(const struct stat *st)
{
	struct stat disk = {.st_mode = S_IFBLK};
	struct px_target t;

	if (!find_disk(st->st_rdev, &disk.st_rdev) || !px_find_stat(&disk, &t))
		return;
	px_die(126,
	    "refused: %s writes to the partition %u:%u of a protected disk: "
	    "that would not be captured; protect the partition instead",
	    px_program(), major(st->st_rdev), minor(st->st_rdev));
}
