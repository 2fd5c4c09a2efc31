/* SPDX-License-Identifier: Apache-2.0 */
/* buf: a growable run of bytes. {0} is empty; release with buf_release. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len;
	size_t room;
};

/* Makes room for `more` bytes beyond len. RETRY when memory is short. */
int buf_room(struct buf *b, size_t more, struct err *e) CHECKED;
int buf_add(struct buf *b, const void *data, size_t len, struct err *e) CHECKED;
/* Adds formatted text; a NUL follows it that does not count in len. */
int buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))) CHECKED;
void buf_swap(struct buf *a, struct buf *b);
void buf_release(struct buf *b);

#endif
