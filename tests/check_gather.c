/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include "common/io.h"
#include "coordinator/gather.h"
#include "coordinator/gather_plan.h"
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>

static struct unit_dir dir;
static char path[128];
static struct buf plan;
static struct err e;

static void
setup(void)
{
	unit_dir_make(&dir);
	(void)snprintf(path, sizeof(path), "%s/list", dir.path);
	plan = (struct buf){0};
	ck_assert_int_eq(buf_printf(&plan, &e, "a plan\n"), 0);
}

static void
teardown(void)
{
	ladder_unset();
	buf_release(&plan);
	unit_dir_drop(&dir);
}

/* ---- the list of ranges ---- */

#define UNITS 40u

/* What a run does: notes, forgets, and syncs now and then. What must be there
 * afterwards is what was synced last, or was about to be. */
struct history {
	uint64_t sure[UNITS], hoped[UNITS];
};

static int
sync_history(struct gather_state *s, struct history *h)
{
	memcpy(h->hoped, s->read, sizeof(h->hoped));
	if (gather_state_sync(s, &e) < 0)
		return -1;
	memcpy(h->sure, h->hoped, sizeof(h->sure));
	return 0;
}

static int
live(struct gather_state *s, struct history *h)
{
	uint64_t count;

	memset(h, 0, sizeof(*h));
	if (gather_state_create(s, path, &plan, UNITS, &e) < 0 ||
	    gather_state_note(s, 0, 7, 1, &e) < 0 ||
	    gather_state_note(s, 7, 3, 2, &e) < 0 || sync_history(s, h) < 0 ||
	    gather_state_note(s, 20, 1, 3, &e) < 0 ||
	    gather_state_note(s, 39, 1, 4, &e) < 0 || sync_history(s, h) < 0 ||
	    gather_state_forget(s, 2, &count, &e) < 0 ||
	    sync_history(s, h) < 0 || gather_state_note(s, 8, 12, 5, &e) < 0 ||
	    sync_history(s, h) < 0)
		return -1;
	ck_assert_uint_eq(count, 4);
	return 0;
}

/* Is each unit as it was, or as it was about to be? Never is one read that was
 * not, or from others. */
static void
check_history(const struct history *h)
{
	struct gather_state s = GATHER_STATE_NONE;
	struct buf again = {0};
	uint64_t i, unread = 0;
	int there = gather_state_plan(path, &again, &e);

	ck_assert_int_ge(there, 0);
	if (there == 0) {
		for (i = 0; i < UNITS; i++)
			ck_assert_uint_eq(h->sure[i], 0);
		buf_release(&again);
		return;
	}
	ck_assert_uint_eq(again.len, plan.len);
	ck_assert_mem_eq(again.data, plan.data, plan.len);
	buf_release(&again);
	ck_assert_msg(
	    gather_state_open(&s, path, UNITS, &e) == 0, "%s", e.text);
	for (i = 0; i < UNITS; i++) {
		ck_assert(s.read[i] == h->sure[i] || s.read[i] == h->hoped[i]);
		unread += s.read[i] == 0 ? 1 : 0;
	}
	ck_assert_uint_eq(s.unread, unread);
	gather_state_close(&s);
}

START_TEST(what_was_synced_is_there_whichever_call_fails)
{
	static const int troubles[] = {EIO, ENOSPC, SYS_SHORT};
	struct ladder l = {
	    .trouble = troubles[_i / 2], .stays = _i % 2 != 0, .op = -1};
	struct history h;
	int done;

	do {
		struct gather_state s = GATHER_STATE_NONE;

		(void)unlink(path);
		ladder_set(&l);
		done = live(&s, &h);
		ladder_unset();
		gather_state_close(&s);
		check_history(&h);
		l.rung++;
	} while (l.struck);
	ck_assert_int_eq(done, 0);
	ck_assert_int_gt(l.rung, 8);
}
END_TEST

