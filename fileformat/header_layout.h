/* SPDX-License-Identifier: Apache-2.0 */
/* header_layout: where the header's fields lie; only for header*.c. */
#ifndef FILEFORMAT_HEADER_LAYOUT_H
#define FILEFORMAT_HEADER_LAYOUT_H

#include "fileformat/header.h"

#define MAGIC_LEN 16
#define JOURNAL_MAGIC                                                          \
	"\x89"                                                                 \
	"AIM JOURNAL\r\n\x1a\n"

enum {
	AT_MAGIC = 0,
	AT_MAJOR = 16,
	AT_MINOR = 18,
	AT_HEADER_LEN = 20,
	AT_INCOMPAT = 24,
	AT_COMPAT = 32,
	AT_KIND = 40,
	AT_CODEC = 44,
	AT_FILE_LEN = 48,
	AT_IOCB_OFF = 56,
	AT_IOCB_COUNT = 64,
	AT_IOCB_LEN = 68,
	AT_DATA_OFF = 72,
	AT_DATA_STORED_LEN = 80,
	AT_DATA_RAW_LEN = 88,
	AT_CHUNK_LEN = 96,
	AT_VOLUME_COUNT = 100,
	AT_TARGET_COUNT = 104,
	AT_EPOCH_NUMBER = 108,
	AT_STREAM = 112,
	AT_GROUP = 128,
	AT_SITE = 144,
	AT_EPOCH = 160,
	AT_SEQUENCE = 176,
	AT_FIRST = 184,
	AT_LAST = 192,
	AT_FIRST_TIME = 200,
	AT_LAST_TIME = 208,
	AT_SEALED_TIME = 216,
	AT_PARENT_EPOCH = 224,
	AT_PARENT_EPOCH_NUMBER = 240,
	AT_RESERVED_1 = 244, /* 4 bytes */
	AT_PARENT_SEQUENCE = 248,
	AT_FORK = 256,
	AT_PREV_DIGEST = 264,
	AT_CONTENT_DIGEST = 296,
	AT_STORED_DIGEST = 328,
	AT_SALT = 360,
	AT_KEY_ID = 392,
	AT_EXTENSION_LEN = 408,
	AT_GROUP_KEY_ID = 412,
	AT_RESERVED_2 = 428, /* 140 bytes */
	AT_SIGNATURE = 568,
	AT_SUM = 632,
	AT_VOLUMES = JOURNAL_HEADER_FIXED,

	VOLUME_LEN = 32, /* uuid 0, size 16, kind 24, zero 28 */
	TARGET_LEN = 16,
	EXTENSION_HEAD_LEN = 8, /* type 0, length 4; padded to 8 */
	HEADER_ALIGN = 64,
};

#define EXTENSION_CRITICAL 0x80000000u
#define EXTENSION_ORIGIN 1u /* its place; not in this release */

/* Flags that are part of what happened, and so of the content digest. */
#define SEMANTIC_INCOMPAT ((uint64_t)JOURNAL_INCOMPAT_BREAK)
#define SEMANTIC_COMPAT                                                        \
	((uint64_t)(JOURNAL_COMPAT_DENSE | JOURNAL_COMPAT_EPOCH_OPEN))

/* The rules that a decoded header must follow, tables apart. */
enum verdict header_check_lengths(
    const struct journal_header *h, uint32_t extension_len, struct why *why);
enum verdict header_check_chain(
    const struct journal_header *h, struct why *why);
/* What lies behind the fixed part, whose lengths are known to be right. */
enum verdict header_check_tables(
    const uint8_t *bytes, const struct journal_header *h, struct why *why);

#endif
