/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/sums.h"

#include "common/io.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUMS_MAGIC                                                             \
	"\x89"                                                                 \
	"AIM SUMPAGE\r\n\x1a\n"
#define SUMS_DOMAIN "aim sums 1"

/* What an acknowledgement has too lies where it has it. */
enum {
	MAGIC_LEN = 16,
	AT_MAJOR = 16,
	AT_MINOR = 18,
	AT_LEN = 20,
	AT_INCOMPAT = 24,
	AT_COMPAT = 32,
	AT_TIME = 40,
	AT_GRAIN = 48,
	AT_TOTAL = 52,
	AT_FIRST = 56,
	AT_COUNT = 60,
	AT_RESERVED_1 = 64, /* 24 bytes */
	AT_STREAM = 88,
	AT_GROUP = 104,
	AT_MIRROR = 120,
	AT_MIRROR_SITE = 136,
	AT_SOURCE_SITE = 152,
	AT_AT = 168,
	AT_BEGIN = 240,
	AT_COPYIN = 312,
	AT_RESERVED_2 = 328, /* 56 bytes */
	AT_REASON = 384,
	AT_KEY_ID = 544,
	AT_RESERVED_3 = 560, /* 8 bytes */
	AT_SIGNATURE = 568,
	AT_SUM = 632,

	REASON_LEN = 160,
};

_Static_assert(AT_SUM + 8 == SUMS_HEAD, "head");
_Static_assert(SUMS_PAGES *SUMS_IN_PAGE == RUNS_SUM_LIMIT, "limit");

#define BAD(at, ...) verdict_say(why, VERDICT_CORRUPT, at, __VA_ARGS__)
#define NEW(at, ...) verdict_say(why, VERDICT_UNKNOWN, at, __VA_ARGS__)

const char *
sums_name(const struct uuid *mirror, uint32_t page, char out[SUMS_NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(out, SUMS_NAME_LEN, "%s.%04x.sums",
	    uuid_text(mirror, text), (unsigned)(page & 0xffff));
	return out;
}

static uint64_t
page_sum(const uint8_t *bytes, size_t len)
{
	return sum_with_hole(bytes, len, AT_SUM, sizeof(uint64_t));
}

static void
put_fields(const struct sums *s, uint8_t *b)
{
	memcpy(b, SUMS_MAGIC, MAGIC_LEN);
	le_put16(b + AT_MAJOR, 1);
	le_put64(b + AT_TIME, s->time_ns);
	le_put32(b + AT_GRAIN, s->grain_bits);
	le_put32(b + AT_TOTAL, s->total);
	le_put32(b + AT_FIRST, s->first);
	le_put32(b + AT_COUNT, s->count);
	memcpy(b + AT_STREAM, s->stream.b, 16);
	memcpy(b + AT_GROUP, s->group.b, 16);
	memcpy(b + AT_MIRROR, s->mirror.b, 16);
	memcpy(b + AT_MIRROR_SITE, s->mirror_site.b, 16);
	memcpy(b + AT_SOURCE_SITE, s->source_site.b, 16);
	position_put(&s->at, b + AT_AT);
	position_put(&s->begin, b + AT_BEGIN);
	memcpy(b + AT_COPYIN, s->copyin.b, 16);
	memcpy(b + AT_REASON, s->reason, strnlen(s->reason, REASON_LEN - 1));
}

int
sums_encode(const struct sums *s, const uint8_t *sums,
    const struct sign_secret *key, uint8_t out[SUMS_LIMIT], size_t *len,
    struct err *e)
{
	size_t n = SUMS_HEAD + (size_t)s->count * SUMS_LEN;
	struct why why = {0};
	struct sums check;

	if (s->count > SUMS_IN_PAGE)
		return err_set(e, ERR_REFUSED, "a page has at most %d sums",
		    (int)SUMS_IN_PAGE);
	memset(out, 0, SUMS_HEAD);
	put_fields(s, out);
	le_put32(out + AT_LEN, (uint32_t)n);
	if (s->count > 0)
		memcpy(out + SUMS_HEAD, sums, n - SUMS_HEAD);
	if (sign_key_id(&key->pub, out + AT_KEY_ID, e) < 0 ||
	    sign_bytes(key, SUMS_DOMAIN, out, n, out + AT_SIGNATURE, e) < 0)
		return -1;
	le_put64(out + AT_SUM, page_sum(out, n));
	if (sums_decode(out, n, &check, &why) != VERDICT_WHOLE)
		return err_set(
		    e, ERR_REFUSED, "this makes no page of sums: %s", why.text);
	*len = n;
	return 0;
}

int
sums_check(const uint8_t *bytes, size_t len, const struct sign_public *key,
    bool *valid, struct err *e)
{
	uint8_t blank[SUMS_LIMIT], id[KEY_ID_LEN];

	if (len < SUMS_HEAD || len > SUMS_LIMIT)
		return err_set(
		    e, ERR_CORRUPT, "%zu bytes are no page of sums", len);
	if (sign_key_id(key, id, e) < 0)
		return -1;
	if (memcmp(id, bytes + AT_KEY_ID, KEY_ID_LEN) != 0) {
		*valid = false;
		return 0;
	}
	memcpy(blank, bytes, len);
	memset(blank + AT_SIGNATURE, 0, SUMS_HEAD - AT_SIGNATURE);
	return sign_check(
	    key, SUMS_DOMAIN, blank, len, bytes + AT_SIGNATURE, valid, e);
}

/* Which bytes there are, and whether they are as they were written. */
static enum verdict
check_frame(const uint8_t *b, size_t len, struct why *why)
{
	size_t magic = len < MAGIC_LEN ? len : MAGIC_LEN;
	uint32_t n;

	if (memcmp(b, SUMS_MAGIC, magic) != 0)
		return BAD(0, "is no page of sums: no magic");
	if (len < SUMS_HEAD)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "a page of sums has at least %d bytes, there are %zu",
		    SUMS_HEAD, len);
	if (le_get16(b + AT_MAJOR) != 1)
		return NEW(AT_MAJOR,
		    "format version %d is not known to this program; it reads "
		    "version 1",
		    le_get16(b + AT_MAJOR));
	n = le_get32(b + AT_LEN);
	if (n < SUMS_HEAD || n > SUMS_LIMIT)
		return BAD(AT_LEN, "length %" PRIu32 " is not %d..%d", n,
		    SUMS_HEAD, SUMS_LIMIT);
	if (len < n)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "has %zu of %" PRIu32 " bytes", len, n);
	if (len > n)
		return BAD(n, "goes on after its end");
	if (le_get64(b + AT_SUM) != page_sum(b, len))
		return BAD(AT_SUM, "checksum does not match");
	if (le_get64(b + AT_INCOMPAT) != 0)
		return NEW(AT_INCOMPAT,
		    "needs features 0x%" PRIx64
		    " that this version does not know",
		    le_get64(b + AT_INCOMPAT));
	if (le_get16(b + AT_MINOR) == 0 &&
	    (!io_is_zero(b + AT_RESERVED_1, 24) ||
		!io_is_zero(b + AT_RESERVED_2, 56) ||
		!io_is_zero(b + AT_RESERVED_3, 8)))
		return BAD(AT_RESERVED_1, "reserved bytes are not zero");
	return VERDICT_WHOLE;
}

