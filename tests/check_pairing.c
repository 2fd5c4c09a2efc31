/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/pairing.h"

#include "common/buf.h"
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>

static struct sign_secret key;
static struct pairing_volume volumes[2];
static struct pairing sample;
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
	sample = (struct pairing){.role = PAIRING_MIRROR,
	    .site_name = "alpha",
	    .site = {{3}},
	    .group_name = "db",
	    .group = {{4}},
	    .stream = {{5}},
	    .mirror = {{6}},
	    .volume_count = 2,
	    .volumes = volumes};
	ck_assert_msg(
	    pairing_encode(&sample, &key, &text, &len, &e) == 0, "%s", e.text);
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
	struct pairing out = {0};
	int rc = pairing_decode(from, n, &out, &e);

	if (rc < 0)
		ck_assert(e.kind == ERR_REFUSED || e.kind == ERR_CORRUPT);
	pairing_release(&out);
	return rc;
}

START_TEST(a_pairing_comes_back_as_it_was)
{
	struct pairing out = {0};

	ck_assert_uint_eq(strlen(text), len);
	ck_assert_msg(pairing_decode(text, len, &out, &e) == 0, "%s", e.text);
	ck_assert_int_eq(out.role, PAIRING_MIRROR);
	ck_assert_str_eq(out.site_name, "alpha");
	ck_assert_str_eq(out.group_name, "db");
	ck_assert(uuid_equal(&out.site, &sample.site));
	ck_assert(uuid_equal(&out.group, &sample.group));
	ck_assert(uuid_equal(&out.stream, &sample.stream));
	ck_assert(uuid_equal(&out.mirror, &sample.mirror));
	ck_assert_mem_eq(out.key.key, key.pub.key, 32);
	ck_assert_uint_eq(out.volume_count, 2);
	ck_assert_str_eq(out.volumes[1].name, "log");
	ck_assert_uint_eq(out.volumes[1].size, INT64_MAX);
	ck_assert_int_eq(out.volumes[1].kind, VOLUME_BLOCK);
	pairing_release(&out);
}
END_TEST

START_TEST(a_source_has_no_mirror_line)
{
	struct pairing p = sample;
	char *other = NULL;
	size_t n;

	p.role = PAIRING_SOURCE;
	ck_assert_int_lt(pairing_encode(&p, &key, &other, &n, &e), 0);
	memset(&p.mirror, 0, sizeof(p.mirror));
	ck_assert_int_eq(pairing_encode(&p, &key, &other, &n, &e), 0);
	ck_assert_ptr_null(strstr(other, "\nmirror "));
	ck_assert_int_eq(decode(other, n), 0);
	free(other);
}
END_TEST

START_TEST(a_relay_is_like_a_mirror_but_says_so)
{
	struct pairing p = sample, out = {0};
	char *other = NULL;
	size_t n;

	p.role = PAIRING_RELAY;
	ck_assert_int_eq(pairing_encode(&p, &key, &other, &n, &e), 0);
	ck_assert_int_eq(pairing_decode(other, n, &out, &e), 0);
	ck_assert_int_eq(out.role, PAIRING_RELAY);
	ck_assert(uuid_equal(&out.mirror, &sample.mirror));
	pairing_release(&out);
	free(other);
	memset(&p.mirror, 0, sizeof(p.mirror));
	ck_assert_int_lt(pairing_encode(&p, &key, &other, &n, &e), 0);
}
END_TEST

/* Upper and lower case of a hexadecimal digit mean the same. */
static bool
means_the_same(size_t at, char was)
{
	size_t line = at;

	while (line > 0 && text[line - 1] != '\n')
		line--;
	return (text[at] ^ was) == 0x20 && memcmp(text + line, "volume d", 8) &&
	       ((was >= 'a' && was <= 'f') || (was >= 'A' && was <= 'F'));
}

START_TEST(every_flipped_bit_is_rejected)
{
	size_t bit;
	int harmless = 0;

	for (bit = 0; bit < len * 8; bit++) {
		char was = text[bit / 8];

		text[bit / 8] = (char)(was ^ 1 << bit % 8);
		if (decode(text, len) == 0) {
			/* Only the case of a hexadecimal digit. */
			ck_assert_msg(means_the_same(bit / 8, was),
			    "bit %zu of byte %zu", bit % 8, bit / 8);
			harmless++;
		}
		text[bit / 8] = was;
	}
	ck_assert_int_lt(harmless, 200);
}
END_TEST

START_TEST(every_truncation_is_rejected)
{
	size_t cut;

	/* The last newline may go. */
	ck_assert_int_eq(decode(text, len - 1), 0);
	for (cut = 0; cut < len - 1; cut++)
		ck_assert_int_lt(decode(text, cut), 0);
}
END_TEST

