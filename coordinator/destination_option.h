/* SPDX-License-Identifier: Apache-2.0 */
/*
 * destination_option: what only some transports or policies need, by name:
 * the option of `destination add`, the argument of its request, the row in
 * the catalogue. Texts, "" when not given.
 */
#ifndef COORDINATOR_DESTINATION_OPTION_H
#define COORDINATOR_DESTINATION_OPTION_H

#include "coordinator/config.h"

#include <stddef.h>

struct destination_option {
	const char *name;
	size_t offset, room; /* of the text in struct destination_config */
};

extern const struct destination_option destination_options[];
extern const size_t destination_option_count;

/* NULL when there is none of that name. */
const struct destination_option *destination_option_find(const char *name);
/* Where the text of that option lies. */
char *destination_option_text(
    struct destination_config *d, const struct destination_option *o);

#endif
