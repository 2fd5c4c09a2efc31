/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: writes one JSON text into a buffer. Keeps the commas; the caller
 * keeps the nesting. Errors are sticky: check once, with json_end.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct json {
	struct buf out;
	struct err err;
	bool failed;
	bool comma;
};

/* `key` is NULL inside arrays and at the top. */
void json_object(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array(struct json *j, const char *key);
void json_array_end(struct json *j);
/* Bytes that are not printable ASCII are escaped as \u00NN; NULL is null. */
void json_text(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, uint64_t value);
void json_real(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
/* Moves the text, with a newline, into *out; or the first failure. */
int json_end(struct json *j, struct buf *out, struct err *e) CHECKED;

#endif
