/* SPDX-License-Identifier: Apache-2.0 */
/* The projector: a stream made from the group's, whatever happens. */
#include "tests/source_kit.h"

#include "common/io.h"
#include "coordinator/project.h"
#include "coordinator/source.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static struct source_kit k;
static struct source *s;
static struct project *p;
static struct capture *c;
static struct rig_file file[2];
static struct volume_config volumes[2];
static struct projection_part parts[2];
static struct projection_config config;
static uint64_t seed;

static struct project *
open_project(void)
{
	struct project *out = NULL;
	struct err e = {0};

	OK(project_open(&k.home, &k.group, &config, k.destination,
	    k.destinations, &out, &e));
	return out;
}

/* Two volumes; destination 1 gets a projection of all of both. */
static void
setup(void)
{
	struct capture_volume v;
	struct err e = {0};
	uint32_t i;

	seed = 7;
	kit_open(&k, 2, MIB, 2);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	for (i = 0; i < 2; i++) {
		capture_volume_get(c, i, &v);
		volumes[i] = (struct volume_config){
		    .uuid = v.uuid, .kind = v.kind, .size = v.size};
		(void)snprintf(volumes[i].path, sizeof(volumes[i].path), "%s",
		    k.rig.path[i]);
		parts[i] = (struct projection_part){.volume = i};
		rig_file_open(&file[i], c, &k.rig, i);
	}
	k.group.volumes = volumes;
	k.group.volume_count = 2;
	config = (struct projection_config){.name = "all",
	    .codec = CODEC_NONE,
	    .group = k.group.uuid,
	    .part_count = 2,
	    .parts = parts};
	OK(uuid_make(&config.stream, &e));
	k.destination[1].stream = config.stream;
	s = kit_source(&k);
	p = open_project();
}

static void
teardown(void)
{
	ladder_unset();
	project_close(p);
	rig_file_close(&file[0]);
	rig_file_close(&file[1]);
	capture_detach(c);
	source_close(s);
	kit_close(&k);
}

static void
project(void)
{
	struct err e = {0};
	int did, n = 0;

	if (p->jobs_ns != UINT64_MAX)
		p->jobs_ns = 0;
	do {
		did = project_pass(p, &e);
		ck_assert_msg(did >= 0, "%s", e.text);
	} while (did == 1 && ++n < 1000);
}

static void
seal(void)
{
	struct err e = {0};

	kit_pass(s);
	OK(source_seal_all(s, &e));
}

static void
base(void)
{
	kit_base(&k);
	s->jobs_ns = 0;
	seal();
}

/* A few files with a bit of everything. */
static void
scribble(int files)
{
	uint8_t data[9000];
	int i;

	for (i = 0; i < 12 * files; i++) {
		uint32_t v = (uint32_t)(rig_random(&seed) % 2);
		uint64_t len = 1 + rig_random(&seed) % sizeof(data);
		uint64_t off = rig_random(&seed) % (MIB - len);

		rig_fill(data, len, seed);
		if (i % 5 == 4)
			ck_assert_int_eq(
			    rig_change(&file[v], OP_ZERO, off, len), 0);
		else
			ck_assert_int_eq(
			    rig_write(&file[v], data, len, off), (int64_t)len);
		if (i % 12 == 11)
			seal();
	}
}

static void
acknowledge(uint32_t i, const struct position *at)
{
	struct ack a;

	kit_fill_ack(&k, i, &a);
	a.stored = a.applied = a.durable = *at;
	kit_save_ack(&k, i, &a);
}

static void
prune(void)
{
	struct err e = {0};
	int did;

	do {
		did = prune_step(s, true, &e);
		ck_assert_msg(did >= 0, "%s", e.text);
	} while (did == 1);
}

START_TEST(the_projected_stream_leads_to_the_same_content)
{
	base();
	project();
	scribble(3);
	project();
	ck_assert(kit_replay(&k, p->out.dir));
	ck_assert_uint_eq(k.begins, 1);
	ck_assert_uint_eq(k.ends, 1);
	ck_assert_uint_eq(k.end.last, s->tip.at.last);
	scribble(2);
	project_close(p);
	p = open_project();
	scribble(2);
	project();
	ck_assert(kit_replay(&k, p->out.dir));
	ck_assert_uint_eq(k.end.last, s->tip.at.last);
}
END_TEST