/* A sync that failed may be tried again; then all is there. */
START_TEST(a_sync_may_be_tried_again)
{
	struct ladder l = {.trouble = EIO, .op = SYS_FDATASYNC};
	struct gather_state s = GATHER_STATE_NONE;

	ck_assert_int_eq(gather_state_create(&s, path, &plan, UNITS, &e), 0);
	ck_assert_int_eq(gather_state_note(&s, 3, 2, 9, &e), 0);
	ladder_set(&l);
	ck_assert_int_eq(gather_state_sync(&s, &e), -1);
	ladder_unset();
	ck_assert_int_eq(gather_state_note(&s, 5, 1, 9, &e), 0);
	ck_assert_int_eq(gather_state_sync(&s, &e), 0);
	gather_state_close(&s);
	ck_assert_int_eq(gather_state_open(&s, path, UNITS, &e), 0);
	ck_assert_uint_eq(s.unread, UNITS - 3);
	ck_assert_uint_eq(s.read[5], 9);
	gather_state_close(&s);
}
END_TEST

static void
write_all(const struct buf *b)
{
	ck_assert_int_eq(
	    io_write_file(dir.fd, "list", b->data, b->len, 0600, &e), 0);
}

/* Cut anywhere, or with a flipped bit anywhere: what is read is a beginning of
 * what was noted, or it is told that the file is damaged. */
START_TEST(damage_only_lets_units_be_unread)
{
	struct gather_state s = GATHER_STATE_NONE;
	struct buf whole = {0}, bad = {0};
	size_t at;

	ck_assert_int_eq(gather_state_create(&s, path, &plan, UNITS, &e), 0);
	for (uint64_t i = 0; i < UNITS; i++)
		ck_assert_int_eq(gather_state_note(&s, i, 1, i + 1, &e), 0);
	ck_assert_int_eq(gather_state_sync(&s, &e), 0);
	gather_state_close(&s);
	ck_assert_int_eq(io_read_file(dir.fd, "list", 65536, &whole, &e), 0);
	for (at = 0; at < 2 * whole.len; at++) {
		bad.len = 0;
		ck_assert_int_eq(buf_add(&bad, whole.data,
				     at < whole.len ? at : whole.len, &e),
		    0);
		if (at >= whole.len)
			bad.data[at - whole.len] ^= (uint8_t)(1u << at % 8);
		write_all(&bad);
		if (gather_state_open(&s, path, UNITS, &e) < 0)
			continue;
		for (uint64_t i = 0; i < UNITS; i++)
			ck_assert(s.read[i] == 0 || s.read[i] == i + 1);
		gather_state_close(&s);
	}
	buf_release(&whole);
	buf_release(&bad);
}
END_TEST

/* Whole records behind a torn one never count, also not later. */
START_TEST(what_was_behind_a_torn_record_stays_away)
{
	struct gather_state s = GATHER_STATE_NONE;
	uint64_t end;
	uint8_t bad = 0xff;

	ck_assert_int_eq(gather_state_create(&s, path, &plan, UNITS, &e), 0);
	end = s.end;
	for (uint64_t i = 0; i < 5; i++)
		ck_assert_int_eq(gather_state_note(&s, i, 1, 1, &e), 0);
	ck_assert_int_eq(gather_state_sync(&s, &e), 0);
	ck_assert_int_eq(io_write_at(s.fd, &bad, 1, end + 32, &e), 0);
	gather_state_close(&s);
	ck_assert_int_eq(gather_state_open(&s, path, UNITS, &e), 0);
	ck_assert_uint_eq(s.unread, UNITS - 1);
	ck_assert_int_eq(gather_state_note(&s, 30, 1, 1, &e), 0);
	ck_assert_int_eq(gather_state_sync(&s, &e), 0);
	gather_state_close(&s);
	ck_assert_int_eq(gather_state_open(&s, path, UNITS, &e), 0);
	ck_assert_uint_eq(s.unread, UNITS - 2);
	ck_assert_uint_eq(s.read[2], 0);
	gather_state_close(&s);
}
END_TEST

