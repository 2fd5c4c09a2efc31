/* SPDX-License-Identifier: Apache-2.0 */
/* A write log of a volume, imported, whatever becomes of who imports it. */
#include "aimdriver/control.h"
#include "aimdriver/logwrites/begin.h"
#include "aimdriver/logwrites/chain.h"
#include "aimdriver/logwrites/logmaker.h"
#include "aimdriver/logwrites/program.h"
#include "aimdriver/logwrites/state.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define MIB (UINT64_C(1) << 20)
#define SIZE (8 * MIB)

static struct rig rig;
static struct capture *sealer;
static struct target target;
static struct progress chain;
static char log_path[160];
static uint8_t data[2 * MIB];
static char said[512];

int
complain(const struct err *e)
{
	(void)snprintf(said, sizeof(said), "%s", e->text);
	return e->kind == ERR_REFUSED ? EXIT_REFUSED : EXIT_FAILED;
}

static void
begin(void)
{
	struct err e = {0};

	rig_open(&rig, 1, SIZE);
	rig_start(&rig);
	sealer = rig_attach(&rig, CAPTURE_COORDINATOR);
	(void)snprintf(log_path, sizeof(log_path), "%s/log", rig.home);
	ck_assert_msg(
	    target_find(rig.home, rig.path[0], &target, &e) == 0, "%s", e.text);
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
}

static void
end(void)
{
	capture_detach(sealer);
	rig_close(&rig);
}

/* ---- a log, and the disk as it leaves it ---- */

static struct logmaker maker = LOGMAKER_NONE;
static int disk = -1;

