/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines: reading a signed text (pairing.h, members.h) of "key value" lines in
 * a fixed order. What is said about a text calls it `what` and names the
 * line. Pure, thread safe.
 */
#ifndef FILEFORMAT_LINES_H
#define FILEFORMAT_LINES_H

#include "common/buf.h"
#include "common/err.h"
#include "common/name.h"
#include "fileformat/pairing.h"

#define LINE_LEN 4096 /* with the NUL */

struct lines {
	const char *what; /* "pairing text" */
	size_t most;	  /* bytes in a line, < LINE_LEN */
	const char *at, *end;
	unsigned number;     /* of the last line, from 1 */
	char line[LINE_LEN]; /* its text */
};

/* The next line that is not empty, without blanks at its end: 1, 0, -1. */
int lines_next(struct lines *l, struct err *e) CHECKED;
/* The value after "key " in the next line; NULL and the error otherwise. */
char *lines_want(struct lines *l, const char *key, struct err *e);
/* Is the next line one of `key`? Then it is taken, and *value is its value:
 * 1, 0, -1. */
int lines_may(
    struct lines *l, const char *key, char **value, struct err *e) CHECKED;
/* Puts "line N" before an error; -1. */
int lines_at(const struct lines *l, struct err *e);

int lines_uuid(
    struct lines *l, const char *key, struct uuid *out, struct err *e) CHECKED;
/* `out` has NAME_LIMIT bytes. */
int lines_name(
    struct lines *l, const char *key, char *out, struct err *e) CHECKED;
int lines_hex(struct lines *l, const char *key, void *out, size_t len,
    struct err *e) CHECKED;
/* Decimal, without zeroes in front, at most INT64_MAX; -1 without a text. */
int lines_number(const char *text, uint64_t *out) CHECKED;
/* All "volume NAME UUID SIZE file|block" lines that follow, which may be none;
 * *volumes is to be freed, also after a failure. */
int lines_volumes(struct lines *l, struct pairing_volume **volumes,
    uint32_t *count, struct err *e) CHECKED;
/* Is there at least one, and no name and no UUID twice? */
int lines_check_volumes(const struct pairing_volume *volumes, uint32_t count,
    struct err *e) CHECKED;

/* ---- writing ---- */

int lines_write_uuid(struct buf *b, const char *key, const struct uuid *u,
    struct err *e) CHECKED;
int lines_write_volumes(const struct pairing_volume *volumes, uint32_t count,
    struct buf *b, struct err *e) CHECKED;

#endif
