/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of commit=wal (wal.h): what was committed is there after any crash,
 * and nobody comes in before it is (design 9.7, 9.10, 9.14).
 *
 * A child writes, commits and dies. Then the disk becomes what a power loss
 * may make of it: of each block what it held at the last flush of the disk, or
 * what it held in the end, at random.
 */
#include "aimdriver/activity.h"
#include "aimdriver/wal.h"
#include "aimdriver/wal_file.h"
#include "common/clock.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { BLOCK = 4096, BLOCKS = 3072, MIB = 1 << 20 };

/* What the child has come to, for the parent. */
struct report {
	uint32_t ops;	    /* made */
	uint32_t committed; /* of these, when the last commit returned */
	uint32_t flushes;   /* of the disk */
	uint8_t flushed[BLOCKS * BLOCK]; /* the disk at the last one */
};

static struct rig rig;
static struct report *report;
static struct capture *c;
static struct wal *w;
static uint8_t live[BLOCKS * BLOCK], disk[BLOCKS * BLOCK];
static int flush_fails;
static uint8_t boots;

static void
load(uint8_t *to)
{
	int fd = open(rig.path[0], O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, to, sizeof(live), 0), sizeof(live));
	close(fd);
}

static void
setup(void)
{
	rig_open(&rig, 2, sizeof(live));
	rig_start(&rig);
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(report, MAP_FAILED);
	flush_fails = 0;
}

static void
teardown(void)
{
	ladder_unset();
	capture_test_boot(NULL);
	(void)munmap(report, sizeof(*report));
	rig_close(&rig);
}

static void
boot(void)
{
	uint8_t id[16] = {++boots, 99};

	capture_test_boot(id);
}

/* ---- the one who writes ---- */

static void
note_flush(void)
{
	report->flushes++;
	load(report->flushed);
}

/* The thread's flushes, and those that end a log. */
static int
judge(void *ctx, enum sys_op op, const char *name)
{
	char own[32];

	(void)ctx;
	(void)snprintf(own, sizeof(own), "fd:%d", c->volume_fd[0]);
	if (op == SYS_FDATASYNC && strcmp(name, own) == 0)
		note_flush();
	return 0;
}

static int
flush(void *ctx)
{
	(void)ctx;
	if (flush_fails != 0)
		return -flush_fails;
	note_flush();
	return 0;
}

static void
begin(uint64_t size)
{
	struct err e = {0};

	c = rig_attach(&rig, CAPTURE_WRITER);
	ck_assert_msg(wal_open(c, 0, size, &w, &e) == 0, "%s", e.text);
}

/* What change number n is: the same for child and parent. */
struct op {
	uint32_t block, count;
	bool zero;
};

static struct op
op_of(uint64_t seed, uint32_t n)
{
	uint64_t s = seed * 1000003 + n;
	uint64_t r = rig_random(&s);
	struct op o = {.count = 1 + r % 8};

	if (r >> 8 & 1)
		o.count = 1;
	if (seed % 4 == 3 && (r >> 16) % 16 == 0)
		o.count = 200; /* the log does not take everything */
	o.block = (uint32_t)((r >> 32) % (BLOCKS - o.count));
	o.zero = (r >> 24) % 8 == 0;
	return o;
}

static void
fill_block(uint8_t *to, uint32_t n, bool zero)
{
	uint32_t i;

	for (i = 0; i < BLOCK / 4; i++)
		memcpy(to + 4 * i, zero ? &(uint32_t){0} : &n, 4);
}

static void
make_change(struct rig_file *f, uint64_t seed, uint32_t n)
{
	static uint8_t data[256 * BLOCK];
	struct op o = op_of(seed, n);
	uint64_t off = (uint64_t)o.block * BLOCK, len = o.count * BLOCK;
	uint32_t i;

	for (i = 0; i < o.count; i++)
		fill_block(data + i * BLOCK, n, o.zero);
	if (o.zero)
		ck_assert_int_eq(rig_change(f, OP_DISCARD, off, len), 0);
	else
		ck_assert_int_eq(rig_write(f, data, len, off), (int64_t)len);
	wal_stage(
	    w, o.zero ? OP_DISCARD : OP_WRITE, off, len, o.zero ? NULL : data);
	report->ops = n;
}

static int
commit(void)
{
	struct err e = {0};

	return wal_commit(w, flush, NULL, &e);
}

