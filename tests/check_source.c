/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/source_kit.h"

#include "common/io.h"
#include "coordinator/ship.h"
#include "coordinator/source.h"

#include <stdio.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

/* Random writes through the driver. */
static void
write_some(struct source_kit *k, struct capture *c, uint64_t seed, int count)
{
	uint8_t data[16384];
	uint32_t v;

	for (v = 0; v < k->rig.volumes; v++) {
		struct rig_file f;
		struct stat st;
		int i;

		rig_file_open(&f, c, &k->rig, v);
		ck_assert_int_eq(fstat(f.fd, &st), 0);
		for (i = 0; i < count; i++) {
			uint64_t len = 1 + rig_random(&seed) % sizeof(data);
			uint64_t off =
			    rig_random(&seed) % ((uint64_t)st.st_size - len);

			rig_fill(data, len, seed);
			ck_assert_int_eq(
			    rig_write(&f, data, len, off), (int64_t)len);
		}
		rig_file_close(&f);
	}
}

static int
stream_dir(const struct source *s)
{
	return s->sealed.dir;
}

START_TEST(a_base_and_writes_after_it_replay_to_equal_volumes)
{
	struct source_kit k;
	struct source *s;
	struct capture *c;
	struct err e = {0};

	kit_open(&k, 2, 3 * MIB + 517, 1);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	s = kit_source(&k);
	/* Before the first base nothing is spooled. */
	write_some(&k, c, 1, 20);
	kit_pass(s);
	ck_assert_uint_eq(kit_count(stream_dir(s)), 0);
	kit_base(&k);
	s->jobs_ns = 0;
	kit_pass(s);
	write_some(&k, c, 2, 200);
	OK(source_seal_all(s, &e));
	ck_assert(kit_replay(&k, stream_dir(s)));
	ck_assert_uint_eq(k.begins, 1);
	ck_assert_uint_eq(k.ends, 1);
	ck_assert_uint_eq(k.breaks, 0);
	capture_detach(c);
	OK(source_finish(s, &e));
	source_close(s);
	kit_close(&k);
}
END_TEST

START_TEST(a_copy_in_among_concurrent_writers_replays_to_equal_volumes)
{
	struct source_kit k;
	struct source *s;
	struct capture *c;
	struct err e = {0};
	int round;

	kit_open(&k, 2, 24 * MIB, 2);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	s = kit_source(&k);
	kit_base(&k);
	s->jobs_ns = 0;
	for (round = 0; round < 12; round++) {
		ck_assert_msg(source_pass(s, &e) >= 0, "%s", e.text);
		write_some(&k, c, (uint64_t)round, 100);
	}
	kit_pass(s);
	OK(source_seal_all(s, &e));
	ck_assert(kit_replay(&k, stream_dir(s)));
	ck_assert_uint_eq(k.begins, 1); /* shared by both */
	ck_assert_uint_eq(k.ends, 1);
	capture_detach(c);
	source_close(s);
	kit_close(&k);
}
END_TEST

START_TEST(files_travel_by_folder_and_acknowledgements_come_back)
{
	struct source_kit k;
	struct source *s;
	struct ship *ship;
	struct capture *c;
	struct err e = {0};
	char path[200], stream[UUID_TEXT], value[64];
	int far = -1;
	struct position at;

	kit_open(&k, 1, 2 * MIB, 1);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	s = kit_source(&k);
	ship = kit_ship(&k, 0);
	kit_ship_pass(ship); /* nothing yet, and no harm */
	kit_base(&k);
	s->jobs_ns = 0;
	kit_pass(s);
	write_some(&k, c, 3, 300);
	OK(source_seal_all(s, &e));
	ship->job_ns = 0;
	kit_ship_pass(ship);
	(void)snprintf(path, sizeof(path), "%s/in0/%s", k.dir.path,
	    uuid_text(&k.group.stream, stream));
	OK(io_open_dir(AT_FDCWD, path, &far, &e));
	ck_assert_uint_eq(kit_count(far), kit_count(stream_dir(s)));
	ck_assert(kit_replay(&k, far));
	at = k.end;
	kit_ack(&k, 0, &at, &at);
	ship->poll_ns = 0;
	kit_ship_pass(ship);
	(void)snprintf(path, sizeof(path), "%s.ship",
	    uuid_text(&k.destination[0].uuid, stream));
	ship->note_ns = 0;
	kit_ship_pass(ship);
	ck_assert(note_read(&k.home, path, "applied", value, sizeof(value)));
	ck_assert_uint_eq(strtoull(value, NULL, 10), at.last);
	ck_assert(note_read(&k.home, path, "lag_files", value, sizeof(value)));
	ck_assert_str_eq(value, "0");
	ck_assert(note_read(&k.home, path, "state", value, sizeof(value)));
	ck_assert_str_eq(value, "streaming");
	/* Acknowledged as applied: all but the tip goes. */
	s->prune_ns = 0;
	kit_pass(s);
	ck_assert_uint_eq(kit_count(stream_dir(s)), 1);
	close(far);
	capture_detach(c);
	ship_close(ship);
	source_close(s);
	kit_close(&k);
}
END_TEST

