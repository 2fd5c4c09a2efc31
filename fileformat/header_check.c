/* SPDX-License-Identifier: Apache-2.0 */
/* header_check: the rules that make a header's fields fit each other. */
#include "common/io.h"
#include "fileformat/codec.h"
#include "fileformat/header.h"
#include "fileformat/header_layout.h"
#include "fileformat/iocb.h"
#include "fileformat/le.h"

#include <inttypes.h>
#include <string.h>

#define BAD(at, ...) verdict_say(why, VERDICT_CORRUPT, at, __VA_ARGS__)
#define NEW(at, ...) verdict_say(why, VERDICT_UNKNOWN, at, __VA_ARGS__)

enum verdict
header_peek(
    const uint8_t *bytes, size_t len, uint32_t *header_len, struct why *why)
{
	size_t magic = len < MAGIC_LEN ? len : MAGIC_LEN;
	uint32_t n;

	if (memcmp(bytes, JOURNAL_MAGIC, magic) != 0)
		return io_is_zero(bytes, magic)
			   ? BAD(0, "begins with zeroes: the header was never "
				    "written")
			   : BAD(0, "is not a journal file: no magic");
	if (len < JOURNAL_HEADER_FIXED)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "a header has at least %d bytes, there are %zu",
		    JOURNAL_HEADER_FIXED, len);
	if (le_get16(bytes + AT_MAJOR) != 1)
		return NEW(AT_MAJOR,
		    "format version %d is not known to this program; it reads "
		    "version 1",
		    le_get16(bytes + AT_MAJOR));
	n = le_get32(bytes + AT_HEADER_LEN);
	if (n < JOURNAL_HEADER_FIXED || n > JOURNAL_HEADER_LIMIT ||
	    n % HEADER_ALIGN != 0)
		return BAD(AT_HEADER_LEN,
		    "header length %" PRIu32 " is not a multiple of %d "
		    "within %d..%d",
		    n, HEADER_ALIGN, JOURNAL_HEADER_FIXED,
		    JOURNAL_HEADER_LIMIT);
	*header_len = n;
	return VERDICT_WHOLE;
}

static enum verdict
check_features(const struct journal_header *h, struct why *why)
{
	if ((h->incompat & ~(uint64_t)JOURNAL_INCOMPAT_KNOWN) != 0)
		return NEW(AT_INCOMPAT,
		    "needs features 0x%" PRIx64 " that this version does not "
		    "know",
		    h->incompat & ~(uint64_t)JOURNAL_INCOMPAT_KNOWN);
	if (h->kind == 0)
		return BAD(AT_KIND, "kind 0 is never valid");
	if (h->kind != JOURNAL_PLAIN && h->kind != JOURNAL_COPYIN_OPEN)
		return NEW(AT_KIND,
		    "kind %" PRIu32 " is not known to this "
		    "version",
		    h->kind);
	if (h->codec == 0)
		return BAD(AT_CODEC, "codec 0 is never valid");
	if (!codec_is_built(h->codec))
		return NEW(AT_CODEC,
		    "codec %" PRIu32 " (%s) is not built into this program",
		    h->codec, codec_name(h->codec));
	return VERDICT_WHOLE;
}

/* Stored bytes that the chunks can have: at least one byte each, at most the
 * raw ones; a header for each. */
static enum verdict
check_data_len(const struct journal_header *h, struct why *why)
{
	uint64_t chunks;

	if (h->data_raw_len > JOURNAL_RAW_LIMIT)
		return BAD(AT_DATA_RAW_LEN,
		    "raw data of %" PRIu64 " bytes is "
		    "over the limit of %" PRIu64,
		    h->data_raw_len, JOURNAL_RAW_LIMIT);
	if (h->chunk_len == 0 || h->chunk_len > JOURNAL_CHUNK_LIMIT)
		return BAD(AT_CHUNK_LEN,
		    "chunk length %" PRIu32 " is not "
		    "1..%d",
		    h->chunk_len, JOURNAL_CHUNK_LIMIT);
	chunks = (h->data_raw_len + h->chunk_len - 1) / h->chunk_len;
	if (h->data_stored_len < chunks * (CHUNK_HEADER_LEN + 1) ||
	    h->data_stored_len > chunks * CHUNK_HEADER_LEN + h->data_raw_len)
		return BAD(AT_DATA_STORED_LEN,
		    "%" PRIu64 " stored bytes "
		    "cannot hold %" PRIu64 " chunks with %" PRIu64 " raw bytes",
		    h->data_stored_len, chunks, h->data_raw_len);
	if (h->data_raw_len == 0 && h->codec != CODEC_NONE)
		return BAD(
		    AT_CODEC, "codec %s without data", codec_name(h->codec));
	return VERDICT_WHOLE;
}

