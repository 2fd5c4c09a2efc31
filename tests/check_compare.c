/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recovery leaves out what its mirrors say that they have, and nothing else,
 * whatever they, or somebody in between, say.
 */
#include "tests/source_kit.h"

#include "aimdriver/control.h"
#include "aimdriver/reader.h"
#include "common/io.h"
#include "common/log.h"
#include "coordinator/compare.h"
#include "coordinator/ship.h"
#include "coordinator/source.h"
#include "coordinator/sums_store.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)
#define EXTENTS 2
#define GRAIN 65536

static struct source_kit k;
static struct source *s;
static struct ship *ships[KIT_DESTINATIONS];
static struct capture *c;
static struct rig_file file;
/* The mirrors' images: what all of the volume was at the end of epoch 1. */
static uint8_t *image[KIT_DESTINATIONS];
static uint64_t size;
static struct position fork_at;

/* What a mirror may do wrong. */
enum lie {
	NONE,
	SILENT,	     /* no sums */
	OTHER_KEY,   /* signed by somebody else */
	OTHER_BEGIN, /* for another recovery */
	OTHER_PLACE, /* of an image elsewhere */
	TORN,	     /* half of it */
	NO_SUMS,     /* it says that it has none */
	ALL_ZERO,    /* sums that are none */
	LIES,
};

static void
crash(void)
{
	static uint8_t number;
	uint8_t boot[16] = {++number, 7};

	source_close(s);
	rig_file_close(&file);
	capture_detach(c);
	capture_test_boot(boot);
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	s = kit_source(&k);
}

static void
read_volume(uint8_t *to)
{
	int fd = open(k.rig.path[0], O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(pread(fd, to, size, 0), (ssize_t)size);
	close(fd);
}

/* On the disk alone: what a crash has lost, or brought back. */
static void
change_disk(uint64_t off)
{
	int fd = open(k.rig.path[0], O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, "lost!", 5, (off_t)off), 5);
	close(fd);
}

static void
write_all_extents(const char *what)
{
	for (uint64_t i = 0; i < EXTENTS; i++)
		ck_assert_int_eq(
		    rig_write(&file, what, 7, i * CAPTURE_EXTENT + 5000), 7);
}

static void
begin(uint32_t mirrors)
{
	struct err e = {0};

	/* The last grain is not a whole one. */
	size = CAPTURE_EXTENT + 5 * GRAIN - 1000;
	kit_open(&k, 1, size, mirrors);
	k.group.compare_wait_ms = 3600000;
	c = rig_attach(&k.rig, CAPTURE_WRITER);
	rig_file_open(&file, c, &k.rig, 0);
	kit_base(&k);
	s = kit_source(&k);
	kit_pass(s);
	write_all_extents("written");
	OK(source_seal_all(s, &e));
	kit_pass(s);
	fork_at = s->tip.at;
	ck_assert(kit_replay(&k, s->sealed.dir));
	for (uint32_t i = 0; i < mirrors; i++) {
		image[i] = malloc(size);
		read_volume(image[i]);
		ships[i] = kit_ship(&k, i);
	}
}

static void
setup(void)
{
	begin(1);
}

static void
setup_two(void)
{
	begin(2);
}

static void
teardown(void)
{
	ladder_unset();
	capture_test_boot(NULL);
	for (uint32_t i = 0; i < k.destinations; i++) {
		ship_close(ships[i]);
		free(image[i]);
	}
	rig_file_close(&file);
	capture_detach(c);
	source_close(s);
	kit_close(&k);
}

/* ---- the mirror ---- */

