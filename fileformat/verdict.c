/* SPDX-License-Identifier: Apache-2.0 */
#include "fileformat/verdict.h"

#include <stdarg.h>
#include <stdio.h>

enum verdict
verdict_say(
    struct why *why, enum verdict v, uint64_t offset, const char *fmt, ...)
{
	va_list ap;

	if (why == NULL)
		return v;
	why->offset = offset;
	va_start(ap, fmt);
	(void)vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return v;
}
