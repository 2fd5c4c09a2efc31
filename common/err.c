/* SPDX-License-Identifier: Apache-2.0 */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef err_set
#undef err_sys
#undef err_at

static enum err_kind
kind_of(int sys)
{
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_FULL;
	case EAGAIN:
	case EINTR:
	case EBUSY:
	case ETIMEDOUT:
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EPIPE:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return ERR_RETRY;
	case ENOENT:
	case EACCES:
	case EPERM:
	case EROFS:
	case EEXIST:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case ENXIO:
	case ENODEV:
		return ERR_REFUSED;
	default:
		return ERR_FATAL;
	}
}

int
err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return -1;
	e->kind = kind;
	e->sys = 0;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	int sys = errno;
	size_t used;
	va_list ap;

	if (e == NULL)
		return -1;
	e->kind = kind_of(sys);
	e->sys = sys;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	used = strlen(e->text);
	(void)snprintf(
	    e->text + used, sizeof(e->text) - used, ": %s", strerror(sys));
	errno = sys;
	return -1;
}

int
err_at(struct err *e, const char *fmt, ...)
{
	char inner[sizeof(((struct err *)0)->text)];
	size_t used;
	va_list ap;

	if (e == NULL)
		return -1;
	memcpy(inner, e->text, sizeof(inner));
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	used = strlen(e->text);
	(void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", inner);
	return -1;
}

void
err_clear(struct err *e)
{
	if (e == NULL)
		return;
	e->kind = ERR_NONE;
	e->sys = 0;
	e->text[0] = '\0';
}
