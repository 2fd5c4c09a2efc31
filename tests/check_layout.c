/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference deals the copies of each chunk to the members one by one, as
 * the text says, and writes down for each byte of each member what it is; the
 * maps must agree with that, byte by byte.
 */
#include "fileformat/layout.h"
#include "tests/unit.h"

#include <inttypes.h>
#include <stdio.h>

#define CHUNK 4096u
#define MOST_CHUNKS 40u
#define NOTHING UINT64_MAX

struct dealt {
	uint64_t size; /* of the volume */
	uint32_t copies;
	uint64_t member_size[LAYOUT_MOST];
	/* by member and row: which chunk, and which copy of it */
	uint64_t chunk[LAYOUT_MOST][2 * MOST_CHUNKS];
	uint32_t copy[LAYOUT_MOST][2 * MOST_CHUNKS];
};

static struct dealt the_dealt;

static const struct layout layouts[] = {
    {LAYOUT_RAID0, 2, CHUNK},
    {LAYOUT_RAID0, 3, CHUNK},
    {LAYOUT_RAID0, 7, CHUNK},
    {LAYOUT_RAID0, 64, CHUNK},
    {LAYOUT_RAID10, 4, CHUNK},
    {LAYOUT_RAID10, 6, CHUNK},
    {LAYOUT_RAID10, 64, CHUNK},
    {LAYOUT_RAID1E, 3, CHUNK},
    {LAYOUT_RAID1E, 4, CHUNK},
    {LAYOUT_RAID1E, 5, CHUNK},
    {LAYOUT_RAID1E, 9, CHUNK},
    {LAYOUT_RAID1E, 63, CHUNK},
};
#define LAYOUTS ((int)(sizeof(layouts) / sizeof(layouts[0])))

/* Whole chunks, odd numbers of bytes, one byte more or less. */
static const uint64_t sizes[] = {0, 1, 511, CHUNK - 1, CHUNK, CHUNK + 1,
    2 * CHUNK, 3 * CHUNK - 1, 3 * CHUNK, 3 * CHUNK + 1, 7 * CHUNK + 77,
    12 * CHUNK, 31 * CHUNK + 4095, MOST_CHUNKS *CHUNK};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void
deal(const struct layout *l, uint64_t size, struct dealt *d)
{
	uint32_t next = 0, rows[LAYOUT_MOST] = {0}, j;
	uint64_t left, k;

	memset(d, 0, sizeof(*d));
	d->size = size;
	d->copies = l->level == LAYOUT_RAID0 ? 1 : 2;
	for (k = 0, left = size; left > 0; k++) {
		uint64_t len = left < CHUNK ? left : CHUNK;

		for (j = 0; j < d->copies; j++) {
			d->chunk[next][rows[next]] = k;
			d->copy[next][rows[next]] = j;
			d->member_size[next] += len;
			rows[next]++;
			next = next + 1 == l->members ? 0 : next + 1;
		}
		left -= len;
	}
}

START_TEST(a_member_is_as_large_as_what_was_dealt_to_it)
{
	const struct layout *l = &layouts[_i];
	struct dealt *d = &the_dealt;

	for (size_t s = 0; s < SIZES; s++) {
		deal(l, sizes[s], d);
		for (uint32_t m = 0; m < l->members; m++)
			ck_assert_uint_eq(layout_member_size(l, sizes[s], m),
			    d->member_size[m]);
	}
}
END_TEST

/* Every byte of every member is just what was dealt there, so no two bytes of
 * a copy meet, and none is missing. */
START_TEST(a_member_maps_back_to_what_was_dealt_to_it)
{
	const struct layout *l = &layouts[_i];
	struct dealt *d = &the_dealt;
	struct layout_piece p, there;

	deal(l, sizes[SIZES - 2], d);
	for (uint32_t m = 0; m < l->members; m++)
		for (uint64_t off = 0; off < d->member_size[m]; off += 509) {
			uint64_t row = off / CHUNK;

			layout_unmap(l, m, off, d->member_size[m] - off, &p);
			ck_assert_uint_eq(p.member, m);
			ck_assert_uint_eq(p.member_off, off);
			ck_assert_uint_eq(p.volume_off,
			    d->chunk[m][row] * CHUNK + off % CHUNK);
			ck_assert_uint_eq(p.copy, d->copy[m][row]);
			ck_assert_uint_gt(p.len, 0);
			ck_assert_uint_le(p.volume_off + p.len, d->size);
			layout_map(l, p.volume_off, p.len, p.copy, &there);
			ck_assert_mem_eq(&there, &p, sizeof(p));
		}
}
END_TEST

