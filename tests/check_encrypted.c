/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted journal files: writer, reader, and what an adversary may try. */
#include "aimdriver/reader.h"
#include "aimdriver/writer.h"

#include "common/cleanup.h"
#include "fileformat/le.h"
#include "tests/journal_kit.h"
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#define STORED_LEN (CRYPT_BLOCK + CRYPT_TAG)

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
	kit_encrypt(&k);
	err_clear(&e);
}

static void
write_ok(struct buf *out, struct journal_header *h)
{
	ck_assert_msg(kit_write(&k, out, h, &e) == 0, "%s", e.text);
}

static int
verify(const struct buf *file)
{
	err_clear(&e);
	return kit_verify(file->data, file->len, &k.key.pub, &e);
}

/* Signs again what was changed: all but the group's key is the adversary's. */
static void
sign_again(struct buf *file, uint32_t header_len)
{
	uint8_t signature[SIGNATURE_LEN];

	header_blank(file->data);
	ck_assert_int_eq(sign_bytes(&k.key, JOURNAL_DOMAIN, file->data,
			     header_len, signature, NULL),
	    0);
	header_set_signature(file->data, signature);
	header_fix_sum(file->data, header_len);
}

/* The stored digest as the format tells it, then the signature. */
static void
mend(struct buf *file, uint32_t header_len)
{
	AUTO(buf_release) struct buf sums = {0};
	static const char domain[16] = "aim stored 2";
	size_t at, n;

	ck_assert_int_eq(buf_add(&sums, domain, sizeof(domain), NULL), 0);
	for (at = header_len; at < file->len; at += n) {
		uint8_t one[DIGEST_LEN];

		n = file->len - at < STORED_LEN ? file->len - at : STORED_LEN;
		ck_assert_int_eq(
		    digest_bytes(file->data + at, n, one, NULL), 0);
		ck_assert_int_eq(buf_add(&sums, one, sizeof(one), NULL), 0);
	}
	ck_assert_int_eq(
	    digest_bytes(sums.data, sums.len, file->data + 328, NULL), 0);
	sign_again(file, header_len);
}

/* Enough for five blocks, the first of them with the IOCBs; bytes that differ
 * from place to place. */
static void
add_much(void)
{
	static uint8_t payload[4 * CRYPT_BLOCK + 1000];
	size_t i;

	for (i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 31 + (i >> 8) + (i >> 16));
	(void)kit_add(&k, OP_WRITE, 0, 0, sizeof(payload));
	k.data[k.spec.iocb_count - 1] = payload;
}

static bool
contains(const struct buf *file, const void *what, size_t len)
{
	return memmem(file->data, file->len, what, len) != NULL;
}

/* ---- round trips ---- */

/* i: codec, chunk length; before the walk it is verified, or not. */
START_TEST(every_operation_comes_back_as_it_was)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	struct journal_header h;
	const uint8_t *data;
	struct iocb b;
	uint32_t i;

	k.spec.codec = _i % 2 == 0 ? CODEC_NONE : CODEC_ZLIB;
	k.spec.chunk_len = _i < 2 ? 0 : 900;
	kit_add_all(&k);
	write_ok(&file, &h);
	ck_assert(header_is_encrypted(&h));
	ck_assert_uint_eq(h.file_len, file.len);
	ck_assert_mem_eq(h.group_key_id, k.group_key.id, KEY_ID_LEN);
	fd = kit_fd(file.data, file.len);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	kit_give_key(r);
	ck_assert_msg(
	    _i < 4 || reader_verify(r, &k.key.pub, &e) == 0, "%s", e.text);
	for (i = 0; i < k.spec.iocb_count; i++) {
		ck_assert_msg(reader_next(r, &b, &data, &e) == 1, "%s", e.text);
		ck_assert_uint_eq(b.op, k.entries[i].op);
		ck_assert_uint_eq(b.off, k.entries[i].off);
		if (data != NULL)
			ck_assert_mem_eq(data, k.data[i], (size_t)b.len);
	}
	ck_assert_int_eq(reader_next(r, &b, &data, &e), 0);
}
END_TEST

