/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/aimdump/keys.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/keyring.h"
#include "fileformat/pairing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

void
keys_release(struct keys *k)
{
	free(k->key);
	for (size_t i = 0; i < k->group_count; i++)
		group_key_forget(&k->group[i]);
	free(k->group);
	if (k->home.dir >= 0)
		(void)close(k->home.dir);
	*k = (struct keys)KEYS_NONE;
}

static int
add(struct keys *k, const struct sign_public *one, struct err *e)
{
	struct sign_public *grown =
	    reallocarray(k->key, k->count + 1, sizeof(*k->key));

	if (grown == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	k->key = grown;
	k->key[k->count++] = *one;
	return 0;
}

/* Ids tell group keys apart: it does not matter of which group they are. */
static int
add_group(struct keys *k, const char *text, size_t len, struct err *e)
{
	struct group_key *grown =
	    reallocarray(k->group, k->group_count + 1, sizeof(*k->group));
	struct uuid group;

	if (grown == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	k->group = grown;
	if (keyfile_decode(text, len, &group, &k->group[k->group_count], e) < 0)
		return -1;
	k->group_count++;
	return 0;
}

static int
find(const void *ctx, const struct uuid *group, const uint8_t id[KEY_ID_LEN],
    struct group_key *out, struct err *e)
{
	const struct keys *k = ctx;

	for (size_t i = 0; i < k->group_count; i++)
		if (memcmp(k->group[i].id, id, KEY_ID_LEN) == 0) {
			*out = k->group[i];
			return 1;
		}
	return k->home.dir < 0 ? 0 : keyring_find(&k->home, group, id, out, e);
}

void
keys_give(const struct keys *k, struct reader *r)
{
	const struct reader_keys keys = {.find = find, .ctx = k};

	reader_set_keys(r, &keys);
}

static int
add_text(struct keys *k, char *text, size_t len, struct err *e)
{
	AUTO(pairing_release) struct pairing p = {0};
	struct sign_public one;
	size_t begin = strspn(text, " \t\r\n");

	if (strncmp(text + begin, "aim-pairing", 11) == 0)
		return pairing_decode(text, len, &p, e) < 0 ? -1
							    : add(k, &p.key, e);
	if (strncmp(text + begin, KEYFILE_BEGIN, strlen(KEYFILE_BEGIN)) == 0)
		return add_group(k, text + begin, len - begin, e);
	while (len > begin && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	text[len] = '\0';
	if (hex_parse(text + begin, one.key, sizeof(one.key), NULL) < 0)
		return err_set(e, ERR_REFUSED,
		    "is neither a pairing text, nor a public key of 64 "
		    "hexadecimal digits, nor a group's key");
	return add(k, &one, e);
}

static int
add_at(struct keys *k, int dir, const char *name, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};

	if (io_read_file(dir, name, PAIRING_LIMIT, &b, e) < 0)
		return -1;
	return add_text(k, (char *)b.data, b.len, e) < 0 ? err_at(e, "%s", name)
							 : 0;
}

int
keys_add_file(struct keys *k, const char *path, struct err *e)
{
	return add_at(k, AT_FDCWD, path, e) < 0 ? err_at(e, "key") : 0;
}

static int
add_trusted(struct keys *k, int keys, struct err *e)
{
	AUTO_CLOSEDIR DIR *d = NULL;
	AUTO_CLOSE int fd = -1;
	const struct dirent *entry;

	if (io_open_dir(keys, "trusted", &fd, e) < 0)
		return e->sys == ENOENT ? 0 : -1;
	d = fdopendir(fd);
	if (d == NULL)
		return err_sys(e, "read keys/trusted");
	(void)STEAL_FD(fd);
	while (errno = 0, (entry = readdir(d)) != NULL) {
		size_t n = strlen(entry->d_name);

		if (n > 4 && strcmp(entry->d_name + n - 4, ".pub") == 0 &&
		    add_at(k, dirfd(d), entry->d_name, e) < 0)
			return err_at(e, "keys/trusted");
	}
	return errno == 0 ? 0 : err_sys(e, "read keys/trusted");
}

int
keys_add_home(struct keys *k, const char *home, struct err *e)
{
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int keys = -1;

	if (io_open_dir(AT_FDCWD, home, &dir, e) < 0 ||
	    io_open_dir(dir, "keys", &keys, e) < 0 ||
	    add_at(k, keys, "site.pub", e) < 0 || add_trusted(k, keys, e) < 0)
		return err_at(e, "home %s", home);
	/* Of several homes the last one's. */
	if (k->home.dir >= 0)
		(void)close(k->home.dir);
	k->home.dir = STEAL_FD(dir);
	return 0;
}

int
keys_find(const struct keys *k, const uint8_t id[KEY_ID_LEN],
    const struct sign_public **out, struct err *e)
{
	uint8_t is[KEY_ID_LEN];
	size_t i;

	*out = NULL;
	for (i = 0; i < k->count && *out == NULL; i++) {
		if (sign_key_id(&k->key[i], is, e) < 0)
			return -1;
		if (memcmp(is, id, KEY_ID_LEN) == 0)
			*out = &k->key[i];
	}
	return 0;
}
