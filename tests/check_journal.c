/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/reader.h"
#include "aimdriver/writer.h"

#include "common/cleanup.h"
#include "fileformat/codec.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"
#include "tests/journal_kit.h"
#include "tests/unit.h"

#include <string.h>

static struct kit k;
static struct err e;

static void
cleanup_reader(struct reader **r)
{
	reader_close(*r);
}

static void
cleanup_writer(struct writer **w)
{
	writer_close(*w);
}

static void
setup(void)
{
	kit_init(&k);
	err_clear(&e);
}

static void
write_ok(struct buf *out, struct journal_header *h)
{
	ck_assert_msg(kit_write(&k, out, h, &e) == 0, "%s", e.text);
}

/* ---- round trips ---- */

/* i: codec, copy-in file or plain */
START_TEST(every_operation_comes_back_as_it_was)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	struct journal_header h;
	const uint8_t *data;
	struct iocb b;
	uint32_t i;
	int pass;

	k.spec.codec = _i % 2 == 0 ? CODEC_NONE : CODEC_ZLIB;
	if (_i >= 2) {
		k.spec.header.kind = JOURNAL_COPYIN_OPEN;
		k.spec.header.target_count = 1;
		k.targets[0] = (struct uuid){{9}};
	}
	kit_add_all(&k);
	write_ok(&file, &h);
	ck_assert_uint_eq(h.file_len, file.len);
	fd = kit_fd(file.data, file.len);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	ck_assert(_i < 2 || reader_has_target(r, &k.targets[0]));
	/* Before verification, and after it. */
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < k.spec.iocb_count; i++) {
			ck_assert_msg(
			    reader_next(r, &b, &data, &e) == 1, "%s", e.text);
			ck_assert_uint_eq(b.op, k.entries[i].op);
			ck_assert_uint_eq(b.flags, k.entries[i].flags);
			ck_assert_uint_eq(b.number, k.entries[i].number);
			ck_assert_uint_eq(b.time_ns, k.entries[i].time_ns);
			ck_assert_uint_eq(b.off, k.entries[i].off);
			ck_assert_uint_eq(b.len, k.entries[i].len);
			ck_assert(op_has_data(b.op) == (data != NULL));
			if (data != NULL)
				ck_assert_mem_eq(
				    data, k.data[i], (size_t)b.len);
		}
		ck_assert_int_eq(reader_next(r, &b, &data, &e), 0);
		ck_assert_int_eq(reader_next(r, &b, &data, &e), 0);
		ck_assert_msg(
		    reader_verify(r, &k.key.pub, &e) == 0, "%s", e.text);
	}
}
END_TEST

START_TEST(codecs_differ_in_bytes_and_agree_in_content)
{
	AUTO(buf_release) struct buf a = {0};
	AUTO(buf_release) struct buf b = {0};
	struct journal_header ha, hb;

	kit_add_all(&k);
	write_ok(&a, &ha);
	k.spec.codec = CODEC_ZLIB;
	k.spec.header.salt[0]++;
	k.spec.header.sealed_time_ns++;
	write_ok(&b, &hb);
	ck_assert_mem_eq(ha.content_digest, hb.content_digest, DIGEST_LEN);
	ck_assert_mem_ne(ha.stored_digest, hb.stored_digest, DIGEST_LEN);
	ck_assert_uint_eq(hb.codec, CODEC_ZLIB);
}
END_TEST

START_TEST(a_file_may_hold_no_transaction)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;

	k.spec.header.compat = 0;
	k.spec.header.last = 100;
	write_ok(&file, &h);
	ck_assert_uint_eq(file.len, h.header_len);
	ck_assert_uint_eq(h.first_time_ns, k.spec.header.first_time_ns);
	ck_assert_int_eq(kit_verify(file.data, file.len, &k.key.pub, &e), 0);
}
END_TEST

