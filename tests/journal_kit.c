/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/journal_kit.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/le.h"
#include "tests/stored_mend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HOUR UINT64_C(3600000000000)
#define BEGIN_NS (UINT64_C(490000) * HOUR)

static uint8_t pool[64 << 10];

static void
must(int rc, const struct err *e)
{
	if (rc >= 0)
		return;
	(void)fprintf(stderr, "journal_kit: %s\n", e->text);
	abort();
}

void
kit_init(struct kit *k)
{
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(pool); i++)
		pool[i] = (uint8_t)(i * 7 + i / 256);
	*k = (struct kit){0};
	memset(k->key.seed, 0x42, sizeof(k->key.seed));
	must(sign_derive(&k->key, &e), &e);
	k->volumes[0] = (struct journal_volume){
	    .uuid = {{0xa1}}, .size = 1 << 20, .kind = VOLUME_FILE};
	k->volumes[1] = (struct journal_volume){
	    .uuid = {{0xa2}}, .size = 1 << 20, .kind = VOLUME_BLOCK};
	k->spec = (struct writer_spec){
	    .header = {.kind = JOURNAL_PLAIN,
		.compat = JOURNAL_COMPAT_DENSE,
		.stream = {{0xb1}},
		.group = {{0xb2}},
		.site = {{0xb3}},
		.epoch = {{0xb4}},
		.epoch_number = 1,
		.sequence = 1,
		.first = 1,
		.last = 0,
		.first_time_ns = BEGIN_NS,
		.last_time_ns = BEGIN_NS,
		.sealed_time_ns = BEGIN_NS + HOUR,
		.salt = {0xb5},
		.volume_count = 2},
	    .volumes = k->volumes,
	    .targets = k->targets,
	    .codec = CODEC_NONE,
	    .key = &k->key,
	};
}

static void
fixed_key(struct group_key *out)
{
	struct err e;

	memset(out->key, 0x44, sizeof(out->key));
	must(group_key_derive(out, &e), &e);
}

void
kit_encrypt(struct kit *k)
{
	fixed_key(&k->group_key);
	k->spec.group_key = &k->group_key;
	k->spec.blind[0] = 0xb6;
}

static int
find_key(const void *ctx, const struct uuid *group,
    const uint8_t id[KEY_ID_LEN], struct group_key *out, struct err *e)
{
	struct group_key k;

	(void)ctx;
	(void)group;
	(void)e;
	fixed_key(&k);
	if (memcmp(k.id, id, KEY_ID_LEN) != 0)
		return 0;
	*out = k;
	return 1;
}

void
kit_give_key(struct reader *r)
{
	const struct reader_keys keys = {.find = find_key};

	reader_set_keys(r, &keys);
}

struct iocb *
kit_add(
    struct kit *k, enum aim_op op, uint32_t volume, uint64_t off, uint64_t len)
{
	uint32_t i = k->spec.iocb_count++;
	struct iocb *b = &k->entries[i];

	if (i >= KIT_ENTRIES)
		abort();
	*b = (struct iocb){.op = op,
	    .volume = volume,
	    .origin = ORIGIN_NONE,
	    .number = k->spec.header.first + i,
	    .time_ns = k->spec.header.first_time_ns + i * 1000,
	    .off = off,
	    .len = len};
	k->spec.header.last = b->number;
	k->data[i] = pool + i * 97;
	return b;
}

void
kit_add_note(struct kit *k, enum aim_op op)
{
	static uint8_t begin[COPYIN_NOTE_LEN], end[COPYIN_NOTE_LEN];
	static uint8_t control[CONTROL_NOTE_LEN];
	struct copyin_note copyin = {.id = {{0xc1}}, .kind = COPYIN_BASE};
	struct control_note note = {.target = {{0xc2}},
	    .initiator = {{0xc3}},
	    .message = {{0xc4}},
	    .value = 1 << 21,
	    .name = "a-marker"};
	bool is_copyin = op == OP_COPYIN_BEGIN || op == OP_COPYIN_END;

	copyin_note_encode(&copyin, begin);
	copyin.begin = 1;
	copyin_note_encode(&copyin, end);
	control_note_encode(&note, control);
	(void)kit_add(
	    k, op, 0, 0, is_copyin ? COPYIN_NOTE_LEN : CONTROL_NOTE_LEN);
	k->data[k->spec.iocb_count - 1] = op == OP_COPYIN_BEGIN ? begin
					  : op == OP_COPYIN_END ? end
								: control;
}

