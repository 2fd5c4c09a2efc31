/* SPDX-License-Identifier: Apache-2.0 */
/* Folding against a model: what is folded leads to the same content. */
#include "aimdriver/fold.h"
#include "tests/unit.h"

#include "common/io.h"

#define SIZE 65536u
#define MOST 300u
#define VOLUMES 2u
#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static struct fold *fold;
static uint64_t seed;
static struct fold_op ops[MOST], *out;
static size_t count, made;
static uint8_t pool[SIZE], image[2][VOLUMES][SIZE];
static bool changed;

static uint64_t
chance(uint64_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (seed >> 33) % below;
}

static void
setup(void)
{
	struct err e = {0};

	OK(fold_make(&fold, &e));
	count = made = 0;
	for (size_t i = 0; i < SIZE; i++)
		pool[i] = (uint8_t)chance(256);
	/* Blocks of zeroes, and some that nearly are. */
	memset(pool + 8192, 0, 20000);
	pool[20000] = 1;
}

static void
teardown(void)
{
	fold_free(fold);
}

static struct fold_op *
add(uint32_t op, uint32_t volume, uint64_t off, uint64_t len)
{
	uint64_t number = count == 0 ? 1 : ops[count - 1].b.number + 1;

	ops[count] = (struct fold_op){.b = {.op = op,
					  .volume = volume,
					  .origin = ORIGIN_NONE,
					  .number = number,
					  .time_ns = 1000 * number,
					  .off = off,
					  .len = len}};
	if (op == OP_WRITE)
		ops[count].data = pool + chance(SIZE - len + 1);
	return &ops[count++];
}

static void
apply(uint8_t (*to)[SIZE], const struct fold_op *op)
{
	const struct iocb *b = &op->b;

	if (b->op == OP_WRITE || b->op == OP_ZERO || b->op == OP_DISCARD)
		ck_assert_uint_le(b->off + b->len, SIZE);
	if (b->op == OP_WRITE)
		memcpy(to[b->volume] + b->off, op->data, b->len);
	else if (b->op == OP_ZERO || b->op == OP_DISCARD)
		memset(to[b->volume] + b->off, 0, b->len);
}

static bool
is_content(const struct fold_op *op)
{
	return op->b.op == OP_WRITE || op->b.op == OP_ZERO ||
	       op->b.op == OP_DISCARD || op->b.op == OP_FLUSH;
}

/* Folds, and compares at the end and at all that a fold must not cross. */
static void
check(void)
{
	struct err e = {0};
	uint64_t number = 0, time_ns = 0;
	size_t at = 0;

	OK(fold_ops(fold, ops, count, &out, &made, &changed, &e));
	memset(image, 0xee, sizeof(image));
	for (size_t i = 0; i < made; i++) {
		ck_assert_uint_gt(out[i].b.number, number);
		ck_assert_uint_ge(out[i].b.time_ns, time_ns);
		ck_assert_uint_gt(out[i].b.len + (out[i].b.op != OP_WRITE), 0);
		number = out[i].b.number;
		time_ns = out[i].b.time_ns;
		if (is_content(&out[i])) {
			apply(image[0], &out[i]);
			continue;
		}
		while (ops[at].b.number < number)
			apply(image[1], &ops[at++]);
		ck_assert_mem_eq(&ops[at], &out[i], sizeof(ops[at]));
		ck_assert_mem_eq(image[0], image[1], sizeof(image[0]));
		at++;
	}
	for (; at < count; at++) {
		ck_assert(is_content(&ops[at]));
		apply(image[1], &ops[at]);
	}
	ck_assert_mem_eq(image[0], image[1], sizeof(image[0]));
	if (count > 0)
		ck_assert_uint_le(number, ops[count - 1].b.number);
	if (made > 0 && count > 0)
		ck_assert_uint_ge(out[0].b.number, ops[0].b.number);
}

/* Histories of all kinds: small and large, aligned and not, with and without
 * other transactions, with numbers left out. */
START_TEST(a_random_history_folds_to_the_same)
{
	uint64_t align = _i % 3 == 0 ? 4096 : _i % 3 == 1 ? 512 : 1;
	uint64_t most = _i % 4 == 0 ? SIZE : _i % 4 == 1 ? 16384 : 5000;
	int round;

	seed = (uint64_t)_i;
	for (round = 0; round < 30; round++) {
		uint64_t n = 1 + chance(MOST);

		for (count = 0; count < n;) {
			uint64_t len = (1 + chance(most)) / align * align;
			uint64_t off = chance(SIZE) / align * align;
			uint64_t kind = chance(20);
			uint32_t v = (uint32_t)chance(VOLUMES);

			if (len == 0)
				len = align;
			if (off + len > SIZE)
				len = SIZE - off;
			if (kind < 14)
				add(OP_WRITE, v, off, len);
			else if (kind < 17)
				add(OP_ZERO, v, off, len);
			else if (kind < 18)
				add(OP_DISCARD, v, off, len);
			else if (kind < 19 || _i % 5 == 0)
				add(OP_FLUSH, v, 0, 0);
			else
				add(OP_MARKER, 0, 0, 0);
			if (chance(4) == 0)
				ops[count - 1].b.number += chance(5);
		}
		check();
	}
}
END_TEST