/* ---- plans ---- */

static const struct layout layouts[] = {
    {LAYOUT_RAID1, 3, 0},
    {LAYOUT_RAID0, 3, 4096},
    {LAYOUT_RAID0, 5, 65536},
    {LAYOUT_RAID10, 4, 65536},
    {LAYOUT_RAID10, 6, 1 << 20},
    {LAYOUT_RAID1E, 3, 65536},
    {LAYOUT_RAID1E, 4, 1 << 20},
    {LAYOUT_RAID1E, 5, 4096},
    {LAYOUT_RAID1E, 7, 8 << 20},
};
#define LAYOUTS ((int)(sizeof(layouts) / sizeof(layouts[0])))
#define BLOCK 4096u

/* Marks the blocks of the unit that these stretches bring. */
static void
follow(const struct layout *l, uint64_t off, uint64_t len, uint64_t members,
    uint8_t *seen)
{
	struct layout_piece p;
	struct gather_read r;
	uint64_t before = 0;

	for (uint32_t m = 0; m < l->members; m++) {
		uint64_t at = 0;

		if ((members >> m & 1) == 0)
			continue;
		while (gather_next(l, off, len, m, before, &at, &r) > 0) {
			ck_assert_uint_eq(r.member, m);
			ck_assert_uint_gt(r.len, 0);
			ck_assert_uint_le(r.len, REMOTE_READ_LIMIT);
			for (uint64_t i = 0; i < r.len; i += p.len) {
				layout_unmap(l, m, r.off + i, r.len - i, &p);
				for (uint64_t k = p.volume_off;
				     k < p.volume_off + p.len; k += BLOCK)
					if (k >= off && k < off + len)
						seen[(k - off) / BLOCK] = 1;
			}
		}
		before |= UINT64_C(1) << m;
	}
}

/* Whichever members are there: all of a unit is read, or it is known that it
 * cannot be. */
START_TEST(a_unit_is_read_whole_from_members_that_suffice)
{
	const struct layout *l = &layouts[_i];
	uint64_t unit = gather_unit(l), all = (UINT64_C(1) << l->members) - 1;
	uint8_t *seen = calloc(unit / BLOCK + 1, 1);
	uint32_t order[LAYOUT_MOST], n;

	ck_assert_ptr_nonnull(seen);
	for (uint64_t from = 0; from <= all; from++) {
		uint64_t off = from % 3 * unit, chosen;

		for (n = 0; n < l->members; n++)
			order[n] = (uint32_t)((n + from) % l->members);
		chosen = gather_choose(l, off, unit, from, order);
		ck_assert_uint_eq(chosen & ~from, 0);
		if (layout_is_covered(l, from))
			ck_assert_uint_ne(chosen, 0);
		if (chosen == 0)
			continue;
		memset(seen, 0, unit / BLOCK);
		follow(l, off, unit, chosen, seen);
		for (uint64_t i = 0; i < unit / BLOCK; i++)
			ck_assert_uint_eq(seen[i], 1);
	}
	free(seen);
}
END_TEST

START_TEST(no_more_members_are_read_than_needed)
{
	const struct layout mirrors = {LAYOUT_RAID1, 3, 0},
			    pairs = {LAYOUT_RAID10, 4, 65536};
	static const uint32_t order[LAYOUT_MOST] = {2, 0, 1, 3};

	ck_assert_uint_eq(gather_choose(&mirrors, 0, BLOCK, 7, order), 2);
	ck_assert_uint_eq(gather_choose(&mirrors, 0, BLOCK, 5, order), 1);
	ck_assert_uint_eq(gather_choose(&pairs, 0, 1 << 20, 15, order), 8 | 2);
}
END_TEST

