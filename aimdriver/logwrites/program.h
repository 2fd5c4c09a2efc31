/* SPDX-License-Identifier: Apache-2.0 */
/* program: the commands of aim-logwrites. Each returns its exit status. */
#ifndef AIMDRIVER_LOGWRITES_PROGRAM_H
#define AIMDRIVER_LOGWRITES_PROGRAM_H

#include "common/err.h"

#include <stdbool.h>

/* As those of aim-manager. */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_REFUSED = 4,
};

/* What was typed; what is absent is NULL or false. */
struct options {
	const char *home, *volume, *out, *base, *device;
	unsigned sector;   /* bytes */
	unsigned interval; /* ms */
	bool json, unmarked, no_compare, dry_run;
	int count; /* of what is not an option */
	char **name;
};

int run_dump(const struct options *o);
int run_export(const struct options *o);
int run_follow(const struct options *o);
int run_import(const struct options *o);
int run_prepare(const struct options *o);

/* Says it on standard error; the status that it means. */
int complain(const struct err *e);

#endif
