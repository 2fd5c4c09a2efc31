/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/header.h"

#include "fileformat/codec.h"
#include "fileformat/iocb.h"
#include "fileformat/le.h"
#include "tests/unit.h"

#include <openssl/evp.h>
#include <string.h>

static struct journal_volume volumes[2];
static struct uuid targets[1];
static uint8_t bytes[JOURNAL_HEADER_LIMIT];

/* A header that follows every rule, with one IOCB and one chunk. */
static struct journal_header
sample(void)
{
	struct journal_header h = {
	    .major = 1,
	    .kind = JOURNAL_COPYIN_OPEN,
	    .codec = CODEC_NONE,
	    .compat = JOURNAL_COMPAT_DENSE | JOURNAL_COMPAT_EPOCH_OPEN,
	    .incompat = JOURNAL_INCOMPAT_BREAK,
	    .iocb_count = 1,
	    .iocb_len = IOCB_LEN,
	    .data_stored_len = CHUNK_HEADER_LEN + 64,
	    .data_raw_len = 64,
	    .chunk_len = 4096,
	    .stream = {{1}},
	    .group = {{2}},
	    .site = {{3}},
	    .epoch = {{4}},
	    .epoch_number = 2,
	    .sequence = 1,
	    .first = 10,
	    .last = 10,
	    .first_time_ns = 5,
	    .last_time_ns = 6,
	    .sealed_time_ns = 7,
	    .parent_epoch = {{5}},
	    .parent_epoch_number = 1,
	    .parent_sequence = 8,
	    .fork = 9,
	    .prev_digest = {1},
	    .content_digest = {2},
	    .stored_digest = {3},
	    .salt = {4},
	    .key_id = {5},
	    .volume_count = 2,
	    .target_count = 1,
	};

	volumes[0] = (struct journal_volume){{{6}}, 4096, VOLUME_FILE};
	volumes[1] = (struct journal_volume){{{7}}, INT64_MAX, VOLUME_BLOCK};
	targets[0] = (struct uuid){{8}};
	h.header_len = header_encoded_len(2, 1);
	h.iocb_off = h.header_len;
	h.data_off = h.iocb_off + IOCB_LEN;
	h.file_len = h.data_off + h.data_stored_len;
	return h;
}

static enum verdict
decode_bytes(uint32_t len)
{
	struct journal_header out;
	struct why why = {0};
	enum verdict v = header_decode(bytes, len, &out, &why);

	ck_assert(v == VERDICT_WHOLE || why.text[0] != '\0');
	return v;
}

static enum verdict
decode(const struct journal_header *h)
{
	header_encode(h, volumes, targets, bytes);
	return decode_bytes(h->header_len);
}

START_TEST(a_header_comes_back_as_it_was)
{
	struct journal_header h = sample(), out;
	struct journal_volume v;
	struct uuid t;

	header_encode(&h, volumes, targets, bytes);
	ck_assert_int_eq(
	    header_decode(bytes, h.header_len, &out, NULL), VERDICT_WHOLE);
	ck_assert_uint_eq(out.file_len, h.file_len);
	ck_assert_uint_eq(out.fork, 9);
	ck_assert_uint_eq(out.sealed_time_ns, 7);
	ck_assert_mem_eq(out.salt, h.salt, SALT_LEN);
	header_volume(bytes, &out, 1, &v);
	ck_assert(uuid_equal(&v.uuid, &volumes[1].uuid));
	ck_assert_uint_eq(v.size, INT64_MAX);
	ck_assert_int_eq(v.kind, VOLUME_BLOCK);
	header_target(bytes, &out, 0, &t);
	ck_assert(uuid_equal(&t, &targets[0]));
	/* Encoding what was decoded gives the same bytes. */
	{
		uint8_t again[1024];

		header_encode(&out, volumes, targets, again);
		ck_assert_mem_eq(again, bytes, h.header_len);
	}
}
END_TEST

START_TEST(every_truncation_is_partial)
{
	struct journal_header h = sample();
	uint32_t len;

	header_encode(&h, volumes, targets, bytes);
	for (len = 0; len < h.header_len; len++)
		ck_assert_int_eq(decode_bytes(len), VERDICT_PARTIAL);
}
END_TEST