START_TEST(a_break_of_the_history_is_carried_over)
{
	struct ladder l = {.op = SYS_FDATASYNC, .trouble = EIO, .stays = true};
	struct err e = {0};
	int n;

	base();
	scribble(2);
	project();
	ladder_set(&l);
	ck_assert_int_lt(capture_flush_volumes(s->capture, &e), 0);
	ladder_unset();
	for (n = 0; n < 50; n++)
		(void)!source_pass(s, &e);
	scribble(2);
	project();
	ck_assert(kit_replay(&k, p->out.dir));
	ck_assert_uint_eq(k.breaks, 1);
	ck_assert_uint_eq(k.ends, 2);
	ck_assert_uint_eq(k.end.epoch_number, 2);
	ck_assert_uint_eq(k.end.last, s->tip.at.last);
}
END_TEST

START_TEST(nothing_is_projected_before_the_first_base)
{
	scribble(1);
	project();
	ck_assert_uint_eq(kit_count(p->out.dir), 0);
}
END_TEST

/* A file that came after that may begin a base for a destination that it does
 * not know, and would be made without that. */
START_TEST(told_to_end_it_makes_no_file)
{
	struct err e = {0};
	sigset_t term;

	base();
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &term, NULL), 0);
	ck_assert_int_eq(raise(SIGTERM), 0);
	ck_assert_msg(project_pass(p, &e) >= 0, "%s", e.text);
	ck_assert_uint_eq(kit_count(p->out.dir), 0);
	ck_assert_int_eq(sigwaitinfo(&term, NULL), SIGTERM);
	project();
	ck_assert(kit_replay(&k, p->out.dir));
	ck_assert_uint_eq(k.end.last, s->tip.at.last);
}
END_TEST

START_TEST(the_groups_files_are_held_until_they_are_projected)
{
	uint64_t sealed;

	base();
	scribble(4);
	sealed = kit_count(s->sealed.dir);
	acknowledge(0, &s->tip.at);
	prune();
	ck_assert_uint_eq(kit_count(s->sealed.dir), sealed);
	project();
	prune();
	/* What destination 1 has does not matter any more. */
	ck_assert_uint_eq(kit_count(s->sealed.dir), 1);
	ck_assert_uint_eq(kit_count(p->out.dir), sealed);
	/* What waits there counts here. */
	ck_assert_uint_gt(source_spool(s), 0);
	scribble(1);
	project();
	ck_assert(kit_replay(&k, p->out.dir));
}
END_TEST

START_TEST(projected_files_go_when_their_destination_has_them)
{
	struct position half;
	uint64_t all;

	base();
	scribble(6);
	project();
	all = kit_count(p->out.dir);
	ck_assert(kit_replay(&k, p->out.dir));
	kit_position(&k, 4, &half); /* names are the same */
	acknowledge(1, &half);
	project_close(p);
	p = open_project();
	project();
	ck_assert_uint_eq(kit_count(p->out.dir), all - 4);
	acknowledge(1, &k.end);
	p->keep_ns = 0;
	project();
	ck_assert_uint_eq(kit_count(p->out.dir), 1);
	ck_assert(p->tip_free);
	scribble(2);
	project();
	ck_assert(kit_follow(&k, p->out.dir));
}
END_TEST

/* Fails call number n, once or for good, for each n until none is struck. */
START_TEST(it_goes_on_whatever_fails)
{
	struct ladder l = {.op = -1, .trouble = ENOSPC, .stays = _i == 1};
	struct err e = {0};
	int i;

	base();
	scribble(3);
	for (l.rung = 0; l.rung < 400; l.rung++) {
		ladder_set(&l);
		for (i = 0; i < 3; i++)
			(void)!project_pass(p, &e);
		ladder_unset();
		/* As by a crash, every other time. */
		if (l.rung % 2 == 0) {
			project_close(p);
			p = open_project();
		}
		prune();
		if (!l.struck)
			break;
		if (l.rung % 8 == 0)
			scribble(1);
	}
	ck_assert(!l.struck);
	project();
	ck_assert(kit_replay(&k, p->out.dir));
	ck_assert_uint_eq(k.end.last, s->tip.at.last);
}
END_TEST

START_TEST(a_destination_that_comes_back_begins_with_its_base)
{
	char name[UUID_TEXT + 4], text[UUID_TEXT];
	struct err e = {0};
	struct job j;

	base();
	scribble(2);
	project();
	OK(job_load(&k.home, &k.destination[1].uuid, &j, &e));
	(void)snprintf(name, sizeof(name), "%s.job",
	    uuid_text(&k.destination[1].uuid, text));
	OK(io_remove(k.home.state, name, &e));
	OK(source_jobs(s, true, &e));
	project();
	/* Nothing is held for it. */
	scribble(3);
	acknowledge(0, &s->tip.at);
	prune();
	ck_assert_uint_eq(kit_count(s->sealed.dir), 1);
	/* Another base begins behind what is not there any more. */
	j.from = s->tip.first;
	OK(job_store(&k.home, &j, &e));
	project();
	ck_assert_uint_eq(p->tip.at.last, s->tip.at.last);
	ck_assert_uint_eq(p->tip.at.sequence, s->tip.at.sequence);
	ck_assert_uint_eq(p->tip.first, s->tip.first);
}
END_TEST

