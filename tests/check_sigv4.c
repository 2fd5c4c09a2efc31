/* SPDX-License-Identifier: Apache-2.0 */
/* AWS's published requests and signatures, and what S3 does otherwise. */
#include "coordinator/sigv4.h"
#include "tests/unit.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SUITE_TIME 1440938160 /* 20150830T123600Z */
#define S3_TIME 1369353600    /* 20130524T000000Z */
#define UNRESERVED                                                             \
	"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define MOST 6

/*
 * Of the aws-sig-v4-test-suite: those that S3's rules do not exclude, which
 * neither normalise paths nor encode them twice.
 */
static const struct vector {
	const char *name, *method, *path;
	struct sigv4_field query[MOST], headers[MOST];
	const char *names, *signature;
} suite[] = {
    {"get-vanilla", "GET", "/", {{0}}, {{0}}, "host;x-amz-date",
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla", "POST", "/", {{0}}, {{0}}, "host;x-amz-date",
	"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-unreserved", "GET", "/" UNRESERVED, {{0}}, {{0}}, "host;x-amz-date",
	"07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8", "GET", "/\xe1\x88\xb4", {{0}}, {{0}}, "host;x-amz-date",
	"8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-slashes-unnormalized", "GET", "//example//", {{0}}, {{0}},
	"host;x-amz-date",
	"87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
    {"get-relative-relative-unnormalized", "GET", "/example1/example2/../..",
	{{0}}, {{0}}, "host;x-amz-date",
	"dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b"},
    {"get-vanilla-empty-query-key", "GET", "/", {{"Param1", "value1"}}, {{0}},
	"host;x-amz-date",
	"a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-vanilla-query-order-key-case", "GET", "/",
	{{"Param2", "value2"}, {"Param1", "value1"}}, {{0}}, "host;x-amz-date",
	"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-order-encoded", "GET", "/",
	{{"Param-3", "Value3"}, {"Param", "Value2"},
	    {"\xe1\x88\xb4", "Value1"}},
	{{0}}, "host;x-amz-date",
	"371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
    {"get-vanilla-query-unreserved", "GET", "/", {{UNRESERVED, UNRESERVED}},
	{{0}}, "host;x-amz-date",
	"9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-utf8-query", "GET", "/", {{"\xe1\x88\xb4", "bar"}}, {{0}},
	"host;x-amz-date",
	"2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-header-key-duplicate", "GET", "/", {{0}},
	{{"My-Header1", "value2"}, {"My-Header1", "value2"},
	    {"My-Header1", "value1"}},
	"host;my-header1;x-amz-date",
	"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order", "GET", "/", {{0}},
	{{"My-Header1", "value4"}, {"My-Header1", "value1"},
	    {"My-Header1", "value3"}, {"My-Header1", "value2"}},
	"host;my-header1;x-amz-date",
	"08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-multiline", "GET", "/", {{0}},
	/* folded lines, which HTTP has no more: as separate values */
	{{"My-Header1", "value1"}, {"My-Header1", "  value2"},
	    {"My-Header1", "     value3"}},
	"host;my-header1;x-amz-date",
	"ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790"},
    {"get-header-value-trim", "GET", "/", {{0}},
	{{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
	"host;my-header1;my-header2;x-amz-date",
	"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-vanilla-with-session-token", "GET", "/", {{0}},
	{{"X-Amz-Security-Token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa"
				  "00fa31553b73ebf194267"}},
	"host;x-amz-date;x-amz-security-token",
	"07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
};
#define SUITE (sizeof(suite) / sizeof(suite[0]))

/* Of "Authenticating Requests (AWS Signature Version 4)" for S3. */
#define HELLO "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
static const struct vector s3[] = {
    {"GET Object", "GET", "/test.txt", {{0}},
	{{"Range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY}},
	"host;range;x-amz-content-sha256;x-amz-date",
	"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT Object", "PUT", "/test$file.text", {{0}},
	{{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
	    {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
	    {"x-amz-content-sha256", HELLO}},
	"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET Bucket Lifecycle", "GET", "/", {{"lifecycle", ""}},
	{{"x-amz-content-sha256", EMPTY}},
	"host;x-amz-content-sha256;x-amz-date",
	"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"Get Bucket (List Objects)", "GET", "/",
	{{"prefix", "J"}, {"max-keys", "2"}}, {{"x-amz-content-sha256", EMPTY}},
	"host;x-amz-content-sha256;x-amz-date",
	"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};
#define S3 (sizeof(s3) / sizeof(s3[0]))

static size_t
count(const struct sigv4_field *f)
{
	size_t n = 0;

	while (n < MOST && f[n].name != NULL)
		n++;
	return n;
}

static struct sigv4_request
request_of(const struct vector *v, const char *host, const char *service,
    time_t when, struct sigv4_field headers[MOST + 2])
{
	static char text[SIGV4_TIME];
	size_t n = count(v->headers), i;
	struct sigv4_request r = {.method = v->method,
	    .path = v->path,
	    .query = v->query,
	    .query_count = count(v->query),
	    .headers = headers,
	    .header_count = n + 2,
	    .payload = EMPTY,
	    .region = "us-east-1",
	    .service = service,
	    .when = when};

	headers[0] = (struct sigv4_field){"Host", host};
	headers[1] = (struct sigv4_field){"X-Amz-Date", sigv4_time(when, text)};
	for (i = 0; i < n; i++) {
		headers[i + 2] = v->headers[i];
		if (strcmp(v->headers[i].name, "x-amz-content-sha256") == 0)
			r.payload = v->headers[i].value;
	}
	return r;
}

static void
check_vector(const struct vector *v, const struct sigv4_request *r,
    const char *access, const char *secret, const char *scope)
{
	AUTO(buf_release) struct buf got = {0};
	char want[600];
	struct err e = {0};

	(void)snprintf(want, sizeof(want),
	    "AWS4-HMAC-SHA256 Credential=%s/%s/aws4_request, "
	    "SignedHeaders=%s, Signature=%s",
	    access, scope, v->names, v->signature);
	OK(sigv4_authorize(r, access, secret, &got, &e));
	ck_assert_msg(strcmp((char *)got.data, want) == 0, "%s: %s", v->name,
	    (char *)got.data);
}

START_TEST(a_request_of_the_suite_is_signed_as_published)
{
	const struct vector *v = &suite[_i];
	struct sigv4_field headers[MOST + 2];
	struct sigv4_request r = request_of(
	    v, "example.amazonaws.com", "service", SUITE_TIME, headers);

	check_vector(
	    v, &r, "AKIDEXAMPLE", SUITE_SECRET, "20150830/us-east-1/service");
}
END_TEST

START_TEST(a_request_of_the_s3_manual_is_signed_as_published)
{
	const struct vector *v = &s3[_i];
	struct sigv4_field headers[MOST + 2];
	struct sigv4_request r = request_of(
	    v, "examplebucket.s3.amazonaws.com", "s3", S3_TIME, headers);

	check_vector(
	    v, &r, "AKIAIOSFODNN7EXAMPLE", S3_SECRET, "20130524/us-east-1/s3");
}
END_TEST

START_TEST(the_steps_are_as_published)
{
	static const char canonical[] =
	    "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\n"
	    "range:bytes=0-9\nx-amz-content-sha256:" EMPTY "\n"
	    "x-amz-date:20130524T000000Z\n\n"
	    "host;range;x-amz-content-sha256;x-amz-date\n" EMPTY;
	static const char to_sign[] =
	    "AWS4-HMAC-SHA256\n20130524T000000Z\n"
	    "20130524/us-east-1/s3/aws4_request\n"
	    "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972";
	struct sigv4_field headers[MOST + 2];
	struct sigv4_request r = request_of(
	    &s3[0], "examplebucket.s3.amazonaws.com", "s3", S3_TIME, headers);
	AUTO(buf_release) struct buf got = {0};
	struct err e = {0};

	OK(sigv4_canonical(&r, &got, &e));
	ck_assert_str_eq((char *)got.data, canonical);
	OK(sigv4_to_sign(&r, &got, &e));
	ck_assert_str_eq((char *)got.data, to_sign);
}
END_TEST

START_TEST(the_query_is_sorted_by_what_is_sent)
{
	/* "a-b" comes before "a=" in a sort of whole parts, wrongly; of equal
	 * names the value decides; '/' is encoded in a query only. */
	static const struct sigv4_field query[] = {{"a-b", "1"}, {"a", "2"},
	    {"a", "10"}, {"B", "x/y z"}, {"", "empty"}};
	const struct sigv4_request r = {
	    .path = "/a/b c", .query = query, .query_count = 5};
	AUTO(buf_release) struct buf got = {0};
	struct err e = {0};

	OK(sigv4_query(&got, &r, &e));
	ck_assert_str_eq((char *)got.data, "=empty&B=x%2Fy%20z&a=10&a=2&a-b=1");
	got.len = 0;
	OK(sigv4_encode(&got, r.path, true, &e));
	ck_assert_str_eq((char *)got.data, "/a/b%20c");
	got.len = 0;
	OK(sigv4_encode(&got, "%+*\x7f\xff", true, &e));
	ck_assert_str_eq((char *)got.data, "%25%2B%2A%7F%FF");
}
END_TEST

START_TEST(every_part_of_a_request_counts)
{
	struct sigv4_field headers[MOST + 2];
	struct sigv4_request r = request_of(
	    &s3[0], "examplebucket.s3.amazonaws.com", "s3", S3_TIME, headers);
	AUTO(buf_release) struct buf whole = {0};
	AUTO(buf_release) struct buf other = {0};
	struct err e = {0};

	OK(sigv4_authorize(&r, "K", "secret", &whole, &e));
	switch (_i) {
	case 0:
		r.method = "HEAD";
		break;
	case 1:
		r.path = "/test.txU";
		break;
	case 2:
		headers[0].value = "other.example";
		break;
	case 3:
		r.payload = "UNSIGNED-PAYLOAD";
		break;
	case 4:
		r.when++;
		break;
	default:
		headers[2].value = "bytes=0-8";
	}
	OK(sigv4_authorize(&r, "K", "secret", &other, &e));
	ck_assert_str_ne((char *)whole.data, (char *)other.data);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sigv4");
	TCase *c = tcase_create("published");

	tcase_add_loop_test(
	    c, a_request_of_the_suite_is_signed_as_published, 0, SUITE);
	tcase_add_loop_test(
	    c, a_request_of_the_s3_manual_is_signed_as_published, 0, S3);
	tcase_add_test(c, the_steps_are_as_published);
	tcase_add_test(c, the_query_is_sorted_by_what_is_sent);
	tcase_add_loop_test(c, every_part_of_a_request_counts, 0, 6);
	suite_add_tcase(s, c);
	return unit_run(s);
}
