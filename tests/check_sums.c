/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of what is compared, pages of sums, and the mirror that makes them. */
#include "coordinator/compare.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"
#include "fileformat/sums.h"
#include "tests/mirror_unit.h"

#include "common/io.h"
#include "common/log.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

/* ---- lists ---- */

static struct runs list;
static const struct copyin_note note = {.id = {{7}}, .kind = COPYIN_RECOVERY};

static bool
comes_back(void)
{
	static struct runs out;
	uint8_t bytes[NOTE_LIMIT];
	struct copyin_note n;
	size_t len;

	if (!runs_encode(&note, &list, bytes, &len))
		return false;
	ck_assert(runs_decode(bytes, len, &out));
	ck_assert_uint_eq(out.count, list.count);
	ck_assert_uint_eq(out.grain_bits, list.grain_bits);
	for (uint32_t i = 0; i < list.count; i++) {
		ck_assert_uint_eq(out.at[i].volume, list.at[i].volume);
		ck_assert_uint_eq(out.at[i].first, list.at[i].first);
		ck_assert_uint_eq(out.at[i].count, list.at[i].count);
	}
	/* Who knows nothing of it sees a note as ever. */
	ck_assert_int_eq(
	    copyin_note_decode(bytes, len, &n, NULL), VERDICT_WHOLE);
	ck_assert(uuid_equal(&n.id, &note.id));
	for (size_t cut = 0; cut < len; cut++)
		ck_assert(!runs_decode(bytes, cut, &out));
	return true;
}

START_TEST(a_list_comes_back_as_it_was)
{
	uint64_t random = 3;

	for (int round = 0; round < 200; round++) {
		uint64_t at = 0;
		uint32_t volume = 0;

		list.grain_bits = 22;
		list.count =
		    1 +
		    (uint32_t)(rand_r(&(unsigned){(unsigned)(random += 77)}) %
			       40);
		for (uint32_t i = 0; i < list.count; i++) {
			if (i % 7 == 6) {
				volume += 1 + i % 3;
				at = 0;
			}
			at += (random * (i + 3)) % (i % 5 == 0 ? 1u << 30 : 9);
			list.at[i] = (struct run){volume, at, 1 + i % 11};
			at += list.at[i].count;
		}
		ck_assert(comes_back());
	}
}
END_TEST

START_TEST(a_list_that_breaks_a_rule_is_none)
{
	const struct runs good = {.grain_bits = 16,
	    .count = 3,
	    .at = {{0, 5, 2}, {0, 9, 1}, {4, 0, 3}}};

	list = good;
	ck_assert(comes_back());
	list.at[1].first = 6;
	ck_assert(!comes_back());
	list = good;
	list.at[1].volume = 5;
	ck_assert(!comes_back());
	list = good;
	list.at[2].volume = JOURNAL_VOLUME_LIMIT;
	ck_assert(!comes_back());
	list = good;
	list.at[2].count = 0;
	ck_assert(!comes_back());
	list = good;
	list.at[2].count = RUNS_SUM_LIMIT / 64 + 1;
	ck_assert(!comes_back());
	list = good;
	list.at[2].first = UINT64_C(1) << 41;
	ck_assert(!comes_back());
	list = good;
	list.grain_bits = 15;
	ck_assert(!comes_back());
	list.grain_bits = 23;
	ck_assert(!comes_back());
	list = good;
	list.count = 0;
	ck_assert(!comes_back());
}
END_TEST

