/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/progress.h"

#include "common/io.h"
#include "common/sys.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x0a1a676f4c6d6941) /* "AimLog\x1a\n" */

enum {
	AT_MAGIC = 0,
	AT_CHAIN = 8,
	AT_VOLUME = 24,
	AT_COPYINS = 40,
	AT_BOOTS = 48,
	AT_LOG = 56,
	AT_INDEX = 64,
	AT_OFF = 72,
	AT_STATE = 80,
	AT_SUM = 88,
	LEN = 96,
};
enum { BEGUN = 1, DONE = 2, KERNEL = 4 };

static void
encode(const struct progress *p, uint8_t out[LEN])
{
	le_put64(out + AT_MAGIC, MAGIC);
	memcpy(out + AT_CHAIN, p->chain.b, 16);
	memcpy(out + AT_VOLUME, p->volume.b, 16);
	le_put64(out + AT_COPYINS, p->copyins);
	le_put64(out + AT_BOOTS, p->boots);
	le_put64(out + AT_LOG, p->log);
	le_put64(out + AT_INDEX, p->place.index);
	le_put64(out + AT_OFF, p->place.off);
	le_put64(out + AT_STATE, (p->begun ? UINT64_C(1) * BEGUN : 0) |
				     (p->done ? DONE : 0) |
				     (p->kernel ? KERNEL : 0));
	le_put64(out + AT_SUM, sum_bytes(out, AT_SUM, MAGIC));
}

static int
decode(const uint8_t in[LEN], struct progress *out)
{
	struct progress p = {
	    .copyins = le_get64(in + AT_COPYINS),
	    .boots = le_get64(in + AT_BOOTS),
	    .log = le_get64(in + AT_LOG),
	    .place = {.index = le_get64(in + AT_INDEX),
		.off = le_get64(in + AT_OFF)},
	    .begun = (le_get64(in + AT_STATE) & BEGUN) != 0,
	    .done = (le_get64(in + AT_STATE) & DONE) != 0,
	    .kernel = (le_get64(in + AT_STATE) & KERNEL) != 0,
	};

	if (le_get64(in + AT_MAGIC) != MAGIC ||
	    le_get64(in + AT_SUM) != sum_bytes(in, AT_SUM, MAGIC))
		return -1;
	memcpy(p.chain.b, in + AT_CHAIN, 16);
	memcpy(p.volume.b, in + AT_VOLUME, 16);
	*out = p;
	return 0;
}

static int
open_file(struct progress_file *f, struct err *e)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = sys_openat(f->dir, f->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	return f->fd < 0 ? err_sys(e, "open %s", f->name) : 0;
}

int
progress_open(struct progress_file *f, const char *home,
    const struct uuid *group, const struct uuid *chain, struct progress *p,
    struct err *e)
{
	char path[PATH_MAX], text[UUID_TEXT];
	uint8_t bytes[LEN];

	(void)snprintf(
	    f->name, sizeof(f->name), "log-%s", uuid_text(chain, text));
	if ((size_t)snprintf(path, sizeof(path), "%s/active/%s", home,
		uuid_text(group, text)) >= sizeof(path))
		return err_set(e, ERR_REFUSED, "path too long: %s", home);
	if (io_open_dir(AT_FDCWD, path, &f->dir, e) < 0)
		return -1;
	if (open_file(f, e) < 0)
		return e->sys == ENOENT ? 0 : -1;
	if (io_read_at(f->fd, bytes, sizeof(bytes), 0, e) < 0)
		return err_at(e, "%s/%s", path, f->name);
	if (decode(bytes, p) < 0 || !uuid_equal(&p->chain, chain))
		return err_set(e, ERR_CORRUPT,
		    "%s/%s is damaged: how far the log was imported is not "
		    "known; copy the disk in with 'aim-manager base'",
		    path, f->name);
	return 1;
}

int
progress_store(struct progress_file *f, const struct progress *p, struct err *e)
{
	uint8_t bytes[LEN];

	encode(p, bytes);
	if (io_write_file(f->dir, f->name, bytes, sizeof(bytes), 0660, e) < 0)
		return -1;
	return open_file(f, e);
}

int
progress_step(struct progress_file *f, const struct progress *p, struct err *e)
{
	uint8_t bytes[LEN];

	encode(p, bytes);
	if (io_write_at(f->fd, bytes, sizeof(bytes), 0, e) < 0)
		return err_at(e, "%s", f->name);
	return 0;
}

void
progress_close(struct progress_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	if (f->dir >= 0)
		(void)close(f->dir);
	f->fd = f->dir = -1;
}
