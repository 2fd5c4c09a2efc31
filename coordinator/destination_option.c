/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/destination_option.h"

#include <string.h>

#define OPTION(name, field)                                                    \
	{                                                                      \
		name, offsetof(struct destination_config, field),              \
		    sizeof(((struct destination_config *)NULL)->field)         \
	}

const struct destination_option destination_options[] = {
    OPTION("ca", ca_file),
    OPTION("credentials", credentials_file),
    OPTION("ack-credentials", ack_credentials_file),
    OPTION("pin", pin),
    OPTION("proxy", proxy),
    OPTION("limit", limit),
    OPTION("retry-at", retry_at),
    OPTION("relay", relay),
    OPTION("via", via),
};
const size_t destination_option_count =
    sizeof(destination_options) / sizeof(destination_options[0]);

const struct destination_option *
destination_option_find(const char *name)
{
	size_t i;

	for (i = 0; i < destination_option_count; i++)
		if (strcmp(destination_options[i].name, name) == 0)
			return &destination_options[i];
	return NULL;
}

char *
destination_option_text(
    struct destination_config *d, const struct destination_option *o)
{
	return (char *)d + o->offset;
}
