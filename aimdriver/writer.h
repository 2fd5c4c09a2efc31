/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer: writes one journal file to a descriptor in one pass: IOCBs, Data
 * in chunks, and the header last, signed; then fsync. What it has written is
 * not a journal file before writer_finish has returned 0. One thread.
 */
#ifndef AIMDRIVER_WRITER_H
#define AIMDRIVER_WRITER_H

#include "common/err.h"
#include "fileformat/crypt.h"
#include "fileformat/header.h"
#include "fileformat/iocb.h"
#include "fileformat/sign.h"

struct writer;

struct writer_spec {
	/* Identity and chain; version, lengths, digests, counts, key and (when
	 * there are transactions) times are filled in; sealed time and salt
	 * too when they are zero. */
	struct journal_header header;
	const struct journal_volume *volumes; /* header.volume_count of them */
	const struct uuid *targets;	      /* header.target_count of them */
	uint32_t iocb_count;		      /* exactly so many are added */
	enum codec codec;		      /* one that is built */
	int level;			      /* 0: the codec's default */
	uint32_t chunk_len; /* raw bytes of a chunk; 0: 256 KiB */
	const struct sign_secret *key;
	const struct group_key *group_key; /* NULL: not encrypted */
	uint8_t blind[BLIND_LEN]; /* zero: a random one, as it should be */
};

/* Borrows fd (empty, read-write) and what the spec points to until closed. */
int writer_open(int fd, const struct writer_spec *spec, struct writer **out,
    struct err *e) CHECKED;
/*
 * Adds the next transaction; numbers and times must grow. data_off and
 * data_sum of `b` are ignored and computed; `data` has b->len bytes when the
 * op has data.
 */
int writer_add(struct writer *w, const struct iocb *b, const uint8_t *data,
    struct err *e) CHECKED;
/* Writes the header, syncs; *out (may be NULL) is the final header. */
int writer_finish(
    struct writer *w, struct journal_header *out, struct err *e) CHECKED;
void writer_close(struct writer *w);

#endif
