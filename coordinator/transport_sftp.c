/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_sftp: sftp://USER@HOST:PORT/DIR through a few worker processes,
 * each with a connection of its own (sftp_worker.h). A put is handed to a
 * worker that is idle and returns; the receiver waits for the next expected
 * name, so that the order in which files arrive does not matter. A second
 * connection is made only once the first has worked and is busy. A worker
 * that has not answered in time is killed and another begins.
 */
#include "coordinator/transport.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/pulse.h"
#include "coordinator/sftp_worker.h"
#include "coordinator/ssh_key.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WORKERS SFTP_AT_ONCE
#define BEAT_MS 500
#define NS_PER_MS UINT64_C(1000000)

struct connection {
	struct transfer process;
	bool busy, proven;
	uint64_t until_ns; /* monotonic, while busy */
	uint32_t limit_ms;
	struct transport_file *file; /* that it fetches, while busy */
};

struct sftp_transport {
	struct transport base;
	struct sftp_setup setup;
	struct connection connections[WORKERS];
	struct err failed; /* of a put that was handed over; kind 0: none */
	/* the last answer of a get */
	struct sftp_answer answer;
};

static struct sftp_transport *
from_base(struct transport *t)
{
	return (struct sftp_transport *)(void *)t;
}

static const char *
key_of(const struct destination_config *d, bool for_acks)
{
	return for_acks && d->ack_key_file[0] != '\0' ? d->ack_key_file
						      : d->key_file;
}

