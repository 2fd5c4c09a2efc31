/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counter is reserved in blocks: state/<mirror>.counter says up to where
 * numbers may have been used, so one durable write serves a thousand
 * acknowledgements and none is ever used twice. Should that file be lost, the
 * last acknowledgement, which we signed ourselves, tells; should both be lost,
 * the clock does: a nanosecond each is more than they take.
 */
#include "coordinator/publish.h"

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/sys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTER_BLOCK 1000u
#define COUNTER_NAME 48

static void
counter_name(const struct publisher *p, char out[COUNTER_NAME])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, COUNTER_NAME, "%s.counter", uuid_text(&p->mirror, text));
}

/* 0 when there is no number to be had from there. */
static uint64_t
saved_counter(const struct publisher *p)
{
	AUTO(buf_release) struct buf b = {0};
	char name[COUNTER_NAME];
	uint64_t n = 0;

	counter_name(p, name);
	if (io_read_file(p->home->state, name, 64, &b, NULL) < 0 ||
	    buf_add(&b, "", 1, NULL) < 0 ||
	    sscanf((const char *)b.data, "%" SCNu64, &n) != 1)
		return 0;
	return n;
}

static uint64_t
published_counter(const struct publisher *p)
{
	AUTO(buf_release) struct buf b = {0};
	char name[ACK_NAME_LEN];
	struct ack a;
	bool valid = false;

	if (io_read_file(
		p->dir, ack_name(&p->mirror, name), ACK_LIMIT, &b, NULL) < 0 ||
	    ack_decode(b.data, b.len, &a, NULL) != VERDICT_WHOLE ||
	    ack_check(b.data, b.len, &p->home->key.pub, &valid, NULL) < 0 ||
	    !valid)
		return 0;
	return a.counter;
}

void
publisher_init(
    struct publisher *p, struct home *h, int dir, const struct uuid *mirror)
{
	uint64_t saved, published;

	memset(p, 0, sizeof(*p));
	p->home = h;
	p->dir = dir;
	p->mirror = *mirror;
	saved = saved_counter(p);
	published = published_counter(p);
	p->counter = saved > published ? saved : published;
	if (p->counter == 0)
		p->counter = clock_wall_ns();
	p->reserved = p->counter;
}

static int
next_counter(struct publisher *p, struct err *e)
{
	char name[COUNTER_NAME], text[32];
	int n;

	if (p->counter < p->reserved) {
		p->counter++;
		return 0;
	}
	counter_name(p, name);
	n = snprintf(
	    text, sizeof(text), "%" PRIu64 "\n", p->counter + COUNTER_BLOCK);
	if (io_write_file(p->home->state, name, text, (size_t)n, 0600, e) < 0)
		return -1;
	p->reserved = p->counter + COUNTER_BLOCK;
	p->counter++;
	return 0;
}

static bool
same_position(const struct position *a, const struct position *b)
{
	return position_compare(a, b) == 0 && a->last == b->last &&
	       memcmp(a->digest, b->digest, DIGEST_LEN) == 0;
}

static bool
same_done(const struct ack *a, const struct ack *b)
{
	uint32_t i;

	if (a->done_count != b->done_count)
		return false;
	for (i = 0; i < a->done_count; i++)
		if (!uuid_equal(&a->done[i], &b->done[i]))
			return false;
	return true;
}

bool
publisher_is_due(const struct publisher *p, const struct ack *a)
{
	const struct ack *b = &p->last;

	return p->last_ns == 0 ||
	       clock_mono_ns() - p->last_ns >= PUBLISH_HEARTBEAT_NS ||
	       a->state != b->state || a->consistent != b->consistent ||
	       !same_position(&a->stored, &b->stored) ||
	       !same_position(&a->applied, &b->applied) ||
	       strcmp(a->reason, b->reason) != 0 || !same_done(a, b);
}

/* Where a file cannot be replaced, it is deleted first. */
int
publish_file(struct home *h, int dir, const char *name, const uint8_t *bytes,
    size_t len, struct err *e)
{
	if (io_write_file(dir, name, bytes, len, 0644, e) == 0)
		return 0;
	if (e != NULL && e->sys != EEXIST && e->sys != EPERM &&
	    e->sys != EISDIR)
		return -1;
	if (e != NULL && e->sys == EISDIR) {
		if (home_quarantine(h, dir, name,
			"a folder in the place of the acknowledgement", e) < 0)
			return -1;
	} else if (sys_unlink(dir, name) < 0 && errno != ENOENT) {
		return err_sys(e, "remove the old %s", name);
	}
	return io_write_file(dir, name, bytes, len, 0644, e);
}

int
publish_bytes(struct home *h, int dir, const struct uuid *mirror,
    const uint8_t *bytes, size_t len, struct err *e)
{
	char name[ACK_NAME_LEN];

	return publish_file(h, dir, ack_name(mirror, name), bytes, len, e);
}

int
publisher_put(struct publisher *p, const struct ack *a, struct err *e)
{
	struct ack out = *a;
	uint8_t bytes[ACK_LIMIT];
	char name[ACK_NAME_LEN];
	size_t len;

	if (next_counter(p, e) < 0)
		return err_at(e, "number the acknowledgement");
	out.counter = p->counter;
	out.time_ns = clock_wall_ns();
	if (sign_key_id(&p->home->key.pub, out.key_id, e) < 0 ||
	    ack_encode(&out, &p->home->key, bytes, &len, e) < 0 ||
	    publish_file(
		p->home, p->dir, ack_name(&p->mirror, name), bytes, len, e) < 0)
		return err_at(e, "publish the acknowledgement");
	p->last = out;
	p->last_ns = clock_mono_ns();
	return 0;
}
