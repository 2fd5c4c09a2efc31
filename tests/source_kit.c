/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/source_kit.h"

#include "aimdriver/reader.h"
#include "common/clock.h"
#include "common/io.h"
#include "fileformat/note.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define OK(call) ck_assert_msg((call) == 0, "%s", e.text)

static void
fill_file(const char *path, uint64_t size, uint64_t seed)
{
	uint8_t *data = malloc(65536);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t off;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	/* A hole in every fourth block. */
	for (off = 0; off < size; off += 65536) {
		size_t n = size - off < 65536 ? size - off : 65536;

		if (off / 65536 % 4 == 3)
			continue;
		rig_fill(data, n, seed + off);
		ck_assert_int_eq(pwrite(fd, data, n, (off_t)off), (ssize_t)n);
	}
	free(data);
	close(fd);
}

static void
add_volume(struct source_kit *k, uint32_t i, uint64_t size)
{
	struct capture_volume v = {.kind = VOLUME_FILE, .size = size};
	struct err e = {0};

	(void)snprintf(
	    k->rig.path[i], sizeof(k->rig.path[i]), "%s/vol%u", k->dir.path, i);
	(void)snprintf(k->rig.copy[i], sizeof(k->rig.copy[i]), "%s/copy%u",
	    k->dir.path, i);
	fill_file(k->rig.path[i], size, i + 1);
	OK(uuid_make(&v.uuid, &e));
	(void)snprintf(v.path, sizeof(v.path), "%s", k->rig.path[i]);
	OK(capture_add_volume(k->home.path, &k->group.uuid, &v, &e));
}

static void
add_destination(struct source_kit *k, uint32_t i)
{
	struct destination_config *d = &k->destination[i];
	char path[256], stream[UUID_TEXT];
	struct err e = {0};

	(void)snprintf(d->name, sizeof(d->name), "dr%u", i);
	OK(uuid_make(&d->uuid, &e));
	OK(uuid_make(&d->mirror, &e));
	OK(uuid_make(&d->mirror_site, &e));
	d->group = k->group.uuid;
	d->stream = k->group.stream;
	OK(sign_make(&k->mirror_key[i], &e));
	d->mirror_key = k->mirror_key[i].pub;
	d->prune_at = PRUNE_APPLIED;
	(void)snprintf(
	    d->url, sizeof(d->url), "file://%s/in%u", k->dir.path, i);
	(void)snprintf(path, sizeof(path), "%s/in%u", k->dir.path, i);
	OK(io_make_dir(AT_FDCWD, path, 0700, &e));
	(void)snprintf(path, sizeof(path), "%s/in%u/%s", k->dir.path, i,
	    uuid_text(&k->group.stream, stream));
	OK(io_make_dir(AT_FDCWD, path, 0700, &e));
	(void)strcat(path, "/ack");
	OK(io_make_dir(AT_FDCWD, path, 0700, &e));
}

void
kit_open(struct source_kit *k, uint32_t volumes, uint64_t size,
    uint32_t destinations)
{
	struct err e = {0};
	char path[128];
	uint32_t i;

	memset(k, 0, sizeof(*k));
	unit_dir_make(&k->dir);
	(void)snprintf(path, sizeof(path), "%s/home", k->dir.path);
	OK(home_create(path, "here", &e));
	OK(home_open(path, &k->home, &e));
	(void)snprintf(k->group.name, sizeof(k->group.name), "disks");
	OK(uuid_make(&k->group.uuid, &e));
	OK(uuid_make(&k->group.stream, &e));
	k->group.seal_age_ms = 1000;
	k->group.heartbeat_ms = 30000;
	k->group.codec = CODEC_NONE;
	(void)snprintf(k->rig.home, sizeof(k->rig.home), "%.63s", path);
	k->rig.group = k->group.uuid;
	k->rig.volumes = volumes;
	OK(capture_create(path, &k->group.uuid, (gid_t)-1, &e));
	for (i = 0; i < volumes; i++)
		add_volume(k, i, size);
	OK(capture_accept_volumes(path, &k->group.uuid, &e));
	k->destinations = destinations;
	for (i = 0; i < destinations; i++)
		add_destination(k, i);
}

void
kit_close(struct source_kit *k)
{
	home_close(&k->home);
	unit_dir_drop(&k->dir);
}

struct source *
kit_source(struct source_kit *k)
{
	struct source *s = NULL;
	struct err e = {0};

	OK(source_open(
	    &k->home, &k->group, k->destination, k->destinations, &s, &e));
	return s;
}

struct ship *
kit_ship(struct source_kit *k, uint32_t i)
{
	struct ship *s = NULL;
	struct err e = {0};

	OK(ship_open(&k->home, &k->destination[i], &s, &e));
	return s;
}