/* Several chunks, payloads across them, more than the writer holds. */
START_TEST(a_large_file_comes_back_as_it_was)
{
	enum { COUNT = 30, LEN = 777777 };
	static uint8_t payload[LEN];
	AUTO_CLOSE int fd = kit_fd(NULL, 0);
	AUTO(cleanup_writer) struct writer *w = NULL;
	AUTO(cleanup_reader) struct reader *r = NULL;
	struct iocb b = {.op = OP_WRITE, .origin = ORIGIN_NONE, .len = LEN};
	const uint8_t *data;
	struct journal_header h;
	size_t n;
	int i;

	k.spec.codec = _i % 2 == 0			       ? CODEC_NONE
		       : _i == 3 && codec_is_built(CODEC_ZSTD) ? CODEC_ZSTD
							       : CODEC_ZLIB;
	k.spec.level = 1;
	if (_i >= 2)
		kit_encrypt(&k);
	k.spec.iocb_count = COUNT;
	k.spec.header.last = COUNT;
	ck_assert_int_eq(writer_open(fd, &k.spec, &w, &e), 0);
	for (i = 0; i < COUNT; i++) {
		b.number = (uint64_t)i + 1;
		for (n = 0; n < LEN; n++)
			payload[n] = (uint8_t)(n * (size_t)(i + 3) >> 5);
		ck_assert_msg(
		    writer_add(w, &b, payload, &e) == 0, "%s", e.text);
	}
	ck_assert_msg(writer_finish(w, &h, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(h.data_raw_len, (uint64_t)COUNT * LEN);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	kit_give_key(r);
	ck_assert_msg(reader_verify(r, &k.key.pub, &e) == 0, "%s", e.text);
	for (i = 0; i < COUNT; i++) {
		ck_assert_int_eq(reader_next(r, &b, &data, &e), 1);
		for (n = 0; n < LEN; n++)
			payload[n] = (uint8_t)(n * (size_t)(i + 3) >> 5);
		ck_assert_mem_eq(data, payload, LEN);
	}
	ck_assert_int_eq(reader_next(r, &b, &data, &e), 0);
}
END_TEST

/* Random bytes between others: what can be packed is, the rest is not tried
 * each time, and all comes back. */
START_TEST(what_cannot_be_packed_is_stored_as_it_is)
{
	enum { COUNT = 40, LEN = 4096 };
	static uint8_t payload[COUNT][LEN];
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;
	size_t i;

	k.spec.codec = CODEC_ZLIB;
	k.spec.chunk_len = LEN;
	for (i = 0; i < COUNT; i++) {
		if (i >= 5 && i < 30)
			ck_assert_int_eq(
			    random_bytes(payload[i], LEN, NULL), 0);
		(void)kit_add(&k, OP_WRITE, 0, i * LEN, LEN);
		k.data[i] = payload[i];
	}
	write_ok(&file, &h);
	ck_assert_uint_eq(h.codec, CODEC_ZLIB);
	ck_assert_uint_gt(h.data_stored_len, (uint64_t)25 * LEN);
	ck_assert_uint_lt(h.data_stored_len, (uint64_t)36 * LEN);
	ck_assert_msg(
	    kit_verify(file.data, file.len, &k.key.pub, &e) == 0, "%s", e.text);
}
END_TEST

/* xorshift: the same histories every time. */
static uint64_t
draw(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % below;
}

static void
add_random(uint64_t *state, uint64_t sizes[2])
{
	static const enum aim_op ops[] = {OP_WRITE, OP_WRITE, OP_COPYIN,
	    OP_ZERO, OP_DISCARD, OP_GAP, OP_COPYIN_ZERO, OP_RESIZE, OP_FLUSH,
	    OP_VOID, OP_HEARTBEAT};
	enum aim_op op = ops[draw(state, sizeof(ops) / sizeof(ops[0]))];
	uint32_t volume = (uint32_t)draw(state, 2);
	uint64_t len = 1 + draw(state, 3000);
	uint64_t to;

	if (op == OP_RESIZE) {
		to = 5000 + draw(state, 1 << 20);
		(void)kit_add(&k, op, volume, to, sizes[volume]);
		sizes[volume] = to;
	} else if (op_has_range(op)) {
		(void)kit_add(
		    &k, op, volume, draw(state, sizes[volume] - len + 1), len);
	} else {
		(void)kit_add(&k, op, volume, 0, 0);
	}
}

START_TEST(random_histories_come_back_as_they_were)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	uint64_t state = (uint64_t)_i * 7919 + 1, sizes[2] = {1 << 20, 1 << 20};
	const uint8_t *data;
	struct iocb b;
	uint32_t i, count = 1 + (uint32_t)draw(&state, KIT_ENTRIES - 1);

	for (i = 0; i < count; i++)
		add_random(&state, sizes);
	k.spec.codec = draw(&state, 2) == 0 ? CODEC_NONE : CODEC_ZLIB;
	k.spec.chunk_len = 1 + (uint32_t)draw(&state, 9000);
	if (_i % 2 == 1)
		kit_encrypt(&k);
	write_ok(&file, NULL);
	fd = kit_fd(file.data, file.len);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	kit_give_key(r);
	ck_assert_msg(reader_verify(r, &k.key.pub, &e) == 0, "%s", e.text);
	for (i = 0; i < count; i++) {
		ck_assert_int_eq(reader_next(r, &b, &data, &e), 1);
		ck_assert_uint_eq(b.op, k.entries[i].op);
		ck_assert_uint_eq(b.off, k.entries[i].off);
		ck_assert_uint_eq(b.len, k.entries[i].len);
		if (data != NULL)
			ck_assert_mem_eq(data, k.data[i], (size_t)b.len);
	}
	ck_assert_int_eq(reader_next(r, &b, &data, &e), 0);
}
END_TEST

START_TEST(the_most_volumes_and_targets_fit)
{
	enum { MOST = JOURNAL_VOLUME_LIMIT, TARGETS = JOURNAL_TARGET_LIMIT };
	static struct journal_volume volumes[MOST];
	static struct uuid targets[TARGETS];
	AUTO(buf_release) struct buf file = {0};
	uint32_t i;

	for (i = 0; i < MOST; i++) {
		volumes[i] = (struct journal_volume){
		    {{1, (uint8_t)i, (uint8_t)(i >> 8)}}, i, VOLUME_BLOCK};
		targets[i % TARGETS] = volumes[i].uuid;
	}
	k.spec.volumes = volumes;
	k.spec.targets = targets;
	k.spec.header.volume_count = MOST;
	k.spec.header.target_count = TARGETS;
	k.spec.header.kind = JOURNAL_COPYIN_OPEN;
	kit_add_note(&k, OP_COPYIN_BEGIN);
	(void)kit_add(&k, OP_WRITE, MOST - 1, 0, MOST - 1);
	write_ok(&file, NULL);
	ck_assert_msg(
	    kit_verify(file.data, file.len, &k.key.pub, &e) == 0, "%s", e.text);
	k.spec.header.volume_count++;
	ck_assert_int_lt(kit_write(&k, &file, NULL, &e), 0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(the_position_is_the_end_of_the_file)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	struct journal_header h;
	struct position p;

	kit_add_all(&k);
	write_ok(&file, &h);
	fd = kit_fd(file.data, file.len);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	reader_position(r, &p);
	ck_assert_uint_eq(p.last, k.spec.iocb_count);
	ck_assert_uint_eq(p.sequence, 1);
	ck_assert_mem_eq(p.digest, h.content_digest, DIGEST_LEN);
}
END_TEST

/* ---- damage ---- */

START_TEST(every_flipped_bit_is_rejected)
{
	AUTO(buf_release) struct buf file = {0};
	size_t bit;

	k.spec.codec = _i == 0 ? CODEC_NONE : CODEC_ZLIB;
	(void)kit_add(&k, OP_WRITE, 0, 4096, 40);
	(void)kit_add(&k, OP_RESIZE, 0, 5000, 1 << 20);
	(void)kit_add(&k, OP_WRITE, 1, 0, 90);
	memset(k.volumes[1].uuid.b, 7, 16);
	write_ok(&file, NULL);
	for (bit = 0; bit < file.len * 8; bit++) {
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_msg(
		    kit_verify(file.data, file.len, &k.key.pub, &e) < 0,
		    "bit %zu of byte %zu", bit % 8, bit / 8);
		ck_assert(e.kind == ERR_CORRUPT || e.kind == ERR_REFUSED);
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(kit_verify(file.data, file.len, &k.key.pub, &e), 0);
}
END_TEST

START_TEST(every_truncation_and_any_tail_is_rejected)
{
	AUTO(buf_release) struct buf file = {0};
	size_t len;

	kit_add_all(&k);
	write_ok(&file, NULL);
	for (len = 0; len < file.len; len++) {
		ck_assert_int_lt(kit_verify(file.data, len, &k.key.pub, &e), 0);
		ck_assert_int_eq(e.kind, ERR_CORRUPT);
	}
	ck_assert_int_eq(buf_add(&file, "", 1, &e), 0);
	ck_assert_int_lt(kit_verify(file.data, file.len, &k.key.pub, &e), 0);
}
END_TEST

START_TEST(a_file_without_its_header_is_rejected)
{
	AUTO(buf_release) struct buf file = {0};

	kit_add_all(&k);
	write_ok(&file, NULL);
	memset(file.data, 0, 768);
	ck_assert_int_lt(kit_verify(file.data, file.len, NULL, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "never written"));
}
END_TEST

START_TEST(another_key_is_refused_and_a_forged_one_too)
{
	AUTO(buf_release) struct buf file = {0};
	struct sign_secret other;

	ck_assert_int_eq(sign_make(&other, NULL), 0);
	kit_add_all(&k);
	write_ok(&file, NULL);
	ck_assert_int_lt(kit_verify(file.data, file.len, &other.pub, &e), 0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	/* The other's id, our signature. */
	ck_assert_int_eq(sign_key_id(&other.pub, file.data + 392, NULL), 0);
	kit_mend(&k, file.data, file.len);
	ck_assert_int_lt(kit_verify(file.data, file.len, &other.pub, &e), 0);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

/* ---- an adversary who makes all sums and the signature right ---- */

/* Replaces entry i, seals everything again, and says what the reader says. */
static int
verify_changed(uint32_t i, const struct iocb *b)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;
	uint64_t seed;

	write_ok(&file, &h);
	seed = iocb_seed(&h.stream, h.sequence);
	iocb_encode(b, seed, file.data + h.iocb_off + (size_t)i * IOCB_LEN);
	kit_mend(&k, file.data, file.len);
	err_clear(&e);
	return kit_verify(file.data, file.len, &k.key.pub, &e);
}

static struct iocb
stored_entry(uint32_t i)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;
	struct iocb b;

	write_ok(&file, &h);
	ck_assert_int_eq(
	    iocb_decode(file.data + h.iocb_off + (size_t)i * IOCB_LEN,
		iocb_seed(&h.stream, h.sequence), &b, NULL),
	    VERDICT_WHOLE);
	return b;
}

enum { ENTRY = 1 };

static void
add_three_writes(void)
{
	(void)kit_add(&k, OP_WRITE, 0, 0, 100);
	(void)kit_add(&k, OP_WRITE, 0, 100, 100);
	(void)kit_add(&k, OP_WRITE, 0, 200, 100);
}

static const struct {
	const char *what, *says;
	size_t at;
	uint64_t value;
} lies[] = {
    {"beyond the end", "beyond", offsetof(struct iocb, off), (1 << 20) - 99},
    {"far away", "beyond", offsetof(struct iocb, off), INT64_MAX - 100},
    {"overflow", "2^63", offsetof(struct iocb, off), UINT64_MAX},
    {"number again", "after", offsetof(struct iocb, number), 1},
    {"number skipped", "dense", offsetof(struct iocb, number), 3},
    {"number outside", "not within", offsetof(struct iocb, number), 4},
    {"number 0", "never valid", offsetof(struct iocb, number), 0},
    {"time back", "time", offsetof(struct iocb, time_ns), 5},
    {"time ahead", "time", offsetof(struct iocb, time_ns), UINT64_MAX},
    {"data overlaps", "data at", offsetof(struct iocb, data_off), 99},
    {"data skips", "data at", offsetof(struct iocb, data_off), 101},
    {"data far", "data at", offsetof(struct iocb, data_off), UINT64_MAX},
    {"too long", "beyond the", offsetof(struct iocb, len), 201},
    {"no length", "length", offsetof(struct iocb, len), 0},
    {"bomb", "length", offsetof(struct iocb, len), UINT64_MAX},
    {"another sum", "checksum", offsetof(struct iocb, data_sum), 1},
};

START_TEST(an_entry_that_lies_is_rejected)
{
	struct iocb b;

	add_three_writes();
	b = stored_entry(ENTRY);
	ck_assert_msg(verify_changed(ENTRY, &b) == 0, "%s", e.text);
	memcpy((char *)&b + lies[_i].at, &lies[_i].value, 8);
	ck_assert_msg(verify_changed(ENTRY, &b) < 0, "%s", lies[_i].what);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_msg(strstr(e.text, lies[_i].says) != NULL, "%s: \"%s\"",
	    lies[_i].what, e.text);
}
END_TEST

START_TEST(a_volume_outside_the_table_is_rejected)
{
	struct iocb b;

	add_three_writes();
	b = stored_entry(ENTRY);
	b.volume = 2;
	ck_assert_int_lt(verify_changed(ENTRY, &b), 0);
	b.volume = UINT32_MAX;
	ck_assert_int_lt(verify_changed(ENTRY, &b), 0);
}
END_TEST

START_TEST(an_unknown_operation_is_refused_not_corrupt)
{
	struct iocb b;

	add_three_writes();
	b = stored_entry(ENTRY);
	b.op = 63;
	ck_assert_int_lt(verify_changed(ENTRY, &b), 0);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(content_that_is_not_that_of_the_digest_is_rejected)
{
	struct iocb b;

	add_three_writes();
	b = stored_entry(ENTRY);
	b.off = 50; /* makes sense, but is another history */
	ck_assert_int_lt(verify_changed(ENTRY, &b), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "content digest"));
}
END_TEST

/* Every sum is right but the content digest. */
START_TEST(a_payload_that_is_not_that_of_the_digest_is_rejected)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;
	uint8_t *chunk, *entry;
	struct iocb b;
	uint64_t seed;

	(void)kit_add(&k, OP_WRITE, 0, 0, 100);
	write_ok(&file, &h);
	chunk = file.data + h.data_off;
	chunk[CHUNK_HEADER_LEN + 7] ^= 1;
	le_put64(chunk + 16,
	    sum_bytes(chunk + CHUNK_HEADER_LEN, 100, sum_bytes(chunk, 16, 0)));
	entry = file.data + h.iocb_off;
	seed = iocb_seed(&h.stream, h.sequence);
	ck_assert_int_eq(iocb_decode(entry, seed, &b, NULL), VERDICT_WHOLE);
	b.data_sum = iocb_data_sum(chunk + CHUNK_HEADER_LEN, 100, seed);
	iocb_encode(&b, seed, entry);
	kit_mend(&k, file.data, file.len);
	ck_assert_int_lt(kit_verify(file.data, file.len, &k.key.pub, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "content digest"));
}
END_TEST

START_TEST(a_copyin_begins_and_ends_its_file)
{
	struct iocb b;

	add_three_writes();
	b = stored_entry(ENTRY);
	b.op = OP_COPYIN_BEGIN;
	ck_assert_int_lt(verify_changed(ENTRY, &b), 0);
	b.op = OP_COPYIN_END;
	ck_assert_int_lt(verify_changed(ENTRY, &b), 0);
	/* A file that opens a copy-in without beginning one. */
	k.spec.header.kind = JOURNAL_COPYIN_OPEN;
	k.spec.header.target_count = 1;
	k.targets[0] = (struct uuid){{1}};
	{
		AUTO(buf_release) struct buf file = {0};

		ck_assert_int_lt(kit_write(&k, &file, NULL, &e), 0);
	}
}
END_TEST

/* A chunk replaced by a bomb whose sums are right. */
START_TEST(a_bomb_in_data_is_rejected)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;
	uint8_t *chunk;

	k.spec.codec = CODEC_ZLIB;
	(void)kit_add(&k, OP_ZERO, 0, 0, 1);
	(void)kit_add(&k, OP_WRITE, 0, 0, 60000);
	write_ok(&file, &h);
	ck_assert_uint_eq(h.codec, CODEC_ZLIB);
	chunk = file.data + h.data_off;
	le_put32(chunk + 4, 59999);
	le_put64(chunk + 16, sum_bytes(chunk + CHUNK_HEADER_LEN,
				 le_get32(chunk), sum_bytes(chunk, 16, 0)));
	le_put64(file.data + 88, 59999);
	kit_mend(&k, file.data, file.len);
	ck_assert_int_lt(kit_verify(file.data, file.len, &k.key.pub, &e), 0);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

START_TEST(an_entry_of_a_later_version_may_be_longer)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(buf_release) struct buf longer = {0};
	struct journal_header h;
	uint8_t more[8] = {1, 2, 3};
	uint32_t i;

	add_three_writes();
	write_ok(&file, &h);
	ck_assert_int_eq(buf_add(&longer, file.data, h.header_len, &e), 0);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(
		    buf_add(&longer,
			file.data + h.iocb_off + (size_t)i * IOCB_LEN, IOCB_LEN,
			&e),
		    0);
		ck_assert_int_eq(buf_add(&longer, more, 8, &e), 0);
	}
	ck_assert_int_eq(buf_add(&longer, file.data + h.data_off,
			     (size_t)h.data_stored_len, &e),
	    0);
	le_put64(longer.data + 48, longer.len);
	le_put32(longer.data + 68, IOCB_LEN + 8);
	le_put64(longer.data + 72, h.data_off + 24);
	kit_mend(&k, longer.data, longer.len);
	ck_assert_msg(kit_verify(longer.data, longer.len, &k.key.pub, &e) == 0,
	    "%s", e.text);
}
END_TEST

