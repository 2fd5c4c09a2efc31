/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/http.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/pulse.h"
#include "coordinator/http_worker.h"
#include "coordinator/transfer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_MS 500
#define NS_PER_MS UINT64_C(1000000)

struct pending {
	bool used;
	uint32_t ticket, limit_ms;
	uint64_t until_ns; /* monotonic */
};

struct http {
	struct http_setup setup;
	struct transfer process;
	struct pending pending[HTTP_IN_FLIGHT];
	uint32_t last_ticket;
	struct err ended; /* why the process is gone while some are pending */
	struct http_answer answer;
};

int
http_open(const struct http_setup *s, struct http **out, struct err *e)
{
	struct http *h;

	if (http_check(s, e) < 0)
		return -1;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	h->setup = *s;
	h->process = TRANSFER_NONE;
	*out = h;
	return 0;
}

void
http_close(struct http *h)
{
	if (h == NULL)
		return;
	transfer_stop(&h->process);
	free(h);
}

uint32_t
http_in_flight(const struct http *h)
{
	uint32_t i, n = 0;

	for (i = 0; i < HTTP_IN_FLIGHT; i++)
		n += h->pending[i].used ? 1 : 0;
	return n;
}

int
http_socket(const struct http *h)
{
	return h->process.sock;
}

bool
http_has_room(const struct http *h)
{
	return http_in_flight(h) < HTTP_IN_FLIGHT;
}

static struct pending *
find_pending(struct http *h, uint32_t ticket)
{
	uint32_t i;

	for (i = 0; i < HTTP_IN_FLIGHT; i++)
		if (h->pending[i].used && h->pending[i].ticket == ticket)
			return &h->pending[i];
	return NULL;
}

static struct pending *
free_pending(struct http *h)
{
	uint32_t i;

	for (i = 0; i < HTTP_IN_FLIGHT; i++)
		if (!h->pending[i].used)
			return &h->pending[i];
	return NULL;
}

/* The one whose time is over first; NULL: none. */
static struct pending *
most_urgent(struct http *h)
{
	struct pending *p, *first = NULL;

	for (p = h->pending; p < h->pending + HTTP_IN_FLIGHT; p++)
		if (p->used && (first == NULL || p->until_ns < first->until_ns))
			first = p;
	return first;
}

/* What is sent at the same time shares the way, and a slow one is to bring all
 * of it in time. `max_file` is far more than what comes. */
uint32_t
http_limit_ms(const struct http_request *r)
{
	return r->len > 0 ? transfer_limit_ms(r->len, HTTP_IN_FLIGHT)
			  : transfer_limit_ms(r->max_file, 1);
}

static int
be_running(struct http *h, struct err *e)
{
	if (h->process.pid > 0)
		return 0;
	h->ended = (struct err){0};
	return transfer_start(
	    &h->process, "aim-http", http_worker_run, &h->setup, e);
}

/* What is in flight is answered by a failure, one after the other. */
static void
end_process(struct http *h, const char *why)
{
	transfer_stop(&h->process);
	(void)err_set(&h->ended, ERR_RETRY, "%.200s: %s", h->setup.url, why);
}

int
http_begin(struct http *h, const struct http_request *r, int fd,
    uint32_t *ticket, struct err *e)
{
	struct pending *p = free_pending(h);
	struct http_request copy = *r;

	assert(p != NULL && copy.max <= HTTP_BODY_LIMIT);
	if (h->ended.kind != ERR_NONE && http_in_flight(h) > 0)
		return err_set(e, h->ended.kind, "%s", h->ended.text);
	if (be_running(h, e) < 0)
		return -1;
	copy.ticket = ++h->last_ticket;
	if (transfer_send(h->process.sock, &copy, sizeof(copy), fd, e) < 0) {
		end_process(h, "the process of a transfer does not listen");
		return -1;
	}
	p->used = true;
	p->ticket = copy.ticket;
	p->limit_ms = http_limit_ms(&copy);
	p->until_ns = clock_mono_ns() + p->limit_ms * NS_PER_MS;
	if (ticket != NULL)
		*ticket = copy.ticket;
	return 0;
}

static const struct http_answer *
failed(struct http *h, struct pending *p)
{
	struct http_answer *a = &h->answer;

	memset(a, 0, HTTP_ANSWER_HEAD);
	a->ticket = p->ticket;
	a->kind = h->ended.kind;
	(void)snprintf(a->text, sizeof(a->text), "%.*s",
	    (int)sizeof(a->text) - 1, h->ended.text);
	a->body[0] = '\0';
	p->used = false;
	return a;
}

/* Takes what the process has said; NULL when it has died instead. */
static const struct http_answer *
take(struct http *h)
{
	struct http_answer *a = &h->answer;
	size_t n = transfer_receive(h->process.sock, a, sizeof(*a), NULL);
	struct pending *p = NULL;

	if (n >= HTTP_ANSWER_HEAD && a->body_len == n - HTTP_ANSWER_HEAD &&
	    a->body_len <= HTTP_BODY_LIMIT)
		p = find_pending(h, a->ticket);
	if (p == NULL) {
		end_process(h, "the process of a transfer has died");
		return NULL;
	}
	a->text[sizeof(a->text) - 1] = '\0';
	a->headers[sizeof(a->headers) - 1] = '\0';
	a->body[a->body_len] = '\0';
	p->used = false;
	return a;
}

/* Is something there to be read, after at most so long? */
static bool
is_ready(struct http *h, uint64_t wait_ms)
{
	struct pollfd p = {.fd = h->process.sock, .events = POLLIN};
	int most = wait_ms < BEAT_MS ? (int)wait_ms : BEAT_MS;

	pulse_beat();
	return poll(&p, 1, most) > 0;
}

const struct http_answer *
http_next(struct http *h, bool block)
{
	const struct http_answer *a;
	struct pending *urgent;
	char why[100];
	uint64_t now;

	while ((urgent = most_urgent(h)) != NULL) {
		if (h->process.pid == 0)
			return failed(h, urgent);
		now = clock_mono_ns();
		if (is_ready(
			h, !block || urgent->until_ns <= now
			       ? 0
			       : (urgent->until_ns - now) / NS_PER_MS + 1)) {
			a = take(h);
			if (a != NULL)
				return a;
		} else if (urgent->until_ns <= clock_mono_ns()) {
			(void)snprintf(why, sizeof(why),
			    "nothing came for %u s: the connection was given "
			    "up",
			    urgent->limit_ms / 1000);
			end_process(h, why);
		} else if (!block) {
			return NULL;
		}
	}
	return NULL;
}

int
http_ask(struct http *h, const struct http_request *r, int fd,
    const struct http_answer **out, struct err *e)
{
	assert(http_in_flight(h) == 0);
	if (http_begin(h, r, fd, NULL, e) < 0)
		return -1;
	*out = http_next(h, true);
	return *out == NULL ? err_set(e, ERR_RETRY, "no answer") : 0;
}
