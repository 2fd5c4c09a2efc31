/* SPDX-License-Identifier: Apache-2.0 */
/* s3_put: files on their way, each a few requests long, several at a time. */
#include "common/cleanup.h"
#include "coordinator/transport_s3.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define IF_ABSENT "If-None-Match", "*"
/* Hidden: a bucket may be a folder too, where the receiver clears it away. */
#define PROBE_NAME ".aim-conditional.part"

static const char probe_text[] =
    "AIM puts this twice to see whether the server keeps what it has.\n";

static void
release(struct s3_put *p)
{
	cleanup_fd(&p->fd);
	*p = (struct s3_put){.fd = -1};
}

void
s3_put_abandon(struct s3_transport *t)
{
	for (size_t i = 0; i < HTTP_IN_FLIGHT; i++)
		release(&t->puts[i]);
}

/* ---- does the server keep what it has? ---- */

/* One PUT of the probe: 1 it was kept from being written over, 0 it was
 * written, or -1. *never says that the server has no such requests. */
static int
put_probe(struct s3_transport *t, const char *name, bool *never, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	const struct http_answer *a = NULL;
	struct http_request r;
	struct s3_error error;

	if (s3_small_file(probe_text, sizeof(probe_text) - 1, &fd, e) < 0 ||
	    s3_request_make(t, HTTP_PUT, name, &r, e) < 0 ||
	    http_header_add(&r, e, IF_ABSENT) < 0)
		return -1;
	r.len = sizeof(probe_text) - 1;
	if (http_ask(t->http, &r, fd, &a, e) < 0)
		return -1;
	s3_answer_error(a, &error);
	if (a->status == 412)
		return 1;
	*never = a->status == 501 || strcmp(error.code, "NotImplemented") == 0;
	if (*never || s3_is_good(a))
		return 0;
	(void)s3_refuse(t, a, name, true, e);
	if (strcmp(error.code, "AccessDenied") == 0)
		return err_at(e,
		    "to see whether the server keeps what it has, which "
		    "conditional=yes or no in the URL would tell");
	return -1;
}

/* The probe lies beside the file, where we may write. */
static int
find_out(struct s3_transport *t, const char *name, struct err *e)
{
	const char *slash = strrchr(name, '/');
	char probe[TRANSPORT_NAME_LIMIT];
	bool never = false;
	int kept, tries;

	(void)snprintf(probe, sizeof(probe), "%.*s" PROBE_NAME,
	    slash == NULL ? 0 : (int)(slash - name) + 1, name);
	for (tries = 0, kept = 0; tries < 2 && kept == 0 && !never; tries++)
		kept = put_probe(t, probe, &never, e);
	if (kept < 0)
		return -1;
	t->conditional = kept == 1 ? S3_CONDITIONAL_YES : S3_CONDITIONAL_NO;
	t->proven = true;
	return 0;
}

/* ---- steps ---- */

static int
begin(
    struct s3_transport *t, struct s3_put *p, enum s3_step step, struct err *e)
{
	bool put = step == S3_PUTTING;
	struct http_request r;

	if (s3_request_make(t,
		put		    ? HTTP_PUT
		: step == S3_ASKING ? HTTP_GET
				    : HTTP_HEAD,
		p->name, &r, e) < 0)
		return -1;
	if (put && t->conditional == S3_CONDITIONAL_YES &&
	    http_header_add(&r, e, IF_ABSENT) < 0)
		return -1;
	r.len = put ? p->len : 0;
	if (http_begin(t->http, &r, put ? p->fd : -1, &p->ticket, e) < 0)
		return -1;
	p->step = step;
	return 0;
}

/* Each gives 1: it is there, 0: another request is under way, -1. */
static int
after_looking(struct s3_transport *t, struct s3_put *p,
    const struct http_answer *a, struct err *e)
{
	if (s3_is_good(a))
		return s3_compare(t, a, p, e);
	if (a->status == 404)
		return begin(t, p, S3_PUTTING, e);
	return a->status == 0 ? s3_refuse(t, a, p->name, false, e)
			      : begin(t, p, S3_ASKING, e);
}

static int
after_asking(struct s3_transport *t, struct s3_put *p,
    const struct http_answer *a, struct err *e)
{
	struct s3_error error;

	if (s3_is_good(a) || a->status == 404)
		return err_set(e, ERR_RETRY,
		    "%s: the server says now this, now that", t->setup.url);
	s3_answer_error(a, &error);
	(void)s3_refuse(t, a, p->name, false, e);
	if (strcmp(error.code, "AccessDenied") == 0)
		return err_at(e,
		    "this server cannot be asked to keep what it has, so it "
		    "is looked what is there before anything is sent");
	return -1;
}