/* Follows a range of one copy, and says what it covers in `seen`. */
static void
follow(const struct layout *l, const struct dealt *d, uint64_t off,
    uint64_t len, uint32_t copy)
{
	struct layout_piece p, back;
	uint64_t at = off, end = off + len;

	for (; at < end; at += p.len) {
		layout_map(l, at, end - at, copy, &p);
		ck_assert_uint_eq(p.volume_off, at);
		ck_assert_uint_eq(p.copy, copy);
		ck_assert_uint_gt(p.len, 0);
		ck_assert_uint_le(p.len, end - at);
		ck_assert_uint_le(
		    p.member_off + p.len, d->member_size[p.member]);
		ck_assert_uint_eq(p.member_off % CHUNK, at % CHUNK);
		ck_assert_uint_le(p.member_off % CHUNK + p.len, CHUNK);
		ck_assert_uint_eq(
		    d->chunk[p.member][p.member_off / CHUNK], at / CHUNK);
		ck_assert_uint_eq(
		    d->copy[p.member][p.member_off / CHUNK], copy);
		layout_unmap(l, p.member, p.member_off, p.len, &back);
		ck_assert_mem_eq(&back, &p, sizeof(p));
	}
	ck_assert_uint_eq(at, end);
}

START_TEST(ranges_follow_what_was_dealt_across_chunks)
{
	const struct layout *l = &layouts[_i];
	struct dealt *d = &the_dealt;
	uint64_t size = 31 * CHUNK + 4095, off, len;
	uint32_t random = 12345, n, copy;

	deal(l, size, d);
	for (copy = 0; copy < d->copies; copy++)
		follow(l, d, 0, size, copy);
	for (n = 0; n < 400; n++) {
		random = random * 1664525u + 1013904223u;
		off = (random >> 4) % size;
		random = random * 1664525u + 1013904223u;
		len = 1 + (random >> 4) % (size - off);
		follow(l, d, off, len, n % d->copies);
	}
	follow(l, d, CHUNK - 1, 1, 0);
	follow(l, d, CHUNK - 1, 2, 0);
	follow(l, d, size - 1, 1, d->copies - 1);
}
END_TEST

START_TEST(copies_are_on_different_members)
{
	const struct layout *l = &layouts[_i];
	uint32_t held[LAYOUT_MOST] = {0}, of[LAYOUT_MOST], k, j, i, n;
	struct layout_piece p;

	for (k = 0; k < 4 * l->members; k++) {
		n = layout_holders(l, (uint64_t)k * CHUNK + 7, of);
		ck_assert_uint_eq(n, l->level == LAYOUT_RAID0 ? 1 : 2);
		ck_assert_uint_eq(n, layout_copies(l));
		for (j = 0; j < n; j++) {
			layout_map(l, (uint64_t)k * CHUNK + 7, 1, j, &p);
			for (i = 0; i < n && of[i] != p.member; i++)
				continue;
			ck_assert_uint_lt(i, n);
			for (i = 0; i < j; i++)
				ck_assert_uint_ne(of[i], of[j]);
		}
		held[of[0]]++;
	}
	/* All have their part in being read first. */
	for (i = 0; i < l->members; i++)
		ck_assert_uint_eq(held[i], 4);
}
END_TEST