START_TEST(any_bytes_make_a_proper_list_or_none)
{
	static struct runs out;
	uint8_t bytes[NOTE_LIMIT];
	unsigned seed = (unsigned)_i + 1;
	size_t len;

	list = (struct runs){.grain_bits = 16,
	    .count = 3,
	    .at = {{0, 5, 2}, {0, 9, 1}, {4, 0, 3}}};
	ck_assert(runs_encode(&note, &list, bytes, &len));
	for (int n = 0; n < 20000; n++) {
		uint8_t twisted[NOTE_LIMIT] = {0};

		memcpy(twisted, bytes, len);
		for (int k = 0; k < 3; k++)
			twisted[64 + (unsigned)rand_r(&seed) % 40] =
			    (uint8_t)rand_r(&seed);
		if (!runs_decode(
			twisted, 80 + (unsigned)rand_r(&seed) % 60, &out))
			continue;
		ck_assert_uint_le(runs_sums(&out), RUNS_SUM_LIMIT);
		ck_assert_uint_ge(out.grain_bits, RUNS_GRAIN_LEAST);
		ck_assert_uint_le(out.grain_bits, RUNS_GRAIN_MOST);
	}
}
END_TEST

START_TEST(every_sum_has_its_place)
{
	uint64_t off, seen = 0;
	uint32_t volume, number;

	list = (struct runs){.grain_bits = 20,
	    .count = 3,
	    .at = {{0, 5, 2}, {0, 9, 1}, {4, 0, 3}}};
	ck_assert_uint_eq(runs_sums(&list), 24);
	for (uint32_t i = 0; i < 24; i++) {
		runs_place(&list, i, &volume, &off);
		ck_assert(runs_find(&list, volume, off, &number));
		ck_assert_uint_eq(number, i);
		ck_assert(!runs_find(&list, volume, off + 65536, &number));
		seen += off;
	}
	ck_assert_uint_eq(
	    seen, (5 + 6 + 9 + 0 + 1 + 2) * 4 * (UINT64_C(1) << 22) +
		      6 * 6 * (UINT64_C(1) << 20));
	ck_assert(!runs_find(&list, 0, UINT64_C(7) << 22, &number));
	ck_assert(!runs_find(&list, 1, 0, &number));
	ck_assert(!runs_find(&list, 4, UINT64_C(3) << 22, &number));
}
END_TEST

/* ---- making lists ---- */

static struct extent_map map;

static void
mark(uint64_t extent)
{
	map.bits[extent / 8] |= (uint8_t)(1u << extent % 8);
}

START_TEST(what_is_marked_is_in_the_list)
{
	struct extents x = {.count = 1, .map = &map};
	uint64_t size = UINT64_C(40000) << 22, first, last;
	uint32_t number;

	map = (struct extent_map){.count = 40000, .bits = calloc(5000, 1)};
	ck_assert_int_eq(compare_make_runs(&x, &size, 1, &list), 0);
	mark(0);
	mark(1);
	mark(39999);
	ck_assert_int_eq(compare_make_runs(&x, &size, 1, &list), 1);
	ck_assert_uint_eq(list.count, 2);
	ck_assert_uint_eq(list.grain_bits, 16);
	ck_assert_uint_eq(runs_sums(&list), 192);
	/* More than fit: the shortest gaps are filled. */
	for (uint64_t i = 0; i < 40000; i += 8 + i % 3)
		mark(i);
	ck_assert_int_eq(compare_make_runs(&x, &size, 1, &list), 1);
	for (uint64_t i = 0; i < 40000; i++)
		if ((map.bits[i / 8] >> i % 8 & 1) != 0)
			ck_assert(runs_find(&list, 0, i << 22, &number));
	ck_assert_uint_le(list.count, RUNS_COUNT);
	/* Everything. */
	ck_assert_int_eq(compare_make_runs(NULL, &size, 1, &list), 1);
	ck_assert_uint_eq(list.count, 1);
	ck_assert_uint_eq(list.at[0].count, 40000);
	first = runs_sums(&list);
	ck_assert_uint_le(first, 256 * SUMS_IN_PAGE);
	/* More than there can ever be sums of. */
	size = UINT64_C(1) << 50;
	ck_assert_int_eq(compare_make_runs(NULL, &size, 1, &list), 1);
	last = runs_sums(&list);
	ck_assert_uint_eq(last, RUNS_SUM_LIMIT);
	ck_assert_uint_eq(list.grain_bits, 22);
	size = 0;
	ck_assert_int_eq(compare_make_runs(NULL, &size, 1, &list), 0);
	free(map.bits);
}
END_TEST