START_TEST(of_writes_to_one_place_the_last_stays)
{
	for (int i = 0; i < 50; i++)
		add(OP_WRITE, 0, 4096, 4096)->data = pool + 40000 + i;
	check();
	ck_assert_uint_eq(made, 1);
	ck_assert_ptr_eq(out[0].data, pool + 40049);
	ck_assert(changed);
}
END_TEST

START_TEST(what_touches_becomes_one)
{
	for (int i = 9; i >= 0; i--)
		add(OP_WRITE, 0, 4096 * (uint64_t)i, 4096)->data =
		    pool + 32768 + 128 * i;
	check();
	ck_assert_uint_eq(made, 1);
	ck_assert_uint_eq(out[0].b.len, 40960);
}
END_TEST

START_TEST(blocks_of_zeroes_do_not_travel)
{
	/* 4 KiB, then 12 KiB of zeroes, then data: three, and two numbers are
	 * to be had from the first write. */
	add(OP_WRITE, 0, 0, 4096)->data = pool;
	add(OP_WRITE, 0, 0, 4096)->data = pool;
	add(OP_WRITE, 0, 4096, 16384)->data = pool + 4096;
	check();
	ck_assert_uint_eq(made, 3);
	ck_assert_uint_eq(out[1].b.op, OP_ZERO);
	ck_assert_uint_eq(out[1].b.off, 8192);
	ck_assert_uint_ge(out[1].b.len, 8192);
	/* All of one: no number is needed. */
	count = 0;
	add(OP_WRITE, 0, 0, 4096)->data = pool + 8192;
	check();
	ck_assert_uint_eq(made, 1);
	ck_assert_uint_eq(out[0].b.op, OP_ZERO);
}
END_TEST

START_TEST(a_write_in_the_midst_of_zeroes_keeps_its_numbers)
{
	add(OP_ZERO, 0, 0, 32768);
	add(OP_WRITE, 0, 8192, 4096)->data = pool + 40000;
	check();
	ck_assert_uint_eq(made, 2);
	ck_assert_uint_eq(out[0].b.op, OP_ZERO);
	ck_assert_uint_eq(out[1].b.op, OP_WRITE);
}
END_TEST

START_TEST(nothing_is_changed_where_there_is_nothing_to_fold)
{
	add(OP_WRITE, 0, 0, 100)->data = pool + 40000;
	add(OP_MARKER, 0, 0, 0);
	add(OP_WRITE, 0, 0, 100)->data = pool + 41000;
	check();
	ck_assert_uint_eq(made, 3);
	ck_assert(!changed);
	count = 0;
	check();
	ck_assert_uint_eq(made, 0);
}
END_TEST

START_TEST(nothing_else_is_ever_crossed)
{
	static const uint32_t others[] = {OP_RESIZE, OP_VOID, OP_GAP,
	    OP_COPYIN_BEGIN, OP_COPYIN, OP_COPYIN_ZERO, OP_COPYIN_END,
	    OP_MARKER, OP_HEARTBEAT, OP_CUT, OP_VERIFY, OP_EXPAND, OP_ESTABLISH,
	    OP_SPLIT, OP_RESYNC, OP_PROMOTE};

	add(OP_WRITE, 0, 0, 4096);
	add(others[_i], 0, 0, 0);
	add(OP_WRITE, 0, 0, 4096);
	add(OP_WRITE, 0, 0, 4096);
	check();
	ck_assert_uint_eq(made, 3);
	ck_assert_uint_eq(out[1].b.op, others[_i]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fold");
	TCase *t = tcase_create("fold");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_random_history_folds_to_the_same, 0, 40);
	tcase_add_test(t, of_writes_to_one_place_the_last_stays);
	tcase_add_test(t, what_touches_becomes_one);
	tcase_add_test(t, blocks_of_zeroes_do_not_travel);
	tcase_add_test(t, a_write_in_the_midst_of_zeroes_keeps_its_numbers);
	tcase_add_test(t, nothing_is_changed_where_there_is_nothing_to_fold);
	tcase_add_loop_test(t, nothing_else_is_ever_crossed, 0, 16);
	suite_add_tcase(suite, t);
	return unit_run(suite);
}