/* ---- folding ---- */

static uint8_t image[2][2][MIB];

static void
apply_file(struct sealed *from, const struct sealed_file *f, uint8_t (*to)[MIB])
{
	struct reader *r = NULL;
	const uint8_t *data;
	struct err e = {0};
	struct iocb b;
	int fd = -1;

	ck_assert_int_eq(
	    sealed_open_file(from, f->at.epoch_number, f->at.sequence, &fd, &e),
	    1);
	OK(reader_open(fd, "file", &r, &e));
	OK(reader_verify(r, &k.home.key.pub, &e));
	while (reader_next(r, &b, &data, &e) == 1)
		if (b.op == OP_WRITE || b.op == OP_COPYIN)
			memcpy(to[b.volume] + b.off, data, b.len);
		else if (op_has_range(b.op))
			memset(to[b.volume] + b.off, 0, b.len);
	reader_close(r);
	close(fd);
}

/* At the end of each projected file the content is what the group's own files
 * lead to at the same transaction. Returns how many there are. */
static uint64_t
check_each_position(void)
{
	struct sealed_file f = {.at = {.epoch_number = 1}}, g = f;
	struct err e = {0};
	uint64_t files = 0;

	memset(image, 0, sizeof(image));
	while (sealed_after(
		   &p->out, f.at.epoch_number, f.at.sequence, &f, &e) == 1) {
		apply_file(&p->out, &f, image[0]);
		while (g.at.last < f.at.last) {
			ck_assert_int_eq(
			    sealed_after(&s->sealed, g.at.epoch_number,
				g.at.sequence, &g, &e),
			    1);
			apply_file(&s->sealed, &g, image[1]);
		}
		ck_assert_uint_eq(g.at.last, f.at.last);
		ck_assert_mem_eq(image[0], image[1], sizeof(image[0]));
		files++;
	}
	return files;
}

/* Writes to few places, and zeroes. */
static void
overwrite(int files)
{
	uint8_t data[8192];
	uint64_t number;
	struct err e = {0};
	int i;

	for (i = 0; i < 20 * files; i++) {
		uint64_t off = 4096 * (rig_random(&seed) % 6);

		rig_fill(data, sizeof(data), seed);
		if (i % 7 == 6)
			memset(data, 0, 4096);
		ck_assert_int_eq(
		    rig_write(&file[i % 2], data, sizeof(data), off), 8192);
		if (i % 9 == 8)
			OK(capture_control(
			    c, OP_HEARTBEAT, NULL, 0, &number, &e));
		if (i % 20 == 19)
			seal();
	}
}

START_TEST(folding_within_files_is_right_at_every_position)
{
	config.fold = FOLD_WITHIN;
	project_close(p);
	p = open_project();
	base();
	overwrite(8);
	scribble(4);
	project();
	ck_assert_uint_eq(check_each_position(), kit_count(s->sealed.dir));
	ck_assert(kit_replay(&k, p->out.dir));
	/* What is copied in is not folded. */
	ck_assert_uint_lt(
	    p->sum.bytes_out - 2 * MIB, (p->sum.bytes_in - 2 * MIB) * 3 / 4);
	ck_assert_uint_lt(p->sum.transactions_out, p->sum.transactions_in);
}
END_TEST

START_TEST(folding_across_files_waits_for_the_destination)
{
	struct sealed_file was;
	struct err e = {0};

	config.fold = FOLD_LAGGING;
	project_close(p);
	p = open_project();
	base();
	for (int i = 0; i < 6; i++) {
		overwrite(1);
		project();
	}
	/* So many are under way, and no more are made. */
	ck_assert_uint_eq(kit_count(p->out.dir), 4);
	ck_assert(p->ahead);
	was = p->tip;
	overwrite(20);
	acknowledge(0, &s->tip.at);
	prune();
	/* The source holds what is not projected. */
	ck_assert_int_eq(sealed_look(&s->sealed, p->cursor.epoch_number,
			     p->cursor.sequence + 1, &was, &e),
	    1);
	was = p->tip;
	acknowledge(1, &p->tip.at);
	project();
	ck_assert_uint_eq(p->tip.at.last, s->tip.at.last);
	ck_assert_uint_eq(p->tip.at.sequence, was.at.sequence + 1);
	ck_assert_uint_eq(p->tip.first, was.at.last + 1);
	/* 22 files of 20 writes each to few places; heartbeats between. */
	ck_assert_uint_lt(
	    p->tip.iocb_count, (p->tip.at.last - p->tip.first) * 2 / 3);
	project_close(p);
	p = open_project();
	scribble(2);
	project();
	ck_assert_uint_eq(p->tip.at.last, s->tip.at.last);
}
END_TEST