static int
sftp_check(const struct destination_config *d, bool for_acks, struct err *e)
{
	const char *url = transport_url(d, for_acks),
		   *key = key_of(d, for_acks);
	struct sftp_url u;

	if (sftp_url_parse(url, &u, e) < 0)
		return -1;
	if (d->known_hosts[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "%s needs --known-hosts FILE: without the server's key "
		    "anybody could pose as it",
		    url);
	if (key[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "%s needs --key FILE, an Ed25519 or ECDSA key", url);
	if (ssh_key_check(key, e) < 0)
		return -1;
	return ssh_known_host(d->known_hosts, u.host, u.port, NULL, e);
}

static int
sftp_open(const struct destination_config *d, bool for_acks,
    struct transport **out, struct err *e)
{
	AUTO_FREE struct sftp_transport *t = calloc(1, sizeof(*t));
	struct sftp_setup *s;
	int i;

	if (t == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	s = &t->setup;
	t->base.ops = &transport_sftp_ops;
	for (i = 0; i < WORKERS; i++)
		t->connections[i].process = TRANSFER_NONE;
	if (sftp_url_parse(transport_url(d, for_acks), &s->url, e) < 0)
		return -1;
	(void)snprintf(
	    s->url_text, sizeof(s->url_text), "%s", transport_url(d, for_acks));
	(void)snprintf(
	    s->key_file, sizeof(s->key_file), "%s", key_of(d, for_acks));
	(void)snprintf(
	    s->known_hosts, sizeof(s->known_hosts), "%s", d->known_hosts);
	*out = &STEAL(t)->base;
	return 0;
}

/* ---- processes ---- */

static void
stop(struct connection *c)
{
	transfer_stop(&c->process);
	*c = (struct connection){.process = TRANSFER_NONE};
}

static int
start(struct sftp_transport *t, struct connection *c, struct err *e)
{
	return transfer_start(
	    &c->process, "aim-sftp", sftp_worker_run, &t->setup, e);
}

static int
hand_over(
    struct connection *c, const struct sftp_ask *ask, int fd, struct err *e)
{
	if (transfer_send(c->process.sock, ask, sizeof(*ask), fd, e) < 0) {
		stop(c);
		return -1;
	}
	c->busy = true;
	c->limit_ms = transfer_limit_ms(ask->len, SFTP_AT_ONCE);
	c->until_ns = clock_mono_ns() + c->limit_ms * NS_PER_MS;
	return 0;
}

static void
keep_failure(struct sftp_transport *t, enum err_kind kind, const char *text)
{
	if (t->failed.kind == ERR_NONE)
		(void)err_set(&t->failed, kind == ERR_NONE ? ERR_RETRY : kind,
		    "%s", text);
}

/* Takes the answer of a worker that is ready to be read, or has ended. */
static void
take_answer(struct sftp_transport *t, struct connection *c)
{
	struct sftp_answer *a = &t->answer;
	size_t n = transfer_receive(c->process.sock, a, sizeof(*a), NULL);

	if (n < SFTP_ANSWER_HEAD || a->len != n - SFTP_ANSWER_HEAD) {
		*a = (struct sftp_answer){.result = -1, .kind = ERR_RETRY};
		(void)snprintf(a->text, sizeof(a->text),
		    "the process of a transfer has died");
		stop(c);
		return;
	}
	a->text[sizeof(a->text) - 1] = '\0';
	c->busy = false;
	c->proven = a->result >= 0;
}

static void
give_up(struct sftp_transport *t, struct connection *c)
{
	struct sftp_answer *a = &t->answer;

	*a = (struct sftp_answer){.result = -1, .kind = ERR_RETRY};
	(void)snprintf(a->text, sizeof(a->text),
	    "%.200s: nothing moved for %u s: the connection was given up",
	    t->setup.url_text, c->limit_ms / 1000);
	stop(c);
}

/* The busy worker whose time is over first; NULL: none is busy. */
static struct connection *
most_urgent(struct sftp_transport *t)
{
	struct connection *c, *first = NULL;

	for (c = t->connections; c < t->connections + WORKERS; c++)
		if (c->busy && (first == NULL || c->until_ns < first->until_ns))
			first = c;
	return first;
}

/* A busy worker that has answered or ended, waiting for it; NULL: none. */
static struct connection *
find_ready(struct sftp_transport *t, int wait_ms)
{
	struct connection *of[WORKERS], *c;
	struct pollfd p[WORKERS];
	int i, n = 0;

	for (c = t->connections; c < t->connections + WORKERS; c++) {
		if (!c->busy)
			continue;
		of[n] = c;
		p[n++] =
		    (struct pollfd){.fd = c->process.sock, .events = POLLIN};
	}
	if (poll(p, (nfds_t)n, wait_ms) <= 0)
		return NULL;
	for (i = 0; i < n; i++)
		if (p[i].revents != 0)
			return of[i];
	return NULL;
}

static void
get_answer(struct sftp_transport *t, struct connection *c, bool answered)
{
	struct transport_file *f = c->file;
	struct err why = {0};

	c->file = NULL;
	if (answered)
		take_answer(t, c);
	else
		give_up(t, c);
	if (f == NULL)
		return;
	if (t->answer.result < 0)
		(void)err_set(&why,
		    t->answer.kind == ERR_NONE ? ERR_RETRY : t->answer.kind,
		    "%s", t->answer.text);
	transport_file_done(f, t->answer.result, t->answer.got, &why);
}

/*
 * Takes the answer of one busy worker into t->answer; one whose time is over
 * is stopped, and that is its answer. False when none is busy or, without
 * `block`, when none has answered yet.
 */
static bool
wait_one(struct sftp_transport *t, bool block)
{
	struct connection *urgent, *ready;
	uint64_t now;
	int wait_ms;

	while ((urgent = most_urgent(t)) != NULL) {
		now = clock_mono_ns();
		wait_ms = urgent->until_ns <= now
			      ? 0
			      : (int)((urgent->until_ns - now) / NS_PER_MS) + 1;
		/* It has its own limit; ours is not to end before it. */
		pulse_beat();
		wait_ms = wait_ms < BEAT_MS ? wait_ms : BEAT_MS;
		ready = find_ready(t, block ? wait_ms : 0);
		if (ready != NULL) {
			get_answer(t, ready, true);
			return true;
		}
		if (urgent->until_ns <= clock_mono_ns()) {
			get_answer(t, urgent, false);
			return true;
		}
		if (!block)
			return false;
	}
	return false;
}

/* Puts away what has come in meanwhile. */
static void
note_answer(struct sftp_transport *t)
{
	if (t->answer.result < 0)
		keep_failure(t, t->answer.kind, t->answer.text);
}

static int
report_failure(struct sftp_transport *t, struct err *e)
{
	struct err was = t->failed;

	if (was.kind == ERR_NONE)
		return 0;
	t->failed = (struct err){0};
	return err_set(e, was.kind, "%s", was.text);
}

/* A worker that can take a transfer now; NULL: wait, all that may be are
 * busy. *fresh says that it must be started. */
static struct connection *
choose(struct sftp_transport *t, bool *fresh)
{
	struct connection *none = NULL;
	bool any = false, proven = false;
	int i;

	for (i = 0; i < WORKERS; i++) {
		struct connection *c = &t->connections[i];

		*fresh = false;
		if (c->process.pid > 0 && !c->busy)
			return c;
		any = any || c->busy;
		proven = proven || c->proven;
		if (c->process.pid == 0 && none == NULL)
			none = c;
	}
	*fresh = true;
	return !any || proven ? none : NULL;
}

static int
sftp_put(struct transport *base, int fd, uint64_t len, const char *name,
    struct err *e)
{
	struct sftp_transport *t = from_base(base);
	struct sftp_ask ask = {.op = SFTP_PUT, .len = len};
	struct connection *c = NULL;
	bool fresh = false;

	while (wait_one(t, false))
		note_answer(t);
	while (t->failed.kind == ERR_NONE && (c = choose(t, &fresh)) == NULL)
		if (wait_one(t, true))
			note_answer(t);
	if (report_failure(t, e) < 0)
		return -1;
	assert(c != NULL);
	(void)snprintf(ask.name, sizeof(ask.name), "%s", name);
	if ((fresh && start(t, c, e) < 0) || hand_over(c, &ask, fd, e) < 0)
		return -1;
	return 1;
}

static int
sftp_drain(struct transport *base, struct err *e)
{
	struct sftp_transport *t = from_base(base);

	while (wait_one(t, true))
		note_answer(t);
	return report_failure(t, e);
}

/* One ask and its answer, when nothing else is under way. */
static int
ask_alone(struct sftp_transport *t, struct sftp_ask *ask, const char *name,
    int fd, struct err *e)
{
	struct connection *c;
	bool fresh;

	if (sftp_drain(&t->base, e) < 0)
		return -1;
	c = choose(t, &fresh);
	assert(c != NULL); /* none is busy now */
	(void)snprintf(ask->name, sizeof(ask->name), "%s", name);
	if ((fresh && start(t, c, e) < 0) || hand_over(c, ask, fd, e) < 0)
		return -1;
	while (!wait_one(t, true))
		continue;
	if (t->answer.result < 0)
		return err_set(e, t->answer.kind, "%s", t->answer.text);
	return t->answer.result;
}

static int
sftp_get(struct transport *base, const char *name, size_t max, struct buf *out,
    struct err *e)
{
	struct sftp_transport *t = from_base(base);
	struct sftp_ask ask = {.op = SFTP_GET, .len = max};
	AUTO(buf_release) struct buf got = {0};
	int found = ask_alone(t, &ask, name, -1, e);

	if (found <= 0)
		return found;
	if (buf_add(&got, t->answer.data, t->answer.len, e) < 0)
		return -1;
	buf_swap(out, &got);
	return 1;
}

static int
sftp_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e)
{
	struct sftp_ask ask = {.op = SFTP_REPLACE, .len = len};
	AUTO_CLOSE int fd = memfd_create("small file", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(e, "make a file in memory");
	if (io_write_at(fd, bytes, len, 0, e) < 0)
		return -1;
	return ask_alone(from_base(base), &ask, name, fd, e) < 0 ? -1 : 0;
}

static int
sftp_remove(struct transport *base, const char *name, struct err *e)
{
	struct sftp_ask ask = {.op = SFTP_REMOVE};

	return ask_alone(from_base(base), &ask, name, -1, e);
}

static int
sftp_has(struct transport *base, const char *name, struct err *e)
{
	struct sftp_ask ask = {.op = SFTP_HAS, .len = 1};

	return ask_alone(from_base(base), &ask, name, -1, e);
}

static int
sftp_make_folder(struct transport *base, const char *name, struct err *e)
{
	struct sftp_ask ask = {.op = SFTP_MAKE_FOLDER};

	return ask_alone(from_base(base), &ask, name, -1, e);
}

static int
begin_fetch(struct sftp_transport *t, struct connection *c, bool fresh,
    struct transport_file *f, struct err *e)
{
	struct sftp_ask ask = {.op = SFTP_FETCH, .len = f->max};

	(void)snprintf(ask.name, sizeof(ask.name), "%s", f->name);
	if ((fresh && start(t, c, e) < 0) || hand_over(c, &ask, f->fd, e) < 0)
		return -1;
	c->file = f;
	return 0;
}

/* Hands over one after the other; the first failure ends it for those that
 * were not begun. (One that is too large says nothing of the others.) */
static void
sftp_fetch(struct transport *base, struct transport_file *files, size_t count)
{
	struct sftp_transport *t = from_base(base);
	struct err why = {0};
	struct connection *c;
	bool fresh = false;
	size_t i;

	while (wait_one(t, true))
		note_answer(t);
	for (i = 0; i < count && why.kind == ERR_NONE; i++) {
		while ((c = choose(t, &fresh)) == NULL)
			if (wait_one(t, true) && t->answer.result < 0 &&
			    t->answer.kind != ERR_CORRUPT)
				(void)err_set(
				    &why, t->answer.kind, "%s", t->answer.text);
		if (why.kind != ERR_NONE ||
		    begin_fetch(t, c, fresh, &files[i], &why) < 0)
			break;
	}
	for (; i < count; i++)
		transport_file_done(&files[i], -1, 0, &why);
	while (wait_one(t, true))
		continue;
}

static void
sftp_close(struct transport *base)
{
	struct sftp_transport *t = from_base(base);
	int i;

	for (i = 0; i < WORKERS; i++)
		stop(&t->connections[i]);
	free(t);
}

const struct transport_ops transport_sftp_ops = {
    .scheme = "sftp",
    .check = sftp_check,
    .open = sftp_open,
    .put = sftp_put,
    .drain = sftp_drain,
    .get = sftp_get,
    .close = sftp_close,
    .fetch = sftp_fetch,
    .replace = sftp_replace,
    .remove = sftp_remove,
    .has = sftp_has,
    .make_folder = sftp_make_folder,
};