/* i: bytes of Data around the ends of blocks. */
START_TEST(a_file_of_any_length_comes_back)
{
	static uint8_t payload[3 * CRYPT_BLOCK];
	AUTO(buf_release) struct buf file = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	struct reader_room room = {0};
	AUTO_CLOSE int fd = -1;
	struct journal_header h;
	const uint8_t *data;
	struct iocb b;
	/* Blind, one IOCB and one chunk's head come before. */
	size_t before = BLIND_LEN + IOCB_LEN + 24;
	size_t len =
	    (size_t)(_i / 5 + 1) * CRYPT_BLOCK - before + (size_t)(_i % 5) - 2;
	size_t i;

	for (i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * 13 + (i >> 8));
	(void)kit_add(&k, OP_WRITE, 0, 0, len);
	k.data[0] = payload;
	write_ok(&file, &h);
	ck_assert_int_eq(verify(&file), 0);
	ck_assert_uint_eq(
	    (file.len - h.header_len + STORED_LEN - 1) / STORED_LEN,
	    header_blocks(&h));
	fd = kit_fd(file.data, file.len);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	kit_give_key(r);
	ck_assert_msg(reader_load(r, &k.key.pub, &room, &e) == 0, "%s", e.text);
	ck_assert_int_eq(reader_next(r, &b, &data, &e), 1);
	ck_assert_mem_eq(data, payload, len);
	ck_assert_int_eq(reader_next(r, &b, &data, &e), 0);
	reader_room_release(&room);
}
END_TEST

START_TEST(a_file_may_hold_no_transaction)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;

	k.spec.header.compat = 0;
	k.spec.header.last = 100;
	write_ok(&file, &h);
	ck_assert_uint_eq(file.len, h.header_len + BLIND_LEN + CRYPT_TAG);
	ck_assert_int_eq(verify(&file), 0);
	file.data[h.header_len] ^= 1;
	mend(&file, h.header_len);
	ck_assert_int_lt(verify(&file), 0);
}
END_TEST

START_TEST(nothing_of_the_content_is_in_it)
{
	static const char secret[] = "the quick brown fox jumps over the dog";
	AUTO(buf_release) struct buf file = {0};
	AUTO(buf_release) struct buf again = {0};
	struct journal_header h, other;

	(void)kit_add(&k, OP_WRITE, 0, 4096, sizeof(secret));
	k.data[0] = (const uint8_t *)secret;
	write_ok(&file, &h);
	ck_assert(!contains(&file, secret, 8));
	/* Another salt is another file from the first byte on; the same blind,
	 * the same content. */
	k.spec.header.salt[0]++;
	write_ok(&again, &other);
	ck_assert_mem_ne(
	    file.data + h.header_len, again.data + h.header_len, 16);
	ck_assert_mem_eq(h.content_digest, other.content_digest, DIGEST_LEN);
	/* Who guesses the content cannot find it confirmed. */
	k.spec.blind[0]++;
	write_ok(&again, &other);
	ck_assert_mem_ne(h.content_digest, other.content_digest, DIGEST_LEN);
	k.spec.group_key = NULL;
	write_ok(&again, &other);
	ck_assert_mem_ne(h.content_digest, other.content_digest, DIGEST_LEN);
	ck_assert(contains(&again, secret, 8));
}
END_TEST

START_TEST(every_encoding_draws_its_salt_and_blind)
{
	AUTO(buf_release) struct buf a = {0};
	AUTO(buf_release) struct buf b = {0};
	struct journal_header ha, hb;

	memset(k.spec.header.salt, 0, SALT_LEN);
	memset(k.spec.blind, 0, BLIND_LEN);
	kit_add_all(&k);
	write_ok(&a, &ha);
	write_ok(&b, &hb);
	ck_assert_mem_ne(ha.salt, hb.salt, SALT_LEN);
	ck_assert_mem_ne(ha.content_digest, hb.content_digest, DIGEST_LEN);
	ck_assert_int_eq(verify(&a), 0);
	ck_assert_int_eq(verify(&b), 0);
}
END_TEST

/* ---- keys ---- */

