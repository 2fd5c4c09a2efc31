/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message: the encoding of a pair is: length of the key (4 bytes), length of
 * the value (4 bytes), both little-endian; key, NUL, value, NUL. What comes
 * from a socket is checked once, whole, before anything is looked up in it.
 */
#include "coordinator/message.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FRAME_MAGIC 0x514d4941u /* "AIMQ" */
#define KEY_LIMIT 64u

static void
put32(uint8_t *p, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(n >> (8 * i));
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

void
message_release(struct message *m)
{
	buf_release(&m->bytes);
}

int
message_add(struct message *m, const char *key, const void *value, size_t len,
    struct err *e)
{
	size_t key_len = strlen(key);
	uint8_t head[8];

	if (key_len >= KEY_LIMIT || len > MESSAGE_LIMIT ||
	    m->bytes.len + len + key_len + 10 > MESSAGE_LIMIT)
		return err_set(
		    e, ERR_REFUSED, "the request is too long (at %s)", key);
	put32(head, (uint32_t)key_len);
	put32(head + 4, (uint32_t)len);
	if (buf_room(&m->bytes, len + key_len + 10, e) < 0 ||
	    buf_add(&m->bytes, head, sizeof(head), e) < 0 ||
	    buf_add(&m->bytes, key, key_len + 1, e) < 0 ||
	    (len > 0 && buf_add(&m->bytes, value, len, e) < 0) ||
	    buf_add(&m->bytes, "", 1, e) < 0)
		return -1;
	return 0;
}

int
message_add_text(
    struct message *m, const char *key, const char *value, struct err *e)
{
	return message_add(m, key, value, strlen(value), e);
}

/* The pair at `at`: false when what is there is no whole pair. */
static bool
pair_at(const struct message *m, size_t at, struct message_pair *p)
{
	const uint8_t *b = m->bytes.data;
	size_t left = m->bytes.len - at, key_len, len;

	if (left < 10)
		return false;
	key_len = get32(b + at);
	len = get32(b + at + 4);
	if (key_len == 0 || key_len >= KEY_LIMIT || len > MESSAGE_LIMIT ||
	    key_len + len + 10 > left)
		return false;
	p->key = (const char *)b + at + 8;
	p->value = p->key + key_len + 1;
	p->len = len;
	p->next = at + key_len + len + 10;
	return p->key[key_len] == 0 && p->value[len] == 0 &&
	       strlen(p->key) == key_len;
}

bool
message_next(const struct message *m, struct message_pair *p)
{
	if (p->next >= m->bytes.len)
		return false;
	return pair_at(m, p->next, p);
}

const char *
message_get(const struct message *m, const char *key, size_t *len)
{
	struct message_pair p = {0};

	while (message_next(m, &p)) {
		if (strcmp(p.key, key) != 0)
			continue;
		if (len != NULL)
			*len = p.len;
		return p.value;
	}
	return NULL;
}

static int
await(int socket, short events, uint32_t wait_ms, struct err *e)
{
	struct pollfd p = {.fd = socket, .events = events};
	int n;

	do
		n = poll(&p, 1, (int)wait_ms);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, "poll");
	if (n == 0)
		return err_set(e, ERR_RETRY, "no answer within %u ms", wait_ms);
	return 0;
}

static int
send_all(int socket, const uint8_t *from, size_t len, uint32_t wait_ms,
    struct err *e)
{
	while (len > 0) {
		ssize_t n =
		    send(socket, from, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (await(socket, POLLOUT, wait_ms, e) < 0)
				return -1;
			continue;
		}
		if (n < 0)
			return err_sys(e, "send");
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
receive_all(
    int socket, uint8_t *to, size_t len, uint32_t wait_ms, struct err *e)
{
	while (len > 0) {
		ssize_t n = recv(socket, to, len, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (await(socket, POLLIN, wait_ms, e) < 0)
				return -1;
			continue;
		}
		if (n < 0)
			return err_sys(e, "receive");
		if (n == 0)
			return err_set(e, ERR_RETRY,
			    "the other side has closed the connection");
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

int
message_send(
    int socket, const struct message *m, uint32_t wait_ms, struct err *e)
{
	uint8_t head[8];

	put32(head, FRAME_MAGIC);
	put32(head + 4, (uint32_t)m->bytes.len);
	if (send_all(socket, head, sizeof(head), wait_ms, e) < 0)
		return -1;
	return send_all(socket, m->bytes.data, m->bytes.len, wait_ms, e);
}

int
message_receive(
    int socket, struct message *out, uint32_t wait_ms, struct err *e)
{
	__attribute__((cleanup(message_release))) struct message m = {0};
	struct message_pair p = {0};
	uint8_t head[8];
	size_t len;

	if (receive_all(socket, head, sizeof(head), wait_ms, e) < 0)
		return -1;
	len = get32(head + 4);
	if (get32(head) != FRAME_MAGIC || len > MESSAGE_LIMIT)
		return err_set(e, ERR_CORRUPT, "not a request of this release");
	if (buf_room(&m.bytes, len + 1, e) < 0 ||
	    receive_all(socket, m.bytes.data, len, wait_ms, e) < 0)
		return -1;
	m.bytes.len = len;
	while (message_next(&m, &p))
		continue;
	if (p.next != len)
		return err_set(e, ERR_CORRUPT, "a damaged request");
	buf_swap(&out->bytes, &m.bytes);
	return 0;
}
