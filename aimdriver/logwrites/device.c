/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/device.h"

#include "aimdriver/logwrites/begin.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LEAST_LOG (UINT64_C(1) << 20)
#define NAME_MOST 127 /* device mapper's */

static void
detach(struct capture **c)
{
	capture_detach(*c);
}

static int
check_name(const char *name, struct err *e)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    strchr("#+-.:=@_", name[i]) == NULL)
			break;
	if (i > 0 && name[i] == '\0' && i <= NAME_MOST)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "'%s' is no name for a device: letters, digits and #+-.:=@_", name);
}

/* Nobody else has it: the kernel will ask for the same. */
static int
check_free(const char *path, dev_t *device, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(e, "%s", path);
	if (!S_ISBLK(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is no block device: dm-log-writes works on those",
		    path);
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_EXCL | O_CLOEXEC, 0);
	if (fd < 0 && errno == EBUSY)
		return err_set(e, ERR_REFUSED,
		    "%s is in use: is it mounted, or another device's?", path);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	*device = st.st_rdev;
	return 0;
}

static int
check_log(const char *path, dev_t disk, dev_t *device, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	uint64_t size;

	if (check_free(path, device, e) < 0)
		return -1;
	if (*device == disk)
		return err_set(e, ERR_REFUSED,
		    "%s is the disk itself: its log would overwrite it", path);
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (io_size(fd, &size, e) < 0)
		return err_at(e, "%s", path);
	if (size < LEAST_LOG)
		return err_set(e, ERR_REFUSED,
		    "%s has %" PRIu64 " bytes: too few for a log", path, size);
	return 0;
}

static int
check_logs(const struct device_logs *logs, dev_t disk, struct err *e)
{
	dev_t device[DEVICE_LOGS];
	int i, k;

	for (i = 0; i < logs->count; i++) {
		if (check_log(logs->path[i], disk, &device[i], e) < 0)
			return -1;
		for (k = 0; k < i; k++)
			if (device[k] == device[i])
				return err_set(e, ERR_REFUSED,
				    "%s is given twice", logs->path[i]);
	}
	return 0;
}

static void
tell_state(const struct table *t, const struct uuid *chain, uint64_t number,
    struct device_state *out)
{
	*out = (struct device_state){.chain = *chain, .number = number};
	(void)snprintf(out->disk, sizeof(out->disk), "%s", t->disk);
	(void)snprintf(out->log, sizeof(out->log), "%s", t->log);
	(void)chain_mark(chain, number, out->mark);
}

int
device_attach(struct table *t, const char *home, const struct target *volume,
    const struct device_logs *logs, struct device_state *out, struct err *e)
{
	struct progress p;
	dev_t disk;
	int there;

	t->disk = volume->info.path;
	t->log = logs->path[0];
	if (check_name(t->name, e) < 0 || check_free(t->disk, &disk, e) < 0 ||
	    check_logs(logs, disk, e) < 0 ||
	    begin_chain(home, volume, true, &p, e) < 0)
		return -1;
	there = table_exists(t, e);
	if (there < 0)
		return -1;
	if (there > 0)
		return err_set(e, ERR_REFUSED,
		    "there is a device %s already: choose another name, or "
		    "take it down with 'aim-manager logwrites detach'",
		    t->name);
	if (!t->dry && begin_store(home, volume, &p, e) < 0)
		return -1;
	tell_state(t, &p.chain, 0, out);
	return table_make(t, out->mark, e);
}

/* The mark that a log begins with: which chain, which log of it. */
static int
read_log(const char *path, struct uuid *chain, uint64_t *number, struct err *e)
{
	struct chain c = {0};
	char *name = strdup(path);
	int r;

	if (name == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	r = chain_open(&c, &name, 1, false, e);
	if (r == 0) {
		*chain = c.id;
		*number = c.first;
	}
	chain_close(&c);
	free(name);
	return r;
}

/* Is the log of this volume, and does nobody follow it? */
static int
check_chain(const char *home, const struct target *volume,
    const struct uuid *chain, const char *log, struct err *e)
{
	AUTO(detach) struct capture *c = NULL;
	struct progress_file f = PROGRESS_FILE_NONE;
	struct capture_status st;
	struct progress p;
	int r = progress_open(&f, home, &volume->group, chain, &p, e);

	progress_close(&f);
	if (r < 0)
		return -1;
	if (r == 0 || !uuid_equal(&p.volume, &volume->info.uuid))
		return err_set(e, ERR_REFUSED,
		    "%s, which the device writes to, is no log of %s in this "
		    "home",
		    log, volume->info.path);
	if (capture_attach(home, &volume->group, CAPTURE_INSPECT, &c, e) < 0)
		return -1;
	capture_status(c, &st);
	if (st.attached)
		return err_set(e, ERR_REFUSED,
		    "the log is followed, and 'aim-logwrites follow' changes "
		    "it by itself");
	return 0;
}

int
device_rotate(struct table *t, const char *home, const struct target *volume,
    const char *log, struct device_state *out, struct err *e)
{
	char now[PATH_MAX];
	struct table_devices d;
	struct uuid chain;
	uint64_t number = 0;
	struct stat st;
	dev_t other;

	t->disk = volume->info.path;
	t->log = log;
	if (check_name(t->name, e) < 0 || table_look(t, &d, e) < 0)
		return -1;
	if (stat(t->disk, &st) < 0)
		return err_sys(e, "%s", t->disk);
	if (!S_ISBLK(st.st_mode) || st.st_rdev != d.disk)
		return err_set(e, ERR_REFUSED, "the device %s is not over %s",
		    t->name, t->disk);
	if (check_log(log, d.disk, &other, e) < 0)
		return -1;
	table_device_path(d.log, now, sizeof(now));
	if (read_log(now, &chain, &number, e) < 0 ||
	    check_chain(home, volume, &chain, now, e) < 0)
		return -1;
	tell_state(t, &chain, number + 1, out);
	return table_change(t, out->mark, e);
}

int
device_detach(struct table *t, struct device_state *out, struct err *e)
{
	struct device_state s = {.number = 0};
	struct table_devices d;

	if (check_name(t->name, e) < 0 || table_look(t, &d, e) < 0)
		return -1;
	table_device_path(d.disk, s.disk, sizeof(s.disk));
	table_device_path(d.log, s.log, sizeof(s.log));
	if (read_log(s.log, &s.chain, &s.number, NULL) == 0)
		(void)chain_mark(&s.chain, s.number, s.mark);
	*out = s;
	return table_remove(t, e);
}
