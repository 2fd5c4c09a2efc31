/* SPDX-License-Identifier: Apache-2.0 */
/* What S3 needs before and after the network: URLs, keys, answers. */
#include "coordinator/s3_credentials.h"
#include "coordinator/s3_error.h"
#include "coordinator/s3_request.h"
#include "coordinator/s3_url.h"
#include "coordinator/transport.h"
#include "common/io.h"
#include "tests/unit.h"

#include <stdio.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

/* ---- URLs ---- */

static const struct {
	const char *text, *host, *path, *region, *profile;
	uint16_t port;
	bool tls;
} good[] = {
    {"s3://bucket", "bucket.s3.us-east-1.amazonaws.com", "/N", "us-east-1",
	"default", 443, true},
    {"s3://bucket/", "bucket.s3.us-east-1.amazonaws.com", "/N", "us-east-1",
	"default", 443, true},
    {"s3://bucket/a/b/?region=eu-west-3", "bucket.s3.eu-west-3.amazonaws.com",
	"/a/b/N", "eu-west-3", "default", 443, true},
    {"s3://bucket/?region=cn-north-1&profile=x.y",
	"bucket.s3.cn-north-1.amazonaws.com.cn", "/N", "cn-north-1", "x.y", 443,
	true},
    {"s3://my.bucket/p", "s3.us-east-1.amazonaws.com", "/my.bucket/p/N",
	"us-east-1", "default", 443, true},
    {"s3://bucket/p?style=path", "s3.us-east-1.amazonaws.com", "/bucket/p/N",
	"us-east-1", "default", 443, true},
    {"s3://bucket/p?endpoint=https://s3.example:9000", "s3.example",
	"/bucket/p/N", "us-east-1", "default", 9000, true},
    {"s3://bucket/p?endpoint=https://s3.example/&style=virtual",
	"bucket.s3.example", "/p/N", "us-east-1", "default", 443, true},
    {"s3://bucket?endpoint=http://127.0.0.1:8080&region=r_1", "127.0.0.1",
	"/bucket/N", "r_1", "default", 8080, false},
    {"s3://bucket?endpoint=http://localhost", "localhost", "/bucket/N",
	"us-east-1", "default", 80, false},
    {"s3://bucket?endpoint=http://[::1]:81", "::1", "/bucket/N", "us-east-1",
	"default", 81, false},
};
#define GOOD (sizeof(good) / sizeof(good[0]))

START_TEST(a_url_is_taken_apart)
{
	struct s3_url u;
	struct err e = {0};
	char path[2048];

	OK(s3_url_parse(good[_i].text, &u, &e));
	ck_assert_str_eq(u.host, good[_i].host);
	ck_assert_uint_eq(u.port, good[_i].port);
	ck_assert_int_eq(u.tls, good[_i].tls);
	ck_assert_str_eq(u.region, good[_i].region);
	ck_assert_str_eq(u.profile, good[_i].profile);
	OK(s3_url_path(&u, "N", path, sizeof(path), &e));
	ck_assert_str_eq(path, good[_i].path);
}
END_TEST

static const char *const bad[] = {"", "s3://", "s3:///p", "s3://ab",
    "s3://Bucket", "s3://buc_ket", "s3://-bucket", "s3://bucket-", "s3://a..b",
    "s3://user@bucket/p", "s3://bucket:80/p", "s3://bucket/a//b",
    "s3://bucket/../b", "s3://bucket/a/.", "s3://bucket//a", "s3://bucket/a b",
    "s3://bucket/a%20b", "s3://bucket/\xc3\xa4", "s3://bucket/p?",
    "s3://bucket/p?region", "s3://bucket/p?region=", "s3://bucket/p?regoin=x",
    "s3://bucket/p?region=x&", "s3://bucket/p?&region=x",
    "s3://bucket/p?region=a/b", "s3://bucket/p?style=other",
    "s3://bucket/p?conditional=maybe", "s3://bucket/p?endpoint=s3.example",
    "s3://bucket/p?endpoint=https://", "s3://bucket/p?endpoint=https:///",
    "s3://bucket/p?endpoint=https://u:p@h",
    "s3://bucket/p?endpoint=https://h/path",
    "s3://bucket/p?endpoint=http://s3.example",
    "s3://bucket/p?endpoint=http://127.evil.example",
    "s3://bucket/p?endpoint=https://h:0", "s3://bucket/p?endpoint=https://h:x",
    "s3://bucket/p?endpoint=https://h\nX: y",
    "s3://bucket/p?endpoint=https://127.0.0.1&style=virtual",
    "s3://bucket/p?endpoint=https://[::1]&style=virtual",
    "s3://my.bucket/p?style=virtual",
    ("s3://a12345678901234567890123456789012345678901234567890123456789012"
     "3/p")};
