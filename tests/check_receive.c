/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/roles.h"

#include "common/clock.h"
#include "common/io.h"
#include "coordinator/receive.h"
#include "tests/mirror_unit.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define SIZE UINT64_C(60000)

static struct mirror_unit u;

/* A base in three files and then `more` others. */
static void
make_stream(uint32_t more)
{
	maker_base(&u.maker, u.made, COPYIN_BASE);
	while (more-- > 0) {
		maker_mix(&u.maker, 6);
		(void)maker_seal(&u.maker, u.made);
	}
}

static void
setup(void)
{
	mirror_unit_make(&u, 1, SIZE);
}

static void
teardown(void)
{
	mirror_unit_drop(&u);
}

static void
receive(void)
{
	struct err e = {0};

	ck_assert_msg(run_receive(&u, &e) == 0, "%s", e.text);
}

/* File `i` is the newest that is staged and acknowledged as stored. */
static void
stored_is(uint32_t i)
{
	AUTO_CLOSE int stage = open_stage(&u);
	struct ack a;

	load_ack(&u, &a);
	ck_assert_int_eq(maker_find(&u.maker, &a.stored), (int)i);
	ck_assert_mem_eq(
	    a.stored.digest, u.maker.file[i].at.digest, DIGEST_LEN);
	ck_assert(is_in(stage, u.maker.file[i].name));
	ck_assert(
	    i + 1 == u.maker.files || !is_in(stage, u.maker.file[i + 1].name));
}

static void
nothing_stored(void)
{
	AUTO_CLOSE int stage = open_stage(&u);
	struct ack a;

	load_ack(&u, &a);
	ck_assert(position_is_nil(&a.stored));
	ck_assert_uint_eq(count_names(stage, ".aim"), 0);
}

static uint32_t
quarantined(void)
{
	return count_names(u.home.quarantine, ".why");
}

static void
state_is(enum ack_state state, const char *reason)
{
	struct ack a;

	load_ack(&u, &a);
	ck_assert_msg(
	    a.state == state, "%s: %s", ack_state_name(a.state), a.reason);
	ck_assert_msg(strstr(a.reason, reason) != NULL, "%s", a.reason);
}

/* ---- what is right ---- */

START_TEST(files_in_order_are_staged_and_acknowledged)
{
	uint32_t i;

	make_stream(3);
	receive();
	state_is(ACK_EMPTY, "");
	for (i = 0; i < u.maker.files; i++) {
		deliver(&u, i);
		receive();
		stored_is(i);
		ck_assert(!is_in(u.in, u.maker.file[i].name));
	}
	state_is(ACK_INCONSISTENT, "");
	ck_assert_uint_eq(quarantined(), 0);
}
END_TEST

START_TEST(all_at_once_is_as_good)
{
	make_stream(10);
	deliver_all(&u);
	receive();
	stored_is(u.maker.files - 1);
	ck_assert_uint_eq(count_names(u.in, ""), 1); /* ack/ */
}
END_TEST

/* As `cp` writes it: the name is there before the file is whole. */
START_TEST(a_beginning_may_be_seen_half_written)
{
	struct receive *r = NULL;
	AUTO_FREE uint8_t *bytes = NULL;
	struct err e = {0};
	size_t len;

	make_stream(2);
	bytes = made_bytes(&u, 0, &len);
	ck_assert_int_eq(receive_open(&u.home, &u.config, &r, &e), 0);
	deliver_bytes(&u, u.maker.file[0].name, bytes, len / 2);
	while (receive_pass(r, &e) > 0)
		continue;
	nothing_stored();
	deliver_bytes(&u, u.maker.file[0].name, bytes, len);
	r->scan_wanted = true;
	while (receive_pass(r, &e) > 0)
		continue;
	stored_is(0);
	receive_close(r);
}
END_TEST

START_TEST(a_later_file_waits_for_the_ones_before)
{
	uint32_t i;

	make_stream(5);
	for (i = u.maker.files - 1; i > 0; i--) {
		deliver(&u, i);
		receive();
		nothing_stored();
	}
	deliver(&u, 0);
	receive();
	stored_is(u.maker.files - 1);
	ck_assert_uint_eq(quarantined(), 0);
}
END_TEST