static struct compare_list *
load_list(const struct position *at)
{
	struct compare_list *l = NULL;
	struct reader *r = NULL;
	char name[JOURNAL_NAME_LEN];
	struct err e = {0};
	int fd;

	fd = openat(s->sealed.dir,
	    journal_name(at->epoch_number, at->sequence, name),
	    O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	OK(reader_open(fd, name, &r, &e));
	ck_assert_int_eq(compare_list_load(&k.home, r, &l, &e), 1);
	reader_close(r);
	close(fd);
	return l;
}

/* The file that has the BEGIN of the copy-in under way. */
static struct position
begin_file(void)
{
	struct sealed_file f;
	struct err e = {0};

	ck_assert_ptr_nonnull(copyin_running(s));
	ck_assert_int_eq(
	    sealed_find(&s->sealed, copyin_running(s)->begin, &f, &e), 1);
	return f.at;
}

static void
put_page(uint32_t i, const uint8_t *bytes, size_t len)
{
	char path[256], stream[UUID_TEXT], name[SUMS_NAME_LEN];
	struct err e = {0};
	int dir = -1;

	(void)snprintf(path, sizeof(path), "%s/in%u/%s/ack", k.dir.path, i,
	    uuid_text(&k.group.stream, stream));
	OK(io_open_dir(AT_FDCWD, path, &dir, &e));
	OK(io_write_file(dir, sums_name(&k.destination[i].mirror, 0, name),
	    bytes, len, 0600, &e));
	close(dir);
}

static void
sum_up(uint32_t i, const struct compare_list *l, uint32_t total, uint8_t *to)
{
	struct summer m;
	struct err e = {0};

	OK(summer_open(&m, &l->key, &e));
	for (uint32_t n = 0; n < total; n++) {
		uint64_t off, len;
		uint32_t v;

		runs_place(&l->runs, n, &v, &off);
		len = off >= size ? 0 : size - off < GRAIN ? size - off : GRAIN;
		OK(compare_sum(&m, &l->volumes[v].uuid, off, image[i] + off,
		    len, to + (size_t)n * SUMS_LEN, &e));
	}
	summer_close(&m);
}

/* The mirror has stored the BEGIN, holds it back, and says what it has. */
static void
answer(uint32_t i, enum lie lie)
{
	static uint8_t in[SUMS_IN_PAGE * SUMS_LEN], bytes[SUMS_LIMIT];
	const struct destination_config *d = &k.destination[i];
	struct position at = begin_file();
	struct compare_list *l = load_list(&at);
	struct sign_secret other = {.seed = {99}};
	struct err e = {0};
	struct sums p = {.stream = d->stream,
	    .group = d->group,
	    .mirror = d->mirror,
	    .mirror_site = d->mirror_site,
	    .source_site = k.home.site,
	    .copyin = l->copyin,
	    .at = fork_at,
	    .begin = at,
	    .grain_bits = l->runs.grain_bits,
	    .total = (uint32_t)runs_sums(&l->runs)};
	struct ack a;
	size_t len;

	ck_assert_uint_eq(l->runs.grain_bits, 16);
	ck_assert_uint_le(p.total, SUMS_IN_PAGE);
	sum_up(i, l, p.total, in);
	OK(sign_derive(&other, &e));
	if (lie == OTHER_BEGIN)
		p.begin.digest[0] ^= 1;
	if (lie == OTHER_PLACE)
		p.at.digest[0] ^= 1;
	if (lie == ALL_ZERO)
		memset(in, 0, sizeof(in));
	if (lie == NO_SUMS)
		p.total = 0;
	p.count = p.total;
	OK(sums_encode(&p, in, lie == OTHER_KEY ? &other : &k.mirror_key[i],
	    bytes, &len, &e));
	if (lie != SILENT)
		put_page(i, bytes, lie == TORN ? len / 2 : len);
	kit_fill_ack(&k, i, &a);
	a.state = ACK_STAGING;
	a.stored = at;
	a.applied = a.durable = fork_at;
	kit_publish(&k, i, &a, &k.mirror_key[i]);
	compare_list_free(l);
	ships[i]->poll_ns = ships[i]->job_ns = 0;
	kit_ship_pass(ships[i]);
}

/* Up to where sums are waited for. */
static void
until_it_waits(void)
{
	struct err e = {0};

	for (int n = 0; n < 5; n++) {
		kit_pass(s);
		OK(source_seal_all(s, &e));
	}
	ck_assert_ptr_nonnull(copyin_running(s));
	ck_assert_str_eq(copyin_compare_state(s), "waiting for sums");
	for (uint32_t i = 0; i < k.destinations; i++)
		kit_ship_pass(ships[i]);
}

/* Goes on to the end; the mirror is right. How much was copied in. */
static uint64_t
finish(void)
{
	struct err e = {0};
	uint64_t copied;

	for (int n = 0; n < 5; n++) {
		kit_pass(s);
		OK(source_seal_all(s, &e));
	}
	ck_assert_uint_eq(s->jobs[0].state, JOB_DONE);
	/* Of the recovery alone: the base was of everything. */
	copied = s->comparing.copied;
	ck_assert(kit_follow(&k, s->sealed.dir));
	ck_assert_uint_eq(k.breaks, 1);
	return copied;
}

START_TEST(only_what_differs_is_copied_in)
{
	crash();
	change_disk(2 * GRAIN + 7);
	change_disk(CAPTURE_EXTENT + 3 * GRAIN - 2); /* two grains */
	until_it_waits();
	answer(0, NONE);
	ck_assert_uint_eq(finish(), 3 * GRAIN);
	ck_assert_uint_eq(s->comparing.equal, size - 3 * GRAIN);
}
END_TEST

START_TEST(nothing_differs_and_nothing_is_copied_in)
{
	crash();
	until_it_waits();
	answer(0, NONE);
	ck_assert_uint_eq(finish(), 0);
	ck_assert_uint_eq(s->comparing.equal, size);
}
END_TEST

START_TEST(all_differs_and_all_is_copied_in)
{
	crash();
	memset(image[0], 0x11, size);
	until_it_waits();
	answer(0, NONE);
	ck_assert_uint_eq(finish(), size);
}
END_TEST

/* Writes of the new epoch come after its image, wherever they fall. */
START_TEST(what_is_written_meanwhile_is_right)
{
	crash();
	ck_assert_int_eq(rig_write(&file, "before", 6, 10), 6);
	until_it_waits();
	ck_assert_int_eq(
	    rig_write(&file, "waiting", 7, CAPTURE_EXTENT + 10), 7);
	/* And back to what it was. */
	ck_assert_int_eq(
	    rig_write(&file, "?", 1, CAPTURE_EXTENT + 2 * GRAIN), 1);
	ck_assert_int_eq(rig_write(&file, image[0] + CAPTURE_EXTENT + 2 * GRAIN,
			     1, CAPTURE_EXTENT + 2 * GRAIN),
	    1);
	answer(0, NONE);
	ck_assert_uint_eq(finish(), 2 * GRAIN);
}
END_TEST

START_TEST(who_has_waited_long_enough_copies_all)
{
	crash();
	until_it_waits();
	s->group.compare_wait_ms = 1;
	ck_assert_uint_eq(finish(), size);
}
END_TEST

/* In the end it is as if there had been none. */
START_TEST(sums_that_lie_are_not_believed)
{
	enum lie lie = (enum lie)_i;
	uint64_t copied;

	crash();
	change_disk(2 * GRAIN + 7);
	until_it_waits();
	answer(0, lie);
	kit_pass(s);
	s->group.compare_wait_ms = 1;
	copied = finish();
	ck_assert_uint_eq(copied, lie == NONE ? GRAIN : size);
}
END_TEST

START_TEST(sums_of_an_earlier_recovery_are_not_believed)
{
	crash();
	until_it_waits();
	answer(0, NONE);
	/* It is fetched, and then the machine stops again. */
	crash();
	change_disk(2 * GRAIN + 7);
	until_it_waits();
	kit_ship_pass(ships[0]);
	kit_pass(s);
	ck_assert_str_eq(copyin_compare_state(s), "waiting for sums");
	/* The mirror's image is where it was, not where this one begins. */
	answer(0, NONE);
	for (int n = 0; n < 5; n++) {
		struct err e = {0};

		kit_pass(s);
		OK(source_seal_all(s, &e));
	}
	ck_assert_uint_eq(s->jobs[0].state, JOB_DONE);
	ck_assert_uint_eq(s->comparing.copied, size);
	ck_assert(kit_follow(&k, s->sealed.dir));
	ck_assert_uint_eq(k.breaks, 2);
}
END_TEST

START_TEST(a_log_that_is_lost_compares_everything)
{
	char path[256], text[UUID_TEXT];

	(void)snprintf(path, sizeof(path), "%.100s/active/%s/activity",
	    k.home.path, uuid_text(&k.group.uuid, text));
	ck_assert_int_eq(truncate(path, 1), 0);
	crash();
	change_disk(CAPTURE_EXTENT + 7);
	until_it_waits();
	answer(0, NONE);
	ck_assert_uint_eq(finish(), GRAIN);
}
END_TEST

/* The role ends and begins while it waits, and while it compares. */
START_TEST(a_role_that_is_started_again_compares_on)
{
	struct err e = {0};

	crash();
	change_disk(2 * GRAIN + 7);
	until_it_waits();
	source_close(s);
	s = kit_source(&k);
	until_it_waits();
	answer(0, NONE);
	ck_assert_int_eq(copyin_step(s, &e), 1);
	source_close(s);
	s = kit_source(&k);
	OK(source_jobs(s, true, &e));
	ck_assert_uint_le(finish(), GRAIN);
	ck_assert_uint_le(k.copied + k.zeroed, size + 2 * GRAIN);
}
END_TEST

/* ---- two mirrors ---- */

START_TEST(what_one_of_two_has_not_is_copied_in)
{
	crash();
	image[1][GRAIN + 5] ^= 1;
	change_disk(CAPTURE_EXTENT + 7);
	until_it_waits();
	answer(0, NONE);
	kit_pass(s);
	ck_assert_str_eq(copyin_compare_state(s), "waiting for sums");
	answer(1, NONE);
	ck_assert_uint_eq(finish(), 2 * GRAIN);
}
END_TEST

START_TEST(one_of_two_that_is_silent_costs_bytes_only)
{
	crash();
	until_it_waits();
	answer((uint32_t)_i, NONE);
	answer(1 - (uint32_t)_i, SILENT);
	kit_pass(s);
	ck_assert_str_eq(copyin_compare_state(s), "waiting for sums");
	s->group.compare_wait_ms = 1;
	ck_assert_uint_eq(finish(), size);
}
END_TEST

START_TEST(one_that_is_paused_is_not_waited_for)
{
	crash();
	until_it_waits();
	answer(0, NONE);
	s->destinations[1].paused = true;
	ck_assert_uint_eq(finish(), size);
}
END_TEST

/* ---- killed, failing ---- */

static int
kill_at(void *ctx, enum sys_op op, const char *name)
{
	int *left = ctx;

	if (*left < 0 && getenv("DBG"))
		fprintf(stderr, "%d %s\n", (int)op, name);
	if ((*left)-- == 0 && !getenv("DBG"))
		(void)kill(getpid(), SIGKILL);
	return 0;
}

static int
work(void)
{
	struct err e = {0};

	for (int n = 0; n < 5; n++)
		if (source_pass(s, &e) < 0 || source_seal_all(s, &e) < 0)
			return -1;
	return 0;
}

/* With its sums there, the source is killed at the n-th call; each child goes
 * on from what the one before has left. */
START_TEST(killed_while_it_compares_it_goes_on)
{
	struct err e = {0};
	int status = 0, deaths = 0;

	crash();
	change_disk(2 * GRAIN + 7);
	change_disk(CAPTURE_EXTENT + 7);
	until_it_waits();
	answer(0, NONE);
	source_close(s);
	s = NULL;
	for (int n = _i; !WIFEXITED(status) || deaths == 0; n += 13, deaths++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			int left = n;

			sys_set_judge(kill_at, &left);
			_exit(source_open(&k.home, &k.group, k.destination,
				  k.destinations, &s, &e) < 0 ||
				      work() < 0
				  ? 1
				  : 0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
	}
	ck_assert_int_gt(deaths, 3);
	s = kit_source(&k);
	OK(source_jobs(s, true, &e));
	(void)finish();
	/* Little more than once. */
	ck_assert_uint_le(k.copied + k.zeroed, size + 20 * GRAIN);
}
END_TEST

START_TEST(whatever_call_fails_all_is_right_in_the_end)
{
	struct ladder l = {
	    .trouble = _i % 2 == 0 ? EIO : ENOSPC, .rung = 3 * _i, .op = -1};

	crash();
	change_disk(2 * GRAIN + 7);
	change_disk(CAPTURE_EXTENT + 7);
	until_it_waits();
	answer(0, NONE);
	ladder_set(&l);
	(void)work();
	ladder_unset();
	s->copyin_backoff = (struct backoff){0};
	s->break_ns = 0;
	for (int n = 0; n < 30 && s->jobs[0].state != JOB_DONE; n++) {
		(void)work();
		s->copyin_backoff = (struct backoff){0};
		s->group.compare_wait_ms = 1;
	}
	ck_assert_int_eq(work(), 0);
	ck_assert_uint_eq(s->jobs[0].state, JOB_DONE);
	ck_assert(kit_follow(&k, s->sealed.dir));
}
END_TEST

int
main(void)
{
	Suite *all = suite_create("compare");
	TCase *t = tcase_create("one");

	log_set_level(LOG_ERROR_);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, only_what_differs_is_copied_in);
	tcase_add_test(t, nothing_differs_and_nothing_is_copied_in);
	tcase_add_test(t, all_differs_and_all_is_copied_in);
	tcase_add_test(t, what_is_written_meanwhile_is_right);
	tcase_add_test(t, who_has_waited_long_enough_copies_all);
	tcase_add_loop_test(t, sums_that_lie_are_not_believed, 0, LIES);
	tcase_add_test(t, sums_of_an_earlier_recovery_are_not_believed);
	tcase_add_test(t, a_log_that_is_lost_compares_everything);
	tcase_add_test(t, a_role_that_is_started_again_compares_on);
	tcase_add_loop_test(t, killed_while_it_compares_it_goes_on, 1, 2);
	tcase_add_loop_test(
	    t, whatever_call_fails_all_is_right_in_the_end, 0, 6);
	suite_add_tcase(all, t);
	t = tcase_create("two");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup_two, teardown);
	tcase_add_test(t, what_one_of_two_has_not_is_copied_in);
	tcase_add_loop_test(
	    t, one_of_two_that_is_silent_costs_bytes_only, 0, 2);
	tcase_add_test(t, one_that_is_paused_is_not_waited_for);
	suite_add_tcase(all, t);
	return unit_run(all);
}