void
kit_pass(struct source *s)
{
	struct err e = {0};
	int did, n = 0;

	do {
		did = source_pass(s, &e);
		ck_assert_msg(did >= 0, "%s", e.text);
	} while (did == 1 && ++n < 1000);
}

void
kit_ship_pass(struct ship *s)
{
	struct err e = {0};
	int did, n = 0;

	do {
		did = ship_pass(s, &e);
		ck_assert_msg(did >= 0, "%s", e.text);
	} while (did == 1 && ++n < 1000);
}

void
kit_base(struct source_kit *k)
{
	struct err e = {0};
	uint32_t i;

	for (i = 0; i < k->destinations; i++)
		OK(job_queue(&k->home, &k->destination[i], COPYIN_BASE, &e));
}

/* ---- the mirror ---- */

static void
zero_range(int fd, uint64_t len, uint64_t off)
{
	static const uint8_t zero[65536];
	uint64_t n;

	for (; len > 0; len -= n, off += n) {
		n = len < sizeof(zero) ? len : sizeof(zero);
		ck_assert_int_eq(pwrite(fd, zero, n, (off_t)off), (ssize_t)n);
	}
}

static void
replay_one(struct source_kit *k, const int *fd, const struct iocb *b,
    const uint8_t *data)
{
	switch (b->op) {
	case OP_COPYIN:
		k->copied += b->len;
		/* fall through */
	case OP_WRITE:
		ck_assert_int_eq(
		    pwrite(fd[b->volume], data, b->len, (off_t)b->off),
		    (ssize_t)b->len);
		break;
	case OP_COPYIN_ZERO:
		k->zeroed += b->len;
		/* fall through */
	case OP_ZERO:
	case OP_DISCARD:
		zero_range(fd[b->volume], b->len, b->off);
		break;
	case OP_RESIZE:
		ck_assert_int_eq(ftruncate(fd[b->volume], (off_t)b->off), 0);
		break;
	case OP_COPYIN_BEGIN:
		k->begins++;
		break;
	case OP_COPYIN_END:
		k->ends++;
		break;
	default:
		break;
	}
}

/* The header against the file before it. */
static void
check_chain(struct source_kit *k, const struct journal_header *h)
{
	static const uint8_t zero[DIGEST_LEN];
	bool opens = (h->compat & JOURNAL_COMPAT_EPOCH_OPEN) != 0;

	ck_assert_uint_eq(h->first, k->end.last + 1);
	if ((h->compat & JOURNAL_COMPAT_DENSE) != 0)
		ck_assert_uint_eq(h->iocb_count, h->last - h->first + 1);
	if (k->files == 0) {
		ck_assert_uint_eq(h->epoch_number, 1);
		ck_assert_mem_eq(h->prev_digest, zero, DIGEST_LEN);
		return;
	}
	ck_assert_mem_eq(h->prev_digest, k->end.digest, DIGEST_LEN);
	if (!opens) {
		ck_assert(uuid_equal(&h->epoch, &k->end.epoch));
		return;
	}
	ck_assert(!uuid_equal(&h->epoch, &k->end.epoch));
	ck_assert(uuid_equal(&h->parent_epoch, &k->end.epoch));
	ck_assert_uint_eq(h->parent_sequence, k->end.sequence);
	ck_assert_uint_eq(h->fork, k->end.last);
	k->breaks += (h->incompat & JOURNAL_INCOMPAT_BREAK) != 0;
}

static bool
replay_file(struct source_kit *k, int dir, uint32_t epoch, uint64_t sequence,
    const int *fds)
{
	char name[JOURNAL_NAME_LEN];
	struct reader *r = NULL;
	const uint8_t *data;
	struct err e = {0};
	struct iocb b;
	int fd = -1, more;

	(void)journal_name(epoch, sequence, name);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	OK(reader_open(fd, name, &r, &e));
	ck_assert_msg(reader_verify(r, &k->home.key.pub, &e) == 0, "%s: %s",
	    name, e.text);
	ck_assert_uint_eq(reader_header(r)->epoch_number, epoch);
	ck_assert_uint_eq(reader_header(r)->sequence, sequence);
	check_chain(k, reader_header(r));
	while ((more = reader_next(r, &b, &data, &e)) == 1) {
		replay_one(k, fds, &b, data);
		k->transactions++;
	}
	ck_assert_msg(more == 0, "%s", e.text);
	reader_position(r, &k->end);
	k->files++;
	reader_close(r);
	close(fd);
	return true;
}

static bool
same_files(const char *a, const char *b)
{
	char command[600];

	(void)snprintf(command, sizeof(command), "cmp -s %s %s", a, b);
	return system(command) == 0;
}

