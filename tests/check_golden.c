/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "tests/data/golden.h"

#include "common/io.h"
#include "fileformat/pairing.h"
#include "fileformat/sums.h"
#include "tests/journal_kit.h"
#include "tests/unit.h"

#include <string.h>
#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

/* Set by the Makefile: where the files of the repository are. */
#ifndef GOLDEN_DIR
#error GOLDEN_DIR is not set
#endif

static struct err e;

static void
load(const char *name, struct buf *out)
{
	AUTO_CLOSE int dir = -1;

	ck_assert_int_eq(io_open_dir(AT_FDCWD, GOLDEN_DIR, &dir, &e), 0);
	ck_assert_msg(
	    io_read_file(dir, name, 1 << 20, out, &e) == 0, "%s", e.text);
}

static void
load_key(const char *name, struct sign_public *out)
{
	AUTO(buf_release) struct buf b = {0};

	load(name, &b);
	b.data[64] = '\0';
	ck_assert_int_eq(hex_parse((const char *)b.data, out->key, 32, &e), 0);
}

static void
cleanup_reader(struct reader **r)
{
	reader_close(*r);
}

static struct journal_header
header_of(const char *name)
{
	AUTO(buf_release) struct buf b = {0};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;

	load(name, &b);
	fd = kit_fd(b.data, b.len);
	ck_assert_msg(reader_open(fd, name, &r, &e) == 0, "%s", e.text);
	return *reader_header(r);
}

START_TEST(every_golden_journal_file_is_still_valid)
{
	const char *name = golden_names[_i];
	AUTO(buf_release) struct buf b = {0};
	struct sign_public key;

	if (strstr(name, ".aim") == NULL)
		return;
#ifndef HAVE_ZSTD
	if (strstr(name, "zstd") != NULL)
		return;
#endif
	load(name, &b);
	load_key("source.pub", &key);
	ck_assert_msg(kit_verify(b.data, b.len, &key, &e) == 0, "%s", e.text);
}
END_TEST

START_TEST(the_golden_key_file_opens_the_encrypted_one)
{
	AUTO(buf_release) struct buf b = {0};
	struct journal_header h = header_of("5-encrypted.aim");
	struct group_key k;
	struct uuid group;

	load("group.key", &b);
	ck_assert_int_eq(
	    keyfile_decode((const char *)b.data, b.len, &group, &k, &e), 0);
	ck_assert(header_is_encrypted(&h));
	ck_assert(uuid_equal(&group, &h.group));
	ck_assert_mem_eq(k.id, h.group_key_id, KEY_ID_LEN);
}
END_TEST

START_TEST(they_form_a_chain)
{
	struct journal_header a = header_of("1-copyin-open.aim");
	struct journal_header b = header_of("2-plain.aim");
	struct journal_header z = header_of("2-plain-zlib.aim");
	struct journal_header y = header_of("2-plain-zstd.aim");
	struct journal_header c = header_of("3-empty.aim");
	struct journal_header d = header_of("4-epoch-break.aim");

	ck_assert_mem_eq(b.prev_digest, a.content_digest, DIGEST_LEN);
	ck_assert_mem_eq(b.content_digest, z.content_digest, DIGEST_LEN);
	ck_assert_mem_eq(y.content_digest, z.content_digest, DIGEST_LEN);
	ck_assert_mem_ne(y.stored_digest, z.stored_digest, DIGEST_LEN);
	ck_assert_mem_eq(c.prev_digest, z.content_digest, DIGEST_LEN);
	ck_assert_mem_eq(d.prev_digest, c.content_digest, DIGEST_LEN);
	ck_assert_uint_eq(d.fork, c.last);
	ck_assert_int_eq(z.codec, CODEC_ZLIB);
	ck_assert_int_eq(y.codec, CODEC_ZSTD);
}
END_TEST