/* ---- pages ---- */

static struct sign_secret key;
static struct sums page;
static uint8_t sums_in[SUMS_IN_PAGE * SUMS_LEN], bytes[SUMS_LIMIT + 1];
static size_t len;

static void
setup_page(void)
{
	struct err e = {0};

	memset(key.seed, 1, sizeof(key.seed));
	OK(sign_derive(&key, &e));
	page = (struct sums){.stream = {{1}},
	    .group = {{2}},
	    .mirror = {{3}},
	    .mirror_site = {{4}},
	    .source_site = {{5}},
	    .copyin = {{6}},
	    .at = {{{7}}, 1, 9, 100, {8}},
	    .begin = {{{9}}, 2, 1, 120, {10}},
	    .grain_bits = 16,
	    .total = SUMS_IN_PAGE + 5,
	    .first = SUMS_IN_PAGE,
	    .count = 5};
	memset(sums_in, 0x5a, sizeof(sums_in));
	OK(sums_encode(&page, sums_in, &key, bytes, &len, &e));
}

static enum verdict
decode(struct sums *out)
{
	struct why why = {0};
	enum verdict v = sums_decode(bytes, len, out, &why);

	ck_assert(v == VERDICT_WHOLE || why.text[0] != '\0');
	return v;
}

START_TEST(a_page_comes_back_as_it_was)
{
	struct err e = {0};
	struct sign_secret other = {.seed = {9}};
	bool valid = false;
	struct sums out;

	ck_assert_uint_eq(len, 640 + 5 * 16);
	ck_assert_int_eq(decode(&out), VERDICT_WHOLE);
	ck_assert_uint_eq(out.total, SUMS_IN_PAGE + 5);
	ck_assert_uint_eq(out.first, SUMS_IN_PAGE);
	ck_assert_uint_eq(out.count, 5);
	ck_assert_uint_eq(out.at.last, 100);
	ck_assert_uint_eq(out.begin.last, 120);
	ck_assert(uuid_equal(&out.copyin, &page.copyin));
	ck_assert_mem_eq(bytes + SUMS_HEAD, sums_in, 5 * 16);
	OK(sums_check(bytes, len, &key.pub, &valid, &e));
	ck_assert(valid);
	OK(sign_derive(&other, &e));
	OK(sums_check(bytes, len, &other.pub, &valid, &e));
	ck_assert(!valid);
}
END_TEST

START_TEST(a_page_that_was_changed_is_not_believed)
{
	struct err e = {0};
	struct sums out;

	for (size_t i = 0; i < len; i++) {
		bool valid = false;

		if (i >= 632 && i < 640)
			continue;
		bytes[i] ^= 1;
		ck_assert_int_ne(decode(&out), VERDICT_WHOLE);
		/* Who can count can put the checksum right. */
		le_put64(bytes + 632, sum_with_hole(bytes, len, 632, 8));
		if (decode(&out) == VERDICT_WHOLE) {
			OK(sums_check(bytes, len, &key.pub, &valid, &e));
			ck_assert(!valid);
		}
		bytes[i] ^= 1;
		le_put64(bytes + 632, sum_with_hole(bytes, len, 632, 8));
		ck_assert_int_eq(decode(&out), VERDICT_WHOLE);
	}
	for (size_t n = len; n-- > 0;) {
		ck_assert_int_ne(
		    sums_decode(bytes, n, &out, NULL), VERDICT_WHOLE);
	}
	ck_assert_int_eq(
	    sums_decode(bytes, len + 1, &out, NULL), VERDICT_CORRUPT);
}
END_TEST