/* By hand: the picture in layout.h. */
START_TEST(raid1e_with_three_members_is_as_drawn)
{
	const struct layout l = {LAYOUT_RAID1E, 3, CHUNK};
	static const uint32_t at[][2] = {
	    {0, 1}, {2, 0}, {1, 2}, {0, 1}, {2, 0}};
	static const uint64_t row[][2] = {
	    {0, 0}, {0, 1}, {1, 1}, {2, 2}, {2, 3}};
	struct layout_piece p;

	for (uint32_t k = 0; k < 5; k++)
		for (uint32_t j = 0; j < 2; j++) {
			layout_map(&l, (uint64_t)k * CHUNK, CHUNK, j, &p);
			ck_assert_uint_eq(p.member, at[k][j]);
			ck_assert_uint_eq(p.member_off, row[k][j] * CHUNK);
			ck_assert_uint_eq(p.len, CHUNK);
		}
	ck_assert_uint_eq(layout_member_size(&l, 5 * CHUNK, 0), 4 * CHUNK);
	ck_assert_uint_eq(layout_member_size(&l, 5 * CHUNK, 1), 3 * CHUNK);
	ck_assert_uint_eq(layout_member_size(&l, 5 * CHUNK, 2), 3 * CHUNK);
	ck_assert_uint_eq(
	    layout_member_size(&l, 5 * CHUNK - 9, 2), 3 * CHUNK - 9);
	ck_assert_uint_eq(
	    layout_member_size(&l, 5 * CHUNK - 9, 0), 4 * CHUNK - 9);
	ck_assert_uint_eq(layout_member_size(&l, 5 * CHUNK - 9, 1), 3 * CHUNK);
}
END_TEST

START_TEST(raid1_is_the_volume_itself)
{
	const struct layout l = {LAYOUT_RAID1, 3, 0};
	struct layout_piece p;
	uint32_t of[LAYOUT_MOST];

	ck_assert_uint_eq(layout_copies(&l), 3);
	for (uint32_t m = 0; m < 3; m++) {
		ck_assert_uint_eq(
		    layout_member_size(&l, INT64_MAX, m), INT64_MAX);
		layout_map(&l, 12345, INT64_MAX - 12345, m, &p);
		ck_assert_uint_eq(p.member, m);
		ck_assert_uint_eq(p.member_off, 12345);
		ck_assert_uint_eq(p.len, INT64_MAX - 12345);
		layout_unmap(&l, m, 12345, 77, &p);
		ck_assert_uint_eq(p.volume_off, 12345);
		ck_assert_uint_eq(p.copy, m);
		ck_assert_uint_eq(p.len, 77);
	}
	ck_assert_uint_eq(layout_holders(&l, 1 << 20, of), 3);
}
END_TEST

START_TEST(the_largest_volumes_do_not_overflow)
{
	const struct layout l = {LAYOUT_RAID1E, 3, LAYOUT_CHUNK_LEAST};
	uint64_t all = 0, end = INT64_MAX;
	struct layout_piece p, back;

	for (uint32_t m = 0; m < 3; m++)
		all += layout_member_size(&l, end, m);
	ck_assert_uint_eq(all, 2 * end);
	for (uint32_t j = 0; j < 2; j++) {
		layout_map(&l, end - 1, 1, j, &p);
		ck_assert_uint_eq(
		    p.member_off + 1, layout_member_size(&l, end, p.member));
		layout_unmap(&l, p.member, p.member_off, 1, &back);
		ck_assert_mem_eq(&back, &p, sizeof(p));
	}
}
END_TEST

/* ---- which members will do ---- */

static bool
is_covered_by_search(const struct layout *l, uint64_t members)
{
	uint32_t of[LAYOUT_MOST], n, i;
	bool held;

	for (uint32_t k = 0; k < 2 * l->members; k++) {
		n = layout_holders(l, (uint64_t)k * CHUNK, of);
		for (i = 0, held = false; i < n; i++)
			held = held || (members >> of[i] & 1) != 0;
		if (!held)
			return false;
	}
	return true;
}

START_TEST(members_suffice_when_they_hold_every_chunk)
{
	const struct layout *l = &layouts[_i];
	uint32_t most = l->members > 10 ? 10 : l->members;
	uint64_t all =
	    l->members == 64 ? UINT64_MAX : (UINT64_C(1) << l->members) - 1;

	ck_assert(layout_is_covered(l, all));
	ck_assert(!layout_is_covered(l, 0));
	/* Without any choice of the first ten. */
	for (uint64_t gone = 0; gone < UINT64_C(1) << most; gone++)
		ck_assert_int_eq(layout_is_covered(l, all & ~gone),
		    is_covered_by_search(l, all & ~gone));
}
END_TEST

