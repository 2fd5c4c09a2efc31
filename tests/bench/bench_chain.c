/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench_chain.h"

#include "aimdriver/writer.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/sys.h"
#include "fileformat/note.h"

#include <fcntl.h>
#include <string.h>

#define POOL_LEN (UINT64_C(4) << 20)

static void
cleanup_writer(struct writer **w)
{
	writer_close(*w);
}

/* xorshift64*: fast, and the same in every run. */
static uint64_t
draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/* Incompressible bytes; a payload is a window on them. */
static const uint8_t *
pool(void)
{
	static uint8_t bytes[POOL_LEN];
	static bool filled;
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15), i, word;

	if (filled)
		return bytes;
	for (i = 0; i < POOL_LEN; i += sizeof(word)) {
		word = draw(&seed);
		memcpy(bytes + i, &word, sizeof(word));
	}
	filled = true;
	return bytes;
}

const uint8_t *
bench_chain_payload(uint64_t off, uint32_t block)
{
	return pool() + off / 512 * 67 % (POOL_LEN - block);
}

int
bench_chain_init(struct bench_chain *c, const struct sign_secret *key,
    uint64_t size, struct err *e)
{
	*c = (struct bench_chain){.key = *key, .next = 1, .sequence = 1};
	c->random = UINT64_C(0x2545f4914f6cdd1d);
	c->volume.size = size;
	c->volume.kind = VOLUME_FILE;
	if (uuid_make(&c->stream, e) != 0 || uuid_make(&c->group, e) != 0 ||
	    uuid_make(&c->site, e) != 0 || uuid_make(&c->epoch, e) != 0 ||
	    uuid_make(&c->mirror, e) != 0)
		return -1;
	return uuid_make(&c->volume.uuid, e);
}

static struct journal_header
header_next(const struct bench_chain *c, uint32_t transactions)
{
	struct journal_header h = {.kind = JOURNAL_PLAIN};

	h.compat = JOURNAL_COMPAT_DENSE;
	h.stream = c->stream;
	h.group = c->group;
	h.site = c->site;
	h.epoch = c->epoch;
	h.epoch_number = 1;
	h.sequence = c->sequence;
	h.first = c->next;
	h.last = c->next + transactions - 1;
	h.first_time_ns = h.last_time_ns = clock_wall_ns();
	h.sealed_time_ns = h.first_time_ns;
	h.volume_count = 1;
	memcpy(h.prev_digest, c->prev, DIGEST_LEN);
	return h;
}

static int
file_make(const struct bench_chain *c, int dir, int *out, struct err *e)
{
	char name[JOURNAL_NAME_LEN];

	(void)journal_name(1, c->sequence, name);
	*out =
	    sys_openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return *out < 0 ? err_sys(e, "create %s", name) : 0;
}

/* Finishes the file and moves the chain on. */
static int
file_finish(struct bench_chain *c, struct writer *w, struct err *e)
{
	struct journal_header h;

	if (writer_finish(w, &h, e) != 0)
		return -1;
	memcpy(c->prev, h.content_digest, DIGEST_LEN);
	c->next = h.last + 1;
	c->sequence++;
	return 0;
}

int
bench_chain_base(struct bench_chain *c, int dir, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	AUTO(cleanup_writer) struct writer *w = NULL;
	struct copyin_note note = {.kind = COPYIN_BASE};
	uint8_t bytes[COPYIN_NOTE_LEN];
	struct writer_spec spec = {
	    .header = header_next(c, 2),
	    .volumes = &c->volume,
	    .targets = &c->mirror,
	    .iocb_count = 2,
	    .codec = CODEC_NONE,
	    .key = &c->key,
	};
	struct iocb b = {.origin = ORIGIN_NONE, .len = COPYIN_NOTE_LEN};

	spec.header.kind = JOURNAL_COPYIN_OPEN;
	spec.header.target_count = 1;
	spec.header.compat |= JOURNAL_COMPAT_EPOCH_OPEN;
	if (uuid_make(&note.id, e) != 0 || file_make(c, dir, &fd, e) != 0 ||
	    writer_open(fd, &spec, &w, e) != 0)
		return -1;
	b.time_ns = spec.header.first_time_ns;
	b.op = OP_COPYIN_BEGIN;
	b.number = c->next;
	copyin_note_encode(&note, bytes);
	if (writer_add(w, &b, bytes, e) != 0)
		return -1;
	b.op = OP_COPYIN_END;
	b.number = c->next + 1;
	note.begin = c->next;
	copyin_note_encode(&note, bytes);
	if (writer_add(w, &b, bytes, e) != 0)
		return -1;
	return file_finish(c, w, e);
}

int
bench_chain_add(struct bench_chain *c, int dir, uint32_t count, uint32_t block,
    uint64_t *offs, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	AUTO(cleanup_writer) struct writer *w = NULL;
	uint64_t places = c->volume.size / block;
	struct writer_spec spec = {
	    .header = header_next(c, count),
	    .volumes = &c->volume,
	    .iocb_count = count,
	    .codec = CODEC_NONE,
	    .key = &c->key,
	};
	uint32_t i;

	if (file_make(c, dir, &fd, e) != 0 ||
	    writer_open(fd, &spec, &w, e) != 0)
		return -1;
	for (i = 0; i < count; i++) {
		struct iocb b = {.op = OP_WRITE, .origin = ORIGIN_NONE};

		b.number = c->next + i;
		b.time_ns = spec.header.first_time_ns;
		b.off = draw(&c->random) % places * block;
		b.len = block;
		if (writer_add(w, &b, bench_chain_payload(b.off, block), e) !=
		    0)
			return -1;
		if (offs != NULL)
			offs[i] = b.off;
	}
	return file_finish(c, w, e);
}
