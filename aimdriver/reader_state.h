/* SPDX-License-Identifier: Apache-2.0 */
/* reader_state: what the parts of the reader share; only for reader*.c. */
#ifndef AIMDRIVER_READER_STATE_H
#define AIMDRIVER_READER_STATE_H

#include "aimdriver/digest.h"
#include "aimdriver/reader.h"
#include "aimdriver/track.h"
#include "fileformat/codec.h"
#include "fileformat/crypt.h"

#define READER_BLOCK ((size_t)64 << 10)

struct reader {
	int fd;
	char name[256]; /* as shown */
	struct journal_header header;
	uint8_t *bytes; /* of the header */
	struct journal_volume *volumes;
	struct uuid *targets;
	uint64_t seed;
	bool verified;
	bool broken; /* an error came: nothing more until rewound */

	/* the walk */
	struct track track;
	uint8_t *block; /* stored IOCBs block_first.. */
	uint32_t block_first, block_count;
	uint64_t raw_pos;      /* raw bytes of Data before the chunk */
	uint64_t stored_pos;   /* stored bytes of Data up to the chunk's end */
	struct chunk chunk;    /* raw_len 0: none */
	uint8_t *stored, *raw; /* chunk_len bytes each */
	bool raw_is_elsewhere; /* that chunk went straight into payload */
	uint8_t *payload;      /* put together from chunks */
	size_t payload_room;
	uint32_t codec; /* the strongest seen */

	struct digest *iocbs_sha, *raw_sha; /* NULL: not wanted */

	/* reader_load: stored IOCBs and raw Data, in the room */
	const uint8_t *iocbs;
	uint8_t *data;
	bool loading; /* Data are being read and checked */

	/* reader_crypt: an encrypted file */
	struct reader_keys keys;
	struct crypt *crypt;	   /* NULL: not unlocked */
	uint8_t bound[DIGEST_LEN]; /* what the last block is bound to */
	uint8_t blind[BLIND_LEN];
	uint8_t *sealed;     /* a block as it is stored */
	uint8_t *open;	     /* one that is open */
	uint64_t open_index; /* which */
};

int reader_bad(const struct reader *r, enum verdict v, uint64_t base,
    const struct why *why, struct err *e);
int reader_no_memory(const struct reader *r, struct err *e);
/* From where it lies in a plain file; an encrypted one is opened. */
int reader_read_at(struct reader *r, void *to, size_t len, uint64_t off,
    struct err *e) CHECKED;
/* The same behind the header of an encrypted one. */
int reader_read_open(struct reader *r, void *to, size_t len, uint64_t off,
    struct err *e) CHECKED;
/* Of the blocks as they are stored. */
int reader_digest_blocks(
    struct reader *r, uint8_t out[DIGEST_LEN], struct err *e) CHECKED;
/* Nothing comes from a room any more. */
void reader_unload(struct reader *r);
/* How a verdict other than WHOLE is told. */
enum err_kind reader_kind(enum verdict v);

#endif