START_TEST(after_an_error_the_reader_stays_stopped)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	struct journal_header h;
	const uint8_t *data;
	struct iocb b;

	add_three_writes();
	write_ok(&file, &h);
	file.data[file.len - 1] ^= 1;
	fd = kit_fd(file.data, file.len);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	ck_assert_int_lt(reader_next(r, &b, &data, &e), 0);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_int_lt(reader_next(r, &b, &data, &e), 0);
	ck_assert_int_eq(e.kind, ERR_FATAL);
	reader_rewind(r);
	ck_assert_int_lt(reader_next(r, &b, &data, &e), 0);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

/* The disk turns a bit after the file was verified. */
START_TEST(damage_after_verification_is_found_on_the_way)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	struct journal_header h;
	const uint8_t *data;
	struct iocb b;
	uint8_t x = 0xee;

	add_three_writes();
	write_ok(&file, &h);
	fd = kit_fd(file.data, file.len);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	ck_assert_int_eq(reader_verify(r, &k.key.pub, &e), 0);
	ck_assert_int_eq(pwrite(fd, &x, 1, (off_t)file.len - 50), 1);
	ck_assert_int_eq(reader_next(r, &b, &data, &e), 1);
	ck_assert_int_eq(reader_next(r, &b, &data, &e), 1);
	ck_assert_int_lt(reader_next(r, &b, &data, &e), 0);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

