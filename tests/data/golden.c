/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream: 1 opens a copy-in, 2 has every other operation (once plain, twice
 * compressed: the same content), 3 has no IOCB, 4 opens epoch 2 after a break.
 * Another stream, of one file, is encrypted: 5 has every other operation too.
 */
#include <config.h>

#include "tests/data/golden.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/pairing.h"
#include "fileformat/sums.h"
#include "tests/journal_kit.h"

#include <string.h>

const char *const golden_names[] = {"1-copyin-open.aim", "2-plain.aim",
    "2-plain-zlib.aim", "3-empty.aim", "4-epoch-break.aim", "mirror.ack",
    "source.pairing", "mirror.pairing", "source.pub", "mirror.pub",
    "5-encrypted.aim", "group.key", "2-plain-zstd.aim", "mirror.0000.sums",
    NULL};

#define TIB (UINT64_C(1) << 40)

static int
put(int dir, const char *name, const void *bytes, size_t len, struct err *e)
{
	return io_write_file(dir, name, bytes, len, 0644, e);
}

static int
put_journal(struct kit *k, int dir, const char *name, struct journal_header *h,
    struct err *e)
{
	AUTO(buf_release) struct buf b = {0};

	if (kit_write(k, &b, h, e) < 0)
		return err_at(e, "%s", name);
	return put(dir, name, b.data, b.len, e);
}

/* The next file begins where that one ends. */
static void
go_on(struct kit *k, const struct journal_header *h)
{
	struct journal_header *n = &k->spec.header;

	k->spec.iocb_count = 0;
	k->spec.codec = CODEC_NONE;
	k->spec.chunk_len = 0;
	n->kind = JOURNAL_PLAIN;
	n->target_count = 0;
	n->compat = JOURNAL_COMPAT_DENSE;
	n->sequence++;
	n->first = h->last + 1;
	n->last = h->last;
	n->first_time_ns = h->last_time_ns + 5;
	n->last_time_ns = n->first_time_ns;
	n->sealed_time_ns += 1000;
	n->salt[1]++;
	memcpy(n->prev_digest, h->content_digest, DIGEST_LEN);
}

static void
make_copyin(struct kit *k)
{
	struct journal_header *h = &k->spec.header;

	k->volumes[1].size = 3 * TIB;
	k->targets[0] = (struct uuid){{0xd1}};
	k->targets[1] = (struct uuid){{0xd2}};
	h->kind = JOURNAL_COPYIN_OPEN;
	h->target_count = 2;
	kit_add_note(k, OP_COPYIN_BEGIN);
	(void)kit_add(k, OP_COPYIN, 0, 0, 3000);
	(void)kit_add(k, OP_COPYIN_ZERO, 0, 3000, (1 << 20) - 3000);
	(void)kit_add(k, OP_WRITE, 1, 2 * TIB, 17);
}

static void
make_plain(struct kit *k)
{
	kit_add_all(k);
}

static void
make_empty(struct kit *k)
{
	k->volumes[0].size += 100; /* the resize in the file before */
	k->spec.header.compat = 0;
	k->spec.header.last = k->spec.header.first + 9;
}

static void
make_epoch(struct kit *k, const struct journal_header *before)
{
	struct journal_header *h = &k->spec.header;

	h->compat |= JOURNAL_COMPAT_EPOCH_OPEN;
	h->incompat = JOURNAL_INCOMPAT_BREAK;
	h->parent_epoch = h->epoch;
	h->parent_epoch_number = h->epoch_number;
	h->parent_sequence = before->sequence;
	h->fork = before->last;
	h->epoch = (struct uuid){{0xb9}};
	h->epoch_number++;
	h->sequence = 1;
	(void)kit_add(k, OP_WRITE, 0, 1 << 20, 100);
	kit_add(k, OP_WRITE, 1, 3 * TIB - 1, 1)->flags = IOCB_FUA;
}

