/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show: the two forms of output. A file is shown as begin, any number of
 * entries, end. Both write to standard output; show_flush says whether all of
 * it arrived.
 */
#ifndef MANAGER_AIMDUMP_SHOW_H
#define MANAGER_AIMDUMP_SHOW_H

#include "aimdriver/reader.h"
#include "common/err.h"
#include "common/json.h"

/* What was found out about one file. Texts are NULL when there are none. */
struct finding {
	const char *path;
	const char *shown;	     /* the path without control characters */
	const struct reader *reader; /* NULL: not even a header */
	const char *error;	     /* why it is not valid */
	const char *signature;	     /* "valid", "invalid", "not checked" */
	const char *digests;	     /* "valid", "invalid", "not checked" */
	const char *encryption;	     /* "none", "opened", "locked" */
	bool locked;		     /* only the header can be shown */
	const char *chain; /* "begins", "continues", "repeats", "broken",
			    * "not checked" */
};

struct show {
	bool data; /* payloads too */
	struct json json;
	void (*begin)(struct show *s, const struct finding *f);
	void (*entry)(
	    struct show *s, const struct iocb *b, const uint8_t *data);
	/* f->error may have come up since begin. */
	void (*end)(struct show *s, const struct finding *f);
};

void show_text_init(struct show *s, bool data);
void show_json_init(struct show *s, bool data);
int show_flush(struct show *s, struct err *e) CHECKED;

/* "FRS": FUA, re-read, short; `out` has 4 bytes. */
const char *show_flags(uint32_t flags, char *out);

#endif
