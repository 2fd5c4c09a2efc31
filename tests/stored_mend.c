/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/stored_mend.h"

#include "aimdriver/digest.h"
#include "fileformat/codec.h"
#include "fileformat/le.h"
#include "fileformat/sign.h"

#include <stdlib.h>

#define AT_HEADER_LEN 20
#define AT_DATA 72
#define AT_STORED_DIGEST 328

static void
need(int rc)
{
	if (rc < 0)
		abort();
}

void
stored_mend(uint8_t *bytes, size_t len)
{
	size_t begin = le_get32(bytes + AT_HEADER_LEN), at = len;
	uint8_t part[3][DIGEST_LEN];
	struct digest heads = {0}, bodies = {0};

	if (begin > len || len < JOURNAL_HEADER_FIXED)
		return;
	if (le_get64(bytes + AT_DATA) < len)
		at = (size_t)le_get64(bytes + AT_DATA);
	if (at < begin)
		at = begin;
	need(digest_bytes(bytes + begin, at - begin, part[0], NULL));
	need(digest_begin(&heads, NULL));
	need(digest_begin(&bodies, NULL));
	while (len - at > CHUNK_HEADER_LEN) {
		size_t stored = le_get32(bytes + at);

		if (stored > len - at - CHUNK_HEADER_LEN)
			break;
		need(digest_add(&heads, bytes + at, CHUNK_HEADER_LEN, NULL));
		at += CHUNK_HEADER_LEN;
		need(digest_add(&bodies, bytes + at, stored, NULL));
		at += stored;
	}
	need(digest_end(&heads, part[1], NULL));
	need(digest_end(&bodies, part[2], NULL));
	digest_release(&heads);
	digest_release(&bodies);
	need(digest_stored(
	    part[0], part[1], part[2], bytes + AT_STORED_DIGEST, NULL));
}