START_TEST(a_missing_file_stops_and_is_told)
{
	struct receive *r = NULL;
	struct err e = {0};

	make_stream(3);
	deliver_all(&u);
	ck_assert_int_eq(unlinkat(u.in, u.maker.file[2].name, 0), 0);
	ck_assert_int_eq(receive_open(&u.home, &u.config, &r, &e), 0);
	r->gap_alarm_ns = 0;
	while (receive_pass(r, &e) > 0)
		continue;
	ck_assert_int_eq(receive_pass(r, &e), 0);
	receive_close(r);
	stored_is(1);
	state_is(ACK_STALLED, u.maker.file[2].name);
	deliver(&u, 2);
	receive();
	stored_is(u.maker.files - 1);
	state_is(ACK_INCONSISTENT, "");
}
END_TEST

START_TEST(duplicates_are_dropped)
{
	char text[UUID_TEXT], name[64], count[32];

	make_stream(3);
	deliver_all(&u);
	receive();
	deliver(&u, 0);
	deliver(&u, 3);
	deliver(&u, u.maker.files - 1);
	receive();
	ck_assert_uint_eq(count_names(u.in, ".aim"), 0);
	ck_assert_uint_eq(quarantined(), 0);
	stored_is(u.maker.files - 1);
	(void)snprintf(
	    name, sizeof(name), "%s.recv", uuid_text(&u.maker.mirror, text));
	ck_assert(note_read(&u.home, name, "duplicates", count, sizeof(count)));
	ck_assert_str_eq(count, "3");
	/* They are also known when they have been applied. */
	ck_assert_int_eq(run_apply(&u, NULL), 0);
	deliver_all(&u);
	receive();
	ck_assert_uint_eq(count_names(u.in, ".aim"), 0);
	ck_assert_uint_eq(quarantined(), 0);
}
END_TEST

START_TEST(a_new_epoch_is_followed)
{
	make_stream(1);
	maker_new_epoch(&u.maker);
	maker_mix(&u.maker, 3);
	(void)maker_seal(&u.maker, u.made);
	maker_mix(&u.maker, 3);
	(void)maker_seal(&u.maker, u.made);
	/* The new epoch alone waits for its parent's files. */
	deliver(&u, 0);
	deliver(&u, 4);
	receive();
	stored_is(0);
	state_is(ACK_STALLED, "missing");
	deliver_all(&u);
	receive();
	stored_is(u.maker.files - 1);
	ck_assert_uint_eq(quarantined(), 0);
}
END_TEST

START_TEST(a_source_that_was_rolled_back_is_refused)
{
	struct position old;

	make_stream(1);
	old = u.maker.last;
	maker_mix(&u.maker, 3);
	(void)maker_seal(&u.maker, u.made);
	deliver_all(&u);
	receive();
	stored_is(u.maker.files - 1);
	/* The source comes back from a copy that was made before that. */
	u.maker.last = old;
	u.maker.next = old.last + 1;
	maker_new_epoch(&u.maker);
	maker_write(&u.maker, 0, 0, 100);
	(void)maker_seal(&u.maker, u.made);
	deliver(&u, u.maker.files - 1);
	receive();
	stored_is(u.maker.files - 2);
	state_is(ACK_STALLED, "rolled back");
	ck_assert(is_in(u.in, u.maker.file[u.maker.files - 1].name));
}
END_TEST

START_TEST(a_mirror_without_state_waits_for_a_base_that_names_it)
{
	struct uuid ours = u.maker.mirror;

	maker_mix(&u.maker, 3);
	(void)maker_seal(&u.maker, u.made);
	/* A base for another one. */
	memset(&u.maker.mirror, 9, sizeof(u.maker.mirror));
	maker_base(&u.maker, u.made, COPYIN_BASE);
	u.maker.mirror = ours;
	deliver_all(&u);
	receive();
	nothing_stored();
	state_is(ACK_EMPTY, "");
	ck_assert_uint_eq(count_names(u.in, ".aim"), u.maker.files);
	ck_assert_uint_eq(quarantined(), 0);
	maker_base(&u.maker, u.made, COPYIN_BASE);
	deliver_all(&u);
	receive();
	stored_is(u.maker.files - 1);
	{
		AUTO_CLOSE int stage = open_stage(&u);

		ck_assert_uint_eq(count_names(stage, ".aim"), 3);
	}
}
END_TEST