/* The same again, by zstd where it is built in; later files know nothing of
 * it. */
static int
make_zstd(struct kit *k, int dir, struct err *e)
{
#ifdef HAVE_ZSTD
	struct journal_header h;
	int made;

	k->spec.codec = CODEC_ZSTD;
	k->spec.header.salt[0]++;
	made = put_journal(k, dir, golden_names[12], &h, e);
	k->spec.codec = CODEC_ZLIB;
	k->spec.header.salt[0]--;
	return made;
#else
	(void)k;
	(void)dir;
	(void)e;
	return 0;
#endif
}

static int
make_journals(int dir, struct journal_header *last, struct err *e)
{
	struct kit k;
	struct journal_header h;

	kit_init(&k);
	make_copyin(&k);
	if (put_journal(&k, dir, golden_names[0], &h, e) < 0)
		return -1;
	go_on(&k, &h);
	make_plain(&k);
	if (put_journal(&k, dir, golden_names[1], &h, e) < 0)
		return -1;
	k.spec.codec = CODEC_ZLIB;
	k.spec.chunk_len = 1000;
	k.spec.header.salt[0]++;
	if (put_journal(&k, dir, golden_names[2], &h, e) < 0)
		return -1;
	if (make_zstd(&k, dir, e) < 0)
		return -1;
	go_on(&k, &h);
	make_empty(&k);
	if (put_journal(&k, dir, golden_names[3], &h, e) < 0)
		return -1;
	go_on(&k, &h);
	make_epoch(&k, &h);
	return put_journal(&k, dir, golden_names[4], last, e);
}

static int
make_encrypted(int dir, struct err *e)
{
	struct journal_header h;
	char text[KEYFILE_LEN];
	struct kit k;

	kit_init(&k);
	kit_encrypt(&k);
	k.spec.header.stream = (struct uuid){{0xba}};
	k.spec.codec = CODEC_NONE;
	k.spec.chunk_len = 1000;
	kit_add_all(&k);
	keyfile_encode(&k.spec.header.group, &k.group_key, text);
	if (put_journal(&k, dir, golden_names[10], &h, e) < 0)
		return -1;
	return put(dir, golden_names[11], text, strlen(text), e);
}

static struct position
position_of(const struct journal_header *h)
{
	struct position p = {.epoch = h->epoch,
	    .epoch_number = h->epoch_number,
	    .sequence = h->sequence,
	    .last = h->last};

	memcpy(p.digest, h->content_digest, DIGEST_LEN);
	return p;
}

static int
make_ack(int dir, const struct journal_header *h, const struct sign_secret *key,
    struct err *e)
{
	struct ack a = {.stream = h->stream,
	    .group = h->group,
	    .mirror = {{0xd1}},
	    .mirror_site = {{0xd3}},
	    .source_site = h->site,
	    .counter = 42,
	    .state = ACK_STAGING,
	    .consistent = true,
	    .stored = position_of(h),
	    .time_ns = h->sealed_time_ns + 7,
	    .applied_time_ns = h->first_time_ns,
	    .free_bytes = TIB,
	    .reason = "a recovery is being collected",
	    .done_count = 2,
	    .done = {{{0xe1}}, {{0xe2}}}};
	uint8_t bytes[ACK_LIMIT];
	size_t len;

	a.applied = a.stored;
	a.applied.epoch = h->parent_epoch;
	a.applied.epoch_number = h->parent_epoch_number;
	a.applied.sequence = h->parent_sequence;
	a.applied.last = h->fork;
	memcpy(a.applied.digest, h->prev_digest, DIGEST_LEN);
	a.durable = a.applied;
	if (ack_encode(&a, key, bytes, &len, e) < 0)
		return -1;
	return put(dir, golden_names[5], bytes, len, e);
}