START_TEST(folding_across_files_is_right_at_every_position)
{
	struct ack a;

	config.fold = FOLD_LAGGING;
	project_close(p);
	p = open_project();
	base();
	for (int i = 0; i < 12; i++) {
		overwrite((int)(rig_random(&seed) % 4));
		scribble((int)(rig_random(&seed) % 2));
		project();
		/* Not applied, so not pruned: all is to be compared. */
		kit_fill_ack(&k, 1, &a);
		a.stored = p->tip.at;
		kit_save_ack(&k, 1, &a);
	}
	project();
	ck_assert_uint_lt(check_each_position(), kit_count(s->sealed.dir));
	ck_assert(kit_replay(&k, p->out.dir));
	ck_assert_uint_eq(k.end.last, s->tip.at.last);
}
END_TEST

/* ---- the map alone ---- */

START_TEST(a_range_is_clipped_byte_by_byte)
{
	struct projection_part part = {.volume = 1, .off = 10, .len = 7};
	struct projection_config one = {.part_count = 1, .parts = &part};
	struct projection_map m;
	struct err e = {0};
	uint8_t in[40], got[40], data[40];
	const uint8_t *at;
	struct iocb b, out;
	uint64_t off, len, i;

	OK(projection_map_init(&m, &one, 3, &e));
	for (off = 0; off < 30; off++)
		for (len = 1; off + len < 40; len++) {
			memset(in, 0, sizeof(in));
			memset(got, 0, sizeof(got));
			for (i = 0; i < len; i++) {
				data[i] = (uint8_t)(i + 1);
				if (off + i >= 10 && off + i < 17)
					in[off + i] = data[i];
			}
			b = (struct iocb){.op = OP_WRITE,
			    .volume = 1,
			    .off = off,
			    .len = len};
			if (projection_take(&m, &b, data, &out, &at)) {
				ck_assert_uint_eq(out.volume, 0);
				ck_assert_uint_ge(out.len, 1);
				memcpy(got + out.off, at, out.len);
			}
			ck_assert_mem_eq(in, got, sizeof(in));
		}
	projection_map_release(&m);
}
END_TEST

#define LAID 200000u

/* Random changes of a volume, as each member of a layout gets them: in the end
 * every copy of every byte is where the arrangement says. */
START_TEST(members_have_what_the_layout_says)
{
	static const struct layout layouts[] = {
	    {LAYOUT_RAID0, 2, 4096},
	    {LAYOUT_RAID0, 3, 8192},
	    {LAYOUT_RAID10, 4, 4096},
	    {LAYOUT_RAID10, 6, 12288},
	    {LAYOUT_RAID1E, 3, 4096},
	    {LAYOUT_RAID1E, 5, 8192},
	};
	const struct layout *l = &layouts[_i];
	static uint8_t volume[LAID], member[6][LAID], room[LAID];
	static uint8_t data[LAID];
	struct projection_part part = {.volume = 0};
	struct layout_piece at;
	struct err e = {0};
	uint64_t chance = 5, off, len;

	memset(volume, 0, sizeof(volume));
	memset(member, 0, sizeof(member));
	OK(layout_check(l, &e));
	for (int i = 0; i < 3000; i++) {
		bool zero = i % 7 == 3;

		len = 1 + rig_random(&chance) % (i % 5 == 0 ? 60000 : 9000);
		off = rig_random(&chance) % (LAID - len);
		rig_fill(data, len, chance);
		if (zero)
			memset(volume + off, 0, len);
		else
			memcpy(volume + off, data, len);
		for (uint32_t m = 0; m < l->members; m++) {
			struct projection_config one = {.part_count = 1,
			    .parts = &part,
			    .layout = *l,
			    .member = m};
			struct iocb b = {.op = zero ? OP_ZERO : OP_WRITE,
			    .off = off,
			    .len = len};
			struct projection_map map;
			const uint8_t *from;
			struct iocb out;

			OK(projection_map_init(&map, &one, 1, &e));
			map.room = room;
			map.room_end = room + len;
			if (projection_take(
				&map, &b, zero ? NULL : data, &out, &from)) {
				ck_assert_uint_le(out.off + out.len,
				    projection_size(&map, LAID));
				if (zero)
					memset(member[m] + out.off, 0, out.len);
				else
					memcpy(
					    member[m] + out.off, from, out.len);
			}
			projection_map_release(&map);
		}
	}
	for (uint32_t copy = 0; copy < layout_copies(l); copy++)
		for (off = 0; off < LAID; off += at.len) {
			layout_map(l, off, LAID - off, copy, &at);
			ck_assert_mem_eq(volume + off,
			    member[at.member] + at.member_off, at.len);
		}
}
END_TEST