START_TEST(every_flipped_bit_is_found)
{
	struct journal_header h = sample();
	uint32_t bit;

	header_encode(&h, volumes, targets, bytes);
	for (bit = 0; bit < h.header_len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(decode_bytes(h.header_len), VERDICT_WHOLE);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

START_TEST(zeroes_are_corrupt)
{
	memset(bytes, 0, sizeof(bytes));
	ck_assert_int_eq(decode_bytes(4096), VERDICT_CORRUPT);
}
END_TEST

START_TEST(a_text_file_is_corrupt)
{
	memset(bytes, 'a', 1000);
	ck_assert_int_eq(decode_bytes(1000), VERDICT_CORRUPT);
	ck_assert_int_eq(decode_bytes(3), VERDICT_CORRUPT);
}
END_TEST

/* One change each, the checksum made right again. */
#define F(field, value)                                                        \
	{                                                                      \
		offsetof(struct journal_header, field),                        \
		    sizeof(((struct journal_header *)0)->field), value,        \
		    VERDICT_CORRUPT, #field                                    \
	}
#define U(field, value)                                                        \
	{                                                                      \
		offsetof(struct journal_header, field),                        \
		    sizeof(((struct journal_header *)0)->field), value,        \
		    VERDICT_UNKNOWN, #field                                    \
	}
static const struct {
	size_t at, len;
	uint64_t value;
	enum verdict want;
	const char *name;
} changes[] = {
    U(major, 2), U(major, 0), F(incompat, JOURNAL_INCOMPAT_ENCRYPTED),
    F(group_key_id, 1), U(incompat, UINT64_C(1) << 40), F(kind, 0), U(kind, 9),
    F(codec, 0), U(codec, CODEC_ZSTD + 1), F(file_len, 0),
    F(file_len, JOURNAL_FILE_LIMIT + 1), F(file_len, UINT64_MAX),
    F(iocb_off, 0), F(iocb_count, 0), F(iocb_count, 2),
    F(iocb_count, JOURNAL_IOCB_LIMIT + 1), F(iocb_count, UINT32_MAX),
    F(iocb_len, 0), F(iocb_len, 72), F(iocb_len, 81), F(iocb_len, 1024),
    F(data_off, 0), F(data_stored_len, 0), F(data_stored_len, UINT64_MAX),
    F(data_raw_len, 0), F(data_raw_len, JOURNAL_RAW_LIMIT + 1),
    F(data_raw_len, UINT64_MAX),
    F(data_raw_len, 16384), /* four chunks cannot be that small */
    F(data_raw_len, 63),    /* nor one chunk larger than raw */
    F(chunk_len, 0), F(chunk_len, JOURNAL_CHUNK_LIMIT + 1), F(stream, 0),
    F(group, 0), F(site, 0), F(epoch, 0), F(epoch, 5), /* its own parent */
    F(epoch_number, 0), F(epoch_number, 1), F(epoch_number, 3), F(sequence, 0),
    F(sequence, 2), F(first, 0), F(first, 9), F(first, 11), F(last, 9),
    F(last, 11), F(last, UINT64_MAX), F(last_time_ns, 4), F(parent_epoch, 0),
    F(parent_epoch_number, 0), F(parent_epoch_number, 2), F(parent_sequence, 0),
    F(fork, 8), F(fork, 10), F(prev_digest, 0),
    F(kind, JOURNAL_PLAIN),	     /* with a target */
    F(compat, JOURNAL_COMPAT_DENSE), /* a parent, but opens no epoch */
};
#define CHANGES (int)(sizeof(changes) / sizeof(changes[0]))

START_TEST(each_field_out_of_bounds_is_rejected)
{
	struct journal_header h = sample();

	ck_assert_int_eq(decode(&h), VERDICT_WHOLE);
	memset((char *)&h + changes[_i].at, 0, changes[_i].len);
	if (changes[_i].len == 2)
		*(uint16_t *)(void *)((char *)&h + changes[_i].at) =
		    (uint16_t)changes[_i].value;
	else if (changes[_i].len == 4)
		*(uint32_t *)(void *)((char *)&h + changes[_i].at) =
		    (uint32_t)changes[_i].value;
	else if (changes[_i].len == 8)
		*(uint64_t *)(void *)((char *)&h + changes[_i].at) =
		    changes[_i].value;
	else
		*((uint8_t *)&h + changes[_i].at) = (uint8_t)changes[_i].value;
	ck_assert_msg(decode(&h) == changes[_i].want, "%s = %ju",
	    changes[_i].name, (uintmax_t)changes[_i].value);
}
END_TEST

static enum verdict
decode_with(size_t at, uint32_t value)
{
	struct journal_header h = sample();

	header_encode(&h, volumes, targets, bytes);
	le_put32(bytes + at, value);
	header_fix_sum(bytes, h.header_len);
	return decode_bytes(h.header_len);
}

START_TEST(counts_beyond_the_tables_are_rejected)
{
	const uint32_t wrong[] = {0, 1, 3, JOURNAL_VOLUME_LIMIT,
	    JOURNAL_VOLUME_LIMIT + 1, UINT32_MAX};
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_int_eq(decode_with(100, wrong[i]), VERDICT_CORRUPT);
		if (wrong[i] != 1)
			ck_assert_int_eq(
			    decode_with(104, wrong[i]), VERDICT_CORRUPT);
		ck_assert_int_eq(
		    decode_with(408, wrong[i] | 1), VERDICT_CORRUPT);
	}
}
END_TEST

START_TEST(header_lengths_out_of_bounds_are_rejected)
{
	const uint32_t wrong[] = {
	    0, 639, 641, 576, JOURNAL_HEADER_LIMIT + 64, UINT32_MAX};
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct journal_header h = sample();

		header_encode(&h, volumes, targets, bytes);
		le_put32(bytes + 20, wrong[i]);
		ck_assert_int_eq(
		    decode_bytes(JOURNAL_HEADER_LIMIT), VERDICT_CORRUPT);
	}
}
END_TEST

