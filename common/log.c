/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum log_level the_level = LOG_INFO_;
static const char *the_role = "aim";

void
log_set_level(enum log_level level)
{
	the_level = level;
}

void
log_set_role(const char *role)
{
	the_role = role;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	char when[CLOCK_TEXT], line[1024];
	size_t used;
	va_list ap;
	int n;

	if (level > the_level)
		return;
	n = snprintf(line, sizeof(line),
	    "%s %s %s: ", clock_text(clock_wall_ns(), when), names[level],
	    the_role);
	used = n < 0 ? 0 : (size_t)n;
	if (used >= sizeof(line) - 2)
		used = sizeof(line) - 2;
	va_start(ap, fmt);
	(void)vsnprintf(line + used, sizeof(line) - 1 - used, fmt, ap);
	va_end(ap);
	used = strlen(line);
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nobody is left to tell */
}
