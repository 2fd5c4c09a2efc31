/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream_maker: a source in a box. Makes a signed chain of journal files from
 * random changes, and remembers what a mirror must hold at the end of each
 * (starting from zeroes), so that tests compare byte by byte.
 */
#ifndef TESTS_STREAM_MAKER_H
#define TESTS_STREAM_MAKER_H

#include "coordinator/config.h"
#include "fileformat/ack.h"
#include "fileformat/crypt.h"
#include "fileformat/header.h"
#include "fileformat/iocb.h"
#include "fileformat/note.h"

#include <stddef.h>

#define MAKER_VOLUMES 2u
#define MAKER_FILES 256u
#define MAKER_OPS 256u
#define MAKER_ROOM (UINT64_C(1) << 20) /* largest volume */

struct maker_volume {
	struct uuid uuid;
	uint64_t size;	 /* now */
	uint64_t sealed; /* at the next file's first transaction */
	uint8_t *source; /* MAKER_ROOM bytes: the disk at the source */
	uint8_t *mirror; /* what a mirror holds */
};

/* How things stand at the end of a file. */
struct maker_file {
	char name[JOURNAL_NAME_LEN];
	struct position at;
	uint64_t size[MAKER_VOLUMES];
	uint8_t *image[MAKER_VOLUMES];
	bool consistent;
};

struct maker {
	struct sign_secret key;
	struct uuid stream, group, site, mirror;
	uint64_t random;
	uint32_t epoch_number;
	struct uuid epoch;
	uint64_t sequence, next; /* of the next file; next transaction */
	uint64_t time_ns;
	struct position last; /* end of the last file */
	bool opens_epoch, breaks;
	bool cuts; /* it is the stream of a layout's member */
	struct position parent;
	struct uuid copyin;
	enum copyin_kind copyin_kind;
	uint64_t copyin_begin;
	bool begun, consistent; /* of the mirror */
	struct maker_volume volume[MAKER_VOLUMES];
	uint32_t ops;
	struct iocb op[MAKER_OPS];
	uint8_t *data[MAKER_OPS];
	uint32_t files;
	struct maker_file file[MAKER_FILES];
	enum codec codec;
	const struct group_key *group_key; /* lent; NULL: not encrypted */
};

/* Volumes of `size` bytes, filled with random content. */
void maker_init(struct maker *m, uint64_t seed, uint64_t size);
void maker_release(struct maker *m);
uint64_t maker_random(struct maker *m, uint64_t below);

/* Transactions of the file that is being made. */
void maker_write(struct maker *m, uint32_t v, uint64_t off, uint64_t len);
void maker_zero(
    struct maker *m, enum aim_op op, uint32_t v, uint64_t off, uint64_t len);
void maker_resize(struct maker *m, uint32_t v, uint64_t size);
void maker_plain(struct maker *m, enum aim_op op); /* flush, void, ... */
void maker_gap(struct maker *m, uint32_t v);
void maker_cut(struct maker *m, uint64_t value);
void maker_marker(struct maker *m, const struct uuid *message);
void maker_copyin_begin(struct maker *m, enum copyin_kind kind);
void maker_copyin(struct maker *m, uint32_t v, uint64_t off, uint64_t len);
void maker_copyin_end(struct maker *m);
/* A few of everything. */
void maker_mix(struct maker *m, uint32_t count);

/* The source loses its history: its disk changes, a new epoch begins. */
void maker_break(struct maker *m);
/* A new epoch without a break. */
void maker_new_epoch(struct maker *m);

/* Writes the file into `dir` under its name; its index in m->file. */
uint32_t maker_seal(struct maker *m, int dir);

/* A whole base in several files, with other changes among it. */
void maker_base(struct maker *m, int dir, enum copyin_kind kind);

/* The mirror's configuration; paths are `above`/v0, v1; `volumes` has
 * MAKER_VOLUMES elements. */
void maker_config(const struct maker *m, const char *above,
    const char *incoming, struct mirror_volume_config *volumes,
    struct mirror_config *out);

/* Index of the file that ends at `at`, or -1. */
int maker_find(const struct maker *m, const struct position *at);

#endif