START_TEST(reserved_bytes_and_padding_must_be_zero)
{
	struct journal_header h = sample();
	const size_t at[] = {244, 247, 412, 567, 668, 700, 720, 767};
	size_t i;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		header_encode(&h, volumes, targets, bytes);
		bytes[at[i]] ^= 1;
		header_fix_sum(bytes, h.header_len);
		ck_assert_msg(decode_bytes(h.header_len) == VERDICT_CORRUPT,
		    "byte %zu", at[i]);
	}
}
END_TEST

START_TEST(the_same_volume_twice_is_corrupt)
{
	struct journal_header h = sample();

	volumes[1].uuid = volumes[0].uuid;
	ck_assert_int_eq(decode(&h), VERDICT_CORRUPT);
}
END_TEST

START_TEST(a_volume_of_a_later_kind_is_unknown)
{
	struct journal_header h = sample();

	volumes[1].kind = (enum volume_kind)3;
	ck_assert_int_eq(decode(&h), VERDICT_UNKNOWN);
	volumes[1].kind = (enum volume_kind)0;
	ck_assert_int_eq(decode(&h), VERDICT_CORRUPT);
}
END_TEST

/* The sample's tables end at 720; 48 bytes of padding take an extension. */
static enum verdict
decode_extension(uint32_t area, uint32_t type, uint32_t len)
{
	struct journal_header h = sample();

	header_encode(&h, volumes, targets, bytes);
	le_put32(bytes + 408, area);
	le_put32(bytes + 720, type);
	le_put32(bytes + 724, len);
	header_fix_sum(bytes, h.header_len);
	return decode_bytes(h.header_len);
}

START_TEST(extensions_are_stepped_over_unless_critical)
{
	ck_assert_uint_eq(header_encoded_len(2, 1), 768);
	ck_assert_int_eq(decode_extension(16, 77, 8), VERDICT_WHOLE);
	ck_assert_int_eq(decode_extension(16, 77, 5), VERDICT_WHOLE);
	ck_assert_int_eq(
	    decode_extension(16, 77 | 0x80000000u, 8), VERDICT_UNKNOWN);
	ck_assert_int_eq(decode_extension(16, 77, 9), VERDICT_CORRUPT);
	ck_assert_int_eq(decode_extension(16, 77, UINT32_MAX), VERDICT_CORRUPT);
	ck_assert_int_eq(decode_extension(16, 0, 0), VERDICT_CORRUPT);
	ck_assert_int_eq(decode_extension(8, 77, 0), VERDICT_WHOLE);
	ck_assert_int_eq(decode_extension(56, 77, 0), VERDICT_CORRUPT);
}
END_TEST

