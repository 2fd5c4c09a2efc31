/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file has two slots of 4 KiB. Generation g lives in slot g % 2, so a
 * store never touches the slot that counts, and a torn or rotten slot leaves
 * the one before. A slot:
 *
 *   0    16  magic
 *   16   4   version, 1
 *   20   4   phase
 *   24   8   generation
 *   32   1   consistent
 *   33   1   staging
 *   40   16  mirror
 *   56   16  stream
 *   72   68  position clean: epoch 16, epoch number 4, sequence 8, last 8,
 *            digest 32
 *   140  68  position target
 *   208  8   applied_time_ns
 *   216  16  copyin
 *   232  4   done_count
 *   240  512 done
 *   752  160 reason
 *   4088 8   XXH3-64 of bytes 0..4087
 *
 * Little-endian; what is not named is zero. The first store makes the whole
 * file under another name and renames it, so that a file without any valid
 * slot is damage and never the beginning.
 */
#include "coordinator/mirror_state.h"

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "fileformat/sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SLOT_LEN 4096u
#define SUM_AT (SLOT_LEN - 8)

static const uint8_t magic[16] = "AIM mirror\r\n\x1a\n\0";

static void
put32(uint8_t *p, uint32_t v)
{
	int i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void
put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static uint64_t
get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void
put_position(uint8_t *p, const struct position *s)
{
	memcpy(p, s->epoch.b, 16);
	put32(p + 16, s->epoch_number);
	put64(p + 20, s->sequence);
	put64(p + 28, s->last);
	memcpy(p + 36, s->digest, DIGEST_LEN);
}

static void
get_position(const uint8_t *p, struct position *s)
{
	memcpy(s->epoch.b, p, 16);
	s->epoch_number = get32(p + 16);
	s->sequence = get64(p + 20);
	s->last = get64(p + 28);
	memcpy(s->digest, p + 36, DIGEST_LEN);
}

static void
encode(const struct mirror_state *s, uint8_t *p)
{
	uint32_t i;

	memset(p, 0, SLOT_LEN);
	memcpy(p, magic, sizeof(magic));
	put32(p + 16, 1);
	put32(p + 20, (uint32_t)s->phase);
	put64(p + 24, s->generation);
	p[32] = s->consistent;
	p[33] = s->staging;
	memcpy(p + 40, s->mirror.b, 16);
	memcpy(p + 56, s->stream.b, 16);
	put_position(p + 72, &s->clean);
	put_position(p + 140, &s->target);
	put64(p + 208, s->applied_time_ns);
	memcpy(p + 216, s->copyin.b, 16);
	put32(p + 232, s->done_count);
	for (i = 0; i < s->done_count; i++)
		memcpy(p + 240 + (size_t)16 * i, s->done[i].b, 16);
	memcpy(p + 752, s->reason, sizeof(s->reason));
	put64(p + SUM_AT, sum_bytes(p, SUM_AT, 0));
}

/* False for anything but a whole slot of this mirror in this place. */
static bool
decode(const uint8_t *p, unsigned slot, const struct uuid *mirror,
    struct mirror_state *s)
{
	uint32_t i;

	if (memcmp(p, magic, sizeof(magic)) != 0 ||
	    get64(p + SUM_AT) != sum_bytes(p, SUM_AT, 0))
		return false;
	memset(s, 0, sizeof(*s));
	s->phase = (enum mirror_phase)get32(p + 20);
	s->generation = get64(p + 24);
	s->done_count = get32(p + 232);
	if (get32(p + 16) != 1 || s->phase < MIRROR_EMPTY ||
	    s->phase > MIRROR_SUSPECT || s->generation == 0 ||
	    s->generation % 2 != slot || s->done_count > ACK_DONE_LIMIT)
		return false;
	s->consistent = p[32] == 1;
	s->staging = p[33] == 1;
	memcpy(s->mirror.b, p + 40, 16);
	memcpy(s->stream.b, p + 56, 16);
	get_position(p + 72, &s->clean);
	get_position(p + 140, &s->target);
	s->applied_time_ns = get64(p + 208);
	memcpy(s->copyin.b, p + 216, 16);
	for (i = 0; i < s->done_count; i++)
		memcpy(s->done[i].b, p + 240 + (size_t)16 * i, 16);
	memcpy(s->reason, p + 752, sizeof(s->reason));
	s->reason[sizeof(s->reason) - 1] = '\0';
	return uuid_equal(&s->mirror, mirror);
}

#define STATE_NAME 48

static const char *
state_name(const struct uuid *mirror, char out[STATE_NAME])
{
	char text[UUID_TEXT];

	(void)snprintf(out, STATE_NAME, "%s.state", uuid_text(mirror, text));
	return out;
}

static int
load_once(struct home *h, const struct uuid *mirror, struct mirror_state *out,
    struct err *e)
{
	uint8_t slots[2 * SLOT_LEN] = {0};
	struct mirror_state s[2];
	char name[STATE_NAME];
	AUTO_CLOSE int fd = sys_openat(
	    h->state, state_name(mirror, name), O_RDONLY | O_NOFOLLOW, 0);
	bool valid[2];

	if (fd < 0 && errno == ENOENT) {
		memset(out, 0, sizeof(*out));
		out->phase = MIRROR_EMPTY;
		out->mirror = *mirror;
		return 0;
	}
	if (fd < 0)
		return err_sys(e, "open state/%s", name);
	if (io_read_some_at(fd, slots, sizeof(slots), 0, e) < 0)
		return err_at(e, "state/%s", name);
	valid[0] = decode(slots, 0, mirror, &s[0]);
	valid[1] = decode(slots + SLOT_LEN, 1, mirror, &s[1]);
	if (!valid[0] && !valid[1])
		return err_set(e, ERR_CORRUPT,
		    "state/%s is damaged, so it is not known where the mirror "
		    "stands: restore the file, or remove it and stage/%.36s "
		    "and take a new base from the source",
		    name, name);
	*out = !valid[1] || (valid[0] && s[0].generation > s[1].generation)
		   ? s[0]
		   : s[1];
	return 0;
}

int
mirror_state_load(struct home *h, const struct uuid *mirror,
    struct mirror_state *out, struct err *e)
{
	int i, r = -1;

	/* A reader that overlaps two stores can see both slots half done. */
	for (i = 0; i < 3 && r < 0; i++) {
		r = load_once(h, mirror, out, e);
		if (r < 0 && e != NULL && e->kind != ERR_CORRUPT)
			break;
	}
	return r;
}

int
mirror_state_sync(struct home *h, const struct uuid *mirror, struct err *e)
{
	char name[STATE_NAME];
	AUTO_CLOSE int fd = sys_openat(
	    h->state, state_name(mirror, name), O_RDONLY | O_NOFOLLOW, 0);

	if (fd < 0)
		return err_sys(e, "open state/%s", name);
	/* The first one may not have its name for good. */
	if (io_fsync(fd, name, e) < 0)
		return -1;
	return io_fsync(h->state, "state/", e);
}

static int
store_slot(
    int fd, const struct mirror_state *s, const char *name, struct err *e)
{
	uint8_t slot[SLOT_LEN];

	encode(s, slot);
	if (io_write_at(
		fd, slot, sizeof(slot), s->generation % 2 * SLOT_LEN, e) < 0)
		return err_at(e, "state/%s", name);
	/* The file has had its size from the beginning. */
	return io_fdatasync(fd, name, e);
}

int
mirror_state_store(struct home *h, struct mirror_state *s, struct err *e)
{
	struct mirror_state next = *s;
	char name[STATE_NAME];
	AUTO_CLOSE int fd = -1;

	next.generation++;
	fd = sys_openat(
	    h->state, state_name(&s->mirror, name), O_WRONLY | O_NOFOLLOW, 0);
	if (fd < 0 && errno != ENOENT)
		return err_sys(e, "open state/%s", name);
	if (fd < 0) {
		uint8_t slots[2 * SLOT_LEN] = {0};

		encode(&next, slots + next.generation % 2 * SLOT_LEN);
		if (io_write_file(
			h->state, name, slots, sizeof(slots), 0600, e) < 0)
			return err_at(e, "state");
	} else if (store_slot(fd, &next, name, e) < 0) {
		return -1;
	}
	s->generation = next.generation;
	return 0;
}
