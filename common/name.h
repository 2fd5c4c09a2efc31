/* SPDX-License-Identifier: Apache-2.0 */
/* name: what people may call things, and how foreign text is shown. */
#ifndef COMMON_NAME_H
#define COMMON_NAME_H

#include "common/err.h"

#include <limits.h>
#include <stddef.h>

#define NAME_LIMIT 64 /* bytes with the NUL */

/* REFUSED unless [A-Za-z0-9][A-Za-z0-9._-]{0,62}; `what` is for the text. */
int name_check(const char *what, const char *name, struct err *e) CHECKED;

/*
 * Copies text from outside into `out` so that it can be printed or logged:
 * bytes outside printable ASCII, quotes and backslashes become \xNN, what
 * does not fit is cut. Returns `out`.
 */
const char *name_quote(const char *text, size_t len, char *out, size_t room);

/*
 * Copies a path or name into `out` so that a shell takes it as one word: as it
 * is, or in single quotes. What does not fit is cut: a path always fits into
 * SHELL_WORD, unless it has hundreds of quotes. Returns `out`.
 */
#define SHELL_WORD (PATH_MAX + 256)
const char *shell_word(const char *text, char *out, size_t room);

#endif