void
kit_add_all(struct kit *k)
{
	uint32_t op;

	if (k->spec.header.kind == JOURNAL_COPYIN_OPEN)
		kit_add_note(k, OP_COPYIN_BEGIN);
	(void)kit_add(k, OP_WRITE, 0, 4096, 512);
	kit_add(k, OP_WRITE, 1, 1, 3)->flags = IOCB_FUA;
	(void)kit_add(k, OP_ZERO, 0, 8192, 4096);
	(void)kit_add(k, OP_DISCARD, 1, 0, 1 << 20);
	(void)kit_add(k, OP_RESIZE, 0, (1 << 20) + 100, 1 << 20);
	kit_add(k, OP_WRITE, 0, 1 << 20, 100)->flags = IOCB_SHORT;
	(void)kit_add(k, OP_FLUSH, 1, 0, 0);
	(void)kit_add(k, OP_VOID, 0, 0, 0);
	kit_add(k, OP_GAP, 1, 512, 512)->flags = IOCB_SETTLED;
	(void)kit_add(k, OP_HEARTBEAT, 0, 0, 0);
	for (op = OP_MARKER; op <= OP_PROMOTE; op++)
		if (op_has_note(op))
			kit_add_note(k, op);
	(void)kit_add(k, OP_COPYIN_ZERO, 0, 65536, 65536);
	(void)kit_add(k, OP_COPYIN, 1, 0, 700);
	kit_add_note(k, OP_COPYIN_END);
}

int
kit_fd(const void *bytes, size_t len)
{
	struct err e;
	int fd = memfd_create("journal", MFD_CLOEXEC);

	if (fd < 0)
		abort();
	if (len > 0)
		must(io_write_at(fd, bytes, len, 0, &e), &e);
	return fd;
}

static void
cleanup_writer(struct writer **w)
{
	writer_close(*w);
}

static void
cleanup_reader(struct reader **r)
{
	reader_close(*r);
}

int
kit_write(
    struct kit *k, struct buf *out, struct journal_header *h, struct err *e)
{
	AUTO(cleanup_writer) struct writer *w = NULL;
	AUTO_CLOSE int fd = kit_fd(NULL, 0);
	uint64_t size;
	uint32_t i;

	if (writer_open(fd, &k->spec, &w, e) < 0)
		return -1;
	for (i = 0; i < k->spec.iocb_count; i++)
		if (writer_add(w, &k->entries[i], k->data[i], e) < 0)
			return -1;
	if (writer_finish(w, h, e) < 0 || io_size(fd, &size, e) < 0)
		return -1;
	out->len = 0;
	if (buf_room(out, (size_t)size, e) < 0 ||
	    io_read_at(fd, out->data, (size_t)size, 0, e) < 0)
		return -1;
	out->len = (size_t)size;
	return 0;
}

int
kit_verify(
    const void *bytes, size_t len, const struct sign_public *key, struct err *e)
{
	AUTO_CLOSE int fd = kit_fd(bytes, len);
	AUTO(cleanup_reader) struct reader *r = NULL;

	if (reader_open(fd, "test.aim", &r, e) < 0)
		return -1;
	kit_give_key(r);
	return reader_verify(r, key, e);
}

void
kit_mend(struct kit *k, uint8_t *bytes, size_t len)
{
	uint32_t header_len = le_get32(bytes + 20);
	uint8_t signature[SIGNATURE_LEN];
	struct err e;

	stored_mend(bytes, len);
	header_blank(bytes);
	must(sign_bytes(
		 &k->key, JOURNAL_DOMAIN, bytes, header_len, signature, &e),
	    &e);
	header_set_signature(bytes, signature);
	header_fix_sum(bytes, header_len);
}
