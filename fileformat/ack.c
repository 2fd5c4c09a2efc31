/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/ack.h"

#include "common/io.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <inttypes.h>
#include <string.h>

#define ACK_MAGIC                                                              \
	"\x89"                                                                 \
	"AIM ACKNOTE\r\n\x1a\n"
#define ACK_DOMAIN "aim acknowledgement 1"
#define COMPAT_AT_REST UINT64_C(1)

/* Signature and checksum lie where a journal header has them. */
enum {
	MAGIC_LEN = 16,
	AT_MAJOR = 16,
	AT_MINOR = 18,
	AT_LEN = 20,
	AT_INCOMPAT = 24,
	AT_COMPAT = 32,
	AT_COUNTER = 40,
	AT_STATE = 48,
	AT_CONSISTENT = 52,
	AT_TIME = 56,
	AT_APPLIED_TIME = 64,
	AT_FREE = 72,
	AT_DONE_COUNT = 80,
	AT_RESERVED_1 = 84, /* 4 bytes */
	AT_STREAM = 88,
	AT_GROUP = 104,
	AT_MIRROR = 120,
	AT_MIRROR_SITE = 136,
	AT_SOURCE_SITE = 152,
	AT_STORED = 168,
	AT_APPLIED = 240,
	AT_DURABLE = 312,
	AT_REASON = 384,
	AT_KEY_ID = 544,
	AT_RESERVED_2 = 560, /* 8 bytes */
	AT_SIGNATURE = 568,
	AT_SUM = 632,
	ACK_FIXED = 640,

	REASON_LEN = 160,
	DONE_LEN = 16,
};

_Static_assert(ACK_FIXED + ACK_DONE_LIMIT * DONE_LEN <= ACK_LIMIT, "limit");

#define BAD(at, ...) verdict_say(why, VERDICT_CORRUPT, at, __VA_ARGS__)
#define NEW(at, ...) verdict_say(why, VERDICT_UNKNOWN, at, __VA_ARGS__)

static const char *const states[] = {
    [ACK_EMPTY] = "empty",
    [ACK_INCONSISTENT] = "inconsistent",
    [ACK_STREAMING] = "streaming",
    [ACK_PAUSED] = "paused",
    [ACK_SUSPECT] = "suspect",
    [ACK_STALLED] = "stalled",
    [ACK_STAGING] = "staging",
};

const char *
ack_state_name(uint32_t state)
{
	if (state >= sizeof(states) / sizeof(states[0]) ||
	    states[state] == NULL)
		return "?";
	return states[state];
}

const char *
ack_name(const struct uuid *mirror, char out[ACK_NAME_LEN])
{
	(void)uuid_text(mirror, out);
	memcpy(out + UUID_TEXT - 1, ".ack", 5);
	return out;
}

int
position_compare(const struct position *a, const struct position *b)
{
	if (a->epoch_number != b->epoch_number)
		return a->epoch_number < b->epoch_number ? -1 : 1;
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	return 0;
}

bool
position_equal(const struct position *a, const struct position *b)
{
	return uuid_equal(&a->epoch, &b->epoch) &&
	       position_compare(a, b) == 0 && a->last == b->last &&
	       memcmp(a->digest, b->digest, DIGEST_LEN) == 0;
}

bool
position_is_nil(const struct position *p)
{
	return p->epoch_number == 0 && p->sequence == 0 && p->last == 0 &&
	       uuid_is_nil(&p->epoch) && io_is_zero(p->digest, DIGEST_LEN);
}

void
position_put(const struct position *p, uint8_t to[POSITION_LEN])
{
	memcpy(to, p->epoch.b, 16);
	le_put32(to + 16, p->epoch_number);
	le_put32(to + 20, 0);
	le_put64(to + 24, p->sequence);
	le_put64(to + 32, p->last);
	memcpy(to + 40, p->digest, DIGEST_LEN);
}

static void
put_fields(const struct ack *a, uint8_t *b)
{
	uint32_t i;

	memcpy(b, ACK_MAGIC, MAGIC_LEN);
	le_put16(b + AT_MAJOR, 1);
	le_put64(b + AT_COMPAT, a->at_rest ? COMPAT_AT_REST : 0);
	le_put64(b + AT_COUNTER, a->counter);
	le_put32(b + AT_STATE, (uint32_t)a->state);
	le_put32(b + AT_CONSISTENT, a->consistent);
	le_put64(b + AT_TIME, a->time_ns);
	le_put64(b + AT_APPLIED_TIME, a->applied_time_ns);
	le_put64(b + AT_FREE, a->free_bytes);
	le_put32(b + AT_DONE_COUNT, a->done_count);
	memcpy(b + AT_STREAM, a->stream.b, 16);
	memcpy(b + AT_GROUP, a->group.b, 16);
	memcpy(b + AT_MIRROR, a->mirror.b, 16);
	memcpy(b + AT_MIRROR_SITE, a->mirror_site.b, 16);
	memcpy(b + AT_SOURCE_SITE, a->source_site.b, 16);
	position_put(&a->stored, b + AT_STORED);
	position_put(&a->applied, b + AT_APPLIED);
	position_put(&a->durable, b + AT_DURABLE);
	memcpy(b + AT_REASON, a->reason, strnlen(a->reason, REASON_LEN - 1));
	for (i = 0; i < a->done_count; i++)
		memcpy(b + ACK_FIXED + (size_t)i * DONE_LEN, a->done[i].b, 16);
}