/* It may bring only what was in doubt: the rest is in the base before it. */
START_TEST(a_mirror_without_state_never_begins_with_a_recovery)
{
	uint32_t i, base, recovery;

	make_stream(2);
	base = u.maker.files;
	maker_break(&u.maker);
	maker_mix(&u.maker, 3);
	(void)maker_seal(&u.maker, u.made);
	maker_base(&u.maker, u.made, COPYIN_RECOVERY);
	recovery = u.maker.files;
	for (i = base; i < recovery; i++)
		deliver(&u, i);
	receive();
	nothing_stored();
	state_is(ACK_EMPTY, "");
	ck_assert_uint_eq(count_names(u.in, ".aim"), recovery - base);
	for (i = 0; i < base; i++)
		deliver(&u, i);
	receive();
	stored_is(recovery - 1);
	{
		AUTO_CLOSE int stage = open_stage(&u);

		ck_assert_uint_eq(count_names(stage, ".aim"), recovery);
	}
}
END_TEST

START_TEST(paused_means_that_nothing_is_taken)
{
	make_stream(1);
	deliver_all(&u);
	u.config.fetch_paused = true;
	receive();
	nothing_stored();
	state_is(ACK_PAUSED, "paused");
	u.config.fetch_paused = false;
	receive();
	stored_is(u.maker.files - 1);
}
END_TEST

