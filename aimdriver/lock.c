/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock: taking and letting go of one robust lock, in two ways that get on with
 * each other, because both keep to the kernel's protocol: the lock's first
 * word is 0, or its owner's thread number, with FUTEX_WAITERS when somebody
 * sleeps; when a thread dies, the kernel goes through its list of locks and
 * sets FUTEX_OWNER_DIED in those words that still have its number.
 *
 * A captured program uses glibc's robust mutexes: its thread's list is
 * glibc's, and there is one list for each thread. Its links lie in the locks
 * themselves, where every program that captures can write, and glibc follows
 * them.
 *
 * All others (coordinator, manager: root, mostly) must not. They keep the
 * links in memory of their own: behind the mapping of the control file lies
 * private memory of the same size, CONTROL_SHADOW bytes further on, and the
 * entry of a lock is where the lock is, there. The kernel finds a lock's word
 * at a fixed distance from its entry, which the head of the list says; so the
 * distance is -CONTROL_SHADOW. As glibc's list has another distance, ours takes
 * its place while this thread holds any lock, and only then. Nothing else that
 * a coordinator does meanwhile takes a robust mutex.
 *
 * Whatever somebody writes into a lock's word, at worst two believe that they
 * have it, or none can have it: what they protect is in the same hands.
 */
#include "aimdriver/control.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TURN_MS = 20 };

_Static_assert(offsetof(struct control_lock, mutex) == 0 &&
		   offsetof(pthread_mutex_t, __data.__lock) == 0,
    "a lock begins with its word");
_Static_assert(CONTROL_SHADOW >= sizeof(struct control), "shadow");

struct entry {
	struct robust_list list; /* for the kernel */
	struct entry *prev;	 /* NULL: the first */
};
_Static_assert(sizeof(struct entry) <= sizeof(struct control_lock), "entry");

static _Thread_local struct {
	struct robust_list_head head;
	unsigned held;
	uint32_t own; /* this thread's number, while `held` */
	void *was;    /* the list that ours took the place of */
	size_t was_len;
} mine;

/* The kernel looks when this thread is dead: only the order counts. */
static void
in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static _Atomic uint32_t *
word_of(struct control_lock *l)
{
	return (_Atomic uint32_t *)(void *)l;
}

static struct entry *
entry_of(struct control_lock *l)
{
	return (struct entry *)(void *)((uint8_t *)l + CONTROL_SHADOW);
}

static void
expect(struct entry *en)
{
	mine.head.list_op_pending = en == NULL ? NULL : &en->list;
	in_order();
}

static bool
put_list(void)
{
	mine.head.list.next = &mine.head.list;
	mine.head.futex_offset = -(long)CONTROL_SHADOW;
	mine.own = (uint32_t)gettid();
	expect(NULL);
	return syscall(SYS_get_robust_list, 0, &mine.was, &mine.was_len) == 0 &&
	       syscall(SYS_set_robust_list, &mine.head, sizeof(mine.head)) == 0;
}

static void
put_back(void)
{
	(void)syscall(SYS_set_robust_list, mine.was, mine.was_len);
}

static void
link_entry(struct entry *en)
{
	struct robust_list *first = mine.head.list.next;

	en->prev = NULL;
	en->list.next = first;
	in_order();
	mine.head.list.next = &en->list;
	if (first != &mine.head.list)
		((struct entry *)(void *)first)->prev = en;
	in_order();
}

static void
unlink_entry(struct entry *en)
{
	struct robust_list *next = en->list.next;

	if (en->prev == NULL)
		mine.head.list.next = next;
	else
		en->prev->list.next = next;
	if (next != &mine.head.list)
		((struct entry *)(void *)next)->prev = en->prev;
	in_order();
}

static bool
is_free(uint32_t was)
{
	return (was & FUTEX_TID_MASK) == 0 || (was & FUTEX_OWNER_DIED) != 0;
}

