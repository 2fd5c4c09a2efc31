/* SPDX-License-Identifier: Apache-2.0 */
/* What an S3 server says, and what an operator writes: read within bounds,
 * shown plain, and a URL that passes needs no quoting. */
#include "tests/fuzz/fuzz.h"

#include "coordinator/s3_credentials.h"
#include "coordinator/s3_error.h"
#include "coordinator/s3_url.h"
#include "coordinator/sigv4.h"

#include <stdlib.h>
#include <string.h>

static void
must_be_plain(const char *text)
{
	for (; *text != '\0'; text++)
		FUZZ_MUST(*text >= 0x20 && *text < 0x7f);
}

static void
check_error(const void *data, size_t size)
{
	const struct s3_asked asked = {.url = "u",
	    .bucket = "b",
	    .region = "r",
	    .profile = "p",
	    .file = "f",
	    .name = "n",
	    .when = "w",
	    .put = size % 2 == 0};
	struct s3_said said = {
	    .status = 200 + (long)size % 400, .region = "", .date = ""};
	struct err e = {0};

	s3_error_parse(data, size, &said.error);
	must_be_plain(said.error.code);
	must_be_plain(said.error.message);
	must_be_plain(said.error.region);
	must_be_plain(said.error.server_time);
	FUZZ_MUST(s3_explain(&asked, &said, &e) == -1);
	FUZZ_MUST(
	    e.kind == ERR_RETRY || e.kind == ERR_FULL || e.kind == ERR_REFUSED);
	must_be_plain(e.text);
}

static void
check_credentials(const void *data, size_t size)
{
	struct s3_credentials c = {0};

	if (s3_credentials_parse(data, size, "f", "default", &c, NULL) < 0)
		return;
	FUZZ_MUST(c.access_key[0] != '\0' && c.secret_key[0] != '\0');
	must_be_plain(c.access_key);
	must_be_plain(c.secret_key);
	must_be_plain(c.token);
}

static void
check_url(const char *text)
{
	struct buf encoded = {0};
	struct s3_url u;
	char path[2048];

	if (s3_url_parse(text, &u, NULL) == 0 &&
	    s3_url_path(&u, "N", path, sizeof(path), NULL) == 0) {
		FUZZ_MUST(path[0] == '/' && strstr(path, "/../") == NULL &&
			  strstr(path, "//") == NULL);
		FUZZ_MUST(sigv4_encode(&encoded, path, true, NULL) == 0);
		FUZZ_MUST(strcmp((const char *)encoded.data, path) == 0);
		FUZZ_MUST(strpbrk(u.host, "/@? \t\r\n\"'") == NULL);
	}
	buf_release(&encoded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	check_error(data, size);
	check_credentials(data, size);
	check_url(text);
	free(text);
	return 0;
}
