/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/header.h"

#include "fileformat/header_layout.h"
#include "fileformat/le.h"
#include "fileformat/sum.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

uint32_t
header_encoded_len(uint32_t volumes, uint32_t targets)
{
	uint32_t len = AT_VOLUMES + volumes * VOLUME_LEN + targets * TARGET_LEN;

	return (len + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
}

static void
put_uuid(uint8_t *to, const struct uuid *u)
{
	memcpy(to, u->b, sizeof(u->b));
}

static void
put_volume(uint8_t *to, const struct journal_volume *v)
{
	put_uuid(to, &v->uuid);
	le_put64(to + 16, v->size);
	le_put32(to + 24, (uint32_t)v->kind);
	le_put32(to + 28, 0);
}

static void
put_layout(const struct journal_header *h, uint8_t *b)
{
	memcpy(b + AT_MAGIC, JOURNAL_MAGIC, MAGIC_LEN);
	le_put16(b + AT_MAJOR, h->major);
	le_put16(b + AT_MINOR, h->minor);
	le_put32(b + AT_HEADER_LEN, h->header_len);
	le_put64(b + AT_INCOMPAT, h->incompat);
	le_put64(b + AT_COMPAT, h->compat);
	le_put32(b + AT_KIND, h->kind);
	le_put32(b + AT_CODEC, h->codec);
	le_put64(b + AT_FILE_LEN, h->file_len);
	le_put64(b + AT_IOCB_OFF, h->iocb_off);
	le_put32(b + AT_IOCB_COUNT, h->iocb_count);
	le_put32(b + AT_IOCB_LEN, h->iocb_len);
	le_put64(b + AT_DATA_OFF, h->data_off);
	le_put64(b + AT_DATA_STORED_LEN, h->data_stored_len);
	le_put64(b + AT_DATA_RAW_LEN, h->data_raw_len);
	le_put32(b + AT_CHUNK_LEN, h->chunk_len);
	le_put32(b + AT_VOLUME_COUNT, h->volume_count);
	le_put32(b + AT_TARGET_COUNT, h->target_count);
}

static void
put_identity(const struct journal_header *h, uint8_t *b)
{
	le_put32(b + AT_EPOCH_NUMBER, h->epoch_number);
	put_uuid(b + AT_STREAM, &h->stream);
	put_uuid(b + AT_GROUP, &h->group);
	put_uuid(b + AT_SITE, &h->site);
	put_uuid(b + AT_EPOCH, &h->epoch);
	le_put64(b + AT_SEQUENCE, h->sequence);
	le_put64(b + AT_FIRST, h->first);
	le_put64(b + AT_LAST, h->last);
	le_put64(b + AT_FIRST_TIME, h->first_time_ns);
	le_put64(b + AT_LAST_TIME, h->last_time_ns);
	le_put64(b + AT_SEALED_TIME, h->sealed_time_ns);
	put_uuid(b + AT_PARENT_EPOCH, &h->parent_epoch);
	le_put32(b + AT_PARENT_EPOCH_NUMBER, h->parent_epoch_number);
	le_put64(b + AT_PARENT_SEQUENCE, h->parent_sequence);
	le_put64(b + AT_FORK, h->fork);
	memcpy(b + AT_PREV_DIGEST, h->prev_digest, DIGEST_LEN);
	memcpy(b + AT_CONTENT_DIGEST, h->content_digest, DIGEST_LEN);
	memcpy(b + AT_STORED_DIGEST, h->stored_digest, DIGEST_LEN);
	memcpy(b + AT_SALT, h->salt, SALT_LEN);
	memcpy(b + AT_KEY_ID, h->key_id, KEY_ID_LEN);
	memcpy(b + AT_GROUP_KEY_ID, h->group_key_id, KEY_ID_LEN);
}

static uint64_t
header_sum(const uint8_t *bytes, size_t len)
{
	return sum_with_hole(bytes, len, AT_SUM, sizeof(uint64_t));
}

void
header_encode(const struct journal_header *h,
    const struct journal_volume *volumes, const struct uuid *targets,
    uint8_t *bytes)
{
	uint8_t *to = bytes + AT_VOLUMES;
	uint32_t i;

	assert(h->volume_count <= JOURNAL_VOLUME_LIMIT);
	assert(h->target_count <= JOURNAL_TARGET_LIMIT);
	assert(h->header_len ==
	       header_encoded_len(h->volume_count, h->target_count));
	memset(bytes, 0, h->header_len);
	put_layout(h, bytes);
	put_identity(h, bytes);
	for (i = 0; i < h->volume_count; i++, to += VOLUME_LEN)
		put_volume(to, &volumes[i]);
	for (i = 0; i < h->target_count; i++, to += TARGET_LEN)
		put_uuid(to, &targets[i]);
	le_put64(bytes + AT_SUM, header_sum(bytes, h->header_len));
}

void
header_blank(uint8_t *bytes)
{
	memset(bytes + AT_SIGNATURE, 0, JOURNAL_HEADER_FIXED - AT_SIGNATURE);
}

void
header_blank_bound(uint8_t *bytes)
{
	memset(bytes + AT_STORED_DIGEST, 0, DIGEST_LEN);
	header_blank(bytes);
}

bool
header_is_encrypted(const struct journal_header *h)
{
	return (h->incompat & JOURNAL_INCOMPAT_ENCRYPTED) != 0;
}

/* Blind, IOCBs and Data. */
static uint64_t
plain_len(const struct journal_header *h)
{
	return BLIND_LEN + (uint64_t)h->iocb_count * h->iocb_len +
	       h->data_stored_len;
}

uint64_t
header_blocks(const struct journal_header *h)
{
	return (plain_len(h) + CRYPT_BLOCK - 1) / CRYPT_BLOCK;
}

uint32_t
header_block_len(const struct journal_header *h, uint64_t index)
{
	uint64_t left = plain_len(h) - index * CRYPT_BLOCK;

	assert(index < header_blocks(h));
	return left < CRYPT_BLOCK ? (uint32_t)left : CRYPT_BLOCK;
}

uint64_t
header_file_len(const struct journal_header *h)
{
	return header_is_encrypted(h)
		   ? h->header_len + plain_len(h) + header_blocks(h) * CRYPT_TAG
		   : h->data_off + h->data_stored_len;
}

void
header_set_signature(uint8_t *bytes, const uint8_t signature[SIGNATURE_LEN])
{
	memcpy(bytes + AT_SIGNATURE, signature, SIGNATURE_LEN);
}

void
header_fix_sum(uint8_t *bytes, size_t len)
{
	le_put64(bytes + AT_SUM, header_sum(bytes, len));
}

static void
get_layout(const uint8_t *b, struct journal_header *h)
{
	h->major = le_get16(b + AT_MAJOR);
	h->minor = le_get16(b + AT_MINOR);
	h->header_len = le_get32(b + AT_HEADER_LEN);
	h->incompat = le_get64(b + AT_INCOMPAT);
	h->compat = le_get64(b + AT_COMPAT);
	h->kind = le_get32(b + AT_KIND);
	h->codec = le_get32(b + AT_CODEC);
	h->file_len = le_get64(b + AT_FILE_LEN);
	h->iocb_off = le_get64(b + AT_IOCB_OFF);
	h->iocb_count = le_get32(b + AT_IOCB_COUNT);
	h->iocb_len = le_get32(b + AT_IOCB_LEN);
	h->data_off = le_get64(b + AT_DATA_OFF);
	h->data_stored_len = le_get64(b + AT_DATA_STORED_LEN);
	h->data_raw_len = le_get64(b + AT_DATA_RAW_LEN);
	h->chunk_len = le_get32(b + AT_CHUNK_LEN);
	h->volume_count = le_get32(b + AT_VOLUME_COUNT);
	h->target_count = le_get32(b + AT_TARGET_COUNT);
}

static void
get_identity(const uint8_t *b, struct journal_header *h)
{
	h->epoch_number = le_get32(b + AT_EPOCH_NUMBER);
	memcpy(h->stream.b, b + AT_STREAM, 16);
	memcpy(h->group.b, b + AT_GROUP, 16);
	memcpy(h->site.b, b + AT_SITE, 16);
	memcpy(h->epoch.b, b + AT_EPOCH, 16);
	h->sequence = le_get64(b + AT_SEQUENCE);
	h->first = le_get64(b + AT_FIRST);
	h->last = le_get64(b + AT_LAST);
	h->first_time_ns = le_get64(b + AT_FIRST_TIME);
	h->last_time_ns = le_get64(b + AT_LAST_TIME);
	h->sealed_time_ns = le_get64(b + AT_SEALED_TIME);
	memcpy(h->parent_epoch.b, b + AT_PARENT_EPOCH, 16);
	h->parent_epoch_number = le_get32(b + AT_PARENT_EPOCH_NUMBER);
	h->parent_sequence = le_get64(b + AT_PARENT_SEQUENCE);
	h->fork = le_get64(b + AT_FORK);
	memcpy(h->prev_digest, b + AT_PREV_DIGEST, DIGEST_LEN);
	memcpy(h->content_digest, b + AT_CONTENT_DIGEST, DIGEST_LEN);
	memcpy(h->stored_digest, b + AT_STORED_DIGEST, DIGEST_LEN);
	memcpy(h->salt, b + AT_SALT, SALT_LEN);
	memcpy(h->key_id, b + AT_KEY_ID, KEY_ID_LEN);
	memcpy(h->group_key_id, b + AT_GROUP_KEY_ID, KEY_ID_LEN);
	memcpy(h->signature, b + AT_SIGNATURE, SIGNATURE_LEN);
}

void
header_volume(const uint8_t *bytes, const struct journal_header *h, uint32_t i,
    struct journal_volume *out)
{
	const uint8_t *from = bytes + AT_VOLUMES + (size_t)i * VOLUME_LEN;

	assert(i < h->volume_count);
	memcpy(out->uuid.b, from, 16);
	out->size = le_get64(from + 16);
	out->kind = (enum volume_kind)le_get32(from + 24);
}

void
header_target(const uint8_t *bytes, const struct journal_header *h, uint32_t i,
    struct uuid *out)
{
	assert(i < h->target_count);
	memcpy(out->b,
	    bytes + AT_VOLUMES + (size_t)h->volume_count * VOLUME_LEN +
		(size_t)i * TARGET_LEN,
	    16);
}

/*
 * The checksum comes before any field is believed, except those that say
 * which bytes it covers; then what later versions may change; then sense.
 */
enum verdict
header_decode(const uint8_t *bytes, size_t len, struct journal_header *out,
    struct why *why)
{
	struct journal_header h;
	uint32_t header_len;
	enum verdict v = header_peek(bytes, len, &header_len, why);

	if (v != VERDICT_WHOLE)
		return v;
	if (len < header_len)
		return verdict_say(why, VERDICT_PARTIAL, len,
		    "header has %" PRIu32 " bytes, there are %zu", header_len,
		    len);
	if (le_get64(bytes + AT_SUM) != header_sum(bytes, header_len))
		return verdict_say(why, VERDICT_CORRUPT, AT_SUM,
		    "checksum of the header does not match");
	get_layout(bytes, &h);
	get_identity(bytes, &h);
	v = header_check_lengths(&h, le_get32(bytes + AT_EXTENSION_LEN), why);
	if (v == VERDICT_WHOLE)
		v = header_check_chain(&h, why);
	if (v == VERDICT_WHOLE)
		v = header_check_tables(bytes, &h, why);
	if (v == VERDICT_WHOLE)
		*out = h;
	return v;
}

int
header_digest_canonical(const struct journal_header *h,
    const struct journal_volume *volumes, const struct uuid *targets,
    struct evp_md_ctx_st *sha)
{
	uint8_t b[240] = "aim content 1";
	uint8_t entry[VOLUME_LEN];
	uint32_t i;

	put_uuid(b + 16, &h->stream);
	put_uuid(b + 32, &h->group);
	put_uuid(b + 48, &h->site);
	put_uuid(b + 64, &h->epoch);
	le_put32(b + 80, h->epoch_number);
	le_put32(b + 84, h->kind);
	le_put64(b + 88, h->sequence);
	le_put64(b + 96, h->first);
	le_put64(b + 104, h->last);
	le_put64(b + 112, h->first_time_ns);
	le_put64(b + 120, h->last_time_ns);
	le_put64(b + 128, h->incompat & SEMANTIC_INCOMPAT);
	le_put64(b + 136, h->compat & SEMANTIC_COMPAT);
	put_uuid(b + 144, &h->parent_epoch);
	le_put32(b + 160, h->parent_epoch_number);
	le_put32(b + 164, 0);
	le_put64(b + 168, h->parent_sequence);
	le_put64(b + 176, h->fork);
	memcpy(b + 184, h->prev_digest, DIGEST_LEN);
	le_put32(b + 216, h->volume_count);
	le_put32(b + 220, h->target_count);
	le_put32(b + 224, h->iocb_count);
	le_put32(b + 228, 0);
	le_put64(b + 232, h->data_raw_len);
	if (EVP_DigestUpdate(sha, b, sizeof(b)) != 1)
		return -1;
	for (i = 0; i < h->volume_count; i++) {
		put_volume(entry, &volumes[i]);
		if (EVP_DigestUpdate(sha, entry, VOLUME_LEN) != 1)
			return -1;
	}
	for (i = 0; i < h->target_count; i++)
		if (EVP_DigestUpdate(sha, targets[i].b, TARGET_LEN) != 1)
			return -1;
	return 0;
}

const char *
journal_name(
    uint32_t epoch_number, uint64_t sequence, char out[JOURNAL_NAME_LEN])
{
	(void)snprintf(out, JOURNAL_NAME_LEN,
	    "%08" PRIx32 "-%016" PRIx64 ".aim", epoch_number, sequence);
	return out;
}

bool
journal_name_parse(const char *name, uint32_t *epoch_number, uint64_t *sequence)
{
	uint64_t number[2] = {0, 0};
	char again[JOURNAL_NAME_LEN];
	size_t i;

	if (strnlen(name, JOURNAL_NAME_LEN) != JOURNAL_NAME_LEN - 1)
		return false;
	for (i = 0; i < 25; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *at = strchr(digits, name[i]);

		if (i == 8)
			continue;
		if (at == NULL)
			return false;
		number[i > 8] = number[i > 8] << 4 | (uint64_t)(at - digits);
	}
	if (strcmp(name, journal_name((uint32_t)number[0], number[1], again)) !=
	    0)
		return false;
	*epoch_number = (uint32_t)number[0];
	*sequence = number[1];
	return true;
}