START_TEST(without_the_key_the_header_and_the_stored_bytes_can_be_checked)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;
	const uint8_t *data;
	struct iocb b;

	memset(k.group_key.key, 0x45, sizeof(k.group_key.key));
	ck_assert_int_eq(group_key_derive(&k.group_key, NULL), 0);
	kit_add_all(&k);
	write_ok(&file, NULL);
	fd = kit_fd(file.data, file.len);
	ck_assert_int_eq(reader_open(fd, "f", &r, &e), 0);
	ck_assert_int_eq(reader_check_signature(r, &k.key.pub, &e), 0);
	ck_assert_int_eq(reader_check_stored(r, &e), 0);
	ck_assert_int_lt(reader_next(r, &b, &data, &e), 0);
	ck_assert_int_eq(e.kind, ERR_REFUSED); /* nobody to ask */
	kit_give_key(r);
	ck_assert_int_lt(reader_verify(r, &k.key.pub, &e), 0);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_int_eq(e.sys, ENOKEY);
	ck_assert_ptr_nonnull(strstr(e.text, "key import"));
	reader_rewind(r);
	ck_assert_int_lt(reader_next_iocb(r, &b, &e), 0);
	ck_assert_int_eq(e.sys, ENOKEY);
}
END_TEST

START_TEST(another_key_under_its_id_opens_nothing)
{
	AUTO(buf_release) struct buf file = {0};
	struct group_key right = k.group_key;

	kit_add_all(&k);
	k.group_key.key[3] ^= 1; /* the id stays that of the right one */
	write_ok(&file, NULL);
	ck_assert_int_lt(verify(&file), 0);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "does not open"));
	k.group_key = right;
	write_ok(&file, NULL);
	ck_assert_int_eq(verify(&file), 0);
}
END_TEST

START_TEST(a_key_file_comes_back_and_any_change_is_seen)
{
	const struct uuid group = {{1, 2, 3}};
	char text[KEYFILE_LEN];
	struct group_key back;
	struct uuid g;
	size_t i, len;

	keyfile_encode(&group, &k.group_key, text);
	len = strlen(text);
	ck_assert_int_eq(keyfile_decode(text, len, &g, &back, &e), 0);
	ck_assert(uuid_equal(&g, &group));
	ck_assert_mem_eq(&back, &k.group_key, sizeof(back));
	for (i = 0; i < len; i++) {
		ck_assert_int_lt(keyfile_decode(text, i, &g, &back, &e), 0);
		text[i] ^= 1;
		/* Of the group's name one digit may become another. */
		if (keyfile_decode(text, len, &g, &back, &e) == 0)
			ck_assert(!uuid_equal(&g, &group));
		ck_assert_ptr_null(strstr(e.text, "444444"));
		text[i] ^= 1;
	}
	ck_assert_int_lt(keyfile_decode(text, 5000, &g, &back, &e), 0);
}
END_TEST

START_TEST(an_id_is_that_of_the_document)
{
	/* SHA-256("aim group key 1" and a zero || 32 times 0x44) */
	static const char id[] = "8827f9f083cfa98a6d6f7ac43cfb41b2";
	char is[2 * KEY_ID_LEN + 1];

	ck_assert_str_eq(hex_text(k.group_key.id, KEY_ID_LEN, is), id);
}
END_TEST

/* ---- an adversary without the group's key, but with all others ---- */

