/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/sign.h"

#include "tests/unit.h"

#include <string.h>

/* RFC 8032, 7.1, test 1: its public key from its seed. */
START_TEST(the_public_key_is_that_of_rfc_8032)
{
	struct sign_secret s;
	uint8_t want[32];

	ck_assert_int_eq(hex_parse("9d61b19deffd5a60ba844af492ec2cc4"
				   "4449c5697b326919703bac031cae7f60",
			     s.seed, 32, NULL),
	    0);
	ck_assert_int_eq(hex_parse("d75a980182b10ab7d54bfed3c964073a"
				   "0ee172f3daa62325af021a68f707511a",
			     want, 32, NULL),
	    0);
	ck_assert_int_eq(sign_derive(&s, NULL), 0);
	ck_assert_mem_eq(s.pub.key, want, 32);
}
END_TEST

START_TEST(sha256_is_that_of_fips_180)
{
	uint8_t got[DIGEST_LEN], want[DIGEST_LEN];

	ck_assert_int_eq(hex_parse("ba7816bf8f01cfea414140de5dae2223"
				   "b00361a396177a9cb410ff61f20015ad",
			     want, DIGEST_LEN, NULL),
	    0);
	ck_assert_int_eq(digest_bytes("abc", 3, got, NULL), 0);
	ck_assert_mem_eq(got, want, DIGEST_LEN);
}
END_TEST

START_TEST(a_signature_holds_for_its_bytes_domain_and_key_only)
{
	struct sign_secret a, b;
	uint8_t sig[SIGNATURE_LEN];
	uint8_t bytes[] = "journal";
	bool valid = false;

	ck_assert_int_eq(sign_make(&a, NULL), 0);
	ck_assert_int_eq(sign_make(&b, NULL), 0);
	ck_assert_int_eq(sign_bytes(&a, "one", bytes, 7, sig, NULL), 0);
	ck_assert_int_eq(
	    sign_check(&a.pub, "one", bytes, 7, sig, &valid, NULL), 0);
	ck_assert(valid);
	ck_assert_int_eq(
	    sign_check(&a.pub, "two", bytes, 7, sig, &valid, NULL), 0);
	ck_assert(!valid);
	ck_assert_int_eq(
	    sign_check(&b.pub, "one", bytes, 7, sig, &valid, NULL), 0);
	ck_assert(!valid);
	bytes[3] ^= 1;
	ck_assert_int_eq(
	    sign_check(&a.pub, "one", bytes, 7, sig, &valid, NULL), 0);
	ck_assert(!valid);
}
END_TEST

START_TEST(the_key_id_begins_the_fingerprint)
{
	struct sign_secret s;
	uint8_t id[KEY_ID_LEN], print[DIGEST_LEN];

	ck_assert_int_eq(sign_make(&s, NULL), 0);
	ck_assert_int_eq(sign_key_id(&s.pub, id, NULL), 0);
	ck_assert_int_eq(sign_fingerprint(&s.pub, print, NULL), 0);
	ck_assert_mem_eq(id, print, KEY_ID_LEN);
}
END_TEST

START_TEST(a_forgotten_secret_is_gone)
{
	struct sign_secret s;
	static const struct sign_secret zero;

	ck_assert_int_eq(sign_make(&s, NULL), 0);
	sign_forget(&s);
	ck_assert_mem_eq(&s, &zero, sizeof(s));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sign");
	TCase *t = tcase_create("sign");

	tcase_add_test(t, the_public_key_is_that_of_rfc_8032);
	tcase_add_test(t, sha256_is_that_of_fips_180);
	tcase_add_test(t, a_signature_holds_for_its_bytes_domain_and_key_only);
	tcase_add_test(t, the_key_id_begins_the_fingerprint);
	tcase_add_test(t, a_forgotten_secret_is_gone);
	suite_add_tcase(s, t);
	return unit_run(s);
}
