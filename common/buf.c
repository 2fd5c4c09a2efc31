/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
buf_room(struct buf *b, size_t more, struct err *e)
{
	size_t need, room;
	uint8_t *p;

	if (__builtin_add_overflow(b->len, more, &need))
		return err_set(e, ERR_REFUSED, "buffer too large");
	if (need <= b->room)
		return 0;
	room = b->room < 64 ? 64 : b->room;
	while (room < need)
		if (__builtin_mul_overflow(room, 2, &room))
			return err_set(e, ERR_REFUSED, "buffer too large");
	p = realloc(b->data, room);
	if (p == NULL)
		return err_set(e, ERR_RETRY, "out of memory (%zu bytes)", room);
	b->data = p;
	b->room = room;
	return 0;
}

int
buf_add(struct buf *b, const void *data, size_t len, struct err *e)
{
	if (buf_room(b, len, e) < 0)
		return -1;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int
buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_sys(e, "format text");
	if (buf_room(b, (size_t)n + 1, e) < 0)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void
buf_swap(struct buf *a, struct buf *b)
{
	struct buf was = *a;

	*a = *b;
	*b = was;
}

void
buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}
