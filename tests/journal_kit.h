/* SPDX-License-Identifier: Apache-2.0 */
/* journal_kit: journal files in memory, for tests. Aborts on failure. */
#ifndef TESTS_JOURNAL_KIT_H
#define TESTS_JOURNAL_KIT_H

#include "aimdriver/reader.h"
#include "aimdriver/writer.h"
#include "common/buf.h"
#include "fileformat/note.h"

#define KIT_ENTRIES 64

struct kit {
	struct writer_spec spec;
	struct sign_secret key;
	struct group_key group_key;
	struct journal_volume volumes[2];
	struct uuid targets[2];
	struct iocb entries[KIT_ENTRIES];
	const uint8_t *data[KIT_ENTRIES];
};

/* A dense, plain first file with two volumes of 1 MiB and no entries yet;
 * everything in it is fixed, so that the bytes are the same every time. */
void kit_init(struct kit *k);
/* From now on what is written is encrypted, with a key and a blind that are
 * fixed too. */
void kit_encrypt(struct kit *k);
/* The reader finds that key, and no other. */
void kit_give_key(struct reader *r);
/* Appends one transaction; numbers and times go on by themselves. */
struct iocb *kit_add(
    struct kit *k, enum aim_op op, uint32_t volume, uint64_t off, uint64_t len);
/* The same for what carries a note. */
void kit_add_note(struct kit *k, enum aim_op op);
/* One of each operation that fits a plain file, COPYIN and END last. */
void kit_add_all(struct kit *k);
/* An anonymous file with `bytes` in it. */
int kit_fd(const void *bytes, size_t len);
/* Writes what was added; -1 with the error when the writer refuses. */
int kit_write(
    struct kit *k, struct buf *out, struct journal_header *h, struct err *e);
/* Opens and verifies bytes as a journal file, encrypted or not. */
int kit_verify(const void *bytes, size_t len, const struct sign_public *key,
    struct err *e);
/* Makes the stored digest, the signature (with k's key) and the checksum right
 * again after a change. */
void kit_mend(struct kit *k, uint8_t *bytes, size_t len);

#endif