/* Field by field, with checksums that are right. */
START_TEST(what_a_page_must_not_say)
{
	static const struct {
		uint32_t at, value;
	} bad[] = {{16, 2}, {24, 1}, {48, 15}, {48, 23}, {52, 5},
	    {52, RUNS_SUM_LIMIT + 1}, {52, SUMS_IN_PAGE}, {56, 0}, {56, 16},
	    {56, 2 * SUMS_IN_PAGE}, {60, 4}, {60, 6}, {64, 1}, {84, 1},
	    {328, 1}, {380, 1}, {384, 7}, {560, 1}, {184, 0}, {184, 3}};
	struct sums out;

	le_put32(bytes + bad[_i].at, bad[_i].value);
	le_put64(bytes + 632, sum_with_hole(bytes, len, 632, 8));
	ck_assert_int_ne(decode(&out), VERDICT_WHOLE);
}
END_TEST

START_TEST(a_page_that_cannot_be_is_not_made)
{
	struct err e = {0};

	page.count = 4;
	ck_assert_int_eq(
	    sums_encode(&page, sums_in, &key, bytes, &len, &e), -1);
	page.count = 5;
	page.at.epoch_number = 2;
	page.at.sequence = 1;
	ck_assert_int_eq(
	    sums_encode(&page, sums_in, &key, bytes, &len, &e), -1);
	setup_page();
	page.total = page.first = page.count = 0;
	(void)snprintf(page.reason, sizeof(page.reason), "no key");
	OK(sums_encode(&page, NULL, &key, bytes, &len, &e));
	ck_assert_uint_eq(len, SUMS_HEAD);
}
END_TEST

/* ---- sums ---- */

static void
sum_of(const struct sums_key *k, const struct uuid *volume, uint64_t off,
    const uint8_t *data, uint64_t n, uint8_t out[SUMS_LEN])
{
	struct summer s;
	struct err e = {0};

	OK(summer_open(&s, k, &e));
	/* One that was used before is as good. */
	OK(compare_sum(&s, volume, 1, (const uint8_t *)"x", 1, out, &e));
	OK(compare_sum(&s, volume, off, data, n, out, &e));
	summer_close(&s);
}

START_TEST(a_sum_is_of_one_place_under_one_key)
{
	static uint8_t data[65536], zeroes[65536];
	const struct uuid a = {{1}}, b = {{2}};
	struct sums_key k = {{1}}, other = {{2}};
	uint8_t first[SUMS_LEN], next[SUMS_LEN];

	memset(data, 3, sizeof(data));
	sum_of(&k, &a, 65536, data, 65536, first);
	sum_of(&k, &a, 65536, data, 65536, next);
	ck_assert_mem_eq(first, next, SUMS_LEN);
	sum_of(&other, &a, 65536, data, 65536, next);
	ck_assert_mem_ne(first, next, SUMS_LEN);
	sum_of(&k, &b, 65536, data, 65536, next);
	ck_assert_mem_ne(first, next, SUMS_LEN);
	sum_of(&k, &a, 0, data, 65536, next);
	ck_assert_mem_ne(first, next, SUMS_LEN);
	sum_of(&k, &a, 65536, data, 65535, next);
	ck_assert_mem_ne(first, next, SUMS_LEN);
	data[65535]++;
	sum_of(&k, &a, 65536, data, 65536, next);
	ck_assert_mem_ne(first, next, SUMS_LEN);
	/* A hole is the same as zeroes, and none the less some length. */
	sum_of(&k, &a, 0, zeroes, 65536, first);
	sum_of(&k, &a, 0, NULL, 65536, next);
	ck_assert_mem_eq(first, next, SUMS_LEN);
	ck_assert(!sums_is_none(first));
	sum_of(&k, &a, 0, NULL, 65535, next);
	ck_assert_mem_ne(first, next, SUMS_LEN);
	sum_of(&k, &a, 0, NULL, 0, next);
	ck_assert(sums_is_none(next));
}
END_TEST

START_TEST(a_group_key_makes_other_sums)
{
	const uint8_t begin[DIGEST_LEN] = {1, 2, 3};
	struct group_key g = {.key = {4}}, h = {.key = {5}};
	struct sums_key plain, one, two;
	struct err e = {0};

	OK(sums_key_make(begin, NULL, &plain, &e));
	OK(sums_key_make(begin, &g, &one, &e));
	OK(sums_key_make(begin, &h, &two, &e));
	ck_assert_mem_eq(plain.key, begin, DIGEST_LEN);
	ck_assert_mem_ne(one.key, begin, DIGEST_LEN);
	ck_assert_mem_ne(one.key, two.key, DIGEST_LEN);
	ck_assert_mem_ne(one.key, g.key, DIGEST_LEN);
}
END_TEST

