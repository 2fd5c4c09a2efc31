/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_sftp: a few worker processes, each with a connection of its own. The
 * version of the file is told by its time of change, in seconds. A worker that
 * has not answered in time is killed.
 */
#include "coordinator/remote.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "coordinator/sftp_worker.h"
#include "coordinator/transport.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

_Static_assert(SFTP_AT_ONCE <= REMOTE_SOCKETS, "sockets");

struct line {
	struct transfer process;
	uint32_t ticket; /* 0: idle */
	uint64_t until_ns;
	uint32_t limit_ms;
	bool look;
};

struct sftp_remote {
	struct remote base;
	struct sftp_setup setup;
	char name[TRANSPORT_NAME_LIMIT];
	bool proven;
	struct line lines[SFTP_AT_ONCE];
	struct sftp_answer answer;
};

static struct sftp_remote *
sftp_of(struct remote *r)
{
	return (struct sftp_remote *)(void *)r;
}

static const struct sftp_remote *
sftp_of_const(const struct remote *r)
{
	return (const struct sftp_remote *)(const void *)r;
}

static void
hang_up(struct line *l)
{
	transfer_stop(&l->process);
	*l = (struct line){.process = TRANSFER_NONE};
}

static void
sftp_remote_close(struct remote *r)
{
	struct sftp_remote *s = sftp_of(r);

	for (int i = 0; i < SFTP_AT_ONCE; i++)
		hang_up(&s->lines[i]);
	free(r);
}

static bool
sftp_remote_has_room(const struct remote *r)
{
	const struct sftp_remote *s = sftp_of_const(r);
	uint32_t busy = 0, i;

	for (i = 0; i < SFTP_AT_ONCE; i++)
		busy += s->lines[i].ticket != 0 ? 1 : 0;
	return busy < (s->proven ? SFTP_AT_ONCE : 1);
}

/* An idle one that is connected, if there is one. */
static struct line *
choose(struct sftp_remote *s)
{
	struct line *l, *best = NULL;

	for (l = s->lines; l < s->lines + SFTP_AT_ONCE; l++)
		if (l->ticket == 0 &&
		    (best == NULL ||
			(best->process.pid == 0 && l->process.pid > 0)))
			best = l;
	return best;
}

static int
begin(struct sftp_remote *s, struct sftp_ask *ask, int fd, uint32_t ticket,
    struct err *e)
{
	struct line *l = choose(s);

	if (l == NULL)
		return err_set(e, ERR_RETRY, "%s: all are busy", s->base.url);
	(void)snprintf(ask->name, sizeof(ask->name), "%s", s->name);
	if (l->process.pid == 0 && transfer_start(&l->process, "aim-sftp",
				       sftp_worker_run, &s->setup, e) < 0)
		return -1;
	if (transfer_send(l->process.sock, ask, sizeof(*ask), fd, e) < 0) {
		hang_up(l);
		return -1;
	}
	l->ticket = ticket;
	l->look = ask->op == SFTP_LOOK;
	l->limit_ms = transfer_limit_ms(ask->len, SFTP_AT_ONCE);
	l->until_ns = clock_mono_ns() + l->limit_ms * NS_PER_MS;
	return 0;
}

static int
sftp_remote_look(struct remote *r, uint32_t ticket, struct err *e)
{
	struct sftp_ask ask = {.op = SFTP_LOOK};

	return begin(sftp_of(r), &ask, -1, ticket, e);
}

static int
sftp_remote_read(struct remote *r, uint64_t off, uint32_t len, int fd,
    uint32_t ticket, struct err *e)
{
	struct sftp_ask ask = {.op = SFTP_READ, .off = off, .len = len};

	return begin(sftp_of(r), &ask, fd, ticket, e);
}

/* ---- answers ---- */