#define BAD (sizeof(bad) / sizeof(bad[0]))

START_TEST(a_url_that_is_none_is_refused)
{
	struct s3_url u = {.port = 7};
	struct err e = {0};

	ck_assert_msg(s3_url_parse(bad[_i], &u, &e) == -1, "%s", bad[_i]);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_uint_eq(u.port, 7);
}
END_TEST

START_TEST(a_name_is_at_most_as_long_as_the_service_allows)
{
	char text[1100] = "s3://bucket/", path[2048], name[200];
	struct s3_url u;
	struct err e = {0};

	memset(text + 12, 'p', 900);
	OK(s3_url_parse(text, &u, &e));
	memset(name, 'n', sizeof(name));
	name[1024 - 900 - 1] = '\0';
	OK(s3_url_path(&u, name, path, sizeof(path), &e));
	name[1024 - 900 - 1] = 'n';
	name[1024 - 900] = '\0';
	ck_assert_int_eq(s3_url_path(&u, name, path, sizeof(path), &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

/* ---- credentials ---- */

static int
parse(const char *text, const char *profile, struct s3_credentials *c,
    struct err *e)
{
	return s3_credentials_parse(text, strlen(text), "FILE", profile, c, e);
}

START_TEST(the_profile_that_is_asked_for_is_taken)
{
	static const char text[] =
	    "# ours\r\naws_access_key_id = NONE\n\n[default]\r\n"
	    "aws_access_key_id = AKIA1\r\n"
	    "  AWS_Secret_Access_Key=a/b+c==  \r\n"
	    "region = x\n; more\n[ profile other ]\n"
	    "aws_access_key_id=test:tester\naws_secret_access_key=testing\n"
	    "aws_session_token = tok/en+==";
	struct s3_credentials c;
	struct err e = {0};

	OK(parse(text, "default", &c, &e));
	ck_assert_str_eq(c.access_key, "AKIA1");
	ck_assert_str_eq(c.secret_key, "a/b+c==");
	ck_assert_str_eq(c.token, "");
	OK(parse(text, "other", &c, &e));
	ck_assert_str_eq(c.access_key, "test:tester");
	ck_assert_str_eq(c.secret_key, "testing");
	ck_assert_str_eq(c.token, "tok/en+==");
	ck_assert_int_eq(parse(text, "third", &c, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, "[third]"));
	ck_assert_str_eq(c.access_key, "test:tester");
}
END_TEST

#define SECRET "aws_secret_access_key=SECRET\n"
static const char *const bad_keys[] = {"", "[default]", "[default]\n" SECRET,
    "[default]\naws_access_key_id=A\n",
    "[default]\naws_access_key_id=\n" SECRET,
    "[default]\naws_access_key_id=A B\n" SECRET,
    "[default]\naws_access_key_id=A/B\n" SECRET,
    "[default]\naws_access_key_id=A\naws_secret_access_key=SEC\x01RET\n",
    "[default]\naws_access_key_id=A\naws_secret_access_key=\xc3\xa4SECRET\n",
    "[default\naws_access_key_id=A\n" SECRET,
    "[Default]\naws_access_key_id=A\n" SECRET};
#define BAD_KEYS (sizeof(bad_keys) / sizeof(bad_keys[0]))

START_TEST(a_file_without_whole_keys_is_refused_without_showing_them)
{
	struct s3_credentials c;
	struct err e = {0};

	ck_assert_int_eq(parse(bad_keys[_i], "default", &c, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
	ck_assert_ptr_null(strstr(e.text, "SECRET"));
}
END_TEST

START_TEST(a_file_that_others_may_read_is_refused)
{
	static const char text[] = "[default]\naws_access_key_id=A\n" SECRET;
	struct s3_credentials c;
	struct unit_dir dir;
	struct err e = {0};
	char path[100];

	unit_dir_make(&dir);
	(void)snprintf(path, sizeof(path), "%s/keys", dir.path);
	OK(io_write_file(dir.fd, "keys", text, sizeof(text) - 1, 0600, &e));
	OK(s3_credentials_read(path, "default", &c, &e));
	ck_assert_int_eq(chmod(path, 0640), 0);
	ck_assert_int_eq(s3_credentials_read(path, "default", &c, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "0600"));
	ck_assert_int_eq(s3_credentials_read(dir.path, "default", &c, &e), -1);
	unit_dir_drop(&dir);
}
END_TEST

START_TEST(a_destination_is_checked_before_anything_connects)
{
	static struct destination_config d;
	struct err e = {0};

	(void)strcpy(d.url, "s3://bucket/p?endpoint=https://h");
	ck_assert_int_eq(transport_check(&d, &e), -1);
	ck_assert_msg(strstr(e.text, "--credentials") != NULL, "%s", e.text);
	(void)strcpy(d.credentials_file, "/none");
	ck_assert_int_eq(transport_check(&d, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "/none"));
}
END_TEST

/* ---- requests ---- */

START_TEST(a_request_has_all_that_the_signature_is_about)
{
	static const struct s3_credentials c = {
	    .access_key = "A", .secret_key = "S", .token = "T"};
	static const uint8_t digest[DIGEST_LEN] = {0xab};
	static struct http_setup s = {.tls = true, .port = 9000};
	static struct http_request r = {
	    .method = HTTP_PUT, .path = "/bucket/p/N"};
	struct err e = {0};
	char value[300];

	(void)strcpy(s.host, "s3.example");
	OK(http_header_add(&r, &e, "If-None-Match", "*"));
	OK(s3_sign_with(&s, &c, "eu-west-3", digest, 1369353600, &r, &e));
	ck_assert(http_header(r.headers, "x-amz-date", value, sizeof(value)));
	ck_assert_str_eq(value, "20130524T000000Z");
	ck_assert(http_header(
	    r.headers, "X-Amz-Content-SHA256", value, sizeof(value)));
	ck_assert_uint_eq(strlen(value), 64);
	ck_assert_int_eq(strncmp(value, "ab0000", 6), 0);
	ck_assert(http_header(r.headers, S3_META_DIGEST, value, sizeof(value)));
	ck_assert_int_eq(strncmp(value, "ab0000", 6), 0);
	ck_assert(http_header(
	    r.headers, "x-amz-security-token", value, sizeof(value)));
	ck_assert(
	    http_header(r.headers, "Authorization", value, sizeof(value)));
	ck_assert_ptr_nonnull(strstr(value,
	    "Credential=A/20130524/eu-west-3/s3/aws4_request, "
	    "SignedHeaders=host;if-none-match;x-amz-content-sha256;x-amz-date;"
	    "x-amz-meta-aim-sha256;x-amz-security-token, Signature="));
}
END_TEST

START_TEST(a_file_is_hashed_to_the_length_that_is_sent)
{
	/* SHA-256 of "abc" */
	static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
	uint8_t digest[DIGEST_LEN];
	struct unit_dir dir;
	struct err e = {0};
	int fd;

	unit_dir_make(&dir);
	OK(io_write_file(dir.fd, "f", "abcdef", 6, 0600, &e));
	fd = openat(dir.fd, "f", O_RDONLY | O_CLOEXEC);
	OK(s3_digest(fd, 3, digest, &e));
	ck_assert_mem_eq(digest, abc, sizeof(abc));
	ck_assert_int_eq(s3_digest(fd, 7, digest, &e), -1);
	close(fd);
	unit_dir_drop(&dir);
}
END_TEST

/* ---- answers ---- */

START_TEST(an_error_is_read)
{
	static const char text[] =
	    "<?xml version=\"1.0\"?>\n<Error xmlns=\"x\"><Code>NoSuchKey</Code>"
	    "<Message>The &lt;key&gt; &amp; \"more\"\n</Message>"
	    "<Message>second</Message><Region>eu</Region>"
	    "<ServerTime>2026</ServerTime></Error><Code>Other</Code>";
	struct s3_error x;

	s3_error_parse(text, sizeof(text) - 1, &x);
	ck_assert_str_eq(x.code, "NoSuchKey");
	ck_assert_str_eq(x.message, "The <key> & \\x22more\\x22\\x0a");
	ck_assert_str_eq(x.region, "eu");
	ck_assert_str_eq(x.server_time, "2026");
}
END_TEST

static const char *const no_errors[] = {"", "<", "<Error", "<Errors><Code>A",
    "<html><Code>A</Code></html>", "<Error>", "<Error><Code", "<Error><Code>",
    "<Error></Error><Code>A</Code>", "&amp;<Error><Coda>A</Coda>"};

START_TEST(what_is_no_error_has_no_code)
{
	const char *text = no_errors[_i];
	struct s3_error x;

	s3_error_parse(text, strlen(text), &x);
	ck_assert_str_eq(x.code, "");
}
END_TEST

START_TEST(any_part_of_an_error_is_read_within_its_bounds)
{
	char *text, whole[3000] = "<Error><Code>";
	struct s3_error x;
	size_t len;

	memset(whole + strlen(whole), 'C', 1000);
	(void)strcat(whole, "</Code><Message>&lt;&am");
	memset(whole + strlen(whole), '\xff', 1000);
	for (len = 0; len <= strlen(whole); len += 7) {
		/* In memory of its own, whose end a sanitizer sees. */
		text = malloc(len + 1);
		ck_assert_ptr_nonnull(text);
		memcpy(text, whole, len);
		s3_error_parse(text, len, &x);
		ck_assert_uint_lt(strlen(x.code), sizeof(x.code));
		ck_assert_uint_lt(strlen(x.message), sizeof(x.message));
		free(text);
	}
	ck_assert_uint_eq(strlen(x.code), sizeof(x.code) - 1);
}
END_TEST

static const struct {
	int status;
	const char *code, *region;
	enum err_kind kind;
	const char *says;
} answers[] = {
    {503, "SlowDown", "", ERR_RETRY, "SlowDown"},
    {500, "", "", ERR_RETRY, "500"},
    {409, "ConditionalRequestConflict", "", ERR_RETRY, "409"},
    {400, "RequestTimeout", "", ERR_RETRY, "cannot now"},
    {507, "", "", ERR_FULL, "no room"},
    {403, "QuotaExceeded", "", ERR_FULL, "no room"},
    {403, "RequestTimeTooSkewed", "", ERR_REFUSED, "clocks"},
    {403, "SignatureDoesNotMatch", "", ERR_REFUSED, "secret key"},
    {403, "InvalidAccessKeyId", "", ERR_REFUSED, "does not know"},
    {400, "ExpiredToken", "", ERR_REFUSED, "session token"},
    {403, "AccessDenied", "", ERR_REFUSED, "s3:ListBucket"},
    {403, "", "", ERR_REFUSED, "may not read"},
    {404, "NoSuchBucket", "", ERR_REFUSED, "no bucket b"},
    {301, "PermanentRedirect", "eu-west-3", ERR_REFUSED, "region=eu-west-3"},
    {400, "AuthorizationHeaderMalformed", "eu-west-3", ERR_REFUSED,
	"region=eu-west-3"},
    {307, "", "", ERR_REFUSED, "elsewhere"},
    {400, "EntityTooLarge", "", ERR_REFUSED, "larger"},
    {501, "NotImplemented", "", ERR_REFUSED, "was refused"},
    {418, "", "", ERR_REFUSED, "418"},
};

START_TEST(an_answer_says_what_to_do)
{
	const struct s3_asked a = {.url = "s3://b/p",
	    .bucket = "b",
	    .region = "us-east-1",
	    .profile = "default",
	    .file = "/keys",
	    .name = "N",
	    .when = "20130524T000000Z"};
	struct s3_said s = {.status = answers[_i].status,
	    .region = answers[_i].region,
	    .date = ""};
	struct err e = {0};

	(void)strcpy(s.error.code, answers[_i].code);
	ck_assert_int_eq(s3_explain(&a, &s, &e), -1);
	ck_assert_int_eq(e.kind, answers[_i].kind);
	ck_assert_msg(strstr(e.text, answers[_i].says) != NULL, "%s", e.text);
	ck_assert_ptr_nonnull(strstr(e.text, "s3://b/p"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("s3");
	TCase *c = tcase_create("parts");

	tcase_add_loop_test(c, a_url_is_taken_apart, 0, GOOD);
	tcase_add_loop_test(c, a_url_that_is_none_is_refused, 0, BAD);
	tcase_add_test(c, a_name_is_at_most_as_long_as_the_service_allows);
	tcase_add_test(c, the_profile_that_is_asked_for_is_taken);
	tcase_add_loop_test(c,
	    a_file_without_whole_keys_is_refused_without_showing_them, 0,
	    BAD_KEYS);
	tcase_add_test(c, a_file_that_others_may_read_is_refused);
	tcase_add_test(c, a_destination_is_checked_before_anything_connects);
	tcase_add_test(c, a_request_has_all_that_the_signature_is_about);
	tcase_add_test(c, a_file_is_hashed_to_the_length_that_is_sent);
	tcase_add_test(c, an_error_is_read);
	tcase_add_loop_test(c, what_is_no_error_has_no_code, 0,
	    sizeof(no_errors) / sizeof(no_errors[0]));
	tcase_add_test(c, any_part_of_an_error_is_read_within_its_bounds);
	tcase_add_loop_test(c, an_answer_says_what_to_do, 0,
	    sizeof(answers) / sizeof(answers[0]));
	suite_add_tcase(s, c);
	return unit_run(s);
}