START_TEST(a_member_grows_with_the_volume)
{
	struct projection_part part = {.volume = 0};
	struct projection_config one = {.part_count = 1,
	    .parts = &part,
	    .layout = {LAYOUT_RAID0, 2, 4096},
	    .member = 1};
	struct iocb b = {.op = OP_RESIZE, .off = 16384, .len = 8192}, out;
	struct projection_map m;
	struct err e = {0};
	const uint8_t *at;

	OK(projection_map_init(&m, &one, 1, &e));
	ck_assert(projection_take(&m, &b, NULL, &out, &at));
	ck_assert_uint_eq(out.off, 8192);
	ck_assert_uint_eq(out.len, 4096);
	/* Only the other one grows. */
	b.off = 12288;
	ck_assert(!projection_take(&m, &b, NULL, &out, &at));
	projection_map_release(&m);
}
END_TEST

START_TEST(what_is_not_about_its_volumes_is_left_out)
{
	struct projection_part part = {.volume = 1};
	struct projection_config one = {.part_count = 1, .parts = &part};
	struct projection_map m;
	struct err e = {0};
	const uint8_t *at;
	struct iocb b, out;

	OK(projection_map_init(&m, &one, 2, &e));
#define TAKES(...)                                                             \
	(b = (struct iocb){__VA_ARGS__},                                       \
	    projection_take(&m, &b, NULL, &out, &at))
	ck_assert(!TAKES(.op = OP_ZERO, .volume = 0, .len = 5));
	ck_assert(!TAKES(.op = OP_RESIZE, .volume = 0, .off = 5));
	ck_assert(!TAKES(.op = OP_FLUSH, .volume = 0));
	ck_assert(!TAKES(.op = OP_VOID));
	ck_assert(TAKES(.op = OP_ZERO, .volume = 1, .off = UINT64_C(1) << 62,
	    .len = 5));
	ck_assert_uint_eq(out.off, UINT64_C(1) << 62);
	ck_assert(TAKES(.op = OP_RESIZE, .volume = 1, .off = 5, .len = 9));
	ck_assert(TAKES(.op = OP_FLUSH, .volume = 1));
	/* Messages and the end of a history are for everybody. */
	ck_assert(TAKES(.op = OP_EXPAND, .volume = 0));
	ck_assert_uint_eq(out.volume, 0);
	ck_assert(TAKES(.op = OP_GAP, .volume = 0, .off = 7, .len = 9));
	ck_assert_uint_eq(out.off + out.len + out.volume, 0);
#undef TAKES
	projection_map_release(&m);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("project");
	TCase *t = tcase_create("stream");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_projected_stream_leads_to_the_same_content);
	tcase_add_test(t, a_break_of_the_history_is_carried_over);
	tcase_add_test(t, nothing_is_projected_before_the_first_base);
	tcase_add_test(t, told_to_end_it_makes_no_file);
	tcase_add_test(t, the_groups_files_are_held_until_they_are_projected);
	tcase_add_test(t, projected_files_go_when_their_destination_has_them);
	tcase_add_loop_test(t, it_goes_on_whatever_fails, 0, 2);
	tcase_add_test(t, a_destination_that_comes_back_begins_with_its_base);
	tcase_add_test(t, folding_within_files_is_right_at_every_position);
	tcase_add_test(t, folding_across_files_waits_for_the_destination);
	tcase_add_test(t, folding_across_files_is_right_at_every_position);
	suite_add_tcase(suite, t);
	t = tcase_create("map");
	tcase_add_test(t, a_range_is_clipped_byte_by_byte);
	tcase_add_loop_test(t, members_have_what_the_layout_says, 0, 6);
	tcase_add_test(t, a_member_grows_with_the_volume);
	tcase_add_test(t, what_is_not_about_its_volumes_is_left_out);
	suite_add_tcase(suite, t);
	return unit_run(suite);
}
