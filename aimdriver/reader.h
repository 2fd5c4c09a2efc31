/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: reads one journal file from a descriptor, in order, with bounded
 * memory (the header, one block of IOCBs, two chunks).
 *
 * reader_open checks the header alone and the file's length. reader_verify
 * checks everything: signature first (if a key is given), then the stored
 * digest, then each IOCB, its order, bounds against the volumes' sizes as
 * they change, payload sums, and the content digest. Only a file that was
 * verified whole may be acted upon; do so through the same reader, which
 * re-checks sums on the way.
 * What lies behind the header of an encrypted file needs the group's key; its
 * signature and stored bytes can be checked without.
 * Errors: CORRUPT for bytes (the text names the offset and transaction),
 * REFUSED for versions, keys and features not known, RETRY with sys ENOKEY
 * for a key that is not here yet, others from the system.
 * One thread at a time.
 */
#ifndef AIMDRIVER_READER_H
#define AIMDRIVER_READER_H

#include "common/err.h"
#include "fileformat/ack.h"
#include "fileformat/crypt.h"
#include "fileformat/header.h"
#include "fileformat/iocb.h"
#include "fileformat/sign.h"

struct reader;

/* Borrows fd, which stays open and unmoved by others. `name` is for texts. */
int reader_open(
    int fd, const char *name, struct reader **out, struct err *e) CHECKED;
void reader_close(struct reader *r);

const struct journal_header *reader_header(const struct reader *r);
void reader_volume(
    const struct reader *r, uint32_t i, struct journal_volume *out);
bool reader_has_target(const struct reader *r, const struct uuid *mirror);
void reader_target(const struct reader *r, uint32_t i, struct uuid *out);
/* The position that this file ends at. */
void reader_position(const struct reader *r, struct position *out);

/*
 * Where the keys of encrypted files are: 1 and *out, 0 not there, -1. Called
 * by whichever thread reads. The reader forgets the key when it is closed.
 */
struct reader_keys {
	int (*find)(const void *ctx, const struct uuid *group,
	    const uint8_t id[KEY_ID_LEN], struct group_key *out, struct err *e);
	const void *ctx;
};
/* Without it nothing but the header of an encrypted file can be read. */
void reader_set_keys(struct reader *r, const struct reader_keys *keys);
/* Finds the key of an encrypted file, unless that was done, and proves it. */
int reader_unlock(struct reader *r, struct err *e) CHECKED;

/* Is the header as the owner of the key has signed it? */
int reader_check_signature(
    struct reader *r, const struct sign_public *key, struct err *e) CHECKED;
/* Are the bytes behind it those that it tells of? Needs no group's key. */
int reader_check_stored(struct reader *r, struct err *e) CHECKED;
/* key NULL: the signature is not looked at. Leaves the reader at the start. */
int reader_verify(
    struct reader *r, const struct sign_public *key, struct err *e) CHECKED;

/* Memory that one file after the other is loaded into; {0} has none yet. */
struct reader_room {
	uint8_t *bytes;
	size_t len;
};
void reader_room_release(struct reader_room *room);

/* How many bytes of room a file takes: IOCBs and raw Data, rounded up. */
uint64_t reader_load_len(const struct reader *r);
/*
 * Reads the file, once, into the room, which has grown to reader_load_len, and
 * checks there what reader_verify checks but for the digests: the signature
 * of the header (if a key is given), IOCBs, order, bounds, and each sum. That
 * is enough for a file that was verified when it became ours alone, and costs
 * a quarter of the digests. From then on all comes from that memory: nothing
 * is read or summed again, data stay where they are until the room is used for
 * something else, and those that follow one another in the file do so there.
 */
int reader_load(struct reader *r, const struct sign_public *key,
    struct reader_room *room, struct err *e) CHECKED;
bool reader_is_loaded(const struct reader *r);

/*
 * The next IOCB: 1, 0 at the end, -1. *data is its payload (NULL when it has
 * none), valid until the next call. After an error every call fails until
 * reader_rewind or reader_verify.
 */
int reader_next(struct reader *r, struct iocb *out, const uint8_t **data,
    struct err *e) CHECKED;
/* The same without data, which are not read. Rewind before going over to the
 * other. */
int reader_next_iocb(struct reader *r, struct iocb *out, struct err *e) CHECKED;
void reader_rewind(struct reader *r);

#endif