/* ---- loading ---- */

static void
cleanup_room(struct reader_room *room)
{
	reader_room_release(room);
}

/* Opens and loads bytes: the reader, or NULL when they are refused. */
static struct reader *
load(const struct buf *file, const struct sign_public *key,
    struct reader_room *room)
{
	AUTO_CLOSE int fd = kit_fd(file->data, file->len);
	struct reader *r = NULL;

	if (reader_open(fd, "f", &r, &e) == 0 &&
	    reader_load(r, key, room, &e) == 0)
		return r; /* the file itself is not needed any more */
	ck_assert(e.kind == ERR_CORRUPT || e.kind == ERR_REFUSED);
	reader_close(r);
	return NULL;
}

/* Everything that was written comes out of memory, as often as one likes. */
static void
is_what_was_added(struct reader *r)
{
	const uint8_t *data;
	struct iocb b;
	uint32_t i;

	ck_assert(reader_is_loaded(r));
	reader_rewind(r);
	for (i = 0; i < k.spec.iocb_count; i++) {
		ck_assert_msg(reader_next(r, &b, &data, &e) == 1, "%s", e.text);
		ck_assert_uint_eq(b.op, k.entries[i].op);
		ck_assert_uint_eq(b.number, k.entries[i].number);
		ck_assert_uint_eq(b.off, k.entries[i].off);
		ck_assert_uint_eq(b.len, k.entries[i].len);
		ck_assert(op_has_data(b.op) == (data != NULL));
		if (data != NULL)
			ck_assert_mem_eq(data, k.data[i], (size_t)b.len);
	}
	ck_assert_int_eq(reader_next(r, &b, &data, &e), 0);
	reader_rewind(r);
	for (i = 0; i < k.spec.iocb_count; i++) {
		ck_assert_int_eq(reader_next_iocb(r, &b, &e), 1);
		ck_assert_uint_eq(b.number, k.entries[i].number);
	}
	ck_assert_int_eq(reader_next_iocb(r, &b, &e), 0);
}

