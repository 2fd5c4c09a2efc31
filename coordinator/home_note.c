/* SPDX-License-Identifier: Apache-2.0 */
/* home_note: small "key value" files that tell status; not synced. */
#include "coordinator/home.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTE_LIMIT (64u << 10)

static int
put_pair(struct buf *b, const struct note_pair *p, struct err *e)
{
	size_t from;

	if (buf_printf(b, e, "%s ", p->key) < 0)
		return -1;
	from = b->len;
	if (buf_printf(b, e, "%s\n", p->value == NULL ? "" : p->value) < 0)
		return -1;
	/* One line for one value, whatever it says. */
	for (size_t i = from; i + 1 < b->len; i++)
		if (b->data[i] == '\n' || b->data[i] == '\r')
			b->data[i] = ' ';
	return 0;
}

int
note_write(struct home *h, const char *name, const struct note_pair *pairs,
    size_t count, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO_CLOSE int fd = -1;
	char tmp[NAME_MAX + 1];

	if ((size_t)snprintf(tmp, sizeof(tmp), ".%s.note", name) >= sizeof(tmp))
		return err_set(e, ERR_REFUSED, "name too long: %s", name);
	for (size_t i = 0; i < count; i++)
		if (put_pair(&b, &pairs[i], e) < 0)
			return -1;
	fd = sys_openat(
	    h->state, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "create state/%s", tmp);
	if (io_write_at(fd, b.data, b.len, 0, e) < 0) {
		(void)sys_unlink(h->state, tmp);
		return err_at(e, "write state/%s", tmp);
	}
	if (sys_rename(h->state, tmp, h->state, name, 0) < 0)
		return err_sys(e, "rename state/%s to %s", tmp, name);
	return 0;
}

bool
note_read(
    struct home *h, const char *name, const char *key, char *out, size_t room)
{
	AUTO(buf_release) struct buf b = {0};
	size_t key_len = strlen(key);
	char *line, *at, *save = NULL;

	if (io_read_file(h->state, name, NOTE_LIMIT, &b, NULL) < 0 ||
	    buf_add(&b, "", 1, NULL) < 0)
		return false;
	at = (char *)b.data;
	while ((line = strtok_r(at, "\n", &save)) != NULL) {
		at = NULL;
		if (strncmp(line, key, key_len) != 0 || line[key_len] != ' ')
			continue;
		(void)snprintf(out, room, "%s", line + key_len + 1);
		return true;
	}
	return false;
}