/* `more` is FUTEX_WAITERS when there may be others that sleep. */
static bool
own_try(struct control_lock *l, uint32_t more)
{
	_Atomic uint32_t *word = word_of(l);
	uint32_t was = atomic_load_explicit(word, memory_order_relaxed);
	bool got = false;

	if (!is_free(was) || (mine.held == 0 && !put_list()))
		return false;
	expect(entry_of(l));
	while (is_free(was) && !got)
		got = atomic_compare_exchange_weak_explicit(word, &was,
		    mine.own | (was & FUTEX_WAITERS) | more,
		    memory_order_acquire, memory_order_relaxed);
	if (got) {
		link_entry(entry_of(l));
		mine.held++;
		if ((was & FUTEX_OWNER_DIED) != 0)
			atomic_store_explicit(
			    &l->dirty, 1, memory_order_release);
	}
	expect(NULL);
	if (mine.held == 0)
		put_back();
	return got;
}

static void
own_unlock(struct control_lock *l)
{
	_Atomic uint32_t *word = word_of(l);

	expect(entry_of(l));
	unlink_entry(entry_of(l));
	if ((atomic_exchange_explicit(word, 0, memory_order_release) &
		FUTEX_WAITERS) != 0)
		(void)syscall(
		    SYS_futex, (uintptr_t)word, FUTEX_WAKE, 1, NULL, NULL, 0);
	expect(NULL);
	if (--mine.held == 0)
		put_back();
}

static bool
own_turn(struct control_lock *l)
{
	_Atomic uint32_t *word = word_of(l);
	uint32_t was = atomic_load(word);

	if (is_free(was))
		return own_try(l, 0);
	if ((was & FUTEX_WAITERS) == 0 &&
	    !atomic_compare_exchange_strong(word, &was, was | FUTEX_WAITERS))
		return own_try(l, 0);
	(void)futex_wait_ms(word, was | FUTEX_WAITERS, TURN_MS);
	return own_try(l, FUTEX_WAITERS);
}

/* ---- glibc's ---- */

/* The result of a lock call: true when it is held now. */
static bool
got(struct control_lock *l, int r)
{
	if (__builtin_expect(r == 0, 1))
		return true;
	if (r != EOWNERDEAD)
		return false;
	atomic_store_explicit(&l->dirty, 1, memory_order_release);
	(void)pthread_mutex_consistent(&l->mutex);
	return true;
}

static int
glibc_turn(pthread_mutex_t *m)
{
#if defined(__SANITIZE_THREAD__)
	/* It does not know pthread_mutex_clocklock, and of
	 * pthread_mutex_timedlock not that an owner may have died. */
	struct timespec t = {.tv_nsec = TURN_MS * 1000000};
	int r = pthread_mutex_trylock(m);

	if (r == EBUSY)
		(void)nanosleep(&t, NULL);
	return r == EBUSY ? ETIMEDOUT : r;
#else
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
		return EINVAL;
	t.tv_nsec += TURN_MS * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &t);
#endif
}

/* ---- either ---- */

static bool
is_captured(const struct capture *c)
{
	return __builtin_expect((c->flags & CAPTURE_WRITER) != 0, 1);
}

bool
lock_try(const struct capture *c, struct control_lock *l)
{
	return is_captured(c) ? got(l, pthread_mutex_trylock(&l->mutex))
			      : own_try(l, 0);
}

/*
 * Waits in short turns. A robust mutex can lose a wake-up: a waiter that is
 * woken and killed before it has taken the lock, while a third one has just
 * taken it, leaves the other waiters asleep for ever (the kernel passes the
 * wake-up on only when nobody has the lock). The next turn finds it free.
 */
bool
lock_wait(const struct capture *c, struct control_lock *l, uint32_t wait_ms)
{
	uint32_t turns = wait_ms / TURN_MS;

	while (turns-- > 0) {
		int r;

		if (!is_captured(c)) {
			if (own_turn(l))
				return true;
			continue;
		}
		r = glibc_turn(&l->mutex);
		if (r != ETIMEDOUT)
			return got(l, r);
	}
	return false;
}

void
unlock_plain(const struct capture *c, struct control_lock *l)
{
	if (is_captured(c))
		(void)pthread_mutex_unlock(&l->mutex);
	else
		own_unlock(l);
}