static void
check_comes_back(struct gather_config *c, const struct gather_cut *cut)
{
	struct gather_config out = {.size = 0};
	struct gather_cut then = {.at = {.last = 0}};
	struct buf text = {0};
	uint64_t unit = 0;

	ck_assert_msg(
	    gather_plan_encode(c, 4096, cut, &text, &e) == 0, "%s", e.text);
	ck_assert_msg(gather_plan_decode(&text, &out, &unit, &then, &e) == 0,
	    "%s", e.text);
	ck_assert_uint_eq(unit, 4096);
	ck_assert_mem_eq(&then.at.digest, &cut->at.digest, DIGEST_LEN);
	ck_assert_uint_eq(then.at.last, cut->at.last);
	ck_assert_uint_eq(then.at.epoch_number, cut->at.epoch_number);
	ck_assert(uuid_equal(&then.stream, &cut->stream));
	ck_assert_mem_eq(&out.layout, &c->layout, sizeof(out.layout));
	ck_assert_uint_eq(out.size, c->size);
	ck_assert(out.force == c->force && out.still == c->still);
	for (uint32_t i = 0; i < c->layout.members; i++)
		ck_assert_mem_eq(
		    &out.members[i], &c->members[i], sizeof(out.members[i]));
	free(out.members);
	buf_release(&text);
}

START_TEST(a_plan_comes_back_as_it_was)
{
	static struct gather_member m[3];
	struct gather_config c = {.layout = {LAYOUT_RAID1E, 3, 65536},
	    .members = m,
	    .size = 123456,
	    .still = true};
	struct gather_cut cut = {.stream = {{1}},
	    .at = {.epoch = {{2}},
		.epoch_number = 3,
		.sequence = 4,
		.last = 5,
		.digest = {6}}};

	for (int i = 0; i < 3; i++) {
		(void)snprintf(m[i].name, NAME_LIMIT, "m%d", i);
		(void)snprintf(
		    m[i].how.url, sizeof(m[i].how.url), "sftp://x@h/d d/%d", i);
	}
	(void)strcpy(m[1].how.key_file, "/etc/a key");
	(void)strcpy(m[1].how.proxy, "http://p:1");
	m[2].has_ack = true;
	m[2].how.stream.b[0] = 9;
	m[2].how.mirror.b[0] = 10;
	m[2].how.mirror_site.b[0] = 11;
	m[2].how.mirror_key.key[0] = 12;
	(void)strcpy(m[2].how.ack_url, "/acks");
	check_comes_back(&c, &cut);
	c.force = true;
	memset(&cut, 0, sizeof(cut));
	check_comes_back(&c, &cut);
}
END_TEST

/* ---- at which moment ---- */

static struct gather_member three[3];
static struct gather_word words[3];
static struct gather_config config = {
    .layout = {LAYOUT_RAID1E, 3, 65536}, .members = three};

static void
say_all(uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t last[3] = {a, b, c};

	for (uint8_t i = 0; i < 3; i++)
		words[i] = (struct gather_word){.known = 1,
		    .ack = {.stream = {{i}},
			.consistent = true,
			.at_rest = true,
			.state = ACK_PAUSED,
			.applied = {.epoch = {{i}},
			    .epoch_number = 1,
			    .sequence = 1,
			    .last = last[i],
			    .digest = {i}}}};
}

/* 0: refused, -1: not yet known. */
static int
picked(struct gather_cut *cut)
{
	uint64_t members = 0;

	if (gather_pick(&config, words, cut, &members, &e) == 0)
		return (int)members;
	return e.kind == ERR_RETRY ? -1 : 0;
}

START_TEST(the_highest_moment_is_taken_if_enough_are_there)
{
	struct gather_cut cut = {.at = {.last = 0}};

	say_all(5, 5, 5);
	ck_assert_int_eq(picked(&cut), 7);
	ck_assert_uint_eq(cut.at.last, 5);
	memset(&cut, 0, sizeof(cut));
	say_all(5, 4, 5);
	ck_assert_int_eq(picked(&cut), 5);
	memset(&cut, 0, sizeof(cut));
	say_all(5, 4, 4);
	ck_assert_int_eq(picked(&cut), 0);
	config.force = true;
	ck_assert_int_eq(picked(&cut), 6);
	ck_assert_uint_eq(cut.at.last, 4);
	memset(&cut, 0, sizeof(cut));
	say_all(5, 4, 3);
	ck_assert_int_eq(picked(&cut), 7);
	ck_assert_uint_eq(cut.at.last, 0);
	config.force = false;
}
END_TEST

