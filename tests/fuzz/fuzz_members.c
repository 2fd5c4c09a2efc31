/* SPDX-License-Identifier: Apache-2.0 */
/* A layout text (members.h) and the short form of a layout (layout.h): taken
 * as they come, or put into a good text, which gets past its first lines. */
#include "tests/fuzz/fuzz.h"

#include "fileformat/members.h"

#include <stdlib.h>
#include <string.h>

#define MOST 4096u

static char *
good_text(size_t *len)
{
	struct pairing_volume volume = {
	    .name = "disk", .uuid = {{1}}, .size = 4096, .kind = VOLUME_FILE};
	struct member three[3];
	struct members m = {.site_name = "alpha",
	    .site = {{3}},
	    .group_name = "db",
	    .group = {{4}},
	    .stream = {{5}},
	    .layout = {LAYOUT_RAID1E, 3, 65536},
	    .volume_count = 1,
	    .volumes = &volume,
	    .members = three};
	struct sign_secret key;
	struct err e = {0};
	char *text = NULL;

	memset(key.seed, 1, sizeof(key.seed));
	FUZZ_MUST(sign_derive(&key, NULL) == 0);
	for (uint8_t i = 0; i < 3; i++)
		three[i] = (struct member){.name = {'m', (char)('0' + i)},
		    .stream = {{5}},
		    .mirror = {{(uint8_t)(10 + i)}},
		    .site = {{(uint8_t)(20 + i)}},
		    .key = {{(uint8_t)(30 + i)}},
		    .acks = "sftp://a@host.example:22/aim/in"};
	FUZZ_MUST(members_encode(&m, &key, &text, len, &e) == 0);
	return text;
}

static void
try_text(const char *text, size_t len)
{
	struct members m = {.volume_count = 0};
	struct err e = {0};

	if (members_decode(text, len, &m, &e) == 0) {
		FUZZ_MUST(layout_check(&m.layout, &e) == 0);
		members_release(&m);
		return;
	}
	FUZZ_MUST(e.kind == ERR_CORRUPT || e.kind == ERR_REFUSED);
	FUZZ_MUST(m.volumes == NULL && m.members == NULL);
}

static void
try_layout(const char *text)
{
	static struct layout_spec s, again;
	char out[LAYOUT_TEXT];
	struct err e = {0};

	if (layout_parse(text, &s, &e) < 0) {
		FUZZ_MUST(e.kind == ERR_REFUSED);
		return;
	}
	FUZZ_MUST(layout_parse(layout_text(&s, out), &again, &e) == 0);
	FUZZ_MUST(memcmp(&s.layout, &again.layout, sizeof(s.layout)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *good;
	static size_t good_len;
	static char text[2 * MOST];
	size_t at, gone;

	if (good == NULL)
		good = good_text(&good_len);
	if (size < 4 || size > MOST || good_len > MOST)
		return 0;
	at = (data[0] | (size_t)data[1] << 8) % (good_len + 1);
	gone = data[2] % (good_len - at + 1);
	data += 3;
	size -= 3;
	try_text((const char *)data, size);
	memcpy(text, data, size);
	text[size] = '\0';
	try_layout(text);
	memcpy(text, good, at);
	memcpy(text + at, data, size);
	memcpy(text + at + size, good + at + gone, good_len - at - gone);
	try_text(text, size + good_len - gone);
	return 0;
}