START_TEST(two_streams_share_a_folder)
{
	struct mirror_unit *v = calloc(1, sizeof(*v));
	struct err e = {0};

	ck_assert_ptr_nonnull(v);
	mirror_unit_make(v, 77, SIZE);
	/* The second mirror's files arrive in the first one's DIR. */
	(void)strcpy(v->config.incoming, u.config.incoming);
	{
		char name[PATH_MAX + 64], stream[UUID_TEXT];

		(void)close(v->in);
		(void)close(v->ack);
		(void)snprintf(name, sizeof(name), "%s/%s", u.config.incoming,
		    uuid_text(&v->maker.stream, stream));
		ck_assert_int_eq(mkdir(name, 0755), 0);
		v->in = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_eq(mkdirat(v->in, "ack", 0755), 0);
		v->ack =
		    openat(v->in, "ack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	make_stream(2);
	maker_base(&v->maker, v->made, COPYIN_BASE);
	deliver_all(&u);
	deliver_all(v);
	run_both(&u);
	run_both(v);
	mirror_stands_at(&u, u.maker.files - 1);
	mirror_stands_at(v, v->maker.files - 1);
	ck_assert_msg(run_receive(v, &e) == 0, "%s", e.text);
	mirror_unit_drop(v);
	free(v);
}
END_TEST

/* ---- what is wrong ---- */

/* Delivers bad bytes as file 3; the right ones mend it. */
static void
bad_file(const uint8_t *bytes, size_t len)
{
	deliver_bytes(&u, u.maker.file[3].name, bytes, len);
	receive();
	stored_is(2);
	ck_assert(!is_in(u.in, u.maker.file[3].name));
	state_is(ACK_STALLED, u.maker.file[3].name);
}

/* Every byte in a long run; else one in seven. */
static size_t
step(void)
{
	const char *l = getenv("AIM_LONG");

	return l != NULL && l[0] != '\0' ? 1 : 7;
}

START_TEST(a_file_cut_anywhere_is_refused)
{
	size_t len, cut;
	AUTO_FREE uint8_t *bytes = NULL;

	make_stream(0);
	maker_write(&u.maker, 0, 100, 40);
	maker_write(&u.maker, 1, 7, 40);
	(void)maker_seal(&u.maker, u.made);
	deliver(&u, 0);
	deliver(&u, 1);
	deliver(&u, 2);
	receive();
	bytes = made_bytes(&u, 3, &len);
	for (cut = (size_t)_i * step(); cut < len; cut += 16 * step())
		bad_file(bytes, cut);
	deliver(&u, 3);
	receive();
	stored_is(3);
	state_is(ACK_INCONSISTENT, "");
}
END_TEST

START_TEST(a_flipped_bit_anywhere_is_refused)
{
	size_t len, at;
	AUTO_FREE uint8_t *bytes = NULL;

	make_stream(0);
	maker_write(&u.maker, 0, 100, 40);
	(void)maker_seal(&u.maker, u.made);
	deliver(&u, 0);
	deliver(&u, 1);
	deliver(&u, 2);
	receive();
	bytes = made_bytes(&u, 3, &len);
	for (at = (size_t)_i * step(); at < len; at += 8 * step()) {
		bytes[at] ^= (uint8_t)(1u << (at / 8 + (size_t)_i) % 8);
		bad_file(bytes, len);
		bytes[at] ^= (uint8_t)(1u << (at / 8 + (size_t)_i) % 8);
	}
	deliver(&u, 3);
	receive();
	stored_is(3);
}
END_TEST

START_TEST(bytes_beyond_the_end_are_refused)
{
	size_t len;
	AUTO_FREE uint8_t *bytes = NULL;
	AUTO_FREE uint8_t *longer = NULL;

	make_stream(1);
	deliver(&u, 0);
	deliver(&u, 1);
	deliver(&u, 2);
	receive();
	bytes = made_bytes(&u, 3, &len);
	longer = calloc(1, len + 4096);
	memcpy(longer, bytes, len);
	bad_file(longer, len + 1);
	bad_file(longer, len + 4096);
	memset(longer, 0, len);
	bad_file(longer, len);
	bad_file(longer, 0);
	deliver(&u, 3);
	receive();
	stored_is(3);
}
END_TEST

/* A source with another identity in one respect. */
START_TEST(what_comes_from_elsewhere_is_refused)
{
	struct maker *m = &u.maker;
	struct maker saved;
	struct sign_secret other;
	uint32_t v;

	make_stream(0);
	deliver_all(&u);
	receive();
	saved = *m;
	ck_assert_int_eq(sign_make(&other, NULL), 0);
	switch (_i) {
	case 0:
		m->key = other;
		break;
	case 1:
		memset(&m->stream, 1, 16);
		break;
	case 2:
		memset(&m->group, 1, 16);
		break;
	case 3:
		memset(&m->site, 1, 16);
		break;
	case 4:
		memset(&m->epoch, 1, 16);
		break;
	case 5:
		memset(m->last.digest, 1, DIGEST_LEN);
		break;
	case 6:
		m->next += 5;
		break;
	default:
		memset(&m->volume[1].uuid, 1, 16);
		break;
	}
	maker_write(m, 0, 0, 10);
	(void)maker_seal(m, u.made);
	m->stream = saved.stream;
	m->group = saved.group;
	m->site = saved.site;
	deliver(&u, 3);
	receive();
	stored_is(2);
	ck_assert_uint_eq(quarantined(), 1);
	state_is(ACK_STALLED, "quarantine");
	/* The right one comes after all. */
	ck_assert_int_eq(unlinkat(u.made, m->file[3].name, 0), 0);
	for (v = 0; v < MAKER_VOLUMES; v++)
		free(m->file[3].image[v]);
	*m = saved;
	maker_write(m, 0, 0, 10);
	(void)maker_seal(m, u.made);
	deliver(&u, 3);
	receive();
	stored_is(3);
}
END_TEST

/* Made by somebody who has no key of the source but says so. */
static void
forge(uint8_t *bytes, size_t len, const struct sign_secret *key)
{
	struct journal_volume volumes[MAKER_VOLUMES];
	struct journal_header h;
	uint8_t signature[SIGNATURE_LEN];
	uint32_t i;

	ck_assert_int_eq(header_decode(bytes, len, &h, NULL), VERDICT_WHOLE);
	for (i = 0; i < MAKER_VOLUMES; i++)
		header_volume(bytes, &h, i, &volumes[i]);
	ck_assert_int_eq(sign_key_id(&u.maker.key.pub, h.key_id, NULL), 0);
	header_encode(&h, volumes, NULL, bytes);
	header_blank(bytes);
	ck_assert_int_eq(sign_bytes(key, JOURNAL_DOMAIN, bytes, h.header_len,
			     signature, NULL),
	    0);
	header_set_signature(bytes, signature);
	header_fix_sum(bytes, h.header_len);
}

START_TEST(a_forged_signature_is_refused)
{
	struct sign_secret other, ours = u.maker.key;
	size_t len;
	AUTO_FREE uint8_t *bytes = NULL;
	AUTO_FREE uint8_t *copy = NULL;

	make_stream(1);
	deliver(&u, 0);
	deliver(&u, 1);
	deliver(&u, 2);
	receive();
	ck_assert_int_eq(sign_make(&other, NULL), 0);
	bytes = made_bytes(&u, 3, &len);
	copy = malloc(len);
	memcpy(copy, bytes, len);
	forge(bytes, len, &other);
	bad_file(bytes, len);
	ck_assert(is_quarantined(&u, "signature"));
	/* The forging itself does not spoil it. */
	forge(copy, len, &ours);
	deliver_bytes(&u, u.maker.file[3].name, copy, len);
	receive();
	stored_is(3);
}
END_TEST

START_TEST(the_same_name_with_other_content_is_an_alarm)
{
	struct maker *m = &u.maker;
	struct position before;
	char name[JOURNAL_NAME_LEN];

	make_stream(1);
	before = m->file[m->files - 2].at;
	deliver_all(&u);
	receive();
	(void)strcpy(name, m->file[m->files - 1].name);
	ck_assert_int_eq(unlinkat(u.made, name, 0), 0);
	/* A clone of the source goes on from the file before. */
	m->last = before;
	m->next = before.last + 1;
	m->sequence--;
	maker_write(m, 0, 0, 33);
	(void)maker_seal(m, u.made);
	deliver(&u, m->files - 1);
	receive();
	ck_assert(!is_in(u.in, name));
	ck_assert(is_quarantined(&u, "two histories"));
}
END_TEST

START_TEST(a_name_that_lies_is_refused)
{
	size_t len;
	AUTO_FREE uint8_t *bytes = NULL;

	make_stream(2);
	deliver(&u, 0);
	deliver(&u, 1);
	deliver(&u, 2);
	receive();
	bytes = made_bytes(&u, 4, &len);
	bad_file(bytes, len);
	ck_assert(is_quarantined(&u, "another file"));
}
END_TEST

START_TEST(hostile_names_are_put_aside)
{
	static const char *const names[] = {"x", "a b", "new\nline", ".hidden",
	    "\xff\xfe", "00000001-0000000000000004.AIM",
	    "00000001-000000000000004.aim", "00000001-0000000000000004.aim ",
	    "..aim", "%s%n", "-rf", ".part", "00000001-0000000000000004",
	    ".00000001-0000000000000004.aim.12345",
	    ".00000001-000000000000000g.aim.123456"};
	char longest[256];
	size_t i;

	make_stream(0);
	deliver_all(&u);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		deliver_bytes(&u, names[i], "data", 4);
	memset(longest, 'n', 255);
	longest[255] = '\0';
	deliver_bytes(&u, longest, "data", 4);
	receive();
	stored_is(2);
	ck_assert_uint_eq(quarantined(), i + 1);
	ck_assert_uint_eq(count_names(u.in, ""), 1);
	ck_assert(!is_in(u.in, ".hidden"));
	ck_assert(is_in(u.in, "ack"));
	/* Nothing left the home's folder. */
	ck_assert(!is_in(u.dir.fd, "x"));
	state_is(ACK_INCONSISTENT, "");
}
END_TEST

START_TEST(of_a_crowd_only_some_are_kept)
{
	char name[32];
	int i;

	make_stream(0);
	for (i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "junk%d", i);
		deliver_bytes(&u, name, "", 0);
	}
	deliver_all(&u);
	receive();
	stored_is(2);
	ck_assert_uint_eq(count_names(u.in, ""), 1);
	ck_assert_uint_eq(quarantined(), 64);
}
END_TEST

static void
make_special(const char *name, int what)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int s;

	switch (what) {
	case 0:
		ck_assert_int_eq(symlinkat("/etc/passwd", u.in, name), 0);
		break;
	case 1:
		ck_assert_int_eq(mkfifoat(u.in, name, 0666), 0);
		break;
	case 2:
		ck_assert_int_eq(mkdirat(u.in, name, 0777), 0);
		break;
	case 3:
		ck_assert_int_eq(symlinkat("ack", u.in, name), 0);
		break;
	default:
		s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(s, 0);
		ck_assert_int_eq(fchdir(u.in), 0);
		(void)strcpy(sun.sun_path, name);
		ck_assert_int_eq(
		    bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
		ck_assert_int_eq(chdir("/"), 0);
		(void)close(s);
		break;
	}
}

START_TEST(what_is_no_file_is_never_opened)
{
	make_stream(1);
	deliver(&u, 0);
	deliver(&u, 1);
	deliver(&u, 2);
	receive();
	/* Under the expected name, and under another one. */
	make_special(u.maker.file[3].name, _i);
	make_special("other", _i);
	receive();
	stored_is(2);
	ck_assert(!is_in(u.in, u.maker.file[3].name));
	ck_assert(!is_in(u.in, "other"));
	ck_assert_uint_eq(quarantined(), 2);
	state_is(ACK_STALLED, "not a regular file");
	deliver(&u, 3);
	receive();
	stored_is(3);
}
END_TEST

START_TEST(transfers_under_way_are_left_until_they_are_old)
{
	struct receive *r = NULL;
	struct err e = {0};
	static const char *const ends[] = {
	    "00112233445566778899aabbccddeeff.part", "x9Y0zZ"};
	char part[80];

	make_stream(0);
	(void)snprintf(
	    part, sizeof(part), ".%s.%s", u.maker.file[0].name, ends[_i]);
	deliver_bytes(&u, part, "half", 4);
	ck_assert_int_eq(receive_open(&u.home, &u.config, &r, &e), 0);
	while (receive_pass(r, &e) > 0)
		continue;
	ck_assert(is_in(u.in, part));
	r->scan_wanted = true;
	ck_assert_int_eq(receive_pass(r, &e), 0);
	ck_assert(is_in(u.in, part));
	incoming_set_part_age(r->in, 1);
	/* It has grown: not abandoned. */
	deliver_bytes(&u, part, "more", 5);
	r->scan_wanted = true;
	ck_assert_int_eq(receive_pass(r, &e), 0);
	ck_assert(is_in(u.in, part));
	r->scan_wanted = true;
	ck_assert_int_eq(receive_pass(r, &e), 0);
	ck_assert(!is_in(u.in, part));
	ck_assert_uint_eq(quarantined(), 0);
	receive_close(r);
}
END_TEST

START_TEST(a_file_that_is_still_written_is_left_alone)
{
	size_t len;
	AUTO_FREE uint8_t *bytes = NULL;
	AUTO_CLOSE int fd = -1;

	make_stream(1);
	deliver(&u, 0);
	deliver(&u, 1);
	deliver(&u, 2);
	receive();
	bytes = made_bytes(&u, 3, &len);
	fd = openat(
	    u.in, u.maker.file[3].name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(io_write_at(fd, bytes, len / 2, 0, NULL), 0);
	receive();
	stored_is(2);
	ck_assert_uint_eq(quarantined(), 0);
	state_is(ACK_STALLED, "still being written");
	ck_assert_int_eq(
	    io_write_at(fd, bytes + len / 2, len - len / 2, len / 2, NULL), 0);
	ck_assert_int_eq(close(steal_fd(&fd)), 0);
	receive();
	stored_is(3);
}
END_TEST

/* ---- the poison guard ---- */

static int
die_while_verifying(void *ctx, enum sys_op op, const char *name)
{
	(void)ctx;
	/* The private copy exists: its verification is next. */
	if (op == SYS_FSYNC && strncmp(name, "fd:", 3) == 0)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

static int
receive_in_child(sys_judge *judge, void *ctx)
{
	int status = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int r;

		sys_set_judge(judge, ctx);
		r = run_receive(&u, NULL);
		_exit(r == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* Kills at the first sync after the staged copy was begun. */
static int
die_at_copy(void *ctx, enum sys_op op, const char *name)
{
	bool *begun = ctx;

	if (op == SYS_OPEN && strstr(name, ".aim.tmp") != NULL)
		*begun = true;
	return *begun ? die_while_verifying(ctx, op, name) : 0;
}

START_TEST(a_file_that_kills_its_reader_twice_is_put_aside)
{
	bool begun = false;
	int i;

	make_stream(1);
	deliver(&u, 0);
	deliver(&u, 1);
	deliver(&u, 2);
	receive();
	deliver(&u, 3);
	for (i = 0; i < 2; i++) {
		int status = receive_in_child(die_at_copy, &begun);

		ck_assert(WIFSIGNALED(status));
		begun = false;
		ck_assert(is_in(u.in, u.maker.file[3].name));
	}
	receive();
	stored_is(2);
	ck_assert(is_quarantined(&u, "ended the receiver twice"));
	state_is(ACK_STALLED, "twice");
	/* Sent again it gets a new chance. */
	deliver(&u, 3);
	receive();
	stored_is(3);
}
END_TEST

/* ---- acknowledgements ---- */

START_TEST(the_counter_grows_over_restarts)
{
	struct ack a, b;
	char text[UUID_TEXT], name[64];

	make_stream(0);
	receive();
	load_ack(&u, &a);
	receive();
	load_ack(&u, &b);
	ck_assert_uint_gt(b.counter, a.counter);
	/* Even when its memory is lost, thanks to what was published ... */
	(void)snprintf(
	    name, sizeof(name), "%s.counter", uuid_text(&u.maker.mirror, text));
	ck_assert_int_eq(unlinkat(u.home.state, name, 0), 0);
	receive();
	load_ack(&u, &a);
	ck_assert_uint_gt(a.counter, b.counter);
	/* ... or to the clock. */
	ck_assert_int_eq(unlinkat(u.home.state, name, 0), 0);
	ck_assert_int_eq(
	    unlinkat(
		u.ack, ack_name(&u.maker.mirror, (char[ACK_NAME_LEN]){0}), 0),
	    0);
	receive();
	load_ack(&u, &b);
	ck_assert_uint_gt(b.counter, a.counter);
}
END_TEST

/* Was the redriver's word synced before an acknowledgement was published? */
static int
order_judge(void *ctx, enum sys_op op, const char *name)
{
	char link[64], path[PATH_MAX] = "";
	int *step = ctx;
	size_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%s",
	    strncmp(name, "fd:", 3) == 0 ? name + 3 : "none");
	n = strlen(name);
	if (op == SYS_FSYNC && readlink(link, path, sizeof(path) - 1) > 0 &&
	    strstr(path, ".state") != NULL)
		*step = 1;
	else if (op == SYS_RENAME && n > 4 && strcmp(name + n - 4, ".ack") == 0)
		*step = *step == 1 ? 2 : -1;
	return 0;
}

START_TEST(what_is_applied_is_durable_before_it_is_acknowledged)
{
	struct err e = {0};
	int step = 0, r;
	struct ack a;

	make_stream(1);
	deliver_all(&u);
	receive();
	ck_assert_msg(run_apply(&u, &e) == 0, "%s", e.text);
	sys_set_judge(order_judge, &step);
	r = run_receive(&u, &e);
	sys_set_judge(NULL, NULL);
	ck_assert_msg(r == 0, "%s", e.text);
	ck_assert_int_eq(step, 2);
	load_ack(&u, &a);
	ck_assert(!position_is_nil(&a.applied));
}
END_TEST

START_TEST(the_acknowledgement_can_be_read_by_others)
{
	struct stat st;
	char name[ACK_NAME_LEN];
	mode_t was = umask(077);

	receive();
	(void)umask(was);
	ck_assert_int_eq(fstatat(u.ack, ack_name(&u.maker.mirror, name), &st,
			     AT_SYMLINK_NOFOLLOW),
	    0);
	ck_assert_int_eq(st.st_mode & 0777, 0644);
}
END_TEST

START_TEST(something_in_its_place_is_replaced)
{
	char name[ACK_NAME_LEN];

	(void)ack_name(&u.maker.mirror, name);
	if (_i == 0)
		ck_assert_int_eq(mkdirat(u.ack, name, 0700), 0);
	else
		ck_assert_int_eq(symlinkat("/dev/null", u.ack, name), 0);
	receive();
	state_is(ACK_EMPTY, "");
}
END_TEST

START_TEST(a_missing_folder_is_told)
{
	char text[UUID_TEXT], name[64], reason[200];
	struct err e = {0};

	(void)strcpy(u.config.incoming, "/nonexistent/aim");
	ck_assert_int_eq(run_receive(&u, &e), -1);
	ck_assert_msg(strstr(e.text, "/nonexistent/aim") != NULL, "%s", e.text);
	(void)snprintf(
	    name, sizeof(name), "%s.recv", uuid_text(&u.maker.mirror, text));
	ck_assert(note_read(&u.home, name, "reason", reason, sizeof(reason)));
	ck_assert_ptr_nonnull(strstr(reason, "incoming folder"));
}
END_TEST

START_TEST(waiting_ends_when_a_file_comes)
{
	struct receive *r = NULL;
	struct err e = {0};
	uint64_t begun;

	make_stream(0);
	ck_assert_int_eq(receive_open(&u.home, &u.config, &r, &e), 0);
	while (receive_pass(r, &e) > 0)
		continue;
	deliver(&u, 0);
	begun = clock_mono_ns();
	receive_wait(r, 9000);
	ck_assert_uint_lt(clock_mono_ns() - begun, UINT64_C(5000000000));
	while (receive_pass(r, &e) > 0)
		continue;
	receive_close(r);
	stored_is(0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("receive");
	TCase *t = tcase_create("right");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, files_in_order_are_staged_and_acknowledged);
	tcase_add_test(t, all_at_once_is_as_good);
	tcase_add_test(t, a_beginning_may_be_seen_half_written);
	tcase_add_test(t, a_later_file_waits_for_the_ones_before);
	tcase_add_test(t, a_missing_file_stops_and_is_told);
	tcase_add_test(t, duplicates_are_dropped);
	tcase_add_test(t, a_new_epoch_is_followed);
	tcase_add_test(t, a_source_that_was_rolled_back_is_refused);
	tcase_add_test(
	    t, a_mirror_without_state_waits_for_a_base_that_names_it);
	tcase_add_test(t, a_mirror_without_state_never_begins_with_a_recovery);
	tcase_add_test(t, paused_means_that_nothing_is_taken);
	tcase_add_test(t, two_streams_share_a_folder);
	suite_add_tcase(s, t);

	t = tcase_create("wrong");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_file_cut_anywhere_is_refused, 0, 16);
	tcase_add_loop_test(t, a_flipped_bit_anywhere_is_refused, 0, 8);
	tcase_add_test(t, bytes_beyond_the_end_are_refused);
	tcase_add_loop_test(t, what_comes_from_elsewhere_is_refused, 0, 8);
	tcase_add_test(t, a_forged_signature_is_refused);
	tcase_add_test(t, the_same_name_with_other_content_is_an_alarm);
	tcase_add_test(t, a_name_that_lies_is_refused);
	tcase_add_test(t, hostile_names_are_put_aside);
	tcase_add_test(t, of_a_crowd_only_some_are_kept);
	tcase_add_loop_test(t, what_is_no_file_is_never_opened, 0, 5);
	tcase_add_loop_test(
	    t, transfers_under_way_are_left_until_they_are_old, 0, 2);
	tcase_add_test(t, a_file_that_is_still_written_is_left_alone);
	tcase_add_test(t, a_file_that_kills_its_reader_twice_is_put_aside);
	suite_add_tcase(s, t);

	t = tcase_create("told");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_counter_grows_over_restarts);
	tcase_add_test(t, what_is_applied_is_durable_before_it_is_acknowledged);
	tcase_add_test(t, the_acknowledgement_can_be_read_by_others);
	tcase_add_loop_test(t, something_in_its_place_is_replaced, 0, 2);
	tcase_add_test(t, a_missing_folder_is_told);
	tcase_add_test(t, waiting_ends_when_a_file_comes);
	suite_add_tcase(s, t);
	return unit_run(s);
}