/* Never returns. */
static void
work(uint64_t seed, uint32_t ops, uint32_t every)
{
	struct rig_file f;
	uint32_t n;

	begin(WAL_SIZE_LEAST);
	sys_set_judge(judge, NULL);
	rig_file_open(&f, c, &rig, 0);
	for (n = 1; n <= ops; n++) {
		make_change(&f, seed, n);
		if (n % every == 0) {
			ck_assert_int_eq(commit(), 0);
			report->committed = n;
		}
	}
	_exit(0);
}

static void
child_works(uint64_t seed, uint32_t ops, uint32_t every)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		work(seed, ops, every);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_uint_eq(report->ops, ops);
}

/* ---- power loss ---- */

static void
lose_power(uint64_t seed)
{
	uint64_t state = seed + 12345;
	uint32_t i;
	int fd = open(rig.path[0], O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	load(live);
	for (i = 0; i < BLOCKS; i++)
		memcpy(disk + i * BLOCK,
		    (rig_random(&state) & 1 ? live : report->flushed) +
			i * BLOCK,
		    BLOCK);
	ck_assert_int_eq(pwrite(fd, disk, sizeof(disk), 0), sizeof(disk));
	close(fd);
	boot();
}

static void
redo(void)
{
	struct err e = {0};
	uint64_t n;

	c = rig_attach(&rig, CAPTURE_WRITER | CAPTURE_REDO);
	ck_assert_msg(wal_redo(c, &n, &e) == 0, "%s", e.text);
}

/* Each block holds what it held when the last commit returned, or later. */
static void
check_disk(uint64_t seed)
{
	uint8_t want[BLOCK], *is = disk;
	static uint32_t least[BLOCKS];
	uint32_t n, i;

	load(disk);
	memset(least, 0, sizeof(least));
	for (n = 1; n <= report->committed; n++) {
		struct op o = op_of(seed, n);

		for (i = 0; i < o.count; i++)
			least[o.block + i] = n;
	}
	for (i = 0; i < BLOCKS; i++, is += BLOCK) {
		bool good = false;

		for (n = least[i]; n <= report->ops && !good; n++) {
			struct op o = {.count = BLOCKS};

			if (n > 0)
				o = op_of(seed, n);
			if (i < o.block || i >= o.block + o.count)
				continue;
			fill_block(want, n, o.zero || n == 0);
			good = memcmp(is, want, BLOCK) == 0;
		}
		ck_assert_msg(
		    good, "block %u is older than change %u", i, least[i]);
	}
}

/* What differs from what the mirrors may have is going to be copied in. */
static void
check_marks(void)
{
	struct capture *s = rig_attach(&rig, CAPTURE_COORDINATOR);
	uint8_t bits[8] = {0};
	struct err e = {0};
	uint32_t i;
	bool all;

	ck_assert_int_eq(capture_marked(s, 0, bits, 64, &all, &e), 0);
	for (i = 0; i < BLOCKS && !all; i++)
		if (memcmp(disk + i * BLOCK, live + i * BLOCK, BLOCK) != 0)
			ck_assert((bits[0] >> (i / 1024) & 1) != 0);
	capture_detach(s);
}

/* design 9.7: after a host crash, what was published is applied. */
START_TEST(what_was_committed_is_redone)
{
	uint32_t seed = (uint32_t)_i;

	child_works(seed, 50 + seed * 37 % 500, 1 + seed % 7);
	ck_assert_uint_gt(report->committed, 0);
	lose_power(seed);
	redo();
	check_disk(seed);
	check_marks();
	capture_detach(c);
}
END_TEST

START_TEST(halves_change_and_the_disk_is_flushed_for_them)
{
	child_works(5, 2000, 3);
	ck_assert_uint_ge(report->flushes, 3);
	lose_power(5);
	redo();
	check_disk(5);
	capture_detach(c);
}
END_TEST

START_TEST(what_is_too_much_flushes_the_disk)
{
	child_works(3, 300, 60);
	ck_assert_uint_ge(report->flushes, 2);
	lose_power(3);
	redo();
	check_disk(3);
	capture_detach(c);
}
END_TEST

/* ---- design 9.14: others ---- */

static void
is_refused(unsigned flags)
{
	struct capture *other = NULL;
	struct err e = {0};

	ck_assert_int_eq(
	    capture_attach(rig.home, &rig.group, flags, &other, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_msg(strstr(e.text, "redone") != NULL, "%s", e.text);
}

START_TEST(design_9_14_all_others_are_refused_until_it_is_redone)
{
	struct capture_status st;
	struct capture *s;
	struct err e = {0};

	child_works(1, 40, 1);
	lose_power(1);
	is_refused(CAPTURE_WRITER);
	is_refused(CAPTURE_RECORDER);
	boot(); /* and still after another boot */
	is_refused(CAPTURE_WRITER);
	/* The coordinator waits: what it copies in comes from the disk. */
	s = rig_attach(&rig, CAPTURE_COORDINATOR);
	capture_status(s, &st);
	ck_assert(st.needs_redo && st.needs_recovery);
	ck_assert_int_eq(capture_recover(s, st.reserved + 1, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_int_eq(capture_set_mode(s, CAPTURE_ON, &e), -1);
	redo();
	check_disk(1);
	capture_status(s, &st);
	ck_assert(!st.needs_redo && st.needs_recovery);
	ck_assert_int_eq(capture_recover(s, st.reserved + 1, &e), 0);
	ck_assert_int_eq(capture_set_mode(s, CAPTURE_ON, &e), 0);
	capture_detach(s);
	capture_detach(c);
	c = rig_attach(&rig, CAPTURE_WRITER);
	capture_detach(c);
}
END_TEST

START_TEST(the_owner_has_the_volume_for_itself)
{
	uint8_t data[100] = {7};
	struct capture *other;
	struct rig_file f, g;
	struct err e = {0};

	other = rig_attach(&rig, CAPTURE_WRITER);
	rig_file_open(&f, other, &rig, 0);
	rig_file_open(&g, other, &rig, 1);
	begin(WAL_SIZE_LEAST);
	ck_assert(wal_is_taken(other, 0) && !wal_is_taken(c, 0));
	ck_assert_int_eq(rig_write(&f, data, sizeof(data), 0), -EBUSY);
	ck_assert_ptr_nonnull(strstr(capture_trouble(other), "commit=wal"));
	ck_assert_int_eq(rig_change(&f, OP_DISCARD, 0, BLOCK), -EBUSY);
	ck_assert_int_eq(rig_change(&f, OP_RESIZE, BLOCK, 0), -EBUSY);
	/* It may become larger; the other volume is anybody's. */
	ck_assert_int_eq(
	    rig_change(&f, OP_RESIZE, (uint64_t)BLOCKS * BLOCK + 5, 0), 0);
	ck_assert_int_eq(rig_write(&g, data, sizeof(data), 0), 100);
	/* It is alive: others may attach, but not take it. */
	capture_detach(rig_attach(&rig, CAPTURE_WRITER));
	ck_assert_int_eq(
	    wal_open(other, 0, WAL_SIZE_LEAST, &(struct wal *){NULL}, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_msg(wal_close(w, &e) == 0, "%s", e.text);
	ck_assert_int_eq(rig_write(&f, data, sizeof(data), 0), 100);
	rig_file_close(&f);
	rig_file_close(&g);
	capture_detach(other);
	capture_detach(c);
}
END_TEST

START_TEST(an_owner_that_was_killed_leaves_nothing_to_redo)
{
	struct capture_status st;
	struct capture *s;
	struct err e = {0};

	child_works(2, 60, 4);
	load(live);
	c = rig_attach(&rig, CAPTURE_WRITER);
	ck_assert(!wal_is_taken(c, 0));
	load(disk);
	ck_assert_mem_eq(live, disk, sizeof(live));
	/* And a crash after that neither. */
	boot();
	capture_detach(c);
	s = rig_attach(&rig, CAPTURE_COORDINATOR);
	capture_status(s, &st);
	ck_assert(!st.needs_redo);
	capture_detach(s);
	begin(WAL_SIZE_LEAST);
	ck_assert_int_eq(wal_close(w, &e), 0);
	capture_detach(c);
}
END_TEST

/* It may set back what was sealed, and what a clean close has flushed. */
START_TEST(a_redo_is_followed_by_a_recovery_even_of_a_clean_group)
{
	struct capture *s = rig_attach(&rig, CAPTURE_COORDINATOR);
	struct capture_status st;
	struct err e = {0};

	child_works(4, 30, 10);
	rig_compare(&rig, s);
	ck_assert_int_eq(capture_close_clean(s, &e), 1);
	capture_detach(s);
	load(report->flushed);
	lose_power(4);
	s = rig_attach(&rig, CAPTURE_COORDINATOR);
	capture_status(s, &st);
	ck_assert(st.needs_redo && st.needs_recovery);
	ck_assert_int_eq(st.mode, CAPTURE_PASSTHROUGH);
	capture_detach(s);
	redo();
	check_disk(4);
	check_marks();
	capture_detach(c);
}
END_TEST

/* ---- design 9.11: the spool is full ---- */

/* Where the disk is not as a mirror has it, an extent is marked. */
static void
check_recovery(struct capture *s)
{
	static uint8_t mirror[sizeof(disk)];
	uint8_t bits[8] = {0};
	struct err e = {0};
	uint32_t i;
	bool all;
	int fd = open(rig.copy[0], O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, mirror, sizeof(mirror), 0), sizeof(mirror));
	close(fd);
	load(disk);
	ck_assert(memcmp(disk, mirror, sizeof(disk)) != 0);
	ck_assert_int_eq(capture_marked(s, 0, bits, 64, &all, &e), 0);
	for (i = 0; i < BLOCKS && !all; i++)
		if (memcmp(disk + i * BLOCK, mirror + i * BLOCK, BLOCK) != 0)
			ck_assert((bits[0] >> (i / 1024) & 1) != 0);
}

/*
 * What passes uncaptured is in the log as well, so the log goes on (9.11 would
 * flush the disk first, and end it): what clients were told holds after a
 * crash, and what then differs from the mirrors is marked.
 */
START_TEST(design_9_11_what_passes_is_in_the_log)
{
	bool power = _i % 2 == 1;
	struct capture *s = rig_attach(&rig, CAPTURE_COORDINATOR);
	struct capture_status st;

	capture_set_spool(s, 0, 100000u << _i, CAPTURE_PASS);
	child_works((uint32_t)_i, 300, 5);
	capture_status(s, &st);
	ck_assert_int_eq(st.mode, CAPTURE_PASSTHROUGH);
	/* Some were captured, some were not. */
	ck_assert_uint_gt(rig_drain(&rig, s), 1);
	capture_detach(s);
	if (power) {
		lose_power((uint32_t)_i);
		redo();
		check_disk((uint32_t)_i);
	} else
		c = rig_attach(&rig, CAPTURE_WRITER);
	capture_detach(c);
	s = rig_attach(&rig, CAPTURE_COORDINATOR);
	capture_status(s, &st);
	ck_assert_int_eq(st.mode, CAPTURE_PASSTHROUGH);
	ck_assert(!st.needs_redo);
	ck_assert_int_eq(st.needs_recovery, power);
	check_recovery(s);
	capture_detach(s);
}
END_TEST

/* ---- failures ---- */

START_TEST(a_redo_that_fails_at_any_call_is_done_again)
{
	struct ladder l = {.op = -1, .trouble = EIO};
	struct err e = {0};
	uint64_t n;
	int r = -1;

	child_works(9, 40, 3);
	lose_power(9);
	for (; r < 0; l.rung++) {
		c = rig_attach(&rig, CAPTURE_WRITER | CAPTURE_REDO);
		ladder_set(&l);
		r = wal_redo(c, &n, &e);
		ladder_unset();
		ck_assert(r == 0 || l.struck);
		capture_detach(c);
		if (r < 0 && l.rung % 16 == 0) {
			is_refused(CAPTURE_WRITER);
			boot();
		}
	}
	check_disk(9);
	check_marks();
	ck_assert_int_ge(l.rung, 30);
}
END_TEST

START_TEST(a_batch_that_is_not_whole_ends_it)
{
	char path[1024], text[UUID_TEXT];
	struct capture_volume v;
	struct wal_head h;
	uint8_t byte;
	int fd;

	/* One change in each batch, one block or two in each. */
	child_works(1, 40, 1);
	c = rig_attach(&rig, CAPTURE_INSPECT);
	capture_volume_get(c, 0, &v);
	(void)snprintf(path, sizeof(path), "%s/wal.%s", c->where,
	    uuid_text(&v.uuid, text));
	capture_detach(c);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	/* The half that the first flush has begun. */
	ck_assert_int_eq(pread(fd, &h, sizeof(h), 0), sizeof(h));
	ck_assert_int_eq(
	    pread(fd, &byte, 1, (off_t)wal_half_at(&h, 0) + 90000), 1);
	byte ^= 1;
	ck_assert_int_eq(
	    pwrite(fd, &byte, 1, (off_t)wal_half_at(&h, 0) + 90000), 1);
	close(fd);
	lose_power(1);
	redo();
	/* Whatever was before it is there. */
	report->committed = 4;
	check_disk(1);
	capture_detach(c);
}
END_TEST

START_TEST(a_log_that_is_lost_or_damaged_is_not_passed_over)
{
	char path[1024], text[UUID_TEXT];
	struct capture_volume v;
	struct err e = {0};
	uint64_t n;

	child_works(1, 40, 1);
	lose_power(1);
	c = rig_attach(&rig, CAPTURE_WRITER | CAPTURE_REDO);
	capture_volume_get(c, 0, &v);
	(void)snprintf(path, sizeof(path), "%s/wal.%s", c->where,
	    uuid_text(&v.uuid, text));
	if (_i == 0)
		ck_assert_int_eq(unlink(path), 0);
	else
		ck_assert_int_eq(truncate(path, MIB), 0);
	ck_assert_int_eq(wal_redo(c, &n, &e), -1);
	ck_assert_int_eq(e.kind, ERR_CORRUPT);
	is_refused(CAPTURE_WRITER);
	capture_detach(c);
}
END_TEST

START_TEST(a_log_outlives_the_control_file)
{
	struct capture_volume v[2];
	struct capture_status st;
	struct err e = {0};
	char path[1024];
	uint32_t i;

	child_works(6, 40, 1);
	lose_power(6);
	c = rig_attach(&rig, CAPTURE_INSPECT);
	for (i = 0; i < 2; i++)
		capture_volume_get(c, i, &v[i]);
	(void)snprintf(path, sizeof(path), "%s/control", c->where);
	capture_detach(c);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_msg(
	    capture_rebuild(rig.home, &rig.group, v, 2, &e) == 0, "%s", e.text);
	is_refused(CAPTURE_WRITER);
	redo();
	check_disk(6);
	capture_status(c, &st);
	ck_assert(st.lost && !st.needs_redo);
	capture_detach(c);
	/* Once redone, it stays so. */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(capture_rebuild(rig.home, &rig.group, v, 2, &e), 0);
	capture_detach(rig_attach(&rig, CAPTURE_WRITER));
}
END_TEST

START_TEST(a_flush_of_the_disk_that_fails_stops_everything)
{
	struct capture_status st;
	struct rig_file f;
	struct err e = {0};
	uint32_t i;

	begin(WAL_SIZE_LEAST);
	rig_file_open(&f, c, &rig, 0);
	for (i = 1; i <= 20; i++) {
		make_change(&f, 1, i);
		ck_assert_int_eq(commit(), 0);
	}
	report->committed = 20;
	/* More than it takes. */
	for (i = 21; i <= 2600; i++)
		make_change(&f, 1, i);
	flush_fails = EIO;
	ck_assert_int_eq(commit(), -1);
	flush_fails = 0;
	ck_assert_int_eq(commit(), -1);
	capture_status(c, &st);
	ck_assert(st.suspect && st.needs_redo);
	rig_file_close(&f);
	ck_assert_int_eq(wal_close(w, &e), -1);
	is_refused(CAPTURE_WRITER);
	capture_detach(c);
	redo();
	check_disk(1);
	capture_detach(c);
}
END_TEST

START_TEST(a_log_that_cannot_be_written_stops_everything)
{
	struct ladder l = {.op = SYS_PWRITE, .trouble = ENOSPC};
	struct rig_file f;
	struct err e = {0};

	begin(WAL_SIZE_LEAST);
	rig_file_open(&f, c, &rig, 0);
	make_change(&f, 1, 1);
	ck_assert_int_eq(commit(), 0);
	make_change(&f, 1, 2);
	ladder_set(&l);
	ck_assert_int_eq(commit(), -1);
	ladder_unset();
	ck_assert(l.struck);
	ck_assert_int_eq(commit(), -1);
	ck_assert_int_eq(wal_close(w, &e), -1);
	rig_file_close(&f);
	capture_detach(c);
	/* The disk has it all: it is only flushed. */
	c = rig_attach(&rig, CAPTURE_WRITER);
	capture_detach(c);
}
END_TEST

START_TEST(what_begins_a_log_fails_at_each_call)
{
	struct ladder l = {.op = -1, .trouble = ENOSPC};
	struct err e = {0};
	int r = -1;

	for (; r < 0; l.rung += 1 + l.rung / 8) {
		c = rig_attach(&rig, CAPTURE_WRITER);
		ladder_set(&l);
		r = wal_open(c, 0, WAL_SIZE_LEAST, &w, &e);
		ladder_unset();
		ck_assert(r == 0 || l.struck);
		if (r == 0)
			ck_assert_int_eq(wal_close(w, &e), 0);
		capture_detach(c);
	}
	ck_assert_int_ge(l.rung, 6);
}
END_TEST

/* ---- many at once ---- */

enum { THREADS = 8, ROUNDS = 200 };

static void *
write_and_commit(void *arg)
{
	const int *k = arg;
	uint8_t data[BLOCK];
	struct rig_file f;
	uint32_t i;

	rig_file_open(&f, c, &rig, 0);
	for (i = 0; i < ROUNDS; i++) {
		uint64_t off = ((uint64_t)*k * 64 + i % 64) * BLOCK;

		fill_block(data, i + 1, false);
		ck_assert_int_eq(rig_write(&f, data, BLOCK, off), BLOCK);
		wal_stage(w, OP_WRITE, off, BLOCK, data);
		ck_assert_int_eq(commit(), 0);
	}
	rig_file_close(&f);
	return NULL;
}

static _Atomic int writes;

static int
count_writes(void *ctx, enum sys_op op, const char *name)
{
	(void)ctx;
	(void)name;
	if (op == SYS_PWRITE) {
		atomic_fetch_add(&writes, 1);
		clock_sleep_ms(1); /* a slow disk */
	}
	return 0;
}

START_TEST(one_write_of_the_log_answers_many)
{
	pthread_t t[THREADS];
	int number[THREADS], i;
	struct err e = {0};

	begin(WAL_SIZE_LEAST);
	ck_assert_int_eq(wal_start(w, &e), 0);
	sys_set_judge(count_writes, NULL);
	sys_judge_takes_threads();
	for (i = 0; i < THREADS; i++) {
		number[i] = i;
		ck_assert_int_eq(
		    pthread_create(&t[i], NULL, write_and_commit, &number[i]),
		    0);
	}
	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(t[i], NULL), 0);
	sys_set_judge(NULL, NULL);
	ck_assert_int_lt(atomic_load(&writes), THREADS * ROUNDS / 2);
	ck_assert_int_eq(wal_close(w, &e), 0);
	capture_detach(c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("wal");
	TCase *t = tcase_create("wal");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_was_committed_is_redone, 0, 6);
	tcase_add_test(t, halves_change_and_the_disk_is_flushed_for_them);
	tcase_add_test(t, what_is_too_much_flushes_the_disk);
	tcase_add_test(
	    t, design_9_14_all_others_are_refused_until_it_is_redone);
	tcase_add_test(t, the_owner_has_the_volume_for_itself);
	tcase_add_test(t, an_owner_that_was_killed_leaves_nothing_to_redo);
	tcase_add_test(
	    t, a_redo_is_followed_by_a_recovery_even_of_a_clean_group);
	tcase_add_loop_test(t, design_9_11_what_passes_is_in_the_log, 0, 4);
	tcase_add_test(t, a_redo_that_fails_at_any_call_is_done_again);
	tcase_add_test(t, a_batch_that_is_not_whole_ends_it);
	tcase_add_loop_test(
	    t, a_log_that_is_lost_or_damaged_is_not_passed_over, 0, 2);
	tcase_add_test(t, a_log_outlives_the_control_file);
	tcase_add_test(t, a_flush_of_the_disk_that_fails_stops_everything);
	tcase_add_test(t, a_log_that_cannot_be_written_stops_everything);
	tcase_add_test(t, what_begins_a_log_fails_at_each_call);
	tcase_add_test(t, one_write_of_the_log_answers_many);
	suite_add_tcase(s, t);
	return unit_run(s);
}