START_TEST(redundant_levels_bear_the_loss_of_a_member)
{
	const struct layout *l = &layouts[_i];
	uint64_t all =
	    l->members == 64 ? UINT64_MAX : (UINT64_C(1) << l->members) - 1;

	for (uint32_t m = 0; m < l->members; m++)
		ck_assert_int_eq(
		    layout_is_covered(l, all & ~(UINT64_C(1) << m)),
		    l->level != LAYOUT_RAID0);
}
END_TEST

START_TEST(raid1_needs_any_member)
{
	const struct layout l = {LAYOUT_RAID1, 3, 0};

	ck_assert(layout_is_covered(&l, 1));
	ck_assert(layout_is_covered(&l, 4));
	ck_assert(!layout_is_covered(&l, 0));
	ck_assert(!layout_is_covered(&l, 8));
}
END_TEST

/* ---- parameters and text ---- */

static const struct layout wrong[] = {
    {0, 2, CHUNK},
    {5, 2, CHUNK},
    {LAYOUT_RAID0, 1, CHUNK},
    {LAYOUT_RAID0, 65, CHUNK},
    {LAYOUT_RAID1, 1, 0},
    {LAYOUT_RAID1, 2, CHUNK},
    {LAYOUT_RAID10, 2, CHUNK},
    {LAYOUT_RAID10, 5, CHUNK},
    {LAYOUT_RAID1E, 2, CHUNK},
    {LAYOUT_RAID0, 2, 0},
    {LAYOUT_RAID0, 2, 2048},
    {LAYOUT_RAID0, 2, CHUNK + 512},
    {LAYOUT_RAID0, 2, (UINT64_C(1) << 30) + 4096},
};