static void
new_log(uint32_t sector, bool kernel)
{
	struct err e = {0};
	char mark[CHAIN_MARK];

	(void)unlink(log_path);
	ck_assert_msg(begin_chain(rig.home, &target, kernel, &chain, &e) == 0 &&
			  begin_store(rig.home, &target, &chain, &e) == 0 &&
			  logmaker_open(&maker, log_path, sector, &e) == 0 &&
			  logmaker_add_mark(&maker,
			      chain_mark(&chain.chain, 0, mark), &e) == 0,
	    "%s", e.text);
	disk = open(rig.path[0], O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(disk, 0);
}

/* `fill` < 0: random. */
static void
add(uint32_t flags, uint64_t off, uint64_t len, int fill)
{
	struct wlog_entry b = {.flags = flags, .off = off, .len = len};
	struct err e = {0};

	b.stored = (flags & WLOG_DISCARD) != 0 ? 0 : len;
	if (fill < 0)
		rig_fill(data, len, off + len);
	else
		memset(data, fill, len);
	ck_assert_msg(logmaker_add(&maker, &b, data, &e) == 0, "%s", e.text);
	if (len > 0)
		ck_assert_int_eq(
		    pwrite(disk, data, len, (off_t)off), (ssize_t)len);
}

static void
add_mark(const char *text)
{
	struct err e = {0};

	ck_assert_msg(logmaker_add_mark(&maker, text, &e) == 0, "%s", e.text);
}

static void
end_log(void)
{
	struct err e = {0};

	ck_assert_msg(logmaker_finish(&maker, &e) == 0, "%s", e.text);
	logmaker_close(&maker);
	maker = (struct logmaker)LOGMAKER_NONE;
	(void)close(disk);
}

/* Some of everything. */
static void
usual_log(uint32_t sector)
{
	new_log(sector, false);
	add(0, 4096, 4096, -1);
	add(0, 8192, MIB + 8192, -1); /* two transactions */
	add(WLOG_FLUSH, 0, 0, 0);
	add(WLOG_METADATA, 12288, 4096, -1);
	add(WLOG_FLUSH | WLOG_FUA, 8192, 8192, -1);
	add(0, 3 * MIB, 65536, 0);
	add_mark("between us");
	add(WLOG_DISCARD, 4096, 16384, 0);
	add(0, 16384, 8192, -1);
	end_log();
}

static int
import(void)
{
	char *names[] = {log_path};
	struct options o = {
	    .home = rig.home, .volume = rig.path[0], .count = 1, .name = names};

	said[0] = '\0';
	return run_import(&o);
}

static enum log_phase
phase(void)
{
	struct log_states s;
	struct err e = {0};
	enum log_phase p;

	ck_assert_msg(
	    log_states_look(rig.home, &rig.group, &s, &e) == 0, "%s", e.text);
	ck_assert_uint_ge(s.count, 1);
	ck_assert_uint_eq(s.damaged, 0);
	p = s.list[0].phase;
	log_states_release(&s);
	return p;
}

/* ---- all of it ---- */

START_TEST(every_kind_of_entry_becomes_what_it_says)
{
	usual_log(_i == 0 ? 512 : 4096);
	ck_assert_int_eq(phase(), LOG_PREPARED);
	ck_assert_msg(import() == EXIT_DONE, "%s", said);
	ck_assert_int_eq(phase(), LOG_DONE);
	rig_compare(&rig, sealer);
	ck_assert_uint_eq(rig.counts[OP_WRITE], 6);
	ck_assert_uint_eq(rig.counts[OP_ZERO], 1);
	ck_assert_uint_eq(rig.counts[OP_DISCARD], 1);
	ck_assert_uint_eq(rig.counts[OP_FLUSH], 2);
	ck_assert_uint_eq(rig.counts[OP_MARKER], 1);
}
END_TEST

/* A DAX entry is data; flags that nobody knows yet are no news. */
START_TEST(flags_that_are_not_known_are_left_out)
{
	struct wlog_entry b = {.off = 4096,
	    .len = 4096,
	    .stored = 4096,
	    .unknown = UINT64_C(0xff00000000000020)};
	struct err e = {0};

	new_log(512, false);
	rig_fill(data, b.len, 7);
	ck_assert_msg(logmaker_add(&maker, &b, data, &e) == 0, "%s", e.text);
	ck_assert_int_eq(pwrite(disk, data, b.len, 4096), 4096);
	end_log();
	ck_assert_msg(import() == EXIT_DONE, "%s", said);
	rig_compare(&rig, sealer);
	ck_assert_uint_eq(rig.counts[OP_WRITE], 1);
}
END_TEST

/* ---- killed ---- */

static int steps_left;

static void
die(enum capture_step s)
{
	(void)s;
	if (--steps_left == 0)
		(void)raise(SIGKILL);
}

/* False: it came through. */
static bool
is_killed_at(int steps)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		steps_left = steps;
		capture_test_step = die;
		_exit(import() == EXIT_DONE ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return true;
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return false;
}

static uint64_t
numbers(void)
{
	struct capture_status s;

	capture_status(sealer, &s);
	return s.reserved;
}

START_TEST(killed_at_any_step_it_goes_on_and_repeats_one_entry_at_most)
{
	uint64_t before, whole;
	bool killed = true;
	int n;

	usual_log(512);
	ck_assert_msg(import() == EXIT_DONE, "%s", said);
	rig_compare(&rig, sealer);
	whole = numbers();
	for (n = 1; killed; n += 2) {
		usual_log(512);
		before = numbers();
		killed = is_killed_at(n);
		ck_assert_int_eq(phase(), killed ? LOG_STOPPED : LOG_DONE);
		ck_assert_msg(import() == EXIT_DONE, "%s", said);
		rig_compare(&rig, sealer);
		/* An entry of two, and one that was not published. */
		ck_assert_uint_le(numbers() - before, whole + 3);
	}
	ck_assert_int_gt(n, 60);
}
END_TEST

/* ---- what stands in the way ---- */

START_TEST(no_chain_begins_while_another_one_is_half_done)
{
	struct progress p;
	struct err e = {0};

	usual_log(512);
	ck_assert(is_killed_at(50));
	ck_assert_int_eq(phase(), LOG_STOPPED);
	ck_assert_int_eq(begin_chain(rig.home, &target, true, &p, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_msg(
	    strstr(e.text, "import it to its end first") != NULL, "%s", e.text);
	ck_assert_msg(import() == EXIT_DONE, "%s", said);
	ck_assert_int_eq(begin_chain(rig.home, &target, true, &p, &e), 0);
	rig_compare(&rig, sealer);
}
END_TEST

START_TEST(no_copy_in_begins_while_a_log_is_recorded)
{
	struct capture *c = rig_attach(&rig, CAPTURE_RECORDER);
	uint8_t note[CONTROL_NOTE_LEN] = {0};
	uint64_t number;
	struct err e = {0};

	ck_assert_int_eq(capture_control(sealer, OP_COPYIN_BEGIN, note,
			     sizeof(note), &number, &e),
	    -1);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_msg(
	    strstr(e.text, "a log is being imported") != NULL, "%s", e.text);
	capture_detach(c);
	ck_assert_msg(capture_control(sealer, OP_COPYIN_BEGIN, note,
			  sizeof(note), &number, &e) == 0,
	    "%s", e.text);
}
END_TEST

START_TEST(a_log_from_before_a_copy_in_is_of_no_use)
{
	uint8_t note[CONTROL_NOTE_LEN] = {0};
	uint64_t number;
	struct err e = {0};

	usual_log(512);
	ck_assert_int_eq(capture_control(sealer, OP_COPYIN_BEGIN, note,
			     sizeof(note), &number, &e),
	    0);
	ck_assert_int_eq(import(), EXIT_REFUSED);
	ck_assert_msg(strstr(said, "is under way") != NULL, "%s", said);
	/* A recovery may not have read all that the log has. */
	ck_assert_msg(strstr(said, "aim-manager base") != NULL, "%s", said);
	ck_assert_int_eq(capture_control(sealer, OP_COPYIN_END, note,
			     sizeof(note), &number, &e),
	    0);
	ck_assert_int_eq(phase(), LOG_OVER);
	ck_assert_int_eq(import(), EXIT_REFUSED);
	ck_assert_msg(strstr(said, "was copied in since") != NULL, "%s", said);
}
END_TEST

/* dm-log-writes stops logging when the log is full, and tells nobody. */
START_TEST(a_kernel_log_without_its_end_is_refused)
{
	new_log(512, true);
	add(0, 4096, 4096, -1);
	if (_i == 1)
		add_mark("dm-log-writes-end");
	end_log();
	ck_assert_int_eq(import(), _i == 1 ? EXIT_DONE : EXIT_REFUSED);
	if (_i == 0)
		ck_assert_msg(
		    strstr(said, "was not ended by dm-log-writes") != NULL,
		    "%s", said);
}
END_TEST

/* A write that failed, a discard that was ignored. */
START_TEST(what_the_disk_has_otherwise_is_read_from_it)
{
	int fd;

	new_log(512, false);
	add(0, MIB, 65536, -1);
	add(WLOG_DISCARD, 3 * MIB, 8192, 'k');
	end_log();
	fd = open(rig.path[0], O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "another", 7, (off_t)MIB + 5000), 7);
	(void)close(fd);
	ck_assert_msg(import() == EXIT_DONE, "%s", said);
	rig_compare(&rig, sealer);
	/* The log's own, and two that were read. */
	ck_assert_uint_eq(rig.counts[OP_WRITE], 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("import");
	TCase *t = tcase_create("import");

	tcase_add_checked_fixture(t, begin, end);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, every_kind_of_entry_becomes_what_it_says, 0, 2);
	tcase_add_test(t, flags_that_are_not_known_are_left_out);
	tcase_add_test(
	    t, killed_at_any_step_it_goes_on_and_repeats_one_entry_at_most);
	tcase_add_test(t, no_chain_begins_while_another_one_is_half_done);
	tcase_add_test(t, no_copy_in_begins_while_a_log_is_recorded);
	tcase_add_test(t, a_log_from_before_a_copy_in_is_of_no_use);
	tcase_add_loop_test(t, a_kernel_log_without_its_end_is_refused, 0, 2);
	tcase_add_test(t, what_the_disk_has_otherwise_is_read_from_it);
	suite_add_tcase(s, t);
	return unit_run(s);
}
