/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/members.h"

#include "common/buf.h"
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>

static struct sign_secret key;
static struct pairing_volume volumes[2];
static struct member three[3];
static struct members sample;
static struct err e;
static char *text;
static size_t len;

static void
setup(void)
{
	memset(key.seed, 1, sizeof(key.seed));
	ck_assert_int_eq(sign_derive(&key, NULL), 0);
	volumes[0] = (struct pairing_volume){
	    .name = "disk", .uuid = {{1}}, .size = 4096, .kind = VOLUME_FILE};
	volumes[1] = (struct pairing_volume){.name = "log",
	    .uuid = {{2}},
	    .size = INT64_MAX,
	    .kind = VOLUME_BLOCK};
	for (uint8_t i = 0; i < 3; i++) {
		three[i] = (struct member){.stream = {{5}},
		    .mirror = {{(uint8_t)(10 + i)}},
		    .site = {{(uint8_t)(20 + i)}},
		    .key = {{(uint8_t)(30 + i)}}};
		(void)snprintf(three[i].name, NAME_LIMIT, "m%d", i);
	}
	(void)strcpy(three[1].acks, "sftp://a@host.example:22/aim/in");
	sample = (struct members){.site_name = "alpha",
	    .site = {{3}},
	    .group_name = "db",
	    .group = {{4}},
	    .stream = {{5}},
	    .layout = {LAYOUT_RAID1E, 3, 65536},
	    .volume_count = 2,
	    .volumes = volumes,
	    .members = three};
	ck_assert_msg(
	    members_encode(&sample, &key, &text, &len, &e) == 0, "%s", e.text);
}

static void
teardown(void)
{
	free(text);
	text = NULL;
}

static int
decode(const char *from, size_t n)
{
	struct members out = {.volume_count = 0};
	int rc = members_decode(from, n, &out, &e);

	if (rc < 0)
		ck_assert(e.kind == ERR_REFUSED || e.kind == ERR_CORRUPT);
	members_release(&out);
	return rc;
}

START_TEST(a_layout_comes_back_as_it_was)
{
	struct members out = {.volume_count = 0};

	ck_assert_uint_eq(strlen(text), len);
	ck_assert_msg(members_decode(text, len, &out, &e) == 0, "%s", e.text);
	ck_assert_str_eq(out.site_name, "alpha");
	ck_assert_str_eq(out.group_name, "db");
	ck_assert(uuid_equal(&out.site, &sample.site));
	ck_assert(uuid_equal(&out.group, &sample.group));
	ck_assert(uuid_equal(&out.stream, &sample.stream));
	ck_assert_mem_eq(&out.layout, &sample.layout, sizeof(out.layout));
	ck_assert_mem_eq(out.key.key, key.pub.key, 32);
	ck_assert_uint_eq(out.volume_count, 2);
	ck_assert_str_eq(out.volumes[1].name, "log");
	ck_assert_uint_eq(out.volumes[1].size, INT64_MAX);
	ck_assert_int_eq(out.volumes[1].kind, VOLUME_BLOCK);
	ck_assert_mem_eq(out.members, three, sizeof(three));
	members_release(&out);
}
END_TEST

/* Upper and lower case of a hexadecimal digit mean the same. */
START_TEST(every_flipped_bit_is_rejected)
{
	size_t bit;

	for (bit = 0; bit < len * 8; bit++) {
		char was = text[bit / 8], is = (char)(was ^ 1 << bit % 8);

		text[bit / 8] = is;
		if (decode(text, len) == 0)
			ck_assert_msg((is ^ was) == 0x20 &&
					  strchr("abcdefABCDEF", was) != NULL,
			    "bit %zu", bit);
		text[bit / 8] = was;
	}
}
END_TEST

START_TEST(a_text_that_was_cut_is_rejected)
{
	for (size_t n = 0; n + 1 < len; n++)
		ck_assert_int_eq(decode(text, n), -1);
}
END_TEST

START_TEST(what_a_mail_program_does_is_harmless)
{
	struct buf b = {0};

	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n')
			ck_assert_int_eq(buf_add(&b, " \r\n\r\n", 5, NULL), 0);
		else
			ck_assert_int_eq(buf_add(&b, text + i, 1, NULL), 0);
	ck_assert_int_eq(decode((char *)b.data, b.len), 0);
	buf_release(&b);
}
END_TEST

static const struct {
	const char *from, *to;
} changes[] = {
    {"aim-layout 1", "aim-layout 2"},
    {"level raid1e", "level raid5"},
    {"level raid1e", "level raid10"},
    {"level raid1e", "level raid1"},
    {"chunk 65536", "chunk 065536"},
    {"chunk 65536", "chunk 65537"},
    {"chunk 65536", "chunk"},
    {"member m1", "member m0"},
    {"member m1 ", "member m1 x "},
    {"member m1", "person m1"},
    {"acks sftp", "acks \tsftp"},
    {"\nacks sftp", "\nacks sftp://other/\nacks sftp"},
    {"volume disk", "volume log"},
    {"signature", "something else\nsignature"},
};

START_TEST(what_has_no_sense_is_refused)
{
	const char *at = strstr(text, changes[_i].from);
	struct buf b = {0};

	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(
	    buf_printf(&b, NULL, "%.*s%s%s", (int)(at - text), text,
		changes[_i].to, at + strlen(changes[_i].from)),
	    0);
	ck_assert_int_eq(decode((char *)b.data, b.len), -1);
	buf_release(&b);
}
END_TEST

START_TEST(what_has_no_sense_is_not_written)
{
	char *other = NULL;
	size_t n;

	three[2].mirror = three[0].mirror;
	ck_assert_int_eq(members_encode(&sample, &key, &other, &n, &e), -1);
	teardown();
	setup();
	(void)strcpy(three[0].acks, "with a blank");
	ck_assert_int_eq(members_encode(&sample, &key, &other, &n, &e), -1);
	three[0].acks[0] = '\0';
	sample.layout.chunk = 1;
	ck_assert_int_eq(members_encode(&sample, &key, &other, &n, &e), -1);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(most_members_and_long_urls_fit)
{
	static struct member all[LAYOUT_MOST];
	struct members m = sample, out = {.volume_count = 0};
	char *other = NULL;
	size_t n;

	for (uint8_t i = 0; i < LAYOUT_MOST; i++) {
		all[i] = three[0];
		all[i].mirror.b[1] = i;
		(void)snprintf(all[i].name, NAME_LIMIT, "n%d", i);
		memset(all[i].acks, 'u', MEMBERS_URL_LIMIT - 1);
	}
	m.layout.members = LAYOUT_MOST;
	m.members = all;
	ck_assert_msg(
	    members_encode(&m, &key, &other, &n, &e) == 0, "%s", e.text);
	ck_assert_msg(members_decode(other, n, &out, &e) == 0, "%s", e.text);
	ck_assert_mem_eq(out.members, all, sizeof(all));
	members_release(&out);
	free(other);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("members");
	TCase *t = tcase_create("members");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_layout_comes_back_as_it_was);
	tcase_add_test(t, every_flipped_bit_is_rejected);
	tcase_add_test(t, a_text_that_was_cut_is_rejected);
	tcase_add_test(t, what_a_mail_program_does_is_harmless);
	tcase_add_loop_test(t, what_has_no_sense_is_refused, 0,
	    (int)(sizeof(changes) / sizeof(changes[0])));
	tcase_add_test(t, what_has_no_sense_is_not_written);
	tcase_add_test(t, most_members_and_long_urls_fit);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return unit_run(s);
}
