/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: journal files that are ours alone: received ones in stage/<mirror>/,
 * applied ones in done/<mirror>/. A file is in stage/ under its name only when
 * it has been verified whole and continues the chain, so names tell what is
 * there and a walk from any position needs no listing.
 *
 * A relay has no redriver. Its files lie in sealed/<stream>/, where those that
 * send them look for them, and go when the next hops have them.
 */
#ifndef COORDINATOR_STAGE_H
#define COORDINATOR_STAGE_H

#include "aimdriver/reader.h"
#include "coordinator/chain.h"
#include "coordinator/config.h"
#include "coordinator/home.h"

/* What the two roles of a mirror share. */
struct stage {
	struct home *home; /* borrowed */
	struct mirror_config mirror;
	struct mirror_volume_config *volumes; /* mirror.volumes: our copy */
	uint8_t key_id[KEY_ID_LEN];	      /* of the source's key */
	int stage, done;		      /* folders, made if missing */
	bool encrypted; /* nothing else is taken any more */
};

int stage_open(struct home *h, const struct mirror_config *m, struct stage *out,
    struct err *e) CHECKED;
void stage_close(struct stage *s);

/*
 * From now on only encrypted files are taken for this mirror, whatever their
 * headers say. There is no way back. Durable.
 */
int stage_pin(struct home *h, const struct uuid *mirror, struct err *e) CHECKED;
/* chain_belongs, and is it encrypted if it must be? */
bool stage_belongs(
    const struct stage *s, const struct reader *r, char why[CHAIN_WHY]);

/* An open journal file of ours. */
struct staged {
	int fd;
	struct reader *reader;
	char name[JOURNAL_NAME_LEN];
};
#define STAGED_NONE                                                            \
	{                                                                      \
		.fd = -1                                                       \
	}
void staged_close(struct staged *f);

/* 1 and opened, 0 when there is no such file in `dir`, -1 (CORRUPT: its
 * header cannot be believed; `out->name` is set nevertheless). Without a home
 * (NULL) the file is given no key. */
int staged_open(const struct home *h, int dir, uint32_t epoch_number,
    uint64_t sequence, struct staged *out, struct err *e) CHECKED;

/*
 * The staged file that follows `tip` (nil: the first of all, found by listing
 * once): 1, 0 when there is none, -1 as staged_open.
 */
int stage_next(struct stage *s, const struct position *tip, struct staged *out,
    struct err *e) CHECKED;

/* Lowest name in a folder: 1, 0 none, -1. */
int stage_first(int dir, struct chain_name *out, struct err *e) CHECKED;

/* Names of a folder that have the form of a journal file, ascending; *out is
 * free()d by the caller. */
int stage_list(
    int dir, struct chain_name **out, size_t *count, struct err *e) CHECKED;

/* Removes what a crash left unfinished (.*.tmp). */
int stage_sweep(struct stage *s, struct err *e) CHECKED;

#endif
