/* SPDX-License-Identifier: Apache-2.0 */
/* A pairing text: the parser, and what it makes of a text that is signed. And
 * key files, the other text that people carry. */
#include "tests/fuzz/fuzz.h"

#include "fileformat/crypt.h"
#include "fileformat/pairing.h"

#include <stdlib.h>
#include <string.h>

static void
try_key_file(const char *text, size_t len)
{
	char again[KEYFILE_LEN];
	struct group_key k, back;
	struct uuid group;
	struct err e = {0};

	if (keyfile_decode(text, len, &group, &k, &e) < 0) {
		FUZZ_MUST(e.kind == ERR_CORRUPT || e.kind == ERR_REFUSED);
		return;
	}
	keyfile_encode(&group, &k, again);
	FUZZ_MUST(keyfile_decode(again, strlen(again), &group, &back, &e) == 0);
	FUZZ_MUST(memcmp(&k, &back, sizeof(k)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pairing p = {0};
	struct err e = {0};
	struct sign_secret k;
	char *text = NULL;
	size_t len;

	try_key_file((const char *)data, size);
	if (pairing_decode((const char *)data, size, &p, &e) < 0) {
		FUZZ_MUST(e.text[0] != '\0');
		FUZZ_MUST(e.kind == ERR_CORRUPT || e.kind == ERR_REFUSED);
		FUZZ_MUST(p.volumes == NULL);
		return 0;
	}
	FUZZ_MUST(
	    p.volume_count >= 1 && p.volume_count <= JOURNAL_VOLUME_LIMIT);
	memset(k.seed, 0x42, sizeof(k.seed));
	if (sign_derive(&k, NULL) < 0)
		abort();
	FUZZ_MUST(pairing_encode(&p, &k, &text, &len, &e) == 0);
	pairing_release(&p);
	FUZZ_MUST(pairing_decode(text, len, &p, &e) == 0);
	pairing_release(&p);
	free(text);
	return 0;
}
