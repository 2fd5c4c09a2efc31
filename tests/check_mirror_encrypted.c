/* SPDX-License-Identifier: Apache-2.0 */
/* A mirror of an encrypted group: keys that come late, and protection that
 * nobody can lower. */
#include "coordinator/keyring.h"
#include "coordinator/stage.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/le.h"
#include "tests/mirror_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mirror_unit u;
static struct group_key first, second;
static struct err e;

static void
setup(void)
{
	mirror_unit_make(&u, (uint64_t)(unsigned)getpid(), 100000);
	memset(first.key, 1, sizeof(first.key));
	memset(second.key, 2, sizeof(second.key));
	ck_assert_int_eq(group_key_derive(&first, &e), 0);
	ck_assert_int_eq(group_key_derive(&second, &e), 0);
}

static void
teardown(void)
{
	mirror_unit_drop(&u);
}

static void
import(const struct group_key *k)
{
	ck_assert_msg(
	    keyring_put(&u.home, &u.maker.group, k, &e) == 0, "%s", e.text);
}

static void
more(const struct group_key *k, uint32_t files)
{
	u.maker.group_key = k;
	for (; files > 0; files--) {
		maker_mix(&u.maker, 4);
		(void)maker_seal(&u.maker, u.made);
	}
}

static void
base(const struct group_key *k)
{
	u.maker.group_key = k;
	maker_base(&u.maker, u.made, COPYIN_BASE);
}

static void
receive(void)
{
	ck_assert_msg(run_receive(&u, &e) == 0, "%s", e.text);
}

static void
stored_up_to(uint32_t i)
{
	struct ack a;

	load_ack(&u, &a);
	ck_assert_uint_eq(a.stored.last, u.maker.file[i].at.last);
}

static void
waits_for(const struct group_key *k)
{
	char id[2 * KEY_ID_LEN + 1];
	struct ack a;

	load_ack(&u, &a);
	ck_assert_int_eq(a.state, ACK_STALLED);
	ck_assert_msg(strstr(a.reason, hex_text(k->id, KEY_ID_LEN, id)) != NULL,
	    "%s", a.reason);
	ck_assert_uint_eq(count_names(u.home.quarantine, ".why"), 0);
}

START_TEST(it_waits_for_a_key_and_goes_on_with_it)
{
	base(&first);
	more(&first, 2);
	more(&second, 2);
	deliver_all(&u);
	receive();
	waits_for(&first);
	import(&first);
	receive();
	stored_up_to(u.maker.files - 3);
	waits_for(&second);
	import(&second);
	run_both(&u);
	mirror_stands_at(&u, u.maker.files - 1);
}
END_TEST

START_TEST(a_key_that_others_may_read_is_not_used)
{
	char path[128], uuid[UUID_TEXT], id[2 * KEY_ID_LEN + 1];
	struct ack a;

	base(&first);
	import(&first);
	(void)snprintf(path, sizeof(path), "keys/groups/%s/%s.key",
	    uuid_text(&u.maker.group, uuid),
	    hex_text(first.id, KEY_ID_LEN, id));
	ck_assert_int_eq(fchmodat(u.home.dir, path, 0640, 0), 0);
	deliver_all(&u);
	(void)!run_receive(&u, &e);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	ck_assert_ptr_nonnull(strstr(e.text, "may be read by others"));
	load_ack(&u, &a);
	ck_assert(position_is_nil(&a.stored));
	ck_assert_int_eq(fchmodat(u.home.dir, path, 0600, 0), 0);
	run_both(&u);
	mirror_stands_at(&u, u.maker.files - 1);
}
END_TEST

/* Whoever can write to the folder cannot make the mirror wait for ever. */
START_TEST(a_forged_file_with_an_unknown_key_is_put_aside)
{
	AUTO_FREE uint8_t *bytes = NULL;
	size_t len;

	base(&first);
	more(&first, 1);
	bytes = made_bytes(&u, 0, &len);
	bytes[412] ^= 1; /* the key's id */
	header_fix_sum(bytes, le_get32(bytes + 20));
	deliver_bytes(&u, u.maker.file[0].name, bytes, len);
	import(&first);
	(void)!run_receive(&u, &e);
	ck_assert_uint_eq(count_names(u.home.quarantine, ".why"), 1);
	ck_assert(is_quarantined(&u, "signature"));
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, u.maker.files - 1);
}
END_TEST

