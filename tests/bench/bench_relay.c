/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_relay: a long, thick link for a server on the loopback interface.
 *
 *   bench_relay TO-PORT DELAY-MS MBIT
 *
 * Listens on a free port of 127.0.0.1, which it prints, and passes each
 * connection on to TO-PORT. Every byte arrives DELAY-MS after it could leave,
 * which is when all bytes before it, of whatever connection, have left in the
 * same direction at MBIT. A connection has at most WINDOW bytes under way in a
 * direction, as a TCP whose window has grown. Runs until it is killed.
 */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW (4u << 20)
#define CHUNK (64u << 10)
#define ENDS_MAX 512u

struct chunk {
	struct chunk *next;
	uint64_t due; /* ns */
	uint32_t len, sent;
	uint8_t bytes[CHUNK];
};

/* One end of a connection: its socket, and what is on the way to it. */
struct end {
	struct end *other;
	struct chunk *first, **last;
	uint64_t queued;   /* bytes */
	uint32_t interest; /* what epoll waits for */
	int fd;		   /* -1: unused */
	unsigned way;	   /* direction of what comes from it: 0 or 1 */
	bool deaf;	   /* nothing more comes from it */
	bool told;	   /* SHUT_WR was done on it */
};

static struct end ends[ENDS_MAX];
static uint64_t delay, picoseconds_per_byte, link_free[2];
static int epoll_fd = -1, listener = -1;

static uint64_t
leaves(unsigned way, uint32_t len)
{
	uint64_t now = clock_mono_ns();

	if (link_free[way] < now)
		link_free[way] = now;
	link_free[way] += len * picoseconds_per_byte / 1000;
	return link_free[way] + delay;
}

static void
end_forget(struct end *p)
{
	struct chunk *c;

	while ((c = p->first) != NULL) {
		p->first = c->next;
		free(c);
	}
	(void)close(p->fd);
	p->fd = -1;
}

static void
drop(struct end *p)
{
	struct end *other = p->other;

	end_forget(p);
	end_forget(other);
}

/* Takes what there is from p's socket; false: the connection is over. */
static bool
take(struct end *p)
{
	struct end *to = p->other;
	struct chunk *c;
	ssize_t n;

	while (!p->deaf && to->queued < WINDOW) {
		c = malloc(sizeof(*c));
		if (c == NULL)
			return false;
		n = recv(p->fd, c->bytes, sizeof(c->bytes), MSG_DONTWAIT);
		if (n <= 0) {
			free(c);
			if (n < 0)
				return errno == EAGAIN || errno == EINTR;
			p->deaf = true;
			break;
		}
		c->next = NULL;
		c->len = (uint32_t)n;
		c->sent = 0;
		c->due = leaves(p->way, c->len);
		*to->last = c;
		to->last = &c->next;
		to->queued += c->len;
	}
	return true;
}

/* Sends what is due to p; 1 its socket is full, 0 not, -1 over. */
static int
give(struct end *p, uint64_t now)
{
	struct chunk *c;
	ssize_t n;

	while ((c = p->first) != NULL && c->due <= now) {
		n = send(p->fd, c->bytes + c->sent, c->len - c->sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 1 : -1;
		c->sent += (uint32_t)n;
		p->queued -= (uint64_t)n;
		if (c->sent < c->len)
			return 1;
		p->first = c->next;
		if (p->first == NULL)
			p->last = &p->first;
		free(c);
	}
	if (p->first == NULL && p->other->deaf && !p->told) {
		p->told = true;
		(void)shutdown(p->fd, SHUT_WR);
	}
	return 0;
}

static bool
want(struct end *p, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = p};

	if (p->interest == events)
		return true;
	p->interest = events;
	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &ev) == 0;
}

/* Moves what can be moved. */
static void
serve(struct end *p)
{
	int full;

	if (!take(p) || (full = give(p, clock_mono_ns())) < 0 ||
	    (p->told && p->other->told) ||
	    !want(p, (p->deaf || p->other->queued >= WINDOW ? 0 : EPOLLIN) |
			 (full != 0 ? EPOLLOUT : 0)))
		drop(p);
}

/* How long until something is due, in ns; UINT64_MAX: nothing is on its way. */
static uint64_t
rest(void)
{
	uint64_t now = clock_mono_ns(), next = UINT64_MAX;
	struct end *p;

	for (p = ends; p < ends + ENDS_MAX; p++)
		if (p->fd >= 0 && p->first != NULL &&
		    (p->interest & EPOLLOUT) == 0 && p->first->due < next)
			next = p->first->due;
	if (next == UINT64_MAX)
		return next;
	return next <= now ? 0 : next - now;
}

static struct end *
end_new(int fd)
{
	static const int on = 1;
	struct epoll_event ev = {.events = EPOLLIN};
	struct end *p = ends;

	while (p < ends + ENDS_MAX && p->fd >= 0)
		p++;
	if (p == ends + ENDS_MAX)
		return NULL;
	*p = (struct end){.fd = fd, .last = &p->first, .interest = EPOLLIN};
	ev.data.ptr = p;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0)
		return p;
	p->fd = -1;
	return NULL;
}

static void
connection(const struct sockaddr_in *to)
{
	AUTO_CLOSE int in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	AUTO_CLOSE int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct end *client, *server;

	if (in < 0 || out < 0 ||
	    connect(out, (const struct sockaddr *)to, sizeof(*to)) != 0)
		return;
	client = end_new(in);
	server = client == NULL ? NULL : end_new(out);
	if (server == NULL) {
		if (client != NULL)
			client->fd = -1;
		return;
	}
	client->other = server;
	server->other = client;
	server->way = 1;
	in = out = -1;
}

static int
listen_anywhere(struct err *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct epoll_event ev = {.events = EPOLLIN};
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (epoll_fd < 0 || listener < 0 ||
	    bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(listener, 128) != 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) != 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev) != 0)
		return err_sys(e, "listen");
	(void)printf("%u\n", ntohs(a.sin_port));
	return fflush(stdout) == 0 ? 0 : err_sys(e, "standard output");
}

static int
run(const struct sockaddr_in *to, struct err *e)
{
	struct epoll_event evs[64];
	struct timespec wait;
	struct end *p;
	uint64_t due;
	int n, i;

	for (;;) {
		for (p = ends; p < ends + ENDS_MAX; p++)
			if (p->fd >= 0)
				serve(p);
		due = rest();
		wait = (struct timespec){.tv_sec = (time_t)(due / 1000000000),
		    .tv_nsec = (long)(due % 1000000000)};
		n = epoll_pwait2(
		    epoll_fd, evs, 64, due == UINT64_MAX ? NULL : &wait, NULL);
		if (n < 0 && errno != EINTR)
			return err_sys(e, "wait");
		for (i = 0; i < n; i++)
			if (evs[i].data.ptr == NULL)
				connection(to);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct err e = {0};
	size_t i;

	if (argc != 4 || strtoul(argv[3], NULL, 10) == 0) {
		(void)fprintf(
		    stderr, "usage: bench_relay TO-PORT DELAY-MS MBIT\n");
		return 2;
	}
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	delay = strtoul(argv[2], NULL, 10) * UINT64_C(1000000);
	picoseconds_per_byte = 8000000 / strtoul(argv[3], NULL, 10);
	for (i = 0; i < ENDS_MAX; i++)
		ends[i].fd = -1;
	if (listen_anywhere(&e) != 0 || run(&to, &e) != 0)
		(void)fprintf(stderr, "bench_relay: %s\n", e.text);
	return 1;
}
