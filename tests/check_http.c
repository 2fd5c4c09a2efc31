/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP refuses unconnected: addresses, headers, secrets, settings. */
#include "coordinator/destination_option.h"
#include "coordinator/http.h"
#include "coordinator/http_url.h"
#include "coordinator/transport.h"
#include "common/io.h"
#include "tests/unit.h"

#include <stdio.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)
#define PIN "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static struct unit_dir dir;
static struct http_setup setup;
static struct http_request request;

static void
make(void)
{
	unit_dir_make(&dir);
	memset(&setup, 0, sizeof(setup));
	memset(&request, 0, sizeof(request));
	setup.tls = true;
	setup.port = 443;
	(void)strcpy(setup.host, "h");
	(void)strcpy(setup.url, "https://h/d");
}

static void
drop(void)
{
	unit_dir_drop(&dir);
}

static void
write_file(const char *name, const char *text, mode_t mode, char path[PATH_MAX])
{
	struct err e = {0};

	OK(io_write_file(dir.fd, name, text, strlen(text), mode, &e));
	(void)snprintf(path, PATH_MAX, "%s/%s", dir.path, name);
}

static const struct {
	const char *text, *host, *dir;
	uint16_t port;
} urls[] = {
    {"https://h/d", "h", "/d", 443},
    {"https://h.example:8443/a/b/", "h.example", "/a/b", 8443},
    {"https://[::1]:9/in", "::1", "/in", 9},
    {"https://h", "h", "", 443},
    {"https://h/", "h", "", 443},
    {"http://127.0.0.1:80/x", "127.0.0.1", "/x", 80},
    {"https://u:secret@h/d", NULL, NULL, 0},
    {"https:///d", NULL, NULL, 0},
    {"https://h:0/d", NULL, NULL, 0},
    {"https://h:70000/d", NULL, NULL, 0},
    {"https://h/a b", NULL, NULL, 0},
    {"https://h/a%20b", NULL, NULL, 0},
    {"https://h/a?b", NULL, NULL, 0},
    {"https://h/a#b", NULL, NULL, 0},
    {"https://h/a/../b", NULL, NULL, 0},
    {"https://h/a/./b", NULL, NULL, 0},
    {"https://h/a/.", NULL, NULL, 0},
    {"https://h/a//b", NULL, NULL, 0},
    {"https://h\r\nX: y/d", NULL, NULL, 0},
    {"https://-h/d", NULL, NULL, 0},
    {"ftp://h/d", NULL, NULL, 0},
};

START_TEST(an_address_is_taken_apart_or_refused)
{
	struct http_url u;
	struct err e = {0};
	int done = http_url_parse(urls[_i].text, &u, &e);

	if (urls[_i].host == NULL) {
		ck_assert_int_eq(done, -1);
		ck_assert_int_eq(e.kind, ERR_REFUSED);
		return;
	}
	ck_assert_msg(done == 0, "%s", e.text);
	ck_assert_str_eq(u.host, urls[_i].host);
	ck_assert_str_eq(u.dir, urls[_i].dir);
	ck_assert_uint_eq(u.port, urls[_i].port);
}
END_TEST

START_TEST(plain_http_is_for_this_machine_only)
{
	static const char *const here[] = {
	    "127.0.0.1", "127.8.9.1", "::1", "localhost"};
	static const char *const far[] = {"10.0.0.1", "127.evil.example",
	    "localhost.evil", "::2", "128.0.0.1"};
	struct err e = {0};
	size_t i;

	setup.tls = false;
	for (i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
		(void)strcpy(setup.host, here[i]);
		OK(http_check(&setup, &e));
	}
	for (i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		(void)strcpy(setup.host, far[i]);
		ck_assert_int_eq(http_check(&setup, &e), -1);
		ck_assert_int_eq(e.kind, ERR_REFUSED);
	}
	(void)strcpy(setup.host, "127.0.0.1");
	(void)strcpy(setup.pin, PIN);
	ck_assert_int_eq(http_check(&setup, &e), -1);
}
END_TEST