static void
content(const struct journal_header *h, uint8_t out[DIGEST_LEN])
{
	EVP_MD_CTX *sha = EVP_MD_CTX_new();

	ck_assert_int_eq(EVP_DigestInit_ex(sha, EVP_sha256(), NULL), 1);
	ck_assert_int_eq(header_digest_canonical(h, volumes, targets, sha), 0);
	ck_assert_int_eq(EVP_DigestFinal_ex(sha, out, NULL), 1);
	EVP_MD_CTX_free(sha);
}

START_TEST(the_canonical_fields_know_nothing_of_the_encoding)
{
	struct journal_header h = sample(), other = sample();
	uint8_t a[DIGEST_LEN], b[DIGEST_LEN];

	other.codec = CODEC_ZLIB;
	other.sealed_time_ns++;
	other.file_len++;
	other.data_stored_len++;
	other.chunk_len++;
	other.iocb_len += 8;
	other.data_off++;
	other.salt[0]++;
	other.key_id[0]++;
	other.stored_digest[0]++;
	content(&h, a);
	content(&other, b);
	ck_assert_mem_eq(a, b, DIGEST_LEN);
	other.last_time_ns++;
	content(&other, b);
	ck_assert_mem_ne(a, b, DIGEST_LEN);
}
END_TEST

START_TEST(a_name_says_epoch_and_sequence)
{
	char name[JOURNAL_NAME_LEN];
	uint32_t epoch = 0;
	uint64_t sequence = 0;

	ck_assert_str_eq(
	    journal_name(0xabc, UINT64_C(0x123456789abcdef0), name),
	    "00000abc-123456789abcdef0.aim");
	ck_assert(journal_name_parse(name, &epoch, &sequence));
	ck_assert_uint_eq(epoch, 0xabc);
	ck_assert_uint_eq(sequence, UINT64_C(0x123456789abcdef0));
}
END_TEST

START_TEST(other_names_are_no_journal_names)
{
	static const char *const wrong[] = {"", "a", "../x",
	    "00000001-0000000000000001.AIM", "00000001-0000000000000001.aim ",
	    "0000000A-0000000000000001.aim", "00000001_0000000000000001.aim",
	    "00000001-000000000000001.aim", "000000001-000000000000001.aim",
	    "00000001-0000000000000001.ai", "0000000 -0000000000000001.aim",
	    "00000001-00000000000000-1.aim", "00000001-0000000000000001xaim"};
	uint32_t epoch = 7;
	uint64_t sequence = 7;
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(!journal_name_parse(wrong[i], &epoch, &sequence),
		    "%s", wrong[i]);
	ck_assert_uint_eq(epoch, 7);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("header");
	TCase *t = tcase_create("header");

	tcase_add_test(t, a_header_comes_back_as_it_was);
	tcase_add_test(t, every_truncation_is_partial);
	tcase_add_test(t, every_flipped_bit_is_found);
	tcase_add_test(t, zeroes_are_corrupt);
	tcase_add_test(t, a_text_file_is_corrupt);
	tcase_add_loop_test(
	    t, each_field_out_of_bounds_is_rejected, 0, CHANGES);
	tcase_add_test(t, counts_beyond_the_tables_are_rejected);
	tcase_add_test(t, header_lengths_out_of_bounds_are_rejected);
	tcase_add_test(t, reserved_bytes_and_padding_must_be_zero);
	tcase_add_test(t, the_same_volume_twice_is_corrupt);
	tcase_add_test(t, a_volume_of_a_later_kind_is_unknown);
	tcase_add_test(t, extensions_are_stepped_over_unless_critical);
	tcase_add_test(t, the_canonical_fields_know_nothing_of_the_encoding);
	tcase_add_test(t, a_name_says_epoch_and_sequence);
	tcase_add_test(t, other_names_are_no_journal_names);
	suite_add_tcase(s, t);
	return unit_run(s);
}