START_TEST(a_moment_that_was_begun_with_is_kept)
{
	struct gather_cut cut = {.at = {.last = 0}};

	say_all(5, 5, 5);
	ck_assert_int_eq(picked(&cut), 7);
	say_all(5, 5, 9);
	ck_assert_int_eq(picked(&cut), 3);
	ck_assert_uint_eq(cut.at.last, 5);
	say_all(9, 5, 9);
	ck_assert_int_eq(picked(&cut), 5);
	ck_assert_uint_eq(cut.at.last, 9);
}
END_TEST

START_TEST(who_moves_or_is_not_consistent_is_left_out)
{
	struct gather_cut cut = {.at = {.last = 0}};

	say_all(5, 5, 5);
	words[1].ack.at_rest = false;
	ck_assert_int_eq(picked(&cut), 5);
	words[0].ack.consistent = false;
	ck_assert_int_eq(picked(&cut), 0);
	say_all(5, 5, 5);
	words[1] =
	    (struct gather_word){.known = -1, .why = {.kind = ERR_RETRY}};
	ck_assert_int_eq(picked(&cut), 5);
	words[2].known = 0;
	ck_assert_int_eq(picked(&cut), -1);
	words[1].why.kind = ERR_REFUSED;
	ck_assert_int_eq(picked(&cut), 0);
}
END_TEST

/* The same number, but another history: of one stream. */
START_TEST(other_files_of_the_same_stream_are_another_moment)
{
	struct gather_cut cut = {.at = {.last = 0}};

	say_all(5, 5, 5);
	for (int i = 0; i < 3; i++)
		words[i].ack.stream = words[0].ack.stream;
	ck_assert_int_eq(picked(&cut), 0);
	for (int i = 0; i < 2; i++)
		words[i].ack.applied = words[2].ack.applied;
	ck_assert_int_eq(picked(&cut), 7);
	words[0].ack.applied.digest[7] = 1;
	ck_assert_int_eq(picked(&cut), 6);
}
END_TEST

static const char *const bad_times[] = {
    "", "1:00", "24:00", "12:60", "12:00,", "12:00;13:00", "12:00,x", "now"};

START_TEST(times_without_sense_are_refused)
{
	ck_assert_int_eq(gather_times_check(bad_times[_i], &e), -1);
	ck_assert_int_eq(gather_times_check("00:00", &e), 0);
	ck_assert_int_eq(gather_times_check("06:30,23:59", &e), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("gather");
	TCase *t = tcase_create("gather");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(
	    t, what_was_synced_is_there_whichever_call_fails, 0, 6);
	tcase_add_test(t, a_sync_may_be_tried_again);
	tcase_add_test(t, damage_only_lets_units_be_unread);
	tcase_add_test(t, what_was_behind_a_torn_record_stays_away);
	tcase_add_loop_test(
	    t, a_unit_is_read_whole_from_members_that_suffice, 0, LAYOUTS);
	tcase_add_test(t, no_more_members_are_read_than_needed);
	tcase_add_test(t, a_plan_comes_back_as_it_was);
	tcase_add_test(t, the_highest_moment_is_taken_if_enough_are_there);
	tcase_add_test(t, a_moment_that_was_begun_with_is_kept);
	tcase_add_test(t, who_moves_or_is_not_consistent_is_left_out);
	tcase_add_test(t, other_files_of_the_same_stream_are_another_moment);
	tcase_add_loop_test(t, times_without_sense_are_refused, 0,
	    (int)(sizeof(bad_times) / sizeof(bad_times[0])));
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return unit_run(s);
}