static enum verdict
get_reason(const uint8_t *b, struct sums *s, struct why *why)
{
	size_t i, n;

	memcpy(s->reason, b + AT_REASON, REASON_LEN);
	n = strnlen(s->reason, REASON_LEN);
	for (i = 0; i < n; i++)
		if (s->reason[i] < 0x20 || s->reason[i] > 0x7e)
			break;
	if (i < n || n == REASON_LEN ||
	    !io_is_zero(s->reason + n, REASON_LEN - n))
		return BAD(AT_REASON + i, "the reason is not plain text");
	return VERDICT_WHOLE;
}

/* A page is full unless it is the last one. */
static enum verdict
get_range(const uint8_t *b, size_t len, struct sums *s, struct why *why)
{
	uint32_t left;

	s->grain_bits = le_get32(b + AT_GRAIN);
	s->total = le_get32(b + AT_TOTAL);
	s->first = le_get32(b + AT_FIRST);
	s->count = le_get32(b + AT_COUNT);
	if (s->grain_bits < RUNS_GRAIN_LEAST || s->grain_bits > RUNS_GRAIN_MOST)
		return BAD(
		    AT_GRAIN, "grains of 2^%" PRIu32 " bytes", s->grain_bits);
	if (s->total > RUNS_SUM_LIMIT)
		return BAD(AT_TOTAL, "%" PRIu32 " sums are too many", s->total);
	if (s->first % SUMS_IN_PAGE != 0 || s->first > s->total ||
	    (s->total > 0 && s->first == s->total))
		return BAD(AT_FIRST,
		    "no page begins with sum %" PRIu32 " of "
		    "%" PRIu32,
		    s->first, s->total);
	left = s->total - s->first;
	if (s->count != (left < SUMS_IN_PAGE ? left : SUMS_IN_PAGE) ||
	    len != SUMS_HEAD + (size_t)s->count * SUMS_LEN)
		return BAD(AT_COUNT, "%" PRIu32 " sums do not fit %zu bytes",
		    s->count, len);
	return VERDICT_WHOLE;
}

static enum verdict
get_places(const uint8_t *b, struct sums *s, struct why *why)
{
	if (position_get(b, AT_AT, &s->at, why) != VERDICT_WHOLE ||
	    position_get(b, AT_BEGIN, &s->begin, why) != VERDICT_WHOLE)
		return VERDICT_CORRUPT;
	if (position_is_nil(&s->at) || position_is_nil(&s->begin) ||
	    position_compare(&s->at, &s->begin) >= 0)
		return BAD(AT_AT, "the image is not of before the copy-in");
	memcpy(s->copyin.b, b + AT_COPYIN, 16);
	memcpy(s->stream.b, b + AT_STREAM, 16);
	memcpy(s->group.b, b + AT_GROUP, 16);
	memcpy(s->mirror.b, b + AT_MIRROR, 16);
	memcpy(s->mirror_site.b, b + AT_MIRROR_SITE, 16);
	memcpy(s->source_site.b, b + AT_SOURCE_SITE, 16);
	if (uuid_is_nil(&s->stream) || uuid_is_nil(&s->group) ||
	    uuid_is_nil(&s->mirror) || uuid_is_nil(&s->mirror_site) ||
	    uuid_is_nil(&s->source_site) || uuid_is_nil(&s->copyin))
		return BAD(AT_STREAM,
		    "stream, group, mirror, a site or the copy-in is nil");
	return VERDICT_WHOLE;
}

enum verdict
sums_decode(const uint8_t *bytes, size_t len, struct sums *out, struct why *why)
{
	struct sums s = {.total = 0};
	enum verdict v = check_frame(bytes, len, why);

	if (v == VERDICT_WHOLE)
		v = get_range(bytes, len, &s, why);
	if (v == VERDICT_WHOLE)
		v = get_reason(bytes, &s, why);
	if (v == VERDICT_WHOLE)
		v = get_places(bytes, &s, why);
	if (v != VERDICT_WHOLE)
		return v;
	s.time_ns = le_get64(bytes + AT_TIME);
	memcpy(s.key_id, bytes + AT_KEY_ID, KEY_ID_LEN);
	*out = s;
	return VERDICT_WHOLE;
}
