/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry: journal files in a folder that is carried by hand. In
 * FOLDER/<stream>/ lie the files, ack/, and `manifest`, which names each with
 * its length and SHA-256 and ends with the digest of itself. It is written
 * last and replaced whole, and what it does not name does not count; so a
 * folder that was torn away is as it was before, or whole.
 *
 * The manifest guards against accidents only: who is right to have made a
 * file, its signature says, when it is received.
 */
#ifndef COORDINATOR_CARRY_H
#define COORDINATOR_CARRY_H

#include "common/err.h"
#include "common/name.h"
#include "common/uuid.h"
#include "fileformat/header.h"
#include "fileformat/sign.h"

/* The URL of a destination whose files are carried. */
#define CARRY_URL "carry://"

struct carry_file {
	char name[JOURNAL_NAME_LEN];
	uint64_t len;
	uint8_t digest[DIGEST_LEN];
};

struct carry_list {
	struct uuid stream;
	char group[NAME_LIMIT];
	uint32_t count;
	struct carry_file *files; /* ours */
};

void carry_release(struct carry_list *l);
/* Adds a file that is to be named; its length and digest are filled in when it
 * is copied. */
struct carry_file *carry_add(struct carry_list *l, struct err *e);

/* Replaces FOLDER/<stream>/manifest; `dir` is that folder. Durable. */
int carry_store(int dir, const struct carry_list *l, struct err *e) CHECKED;
/* 1, 0 when there is none, -1 (CORRUPT: cut or damaged). */
int carry_load(int dir, struct carry_list *out, struct err *e) CHECKED;

/* Length and digest of `name` in `dir`: 1, 0 when it is not there. */
int carry_look(int dir, const char *name, uint64_t *len,
    uint8_t digest[DIGEST_LEN], struct err *e) CHECKED;
/*
 * Copies f->name whole or not at all, durably but for its name (sync the
 * folder). With `check` it must be as *f says, else CORRUPT; without, *f is
 * filled in. A file of that name that is there is replaced.
 */
int carry_copy(
    int from, int to, struct carry_file *f, bool check, struct err *e) CHECKED;

#endif