START_TEST(every_flipped_bit_is_rejected)
{
	AUTO(buf_release) struct buf file = {0};
	size_t bit;

	(void)kit_add(&k, OP_WRITE, 0, 4096, 40);
	(void)kit_add(&k, OP_RESIZE, 0, 5000, 1 << 20);
	write_ok(&file, NULL);
	for (bit = 0; bit < file.len * 8; bit++) {
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_msg(
		    verify(&file) < 0, "bit %zu of byte %zu", bit % 8, bit / 8);
		ck_assert(e.kind == ERR_CORRUPT || e.kind == ERR_REFUSED);
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(verify(&file), 0);
}
END_TEST

/* Signed again: now only the encryption can tell. */
START_TEST(every_flipped_bit_behind_the_header_does_not_open)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;
	size_t bit;

	(void)kit_add(&k, OP_WRITE, 0, 4096, 40);
	write_ok(&file, &h);
	for (bit = (size_t)h.header_len * 8; bit < file.len * 8; bit += 3) {
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		mend(&file, h.header_len);
		ck_assert_msg(
		    verify(&file) < 0, "bit %zu of byte %zu", bit % 8, bit / 8);
		ck_assert_ptr_nonnull(strstr(e.text, "does not open"));
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	mend(&file, h.header_len);
	ck_assert_int_eq(verify(&file), 0);
}
END_TEST

/* Every byte of the header is bound to the last block, but for what is made
 * after it: stored digest, signature, checksum. */
START_TEST(another_header_does_not_open_it)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;
	size_t at, opened = 0;

	(void)kit_add(&k, OP_WRITE, 0, 4096, 40);
	write_ok(&file, &h);
	for (at = 16; at < h.header_len; at++) {
		if ((at >= 328 && at < 360) || (at >= 568 && at < 640))
			continue;
		file.data[at] ^= 1;
		sign_again(&file, h.header_len);
		ck_assert_msg(verify(&file) < 0, "byte %zu", at);
		opened += strstr(e.text, "does not open") != NULL;
		file.data[at] ^= 1;
	}
	/* Others make no sense already. */
	ck_assert_uint_ge(opened, 100);
}
END_TEST

START_TEST(every_truncation_and_any_tail_is_rejected)
{
	AUTO(buf_release) struct buf file = {0};
	size_t len;

	kit_add_all(&k);
	write_ok(&file, NULL);
	for (len = 0; len < file.len; len++)
		ck_assert_int_lt(kit_verify(file.data, len, &k.key.pub, &e), 0);
	ck_assert_int_eq(buf_add(&file, "", 1, &e), 0);
	ck_assert_int_lt(verify(&file), 0);
}
END_TEST

/* All lengths of the header made to fit what is left. */
START_TEST(a_file_cut_between_blocks_does_not_open)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;
	size_t blocks;

	add_much();
	write_ok(&file, &h);
	ck_assert_uint_eq(header_blocks(&h), 5);
	for (blocks = 1; blocks < 5; blocks++) {
		uint64_t plain = blocks * CRYPT_BLOCK;
		uint64_t stored = plain - BLIND_LEN - IOCB_LEN;
		AUTO(buf_release) struct buf cut = {0};

		ck_assert_int_eq(buf_add(&cut, file.data,
				     h.header_len + blocks * STORED_LEN, NULL),
		    0);
		le_put64(cut.data + 48, cut.len);
		le_put64(cut.data + 80, stored);
		le_put64(cut.data + 88, stored - 24);
		le_put32(cut.data + 96, JOURNAL_CHUNK_LIMIT);
		mend(&cut, h.header_len);
		ck_assert_int_lt(verify(&cut), 0);
		ck_assert_msg(
		    strstr(e.text, "does not open") != NULL, "%s", e.text);
	}
}
END_TEST

START_TEST(blocks_swapped_or_repeated_do_not_open)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(buf_release) struct buf bad = {0};
	struct journal_header h;
	size_t a, b;

	add_much();
	write_ok(&file, &h);
	for (a = 0; a < 4; a++)
		for (b = 0; b < 4; b++) {
			if (a == b)
				continue;
			bad.len = 0;
			ck_assert_int_eq(
			    buf_add(&bad, file.data, file.len, NULL), 0);
			memcpy(bad.data + h.header_len + a * STORED_LEN,
			    file.data + h.header_len + b * STORED_LEN,
			    STORED_LEN);
			if (a < b) /* else b twice */
				memcpy(bad.data + h.header_len + b * STORED_LEN,
				    file.data + h.header_len + a * STORED_LEN,
				    STORED_LEN);
			mend(&bad, h.header_len);
			ck_assert_int_lt(verify(&bad), 0);
			ck_assert_ptr_nonnull(strstr(e.text, "does not open"));
		}
}
END_TEST