START_TEST(a_loaded_file_needs_the_disk_no_more)
{
	AUTO(cleanup_room) struct reader_room room = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO(buf_release) struct buf file = {0};

	k.spec.codec = _i % 2 == 0 ? CODEC_NONE : CODEC_ZLIB;
	k.spec.chunk_len = _i < 2 ? 0 : 37; /* payloads cross chunks */
	kit_add_all(&k);
	write_ok(&file, NULL);
	r = load(&file, &k.key.pub, &room);
	ck_assert_msg(r != NULL, "%s", e.text);
	ck_assert_uint_ge(room.len, reader_load_len(r));
	is_what_was_added(r);
	is_what_was_added(r);
}
END_TEST

START_TEST(loaded_data_lie_side_by_side)
{
	AUTO(cleanup_room) struct reader_room room = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO(buf_release) struct buf file = {0};
	const uint8_t *data, *end = NULL;
	struct iocb b;

	k.spec.chunk_len = 100;
	add_three_writes();
	write_ok(&file, NULL);
	r = load(&file, &k.key.pub, &room);
	ck_assert_ptr_nonnull(r);
	while (reader_next(r, &b, &data, &e) > 0) {
		ck_assert(end == NULL || data == end);
		end = data + b.len;
	}
	ck_assert_ptr_nonnull(end);
}
END_TEST