static void
settle(struct sftp_remote *s, bool look, struct remote_answer *out)
{
	struct sftp_answer *a = &s->answer;
	char tag[REMOTE_TAG] = "";

	a->text[sizeof(a->text) - 1] = '\0';
	if (a->time >= 0)
		(void)snprintf(tag, sizeof(tag), "%jd", (intmax_t)a->time);
	if (a->result == 1) {
		s->proven = true;
		remote_found(&s->base, look ? a->size : s->base.size, tag, out);
		return;
	}
	out->result = -1;
	if (a->result == 0)
		(void)err_set(
		    &out->why, ERR_RETRY, "%s is not there", s->base.url);
	else
		(void)err_set(&out->why,
		    a->kind == ERR_NONE ? ERR_RETRY : a->kind, "%s", a->text);
}

static void
take(struct sftp_remote *s, struct line *l, struct remote_answer *out)
{
	struct sftp_answer *a = &s->answer;
	size_t n = transfer_receive(l->process.sock, a, sizeof(*a), NULL);
	bool look = l->look;

	*out = (struct remote_answer){.ticket = l->ticket};
	if (n < SFTP_ANSWER_HEAD || a->len != n - SFTP_ANSWER_HEAD) {
		hang_up(l);
		out->result = -1;
		(void)err_set(&out->why, ERR_RETRY,
		    "%s: the process of a transfer has died", s->base.url);
		return;
	}
	l->ticket = 0;
	settle(s, look, out);
}

static void
give_up(struct sftp_remote *s, struct line *l, struct remote_answer *out)
{
	*out = (struct remote_answer){.ticket = l->ticket, .result = -1};
	(void)err_set(&out->why, ERR_RETRY,
	    "%s: nothing moved for %u s: the connection was given up",
	    s->base.url, l->limit_ms / 1000);
	hang_up(l);
}

static bool
sftp_remote_next(struct remote *r, struct remote_answer *out)
{
	struct sftp_remote *s = sftp_of(r);
	struct pollfd p = {.events = POLLIN};
	struct line *l;

	for (l = s->lines; l < s->lines + SFTP_AT_ONCE; l++) {
		if (l->ticket == 0)
			continue;
		p.fd = l->process.sock;
		if (poll(&p, 1, 0) > 0) {
			take(s, l, out);
			return true;
		}
		if (l->until_ns <= clock_mono_ns()) {
			give_up(s, l, out);
			return true;
		}
	}
	return false;
}

static uint32_t
sftp_remote_sockets(const struct remote *r, struct pollfd *out)
{
	const struct sftp_remote *s = sftp_of_const(r);
	const struct line *l;
	uint32_t n = 0;

	for (l = s->lines; l < s->lines + SFTP_AT_ONCE; l++)
		if (l->ticket != 0)
			out[n++] = (struct pollfd){
			    .fd = l->process.sock, .events = POLLIN};
	return n;
}

static const struct remote_ops sftp_ops = {
    .has_room = sftp_remote_has_room,
    .look = sftp_remote_look,
    .read = sftp_remote_read,
    .next = sftp_remote_next,
    .sockets = sftp_remote_sockets,
    .close = sftp_remote_close,
};

int
remote_sftp_open(const struct destination_config *d, const char *name,
    struct remote **out, struct err *e)
{
	AUTO_FREE struct sftp_remote *s = calloc(1, sizeof(*s));
	int i;

	if (s == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (transport_sftp_ops.check(d, false, e) < 0 ||
	    sftp_url_parse(d->url, &s->setup.url, e) < 0)
		return -1;
	(void)snprintf(
	    s->setup.url_text, sizeof(s->setup.url_text), "%s", d->url);
	(void)snprintf(
	    s->setup.key_file, sizeof(s->setup.key_file), "%s", d->key_file);
	(void)snprintf(s->setup.known_hosts, sizeof(s->setup.known_hosts), "%s",
	    d->known_hosts);
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	for (i = 0; i < SFTP_AT_ONCE; i++)
		s->lines[i].process = TRANSFER_NONE;
	s->base.ops = &sftp_ops;
	*out = &STEAL(s)->base;
	return 0;
}
