/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file has a line "boot ID" and a line "volume UUID KIND DEV INO RDEV" for
 * each volume. Device numbers may change with a boot, inode numbers of files
 * do not; so the former are only compared within one boot.
 */
#include "coordinator/mirror_targets.h"

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGETS_LIMIT (2u << 20)
#define TARGETS_NAME 48

int
mirror_targets_open(
    const struct stage *s, struct mirror_targets *out, struct err *e)
{
	struct mirror_targets t = {0};
	uint32_t i;

	t.all = calloc(s->mirror.volume_count + 1, sizeof(*t.all));
	if (t.all == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; i < s->mirror.volume_count; i++) {
		t.count = i;
		if (target_open(s->volumes[i].path, s->volumes[i].kind,
			&t.all[i], e) < 0) {
			mirror_targets_close(&t);
			return err_at(e, "volume %s", s->volumes[i].name);
		}
	}
	t.count = s->mirror.volume_count;
	*out = t;
	return 0;
}

void
mirror_targets_close(struct mirror_targets *t)
{
	uint32_t i;

	for (i = 0; i < t->count; i++)
		target_close(t->all[i]);
	free(t->all);
	t->all = NULL;
	t->count = 0;
}

static void
targets_name(const struct stage *s, char out[TARGETS_NAME])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, TARGETS_NAME, "%s.targets", uuid_text(&s->mirror.uuid, text));
}

static void
boot_id(char out[64])
{
	AUTO_FCLOSE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f == NULL || fgets(out, 64, f) == NULL)
		(void)snprintf(out, 64, "unknown");
	out[strcspn(out, "\n")] = '\0';
}

static bool
same_object(const struct target_identity *was, const struct target_identity *is,
    bool same_boot)
{
	if (was->kind != is->kind)
		return false;
	if (is->kind == VOLUME_FILE)
		return was->ino == is->ino &&
		       (!same_boot || was->dev == is->dev);
	return !same_boot || was->rdev == is->rdev;
}

/* One line; 1 the same object or not a line about a volume of ours. */
static int
compare_line(const struct stage *s, const struct mirror_targets *t,
    const char *line, bool same_boot, char why[CHAIN_WHY])
{
	struct target_identity was, is;
	char text[64];
	unsigned kind;
	struct uuid u;
	uint32_t i;

	if (sscanf(line, "volume %36s %u %" SCNu64 " %" SCNu64 " %" SCNu64,
		text, &kind, &was.dev, &was.ino, &was.rdev) != 5 ||
	    uuid_parse(text, &u, NULL) < 0)
		return 1;
	was.kind = kind == VOLUME_BLOCK ? VOLUME_BLOCK : VOLUME_FILE;
	for (i = 0; i < t->count; i++) {
		if (!uuid_equal(&s->volumes[i].uuid, &u))
			continue;
		target_identity(t->all[i], &is);
		if (same_object(&was, &is, same_boot))
			continue;
		(void)snprintf(why, CHAIN_WHY,
		    "what is at the path of volume %.40s is not what was "
		    "mirrored to before: put that back, or take a new base",
		    s->volumes[i].name);
		return 0;
	}
	return 1;
}

int
mirror_targets_known(const struct stage *s, const struct mirror_targets *t,
    char why[CHAIN_WHY], struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char name[TARGETS_NAME], boot[64], *line, *save = NULL, *at;
	struct err none = {0};
	bool same_boot = false;

	targets_name(s, name);
	if (io_read_file(s->home->state, name, TARGETS_LIMIT, &b, &none) < 0) {
		if (none.sys == ENOENT)
			return 1;
		if (e != NULL)
			*e = none;
		return -1;
	}
	if (buf_add(&b, "", 1, e) < 0)
		return -1;
	boot_id(boot);
	at = (char *)b.data;
	while ((line = strtok_r(at, "\n", &save)) != NULL) {
		at = NULL;
		if (strncmp(line, "boot ", 5) == 0)
			same_boot = strcmp(line + 5, boot) == 0;
		else if (compare_line(s, t, line, same_boot, why) == 0)
			return 0;
	}
	return 1;
}

int
mirror_targets_remember(
    const struct stage *s, const struct mirror_targets *t, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char name[TARGETS_NAME], boot[64], text[UUID_TEXT];
	struct target_identity is;
	uint32_t i;

	boot_id(boot);
	if (buf_printf(&b, e, "boot %s\n", boot) < 0)
		return -1;
	for (i = 0; i < t->count; i++) {
		target_identity(t->all[i], &is);
		if (buf_printf(&b, e,
			"volume %s %u %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			uuid_text(&s->volumes[i].uuid, text), (unsigned)is.kind,
			is.dev, is.ino, is.rdev) < 0)
			return -1;
	}
	targets_name(s, name);
	return io_write_file(s->home->state, name, b.data, b.len, 0600, e);
}
