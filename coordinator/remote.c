/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/remote.h"

#include "common/cleanup.h"
#include "coordinator/transport.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "SCHEME://HOST/DIR/NAME[?OPTIONS]" into the same without "/NAME", and NAME.
 */
static int
split(const char *url, struct destination_config *d,
    char name[TRANSPORT_NAME_LIMIT], struct err *e)
{
	size_t len = strcspn(url, "?"), at = len;
	const char *rest = strstr(url, "://");
	size_t least = rest == NULL ? 0 : (size_t)(rest - url) + 3;
	int n;

	while (at > least && url[at - 1] != '/')
		at--;
	if (rest == NULL || at <= least || at == len ||
	    len - at >= TRANSPORT_NAME_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "\"%.120s\" names no file: expected a path, or "
		    "sftp://USER@HOST:PORT/DIR/FILE, "
		    "https://HOST:PORT/DIR/FILE, s3://BUCKET/DIR/FILE",
		    url);
	(void)snprintf(
	    name, TRANSPORT_NAME_LIMIT, "%.*s", (int)(len - at), url + at);
	n = snprintf(
	    d->url, sizeof(d->url), "%.*s%s", (int)(at - 1), url, url + len);
	if (n < 0 || (size_t)n >= sizeof(d->url))
		return err_set(e, ERR_REFUSED, "URL too long");
	d->ack_url[0] = '\0';
	return transport_name_check(name, e);
}

static int
open_elsewhere(
    const struct destination_config *d, struct remote **out, struct err *e)
{
	AUTO_FREE struct destination_config *folder = malloc(sizeof(*folder));
	char name[TRANSPORT_NAME_LIMIT];

	if (folder == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	*folder = *d;
	if (split(d->url, folder, name, e) < 0)
		return -1;
	if (strncmp(d->url, "sftp://", 7) == 0)
		return remote_sftp_open(folder, name, out, e);
	if (strncmp(d->url, "http", 4) == 0 || strncmp(d->url, "s3:", 3) == 0)
		return remote_http_open(folder, name, out, e);
	return err_set(e, ERR_REFUSED,
	    "\"%.120s\" cannot be read by ranges: expected a path, sftp://, "
	    "https:// or s3://",
	    d->url);
}

int
remote_open(
    const struct destination_config *d, struct remote **out, struct err *e)
{
	struct remote *r = NULL;
	const char *url = d->url;
	int done;

	if (strncmp(url, "file://", 7) == 0)
		done = remote_here_open(url + 7, &r, e);
	else if (strstr(url, "://") == NULL)
		done = remote_here_open(url, &r, e);
	else
		done = open_elsewhere(d, &r, e);
	if (done < 0)
		return -1;
	/* Without the options, which are long and no news. */
	(void)snprintf(
	    r->url, sizeof(r->url), "%.*s", (int)strcspn(url, "?"), url);
	*out = r;
	return 0;
}

int
remote_check(const struct destination_config *d, struct err *e)
{
	struct remote *r = NULL;

	if (remote_open(d, &r, e) < 0)
		return -1;
	remote_close(r);
	return 0;
}

void
remote_close(struct remote *r)
{
	if (r != NULL)
		r->ops->close(r);
}

bool
remote_has_room(const struct remote *r)
{
	return r->ops->has_room(r);
}

int
remote_look(struct remote *r, uint32_t *ticket, struct err *e)
{
	*ticket = ++r->last_ticket;
	return r->ops->look(r, *ticket, e);
}

void
remote_expect(struct remote *r, uint64_t size, const char *tag)
{
	r->expected = true;
	r->size = size;
	(void)snprintf(r->tag, sizeof(r->tag), "%s", tag);
}

int
remote_read(struct remote *r, uint64_t off, uint32_t len, int fd,
    uint32_t *ticket, struct err *e)
{
	assert(r->expected && len > 0 && len <= REMOTE_READ_LIMIT);
	if (off > r->size || len > r->size - off)
		return err_set(e, ERR_REFUSED,
		    "%s has %ju bytes, %u are wanted from %ju", r->url,
		    (uintmax_t)r->size, len, (uintmax_t)off);
	*ticket = ++r->last_ticket;
	return r->ops->read(r, off, len, fd, *ticket, e);
}

bool
remote_next(struct remote *r, struct remote_answer *out)
{
	return r->ops->next(r, out);
}

uint32_t
remote_sockets(const struct remote *r, struct pollfd *out)
{
	return r->ops->sockets(r, out);
}

void
remote_is_changed(const struct remote *r, struct remote_answer *out)
{
	out->result = -1;
	out->changed = true;
	(void)err_set(&out->why, ERR_CORRUPT,
	    "%s is not the file that it was: somebody writes to it or has "
	    "replaced it",
	    r->url);
}

void
remote_found(
    struct remote *r, uint64_t size, const char *tag, struct remote_answer *out)
{
	out->size = size;
	(void)snprintf(out->tag, sizeof(out->tag), "%s", tag);
	if (!r->expected)
		remote_expect(r, size, tag);
	out->result = 1;
	if (size != r->size || (r->tag[0] != '\0' && strcmp(r->tag, tag) != 0))
		remote_is_changed(r, out);
}