static enum verdict
check_tables_len(
    const struct journal_header *h, uint32_t extension_len, struct why *why)
{
	uint64_t need;

	if (h->volume_count == 0 || h->volume_count > JOURNAL_VOLUME_LIMIT)
		return BAD(AT_VOLUME_COUNT,
		    "%" PRIu32 " volumes are not "
		    "1..%d",
		    h->volume_count, JOURNAL_VOLUME_LIMIT);
	if (h->target_count > JOURNAL_TARGET_LIMIT)
		return BAD(AT_TARGET_COUNT,
		    "%" PRIu32 " targets are more "
		    "than %d",
		    h->target_count, JOURNAL_TARGET_LIMIT);
	if ((h->kind == JOURNAL_COPYIN_OPEN) != (h->target_count > 0))
		return BAD(AT_TARGET_COUNT, "kind %s with %" PRIu32 " targets",
		    journal_kind_name(h->kind), h->target_count);
	if (extension_len % 8 != 0)
		return BAD(AT_EXTENSION_LEN,
		    "extension length %" PRIu32 " is not a multiple of 8",
		    extension_len);
	need = (uint64_t)AT_VOLUMES + (uint64_t)h->volume_count * VOLUME_LEN +
	       (uint64_t)h->target_count * TARGET_LEN + extension_len;
	need = (need + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
	if (h->header_len != need)
		return BAD(AT_HEADER_LEN,
		    "header length %" PRIu32 " is not "
		    "the %" PRIu64 " that its tables take",
		    h->header_len, need);
	return VERDICT_WHOLE;
}

enum verdict
header_check_lengths(
    const struct journal_header *h, uint32_t extension_len, struct why *why)
{
	enum verdict v = check_features(h, why);

	if (v == VERDICT_WHOLE)
		v = check_tables_len(h, extension_len, why);
	if (v != VERDICT_WHOLE)
		return v;
	if (h->file_len > JOURNAL_FILE_LIMIT)
		return BAD(AT_FILE_LEN,
		    "file length %" PRIu64 " is over the "
		    "limit of %" PRIu64,
		    h->file_len, JOURNAL_FILE_LIMIT);
	if (h->iocb_count > JOURNAL_IOCB_LIMIT)
		return BAD(AT_IOCB_COUNT, "%" PRIu32 " IOCBs are more than %d",
		    h->iocb_count, JOURNAL_IOCB_LIMIT);
	if (h->iocb_len < IOCB_LEN || h->iocb_len > IOCB_LEN_LIMIT ||
	    h->iocb_len % 8 != 0)
		return BAD(AT_IOCB_LEN,
		    "IOCB length %" PRIu32 " is not a "
		    "multiple of 8 within %d..%d",
		    h->iocb_len, IOCB_LEN, IOCB_LEN_LIMIT);
	if (h->iocb_off != h->header_len)
		return BAD(AT_IOCB_OFF,
		    "IOCBs at %" PRIu64 ", not after the "
		    "header at %" PRIu32,
		    h->iocb_off, h->header_len);
	if (h->data_off != h->iocb_off + (uint64_t)h->iocb_count * h->iocb_len)
		return BAD(AT_DATA_OFF,
		    "data at %" PRIu64 ", not after the "
		    "IOCBs",
		    h->data_off);
	v = check_data_len(h, why);
	if (v == VERDICT_WHOLE && h->file_len != header_file_len(h))
		v = BAD(AT_FILE_LEN,
		    "file length %" PRIu64 " is not where "
		    "the data ends",
		    h->file_len);
	if (v == VERDICT_WHOLE &&
	    header_is_encrypted(h) == io_is_zero(h->group_key_id, KEY_ID_LEN))
		v = BAD(AT_GROUP_KEY_ID, "it is%s encrypted, but has %s key id",
		    header_is_encrypted(h) ? "" : " not",
		    header_is_encrypted(h) ? "no" : "a");
	return v;
}

static bool
is_zero_digest(const uint8_t *d)
{
	return io_is_zero(d, DIGEST_LEN);
}

static bool
has_parent(const struct journal_header *h)
{
	return !uuid_is_nil(&h->parent_epoch) || h->parent_epoch_number != 0 ||
	       h->parent_sequence != 0 || h->fork != 0;
}

/* The first epoch of a stream has no parent and cannot be a break in it. */
static enum verdict
check_parent(const struct journal_header *h, struct why *why)
{
	bool opens = (h->compat & JOURNAL_COMPAT_EPOCH_OPEN) != 0;
	bool breaks = (h->incompat & JOURNAL_INCOMPAT_BREAK) != 0;

	if (opens && h->sequence != 1)
		return BAD(AT_SEQUENCE,
		    "an epoch is opened by sequence %" PRIu64 ", not 1",
		    h->sequence);
	if (!opens && h->sequence == 1 && h->epoch_number != 1)
		return BAD(AT_SEQUENCE,
		    "sequence 1 of epoch %" PRIu32 " does not name its parent",
		    h->epoch_number);
	if (!opens || h->epoch_number == 1) {
		if (breaks)
			return BAD(AT_INCOMPAT,
			    "a break is declared by a file that has no parent");
		if (has_parent(h))
			return BAD(AT_PARENT_EPOCH,
			    "a parent is named by a file that can have none");
		return VERDICT_WHOLE;
	}
	if (uuid_is_nil(&h->parent_epoch) ||
	    uuid_equal(&h->parent_epoch, &h->epoch))
		return BAD(AT_PARENT_EPOCH,
		    "the parent epoch is nil or the epoch itself");
	if (h->parent_epoch_number != h->epoch_number - 1)
		return BAD(AT_PARENT_EPOCH_NUMBER,
		    "the parent of epoch %" PRIu32 " has number %" PRIu32,
		    h->epoch_number, h->parent_epoch_number);
	if (h->parent_sequence == 0)
		return BAD(AT_PARENT_SEQUENCE,
		    "the parent's last file has sequence 0");
	if (h->fork != h->first - 1)
		return BAD(AT_FORK,
		    "fork %" PRIu64 " is not just before transaction %" PRIu64,
		    h->fork, h->first);
	return VERDICT_WHOLE;
}

enum verdict
header_check_chain(const struct journal_header *h, struct why *why)
{
	bool dense = (h->compat & JOURNAL_COMPAT_DENSE) != 0;

	if (uuid_is_nil(&h->stream) || uuid_is_nil(&h->group) ||
	    uuid_is_nil(&h->site) || uuid_is_nil(&h->epoch))
		return BAD(AT_STREAM, "stream, group, site or epoch is nil");
	if (h->epoch_number == 0 || h->sequence == 0)
		return BAD(AT_SEQUENCE, "epoch number or sequence is 0");
	if (h->first == 0 || h->last < h->first || h->last == UINT64_MAX)
		return BAD(AT_FIRST,
		    "%" PRIu64 "..%" PRIu64 " is not a range "
		    "of transactions",
		    h->first, h->last);
	/* In a form that cannot overflow: the range may be all of 64 bits. */
	if (h->iocb_count > 0 && h->iocb_count - 1 > h->last - h->first)
		return BAD(AT_IOCB_COUNT,
		    "%" PRIu32 " IOCBs are more than "
		    "transactions %" PRIu64 "..%" PRIu64,
		    h->iocb_count, h->first, h->last);
	if (dense &&
	    (h->iocb_count == 0 || h->iocb_count - 1 != h->last - h->first))
		return BAD(AT_IOCB_COUNT,
		    "declared dense, but %" PRIu32
		    " IOCBs are not transactions %" PRIu64 "..%" PRIu64,
		    h->iocb_count, h->first, h->last);
	if (h->kind == JOURNAL_COPYIN_OPEN && h->iocb_count == 0)
		return BAD(AT_IOCB_COUNT, "opens a copy-in without an IOCB");
	if (h->last_time_ns < h->first_time_ns)
		return BAD(AT_LAST_TIME, "the last time is before the first");
	if (check_parent(h, why) != VERDICT_WHOLE)
		return VERDICT_CORRUPT;
	if ((h->epoch_number == 1 && h->sequence == 1) !=
	    is_zero_digest(h->prev_digest))
		return BAD(AT_PREV_DIGEST,
		    "the digest of the file before is "
		    "zero, or set in the stream's first file");
	return VERDICT_WHOLE;
}

static enum verdict
check_volumes(
    const uint8_t *bytes, const struct journal_header *h, struct why *why)
{
	uint32_t i, k;

	for (i = 0; i < h->volume_count; i++) {
		size_t at = AT_VOLUMES + (size_t)i * VOLUME_LEN;
		struct journal_volume v;

		header_volume(bytes, h, i, &v);
		if (uuid_is_nil(&v.uuid) || v.size > INT64_MAX ||
		    le_get32(bytes + at + 28) != 0 ||
		    le_get32(bytes + at + 24) == 0)
			return BAD(at,
			    "volume %" PRIu32 " of the table makes "
			    "no sense",
			    i);
		if (v.kind != VOLUME_FILE && v.kind != VOLUME_BLOCK)
			return NEW(at + 24,
			    "kind of volume %" PRIu32 " is "
			    "not known to this version",
			    i);
		for (k = 0; k < i; k++)
			if (memcmp(bytes + AT_VOLUMES + (size_t)k * VOLUME_LEN,
				v.uuid.b, 16) == 0)
				return BAD(at,
				    "volumes %" PRIu32 " and %" PRIu32
				    " are the same",
				    k, i);
	}
	return VERDICT_WHOLE;
}

static enum verdict
check_targets(
    const uint8_t *bytes, const struct journal_header *h, struct why *why)
{
	size_t at = AT_VOLUMES + (size_t)h->volume_count * VOLUME_LEN;
	const uint8_t *table = bytes + at;
	uint32_t i, k;

	for (i = 0; i < h->target_count; i++) {
		const uint8_t *t = table + (size_t)i * TARGET_LEN;

		if (io_is_zero(t, TARGET_LEN))
			return BAD(at + (size_t)i * TARGET_LEN,
			    "target %" PRIu32 " is nil", i);
		for (k = 0; k < i; k++)
			if (memcmp(table + (size_t)k * TARGET_LEN, t,
				TARGET_LEN) == 0)
				return BAD(at + (size_t)i * TARGET_LEN,
				    "targets %" PRIu32 " and %" PRIu32
				    " are the same",
				    k, i);
	}
	return VERDICT_WHOLE;
}

/* Unknown entries are stepped over unless they are marked critical. */
static enum verdict
check_extensions(const uint8_t *bytes, size_t at, size_t end, struct why *why)
{
	while (at < end) {
		uint32_t type, len;

		if (end - at < EXTENSION_HEAD_LEN)
			return BAD(at, "an extension ends too early");
		type = le_get32(bytes + at);
		len = le_get32(bytes + at + 4);
		if (type == 0)
			return BAD(at, "extension type 0 is never valid");
		if (len > end - at - EXTENSION_HEAD_LEN)
			return BAD(at + 4,
			    "an extension of %" PRIu32
			    " bytes goes beyond its area",
			    len);
		if ((type & EXTENSION_CRITICAL) != 0)
			return NEW(at,
			    "needs extension 0x%" PRIx32 " that "
			    "this version does not know",
			    type);
		at += EXTENSION_HEAD_LEN + ((size_t)len + 7) / 8 * 8;
	}
	return VERDICT_WHOLE;
}

enum verdict
header_check_tables(
    const uint8_t *bytes, const struct journal_header *h, struct why *why)
{
	size_t at = AT_VOLUMES + (size_t)h->volume_count * VOLUME_LEN +
		    (size_t)h->target_count * TARGET_LEN;
	size_t end = at + le_get32(bytes + AT_EXTENSION_LEN);
	enum verdict v;

	/* A later minor version may use what is reserved now. */
	if (h->minor == 0 && (!io_is_zero(bytes + AT_RESERVED_1, 4) ||
				 !io_is_zero(bytes + AT_RESERVED_2,
				     AT_SIGNATURE - AT_RESERVED_2)))
		return BAD(AT_RESERVED_2, "reserved bytes are not zero");
	v = check_volumes(bytes, h, why);
	if (v == VERDICT_WHOLE)
		v = check_targets(bytes, h, why);
	if (v == VERDICT_WHOLE)
		v = check_extensions(bytes, at, end, why);
	if (v == VERDICT_WHOLE && !io_is_zero(bytes + end, h->header_len - end))
		v = BAD(end, "padding of the header is not zero");
	return v;
}