/* ---- the mirror ---- */

#define SIZE UINT64_C(200000)

static struct mirror_unit u;
static uint32_t base_end, asks;

/* A base; a break; a recovery of which all but the END will come. */
static void
setup_mirror(void)
{
	mirror_unit_make(&u, 6, SIZE);
	maker_base(&u.maker, u.made, COPYIN_BASE);
	base_end = u.maker.files;
	maker_break(&u.maker);
	maker_mix(&u.maker, 4);
	(void)maker_seal(&u.maker, u.made);
	asks = u.maker.files;
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
}

static void
teardown_mirror(void)
{
	mirror_unit_drop(&u);
}

static void
deliver_some(uint32_t from, uint32_t end)
{
	for (uint32_t i = from; i < end; i++)
		deliver(&u, i);
}

static bool
load_page(struct sums *out, uint8_t got[SUMS_LIMIT])
{
	AUTO(buf_release) struct buf b = {0};
	char name[SUMS_NAME_LEN];
	struct err e = {0};
	bool valid = false;

	if (!is_in(u.ack, sums_name(&u.config.uuid, 0, name)))
		return false;
	OK(io_read_file(u.ack, name, SUMS_LIMIT, &b, &e));
	ck_assert_int_eq(sums_decode(b.data, b.len, out, NULL), VERDICT_WHOLE);
	OK(sums_check(b.data, b.len, &u.home.key.pub, &valid, &e));
	ck_assert(valid);
	memcpy(got, b.data, b.len);
	return true;
}

/* The page says what the volumes have, which is what they had at the break. */
static void
page_is_right(void)
{
	static uint8_t got[SUMS_LIMIT], data[65536];
	const struct maker_file *at = &u.maker.file[base_end - 1];
	struct sums_key k;
	struct sums s;
	struct err e = {0};

	ck_assert(load_page(&s, got));
	ck_assert_mem_eq(s.at.digest, at->at.digest, DIGEST_LEN);
	ck_assert_mem_eq(
	    s.begin.digest, u.maker.file[asks].at.digest, DIGEST_LEN);
	ck_assert_uint_eq(s.total, 128);
	OK(sums_key_make(s.begin.digest, NULL, &k, &e));
	for (uint32_t i = 0; i < 128; i++) {
		uint64_t off = (i % 64) * UINT64_C(65536), n = 0;
		uint64_t size = at->size[i / 64];
		uint8_t mine[SUMS_LEN];

		/* What the source says it is, when that is less. */
		if (u.maker.file[asks - 1].size[i / 64] < size)
			size = u.maker.file[asks - 1].size[i / 64];
		if (off < size)
			n = size - off < 65536 ? size - off : 65536;
		memcpy(data, at->image[i / 64] + off, n);
		sum_of(&k, &u.maker.volume[i / 64].uuid, off, data, n, mine);
		ck_assert_mem_eq(
		    got + SUMS_HEAD + i * SUMS_LEN, mine, SUMS_LEN);
	}
}

START_TEST(a_mirror_that_holds_tells_what_it_has)
{
	uint8_t got[SUMS_LIMIT];
	struct sums s;

	deliver_some(0, base_end);
	run_both(&u);
	ck_assert(!load_page(&s, got));
	deliver_some(base_end, asks);
	run_both(&u);
	ck_assert(!load_page(&s, got));
	deliver_some(asks, u.maker.files - 1);
	run_both(&u);
	mirror_stands_at(&u, base_end - 1);
	page_is_right();
	/* The END comes, the image moves, and the page goes. */
	deliver_some(u.maker.files - 1, u.maker.files);
	run_both(&u);
	run_both(&u);
	mirror_stands_at(&u, u.maker.files - 1);
	ck_assert(!load_page(&s, got));
}
END_TEST

