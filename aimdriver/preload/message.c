/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/preload/preload.h"

#include <stdatomic.h>
#include <string.h>

const char *
px_program(void)
{
	return program_invocation_short_name != NULL
		   ? program_invocation_short_name
		   : "?";
}

/* Never on a protected volume; a message that cannot be written is lost. */
static void __attribute__((format(printf, 1, 0)))
put(const char *fmt, va_list ap)
{
	char text[1024] = "aim: ";
	struct px_target t;
	int n = vsnprintf(text + 5, sizeof(text) - 6, fmt, ap);
	size_t len = n < 0 ? 0 : strlen(text);

	if (len == 0 || px_find(2, &t))
		return;
	text[len++] = '\n';
	(void)raw3(SYS_write, 2, (long)text, (long)len);
}

void
px_say(enum px_kind kind, const char *fmt, ...)
{
	static _Atomic uint32_t said;
	int saved = errno;
	va_list ap;

	if (atomic_fetch_or(&said, 1u << kind) & 1u << kind)
		return;
	va_start(ap, fmt);
	put(fmt, ap);
	va_end(ap);
	errno = saved;
}

void
px_die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(fmt, ap);
	va_end(ap);
	for (;;)
		(void)raw1(SYS_exit_group, status);
}