/* Of a volume with other content in each of its two grains. */
static int
make_sums(int dir, const struct journal_header *h,
    const struct sign_secret *key, struct err *e)
{
	struct sums s = {.stream = h->stream,
	    .group = h->group,
	    .mirror = {{0xd1}},
	    .mirror_site = {{0xd3}},
	    .source_site = h->site,
	    .copyin = {{0xc1}},
	    .begin = position_of(h),
	    .time_ns = h->sealed_time_ns + 9,
	    .grain_bits = 16,
	    .total = 3,
	    .count = 3};
	static const uint8_t data[65536] = {1, 2, 3};
	uint8_t bytes[SUMS_LIMIT], sums[3 * SUMS_LEN] = {0};
	const struct uuid volume = {{0xa1}};
	struct summer m = {.key = NULL};
	struct sums_key k;
	size_t len;
	int bad = -1;

	s.at = (struct position){.epoch = h->parent_epoch,
	    .epoch_number = h->parent_epoch_number,
	    .sequence = h->parent_sequence,
	    .last = h->fork};
	memcpy(s.at.digest, h->prev_digest, DIGEST_LEN);
	if (sums_key_make(h->content_digest, NULL, &k, e) < 0 ||
	    summer_open(&m, &k, e) < 0)
		return -1;
	if (summer_begin(&m, &volume, 0, sizeof(data), false, e) == 0 &&
	    summer_add(&m, data, sizeof(data), e) == 0 &&
	    summer_end(&m, sums, e) == 0 &&
	    summer_begin(&m, &volume, 65536, 1000, true, e) == 0)
		bad = summer_end(&m, sums + SUMS_LEN, e);
	summer_close(&m);
	if (bad < 0 || sums_encode(&s, sums, key, bytes, &len, e) < 0)
		return -1;
	return put(dir, golden_names[13], bytes, len, e);
}

static int
make_pairing(int dir, const char *name, const struct journal_header *h,
    enum pairing_role role, const struct sign_secret *key, struct err *e)
{
	struct pairing_volume volumes[2] = {
	    {"disk", {{0xa1}}, 1 << 20, VOLUME_FILE},
	    {"log", {{0xa2}}, 3 * TIB, VOLUME_BLOCK}};
	struct pairing p = {.role = role,
	    .site_name = "here",
	    .site = h->site,
	    .group_name = "db",
	    .group = h->group,
	    .stream = h->stream,
	    .volume_count = 2,
	    .volumes = volumes};
	AUTO_FREE char *text = NULL;
	size_t len;

	if (role == PAIRING_MIRROR) {
		p.site = (struct uuid){{0xd3}};
		p.mirror = (struct uuid){{0xd1}};
		(void)strcpy(p.site_name, "there");
	}
	if (pairing_encode(&p, key, &text, &len, e) < 0)
		return -1;
	return put(dir, name, text, len, e);
}

static int
make_pub(
    int dir, const char *name, const struct sign_secret *key, struct err *e)
{
	char text[66];

	(void)hex_text(key->pub.key, 32, text);
	(void)strcat(text, "\n");
	return put(dir, name, text, strlen(text), e);
}

int
golden_make(int dir, struct err *e)
{
	struct sign_secret mirror;
	struct journal_header last;
	struct kit k;

	kit_init(&k);
	memset(mirror.seed, 0x43, sizeof(mirror.seed));
	if (sign_derive(&mirror, e) < 0 || make_journals(dir, &last, e) < 0 ||
	    make_ack(dir, &last, &mirror, e) < 0 ||
	    make_pairing(
		dir, golden_names[6], &last, PAIRING_SOURCE, &k.key, e) < 0 ||
	    make_pairing(
		dir, golden_names[7], &last, PAIRING_MIRROR, &mirror, e) < 0 ||
	    make_pub(dir, golden_names[8], &k.key, e) < 0)
		return -1;
	if (make_pub(dir, golden_names[9], &mirror, e) < 0)
		return -1;
	if (make_sums(dir, &last, &mirror, e) < 0)
		return -1;
	return make_encrypted(dir, e);
}
