/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/home_site.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SITE_FILE_LIMIT 4096

void
machine_id(char out[MACHINE_LIMIT])
{
	AUTO(buf_release) struct buf b = {0};
	size_t n = 0;

	(void)snprintf(out, MACHINE_LIMIT, "-");
	if (io_read_file(AT_FDCWD, "/etc/machine-id", 4096, &b, NULL) < 0)
		return;
	while (n < b.len && isxdigit(b.data[n]) != 0)
		n++;
	/* "uninitialized" and the empty file of an image name no machine. */
	if (n < 16 || n >= MACHINE_LIMIT)
		return;
	memcpy(out, b.data, n);
	out[n] = 0;
}

int
home_site_store(int state, const struct home_site *s, struct err *e)
{
	char text[SITE_FILE_LIMIT], uuid[UUID_TEXT];
	int n = snprintf(text, sizeof(text),
	    "format 1\nname %s\nuuid %s\nmachine %s\n", s->name,
	    uuid_text(&s->uuid, uuid), s->machine);

	return io_write_file(state, "site", text, (size_t)n, 0600, e);
}

static int
take_line(struct home_site *s, const char *line, unsigned *seen, struct err *e)
{
	if (strcmp(line, "format 1") == 0) {
		*seen |= 1;
		return 0;
	}
	if (strncmp(line, "name ", 5) == 0) {
		*seen |= 2;
		if (name_check("site", line + 5, e) < 0)
			return -1;
		(void)snprintf(s->name, sizeof(s->name), "%s", line + 5);
		return 0;
	}
	if (strncmp(line, "uuid ", 5) == 0) {
		*seen |= 4;
		return uuid_parse(line + 5, &s->uuid, e);
	}
	if (strncmp(line, "machine ", 8) == 0 &&
	    strlen(line + 8) < MACHINE_LIMIT) {
		*seen |= 8;
		(void)snprintf(s->machine, sizeof(s->machine), "%s", line + 8);
		return 0;
	}
	return err_set(e, ERR_CORRUPT, "line not understood");
}

int
home_site_load(int state, struct home_site *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	struct home_site s = {0};
	char *at, *line, *save = NULL;
	unsigned seen = 0;

	if (io_read_file(state, "site", SITE_FILE_LIMIT, &b, e) < 0)
		return -1;
	if (buf_add(&b, "", 1, e) < 0)
		return -1;
	at = (char *)b.data;
	while ((line = strtok_r(at, "\n", &save)) != NULL) {
		at = NULL;
		if (take_line(&s, line, &seen, e) < 0)
			return err_at(e, "state/site is damaged");
	}
	if (seen != 15)
		return err_set(
		    e, ERR_CORRUPT, "state/site is damaged: lines are missing");
	*out = s;
	return 0;
}

int
home_key_make(int keys, struct err *e)
{
	AUTO(sign_forget) struct sign_secret k = {0};
	char text[2 * sizeof(k.seed) + 2];
	int done;

	if (sign_make(&k, e) < 0)
		return err_at(e, "make the site's key");
	(void)hex_text(k.seed, sizeof(k.seed), text);
	(void)strcat(text, "\n");
	done = io_write_file(keys, "site.key", text, strlen(text), 0600, e);
	explicit_bzero(text, sizeof(text));
	if (done < 0)
		return -1;
	(void)hex_text(k.pub.key, sizeof(k.pub.key), text);
	(void)strcat(text, "\n");
	return io_write_file(keys, "site.pub", text, strlen(text), 0644, e);
}

static int
open_private(int keys, int *out, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (io_open_regular(keys, "site.key", &fd, e) < 0)
		return err_at(e, "the site's private key keys/site.key");
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat keys/site.key");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, ERR_REFUSED,
		    "keys/site.key belongs to user %u; it must belong to user "
		    "%u, who runs this",
		    (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 077) != 0)
		return err_set(e, ERR_REFUSED,
		    "keys/site.key may be read by others (mode %04o): the key "
		    "may have leaked; if you are sure that it has not, run "
		    "'chmod 600' on it, else 'aim-manager init --adopt'",
		    (unsigned)(st.st_mode & 07777));
	*out = STEAL_FD(fd);
	return 0;
}

/* keys/site.pub is what other sites were told: another key would make all
 * that it signs worthless there. */
static int
check_public(int keys, const struct sign_secret *k, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char hex[2 * sizeof(k->pub.key) + 1];
	struct err why = {0};

	if (io_read_file(keys, "site.pub", SITE_FILE_LIMIT, &b, &why) < 0)
		return why.sys == ENOENT
			   ? 0
			   : err_set(e, why.kind, "keys/%s", why.text);
	(void)hex_text(k->pub.key, sizeof(k->pub.key), hex);
	if (b.len >= strlen(hex) && memcmp(b.data, hex, strlen(hex)) == 0)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "keys/site.key is not the key that belongs to keys/site.pub: put "
	    "the right one back");
}

int
home_key_load(int keys, struct sign_secret *out, struct err *e)
{
	AUTO(sign_forget) struct sign_secret k = {0};
	char text[2 * sizeof(k.seed) + 1];
	AUTO_CLOSE int fd = -1;
	int done;

	if (open_private(keys, &fd, e) < 0)
		return -1;
	if (io_read_at(fd, text, sizeof(text) - 1, 0, e) < 0)
		return err_at(e, "keys/site.key");
	text[sizeof(text) - 1] = 0;
	done = hex_parse(text, k.seed, sizeof(k.seed), e);
	explicit_bzero(text, sizeof(text));
	if (done < 0) {
		if (e != NULL)
			e->kind = ERR_CORRUPT;
		return err_at(e, "keys/site.key is damaged");
	}
	if (sign_derive(&k, e) < 0)
		return err_at(e, "keys/site.key");
	if (check_public(keys, &k, e) < 0)
		return -1;
	*out = k;
	return 0;
}