START_TEST(headers_are_lines_without_surprises)
{
	struct http_request *r = &request;
	struct err e = {0};
	char value[40], small[4];
	int i;

	OK(http_header_add(r, &e, "Overwrite", "F"));
	OK(http_header_add(r, &e, "X-Number", "%d", 7));
	ck_assert_str_eq(r->headers, "Overwrite: F\nX-Number: 7\n");
	ck_assert_int_eq(http_header_add(r, &e, "A", "b\r\nEvil: 1"), -1);
	ck_assert_int_eq(http_header_add(r, &e, "A b", "c"), -1);
	ck_assert_int_eq(http_header_add(r, &e, "", "c"), -1);
	ck_assert_str_eq(r->headers, "Overwrite: F\nX-Number: 7\n");
	ck_assert(http_header(r->headers, "x-number", value, sizeof(value)));
	ck_assert_str_eq(value, "7");
	ck_assert(!http_header(r->headers, "Number", value, sizeof(value)));
	ck_assert_str_eq(value, "");
	ck_assert(http_header("a:1\nA:  two", "a", value, sizeof(value)));
	ck_assert_str_eq(value, "two");
	ck_assert(!http_header("a: long value", "a", small, sizeof(small)));
	for (i = 0; i < 10000; i++)
		if (http_header_add(r, &e, "Fill", "%0100d", i) < 0)
			break;
	ck_assert_int_lt(i, 100);
	ck_assert_uint_lt(strlen(r->headers), sizeof(r->headers));
	ck_assert_int_eq(r->headers[strlen(r->headers) - 1], '\n');
}
END_TEST

static const struct {
	const char *text, *header; /* NULL: refused */
} secrets[] = {
    {"user:pass word", "Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\n"},
    {"user:pass word\n", "Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\n"},
    {"bearer abc.DEF-1\n", "Authorization: Bearer abc.DEF-1\n"},
    {"Bearer abc\r\n", "Authorization: Bearer abc\n"},
    {"", NULL},
    {"\n", NULL},
    {"user", NULL},
    {"bearer ", NULL},
    {"bearer a b", NULL},
    {"user:a\nuser:b\n", NULL},
    {"user:a\tb", NULL},
};

START_TEST(credentials_are_one_line)
{
	struct err e = {0};
	int done;

	write_file("c", secrets[_i].text, 0600, setup.credentials_file);
	ck_assert_int_eq(
	    http_check(&setup, &e), secrets[_i].header == NULL ? -1 : 0);
	done = http_credentials(&setup, &request, &e);
	if (secrets[_i].header == NULL) {
		ck_assert_int_eq(done, -1);
		ck_assert_int_eq(e.kind, ERR_REFUSED);
		return;
	}
	ck_assert_msg(done == 0, "%s", e.text);
	ck_assert_str_eq(request.headers, secrets[_i].header);
}
END_TEST

START_TEST(secrets_that_others_may_read_are_refused)
{
	char path[PATH_MAX];
	struct err e = {0};

	write_file("c", "user:pass", 0640, setup.credentials_file);
	ck_assert_int_eq(http_check(&setup, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "0600"));
	ck_assert_int_eq(chmod(setup.credentials_file, 0600), 0);
	OK(http_check(&setup, &e));
	ck_assert_int_eq(unlink(setup.credentials_file), 0);
	ck_assert_int_eq(http_check(&setup, &e), -1);
	setup.credentials_file[0] = '\0';
	write_file("k", "no key", 0600, setup.key_file);
	ck_assert_int_eq(http_check(&setup, &e), -1);
	setup.key_file[0] = '\0';
	write_file("ca", "no certificate", 0644, setup.ca_file);
	ck_assert_int_eq(http_check(&setup, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "CERTIFICATE"));
	write_file("w", "", 0666, path);
	(void)strcpy(setup.ca_file, path);
	ck_assert_int_eq(http_check(&setup, &e), -1);
}
END_TEST

