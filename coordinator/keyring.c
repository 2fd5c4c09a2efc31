/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/keyring.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_LEN (2 * KEY_ID_LEN + 8)

static const char *
file_name(const uint8_t id[KEY_ID_LEN], char out[NAME_LEN])
{
	(void)hex_text(id, KEY_ID_LEN, out);
	(void)strcat(out, ".key");
	return out;
}

/* 1, 0 when there is none, -1. */
static int
open_folder(
    const struct home *h, const struct uuid *group, int *out, struct err *e)
{
	char path[UUID_TEXT + 16], uuid[UUID_TEXT];
	struct err why = {0};

	(void)snprintf(
	    path, sizeof(path), "keys/groups/%s", uuid_text(group, uuid));
	if (io_open_dir(h->dir, path, out, &why) == 0)
		return 1;
	return why.sys == ENOENT ? 0 : err_set(e, ERR_RETRY, "%s", why.text);
}

static int
check_private(int fd, const char *name, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", name);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, ERR_RETRY,
		    "group key %s belongs to user %u; it must belong to user "
		    "%u, who runs this",
		    name, (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 077) != 0)
		return err_set(e, ERR_RETRY,
		    "group key %s may be read by others (mode %04o) and may "
		    "have leaked: if you are sure that it has not, run 'chmod "
		    "600' on it, else make a new one ('aim-manager key "
		    "generate', then 'rotate')",
		    name, (unsigned)(st.st_mode & 07777));
	return 0;
}

static int
read_key(int fd, const char *name, const struct uuid *group,
    const uint8_t id[KEY_ID_LEN], struct group_key *out, struct err *e)
{
	char text[KEYFILE_LIMIT];
	struct group_key k;
	struct uuid of;
	ssize_t n = io_read_some_at(fd, text, sizeof(text), 0, e);
	int done = -1;

	if (n < 0)
		return err_at(e, "group key %s", name);
	if (keyfile_decode(text, (size_t)n, &of, &k, e) == 0) {
		if (uuid_equal(&of, group) &&
		    memcmp(k.id, id, KEY_ID_LEN) == 0) {
			*out = k;
			done = 0;
		} else {
			(void)err_set(e, ERR_CORRUPT, "is another key's file");
		}
		group_key_forget(&k);
	}
	explicit_bzero(text, sizeof(text));
	return done < 0 ? err_at(e, "group key %s", name) : 0;
}

int
keyring_find(const struct home *h, const struct uuid *group,
    const uint8_t id[KEY_ID_LEN], struct group_key *out, struct err *e)
{
	AUTO_CLOSE int dir = -1, fd = -1;
	char name[NAME_LEN];
	struct err why = {0};
	int found = open_folder(h, group, &dir, e);

	if (found <= 0)
		return found;
	if (io_open_regular(dir, file_name(id, name), &fd, &why) < 0 &&
	    why.sys == ENOENT)
		return 0;
	if (fd >= 0 && check_private(fd, name, &why) == 0 &&
	    read_key(fd, name, group, id, out, &why) == 0)
		return 1;
	return err_set(e, ERR_RETRY, "%s", why.text);
}

static int
make_folder(struct home *h, const struct uuid *group, int *out, struct err *e)
{
	AUTO_CLOSE int keys = -1, groups = -1;
	char uuid[UUID_TEXT];

	if (io_open_dir(h->dir, "keys", &keys, e) < 0 ||
	    io_make_dir(keys, "groups", 0700, e) < 0 ||
	    io_open_dir(keys, "groups", &groups, e) < 0 ||
	    io_make_dir(groups, uuid_text(group, uuid), 0700, e) < 0)
		return -1;
	return io_open_dir(groups, uuid, out, e);
}

int
keyring_put(struct home *h, const struct uuid *group, const struct group_key *k,
    struct err *e)
{
	AUTO_CLOSE int dir = -1;
	char name[NAME_LEN], text[KEYFILE_LEN];
	int done;

	if (make_folder(h, group, &dir, e) < 0)
		return err_at(e, "keep the group's key");
	keyfile_encode(group, k, text);
	done = io_write_file(
	    dir, file_name(k->id, name), text, strlen(text), 0600, e);
	explicit_bzero(text, sizeof(text));
	return done < 0 ? err_at(e, "keep the group's key") : 0;
}

int
keyring_drop(struct home *h, const struct uuid *group,
    const uint8_t id[KEY_ID_LEN], struct err *e)
{
	AUTO_CLOSE int dir = -1;
	char name[NAME_LEN];
	int found = open_folder(h, group, &dir, e);

	return found <= 0 ? found : io_remove(dir, file_name(id, name), e);
}

static int
find_in_home(const void *ctx, const struct uuid *group,
    const uint8_t id[KEY_ID_LEN], struct group_key *out, struct err *e)
{
	return keyring_find(ctx, group, id, out, e);
}

void
keyring_give(const struct home *h, struct reader *r)
{
	const struct reader_keys keys = {.find = find_in_home, .ctx = h};

	reader_set_keys(r, &keys);
}