START_TEST(line_ends_and_blank_lines_do_no_harm)
{
	struct buf b = {0};
	size_t i;

	ck_assert_int_eq(buf_add(&b, "\r\n \n", 4, &e), 0);
	for (i = 0; i < len; i++) {
		if (text[i] == '\n')
			ck_assert_int_eq(buf_add(&b, " \r\n", 3, &e), 0);
		else
			ck_assert_int_eq(buf_add(&b, text + i, 1, &e), 0);
	}
	ck_assert_int_eq(buf_add(&b, "\n\n", 2, &e), 0);
	ck_assert_msg(decode((const char *)b.data, b.len) == 0, "%s", e.text);
	buf_release(&b);
}
END_TEST

START_TEST(lines_added_or_exchanged_are_rejected)
{
	struct buf b = {0};

	ck_assert_int_eq(buf_add(&b, text, len, &e), 0);
	ck_assert_int_eq(buf_add(&b, "x\n", 2, &e), 0);
	ck_assert_int_lt(decode((const char *)b.data, b.len), 0);
	b.len = 0;
	ck_assert_int_eq(buf_printf(&b, &e, "role source\n%s", text), 0);
	ck_assert_int_lt(decode((const char *)b.data, b.len), 0);
	buf_release(&b);
}
END_TEST

START_TEST(rubbish_is_rejected_with_its_line)
{
	static const char *const rubbish[] = {"", "\n", "aim-pairing 2\n",
	    "aim-pairing 1\n", "aim-pairing 1\nrole king\n",
	    "aim-pairing 1\nrole source\nsite-name ../x\n",
	    "-----BEGIN PGP MESSAGE-----\n"};
	size_t i;

	for (i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
		ck_assert_int_lt(decode(rubbish[i], strlen(rubbish[i])), 0);
		ck_assert_uint_gt(strlen(e.text), 10);
	}
	ck_assert_int_lt(decode("a\0b", 3), 0);
}
END_TEST

static void
spoil(struct pairing *p, int how)
{
	switch (how) {
	case 0:
		(void)strcpy(p->site_name, "a b");
		break;
	case 1:
		p->site_name[0] = '\0';
		break;
	case 2:
		p->volume_count = 0;
		break;
	case 3:
		volumes[1].uuid = volumes[0].uuid;
		break;
	case 4:
		(void)strcpy(volumes[1].name, volumes[0].name);
		break;
	case 5:
		volumes[0].size = UINT64_MAX;
		break;
	case 6:
		memset(&p->stream, 0, sizeof(p->stream));
		break;
	default:
		memset(&p->mirror, 0, sizeof(p->mirror));
		break;
	}
}

START_TEST(what_makes_no_sense_is_not_encoded)
{
	struct pairing p = sample;
	char *other = NULL;
	size_t n;

	spoil(&p, _i);
	ck_assert_int_lt(pairing_encode(&p, &key, &other, &n, &e), 0);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(the_most_volumes_fit)
{
	enum { MOST = JOURNAL_VOLUME_LIMIT };
	struct pairing_volume *many = calloc(MOST + 1, sizeof(*many));
	struct pairing p = sample;
	char *other = NULL;
	size_t n;
	uint32_t i;

	ck_assert_ptr_nonnull(many);
	for (i = 0; i <= MOST; i++) {
		(void)snprintf(many[i].name, NAME_LIMIT, "%063u", i);
		many[i].uuid = (struct uuid){
		    {1, (uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)}};
		many[i].size = INT64_MAX;
		many[i].kind = VOLUME_BLOCK;
	}
	p.volumes = many;
	p.volume_count = MOST + 1;
	ck_assert_int_lt(pairing_encode(&p, &key, &other, &n, &e), 0);
	p.volume_count = MOST;
	ck_assert_int_eq(pairing_encode(&p, &key, &other, &n, &e), 0);
	ck_assert_int_eq(decode(other, n), 0);
	free(other);
	free(many);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pairing");
	TCase *t = tcase_create("pairing");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_pairing_comes_back_as_it_was);
	tcase_add_test(t, a_source_has_no_mirror_line);
	tcase_add_test(t, a_relay_is_like_a_mirror_but_says_so);
	tcase_add_test(t, every_flipped_bit_is_rejected);
	tcase_add_test(t, every_truncation_is_rejected);
	tcase_add_test(t, line_ends_and_blank_lines_do_no_harm);
	tcase_add_test(t, lines_added_or_exchanged_are_rejected);
	tcase_add_test(t, rubbish_is_rejected_with_its_line);
	tcase_add_loop_test(t, what_makes_no_sense_is_not_encoded, 0, 8);
	tcase_add_test(t, the_most_volumes_fit);
	suite_add_tcase(s, t);
	return unit_run(s);
}