static uint64_t
ack_sum(const uint8_t *bytes, size_t len)
{
	return sum_with_hole(bytes, len, AT_SUM, sizeof(uint64_t));
}

int
ack_encode(const struct ack *a, const struct sign_secret *key,
    uint8_t out[ACK_LIMIT], size_t *len, struct err *e)
{
	uint8_t b[ACK_LIMIT] = {0};
	struct ack check;
	struct why why = {0};
	size_t n;

	if (a->done_count > ACK_DONE_LIMIT)
		return err_set(e, ERR_REFUSED,
		    "an acknowledgement returns at most %d messages",
		    ACK_DONE_LIMIT);
	n = ACK_FIXED + (size_t)a->done_count * DONE_LEN;
	put_fields(a, b);
	le_put32(b + AT_LEN, (uint32_t)n);
	if (sign_key_id(&key->pub, b + AT_KEY_ID, e) < 0 ||
	    sign_bytes(key, ACK_DOMAIN, b, n, b + AT_SIGNATURE, e) < 0)
		return -1;
	le_put64(b + AT_SUM, ack_sum(b, n));
	if (ack_decode(b, n, &check, &why) != VERDICT_WHOLE)
		return err_set(e, ERR_REFUSED,
		    "this makes no acknowledgement: %s", why.text);
	memcpy(out, b, n);
	*len = n;
	return 0;
}

int
ack_check(const uint8_t *bytes, size_t len, const struct sign_public *key,
    bool *valid, struct err *e)
{
	uint8_t blank[ACK_LIMIT], id[KEY_ID_LEN];

	if (len < ACK_FIXED || len > ACK_LIMIT)
		return err_set(e, ERR_CORRUPT,
		    "%zu bytes are not an acknowledgement", len);
	if (sign_key_id(key, id, e) < 0)
		return -1;
	if (memcmp(id, bytes + AT_KEY_ID, KEY_ID_LEN) != 0) {
		*valid = false;
		return 0;
	}
	memcpy(blank, bytes, len);
	memset(blank + AT_SIGNATURE, 0, ACK_FIXED - AT_SIGNATURE);
	return sign_check(
	    key, ACK_DOMAIN, blank, len, bytes + AT_SIGNATURE, valid, e);
}

/* Epoch 0, number 16, zero 20, sequence 24, last 32, digest 40. */
enum verdict
position_get(const uint8_t *b, size_t at, struct position *p, struct why *why)
{
	const uint8_t *from = b + at;

	memcpy(p->epoch.b, from, 16);
	p->epoch_number = le_get32(from + 16);
	p->sequence = le_get64(from + 24);
	p->last = le_get64(from + 32);
	memcpy(p->digest, from + 40, DIGEST_LEN);
	if (le_get32(from + 20) != 0)
		return BAD(at + 20, "reserved bytes are not zero");
	if (position_is_nil(p))
		return VERDICT_WHOLE;
	if (p->epoch_number == 0 || p->sequence == 0 || p->last == 0 ||
	    uuid_is_nil(&p->epoch) || io_is_zero(p->digest, DIGEST_LEN))
		return BAD(at, "a position is half empty");
	return VERDICT_WHOLE;
}

static enum verdict
get_positions(const uint8_t *b, struct ack *a, struct why *why)
{
	if (position_get(b, AT_STORED, &a->stored, why) != VERDICT_WHOLE ||
	    position_get(b, AT_APPLIED, &a->applied, why) != VERDICT_WHOLE ||
	    position_get(b, AT_DURABLE, &a->durable, why) != VERDICT_WHOLE)
		return VERDICT_CORRUPT;
	if (position_compare(&a->applied, &a->stored) > 0)
		return BAD(AT_APPLIED, "more is applied than was stored");
	if (position_compare(&a->durable, &a->applied) > 0)
		return BAD(AT_DURABLE, "more is durable than was applied");
	return VERDICT_WHOLE;
}