static const struct {
	const char *pin, *proxy;
	bool good;
} settings[] = {
    {PIN, "", true},
    {PIN ";" PIN, "", true},
    {"", "http://proxy.example:3128", true},
    {PIN ";", "", false},
    {PIN "x", "", false},
    {"sha256//short=", "", false},
    {"/etc/passwd", "", false},
    {"", "http://proxy.example", false},
    {"", "socks5://p:1", false},
    {"", "http://u:p@p:1", false},
};

START_TEST(pins_and_proxies_are_checked)
{
	struct err e = {0};

	(void)strcpy(setup.pin, settings[_i].pin);
	(void)strcpy(setup.proxy, settings[_i].proxy);
	ck_assert_int_eq(http_check(&setup, &e), settings[_i].good ? 0 : -1);
}
END_TEST

static const struct {
	int status;
	enum err_kind kind;
	const char *says;
} statuses[] = {
    {301, ERR_REFUSED, "elsewhere"},
    {401, ERR_REFUSED, "--credentials"},
    {403, ERR_REFUSED, "may not"},
    {404, ERR_RETRY, "mirror add"},
    {409, ERR_RETRY, "mirror add"},
    {413, ERR_REFUSED, "client_max_body_size"},
    {418, ERR_REFUSED, "418"},
    {423, ERR_RETRY, "locked"},
    {429, ERR_RETRY, "pause"},
    {500, ERR_RETRY, "full disk"},
    {503, ERR_RETRY, "busy"},
    {507, ERR_FULL, "full"},
    {599, ERR_RETRY, "599"},
};

START_TEST(a_status_says_what_to_do)
{
	static struct http_answer a;
	struct err e = {0};

	a.status = statuses[_i].status;
	(void)strcpy(a.headers, "Location: http://else\x1b[2J/\n");
	ck_assert_int_eq(http_explain(&setup, &a, "write", &e), -1);
	ck_assert_int_eq(e.kind, statuses[_i].kind);
	ck_assert_msg(strstr(e.text, statuses[_i].says) != NULL, "%s", e.text);
	ck_assert_ptr_null(strchr(e.text, '\x1b'));
}
END_TEST

START_TEST(an_https_destination_is_checked_unconnected)
{
	static struct destination_config d;
	struct transport *t = NULL;
	struct err e = {0};

	(void)strcpy(d.url, "https://h/d");
	OK(transport_check(&d, &e));
	OK(transport_open(&d, false, &t, &e));
	transport_close(t);
	(void)strcpy(d.known_hosts, "/x");
	ck_assert_int_eq(transport_check(&d, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "--ca"));
	d.known_hosts[0] = '\0';
	(void)strcpy(d.url, "http://far/d");
	ck_assert_int_eq(transport_check(&d, &e), -1);
	ck_assert_int_eq(e.kind, ERR_REFUSED);
}
END_TEST

START_TEST(nobody_listening_is_said_in_time)
{
	const struct http_answer *a = NULL;
	struct http *h = NULL;
	struct err e = {0};
	uint32_t tickets[HTTP_IN_FLIGHT], i, seen = 0;

	setup.tls = false;
	setup.port = 1; /* nobody has it */
	(void)strcpy(setup.host, "127.0.0.1");
	OK(http_open(&setup, &h, &e));
	request.method = HTTP_GET;
	(void)strcpy(request.path, "/x");
	for (i = 0; i < HTTP_IN_FLIGHT; i++) {
		ck_assert(http_has_room(h));
		OK(http_begin(h, &request, -1, &tickets[i], &e));
	}
	ck_assert(!http_has_room(h));
	while ((a = http_next(h, true)) != NULL) {
		ck_assert_int_eq(a->status, 0);
		ck_assert_int_eq(a->kind, ERR_RETRY);
		ck_assert_ptr_nonnull(strstr(a->text, "nobody answers"));
		for (i = 0; i < HTTP_IN_FLIGHT; i++)
			seen += tickets[i] == a->ticket ? 1 : 0;
	}
	ck_assert_uint_eq(seen, HTTP_IN_FLIGHT);
	ck_assert_uint_eq(http_in_flight(h), 0);
	OK(http_ask(h, &request, -1, &a, &e));
	ck_assert_int_eq(a->status, 0);
	http_close(h);
}
END_TEST