START_TEST(the_golden_acknowledgement_is_still_valid)
{
	AUTO(buf_release) struct buf b = {0};
	struct sign_public key;
	bool valid = false;
	struct ack a;

	load("mirror.ack", &b);
	load_key("mirror.pub", &key);
	ck_assert_int_eq(ack_decode(b.data, b.len, &a, NULL), VERDICT_WHOLE);
	ck_assert_int_eq(ack_check(b.data, b.len, &key, &valid, &e), 0);
	ck_assert(valid);
	ck_assert_uint_eq(a.counter, 42);
	ck_assert_uint_eq(a.stored.epoch_number, 2);
	ck_assert_str_eq(a.reason, "a recovery is being collected");
}
END_TEST

START_TEST(the_golden_page_of_sums_is_still_valid)
{
	struct journal_header h = header_of("4-epoch-break.aim");
	AUTO(buf_release) struct buf b = {0};
	struct sign_public key;
	bool valid = false;
	struct sums s;

	load("mirror.0000.sums", &b);
	load_key("mirror.pub", &key);
	ck_assert_int_eq(sums_decode(b.data, b.len, &s, NULL), VERDICT_WHOLE);
	ck_assert_int_eq(sums_check(b.data, b.len, &key, &valid, &e), 0);
	ck_assert(valid);
	ck_assert_uint_eq(s.total, 3);
	ck_assert_mem_eq(s.begin.digest, h.content_digest, DIGEST_LEN);
	ck_assert_mem_eq(s.at.digest, h.prev_digest, DIGEST_LEN);
	ck_assert(!sums_is_none(b.data + SUMS_HEAD + SUMS_LEN));
	ck_assert(sums_is_none(b.data + SUMS_HEAD + 2 * SUMS_LEN));
}
END_TEST

START_TEST(the_golden_pairing_texts_are_still_valid)
{
	const char *name = _i == 0 ? "source.pairing" : "mirror.pairing";
	AUTO(buf_release) struct buf b = {0};
	struct pairing p = {0};
	struct sign_public key;

	load(name, &b);
	load_key(_i == 0 ? "source.pub" : "mirror.pub", &key);
	ck_assert_msg(pairing_decode((const char *)b.data, b.len, &p, &e) == 0,
	    "%s", e.text);
	ck_assert_mem_eq(p.key.key, key.key, 32);
	ck_assert_uint_eq(p.volume_count, 2);
	pairing_release(&p);
}
END_TEST

/* Another zlib or zstd may pack otherwise; the chain test has the content of
 * those files. */
static bool
is_made_by_others(const char *name)
{
	if (strstr(name, "zlib") != NULL)
		return strcmp(zlibVersion(), GOLDEN_ZLIB) != 0;
	if (strstr(name, "zstd") == NULL)
		return false;
#ifdef HAVE_ZSTD
	return strcmp(ZSTD_versionString(), GOLDEN_ZSTD) != 0;
#else
	return true;
#endif
}

START_TEST(made_again_they_are_the_same_bytes)
{
	struct unit_dir d;
	size_t i;

	unit_dir_make(&d);
	ck_assert_msg(golden_make(d.fd, &e) == 0, "%s", e.text);
	for (i = 0; golden_names[i] != NULL; i++) {
		AUTO(buf_release) struct buf is = {0};
		AUTO(buf_release) struct buf was = {0};

		if (is_made_by_others(golden_names[i]))
			continue;
		ck_assert_int_eq(
		    io_read_file(d.fd, golden_names[i], 1 << 20, &is, &e), 0);
		load(golden_names[i], &was);
		ck_assert_msg(
		    is.len == was.len && memcmp(is.data, was.data, is.len) == 0,
		    "%s differs", golden_names[i]);
	}
	unit_dir_drop(&d);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("golden");
	TCase *t = tcase_create("golden");

	tcase_add_loop_test(t, every_golden_journal_file_is_still_valid, 0, 13);
	tcase_add_test(t, the_golden_key_file_opens_the_encrypted_one);
	tcase_add_test(t, they_form_a_chain);
	tcase_add_test(t, the_golden_acknowledgement_is_still_valid);
	tcase_add_test(t, the_golden_page_of_sums_is_still_valid);
	tcase_add_loop_test(t, the_golden_pairing_texts_are_still_valid, 0, 2);
	tcase_add_test(t, made_again_they_are_the_same_bytes);
	suite_add_tcase(s, t);
	return unit_run(s);
}