/* Turned on later: the first encrypted file is the first one. */
START_TEST(after_an_encrypted_file_no_other_is_taken)
{
	uint32_t good;

	base(NULL);
	more(NULL, 2);
	more(&first, 1);
	good = u.maker.files - 1;
	more(NULL, 1);
	import(&first);
	deliver_all(&u);
	run_both(&u);
	mirror_stands_at(&u, good);
	ck_assert(is_quarantined(&u, "not encrypted"));
	/* Restarted it knows that still. */
	deliver(&u, u.maker.files - 1);
	receive();
	ck_assert_uint_eq(count_names(u.home.quarantine, ".why"), 2);
	stored_up_to(good);
}
END_TEST

START_TEST(paired_as_encrypted_it_takes_no_plain_base)
{
	struct ack a;

	base(NULL);
	ck_assert_int_eq(stage_pin(&u.home, &u.maker.mirror, &e), 0);
	deliver_all(&u);
	(void)!run_receive(&u, &e);
	load_ack(&u, &a);
	ck_assert(position_is_nil(&a.stored));
	ck_assert(mirror_is_zero(&u));
}
END_TEST

/* What has been staged waits too, and is never taken for damaged. */
START_TEST(a_key_that_is_lost_holds_the_redriver)
{
	struct mirror_state s;

	base(&first);
	more(&first, 2);
	import(&first);
	deliver_all(&u);
	receive();
	ck_assert_int_eq(
	    keyring_drop(&u.home, &u.maker.group, first.id, &e), 0);
	ck_assert_int_lt(run_apply(&u, &e), 0);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	load_state(&u, &s);
	ck_assert_ptr_nonnull(strstr(s.reason, "key"));
	ck_assert_uint_eq(count_names(u.home.quarantine, ".why"), 0);
	import(&first);
	run_both(&u);
	mirror_stands_at(&u, u.maker.files - 1);
	/* The same for the check of the last changes at the next start. */
	ck_assert_int_eq(
	    keyring_drop(&u.home, &u.maker.group, first.id, &e), 0);
	ck_assert_int_lt(run_apply(&u, &e), 0);
	ck_assert_int_eq(e.kind, ERR_RETRY);
	import(&first);
	run_both(&u);
	mirror_stands_at(&u, u.maker.files - 1);
}
END_TEST

/* Each call of the receiver fails in its turn; nothing plain slips in. */
START_TEST(a_failure_anywhere_never_forgets_what_must_be)
{
	struct ladder l = {.trouble = EIO, .op = -1};

	base(&first);
	more(NULL, 1);
	import(&first);
	for (;; l.rung++) {
		mirror_unit_reset(&u);
		deliver_all(&u);
		ladder_set(&l);
		(void)!run_receive(&u, &e);
		ladder_unset();
		(void)!run_receive(&u, &e);
		receive();
		stored_up_to(u.maker.files - 2);
		ck_assert(is_quarantined(&u, "not encrypted"));
		if (!l.struck)
			break;
	}
	ck_assert_int_ge(l.rung, 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mirror_encrypted");
	TCase *t = tcase_create("mirror_encrypted");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, it_waits_for_a_key_and_goes_on_with_it);
	tcase_add_test(t, a_key_that_others_may_read_is_not_used);
	tcase_add_test(t, a_forged_file_with_an_unknown_key_is_put_aside);
	tcase_add_test(t, after_an_encrypted_file_no_other_is_taken);
	tcase_add_test(t, paired_as_encrypted_it_takes_no_plain_base);
	tcase_add_test(t, a_key_that_is_lost_holds_the_redriver);
	tcase_add_test(t, a_failure_anywhere_never_forgets_what_must_be);
	suite_add_tcase(s, t);
	return unit_run(s);
}