/* In the other process, where nothing can be asserted. */
static int
sign(const struct http_setup *s, struct http_request *r, int fd, struct err *e)
{
	if (fd != -1 || strcmp(s->sign_context, "refuse") == 0)
		return err_set(e, ERR_REFUSED, "no key for %s", r->path);
	return http_header_add(
	    r, e, "X-Signed", "by %s", (const char *)s->sign_context);
}

/* At 16 kB/s, which all that are sent at the same time share. */
START_TEST(a_slow_way_may_be_shared)
{
	request.len = UINT64_C(4) << 20;
	ck_assert_uint_gt(http_limit_ms(&request),
	    HTTP_IN_FLIGHT * request.len / 16000 * 1000);
	request.len = 0;
	request.max_file = UINT64_C(1) << 30;
	ck_assert_uint_lt(http_limit_ms(&request), UINT32_C(24) * 3600 * 1000);
}
END_TEST

START_TEST(who_cannot_sign_sends_nothing)
{
	const struct http_answer *a = NULL;
	struct http *h = NULL;
	struct err e = {0};

	setup.tls = false;
	setup.port = 1;
	setup.sign = sign;
	setup.sign_context = "refuse";
	(void)strcpy(setup.host, "127.0.0.1");
	OK(http_open(&setup, &h, &e));
	request.method = HTTP_GET;
	(void)strcpy(request.path, "/x");
	OK(http_ask(h, &request, -1, &a, &e));
	ck_assert_int_eq(a->status, 0);
	ck_assert_int_eq(a->kind, ERR_REFUSED);
	ck_assert_str_eq(a->text, "no key for /x");
	http_close(h);
}
END_TEST

START_TEST(every_option_has_a_place_of_its_own)
{
	static struct destination_config d;
	size_t i;

	for (i = 0; i < destination_option_count; i++) {
		const struct destination_option *o = &destination_options[i];

		ck_assert_ptr_eq(destination_option_find(o->name), o);
		ck_assert_str_eq(destination_option_text(&d, o), "");
		(void)snprintf(
		    destination_option_text(&d, o), o->room, "%s", o->name);
	}
	for (i = 0; i < destination_option_count; i++)
		ck_assert_str_eq(
		    destination_option_text(&d, &destination_options[i]),
		    destination_options[i].name);
	ck_assert_ptr_null(destination_option_find("none"));
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int
main(void)
{
	Suite *s = suite_create("http");
	TCase *c = tcase_create("unconnected");

	tcase_add_checked_fixture(c, make, drop);
	tcase_set_timeout(c, 30);
	tcase_add_loop_test(
	    c, an_address_is_taken_apart_or_refused, 0, COUNT(urls));
	tcase_add_test(c, plain_http_is_for_this_machine_only);
	tcase_add_test(c, headers_are_lines_without_surprises);
	tcase_add_loop_test(c, credentials_are_one_line, 0, COUNT(secrets));
	tcase_add_test(c, secrets_that_others_may_read_are_refused);
	tcase_add_loop_test(
	    c, pins_and_proxies_are_checked, 0, COUNT(settings));
	tcase_add_loop_test(c, a_status_says_what_to_do, 0, COUNT(statuses));
	tcase_add_test(c, an_https_destination_is_checked_unconnected);
	tcase_add_test(c, nobody_listening_is_said_in_time);
	tcase_add_test(c, a_slow_way_may_be_shared);
	tcase_add_test(c, who_cannot_sign_sends_nothing);
	tcase_add_test(c, every_option_has_a_place_of_its_own);
	suite_add_tcase(s, c);
	return unit_run(s);
}
