/* SPDX-License-Identifier: Apache-2.0 */
/* s3_place: a bucket as a place that is fetched from. */
#include "common/cleanup.h"
#include "coordinator/transport_s3.h"

struct fetch {
	struct transport_file *file; /* NULL: free */
	uint32_t ticket;
};

static int
begin_fetch(struct s3_transport *t, struct fetch *f,
    struct transport_file *file, struct err *e)
{
	struct http_request r;

	if (s3_request_make(t, HTTP_GET, file->name, &r, e) < 0)
		return -1;
	r.max_file = file->max;
	if (http_begin(t->http, &r, file->fd, &f->ticket, e) < 0)
		return -1;
	f->file = file;
	return 0;
}

/* What an answer means for its file; -1 with why it fails. */
static int
settle(struct s3_transport *t, struct transport_file *file,
    const struct http_answer *a, struct err *e)
{
	struct err why = {0};

	if (a->status == 200 && !a->cut) {
		t->proven = true;
		transport_file_done(file, 1, a->file_len, NULL);
		return 0;
	}
	if (s3_is_absent(a)) {
		t->proven = true;
		transport_file_done(file, 0, 0, NULL);
		return 0;
	}
	if (a->status == 200) {
		(void)err_set(&why, ERR_CORRUPT,
		    "%s/%s is larger than the %ju bytes that are accepted",
		    t->setup.url, file->name, (uintmax_t)file->max);
		transport_file_done(file, -1, 0, &why);
		return 0; /* others may be good */
	}
	(void)s3_refuse(t, a, file->name, false, &why);
	transport_file_done(file, -1, 0, &why);
	return err_set(e, why.kind, "%s", why.text);
}

/* Begins as many as there may be. */
static size_t
begin_some(struct s3_transport *t, struct fetch under[HTTP_IN_FLIGHT],
    struct transport_file *files, size_t count, struct err *e)
{
	size_t most = t->proven ? HTTP_IN_FLIGHT : 1, begun = 0;

	for (size_t i = 0; i < HTTP_IN_FLIGHT && begun < count; i++) {
		if (under[i].file != NULL)
			continue;
		if (http_in_flight(t->http) >= most ||
		    begin_fetch(t, &under[i], &files[begun], e) < 0)
			break;
		begun++;
	}
	return begun;
}

static void
take_one(struct s3_transport *t, struct fetch under[HTTP_IN_FLIGHT],
    const struct http_answer *a, struct err *e)
{
	for (size_t i = 0; i < HTTP_IN_FLIGHT; i++) {
		struct transport_file *file = under[i].file;

		if (file == NULL || under[i].ticket != a->ticket)
			continue;
		under[i].file = NULL;
		if (settle(t, file, a, e->kind == ERR_NONE ? e : NULL) < 0)
			return;
	}
}

void
s3_fetch(struct transport *base, struct transport_file *files, size_t count)
{
	struct s3_transport *t = s3_from_base(base);
	struct fetch under[HTTP_IN_FLIGHT] = {{0}};
	const struct http_answer *a;
	struct err why = {0};
	size_t next = 0;

	if (s3_drain(base, &why) < 0)
		next = 0; /* all fail likewise, below */
	do {
		if (why.kind == ERR_NONE)
			next += begin_some(
			    t, under, files + next, count - next, &why);
		a = http_next(t->http, true);
		if (a != NULL)
			take_one(t, under, a, &why);
	} while (a != NULL);
	for (; next < count; next++)
		transport_file_done(&files[next], -1, 0, &why);
}

int
s3_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e)
{
	struct s3_transport *t = s3_from_base(base);
	const struct http_answer *a = NULL;
	struct http_request r;
	AUTO_CLOSE int fd = -1;

	if (s3_drain(base, e) < 0 || s3_small_file(bytes, len, &fd, e) < 0 ||
	    s3_request_make(t, HTTP_PUT, name, &r, e) < 0)
		return -1;
	r.len = len;
	if (http_ask(t->http, &r, fd, &a, e) < 0)
		return -1;
	return s3_is_good(a) ? 0 : s3_refuse(t, a, name, true, e);
}

/* One request about an object: 1, 0 when it is not there, -1. */
static int
ask_about(struct transport *base, enum http_method method, const char *name,
    struct err *e)
{
	struct s3_transport *t = s3_from_base(base);
	const struct http_answer *a = NULL;
	struct http_request r;

	if (s3_drain(base, e) < 0 ||
	    s3_request_make(t, method, name, &r, e) < 0 ||
	    http_ask(t->http, &r, -1, &a, e) < 0)
		return -1;
	if (s3_is_good(a))
		return 1;
	return s3_is_absent(a)
		   ? 0
		   : s3_refuse(t, a, name, method == HTTP_DELETE, e);
}

int
s3_remove(struct transport *base, const char *name, struct err *e)
{
	return ask_about(base, HTTP_DELETE, name, e);
}

int
s3_has(struct transport *base, const char *name, struct err *e)
{
	return ask_about(base, HTTP_HEAD, name, e);
}