/* What is loaded is what was written, or it is refused: at most the sum of a
 * chunk, which nobody needs beside those of the payloads, may differ. */
START_TEST(a_flipped_bit_never_gets_into_memory)
{
	AUTO(cleanup_room) struct reader_room room = {0};
	AUTO(buf_release) struct buf file = {0};
	size_t bit, passed = 0;

	k.spec.codec = _i == 0 ? CODEC_NONE : CODEC_ZLIB;
	(void)kit_add(&k, OP_WRITE, 0, 4096, 40);
	(void)kit_add(&k, OP_RESIZE, 0, 5000, 1 << 20);
	(void)kit_add(&k, OP_WRITE, 1, 0, 90);
	write_ok(&file, NULL);
	for (bit = 0; bit < file.len * 8; bit++) {
		struct reader *r;

		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = load(&file, &k.key.pub, &room);
		if (r != NULL) {
			is_what_was_added(r);
			passed++;
		}
		reader_close(r);
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_uint_le(passed, 64);
}
END_TEST

START_TEST(a_file_that_another_signed_is_not_loaded)
{
	AUTO(cleanup_room) struct reader_room room = {0};
	AUTO(buf_release) struct buf file = {0};
	struct sign_secret other;

	ck_assert_int_eq(sign_make(&other, NULL), 0);
	kit_add_all(&k);
	write_ok(&file, NULL);
	ck_assert_ptr_null(load(&file, &other.pub, &room));
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	/* A changed header, its checksum put right. */
	file.data[300] ^= 1;
	header_fix_sum(file.data, header_encoded_len(2, 0));
	ck_assert_ptr_null(load(&file, &k.key.pub, &room));
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

START_TEST(a_room_serves_files_of_any_size)
{
	static const uint64_t lens[] = {700, 10, 5000, 3000};
	AUTO(cleanup_room) struct reader_room room = {0};
	int i;

	for (i = 0; i < 4; i++) {
		AUTO(buf_release) struct buf file = {0};
		AUTO(cleanup_reader) struct reader *r = NULL;

		kit_init(&k);
		(void)kit_add(&k, OP_WRITE, 0, 0, lens[i]);
		write_ok(&file, NULL);
		r = load(&file, NULL, &room);
		ck_assert_ptr_nonnull(r);
		is_what_was_added(r);
	}
}
END_TEST

/* ---- the writer refuses what a reader would ---- */

static const struct {
	enum aim_op op;
	uint32_t volume;
	uint64_t off, len;
} wrong[] = {
    {OP_WRITE, 0, 1 << 20, 1},
    {OP_WRITE, 0, (1 << 20) - 1, 2},
    {OP_WRITE, 2, 0, 1},
    {OP_WRITE, 0, 0, 0},
    {OP_RESIZE, 0, 5, 5},
    {OP_FLUSH, 0, 1, 0},
    {OP_COPYIN_BEGIN, 0, 0, COPYIN_NOTE_LEN},
    {OP_MARKER, 0, 0, 10},
};

START_TEST(the_writer_refuses_what_a_reader_would)
{
	AUTO(buf_release) struct buf file = {0};

	add_three_writes();
	(void)kit_add(
	    &k, wrong[_i].op, wrong[_i].volume, wrong[_i].off, wrong[_i].len);
	ck_assert_int_lt(kit_write(&k, &file, NULL, &e), 0);
}
END_TEST

START_TEST(the_writer_wants_exactly_what_was_announced)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO_CLOSE int fd = kit_fd(NULL, 0);
	AUTO(cleanup_writer) struct writer *w = NULL;

	add_three_writes();
	k.spec.iocb_count = 2;
	ck_assert_int_eq(writer_open(fd, &k.spec, &w, &e), 0);
	ck_assert_int_eq(writer_add(w, &k.entries[0], k.data[0], &e), 0);
	ck_assert_int_lt(writer_finish(w, NULL, &e), 0);
	ck_assert_int_lt(writer_finish(w, NULL, &e), 0);
	k.spec.header.last = 9; /* dense, but not */
	ck_assert_int_lt(kit_write(&k, &file, NULL, &e), 0);
}
END_TEST

START_TEST(writes_that_extend_need_a_resize_before)
{
	AUTO(buf_release) struct buf file = {0};

	(void)kit_add(&k, OP_RESIZE, 1, 2 << 20, 1 << 20);
	(void)kit_add(&k, OP_WRITE, 1, (2 << 20) - 10, 10);
	(void)kit_add(&k, OP_RESIZE, 1, 10, 2 << 20);
	(void)kit_add(&k, OP_WRITE, 1, 0, 10);
	write_ok(&file, NULL);
	ck_assert_int_eq(kit_verify(file.data, file.len, &k.key.pub, &e), 0);
	(void)kit_add(&k, OP_WRITE, 1, 10, 1);
	ck_assert_int_lt(kit_write(&k, &file, NULL, &e), 0);
}
END_TEST

/* Each call fails in its turn; what is left must never read as whole. */
START_TEST(a_write_that_fails_anywhere_leaves_no_journal_file)
{
	struct ladder l = {.trouble = _i == 0 ? EIO : ENOSPC, .op = -1};

	kit_add_all(&k);
	for (;; l.rung++) {
		AUTO_CLOSE int fd = kit_fd(NULL, 0);
		AUTO(cleanup_writer) struct writer *w = NULL;
		uint32_t i;
		int rc;

		ladder_set(&l);
		rc = writer_open(fd, &k.spec, &w, &e);
		for (i = 0; rc == 0 && i < k.spec.iocb_count; i++)
			rc = writer_add(w, &k.entries[i], k.data[i], &e);
		if (rc == 0)
			rc = writer_finish(w, NULL, &e);
		ladder_unset();
		ck_assert_int_eq(rc, l.struck ? -1 : 0);
		if (!l.struck)
			break;
		/* The header comes last; only the sync is after it. */
		if (strstr(e.text, "fsync") == NULL) {
			AUTO(cleanup_reader) struct reader *r = NULL;

			ck_assert_int_lt(reader_open(fd, "f", &r, &e), 0);
		}
	}
	ck_assert_int_ge(l.rung, 4);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite *s = suite_create("journal");
	TCase *t = tcase_create("journal");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, every_operation_comes_back_as_it_was, 0, 4);
	tcase_add_test(t, codecs_differ_in_bytes_and_agree_in_content);
	tcase_add_test(t, a_file_may_hold_no_transaction);
	tcase_add_loop_test(t, a_large_file_comes_back_as_it_was, 0, 4);
	tcase_add_test(t, what_cannot_be_packed_is_stored_as_it_is);
	tcase_add_loop_test(t, random_histories_come_back_as_they_were, 0, 50);
	tcase_add_test(t, the_most_volumes_and_targets_fit);
	tcase_add_test(t, the_position_is_the_end_of_the_file);
	tcase_add_loop_test(t, every_flipped_bit_is_rejected, 0, 2);
	tcase_add_test(t, every_truncation_and_any_tail_is_rejected);
	tcase_add_test(t, a_file_without_its_header_is_rejected);
	tcase_add_test(t, another_key_is_refused_and_a_forged_one_too);
	tcase_add_loop_test(t, an_entry_that_lies_is_rejected, 0, COUNT(lies));
	tcase_add_test(t, a_volume_outside_the_table_is_rejected);
	tcase_add_test(t, an_unknown_operation_is_refused_not_corrupt);
	tcase_add_test(t, content_that_is_not_that_of_the_digest_is_rejected);
	tcase_add_test(t, a_payload_that_is_not_that_of_the_digest_is_rejected);
	tcase_add_test(t, a_copyin_begins_and_ends_its_file);
	tcase_add_test(t, a_bomb_in_data_is_rejected);
	tcase_add_test(t, an_entry_of_a_later_version_may_be_longer);
	tcase_add_test(t, after_an_error_the_reader_stays_stopped);
	tcase_add_test(t, damage_after_verification_is_found_on_the_way);
	suite_add_tcase(s, t);

	t = tcase_create("load");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_loop_test(t, a_loaded_file_needs_the_disk_no_more, 0, 4);
	tcase_add_test(t, loaded_data_lie_side_by_side);
	tcase_add_loop_test(t, a_flipped_bit_never_gets_into_memory, 0, 2);
	tcase_add_test(t, a_file_that_another_signed_is_not_loaded);
	tcase_add_test(t, a_room_serves_files_of_any_size);
	tcase_add_loop_test(
	    t, the_writer_refuses_what_a_reader_would, 0, COUNT(wrong));
	tcase_add_test(t, the_writer_wants_exactly_what_was_announced);
	tcase_add_test(t, writes_that_extend_need_a_resize_before);
	tcase_add_loop_test(
	    t, a_write_that_fails_anywhere_leaves_no_journal_file, 0, 2);
	suite_add_tcase(s, t);
	return unit_run(s);
}
