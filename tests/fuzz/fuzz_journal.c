/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole file through the reader: no range leaves its volume, no payload its
 * bounds, and a file that was verified reads through to its end.
 */
#include "tests/fuzz/fuzz.h"

#include "aimdriver/reader.h"
#include "common/io.h"
#include "fileformat/le.h"
#include "fileformat/sign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int
file_with(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 ||
	    io_write_at(fd, data, size, 0, NULL) < 0)
		abort();
	return fd;
}

/* So that every byte is read. */
static volatile uint64_t sink;

static uint64_t
touch(const uint8_t *data, uint64_t len)
{
	uint64_t sum = 0, i;

	for (i = 0; i < len; i++)
		sum += data[i];
	return sum;
}

/* The sizes are tracked once more, by other means. */
static int
walk(struct reader *r)
{
	static uint64_t sizes[JOURNAL_VOLUME_LIMIT];
	const struct journal_header *h = reader_header(r);
	const uint8_t *data;
	struct iocb b;
	uint32_t i;
	int more;

	for (i = 0; i < h->volume_count; i++) {
		struct journal_volume v;

		reader_volume(r, i, &v);
		sizes[i] = v.size;
	}
	while ((more = reader_next(r, &b, &data, NULL)) > 0) {
		FUZZ_MUST(b.volume < h->volume_count);
		FUZZ_MUST(b.number >= h->first && b.number <= h->last);
		if (op_has_range(b.op)) {
			FUZZ_MUST(b.off <= sizes[b.volume]);
			FUZZ_MUST(b.len <= sizes[b.volume] - b.off);
		}
		if (b.op == OP_RESIZE)
			sizes[b.volume] = b.off;
		FUZZ_MUST((data != NULL) == op_has_data(b.op));
		if (data != NULL)
			sink = sink + touch(data, b.len);
	}
	return more;
}

static int
find_key(const void *ctx, const struct uuid *group,
    const uint8_t id[KEY_ID_LEN], struct group_key *out, struct err *e)
{
	*out = *(const struct group_key *)ctx;
	(void)group;
	(void)id;
	(void)e;
	return 1;
}

/* That of the golden file, under whatever id. */
static void
give_key(struct reader *r)
{
	static struct group_key key;
	struct reader_keys keys = {.find = find_key, .ctx = &key};

	memset(key.key, 0x44, sizeof(key.key));
	if (group_key_derive(&key, NULL) < 0)
		abort();
	reader_set_keys(r, &keys);
}

static size_t
seal(uint8_t *out, const uint8_t *plain, const struct journal_header *h)
{
	uint64_t i, n = header_blocks(h);
	struct group_key key = {0};
	struct crypt *c = NULL;
	uint8_t bound[DIGEST_LEN], *blank = malloc(h->header_len);
	size_t at = h->header_len;

	memset(key.key, 0x44, sizeof(key.key));
	if (blank == NULL ||
	    crypt_open(&key, h->salt, &h->stream, &c, NULL) < 0)
		abort();
	memcpy(blank, out, h->header_len);
	header_blank_bound(blank);
	if (digest_bytes(blank, h->header_len, bound, NULL) < 0)
		abort();
	for (i = 0; i < n; i++) {
		uint32_t len = header_block_len(h, i);

		if (crypt_seal(c, i, i + 1 == n ? bound : NULL,
			plain + i * CRYPT_BLOCK, len, out + at, NULL) < 0)
			abort();
		at += len + CRYPT_TAG;
	}
	crypt_close(c);
	free(blank);
	return at;
}

/* Whatever a plain file is, its encrypted twin is the same when it is open. */
static void
compare_twin(const uint8_t *data, size_t size, int plain_walk)
{
	struct journal_header h;
	struct reader *r = NULL;
	struct err e = {0};
	uint8_t *out, *body;
	size_t len;

	if (header_decode(data, size, &h, NULL) != VERDICT_WHOLE ||
	    header_is_encrypted(&h))
		return;
	h.incompat |= JOURNAL_INCOMPAT_ENCRYPTED;
	len = (size_t)header_file_len(&h);
	out = malloc(len);
	body = calloc(1, BLIND_LEN + size);
	if (out == NULL || body == NULL)
		abort();
	memcpy(out, data, h.header_len);
	memcpy(body + BLIND_LEN, data + h.header_len, size - h.header_len);
	out[24] |= JOURNAL_INCOMPAT_ENCRYPTED;
	out[412] = 1;
	le_put64(out + 48, len);
	FUZZ_MUST(seal(out, body, &h) == len);
	header_fix_sum(out, h.header_len);
	FUZZ_MUST(reader_open(file_with(out, len), "twin", &r, &e) == 0);
	give_key(r);
	FUZZ_MUST(walk(r) == plain_walk);
	reader_close(r);
	free(out);
	free(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader *r = NULL;
	struct err e = {0};
	int before, verified;

	if (reader_open(file_with(data, size), "fuzz", &r, &e) < 0) {
		FUZZ_MUST(e.text[0] != '\0');
		return 0;
	}
	give_key(r);
	before = walk(r);
	verified = reader_verify(r, NULL, &e);
	if (verified == 0) {
		FUZZ_MUST(before == 0);
		FUZZ_MUST(walk(r) == 0);
	} else {
		FUZZ_MUST(e.kind == ERR_CORRUPT || e.kind == ERR_REFUSED);
	}
	reader_close(r);
	compare_twin(data, size, before);
	return 0;
}

/* One field of the header or of an entry is changed as a number. */
static void
change_number(uint8_t *data, size_t size, unsigned seed)
{
	static const uint64_t numbers[] = {0, 1, 2, 79, 80, 4095, 4096,
	    INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 1};
	uint64_t with = numbers[seed / 7 % 12];
	size_t at;

	if (size < JOURNAL_HEADER_FIXED + 80)
		return;
	if (seed % 3 == 0) {
		at = 40 + seed / 97 % 56 * 4; /* within 40..263 */
	} else {
		uint32_t count = le_get32(data + 64);
		size_t i = count == 0 ? 0 : seed / 97 % (count % 64 + 1);

		at = le_get32(data + 20) + i * 80 + seed / 11 % 8 * 8;
	}
	if (at > size - 8)
		return;
	if (seed % 5 == 0)
		with = le_get64(data + at) + (seed % 2 == 0 ? 1 : UINT64_MAX);
	le_put64(data + at, with);
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	if (seed % 2 == 0)
		size = LLVMFuzzerMutate(data, size, max);
	else
		change_number(data, size, seed);
	if (seed % 16 != 2)
		fuzz_mend_journal(data, size);
	return size;
}