static void
start_copies(struct source_kit *k)
{
	uint32_t i;
	int fd;

	for (i = 0; i < k->rig.volumes; i++) {
		fd = open(k->rig.copy[i],
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
}

bool
kit_follow(struct source_kit *k, int dir)
{
	int fd[RIG_VOLUMES];
	bool more = true, same = true;
	uint32_t i;

	if (k->files == 0)
		start_copies(k);
	for (i = 0; i < k->rig.volumes; i++) {
		struct stat st;

		fd[i] = open(k->rig.copy[i], O_RDWR | O_CLOEXEC);
		ck_assert_int_ge(fd[i], 0);
		ck_assert_int_eq(stat(k->rig.path[i], &st), 0);
		if (k->files == 0)
			ck_assert_int_eq(ftruncate(fd[i], st.st_size), 0);
	}
	if (k->files == 0)
		more = replay_file(k, dir, 1, 1, fd);
	while (more)
		more = replay_file(k, dir, k->end.epoch_number,
			   k->end.sequence + 1, fd) ||
		       replay_file(k, dir, k->end.epoch_number + 1, 1, fd);
	for (i = 0; i < k->rig.volumes; i++) {
		close(fd[i]);
		same = same && same_files(k->rig.path[i], k->rig.copy[i]);
	}
	return same && k->files > 0;
}

bool
kit_replay(struct source_kit *k, int dir)
{
	k->files = k->transactions = k->breaks = 0;
	k->begins = k->ends = k->copied = k->zeroed = 0;
	k->end = (struct position){0};
	return kit_follow(k, dir);
}

void
kit_fill_ack(struct source_kit *k, uint32_t i, struct ack *out)
{
	const struct destination_config *d = &k->destination[i];

	*out = (struct ack){.stream = d->stream,
	    .group = d->group,
	    .mirror = d->mirror,
	    .mirror_site = d->mirror_site,
	    .source_site = k->home.site,
	    .counter = ++k->counter[i],
	    .state = ACK_STREAMING,
	    .consistent = true,
	    .time_ns = clock_wall_ns()};
}

static void
encode(const struct ack *a, const struct sign_secret *key,
    uint8_t bytes[ACK_LIMIT], size_t *len)
{
	struct ack copy = *a;
	struct err e = {0};

	OK(sign_key_id(&key->pub, copy.key_id, &e));
	OK(ack_encode(&copy, key, bytes, len, &e));
}

void
kit_publish(struct source_kit *k, uint32_t i, const struct ack *a,
    const struct sign_secret *key)
{
	char path[256], stream[UUID_TEXT], name[ACK_NAME_LEN];
	uint8_t bytes[ACK_LIMIT];
	struct err e = {0};
	int dir = -1;
	size_t len;

	encode(a, key, bytes, &len);
	(void)snprintf(path, sizeof(path), "%s/in%u/%s/ack", k->dir.path, i,
	    uuid_text(&k->group.stream, stream));
	OK(io_open_dir(AT_FDCWD, path, &dir, &e));
	OK(io_write_file(dir, ack_name(&k->destination[i].mirror, name), bytes,
	    len, 0600, &e));
	close(dir);
}

void
kit_save_ack(struct source_kit *k, uint32_t i, const struct ack *a)
{
	char name[UUID_TEXT + 4], text[UUID_TEXT];
	uint8_t bytes[ACK_LIMIT];
	struct err e = {0};
	size_t len;

	encode(a, &k->mirror_key[i], bytes, &len);
	(void)snprintf(name, sizeof(name), "%s.ack",
	    uuid_text(&k->destination[i].uuid, text));
	OK(io_write_file(k->home.state, name, bytes, len, 0600, &e));
}

void
kit_ack(struct source_kit *k, uint32_t i, const struct position *stored,
    const struct position *applied)
{
	struct ack a;

	kit_fill_ack(k, i, &a);
	a.stored = *stored;
	a.applied = *applied;
	a.durable = *applied;
	kit_publish(k, i, &a, &k->mirror_key[i]);
}

void
kit_position(struct source_kit *k, uint64_t n, struct position *out)
{
	struct sealed s = {.dir = -1};
	struct sealed_file f = {0};
	struct err e = {0};
	uint64_t i;

	OK(sealed_open(&k->home, &k->group.stream, &s, &e));
	f.at.epoch_number = 1;
	for (i = 0; i < n; i++)
		ck_assert_int_eq(
		    sealed_after(&s, f.at.epoch_number, f.at.sequence, &f, &e),
		    1);
	*out = f.at;
	sealed_close(&s);
}

uint64_t
kit_count(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	uint64_t n = 0, sequence;
	uint32_t epoch;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		n += journal_name_parse(entry->d_name, &epoch, &sequence);
	closedir(d);
	return n;
}
