/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forge: makes wrong journal files out of right ones, for badfiles.sh.
 *
 *   forge IN OUT SEED-FILE [WHAT=VALUE...]
 *
 * Writes IN anew, whole and signed by the key whose seed (hex) is in
 * SEED-FILE, after changing what is named: sequence, epoch, first (all
 * transactions move along), stream, group, site (UUIDs), address (of the
 * first write), volume (its index), payload (its first byte), prev (the
 * digest's first byte), size (of the first volume).
 */
#include "aimdriver/reader.h"
#include "aimdriver/writer.h"
#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct wish {
	struct journal_header h;
	int64_t shift; /* of transaction numbers */
	bool address_set, volume_set, payload_set, size_set;
	uint64_t address, size;
	uint32_t volume;
};

static int
take_wish(struct wish *w, const char *text, struct err *e)
{
	const char *value = strchr(text, '=');
	uint64_t n;
	size_t len;

	if (value == NULL)
		return err_set(e, ERR_REFUSED, "not WHAT=VALUE: %s", text);
	len = (size_t)(value++ - text);
	n = strtoull(value, NULL, 0);
#define IS(what) (len == strlen(what) && memcmp(text, what, len) == 0)
	if (IS("stream"))
		return uuid_parse(value, &w->h.stream, e);
	if (IS("group"))
		return uuid_parse(value, &w->h.group, e);
	if (IS("site"))
		return uuid_parse(value, &w->h.site, e);
	if (IS("sequence"))
		w->h.sequence = n;
	else if (IS("epoch"))
		w->h.epoch_number = (uint32_t)n;
	else if (IS("first"))
		w->shift = (int64_t)(n - w->h.first);
	else if (IS("prev"))
		w->h.prev_digest[0] ^= (uint8_t)n;
	else if (IS("address"))
		w->address_set = true, w->address = n;
	else if (IS("volume"))
		w->volume_set = true, w->volume = (uint32_t)n;
	else if (IS("size"))
		w->size_set = true, w->size = n;
	else if (IS("payload"))
		w->payload_set = true;
	else
		return err_set(e, ERR_REFUSED, "what is %s?", text);
#undef IS
	return 0;
}

static int
read_key(const char *path, struct sign_secret *key, struct err *e)
{
	AUTO(buf_release) struct buf text = {0};
	char hex[65];

	if (io_read_file(AT_FDCWD, path, 256, &text, e) < 0)
		return -1;
	if (text.len < 64)
		return err_set(e, ERR_REFUSED, "%s: no seed", path);
	memcpy(hex, text.data, 64);
	hex[64] = '\0';
	if (hex_parse(hex, key->seed, sizeof(key->seed), e) < 0)
		return err_at(e, "%s", path);
	return sign_derive(key, e);
}

/* Copies all transactions, changed as wished. */
static int
copy_entries(
    struct reader *r, struct writer *w, const struct wish *wish, struct err *e)
{
	bool first = true;
	const uint8_t *data;
	struct iocb b;
	int more;

	while ((more = reader_next(r, &b, &data, e)) > 0) {
		AUTO_FREE uint8_t *copy = malloc(b.len + 1);

		if (copy == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		b.number = (uint64_t)((int64_t)b.number + wish->shift);
		if (data != NULL)
			memcpy(copy, data, b.len);
		if (data != NULL && b.op == OP_WRITE && first) {
			if (wish->address_set)
				b.off = wish->address;
			if (wish->volume_set)
				b.volume = wish->volume;
			if (wish->payload_set)
				copy[0] ^= 1;
			first = false;
		}
		if (writer_add(w, &b, data != NULL ? copy : NULL, e) < 0)
			return -1;
	}
	return more;
}

static int
forge(int in, int out, const char *seed, char **wishes, struct err *e)
{
	AUTO(sign_forget) struct sign_secret key = {0};
	struct journal_volume *volumes = NULL;
	struct writer_spec spec = {0};
	struct writer *w = NULL;
	struct reader *r = NULL;
	struct wish wish = {0};
	struct uuid *targets = NULL;
	uint32_t i;
	int rc = -1;

	if (read_key(seed, &key, e) < 0 || reader_open(in, "IN", &r, e) < 0)
		return -1;
	wish.h = *reader_header(r);
	for (; *wishes != NULL; wishes++)
		if (take_wish(&wish, *wishes, e) < 0)
			return -1;
	wish.h.first = (uint64_t)((int64_t)wish.h.first + wish.shift);
	wish.h.last = (uint64_t)((int64_t)wish.h.last + wish.shift);
	volumes = calloc(wish.h.volume_count + 1, sizeof(*volumes));
	targets = calloc(wish.h.target_count + 1, sizeof(*targets));
	for (i = 0; i < wish.h.volume_count; i++)
		reader_volume(r, i, &volumes[i]);
	if (wish.size_set)
		volumes[0].size = wish.size;
	for (i = 0; i < wish.h.target_count; i++)
		reader_target(r, i, &targets[i]);
	spec = (struct writer_spec){.header = wish.h,
	    .volumes = volumes,
	    .targets = targets,
	    .iocb_count = wish.h.iocb_count,
	    .codec = CODEC_NONE,
	    .key = &key};
	if (reader_verify(r, NULL, e) == 0 &&
	    writer_open(out, &spec, &w, e) == 0 &&
	    copy_entries(r, w, &wish, e) == 0 && writer_finish(w, NULL, e) == 0)
		rc = 0;
	writer_close(w);
	reader_close(r);
	free(volumes);
	free(targets);
	return rc;
}

int
main(int argc, char **argv)
{
	AUTO_CLOSE int in = -1;
	AUTO_CLOSE int out = -1;
	struct err e = {0};

	if (argc < 4) {
		(void)fprintf(stderr, "usage: forge IN OUT SEED-FILE [X=Y]\n");
		return 2;
	}
	in = open(argv[1], O_RDONLY | O_CLOEXEC);
	out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (in < 0 || out < 0) {
		perror("forge");
		return 1;
	}
	if (forge(in, out, argv[3], argv + 4, &e) < 0) {
		(void)fprintf(stderr, "forge: %s\n", e.text);
		return 1;
	}
	return 0;
}
