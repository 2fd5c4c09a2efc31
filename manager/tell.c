/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/request.h"
#include "manager/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
tell(int code, const char *fmt, ...)
{
	va_list ap;

	(void)fputs("aim-manager: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return code;
}

int
tell_err(const struct err *e)
{
	return tell(exit_code(e), "%s", e->text);
}

int
tell_out(const void *text, size_t len)
{
	const char *p = text;

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return tell(EXIT_FAILED, "standard output: %s",
			    strerror(errno));
		p += n;
		len -= (size_t)n;
	}
	return EXIT_DONE;
}
