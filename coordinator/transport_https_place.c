/* SPDX-License-Identifier: Apache-2.0 */
/* transport_https_place: a server with WebDAV as a place that is fetched
 * from. */
#include "coordinator/transport_https.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* ---- a place that is fetched from: one request after the other ---- */

/* The answer to t->request, alone. */
static int
ask_alone(struct https_transport *t, int fd, const struct http_answer **a,
    struct err *e)
{
	if (https_drain(&t->base, e) < 0)
		return -1;
	return http_ask(t->http, &t->request, fd, a, e);
}

static int
put_bytes(struct https_transport *t, const void *bytes, size_t len,
    const char *part, struct err *e)
{
	AUTO_CLOSE int fd = memfd_create("small file", MFD_CLOEXEC);
	const struct http_answer *a;

	if (fd < 0)
		return err_sys(e, "make a file in memory");
	if (io_write_at(fd, bytes, len, 0, e) < 0 ||
	    https_ask_for(t, HTTP_PUT, part, e) < 0)
		return -1;
	t->request.len = len;
	if (ask_alone(t, fd, &a, e) < 0)
		return -1;
	return https_is_success(a) ? 0 : http_explain(&t->setup, a, "write", e);
}

int
https_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e)
{
	struct https_transport *t = https_from_base(base);
	char part[TRANSPORT_NAME_LIMIT];
	const struct http_answer *a;

	if (transport_part_name(name, part, sizeof(part), e) < 0 ||
	    put_bytes(t, bytes, len, part, e) < 0 ||
	    https_ask_for_move(t, part, name, "T", e) < 0 ||
	    ask_alone(t, -1, &a, e) < 0)
		return -1;
	return https_is_success(a) ? 0
				   : http_explain(&t->setup, a, "replace", e);
}

int
https_remove(struct transport *base, const char *name, struct err *e)
{
	struct https_transport *t = https_from_base(base);
	const struct http_answer *a;

	if (https_ask_for(t, HTTP_DELETE, name, e) < 0 ||
	    ask_alone(t, -1, &a, e) < 0)
		return -1;
	if (https_is_success(a))
		return 1;
	return https_is_absent(a) ? 0 : http_explain(&t->setup, a, "remove", e);
}

int
https_has(struct transport *base, const char *name, struct err *e)
{
	struct https_transport *t = https_from_base(base);
	const struct http_answer *a;

	if (https_ask_for(t, HTTP_HEAD, name, e) < 0 ||
	    http_header_add(&t->request, e, "Cache-Control", "no-cache") < 0 ||
	    ask_alone(t, -1, &a, e) < 0)
		return -1;
	if (a->status == 200)
		return 1;
	return https_is_absent(a) ? 0 : http_explain(&t->setup, a, "read", e);
}

static int
make_one_folder(
    struct https_transport *t, const char *name, size_t len, struct err *e)
{
	char folder[TRANSPORT_NAME_LIMIT];
	const struct http_answer *a;

	(void)snprintf(folder, sizeof(folder), "%.*s/", (int)len, name);
	if (https_ask_for(t, HTTP_MKCOL, folder, e) < 0 ||
	    ask_alone(t, -1, &a, e) < 0)
		return -1;
	/* 405: it is there. */
	if (https_is_success(a) || a->status == 405)
		return 0;
	return http_explain(&t->setup, a, "make the folder", e);
}

int
https_make_folder(struct transport *base, const char *name, struct err *e)
{
	const char *end = name;

	/* Those above may be there, and not be ours to make: the last tells. */
	while ((end = strchr(end, '/')) != NULL) {
		(void)make_one_folder(
		    https_from_base(base), name, (size_t)(end - name), NULL);
		end++;
	}
	return make_one_folder(https_from_base(base), name, strlen(name), e);
}

/* ---- several files at a time ---- */

struct fetching {
	struct transport_file *file;
	uint32_t ticket;
};

static void
settle_fetch(struct https_transport *t, const struct http_answer *a,
    struct transport_file *f)
{
	struct err why = {0};

	if (a->status == 200 && !a->cut) {
		transport_file_done(f, 1, a->file_len, NULL);
		return;
	}
	if (https_is_absent(a)) {
		transport_file_done(f, 0, 0, NULL);
		return;
	}
	if (a->cut && https_is_success(a))
		(void)err_set(&why, ERR_CORRUPT,
		    "%.160s/%s is larger than the %ju bytes that are accepted",
		    t->setup.url, f->name, (uintmax_t)f->max);
	else
		(void)http_explain(&t->setup, a, "read", &why);
	transport_file_done(f, -1, 0, &why);
}

static void
finish_one(struct https_transport *t, struct fetching *under_way)
{
	const struct http_answer *a = http_next(t->http, true);
	struct fetching *f = under_way;

	if (a == NULL)
		return;
	while (f->file == NULL || f->ticket != a->ticket) {
		f++;
		assert(f < under_way + HTTP_IN_FLIGHT);
	}
	settle_fetch(t, a, f->file);
	f->file = NULL;
}

static int
begin_fetch(struct https_transport *t, struct transport_file *file,
    struct fetching *under_way, struct err *e)
{
	struct fetching *f = under_way;

	while (f->file != NULL) {
		f++;
		assert(f < under_way + HTTP_IN_FLIGHT);
	}
	if (https_ask_for(t, HTTP_GET, file->name, e) < 0)
		return -1;
	t->request.max_file = file->max > 0 ? file->max : 1;
	if (http_begin(t->http, &t->request, file->fd, &f->ticket, e) < 0)
		return -1;
	f->file = file;
	return 0;
}

/* The first alone, so that one connection is made and then shared. */
void
https_fetch(struct transport *base, struct transport_file *files, size_t count)
{
	struct https_transport *t = https_from_base(base);
	struct fetching under_way[HTTP_IN_FLIGHT] = {0};
	struct err why = {0};
	size_t i;

	/* What was put and failed is told by the next put or drain. */
	while (https_settle_one(t, true))
		continue;
	for (i = 0; i < count; i++) {
		if (begin_fetch(t, &files[i], under_way, &why) < 0)
			break;
		while (!http_has_room(t->http) ||
		       (i == 0 && http_in_flight(t->http) > 0))
			finish_one(t, under_way);
		if (i > 0)
			continue;
		/* One that is too large says nothing of the others. */
		t->proven = files[0].result >= 0 ||
			    files[0].why.kind == ERR_CORRUPT || t->proven;
		if (files[0].result < 0 && files[0].why.kind != ERR_CORRUPT) {
			why = files[0].why;
			i++;
			break;
		}
	}
	for (; i < count; i++)
		transport_file_done(&files[i], -1, 0, &why);
	while (http_in_flight(t->http) > 0)
		finish_one(t, under_way);
}