/* Which bytes there are, and whether they are as they were written. */
static enum verdict
check_frame(const uint8_t *b, size_t len, struct why *why)
{
	size_t magic = len < MAGIC_LEN ? len : MAGIC_LEN;
	uint32_t n;

	if (memcmp(b, ACK_MAGIC, magic) != 0)
		return BAD(0, "is not an acknowledgement: no magic");
	if (len < ACK_FIXED)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "an acknowledgement has at least %d bytes, there are %zu",
		    ACK_FIXED, len);
	if (le_get16(b + AT_MAJOR) != 1)
		return NEW(AT_MAJOR,
		    "format version %d is not known to this program; it reads "
		    "version 1",
		    le_get16(b + AT_MAJOR));
	n = le_get32(b + AT_LEN);
	if (n < ACK_FIXED || n > ACK_LIMIT)
		return BAD(AT_LEN, "length %" PRIu32 " is not %d..%d", n,
		    ACK_FIXED, ACK_LIMIT);
	if (len < n)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "has %zu of %" PRIu32 " bytes", len, n);
	if (len > n)
		return BAD(n, "goes on after its end");
	if (le_get64(b + AT_SUM) != ack_sum(b, len))
		return BAD(AT_SUM, "checksum does not match");
	if (le_get64(b + AT_INCOMPAT) != 0)
		return NEW(AT_INCOMPAT,
		    "needs features 0x%" PRIx64
		    " that this version does not know",
		    le_get64(b + AT_INCOMPAT));
	if (le_get16(b + AT_MINOR) == 0 &&
	    (le_get32(b + AT_RESERVED_1) != 0 ||
		le_get64(b + AT_RESERVED_2) != 0))
		return BAD(AT_RESERVED_1, "reserved bytes are not zero");
	return VERDICT_WHOLE;
}

static enum verdict
get_state(const uint8_t *b, struct ack *a, struct why *why)
{
	uint32_t state = le_get32(b + AT_STATE);
	uint32_t consistent = le_get32(b + AT_CONSISTENT);
	size_t i, n;

	if (state == 0)
		return BAD(AT_STATE, "state 0 is never valid");
	if (state >= sizeof(states) / sizeof(states[0]))
		return NEW(AT_STATE,
		    "state %" PRIu32 " is not known to this version", state);
	if (consistent > 1)
		return BAD(AT_CONSISTENT, "consistent is neither 0 nor 1");
	a->state = (enum ack_state)state;
	a->consistent = consistent != 0;
	memcpy(a->reason, b + AT_REASON, REASON_LEN);
	n = strnlen(a->reason, REASON_LEN);
	for (i = 0; i < n; i++)
		if (a->reason[i] < 0x20 || a->reason[i] > 0x7e)
			break;
	if (i < n || n == REASON_LEN ||
	    !io_is_zero(a->reason + n, REASON_LEN - n))
		return BAD(AT_REASON + i, "the reason is not plain text");
	return VERDICT_WHOLE;
}

static enum verdict
get_done(const uint8_t *b, size_t len, struct ack *a, struct why *why)
{
	uint32_t i;

	a->done_count = le_get32(b + AT_DONE_COUNT);
	if (a->done_count > ACK_DONE_LIMIT ||
	    len != ACK_FIXED + (size_t)a->done_count * DONE_LEN)
		return BAD(AT_DONE_COUNT,
		    "%" PRIu32 " returned messages do not fit %zu bytes",
		    a->done_count, len);
	for (i = 0; i < a->done_count; i++)
		memcpy(a->done[i].b, b + ACK_FIXED + (size_t)i * DONE_LEN, 16);
	return VERDICT_WHOLE;
}

enum verdict
ack_decode(const uint8_t *bytes, size_t len, struct ack *out, struct why *why)
{
	struct ack a = {
	    .counter = 0,
	};
	enum verdict v = check_frame(bytes, len, why);

	if (v == VERDICT_WHOLE)
		v = get_state(bytes, &a, why);
	if (v == VERDICT_WHOLE)
		v = get_positions(bytes, &a, why);
	if (v == VERDICT_WHOLE)
		v = get_done(bytes, len, &a, why);
	if (v != VERDICT_WHOLE)
		return v;
	memcpy(a.stream.b, bytes + AT_STREAM, 16);
	memcpy(a.group.b, bytes + AT_GROUP, 16);
	memcpy(a.mirror.b, bytes + AT_MIRROR, 16);
	memcpy(a.mirror_site.b, bytes + AT_MIRROR_SITE, 16);
	memcpy(a.source_site.b, bytes + AT_SOURCE_SITE, 16);
	memcpy(a.key_id, bytes + AT_KEY_ID, KEY_ID_LEN);
	a.at_rest = (le_get64(bytes + AT_COMPAT) & COMPAT_AT_REST) != 0;
	a.counter = le_get64(bytes + AT_COUNTER);
	a.time_ns = le_get64(bytes + AT_TIME);
	a.applied_time_ns = le_get64(bytes + AT_APPLIED_TIME);
	a.free_bytes = le_get64(bytes + AT_FREE);
	if (uuid_is_nil(&a.stream) || uuid_is_nil(&a.group) ||
	    uuid_is_nil(&a.mirror) || uuid_is_nil(&a.mirror_site) ||
	    uuid_is_nil(&a.source_site))
		return BAD(AT_STREAM, "stream, group, mirror or a site is nil");
	if (a.counter == 0)
		return BAD(AT_COUNTER, "counter 0 is never valid");
	*out = a;
	return VERDICT_WHOLE;
}
