/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sealed: the folder of a stream's journal files, sealed/<stream>/, walked by
 * predictable names: after (e, s) comes (e, s+1) or (e+1, 1). It is listed
 * once, when a role begins; afterwards the work per file is flat.
 *
 * Only headers are read, and believed (this folder is ours alone); what is
 * acted upon is verified elsewhere.
 */
#ifndef COORDINATOR_SEALED_H
#define COORDINATOR_SEALED_H

#include "coordinator/home.h"
#include "fileformat/ack.h"
#include "fileformat/header.h"

/* A stream's folder. */
struct sealed {
	int dir;
	struct uuid stream;
	const struct home *home; /* lent: it has the keys */
};

/* What the header of one file says. */
struct sealed_file {
	struct position at;
	uint64_t first; /* transactions first..at.last */
	uint64_t file_len;
	uint64_t raw_len, stored_len; /* of Data */
	uint64_t first_time_ns, last_time_ns, sealed_time_ns;
	uint64_t iocb_off;
	uint32_t iocb_count, iocb_len;
	uint32_t kind;
	bool opens_epoch;
	bool encrypted;
};

/* Makes the folder if it is not there. Closed by sealed_close. */
int sealed_open(struct home *h, const struct uuid *stream, struct sealed *out,
    struct err *e) CHECKED;
void sealed_close(struct sealed *s);

/*
 * Lists the folder: the oldest and the newest name and how many there are.
 * With `clean`, names of files that were not finished (".NAME.tmp") are
 * removed.
 */
struct sealed_ends {
	uint64_t count; /* 0: the rest is not filled */
	uint32_t oldest_epoch, newest_epoch;
	uint64_t oldest_sequence, newest_sequence;
};
int sealed_list(struct sealed *s, bool clean, struct sealed_ends *out,
    struct err *e) CHECKED;

/* 1, 0 when there is no such file, -1 (CORRUPT names the file). */
int sealed_look(struct sealed *s, uint32_t epoch_number, uint64_t sequence,
    struct sealed_file *out, struct err *e) CHECKED;
/* The file that follows that name, likewise. */
int sealed_after(struct sealed *s, uint32_t epoch_number, uint64_t sequence,
    struct sealed_file *out, struct err *e) CHECKED;
/* The first file there is after that name, even if others between are missing:
 * lists, so not in a loop. */
int sealed_skip(struct sealed *s, uint32_t epoch_number, uint64_t sequence,
    struct sealed_file *out, struct err *e) CHECKED;
/* The file that holds the transaction: lists and walks, so not in a loop. */
int sealed_find(struct sealed *s, uint64_t transaction, struct sealed_file *out,
    struct err *e) CHECKED;
/* Opens it for reading: 1, 0 when there is none, -1. */
int sealed_open_file(struct sealed *s, uint32_t epoch_number, uint64_t sequence,
    int *fd, struct err *e) CHECKED;

/*
 * How many bytes of a file are copied-in content. *in_copyin says whether a
 * copy-in is open where the file begins, and is moved on to where it ends;
 * IOCBs are read only where one is.
 */
int sealed_copyin_len(struct sealed *s, const struct sealed_file *f,
    bool *in_copyin, uint64_t *len, struct err *e) CHECKED;
/* The same from what the sealer knows: stored bytes that `raw` copied-in
 * bytes stand for. */
uint64_t sealed_copyin_share(const struct sealed_file *f, uint64_t raw);

void sealed_file_from(const struct journal_header *h, struct sealed_file *out);

#endif