/* The same plain bytes at the same place, but sealed for another file. */
START_TEST(a_block_of_another_encoding_does_not_open)
{
	AUTO(buf_release) struct buf file = {0};
	AUTO(buf_release) struct buf other = {0};
	struct journal_header h;
	size_t a;

	add_much();
	write_ok(&file, &h);
	k.spec.header.salt[0]++;
	write_ok(&other, NULL);
	ck_assert_uint_eq(file.len, other.len);
	for (a = 0; a < 5; a++) {
		size_t at = h.header_len + a * STORED_LEN;
		size_t n =
		    file.len - at < STORED_LEN ? file.len - at : STORED_LEN;
		uint8_t was[STORED_LEN];

		memcpy(was, file.data + at, n);
		memcpy(file.data + at, other.data + at, n);
		mend(&file, h.header_len);
		ck_assert_int_lt(verify(&file), 0);
		ck_assert_ptr_nonnull(strstr(e.text, "does not open"));
		memcpy(file.data + at, was, n);
	}
	mend(&file, h.header_len);
	ck_assert_int_eq(verify(&file), 0);
}
END_TEST

/* The flag alone is not enough either way. */
START_TEST(a_header_cannot_say_that_it_is_plain)
{
	AUTO(buf_release) struct buf file = {0};
	struct journal_header h;

	kit_add_all(&k);
	write_ok(&file, &h);
	file.data[24] &= 0xfe;
	memset(file.data + 412, 0, KEY_ID_LEN);
	le_put64(file.data + 48, h.data_off + h.data_stored_len);
	file.len = (size_t)(h.data_off + h.data_stored_len);
	sign_again(&file, h.header_len);
	ck_assert_int_lt(verify(&file), 0);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
}
END_TEST

/* Each call fails in its turn; what is left must never read as whole. */
START_TEST(a_write_that_fails_anywhere_leaves_no_journal_file)
{
	struct ladder l = {.trouble = _i == 0 ? EIO : ENOSPC, .op = -1};

	add_much();
	for (;; l.rung++) {
		AUTO_CLOSE int fd = kit_fd(NULL, 0);
		AUTO(cleanup_writer) struct writer *w = NULL;
		AUTO(cleanup_reader) struct reader *r = NULL;
		int rc;

		ladder_set(&l);
		rc = writer_open(fd, &k.spec, &w, &e);
		if (rc == 0)
			rc = writer_add(w, &k.entries[0], k.data[0], &e);
		if (rc == 0)
			rc = writer_finish(w, NULL, &e);
		ladder_unset();
		ck_assert_int_eq(rc, l.struck ? -1 : 0);
		if (!l.struck)
			break;
		/* The header comes last; only the sync is after it. */
		if (strstr(e.text, "fsync") == NULL)
			ck_assert_int_lt(reader_open(fd, "f", &r, &e), 0);
	}
	ck_assert_int_ge(l.rung, 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("encrypted");
	TCase *t = tcase_create("encrypted");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, every_operation_comes_back_as_it_was, 0, 8);
	tcase_add_loop_test(t, a_file_of_any_length_comes_back, 0, 10);
	tcase_add_test(t, a_file_may_hold_no_transaction);
	tcase_add_test(t, nothing_of_the_content_is_in_it);
	tcase_add_test(t, every_encoding_draws_its_salt_and_blind);
	tcase_add_test(
	    t, without_the_key_the_header_and_the_stored_bytes_can_be_checked);
	tcase_add_test(t, another_key_under_its_id_opens_nothing);
	tcase_add_test(t, a_key_file_comes_back_and_any_change_is_seen);
	tcase_add_test(t, an_id_is_that_of_the_document);
	tcase_add_test(t, every_flipped_bit_is_rejected);
	tcase_add_test(t, every_flipped_bit_behind_the_header_does_not_open);
	tcase_add_test(t, another_header_does_not_open_it);
	tcase_add_test(t, every_truncation_and_any_tail_is_rejected);
	tcase_add_test(t, a_file_cut_between_blocks_does_not_open);
	tcase_add_test(t, blocks_swapped_or_repeated_do_not_open);
	tcase_add_test(t, a_block_of_another_encoding_does_not_open);
	tcase_add_test(t, a_header_cannot_say_that_it_is_plain);
	tcase_add_loop_test(
	    t, a_write_that_fails_anywhere_leaves_no_journal_file, 0, 2);
	suite_add_tcase(s, t);
	return unit_run(s);
}
