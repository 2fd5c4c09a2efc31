/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/transport.h"

#include "common/uuid.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct transport_ops *const transports[] = {
    &transport_dir_ops,
    &transport_sftp_ops,
    &transport_https_ops,
    &transport_http_ops,
    &transport_s3_ops,
    &transport_rsync_ops,
    &transport_rsync_ssh_ops,
};
#define TRANSPORTS (sizeof(transports) / sizeof(transports[0]))

const char *
transport_url(const struct destination_config *d, bool for_acks)
{
	return for_acks && d->ack_url[0] != '\0' ? d->ack_url : d->url;
}

static const struct transport_ops *
find(const char *url, struct err *e)
{
	char shown[120];
	size_t i, len;

	for (i = 0; i < TRANSPORTS; i++) {
		len = strlen(transports[i]->scheme);
		if (strncmp(url, transports[i]->scheme, len) == 0 &&
		    strncmp(url + len, "://", 3) == 0)
			return transports[i];
	}
	(void)err_set(e, ERR_REFUSED,
	    "\"%s\" is no URL that files can be sent to: use file:///DIR, "
	    "sftp://USER@HOST:PORT/DIR, https://HOST:PORT/DIR, "
	    "s3://BUCKET/PREFIX, rsync+ssh://USER@HOST:PORT/DIR or "
	    "rsync://USER@HOST/MODULE/DIR",
	    name_quote(url, strlen(url), shown, sizeof(shown)));
	return NULL;
}

int
transport_check(const struct destination_config *d, struct err *e)
{
	const struct transport_ops *put = find(d->url, e), *get;

	if (put == NULL || put->check(d, false, e) < 0)
		return -1;
	get = find(transport_url(d, true), e);
	if (get == NULL || get->check(d, true, e) < 0)
		return err_at(e, "acknowledgements");
	return 0;
}

int
transport_check_hub(const struct destination_config *d, struct err *e)
{
	const struct transport_ops *ops = find(d->url, e);

	if (ops == NULL || ops->fetch != NULL)
		return ops == NULL ? -1 : 0;
	return err_set(e, ERR_REFUSED,
	    "%s:// can be sent to, but not be fetched from", ops->scheme);
}

int
transport_open(const struct destination_config *d, bool for_acks,
    struct transport **out, struct err *e)
{
	const struct transport_ops *ops = find(transport_url(d, for_acks), e);

	if (ops == NULL || ops->check(d, for_acks, e) < 0)
		return -1;
	return ops->open(d, for_acks, out, e);
}

int
transport_name_check(const char *name, struct err *e)
{
	size_t len = strlen(name), i;
	char shown[80];
	bool ok = len > 0 && len < TRANSPORT_NAME_LIMIT - 40;

	for (i = 0; ok && i < len; i++) {
		char c = name[i];

		ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		     (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
		     c == '.' || c == '/';
		/* Every part begins with a letter or digit: no "..", no
		 * hidden names, no absolute path, no empty part. */
		if (i == 0 || name[i - 1] == '/')
			ok = ok && c != '.' && c != '/' && c != '-';
	}
	if (ok && name[len - 1] != '/')
		return 0;
	return err_set(e, ERR_REFUSED, "\"%s\" is no name that can be sent",
	    name_quote(name, len, shown, sizeof(shown)));
}

int
transport_part_name(const char *name, char *out, size_t room, struct err *e)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash == NULL ? name : slash + 1;
	uint8_t random[16];
	char hex[2 * sizeof(random) + 1];
	int n;

	if (random_bytes(random, sizeof(random), e) < 0)
		return -1;
	n = snprintf(out, room, "%.*s.%s.%s.part", (int)(base - name), name,
	    base, hex_text(random, sizeof(random), hex));
	if (n < 0 || (size_t)n >= room)
		return err_set(e, ERR_REFUSED, "name too long: %s", name);
	return 0;
}

int
transport_put(
    struct transport *t, int fd, uint64_t len, const char *name, struct err *e)
{
	if (transport_name_check(name, e) < 0)
		return -1;
	return t->ops->put(t, fd, len, name, e);
}

int
transport_drain(struct transport *t, struct err *e)
{
	return t->ops->drain == NULL ? 0 : t->ops->drain(t, e);
}

int
transport_get(struct transport *t, const char *name, size_t max,
    struct buf *out, struct err *e)
{
	assert(max <= TRANSPORT_GET_LIMIT);
	if (transport_name_check(name, e) < 0)
		return -1;
	return t->ops->get(t, name, max, out, e);
}

int
transport_watch(struct transport *t, int inotify, const char *name)
{
	return t->ops->watch == NULL ? -1 : t->ops->watch(t, inotify, name);
}

void
transport_file_done(
    struct transport_file *f, int result, uint64_t len, const struct err *why)
{
	f->result = result;
	f->len = result == 1 ? len : 0;
	f->why = result < 0 ? *why : (struct err){0};
	if (f->done != NULL)
		f->done(f);
}

static int
cannot(const struct transport *t, struct err *e)
{
	return err_set(e, ERR_REFUSED,
	    "%s:// can be sent to, but not be fetched from", t->ops->scheme);
}

void
transport_fetch(struct transport *t, struct transport_file *files, size_t count)
{
	struct err why = {0};
	int good = t->ops->fetch == NULL ? cannot(t, &why) : 0;
	size_t i;

	for (i = 0; i < count && good == 0; i++)
		good = transport_name_check(files[i].name, &why);
	if (good == 0) {
		t->ops->fetch(t, files, count);
		return;
	}
	for (i = 0; i < count; i++)
		transport_file_done(&files[i], -1, 0, &why);
}

int
transport_replace(struct transport *t, const void *bytes, size_t len,
    const char *name, struct err *e)
{
	assert(len <= TRANSPORT_GET_LIMIT);
	if (transport_name_check(name, e) < 0)
		return -1;
	return t->ops->replace == NULL
		   ? cannot(t, e)
		   : t->ops->replace(t, bytes, len, name, e);
}

int
transport_remove(struct transport *t, const char *name, struct err *e)
{
	if (transport_name_check(name, e) < 0)
		return -1;
	return t->ops->remove == NULL ? cannot(t, e)
				      : t->ops->remove(t, name, e);
}

int
transport_has(struct transport *t, const char *name, struct err *e)
{
	if (transport_name_check(name, e) < 0)
		return -1;
	return t->ops->has == NULL ? 0 : t->ops->has(t, name, e);
}

int
transport_make_folder(struct transport *t, const char *name, struct err *e)
{
	if (transport_name_check(name, e) < 0)
		return -1;
	return t->ops->make_folder == NULL ? 0
					   : t->ops->make_folder(t, name, e);
}

void
transport_close(struct transport *t)
{
	if (t != NULL)
		t->ops->close(t);
}