START_TEST(a_mirror_without_an_image_tells_nothing)
{
	uint8_t got[SUMS_LIMIT];
	struct sums s;

	/* The END of its base is not there. */
	deliver_some(0, base_end - 1);
	run_both(&u);
	ck_assert(!load_page(&s, got));
}
END_TEST

static int
work(void)
{
	struct err e = {0};

	return run_receive(&u, &e) < 0 || run_apply(&u, &e) < 0 ? -1 : 0;
}

static void
begin_asked(void)
{
	mirror_unit_reset(&u);
	deliver_some(0, base_end);
	run_both(&u);
	deliver_some(base_end, u.maker.files - 1);
}

static int
kill_at(void *ctx, enum sys_op op, const char *name)
{
	int *left = ctx;

	(void)op;
	(void)name;
	if ((*left)-- == 0)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

/* True when all was done before the n-th call. */
static bool
killed_at(int n)
{
	int status = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		sys_set_judge(kill_at, &n);
		_exit(work() == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status);
}

/* At every moment the page is not there or right. */
START_TEST(killed_at_any_call_it_tells_the_truth)
{
	uint8_t got[SUMS_LIMIT];
	struct sums s;
	int n;

	for (n = _i;; n += 4) {
		bool through;

		begin_asked();
		through = killed_at(n);
		if (load_page(&s, got))
			page_is_right();
		run_both(&u);
		page_is_right();
		mirror_stands_at(&u, base_end - 1);
		if (through)
			break;
	}
	ck_assert_int_gt(n, 20);
}
END_TEST

START_TEST(whatever_call_fails_the_mirror_goes_on)
{
	struct ladder l = {.trouble = _i % 2 == 0 ? EIO : ENOSPC,
	    .stays = _i >= 2,
	    .op = -1,
	    .rung = _i * 2};
	uint8_t got[SUMS_LIMIT];
	struct sums s;
	bool struck;

	do {
		begin_asked();
		ladder_set(&l);
		(void)work();
		struck = l.struck;
		ladder_unset();
		if (load_page(&s, got) && s.total > 0)
			page_is_right();
		deliver_some(base_end, u.maker.files);
		run_both(&u);
		mirror_stands_at(&u, u.maker.files - 1);
		l.rung += 9;
	} while (struck);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sums");
	TCase *t = tcase_create("lists");

	log_set_level(LOG_ERROR_);
	tcase_add_test(t, a_list_comes_back_as_it_was);
	tcase_add_test(t, a_list_that_breaks_a_rule_is_none);
	tcase_add_loop_test(t, any_bytes_make_a_proper_list_or_none, 0, 3);
	tcase_add_test(t, every_sum_has_its_place);
	tcase_add_test(t, what_is_marked_is_in_the_list);
	suite_add_tcase(s, t);
	t = tcase_create("pages");
	tcase_add_checked_fixture(t, setup_page, NULL);
	tcase_add_test(t, a_page_comes_back_as_it_was);
	tcase_add_test(t, a_page_that_was_changed_is_not_believed);
	tcase_add_loop_test(t, what_a_page_must_not_say, 0, 20);
	tcase_add_test(t, a_page_that_cannot_be_is_not_made);
	tcase_add_test(t, a_sum_is_of_one_place_under_one_key);
	tcase_add_test(t, a_group_key_makes_other_sums);
	suite_add_tcase(s, t);
	t = tcase_create("mirror");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup_mirror, teardown_mirror);
	tcase_add_test(t, a_mirror_that_holds_tells_what_it_has);
	tcase_add_test(t, a_mirror_without_an_image_tells_nothing);
	tcase_add_loop_test(t, killed_at_any_call_it_tells_the_truth, 0, 4);
	tcase_add_loop_test(t, whatever_call_fails_the_mirror_goes_on, 0, 4);
	suite_add_tcase(s, t);
	return unit_run(s);
}