static int
after_putting(struct s3_transport *t, struct s3_put *p,
    const struct http_answer *a, struct err *e)
{
	if (s3_is_good(a))
		return 1;
	if (a->status == 412)
		return begin(t, p, S3_COMPARING, e);
	(void)s3_refuse(t, a, p->name, true, e);
	if (a->status == 501 && t->conditional == S3_CONDITIONAL_YES)
		return err_at(e,
		    "the server does not know If-None-Match: leave "
		    "conditional=yes out of the URL");
	return -1;
}

static int
after_comparing(struct s3_transport *t, struct s3_put *p,
    const struct http_answer *a, struct err *e)
{
	if (s3_is_good(a))
		return s3_compare(t, a, p, e);
	/* Who may only write cannot compare. It is there; whether it is
	 * right, the mirror will see. */
	if (a->status == 403)
		return 1;
	if (a->status == 404)
		return err_set(e, ERR_RETRY,
		    "%s/%s was there, and then was not", t->setup.url, p->name);
	return s3_refuse(t, a, p->name, false, e);
}

static int
advance(struct s3_transport *t, struct s3_put *p, const struct http_answer *a,
    struct err *e)
{
	switch (p->step) {
	case S3_LOOKING:
		return after_looking(t, p, a, e);
	case S3_ASKING:
		return after_asking(t, p, a, e);
	case S3_PUTTING:
		return after_putting(t, p, a, e);
	case S3_COMPARING:
		return after_comparing(t, p, a, e);
	case S3_FREE:
	default:
		return err_set(e, ERR_FATAL, "an answer that nobody awaits");
	}
}

static struct s3_put *
find(struct s3_transport *t, uint32_t ticket)
{
	for (size_t i = 0; i < HTTP_IN_FLIGHT; i++)
		if (t->puts[i].step != S3_FREE && t->puts[i].ticket == ticket)
			return &t->puts[i];
	return NULL;
}

/* Takes one answer; false when there is none (yet). */
static bool
take_answer(struct s3_transport *t, bool block)
{
	const struct http_answer *a = http_next(t->http, block);
	struct s3_put *p = a == NULL ? NULL : find(t, a->ticket);
	struct err why = {0};
	int done;

	if (a == NULL)
		return false;
	if (p == NULL)
		return true;
	done = advance(t, p, a, &why);
	if (done < 0 && t->failed.kind == ERR_NONE)
		t->failed = why;
	t->proven = t->proven || done == 1;
	if (done != 0)
		release(p);
	return true;
}

static int
report_failure(struct s3_transport *t, struct err *e)
{
	struct err was = t->failed;

	if (was.kind == ERR_NONE)
		return 0;
	t->failed = (struct err){0};
	return err_set(e, was.kind, "%s", was.text);
}

/* Room for another; NULL: wait, all that may be are under way. */
static struct s3_put *
find_room(struct s3_transport *t)
{
	struct s3_put *room = NULL;
	bool any = false;

	for (size_t i = 0; i < HTTP_IN_FLIGHT; i++) {
		if (t->puts[i].step != S3_FREE)
			any = true;
		else if (room == NULL)
			room = &t->puts[i];
	}
	return !any || t->proven ? room : NULL;
}

int
s3_put(struct transport *base, int fd, uint64_t len, const char *name,
    struct err *e)
{
	struct s3_transport *t = s3_from_base(base);
	struct s3_put *p;

	while (take_answer(t, false))
		continue;
	while (t->failed.kind == ERR_NONE && find_room(t) == NULL &&
	       take_answer(t, true))
		continue;
	if (report_failure(t, e) < 0)
		return -1;
	if (t->conditional == S3_CONDITIONAL_AUTO && find_out(t, name, e) < 0)
		return -1;
	p = find_room(t);
	assert(p != NULL && http_has_room(t->http));
	p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (p->fd < 0)
		return err_sys(e, "duplicate a descriptor");
	p->len = len;
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	if (begin(t, p,
		t->conditional == S3_CONDITIONAL_YES ? S3_PUTTING : S3_LOOKING,
		e) < 0) {
		release(p);
		return -1;
	}
	return 1;
}

int
s3_drain(struct transport *base, struct err *e)
{
	struct s3_transport *t = s3_from_base(base);

	while (take_answer(t, true))
		continue;
	s3_put_abandon(t); /* there is none: nothing was in flight */
	return report_failure(t, e);
}