START_TEST(layouts_without_sense_are_refused)
{
	struct err e = {0};

	ck_assert_int_eq(layout_check(&wrong[_i], &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_uint_gt(strlen(e.text), 0);
}
END_TEST

START_TEST(layouts_with_sense_are_accepted)
{
	struct err e = {0};

	ck_assert_msg(layout_check(&layouts[_i], &e) == 0, "%s", e.text);
}
END_TEST

static const struct {
	const char *text;
	struct layout layout;
	const char *again; /* NULL: the same */
} good[] = {
    {"raid1e:chunk=1M:members=a,b,c", {LAYOUT_RAID1E, 3, 1 << 20}, NULL},
    {"raid0:chunk=64K:members=x,y", {LAYOUT_RAID0, 2, 65536}, NULL},
    {"raid0:chunk=12K:members=x,y", {LAYOUT_RAID0, 2, 12288}, NULL},
    {"raid0:chunk=1G:members=x,y", {LAYOUT_RAID0, 2, 1 << 30}, NULL},
    {"raid10:members=a,b,c,d:chunk=4096", {LAYOUT_RAID10, 4, 4096},
	"raid10:chunk=4K:members=a,b,c,d"},
    {"raid1:members=rome,oslo.2", {LAYOUT_RAID1, 2, 0}, NULL},
    {"raid1", {LAYOUT_RAID1, 0, 0}, NULL},
    {"raid10", {LAYOUT_RAID10, 0, 1 << 20}, "raid10:chunk=1M"},
    {"raid10:chunk=8K", {LAYOUT_RAID10, 0, 8192}, NULL},
};

START_TEST(a_text_reads_back_as_it_was_written)
{
	static struct layout_spec s, twice;
	char out[LAYOUT_TEXT];
	struct err e = {0};

	ck_assert_msg(layout_parse(good[_i].text, &s, &e) == 0, "%s", e.text);
	ck_assert_int_eq((int)s.layout.level, (int)good[_i].layout.level);
	ck_assert_uint_eq(s.layout.members, good[_i].layout.members);
	ck_assert_uint_eq(s.layout.chunk, good[_i].layout.chunk);
	ck_assert_str_eq(layout_text(&s, out),
	    good[_i].again == NULL ? good[_i].text : good[_i].again);
	ck_assert_int_eq(layout_parse(out, &twice, &e), 0);
	ck_assert_mem_eq(&twice, &s, sizeof(s));
}
END_TEST

START_TEST(names_are_kept_in_order)
{
	static struct layout_spec s;

	ck_assert_int_eq(layout_parse("raid0:members=rome,oslo", &s, NULL), 0);
	ck_assert_str_eq(s.names[0], "rome");
	ck_assert_str_eq(s.names[1], "oslo");
	ck_assert_uint_eq(s.layout.chunk, LAYOUT_CHUNK_DEFAULT);
}
END_TEST

static const char *const bad[] = {"", "raid", "raid5", "raid5:members=a,b",
    "raid1:", "raid1::", "raid0:chunk", "raid0:chunk=", "raid0:chunk=0",
    "raid0:chunk=0K:chunk=4K", "raid0:chunk=4KB", "raid0:chunk=4T",
    "raid0:chunk=-4K", "raid0:chunk= 4K", "raid0:chunk=1000",
    "raid0:chunk=99999999999999999999K", "raid0:chunk=2G",
    "raid0:chunk=4K:chunk=8K", "raid1:chunk=4K",
    "raid0:members=", "raid0:members=a", "raid0:members=a,", "raid0:members=,a",
    "raid0:members=a,a", "raid0:members=a,b:members=c", "raid0:members=a b,c",
    "raid0:members=a/b,c", "raid10:members=a,b", "raid10:members=a,b,c",
    "raid1e:members=a,b", "RAID0:members=a,b", "raid0:size=3",
    "raid0 :members=a,b",
    ("raid0:members=a,"
     "a234567890123456789012345678901234567890123456789012345678901234")};

START_TEST(a_text_without_sense_is_refused)
{
	static struct layout_spec s;
	struct err e = {0};

	ck_assert_msg(layout_parse(bad[_i], &s, &e) == -1, "%s", bad[_i]);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(too_many_members_are_refused)
{
	static struct layout_spec s;
	char text[1024] = "raid0:members=n0";
	struct err e = {0};
	size_t used = strlen(text);

	for (int i = 1; i < 64; i++)
		used += (size_t)snprintf(
		    text + used, sizeof(text) - used, ",n%d", i);
	ck_assert_msg(layout_parse(text, &s, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(s.layout.members, 64);
	(void)snprintf(text + used, sizeof(text) - used, ",one-more");
	ck_assert_int_eq(layout_parse(text, &s, &e), -1);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *s = suite_create("layout");
	TCase *t = tcase_create("layout");

	tcase_add_loop_test(
	    t, a_member_is_as_large_as_what_was_dealt_to_it, 0, LAYOUTS);
	tcase_add_loop_test(
	    t, a_member_maps_back_to_what_was_dealt_to_it, 0, LAYOUTS);
	tcase_add_loop_test(
	    t, ranges_follow_what_was_dealt_across_chunks, 0, LAYOUTS);
	tcase_add_loop_test(t, copies_are_on_different_members, 0, LAYOUTS);
	tcase_add_test(t, raid1e_with_three_members_is_as_drawn);
	tcase_add_test(t, raid1_is_the_volume_itself);
	tcase_add_test(t, the_largest_volumes_do_not_overflow);
	tcase_add_loop_test(
	    t, members_suffice_when_they_hold_every_chunk, 0, LAYOUTS);
	tcase_add_loop_test(
	    t, redundant_levels_bear_the_loss_of_a_member, 0, LAYOUTS);
	tcase_add_test(t, raid1_needs_any_member);
	tcase_add_loop_test(
	    t, layouts_without_sense_are_refused, 0, COUNT(wrong));
	tcase_add_loop_test(t, layouts_with_sense_are_accepted, 0, LAYOUTS);
	tcase_add_loop_test(
	    t, a_text_reads_back_as_it_was_written, 0, COUNT(good));
	tcase_add_test(t, names_are_kept_in_order);
	tcase_add_loop_test(t, a_text_without_sense_is_refused, 0, COUNT(bad));
	tcase_add_test(t, too_many_members_are_refused);
	suite_add_tcase(s, t);
	return unit_run(s);
}
