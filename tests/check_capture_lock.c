/* SPDX-License-Identifier: Apache-2.0 */
/* The two ways of taking a group's locks, and what death leaves of them. */
#include "tests/capture_rig.h"
#include "tests/unit.h"

#include "aimdriver/control.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MIB (UINT64_C(1) << 20)

static struct rig rig;

/* Two captured programs' ways, then the coordinator's and the manager's. */
static const unsigned ways[] = {
    CAPTURE_WRITER, CAPTURE_COORDINATOR, CAPTURE_INSPECT};
#define WAYS 3

static void
setup(void)
{
	rig_open(&rig, 2, MIB);
	rig_start(&rig);
}

static void
teardown(void)
{
	rig_close(&rig);
}

static void
await_kill(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Locks of someone killed come with the news, each of them, once. */
START_TEST(a_dead_owner_is_noticed)
{
	unsigned dying = ways[_i / WAYS], living = ways[_i % WAYS];
	struct capture *c = rig_attach(&rig, living);
	struct hold h;
	uint32_t i;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	hold_everything(&h);
	if (pid == 0) {
		struct capture *own = rig_attach(&rig, dying);

		if (!hold_try(own, &h) || !lock_try(own, &own->ctl->reserve))
			_exit(1);
		/* Neither the last nor the first: the list has a gap. */
		unlock_plain(own, hold_lock(own, &h, 500));
		(void)kill(getpid(), SIGKILL);
	}
	await_kill(pid);
	ck_assert(lock_try(c, &c->ctl->reserve));
	ck_assert_uint_eq(atomic_load(&c->ctl->reserve.dirty), 1);
	unlock_plain(c, &c->ctl->reserve);
	for (i = 0; i < hold_locks(&h); i++) {
		struct control_lock *l = hold_lock(c, &h, i);

		ck_assert(lock_try(c, l));
		ck_assert_uint_eq(atomic_load(&l->dirty), i == 500 ? 0 : 1);
		atomic_store(&l->dirty, 0);
		unlock_plain(c, l);
		ck_assert(lock_try(c, l));
		ck_assert_uint_eq(atomic_load(&l->dirty), 0);
		unlock_plain(c, l);
	}
	capture_detach(c);
}
END_TEST

START_TEST(a_living_owner_is_respected)
{
	struct capture *a = rig_attach(&rig, ways[_i / WAYS]);
	struct capture *b;
	int status;
	pid_t pid;

	ck_assert(lock_try(a, &a->ctl->stripe[7]));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		b = rig_attach(&rig, ways[_i % WAYS]);
		_exit(lock_try(b, &b->ctl->stripe[7])	     ? 1
		      : lock_wait(b, &b->ctl->stripe[7], 60) ? 2
							     : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	unlock_plain(a, &a->ctl->stripe[7]);
	ck_assert(lock_try(a, &a->ctl->stripe[7]));
	ck_assert_uint_eq(atomic_load(&a->ctl->stripe[7].dirty), 0);
	unlock_plain(a, &a->ctl->stripe[7]);
	capture_detach(a);
}
END_TEST

/* ---- many at once ---- */

struct shared {
	volatile uint64_t value, twice; /* under the lock */
	_Atomic uint64_t turns[8];
	_Atomic bool end;
};

/* Breaks off anywhere when it is killed; the next one mends. */
static void
count(struct shared *s, int number)
{
	struct capture *c = rig_attach(&rig, ways[number % WAYS]);
	struct control_lock *l = &c->ctl->stripe[3];

	while (!atomic_load(&s->end)) {
		if (!lock_try(c, l) && !lock_wait(c, l, 5000))
			_exit(1);
		if (atomic_exchange(&l->dirty, 0) != 0)
			s->twice = 2 * s->value;
		if (s->twice != 2 * s->value)
			_exit(2);
		s->value++;
		s->twice += 2;
		unlock_plain(c, l);
		atomic_fetch_add(&s->turns[number], 1);
	}
	_exit(0);
}

static pid_t
start_counting(struct shared *s, int number)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		count(s, number);
	return pid;
}

START_TEST(all_ways_exclude_each_other_and_survive_kills)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t random = 5, before[6];
	pid_t pid[6];
	int i, n, status;

	ck_assert(s != MAP_FAILED);
	for (i = 0; i < 6; i++)
		pid[i] = start_counting(s, i);
	for (n = 0; n < 60; n++) {
		(void)usleep((useconds_t)(rig_random(&random) % 5000));
		i = (int)(rig_random(&random) % 6);
		(void)kill(pid[i], SIGKILL);
		await_kill(pid[i]);
		pid[i] = start_counting(s, i);
	}
	/* Everybody gets on. */
	for (i = 0; i < 6; i++)
		before[i] = atomic_load(&s->turns[i]);
	for (i = 0; i < 6; i++)
		for (n = 0; atomic_load(&s->turns[i]) == before[i]; n++) {
			ck_assert_int_lt(n, 20000);
			(void)usleep(1000);
		}
	atomic_store(&s->end, true);
	for (i = 0; i < 6; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert_msg(status == 0, "process %d: %d", i, status);
	}
	(void)munmap(s, sizeof(*s));
}
END_TEST

/* ---- hostile links ---- */

static void
list_of_thread(void **head, size_t *len)
{
	ck_assert_int_eq(syscall(SYS_get_robust_list, 0, head, len), 0);
}

/* Whatever a lock says beside its word, ours are taken and let go of. */
START_TEST(links_in_shared_memory_are_not_followed)
{
	struct capture *c = rig_attach(&rig, ways[1 + _i]);
	struct hold h;
	uint32_t i;
	void *was, *now;
	size_t len;

	list_of_thread(&was, &len);
	hold_everything(&h);
	for (i = 0; i < hold_locks(&h); i++) {
		struct control_lock *l = hold_lock(c, &h, i);

		memset((uint8_t *)l + 4, 0x5a, sizeof(l->mutex) - 4);
	}
	ck_assert(hold_try(c, &h));
	list_of_thread(&now, &len);
	ck_assert(now != was);
	for (i = 0; i < hold_locks(&h); i++)
		memset((uint8_t *)hold_lock(c, &h, i) + 4, 0xa5,
		    sizeof(pthread_mutex_t) - 4);
	hold_release(c, &h);
	list_of_thread(&now, &len);
	ck_assert(now == was);
	/* A word that says anything at all. */
	atomic_store(
	    (_Atomic uint32_t *)(void *)&c->ctl->stripe[1], UINT32_MAX);
	ck_assert(lock_try(c, &c->ctl->stripe[1]));
	atomic_store((_Atomic uint32_t *)(void *)&c->ctl->stripe[1], 12345);
	unlock_plain(c, &c->ctl->stripe[1]);
	atomic_store((_Atomic uint32_t *)(void *)&c->ctl->stripe[2], 12345);
	ck_assert(!lock_wait(c, &c->ctl->stripe[2], 100));
	list_of_thread(&now, &len);
	ck_assert(now == was);
	capture_detach(c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("capture_lock");
	TCase *t = tcase_create("capture_lock");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_dead_owner_is_noticed, 0, WAYS * WAYS);
	tcase_add_loop_test(t, a_living_owner_is_respected, 0, WAYS * WAYS);
	tcase_add_test(t, all_ways_exclude_each_other_and_survive_kills);
	tcase_add_loop_test(t, links_in_shared_memory_are_not_followed, 0, 2);
	suite_add_tcase(s, t);
	return unit_run(s);
}