START_TEST(design_9_11_a_copy_in_stays_within_its_window)
{
	struct source_kit k;
	struct source *s;
	struct err e = {0};
	uint64_t most = 0, off = 0;
	struct ack a;
	int n, stalls = 0;

	kit_open(&k, 1, 60 * MIB, 1);
	kit_base(&k);
	s = kit_source(&k);
	s->window_limit = 17 * MIB;
	for (n = 0; n < 2000 && s->jobs[0].state != JOB_DONE; n++) {
		int did = source_pass(s, &e);

		ck_assert_msg(did >= 0, "%s", e.text);
		if (s->window_known && s->window_bytes > most)
			most = s->window_bytes;
		if (did == 1)
			continue;
		/* It stands still until the mirror has stored what came. */
		ck_assert_uint_lt(s->jobs[0].off, 60 * MIB);
		ck_assert_uint_gt(s->jobs[0].off, off);
		off = s->jobs[0].off;
		stalls++;
		OK(source_seal_all(s, &e));
		ck_assert_int_eq(source_pass(s, &e), 0);
		/* A restart finds the same window, and goes on from there. */
		OK(source_finish(s, &e));
		source_close(s);
		s = kit_source(&k);
		s->window_limit = 17 * MIB;
		ck_assert_int_eq(source_pass(s, &e), 0);
		kit_fill_ack(&k, 0, &a);
		a.stored = s->tip.at;
		kit_save_ack(&k, 0, &a);
	}
	ck_assert_int_eq(s->jobs[0].state, JOB_DONE);
	ck_assert_int_ge(stalls, 2);
	ck_assert_uint_le(most, 17 * MIB);
	OK(source_seal_all(s, &e));
	ck_assert(kit_replay(&k, stream_dir(s)));
	source_close(s);
	kit_close(&k);
}
END_TEST

START_TEST(design_9_11_copied_in_content_is_not_spool)
{
	struct source_kit k;
	struct source *s;
	struct err e = {0};
	uint64_t spool;

	kit_open(&k, 1, 12 * MIB, 1);
	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	OK(source_seal_all(s, &e));
	ck_assert_uint_ge(s->files, 2);
	ck_assert_uint_lt(s->spool_bytes, 64 * 1024);
	spool = s->spool_bytes;
	source_close(s);
	s = kit_source(&k);
	ck_assert_uint_eq(s->spool_bytes, spool);
	source_close(s);
	kit_close(&k);
}
END_TEST

START_TEST(silence_is_broken_by_heartbeats)
{
	struct source_kit k;
	struct source *s;
	struct err e = {0};
	uint64_t before;

	kit_open(&k, 1, MIB, 1);
	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	OK(source_seal_all(s, &e));
	before = s->tip.at.last;
	kit_pass(s);
	ck_assert_uint_eq(s->tip.at.last, before);
	s->heartbeat_ns -= UINT64_C(31000000000);
	kit_pass(s);
	OK(source_seal_all(s, &e));
	ck_assert_uint_eq(s->tip.at.last, before + 1);
	/* The path is looked at with each. */
	ck_assert_int_eq(rename(k.rig.path[0], k.rig.copy[0]), 0);
	s->heartbeat_ns -= UINT64_C(31000000000);
	kit_pass(s);
	ck_assert_int_ne(s->trouble[PART_HEARTBEAT].kind, ERR_NONE);
	ck_assert_int_eq(rename(k.rig.copy[0], k.rig.path[0]), 0);
	s->heartbeat_ns -= UINT64_C(31000000000);
	kit_pass(s);
	ck_assert_int_eq(s->trouble[PART_HEARTBEAT].kind, ERR_NONE);
	source_close(s);
	kit_close(&k);
}
END_TEST

static uint64_t
committed(const struct source *s)
{
	struct capture_status st;

	capture_status(s->capture, &st);
	return st.committed;
}

/* Only what each policy itself finds confirms flushes. */
START_TEST(another_policy_begins_with_nothing_committed)
{
	struct source_kit k;
	struct source *s;
	struct ack a;
	struct err e = {0};

	kit_open(&k, 1, MIB, 2);
	k.group.commit = (struct commit_config){
	    .kind = COMMIT_MIRRORS, .needed = 1, .timeout_ms = 60000};
	k.destination[0].commit = true;
	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	OK(source_seal_all(s, &e));
	kit_fill_ack(&k, 0, &a);
	a.stored = s->tip.at;
	kit_save_ack(&k, 0, &a);
	commit_step(s);
	ck_assert_uint_eq(committed(s), s->tip.at.last);
	source_close(s);
	k.destination[0].commit = false;
	k.destination[1].commit = true;
	s = kit_source(&k);
	ck_assert_uint_eq(committed(s), 0);
	commit_step(s);
	ck_assert_uint_eq(committed(s), 0);
	source_close(s);
	kit_close(&k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("source");
	TCase *t = tcase_create("stream");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_base_and_writes_after_it_replay_to_equal_volumes);
	tcase_add_test(
	    t, a_copy_in_among_concurrent_writers_replays_to_equal_volumes);
	tcase_add_test(t, design_9_11_a_copy_in_stays_within_its_window);
	tcase_add_test(t, design_9_11_copied_in_content_is_not_spool);
	tcase_add_test(t, silence_is_broken_by_heartbeats);
	tcase_add_test(t, another_policy_begins_with_nothing_committed);
	tcase_add_test(
	    t, files_travel_by_folder_and_acknowledgements_come_back);
	suite_add_tcase(s, t);
	return unit_run(s);
}
